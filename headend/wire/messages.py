"""The messages of the contract, version 1. Units are in the field names.

Every message is one JSON object. Readers ignore fields that they do not know, skip commands and results of a
kind that they do not know, and refuse versions that they do not know. Integers are integers (`1.0` and `"1"` are
refused). Times are seconds since 1970 UTC, energy is in watt-hours, money in micros (1,000,000 micros = 1 rupee).
"""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from headend.wire.checksum import MAX_CRC
from headend.wire.errors import ErrorCode, RefusalCode, RowCode
from headend.wire.limits import (
    HEX_256_PATTERN,
    ID_PATTERN,
    MAX_DETAIL_CHARS,
    MAX_INTEGER,
    MAX_POLICIES,
    MAX_PROTECTED,
    MAX_ROWS,
    PROTOCOL_VERSION,
)

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Ordinal = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Hex256 = Annotated[str, StringConstraints(pattern=HEX_256_PATTERN)]


class _Record(BaseModel):
    # Only keys are cached: the ids of a large fleet do not fit into the parser's cache and only churn it
    # (measured with 200 gateways of 500 meters: 20 % of the time to decode).
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", cache_strings="keys")


# A strict integer, because Literal[1] also takes `1.0` and `true`: they are equal to 1 in Python.
_Version = Annotated[
    int,
    Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION),
    WithJsonSchema({"type": "integer", "const": PROTOCOL_VERSION}),
]


class _Message(_Record):
    # The default is for whoever builds a message; on the wire `v` is required, and `decode` holds to that.
    v: _Version = Field(default=PROTOCOL_VERSION, description="Version of the contract. Always present.")
    # For the schemas only: the codec takes it off before a message is read and puts it on after one is written.
    crc: Annotated[int, Field(ge=0, le=MAX_CRC)] | None = Field(
        default=None,
        exclude=True,
        description="Always the last member: CRC-32/ISO-HDLC of all bytes before its comma; see gateway.md.",
    )


class RelayPosition(StrEnum):
    """`closed`: the home has supply. `open`: the home is cut off."""

    CLOSED = "closed"
    OPEN = "open"


class Outcome(StrEnum):
    """A meter's answer to a command."""

    APPLIED = "applied"
    REJECTED = "rejected"


class ReadingKind(StrEnum):
    """`interval`: load survey on a fixed grid. `snapshot`: the register at a local midnight."""

    INTERVAL = "interval"
    SNAPSHOT = "snapshot"


class ReceiptOutcome(StrEnum):
    """`accepted`: stored, forget it. `refused`: never send it again as it is. `later`: send it again."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


# --- kinds: what a command or a result is about ------------------------------------------------------------

KINDS: Final = ("credit", "relay", "policy")
"""The kinds that this end knows; each is also the purpose of the keys that sign such commands."""

_UNKNOWN: Final = "unknown"


class Unknown(_Record):
    """A command or result of a kind that this end does not know: skipped, and the others are used."""

    kind: Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": list(KINDS)}})]


def _tag(item: Any) -> str | None:
    kind = item.get("kind") if isinstance(item, dict) else getattr(item, "kind", None)
    if kind in KINDS:
        return str(kind)
    return _UNKNOWN if isinstance(kind, str) else None


_BY_KIND: Final = Discriminator(
    _tag, custom_error_type="no_kind", custom_error_message="an object with a kind, which is a text, is needed"
)

# --- up: gateway to head-end -------------------------------------------------------------------------------


class MeterCounters(_Record):
    """One meter's own counters and versions, as the meter holds them."""

    meter: Id
    reading_seq: Count = Field(description="Sequence number of the newest reading taken; 0: none yet.")
    register_wh: Count = Field(description="All energy ever drawn, now.")
    credit_seq: Count = Field(description="Credits are applied up to this sequence number; 0: none yet.")
    credit_total_micros: Count = Field(description="All money ever credited to the meter.")
    relay_version: Count = Field(description="Version of the newest relay command carried out; 0: none yet.")
    relay: RelayPosition
    policy_version: Count = Field(default=0, description="Version of the policy in force; 0: none yet.")


