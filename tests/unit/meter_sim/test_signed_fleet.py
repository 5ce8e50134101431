"""A fleet that verifies signatures and holds policies, on the bench."""

from collections.abc import Callable
from pathlib import Path

import pytest
from unit.meter_sim.fleet_bench import QUARTER_S, START_S, Bench, document_of, only, plan_of

from headend.wire.errors import RefusalCode
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.messages import Outcome, PolicyResult, RelayPosition, Unknown
from headend.wire.topics import Channel
from meter_sim.keys import REREAD_S, FleetKeys
from meter_sim.traffic import Message

NewBench = Callable[..., Bench]
K1 = MasterKey(key="k1", secret="11" * 32, sign_from_s=0)
K2 = MasterKey(key="k2", secret="22" * 32, sign_from_s=0)


@pytest.fixture
def ring_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    write(path, K1)
    return path


def write(path: Path, *keys: MasterKey) -> None:
    path.write_text(KeyRing(keys=list(keys)).model_dump_json())


@pytest.fixture
def signed(new_bench: NewBench, ring_file: Path) -> Bench:
    bench = new_bench(keys=FleetKeys(ring_file))
    bench.key = K1
    bench.greet()
    return bench


def code_of(bench: Bench, order: tuple[int, Message], **passing: float) -> RefusalCode | None:
    (results,) = only(bench.step([order], **passing), Channel.RESULTS)  # type: ignore[arg-type]
    (result,) = results.results
    assert not isinstance(result, Unknown)
    assert (result.outcome is Outcome.REJECTED) == (result.code is not None)
    return result.code  # type: ignore[no-any-return]


def test_signed_commands_are_carried_out_and_others_only_answered(signed: Bench) -> None:
    assert code_of(signed, signed.credit("M0000001", 1, 500)) is None
    assert code_of(signed, signed.relay("M0000001", 1, RelayPosition.OPEN)) is None
    signed.key = None
    assert code_of(signed, signed.credit("M0000001", 2, 900)) is RefusalCode.BAD_SIGNATURE
    assert code_of(signed, signed.relay("M0000001", 2, RelayPosition.CLOSED)) is RefusalCode.BAD_SIGNATURE
    assert code_of(signed, signed.policy(document_of(1), "M0000001")) is RefusalCode.BAD_SIGNATURE
    meter = signed.core.columns.meter(0)
    assert (meter.credit_total_micros, meter.relay_version, meter.policy_version) == (500, 1, 0)
    assert signed.core.counts.commands_refused == 3


def test_fleet_without_keys_looks_at_no_signature(bench: Bench) -> None:
    bench.greet()
    assert code_of(bench, bench.credit("M0000001", 1, 500)) is None
    bench.key = K2
    assert code_of(bench, bench.credit("M0000001", 2, 900)) is None


def test_refused_credit_is_answered_with_the_meters_own_counter(signed: Bench) -> None:
    signed.step([signed.credit("M0000002", 3, 700)])
    signed.key = K2
    (results,) = only(signed.step([signed.credit("M0000002", 4, 900)]), Channel.RESULTS)
    assert (results.results[0].seq, results.results[0].credit_total_micros) == (3, 700)
    assert results.results[0].code is RefusalCode.UNKNOWN_KEY


def test_key_of_a_rotation_is_read_from_the_file_and_the_old_one_goes_on(signed: Bench, ring_file: Path) -> None:
    write(ring_file, K1, K2)
    signed.key = K2
    assert code_of(signed, signed.credit("M0000001", 1, 500)) is None
    signed.key = K1
    assert code_of(signed, signed.credit("M0000001", 2, 900)) is None


def test_file_is_read_again_seldom_however_many_unknown_keys_come(signed: Bench, ring_file: Path) -> None:
    signed.key = K2
    assert code_of(signed, signed.credit("M0000001", 1, 500)) is RefusalCode.UNKNOWN_KEY
    write(ring_file, K1, K2)
    assert code_of(signed, signed.credit("M0000001", 1, 500), wall_s=REREAD_S / 2) is RefusalCode.UNKNOWN_KEY
    assert code_of(signed, signed.credit("M0000001", 1, 500), wall_s=REREAD_S / 2) is None


