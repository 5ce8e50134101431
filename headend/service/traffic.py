"""What passes between head-end and gateways, in meaning: the services' own types.

They carry the contract's messages without their spelling, so that a gateway that speaks DLMS or STS can stand
behind the same port.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from headend.domain.delivery import DeliveryKind
from headend.domain.policy import Policy
from headend.domain.reconcile import MeterView


class GatewayId(NamedTuple):
    """A gateway's name: region and id."""

    region: str
    gateway: str


# --- what comes up -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The link to the broker came up or went down."""

    up: bool
    detail: str


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """The counters of some of a gateway's meters."""

    gateway: GatewayId
    frame: int
    meters: Sequence[tuple[str, MeterView]]


@dataclass(frozen=True, slots=True)
class ReadingFrame:
    """Readings of a gateway's meters, as columns of equal length."""

    gateway: GatewayId
    frame: int
    snapshot: bool
    meters: Sequence[str]
    seqs: Sequence[int]
    at_s: Sequence[int]
    registers_wh: Sequence[int]
    relays_open: Sequence[str]


@dataclass(frozen=True, slots=True)
class CreditAnswer:
    """A meter's credit counter after a command. `refusal` is None when it was applied."""

    meter: str
    seq: int
    credit_total_micros: int
    at_s: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """A meter's answer to one relay command. `refusal` is None when it was applied."""

    meter: str
    version: int
    at_s: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """A meter's answer to one policy command. `refusal` is None when it was applied."""

    meter: str
    version: int
    at_s: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class ResultFrame:
    """What a gateway's meters did with commands; `unknown`: results of a kind that we do not know."""

    gateway: GatewayId
    credits: Sequence[CreditAnswer]
    relays: Sequence[RelayAnswer]
    policies: Sequence[PolicyAnswer] = ()
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A gateway came, or its last will says that it went."""

    gateway: GatewayId
    online: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that breaks the contract: `code` and `detail` say how, `frame` where it could be read."""

    gateway: GatewayId | None
    frame: int | None
    topic: str
    payload: bytes
    code: str
    detail: str


Message = LinkChanged | HelloFrame | ReadingFrame | ResultFrame | StatusChanged | Unreadable


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with what the link needs to acknowledge it (`ticket`, the link's own) and its raw form."""

    message: Message
    ticket: object = None
    topic: str = ""
    payload: bytes = b""


# --- what goes down ----------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """The head-end's word on a frame: stored; never acceptable as it is; send it again later."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class ReceiptOut:
    """The receipt for one frame; `refused` lists (meter, code) of rows that were not used."""

    gateway: GatewayId
    frame: int | None
    verdict: Verdict
    code: str | None = None
    detail: str | None = None
    refused: Sequence[tuple[str, str]] = field(default=())


@dataclass(frozen=True, slots=True)
class CommandOut:
    """A command to one meter: the credit counter up to `seq`, or the relay position or policy of version `seq`.

    `policy` is shared by all commands of a region that carry it.
    """

    gateway: GatewayId
    meter: str
    kind: DeliveryKind
    seq: int
    issued_at_s: int
    credit_total_micros: int | None = None
    relay: str | None = None
    expires_at_s: int | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class HelloWanted:
    """A request to a gateway to say hello again."""

    gateway: GatewayId


Outgoing = ReceiptOut | CommandOut | HelloWanted
