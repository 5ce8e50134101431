"""Bytes to messages and back. What cannot be read becomes a `WireError` with the code for the receipt."""

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from headend.wire.errors import ErrorCode, WireError
from headend.wire.limits import MAX_PAYLOAD_BYTES, PROTOCOL_VERSION
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

_ANY_JSON: Final = TypeAdapter[Any](Any)


def encode(message: BaseModel) -> bytes:
    """A message as UTF-8 JSON, without fields that are null or empty by default."""
    return message.__pydantic_serializer__.to_json(message, exclude_none=True)


def decode(channel: Channel, payload: bytes) -> UpMessage | DownMessage:
    """Read a payload of a channel.

    Raises:
        WireError: TOO_LARGE, BAD_JSON, UNKNOWN_VERSION or BAD_MESSAGE.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(ErrorCode.TOO_LARGE, f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    try:
        return MESSAGE_OF[channel].model_validate_json(payload)
    except ValidationError as error:
        raise _diagnosis(payload, error) from error


def _diagnosis(payload: bytes, error: ValidationError) -> WireError:
    """Why a payload was not read. Only on the way of failure, so it may read the payload a second time."""
    try:
        content = _ANY_JSON.validate_json(payload)
    except ValidationError as bad_json:
        return WireError(ErrorCode.BAD_JSON, bad_json.errors()[0]["msg"])
    if not isinstance(content, dict):
        return WireError(ErrorCode.BAD_MESSAGE, "the payload is not a JSON object")
    number = content.get("frame")
    frame = number if type(number) is int and number > 0 else None
    version = content.get("v", PROTOCOL_VERSION)
    if version != PROTOCOL_VERSION:
        return WireError(ErrorCode.UNKNOWN_VERSION, f"v is {version!r:.40}; this end speaks 1", frame)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return WireError(ErrorCode.BAD_MESSAGE, f"{where}: {first['msg']}"[:400], frame)
