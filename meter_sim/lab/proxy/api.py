"""The control interface in toxiproxy's vocabulary: which request does what. Knows no socket."""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from meter_sim.lab.proxy import bodies
from meter_sim.lab.proxy.http import Request, Response, failure
from meter_sim.lab.proxy.proxies import (
    Proxies,
    RefusedError,
    add_toxic,
    change_toxic,
    remove_toxic,
    toxic_of,
)

VERSION: Final = "meter-sim 1"

_Handler = Callable[..., Awaitable[Response]]


class Api:
    """Answers requests by what they do to the proxies."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        name = "/([^/]+)"
        routes: dict[str, dict[str, _Handler]] = {
            "/version": {"GET": self._version},
            "/reset": {"POST": self._reset},
            "/proxies": {"GET": self._list, "POST": self._add},
            f"/proxies{name}": {"GET": self._show, "POST": self._change, "DELETE": self._remove},
            f"/proxies{name}/toxics": {"GET": self._toxics, "POST": self._add_toxic},
            f"/proxies{name}/toxics{name}": {
                "GET": self._toxic,
                "POST": self._change_toxic,
                "DELETE": self._remove_toxic,
            },
        }
        self._routes = [(re.compile(path), handlers) for path, handlers in routes.items()]

    async def answer(self, request: Request) -> Response:
        """Do what the request asks for; what cannot be done is answered with why."""
        for pattern, handlers in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            handler = handlers.get(request.method)
            if handler is None:
                allowed = ", ".join(handlers)
                return failure(
                    HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method[:16]} {request.path}: allowed are {allowed}"
                )
            try:
                return await handler(request.body, *match.groups())
            except RefusedError as error:
                return failure(error.status, str(error))
        return failure(HTTPStatus.NOT_FOUND, f"no such path: {request.path[:200]}; see docs/proxy.md")

    async def _version(self, _body: bytes) -> Response:
        return Response(HTTPStatus.OK, {"version": VERSION})

    async def _reset(self, _body: bytes) -> Response:
        await self._proxies.reset()
        return Response(HTTPStatus.NO_CONTENT)

    async def _list(self, _body: bytes) -> Response:
        return Response(HTTPStatus.OK, {proxy.name: bodies.proxy_json(proxy) for proxy in self._proxies.all()})

    async def _add(self, body: bytes) -> Response:
        new = bodies.read(bodies.NewProxy, body)
        listen, upstream = bodies.address("listen", new.listen), bodies.address("upstream", new.upstream)
        proxy = await self._proxies.add(new.name, listen, upstream, enabled=new.enabled)
        return Response(HTTPStatus.CREATED, bodies.proxy_json(proxy))

    async def _show(self, _body: bytes, name: str) -> Response:
        return Response(HTTPStatus.OK, bodies.proxy_json(self._proxies.get(name)))

    async def _change(self, body: bytes, name: str) -> Response:
        change = bodies.read(bodies.ProxyChange, body)
        if change.name not in (None, name):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"name: cannot be changed from {name!r}")
        listen = None if change.listen is None else bodies.address("listen", change.listen)
        upstream = None if change.upstream is None else bodies.address("upstream", change.upstream)
        proxy = await self._proxies.change(name, listen, upstream, change.enabled)
        return Response(HTTPStatus.OK, bodies.proxy_json(proxy))

    async def _remove(self, _body: bytes, name: str) -> Response:
        await self._proxies.remove(name)
        return Response(HTTPStatus.NO_CONTENT)

    async def _toxics(self, _body: bytes, name: str) -> Response:
        return Response(HTTPStatus.OK, bodies.proxy_json(self._proxies.get(name))["toxics"])

    async def _add_toxic(self, body: bytes, name: str) -> Response:
        proxy = self._proxies.get(name)
        applied = bodies.applied_toxic(bodies.read(bodies.NewToxic, body), self._proxies.seed)
        add_toxic(proxy, applied)
        return Response(HTTPStatus.OK, bodies.toxic_json(applied))

    async def _toxic(self, _body: bytes, name: str, toxic: str) -> Response:
        return Response(HTTPStatus.OK, bodies.toxic_json(toxic_of(self._proxies.get(name), toxic)))

    async def _change_toxic(self, body: bytes, name: str, toxic: str) -> Response:
        proxy = self._proxies.get(name)
        changed = bodies.changed_toxic(toxic_of(proxy, toxic), bodies.read(bodies.ToxicChange, body))
        change_toxic(proxy, changed)
        return Response(HTTPStatus.OK, bodies.toxic_json(changed))

    async def _remove_toxic(self, _body: bytes, name: str, toxic: str) -> Response:
        remove_toxic(self._proxies.get(name), toxic)
        return Response(HTTPStatus.NO_CONTENT)
