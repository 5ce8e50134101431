"""Caps on cuts: never more than the limits, whatever comes in whatever order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.caps import Cap, CapLimits, Caps

limits = st.none() | st.integers(0, 6)
homes = st.lists(st.tuples(st.sampled_from(["R1", "R2"]), st.sampled_from(["F1", "F2", "F3", None])), max_size=40)
counts = st.integers(0, 4)


def caps(
    cap_limits: CapLimits,
    fleet: int = 0,
    by_region: dict[str, int] | None = None,
    by_feeder: dict[str, int] | None = None,
) -> Caps:
    return Caps(cap_limits, fleet=fleet, by_region=by_region or {}, by_feeder=by_feeder or {})


def test_fleet_cap_lets_just_so_many_go() -> None:
    taken = caps(CapLimits(fleet=20_000))
    answers = Counter(taken.take(f"R{number % 7}", None) for number in range(300_000))
    assert answers == {None: 20_000, Cap.FLEET: 280_000}


def test_cuts_of_the_last_day_count() -> None:
    taken = caps(CapLimits(fleet=10), fleet=9)
    assert [taken.take("R1", "F1"), taken.take("R1", "F1")] == [None, Cap.FLEET]


def test_narrowest_cap_that_is_reached_is_named() -> None:
    reached = caps(CapLimits(feeder=1, region=1, fleet=1), 1, {"R1": 1}, {"F1": 1})
    assert reached.take("R1", "F1") is Cap.FEEDER
    assert reached.take("R1", "F2") is Cap.REGION
    assert reached.take("R1", None) is Cap.REGION
    assert reached.take("R2", "F2") is Cap.FLEET


def test_home_over_a_narrow_cap_uses_up_nothing_of_the_wider_ones() -> None:
    taken = caps(CapLimits(feeder=1, region=2, fleet=3))
    assert [taken.take("R1", "F1") for _ in range(4)] == [None, Cap.FEEDER, Cap.FEEDER, Cap.FEEDER]
    assert [taken.take("R1", "F2"), taken.take("R2", "F3")] == [None, None]
    assert taken.take("R2", "F4") is Cap.FLEET


def test_cap_of_none_cuts_nobody() -> None:
    assert caps(CapLimits(fleet=0)).take("R1", None) is Cap.FLEET


def test_without_limits_everyone_may_go() -> None:
    taken = caps(CapLimits(), fleet=10**6)
    assert not any(taken.take("R1", "F1") for _ in range(100))


def test_counts_given_are_not_changed() -> None:
    by_region, by_feeder = {"R1": 1}, {"F1": 1}
    caps(CapLimits(), 1, by_region, by_feeder).take("R1", "F1")
    assert (by_region, by_feeder) == ({"R1": 1}, {"F1": 1})


@given(limits, limits, limits, homes, counts, counts, counts)
def test_no_cap_is_ever_passed_and_none_refuses_early(
    feeder: int | None,
    region: int | None,
    fleet: int | None,
    wanted: list[tuple[str, str | None]],
    fleet_before: int,
    region_before: int,
    feeder_before: int,
) -> None:
    taken = caps(
        CapLimits(feeder=feeder, region=region, fleet=fleet),
        fleet_before,
        {"R1": region_before},
        {"F1": feeder_before},
    )
    gone = Counter(
        {("fleet", None): fleet_before, ("region", "R1"): region_before, ("feeder", "F1"): feeder_before}
    )
    for home_region, home_feeder in wanted:
        rooms = {
            Cap.FEEDER: home_feeder is None or feeder is None or gone["feeder", home_feeder] < feeder,
            Cap.REGION: region is None or gone["region", home_region] < region,
            Cap.FLEET: fleet is None or gone["fleet", None] < fleet,
        }
        cap = taken.take(home_region, home_feeder)
        assert cap == next((cap for cap in Cap if not rooms[cap]), None)
        if cap is None:
            gone.update([("fleet", None), ("region", home_region), ("feeder", home_feeder)])
