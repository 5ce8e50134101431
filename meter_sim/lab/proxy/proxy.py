"""One named proxy: a listener, the toxics of its link, and the connections that live on it."""

import asyncio
import logging
import socket
from collections.abc import Callable
from itertools import chain
from typing import Final

from meter_sim.lab.proxy.address import Address
from meter_sim.lab.proxy.connection import CHUNK_BYTES, Connection, Sight, abort, close
from meter_sim.lab.proxy.packets import (
    LEVEL_REFUSED,
    LevelError,
    Packet,
    PacketBuffer,
    PacketError,
    check_first,
    client_id,
)
from meter_sim.lab.toxics import AppliedToxic, Pipe

FIRST_PACKET_TIMEOUT_S: Final = 10.0
UPSTREAM_TIMEOUT_S: Final = 5.0
LISTEN_BACKLOG: Final = 1_024
MAX_CONNECTIONS: Final = 20_000
MAX_REMEMBERED_CLIENTS: Final = 100_000
"""Clients whose chance goes on when they come back; beyond that the longest known one is forgotten."""

MAX_TOXICS: Final = 100

_log = logging.getLogger(__name__)


class Proxy:
    """Connections go from `listen` to `upstream`; each is read up to its CONNECT before the broker is dialled."""

    def __init__(self, name: str, listen: Address, upstream: Address, sight: Callable[[str], Sight]) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.toxics: dict[str, AppliedToxic] = {}
        self._sight = sight(name)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._pipes: dict[str, tuple[Pipe, Pipe]] = {}
        self._is_upstream_known_lost = False

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    async def open(self) -> None:
        """Listen. With port 0 `listen` then names the port that was found.

        Raises:
            OSError: the address cannot be had.
        """
        if self._server is not None:
            return
        # The first address only: "localhost" on port 0 would be two ports.
        found = await asyncio.get_running_loop().getaddrinfo(
            self.listen.host, self.listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        host = str(found[0][4][0])
        self._server = await asyncio.start_server(self._serve, host, self.listen.port, backlog=LISTEN_BACKLOG)
        self.listen = Address(self.listen.host, self._server.sockets[0].getsockname()[1])

    async def close(self, *, with_reset: bool) -> None:
        """Refuse connections from now on and end those that live, with a TCP RST if so wanted."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if with_reset:
            for connection in list(self._connections):
                connection.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def move(self, listen: Address, upstream: Address) -> None:
        """Listen and connect elsewhere; connections that live are cut.

        Raises:
            OSError: the new address cannot be had; all is as before but for the connections.
        """
        was_enabled, before = self.enabled, (self.listen, self.upstream)
        await self.close(with_reset=True)
        self.listen, self.upstream = listen, upstream
        if was_enabled:
            try:
                await self.open()
            except OSError:
                self.listen, self.upstream = before
                await self.open()
                raise

    def set_toxics(self, toxics: dict[str, AppliedToxic]) -> None:
        """These toxics are in force from now on, on connections that live too."""
        self.toxics = toxics
        now_s = asyncio.get_running_loop().time()
        self._pipes |= {connection.client: connection.pipes for connection in self._connections}
        fitted = list(self._pipes.values()) + [connection.pipes for connection in self._connections]
        for pipe in chain.from_iterable(fitted):
            pipe.refit(toxics.values(), now_s)
        for connection in self._connections:
            connection.toxics_changed()
        self._pipes = {client: pipes for client, pipes in self._pipes.items() if not _are_clean(pipes)}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CONNECTIONS:
            _log.warning("%s: more than %d connections; one was refused", self.name, MAX_CONNECTIONS)
            abort(writer)
            return
        self._tasks.add(task)
        try:
            await self._greet(reader, writer)
        except LevelError as error:
            _log.warning("%s: %s", self.name, error)
            writer.write(LEVEL_REFUSED)
        except PacketError as error:
            _log.warning("%s: %s; connection closed", self.name, error)
        except TimeoutError:
            _log.warning(
                "%s: a client said nothing for %g s; connection closed", self.name, FIRST_PACKET_TIMEOUT_S
            )
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client is gone, or the proxy is being closed
        finally:
            self._tasks.discard(task)
            close(writer)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = PacketBuffer()
        packets: list[Packet] = []
        async with asyncio.timeout(FIRST_PACKET_TIMEOUT_S):
            check_first(first := await reader.readexactly(1))
            packets = buffer.feed(first)
            while not packets:
                data = await reader.read(CHUNK_BYTES)
                if not data:
                    return
                packets = buffer.feed(data)
        client = client_id(packets[0])
        far = await self._dial()
        if far is None:
            abort(writer)
            return
        connection = Connection(client, (reader, writer), far, self._pipes_of(client), self._sight)
        self._connections.add(connection)
        try:
            await connection.run(buffer, packets)
        finally:
            self._connections.discard(connection)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
                far = await asyncio.open_connection(self.upstream.host, self.upstream.port)
        except OSError as error:  # TimeoutError included
            if not self._is_upstream_known_lost:
                _log.warning("%s: no connection to %s: %s", self.name, self.upstream, error or "it takes too long")
            self._is_upstream_known_lost = True
            return None
        if self._is_upstream_known_lost:
            _log.warning("%s: connected to %s again", self.name, self.upstream)
        self._is_upstream_known_lost = False
        return far

    def _pipes_of(self, client: str) -> tuple[Pipe, Pipe]:
        pipes = self._pipes.get(client)
        if pipes is None:
            pipes = Pipe(client, "upstream"), Pipe(client, "downstream")
            for pipe in pipes:
                pipe.refit(self.toxics.values(), asyncio.get_running_loop().time())
            if not _are_clean(pipes):
                while len(self._pipes) >= MAX_REMEMBERED_CLIENTS:
                    self._pipes.pop(next(iter(self._pipes)))
                self._pipes[client] = pipes
        return pipes


def _are_clean(pipes: tuple[Pipe, Pipe]) -> bool:
    return all(pipe.is_clean for pipe in pipes)
