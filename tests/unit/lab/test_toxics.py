"""Each toxic does what it says, and the same seed does it again."""

import random
from collections.abc import Iterable

import pytest
from pydantic import ValidationError

from meter_sim.lab.toxics import TOXICS, AppliedToxic, Parcel, Passage, Pipe, Stream, Toxic, fate_of

HELLO = Parcel("ami/v1/R1/G0001/up/hello", b"content of a message")


def toxic(kind: str, **attributes: float) -> Toxic:
    return TOXICS[kind].model_validate(attributes)


def pipe(*toxics: Toxic, client: str = "G0001", seed: int = 7) -> Pipe:
    fitted = Pipe(client, "upstream")
    fitted.refit(applied(*toxics, seed=seed), now_s=0.0)
    return fitted


def applied(*toxics: Toxic, seed: int = 7, stream: Stream = "upstream") -> list[AppliedToxic]:
    return [AppliedToxic(f"toxic-{place}", one, stream, seed=seed) for place, one in enumerate(toxics)]


def numbered(count: int) -> list[Parcel]:
    return [Parcel(HELLO.topic, b"%04d" % number) for number in range(count)]


def arrivals(through: Pipe, parcels: Iterable[Parcel], period_s: float = 0.01) -> list[bytes]:
    """Payloads in order of arrival, when a message is sent every `period_s`."""
    due = []
    for place, parcel in enumerate(parcels):
        now_s = place * period_s
        due += [
            (now_s + passage.delay_s, place, passage.parcel.payload) for passage in through.pass_on(parcel, now_s)
        ]
    return [payload for _, _, payload in sorted(due, key=lambda row: row[:2])]


EACH_KIND = [
    toxic("latency", latency_ms=100, jitter_ms=50),
    toxic("bandwidth", rate_kbps=1),
    toxic("loss", probability=0.3),
    toxic("duplicate", probability=0.3, delay_ms=100),
    toxic("reorder", probability=0.3, delay_ms=100),
    toxic("corrupt", probability=0.3),
    toxic("reset", timeout_ms=5),
    toxic("black_hole"),
]


def test_each_kind_is_tried_here() -> None:
    assert {type(one) for one in EACH_KIND} == set(TOXICS.values())


@pytest.mark.parametrize("one", EACH_KIND, ids=lambda one: type(one).__name__)
def test_same_seed_gives_the_same_passages_and_a_pure_rule_changes_nothing(one: Toxic) -> None:
    first, second = (list(map(pipe(one).pass_on, numbered(100), range(100))) for _ in range(2))
    assert first == second
    assert one.pass_on(HELLO, 0.0, random.Random(3)) == one.pass_on(HELLO, 0.0, random.Random(3))


@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder", "corrupt"])
def test_another_seed_and_another_client_meet_another_chance(kind: str) -> None:
    (one,) = (one for one in EACH_KIND if type(one) is TOXICS[kind])
    fates = [
        [fate_of(parcel, through.pass_on(parcel, 0.0)) for parcel in numbered(200)]
        for through in (pipe(one), pipe(one, seed=8), pipe(one, client="G0002"))
    ]
    assert fates[0] != fates[1]
    assert fates[0] != fates[2]


def test_latency_delays_within_its_jitter() -> None:
    one = toxic("latency", latency_ms=100, jitter_ms=40)
    delays_s = [one.pass_on(HELLO, 0.0, chance)[0].delay_s for chance in map(random.Random, range(300))]
    assert 0.06 <= min(delays_s) < 0.07
    assert 0.13 < max(delays_s) <= 0.14


def test_latency_is_never_below_zero() -> None:
    one = toxic("latency", latency_ms=0, jitter_ms=1_000)
    delays_s = [one.pass_on(HELLO, 0.0, chance)[0].delay_s for chance in map(random.Random, range(50))]
    assert min(delays_s) == 0
    assert max(delays_s) > 0


def test_jitter_keeps_the_order() -> None:
    parcels = numbered(500)
    through = pipe(toxic("latency", latency_ms=50, jitter_ms=50))
    assert arrivals(through, parcels, 0.001) == [parcel.payload for parcel in parcels]


def test_other_packets_keep_their_place_among_the_messages() -> None:
    through = pipe(toxic("latency", latency_ms=50, jitter_ms=50))
    last_s = 0.0
    for place in range(300):
        now_s = place * 0.001
        delay_s = through.carry(b"\xc0\x00", now_s) if place % 2 else through.pass_on(HELLO, now_s)[0].delay_s
        assert delay_s is not None
        assert now_s + delay_s >= last_s
        last_s = now_s + delay_s


