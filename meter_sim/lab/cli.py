"""The commands `meter-sim lab`: list, show, validate and run scenarios, and what hangs beside them.

Turns options into a call, and every expected failure into one clear line. What is heavy is imported where it is
needed: `meter-sim run` starts this module too.

Exit status: 0 pass, 1 fail, 2 unknown, 99 a threshold missed, 104 bad scenario, 105 interrupted and rolled back.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from meter_sim.lab.forecast import Forecast
    from meter_sim.lab.scenario import Scenario

UNKNOWN: Final = 2
MISSED: Final = 99
BAD_SCENARIO: Final = 104
INTERRUPTED: Final = 105

MODES: Final = ("processes", "simulation")
NAIVE: Final = "naive"
BROKERS: Final = ("amqtt", "mosquitto")


class LabGroup(TyperGroup):
    """Commands whose exit status 2 is a verdict: an option that is wrong is a bad scenario instead."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Which library's usage error it is depends on typer's version; all can be shown.
            if hasattr(error, "show") and hasattr(error, "exit_code"):
                error.exit_code = BAD_SCENARIO
            raise


app = typer.Typer(
    cls=LabGroup,
    help="The outage laboratory: describe an outage, run it, get a verdict. docs/laboratory.md",
    no_args_is_help=True,
)

Source = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped scenario, or a YAML file.")]


