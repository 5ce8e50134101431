"""Signatures of commands: which bytes are signed, by which key. Pure; knows no clock and no file.

    meter key = HMAC-SHA256(master secret, "ami/v1|" key id "|" purpose "|" meter)
    signature = HMAC-SHA256(meter key, canonical bytes of the command), in hexadecimal

A purpose is a kind of command, so that a key for credits opens no relay. A broker, a gateway or a stolen meter
has no master secret, and cannot sign for any other meter. No character of an id, a number or a position is a
`|`, and every field stands in its place, so two different commands never have the same bytes.
"""

import hmac
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Final

from headend.wire.errors import RefusalCode
from headend.wire.limits import PROTOCOL_VERSION
from headend.wire.messages import Command, CreditCommand, PolicyDocument, RelayCommand

LABEL: Final = f"ami/v{PROTOCOL_VERSION}"


class Purpose(StrEnum):
    """What a meter key is for: one kind of command."""

    CREDIT = "credit"
    RELAY = "relay"
    POLICY = "policy"


KeyLookup = Callable[[str, Purpose, str], bytes | None]
"""(key id, purpose, meter) -> the meter key, or None where there is no such key or it is no longer accepted."""


def derive(secret: bytes, key: str, purpose: Purpose, meter: str) -> bytes:
    """The 32 bytes of a meter key, from the master secret of the key's id."""
    return hmac.digest(secret, _joined(LABEL, key, purpose, meter), sha256)


def canonical(command: Command) -> bytes:
    """The bytes that are signed: every field but the signature, in a fixed order, an absent one as nothing."""
    head = (LABEL, command.kind, command.key, command.meter)
    if isinstance(command, CreditCommand):
        return _joined(*head, command.seq, command.credit_total_micros, command.issued_at_s)
    if isinstance(command, RelayCommand):
        return _joined(*head, command.version, command.relay, command.issued_at_s, command.expires_at_s)
    return _joined(*head, command.version, command.digest, command.issued_at_s)


def digest(document: PolicyDocument) -> str:
    """What a policy command says of its document: SHA-256 of the canonical bytes, in hexadecimal."""
    return sha256(canonical_document(document)).hexdigest()


def canonical_document(document: PolicyDocument) -> bytes:
    """A policy document's bytes, every field in a fixed order."""
    windows = ",".join(f"{from_s}-{to_s}" for from_s, to_s in document.protected)
    times = (document.issued_at_s, document.valid_until_s, document.clock_tolerance_s)
    return _joined(LABEL, "document", document.version, *times, windows)


def signature(meter_key: bytes, command: Command) -> str:
    """The signature of a command that names its key already."""
    return hmac.digest(meter_key, canonical(command), sha256).hex()


def verify(command: Command, keys: KeyLookup) -> RefusalCode | None:
    """Why the signature of a command does not hold; None: it does."""
    if command.key is None or command.signature is None:
        return RefusalCode.BAD_SIGNATURE
    meter_key = keys(command.key, Purpose(command.kind), command.meter)
    if meter_key is None:
        return RefusalCode.UNKNOWN_KEY
    holds = hmac.compare_digest(signature(meter_key, command), command.signature)
    return None if holds else RefusalCode.BAD_SIGNATURE


def _joined(*fields: str | int | None) -> bytes:
    return "|".join("" if field is None else str(field) for field in fields).encode("ascii")