class Hello(_Message):
    """First message of a session: the counters of every meter, in as many frames as needed."""

    frame: Ordinal = Field(description="The gateway's number for this frame; the receipt repeats it.")
    sent_at_s: Count
    meters: Annotated[list[MeterCounters], Field(min_length=1, max_length=MAX_ROWS)]


_IdColumn = Annotated[list[Id], Field(min_length=1, max_length=MAX_ROWS)]
_CountColumn = Annotated[list[Count], Field(min_length=1, max_length=MAX_ROWS)]
_OrdinalColumn = Annotated[list[Ordinal], Field(min_length=1, max_length=MAX_ROWS)]


class Readings(_Message):
    """Readings of many meters, as columns: row i is (meters[i], seqs[i], at_s[i], registers_wh[i]).

    Rows of one meter stand in ascending order of their sequence number.
    """

    frame: Ordinal = Field(description="The gateway's number for this frame; the receipt repeats it.")
    sent_at_s: Count
    kind: ReadingKind
    meters: _IdColumn
    seqs: _OrdinalColumn = Field(description="The meter's reading sequence: 1, 2, 3 ... over both kinds.")
    at_s: _CountColumn = Field(description="When the register had this value.")
    registers_wh: _CountColumn = Field(description="All energy ever drawn.")
    relays_open: Annotated[list[Id], Field(max_length=MAX_ROWS)] = Field(
        default_factory=list, description="Those of `meters` whose relay was open at their newest row."
    )

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if not len(self.meters) == len(self.seqs) == len(self.at_s) == len(self.registers_wh):
            raise ValueError("meters, seqs, at_s and registers_wh must have the same length")
        if self.relays_open and set(self.relays_open).difference(self.meters):
            raise ValueError("relays_open names a meter that is not in meters")
        return self


class CreditResult(_Record):
    """The meter's credit counter after a credit command: it acknowledges every credit up to `seq`."""

    kind: Literal["credit"] = "credit"
    meter: Id
    seq: Count = Field(description="Applied up to here (the meter's own counter, not the command's).")
    credit_total_micros: Count
    outcome: Outcome
    code: RefusalCode | None = None
    at_s: Count


class RelayResult(_Record):
    """The answer to the relay command of this version."""

    kind: Literal["relay"] = "relay"
    meter: Id
    version: Ordinal = Field(description="The version of the command that this answers.")
    relay: RelayPosition = Field(description="The relay's position now.")
    outcome: Outcome
    code: RefusalCode | None = None
    at_s: Count


class PolicyResult(_Record):
    """The answer to the policy command of this version."""

    kind: Literal["policy"] = "policy"
    meter: Id
    version: Ordinal = Field(description="The version of the command that this answers.")
    outcome: Outcome
    code: RefusalCode | None = None
    at_s: Count


Result = CreditResult | RelayResult | PolicyResult
_AnyResult = Annotated[
    Annotated[CreditResult, Tag("credit")]
    | Annotated[RelayResult, Tag("relay")]
    | Annotated[PolicyResult, Tag("policy")]
    | Annotated[Unknown, Tag(_UNKNOWN)],
    _BY_KIND,
]


class Results(_Message):
    """What meters did with commands. It has no receipt: an unanswered command comes again."""

    sent_at_s: Count
    results: Annotated[list[_AnyResult], Field(min_length=1, max_length=MAX_ROWS)]


class Status(_Message):
    """Whether the gateway has a session. `online: false` is its last will. Retained."""

    online: bool


# --- down: head-end to gateway -----------------------------------------------------------------------------


class _Signed(_Record):
    key: Id | None = Field(default=None, description="The id of the master key that `signature` comes from.")
    signature: Hex256 | None = Field(default=None, description="HMAC-SHA256; see gateway.md.")


