"""The keys of the fleet's meters, in place of what is written into real meters when they are made.

Each meter's keys are derived from the head-end's key ring file when a command has to be verified. A real meter
holds its own derived keys only.
"""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from headend.wire.errors import RefusalCode
from headend.wire.keys import KeyRing
from headend.wire.messages import Command
from headend.wire.signing import Purpose, verify

REREAD_S: Final = 2.0
"""After an unknown key, wall seconds until the file is read again for another one."""


class FleetKeys:
    """The key ring in a file, read again when a command names a key that is not in it."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ValueError: it is no key ring; OSError: it cannot be read.
        """
        self._path = path
        self._ring = _read(path)
        self._read_at_s = float("-inf")

    def refusal(self, command: Command, clock_s: int, monotonic_s: float) -> RefusalCode | None:
        """Why a meter whose clock says `clock_s` refuses a command for its signature; None: it holds."""

        def meter_key(key: str, purpose: Purpose, meter: str) -> bytes | None:
            return self._ring.meter_key(key, purpose, meter, clock_s)

        refusal = verify(command, meter_key)
        if refusal is RefusalCode.UNKNOWN_KEY and monotonic_s >= self._read_at_s + REREAD_S:
            self._read_at_s = monotonic_s
            try:
                self._ring = _read(self._path)
            except (ValueError, OSError):
                return refusal  # being replaced, or broken: the keys known so far go on
            refusal = verify(command, meter_key)
        return refusal


def _read(path: Path) -> KeyRing:
    try:
        return KeyRing.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path} is no key ring: {where or 'file'}: {first['msg']}") from None
