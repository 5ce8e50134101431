"""What people do at the head-end's command line in a run between processes, but for recharges.

Consumers enquire; operators order, and deal with the cases that the head-end lists for a person: they know what
was broken on purpose, and what they can read off a meter.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

from meter_sim.lab.clerk import AHEAD, midnights
from meter_sim.lab.gauges import Gauges
from meter_sim.lab.installation import Installation
from meter_sim.lab.line_command import STORE_TROUBLE, LineCommand
from meter_sim.lab.processes import LabError

OPERATOR: Final = "operator"
EXERCISE: Final = "exercise"
"""The reason of the orders of a scenario's workload."""

REFUSED: Final = 7
"""Exit status of an order that the head-end's gate refuses."""

PATIENCE_S: Final = 3.0
"""Wall seconds for which somebody waits for an answer."""

ATTEND_EVERY_S: Final = 2.0
"""Wall seconds between two looks at the list."""

MOST_CASES: Final = 10_000
MOST_AT_ONCE: Final = 5
"""Cases that are resolved one by one at a look."""

OVER: Final = {"CLOCK_AHEAD": "the clock was set", "COMMAND_REJECTED": "what the meter refused is over"}
"""Kinds that are over once what was broken is mended, with what is noted; what is not over comes back."""

Answer = Mapping[str, Any]


class Operators:
    """People at the head-end's command line."""

    def __init__(self, site: Installation, gauges: Gauges, *, gives_orders: bool, lists: Sequence[str]) -> None:
        """What is to come, so that it is worth getting ready for it: relay orders, and lists by their reasons."""
        self._site = site
        self._gauges = gauges
        self._balances = site.line_command("balance", "--batch", "-")
        self._desks = {EXERCISE: self._desk(EXERCISE)} if gives_orders else {}
        """Where relay orders are given, by their reason."""
        self._lists_to_come = Counter(lists)
        self._ready_lists: dict[str, subprocess.Popen[str]] = {}
        """Commands that wait for a list of homes to cut: time runs fast, and to start one takes a while."""
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
        for reason, count in self._lists_to_come.items():
            if count > 0 and reason not in self._ready_lists:
                self._ready_lists[reason] = self._begin_list(OPERATOR, reason)

    def kill(self) -> None:
        """SIGKILL what answers; it comes back with the next question."""
        for desk in (self._balances, *self._desks.values()):
            desk.kill()
        self._kill_lists()

    def close(self) -> None:
        """End what answers in good order."""
        for desk in (self._balances, *self._desks.values()):
            desk.close()
        self._kill_lists()

    def _kill_lists(self) -> None:
        """Those that wait have done nothing yet."""
        while self._ready_lists:
            _, process = self._ready_lists.popitem()
            process.kill()
            process.communicate()

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`."""
        command = self._take_list_command(actor, reason)
        answer = _answer(self._site.end_headend(command, "\n".join(meters) + "\n"))
        return None if answer is None else {**answer, "outcome": "ANSWERED"}

    def _take_list_command(self, actor: str, reason: str) -> "subprocess.Popen[str]":
        """A command that waits for its list: one that is ready, or a new one."""
        self._lists_to_come[reason] -= 1
        ready = self._ready_lists.pop(reason, None) if actor == OPERATOR else None
        if self._lists_to_come[reason] > 0:
            self._ready_lists[reason] = self._begin_list(OPERATOR, reason)
        return ready or self._begin_list(actor, reason)

    def _begin_list(self, actor: str, reason: str) -> "subprocess.Popen[str]":
        words = ("relay", "open", "--file", "-", "--actor", actor, "--reason", reason, "--json")
        return self._site.begin_headend(*words, under_test=True)

    def attend(self) -> list[str]:
        """See `Plant`. A look now and then: it takes some commands, and so some time."""
        if time.monotonic() < self._next_look_s:
            return []
        self._next_look_s = time.monotonic() + ATTEND_EVERY_S
        if self._gauges.exceptions_open() == 0:
            return []
        cases = _answer(self._site.run_headend("exceptions", "list", "--limit", str(MOST_CASES), "--json")) or []
        kinds = {case["kind"] for case in cases}
        did = [self._resolve_all(kind) for kind in AHEAD if kind in kinds]
        did += [self._resolve(case) for case in [case for case in cases if case["kind"] in OVER][:MOST_AT_ONCE]]
        did.append(self._enter_readings([case for case in cases if case["kind"] == "DAY_NOT_SETTLED"]))
        return [said for said in did if said]

    def _resolve_all(self, kind: str) -> str:
        """After a restore, once providers have submitted again: take the meters at their word."""
        words = ("resolve-all", kind, "--actor", OPERATOR, "--note", "an old backup was restored", "--json")
        resolved = _answer(self._site.run_headend("exceptions", *words))["resolved"]
        return f"{resolved} {kind} resolved" if resolved else ""

    def _resolve(self, case: Mapping[str, Any]) -> str:
        meter, kind = case["meter"], case["kind"]
        words = ("resolve", meter, kind, "--actor", OPERATOR, "--note", OVER[kind])
        done = self._site.run_headend("exceptions", *words)
        return f"{meter}: {kind} resolved: {OVER[kind]}" if done.returncode == 0 else ""

    def _enter_readings(self, cases: Sequence[Mapping[str, Any]]) -> str:
        """Enter what the meters' own logs show at the ends of days, from the day on that is listed."""
        folder, zone = self._site.folder, ZoneInfo(self._site.plan.zone)
        lines = [
            f"{case['meter']},{day},{register_wh}\n"
            for case in cases
            for day, register_wh in midnights(
                folder.fleet, case["meter"], date.fromisoformat(case["detail"][:10]), zone
            )
        ]
        if not lines:
            return ""
        words = ("meter", "reading", "--batch", "-", "--actor", OPERATOR, "--reason", "read on site")
        done = self._site.run_headend(*words, content="".join(lines))
        entered = done.stdout.count('"ENTERED"')
        return f"{entered} registers entered that the meters show" if entered else ""

    def _desk(self, reason: str) -> LineCommand:
        return self._site.line_command("relay", "--batch", "-", "--actor", OPERATOR, "--reason", reason)


def _answer(done: "subprocess.CompletedProcess[str]") -> Any:
    """What a command printed; None: its store failed, and nobody knows.

    Raises:
        LabError: it failed otherwise.
    """
    if done.returncode == STORE_TROUBLE:
        return None
    if done.returncode not in (0, REFUSED):
        raise LabError(f"{done.args!r} ended with status {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)
