"""Commands of the plant: serve, broker, audit, outages, doctor, config."""

import logging
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.adapters.mqtt import Broker
from headend.adapters.sqlite import OLDEST_SOUND_SQLITE, sqlite_version
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    StoreOption,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.config import Config, commented_default, load_config
from headend.domain.calendar import local_text
from headend.errors import ExitStatus, HeadendError
from headend.service.audit import audit as run_audit
from headend.service.audit_protection import ProtectionAudit
from headend.service.ports import StoreError
from headend.service.server import METERS_AHEAD, Headend

log = logging.getLogger(__name__)

BrokerOption = Annotated[
    str | None, typer.Option("--broker", help="The MQTT broker (HEADEND_BROKER; default mqtt://127.0.0.1:1883).")
]

REPORT_S: Final = 10.0
"""Wall seconds between lines of progress."""

STORE_RETRY_S: Final = 1.0
"""Wall seconds between attempts while the store cannot be written."""

LOW_DISK_BYTES: Final = 1 << 30
SHOWN_VIOLATIONS: Final = 20


def serve(
    broker: BrokerOption = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="A region to own (repeat); else all.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
) -> None:
    """Serve: take in readings, push credits and relay positions, settle days. Until SIGTERM or Ctrl-C."""
    settings = load_config(
        config, store=store, clock=clock, broker=broker, regions=tuple(region) if region else None
    )
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with bootstrap.headend(settings) as headend:
        print(f"headend ready: store {settings.store}, broker {settings.broker}", flush=True)
        _step_until(stopping, headend, settings.poll_s)
        try:
            headend.stop()
        except StoreError as error:
            log.warning("%s; the next start will call this stop an outage", error)
    log.info("stopped in good order")


