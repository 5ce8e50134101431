"""Batches: lines of a file or of standard input, each dealt with as soon as it is there."""

from collections.abc import Iterator
from pathlib import Path

from headend.cli.meters import opened_file
from headend.errors import HeadendError


def batch_lines(batch: Path, form: str) -> Iterator[tuple[int, str]]:
    """(number, line) of each line that says something; `form` is what it has to look like.

    Raises:
        HeadendError: the file cannot be read, or it says nothing at all.
    """
    says_something = False
    with opened_file(batch) as lines:
        # Line by line: to iterate over the file would wait for more than one.
        for number, line in enumerate(iter(lines.readline, ""), start=1):
            if line.strip():
                says_something = True
                yield number, line
    if not says_something:
        raise HeadendError(f"{batch} has no line {form}")
