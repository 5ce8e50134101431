"""Bills do not depend on how readings came: late, repeated, shuffled, over restarts, or in time."""

import random
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.domain.reference_tariff import bill, homes
from unit.service.bench import DAY, ZONE
from unit.service.billing_course import (
    AMPLE,
    Course,
    Home,
    Sent,
    assert_sound,
    billed,
    deliver_in_time,
    prices_of,
    run_and_check,
    send,
)

from headend.domain.rules import Rules
from headend.domain.tariff import CategoryTerms, Slab, Tariff
from headend.rules import PRESETS, load_rules, preset_names
from headend.service.accounts import shown_balance

MAX_PART_WH = 20_000


def dearer(tariff: Tariff, from_day: int) -> Tariff:
    """The next version: every price and fixed charge is a third and a bit higher."""

    def raised(terms: CategoryTerms) -> CategoryTerms:
        slabs = tuple(Slab(slab.from_wh, slab.price_micros_per_kwh * 4 // 3 + 1) for slab in terms.slabs)
        return replace(terms, slabs=slabs, fixed_micros_per_day=terms.fixed_micros_per_day * 4 // 3 + 7)

    categories = tuple(raised(terms) for terms in tariff.categories)
    return replace(tariff, version=tariff.version + 1, from_day=from_day, categories=categories)


def band_minutes(tariff: Tariff, category: str | None) -> list[int]:
    terms = tariff.category(category)
    assert terms is not None
    return [band.from_minute for band in terms.bands[1:]]


@st.composite
def courses(draw: st.DrawFn, rules: Rules) -> Course:
    """Weeks with a month's end in them; a tariff, a category, a load may change, a consumer may move out."""
    days = draw(st.integers(33, 60))
    names = [terms.name for terms in rules.tariff.categories]
    # A meter reports at the bands of any category that it may come to have.
    minutes = sorted({minute for name in names for minute in band_minutes(rules.tariff, name)})
    chance = draw(st.randoms(use_true_random=False))
    homes = [
        Home(
            f"M{number}",
            [[chance.choice((0, 1, chance.randint(0, MAX_PART_WH))) for _ in (*minutes, 0)] for _ in range(days)],
            draw(st.sampled_from([None, *names])),
            draw(st.integers(1, 7_000)),
            minutes,
        )
        for number in (1, 2)
    ]
    day = st.integers(1, days - 2)
    tariffs = [dearer(rules.tariff, DAY + draw(day))] if draw(st.booleans()) else []
    new_terms = []
    if draw(st.booleans()):
        new_terms.append(("M1", draw(day), draw(st.sampled_from(names)), draw(st.integers(1, 7_000))))
    last_day = max((change[1] for change in new_terms), default=0)
    moved_out = [("M1", draw(st.integers(last_day, days - 2)))] if draw(st.booleans()) else []
    return Course(rules, homes, tariffs, new_terms, moved_out, {"M1": AMPLE, "M2": AMPLE})


@st.composite
def deliveries(draw: st.DrawFn, course: Course) -> list[list[Sent]]:
    """All readings in any order, some more than once, in any grouping into frames."""
    messages = course.messages()
    chance = draw(st.randoms(use_true_random=False))
    how = draw(st.sampled_from(["shuffled", "backwards", "late days", "in order"]))
    if how == "shuffled":
        chance.shuffle(messages)
    elif how == "backwards":
        messages.reverse()
    elif how == "late days":
        late = set(chance.sample(range(course.days), course.days // 5))
        messages.sort(key=lambda message: message.day + (chance.randint(1, 15) if message.day in late else 0))
    for message in chance.sample(messages, len(messages) // 4):
        messages.insert(chance.randint(0, len(messages)), message)
    groups, at = [], 0
    largest = draw(st.sampled_from([7, 60, len(messages)]))
    while at < len(messages):
        size = chance.randint(1, largest)
        groups.append(messages[at : at + size])
        at += size
    return groups


@pytest.mark.parametrize("preset", preset_names())
@given(data=st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_late_repeated_and_shuffled_readings_bill_as_those_in_time(preset: str, data: st.DataObject) -> None:
    course = data.draw(courses(load_rules(preset)))
    in_time = deliver_in_time(course)
    bench = course.bench()
    groups = data.draw(deliveries(course))
    restarts = data.draw(st.sets(st.integers(0, len(groups) - 1), max_size=3))
    for number, group in enumerate(groups):
        send(bench, group)
        if number in restarts:
            # What was not acknowledged before the head-end died is sent again.
            bench.start()
            bench.connect()
            send(bench, group)
        run_and_check(bench)
    assert billed(bench, course) == billed(in_time, course)
    assert all(len(bills) == course.days for bills in billed(bench, course).bills.values())
    assert_sound(in_time, course)
    assert_sound(bench, course)
    for made in (bench, in_time):
        assert made.exceptions() == []
        made.store.close()


@pytest.mark.parametrize("preset", preset_names())
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_nothing_behind_a_missing_reading_is_billed_until_it_comes(preset: str, data: st.DataObject) -> None:
    course = data.draw(courses(load_rules(preset)))
    groups = data.draw(deliveries(course))
    needed = [message for message in course.messages() if message.snapshot]
    missing = data.draw(st.sampled_from(needed))
    bench = course.bench()
    for group in groups:
        send(bench, [message for message in group if message != missing])
        run_and_check(bench)
    settled = {row[0] for row in billed(bench, course).bills[missing.meter]}
    assert settled == {DAY + day for day in range(missing.day)}
    row = bench.meter(missing.meter)
    assert row.settled_day == DAY + missing.day - 1
    today = DAY + course.days
    shown = shown_balance(row, prices_of(bench).prices, today, ZONE, [])
    # Before the first consumer's last day is settled, the second one's account is provisional from its beginning.
    moved_in = row.account_from_day if row.account_from_day > DAY + missing.day else DAY + missing.day
    assert shown.provisional_since_day == moved_in
    assert_sound(bench, course)
    send(bench, [missing])
    run_and_check(bench)
    in_time = deliver_in_time(course)
    assert billed(bench, course) == billed(in_time, course)
    assert_sound(bench, course)
    for made in (bench, in_time):
        made.store.close()


# a year of a real home --------------------------------------------------------------------------------------

NIGHT_PARTS = (1, 14, 33)
"""Of 48 half hours: before 00:30, up to 07:30, after. The measured days are sums, so an even use is assumed."""


def year_of(household: str) -> list[int]:
    """A measured year in Wh, day by day from the bench's first day on; a day that was not measured has none."""
    measured = dict(homes()[household])
    first = min(measured)
    return [measured.get(first + timedelta(day), 0) for day in range(365)]


def year_course(preset: str, household: str) -> Course:
    """The same home once in every category."""
    rules = load_rules(preset)
    built = []
    for number, terms in enumerate(rules.tariff.categories, start=1):
        minutes = band_minutes(rules.tariff, terms.name)
        assert len(minutes) in (0, len(NIGHT_PARTS) - 1)
        uses_wh = [in_parts(wh, len(minutes) + 1) for wh in year_of(household)]
        built.append(Home(f"M{number}", uses_wh, terms.name, 1_000 * number + 345, minutes))
    return Course(rules, built, recharges={home.meter: AMPLE for home in built})


def in_parts(energy_wh: int, parts: int) -> list[int]:
    if parts == 1:
        return [energy_wh]
    first = [energy_wh * part // 48 for part in NIGHT_PARTS[:-1]]
    return [*first, energy_wh - sum(first)]


def reference_lines(preset: str, home: Home) -> list[tuple[int, ...]]:
    written = tomllib.loads((PRESETS / f"{preset}.toml").read_text(), parse_float=str)["tariff"]
    days = [(date.fromordinal(DAY + day), parts) for day, parts in enumerate(home.uses_wh)]
    assert home.category is not None
    return [
        (line.energy, line.fixed, line.duty, line.rebate, line.rounding, line.total)
        for line in bill(written, home.category, home.load_w, days)
    ]


@pytest.mark.parametrize("household", ["BR11", "BR45"])
@pytest.mark.parametrize("preset", preset_names())
def test_a_year_of_a_real_home_is_billed_to_the_micro_whatever_happened_on_the_way(
    preset: str, household: str, seed: int
) -> None:
    course = year_course(preset, household)
    in_time = deliver_in_time(course)
    expected = billed(in_time, course)
    for home in course.homes:
        bills = expected.bills[home.meter]
        assert [day for day, *_ in bills] == list(range(DAY, DAY + 365))
        assert [row[5:] for row in bills] == reference_lines(preset, home)
    assert_sound(in_time, course)
    in_time.store.close()

    chance = random.Random(seed)
    bench = course.bench()
    for group in with_outages(course.messages(), chance):
        if chance.random() < 0.2:
            bench.start()
            bench.connect()
        send(bench, group)
        run_and_check(bench)
    assert billed(bench, course) == expected
    assert_sound(bench, course)
    bench.store.close()


def with_outages(messages: list[Sent], chance: random.Random) -> list[list[Sent]]:
    """The year in outages of up to 30 days, after each of which all of its readings come shuffled, some twice."""
    edges = [0]
    while edges[-1] < 365:
        edges.append(edges[-1] + chance.randint(1, 30))
    groups = []
    for begin, end in pairwise(edges):
        held = [message for message in messages if begin <= message.day < end]
        held += chance.sample(held, len(held) // 3)
        chance.shuffle(held)
        cut = chance.randint(0, len(held))
        groups += [group for group in (held[:cut], held[cut:]) if group]
    return groups