@pytest.mark.parametrize("content", ["", "{}", None])
def test_file_that_breaks_meanwhile_leaves_the_known_keys(
    signed: Bench, ring_file: Path, content: str | None
) -> None:
    if content is None:
        ring_file.unlink()
    else:
        ring_file.write_text(content)
    signed.key = K2
    assert code_of(signed, signed.credit("M0000001", 1, 500)) is RefusalCode.UNKNOWN_KEY
    signed.key = K1
    assert code_of(signed, signed.credit("M0000001", 1, 500)) is None


def test_rotation_reopens_nothing(signed: Bench, ring_file: Path) -> None:
    """What was refused for its version stays refused, whichever key it comes with."""
    for version, relay in ((1, RelayPosition.OPEN), (2, RelayPosition.CLOSED)):
        signed.step([signed.relay("M0000001", version, relay)])
    old = signed.relay("M0000001", 1, RelayPosition.OPEN)
    write(ring_file, K1.model_copy(update={"accept_until_s": START_S + 60}), K2)
    signed.key = K2
    assert code_of(signed, signed.relay("M0000001", 1, RelayPosition.OPEN)) is RefusalCode.OLDER_VERSION
    assert code_of(signed, old) is RefusalCode.OLDER_VERSION
    signed.restart()
    signed.core.step(signed.now_s, signed.monotonic_s)
    signed.greet()
    assert code_of(signed, old) is RefusalCode.OLDER_VERSION
    assert not signed.core.columns.relay_open.any()


