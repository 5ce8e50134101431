"""How amounts are written in rules files, and the whole numbers that they are in the program: exact.

Money is written in the currency's unit (4.12), energy in kWh, shares in percent, times of day as "17:30".
"""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros or an exponent, so that equal documents are equal texts."""
    return Decimal(f"{value.normalize():f}")


def _is_time(text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text[:20]!r} is not a time of day such as 17:30")
    return text


Exact = Annotated[Decimal, AfterValidator(_plain)]
Money = Annotated[Exact, Field(ge=0, le=1_000_000, decimal_places=6)]
Energy = Annotated[Exact, Field(ge=0, le=1_000_000, decimal_places=3)]
Percent = Annotated[Exact, Field(ge=0, le=100, decimal_places=2)]
Change = Annotated[Exact, Field(ge=-100, le=1_000, decimal_places=2)]
TimeOfDay = Annotated[str, AfterValidator(_is_time)]


def micros(amount: Decimal) -> int:
    """An amount of money in micros."""
    return int(amount * 1_000_000)


def watt_hours(energy: Decimal) -> int:
    """An amount of energy in Wh."""
    return int(energy * 1_000)


def basis_points(share: Decimal) -> int:
    """A share in basis points."""
    return int(share * 100)


def minute_of_day(text: str) -> int:
    """A time of day in minutes since midnight."""
    return int(text[:2]) * 60 + int(text[3:])


def number(count: int, divisor: int) -> Decimal:
    """The way back: so many micros, Wh or basis points as they are written."""
    return _plain(Decimal(count) / divisor)
