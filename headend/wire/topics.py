"""Topics: `ami/v1/{region}/{gateway}/{up|down}/{channel}`. Building and taking apart, nothing else."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headend.wire.errors import ErrorCode, WireError
from headend.wire.limits import ID_PATTERN, PROTOCOL_VERSION

_ID = re.compile(ID_PATTERN)
_PREFIX: Final = f"ami/v{PROTOCOL_VERSION}"


class Channel(StrEnum):
    """The last two levels of a topic. `up` is from gateway to head-end, `down` the other way."""

    HELLO = "up/hello"
    READINGS = "up/readings"
    RESULTS = "up/results"
    STATUS = "up/status"
    COMMANDS = "down/commands"
    RECEIPTS = "down/receipts"
    REQUESTS = "down/requests"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway lives: its region and its own id, both of the contract's id pattern."""

    region: str
    gateway: str

    def topic(self, channel: Channel) -> str:
        """The topic of one of this gateway's channels."""
        return f"{_PREFIX}/{self.region}/{self.gateway}/{channel}"

    def down_filter(self) -> str:
        """What a gateway subscribes to."""
        return f"{_PREFIX}/{self.region}/{self.gateway}/down/+"


def is_id(text: str) -> bool:
    """Whether a text is a valid region, gateway or meter id."""
    # fullmatch, because `$` alone lets a trailing line feed through.
    return _ID.fullmatch(text) is not None


def up_filter(region: str = "+") -> str:
    """What the head-end subscribes to: all gateways of one region, or of every region."""
    return f"{_PREFIX}/{region}/+/up/+"


def parse_topic(topic: str) -> tuple[Address, Channel]:
    """Take a topic apart.

    Raises:
        WireError: BAD_TOPIC when it is none of the contract's.
    """
    parts = topic.split("/")
    if len(parts) != 6 or not topic.startswith(_PREFIX + "/"):
        raise WireError(ErrorCode.BAD_TOPIC, f"{topic[:200]!r} is not {_PREFIX}/REGION/GATEWAY/...")
    _, _, region, gateway, direction, name = parts
    if not (is_id(region) and is_id(gateway)):
        raise WireError(ErrorCode.BAD_TOPIC, f"{topic[:200]!r}: region and gateway must match {ID_PATTERN}")
    try:
        return Address(region, gateway), Channel(f"{direction}/{name}")
    except ValueError as error:
        raise WireError(ErrorCode.BAD_TOPIC, f"{topic[:200]!r} has no known channel") from error
