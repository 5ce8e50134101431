"""A client of the control interface, for the laboratory and for tests. Standard library only."""

import http.client
import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from meter_sim.lab.toxics import Stream

TIMEOUT_S: Final = 10.0


class ProxyControlError(Exception):
    """The proxy refused (`status` says how) or cannot be reached (`status` 0)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ProxyControl:
    """Speaks to the proxy process at one address.

    Every method raises ProxyControlError. Proxies and toxics come and go as the dicts of `docs/proxy.md`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def version(self) -> str:
        """What runs there."""
        return str(self._call("GET", "/version")["version"])

    def proxies(self) -> dict[str, dict[str, Any]]:
        """All proxies by name."""
        return dict(self._call("GET", "/proxies"))

    def proxy(self, name: str) -> dict[str, Any]:
        """One proxy."""
        return dict(self._call("GET", _path(name)))

    def create(self, name: str, listen: str, upstream: str, *, enabled: bool = True) -> dict[str, Any]:
        """Make a proxy; `listen` may have port 0, and the answer has the port that was found."""
        body = {"name": name, "listen": listen, "upstream": upstream, "enabled": enabled}
        return dict(self._call("POST", "/proxies", body))

    def change(self, name: str, **fields: Any) -> dict[str, Any]:
        """Change `listen`, `upstream` or `enabled`."""
        return dict(self._call("POST", _path(name), fields))

    def delete(self, name: str) -> None:
        """End a proxy."""
        self._call("DELETE", _path(name))

    def toxics(self, proxy: str) -> list[dict[str, Any]]:
        """The toxics in force on a proxy."""
        return list(self._call("GET", _path(proxy, "")))

    def add_toxic(
        self,
        proxy: str,
        kind: str,
        stream: Stream = "downstream",
        *,
        name: str | None = None,
        toxicity: float = 1.0,
        seed: int | None = None,
        gateways: Iterable[str] | None = None,
        **attributes: float,
    ) -> dict[str, Any]:
        """Put a toxic in force: `add_toxic("fleet", "latency", "upstream", latency_ms=300)`."""
        body = {
            "type": kind,
            "name": name,
            "stream": stream,
            "toxicity": toxicity,
            "seed": seed,
            "gateways": None if gateways is None else sorted(gateways),
            "attributes": attributes,
        }
        return dict(self._call("POST", _path(proxy, ""), body))

    def change_toxic(self, proxy: str, toxic: str, **fields: Any) -> dict[str, Any]:
        """Change `toxicity`, `seed`, `gateways` or single `attributes` of a toxic."""
        return dict(self._call("POST", _path(proxy, toxic), fields))

    def remove_toxic(self, proxy: str, toxic: str) -> None:
        """Take a toxic away."""
        self._call("DELETE", _path(proxy, toxic))

    def reset(self) -> None:
        """Take all toxics away and enable all proxies."""
        self._call("POST", "/reset")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
            answer = json.loads(content) if content else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            where = f"{self._host}:{self._port}"
            raise ProxyControlError(0, f"no answer of a proxy's control at {where}: {error}") from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            text = answer.get("error") if isinstance(answer, dict) else None
            raise ProxyControlError(response.status, str(text or response.reason))
        return answer


def _path(proxy: str, toxic: str | None = None) -> str:
    path = f"/proxies/{quote(proxy, safe='')}"
    if toxic is None:
        return path
    return f"{path}/toxics/{quote(toxic, safe='')}" if toxic else f"{path}/toxics"
