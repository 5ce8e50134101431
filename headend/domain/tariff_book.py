"""All tariffs of a utility: a day is priced by the tariff in force on it, whenever it is billed."""

from collections.abc import Sequence

from headend.domain.pricing import Pricer
from headend.domain.tariff import Tariff, tariff_on


class NoPrice(LookupError):  # noqa: N818 - reads as what it says
    """No tariff is in force on a day, or the one that is does not have the category: the day cannot be billed."""


class PriceBook:
    """Tariffs by their days. Pricers are made once for each tariff, category and sanctioned load."""

    __slots__ = ("_pricers", "_tariffs")

    def __init__(self, tariffs: Sequence[Tariff]) -> None:
        self._tariffs = tuple(sorted(tariffs, key=lambda tariff: tariff.from_day))
        days = {tariff.from_day for tariff in self._tariffs}
        assert len(days) == len(self._tariffs), "one tariff begins on a day"
        self._pricers: dict[tuple[int, str | None, int], Pricer] = {}

    def pricer(self, day: int, category: str | None, load_w: int) -> Pricer:
        """What a meter's day is priced by; category None: the tariff's default.

        Raises:
            NoPrice: no tariff is in force, or it does not have the category.
        """
        tariff = tariff_on(self._tariffs, day)
        if tariff is None:
            raise NoPrice("no tariff is in force yet")
        key = (tariff.from_day, category, load_w)
        found = self._pricers.get(key)
        if found is None:
            terms = tariff.category(category)
            if terms is None:
                raise NoPrice(f"tariff {tariff.name} version {tariff.version} has no category {category}")
            found = self._pricers[key] = Pricer(tariff, terms, load_w)
        return found
