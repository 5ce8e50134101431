"""The journal of a run: what was asked, answered, broken and mended, in one append-only file of JSON lines.

The judge holds the head-end to it, so a request is written before it leaves, and its answer when it is in. Every
line has `kind`, `n` and `at_s` (virtual seconds UTC); requests and their answers share `n`.

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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends lines, each handed to the system at once: they survive us, and the machine is not what is broken."""

    def __init__(self, path: Path, now_s: Callable[[], int]) -> None:
        self._file = path.open("ab")
        self._now_s = now_s
        self._numbers = 0

    def request(self, kind: str, **fields: Any) -> int:
        """Write down what is about to be asked; its number."""
        self._numbers += 1
        self._write({"kind": kind, "n": self._numbers, **fields})
        return self._numbers

    def answer(self, number: int, content: Mapping[str, Any] | None) -> None:
        """Write down an answer; None: none will come."""
        if content is None:
            self._write({"kind": "silence", "n": number})
        else:
            self._write(dict(content) | {"kind": "answer", "n": number})

    def note(self, kind: str, **fields: Any) -> None:
        """Write down what is no request."""
        self._write({"kind": kind, "n": 0, **fields})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, content: dict[str, Any]) -> None:
        content["at_s"] = self._now_s()
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's lines as data."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
