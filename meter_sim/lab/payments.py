"""The load driver: seeded recharges and relay orders, and the journal of what was asked and answered.

The journal is a file of JSON lines, appended and synced before a request leaves and after an answer is in. It is
what the judge holds the head-end to:

    {"kind": "recharge", "n", "at_s", "link", "meter", "amount_micros", "reference"}
    {"kind": "relay", "n", "at_s", "link", "meter", "relay"}
    {"kind": "answer", "n", "at_s", "outcome", ...}   what the command printed
    {"kind": "silence", "n", "at_s"}                  the command died before it answered: done or not
    {"kind": "bulk", "n", "at_s", "meters"}           a list of homes to cut at once (`lists.py`)
    {"kind": "meter", "meter", "category"}            a meter as it was registered

Times are virtual; `link` is "up" or "down" at the moment of asking.
"""

import json
import os
import random
import select
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meter_sim.lab.processes import LabError, dying_with_us
from meter_sim.lab.site import ROOT, Site

ANSWER_TIMEOUT_S: Final = 60.0
REFUSED: Final = 7
"""Exit status of an order that the head-end's gate refuses."""
MICROS_PER_PAISA: Final = 10_000
TWICE: Final = 0.2
THREE_TIMES: Final = 0.08
CONFLICTING: Final = 0.04
"""Shares of the payments that are submitted so often, or once more with another amount."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A recharge that a consumer asks for."""

    meter: str
    paise: int
    reference: str

    @property
    def line(self) -> str:
        """The request as `headend recharge --batch` reads it."""
        return f"{self.meter},{self.paise // 100}.{self.paise % 100:02},{self.reference}\n"


class Consumers:
    """Seeded payments; nobody asks the same reference for anything else, but for the conflicts made on purpose."""

    def __init__(self, seed: int, meters: list[str]) -> None:
        self._chance = random.Random(f"payments {seed}")
        self._meters = meters
        self._next = 1

    def requests(self, count: int) -> list[Payment]:
        """Requests for `count` different recharges in the order of submission, repetitions after the first."""
        placed: list[tuple[float, int, Payment]] = []
        for index in range(count):
            payment = self._payment()
            at = index + self._chance.random()
            placed.append((at, len(placed), payment))
            draw = self._chance.random()
            repetitions = 2 if draw < THREE_TIMES else 1 if draw < THREE_TIMES + TWICE else 0
            for _ in range(repetitions):
                placed.append((self._chance.uniform(at, count), len(placed), payment))
            if self._chance.random() < CONFLICTING:
                other = Payment(payment.meter, payment.paise + 100, payment.reference)
                placed.append((self._chance.uniform(at, count), len(placed), other))
        return [payment for _, _, payment in sorted(placed, key=lambda entry: entry[:2])]

    def _payment(self) -> Payment:
        number, self._next = self._next, self._next + 1
        paise = self._chance.randrange(5_000, 200_000)
        return Payment(self._chance.choice(self._meters), paise, f"UPI-{number:06}")


