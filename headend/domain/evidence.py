"""The audit log: who did what to whom, when, why, and on what basis; in one hash chain.

Acts are never changed or removed. The hash of each covers the one before it and a canonical JSON array of its
own fields, so that a changed, removed or inserted act shows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final

GENESIS_ACT_HASH: Final = bytes(32)


class ActKind(StrEnum):
    """What was done."""

    CUT = "CUT"
    CUT_REFUSED = "CUT_REFUSED"
    QUARANTINED = "QUARANTINED"
    RELEASED = "RELEASED"
    DROPPED = "DROPPED"
    RECONNECTED = "RECONNECTED"
    MORATORIUM_DECLARED = "MORATORIUM_DECLARED"
    MORATORIUM_ENDED = "MORATORIUM_ENDED"
    REVERSAL = "REVERSAL"
    KEYS_ROTATED = "KEYS_ROTATED"
    POLICY_ISSUED = "POLICY_ISSUED"
    EXCEPTION_RESOLVED = "EXCEPTION_RESOLVED"
    TARIFF_IMPORTED = "TARIFF_IMPORTED"
    TERMS_CHANGED = "TERMS_CHANGED"
    METER_EXCHANGED = "METER_EXCHANGED"
    ROLLOVER = "ROLLOVER"
    READING_ENTERED = "READING_ENTERED"
    MOVED_OUT = "MOVED_OUT"
    PLAN_MADE = "PLAN_MADE"
    PLAN_ENDED = "PLAN_ENDED"
    RECOVERY_PHASE = "RECOVERY_PHASE"
    OUTAGE_BEGAN = "OUTAGE_BEGAN"
    OUTAGE_ENDED = "OUTAGE_ENDED"


Basis = Mapping[str, object]
"""What a decision was based on: JSON values only, no fractions."""


@dataclass(frozen=True, slots=True)
class Act:
    """One row of the audit log.

    `subject` says what it was done to: `meter/M1`, `region/R1`, `outage/3`, `tariff/NAME`, `keys`. `actor` is a
    person's name, or `headend` for what the software decided by its rules; then `reason` names the rule.
    """

    at_s: int
    actor: str
    kind: ActKind
    subject: str
    reason: str
    basis: Basis = field(default_factory=dict)

    def __post_init__(self) -> None:
        """An act that nobody did, or for no reason, is a mistake of ours."""
        assert all((self.actor, self.reason, self.subject)), f"{self.kind}: actor, subject and reason are needed"


_canonical_text = JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def basis_text(basis: Basis) -> str:
    """A basis as canonical JSON: keys in order, no spaces. Equal content is equal text."""
    return _canonical_text(basis)


def act_hash(
    previous: bytes, act_id: int, at_s: int, actor: str, kind: str, subject: str, reason: str, basis: str
) -> bytes:
    """SHA-256 over the previous act's hash and the canonical JSON array of this one's fields: 32 bytes.

    `basis` is canonical already (`basis_text`) and ends the array as it is.
    """
    quoted = encode_basestring
    fields = f"[{act_id},{at_s},{quoted(actor)},{quoted(kind)},{quoted(subject)},{quoted(reason)},{basis}]"
    return hashlib.sha256(previous + fields.encode()).digest()
