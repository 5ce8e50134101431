"""The command `meter-sim`. Turns options into a plan, and every expected failure into one clear line.

Exit status: 0 done, 2 bad input, 5 trouble with the log, 6 the broker was never reached. `lab` has its own.
"""

import sys
import time
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from headend.wire.timescale import FIRST_YEAR, LAST_YEAR, MAX_SPEED, TimeScale
from meter_sim.control import Control
from meter_sim.core import FleetCore
from meter_sim.display import Progress, print_summary, write_json
from meter_sim.durations import parse_duration_s
from meter_sim.fleet import FleetPlan, import_lines
from meter_sim.grid import zone_of
from meter_sim.keys import FleetKeys
from meter_sim.lab.cli import app as lab_app
from meter_sim.log import FleetLog, LogError, stored_plan
from meter_sim.mqtt_link import FleetLink
from meter_sim.runner import BrokerUnreachableError, Limits, Stop
from meter_sim.runner import run as run_fleet
from meter_sim.session import RESEND_S

BAD_INPUT: Final = 2
LOG_TROUBLE: Final = 5
BROKER_UNREACHABLE: Final = 6

app = typer.Typer(
    help="A fleet of simulated prepaid meters behind MQTT gateways.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(lab_app, name="lab")

Meters = Annotated[int, typer.Option(help="How many meters this process simulates.")]
PerGateway = Annotated[int, typer.Option(help="Meters behind one gateway; the last one may have fewer.")]
Region = Annotated[str, typer.Option(help="Region in the topics.")]
StartNumber = Annotated[int, typer.Option(help="Number of the first meter; must be the first of a gateway.")]
MeterPrefix = Annotated[str, typer.Option(help="Meter ids are this and seven digits.")]
GatewayPrefix = Annotated[str, typer.Option(help="Gateway ids are this and four digits.")]


@app.command()
def meters(
    meters: Meters = 2_000,
    meters_per_gateway: PerGateway = 100,
    region: Region = "R1",
    installed: Annotated[str, typer.Option(help="Day of installation, YYYY-MM-DD.")] = "",
    start_number: StartNumber = 1,
    meter_prefix: MeterPrefix = "M",
    gateway_prefix: GatewayPrefix = "G",
) -> None:
    """Print the fleet as CSV for `headend meter import`."""
    if installed:
        try:
            date.fromisoformat(installed)
        except ValueError as error:
            raise ValueError(f"--installed {installed!r} is no day, such as 2024-10-30") from error
    plan = FleetPlan(
        meters,
        meters_per_gateway,
        region,
        start_s=0,
        first_number=start_number,
        meter_prefix=meter_prefix,
        gateway_prefix=gateway_prefix,
    )
    for line in import_lines(plan, installed):
        print(line)


@app.command()
def run(
    meters: Meters = 2_000,
    meters_per_gateway: PerGateway = 100,
    region: Region = "R1",
    interval: Annotated[str, typer.Option(help="Between two interval readings, such as 15m.")] = "15m",
    seed: Annotated[int, typer.Option(help="Same seed, same consumption.")] = 1,
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT")] = "mqtt://127.0.0.1:1883",
    zone: Annotated[str, typer.Option(help="Time zone of midnights and seasons.")] = "Asia/Kolkata",
    log: Annotated[Path, typer.Option(help="The meters' memory; a restart goes on from it.")] = Path(
        "var/fleet.db"
    ),
    clock: Annotated[
        str, typer.Option(envvar="METER_SIM_CLOCK", help="Shared virtual clock, START@EPOCHxSPEED.")
    ] = "",
    start: Annotated[str, typer.Option(help="Virtual time at the start, ISO; default: now.")] = "",
    speed: Annotated[float | None, typer.Option(help="Virtual seconds in a wall second; default 1.")] = None,
    run_for: Annotated[str, typer.Option("--for", help="End after this much virtual time.")] = "",
    connect_rate: Annotated[float, typer.Option(help="Most connection attempts a second.")] = 200.0,
    connect_timeout: Annotated[float, typer.Option(help="Wall seconds to reach the broker at first.")] = 60.0,
    resend: Annotated[
        float, typer.Option(help="Wall seconds without a receipt until a frame is sent again.")
    ] = RESEND_S,
    keys: Annotated[
        Path | None, typer.Option(help="Key ring of the head-end: verify every command's signature.")
    ] = None,
    clock_error: Annotated[str, typer.Option(help="Meters' clocks are off by up to this, such as 10m.")] = "0s",
    control: Annotated[
        Path | None, typer.Option(help="Laboratory only: a JSON file that sets clocks off while the fleet runs.")
    ] = None,
    start_number: StartNumber = 1,
    meter_prefix: MeterPrefix = "M",
    gateway_prefix: GatewayPrefix = "G",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary here.")] = None,
    progress_json: Annotated[Path | None, typer.Option(help="Keep the present state here.")] = None,
) -> None:
    """Run the fleet until SIGTERM, SIGINT or the end of --for."""
    stop = Stop()
    stop.listen()
    host, port = _broker(broker)
    limits = Limits(parse_duration_s(run_for) if run_for else None, connect_timeout)
    if not (connect_rate > 0 and connect_timeout > 0 and resend > 0):
        raise ValueError("--connect-rate, --connect-timeout and --resend must be above 0")
    for path in (json_file, progress_json):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: {path.parent} is no folder")
    scale, spec = _clock(log, clock, start, speed, zone)
    interval_s, error_s = parse_duration_s(interval), parse_duration_s(clock_error)
    prefixes = (meter_prefix, gateway_prefix)
    plan = FleetPlan(
        meters, meters_per_gateway, region, scale.start_s, seed, interval_s, zone, start_number, *prefixes, error_s
    )
    fleet_keys = None if keys is None else FleetKeys(keys)
    with closing(FleetLog.open(log, plan, spec)) as fleet_log, Progress(progress_json) as progress:
        core = FleetCore(plan, fleet_log, resend_s=resend, keys=fleet_keys)
        addresses = [plan.address(gateway) for gateway in range(plan.gateways)]
        link = FleetLink(host, port, addresses, connect_rate, seed=seed)
        end = run_fleet(core, link, scale, limits, stop, progress.show, Control(control) if control else None)
    if json_file is not None:
        write_json(json_file, end)
    print_summary(end)


def main() -> None:
    """Entry point."""
    try:
        app()
    except LogError as error:
        _fail(str(error), LOG_TROUBLE)
    except BrokerUnreachableError as error:
        _fail(str(error), BROKER_UNREACHABLE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except (ValueError, OSError) as error:
        _fail(str(error), BAD_INPUT)


def _fail(text: str, status: int) -> None:
    print(f"meter-sim: {text}", file=sys.stderr)
    sys.exit(status)


def _broker(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "mqtt" or not parts.hostname or not port or parts.path not in ("", "/"):
        raise ValueError(f"--broker {url!r} is not mqtt://HOST:PORT")
    return parts.hostname, port


def _clock(log: Path, clock: str, start: str, speed: float | None, zone: str) -> tuple[TimeScale, str]:
    """The run's clock: the one given, else the one in the log, else a new one from --start and --speed."""
    if clock:
        if start or speed is not None:
            raise ValueError("--clock names start and speed already; leave --start and --speed out")
        return TimeScale.parse(clock), clock
    if speed is not None and not 0 < speed <= MAX_SPEED:
        raise ValueError(f"--speed {speed}: must be above 0 and at most {MAX_SPEED:,}")
    wanted_s = _start_s(start, zone) if start else None
    stored = stored_plan(log)
    if stored is not None:
        spec = stored[1]
        scale = TimeScale.parse(spec)
        if speed not in (None, scale.speed) or wanted_s not in (None, scale.start_s):
            raise LogError(f"{log} runs on the clock {spec}; leave --start and --speed out, or use another --log")
        return scale, spec
    now_s = float(int(time.time()))
    begin = datetime.fromtimestamp(int(now_s) if wanted_s is None else wanted_s, zone_of(zone))
    spec = f"{begin.isoformat()}@{now_s:.3f}x{1.0 if speed is None else speed:.6f}"
    return TimeScale.parse(spec), spec


def _start_s(text: str, zone: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--start {text!r} is no ISO time, such as 2024-10-30T00:00") from error
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"--start {text!r}: must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return int((at if at.tzinfo else at.replace(tzinfo=zone_of(zone))).timestamp())
