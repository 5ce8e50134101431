"""The embedded MQTT broker: amqtt with our own listener, limits, start and stop.

Owns: the settings file `broker.yaml`, binding (loopback only, a taken port is an error), the limits on
connections and packets, dropping silent clients, a graceful end on SIGTERM, and quiet logs. It refuses to
know topics and payloads.

It promises no more than any MQTT broker does, and rather less: everything is in memory, and a message that
its receiver does not acknowledge within five seconds is gone. The application's receipts carry the promises.
"""

import asyncio
import errno
import logging
import os
import signal
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import yaml
from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.session import Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CONFIG_INVALID = 2
PORT_TAKEN = 6

_LISTENER = "default"
_LISTEN_BACKLOG = 1024
_WATCH_PERIOD_S = 0.5
_LOG_PERIOD_S = 10.0

_log = logging.getLogger(__name__)


class BrokerError(Exception):
    """The broker cannot start, in words for its user; `exit_status` is what the command exits with."""

    def __init__(self, message: str, *, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class BrokerSettings(BaseModel):
    """What `broker.yaml` may say; the file that is shipped explains each key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=0, le=65535)
    allow_off_loopback: bool = False
    max_connections: int = Field(default=500, ge=1)
    max_packet_bytes: int = Field(default=262_144, ge=1024)
    keepalive_factor: float = Field(default=1.5, ge=1.0)
    shutdown_timeout_s: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _is_loopback(self) -> "BrokerSettings":
        try:
            address = ip_address(self.host)
        except ValueError:
            raise ValueError(f"host must be an IP address such as 127.0.0.1, not {self.host!r}") from None
        if not (address.is_loopback or self.allow_off_loopback):
            raise ValueError(
                f"host {self.host} can be reached from other machines, and this broker checks no passwords: "
                "use 127.0.0.1, or say `allow_off_loopback: true` if the network is closed"
            )
        return self


def load_settings(config_path: Path, **overrides: str | int) -> BrokerSettings:
    """Read `broker.yaml`; `overrides` come from the command line and win. Raises `BrokerError` (status 2)."""
    try:
        content = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BrokerError(f"{config_path}: {error.strerror}", exit_status=CONFIG_INVALID) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BrokerError(f"{config_path} is not readable as YAML: {error}", exit_status=CONFIG_INVALID) from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        message = f"{config_path} must hold lines of `key: value`, not a {type(content).__name__}"
        raise BrokerError(message, exit_status=CONFIG_INVALID)
    try:
        return BrokerSettings.model_validate(content | overrides)
    except ValidationError as error:
        problems = [_explain(problem["type"], problem["loc"], problem["msg"]) for problem in error.errors()]
        raise BrokerError(f"{config_path}: {'; '.join(problems)}", exit_status=CONFIG_INVALID) from error


def _explain(kind: str, location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return f"unknown key {key!r}: allowed are {', '.join(BrokerSettings.model_fields)}"
    message = message.removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def run(config_path: Path, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then disconnect all and return; `host` and `port` win over the file.

    Prints `broker ready on mqtt://HOST:PORT` once clients can connect. Raises `BrokerError` if it cannot.
    """
    overrides: dict[str, str | int] = {}
    if host is not None:
        overrides["host"] = host
    if port is not None:
        overrides["port"] = port
    settings = load_settings(config_path, **overrides)
    _quiet_logs()
    asyncio.run(_EmbeddedBroker(settings).serve())


class _EmbeddedBroker:
    """One broker process: our listener in front of amqtt, which sees each connection as an external one."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._broker = _Broker(
            {
                # amqtt's own listener would hide a failed bind, so ours accepts and hands connections over.
                "listeners": {_LISTENER: {"type": "external", "bind": "external"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await self._broker.start()
        try:
            server = await self._listen()
            watch = asyncio.create_task(self._drop_silent_clients())
            host, port = server.sockets[0].getsockname()[:2]
            print(f"broker ready on mqtt://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
            await stop.wait()
            server.close()  # first, so that nobody comes back while the others are being disconnected
            watch.cancel()
        finally:
            await self._shut_down()

    async def _shut_down(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it reports each task that it cancels
        goodbye = asyncio.create_task(self._broker.shutdown())
        _, unfinished = await asyncio.wait({goodbye}, timeout=self._settings.shutdown_timeout_s)
        if unfinished:
            _log.warning("%d clients did not read until shutdown_timeout_s: cut off", len(self._writers))
            for writer in self._writers:
                writer.transport.abort()
        await goodbye

    async def _listen(self) -> asyncio.Server:
        host, port = self._settings.host, self._settings.port
        try:
            return await asyncio.start_server(
                self._accept, host, port, reuse_address=True, backlog=_LISTEN_BACKLOG
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            if error.errno == errno.EADDRINUSE:
                message = (
                    f"{host}:{port} is taken ({reason.lower()}): stop what listens there "
                    "or choose another port with --port"
                )
                raise BrokerError(message, exit_status=PORT_TAKEN) from error
            message = f"cannot listen on {host}:{port} ({reason.lower()}): choose another host or port"
            raise BrokerError(message, exit_status=CONFIG_INVALID) from error

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= self._settings.max_connections:
            _log.warning("refused a connection: %d (max_connections) are open", len(self._writers))
            writer.close()
            return
        self._writers.add(writer)
        try:
            bounded = _BoundedReader(reader, writer.transport, self._settings.max_packet_bytes)
            await self._broker.external_connected(bounded, StreamWriterAdapter(writer), _LISTENER)
        except Exception:  # one client's failure, whatever amqtt makes of it, ends that client only
            _log.exception("a connection failed")
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _drop_silent_clients(self) -> None:
        """Enforce the keepalive: amqtt notices a client's silence and does nothing about it."""
        while True:
            await asyncio.sleep(_WATCH_PERIOD_S)
            for session, handler in list(self._broker.sessions.values()):
                silence_limit_s = session.keep_alive * self._settings.keepalive_factor
                reader = handler.reader
                if silence_limit_s and isinstance(reader, _BoundedReader) and reader.silent_s() > silence_limit_s:
                    reader.cut_off()


class _Broker(Broker):
    """amqtt's broker with two of its faults mended."""

    async def _delete_session(self, client_id: str) -> None:
        """End the old connection of a client that connects again, which amqtt leaves open and deaf."""
        _, handler = self.sessions.get(client_id, (None, None))
        if handler is not None:
            await handler.handle_connection_closed()
            await handler.stop()
        await super()._delete_session(client_id)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send retained messages to their subscribers only: amqtt walks all filters for each new client.

        Besides giving away messages, that walk fails when somebody subscribes meanwhile (the table that it
        iterates over changes), and the connecting client is left with a dead connection.
        """
        subscribers = self.subscriptions.get(subscription[0], [])
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class _BoundedReader(StreamReaderAdapter):
    """Reads no more than `max_bytes` for one packet, and knows when it last read anything."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.WriteTransport, max_bytes: int) -> None:
        super().__init__(reader)
        self._transport = transport
        self._max_bytes = max_bytes
        self._last_read_s = time.monotonic()

    def silent_s(self) -> float:
        return time.monotonic() - self._last_read_s

    def cut_off(self) -> None:
        """End the connection without waiting for what was not yet sent: its client may never read that."""
        self._transport.abort()

    async def read(self, n: int = -1) -> bytes:
        if n > self._max_bytes:
            raise ConnectionAbortedError(f"a packet of {n} bytes is over max_packet_bytes ({self._max_bytes})")
        content = await super().read(n)
        self._last_read_s = time.monotonic()
        return content


class _QuietHandler(logging.Handler):
    """One line for an event to stderr, no traceback, and each kind of event once per period with a count."""

    def __init__(self) -> None:
        super().__init__()
        self._events: dict[tuple[str, int], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind = (record.pathname, record.lineno)
        due_s, held_back = self._events.get(kind, (0.0, 0))
        now_s = time.monotonic()
        if now_s < due_s:
            self._events[kind] = (due_s, held_back + 1)
            return
        self._events[kind] = (now_s + _LOG_PERIOD_S, 0)
        cause = f": {record.exc_info[1]!r}" if record.exc_info else ""
        more = f" (and {held_back} more like it before)" if held_back else ""
        sys.stderr.write(f"broker: {record.levelname.lower()}: {record.getMessage()}{cause}{more}\n")


def _quiet_logs() -> None:
    """Let errors and our own warnings out, and hold back what amqtt says about each connection."""
    handler = _QuietHandler()
    for name, level in (("amqtt", logging.ERROR), ("asyncio", logging.ERROR), (__name__, logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
