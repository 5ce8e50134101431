"""Commands for notices: `notify`, a process of its own, hands them to the sinks; `notices` lists and retries."""

import logging
import signal
import sys
import threading
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import find_meter
from headend.cli.options import (
    AfterOption,
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    StoreOption,
    read_config,
)
from headend.cli.output import print_json, print_table
from headend.domain.calendar import local_text
from headend.errors import HeadendError
from headend.service.notices import notice_json, sentence
from headend.service.notify import Notifier
from headend.service.ports import StoreError
from headend.service.ports.notices import DeliveryState, NoticeRow

log = logging.getLogger(__name__)

IDLE_PAUSE_S: Final = 0.5
BUSY_PAUSE_S: Final = 0.02
"""Wall seconds between looks for new notices, and for answers while some are under way."""

app = typer.Typer(help="What consumers are told.", no_args_is_help=True)


@app.command("list")
def list_notices(
    meter: Annotated[str | None, typer.Argument(metavar="[METER]", help="Of one meter, and to all.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that some sink has not got yet.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Those that some sink did not take.")] = False,
    after: AfterOption = 0,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List notices, oldest first, with how far each sink has come with them."""
    if waiting and failed:
        raise HeadendError("--waiting or --failed, not both")
    settings = read_config(config, store, clock)
    if meter is not None:
        find_meter(meter, settings)
    state = DeliveryState.WAITING if waiting else DeliveryState.FAILED if failed else None
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.notices(meter, state, after, limit)
    zone = ZoneInfo(settings.zone)
    if json:
        names = ("sink", "state", "attempts", "detail")
        print_json(
            [
                notice_json(row.notice, zone)
                | {"sinks": [dict(zip(names, sink, strict=True)) for sink in row.sinks]}
                for row in rows
            ]
        )
        return
    if len(rows) == limit:
        print(f"the first {limit:,}; more with --after {rows[-1].notice.notice_id} or a higher --limit")
    print_table(
        "notices",
        ("#", "time", "to", "kind", "text", "sinks"),
        (
            (
                row.notice.notice_id,
                local_text(row.notice.at_s, zone),
                row.notice.meter or f"all {row.notice.region or ''}".strip(),
                row.notice.kind,
                sentence(row.notice, zone),
                _sinks_text(row),
            )
            for row in rows
        ),
    )


def _sinks_text(row: NoticeRow) -> str:
    texts = []
    for sink, state, attempts, detail in row.sinks:
        tried = f" ({attempts}x: {detail})" if detail and state != DeliveryState.DELIVERED else ""
        texts.append(f"{sink} {state}{tried}")
    return "; ".join(texts) or "not taken up by any sink"


@app.command("retry")
def retry_notices(
    sink: Annotated[str | None, typer.Option("--sink", help="log, file or webhook; else all.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Let failed notices wait again, with all their attempts before them."""
    settings = read_config(config, store, clock)
    if sink not in (None, *bootstrap.SINK_NAMES):
        raise HeadendError(f"{sink!r} is no sink; there are {', '.join(bootstrap.SINK_NAMES)}")
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        count = uow.retry_failed(sink, bootstrap.clock(settings).now_s())
    if json:
        print_json({"retried": count})
    else:
        print(f"{count:,} notices wait again")


def notify(
    once: Annotated[bool, typer.Option("--once", help="Hand on what is due now, and end.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
) -> None:
    """Hand waiting notices to the sinks of the configuration. Until SIGTERM or Ctrl-C."""
    settings = read_config(config, store, clock)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with bootstrap.notifier(settings) as notifier:
        if not once:
            print(f"notify ready: store {settings.store}", flush=True)
        _step_until(stopping, notifier, once=once)
        counts = notifier.counts
    if once:
        delivered, failed = counts[DeliveryState.DELIVERED], counts[DeliveryState.FAILED]
        print(f"{delivered:,} delivered, {failed:,} failed, {counts[DeliveryState.WAITING]:,} to be tried again")


def _step_until(stopping: threading.Event, notifier: Notifier, *, once: bool) -> None:
    said = None
    while not stopping.is_set():
        busy = False
        try:
            busy = notifier.step()
            said = None
        except StoreError as error:
            if not error.transient or once:
                raise
            if str(error) != said:
                log.error("%s (trying again)", error)
                said = str(error)
        if once and not busy:
            return
        stopping.wait(BUSY_PAUSE_S if busy else IDLE_PAUSE_S)
