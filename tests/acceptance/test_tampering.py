"""Rows changed behind the head-end's back, with SQLite's own tool: `headend audit` names each."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from running import (
    Site,
    change,
    clock_at,
    copy_site,
    fleet_words,
    import_fleet,
    make_site,
    mosquitto_on,
    rows_of,
    running,
    serving,
    stop_when_quiet,
    wait_for_rows,
)

METERS = 12
VICTIM = "M0000003"
SPEED = 900.0


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The store of a short real run over a midnight, converged and stopped."""
    site = make_site(tmp_path_factory.mktemp("honest"))
    meters = import_fleet(site, METERS, 4, "2024-10-29")
    lines = [f"{meter},{10 + n},PAY-{meter}-{turn}\n" for n, meter in enumerate(meters) for turn in (1, 2)]
    assert site.headend("recharge", "--batch", "-", text="".join(lines)).status == 0
    clock = clock_at("2024-10-29T23:15:00+05:30", SPEED)
    with mosquitto_on(site.folder) as broker, serving(site, broker.port, "--clock", clock) as serve:
        with running(site, *fleet_words(site, broker.port, clock, METERS, 4, seed=5)) as fleet:
            query = "SELECT count(*) FROM snapshot WHERE settled_at_s IS NOT NULL"
            wait_for_rows(site, query, [(METERS,)], 40)
            stop_when_quiet(site, fleet, clock)
        wait_for_rows(site, "SELECT count(*) FROM delivery WHERE state <> 'APPLIED'", [(0,)])
        assert serve.ask_to_stop() == 0
    done = site.headend("audit", "--fleet-log", "fleet.db")
    assert done.status == 0, done.output
    assert "VIOLATED" not in done.output
    assert "not exercised" not in done.output
    return site


@pytest.fixture
def copied(honest: Site, tmp_path: Path) -> Site:
    return copy_site(honest, tmp_path / "copy")


def found(site: Site, *words: str) -> dict[str, list[str]]:
    """Violated checks with what they name, from a failing audit for machines."""
    done = site.headend("audit", "--json", *words)
    assert done.status == 1, done.output
    verdict = done.json()
    assert verdict["ok"] is False
    violated: dict[str, list[str]] = {}
    for check in verdict["checks"]:
        if check["violations"]:
            assert check["ok"] is False
            violated.setdefault(check["id"], []).extend(v["subject"] for v in check["violations"])
    return violated


def transfer_id(site: Site, reference: str) -> int:
    return int(site.rows("SELECT transfer_id FROM transfer WHERE reference = ?", reference)[0][0])


PAID = f"PAY-{VICTIM}-1"
KEY = f"(SELECT meter_key FROM meter WHERE meter = '{VICTIM}')"
ACCOUNT = f"(SELECT account_key FROM meter WHERE meter = '{VICTIM}')"
CREDIT = f"meter_key = {KEY} AND kind = 'CREDIT'"


def test_a_changed_amount_is_named_by_transfer_and_by_meter(copied: Site) -> None:
    change(copied.store, f"UPDATE transfer SET amount_micros = amount_micros + 1000000 WHERE reference = '{PAID}'")
    violated = found(copied)
    assert violated["I5"] == [f"transfer {transfer_id(copied, PAID)}"]
    assert VICTIM in violated["I3"]
    done = copied.headend("audit")
    assert done.status == 1
    assert f"transfer {transfer_id(copied, PAID)}: {PAID} was changed" in done.output
    assert VICTIM in done.output
    assert done.output.splitlines()[-1] == f"audit: {done.output.count('VIOLATED')} checks violated"


def test_a_changed_amount_is_found_while_things_are_in_flight(copied: Site) -> None:
    change(copied.store, f"UPDATE transfer SET amount_micros = amount_micros + 1000000 WHERE reference = '{PAID}'")
    assert "I5" in found(copied, "--in-flight")


def test_a_changed_amount_with_all_that_hangs_on_it_is_still_found(copied: Site) -> None:
    """Somebody who mends everything but the chain."""
    more = 5_000_000
    change(
        copied.store,
        f"UPDATE transfer SET amount_micros = amount_micros + {more} WHERE reference = '{PAID}'",
        f"UPDATE delivery SET amount_micros = amount_micros + {more} WHERE {CREDIT} AND seq = 1",
        f"UPDATE delivery SET credit_total_micros = credit_total_micros + {more} WHERE {CREDIT}",
        f"UPDATE meter SET credit_total_micros = credit_total_micros + {more},"
        f" applied_credit_total_micros = applied_credit_total_micros + {more} WHERE meter_key = {KEY}",
        f"UPDATE account SET credits_micros = credits_micros + {more} WHERE account_key = {ACCOUNT}",
        f"UPDATE account SET debits_micros = debits_micros + {more} WHERE code = 'recharges'",
    )
    assert found(copied) == {"I5": [f"transfer {transfer_id(copied, PAID)}"]}
    assert VICTIM in found(copied, "--fleet-log", "fleet.db")["E1"]


