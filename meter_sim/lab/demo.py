"""The demonstration: Diwali, a broker and a head-end that die, and weeks in which nobody is cut wrongly.

Runs the story (`story.py`) and says what came out. `python -m meter_sim.lab.demo --help`
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from meter_sim.lab.cuts import local
from meter_sim.lab.display import Display, print_verdict
from meter_sim.lab.finish import checks_json, outages, write_json
from meter_sim.lab.judge import Check, Verdict
from meter_sim.lab.processes import Children, LabError, interrupt_on_sigterm
from meter_sim.lab.promises import BIHAR
from meter_sim.lab.site import BROKER, HEADEND, ROOT, ZONE, Site, SitePlan, fresh_folder
from meter_sim.lab.story import PHASES, SPEED, START, TURNS, Result, Story

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 105

HOUR_S: Final = 3_600
INTERVAL_S: Final = 3_600
CLOCK_ERROR_S: Final = 240
"""Within what the head-end reckons with: 300 s."""
SILENT_AFTER_S: Final = 86_400
RESEND_S: Final = 1.0
LEAST_RECHARGES_DURING_OUTAGE: Final = 300
RECOVERY: Final = ("CREDITS", "RECONNECTIONS", "SNAPSHOTS", "SETTLEMENT", "DISPLAY", "GRACE", "NORMAL")

UNKNOWN: Final = (
    "recharges_during_outage",
    "credits_lost",
    "credits_doubled",
    "relays_opened_by_outage",
    "wrong_cuts",
    "cuts_before_outage",
    "cuts_after_grace",
    "homes_spared",
    "seconds_to_converge",
)
"""Null in the verdict file when the run broke off."""


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


def _festival_check(result: Result) -> Check:
    """Whether there was anything to protect, and cuts to come back to."""
    assert result.verdict is not None
    cuts, mistaken = result.verdict.cuts, result.mistaken
    exercised = (
        cuts.before_outage, cuts.at_zero_in_outage, cuts.spared, len(cuts.back_after_outage), cuts.after_grace,
        mistaken["homes"],
    )  # fmt: skip
    return Check(
        "protected",
        all(exercised) and not mistaken["sent"],
        f"{cuts.spared} homes spared on holidays; cut rightly: {cuts.before_outage} before the outage,"
        f" {cuts.after_grace} after grace; {len(cuts.back_after_outage)} paid in it and have their supply again;"
        f" of {mistaken['homes']:,} orders by mistake {mistaken['sent']} were sent",
    )


def _recovery_check(result: Result) -> Check:
    """Whether the region went through every phase after the last part was up, and was in grace for 72 hours."""
    assert result.evidence is not None
    up_s = max(ended_s for _, ended_s in result.down_s.values())
    last: dict[str, int] = {}
    for at_s, phase in result.evidence.phases:
        last[phase] = at_s
    times_s = [last.get(phase) for phase in RECOVERY]
    known = [at_s for at_s in times_s if at_s is not None]
    ok = len(known) == len(RECOVERY) and known == sorted(known) and known[-2] + (BIHAR.grace_s or 0) <= known[-1]
    zone = ZoneInfo(ZONE)
    said = ", ".join(f"{phase} {local(last[phase], zone)}" for phase in RECOVERY if phase in last)
    return Check("recovery", ok and known[-2] >= up_s, said)


# --- the command ------------------------------------------------------------------------------------------


def main(
    meters: Annotated[int, typer.Option(min=20, max=100_000, help="Meters of the fleet.")] = 2_000,
    gateways: Annotated[int, typer.Option(min=1, max=400, help="Gateways that they hang on.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same consumption and recharges.")] = 1,
    pace: Annotated[float, typer.Option(min=0.1, max=4, help="So many times as fast as made for.")] = 1.0,
    folder: Annotated[Path, typer.Option(help="Where store, logs and journal go; emptied first.")] = ROOT
    / "var"
    / "demo",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdict here.")] = None,
) -> None:
    """Diwali, a killed broker, a killed head-end: does every recharge count once, and is nobody cut wrongly?"""
    began_s = time.monotonic()
    plan = SitePlan(
        folder.absolute(),
        meters,
        gateways,
        seed,
        SPEED * pace,
        preset="bihar",
        start=START,
        turns=tuple((at, speed * pace) for at, speed in TURNS),
        interval_s=INTERVAL_S,
        clock_error_s=CLOCK_ERROR_S,
        silent_after_s=SILENT_AFTER_S,
        expires_after_s=None,
        resend_s=RESEND_S,
    )
    title = f"{meters:,} meters, Diwali 2024, one outage (seed {seed})"
    content: dict[str, Any] = {"ok": False, "seed": seed, "meters": meters} | dict.fromkeys(UNKNOWN)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        print(f"demo: --json {json_file}: there is no such folder", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)
    interrupt_on_sigterm()
    try:
        with fresh_folder(plan.folder), Children(ROOT, plan.folder) as children:
            with Display(title, PHASES) as display:
                site = Site(plan, children)
                result = Story(site, display).run()
                assert result.verdict is not None
                result.checks += [_journal_check(site, result), _exercise_check(result.verdict)]
                result.checks += [_festival_check(result), _recovery_check(result)]
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
    cuts = verdict.cuts
    return {
        "ok": all(check.ok for check in result.checks),
        "recharges": verdict.recharges,
        "recharges_during_outage": verdict.recharges_during_outage,
        "credits_lost": verdict.credits_lost,
        "credits_doubled": verdict.credits_doubled,
        "relays_opened_by_outage": verdict.relays_opened_by_outage,
        "wrong_cuts": len(cuts.wrong),
        "cuts_before_outage": cuts.before_outage,
        "cuts_after_grace": cuts.after_grace,
        "homes_spared": cuts.spared,
        "homes_without_credit_in_outage": cuts.at_zero_in_outage,
        "reconnected_after_outage": len(cuts.back_after_outage),
        "orders_by_mistake": {key: result.mistaken[key] for key in ("homes", "sent", "counts", "reasons")},
        "seconds_to_converge": result.seconds_to_converge,
        "virtual_minutes_to_converge": result.virtual_minutes_to_converge,
        "outage_hours": {part: round((end - begin) / HOUR_S, 1) for part, (begin, end) in result.down_s.items()},
        "wall_seconds": round(wall_s, 1),
        "checks": checks_json(result.checks),
    }


def _say(result: Result, content: dict[str, Any], title: str) -> None:
    hours, mistaken = content["outage_hours"], content["orders_by_mistake"]
    facts = [
        ("recharges accepted", content["recharges"]),
        ("  while the link was down", content["recharges_during_outage"]),
        ("credits lost", content["credits_lost"]),
        ("credits doubled", content["credits_doubled"]),
        ("homes cut rightly before the outage", content["cuts_before_outage"]),
        ("  that paid in it and got their supply back", content["reconnected_after_outage"]),
        ("homes without credit in the outage", content["homes_without_credit_in_outage"]),
        ("homes in debt that the holidays and the grace spared", content["homes_spared"]),
        ("homes cut wrongly", content["wrong_cuts"]),
        ("homes ordered cut by mistake on Diwali", mistaken["homes"]),
        ("  orders sent", mistaken["sent"]),
        ("relays opened by the outage", content["relays_opened_by_outage"]),
        ("homes cut rightly after outage, grace and holidays", content["cuts_after_grace"]),
        ("down, simulated hours", f"broker {hours[BROKER]}, head-end {hours[HEADEND]}"),
        ("seconds to converge", f"{content['seconds_to_converge']}"),
        ("  simulated minutes", f"{content['virtual_minutes_to_converge']}"),
        ("seconds in all", f"{content['wall_seconds']}"),
    ]
    failed = sum(not check.ok for check in result.checks)
    verdict = (
        "demo: PASSED: nothing lost, nothing doubled, nobody cut wrongly"
        if not failed
        else f"demo: FAILED: {failed} of {len(result.checks)} checks"
    )
    print_verdict(title, facts, result.checks, verdict)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
