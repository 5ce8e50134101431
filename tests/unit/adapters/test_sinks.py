"""Sinks: a line each, none twice after a crash, signed requests that are repeated or not as their answer says."""

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from waiting import wait_until

from headend.adapters.sinks import (
    SIGNATURE_HEADER,
    WEBHOOK_IN_FLIGHT_MAX,
    WEBHOOK_KEY_BYTES_MIN,
    FileSink,
    LogSink,
    WebhookSink,
    read_webhook_key,
    signature_of,
)
from headend.domain.notice import NoticeKind
from headend.service.ports.notices import Delivered, Notice

ZONE = ZoneInfo("Asia/Kolkata")
AT_S = 1_730_226_600
KEY = b"0123456789abcdef0123456789abcdef"


def notice(number: int, meter: str | None = "M1") -> Notice:
    return Notice(number, NoticeKind.RESTORED, meter, "R1" if meter else None, AT_S, {"restored_s": AT_S})


def ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


def good(*numbers: int) -> list[Delivered]:
    return [Delivered(number, ok=True) for number in numbers]


# --- log ----------------------------------------------------------------------------------------------------


def test_log_says_each_notice_to_whom_and_what(caplog: pytest.LogCaptureFixture) -> None:
    sink = LogSink(ZONE)
    with caplog.at_level(logging.INFO):
        sink.send([notice(1), notice(2, None)], AT_S)
    assert sink.answers() == good(1, 2)
    assert sink.answers() == []
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "notice 1 RESTORED to meter M1",
        "notice 2 RESTORED to all of region *",
    ]


# --- file ---------------------------------------------------------------------------------------------------


def test_file_holds_a_line_of_json_for_each_notice(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    sink = FileSink(path, ZONE)
    sink.send([notice(1), notice(2, None)], AT_S)
    sink.send([notice(3)], AT_S)
    assert sink.answers() == good(1, 2, 3)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(line["id"], line["meter"], line["region"]) for line in lines] == [
        (1, "M1", "R1"),
        (2, None, None),
        (3, "M1", "R1"),
    ]
    assert lines[0]["text"] == "the supply was restored at 2024-10-30 00:00:00"
    assert path.stat().st_mode & 0o077 == 0


def test_line_that_a_crash_left_unmarked_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    FileSink(path, ZONE).send([notice(1), notice(2)], AT_S)
    after_crash = FileSink(path, ZONE)
    after_crash.send([notice(1), notice(2), notice(3)], AT_S)
    assert after_crash.answers() == good(1, 2, 3)
    assert ids(path) == [1, 2, 3]


def test_torn_line_is_ended_and_its_notice_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    FileSink(path, ZONE).send([notice(1), notice(2)], AT_S)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    after_crash = FileSink(path, ZONE)
    after_crash.send([notice(2)], AT_S)
    torn, *whole = path.read_bytes().splitlines()[1:]
    assert torn == content.splitlines()[1][:-19]
    assert [json.loads(line)["id"] for line in whole] == [2]


