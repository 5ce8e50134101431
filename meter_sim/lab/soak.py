"""The soak: rounds of `kill -9` at random moments, each healed and judged; stops at the first violation.

Every round is a fresh site. What is killed when follows from the seed, and what was done is in `faults.jsonl` of
the round's folder. Only a round that fails keeps its folder. `python -m meter_sim.lab.soak --help`
"""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meter_sim.lab.finish import (
    Bench,
    audit,
    checks_json,
    converge,
    drain,
    judge_run,
    write_json,
)
from meter_sim.lab.judge import Check
from meter_sim.lab.payments import Consumers
from meter_sim.lab.processes import POLL_S, Children, LabError, interrupt_on_sigterm, wait_until
from meter_sim.lab.promises import FLAT
from meter_sim.lab.site import BROKER, BROKERS, FLEET, HEADEND, ROOT, Site, SitePlan, fresh_folder

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 105

COUNTER: Final = "recharge"
METERS: Final = 400
GATEWAYS: Final = 10
SPEED: Final = 2_880.0
DOWN_S: Final = (0.05, 3.0)
"""Shortest and longest time for which a part stays down, wall seconds."""
KILL_AFTER_S: Final = 0.004
"""A recharge command is killed at most so long after a request: before, in or after its commit."""
RECHARGES_A_SECOND: Final = 12
RELAYS: Final = 4
ORDER_TIMEOUT_S: Final = 60.0
ORDER_SLACK_S: Final = 5.0
"""An order on its way when it was replaced may still be carried out, for so many wall seconds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kill. Wall seconds since the round's faults began; `what` stays down for `down_s`."""

    at_s: float
    what: str
    down_s: float


def faults(chance: random.Random, seconds: float, kills: int) -> list[Fault]:
    """What is killed in a round: each part at least once, the others by chance."""
    parts = [HEADEND, BROKER, FLEET, COUNTER]
    victims = (parts + chance.choices(parts, k=kills))[: max(kills, len(parts))]
    times = sorted(chance.uniform(0.0, seconds) for _ in victims)
    chance.shuffle(victims)
    return [Fault(at, what, chance.uniform(*DOWN_S)) for at, what in zip(times, victims, strict=True)]


class Round:
    """One round of the soak on a site of its own."""

    def __init__(self, site: Site, chance: random.Random, seconds: float, kills: int) -> None:
        self._site = site
        self._chance = chance
        self._seconds = seconds
        self._faults = faults(chance, seconds, kills)
        meters = [site.fleet.meter_id(number) for number in range(1, site.plan.meters + 1)]
        self._relay_meters = chance.sample(meters, RELAYS)
        self._consumers = Consumers(site.plan.seed, meters)
        self._starts: dict[str, Callable[..., None]] = {
            BROKER: site.start_broker, HEADEND: site.start_headend, FLEET: site.start_fleet,
        }  # fmt: skip
        self._back_at_s: dict[str, float] = {}
        self.kills = 0
        """Parts killed, recharge commands included."""
        self.accepted = 0
        self.silences = 0
        """Requests whose command was killed before it answered."""

    def run(self) -> list[Check]:
        """Run, heal, judge; the checks."""
        site = self._site
        site.start_broker()
        site.import_meters()
        site.start_clock()
        site.start_headend()
        site.start_fleet()
        bench = Bench(site)
        try:
            self._disturb(bench)
            bench.counter.ask_again("up")
            healed = converge(bench, lambda _: None)
            self.accepted = len(bench.counter.accepted)
            picture = bench.watch.look()
            drained = drain(bench)
            checks = [
                Check("converged", healed, f"{picture}"),
                Check("drained", drained, "every reading was handed over before the stop"),
                *judge_run(bench, FLAT, slack_wall_s=ORDER_SLACK_S)[0].checks,
            ]
        finally:
            bench.close()
        return [*checks, *audit(site)]

    def _disturb(self, bench: Bench) -> None:
        """Recharges and relay orders flow while parts are killed and started again."""
        requests = self._consumers.requests(int(self._seconds * RECHARGES_A_SECOND))
        orders = [(meter, position) for meter in self._relay_meters for position in ("open", "close")]
        given = 0
        pending = list(self._faults)
        began_s = time.monotonic()
        asked = 0
        doomed = False
        while True:
            now_s = time.monotonic() - began_s
            link = "down" if self._back_at_s else "up"
            while pending and pending[0].at_s <= now_s:
                fault = pending.pop(0)
                doomed = doomed or fault.what == COUNTER
                self._strike(fault, now_s)
            self._bring_back(now_s)
            due = min(len(requests), int(len(requests) * now_s / self._seconds))
            for payment in requests[asked:due]:
                kill_after_s = self._chance.uniform(0, KILL_AFTER_S) if doomed else None
                doomed = False
                self.kills += kill_after_s is not None
                bench.counter.ask(payment, link, kill_after_s)
            asked = due
            if given < min(len(orders), len(orders) * now_s / self._seconds) and bench.orders.all_answered():
                bench.orders.give(*orders[given], link)
                given += 1
            if not (pending or self._back_at_s) and given == len(orders) and asked == len(requests):
                break
            self._site.children.check()
            time.sleep(POLL_S)
        self.silences = len(bench.counter.unanswered)
        wait_until(bench.orders.all_answered, ORDER_TIMEOUT_S, "relay orders are answered")

    def _strike(self, fault: Fault, now_s: float) -> None:
        children = self._site.children
        if fault.what == COUNTER or not children.is_up(fault.what):
            return
        children.kill(fault.what)
        self.kills += 1
        self._note("killed", fault.what)
        self._back_at_s[fault.what] = now_s + fault.down_s

    def _bring_back(self, now_s: float) -> None:
        for what in [what for what, at_s in self._back_at_s.items() if at_s <= now_s]:
            del self._back_at_s[what]
            # Without waiting, so that the next kill may hit a part that is still starting.
            self._starts[what](wait=False)
            self._note("started", what)

    def _note(self, event: str, what: str) -> None:
        with (self._site.plan.folder / "faults.jsonl").open("a") as lines:
            lines.write(json.dumps({"at_s": self._site.now_s(), "wall_s": time.time(), event: what}) + "\n")


