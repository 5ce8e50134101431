"""What every store promises, held against all that ship: the one in memory and the one on disk."""

import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plain_rules import plain_tariff
from pysqlite3 import dbapi2 as sqlite

from headend.adapters.memory import memory_store
from headend.adapters.sqlite import SqliteStore
from headend.domain.delivery import DeliveryKind
from headend.domain.ledger import GENESIS_HASH, Transfer, TransferKind, chain_hash
from headend.domain.pace import Step
from headend.domain.reconcile import ExceptionKind, HeadendView
from headend.service.ports import Store, StoreError, UnitOfWork
from headend.service.ports.billing import SettledDay
from headend.service.ports.lost_numbers import LostNumbers, Word
from headend.service.rows import Lane, NewTransfer, Registration
from headend.service.settle import settle_days
from headend.service.traffic import GatewayId

G1, G2 = GatewayId("R1", "G1"), GatewayId("R1", "G2")
DAY = 739_000
NOW_S = 1_730_226_600
MAX_DAY_WH = 1_000


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    made = memory_store() if request.param == "memory" else SqliteStore(tmp_path / "headend.db")
    yield made
    made.close()


@pytest.fixture
def uow(store: Store) -> Iterator[UnitOfWork]:
    """A writing transaction on a store with M1 and M2 behind G1 (opening register 100) and M3 behind G2."""
    with store.transaction() as unit:
        unit.register_meters([Registration("M1", G1, 100, DAY), Registration("M2", G1, 100, DAY)])
        unit.register_meters([Registration("M3", G2, 0, DAY + 5)])
    with store.transaction() as unit:
        yield unit


def key(uow: UnitOfWork, meter: str) -> int:
    ((_, meter_key, _),) = uow.meter_keys([meter])
    return meter_key


def lane(uow: UnitOfWork, meter: str, kind: DeliveryKind = DeliveryKind.CREDIT) -> Lane:
    ((_, meter_key, gateway_key),) = uow.meter_keys([meter])
    return Lane(gateway_key, kind, meter_key)


def recharge(uow: UnitOfWork, meter: str, reference: str, amount_micros: int = 10) -> Transfer:
    account = uow.meter_account(meter)
    assert account is not None
    (transfer,) = uow.post(
        [NewTransfer(reference, TransferKind.RECHARGE, 1, account.account_key, amount_micros, NOW_S, NOW_S + 1)]
    )
    uow.issue_credit(account, transfer)
    return transfer


def states(uow: UnitOfWork, meter: str) -> list[str]:
    return [row.ended_reason or row.state for row in uow.queue(meter, 0, 100)]


def send(uow: UnitOfWork, *lanes: Lane, now_s: int = NOW_S) -> None:
    uow.mark_sent(uow.newest_open(lanes), now_s)


class StopError(Exception):
    """What a test ends a transaction with."""


def write_and_raise(store: Store, error: type[BaseException] | BaseException) -> None:
    with store.transaction() as uow:
        uow.register_meters([Registration("M1", G1, 0, DAY)])
        recharge(uow, "M1", "PAY-1")
        uow.add_dead_letter("t", b"x", "C", "d", NOW_S)
        uow.beat(NOW_S, stopped=False)
        raise error


# --- transactions -------------------------------------------------------------------------------------------


def test_what_is_committed_stays(store: Store) -> None:
    with store.transaction() as uow:
        uow.register_meters([Registration("M1", G1, 0, DAY)])
    with store.view() as uow:
        assert uow.meter_count() == 1


@pytest.mark.parametrize("error", [StopError, StoreError("no", transient=True), KeyboardInterrupt, AssertionError])
def test_transaction_that_raises_leaves_nothing_and_hands_the_error_on(
    store: Store, error: type[BaseException] | BaseException
) -> None:
    with pytest.raises((StopError, StoreError, KeyboardInterrupt, AssertionError)) as raised:
        write_and_raise(store, error)
    assert raised.value is error or raised.type is error
    with store.view() as uow:
        assert uow.meter_count() == 0
        assert uow.gateways() == []
        assert uow.transfer("PAY-1") is None
        assert uow.dead_letters(10) == []
        assert uow.heartbeat() is None
    with store.transaction() as uow:
        uow.register_meters([Registration("M1", G1, 0, DAY)])


def test_callers_own_error_is_not_the_stores(store: Store) -> None:
    with pytest.raises(BrokenPipeError), store.view():
        raise BrokenPipeError("the reader of our output is gone")


def test_broken_rule_is_no_trouble_of_the_stores(uow: UnitOfWork) -> None:
    recharge(uow, "M1", "PAY-1")
    with pytest.raises(sqlite.IntegrityError):
        recharge(uow, "M1", "PAY-1")


def test_view_writes_nothing(store: Store) -> None:
    with store.view() as uow:
        uow.beat(NOW_S, stopped=False)
    with store.view() as uow:
        assert uow.heartbeat() is None


def test_nobody_else_no_change(store: Store) -> None:
    store.changed()
    assert store.changed() is False
    with store.transaction() as uow:
        uow.beat(NOW_S, stopped=False)
    assert store.changed() is False, "our own commits are no news"


