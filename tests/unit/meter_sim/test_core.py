from collections.abc import Callable
from dataclasses import asdict

import pytest
from unit.meter_sim.fleet_bench import QUARTER_S, START_S, Bench, only, plan_of

from headend.wire.errors import ErrorCode, RefusalCode
from headend.wire.messages import Outcome, ReadingKind, Receipt, ReceiptOutcome, Receipts, RelayPosition
from headend.wire.topics import Address, Channel
from meter_sim.core import MAX_POINTS_PER_STEP
from meter_sim.fleet import import_lines
from meter_sim.meter import register_wh
from meter_sim.session import State
from meter_sim.traffic import Connected, Dialled, Disconnected, Message

NewBench = Callable[..., Bench]
DAY_S = 86_400


def test_connected_gateway_says_online_and_hello_with_every_meter(new_bench: NewBench) -> None:
    bench = new_bench(plan=plan_of(600, 600))
    assert bench.step([(0, Dialled())]) == []
    sent = bench.step([(0, Connected())])
    assert [channel for _, channel, _ in sent] == [Channel.STATUS, *[Channel.HELLO] * 3]
    assert sent[0][2].online
    rows = [row for hello in only(sent, Channel.HELLO) for row in hello.meters]
    openings = [int(line.split(",")[3]) for line in list(import_lines(bench.plan))[1:]]
    assert [row.meter for row in rows] == [f"M{number:07}" for number in range(1, 601)]
    assert [row.register_wh for row in rows] == openings
    assert {(row.reading_seq, row.credit_seq, row.relay_version, row.relay) for row in rows} == {
        (0, 0, 0, RelayPosition.CLOSED)
    }


def test_reading_is_taken_at_each_point_of_the_grid_and_sent_once_receipted_no_more(bench: Bench) -> None:
    bench.greet()
    assert bench.core.next_due_s == START_S + QUARTER_S
    assert only(bench.step(after_s=QUARTER_S - 1), Channel.READINGS) == []
    (frame,) = only(bench.step(after_s=1), Channel.READINGS)
    assert (frame.kind, frame.seqs, frame.at_s) == (ReadingKind.INTERVAL, [1] * 4, [START_S + QUARTER_S] * 4)
    assert bench.step([bench.receipts(frame.frame)]) == []
    assert bench.step(wall_s=1_000.0) == []
    assert bench.core.unreceipted == 0
    assert bench.core.counts.readings_receipted == 4


def test_midnight_snapshot_has_its_own_sequence_number_and_goes_first(bench: Bench) -> None:
    bench.greet()
    bench.settle(DAY_S - QUARTER_S)
    snapshot, interval = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    assert snapshot.kind is ReadingKind.SNAPSHOT
    assert snapshot.at_s == [START_S + DAY_S] * 4
    assert (snapshot.seqs[0], interval.seqs[0]) == (96, 97)
    assert snapshot.registers_wh == interval.registers_wh


