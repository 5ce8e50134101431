"""The file by which a laboratory reaches into a running fleet. Owns its form, and when it is read again.

    {"clock_offsets": {"G0001": 3600, "G0002": -1700000000}}

`clock_offsets`: seconds by which the clocks of all meters behind a gateway are ahead (below 0: behind), besides
what they are off by themselves. Whoever writes the file replaces it in one piece; without it nothing is off.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_OFFSET_S: Final = 10_000_000_000

Offset = Annotated[int, Field(ge=-MOST_OFFSET_S, le=MOST_OFFSET_S)]


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    clock_offsets: dict[str, Offset] = {}


class Control:
    """Looks at the file; cheap enough for every step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> Mapping[str, int] | None:
        """The offsets by gateway, if the file is another one than at the last look; else None.

        Raises:
            ValueError: what it holds is not the form above.
        """
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return None
            content = self._path.read_bytes()
        except FileNotFoundError:
            if self._seen is None:
                return None
            seen, content = None, b"{}"
        self._seen = seen
        try:
            return _Content.model_validate_json(content).clock_offsets
        except ValidationError as error:
            raise ValueError(f"{self._path}: {error}") from error
