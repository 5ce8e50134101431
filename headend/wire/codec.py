"""Bytes to messages and back. What cannot be read becomes a `WireError` with the code for the receipt."""

from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from headend.wire.checksum import FIELD, seal, unseal
from headend.wire.errors import ErrorCode, WireError
from headend.wire.limits import MAX_INTEGER, MAX_PAYLOAD_BYTES, PROTOCOL_VERSION
from headend.wire.messages import (
    Commands,
    DownMessage,
    Hello,
    Readings,
    Receipts,
    Request,
    Results,
    Status,
    UpMessage,
)
from headend.wire.topics import Channel

MESSAGE_OF: Final[dict[Channel, type[UpMessage] | type[DownMessage]]] = {
    Channel.HELLO: Hello,
    Channel.READINGS: Readings,
    Channel.RESULTS: Results,
    Channel.STATUS: Status,
    Channel.COMMANDS: Commands,
    Channel.RECEIPTS: Receipts,
    Channel.REQUESTS: Request,
}


def encode(message: BaseModel) -> bytes:
    """A message as UTF-8 JSON, without fields that are null, and with its checksum."""
    return seal(message.__pydantic_serializer__.to_json(message, exclude_none=True))


def decode(channel: Channel, payload: bytes) -> UpMessage | DownMessage:
    """Read a payload of a channel. A checksum is verified where there is one, and is no part of the message.

    Raises:
        WireError: TOO_LARGE, BAD_JSON, UNKNOWN_VERSION or BAD_MESSAGE.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(ErrorCode.TOO_LARGE, f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    document = unseal(payload)
    # NaN and Infinity are not JSON, but the parser takes them in fields that no model knows. They can stand
    # in a text as well (a meter may be called NaN), so a hit is looked at, not refused. One byte is found
    # about 20 times as fast as three, so it goes first.
    if (b"N" in document and b"NaN" in document) or (b"I" in document and b"Infinity" in document):
        _parse(document)
    try:
        message = MESSAGE_OF[channel].model_validate_json(document)
    except ValidationError as error:
        raise _diagnosis(document, error) from error
    if message.crc is not None or "v" not in message.model_fields_set:
        raise _diagnosis(document, None)
    return message


def _parse(document: bytes) -> Any:
    try:
        return from_json(document, allow_inf_nan=False)
    except ValueError as error:
        raise WireError(ErrorCode.BAD_JSON, str(error)) from error


def _diagnosis(document: bytes, error: ValidationError | None) -> WireError:
    """Why a document was not read. Only on the way of failure, so it may read the document a second time.

    Without an error of validation, what was wrong is that a checksum was left in it, or that `v` is missing.
    """
    try:
        content = _parse(document)
    except WireError as bad_json:
        return bad_json
    if not isinstance(content, dict):
        return WireError(ErrorCode.BAD_MESSAGE, "the payload is not a JSON object")
    if content.get(FIELD) is not None:
        # It may have been a checksum before it was damaged, and the frame number with it: name no frame.
        return WireError(ErrorCode.BAD_JSON, f'{FIELD} is not the last member, as ,"{FIELD}":N}} without spaces')
    number = content.get("frame")
    frame = number if type(number) is int and 1 <= number <= MAX_INTEGER else None
    version = content.get("v")
    if error is None or type(version) is not int or version != PROTOCOL_VERSION:
        found = f"v is {version!r:.40}" if "v" in content else "v is missing"
        return WireError(ErrorCode.UNKNOWN_VERSION, f"{found}; this end speaks {PROTOCOL_VERSION}", frame)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return WireError(ErrorCode.BAD_MESSAGE, f"{where}: {first['msg']}", frame)