def test_a_deleted_delivery_is_named_by_meter(copied: Site) -> None:
    change(copied.store, f"DELETE FROM delivery WHERE {CREDIT} AND seq = 1")
    violated = found(copied)
    assert violated["I3"] == [VICTIM]
    assert VICTIM in violated["I11"]
    assert "no delivery" in copied.headend("audit").output


def test_a_register_set_back_is_named_by_meter(copied: Site) -> None:
    change(copied.store, f"UPDATE register SET register_wh = register_wh - 1 WHERE meter_key = {KEY}")
    assert found(copied) == {"E2": [VICTIM], "I6": [VICTIM]}
    assert f"     {VICTIM}: register " in copied.headend("audit").output
    assert found(copied, "--fleet-log", "fleet.db")["E2"] == [VICTIM, VICTIM]


def test_a_register_set_back_with_its_number_is_named_too(copied: Site) -> None:
    change(
        copied.store,
        "UPDATE register SET register_wh = register_wh - 1, reading_seq = reading_seq - 1"
        f" WHERE meter_key = {KEY}",
    )
    assert found(copied) == {"E2": [VICTIM], "I6": [VICTIM]}


def test_a_deleted_transfer_is_named(copied: Site) -> None:
    gone = transfer_id(copied, PAID)
    change(copied.store, f"DELETE FROM transfer WHERE reference = '{PAID}'")
    violated = found(copied)
    assert violated["I5"] == [f"transfer {gone + 1}"]
    assert VICTIM in violated["I3"]
    assert {"E1", "I2"} <= set(violated)


def test_a_cut_off_end_of_the_ledger_is_named_by_meter(copied: Site) -> None:
    """The chain alone cannot see that its end is gone; balances and counters can."""
    ((last, reference),) = copied.rows("SELECT max(transfer_id), reference FROM transfer")
    change(copied.store, f"DELETE FROM transfer WHERE transfer_id = {last}")
    violated = found(copied)
    assert "I2" in violated, reference


def test_a_changed_balance_is_named_by_account(copied: Site) -> None:
    change(copied.store, f"UPDATE account SET credits_micros = credits_micros + 1 WHERE account_key = {ACCOUNT}")
    violated = found(copied)
    assert violated["I1"] == ["all accounts"]
    ((code,),) = copied.rows(f"SELECT code FROM account WHERE account_key = {ACCOUNT}")
    assert violated["I2"] == [code]
    assert VICTIM in code


def test_money_moved_from_one_account_to_another_is_named_by_both(copied: Site) -> None:
    other = "(SELECT account_key FROM meter WHERE meter = 'M0000001')"
    change(
        copied.store,
        f"UPDATE account SET credits_micros = credits_micros + 500 WHERE account_key = {ACCOUNT}",
        f"UPDATE account SET credits_micros = credits_micros - 500 WHERE account_key = {other}",
    )
    named = found(copied)["I2"]
    assert len(named) == 2
    assert any(VICTIM in name for name in named)


def test_swapped_references_are_named(copied: Site) -> None:
    """A payment that is shown as somebody else's."""
    other = "PAY-M0000001-1"
    change(
        copied.store,
        f"UPDATE transfer SET reference = 'swap' WHERE reference = '{PAID}'",
        f"UPDATE transfer SET reference = '{PAID}' WHERE reference = '{other}'",
        f"UPDATE transfer SET reference = '{other}' WHERE reference = 'swap'",
    )
    ids = sorted([transfer_id(copied, PAID), transfer_id(copied, other)])
    assert found(copied)["I5"] == [f"transfer {number}" for number in ids]


def test_a_transfer_given_to_another_account_is_named(copied: Site) -> None:
    other = "(SELECT account_key FROM meter WHERE meter = 'M0000001')"
    change(copied.store, f"UPDATE transfer SET credit_account = {other} WHERE reference = '{PAID}'")
    violated = found(copied)
    assert violated["I5"] == [f"transfer {transfer_id(copied, PAID)}"]
    assert {"M0000001", VICTIM} <= set(violated["E1"])


