"""The command of the proxy: options in, one ready line out, a clean end on SIGTERM and SIGINT.

Bad input, an address that cannot be had and a log that cannot be written are a ValueError, with one line for a
person; the caller makes exit status 2 of it.
"""

import asyncio
import logging
import re
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from headend.wire.timescale import TimeScale
from meter_sim.lab.proxy.address import Address
from meter_sim.lab.proxy.api import Api
from meter_sim.lab.proxy.bodies import NAME_PATTERN
from meter_sim.lab.proxy.connection import Sight
from meter_sim.lab.proxy.http import ControlServer
from meter_sim.lab.proxy.proxies import Proxies, RefusedError
from meter_sim.lab.wire_log import FLUSH_PERIOD_S, WireLog, WireLogError

BAD_INPUT: Final = 2
DEFAULT_CONTROL: Final = "127.0.0.1:8474"

_log = logging.getLogger(__name__)


def proxy_command(
    listen: Annotated[
        list[str] | None,
        typer.Option(help="NAME=HOST:PORT=BROKERHOST:PORT; repeatable; port 0 takes a free one."),
    ] = None,
    control: Annotated[str, typer.Option(help="HOST:PORT of the HTTP control; port 0 takes a free one.")] = (
        DEFAULT_CONTROL
    ),
    control_off_loopback: Annotated[
        bool, typer.Option(help="Let other machines control it: there is no password.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the toxics that name none.")] = 1,
    log: Annotated[Path | None, typer.Option(help="Wire log: every message, and what became of it.")] = None,
    clock: Annotated[str, typer.Option(help="Virtual clock of the wire log, START@EPOCHxSPEED.")] = "",
) -> None:
    """Stand between MQTT clients and a broker, and break the link on demand: docs/proxy.md."""
    links = [_link(text) for text in listen or []]
    names = [name for name, _, _ in links]
    if len(set(names)) < len(names):
        raise ValueError(f"--listen: the names {', '.join(names)} are not all different")
    control_at = _address("--control", control)
    if not (control_at.is_loopback or control_off_loopback):
        raise ValueError(
            f"--control {control}: other machines could reach it, and it has no password; "
            "use 127.0.0.1, or say --control-off-loopback if the network is closed"
        )
    scale = _scale(clock)
    logging.basicConfig(level=logging.WARNING, format="proxy: %(message)s")
    _allow_many_files()
    try:
        wire_log = None if log is None else WireLog(log, clock)
    except WireLogError as error:
        raise ValueError(f"--log {error}") from error
    asyncio.run(_serve(links, control_at, Proxies(_witness(wire_log, scale), seed), wire_log))


async def _serve(
    links: list[tuple[str, Address, Address]], control_at: Address, proxies: Proxies, wire_log: WireLog | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = ControlServer(Api(proxies).answer)
    try:
        for name, listen, upstream in links:
            await proxies.add(name, listen, upstream)
        control_port = await server.open(control_at.host, control_at.port)
        ports = [f"control={Address(control_at.host, control_port)}"]
        ports += [f"{proxy.name}={proxy.listen}" for proxy in proxies.all()]
        print("proxy ready", *ports, flush=True)
        await _flush_until(stop, wire_log)
    except RefusedError as error:
        raise ValueError(f"--{error}") from error
    except OSError as error:
        raise ValueError(f"--control {control_at}: {error.strerror or error}") from error
    finally:
        await server.close()
        await proxies.close()
        if wire_log is not None:
            wire_log.close()
            if wire_log.dropped or wire_log.trouble:
                _log.warning("wire log: %d messages not written; %s", wire_log.dropped, wire_log.trouble)


async def _flush_until(stop: asyncio.Event, wire_log: WireLog | None) -> None:
    while not stop.is_set():
        try:
            async with asyncio.timeout(FLUSH_PERIOD_S if wire_log is not None else None):
                await stop.wait()
        except TimeoutError:
            assert wire_log is not None
            was_well = not wire_log.trouble
            wire_log.flush()
            if was_well and wire_log.trouble:
                _log.warning("wire log: %s; messages are kept in memory for now", wire_log.trouble)


def _witness(wire_log: WireLog | None, scale: TimeScale | None) -> Callable[[str], Sight]:
    """Who writes down the messages of each proxy."""

    def of_link(link: str) -> Sight:
        def see(client: str, direction: str, topic: str, payload: bytes, fate: str) -> None:
            if wire_log is not None:
                wall_s = time.time()
                at_s = int(wall_s) if scale is None else scale.virtual_s(wall_s)
                wire_log.add(at_s, link, client, direction, topic, payload, fate, wall_s)

        return see

    return of_link


def _link(text: str) -> tuple[str, Address, Address]:
    parts = text.split("=")
    if len(parts) != 3:
        raise ValueError(f"--listen {text!r} is not NAME=HOST:PORT=BROKERHOST:PORT")
    if not re.fullmatch(NAME_PATTERN, parts[0]) or parts[0] == "control":
        raise ValueError(f"--listen {text!r}: a name is letters, digits, '-' and '_', and not 'control'")
    return parts[0], _address(f"--listen {parts[0]}", parts[1]), _address(f"--listen {parts[0]}", parts[2])


def _address(option: str, text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error


def _scale(clock: str) -> TimeScale | None:
    try:
        return TimeScale.parse(clock) if clock else None
    except ValueError as error:
        raise ValueError(f"--clock: {error}") from error


def _allow_many_files() -> None:
    """A connection takes two files; the soft limit is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
