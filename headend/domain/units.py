"""Money at the edge: rupees as people write them, micros everywhere else.

1 rupee is 1,000,000 micros, so that Wh times a price is exact: Rs 4.12 per kWh is 4,120 micros per Wh.
"""

import re
from typing import Final

MICROS_PER_RUPEE: Final = 1_000_000
MICROS_PER_PAISA: Final = 10_000

MAX_AMOUNT_MICROS: Final = 1_000_000 * MICROS_PER_RUPEE
"""Largest single recharge that is believed: Rs 10 lakh. Above it, a slip of the keyboard is likelier."""

MAX_TOTAL_MICROS: Final = 2**53 - 1
"""Most that one meter is ever credited in all: the largest integer that every reader of the wire holds exactly."""

_RUPEES = re.compile(r"(?P<rupees>[0-9]{1,12})(\.(?P<paise>[0-9]{1,2}))?")


def parse_rupees(text: str) -> int:
    """Read an amount of rupees with at most two decimals, as micros.

    Raises:
        ValueError: not a plain decimal number, or not above 0, or above `MAX_AMOUNT_MICROS`.
    """
    match = _RUPEES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an amount of rupees such as 250 or 99.50")
    paise = (match["paise"] or "").ljust(2, "0")
    amount_micros = int(match["rupees"]) * MICROS_PER_RUPEE + int(paise) * MICROS_PER_PAISA
    if amount_micros == 0:
        raise ValueError(f"the amount {text} must be above 0")
    if amount_micros > MAX_AMOUNT_MICROS:
        raise ValueError(f"the amount {text} must be at most {format_rupees(MAX_AMOUNT_MICROS)} rupees")
    return amount_micros


def format_rupees(amount_micros: int) -> str:
    """An amount for people, to the paisa; a fraction of a paisa is dropped towards zero."""
    sign = "-" if amount_micros < 0 else ""
    paise = abs(amount_micros) // MICROS_PER_PAISA
    return f"{sign if paise else ''}{paise // 100:,}.{paise % 100:02d}"


def decimal_rupees(amount_micros: int) -> str:
    """An amount for machines: all of it, with two decimals at least and six at most."""
    sign = "-" if amount_micros < 0 else ""
    rupees, micros = divmod(abs(amount_micros), MICROS_PER_RUPEE)
    decimals = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{rupees}.{decimals}"
