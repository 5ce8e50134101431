"""How far a long command is, for people at a terminal; nothing for files and pipes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called with the count so far."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return

    def tell(count: int) -> None:
        sys.stderr.write(f"\r{count:,} {what}")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write("\n")