def test_bandwidth_makes_each_wait_for_those_before_it() -> None:
    through = pipe(toxic("bandwidth", rate_kbps=1))
    parcel = Parcel("1234", bytes(496))
    delays_s = [through.pass_on(parcel, now_s)[0].delay_s for now_s in (0.0, 0.0, 0.25, 10.0)]
    assert delays_s == pytest.approx([0.5, 1.0, 1.25, 0.5])


def test_bandwidth_of_two_clients_is_two_lines() -> None:
    one = toxic("bandwidth", rate_kbps=1)
    pipe(one, client="G0001").pass_on(Parcel("", bytes(5_000)), 0.0)
    assert pipe(one, client="G0002").pass_on(Parcel("", bytes(500)), 0.0)[0].delay_s == pytest.approx(0.5)


def test_a_new_connection_does_not_wait_for_what_died_with_the_old_one() -> None:
    through = pipe(toxic("bandwidth", rate_kbps=1))
    through.pass_on(Parcel("", bytes(1_000_000)), 0.0)
    through.reconnect(1.0)
    assert through.pass_on(Parcel("", bytes(500)), 1.0)[0].delay_s == pytest.approx(0.5)


def test_order_is_kept_when_a_delay_shrinks_and_forgotten_when_nothing_delays() -> None:
    through = pipe(toxic("latency", latency_ms=1_000))
    through.pass_on(HELLO, 0.0)
    through.refit(applied(toxic("latency", latency_ms=10)), 0.1)
    assert through.pass_on(HELLO, 0.1)[0].delay_s == pytest.approx(0.9)
    through.refit([], 0.2)
    assert through.pass_on(HELLO, 0.2)[0].delay_s == 0


def test_loss_loses_its_share() -> None:
    fates = [fate_of(parcel, passages) for parcel, passages in sent(pipe(toxic("loss", probability=0.3)), 2_000)]
    assert 500 < fates.count("lost") < 700
    assert set(fates) == {"lost", "passed"}


def sent(through: Pipe, count: int) -> list[tuple[Parcel, list[Passage]]]:
    return [(parcel, through.pass_on(parcel, 0.0)) for parcel in numbered(count)]


@pytest.mark.parametrize(("probability", "expected"), [(0, "passed"), (1, "lost")])
def test_probability_0_is_never_and_1_is_always(probability: int, expected: str) -> None:
    through = pipe(toxic("loss", probability=probability))
    assert {fate_of(parcel, passages) for parcel, passages in sent(through, 500)} == {expected}


def test_duplicate_makes_whole_copies() -> None:
    for parcel, passages in sent(pipe(toxic("duplicate", probability=1, copies=2)), 20):
        assert passages == [Passage(0.0, parcel)] * 3
        assert fate_of(parcel, passages) == "duplicated"


def test_duplicate_with_a_delay_is_a_replay_that_later_ones_overtake() -> None:
    parcels = numbered(100)
    seen = arrivals(pipe(toxic("duplicate", probability=1, delay_ms=200)), parcels)
    firsts = list(dict.fromkeys(seen))
    assert firsts == [parcel.payload for parcel in parcels]
    assert seen != sorted(seen)
    assert sorted(seen) == sorted([parcel.payload for parcel in parcels] * 2)


def test_reorder_holds_some_back_and_loses_none() -> None:
    parcels = numbered(200)
    seen = arrivals(pipe(toxic("reorder", probability=0.2, delay_ms=100)), parcels)
    assert seen != sorted(seen)
    assert sorted(seen) == [parcel.payload for parcel in parcels]
    moved = [abs(seen.index(parcel.payload) - place) for place, parcel in enumerate(parcels)]
    assert max(moved) <= 10, "held back for 100 ms, one message every 10 ms"


def test_a_message_held_back_does_not_block_a_slow_line() -> None:
    slow, held = toxic("bandwidth", rate_kbps=1_000), toxic("reorder", probability=0.5, delay_ms=60_000)
    for order in ([slow, held], [held, slow]):
        passages = [passages[0] for _, passages in sent(pipe(*order), 50)]
        assert max(passage.delay_s for passage in passages) > 10
        assert max(passage.delay_s for passage in passages if not passage.is_held) < 0.1


def test_corrupt_flips_bytes_of_the_payload_and_nothing_else() -> None:
    for parcel, passages in sent(pipe(toxic("corrupt", probability=1, flipped_bytes=2)), 50):
        (passage,) = passages
        assert passage.parcel.topic == parcel.topic
        assert len(passage.parcel.payload) == len(parcel.payload)
        assert sum(a != b for a, b in zip(passage.parcel.payload, parcel.payload, strict=True)) == 2
        assert fate_of(parcel, passages) == "corrupted"


def test_corrupt_leaves_an_empty_payload() -> None:
    empty = Parcel("topic", b"")
    assert pipe(toxic("corrupt", probability=1)).pass_on(empty, 0.0) == [Passage(0.0, empty)]


