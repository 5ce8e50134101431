"""When a region was out: silences at once, long enough."""

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.outage import Silence, outages
from headend.domain.recovery import RecoveryRules

RULES = RecoveryRules(min_outage_s=100, region_share_bp=5_000, grace_s=0)


def whole(began_s: int, ended_s: int | None) -> Silence:
    return Silence(began_s, ended_s, whole=True)


def gateway(began_s: int, ended_s: int | None) -> Silence:
    return Silence(began_s, ended_s, whole=False)


def spans(
    *silences: Silence, gateways: int = 4, now_s: int = 10_000, lasting: bool = False
) -> list[tuple[int, int | None]]:
    return [silence[:2] for silence in outages(silences, gateways, RULES, now_s, lasting=lasting)]


def test_silence_of_the_head_end_or_its_link_is_an_outage_once_it_is_long_enough() -> None:
    assert spans(whole(0, 100)) == [(0, 100)]
    assert spans(whole(0, 99)) == []
    assert spans(whole(9_900, None)) == [(9_900, None)]
    assert spans(whole(9_901, None)) == []


def test_share_of_the_gateways_is_an_outage_from_when_it_is_reached() -> None:
    assert spans(gateway(0, None)) == []
    assert spans(gateway(0, None), gateway(50, None)) == [(50, None)]
    assert spans(gateway(0, 300), gateway(50, 250), gateway(100, None)) == [(50, 300)]
    assert spans(gateway(0, 100), gateway(200, 400)) == [], "not at once"


def test_share_is_rounded_up() -> None:
    assert spans(gateway(0, None), gateway(0, None), gateways=5) == []
    assert spans(gateway(0, None), gateways=1) == [(0, None)]
    assert spans(gateway(0, None), gateways=0) == [(0, None)]


def test_silences_that_touch_are_one_outage() -> None:
    assert spans(whole(0, 60), whole(60, 120)) == [(0, 120)]
    assert spans(whole(0, 500), whole(500, None)) == [(0, None)]
    assert spans(whole(0, 200), gateway(150, None), gateway(150, 400)) == [(0, 400)]
    assert spans(whole(0, 200), whole(201, 250)) == [(0, 200)], "apart, and the second is too short"


def test_outage_that_was_on_goes_on_however_short_what_is_known_of_it() -> None:
    assert spans(gateway(9_990, None), gateway(9_000, None), lasting=True) == [(9_990, None)]
    assert spans(whole(9_000, 9_050), whole(9_990, None), lasting=True) == [(9_000, 9_050)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=8), st.integers(1, 5))
def test_outages_are_the_seconds_at_which_enough_was_silent(
    drawn: list[tuple[int, int, bool]], gateways: int
) -> None:
    rules = RecoveryRules(min_outage_s=1, region_share_bp=5_000, grace_s=0)
    silences = [Silence(min(a, b), max(a, b), is_whole) for a, b, is_whole in drawn]
    found = outages(silences, gateways, rules, 60, lasting=False)
    needed = -(-gateways // 2)
    for at_s in range(51):
        here = [
            silence
            for silence in silences
            if silence.ended_s is not None and silence.began_s <= at_s < silence.ended_s
        ]
        out = any(silence.whole for silence in here) or len(here) >= needed
        assert any(one.ended_s is not None and one.began_s <= at_s < one.ended_s for one in found) == out
