"""The tariff's versions as the store keeps them: importing one, and what a day costs by the one in force."""

from collections.abc import Sequence
from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.domain.pricing import Pricer
from headend.domain.tariff import Tariff
from headend.domain.tariff_book import PriceBook
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import TariffRow, Terms


def prices_at_hand(own: Tariff, uow: UnitOfWork) -> PriceBook:
    """The prices of all imported tariffs; where none was ever imported, those of the rules' own."""
    return PriceBook([row.tariff for row in uow.tariffs()] or [own])


class TariffBook:
    """The versions at hand, with the keys that the store has for them."""

    def __init__(self, rows: Sequence[TariffRow]) -> None:
        self._rows = list(rows)
        self._prices = PriceBook([row.tariff for row in rows])
        self._pricers: dict[tuple[int, str | None, int], tuple[int, Pricer]] = {}

    @property
    def prices(self) -> PriceBook:
        """The prices of every day."""
        return self._prices

    def pricer(self, terms: Terms, day: int) -> tuple[int, Pricer]:
        """What prices a day by these terms, and the key of its tariff.

        Raises:
            NoPrice: no version is in force, or the one that is does not have the category.
        """
        key = (day, terms.category, terms.load_w)
        found = self._pricers.get(key)
        if found is None:
            pricer = self._prices.pricer(day, terms.category, terms.load_w)
            row = next(row for row in reversed(self._rows) if row.tariff.from_day <= day)
            found = self._pricers[key] = row.tariff_key, pricer
        return found

    def band_minutes(self) -> set[int]:
        """The local minutes of the day at which some category's time band begins, midnight aside."""
        return {
            band.from_minute
            for row in self._rows
            for category in row.tariff.categories
            for band in category.bands[1:]
        }


class ImportOutcome(StrEnum):
    """What came of importing a version of the tariff."""

    IMPORTED = "IMPORTED"
    EXISTS = "EXISTS"
    REPLACED = "REPLACED"
    IN_USE = "IN_USE"
    """Days were charged by another version with the same first day: it cannot be changed any more."""
    NUMBER_TAKEN = "NUMBER_TAKEN"
    """Another first day has this name and version."""
    TOO_LATE = "TOO_LATE"
    """Days from its first day on were charged by the version before: begin later."""


def import_tariff(tariff: Tariff, actor: str, reason: str, uow: UnitOfWork, now_s: int) -> ImportOutcome:
    """Enter a version of the tariff. The same again changes nothing; one that was charged by never changes."""
    rows = uow.tariffs()
    same_day = next((row for row in rows if row.tariff.from_day == tariff.from_day), None)
    if same_day is not None and same_day.tariff == tariff:
        return ImportOutcome.EXISTS
    if same_day is not None and same_day.used_at_s is not None:
        return ImportOutcome.IN_USE
    if rows and tariff.from_day <= uow.last_charged_day():
        return ImportOutcome.TOO_LATE
    others = [row.tariff for row in rows if row is not same_day]
    if any((other.name, other.version) == (tariff.name, tariff.version) for other in others):
        return ImportOutcome.NUMBER_TAKEN
    uow.put_tariff(tariff, actor, now_s)
    uow.look_at_all_again()
    basis = {"version": tariff.version, "from_day": tariff.from_day}
    uow.record_act(Act(now_s, actor, ActKind.TARIFF_IMPORTED, f"tariff/{tariff.name}", reason, basis))
    return ImportOutcome.IMPORTED if same_day is None else ImportOutcome.REPLACED


def ensure_tariff(tariff: Tariff, uow: UnitOfWork, now_s: int) -> None:
    """Enter the rules' own tariff where there is none yet."""
    if not uow.tariffs():
        import_tariff(tariff, "headend", "the first tariff is that of the rules", uow, now_s)
