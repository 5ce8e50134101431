"""The one place where services and adapters are put together."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from headend.adapters.clock import SystemClock
from headend.adapters.fleet_log import SqliteFleetLog
from headend.adapters.key_ring import KeyRingFile, key_ring_path
from headend.adapters.mqtt import Broker, MqttLink
from headend.adapters.sqlite import SqliteStore
from headend.config import Config
from headend.domain.rules import Rules
from headend.errors import ExitStatus, HeadendError
from headend.rules import load_rules, read_rules
from headend.service.notify import Notifier
from headend.service.ports import FleetLog, Store
from headend.service.ports.notices import Sink
from headend.service.server import Headend, Settings
from headend.wire.timescale import TimeScale


def clock(config: Config) -> SystemClock:
    """The clock of this run."""
    return SystemClock(None if config.clock is None else TimeScale.parse(config.clock))


def rules(config: Config, *, festivals: bool = True) -> Rules:
    """The rules of this run. To look up festivals takes a while: who decides about no cut can do without.

    Raises:
        HeadendError: an unknown preset, or a file of rules that is missing or broken.
    """
    source = config.rules or config.preset
    rules = load_rules(source) if festivals else read_rules(source).to_domain(festivals=False)
    protection = replace(rules.protection, max_day_wh=config.max_day_wh)
    if config.relay_open_expires_after_s is not None:
        spread = replace(protection.spread, expires_after_s=config.relay_open_expires_after_s)
        protection = replace(protection, spread=spread)
    return replace(rules, protection=protection)


def settings(config: Config) -> Settings:
    """What the head-end's loop is told."""
    return Settings(
        zone=ZoneInfo(config.zone),
        rules=rules(config),
        max_day_wh=config.max_day_wh,
        window=config.window,
        answer_timeout_s=config.answer_timeout_s,
        heartbeat_s=config.heartbeat_s,
        poll_s=config.poll_s,
        silent_after_s=config.gateway_silent_after_s,
        outage_notice_after_s=config.outage_notice_after_s,
        meter_silent_after_s=config.meter_silent_after_s,
        rollover_wh=config.rollover_wh,
        stalled_after_s=config.stalled_after_s,
    )


@contextmanager
def store(config: Config, *, create: bool = False) -> Iterator[Store]:
    """The store of this run, closed at the end.

    Raises:
        HeadendError: there is none, and this is no command that makes one.
    """
    if not create and not config.store.exists():
        raise HeadendError(
            f"store {config.store} does not exist; `headend meter add` makes one, --store names another",
            ExitStatus.STORE,
        )
    opened = SqliteStore(config.store)
    try:
        yield opened
    finally:
        opened.close()


def fleet_log(paths: list[Path]) -> FleetLog | None:
    """The meters' own logs, if there are any to read."""
    return SqliteFleetLog(paths) if paths else None


@contextmanager
def headend(config: Config) -> Iterator[Headend]:
    """A head-end connected to its broker, alone on its store.

    Raises:
        HeadendError: another `headend serve` works on the store.
    """
    with _alone(config.store, "serve"), store(config, create=True) as opened:
        time = clock(config)
        keys = KeyRingFile(key_ring_path(config.store), time.now_s())
        link = MqttLink(Broker.parse(config.broker), config.regions, config.client_id, keys)
        try:
            yield Headend(opened, link, time, settings(config))
        finally:
            link.close()


SINK_NAMES: Final = ("log", "file", "webhook")


@contextmanager
def notifier(config: Config) -> Iterator[Notifier]:
    """What hands notices to the sinks of the configuration, alone on its store.

    Raises:
        HeadendError: no sink is configured, the webhook's key is missing or bad, another `headend notify` works.
    """
    sinks = _sinks(config)
    try:
        with _alone(config.store, "notify"), store(config) as opened:
            yield Notifier(opened, sinks, clock(config), config.outage_notice_after_s)
    finally:
        for sink in sinks:
            sink.close()


def _sinks(config: Config) -> list[Sink]:
    # Here, because no other command needs HTTP.
    from headend.adapters.sinks import FileSink, LogSink, WebhookSink, read_webhook_key

    zone = ZoneInfo(config.zone)
    sinks: list[Sink] = []
    if config.notice_log:
        sinks.append(LogSink(zone))
    if config.notice_file is not None:
        sinks.append(FileSink(config.notice_file, zone))
    if config.notice_webhook is not None:
        if config.notice_webhook_key_file is None:
            raise HeadendError("setting notice_webhook needs notice_webhook_key_file: each notice is signed")
        try:
            key = read_webhook_key(config.notice_webhook_key_file)
        except (OSError, ValueError) as error:
            raise HeadendError(f"notice_webhook_key_file {config.notice_webhook_key_file}: {error}") from error
        sinks.append(WebhookSink(config.notice_webhook, key, zone))
    if not sinks:
        raise HeadendError("no sink is configured: set notice_log, notice_file or notice_webhook")
    return sinks


@contextmanager
def _alone(path: Path, command: str) -> Iterator[None]:
    """Two of them on one store would each send what the other sends."""
    lock_path = path.with_name(f"{path.name}.{command}-lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HeadendError(
            f"store {path}: {error.strerror}; check the path and its permissions", ExitStatus.STORE
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeadendError(
                f"another headend {command} works on {path}; stop it first, or name another --store",
                ExitStatus.STORE,
            ) from error
        yield
    finally:
        os.close(lock)