def test_jump_in_time_takes_every_missed_reading_in_bounded_steps_before_events_count(bench: Bench) -> None:
    bench.greet()
    bench.step(after_s=2 * DAY_S)
    assert bench.core.counts.readings_taken == 4 * MAX_POINTS_PER_STEP
    bench.step([bench.credit("M0000001", 1, 5)])
    assert bench.core.counts.readings_taken == 4 * 2 * MAX_POINTS_PER_STEP
    assert bench.core.counts.credits_applied == 0
    bench.settle()
    assert bench.core.counts.readings_taken == 4 * (2 * DAY_S // QUARTER_S + 2)
    assert bench.core.counts.credits_applied == 1
    assert bench.core.next_due_s == START_S + 2 * DAY_S + QUARTER_S


def test_registers_are_the_same_however_time_was_cut_into_steps(
    new_bench: NewBench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fine = new_bench()
    coarse = Bench(tmp_path_factory.mktemp("coarse"))
    for _ in range(50):
        fine.step(after_s=3 * QUARTER_S)
    coarse.settle(150 * QUARTER_S)
    query = "SELECT kind, seq, at_s, registers_wh FROM frame ORDER BY frame"
    assert fine.log._connection.execute(query).fetchall() == coarse.log._connection.execute(query).fetchall()
    coarse.close()


def test_lost_receipt_means_the_same_reading_again(bench: Bench) -> None:
    bench.greet()
    (first,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    assert bench.step(wall_s=4.9) == []
    (again,) = only(bench.step(wall_s=0.2), Channel.READINGS)
    assert again == first


def test_later_means_again_after_the_time_named(bench: Bench) -> None:
    bench.greet()
    (first,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    bench.step([bench.receipts(first.frame, outcome=ReceiptOutcome.LATER, retry_after_s=30)])
    assert bench.step(wall_s=29.0) == []
    assert only(bench.step(wall_s=1.5), Channel.READINGS) == [first]


def test_refused_frame_is_counted_and_never_sent_again(bench: Bench) -> None:
    bench.greet()
    (first,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    bench.step([bench.receipts(first.frame, outcome=ReceiptOutcome.REFUSED)])
    assert bench.step(wall_s=1_000.0) == []
    assert bench.core.counts.frames_refused == 1
    bench.restart()
    assert bench.core.unreceipted == 0


def test_receipt_damaged_on_its_way_settles_no_frame(bench: Bench) -> None:
    """Each of these would be believed if there were no checksum."""
    bench.greet()
    bench.step(after_s=QUARTER_S)
    (newest,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    first, other = newest.frame - 1, newest.frame
    for outcome, right, wrong in (
        (ReceiptOutcome.ACCEPTED, b'"frame":%d' % first, b'"frame":%d' % other),
        (ReceiptOutcome.LATER, b'"later"', b'"refused"'),
    ):
        gateway, message = bench.receipts(first, outcome=outcome)
        assert right in message.payload
        damaged = Message(message.topic, message.payload.replace(right, wrong))
        bench.step([(gateway, damaged)])
    assert (bench.core.unreceipted, bench.core.counts.bad_messages) == (2, 2)
    again = only(bench.step(wall_s=1_000.0), Channel.READINGS)
    assert [frame.frame for frame in again] == [first, other]
    bench.step([bench.receipts(first, other)])
    assert bench.core.unreceipted == 0


def test_receipt_that_names_no_frame_settles_none(bench: Bench) -> None:
    """A frame of ours was damaged on its way up: it is sent again as it is."""
    bench.greet()
    (first,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    nobody = Receipt(frame=None, outcome=ReceiptOutcome.REFUSED, code=ErrorCode.BAD_JSON)
    for _ in range(3):
        bench.step([bench.down(Channel.RECEIPTS, Receipts(sent_at_s=bench.now_s, receipts=[nobody]))])
        assert only(bench.step(wall_s=61.0), Channel.READINGS) == [first]
    assert bench.core.counts.frames_refused == 0


def test_readings_taken_without_a_link_are_sent_after_the_next_hello(bench: Bench) -> None:
    bench.step(after_s=3 * QUARTER_S)
    sent = bench.step([(0, Connected())])
    assert only(sent, Channel.READINGS) == []
    (hello,) = only(sent, Channel.HELLO)
    assert hello.meters[0].reading_seq == 3
    frames = only(bench.step([bench.receipts(hello.frame)]), Channel.READINGS)
    assert [frame.seqs[0] for frame in frames] == [1, 2, 3]


def test_hello_request_brings_a_hello_with_new_counters_and_all_unreceipted_frames(bench: Bench) -> None:
    bench.greet()
    (frame,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    bench.step([bench.credit("M0000002", 4, 700)])
    (hello,) = only(bench.step([bench.hello_request()]), Channel.HELLO)
    assert hello.meters[1].credit_seq == 4
    assert hello.meters[1].credit_total_micros == 700
    assert only(bench.step([bench.receipts(hello.frame)]), Channel.READINGS) == [frame]


def test_credit_repeated_in_one_step_and_later_counts_once_and_is_always_answered(bench: Bench) -> None:
    bench.greet()
    events = [bench.credit("M0000001", 2, 900), bench.credit("M0000001", 1, 400), bench.credit("M0000001", 2, 900)]
    (results,) = only(bench.step(events), Channel.RESULTS)
    assert [(result.seq, result.credit_total_micros) for result in results.results] == [(2, 900)] * 3
    assert {result.outcome for result in results.results} == {Outcome.APPLIED}
    assert bench.core.counts.credits_applied == 1
    bench.restart()
    assert bench.core.columns.meter(0).credit_total_micros == 900


def test_meter_of_another_gateway_is_unknown_here(new_bench: NewBench) -> None:
    bench = new_bench(plan=plan_of(8, 4))
    bench.greet(0)
    for name in ("M0000005", "M1", "X", "M00000001"):
        (results,) = only(bench.step([bench.credit(name, 1, 5)]), Channel.RESULTS)
        (result,) = results.results
        assert (result.outcome, result.code) == (Outcome.REJECTED, RefusalCode.UNKNOWN_METER)
    assert not bench.core.columns.credit_seq.any()


def test_open_relay_stops_the_register_and_is_named_in_readings(bench: Bench) -> None:
    bench.greet()
    (results,) = only(bench.step([bench.relay("M0000003", 1, RelayPosition.OPEN)], after_s=10), Channel.RESULTS)
    assert results.results[0].relay is RelayPosition.OPEN
    opened_at = bench.core.columns.register_wh(2, bench.now_s)
    (frame,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    assert frame.relays_open == ["M0000003"]
    assert frame.registers_wh[2] == opened_at
    bench.settle(50_000)
    bench.step([bench.relay("M0000003", 2, RelayPosition.CLOSED)])
    assert bench.core.columns.register_wh(2, bench.now_s) == opened_at
    assert bench.core.columns.register_wh(2, bench.now_s + 50_000) > opened_at
    bench.settle(QUARTER_S)
    (frame,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)
    assert frame.relays_open == []


def test_no_loss_of_contact_opens_a_relay(bench: Bench) -> None:
    bench.greet()
    bench.lose()
    for _ in range(30):
        bench.settle(DAY_S)
    assert not bench.core.columns.relay_open.any()


def test_expired_cut_arriving_late_is_refused(bench: Bench) -> None:
    bench.greet()
    order = bench.relay("M0000001", 1, RelayPosition.OPEN, expires_at_s=START_S + 60)
    (results,) = only(bench.step([order], after_s=61), Channel.RESULTS)
    assert results.results[0].code is RefusalCode.EXPIRED
    assert not bench.core.columns.relay_open.any()
    assert bench.core.counts.commands_refused == 1


def test_columns_and_the_rules_of_one_meter_agree_on_the_register(bench: Bench) -> None:
    bench.greet()
    bench.settle(30_000)
    bench.step([bench.relay("M0000002", 1, RelayPosition.OPEN)])
    bench.step(
        [bench.relay("M0000002", 2, RelayPosition.CLOSED), bench.relay("M0000004", 1, RelayPosition.OPEN)],
        after_s=900,
    )
    columns, at_s = bench.core.columns, START_S + 45_000
    expected = [register_wh(columns.meter(row), columns.demand_wh(row, at_s)) for row in range(4)]
    assert columns.registers_wh(at_s).tolist() == expected


def test_bad_messages_are_counted_and_disturb_nothing(bench: Bench) -> None:
    bench.greet()
    receipts = bench.plan.address(0).topic(Channel.RECEIPTS)
    good = b'{"v":1,"sent_at_s":1,"receipts":[{"frame":1,"outcome":"accepted"}]}'
    bad = [
        Message(receipts, b"no json"),
        Message(receipts, b'{"v":2,"sent_at_s":1,"receipts":[]}'),
        Message(receipts, b'{"v":1,"sent_at_s":1,"receipts":[{"outcome":"refused"}]}'),
        Message("ami/v1/R1/G0001/down/nonsense", b"{}"),
        Message("elsewhere", b"{}"),
        Message(Address("R1", "G0002").topic(Channel.RECEIPTS), good),
        Message(bench.plan.address(0).topic(Channel.STATUS), b'{"v":1,"online":false}'),
        Message(receipts, b" " * 70_000),
    ]  # fmt: skip
    events = [(0, message) for message in bad]
    assert bench.step([*events, bench.credit("M0000001", 1, 5)]) != []
    assert bench.core.counts.bad_messages == len(bad)
    assert bench.core.counts.credits_applied == 1


def test_nothing_is_heeded_from_a_link_that_is_gone(bench: Bench) -> None:
    bench.greet()
    assert bench.step([(0, Disconnected()), bench.credit("M0000001", 1, 5)]) == []
    assert bench.core.counts.credits_applied == 0


def test_messages_keep_within_the_limits_at_the_longest_values(new_bench: NewBench) -> None:
    prefix = "x" * 25
    bench = new_bench(plan=plan_of(1_000, 1_000, meter_prefix=prefix))
    bench.greet()
    columns = bench.core.columns
    columns.credit_seq[:] = columns.credit_total_micros[:] = columns.relay_version[:] = 2**53 - 2
    columns.opening_register_wh[:] = 2**52
    columns.relay_open[:] = True
    orders = [bench.credit(f"{prefix}{row + 1:07}", 2**53 - 1, 0) for row in range(1_000)]
    # The bench decodes what is sent, and that refuses a payload beyond the limit.
    sent = bench.step([*orders, bench.hello_request()], after_s=QUARTER_S)
    assert sum(len(message.meters) for message in only(sent, Channel.HELLO)) == 1_000
    assert sum(len(message.results) for message in only(sent, Channel.RESULTS)) == 1_000
    hellos = [message.frame for message in only(sent, Channel.HELLO)]
    frames = only(bench.step([bench.receipts(*hellos)]), Channel.READINGS)
    assert sum(len(frame.relays_open) for frame in frames) == 1_000


def test_farewell_marks_connected_gateways_offline(new_bench: NewBench) -> None:
    bench = new_bench(plan=plan_of(8, 4))
    bench.greet(1)
    ((gateway, publish),) = bench.core.farewell()
    assert gateway == 1
    assert publish.retain
    assert b'"online":false' in publish.payload


def test_timer_tells_when_something_is_sent_again(bench: Bench) -> None:
    assert bench.core.next_timer_s is None
    bench.greet()
    bench.step(after_s=QUARTER_S)
    assert bench.core.next_timer_s is not None
    assert bench.core.next_timer_s <= bench.monotonic_s + 5.0


def test_timers_do_not_pile_up(bench: Bench) -> None:
    bench.greet()
    for _ in range(200):
        bench.step([bench.credit("M0000001", 1, 5)], after_s=QUARTER_S, wall_s=0.01)
    assert len(bench.core._timers) <= 3


def test_restart_in_mid_flight_goes_on_where_it_was(bench: Bench) -> None:
    bench.greet()
    bench.step([bench.credit("M0000001", 3, 300), bench.relay("M0000002", 7, RelayPosition.OPEN)], after_s=100)
    frames = only(bench.step(after_s=3 * QUARTER_S), Channel.READINGS)
    bench.step([bench.receipts(frames[0].frame)])
    bench.step([bench.relay("M0000004", 1, RelayPosition.OPEN)], after_s=20)
    bench.step([bench.relay("M0000004", 2, RelayPosition.CLOSED)], after_s=500)
    before = [asdict(bench.core.columns.meter(row)) for row in range(4)]
    highest = max(frame.frame for frame in frames)
    bench.restart()
    assert [asdict(bench.core.columns.meter(row)) for row in range(4)] == before
    assert bench.core.sessions[0].state is State.DISCONNECTED
    (hello,) = only(bench.step([(0, Connected())]), Channel.HELLO)
    assert hello.frame > highest
    assert hello.meters[0].credit_seq == 3
    assert hello.meters[1].relay is RelayPosition.OPEN
    again = only(bench.step([bench.receipts(hello.frame)]), Channel.READINGS)
    assert [(frame.frame, frame.registers_wh, frame.seqs, frame.relays_open) for frame in again] == [
        (frame.frame, frame.registers_wh, frame.seqs, frame.relays_open) for frame in frames[1:]
    ]
    (following,) = only(bench.step(after_s=QUARTER_S), Channel.READINGS)[-1:]
    assert following.seqs[0] == frames[-1].seqs[0] + 1


@pytest.mark.parametrize("ends_open", [True, False])
def test_restart_remembers_what_a_home_could_not_draw(bench: Bench, ends_open: bool) -> None:
    bench.greet()
    for version in range(1, 4 if ends_open else 5):
        bench.settle(40_000)
        bench.step([bench.relay("M0000002", version, RelayPosition.OPEN if version % 2 else RelayPosition.CLOSED)])
    before = bench.core.columns.meter(1)
    assert before.undrawn_wh > 0
    assert before.relay_open is ends_open
    bench.restart()
    assert bench.core.columns.meter(1) == before


def test_time_never_goes_back_also_across_a_restart(bench: Bench) -> None:
    bench.greet()
    bench.settle(10 * QUARTER_S)
    reached_s = bench.now_s
    bench.restart()
    bench.core.step(START_S, 0.0, [])
    assert bench.core.now_s == reached_s
    assert bench.core.next_due_s == reached_s + QUARTER_S
