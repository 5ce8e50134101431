"""The sweep: prices only meters that may have crossed a level, tells each crossing once, keeps since when."""

from collections.abc import Iterator
from random import Random

import pytest
from unit.service.fleet_of_rows import DAY, NOON_S, RUPEE, ZONE, read, recharge, store_with

from headend.adapters.sqlite import SqliteStore
from headend.adapters.sqlite_notices import SqliteNoticeRows
from headend.domain.calendar import midnight_s
from headend.domain.standing import AlertRules
from headend.domain.tariff import CategoryTerms, Slab, Tariff
from headend.domain.tariff_rounding import Rounding, RoundingRule
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import Terms
from headend.service.standing import Swept, look_at_standings

PRICE = 4_000_000
TARIFF = Tariff(
    name="test",
    version=1,
    from_day=1,
    rounding=Rounding(RoundingRule.HALF_EVEN, 1),
    default_category="home",
    categories=(
        CategoryTerms("home", (Slab(0, PRICE),)),
        CategoryTerms("dear", (Slab(0, 10 * PRICE),), fixed_micros_per_day=5 * RUPEE),
    ),
)
RULES = AlertRules(low_micros=(50 * RUPEE,), low_share_bp=(3_000,))


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    """M1 and M2 with a recharge of Rs 100 each: the levels are at Rs 50, Rs 30 and 0, 1 kWh costs Rs 4."""
    made = store_with("M1", "M2")
    with made.transaction() as uow:
        recharge(uow, "M1", "PAY-1", 100)
        recharge(uow, "M2", "PAY-2", 100)
    yield made
    made.close()


def sweep(uow: UnitOfWork, now_s: int = NOON_S, **more: int) -> Swept:
    return look_at_standings(RULES, [TARIFF], ZONE, uow, now_s, **more)


def told(uow: UnitOfWork) -> list[tuple[str | None, str]]:
    return [(row.notice.meter, row.notice.kind) for row in uow.notices(None, None, 0, 100)]


def set_category(uow: UnitOfWork, meter: str, category: str, from_day: int) -> None:
    account = uow.meter_account(meter)
    assert account is not None
    uow.put_terms(account.meter_key, Terms(from_day, account.account_key, category, 1_000))


def standing(store: SqliteStore, meter: str, *columns: str) -> tuple[object, ...]:
    query = f"SELECT {', '.join(columns)} FROM standing JOIN meter USING (meter_key) WHERE meter = ?"
    return tuple(store._connection.execute(query, (meter,)).fetchone())


def test_meter_that_never_reported_is_not_looked_at(store: SqliteStore) -> None:
    with store.transaction() as uow:
        assert sweep(uow) == Swept(0, 0, None)
        assert told(uow) == []


def test_only_what_can_have_crossed_a_level_is_looked_at_again(store: SqliteStore) -> None:
    with store.transaction() as uow:
        read(uow, "M1", 1, NOON_S, 1_000)
        read(uow, "M2", 1, NOON_S, 1_000)
        assert sweep(uow).looked_at == 2
        assert sweep(uow).looked_at == 0
        # Rs 96 are left, the next level is at Rs 50: nothing can happen before 11.5 kWh more.
        read(uow, "M1", 2, NOON_S + 900, 12_400)
        assert sweep(uow).looked_at == 0
        read(uow, "M1", 3, NOON_S + 1_800, 12_500)
        assert sweep(uow) == Swept(1, 1, None)
        assert told(uow) == [("M1", "LOW_BALANCE")]


def test_each_level_is_told_once_however_often_it_is_swept(store: SqliteStore) -> None:
    with store.transaction() as uow:
        for seq, register_wh in enumerate(range(0, 30_000, 100), start=1):
            read(uow, "M1", seq, NOON_S + seq, register_wh)
            sweep(uow, NOON_S + seq)
        rows = [row.notice for row in uow.notices("M1", None, 0, 100)]
    assert [(notice.kind, notice.content.get("level_micros")) for notice in rows] == [
        ("LOW_BALANCE", 50 * RUPEE),
        ("LOW_BALANCE", 30 * RUPEE),
        ("ZERO_BALANCE", None),
    ]
    assert [notice.content["balance_micros"] for notice in rows] == [50 * RUPEE, 30 * RUPEE, 0]
    assert standing(store, "M1", "zero_since_s") == (NOON_S + 251,)


def test_recharge_has_its_meter_looked_at_and_arms_it_again(store: SqliteStore) -> None:
    with store.transaction() as uow:
        read(uow, "M1", 1, NOON_S, 30_000)
        sweep(uow)
        assert standing(store, "M1", "zero_since_s", "levels") == (NOON_S, 3)
        recharge(uow, "M1", "PAY-3", 200)
        assert sweep(uow, NOON_S + 60) == Swept(1, 0, None)
        # Rs 180 are left, and Rs 60 are 30 % of the new recharge.
        assert standing(store, "M1", "zero_since_s", "levels") == (None, 0)
        read(uow, "M1", 2, NOON_S + 900, 60_000)
        sweep(uow, NOON_S + 900)
        assert [row.notice.content.get("level_micros") for row in uow.notices("M1", None, 0, 9)] == [
            None,
            60 * RUPEE,
        ]


