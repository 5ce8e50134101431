"""What a peer can do wrong, as codes that travel on the wire. The full table is in `docs/gateway.md`."""

from enum import StrEnum

from headend.wire.limits import MAX_DETAIL_CHARS


class ErrorCode(StrEnum):
    """Why a whole message was not accepted; travels in a receipt."""

    BAD_TOPIC = "BAD_TOPIC"
    TOO_LARGE = "TOO_LARGE"
    BAD_JSON = "BAD_JSON"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    BAD_MESSAGE = "BAD_MESSAGE"
    UNKNOWN_GATEWAY = "UNKNOWN_GATEWAY"


class RowCode(StrEnum):
    """Why one meter's row of an accepted message was not used; travels in a receipt."""

    UNKNOWN_METER = "UNKNOWN_METER"
    OTHER_GATEWAY = "OTHER_GATEWAY"
    REGISTER_WENT_BACK = "REGISTER_WENT_BACK"
    NOT_MIDNIGHT = "NOT_MIDNIGHT"
    SNAPSHOT_DIFFERS = "SNAPSHOT_DIFFERS"


class RefusalCode(StrEnum):
    """Why a meter or its gateway did not carry out a command; travels in a result."""

    UNKNOWN_METER = "UNKNOWN_METER"
    TOTAL_WENT_BACK = "TOTAL_WENT_BACK"
    OLDER_VERSION = "OLDER_VERSION"
    EXPIRED = "EXPIRED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    FUTURE_DATED = "FUTURE_DATED"
    PROTECTED = "PROTECTED"
    POLICY_EXPIRED = "POLICY_EXPIRED"
    CLOCK_DOUBTFUL = "CLOCK_DOUBTFUL"


class WireError(Exception):
    """A peer broke the contract.

    `code` travels in the receipt; `detail` says what and where, for a person, and fits into a receipt;
    `frame` is the number of the frame at fault where it could still be read.
    """

    def __init__(self, code: ErrorCode, detail: str, frame: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail[:MAX_DETAIL_CHARS]
        self.frame = frame
