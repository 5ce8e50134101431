"""The soak: rounds of `kill -9` at random moments, each healed and judged; stops at the first violation.

Every round is a scenario drawn from its seed and run on real processes; it is written into the round's folder as
any other. Only a round that fails keeps its folder. `python -m meter_sim.lab.soak --help`
"""

import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meter_sim.lab.course import GateError
from meter_sim.lab.installation import BROKERS, ROOT
from meter_sim.lab.plant import Part
from meter_sim.lab.processes import LabError, interrupt_on_sigterm
from meter_sim.lab.result import Result, Verdict
from meter_sim.lab.run import Silent, run_scenario
from meter_sim.lab.scenario import DAY_S, Scenario

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 105

METERS: Final = 400
SPEED: Final = 2_880
CALM_S: Final = 6.0
"""Before the first kill, wall seconds."""

DOWN_S: Final = (0.05, 3.0)
"""Shortest and longest time for which a part stays down, wall seconds."""

RECHARGES_A_SECOND: Final = 12
ORDERS: Final = 8
HEALS_WITHIN_S: Final = 60.0


def drawn(seed: int, meters: int, seconds: float, kills: int) -> Scenario:
    """The scenario of a round: each part is killed at least once, the others by chance. Times in wall seconds."""
    chance = random.Random(f"soak {seed}")
    parts = list(Part)
    victims = (parts + chance.choices(parts, k=kills))[: max(kills, len(parts))]
    chance.shuffle(victims)
    times_s = sorted(chance.uniform(CALM_S, CALM_S + seconds) for _ in victims)
    length_s = _virtual_s(CALM_S + seconds + DOWN_S[1] + 1)
    a_day = DAY_S / length_s * 1_000 / meters
    content: dict[str, Any] = {
        "name": f"soak-{seed}",
        "story": f"Kills at random moments, drawn from seed {seed}.",
        "fleet": {"meters": meters, "gateways": max(1, meters // 40), "interval": 900},
        "clock": {"start": "2024-10-30T00:00", "length": length_s, "speed": SPEED},
        "workload": {
            "recharges": RECHARGES_A_SECOND * seconds * a_day,
            "enquiries": seconds * a_day,
            "orders": ORDERS * a_day,
        },
        "timeline": [
            {
                "fault": "process-kill",
                "part": part,
                "at": _virtual_s(at_s),
                "for": _virtual_s(chance.uniform(*DOWN_S)),
            }
            for at_s, part in zip(times_s, victims, strict=True)
        ],
        "heals_within": _virtual_s(HEALS_WITHIN_S),
    }
    return Scenario.model_validate(content)


def _virtual_s(wall_s: float) -> int:
    return max(1, round(wall_s * SPEED))


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
    folder: Annotated[Path, typer.Option(help="Where the rounds' files go, each in one of its own.")] = ROOT
    / "var"
    / "soak",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what came out here.")] = None,
) -> None:
    """Kill head-end, broker, fleet and recharge commands at random moments: is anything ever lost or doubled?"""
    if broker not in BROKERS:
        print(f"soak: --broker {broker}: must be one of {', '.join(BROKERS)}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        print(f"soak: --json {json_file}: there is no such folder", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"soak: seed {first}, {rounds} rounds at most, {broker}; evidence in {folder}", flush=True)
    interrupt_on_sigterm()
    done: list[dict[str, Any]] = []
    end_s = time.monotonic() + minutes * 60
    try:
        for number in range(first, first + rounds):
            if done and time.monotonic() > end_s:
                print(f"soak: {minutes:g} minutes are over")
                break
            out = folder.absolute() / f"seed-{number}"
            done.append(_round(drawn(number, meters, seconds, kills), number, out, broker))
            if not done[-1]["ok"]:
                break
    except KeyboardInterrupt:
        print("soak: interrupted; all of its processes were ended", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except (LabError, GateError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        done.append({"ok": False, "seed": first + len(done), "failed": [str(error)]})
    ok = all(entry["ok"] for entry in done)
    if json_file is not None:
        json_file.write_text(json.dumps({"ok": ok, "seed": first, "broker": broker, "rounds": done}, indent=1))
    print(f"soak: {'PASSED' if ok else 'FAILED'}: {len(done)} rounds")
    raise typer.Exit(0 if ok else FAILED)


def _round(scenario: Scenario, seed: int, out: Path, broker: str) -> dict[str, Any]:
    """One round, and what is said of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    result = run_scenario(
        scenario, seed=seed, mode="processes", out=out, broker=broker, naive=False, view=Silent()
    )
    failed = _failed(result)
    accepted, unanswered = (result.figures.get(name) for name in ("recharges_accepted", "recharges_unanswered"))
    print(
        f"soak: seed {seed}: {'FAILED' if failed else 'ok'}: {len(result.windows)} kills, {accepted or 0:.0f}"
        f" recharges, {result.wall_s:.0f} s",
        flush=True,
    )
    for each in failed:
        print(f"      {each}")
    if failed:
        print(f"      again: scripts/soak --rounds 1 --seed {seed} --broker {broker}; report: {out}/report.html")
    else:
        shutil.rmtree(out)
    return {
        "ok": not failed,
        "seed": seed,
        "seconds": result.wall_s,
        "kills": len(result.windows),
        "recharges": accepted,
        "unanswered": unanswered,
        "failed": failed,
    }


def _failed(result: Result) -> list[str]:
    """What does not hold, or is not known; in words."""
    failed = [
        f"{finding.invariant} {finding.verdict}: {finding.detail}; {'; '.join(finding.evidence[:3])}"
        for finding in result.findings
        if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN)
    ]
    if result.figures.get("converged_after_s") is None:
        failed.append("it has not converged")
    return failed


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