def test_reset_cuts_after_its_time_and_again_after_a_reconnect() -> None:
    through = pipe()
    assert through.cut_at_s is None
    through.refit(applied(toxic("reset", timeout_ms=500), toxic("reset", timeout_ms=200)), now_s=100.0)
    assert through.cut_at_s == pytest.approx(100.2)
    through.refit(applied(toxic("reset", timeout_ms=500)), now_s=100.1)
    assert through.cut_at_s == pytest.approx(100.5), "one that stays counts from its own beginning"
    through.reconnect(200.0)
    assert through.cut_at_s == pytest.approx(200.5)
    through.refit([], now_s=201.0)
    assert through.cut_at_s is None


def test_black_hole_swallows_pings_too() -> None:
    through = pipe(toxic("black_hole"))
    assert through.swallows_all
    assert through.pass_on(HELLO, 0.0) == []
    assert through.carry(b"\xc0\x00", 0.0) is None


@pytest.mark.parametrize("kind", ["loss", "duplicate", "reorder", "corrupt"])
def test_pings_and_acknowledgements_pass_untouched(kind: str) -> None:
    attributes = {"probability": 1, **({"delay_ms": 1_000} if kind == "reorder" else {})}
    through = pipe(toxic(kind, **attributes))
    assert {through.carry(b"\xc0\x00", 0.0) for _ in range(20)} == {0.0}


def test_a_pipe_without_toxics_does_nothing() -> None:
    through = pipe()
    assert through.is_clean
    assert through.pass_on(HELLO, 0.0) == [Passage(0.0, HELLO)]


def test_toxics_of_the_other_direction_are_left_out() -> None:
    through = Pipe("G0001", "upstream")
    through.refit(applied(toxic("black_hole"), stream="downstream"), now_s=0.0)
    assert through.is_clean


def test_chance_goes_on_over_a_reconnect_and_over_changes_of_other_toxics() -> None:
    loss, latency = applied(toxic("loss", probability=0.5), toxic("latency", latency_ms=1))
    calm, shaken = Pipe("G0001", "upstream"), Pipe("G0001", "upstream")
    calm.refit([loss], 0.0)
    shaken.refit([loss], 0.0)
    expected = [len(calm.pass_on(parcel, 0.0)) for parcel in numbered(200)]
    seen = [len(shaken.pass_on(parcel, 0.0)) for parcel in numbered(70)]
    shaken.reconnect(0.0)
    seen += [len(shaken.pass_on(parcel, 0.0)) for parcel in numbered(70)]
    shaken.refit([latency, loss], 0.0)
    seen += [len(shaken.pass_on(parcel, 0.0)) for parcel in numbered(60)]
    assert seen == expected


def test_toxicity_is_the_share_of_clients_whoever_comes_first() -> None:
    clients = [f"G{number:04}" for number in range(2_000)]
    affected = {}
    for share in (0.0, 0.1, 0.3, 1.0):
        one = AppliedToxic("x", toxic("black_hole"), "upstream", share, seed=3)
        affected[share] = {client for client in clients if one.affects(client)}
        assert affected[share] == {client for client in reversed(clients) if one.affects(client)}
        assert abs(len(affected[share]) - share * 2_000) < 80
    assert affected[0.0] == set()
    assert affected[0.1] < affected[0.3] < affected[1.0] == set(clients)
    other = AppliedToxic("x", toxic("black_hole"), "upstream", 0.3, seed=4)
    assert {client for client in clients if other.affects(client)} != affected[0.3]


def test_only_named_gateways_are_affected() -> None:
    one = AppliedToxic("x", toxic("black_hole"), "upstream", gateways=frozenset({"G0001"}))
    assert one.affects("G0001")
    assert not one.affects("G0002")


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("latency", {}),
        ("latency", {"latency_ms": -1}),
        ("latency", {"latency_ms": float("inf")}),
        ("latency", {"latency_ms": "100"}),
        ("latency", {"latency_ms": 1, "latency": 1}),
        ("bandwidth", {"rate_kbps": 0}),
        ("loss", {"probability": 1.01}),
        ("loss", {"probability": float("nan")}),
        ("duplicate", {"probability": 0.1, "copies": 0}),
        ("reorder", {"probability": 0.1}),
        ("corrupt", {"probability": 0.1, "flipped_bytes": 1.5}),
        ("black_hole", {"timeout_ms": 0}),
    ],
)
def test_wrong_attributes_are_refused(kind: str, attributes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        toxic(kind, **attributes)


def test_a_toxic_cannot_be_changed() -> None:
    one = toxic("loss", probability=0.1)
    with pytest.raises(ValidationError):
        one.probability = 0.2  # type: ignore[attr-defined]
