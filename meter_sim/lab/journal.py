"""The journal of a run: what was asked, answered, broken and mended, in one append-only file of JSON lines.

The judge holds the head-end to it, so a request is written (and synced between processes) before it leaves, and
its answer when it is in. Every line has `kind`, `n` and `at_s` (virtual seconds UTC); requests and their answers
share `n`.

    run       seed, mode (`processes`, `simulation`), rules (`preset`, or `naive`)
    meter     meter, gateway, category, load_w, feeder        each meter as it was registered
    recharge  meter, amount_micros, reference, link           a request; `link`: "down" while a fault lasts
    enquiry   meter, link                                     of a balance
    relay     meter, relay (`open`, `closed`), link           an operator's order
    bulk      meters, actor, reason                           many homes to cut at once
    answer    outcome, ...                                    what came back
    silence                                                   no answer will come: done or not, nobody knows
    fault     event (`began`, `ended`), name, fault, what     `name` is one occurrence; `what` the fault's fields
    stage     stage (`before`, `faults`, `healing`, `end`)
    converged                                                 nothing is left to catch up with
    person    did                                             somebody did what the list of exceptions says
    end       drained                                         it is over; whether every reading was handed over
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends lines. `sync`: the file survives the machine; a simulation needs no such thing."""

    def __init__(self, path: Path, now_s: Callable[[], int], *, sync: bool = True) -> None:
        self._file = path.open("ab")
        self._now_s = now_s
        self._sync = sync
        self._numbers = 0

    def request(self, kind: str, *, sync: bool = True, **fields: Any) -> int:
        """Write down what is about to be asked; its number. Without `sync` a power cut may forget it."""
        self._numbers += 1
        self._write({"kind": kind, "n": self._numbers, **fields}, sync)
        return self._numbers

    def answer(self, number: int, content: Mapping[str, Any] | None, *, sync: bool = True) -> None:
        """Write down an answer; None: none will come."""
        if content is None:
            self._write({"kind": "silence", "n": number}, sync)
        else:
            self._write(dict(content) | {"kind": "answer", "n": number}, sync)

    def note(self, kind: str, **fields: Any) -> None:
        """Write down what is no request."""
        self._write({"kind": kind, "n": 0, **fields}, sync=False)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, content: dict[str, Any], sync: bool) -> None:
        content["at_s"] = self._now_s()
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()
        if sync and self._sync:
            os.fsync(self._file.fileno())


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's lines as data."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