class CreditCommand(_Signed):
    """All money ever credited to a meter, as of credit number `seq`. Never expires."""

    kind: Literal["credit"] = "credit"
    meter: Id
    seq: Ordinal
    credit_total_micros: Count
    issued_at_s: Count


class RelayCommand(_Signed):
    """The position that a relay shall have. The newest version wins; past `expires_at_s` it has no effect."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"relay": {"const": "open"}}, "required": ["relay"]},
            "then": {"properties": {"expires_at_s": {"type": "integer"}}, "required": ["expires_at_s"]},
        }
    )

    kind: Literal["relay"] = "relay"
    meter: Id
    version: Ordinal
    relay: RelayPosition
    issued_at_s: Count
    expires_at_s: Count | None = Field(default=None, description="Always set on `open`.")

    @model_validator(mode="after")
    def _open_expires(self) -> Self:
        if self.relay is RelayPosition.OPEN and self.expires_at_s is None:
            raise ValueError("a command that opens a relay must expire")
        return self


class PolicyCommand(_Signed):
    """The policy that a meter shall hold: the document of this version and digest, in the same message."""

    kind: Literal["policy"] = "policy"
    meter: Id
    version: Ordinal
    digest: Hex256 = Field(description="SHA-256 of the document's canonical bytes; see gateway.md.")
    issued_at_s: Count


_Window = Annotated[list[Count], Field(min_length=2, max_length=2)]


class PolicyDocument(_Record):
    """When a meter opens its relay for nobody. The same for all meters of a region; the newest version wins."""

    version: Ordinal
    issued_at_s: Count = Field(description="A meter whose clock says less has a wrong clock.")
    valid_until_s: Count = Field(description="From here on the windows are not known: open no relay.")
    clock_tolerance_s: Count = Field(description="Windows count as longer by this much at both ends.")
    protected: Annotated[list[_Window], Field(max_length=MAX_PROTECTED)] = Field(
        description="Protected windows [from, to): ascending, apart from each other."
    )

    @model_validator(mode="after")
    def _windows_ascend(self) -> Self:
        ends = [at_s for window in self.protected for at_s in window]
        if any(later <= earlier for earlier, later in pairwise(ends)):
            raise ValueError("protected windows must be ascending, apart from each other, and not empty")
        return self


Command = CreditCommand | RelayCommand | PolicyCommand
_AnyCommand = Annotated[
    Annotated[CreditCommand, Tag("credit")]
    | Annotated[RelayCommand, Tag("relay")]
    | Annotated[PolicyCommand, Tag("policy")]
    | Annotated[Unknown, Tag(_UNKNOWN)],
    _BY_KIND,
]


class Commands(_Message):
    """Commands to meters behind one gateway, and the documents that its policy commands name."""

    sent_at_s: Count
    commands: Annotated[list[_AnyCommand], Field(min_length=1, max_length=MAX_ROWS)]
    policies: Annotated[list[PolicyDocument], Field(max_length=MAX_POLICIES)] | None = None


class RefusedRow(_Record):
    """A row of an accepted frame that was not used, and why. A person on our side looks at it."""

    meter: Id
    code: RowCode


class Receipt(_Record):
    """The head-end's word on one frame, given after its commit."""

    frame: Ordinal | None = Field(default=None, description="Absent or null: the number could not be read.")
    outcome: ReceiptOutcome
    code: ErrorCode | None = None
    detail: str | None = Field(default=None, max_length=MAX_DETAIL_CHARS)
    retry_after_s: Ordinal | None = Field(default=None, description="Set with `later`.")
    refused: Annotated[list[RefusedRow], Field(default_factory=list, max_length=MAX_ROWS)]


class Receipts(_Message):
    """Receipts for hello and readings frames."""

    sent_at_s: Count
    receipts: Annotated[list[Receipt], Field(min_length=1, max_length=MAX_ROWS)]


class Request(_Message):
    """What the head-end wants of a gateway: `hello`, say hello again with all counters."""

    sent_at_s: Count
    want: Literal["hello"]


UpMessage = Hello | Readings | Results | Status
DownMessage = Commands | Receipts | Request
