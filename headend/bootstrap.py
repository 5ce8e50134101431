"""The one place where services and adapters are put together."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from headend.adapters.clock import SystemClock
from headend.adapters.fleet_log import SqliteFleetLog
from headend.adapters.mqtt import Broker, MqttLink
from headend.adapters.sqlite import SqliteStore
from headend.config import Config
from headend.domain.tariff import FlatTariff
from headend.errors import ExitStatus, HeadendError
from headend.service.ports import FleetLog, Store
from headend.service.server import Headend, Settings
from headend.service.settle import Billing
from headend.wire.timescale import TimeScale


def clock(config: Config) -> SystemClock:
    """The clock of this run."""
    return SystemClock(None if config.clock is None else TimeScale.parse(config.clock))


def tariff(config: Config) -> FlatTariff:
    """The tariff of this run."""
    return FlatTariff(config.price_micros_per_wh)


def settings(config: Config) -> Settings:
    """What the head-end's loop is told."""
    return Settings(
        zone=ZoneInfo(config.zone),
        billing=Billing(tariff(config), config.max_day_wh),
        window=config.window,
        answer_timeout_s=config.answer_timeout_s,
        heartbeat_s=config.heartbeat_s,
        poll_s=config.poll_s,
        silent_after_s=config.gateway_silent_after_s,
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
    with _alone(config.store), store(config, create=True) as opened:
        link = MqttLink(Broker.parse(config.broker), config.regions, config.client_id)
        try:
            yield Headend(opened, link, clock(config), settings(config))
        finally:
            link.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two servers on one store would each send what the other sends."""
    lock_path = path.with_name(path.name + ".serve-lock")
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
                f"another headend serve works on {path}; stop it first, or name another --store",
                ExitStatus.STORE,
            ) from error
        yield
    finally:
        os.close(lock)