def test_retired_key_is_unknown_after_its_last_second(new_bench: NewBench, ring_file: Path) -> None:
    write(ring_file, K1.model_copy(update={"accept_until_s": START_S + 10}), K2)
    bench = new_bench(keys=FleetKeys(ring_file))
    bench.key = K1
    bench.greet()
    assert code_of(bench, bench.credit("M0000001", 1, 500), after_s=10) is None
    assert code_of(bench, bench.credit("M0000001", 2, 900), after_s=1) is RefusalCode.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no key ring: file"), ('{"keys":[]}', "keys: "), ('{"keys":[{"key":"k1","secret":"abc"}]}', "secret")],
)
def test_file_that_is_no_ring_is_named_without_its_content(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "ring.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"ring\.json is no key ring") as caught:
        FleetKeys(path)
    assert said in str(caught.value)
    assert "abc" not in str(caught.value)


def test_policy_is_one_document_for_many_meters_and_stands_in_the_hello(signed: Bench) -> None:
    document = document_of(3, (3_600, 7_200))
    (results,) = only(signed.step([signed.policy(document, "M0000001", "M0000004")]), Channel.RESULTS)
    assert all(isinstance(result, PolicyResult) and result.version == 3 for result in results.results)
    (hello,) = only(signed.step([signed.hello_request()]), Channel.HELLO)
    assert [row.policy_version for row in hello.meters] == [3, 0, 0, 3]
    assert signed.core.counts.policies_applied == 2
    assert signed.core.columns.meter(0).policy is signed.core.columns.meter(3).policy


def test_well_signed_cut_inside_a_window_is_refused_and_one_after_it_is_not(signed: Bench) -> None:
    signed.step([signed.policy(document_of(1, (3_600, 7_200)), "M0000001")])
    order = signed.relay("M0000001", 1, RelayPosition.OPEN, START_S + 20_000)
    assert code_of(signed, order, after_s=5_000) is RefusalCode.PROTECTED
    assert not signed.core.columns.relay_open.any()
    signed.settle(QUARTER_S)
    assert code_of(signed, order, after_s=QUARTER_S * 2) is None
    assert signed.core.columns.relay_open[0]


def test_reconnection_inside_a_window_is_carried_out(signed: Bench) -> None:
    signed.step([signed.relay("M0000001", 1, RelayPosition.OPEN)])
    signed.step([signed.policy(document_of(1, (3_600, 7_200)), "M0000001")])
    assert code_of(signed, signed.relay("M0000001", 2, RelayPosition.CLOSED), after_s=5_000) is None
    assert not signed.core.columns.relay_open.any()


def test_no_meter_whose_clock_is_off_within_the_tolerance_opens_inside_the_window(new_bench: NewBench) -> None:
    bench = new_bench(plan=plan_of(100, 100, clock_error_s=60))
    assert len(set(bench.core.columns.clock_error_s.tolist())) > 30
    bench.greet()
    meters = [f"M{number:07}" for number in range(1, 101)]
    bench.step([bench.policy(document_of(1, (3_600, 7_200)), *meters)])
    opened_at: dict[str, int] = {}
    for after_s in range(3_400, 7_500, 10):
        bench.settle(START_S + after_s - bench.now_s)
        orders = [bench.relay(meter, after_s, RelayPosition.OPEN) for meter in meters]
        for results in only(bench.step(orders), Channel.RESULTS):
            for result in results.results:
                if result.outcome is Outcome.APPLIED:
                    opened_at.setdefault(result.meter, after_s)
                    assert not 3_600 <= after_s < 7_200
        if after_s == 3_590:
            early = [meter for meter in meters if meter in opened_at]
            assert early, "some clocks permit it just before the window"
    assert len(opened_at) == 100


def test_meter_that_boots_in_1970_opens_for_nobody(bench: Bench) -> None:
    bench.greet()
    bench.step([bench.policy(document_of(1), "M0000001")])
    bench.core.columns.clock_error_s[:] = -START_S
    assert code_of(bench, bench.relay("M0000001", 1, RelayPosition.OPEN)) is RefusalCode.CLOCK_DOUBTFUL
    assert code_of(bench, bench.relay("M0000002", 1, RelayPosition.OPEN)) is RefusalCode.FUTURE_DATED
    assert code_of(bench, bench.credit("M0000001", 1, 500)) is None
    assert code_of(bench, bench.relay("M0000001", 2, RelayPosition.CLOSED)) is None


def test_meter_whose_clock_was_set_off_judges_by_the_wrong_time(signed: Bench) -> None:
    signed.step([signed.policy(document_of(1, (3_600, 7_200)), "M0000001", "M0000002")])
    signed.settle(5_000)
    expires_at_s = signed.now_s + 9_000
    signed.core.columns.shift_clocks(signed.plan, {"G0001": 4_000})
    assert code_of(signed, signed.relay("M0000001", 1, RelayPosition.OPEN, expires_at_s)) is None
    signed.core.columns.shift_clocks(signed.plan, {})
    order = signed.relay("M0000002", 1, RelayPosition.OPEN, expires_at_s)
    assert code_of(signed, order) is RefusalCode.PROTECTED


def test_set_off_clock_is_off_besides_its_own_error(new_bench: NewBench) -> None:
    bench = new_bench(plan=plan_of(100, 50, clock_error_s=60))
    own = bench.core.columns.clock_error_s.tolist()
    bench.core.columns.shift_clocks(bench.plan, {"G0001": 3_600})
    bench.core.columns.shift_clocks(bench.plan, {"G0001": -3_600})
    assert bench.core.columns.clock_error_s.tolist() == [error - 3_600 for error in own[:50]] + own[50:]
    with pytest.raises(ValueError, match="'G0009' is no gateway"):
        bench.core.columns.shift_clocks(bench.plan, {"G0009": 1})


def test_no_clock_goes_back_beyond_1970(bench: Bench) -> None:
    bench.core.columns.shift_clocks(bench.plan, {"G0001": -10 * START_S})
    assert bench.core.columns.clock_s(0, START_S) == 0


def test_command_of_an_unknown_kind_is_skipped_and_the_others_carried_out(bench: Bench) -> None:
    bench.greet()
    payload = (
        b'{"v":1,"sent_at_s":1,"commands":[{"kind":"display","meter":"M0000001","x":[1]},'
        b'{"kind":"credit","meter":"M0000001","seq":1,"credit_total_micros":5,"issued_at_s":1}]}'
    )
    topic = bench.plan.address(0).topic(Channel.COMMANDS)
    assert code_of(bench, (0, Message(topic, payload))) is None
    assert bench.core.columns.meter(0).credit_total_micros == 5
    assert (bench.core.counts.commands_unknown, bench.core.counts.bad_messages) == (1, 0)


def test_unknown_meter_is_answered_for_a_policy_too(bench: Bench) -> None:
    bench.greet()
    assert code_of(bench, bench.policy(document_of(2), "M9")) is RefusalCode.UNKNOWN_METER
