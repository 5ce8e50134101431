"""Errors for people, and the exit statuses of the command line."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command's exit status means. 0 is success; 2 is also what typer answers to bad usage."""

    CHECK_FAILED = 1
    BAD_INPUT = 2
    UNKNOWN_METER = 3
    EXISTS_DIFFERENT = 4
    STORE = 5
    BROKER = 6
    REFUSED = 7


class HeadendError(Exception):
    """Something that the user can mend: the message says what was wrong, where, and what to do."""

    def __init__(self, message: str, exit_status: ExitStatus = ExitStatus.BAD_INPUT) -> None:
        super().__init__(message)
        self.exit_status = exit_status
