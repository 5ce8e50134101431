"""The golden messages against our own codec, topics and JSON Schemas."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic_core import from_json

from headend.wire.codec import decode, encode
from headend.wire.errors import ErrorCode, RefusalCode, RowCode, WireError
from headend.wire.limits import MAX_PAYLOAD_BYTES
from headend.wire.messages import Receipt, ReceiptOutcome
from headend.wire.publish import schema
from headend.wire.topics import Address, Channel, parse_topic

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_bytes())["cases"]
VALID = [case for case in CASES if case["expect"]["outcome"] == "ok"]
INVALID = [case for case in CASES if case["expect"]["outcome"] == "error"]


def payload_of(case: dict[str, Any]) -> bytes:
    if "file" in case:
        return Path(GOLDEN, case["file"]).read_bytes()
    recipe = case["generate"]
    return Path(GOLDEN, recipe["start"]).read_bytes().ljust(recipe["to_bytes"], recipe["pad_with"].encode())


def each(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def channel_of(case: dict[str, Any]) -> Channel:
    """By the last levels, so that a payload under a bad topic still has a schema to look at."""
    try:
        return parse_topic(case["topic"])[1]
    except WireError:
        return Channel.READINGS


@each(VALID)
def test_valid_message_is_read_as_the_index_says(case: dict[str, Any]) -> None:
    address, channel = parse_topic(case["topic"])
    assert address.topic(channel) == case["topic"]
    content = decode(channel, payload_of(case)).model_dump(mode="json", exclude_none=True)
    fields = case["expect"]["fields"]
    assert fields
    assert {name: content.get(name) for name in fields} == fields


@each(VALID)
def test_valid_message_survives_a_round_trip(case: dict[str, Any]) -> None:
    _, channel = parse_topic(case["topic"])
    message = decode(channel, payload_of(case))
    again = encode(message)
    assert decode(channel, again) == message
    assert list(Draft202012Validator(schema(channel)).iter_errors(json.loads(again))) == []


@each(INVALID)
def test_invalid_message_is_refused_with_the_code_of_the_index(case: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode(parse_topic(case["topic"])[1], payload_of(case))
    expect = case["expect"]
    assert (caught.value.code, caught.value.frame) == (ErrorCode(expect["code"]), expect["frame"])
    # Whatever a peer sends, the answer can be written.
    Receipt(
        frame=caught.value.frame,
        outcome=ReceiptOutcome.REFUSED,
        code=caught.value.code,
        detail=caught.value.detail,
    )


@each(CASES)
def test_json_schema_says_what_the_index_says(case: dict[str, Any]) -> None:
    try:
        # As strict as RFC 8259 asks for; Python alone would take NaN and half surrogates.
        content = from_json(payload_of(case), allow_inf_nan=False)
    except ValueError:
        assert case["schema"] == "not JSON"
        return
    accepts = ecma_validator(channel_of(case)).is_valid(content)
    assert case["schema"] == ("accepts" if accepts else "refuses")


def ecma_validator(channel: Channel) -> Draft202012Validator:
    """JSON Schema's patterns are ECMA's, where `$` is the very end; Python's `$` is not."""
    document = re.sub(r'(?<=\})\$"', r'\\\\Z"', json.dumps(schema(channel)))
    assert ("\\\\Z" in document) == ("A-Za-z0-9-" in document)
    return Draft202012Validator(json.loads(document))


def test_index_and_folders_agree() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)
    stored = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*valid/*")}
    assert {case["file"] for case in CASES if "file" in case} == stored
    for case in CASES:
        folder = "valid" if case in VALID else "invalid"
        assert case.get("file", f"{folder}/{case['name']}.json") == f"{folder}/{case['name']}.json"
        assert case["why"].endswith((".", ".)"))


def test_every_channel_has_valid_and_invalid_cases_and_an_example() -> None:
    topics = {channel: Address("R1", "G1").topic(channel) for channel in Channel}
    for topic in topics.values():
        assert [case for case in VALID if case["topic"] == topic and case.get("example")], topic
        assert [case for case in INVALID if case["topic"] == topic], topic


def test_every_code_on_the_wire_occurs() -> None:
    # UNKNOWN_GATEWAY is not about the form of a message: it occurs in a receipt.
    codes = {case["expect"]["code"] for case in INVALID}
    assert codes == set(ErrorCode) - {ErrorCode.UNKNOWN_GATEWAY}
    valid = b"".join(payload_of(case) for case in VALID).decode()
    for code in (*RowCode, *RefusalCode, ErrorCode.UNKNOWN_GATEWAY):
        assert f'"{code}"' in valid


def test_generated_payloads_stand_at_the_limit() -> None:
    sizes = {case["name"]: len(payload_of(case)) for case in CASES if "generate" in case}
    assert sizes == {"readings-65536-bytes": MAX_PAYLOAD_BYTES, "too-large": MAX_PAYLOAD_BYTES + 1}
