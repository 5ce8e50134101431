"""The checksum at the end of a payload: how it is put there, and what it says. Bytes only; knows no message.

    payload = body + ',"crc":' + N + '}'          N = CRC-32/ISO-HDLC of the body, in decimal

It finds what was damaged on the way, by mistake: CRC-32 misses no change of up to 32 bits in a row. Whoever means
harm computes it anew; against those stand the signatures of commands.
"""

from typing import Final
from zlib import crc32

from headend.wire.errors import ErrorCode, WireError

FIELD: Final = "crc"
MAX_CRC: Final = 2**32 - 1

_LABEL: Final = b',"crc":'
_LONGEST: Final = len(_LABEL) + len(str(MAX_CRC)) + 1


def seal(document: bytes) -> bytes:
    """A JSON object of at least one member, with its checksum as the last one."""
    body = document[:-1]
    return b'%b,"crc":%d}' % (body, crc32(body))


def unseal(payload: bytes) -> bytes:
    """The JSON object without its checksum; the payload as it is where it ends with none.

    Raises:
        WireError: BAD_JSON without a frame number, which may be damaged as well: the checksum does not match.
    """
    place = payload.rfind(_LABEL, -_LONGEST)
    if place < 0:
        return payload
    digits = payload[place + len(_LABEL) : -1]
    if not (digits.isdigit() and payload.endswith(b"}")):
        return payload
    body = payload[:place]
    expected = crc32(body)
    if digits != b"%d" % expected:
        raise WireError(ErrorCode.BAD_JSON, f"crc is {digits.decode()}, of these bytes it is {expected}")
    return body + b"}"
