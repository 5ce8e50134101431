"""Named SQL statements, kept in `sql/*.sql` so that SQL reads as SQL.

A file holds statements headed by a line `-- name --`; comment lines after it describe the statement.
"""

import re
from pathlib import Path
from typing import Final

SQL_DIRECTORY: Final = Path(__file__).parent / "sql"

_HEAD = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def load_statements(*names: str) -> dict[str, str]:
    """The statements of the files of these names (without `.sql`), by statement name."""
    statements: dict[str, str] = {}
    for name in names:
        parts = _HEAD.split((SQL_DIRECTORY / f"{name}.sql").read_text(encoding="utf-8"))
        for title, body in zip(parts[1::2], parts[2::2], strict=True):
            assert title not in statements, f"two statements are called {title}"
            statements[title] = body.strip().rstrip(";")
    return statements
