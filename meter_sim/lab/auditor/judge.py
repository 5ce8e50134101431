"""The verdict on one run: reads its folder, looks at I1 to I25, measures, and says whether the thresholds hold."""

from meter_sim.lab.auditor.case import Case, read_case
from meter_sim.lab.auditor.commands import judge_commands
from meter_sim.lab.auditor.cuts import look_at_cuts
from meter_sim.lab.auditor.homes import worst_off
from meter_sim.lab.auditor.measures import measure
from meter_sim.lab.auditor.money import judge_money
from meter_sim.lab.auditor.outside import judge_outside
from meter_sim.lab.auditor.promises import Promises
from meter_sim.lab.auditor.protection import judge_protection
from meter_sim.lab.auditor.wire import log_hash
from meter_sim.lab.result import Missed, Result
from meter_sim.lab.run_folder import RunFolder

AGAIN = "again.hash"
"""In a run's folder: the log hash of another run of the same seed."""


def judge(folder: RunFolder, promises: Promises | None = None) -> Result:
    """What there is to say of a run that has stopped. `promises`: None: those of the rules that it ran with.

    Raises:
        OSError: there is no scenario or journal.
        ValueError: they cannot be read.
    """
    case = read_case(folder, promises)
    course = case.course
    this_hash = log_hash(folder.wire if folder.wire.exists() else None, course.lines)
    again = folder.path / AGAIN
    again_hash = again.read_text().strip() if again.exists() else None
    cuts = look_at_cuts(case)
    findings = (
        *judge_money(case),
        *judge_commands(case),
        *judge_protection(case, cuts),
        *judge_outside(case, this_hash, again_hash),
    )
    figures = measure(case, cuts, findings)
    return Result(
        scenario=course.scenario.name,
        story=course.scenario.story,
        mode=course.mode,
        rules=course.scenario.rules if not course.naive else course.rules,
        seed=course.seed,
        meters=len(case.log.meters) or course.scenario.fleet.meters,
        zone=str(case.log.zone),
        start_s=course.start_s,
        end_s=course.end_s,
        wall_s=course.wall_s,
        findings=findings,
        figures=figures,
        missed=(*_missed_before(case), *_missed_after(case, figures)),
        windows=tuple(fault.window for fault in course.faults),
        worst_off=worst_off(case, cuts),
        log_hash=this_hash,
        interrupted=not course.ended,
    )


def _missed_before(case: Case) -> list[Missed]:
    """Thresholds on live figures as the first fault began: by the last look before it."""
    course = case.course
    columns = [index for index, stage in enumerate(course.stages) if stage == "before"]
    missed = []
    for name, threshold in course.scenario.before.items():
        value = int(course.samples[name][columns[-1]]) if columns and name in course.samples else None
        if not threshold.holds(value):
            missed.append(Missed(name, str(threshold), value, "before"))
    return missed


def _missed_after(case: Case, figures: dict[str, float | None]) -> list[Missed]:
    return [
        Missed(name, str(threshold), figures[name], "after")
        for name, threshold in case.course.scenario.after.items()
        if not threshold.holds(figures[name])
    ]
