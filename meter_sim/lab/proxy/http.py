"""A small HTTP/1.1 server for a control interface: one JSON request a connection, everything bounded.

Knows no proxy: `Answer` does. It is no server for the open network: no TLS, no password, no pipelining.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_CONNECTIONS: Final = 64
REQUEST_TIMEOUT_S: Final = 10.0
LINGER_S: Final = 1.0
"""How long the rest of a refused request is read, so that its sender gets to see why it was refused."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is without the query."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A status and the JSON that goes with it; None: no body."""

    status: HTTPStatus
    content: Any = None


Answer = Callable[[Request], Awaitable[Response]]


class _BadRequestError(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def failure(status: HTTPStatus, text: str) -> Response:
    """An error as toxiproxy says it."""
    return Response(status, {"error": text, "status": int(status)})


class ControlServer:
    """Listens and hands each request to `answer`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> int:
        """Listen; the port.

        Raises:
            OSError: the address cannot be had.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening; requests under way are dropped."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MAX_CONNECTIONS:
                return
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                response = await self._respond(reader)
                if response is not None:
                    writer.write(_encode(response))
                    await writer.drain()
                    writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    while await reader.read(MAX_HEAD_BYTES):
                        pass
        except (OSError, asyncio.CancelledError):
            pass  # the client is gone or too slow, or we are closing
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader) -> Response | None:
        try:
            request = await _read(reader)
        except _BadRequestError as error:
            return failure(error.status, str(error))
        except asyncio.IncompleteReadError:
            return None
        try:
            return await self._answer(request)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return failure(HTTPStatus.INTERNAL_SERVER_ERROR, "the proxy failed; its log says why")


async def _read(reader: asyncio.StreamReader) -> Request:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        raise _BadRequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers of more than {MAX_HEAD_BYTES} bytes"
        ) from error
    first, *lines = head[:-4].split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _BadRequestError(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "origin" in headers:
        raise _BadRequestError(
            HTTPStatus.FORBIDDEN, "requests of web pages are refused: there is no password here"
        )
    if "transfer-encoding" in headers:
        raise _BadRequestError(HTTPStatus.LENGTH_REQUIRED, "a body needs a Content-Length")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 12:
        raise _BadRequestError(HTTPStatus.BAD_REQUEST, "Content-Length is no number of bytes")
    if int(length) > MAX_BODY_BYTES:
        raise _BadRequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of {length} bytes; at most {MAX_BODY_BYTES}"
        )
    body = await reader.readexactly(int(length))
    return Request(parts[0], parts[1].partition("?")[0], body)


def _encode(response: Response) -> bytes:
    content = b"" if response.content is None else json.dumps(response.content).encode() + b"\n"
    head = [f"HTTP/1.1 {int(response.status)} {response.status.phrase}", "Connection: close"]
    if response.status is not HTTPStatus.NO_CONTENT:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content