def test_other_notice_with_the_same_id_is_written(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    FileSink(path, ZONE).send([notice(1)], AT_S)
    FileSink(path, ZONE).send([notice(1, "M2")], AT_S)
    assert ids(path) == [1, 1]


def test_file_that_was_rotated_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    sink = FileSink(path, ZONE)
    sink.send([notice(1)], AT_S)
    path.rename(tmp_path / "notices.1")
    sink.send([notice(2)], AT_S)
    assert ids(path) == [2]


def test_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    sink = FileSink(folder / "notices.jsonl", ZONE)
    sink.send([notice(1)], AT_S)
    (answer,) = sink.answers()
    assert (answer.ok, answer.again) == (False, True)
    assert "No such file" in answer.detail
    folder.mkdir()
    sink.send([notice(1)], AT_S)
    assert sink.answers() == good(1)
    assert ids(folder / "notices.jsonl") == [1]


# --- webhook ------------------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """Keeps every request; answers with `status`, after `wait`."""

    daemon_threads = True
    status = 200
    wait: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?tenant=7"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.server.wait()
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@contextmanager
def webhook(url: str, timeout_s: float = 5.0) -> Iterator[WebhookSink]:
    sink = WebhookSink(url, KEY, ZONE, timeout_s)
    try:
        yield sink
    finally:
        sink.close()


def answers_of(sink: WebhookSink, count: int) -> list[Delivered]:
    answers: list[Delivered] = []

    def all_there() -> bool:
        answers.extend(sink.answers())
        return len(answers) >= count

    wait_until(all_there, 10)
    return answers


def test_webhook_gets_a_signed_request_with_the_notices_id(receiver: Receiver) -> None:
    with webhook(receiver.url) as sink:
        sink.send([notice(12)], AT_S)
        assert answers_of(sink, 1) == good(12)
    ((target, headers, body),) = receiver.requests
    assert target == "/hook?tenant=7"
    assert json.loads(body)["id"] == 12
    assert headers["Idempotency-Key"] == "12"
    expected = hmac.new(KEY, f"{AT_S}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE_HEADER] == f"t={AT_S},v1={expected}"


def test_signature_depends_on_key_time_and_body() -> None:
    signatures = {
        signature_of(*case) for case in ((KEY, 1, b"x"), (b"other", 1, b"x"), (KEY, 2, b"x"), (KEY, 1, b"y"))
    }
    assert len(signatures) == 4


@pytest.mark.parametrize(
    ("status", "ok", "again"),
    [
        (200, True, False),
        (204, True, False),
        (302, False, False),
        (400, False, False),
        (404, False, False),
        (408, False, True),
        (429, False, True),
        (500, False, True),
        (503, False, True),
    ],
)
def test_answer_says_whether_it_is_worth_repeating(receiver: Receiver, status: int, ok: bool, again: bool) -> None:
    receiver.status = status
    with webhook(receiver.url) as sink:
        sink.send([notice(1)], AT_S)
        (answer,) = answers_of(sink, 1)
    assert (answer.ok, answer.again) == (ok, again)
    assert len(receiver.requests) == 1, "a redirection is not followed"


def test_nobody_there_is_tried_again(free_port: int) -> None:
    with webhook(f"http://127.0.0.1:{free_port}/hook") as sink:
        sink.send([notice(1)], AT_S)
        (answer,) = answers_of(sink, 1)
    assert (answer.ok, answer.again) == (False, True)
    assert "refused" in answer.detail


def test_receiver_that_does_not_answer_is_given_up_after_the_time_out(receiver: Receiver) -> None:
    released = threading.Event()
    receiver.wait = lambda: released.wait(10)
    with webhook(receiver.url, timeout_s=0.2) as sink:
        began_s = time.monotonic()
        sink.send([notice(1)], AT_S)
        (answer,) = answers_of(sink, 1)
        assert time.monotonic() - began_s < 5
    released.set()
    assert (answer.ok, answer.again) == (False, True)


def test_slow_receiver_makes_nobody_wait_and_room_is_bounded(receiver: Receiver) -> None:
    released = threading.Event()
    receiver.wait = lambda: released.wait(10)
    with webhook(receiver.url) as sink:
        began_s = time.monotonic()
        sink.send([notice(number) for number in range(1, WEBHOOK_IN_FLIGHT_MAX + 1)], AT_S)
        assert sink.room() == 0
        assert sink.answers() == []
        assert time.monotonic() - began_s < 1
        released.set()
        answers = answers_of(sink, WEBHOOK_IN_FLIGHT_MAX)
        assert sink.room() == WEBHOOK_IN_FLIGHT_MAX
    assert sorted(answer.notice_id for answer in answers) == list(range(1, WEBHOOK_IN_FLIGHT_MAX + 1))
    assert all(answer.ok for answer in answers)


def test_key_is_read_from_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    assert read_webhook_key(path) == KEY
    path.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        read_webhook_key(path)
    path.chmod(0o600)
    path.write_bytes(b"k" * (WEBHOOK_KEY_BYTES_MIN - 1))
    with pytest.raises(ValueError, match="at least"):
        read_webhook_key(path)
