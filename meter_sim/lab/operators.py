"""What people do at the head-end's command line in a run between processes, but for recharges.

Consumers enquire; operators order, and deal with the cases that the head-end lists for a person: they know what
was broken on purpose, and what they can read off a meter.
"""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from meter_sim.grid import midnight_s
from meter_sim.lab.gauges import Gauges, read_only
from meter_sim.lab.installation import Installation
from meter_sim.lab.line_command import STORE_TROUBLE, LineCommand
from meter_sim.lab.processes import LabError

OPERATOR: Final = "operator"
EXERCISE: Final = "exercise"
"""The reason of the orders of a scenario's workload."""

REFUSED: Final = 7
"""Exit status of an order that the head-end's gate refuses."""

PATIENCE_S: Final = 5.0
"""Wall seconds for which somebody waits for an answer."""

ATTEND_EVERY_S: Final = 2.0
"""Wall seconds between two looks at the list."""

MOST_AT_ONCE: Final = 10
"""Cases dealt with at one look: each is a command of its own."""

OVER: Final = {
    "CLOCK_AHEAD": "the clock was set",
    "COMMAND_REJECTED": "what the meter refused is over",
    "CREDIT_AHEAD": "recharges were submitted again",
    "RELAY_AHEAD": "an old backup was the store",
    "POLICY_AHEAD": "an old backup was the store",
}
"""Kinds that are over once what was broken is mended, with what is noted; what is not over comes back."""

_SNAPSHOT: Final = """
SELECT f.registers_wh, m.meter_key - f.first_meter_key FROM meter AS m
JOIN frame AS f ON f.gateway = m.gateway
    AND m.meter_key BETWEEN f.first_meter_key AND f.first_meter_key + f.rows - 1
WHERE m.meter = ? AND f.kind = 'snapshot' AND f.at_s = ? LIMIT 1
"""
_WORD_BYTES: Final = 8

Answer = Mapping[str, Any]


class Operators:
    """People at the head-end's command line."""

    def __init__(self, site: Installation, gauges: Gauges, *, gives_orders: bool) -> None:
        """`gives_orders`: whether relay orders are to come, so that it is worth getting ready for them."""
        self._site = site
        self._gauges = gauges
        self._balances = site.line_command("balance", "--batch", "-")
        self._desks = {EXERCISE: self._desk(EXERCISE)} if gives_orders else {}
        """Where relay orders are given, by their reason."""
        self._next_look_s = 0.0

    def order_relay(self, meter: str, position: str, reason: str) -> Answer | None:
        """See `Plant`."""
        desk = self._desks.get(reason)
        if desk is None:
            desk = self._desks[reason] = self._desk(reason)
        answer = desk.ask(f"{meter},{position}", PATIENCE_S)
        if answer is None:
            return None
        return {**answer, "outcome": "ORDERED" if answer["outcome"] == "ISSUED" else "REFUSED"}

    def enquire(self, meter: str) -> Answer | None:
        """See `Plant`."""
        answer = self._balances.ask(meter, PATIENCE_S)
        return answer if answer is not None and "balance_micros" in answer else None

    def open(self) -> None:
        """Get ready, so that nobody waits for the first answer."""
        for desk in (self._balances, *self._desks.values()):
            desk.open()

    def kill(self) -> None:
        """SIGKILL what answers; it comes back with the next question."""
        for desk in (self._balances, *self._desks.values()):
            desk.kill()

    def close(self) -> None:
        """End what answers in good order."""
        for desk in (self._balances, *self._desks.values()):
            desk.close()

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`."""
        words = ("relay", "open", "--file", "-", "--actor", actor, "--reason", reason, "--json")
        answer = _answer(self._site.run_headend(*words, content="\n".join(meters) + "\n", under_test=True))
        return None if answer is None else {**answer, "outcome": "ANSWERED"}

    def attend(self) -> list[str]:
        """See `Plant`. A look now and then, and some cases each."""
        if time.monotonic() < self._next_look_s:
            return []
        self._next_look_s = time.monotonic() + ATTEND_EVERY_S
        if self._gauges.exceptions_open() == 0:
            return []
        listed = _answer(self._site.run_headend("exceptions", "list", "--limit", "1000", "--json"))
        did: list[str] = []
        for case in listed or ():
            if len(did) == MOST_AT_ONCE:
                break
            said = self._deal_with(case["meter"], case["kind"], case["detail"])
            did += [said] if said else []
        return did

    def _desk(self, reason: str) -> LineCommand:
        return self._site.line_command("relay", "--batch", "-", "--actor", OPERATOR, "--reason", reason)

    def _deal_with(self, meter: str, kind: str, detail: str) -> str:
        """Do what a case asks for; what was done, empty: nothing."""
        if kind in OVER:
            words = ("resolve", meter, kind, "--actor", OPERATOR, "--note", OVER[kind])
            done = self._site.run_headend("exceptions", *words)
            return f"{meter}: {kind} resolved: {OVER[kind]}" if done.returncode == 0 else ""
        if kind == "DAY_NOT_SETTLED":
            return self._enter_reading(meter, detail[:10])
        return ""

    def _enter_reading(self, meter: str, day: str) -> str:
        """Enter the register that the meter's own log shows at the end of a day."""
        plan = self._site.plan
        at_s = midnight_s(date.fromisoformat(day) + timedelta(days=1), ZoneInfo(plan.zone))
        with closing(read_only(self._site.folder.fleet)) as log:
            row = log.execute(_SNAPSHOT, (meter, at_s)).fetchone()
        if row is None:
            return ""
        registers, index = row
        word = registers[index * _WORD_BYTES : (index + 1) * _WORD_BYTES]
        register_wh = int.from_bytes(word, "little", signed=True)
        words = ("--day", day, "--register-wh", str(register_wh), "--actor", OPERATOR, "--reason", "read on site")
        done = self._site.run_headend("meter", "reading", meter, *words)
        return f"{meter}: {register_wh} Wh entered for {day}" if done.returncode == 0 else ""


def _answer(done: "subprocess.CompletedProcess[str]") -> Any:
    """What a command printed; None: its store failed, and nobody knows.

    Raises:
        LabError: it failed otherwise.
    """
    if done.returncode == STORE_TROUBLE:
        return None
    if done.returncode not in (0, REFUSED):
        raise LabError(f"{done.args} ended with status {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)