def test_view_is_one_snapshot_whatever_others_commit(tmp_path: Path) -> None:
    ours, theirs = SqliteStore(tmp_path / "s.db"), SqliteStore(tmp_path / "s.db")
    with ours.view() as uow:
        assert uow.meter_count() == 0
        with theirs.transaction() as other:
            other.register_meters([Registration("M1", G1, 0, DAY)])
        assert uow.meter_count() == 0
    with ours.view() as uow:
        assert uow.meter_count() == 1
    ours.close()
    theirs.close()


def test_commits_of_others_are_noticed_once(tmp_path: Path) -> None:
    ours, theirs = SqliteStore(tmp_path / "s.db"), SqliteStore(tmp_path / "s.db")
    ours.changed()
    for at_s in (1, 2):
        with theirs.transaction() as uow:
            uow.beat(at_s, stopped=False)
        assert ours.changed() is True
        assert ours.changed() is False
    with pytest.raises(StopError):
        write_and_raise(theirs, StopError)
    assert ours.changed() is False
    ours.close()
    theirs.close()


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    ours = SqliteStore(tmp_path / "s.db")
    entered, order = threading.Event(), []

    def write_meanwhile() -> None:
        theirs = SqliteStore(tmp_path / "s.db")
        entered.set()
        with theirs.transaction() as uow:
            order.append("theirs")
            uow.beat(2, stopped=False)
        theirs.close()

    other = threading.Thread(target=write_meanwhile)
    with ours.transaction() as uow:
        other.start()
        assert entered.wait(10)
        other.join(0.2)
        assert other.is_alive()
        order.append("ours")
        uow.beat(1, stopped=False)
    other.join(10)
    assert order == ["ours", "theirs"]
    with ours.view() as uow:
        assert uow.heartbeat() == (2, False)
    ours.close()


# --- registry -----------------------------------------------------------------------------------------------


def test_registered_meters_are_found_by_name(uow: UnitOfWork) -> None:
    assert uow.registrations(["M1", "NOBODY", "M3"]) == {
        "M1": Registration("M1", G1, 100, DAY),
        "M3": Registration("M3", G2, 0, DAY + 5),
    }
    assert uow.registrations([]) == {}
    keys = {meter: (meter_key, gateway) for meter, meter_key, gateway in uow.meter_keys(["M1", "M2", "M3", "X"])}
    assert set(keys) == {"M1", "M2", "M3"}
    assert keys["M1"][1] == keys["M2"][1] == uow.gateway_key(G1) != uow.gateway_key(G2)
    assert uow.gateway_key(GatewayId("R2", "G1")) is None
    assert uow.meter_count() == 3


def test_meters_come_in_pages(uow: UnitOfWork) -> None:
    assert [row.meter for row in uow.meter_rows("", 2)] == ["M1", "M2"]
    assert [row.meter for row in uow.meter_rows("M2", 2)] == ["M3"]
    assert uow.meter_rows("M3", 2) == []
    row = uow.meter_row("M1")
    assert row is not None
    assert (row.meter, row.region, row.gateway, row.installed_day) == ("M1", "R1", "G1", DAY)
    assert (row.settled_day, row.settled_register_wh, row.register_wh) == (DAY - 1, 100, 100)
    assert uow.meter_row("NOBODY") is None
    assert uow.meter_row("") is None


def test_gateway_is_heard_at_the_newest_time(uow: UnitOfWork) -> None:
    (key1, name, heard), (key2, _, _) = uow.gateways()
    assert (name, heard) == (G1, None)
    assert [key for key, _, _ in uow.gateways(after=key1)] == [key2]
    assert uow.gateways(after=key2) == []
    for at_s in (5, 9, 7):
        uow.note_gateways_heard([(key1, at_s)])
    assert [heard for _, _, heard in uow.gateways()] == [9, None]
    uow.note_gateways_heard([])
    assert key1 != key2


# --- ingest -------------------------------------------------------------------------------------------------


def test_registers_are_taken_where_newer_and_not_lower_or_none_is(uow: UnitOfWork) -> None:
    m1, m2 = key(uow, "M1"), key(uow, "M2")
    assert uow.advance_registers([(m1, 5, NOW_S, 150, 1), (m2, 1, NOW_S, 100, 0)]) is True
    assert uow.register_states([m1, m2]) == {m1: (5, 150, NOW_S), m2: (1, 100, NOW_S)}
    for row in [(m1, 5, 1, 160, 0), (m1, 4, 1, 160, 0), (m1, 6, 1, 149, 0), (10**6, 1, 1, 1, 0)]:
        assert uow.advance_registers([(m2, 9, 1, 900, 0), row]) is False
        assert uow.register_states([m1, m2, 10**6]) == {m1: (5, 150, NOW_S), m2: (1, 100, NOW_S)}
    assert uow.advance_registers([(m1, 6, NOW_S, 150, 0), (m1, 8, NOW_S + 1, 151, 0)]) is True
    assert uow.advance_registers([(m1, 9, 5, 151, 0)]) is True
    assert uow.advance_registers([]) is True
    assert uow.register_states([m1]) == {m1: (9, 151, NOW_S + 1)}
    row = uow.meter_row("M1")
    assert row is not None
    assert (row.read_at_s, row.relay_open) == (NOW_S + 1, 0), "the time of the balance never goes back"


