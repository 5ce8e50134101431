"""Output for people and for machines."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from headend.domain.calendar import iso_text


def print_json(content: Any) -> None:
    """One JSON document."""
    print(json.dumps(content, ensure_ascii=False, indent=2, default=str))


def print_json_line(content: Any) -> None:
    """One JSON document on one line, at once."""
    print(json.dumps(content, ensure_ascii=False, default=str), flush=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; numbers to the right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    content = [[str(value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(content) and all(_is_number(row[index]) for row in content)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in content:
        table.add_row(*row)
    # Without a terminal a table has the width that it needs, so that no line is broken.
    console = Console()
    (console if console.is_terminal else Console(width=10_000)).print(table)


def as_json(row: Any, **more: Any) -> dict[str, Any]:
    """A row for machines: every `..._at_s` also as an ISO time under `..._at`."""
    content = dataclasses.asdict(row)
    for name in [name for name in content if name.endswith(("_at_s", "as_of_s"))]:
        content[name.removesuffix("_s")] = iso_text(content[name])
    return content | more


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("-").isdigit() or text in ("-", "")
