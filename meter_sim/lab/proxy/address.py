"""HOST:PORT as people write it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect to."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, or `[IPV6]:PORT`.

        Raises:
            ValueError: with a message for a person.
        """
        match = _FORM.fullmatch(text)
        if match is None or int(match["port"]) > 65_535:
            raise ValueError(f"{text[:100]!r} is not HOST:PORT, such as 127.0.0.1:1883")
        return cls(match["six"] or match["host"], int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
