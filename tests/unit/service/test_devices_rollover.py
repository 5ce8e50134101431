"""A register runs over its last digit: the meter's own goes on, and what really went back is still listed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.service.bench import DAY_S, START_S, ZONE
from unit.service.device_bench import DeviceBench, device_bench

from headend.domain.calendar import midnight_s
from headend.domain.rollover import rolled_over_wh
from headend.domain.tariff import CategoryTerms, Slab, Tariff, TimeBand
from headend.domain.tariff_rounding import Rounding, RoundingRule
from headend.service.devices import ExchangeOutcome

FULL = 10_000
"""All that a register here can show, in Wh."""


@pytest.fixture
def bench() -> Iterator[DeviceBench]:
    made = device_bench(rollover_wh=FULL)
    yield made
    made.store.close()


def near_the_end(bench: DeviceBench, meter: str = "M1", gateway: str = "G1") -> None:
    """Bring a meter's register to 9,900 Wh by three readings that were taken in."""
    for seq, register_wh in enumerate((4_000, 8_000, 9_900), start=1):
        bench.readings((meter, seq, START_S + 60 * seq, register_wh), gateway=gateway)
        bench.run()


@pytest.mark.parametrize(
    ("before_wh", "after_wh", "rollover_wh", "more_wh"),
    [
        (9_900, 10, 10_000, 10_000),
        (9_900, 10, None, 0),
        (5_001, 0, 10_000, 10_000),
        (5_000, 0, 10_000, 0),
        (100, 90, 10_000, 0),
        (90, 100, 10_000, 0),
        (29_900, 10_010, 10_000, 20_000),
    ],
)
def test_fall_by_more_than_half_is_a_rollover(
    before_wh: int, after_wh: int, rollover_wh: int | None, more_wh: int
) -> None:
    assert rolled_over_wh(before_wh, after_wh, rollover_wh) == more_wh


@pytest.mark.parametrize("snapshot", [True, False])
def test_register_goes_on_over_a_rollover(bench: DeviceBench, snapshot: bool) -> None:
    near_the_end(bench)
    frame = bench.readings(("M1", 4, START_S + DAY_S, 30), snapshot=snapshot)
    bench.readings(("M1", 5, START_S + DAY_S + 900, 70))
    bench.run()
    assert bench.receipts()[frame].refused == []
    assert bench.register_of("M1") == (5, 10_070)
    assert bench.exceptions() == []
    assert [act.subject for act in bench.acts("ROLLOVER")] == ["meter/M1"]
    assert bench.charged_wh() == ([10_030] if snapshot else [])
    assert bench.violations() == []


def test_rollover_is_noticed_once_however_often_it_is_told(bench: DeviceBench) -> None:
    near_the_end(bench)
    for _ in range(3):
        bench.readings(("M1", 4, START_S + 900, 30), ("M1", 4, START_S + 900, 30), frame=9)
        bench.run()
    assert bench.register_of("M1") == (4, 10_030)
    assert len(bench.acts("ROLLOVER")) == 1


def test_several_meters_and_frames_of_one_commit_roll_over(bench: DeviceBench) -> None:
    near_the_end(bench)
    near_the_end(bench, "M3", "G2")
    bench.readings(("M1", 4, START_S + 900, 9_990), ("M2", 1, START_S + 900, 9), ("M1", 5, START_S + 1_800, 20))
    bench.readings(("M3", 4, START_S + 900, 5), gateway="G2")
    bench.readings(("M1", 6, START_S + 2_700, 60), ("M2", 2, START_S + 1_800, 8))
    bench.run()
    assert bench.register_of("M1") == (6, 10_060)
    assert bench.register_of("M2") == (1, 9)
    assert bench.register_of("M3") == (4, 10_005)
    assert bench.exception_kinds() == [("M2", "REGISTER_WENT_BACK")], "one Wh less is no rollover"
    assert len(bench.acts("ROLLOVER")) == 2
    assert bench.violations() == []


def test_two_rollovers_in_one_commit_both_count(bench: DeviceBench) -> None:
    near_the_end(bench)
    rows = [(4, 10), (5, 4_900), (6, 9_700), (7, 80)]
    bench.readings(*(("M1", seq, START_S + 900 * seq, register_wh) for seq, register_wh in rows))
    bench.run()
    assert bench.register_of("M1") == (7, 20_080)
    assert bench.violations() == []
    bench.readings(("M1", 8, START_S + 9_000, 90))
    bench.run()
    assert bench.register_of("M1") == (8, 20_090)


