"""Every kind has advice; silent meters and open relays are listed once, and closed when it is over."""

from collections.abc import Iterator

import pytest
from plain_rules import plain_tariff
from unit.service.fleet_of_rows import DAY, NOON_S, ZONE, key_of, read, store_with

from headend.adapters.sqlite import SqliteStore
from headend.domain.delivery import DeliveryKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.exceptions import (
    ADVICE,
    list_days_not_settled,
    list_open_without_order,
    list_silent_meters,
)
from headend.service.journal import HEADEND_SUBJECT, OutageKind
from headend.service.ports import UnitOfWork
from headend.service.settle import settle_days
from headend.service.tariffs import ensure_tariff

HOUR = 3_600


@pytest.fixture
def uow() -> Iterator[UnitOfWork]:
    store: SqliteStore = store_with("M1", "M2")
    with store.transaction() as unit:
        yield unit
    store.close()


def silent(uow: UnitOfWork, now_s: int, limit: int = 10) -> int:
    return list_silent_meters(uow, ZONE, now_s, 24 * HOUR, limit)


def open_exceptions(uow: UnitOfWork) -> list[tuple[str, str]]:
    return [(row.meter, row.kind) for row in uow.exceptions(None, 10)]


def test_every_kind_has_advice() -> None:
    assert ADVICE.keys() == set(ExceptionKind)
    assert all(ADVICE.values())


def test_no_sweeps_exception_holds_a_delivery() -> None:
    swept = (ExceptionKind.METER_SILENT, ExceptionKind.OPEN_WITHOUT_ORDER, ExceptionKind.COMMAND_REJECTED)
    assert not [kind for kind in swept if kind.startswith(tuple(DeliveryKind))]


def test_silent_meter_is_listed_once_and_closed_when_it_reports(uow: UnitOfWork) -> None:
    read(uow, "M1", 1, NOON_S, 100)
    read(uow, "M2", 1, NOON_S + 20 * HOUR, 100)
    assert silent(uow, NOON_S + 24 * HOUR) == 0
    assert silent(uow, NOON_S + 25 * HOUR) == 1
    assert silent(uow, NOON_S + 26 * HOUR) == 0
    assert open_exceptions(uow) == [("M1", "METER_SILENT")]
    read(uow, "M1", 2, NOON_S + 26 * HOUR, 200)
    assert silent(uow, NOON_S + 27 * HOUR) == 0
    assert open_exceptions(uow) == []
    (closed,) = uow.exceptions("M1", 10, resolved=True)
    assert (closed.resolved_at_s, closed.resolved_by) == (NOON_S + 27 * HOUR, "headend")


def test_meter_that_never_reported_is_listed_too(uow: UnitOfWork) -> None:
    assert silent(uow, NOON_S + 23 * HOUR) == 0
    assert silent(uow, NOON_S + 48 * HOUR) == 2


def test_silence_does_not_count_while_we_are_deaf(uow: UnitOfWork) -> None:
    read(uow, "M1", 1, NOON_S, 100)
    read(uow, "M2", 1, NOON_S, 100)
    uow.begin_outage(OutageKind.BROKER_LINK, "broker", "refused", NOON_S + HOUR)
    assert silent(uow, NOON_S + 72 * HOUR) == 0
    uow.end_outage(OutageKind.BROKER_LINK, "broker", NOON_S + 72 * HOUR)
    assert silent(uow, NOON_S + 95 * HOUR) == 0
    read(uow, "M2", 2, NOON_S + 80 * HOUR, 200)
    assert silent(uow, NOON_S + 97 * HOUR) == 1
    uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S + 98 * HOUR)
    assert silent(uow, NOON_S + 200 * HOUR) == 0


def test_day_that_cannot_be_settled_is_listed_once_a_later_one_is_known(uow: UnitOfWork) -> None:
    def listed(hours: int) -> int:
        return list_days_not_settled(uow, ZONE, NOON_S + hours * HOUR, 24 * HOUR, 10)

    ensure_tariff(plain_tariff(4), uow, NOON_S)
    key = key_of(uow, "M1")
    assert listed(80) == 0, "nothing is known of a later day: it is silent, and listed as that"
    uow.add_snapshots([(key, DAY + 1, 300)])
    assert listed(35) == 0
    assert listed(36) == 1
    assert listed(37) == 0
    (row,) = uow.exceptions("M1", 10)
    assert row.detail.startswith("2024-10-30 is not settled: its register at midnight")
    uow.add_snapshots([(key, DAY, 100)])
    settle_days(10**6, uow, 0, DAY + 2, NOON_S + 38 * HOUR, 10)
    assert listed(38) == 0
    assert open_exceptions(uow) == []


@pytest.mark.parametrize(
    ("detail", "listed"),
    [
        ("reading 1099511627776: 10 Wh; not used", 1),
        ("2024-10-31 closes at 9 Wh", 1),
        ("2024-10-30 closes at 9 Wh", 0),
    ],
)
def test_missing_register_is_listed_unless_the_day_itself_jumped(
    uow: UnitOfWork, detail: str, listed: int
) -> None:
    uow.add_snapshots([(key_of(uow, "M1"), DAY + 1, 300)])
    uow.add_exception(ExceptionKind.IMPLAUSIBLE_JUMP, key_of(uow, "M1"), detail, NOON_S)
    assert list_days_not_settled(uow, ZONE, NOON_S + 36 * HOUR, 24 * HOUR, 10) == listed


def test_silent_meters_are_listed_up_to_the_limit(uow: UnitOfWork) -> None:
    assert silent(uow, NOON_S + 48 * HOUR, limit=1) == 1
    assert silent(uow, NOON_S + 48 * HOUR, limit=1) == 1
    assert silent(uow, NOON_S + 48 * HOUR, limit=1) == 0


def test_relay_open_without_an_order_is_listed_and_closed_again(uow: UnitOfWork) -> None:
    read(uow, "M1", 1, NOON_S, 100, relay_open=True)
    assert list_open_without_order(uow, NOON_S, 10) == 1
    assert list_open_without_order(uow, NOON_S, 10) == 0
    assert open_exceptions(uow) == [("M1", "OPEN_WITHOUT_ORDER")]
    read(uow, "M1", 2, NOON_S + 900, 100)
    list_open_without_order(uow, NOON_S + 900, 10)
    assert open_exceptions(uow) == []


def test_relay_that_was_ordered_open_is_no_exception(uow: UnitOfWork) -> None:
    uow.issue_relay("M1", "open", "no credit", NOON_S + HOUR, NOON_S)
    uow.apply_relays([(key_of(uow, "M1"), 1, NOON_S + 1)])
    read(uow, "M1", 1, NOON_S + 2, 100, relay_open=True)
    assert list_open_without_order(uow, NOON_S + 3, 10) == 0
