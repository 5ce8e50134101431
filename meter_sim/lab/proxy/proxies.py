"""The proxies of one process by name, and what may be done to them. What cannot be done is a `RefusedError`."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from meter_sim.lab.proxy.address import Address
from meter_sim.lab.proxy.connection import Sight
from meter_sim.lab.proxy.proxy import MAX_TOXICS, Proxy
from meter_sim.lab.toxics import AppliedToxic

MAX_PROXIES: Final = 100


class RefusedError(Exception):
    """What was asked for cannot be done: why, and the HTTP status that says so."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Proxies:
    """All proxies of this process."""

    def __init__(self, sight: Callable[[str], Sight], seed: int) -> None:
        """`sight` makes the witness of the messages of a proxy; `seed` is for toxics that name none."""
        self.seed = seed
        self._sight = sight
        self._proxies: dict[str, Proxy] = {}

    def all(self) -> list[Proxy]:
        """In order of addition."""
        return list(self._proxies.values())

    def get(self, name: str) -> Proxy:
        """The proxy of this name.

        Raises:
            RefusedError: there is none.
        """
        try:
            return self._proxies[name]
        except KeyError:
            known = ", ".join(self._proxies) or "none"
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no proxy {name!r}: there are {known}") from None

    async def add(self, name: str, listen: Address, upstream: Address, *, enabled: bool = True) -> Proxy:
        """Make a proxy and, unless told otherwise, let it listen.

        Raises:
            RefusedError: the name or the address is taken, or there are MAX_PROXIES.
        """
        if name in self._proxies:
            raise RefusedError(HTTPStatus.CONFLICT, f"name: there is a proxy {name!r} already")
        if len(self._proxies) >= MAX_PROXIES:
            raise RefusedError(HTTPStatus.CONFLICT, f"there are {MAX_PROXIES} proxies; delete one first")
        proxy = Proxy(name, listen, upstream, self._sight)
        if enabled:
            await _open(proxy)
        self._proxies[name] = proxy
        return proxy

    async def change(
        self,
        name: str,
        listen: Address | None = None,
        upstream: Address | None = None,
        enabled: bool | None = None,
    ) -> Proxy:
        """Move it, or let it listen or not. Disabled, it refuses connections, and those that lived are cut.

        Raises:
            RefusedError: there is none of this name, or the address is taken.
        """
        proxy = self.get(name)
        wanted = listen or proxy.listen, upstream or proxy.upstream
        if enabled is False:
            await proxy.close(with_reset=True)
        if wanted != (proxy.listen, proxy.upstream):
            try:
                await proxy.move(*wanted)
            except OSError as error:
                raise _cannot_listen(wanted[0], error) from error
        if enabled:
            await _open(proxy)
        return proxy

    async def remove(self, name: str) -> None:
        """End a proxy and all of its connections.

        Raises:
            RefusedError: there is none of this name.
        """
        proxy = self.get(name)
        del self._proxies[name]
        await proxy.close(with_reset=True)

    async def reset(self) -> None:
        """Take all toxics away and enable all proxies.

        Raises:
            RefusedError: a proxy that was disabled finds its address taken; the others are reset.
        """
        refused = None
        for proxy in self.all():
            proxy.set_toxics({})
            try:
                await _open(proxy)
            except RefusedError as error:
                refused = error
        if refused is not None:
            raise refused

    async def close(self) -> None:
        """End all in good order."""
        for proxy in self.all():
            await proxy.close(with_reset=False)


def toxic_of(proxy: Proxy, name: str) -> AppliedToxic:
    """The toxic of this name.

    Raises:
        RefusedError: there is none.
    """
    try:
        return proxy.toxics[name]
    except KeyError:
        known = ", ".join(proxy.toxics) or "none"
        raise RefusedError(
            HTTPStatus.NOT_FOUND, f"no toxic {name!r} on proxy {proxy.name!r}: there are {known}"
        ) from None


def add_toxic(proxy: Proxy, applied: AppliedToxic) -> None:
    """Put a new toxic in force.

    Raises:
        RefusedError: the name is taken, or there are MAX_TOXICS.
    """
    if applied.name in proxy.toxics:
        raise RefusedError(
            HTTPStatus.CONFLICT, f"name: there is a toxic {applied.name!r} on proxy {proxy.name!r} already"
        )
    if len(proxy.toxics) >= MAX_TOXICS:
        raise RefusedError(HTTPStatus.CONFLICT, f"there are {MAX_TOXICS} toxics on it; delete one first")
    proxy.set_toxics({**proxy.toxics, applied.name: applied})


def change_toxic(proxy: Proxy, applied: AppliedToxic) -> None:
    """Replace a toxic by another of its name, if they differ: its randomness begins anew."""
    proxy.set_toxics({**proxy.toxics, applied.name: applied})


def remove_toxic(proxy: Proxy, name: str) -> None:
    """Take a toxic away.

    Raises:
        RefusedError: there is none of this name.
    """
    toxic_of(proxy, name)
    proxy.set_toxics({other: applied for other, applied in proxy.toxics.items() if other != name})


async def _open(proxy: Proxy) -> None:
    try:
        await proxy.open()
    except OSError as error:
        raise _cannot_listen(proxy.listen, error) from error


def _cannot_listen(listen: Address, error: OSError) -> RefusedError:
    return RefusedError(HTTPStatus.CONFLICT, f"listen: {listen} cannot be had: {error.strerror or error}")
