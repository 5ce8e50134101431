from collections import Counter
from pathlib import Path

from meter_sim.lab.payments import Consumers, Journal, Payment, read_journal

METERS = ["M1", "M2", "M3"]


def test_same_seed_makes_the_same_requests() -> None:
    assert Consumers(7, METERS).requests(50) == Consumers(7, METERS).requests(50)
    assert Consumers(7, METERS).requests(50) != Consumers(8, METERS).requests(50)


def test_some_requests_are_repeated_and_some_conflict_after_the_first() -> None:
    requests = Consumers(1, METERS).requests(300)
    first: dict[str, Payment] = {}
    times: Counter[str] = Counter()
    conflicts = 0
    for payment in requests:
        if first.setdefault(payment.reference, payment) == payment:
            times[payment.reference] += 1
        else:
            conflicts += 1
    assert len(first) == 300
    assert set(times.values()) == {1, 2, 3}
    assert conflicts > 0


def test_references_are_never_used_again() -> None:
    consumers = Consumers(1, METERS)
    before = {payment.reference for payment in consumers.requests(20)}
    after = {payment.reference for payment in consumers.requests(20)}
    assert not before & after


def test_an_amount_is_written_in_rupees_and_paise() -> None:
    assert Payment("M1", 12_305, "A").line == "M1,123.05,A\n"


def test_the_journal_keeps_requests_answers_and_silences(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first = journal.request("recharge", reference="A")
    second = journal.request("recharge", reference="B")
    journal.silence(first, 10)
    journal.answer(second, 11, {"outcome": "RECORDED"})
    journal.close()
    assert list(read_journal(tmp_path / "journal.jsonl")) == [
        {"kind": "recharge", "n": 1, "reference": "A"},
        {"kind": "recharge", "n": 2, "reference": "B"},
        {"kind": "silence", "n": 1, "at_s": 10},
        {"outcome": "RECORDED", "kind": "answer", "n": 2, "at_s": 11},
    ]