def main(
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Most rounds.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.1, help="Begin no round after so many minutes.")] = 3.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first round's, then 1 more each; default: by chance.")
    ] = None,
    broker: Annotated[str, typer.Option(help=f"One of {', '.join(BROKERS)}.")] = BROKERS[0],
    meters: Annotated[int, typer.Option(min=20, max=100_000, help="Meters of the fleet.")] = METERS,
    seconds: Annotated[float, typer.Option(min=1, help="Wall seconds of faults in a round.")] = 20.0,
    kills: Annotated[int, typer.Option(min=4, help="Most kills a round; each part is hit once.")] = 20,
    folder: Annotated[Path, typer.Option(help="Where the rounds' files go; emptied first.")] = ROOT
    / "var"
    / "soak",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what came out here.")] = None,
) -> None:
    """Kill head-end, broker, fleet and recharge commands at random moments: is anything ever lost or doubled?"""
    if broker not in BROKERS:
        print(f"soak: --broker {broker}: must be one of {', '.join(BROKERS)}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"soak: seed {first}, {rounds} rounds at most, {broker}; evidence in {folder}", flush=True)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        print(f"soak: --json {json_file}: there is no such folder", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    interrupt_on_sigterm()
    done: list[dict[str, Any]] = []
    end_s = time.monotonic() + minutes * 60
    try:
        with fresh_folder(folder.absolute()):
            for number in range(first, first + rounds):
                if done and time.monotonic() > end_s:
                    print(f"soak: {minutes:g} minutes are over")
                    break
                plan = SitePlan(folder.absolute() / f"seed-{number}", meters, GATEWAYS, number, SPEED, broker)
                done.append(_round(plan, seconds, kills))
                if not done[-1]["ok"]:
                    break
    except KeyboardInterrupt:
        print("soak: interrupted; all of its processes were ended", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except (LabError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        done.append(
            {"ok": False, "seed": first + len(done), "checks": checks_json([Check("run", False, str(error))])}
        )
    ok = all(entry["ok"] for entry in done)
    if json_file is not None:
        write_json(json_file, {"ok": ok, "seed": first, "broker": broker, "rounds": done})
    print(f"soak: {'PASSED' if ok else 'FAILED'}: {len(done)} rounds")
    raise typer.Exit(0 if ok else FAILED)


def _round(plan: SitePlan, seconds: float, kills: int) -> dict[str, Any]:
    """One round, and what is said of it."""
    began_s = time.monotonic()
    plan.folder.mkdir()
    with Children(ROOT, plan.folder) as children:
        round_ = Round(Site(plan, children), random.Random(plan.seed), seconds, kills)
        checks = round_.run()
    failed = [check for check in checks if not check.ok]
    if not failed:
        shutil.rmtree(plan.folder)
    took_s = time.monotonic() - began_s
    print(
        f"soak: seed {plan.seed}: {'FAILED' if failed else 'ok'}: {round_.kills} kills, {round_.accepted}"
        f" recharges ({round_.silences} requests without an answer), {took_s:.0f} s",
        flush=True,
    )
    for check in failed:
        print(f"      {check.check_id}: {check.detail}")
    if failed:
        print(f"      again: scripts/soak --rounds 1 --seed {plan.seed} --broker {plan.broker}")
    return {
        "ok": not failed,
        "seed": plan.seed,
        "seconds": round(took_s, 1),
        "kills": round_.kills,
        "recharges": round_.accepted,
        "requests_without_an_answer": round_.silences,
        "checks": checks_json(checks),
    }


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