@pytest.mark.parametrize(("seq", "register_wh", "taken"), [(15, 1_150, True), (16, 150, False), (6, 1_151, False)])
def test_registers_are_taken_by_a_step_at_the_most_or_none_is(
    uow: UnitOfWork, seq: int, register_wh: int, taken: bool
) -> None:
    m1, m2 = key(uow, "M1"), key(uow, "M2")
    uow.advance_registers([(m1, 5, NOW_S, 150, 0)])
    rows = [(m2, 1, NOW_S, 100, 0), (m1, seq, NOW_S, register_wh, 0)]
    assert uow.advance_registers(rows, Step(seqs=10, energy_wh=1_000)) is taken
    assert uow.register_states([m1])[m1][:2] == ((seq, register_wh) if taken else (5, 150))
    assert uow.register_states([m2])[m2].seq == int(taken)


def test_meter_without_a_reading_counts_from_the_day_before_its_installation(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    row = uow.meter_row("M1")
    assert row is not None
    installed_s = (row.settled_day + 1 - date(1970, 1, 1).toordinal()) * 86_400
    assert uow.register_states([m1])[m1].since_s == installed_s - 86_400


def test_segments_keep_every_column_as_it_came(uow: UnitOfWork) -> None:
    columns = [1, 2, 1], [9, 8, 9], [NOW_S, 5, 2**53 - 1], [0, 2**53 - 1, 7]
    uow.add_segment(*columns)
    uow.add_segment([4], [1], [1], [1])
    assert [tuple(map(list, columns)) for _, *columns in uow.segments()] == [columns, ([4], [1], [1], [1])]


def test_first_snapshot_of_a_day_stands(uow: UnitOfWork) -> None:
    m1, m2 = key(uow, "M1"), key(uow, "M2")
    assert uow.add_snapshots([(m1, DAY, 150), (m2, DAY, 160)]) == []
    assert uow.add_snapshots([(m1, DAY, 150), (m1, DAY + 1, 170)]) == []
    assert uow.add_snapshots([(m1, DAY, 151), (m2, DAY, 160), (m2, DAY + 1, 9)]) == [(m1, DAY, 150)]
    assert uow.add_snapshots([]) == []


def test_open_exception_is_one_row_that_counts(uow: UnitOfWork) -> None:
    m1, m2 = key(uow, "M1"), key(uow, "M2")
    uow.add_exception(ExceptionKind.CREDIT_AHEAD, m1, "first", 10)
    uow.add_exception(ExceptionKind.RELAY_AHEAD, m1, "other", 11)
    uow.add_exception(ExceptionKind.CREDIT_AHEAD, m2, "other", 12)
    uow.add_exception(ExceptionKind.CREDIT_AHEAD, m1, "again", 13)
    rows = uow.exceptions(None, 10)
    assert [(row.meter, row.kind, row.count) for row in rows] == [
        ("M1", "CREDIT_AHEAD", 2),
        ("M1", "RELAY_AHEAD", 1),
        ("M2", "CREDIT_AHEAD", 1),
    ]
    assert (rows[0].detail, rows[0].first_at_s, rows[0].last_at_s) == ("again", 10, 13)
    assert [row.meter for row in uow.exceptions("M2", 10)] == ["M2"]
    assert len(uow.exceptions(None, 2)) == 2


def test_dead_letter_is_one_row_a_topic_and_payload(uow: UnitOfWork) -> None:
    for topic, payload in [("t", b"\x00\xff"), ("u", b"\x00\xff"), ("t", b""), ("t", b"\x00\xff")]:
        uow.add_dead_letter(topic, payload, "BAD_JSON", "why", 10)
    rows = uow.dead_letters(10)
    assert [(row.topic, row.payload_bytes, row.count) for row in rows] == [("t", 0, 1), ("u", 2, 1), ("t", 2, 2)]
    assert len(uow.dead_letters(1)) == 1


def test_dead_letters_are_bounded(uow: UnitOfWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headend.adapters.sqlite_rows.MAX_DEAD_LETTERS", 3)
    for number in range(8):
        uow.add_dead_letter("t", b"%d" % number, "BAD_JSON", "why", 10)
    rows = uow.dead_letters(10)
    assert [row.code for row in rows] == ["DEAD_LETTERS_FULL", *["BAD_JSON"] * 3]
    assert (rows[0].count, rows[0].payload_bytes) == (5, 0)


def test_our_view_of_a_meter_is_of_all_its_counters(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    assert uow.headend_views([m1, 10**6]) == {m1: HeadendView(100, 0, 0, 0, 0, 0, 0, 0)}
    for number in range(3):
        recharge(uow, "M1", f"PAY-{number}")
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    uow.advance_registers([(m1, 1, 77, 120, 0)])
    uow.apply_credits([(m1, 2, 88, 20)])
    uow.apply_relays([(m1, 1, 99)])
    assert uow.headend_views([m1]) == {m1: HeadendView(120, 1, 77, 3, 2, 88, 2, 1)}


def test_credit_totals_are_of_the_numbers_asked_for(uow: UnitOfWork) -> None:
    m1, m2 = key(uow, "M1"), key(uow, "M2")
    for number, amount in enumerate([10, 20, 30]):
        recharge(uow, "M1", f"PAY-{number}", amount)
    recharge(uow, "M2", "PAY-X", 5)
    assert uow.credit_totals([(m1, 2), (m2, 1)]) == {m1: 30, m2: 5}
    assert uow.credit_totals([(m1, 4), (m2, 0)]) == {}
    assert uow.credit_totals([]) == {}


# --- ledger -------------------------------------------------------------------------------------------------


def test_transfers_are_chained_and_move_both_totals(uow: UnitOfWork) -> None:
    first, second = recharge(uow, "M1", "PAY-1", 10), recharge(uow, "M2", "PAY-2", 20)
    assert (first.transfer_id, second.transfer_id) == (1, 2)
    head = GENESIS_HASH
    for transfer in (first, second):
        fields = [getattr(transfer, name) for name in Transfer.__slots__[:-1]]
        head = chain_hash(head, *fields)
        assert transfer.chain_hash == head
    assert list(uow.transfers()) == [first, second]
    assert uow.transfer("PAY-2") == second
    assert uow.transfer("PAY-3") is None
    row = uow.meter_row("M2")
    assert row is not None
    assert (row.credits_micros, row.debits_micros) == (20, 0)
    assert uow.violations("transfers_balance") == uow.violations("balances_fold") == []


def test_several_transfers_are_posted_at_once(uow: UnitOfWork) -> None:
    recharge(uow, "M1", "PAY-1")
    account = uow.meter_account("M1")
    assert account is not None
    energy = uow.account_key("energy")
    new = [NewTransfer(f"E-{n}", TransferKind.ENERGY, account.account_key, energy, n, 1, 2) for n in (3, 4)]
    assert [(t.transfer_id, t.amount_micros) for t in uow.post(new)] == [(2, 3), (3, 4)]
    assert uow.post([]) == []
    row = uow.meter_row("M1")
    assert row is not None
    assert (row.credits_micros, row.debits_micros) == (10, 7)


@pytest.mark.parametrize("amount_micros", [0, -1])
def test_ledger_refuses_what_moves_nothing(uow: UnitOfWork, amount_micros: int) -> None:
    with pytest.raises(sqlite.IntegrityError):
        recharge(uow, "M1", "PAY-1", amount_micros)


def test_credit_numbers_go_up_by_one(uow: UnitOfWork) -> None:
    for number in (1, 2, 3):
        recharge(uow, "M1", f"PAY-{number}", number)
        account = uow.meter_account("M1")
        assert account is not None
        assert account.credit_seq == number
    assert account.credit_total_micros == 6
    assert uow.meter_account("NOBODY") is None
    assert sorted(uow.all_credit_totals()) == [("M1", 1, 1, 0), ("M1", 2, 3, 0), ("M1", 3, 6, 0)]


def test_open_days_come_by_meter_and_day_with_what_their_bill_needs(uow: UnitOfWork) -> None:
    m1, m2, m3 = (key(uow, meter) for meter in ("M1", "M2", "M3"))
    uow.add_snapshots([(m1, DAY + 1, 160), (m1, DAY, 150), (m2, DAY + 1, 500), (m3, DAY + 5, 1)])
    days = uow.open_days(0, DAY + 1_000, 10)
    assert [(day.meter, day.day, day.settled_day, day.settled_register_wh, day.register_wh) for day in days] == [
        ("M1", DAY, DAY - 1, 100, 150),
        ("M1", DAY + 1, DAY - 1, 100, 160),
        ("M2", DAY + 1, DAY - 1, 100, 500),
        ("M3", DAY + 5, DAY + 4, 0, 1),
    ]
    assert uow.open_days(0, DAY + 1_000, 1) == days[:1]
    assert uow.open_days(m1, DAY + 1_000, 10) == days[2:]
    assert uow.open_days(0, DAY + 1, 10) == days[:1], "a day that is not over waits"
    uow.settle([(m1, DAY)], [SettledDay(m1, DAY, 150, 50)], NOW_S)
    day = uow.open_days(0, DAY + 1_000, 10)[0]
    assert (day.meter, day.day, day.settled_day) == ("M1", DAY + 1, DAY)
    assert (day.settled_register_wh, day.month_wh) == (150, 50)
    told = {subject for subject, _ in uow.violations("energy_charged_once")}
    assert told == {"M1"}, "it was marked as settled here, and nothing was charged"


def test_statement_is_of_one_meter_in_pages_with_the_later_facts(uow: UnitOfWork) -> None:
    account = uow.meter_account("M1")
    assert account is not None
    recharge(uow, "M1", "PAY-1")
    recharge(uow, "M2", "PAY-2")
    uow.post([NewTransfer("E-1", TransferKind.ENERGY, account.account_key, 2, 4, NOW_S, NOW_S)])
    recharge(uow, "M1", "PAY-3")
    send(uow, lane(uow, "M1"))
    uow.apply_credits([(key(uow, "M1"), 1, NOW_S + 9, 10)])
    rows = uow.statement("M1", 0, 10)
    assert [(r.reference, r.kind, r.is_credit, r.credit_seq, r.state, r.applied_at_s) for r in rows] == [
        ("PAY-1", "RECHARGE", 1, 1, "APPLIED", NOW_S + 9),
        ("E-1", "ENERGY", 0, None, None, None),
        ("PAY-3", "RECHARGE", 1, 2, "SENT", None),
    ]
    assert [row.reference for row in uow.statement("M1", 1, 1)] == ["E-1"]
    assert uow.statement("NOBODY", 0, 10) == []


# --- deliveries ---------------------------------------------------------------------------------------------


def test_relay_versions_go_up_and_supersede_what_never_left(uow: UnitOfWork) -> None:
    assert uow.issue_relay("NOBODY", "closed", "r", None, NOW_S) is None
    assert uow.issue_relay("M1", "open", "r", NOW_S + 5, NOW_S) == 1
    assert uow.issue_relay("M1", "closed", "r", None, NOW_S) == 2
    assert states(uow, "M1") == ["SUPERSEDED", "QUEUED"]
    send(uow, lane(uow, "M1", DeliveryKind.RELAY))
    assert uow.issue_relay("M1", "closed", "r", None, NOW_S) == 3
    assert states(uow, "M1") == ["SUPERSEDED", "SENT", "QUEUED"]
    assert sorted(uow.all_relay_orders()) == [
        ("M1", 1, "open", NOW_S + 5),
        ("M1", 2, "closed", None),
        ("M1", 3, "closed", None),
    ]


def test_order_to_open_without_expiry_cannot_be_stored(uow: UnitOfWork) -> None:
    with pytest.raises(sqlite.IntegrityError):
        uow.issue_relay("M1", "open", "r", None, NOW_S)


def test_only_unsent_orders_to_open_expire(uow: UnitOfWork) -> None:
    uow.issue_relay("M1", "open", "r", NOW_S + 5, NOW_S)
    uow.issue_relay("M2", "open", "r", NOW_S + 5, NOW_S)
    uow.issue_relay("M3", "closed", "r", None, NOW_S)
    recharge(uow, "M3", "PAY-1")
    send(uow, lane(uow, "M2", DeliveryKind.RELAY))
    uow.expire_unsent_relays(NOW_S + 5)
    assert states(uow, "M1") == ["QUEUED"]
    uow.expire_unsent_relays(NOW_S + 6)
    assert (states(uow, "M1"), states(uow, "M2"), states(uow, "M3")) == (["EXPIRED"], ["SENT"], ["QUEUED"] * 2)


def test_newest_open_delivery_stands_for_its_lane(uow: UnitOfWork) -> None:
    recharge(uow, "M1", "PAY-1", 10)
    recharge(uow, "M1", "PAY-2", 20)
    recharge(uow, "M2", "PAY-3", 5)
    uow.issue_relay("M1", "open", "r", NOW_S + 5, NOW_S)
    wanted = [lane(uow, "M1"), lane(uow, "M1", DeliveryKind.RELAY), lane(uow, "M3")]
    found = {(d.meter, d.kind): d for d in uow.newest_open(wanted)}
    assert set(found) == {("M1", DeliveryKind.CREDIT), ("M1", DeliveryKind.RELAY)}
    credit, relay = found["M1", DeliveryKind.CREDIT], found["M1", DeliveryKind.RELAY]
    assert (credit.seq, credit.credit_total_micros, credit.queued_at_s) == (2, 30, NOW_S + 1)
    assert (relay.seq, relay.relay, relay.expires_at_s) == (1, "open", NOW_S + 5)
    assert uow.newest_open([]) == []


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (ExceptionKind.CREDIT_REFUSED, {DeliveryKind.CREDIT}),
        (ExceptionKind.CREDIT_AHEAD, {DeliveryKind.CREDIT}),
        (ExceptionKind.RELAY_AHEAD, {DeliveryKind.RELAY}),
        (ExceptionKind.REGISTER_WENT_BACK, set()),
    ],
)
def test_exception_holds_the_lane_of_its_name(uow: UnitOfWork, kind: ExceptionKind, held: set[Any]) -> None:
    for meter in ("M1", "M2"):
        recharge(uow, meter, f"PAY-{meter}")
        uow.issue_relay(meter, "closed", "r", None, NOW_S)
    uow.add_exception(kind, key(uow, "M1"), "d", NOW_S)
    queued = (DeliveryKind.CREDIT, DeliveryKind.RELAY)
    wanted = [lane(uow, meter, each) for meter in ("M1", "M2") for each in DeliveryKind]
    found = {(d.meter, d.kind) for d in uow.newest_open(wanted)}
    assert found == {(meter, each) for meter in ("M1", "M2") for each in queued} - {("M1", k) for k in held}


def test_sending_marks_all_up_to_the_number_that_travels(uow: UnitOfWork) -> None:
    for number in (1, 2, 3):
        recharge(uow, "M1", f"PAY-{number}")
    send(uow, lane(uow, "M1"), now_s=50)
    recharge(uow, "M1", "PAY-4")
    assert [(row.state, row.sent_at_s, row.attempts) for row in uow.queue("M1", 0, 10)] == [
        *[("SENT", 50, 1)] * 3,
        ("QUEUED", None, 0),
    ]
    uow.requeue([lane(uow, "M1"), lane(uow, "M2")])
    assert states(uow, "M1") == ["QUEUED"] * 4
    send(uow, lane(uow, "M1"), now_s=60)
    assert [(row.attempts, row.sent_at_s) for row in uow.queue("M1", 0, 10)] == [*[(2, 50)] * 3, (1, 60)]


def test_requeue_is_of_the_lanes_named_or_of_all(uow: UnitOfWork) -> None:
    for meter in ("M1", "M2", "M3"):
        recharge(uow, meter, f"PAY-{meter}")
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    credit, relay = lane(uow, "M1"), lane(uow, "M1", DeliveryKind.RELAY)
    send(uow, credit, relay, lane(uow, "M2"))
    uow.requeue([credit])
    assert (states(uow, "M1"), states(uow, "M2")) == (["QUEUED", "SENT"], ["SENT"])
    uow.apply_credits([(key(uow, "M2"), 1, NOW_S, 10)])
    assert uow.requeue_all() == 1
    assert (states(uow, "M1"), states(uow, "M2")) == (["QUEUED", "QUEUED"], ["APPLIED"])


def test_open_lanes_are_found_by_age_gateway_and_meter(uow: UnitOfWork) -> None:
    assert uow.open_lanes_after(0) == (0, [])
    recharge(uow, "M1", "PAY-1")
    newest, lanes = uow.open_lanes_after(0)
    assert lanes == [lane(uow, "M1")]
    recharge(uow, "M3", "PAY-3")
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    newer, lanes = uow.open_lanes_after(newest)
    assert newer > newest
    assert set(lanes) == {lane(uow, "M3"), lane(uow, "M1", DeliveryKind.RELAY)}
    of_g1 = {lane(uow, "M1"), lane(uow, "M1", DeliveryKind.RELAY)}
    assert set(uow.open_lanes_of_gateway(lane(uow, "M1").gateway_key)) == of_g1
    assert uow.open_numbers([key(uow, "M1"), key(uow, "M2")]) == dict.fromkeys(of_g1, (1, 1))
    recharge(uow, "M1", "PAY-4")
    credit, relay = lane(uow, "M1"), lane(uow, "M1", DeliveryKind.RELAY)
    assert uow.open_numbers([key(uow, "M1")]) == {credit: (1, 2), relay: (1, 1)}
    uow.apply_credits([(key(uow, "M1"), 1, NOW_S, 10)])
    assert uow.open_numbers([key(uow, "M1")]) == {credit: (2, 2), relay: (1, 1)}
    last, _ = uow.open_lanes_after(newer)
    assert uow.open_lanes_after(last) == (last, [])


def test_acknowledged_credits_are_applied_and_never_unapplied(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    for number in (1, 2, 3):
        recharge(uow, "M1", f"PAY-{number}")
    send(uow, lane(uow, "M1"), now_s=50)
    uow.apply_credits([(m1, 2, 60, 20)])
    assert states(uow, "M1") == ["APPLIED", "APPLIED", "SENT"]
    uow.apply_credits([(m1, 1, 70, 10), (m1, 0, 70, 0)])
    row = uow.meter_row("M1")
    assert row is not None
    assert (row.applied_credit_seq, row.applied_credit_total_micros) == (2, 20)
    assert [delivery.applied_at_s for delivery in uow.queue("M1", 0, 10)] == [60, 60, None]
    assert uow.headend_views([m1])[m1].applied_credit_at_s == 60
    assert uow.violations("applied_by_the_meter") == []


def test_applied_relay_supersedes_older_ones(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    for _ in range(3):
        uow.issue_relay("M1", "closed", "r", None, NOW_S)
        send(uow, lane(uow, "M1", DeliveryKind.RELAY))
    uow.apply_relays([(m1, 2, 60)])
    assert states(uow, "M1") == ["SUPERSEDED", "APPLIED", "SENT"]
    uow.apply_relays([(m1, 1, 70)])
    row = uow.meter_row("M1")
    assert row is not None
    assert (states(uow, "M1")[0], row.applied_relay_version) == ("SUPERSEDED", 2)


def test_refused_relay_ends_and_stays_ended(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    uow.reject_relays([(m1, 1, "EXPIRED"), (m1, 9, "EXPIRED")])
    uow.reject_relays([(m1, 1, "OTHER")])
    assert states(uow, "M1") == ["EXPIRED"]


def test_refused_relay_supersedes_older_ones(uow: UnitOfWork) -> None:
    for position in ("open", "closed"):
        uow.issue_relay("M1", position, "r", NOW_S + 60, NOW_S)
        send(uow, lane(uow, "M1", DeliveryKind.RELAY))
    uow.reject_relays([(key(uow, "M1"), 2, "UNKNOWN_METER")])
    assert states(uow, "M1") == ["SUPERSEDED", "UNKNOWN_METER"]


def test_no_statement_rejects_a_credit(uow: UnitOfWork) -> None:
    recharge(uow, "M1", "PAY-1")
    uow.reject_relays([(key(uow, "M1"), 1, "EXPIRED")])
    uow.expire_unsent_relays(2**53)
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    assert states(uow, "M1")[0] == "QUEUED"


def test_queue_is_of_what_is_open_or_of_one_meter_in_pages(uow: UnitOfWork) -> None:
    for number in (1, 2):
        recharge(uow, "M1", f"PAY-{number}")
    recharge(uow, "M2", "PAY-3")
    uow.apply_credits([(key(uow, "M1"), 1, NOW_S, 10)])
    assert [(row.meter, row.seq) for row in uow.queue(None, 0, 10)] == [("M1", 2), ("M2", 1)]
    assert [(row.seq, row.state) for row in uow.queue("M1", 0, 10)] == [(1, "APPLIED"), (2, "QUEUED")]
    first = uow.queue("M1", 0, 1)
    assert [row.seq for row in uow.queue("M1", first[0].delivery_id, 10)] == [2]
    assert (first[0].reference, first[0].accepted_at_s, first[0].posted_at_s) == ("PAY-1", NOW_S, NOW_S + 1)


# --- journal ------------------------------------------------------------------------------------------------


def test_heartbeat_is_the_last_one(uow: UnitOfWork) -> None:
    assert uow.heartbeat() is None
    uow.beat(5, stopped=False)
    uow.beat(9, stopped=True)
    assert uow.heartbeat() == (9, True)


def test_subject_has_one_open_outage_at_a_time(uow: UnitOfWork) -> None:
    uow.begin_outage("GATEWAY", "R1/G1", "silent", 10)
    uow.begin_outage("GATEWAY", "R1/G1", "again", 20)
    uow.begin_outage("GATEWAY", "R1/G2", "silent", 30)
    uow.end_outage("GATEWAY", "R1/G1", 40)
    uow.end_outage("GATEWAY", "R1/G1", 50)
    uow.end_outage("GATEWAY", "R1/G9", 50)
    uow.begin_outage("GATEWAY", "R1/G1", "once more", 60)
    rows = uow.outages(ended=True, limit=10)
    assert [(row.subject, row.detail, row.began_at_s, row.ended_at_s) for row in rows] == [
        ("R1/G1", "once more", 60, None),
        ("R1/G2", "silent", 30, None),
        ("R1/G1", "silent", 10, 40),
    ]
    assert len(uow.outages(ended=False, limit=10)) == 2
    assert len(uow.outages(ended=False, limit=-1)) == 2
    assert len(uow.outages(ended=True, limit=1)) == 1
    uow.end_outage("GATEWAY", "R1/G2", 1)
    assert uow.outages(ended=True, limit=10)[1].ended_at_s == 30, "no outage ends before it begins"


# --- audit --------------------------------------------------------------------------------------------------


def test_registers_are_told_with_their_openings(uow: UnitOfWork) -> None:
    uow.advance_registers([(key(uow, "M1"), 4, NOW_S, 150, 0)])
    assert sorted(row[1:] for row in uow.meter_registers()) == [
        ("M1", 4, 150, 0, 100, 0),
        ("M2", 0, 100, 0, 100, 0),
        ("M3", 0, 0, 0, 0, 0),
    ]


TAMPERING = {
    "UPDATE account SET credits_micros = 11 WHERE code = 'consumer/M1'": {"transfers_balance", "balances_fold"},
    "UPDATE delivery SET amount_micros = 11": {"recharge_has_delivery", "sequences_have_no_gap"},
    "DELETE FROM delivery WHERE seq = 1": {
        "recharge_has_delivery",
        "sequences_have_no_gap",
        "applied_by_the_meter",
    },
    "UPDATE delivery SET attempts = 0, sent_at_s = NULL": {"sent_was_committed"},
    "UPDATE meter SET applied_credit_seq = 0 WHERE meter = 'M1'": {"applied_by_the_meter"},
    "UPDATE delivery SET state = 'QUEUED', applied_at_s = NULL": {"applied_by_the_meter", "no_delivery_open"},
    "UPDATE meter SET applied_credit_total_micros = 9 WHERE meter = 'M1'": {
        "applied_by_the_meter",
        "credits_reach_meter",
    },
    "UPDATE meter SET settled_register_wh = 140 WHERE meter = 'M1'": {"energy_charged_once"},
    "UPDATE snapshot SET settled_at_s = NULL": {"energy_charged_once"},
    "DELETE FROM snapshot": {"energy_charged_once"},
    "UPDATE transfer SET amount_micros = 7 WHERE kind = 'CHARGE'": {"charge_has_transfer", "balances_fold"},
    "UPDATE charge SET energy_wh = 1": {"energy_charged_once"},
    "UPDATE charge SET total_micros = 1, energy_micros = 1": {"charge_has_transfer"},
    "UPDATE charge SET reversed = 1": {"charge_has_transfer"},
    "DELETE FROM charge": {"energy_charged_once", "charge_has_transfer"},
    "UPDATE meter SET credit_seq = 2 WHERE meter = 'M1'": {"sequences_have_no_gap"},
}
CHECKS = (
    "transfers_balance",
    "balances_fold",
    "recharge_has_delivery",
    "energy_charged_once",
    "charge_has_transfer",
    "reversals_name_their_transfer",
    "sent_was_committed",
    "sequences_have_no_gap",
    "applied_by_the_meter",
    "credits_reach_meter",
    "relay_version_applied",
    "no_delivery_open",
)


@pytest.mark.parametrize("tampering", [None, *TAMPERING])
def test_each_check_finds_what_it_is_for(uow: UnitOfWork, tampering: str | None) -> None:
    m1 = key(uow, "M1")
    recharge(uow, "M1", "PAY-1")
    send(uow, lane(uow, "M1"))
    uow.apply_credits([(m1, 1, NOW_S, 10)])
    uow.add_snapshots([(m1, DAY, 150)])
    uow.put_tariff(plain_tariff(1), "test", NOW_S)
    assert settle_days(MAX_DAY_WH, uow, 0, DAY + 1, NOW_S, 1).days == [(m1, DAY)]
    uow.advance_registers([(m1, 1, NOW_S, 150, 0)])
    if tampering is not None:
        uow._connection.execute(tampering)  # type: ignore[attr-defined]
    found = {check: uow.violations(check) for check in CHECKS}
    assert {check for check, violations in found.items() if violations} == TAMPERING.get(tampering or "", set())
    named = {subject for violations in found.values() for subject, _ in violations}
    assert named <= {"M1", "all accounts", "consumer/M1", "charges", "energy"}


# --- numbers of a lost store --------------------------------------------------------------------------------


def test_open_credits_go_on_above_lost_numbers_in_their_order(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    for number in (1, 2, 3):
        recharge(uow, "M1", f"PAY-{number}", number)
    uow.apply_credits([(m1, 1, NOW_S, 1)])
    assert uow.first_open(m1, DeliveryKind.CREDIT) == 2
    assert uow.first_open(m1, DeliveryKind.RELAY) is None
    uow.take_over_credit(LostNumbers(m1, DeliveryKind.CREDIT, 2, 7, Word(7, 4, NOW_S + 5)))
    recharge(uow, "M1", "PAY-4", 4)
    rows = uow.queue("M1", 0, 10)
    assert [(row.seq, row.reference, row.state) for row in rows] == [
        (1, "PAY-1", "APPLIED"),
        (8, "PAY-2", "QUEUED"),
        (9, "PAY-3", "QUEUED"),
        (10, "PAY-4", "QUEUED"),
    ]
    assert uow.credit_totals([(m1, 7)]) == {m1: 4}, "what the meter said"
    assert uow.credit_totals([(m1, 6)]) == {}
    assert uow.violations("sequences_have_no_gap") == []
    assert uow.violations("applied_by_the_meter") == []
    assert list(uow.all_lost_numbers()) == [("M1", DeliveryKind.CREDIT, 2, 7, 7, 4)]


def test_credit_with_a_lost_number_or_a_gap_is_a_violation(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    uow.take_over_credit(LostNumbers(m1, DeliveryKind.CREDIT, 1, 3, Word(3, 0, NOW_S)))
    assert uow.violations("sequences_have_no_gap") == []
    uow._connection.execute("UPDATE lost_numbers SET to_number = 4")  # type: ignore[attr-defined]
    assert [subject for subject, _ in uow.violations("sequences_have_no_gap")] == ["M1"]
    recharge(uow, "M1", "PAY-1")
    found = [detail for _, detail in uow.violations("sequences_have_no_gap")]
    assert any("a lost store gave out" in detail for detail in found)


def test_relay_versions_go_on_above_lost_ones(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    uow.issue_relay("M1", "closed", "r", None, NOW_S)
    uow.take_over_relay(LostNumbers(m1, DeliveryKind.RELAY, 1, 5, Word(5, None, NOW_S)))
    assert uow.issue_relay("M1", "closed", "r", None, NOW_S) == 6
    uow.take_over_relay(LostNumbers(m1, DeliveryKind.RELAY, 1, 2, Word(2, None, NOW_S)))
    assert uow.issue_relay("M1", "closed", "r", None, NOW_S) == 7, "a version never falls"


def test_lost_policies_are_the_regions(uow: UnitOfWork) -> None:
    assert uow.last_lost_policy("R1") == 0
    uow.take_over_policy(LostNumbers(key(uow, "M1"), DeliveryKind.POLICY, 1, 5, Word(5, None, NOW_S)))
    assert (uow.last_lost_policy("R1"), uow.last_lost_policy("R9")) == (5, 0)
    for meter, number in (("M1", 5), ("M2", 6)):
        word = Word(number, None, NOW_S)
        uow.add_exception(ExceptionKind.POLICY_AHEAD, key(uow, meter), "d", NOW_S, word)
    assert uow.close_policies_ahead("R9", 9, NOW_S) == 0
    assert uow.close_policies_ahead("R1", 6, NOW_S) == 1
    assert [row.meter for row in uow.exceptions(None, 10)] == ["M2"]


def test_newest_word_of_a_meter_stands_with_its_exception(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    for word in (Word(5, 50, 100), Word(6, 60, 200), Word(4, 40, 150), None):
        uow.add_exception(ExceptionKind.CREDIT_AHEAD, m1, "d", NOW_S, word)
    assert uow.credit_words([m1, key(uow, "M2")]) == [(m1, "CREDIT_AHEAD", Word(6, 60, 200))]
    (row,) = uow.exceptions("M1", 10)
    assert (row.said_number, row.said_total_micros, row.said_at_s) == (6, 60, 200)
    assert uow.exceptions_of_kind(ExceptionKind.CREDIT_AHEAD, "R1", 0, 10)[0][1] == row
    assert uow.exceptions_of_kind(ExceptionKind.RELAY_AHEAD, None, 0, 10) == []
    uow.resolve_exceptions([(m1, "CREDIT_AHEAD")], "a", "n", NOW_S)
    assert uow.credit_words([m1]) == []


def test_what_was_never_sent_is_known(uow: UnitOfWork) -> None:
    m1 = key(uow, "M1")
    for _ in range(2):
        uow.issue_relay("M1", "closed", "r", None, NOW_S)
    send(uow, lane(uow, "M1", DeliveryKind.RELAY))
    asked = [(m1, DeliveryKind.RELAY, number) for number in (1, 2, 3)]
    assert uow.never_sent(asked) == {asked[0]}
    assert uow.never_sent([]) == set()
