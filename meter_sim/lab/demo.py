"""The demonstration: a festival eve, a broker and a head-end that die, and two days that come out right.

Tells the story: what happens when, and what is said about it. `python -m meter_sim.lab.demo --help`
"""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meter_sim.lab.display import Display, Figures, print_verdict
from meter_sim.lab.finish import (
    CONVERGE_TIMEOUT_S,
    Bench,
    audit,
    checks_json,
    converge,
    drain,
    judge_run,
    outages,
    write_json,
)
from meter_sim.lab.judge import Check, Verdict
from meter_sim.lab.payments import Consumers
from meter_sim.lab.processes import POLL_S, Children, LabError, interrupt_on_sigterm
from meter_sim.lab.site import BROKER, HEADEND, OPEN_EXPIRES_AFTER_S, ROOT, Site, SitePlan, fresh_folder
from meter_sim.lab.watch import Picture

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 105

HOUR_S: Final = 3_600
RECHARGES_EACH_OUTAGE: Final = 200
LEAST_RECHARGES_DURING_OUTAGE: Final = 300
RECHARGES_OTHERWISE: Final = 40
STEP_TIMEOUT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.25

UNKNOWN: Final = (
    "recharges_during_outage",
    "credits_lost",
    "credits_doubled",
    "relays_opened_by_outage",
    "seconds_to_converge",
)
"""Null in the verdict file when the run broke off."""

SET_UP, NORMAL, BROKER_DOWN, CATCH_UP, HEADEND_DOWN, HEAL, RUN_ON, JUDGE = PHASES = (
    "set up",
    "normal operation",
    "the broker is killed",
    "the broker is back",
    "the head-end is killed",
    "both are back: heal",
    "normal operation again",
    "stop, audit, judge",
)