def test_late_readings_from_before_a_rollover_change_nothing_after_it(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.readings(("M1", 8, START_S + 2 * DAY_S, 200))
    bench.run()
    frames = [
        bench.midnight_of("M1", 6, 0, 9_990),
        bench.readings(("M1", 5, START_S + 900, 9_980)),
    ]
    bench.midnight_of("M1", 9, 2, 450)
    bench.midnight(("M1", 7, 1, 195), ("M1", 6, 0, 9_990))
    bench.run()
    receipts = bench.receipts()
    assert all(receipts[frame].refused == [] for frame in frames)
    assert bench.snapshots() == [("M1", 0, 9_990, True), ("M1", 1, 10_195, True), ("M1", 2, 10_450, True)]
    assert bench.charged_wh() == [9_990, 205, 255]
    assert bench.exceptions() == []


def test_rollover_is_known_after_a_restart(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.readings(("M1", 4, START_S + 900, 30))
    bench.run()
    bench.start()
    bench.readings(("M1", 5, START_S + 1_800, 40), ("M1", 3, START_S + 180, 9_900))
    bench.run()
    assert bench.register_of("M1") == (5, 10_040)
    assert bench.violations() == []


def test_rollover_of_a_failed_commit_is_counted_once(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.readings(("M1", 4, START_S + 900, 30))
    for _ in range(2):
        bench.store.failing_commits = 1
        with pytest.raises(Exception, match="disk is full"):
            bench.headend.step(0.0)
    bench.run()
    bench.readings(("M1", 5, START_S + 1_800, 40))
    bench.run()
    assert bench.register_of("M1") == (5, 10_040)
    assert len(bench.acts("ROLLOVER")) == 1


@pytest.mark.parametrize("register_wh", [9_899, 4_900])
def test_register_that_went_back_by_less_than_half_is_listed(bench: DeviceBench, register_wh: int) -> None:
    near_the_end(bench)
    frame = bench.readings(("M1", 4, START_S + 900, register_wh))
    bench.run()
    assert [str(row.code) for row in bench.receipts()[frame].refused] == ["REGISTER_WENT_BACK"]
    assert bench.register_of("M1") == (3, 9_900)
    assert bench.acts("ROLLOVER") == []


def test_without_the_setting_no_register_rolls_over() -> None:
    bench = device_bench()
    near_the_end(bench)
    bench.readings(("M1", 4, START_S + 900, 30))
    bench.run()
    assert bench.register_of("M1") == (3, 9_900)
    assert bench.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]


def test_hello_after_a_rollover_says_nothing_went_back(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.hello(("M1", 30, 0, 0, 0), reading_seq=4, at_s=START_S + 900)
    bench.run()
    assert bench.exceptions() == []
    bench.readings(("M1", 4, START_S + 900, 30))
    bench.hello(("M1", 31, 0, 0, 0), reading_seq=4, at_s=START_S + 960)
    bench.run()
    assert bench.exceptions() == []
    bench.hello(("M1", 29, 0, 0, 0), reading_seq=4, at_s=START_S + 970)
    bench.run()
    assert bench.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]


def test_exchange_after_a_rollover_goes_on(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.readings(("M1", 4, START_S + 900, 30))
    bench.run()
    assert bench.exchange("M1", "N1", 29) is ExchangeOutcome.FINAL_TOO_LOW
    assert bench.exchange("M1", "N1", 130, 9_990) is ExchangeOutcome.EXCHANGED
    bench.readings(("N1", 1, START_S + 1_800, 20))
    bench.run()
    assert bench.register_of("N1") == (1, 10_160)
    assert bench.violations() == []


def test_rollover_after_the_last_reading_of_a_device_is_seen_at_its_exchange(bench: DeviceBench) -> None:
    near_the_end(bench)
    bench.clock.jump(DAY_S)
    assert bench.exchange("M1", "N1", 130) is ExchangeOutcome.EXCHANGED
    bench.midnight_of("M1", 4, 0, 9_950)
    bench.midnight_of("N1", 1, 1, 40)
    bench.run()
    assert bench.register_of("N1") == (1, 10_170)
    assert bench.charged_wh() == [9_950, 220]
    assert bench.exceptions() == []
    assert bench.violations() == []


def test_bands_of_a_day_of_the_old_device_count_when_they_come_late() -> None:
    bands = (TimeBand(0, 0), TimeBand(6 * 60, 2_000), TimeBand(18 * 60, 0))
    terms = CategoryTerms("domestic", (Slab(0, 4_000_000),), bands=bands)
    tariff = Tariff("bands", 1, 1, Rounding(RoundingRule.HALF_EVEN, 1), "domestic", (terms,))
    made = device_bench()
    rules = made.settings.rules
    bench = DeviceBench(rules=type(rules)(rules.name, rules.currency, tariff))
    bench.register("M1")
    bench.connect()
    bench.clock.jump(DAY_S + 3_600)
    bench.exchange("M1", "N1", 1_000)
    bench.midnight_of("M1", 9, 0, 900)
    bench.run()
    assert bench.charged_wh() == [], "the registers between are missing"
    six_s = START_S + 6 * 3_600
    bench.readings(("M1", 1, six_s, 100), ("M1", 2, six_s + 900, 110), ("M1", 3, START_S + 18 * 3_600, 500))
    bench.run()
    assert bench.charged_wh() == [900]
    (row,) = bench._query("SELECT energy_micros FROM charge")
    assert row == (4_000 * 500 + 4_800 * 400,), "400 Wh between six and six, at a fifth more"
    assert bench.register_of("N1") == (0, 1_000)


# --- any course of things -----------------------------------------------------------------------------------


@dataclass
class Course:
    """A home's true energy by day, and what its devices say of it."""

    total_wh: int = 0
    daily_wh: list[int] = field(default_factory=list)
    device: str = "M1"
    seq: int = 0
    raw_wh: int = 0

    def draw(self, energy_wh: int) -> None:
        self.total_wh += energy_wh
        self.raw_wh = (self.raw_wh + energy_wh) % FULL


DAY_KINDS = st.tuples(
    st.lists(st.integers(0, FULL // 24), min_size=1, max_size=3),
    st.booleans(),  # the device is exchanged in the middle of the day
    st.integers(0, FULL - 1),  # what a new device begins with
)


@settings(max_examples=60)
@given(
    days=st.lists(DAY_KINDS, min_size=2, max_size=14),
    opening_wh=st.integers(0, FULL - 1),
    order=st.randoms(use_true_random=False),
)
def test_charged_energy_is_true_over_rollovers_and_exchanges(days, opening_wh, order) -> None:  # type: ignore[no-untyped-def]
    """Everything of two days comes in any order and often, some of it after the exchange (I6)."""
    bench = DeviceBench(rollover_wh=FULL)
    bench.register("M1", register_wh=opening_wh)
    bench.connect()
    course = Course(raw_wh=opening_wh)
    pending: list[tuple[bool, tuple[str, int, int, int]]] = []
    seen: list[tuple[bool, tuple[str, int, int, int]]] = []

    def read(at_s: int, *, snapshot: bool) -> None:
        course.seq += 1
        pending.append((snapshot, (course.device, course.seq, at_s, course.raw_wh)))

    def deliver(share: float) -> None:
        chosen = [each for each in pending if order.random() < share]
        rows = chosen + [each for each in seen[-6:] if order.random() < 0.5]
        order.shuffle(rows)
        for snapshot, row in rows:
            bench.readings(row, snapshot=snapshot)
            if order.random() < 0.5:
                bench.run()
        bench.run()
        seen.extend(chosen)
        pending[:] = [each for each in pending if each not in chosen]

    for day, (draws, exchanged, new_wh) in enumerate(days):
        begin_s = START_S + day * DAY_S
        for number, energy_wh in enumerate(draws):
            course.draw(energy_wh)
            read(begin_s + 3_600 * (number + 1), snapshot=False)
        if exchanged:
            deliver(0.5)
            bench.clock.jump(max(0, begin_s + 40_000 - bench.clock.now_s()))
            name = f"N{day}"
            assert bench.exchange(course.device, name, course.raw_wh, new_wh) is ExchangeOutcome.EXCHANGED
            course.device, course.seq, course.raw_wh = name, 0, new_wh
            course.draw(draws[0])
            read(begin_s + 50_000, snapshot=False)
        read(midnight_s(bench.meter(course.device).installed_day + day + 1, ZONE), snapshot=True)
        course.daily_wh.append(course.total_wh - sum(course.daily_wh))
        deliver(1.0 if day % 2 else 0.5)
    deliver(1.0)
    assert bench.charged_wh() == course.daily_wh
    assert bench.meter(course.device).register_wh == opening_wh + course.total_wh
    assert bench.exceptions() == []
    assert bench.violations(converged=True) == []
    bench.store.close()
