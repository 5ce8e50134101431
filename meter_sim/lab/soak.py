"""The soak: rounds of `kill -9` at random moments, each healed and judged; stops at the first that fails.

Every round is a scenario drawn from its seed, carried out between real processes: parts are killed and started
again. Only a round that fails keeps its folder. `python -m meter_sim.lab.soak --help`
"""

import json
import shutil
import sys
import time
from pathlib import Path
from random import Random, SystemRandom
from typing import Annotated, Any, Final

import typer

from meter_sim.lab.course import GateError
from meter_sim.lab.plant import Part
from meter_sim.lab.processes import LabError, interrupt_on_sigterm
from meter_sim.lab.result import Result, Verdict
from meter_sim.lab.run import Silent, run_scenario
from meter_sim.lab.run_folder import fresh_folder
from meter_sim.lab.scenario import DAY_S, Scenario

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 105

BROKERS: Final = ("amqtt", "mosquitto")
METERS: Final = 400
GATEWAYS: Final = 10
SPEED: Final = 2_880
INTERVAL_S: Final = 900
CALM_S: Final = 3.0
"""Before the first kill, wall seconds."""
DOWN_S: Final = (0.05, 3.0)
"""Shortest and longest time for which a part stays down, wall seconds."""
RECHARGES_A_SECOND: Final = 12
ORDERS_A_SECOND: Final = 0.5


def draw(seed: int, meters: int, seconds: float, kills: int) -> Scenario:
    """The scenario of a round: each part is killed once at least, the others by chance."""
    chance = Random(f"soak {seed}")
    victims = (list(Part) + chance.choices(list(Part), k=kills))[: max(kills, len(Part))]
    chance.shuffle(victims)
    timeline = [
        {
            "fault": "process-kill",
            "part": victim,
            "at": int((CALM_S + chance.uniform(0, seconds)) * SPEED),
            "for": int(chance.uniform(*DOWN_S) * SPEED),
        }
        for victim in victims
    ]
    length_s = int((2 * CALM_S + seconds + DOWN_S[1]) * SPEED)
    rate = DAY_S / SPEED * 1_000 / meters
    return Scenario.model_validate(
        {
            "name": f"soak-{seed}",
            "story": f"Kills at random moments, drawn from seed {seed}.",
            "fleet": {"meters": meters, "gateways": min(GATEWAYS, meters), "interval": INTERVAL_S},
            "clock": {"start": "2024-10-30T00:00", "length": length_s, "speed": SPEED},
            "workload": {"recharges": RECHARGES_A_SECOND * rate, "orders": ORDERS_A_SECOND * rate, "enquiries": 0},
            "timeline": sorted(timeline, key=lambda fault: (fault["at"], str(fault["part"]))),
        }
    )


def main(
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Most rounds.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.1, help="Begin no round after so many minutes.")] = 3.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first round's, then 1 more each; default: by chance.")
    ] = None,
    broker: Annotated[str, typer.Option(help=f"One of {', '.join(BROKERS)}.")] = BROKERS[0],
    meters: Annotated[int, typer.Option(min=20, max=100_000, help="Meters of the fleet.")] = METERS,
    seconds: Annotated[float, typer.Option(min=1, help="Wall seconds of faults in a round.")] = 20.0,
    kills: Annotated[int, typer.Option(min=4, help="Kills a round; each part is hit once.")] = 20,
    folder: Annotated[Path, typer.Option(help="Where the rounds' files go; emptied first.")] = Path("var/soak"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what came out here.")] = None,
) -> None:
    """Kill head-end, broker, fleet and counter at random moments: is anything ever lost or doubled?"""
    if broker not in BROKERS:
        print(f"soak: --broker {broker}: must be one of {', '.join(BROKERS)}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        print(f"soak: --json {json_file}: there is no such folder", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    first = SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"soak: seed {first}, {rounds} rounds at most, {broker}; evidence in {folder}", flush=True)
    interrupt_on_sigterm()
    done: list[dict[str, Any]] = []
    end_s = time.monotonic() + minutes * 60
    try:
        with fresh_folder(folder.absolute()):
            for number in range(first, first + rounds):
                if done and time.monotonic() > end_s:
                    print(f"soak: {minutes:g} minutes are over")
                    break
                done.append(_round(draw(number, meters, seconds, kills), number, broker, folder.absolute()))
                if not done[-1]["ok"]:
                    break
    except KeyboardInterrupt:
        print("soak: interrupted; all of its processes were ended", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except (LabError, GateError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        done.append({"ok": False, "seed": first + len(done), "trouble": str(error)})
    ok = all(entry["ok"] for entry in done)
    if json_file is not None:
        content = {"ok": ok, "seed": first, "broker": broker, "rounds": done}
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"soak: {'PASSED' if ok else 'FAILED'}: {len(done)} rounds")
    raise typer.Exit(0 if ok else FAILED)


def _round(scenario: Scenario, seed: int, broker: str, folder: Path) -> dict[str, Any]:
    """One round, and what is said of it."""
    out = folder / f"seed-{seed}"
    view = Silent()
    result = run_scenario(scenario, seed=seed, mode="processes", out=out, broker=broker, naive=False, view=view)
    ok = result.verdict is Verdict.PASS
    if ok:
        shutil.rmtree(out)
    figures, kills = result.figures, len(scenario.timeline)
    print(
        f"soak: seed {seed}: {'ok' if ok else 'FAILED'}: {kills} kills,"
        f" {figures.get('recharges_accepted') or 0:.0f} recharges, {result.wall_s:.0f} s",
        flush=True,
    )
    for line in _wrong(result):
        print(f"      {line}")
    if not ok:
        print(
            f"      again: scripts/soak --rounds 1 --seed {seed} --broker {broker}; report: {out / 'report.html'}"
        )
    return {
        "ok": ok,
        "seed": seed,
        "seconds": result.wall_s,
        "kills": kills,
        "figures": figures,
        "findings": {finding.invariant: finding.verdict for finding in result.findings},
        "wrong": _wrong(result),
    }


def _wrong(result: Result) -> list[str]:
    bad = (Verdict.FAIL, Verdict.UNKNOWN)
    found = [f for f in result.findings if f.verdict in bad]
    return [f"{f.invariant} {f.verdict}: {f.detail} {'; '.join(f.evidence)}" for f in found]


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
