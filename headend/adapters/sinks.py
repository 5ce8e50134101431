"""Where notices go: a line on stderr, a file of JSON lines, a webhook. See `service.ports.notices.Sink`."""

import hashlib
import hmac
import http.client
import json
import logging
import os
import queue
import ssl
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from headend.service.notices import notice_json, sentence
from headend.service.ports.notices import Delivered, Notice

log = logging.getLogger(__name__)

BATCH: Final = 500
"""Most notices that log and file take at a time: one write and one fsync."""

FILE_TAIL_BYTES: Final = 1 << 20
"""How far back the file is read for lines that a crash left unmarked: more than a batch has."""

WEBHOOK_WORKERS: Final = 8
WEBHOOK_IN_FLIGHT_MAX: Final = 64
WEBHOOK_TIMEOUT_S: Final = 10.0
"""For the connection and for each read."""

WEBHOOK_KEY_BYTES_MIN: Final = 32

SIGNATURE_HEADER: Final = "Headend-Signature"
RETRIED_STATUSES: Final = frozenset({408, 429})
"""Of the statuses 3xx and 4xx those that a repetition may change."""

DETAIL_CHARS_MAX: Final = 200


class LogSink:
    """A line of the log for each notice."""

    name = "log"

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._answers: list[Delivered] = []

    def room(self) -> int:
        """See `Sink.room`."""
        return BATCH

    def send(self, notices: Sequence[Notice], now_s: int) -> None:
        """See `Sink.send`."""
        for notice in notices:
            whom = f"meter {notice.meter}" if notice.meter else f"all of region {notice.region or '*'}"
            log.info("notice %d %s to %s: %s", notice.notice_id, notice.kind, whom, sentence(notice, self._zone))
            self._answers.append(Delivered(notice.notice_id, ok=True))

    def answers(self) -> list[Delivered]:
        """See `Sink.answers`."""
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """See `Sink.close`."""


class FileSink:
    """JSON lines at the end of a file, synced before they count as delivered.

    Lines that stand at the end of the file already, because a crash came between the sync and the mark, are not
    written again. The file is opened for each batch, so it may be rotated.
    """

    name = "file"

    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self._path = path
        self._zone = zone
        self._answers: list[Delivered] = []
        self._written: set[bytes] | None = None
        """The lines at the file's end as this process found it; None: not looked yet."""

    def room(self) -> int:
        """See `Sink.room`."""
        return BATCH

    def send(self, notices: Sequence[Notice], now_s: int) -> None:
        """See `Sink.send`."""
        lines = [json.dumps(notice_json(notice, self._zone), ensure_ascii=False).encode() for notice in notices]
        try:
            if self._written is None:
                self._written = self._tail()
            self._append([line for line in lines if line not in self._written])
        except OSError as error:
            # What of the batch is in the file is not known: looked up before the next attempt.
            self._written = None
            detail = f"{self._path}: {error.strerror}"
            self._answers += [Delivered(n.notice_id, ok=False, again=True, detail=detail) for n in notices]
            return
        self._answers += [Delivered(notice.notice_id, ok=True) for notice in notices]

    def _tail(self) -> set[bytes]:
        if not self._path.exists():
            return set()
        with self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - FILE_TAIL_BYTES))
            return set(file.read().splitlines())

    def _append(self, lines: list[bytes]) -> None:
        is_new = not self._path.exists()
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":  # a crash tore the last line
                    lines = [b"", *lines] if lines else lines
            file.seek(0, os.SEEK_END)
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def answers(self) -> list[Delivered]:
        """See `Sink.answers`."""
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """See `Sink.close`."""


class WebhookSink:
    """A signed HTTP POST of JSON for each notice, from a few threads that end at bounded queues.

    Notices may arrive out of order, and more than once: `Idempotency-Key` is the notice's id.
    """

    name = "webhook"

    def __init__(self, url: str, key: bytes, zone: ZoneInfo, timeout_s: float = WEBHOOK_TIMEOUT_S) -> None:
        """`key` signs (`signature_of`); `url` is https, or http on the loopback."""
        parts = urlsplit(url)
        assert parts.hostname is not None, "the configuration has checked the URL"
        self._connect = _connector(parts.scheme, parts.hostname, parts.port, timeout_s)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._key = key
        self._zone = zone
        self._in_flight = 0
        self._work: queue.Queue[tuple[Notice, int] | None] = queue.Queue(WEBHOOK_IN_FLIGHT_MAX)
        self._done: queue.Queue[Delivered] = queue.Queue(WEBHOOK_IN_FLIGHT_MAX)
        for _ in range(WEBHOOK_WORKERS):
            threading.Thread(target=self._run, name="webhook", daemon=True).start()

    def room(self) -> int:
        """See `Sink.room`."""
        return WEBHOOK_IN_FLIGHT_MAX - self._in_flight

    def send(self, notices: Sequence[Notice], now_s: int) -> None:
        """See `Sink.send`."""
        assert len(notices) <= self.room(), "more than there was room for"
        self._in_flight += len(notices)
        for notice in notices:
            self._work.put_nowait((notice, now_s))

    def answers(self) -> list[Delivered]:
        """See `Sink.answers`."""
        answers = []
        while not self._done.empty():
            answers.append(self._done.get_nowait())
        self._in_flight -= len(answers)
        return answers

    def close(self) -> None:
        """See `Sink.close`. Requests under way are left to themselves: the threads end with the process."""
        try:
            while True:
                self._work.get_nowait()
        except queue.Empty:
            pass
        for _ in range(WEBHOOK_WORKERS):
            self._work.put_nowait(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            notice, now_s = work
            try:
                delivered = self._post(notice, now_s)
            except (OSError, ValueError, http.client.HTTPException) as error:
                detail = f"{type(error).__name__}: {error}"[:DETAIL_CHARS_MAX]
                delivered = Delivered(notice.notice_id, ok=False, again=True, detail=detail)
            self._done.put(delivered)

    def _post(self, notice: Notice, now_s: int) -> Delivered:
        body = json.dumps(notice_json(notice, self._zone), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(notice.notice_id),
            SIGNATURE_HEADER: signature_of(self._key, now_s, body),
        }
        connection = self._connect()
        try:
            connection.request("POST", self._target, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if 200 <= status < 300:
            return Delivered(notice.notice_id, ok=True)
        again = not 300 <= status < 500 or status in RETRIED_STATUSES
        return Delivered(notice.notice_id, ok=False, again=again, detail=f"HTTP status {status}")


def read_webhook_key(path: Path) -> bytes:
    """The secret that signs, without white space around it.

    Raises:
        OSError: the file cannot be read.
        ValueError: others may read it too, or it is too short to be a secret.
    """
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError("others may read it; chmod 600")
    key = path.read_bytes().strip()
    if len(key) < WEBHOOK_KEY_BYTES_MIN:
        raise ValueError(f"a key has at least {WEBHOOK_KEY_BYTES_MIN} bytes; openssl rand -hex 32 makes one")
    return key


def signature_of(key: bytes, at_s: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over the decimal seconds, a full stop and the body."""
    digest = hmac.new(key, b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def _connector(
    scheme: str, host: str, port: int | None, timeout_s: float
) -> Callable[[], http.client.HTTPConnection]:
    if scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=timeout_s)
    context = ssl.create_default_context()
    return lambda: http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