def test_a_doubled_credit_in_the_deliveries_is_named_by_meter(copied: Site) -> None:
    change(copied.store, f"UPDATE delivery SET amount_micros = 2 * amount_micros WHERE {CREDIT} AND seq = 2")
    violated = found(copied)
    assert VICTIM in violated["I3"]
    assert VICTIM in violated["I11"]


def test_a_total_that_was_raised_on_its_way_is_named_by_meter(copied: Site) -> None:
    change(
        copied.store,
        f"UPDATE delivery SET credit_total_micros = credit_total_micros + 7 WHERE {CREDIT} AND seq = 2",
        f"UPDATE meter SET applied_credit_total_micros = applied_credit_total_micros + 7 WHERE meter_key = {KEY}",
    )
    violated = found(copied, "--fleet-log", "fleet.db")
    assert VICTIM in violated["I11"]
    assert VICTIM in violated["I10"]


def test_a_credit_called_applied_that_the_meter_never_had_is_named_by_meter(copied: Site) -> None:
    change(
        copied.store,
        f"UPDATE meter SET applied_credit_seq = applied_credit_seq - 1 WHERE meter_key = {KEY}",
    )
    assert VICTIM in found(copied)["I12"]


def test_a_changed_snapshot_is_named_by_meter(copied: Site) -> None:
    change(copied.store, f"UPDATE snapshot SET register_wh = register_wh - 1 WHERE meter_key = {KEY}")
    assert VICTIM in found(copied)["I6"]


def test_a_deleted_snapshot_is_named_by_meter(copied: Site) -> None:
    change(copied.store, f"DELETE FROM snapshot WHERE meter_key = {KEY}")
    assert VICTIM in found(copied)["I6"]


def last_charge(site: Site) -> tuple[int, int, int]:
    """Number, account and amount of the newest charge."""
    query = "SELECT transfer_id, debit_account, amount_micros FROM transfer WHERE kind = 'CHARGE'"
    return site.rows(f"{query} ORDER BY transfer_id DESC LIMIT 1")[0]


def refunded(account_key: int, amount_micros: int) -> list[str]:
    """The balances made to fit a charge that is smaller by an amount."""
    return [
        f"UPDATE account SET debits_micros = debits_micros - {amount_micros} WHERE account_key = {account_key}",
        f"UPDATE account SET credits_micros = credits_micros - {amount_micros} WHERE code = 'charges'",
    ]


def test_a_day_charged_otherwise_is_named(copied: Site) -> None:
    number, account_key, _ = last_charge(copied)
    charge = f"UPDATE transfer SET amount_micros = amount_micros - 1 WHERE transfer_id = {number}"
    change(copied.store, charge, *refunded(account_key, 1))
    assert found(copied)["I5"] == [f"transfer {number}"]


def test_a_deleted_charge_is_named_by_meter(copied: Site) -> None:
    """The newest charge deleted, with the balances made to fit."""
    number, account_key, amount_micros = last_charge(copied)
    change(
        copied.store,
        f"DELETE FROM transfer WHERE transfer_id = {number}",
        *refunded(account_key, amount_micros),
    )
    ((meter,),) = copied.rows("SELECT meter FROM meter WHERE account_key = ?", account_key)
    named = [subject for subjects in found(copied).values() for subject in subjects]
    assert meter in named


def test_several_tampered_meters_are_all_named(copied: Site) -> None:
    victims = ["M0000002", "M0000005", "M0000012"]
    names: Sequence[str] = [f"'{meter}'" for meter in victims]
    change(
        copied.store,
        "UPDATE register SET register_wh = register_wh - 10 WHERE meter_key IN"
        f" (SELECT meter_key FROM meter WHERE meter IN ({', '.join(names)}))",
    )
    assert sorted(found(copied)["E2"]) == victims


def test_a_credit_taken_out_of_the_meters_own_log_is_named_by_meter(copied: Site) -> None:
    fleet_key = f"(SELECT meter_key FROM meter WHERE meter = '{VICTIM}')"
    path = copied.folder / "fleet.db"
    drop_triggers(path)
    change(path, f"DELETE FROM event WHERE kind = 'credit' AND meter_key = {fleet_key}")
    assert VICTIM in found(copied, "--fleet-log", "fleet.db")["E1"]


def drop_triggers(path: Path) -> None:
    """The log is append-only by triggers; an outsider drops them first."""
    names = rows_of(path, "SELECT name FROM sqlite_schema WHERE type = 'trigger'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in names:
            connection.execute(f"DROP TRIGGER {name}")
