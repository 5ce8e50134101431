"""Festivals and bank holidays from the `holidays` package, as plain days for the protected calendar.

The package knows movable festivals (Diwali, Chhath, Eid) for a span of years only, and says so by a warning: what
it does not know is not taken for an ordinary day. Its dates can be a day off: those of the Islamic calendar are
estimates for years to come, and of Chhath's four days it names that of the evening in 2024, of the next morning in
2025. So a festival that matters gets days around it, and a moratorium covers what is announced otherwise.
"""

import warnings
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from holidays import country_holidays

from headend.domain.protected_hours import Festivals
from headend.errors import HeadendError

YEARS: Final = range(2015, 2051)
"""Years that are asked for: from before the first smart meter to beyond the last of today's."""


def festivals(
    country: str,
    subdivision: str | None,
    categories: Iterable[str],
    around_days: Mapping[str, int],
    years: range = YEARS,
) -> Festivals:
    """All festivals of a country's subdivision, as far as they are known without a gap from the first year.

    `around_days`: for a word in a festival's name, how many days before and after it are festival too.

    Raises:
        HeadendError: a country, subdivision or category that the package does not have; no year known.
    """
    names: dict[int, str] = {}
    known = years.start
    for year in years:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                of_year = country_holidays(country, subdiv=subdivision, years=year, categories=tuple(categories))
        except (NotImplementedError, ValueError) as error:
            raise HeadendError(f"festivals of {country} {subdivision or ''}: {error}") from error
        except UserWarning:
            break
        names |= {day.toordinal(): name for day, name in of_year.items()}
        known = year + 1
    if known == years.start:
        raise HeadendError(f"festivals of {country} {subdivision or ''} are not known for {years.start}")
    around = {
        near: name
        for day, name in names.items()
        for word, days in around_days.items()
        if word in name
        for near in range(day - days, day + days + 1)
    }
    return Festivals(around | names, date(years.start, 1, 1).toordinal(), date(known, 1, 1).toordinal() - 1)
