"""The limits as numbers, because gateways in other languages have them written down as numbers."""

import json
from typing import Any

import pytest

from headend.wire import limits
from headend.wire.codec import decode
from headend.wire.errors import ErrorCode, WireError
from headend.wire.topics import Channel


def test_limits_are_those_of_version_1() -> None:
    assert limits.PROTOCOL_VERSION == 1
    assert limits.MAX_PAYLOAD_BYTES == 65_536
    assert limits.MAX_ROWS == 1_000
    assert limits.MAX_INTEGER == 9_007_199_254_740_991
    assert limits.MAX_DETAIL_CHARS == 500
    assert limits.ID_PATTERN == "^[A-Za-z0-9-]{1,32}$"


COUNTERS = {
    "meter": "M1",
    "reading_seq": 0,
    "register_wh": 0,
    "credit_seq": 0,
    "credit_total_micros": 0,
    "relay_version": 0,
    "relay": "closed",
}
COMMAND = {"kind": "credit", "meter": "M1", "seq": 1, "credit_total_micros": 0, "issued_at_s": 0}
RESULT = {
    "kind": "credit",
    "meter": "M1",
    "seq": 1,
    "credit_total_micros": 0,
    "outcome": "applied",
    "at_s": 0,
}


@pytest.mark.parametrize(
    ("channel", "column", "row", "most", "code"),
    [
        # A thousand counters, commands or results do not fit into 64 KiB, so there the size is met first.
        (Channel.HELLO, "meters", COUNTERS, 400, ErrorCode.TOO_LARGE),
        (Channel.COMMANDS, "commands", COMMAND, 700, ErrorCode.TOO_LARGE),
        (Channel.RESULTS, "results", RESULT, 600, ErrorCode.TOO_LARGE),
        (Channel.RECEIPTS, "receipts", {"frame": 1, "outcome": "accepted"}, 1_000, ErrorCode.BAD_MESSAGE),
    ],
)
def test_rows_are_limited_by_number_or_size(
    channel: Channel, column: str, row: dict[str, Any], most: int, code: ErrorCode
) -> None:
    def payload(rows: int) -> bytes:
        message = {"v": 1, "frame": 1, "sent_at_s": 0, column: [row] * rows}
        return json.dumps(message, separators=(",", ":")).encode()

    decode(channel, payload(most))
    with pytest.raises(WireError) as caught:
        decode(channel, payload(1_001))
    assert caught.value.code is code


def test_an_unknown_field_nests_up_to_200_levels() -> None:
    def payload(levels: int) -> bytes:
        return b'{"v":1,"online":true,"x":' + b"[" * levels + b"]" * levels + b"}"

    decode(Channel.STATUS, payload(200))
    with pytest.raises(WireError) as caught:
        decode(Channel.STATUS, payload(201))
    assert caught.value.code is ErrorCode.BAD_JSON