@app.command("list")
def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="As data instead of a table.")] = False,
) -> None:
    """The scenarios that are shipped."""
    from meter_sim.durations import duration_text
    from meter_sim.lab import scenario_file

    rows = []
    for name in scenario_file.names():
        scenario = scenario_file.load(name)
        faults = sorted({fault.fault for fault in scenario.timeline})
        rows.append((name, first_sentence(scenario.story), duration_text(scenario.clock.length), faults))
    if as_json:
        titles = ("name", "story", "length", "faults")
        print(json.dumps([dict(zip(titles, row, strict=True)) for row in rows], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "story", "length", "faults"):
        table.add_column(title, overflow="fold", no_wrap=title in ("name", "length"))
    for name, story, length, faults in rows:
        table.add_row(name, story, length, ", ".join(faults))
    Console(highlight=False).print(table)


@app.command()
def show(
    source: Source,
    as_json: Annotated[bool, typer.Option("--json", help="The whole model, with every default.")] = False,
) -> None:
    """Print a scenario as it is written: a beginning for one of your own."""
    from meter_sim.lab import scenario_file

    try:
        if as_json:
            print(_dumped(scenario_file.load(source)))
        else:
            print(scenario_file.text_of(source)[1].rstrip("\n"))
    except scenario_file.ScenarioError as error:
        _end(str(error), BAD_SCENARIO)


@app.command()
def validate(
    sources: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files, or names.")],
) -> None:
    """Check scenario files: each mistake in one line with its place. Runs nothing."""
    from meter_sim.durations import duration_text
    from meter_sim.lab import scenario_file

    bad = False
    for source in sources:
        try:
            scenario = scenario_file.load(source)
        except scenario_file.ScenarioError as error:
            bad = True
            print(error, file=sys.stderr)
            continue
        faults = sum(fault.times for fault in scenario.timeline)
        meters, length = f"{scenario.fleet.meters:,} meters", duration_text(scenario.clock.length)
        print(f"{source}: ok: {scenario.name}, {meters}, {length}, {faults:,} fault{'s' * (faults != 1)}")
    if bad:
        raise typer.Exit(BAD_SCENARIO)


@app.command()
def run(
    source: Source,
    meters: Annotated[int | None, typer.Option(help="Other number of meters; gateways in proportion.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same homes, recharges and chances.")] = 1,
    speed: Annotated[float | None, typer.Option(help="Virtual seconds in a wall second, all the time.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as timeline.0.share=0.5.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    mode: Annotated[str, typer.Option(help="processes (real ones) or simulation (virtual time).")] = "processes",
    rules: Annotated[
        str | None, typer.Option(help="Another preset; or naive: without the protections, simulated.")
    ] = None,
    broker: Annotated[str, typer.Option(help="amqtt or mosquitto (processes only).")] = "amqtt",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: var/lab/NAME.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
    no_naive: Annotated[
        bool, typer.Option("--no-naive", help="Leave out what would happen without the protections.")
    ] = False,
) -> None:
    """Carry a scenario out, judge it, and write a report."""
    from meter_sim.lab import scenario_file

    is_naive = rules == NAIVE
    changes = [*(set_ or ()), *([f"rules={rules}"] if rules is not None and not is_naive else [])]
    try:
        scenario = scenario_file.load(source, changes, meters, speed)
    except scenario_file.ScenarioError as error:
        _end(str(error), BAD_SCENARIO)
    for option, value, known in (("--mode", mode, MODES), ("--broker", broker, BROKERS)):
        if value not in known:
            _end(f"lab: {option} {value!r} is not one of {', '.join(known)}", BAD_SCENARIO)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        _end(f"lab: --json {json_file}: there is no such folder", BAD_SCENARIO)
    if dry_run:
        from meter_sim.lab.forecast import forecast

        print_forecast(scenario, seed, "simulation" if is_naive else mode, forecast(scenario))
        return
    folder = out or Path("var") / "lab" / scenario.name
    raise typer.Exit(
        _run(scenario, seed, NAIVE if is_naive else mode, folder.absolute(), broker, not no_naive, json_file)
    )


def _run(
    scenario: "Scenario", seed: int, mode: str, out: Path, broker: str, naive: bool, json_file: Path | None
) -> int:
    """The run itself; its exit status."""
    from meter_sim.lab.course import GateError
    from meter_sim.lab.live_view import LiveView
    from meter_sim.lab.processes import LabError, interrupt_on_sigterm
    from meter_sim.lab.result import write_result
    from meter_sim.lab.run import run_scenario
    from meter_sim.lab.run_folder import RunFolder
    from meter_sim.lab.scenario import ZONE
    from meter_sim.lab.verdict_text import say_result

    interrupt_on_sigterm()
    try:
        title = f"{scenario.name}: {scenario.fleet.meters:,} meters, seed {seed}, {mode}"
        with LiveView(title, scenario.clock.length, scenario.clock.start_s, ZONE) as view:
            result = run_scenario(scenario, seed=seed, mode=mode, out=out, broker=broker, naive=naive, view=view)
        if json_file is not None:
            write_result(result, json_file)
        say_result(result, RunFolder(out))
    except KeyboardInterrupt:
        return _said("lab: interrupted; everything was rolled back", INTERRUPTED)
    except GateError as error:
        return _said(f"lab: {error}", MISSED)
    except (LabError, OSError) as error:
        return _said(f"lab: {error}", UNKNOWN)
    return int(result.exit_status)


def first_sentence(story: str) -> str:
    """What a story is about."""
    return " ".join(story.split()).partition(". ")[0].rstrip(".") + "."


def print_forecast(scenario: "Scenario", seed: int, mode: str, expected: "Forecast") -> None:
    """The plan of a run, for a person."""
    from meter_sim.durations import duration_text
    from meter_sim.lab.forecast import local_text

    clock, fleet = scenario.clock, scenario.fleet
    print(f"{scenario.name}: {first_sentence(scenario.story)}")
    print(
        f"{fleet.meters:,} meters behind {fleet.gateways:,} gateways, rules {scenario.rules}, seed {seed};"
        f" {local_text(clock, 0)} to {local_text(clock, clock.length)} ({duration_text(clock.length)})"
    )
    print("agenda:")
    for entry in expected.agenda:
        until = "" if entry.until == entry.local else f" until {entry.until}"
        details = f" ({entry.details})" if entry.details else ""
        print(f"  {entry.at:>9}  {entry.local}  {entry.what}{until}{details}")
    print(f"  {duration_text(clock.length):>9}  {local_text(clock, clock.length)}  the end")
    for title, thresholds in (("before the first fault", scenario.before), ("after the run", scenario.after)):
        if thresholds:
            print(f"{title}: {'; '.join(f'{name} {wanted}' for name, wanted in thresholds.items())}")
    print(
        f"expected: {expected.recharges:,} recharges ({expected.recharges_in_faults:,} while something is broken),"
        f" {expected.requests:,} requests, {expected.readings:,} readings, {expected.messages:,} messages"
    )
    print(
        f"about {expected.wall_s[mode]:,.0f} s and {expected.memory_kib[mode] / 1024:,.0f} MiB of memory"
        f" ({mode}); nothing was run"
    )


def _dumped(scenario: "Scenario") -> str:
    return scenario.model_dump_json(by_alias=True, indent=1)


def _said(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def _end(text: str, status: int) -> Any:
    raise typer.Exit(_said(text, status))


def _hang(name: str, module: str, function: str, summary: str) -> None:
    """Hang in a command of another module, which is imported when it is called."""

    @app.command(
        name,
        help=summary,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def call(context: typer.Context) -> None:
        from importlib import import_module

        beside = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        beside.command(name)(getattr(import_module(module), function))
        arguments: Sequence[str] = context.args
        beside(args=arguments, prog_name=context.command_path)


_hang("proxy", "meter_sim.lab.proxy.command", "proxy_command", "Stand between MQTT clients and a broker, alone.")
_hang("explore", "meter_sim.lab.explore_command", "explore_command", "Draw scenarios from seeds, and judge them.")
