"""The report for people: one self-contained HTML file, made from a template that escapes whatever it is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from meter_sim.lab.quantities import number, span
from meter_sim.lab.report import content
from meter_sim.lab.report.clean import clean
from meter_sim.lab.report.timeline import make_timeline, time_axis
from meter_sim.lab.result import Result
from meter_sim.lab.scenario import Scenario

_TEMPLATES: Final = Environment(
    loader=PackageLoader("meter_sim.lab.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
)


def write_report(
    result: Result,
    samples: Path,
    out: Path,
    naive: tuple[Result, Path] | None = None,
    *,
    latencies: Sequence[tuple[int, float]] = (),
    scenario: Scenario | None = None,
) -> None:
    """Write it in one piece. The same input gives the same bytes.

    `naive`: the other run's result and samples. `latencies`: (when accepted, seconds until the meter's answer) of
    credits. `scenario`: what was run; without it, thresholds that were met are not listed.
    """
    other, other_samples = naive if naive is not None else (None, None)
    time = time_axis(result)
    page = _TEMPLATES.get_template("report.html.j2").render(
        result=result,
        naive=other,
        scenario=scenario,
        headline=content.headline(result),
        command=content.command(result),
        tally=content.tally(result.findings),
        length=span(max(0, result.end_s - result.start_s)),
        wall=span(result.wall_s),
        meters=number(result.meters),
        compared=content.comparison(result, other),
        timeline=make_timeline(result, samples, other_samples, latencies),
        thresholds=content.threshold_rows(result, scenario),
        figures=content.figure_rows(result),
        findings=content.in_order(result.findings),
        symbols=content.SYMBOLS,
        homes=result.worst_off[: content.MOST_HOMES],
        local=time.local,
        conditions=content.conditions(result, other, scenario, time),
    )
    part = out.with_name(out.name + ".part")
    part.write_text(page, encoding="utf-8")
    part.replace(out)
