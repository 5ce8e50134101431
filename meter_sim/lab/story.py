"""The story of the demonstration: what happens when, in the festival weeks of 2024, and what is said about it.

Time runs fast over days on which nothing happens, and slowly over the evening of the outage and the hours in
which homes may be cut. What happens is begun by the clock and waited for by its effect.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from meter_sim.lab.display import Display, Figures
from meter_sim.lab.evidence import Evidence
from meter_sim.lab.finish import CONVERGE_TIMEOUT_S, Bench, audit, converge, drain, judge_run
from meter_sim.lab.homes import CUT_BEFORE, DUE, EVENING, LAST_MORNING, Homes
from meter_sim.lab.judge import Check, Verdict
from meter_sim.lab.lists import cut_all, pay_all
from meter_sim.lab.payments import Consumers, Payment
from meter_sim.lab.processes import POLL_S, LabError
from meter_sim.lab.promises import BIHAR
from meter_sim.lab.site import BROKER, HEADEND, ZONE, Site
from meter_sim.lab.watch import Picture

START: Final = "2024-10-26T00:00:00+05:30"
"""A Saturday, five days before Diwali."""
DAYS: Final = 17
"""Until the midnight after the Monday that follows Chhath."""

CALM, EVENING_SPEED, HOURS_OF_CUTS, BEGINNING = 48_000.0, 3_600.0, 1_800.0, 900.0
SPEED: Final = BEGINNING
TURNS: Final = (
    ("2024-10-26T01:00:00+05:30", CALM),
    ("2024-10-29T10:50:00+05:30", HOURS_OF_CUTS),
    ("2024-10-29T12:45:00+05:30", CALM),
    ("2024-10-31T16:45:00+05:30", EVENING_SPEED),
    ("2024-11-01T12:00:00+05:30", CALM),
    ("2024-11-11T10:20:00+05:30", HOURS_OF_CUTS),
    ("2024-11-11T12:45:00+05:30", CALM),
    ("2024-11-12T00:10:00+05:30", HOURS_OF_CUTS),
)
"""When virtual time changes its speed: virtual seconds in a wall second."""

RECHARGES_EACH_OUTAGE: Final = 200
RECHARGES_OTHERWISE: Final = 40
STEP_TIMEOUT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.25
MISTAKEN_SHARE: Final = 0.6

SET_UP, BEFORE, FIRST_CUTS, BROKER_DOWN, CATCH_UP, HEADEND_DOWN, HEAL, HOLIDAYS, LAST_CUTS, JUDGE = PHASES = (
    "set up",
    "26 October: ordinary days",
    "29 October: the last hours for cuts",
    "Diwali evening: the broker is killed",
    "the broker is back",
    "the head-end is killed",
    "1 November: both are back",
    "grace, and holidays until 10 November",
    "11 November: the first hours for cuts",
    "stop, audit, judge",
)


@dataclass(slots=True)
class Result:
    """What the run showed, as it comes out."""

    seconds_to_converge: float | None = None
    virtual_minutes_to_converge: float | None = None
    down_s: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What was down, from when to when in virtual time."""
    mistaken: dict[str, Any] = field(default_factory=dict)
    """What the head-end answered to the list of homes to cut."""
    checks: list[Check] = field(default_factory=list)
    verdict: Verdict | None = None
    evidence: Evidence | None = None

    def check(self, check_id: str, ok: bool, detail: str) -> None:
        """Add a check of the demonstration itself."""
        self.checks.append(Check(check_id, ok, detail))