def _step_until(stopping: threading.Event, headend: Headend, poll_s: float) -> None:
    said = None
    next_report_s = time.monotonic() + REPORT_S
    reported: dict[str, int] = {}
    while not stopping.is_set():
        try:
            headend.step(poll_s)
            if said is not None:
                log.info("the store can be written again")
                said = None
        except StoreError as error:
            if not error.transient:
                raise
            # Nothing was acknowledged, so nothing is lost: the gateways and we keep what is not written yet.
            if str(error) != said:
                log.error("%s (trying again)", error)
                said = str(error)
            stopping.wait(STORE_RETRY_S)
        if time.monotonic() >= next_report_s:
            next_report_s += REPORT_S
            counts = headend.counts.copy()
            if counts != reported:
                log.info(", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count))
                if counts[METERS_AHEAD] and not reported.get(METERS_AHEAD):
                    log.warning("meters are ahead of this store: an old backup? See headend exceptions list")
                reported = counts


def broker(
    config: Annotated[Path, typer.Option("--config", help="The broker's configuration.")] = Path("broker.yaml"),
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Another port; 0 picks a free one.")] = None,
) -> None:
    """Run the embedded broker (loopback only) until SIGTERM or Ctrl-C. For demos, tests and small fleets."""
    # Here, because amqtt takes longer to import than most commands take to run.
    from headend.adapters.embedded_broker import BrokerError, run

    try:
        run(config, port=port)
    except BrokerError as error:
        raise HeadendError(str(error), ExitStatus(error.exit_status)) from error


def audit(
    fleet_log: Annotated[
        list[Path] | None, typer.Option("--fleet-log", help="A simulated fleet's own log; repeat for several.")
    ] = None,
    in_flight: Annotated[
        bool, typer.Option("--in-flight", help="Leave out what holds only once everything has converged.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Check the equalities and invariants; exit status 1 if any is violated."""
    settings = read_config(config, store, clock)
    logs = bootstrap.fleet_log(fleet_log or [])
    with bootstrap.store(settings) as opened, opened.view() as uow:
        protection = ProtectionAudit(bootstrap.rules(settings), ZoneInfo(settings.zone))
        now_s = bootstrap.clock(settings).now_s()
        checks = run_audit(uow, logs, protection, now_s, converged=not in_flight)
        held = uow.exceptions(None, 1)
    failed = [check for check in checks if not check.ok]
    if json:
        print_json(
            {
                "ok": not failed,
                "checks": [
                    {
                        "id": check.check_id,
                        "title": check.title,
                        "ok": None if check.skipped else check.ok,
                        "skipped": check.skipped,
                        "violations": [{"subject": s, "detail": d} for s, d in check.violations],
                    }
                    for check in checks
                ],
            }
        )
    else:
        for check in checks:
            verdict = "not exercised" if check.skipped else "ok" if check.ok else "VIOLATED"
            print(f"{check.check_id:4} {verdict:13} {check.title}{': ' + check.skipped if check.skipped else ''}")
            for subject, detail in check.violations[:SHOWN_VIOLATIONS]:
                print(f"     {subject}: {detail}")
            if len(check.violations) > SHOWN_VIOLATIONS:
                print(f"     and {len(check.violations) - SHOWN_VIOLATIONS:,} more (--json has all)")
        print(f"audit: {f'{len(failed)} checks violated' if failed else 'all is well'}")
        if held:
            print("Exceptions are open, which a person has to look at: headend exceptions list")
        if failed and all(check.check_id.startswith("E") for check in failed):
            print("Only what holds after convergence: is something still on its way? --in-flight leaves that out.")
    if failed:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def outages(
    current: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    limit: LimitOption = 50,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List outages that the head-end saw: its own, of the broker link, of gateways. Newest first."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.outages(ended=not current, limit=limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "outages",
        ("#", "what", "which", "from", "to", "minutes", "detail"),
        (
            (
                row.outage_id,
                row.kind,
                row.subject,
                local_text(row.began_at_s, zone),
                local_text(row.ended_at_s, zone),
                "" if row.ended_at_s is None else (row.ended_at_s - row.began_at_s) // 60,
                row.detail,
            )
            for row in rows
        ),
    )


def dead_letters(
    limit: LimitOption = 50,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List messages that could not be used, or not all of them; the store keeps their bytes. Newest first."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.dead_letters(limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "dead letters",
        ("#", "topic", "bytes", "code", "detail", "first", "last", "count"),
        (
            (
                row.dead_letter_id,
                row.topic,
                row.payload_bytes,
                row.code,
                row.detail,
                local_text(row.first_at_s, zone),
                local_text(row.last_at_s, zone),
                row.count,
            )
            for row in rows
        ),
    )


def doctor(
    broker: BrokerOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Look whether all that the head-end needs is there; exit status 1 if not, with what to do."""
    settings = load_config(config, store=store, clock=clock, broker=broker)
    findings = [*_look_at_sqlite(), *_look_at_store(settings), *_look_at_broker(settings)]
    if json:
        print_json([{"what": what, "ok": ok, "detail": detail} for what, ok, detail in findings])
    else:
        for what, ok, detail in findings:
            print(f"{'ok' if ok else 'TROUBLE':8} {what:12} {detail}")
    if not all(ok for _, ok, _ in findings):
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _look_at_sqlite() -> list[tuple[str, bool, str]]:
    version = sqlite_version()
    sound = tuple(int(part) for part in version.split(".")) >= OLDEST_SOUND_SQLITE
    advice = "" if sound else "; older ones can corrupt a WAL store: install pysqlite3 0.6.1 or newer"
    return [("sqlite", sound, f"{version}{advice}")]


def _look_at_store(config: Config) -> list[tuple[str, bool, str]]:
    findings = []
    if not config.store.exists():
        return [("store", True, f"{config.store} is not there yet; `headend meter add` makes it")]
    try:
        with bootstrap.store(config) as opened, opened.transaction() as uow:
            findings.append(("store", True, f"{config.store}: {uow.meter_count():,} meters, writable"))
    except StoreError as error:
        return [("store", False, str(error))]
    mode = config.store.stat().st_mode & 0o777
    findings.append(
        (
            "permissions",
            mode & 0o077 == 0,
            f"{config.store} is {mode:o}" + "; chmod 600 it" * (mode & 0o077 > 0),
        )
    )
    free = shutil.disk_usage(config.store.parent).free
    findings.append(("disk", free > LOW_DISK_BYTES, f"{free / (1 << 30):.1f} GiB free at {config.store.parent}"))
    return findings


def _look_at_broker(config: Config) -> list[tuple[str, bool, str]]:
    address = Broker.parse(config.broker)
    try:
        socket.create_connection((address.host, address.port), timeout=3).close()
    except OSError as error:
        return [("broker", False, f"{config.broker}: {error}; start one with `headend broker`")]
    return [("broker", True, f"{config.broker} answers")]


def show_config(
    config: ConfigOption = None,
    current: Annotated[bool, typer.Option("--current", help="What is in force here instead.")] = False,
    json: JsonOption = False,
) -> None:
    """Print the commented default configuration; redirect it into headend.toml."""
    if not current and not json:
        print(commented_default(), end="")
        return
    if current:
        content = load_config(config).model_dump(mode="json")
    else:
        content = {name: field.default for name, field in Config.model_fields.items()}
    if json:
        print_json(content)
    else:
        for name, value in content.items():
            print(f"{name} = {value!r}")