class Journal:
    """The append-only file of requests and answers."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._numbers = 0

    def request(self, kind: str, *, sync: bool = True, **fields: Any) -> int:
        """Write down what is about to be asked; its number. Without `sync` a power cut may forget it."""
        self._numbers += 1
        self._write({"kind": kind, "n": self._numbers, **fields}, sync)
        return self._numbers

    def answer(self, number: int, at_s: int, content: dict[str, Any], *, sync: bool = True) -> None:
        """Write down an answer."""
        self._write(content | {"kind": "answer", "n": number, "at_s": at_s}, sync)

    def meter(self, meter: str, category: str) -> None:
        """Write down how a meter was registered."""
        self._write({"kind": "meter", "n": 0, "meter": meter, "category": category}, sync=False)

    def silence(self, number: int, at_s: int) -> None:
        """Write down that no answer will come."""
        self._write({"kind": "silence", "n": number, "at_s": at_s})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, content: dict[str, Any], sync: bool = True) -> None:
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's lines as data."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


class Counter:
    """Where payments are taken: one `headend recharge --batch -`, begun anew whenever it was killed."""

    def __init__(self, site: Site, journal: Journal) -> None:
        self._site = site
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.unanswered: list[Payment] = []
        """Asked, and the command died: they are submitted again with the same reference."""
        self.accepted: dict[str, str] = {}
        """Reference -> the link's state at the first answer that it stands in the ledger."""

    def ask(self, payment: Payment, link: str, kill_after_s: float | None = None) -> str | None:
        """Submit one request; its outcome, None if the command died before it answered.

        With `kill_after_s` it is killed so long after the request left, or after the answer if that comes first.

        Raises:
            LabError: no answer in time, or none that can be read.
        """
        process = self._process or self._open()
        number = self._journal.request(
            "recharge",
            at_s=self._site.now_s(),
            link=link,
            meter=payment.meter,
            amount_micros=payment.paise * MICROS_PER_PAISA,
            reference=payment.reference,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(payment.line.encode())
            process.stdin.flush()
            line = self._read_line(process, kill_after_s)
        except BrokenPipeError:
            line = b""
        if not line or kill_after_s is not None:
            self.kill()
        if not line:
            self._journal.silence(number, self._site.now_s())
            self.unanswered.append(payment)
            return None
        try:
            answer = json.loads(line)
            outcome = str(answer["outcome"])
        except (ValueError, KeyError) as error:
            raise LabError(f"headend recharge --batch answered {line!r}") from error
        self._journal.answer(number, self._site.now_s(), answer)
        if outcome in ("RECORDED", "EXISTS"):
            self.accepted.setdefault(payment.reference, link)
        return outcome

    def ask_again(self, link: str) -> None:
        """Submit again what was never answered."""
        while self.unanswered:
            self.ask(self.unanswered.pop(), link)

    def open(self) -> None:
        """Start the command now, so that the first request need not wait for it."""
        if self._process is None:
            self._open()

    def kill(self) -> None:
        """SIGKILL the command, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._end(process)

    def close(self) -> None:
        """End the command in good order."""
        process, self._process = self._process, None
        if process is not None:
            self._end(process)

    def _open(self) -> subprocess.Popen[bytes]:
        self._rest = b""
        self._process = subprocess.Popen(
            dying_with_us(self._site.headend_command("recharge", "--batch", "-")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._site.environment,
            cwd=ROOT,
            start_new_session=True,
        )
        return self._process

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        process.stdout.close()

    def _read_line(self, process: subprocess.Popen[bytes], kill_after_s: float | None) -> bytes:
        """One line, or nothing if the process ends before it; with `kill_after_s` it is killed after that time."""
        assert process.stdout is not None
        timeout_s = ANSWER_TIMEOUT_S if kill_after_s is None else kill_after_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([process.stdout], [], [], timeout_s)
            if not ready:
                if kill_after_s is None:
                    raise LabError(f"headend recharge --batch gave no answer within {timeout_s:g} s")
                process.kill()
                timeout_s = ANSWER_TIMEOUT_S
                continue
            content = os.read(process.stdout.fileno(), 65_536)
            if not content:
                return b""
            self._rest += content
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Orders:
    """Relay orders by `headend relay`, several at a time, journalled like payments."""

    def __init__(self, site: Site, journal: Journal) -> None:
        self._site = site
        self._journal = journal
        self._running: list[tuple[int, subprocess.Popen[bytes]]] = []

    def give(self, meter: str, position: str, link: str) -> None:
        """Begin an order: `position` is `open` or `close`."""
        relay = "open" if position == "open" else "closed"
        number = self._journal.request("relay", at_s=self._site.now_s(), link=link, meter=meter, relay=relay)
        words = ("relay", meter, position, "--reason", "exercise of the laboratory", "--json")
        process = subprocess.Popen(
            dying_with_us(self._site.headend_command(*words)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._site.environment,
            cwd=ROOT,
            start_new_session=True,
        )
        self._running.append((number, process))

    def all_answered(self) -> bool:
        """Take in the answers that have come; whether none is missing. That an order is refused is an answer.

        Raises:
            LabError: a command failed.
        """
        for entry in list(self._running):
            number, process = entry
            if process.poll() is None:
                continue
            self._running.remove(entry)
            content, _ = process.communicate()
            if process.returncode not in (0, REFUSED):
                raise LabError(f"headend relay ended with status {process.returncode}")
            outcome = "ORDERED" if process.returncode == 0 else "REFUSED"
            self._journal.answer(number, self._site.now_s(), json.loads(content) | {"outcome": outcome})
        return not self._running

    def kill(self) -> None:
        """End whatever still runs."""
        for _, process in self._running:
            process.kill()
            process.communicate()
        self._running.clear()