@dataclass(slots=True)
class Result:
    """What the run showed, as it comes out."""

    seconds_to_converge: float | None = None
    virtual_minutes_to_converge: float | None = None
    down_s: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What was down, from when to when in virtual time."""
    checks: list[Check] = field(default_factory=list)
    verdict: Verdict | None = None

    def check(self, check_id: str, ok: bool, detail: str) -> None:
        """Add a check of the demonstration itself."""
        self.checks.append(Check(check_id, ok, detail))


class Demo:
    """One run. `hours`: virtual hours that it lasts at least."""

    def __init__(self, site: Site, display: Display, hours: float) -> None:
        self._site = site
        self._display = display
        self._hours = hours
        self._result = Result()
        meters = [site.fleet.meter_id(number) for number in range(1, site.plan.meters + 1)]
        self._consumers = Consumers(site.plan.seed, meters)
        chance = random.Random(f"relays {site.plan.seed}")
        self._relay_meters = chance.sample(meters, 5)
        self._look_at_s = 0.0
        self._picture: Picture | None = None

    def run(self) -> Result:
        """The whole story."""
        self._set_up()
        self._bench = Bench(self._site)
        try:
            self._before()
            self._outage()
            self._heal()
            self._after()
        finally:
            self._bench.close()
        return self._result

    def _set_up(self) -> None:
        site = self._site
        self._display.phase(SET_UP, f"{site.plan.meters:,} meters, {site.fleet.gateways} gateways")
        site.start_broker()
        site.import_meters()
        site.start_clock()
        site.start_headend()
        site.start_fleet()

    def _before(self) -> None:
        self._display.phase(NORMAL, "recharges; relays opened and closed by order")
        self._bench.counter.open()
        self._pass(3, RECHARGES_OTHERWISE, "up")
        exercised = self._relay_meters[:2]
        for position, state in (("open", "open"), ("close", "closed")):
            for meter in exercised:
                self._bench.orders.give(meter, position, "up")
            self._until(self._bench.orders.all_answered, "relay orders are answered")
            self._until(partial(self._relays_are, exercised, state), f"relays are {state}")
        self._pass(2, 0, "up")
        self._result.check("relays-by-order", True, f"{len(exercised)} relays opened and closed by order")

    def _outage(self) -> None:
        site = self._site
        self._display.phase(BROKER_DOWN, "SIGKILL; recharges go on")
        began_s = self._kill(BROKER)
        self._pass(8, RECHARGES_EACH_OUTAGE, "down")
        site.start_broker()
        self._result.down_s[BROKER] = began_s, site.now_s()
        self._display.phase(CATCH_UP, "on the same port, its memory lost")
        self._pass(1.5, 0, "up")
        self._display.phase(HEADEND_DOWN, "SIGKILL in the middle of catching up; recharges go on")
        began_s = self._kill(HEADEND)
        replaced, expiring = self._relay_meters[2:4], self._relay_meters[4:]
        for meter in (*replaced, *expiring):
            self._bench.orders.give(meter, "open", "down")
        self._until(self._bench.orders.all_answered, "relay orders are answered")
        for meter in replaced:
            self._bench.orders.give(meter, "close", "down")
        self._until(self._bench.orders.all_answered, "relay orders are answered")
        self._pass(OPEN_EXPIRES_AFTER_S / HOUR_S + 2, RECHARGES_EACH_OUTAGE, "down")
        site.start_headend()
        self._result.down_s[HEADEND] = began_s, site.now_s()

    def _heal(self) -> None:
        self._display.phase(HEAL, "every counter is compared, what is open is sent again")
        result, site = self._result, self._site
        wall_s, virtual_s = time.monotonic(), site.now_s()
        healed = converge(self._bench, self._show)
        if healed:
            result.seconds_to_converge = round(time.monotonic() - wall_s, 2)
            result.virtual_minutes_to_converge = round((site.now_s() - virtual_s) / 60, 1)
            self._display.note(f"converged in {result.seconds_to_converge} s")
        result.check(
            "converged",
            healed,
            f"{result.seconds_to_converge} s after the last part was up"
            if healed
            else f"not within {CONVERGE_TIMEOUT_S:g} s: {self._picture}",
        )

    def _after(self) -> None:
        site, bench, result = self._site, self._bench, self._result
        self._display.phase(RUN_ON, "until the last midnight is past")
        self._pass(max(1.0, self._hours - site.since_start_s() / HOUR_S), RECHARGES_OTHERWISE, "up")
        bench.counter.ask_again("up")
        quiet = converge(bench, self._show)
        settled, wanted = bench.watch.settled_days(), int(self._hours // 24)
        self._display.phase(JUDGE)
        result.check("quiet", quiet, "nothing open, late or stale at the end" if quiet else f"{self._picture}")
        drained = drain(bench)
        result.check("drained", drained, "every reading was handed over before the stop")
        result.check("midnights", settled >= wanted, f"{settled} of {wanted} days are settled for every meter")
        result.verdict = judge_run(bench)
        result.checks += [_journal_check(site, result), _exercise_check(result.verdict), *result.verdict.checks]
        result.checks += audit(site)

    # --- time passes ---------------------------------------------------------------------------------------

    def _pass(self, hours: float, recharges: int, link: str) -> None:
        """Let virtual time pass, with recharges spread over it."""
        requests = self._consumers.requests(recharges) if recharges else []
        begin_s = self._site.now_s()
        length_s = hours * HOUR_S
        asked = 0
        while (passed_s := self._site.now_s() - begin_s) < length_s or asked < len(requests):
            due = min(len(requests), int(len(requests) * passed_s / length_s) + 1)
            for payment in requests[asked:due]:
                self._bench.counter.ask(payment, link)
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
        done = min(1.0, self._site.since_start_s() / (self._hours * HOUR_S))
        accepted = len(self._bench.counter.accepted)
        self._display.show(Figures(self._site.local_text(), done, accepted, picture))

    def _kill(self, name: str) -> int:
        self._site.children.kill(name)
        return self._site.now_s()

    def _relays_are(self, meters: list[str], state: str) -> bool:
        return all(self._bench.watch.relay(meter) == state for meter in meters)


def _journal_check(site: Site, result: Result) -> Check:
    """Whether the head-end wrote down both outages by itself: overlapping what was done to it."""
    rows = outages(site)
    missing = []
    for part, kind in ((BROKER, "BROKER_LINK"), (HEADEND, "HEADEND")):
        began_s, ended_s = result.down_s[part]
        if not any(
            row["kind"] == kind
            and row["began_at_s"] < ended_s
            and row["ended_at_s"] is not None
            and row["ended_at_s"] > began_s
            for row in rows
        ):
            missing.append(kind)
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(rows)} outages written down, ours among them"
    return Check("outage-journal", not missing, detail)


def _exercise_check(verdict: Verdict) -> Check:
    enough = verdict.recharges_during_outage >= LEAST_RECHARGES_DURING_OUTAGE
    repeated = verdict.submitted_twice > 0 and verdict.submitted_three_times > 0 and verdict.refused > 0
    return Check(
        "exercised",
        enough and repeated,
        f"{verdict.recharges_during_outage} recharges accepted while the link was down; of all {verdict.recharges}"
        f" {verdict.submitted_twice} were submitted twice, {verdict.submitted_three_times} three times,"
        f" {verdict.refused} reused with another amount",
    )


# --- the command ------------------------------------------------------------------------------------------


def main(
    meters: Annotated[int, typer.Option(min=20, max=100_000, help="Meters of the fleet.")] = 2_000,
    gateways: Annotated[int, typer.Option(min=1, max=400, help="Gateways that they hang on.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same consumption and recharges.")] = 1,
    speed: Annotated[float, typer.Option(min=60, help="Virtual seconds in a wall second.")] = 2_880.0,
    hours: Annotated[float, typer.Option(min=1, help="Virtual hours, at least.")] = 48.5,
    folder: Annotated[Path, typer.Option(help="Where store, logs and journal go; emptied first.")] = ROOT
    / "var"
    / "demo",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdict here.")] = None,
) -> None:
    """Two days, a killed broker, a killed head-end: does every recharge count once, and is nobody cut off?"""
    began_s = time.monotonic()
    plan = SitePlan(folder.absolute(), meters, gateways, seed, speed)
    title = f"{meters:,} meters, two counters, one outage (seed {seed})"
    content: dict[str, Any] = {"ok": False, "seed": seed, "meters": meters} | dict.fromkeys(UNKNOWN)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        print(f"demo: --json {json_file}: there is no such folder", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    interrupt_on_sigterm()
    try:
        with fresh_folder(plan.folder), Children(ROOT, plan.folder) as children:
            with Display(title, PHASES) as display:
                result = Demo(Site(plan, children), display, hours).run()
            content |= _content(result, time.monotonic() - began_s)
            _say(result, content, title)
    except KeyboardInterrupt:
        print("demo: interrupted; all of its processes were ended", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except (LabError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        content["checks"] = checks_json([Check("run", False, str(error))])
    if json_file is not None:
        write_json(json_file, content)
    raise typer.Exit(0 if content["ok"] else FAILED)


def _content(result: Result, wall_s: float) -> dict[str, Any]:
    """The verdict as it stands in the file."""
    verdict = result.verdict
    assert verdict is not None
    return {
        "ok": all(check.ok for check in result.checks),
        "recharges": verdict.recharges,
        "recharges_during_outage": verdict.recharges_during_outage,
        "credits_lost": verdict.credits_lost,
        "credits_doubled": verdict.credits_doubled,
        "relays_opened_by_outage": verdict.relays_opened_by_outage,
        "seconds_to_converge": result.seconds_to_converge,
        "virtual_minutes_to_converge": result.virtual_minutes_to_converge,
        "outage_hours": {part: round((end - begin) / HOUR_S, 1) for part, (begin, end) in result.down_s.items()},
        "wall_seconds": round(wall_s, 1),
        "checks": checks_json(result.checks),
    }


def _say(result: Result, content: dict[str, Any], title: str) -> None:
    hours = content["outage_hours"]
    facts = [
        ("recharges accepted", content["recharges"]),
        ("  while the link was down", content["recharges_during_outage"]),
        ("credits lost", content["credits_lost"]),
        ("credits doubled", content["credits_doubled"]),
        ("relays opened by the outage", content["relays_opened_by_outage"]),
        ("down, simulated hours", f"broker {hours[BROKER]}, head-end {hours[HEADEND]}"),
        ("seconds to converge", f"{content['seconds_to_converge']}"),
        ("  simulated minutes", f"{content['virtual_minutes_to_converge']}"),
        ("seconds in all", f"{content['wall_seconds']}"),
    ]
    failed = sum(not check.ok for check in result.checks)
    verdict = (
        "demo: PASSED: nothing lost, nothing doubled, nobody cut off"
        if not failed
        else f"demo: FAILED: {failed} of {len(result.checks)} checks"
    )
    print_verdict(title, facts, result.checks, verdict)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
