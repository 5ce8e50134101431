"""Versions of the tariff in the store: dated, and immutable once a day was charged by them."""

from dataclasses import replace

import pytest
from plain_rules import plain_tariff
from unit.service.bench import DAY, PRICE, Bench

from headend.domain.tariff import Tariff
from headend.service.tariffs import ImportOutcome, import_tariff


def put(bench: Bench, tariff: Tariff) -> ImportOutcome:
    with bench.store.transaction() as uow:
        done = import_tariff(tariff, "clerk", "test", uow, bench.clock.now_s())
    bench.store.news = True
    bench.run()
    return done


def versions(bench: Bench) -> list[tuple[int, int, bool]]:
    """(version, first day counted from the bench's first, used) of each."""
    with bench.store.view() as uow:
        return [
            (row.tariff.version, row.tariff.from_day - DAY, row.used_at_s is not None) for row in uow.tariffs()
        ]


def test_the_rules_own_tariff_is_the_first(online: Bench) -> None:
    assert versions(online) == [(1, 1 - DAY, False)]
    online.start()
    online.connect()
    assert len(versions(online)) == 1


def test_a_tariff_holds_from_its_day_on(online: Bench) -> None:
    assert put(online, plain_tariff(2 * PRICE, DAY + 1, 2)) is ImportOutcome.IMPORTED
    online.midnight(("M1", 2, 1, 300), ("M1", 1, 0, 100))
    online.run()
    assert [amount for _, amount in online.charges("M1")] == [100 * PRICE, 200 * 2 * PRICE]
    assert versions(online) == [(1, 1 - DAY, True), (2, 1, True)]


def test_the_same_again_changes_nothing(online: Bench) -> None:
    assert put(online, plain_tariff(2 * PRICE, DAY + 1, 2)) is ImportOutcome.IMPORTED
    assert put(online, plain_tariff(2 * PRICE, DAY + 1, 2)) is ImportOutcome.EXISTS
    assert len(online._query("SELECT 1 FROM act WHERE kind = 'TARIFF_IMPORTED' AND actor = 'clerk'")) == 1


def test_one_that_no_day_was_charged_by_can_be_replaced(online: Bench) -> None:
    put(online, plain_tariff(2 * PRICE, DAY + 1, 2))
    assert put(online, plain_tariff(3 * PRICE, DAY + 1, 3)) is ImportOutcome.REPLACED
    online.midnight(("M1", 1, 0, 100), ("M1", 2, 1, 200))
    online.run()
    assert [amount for _, amount in online.charges("M1")] == [100 * PRICE, 100 * 3 * PRICE]


@pytest.mark.parametrize(
    ("from_day", "outcome"),
    [(1 - DAY, ImportOutcome.IN_USE), (0, ImportOutcome.TOO_LATE), (1, ImportOutcome.IMPORTED)],
)
def test_charged_days_keep_their_prices(online: Bench, from_day: int, outcome: ImportOutcome) -> None:
    online.midnight(("M1", 1, 0, 100))
    online.run()
    before = versions(online)
    assert put(online, replace(plain_tariff(2 * PRICE, DAY + from_day), version=2)) is outcome
    assert (versions(online) == before) is (outcome is not ImportOutcome.IMPORTED)
    assert online.violations() == []


def test_a_day_before_the_first_tariff_stays_open_and_is_listed() -> None:
    bench = Bench()
    with bench.store.transaction() as uow:
        import_tariff(plain_tariff(PRICE, DAY + 1), "clerk", "test", uow, bench.clock.now_s())
    bench.register("M1")
    bench.connect()
    bench.midnight(("M1", 1, 0, 100), ("M1", 2, 1, 200))
    bench.run()
    assert bench.charges("M1") == []
    assert bench.exception_kinds() == [("M1", "NO_PRICE")]
    assert put(bench, plain_tariff(PRICE, DAY, 2)) is ImportOutcome.IMPORTED
    assert len(bench.charges("M1")) == 2
    bench.store.close()
