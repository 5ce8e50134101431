"""No signed command can be turned into another one, whichever byte is changed and whosever key is used."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.wire.checksum import unseal
from headend.wire.codec import decode, encode
from headend.wire.errors import RefusalCode, WireError
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.messages import (
    KINDS,
    Command,
    Commands,
    CreditCommand,
    PolicyCommand,
    PolicyDocument,
    RelayCommand,
    RelayPosition,
    Unknown,
)
from headend.wire.signing import Purpose, canonical, digest, verify
from headend.wire.topics import Channel

NOW_S = 1_730_226_600
RING = KeyRing(keys=[MasterKey(key="k1", secret="5a" * 32, sign_from_s=0)])
IDS = st.from_regex(r"[A-Za-z0-9-]{1,32}", fullmatch=True)
COUNTS = st.integers(1, 2**53 - 1)
CREDITS = st.builds(CreditCommand, meter=IDS, seq=COUNTS, credit_total_micros=COUNTS, issued_at_s=COUNTS)
RELAYS = st.builds(
    RelayCommand,
    meter=IDS,
    version=COUNTS,
    relay=st.sampled_from(RelayPosition),
    issued_at_s=COUNTS,
    expires_at_s=COUNTS,
)
CLOSES = st.builds(
    RelayCommand, meter=IDS, version=COUNTS, relay=st.just(RelayPosition.CLOSED), issued_at_s=COUNTS
)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
POLICIES = st.builds(PolicyCommand, meter=IDS, version=COUNTS, digest=HEX, issued_at_s=COUNTS)
COMMANDS = st.one_of(CREDITS, RELAYS, CLOSES, POLICIES)


def keys(key: str, purpose: Purpose, meter: str) -> bytes | None:
    return RING.meter_key(key, purpose, meter, NOW_S)


def signed(command: Command) -> Command:
    key = RING.signing_key(NOW_S)
    assert key is not None
    return key.sign(command)


def test_purposes_are_the_kinds_of_commands() -> None:
    assert tuple(Purpose) == KINDS


@given(COMMANDS)
def test_signed_command_holds_after_the_wire(command: Command) -> None:
    message = decode(Channel.COMMANDS, encode(Commands(sent_at_s=1, commands=[signed(command)])))
    assert isinstance(message, Commands)
    (read,) = message.commands
    assert not isinstance(read, Unknown)
    assert verify(read, keys) is None


@given(COMMANDS, st.data())
def test_any_flipped_byte_of_a_signed_command_is_rejected(command: Command, data: st.DataObject) -> None:
    # Without the checksum, which would keep every flipped byte from being looked at.
    payload = bytearray(unseal(encode(Commands(sent_at_s=1, commands=[signed(command)]))))
    found = re.search(rb"(?<=\[)\{.*\}(?=\])", payload)
    assert found is not None
    place = data.draw(st.integers(found.start(), found.end() - 1), "place")
    payload[place] ^= data.draw(st.integers(1, 255), "mask")
    try:
        message = decode(Channel.COMMANDS, bytes(payload))
    except WireError:
        return
    assert isinstance(message, Commands)
    for read in message.commands:
        assert isinstance(read, Unknown) or verify(read, keys) is not None


@given(COMMANDS, COMMANDS)
def test_two_commands_have_the_same_bytes_only_if_they_are_the_same(one: Command, other: Command) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@given(IDS, IDS, COUNTS)
def test_signature_for_one_meter_is_none_for_another(one: str, other: str, seq: int) -> None:
    command = signed(CreditCommand(meter=one, seq=seq, credit_total_micros=1, issued_at_s=1))
    assert verify(command, keys) is None
    expected = None if one == other else RefusalCode.BAD_SIGNATURE
    assert verify(command.model_copy(update={"meter": other}), keys) is expected


def test_master_keys_of_two_rings_do_not_stand_for_each_other() -> None:
    other = MasterKey(key="k1", secret="5b" * 32, sign_from_s=0)
    command = CreditCommand(meter="M1", seq=1, credit_total_micros=1, issued_at_s=1)
    assert verify(other.sign(command), keys) is RefusalCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"issued_at_s": 1},
        {"valid_until_s": 101},
        {"clock_tolerance_s": 6},
        {"protected": [[10, 20]]},
        {"protected": [[10, 20], [30, 41]]},
        {"protected": []},
    ],
)
def test_digest_covers_every_field_of_a_document(change: dict[str, Any]) -> None:
    document = PolicyDocument(
        version=1, issued_at_s=0, valid_until_s=100, clock_tolerance_s=5, protected=[[10, 20], [30, 40]]
    )
    assert set(change) <= set(PolicyDocument.model_fields)
    assert digest(document.model_copy(update=change)) != digest(document)
    assert digest(document.model_copy()) == digest(document)
