"""Whatever moves a balance otherwise than by energy sets the trip to 0: the meter is looked at again."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from plain_rules import plain_tariff
from unit.service.region_bench import BY_DAY, BY_SHARE, DAY, PRICE, RUPEE, ZONE, RegionBench

from headend.service.arrears import cancel_plan, make_plan, plan_after_outage
from headend.service.corrections import rebill, reverse
from headend.service.devices import Devices, RegisterLimits, exchange_device
from headend.service.ports import UnitOfWork
from headend.service.rows import MeterRow
from headend.service.standing import NEVER_WH
from headend.service.tariffs import import_tariff
from headend.service.terms import change_terms, move_out

METER, OTHER = "M1", "M2"
WHO = ("a clerk", "test")

Change = Callable[[RegionBench], None]


def trips(bench: RegionBench) -> dict[str, int]:
    return dict(bench.query("SELECT meter, trip_wh FROM standing JOIN meter USING (meter_key)"))


@pytest.fixture
def bench() -> Iterator[RegionBench]:
    """M1 and M2 have paid 50 rupees and used 100 on the first day; the second day has begun."""
    made = RegionBench()
    made.register(METER, OTHER)
    for meter in (METER, OTHER):
        made.recharge(meter, f"FIRST-{meter}", 50)
        made.use(meter, 100)
    yield made
    made.store.close()


def looked_at(bench: RegionBench) -> None:
    """The sweep has been here: nothing to look at again however much is used."""
    with bench.write():
        bench.query("UPDATE standing SET trip_wh = ? RETURNING meter_key", NEVER_WH)


def row(uow: UnitOfWork) -> MeterRow:
    found = uow.meter_row(METER)
    assert found is not None
    return found


def recharged(bench: RegionBench) -> None:
    bench.recharge(METER, "SECOND", 10)


def share_of_a_recharge(bench: RegionBench) -> None:
    bench.arrears = BY_SHARE
    bench.plan(METER)
    looked_at(bench)
    bench.recharge(METER, "SECOND", 10)


def recharge_taken_back(bench: RegionBench) -> None:
    with bench.write() as uow:
        reverse(f"FIRST-{METER}", *WHO, uow, bench.now_s)


def charge_taken_back(bench: RegionBench) -> None:
    with bench.write() as uow:
        reverse(f"charge/2024-10-30/{METER}", *WHO, uow, bench.now_s)


def billed_anew(bench: RegionBench) -> None:
    with bench.write() as uow:
        rebill(row(uow), DAY, *WHO, uow, bench.now_s)


def day_settled(bench: RegionBench) -> None:
    bench.use(METER, 5, day=1)


def day_settled_for_nothing(bench: RegionBench) -> None:
    bench.use(METER, 0, day=1)


def instalment(bench: RegionBench) -> None:
    bench.plan(METER)
    looked_at(bench)
    bench.use(METER, 5, day=1)
    assert bench.transfers("INSTALMENT")


def last_instalment(bench: RegionBench) -> None:
    bench.arrears = replace(BY_DAY, instalments=1)
    instalment(bench)


def plan_made(bench: RegionBench) -> None:
    with bench.write() as uow:
        make_plan(METER, BY_DAY, None, *WHO, ZONE, uow, bench.now_s)


def plan_made_by_rule(bench: RegionBench) -> None:
    bench.plan(OTHER)
    looked_at(bench)
    with bench.write() as uow:
        plan_after_outage(BY_DAY, "R1", 0, ZONE, uow, bench.now_s)


def plan_cancelled(bench: RegionBench) -> None:
    bench.plan(METER)
    looked_at(bench)
    with bench.write() as uow:
        cancel_plan(METER, *WHO, uow, bench.now_s)


def plan_broken(bench: RegionBench) -> None:
    bench.arrears = replace(BY_DAY, missed_allowed=0)
    bench.plan(METER)
    looked_at(bench)
    bench.use(METER, 5, day=1)
    assert bench.plans(METER)[0].state == "EXPIRED"


def moved_out(bench: RegionBench) -> None:
    with bench.write() as uow:
        move_out(row(uow), DAY + 1, *WHO, uow, bench.now_s)


def refunded(bench: RegionBench) -> None:
    bench.recharge(METER, "SECOND", 500)
    moved_out(bench)
    looked_at(bench)
    bench.use(METER, 1, day=1)
    assert bench.transfers("REFUND")


def other_category(bench: RegionBench) -> None:
    with bench.write() as uow:
        change_terms(row(uow), DAY + 1, "other", None, *WHO, uow, bench.now_s)


def other_load(bench: RegionBench) -> None:
    with bench.write() as uow:
        change_terms(row(uow), DAY + 1, None, 5_000, *WHO, uow, bench.now_s)


def tariff_imported(bench: RegionBench) -> None:
    with bench.write() as uow:
        import_tariff(plain_tariff(2 * PRICE, DAY + 1, version=2), *WHO, uow, bench.now_s)


def tariff_replaced(bench: RegionBench) -> None:
    tariff_imported(bench)
    looked_at(bench)
    with bench.write() as uow:
        import_tariff(plain_tariff(3 * PRICE, DAY + 1, version=3), *WHO, uow, bench.now_s)


def exchanged(bench: RegionBench) -> None:
    """The final register may be above what the old device had reported: energy nobody had seen."""
    with bench.write() as uow:
        limits = RegisterLimits(10**9)
        final_wh = row(uow).settled_register_wh + 1_000
        exchange_device(Devices(METER, "N1", final_wh, 0), limits, DAY + 1, *WHO, uow, bench.now_s)


CHANGES: tuple[Change, ...] = (
    recharged,
    share_of_a_recharge,
    recharge_taken_back,
    charge_taken_back,
    billed_anew,
    day_settled,
    day_settled_for_nothing,
    instalment,
    last_instalment,
    plan_made,
    plan_made_by_rule,
    plan_cancelled,
    plan_broken,
    moved_out,
    refunded,
    other_category,
    other_load,
    tariff_imported,
    tariff_replaced,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_the_balance_is_looked_at_again(bench: RegionBench, change: Change) -> None:
    looked_at(bench)
    change(bench)
    assert trips(bench)[METER] == 0


@pytest.mark.parametrize("change", CHANGES[:-2], ids=lambda change: change.__name__)
def test_a_change_of_one_balance_looks_at_no_other(bench: RegionBench, change: Change) -> None:
    looked_at(bench)
    change(bench)
    assert trips(bench)[OTHER] == NEVER_WH


def test_an_exchange_moves_the_register_up_and_so_reaches_the_trip(bench: RegionBench) -> None:
    bench.at(1, 12)
    bench.read(METER, 1, 100 * RUPEE // PRICE)
    with bench.write():
        bench.query("UPDATE standing SET trip_wh = ? RETURNING meter_key", 100 * RUPEE // PRICE + 500)
    exchanged(bench)
    ((register_wh, trip_wh),) = bench.query(
        "SELECT register_wh, trip_wh FROM register JOIN standing USING (meter_key) JOIN meter USING (meter_key)"
        " WHERE meter = 'N1'"
    )
    assert register_wh >= trip_wh
