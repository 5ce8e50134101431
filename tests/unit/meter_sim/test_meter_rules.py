from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headend.wire.errors import RefusalCode
from meter_sim.meter import Meter, apply_credit, apply_relay, register_wh

METER = Meter(opening_register_wh=1_000, credit_seq=3, credit_total_micros=500, relay_version=4)


def test_newer_credit_replaces_the_counter() -> None:
    answer = apply_credit(METER, 5, 900)
    assert answer.changed
    assert answer.code is None
    assert answer.meter == replace(METER, credit_seq=5, credit_total_micros=900)


def test_repeated_or_older_credit_changes_nothing_and_is_not_refused() -> None:
    for seq, total in ((3, 500), (3, 999), (2, 400), (1, 10_000)):
        answer = apply_credit(METER, seq, total)
        assert answer.meter == METER
        assert answer.code is None
        assert not answer.changed


def test_newer_credit_with_a_lower_total_is_refused() -> None:
    answer = apply_credit(METER, 4, 499)
    assert answer.meter == METER
    assert answer.code is RefusalCode.TOTAL_WENT_BACK
    assert apply_credit(METER, 4, 500).changed


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=12), st.data())
def test_any_order_repetition_and_loss_counts_each_amount_once(amounts: list[int], data: st.DataObject) -> None:
    totals = [sum(amounts[: n + 1]) for n in range(len(amounts))]
    deliveries = data.draw(st.lists(st.integers(1, len(amounts)), max_size=40))
    meter = Meter()
    newest = 0
    for seq in deliveries:
        meter = apply_credit(meter, seq, totals[seq - 1]).meter
        newest = max(newest, seq)
        assert (meter.credit_seq, meter.credit_total_micros) == (newest, sum(amounts[:newest]))
    meter = apply_credit(meter, len(amounts), totals[-1]).meter
    assert meter.credit_total_micros == sum(amounts)


def test_newest_relay_version_wins() -> None:
    opened = apply_relay(METER, 6, True, 100, 50, 10)
    assert opened.changed
    assert opened.meter.relay_open
    older = apply_relay(opened.meter, 5, False, None, 60, 20)
    assert older.code is RefusalCode.OLDER_VERSION
    assert older.meter == opened.meter


def test_relay_version_in_force_is_answered_again_also_when_it_has_expired() -> None:
    opened = apply_relay(METER, 6, True, 100, 50, 10).meter
    again = apply_relay(opened, 6, True, 100, 5_000, 99)
    assert again.code is None
    assert not again.changed
    assert again.meter == opened


def test_relay_command_is_in_time_until_its_last_second_and_never_after() -> None:
    assert apply_relay(METER, 5, True, 100, 100, 0).meter.relay_open
    late = apply_relay(METER, 5, True, 100, 101, 0)
    assert late.code is RefusalCode.EXPIRED
    assert late.meter == METER


def test_open_home_draws_nothing_and_the_register_neither_jumps_nor_goes_back() -> None:
    meter = apply_relay(METER, 5, True, 100, 10, 40).meter
    assert register_wh(meter, 40) == 1_040
    assert register_wh(meter, 90) == 1_040
    meter = apply_relay(meter, 6, False, None, 20, 90).meter
    assert register_wh(meter, 90) == 1_040
    assert register_wh(meter, 100) == 1_050


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1_000)), max_size=20))
def test_register_is_the_demand_while_closed(moves: list[tuple[bool, int]]) -> None:
    meter, demand, drawn = Meter(opening_register_wh=77), 0, 0
    for version, (opens, more) in enumerate(moves, 1):
        drawn += 0 if meter.relay_open else more
        demand += more
        meter = apply_relay(meter, version, opens, None, 0, demand).meter
        assert register_wh(meter, demand) == 77 + drawn