def test_debt_counts_from_the_meters_time_however_late_it_is_seen(store: SqliteStore) -> None:
    with store.transaction() as uow:
        read(uow, "M1", 1, NOON_S, 30_000)
        sweep(uow, NOON_S + 11 * 86_400)
    assert standing(store, "M1", "zero_since_s", "as_of_s") == (NOON_S, NOON_S)


def test_provisional_balance_says_so(store: SqliteStore) -> None:
    with store.transaction() as uow:
        read(uow, "M1", 1, NOON_S, 15_000)
        sweep(uow)
        read(uow, "M2", 1, midnight_s(DAY + 2, ZONE) - 900, 15_000)
        sweep(uow, midnight_s(DAY + 2, ZONE) + 900)
        (exact, provisional) = (row.notice.content["provisional"] for row in uow.notices(None, None, 0, 9))
    assert (exact, provisional) == (False, True)


def test_new_day_has_all_meters_looked_at_for_their_fixed_charges(store: SqliteStore) -> None:
    with store.transaction() as uow:
        set_category(uow, "M1", "dear", DAY)
        read(uow, "M1", 1, NOON_S, 1_100)
        assert sweep(uow) == Swept(1, 0, None)
        tomorrow_s = NOON_S + 86_400
        assert sweep(uow, tomorrow_s).looked_at == 0
        uow.look_at_all_again()
        assert sweep(uow, tomorrow_s).looked_at == 1
        assert standing(store, "M1", "balance_micros") == ((100 - 44 - 5) * RUPEE,)
        uow.look_at_all_again()
        sweep(uow, tomorrow_s + 86_400)
        assert told(uow) == [("M1", "LOW_BALANCE")]


def test_meter_whose_category_may_change_trips_by_the_dearest_price(store: SqliteStore) -> None:
    with store.transaction() as uow:
        set_category(uow, "M1", "dear", DAY + 1)
        read(uow, "M1", 1, NOON_S, 0)
        sweep(uow)
        (trip_wh,) = standing(store, "M1", "trip_wh")
    # Rs 50 of room at Rs 40 a kWh, less what rounding may add.
    assert trip_wh == 1_249


def test_meter_without_a_price_is_left_as_it_is(store: SqliteStore) -> None:
    with store.transaction() as uow:
        set_category(uow, "M1", "unknown", DAY)
        read(uow, "M1", 1, NOON_S, 90_000)
        assert sweep(uow) == Swept(0, 0, None)


def test_sweep_goes_on_where_it_stopped(store: SqliteStore) -> None:
    with store.transaction() as uow:
        read(uow, "M1", 1, NOON_S, 30_000)
        read(uow, "M2", 1, NOON_S, 30_000)
        first = sweep(uow, after_meter_key=0, span=1)
        assert first.looked_at == 1
        assert first.resume_after == 1
        assert sweep(uow, after_meter_key=first.resume_after, span=1) == Swept(1, 1, None)
        assert told(uow) == [("M1", "ZERO_BALANCE"), ("M2", "ZERO_BALANCE")]


NO_SHARES = AlertRules(low_micros=(50 * RUPEE, 20 * RUPEE), exhausted_at_micros=-10 * RUPEE)
EARLY_DEBT = AlertRules(debt_at_micros=20 * RUPEE)
EMERGENCY = AlertRules(low_micros=(50 * RUPEE,), emergency_credit=True, exhausted_at_micros=-30 * RUPEE)


def course(rules: AlertRules, seed: int) -> list[object]:
    """What is found of 60 homes that draw, recharge and are swept at random over ten days."""
    random, meters = Random(seed), [f"M{number}" for number in range(60)]
    registers_wh, now_s, found = dict.fromkeys(meters, 0), NOON_S, list[object]()
    store = store_with(*meters)
    store._connection.execute(
        "UPDATE meter SET category = CASE meter_key % 3 WHEN 1 THEN 'dear' WHEN 2 THEN 'home' END"
    )
    with store.transaction() as uow:
        for meter in meters:
            recharge(uow, meter, f"{meter}-0", 300)
    for seq in range(1, 81):
        now_s += 10_800
        with store.transaction() as uow:
            for meter in random.sample(meters, 20):
                registers_wh[meter] += random.choice([0, 100, 1_000, random.randrange(12_000)])
                read(uow, meter, seq, now_s - random.randrange(3_600), registers_wh[meter])
            for meter in random.sample(meters, 4):
                recharge(uow, meter, f"{meter}-{seq}", random.choice([10, 50, 100, 300]), now_s)
            if seq % 8 == 0:
                uow.look_at_all_again()
            look_at_standings(rules, [TARIFF], ZONE, uow, now_s)
            query = "SELECT meter_key, levels, zero_since_s, exhausted_since_s, cut_announced_s FROM standing"
            found += store._connection.execute(f"{query} ORDER BY 1").fetchall()
            found.append([row.notice for row in uow.notices(None, None, 0, 10_000)])
    store.close()
    return found


@pytest.mark.parametrize("rules", [RULES, NO_SHARES, EARLY_DEBT, EMERGENCY])
@pytest.mark.parametrize("seed", [1, 2])
def test_homes_that_are_passed_over_are_found_as_if_they_were_priced(
    rules: AlertRules, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = course(rules, seed)
    monkeypatch.setattr(SqliteNoticeRows, "pass_over", lambda *_: 0)
    assert found == course(rules, seed)