class Story:
    """One run, from the Saturday before Diwali to the Monday after Chhath."""

    def __init__(self, site: Site, display: Display) -> None:
        self._site = site
        self._display = display
        self._result = Result()
        self._homes = Homes(site)
        self._consumers = Consumers(site.plan.seed, self._homes.others())
        self._chance = random.Random(f"story {site.plan.seed}")
        self._look_at_s = 0.0
        self._picture: Picture | None = None

    def run(self) -> Result:
        """The whole story."""
        site = self._site
        self._display.phase(SET_UP, f"{site.plan.meters:,} meters, {site.fleet.gateways} gateways, preset bihar")
        site.start_broker(wait=False)
        site.import_meters()
        self._bench = Bench(site)
        try:
            self._begin()
            self._before()
            self._outage()
            self._heal()
            self._after()
        finally:
            self._bench.close()
        return self._result

    def _begin(self) -> None:
        site, journal = self._site, self._bench.journal
        for number in range(1, site.plan.meters + 1):
            journal.meter(site.fleet.meter_id(number), site.plan.category(number)[0])
        pay_all(site, journal, self._homes.first_recharges())
        site.wait_for_broker()
        site.start_clock()
        site.start_headend()
        site.start_fleet()

    def _before(self) -> None:
        self._display.phase(BEFORE, "signed commands; some homes without credit")
        self._bench.counter.open()
        self._pass_until("2024-10-29T10:50", self._consumers.requests(RECHARGES_OTHERWISE), "up")
        doomed = len(self._homes.of(CUT_BEFORE))
        self._display.phase(FIRST_CUTS, f"{doomed} homes have had none for 72 hours")
        self._pass_until("2024-10-29T12:45", [], "up")
        self._say_dark()
        self._pass_until("2024-10-31T17:00", [], "up")

    def _outage(self) -> None:
        site = self._site
        self._display.phase(BROKER_DOWN, "SIGKILL; recharges go on")
        began_s = self._kill(BROKER)
        self._pass_until("2024-10-31T19:00", self._consumers.requests(RECHARGES_EACH_OUTAGE // 2), "down")
        self._order_by_mistake()
        relieved = self._homes.of(CUT_BEFORE) + self._half(DUE)
        requests = self._consumers.requests(RECHARGES_EACH_OUTAGE // 2) + self._homes.relief(relieved)
        self._pass_until("2024-10-31T21:30", requests, "down")
        site.start_broker()
        self._result.down_s[BROKER] = began_s, site.now_s()
        self._display.phase(CATCH_UP, "on the same port, its memory lost")
        self._pass_for(1.0, [], "up")
        self._display.phase(HEADEND_DOWN, "SIGKILL in the middle of catching up")
        began_s = self._kill(HEADEND)
        requests = self._consumers.requests(RECHARGES_EACH_OUTAGE) + self._homes.relief(self._half(EVENING))
        self._pass_for(5.0, requests, "down")
        site.start_headend()
        self._result.down_s[HEADEND] = began_s, site.now_s()

    def _order_by_mistake(self) -> None:
        """Somebody means another list of meters, on the evening of Diwali."""
        homes = self._homes.others() + self._homes.of(DUE) + self._homes.of(EVENING)
        chosen = self._chance.sample(homes, int(len(homes) * MISTAKEN_SHARE))
        reason = "list of the wrong file"
        answer = cut_all(self._site, self._bench.journal, chosen, "operator", reason)
        counts = answer["counts"]
        self._result.mistaken = {"homes": len(chosen), "sent": counts["ISSUED"], **answer}
        self._display.note(
            f"one wrong command to cut {len(chosen):,} homes:"
            f" {counts['ISSUED']} sent, {counts['REFUSED']:,} refused"
        )

    def _heal(self) -> None:
        self._display.phase(HEAL, "credits first, then supply, then bills")
        result, site = self._result, self._site
        wall_s, virtual_s = time.monotonic(), site.now_s()
        healed = converge(self._bench, self._show)
        if healed:
            self._until(lambda: self._phase() in ("GRACE", "NORMAL"), "the recovery is through")
            result.seconds_to_converge = round(time.monotonic() - wall_s, 2)
            result.virtual_minutes_to_converge = round((site.now_s() - virtual_s) / 60, 1)
            self._display.note(
                f"converged in {result.seconds_to_converge} s; region {site.fleet.region} is in {self._phase()}"
            )
        result.check(
            "converged",
            healed,
            f"{result.seconds_to_converge} s after the last part was up"
            if healed
            else f"not within {CONVERGE_TIMEOUT_S:g} s: {self._picture}",
        )

    def _after(self) -> None:
        self._display.phase(HOLIDAYS, "nobody is cut; debts become plans")
        self._pass_until("2024-11-11T10:25", self._consumers.requests(RECHARGES_OTHERWISE), "up")
        self._say_dark()
        paying = self._homes.of(LAST_MORNING)
        self._display.phase(LAST_CUTS, f"{len(paying)} homes pay just in time")
        self._pass_until("2024-11-11T10:50", self._homes.relief(paying), "up")
        self._bench.counter.ask_again("up")
        self._pass_until("2024-11-12T00:15", [], "up")
        self._say_dark()
        self._end()

    def _end(self) -> None:
        bench, result, site = self._bench, self._result, self._site
        quiet = converge(bench, self._show)
        self._display.phase(JUDGE)
        result.check("quiet", quiet, "nothing open, late or stale at the end" if quiet else f"{self._picture}")
        drained = drain(bench)
        settled, wanted = bench.watch.settled_days(), DAYS
        result.check("drained", drained, "every reading was handed over before the stop")
        result.check("midnights", settled >= wanted, f"{settled} of {wanted} days are settled for every meter")
        result.verdict, result.evidence = judge_run(bench, BIHAR, list(result.down_s.values()))
        result.checks += result.verdict.checks
        result.checks += audit(site)

    # --- time passes ---------------------------------------------------------------------------------------

    def _pass_until(self, local: str, requests: Sequence[Payment], link: str) -> None:
        end_s = int(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(ZONE)).timestamp())
        self._pass(end_s - self._site.now_s(), requests, link)

    def _pass_for(self, hours: float, requests: Sequence[Payment], link: str) -> None:
        self._pass(int(hours * 3_600), requests, link)

    def _pass(self, length_s: int, requests: Sequence[Payment], link: str) -> None:
        """Let virtual time pass, with recharges spread over it."""
        begin_s, asked = self._site.now_s(), 0
        while (passed_s := self._site.now_s() - begin_s) < length_s or asked < len(requests):
            share = 1.0 if passed_s >= length_s else passed_s / length_s
            due = min(len(requests), int(len(requests) * share) + 1)
            for payment in requests[asked:due]:
                self._bench.counter.ask(payment, link)
                self._look()
            asked = due
            self._look()
            time.sleep(POLL_S)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + STEP_TIMEOUT_S
        while not condition():
            if time.monotonic() > end_s:
                raise LabError(f"{what}: not within {STEP_TIMEOUT_S:g} s")
            self._look()
            time.sleep(POLL_S)

    def _look(self) -> None:
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_EVERY_S
            self._site.children.check()
            self._show(self._bench.watch.look())

    def _show(self, picture: Picture) -> None:
        self._picture = picture
        done = min(1.0, self._site.since_start_s() / (DAYS * 86_400))
        accepted = len(self._bench.counter.accepted)
        self._display.show(Figures(self._site.local_text(), done, accepted, picture))

    def _say_dark(self) -> None:
        picture = self._bench.watch.look()
        self._display.note(f"{picture.dark} homes without supply, {picture.at_zero} without credit")

    def _phase(self) -> str:
        return self._bench.watch.look().phase

    def _half(self, group: str) -> list[str]:
        homes = self._homes.of(group)
        return homes[: len(homes) // 2]

    def _kill(self, name: str) -> int:
        self._site.children.kill(name)
        return self._site.now_s()
