"""Bills by the commands: days settle and are billed anew, a consumer moves out, the statement tells it all."""

import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from running import Site, gateway_by_hand, make_site, mosquitto_on, serving, wait_for_rows

BIHAR = {"HEADEND_PRESET": "bihar"}
MIDNIGHT_S = 1_730_226_600  # 2024-10-30 00:00 in Kolkata: 29 October closes
DAY_S = 86_400
WHO = ("--actor", "clerk", "--reason", "test")
CHARGED = "SELECT day - 739188, revision, category, reversed FROM charge ORDER BY day, revision"
"""Days counted from 29 October 2024."""


@dataclass
class Story:
    """A meter's five days, as they were told by the commands."""

    site: Site
    said: dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """10 kWh a day from 29 October: rural from the 31st, two days billed anew, moved out on 1 November."""
    site = make_site(tmp_path_factory.mktemp("story"))
    said: dict[str, Any] = {}
    site.add_meters("M1", "M2", register_wh=0)
    site.good("recharge", "M1", "500", "--reference", "PAY-1", **BIHAR)
    terms = ("meter", "terms", "M1", "--from", "2024-10-31", "--category", "rural", *WHO, "--json")
    said["terms"] = site.good(*terms, **BIHAR).json()
    said["terms again"] = site.good(*terms, **BIHAR).json()
    with (
        mosquitto_on(site.folder) as broker,
        serving(site, broker.port, **BIHAR),
        gateway_by_hand(site, broker.port) as gateway,
    ):
        gateway.receipt(gateway.hello("M1", "M2", register_wh=0))
        gateway.command("M1", 1)
        gateway.credit_applied("M1", 1, 500_000_000)

        def close(*days: int) -> None:
            for day in days:
                at_s = MIDNIGHT_S + day * DAY_S
                frame = gateway.reading("M1", day + 1, 10_000 * (day + 1), at_s=at_s, kind="snapshot")
                gateway.receipt(frame)

        close(2, 1, 0, 1)
        wait_for_rows(site, CHARGED, [(0, 1, "urban", 0), (1, 1, "urban", 0), (2, 1, "rural", 0)])
        said["days"] = site.good("days", "--json", **BIHAR).json()
        said["rebill"] = site.good("rebill", "M1", "--from", "2024-10-30", *WHO, "--json", **BIHAR).json()
        reversed_days = [(1, 1, "urban", 1), (1, 2, "urban", 0), (2, 1, "rural", 1), (2, 2, "rural", 0)]
        wait_for_rows(site, CHARGED, [(0, 1, "urban", 0), *reversed_days])
        said["days anew"] = site.good("days", "--json", **BIHAR).json()
        said["reverse"] = site.good("reverse", "charge/2024-10-29/M1", *WHO, "--json", **BIHAR).json()
        said["reverse again"] = site.good("reverse", "charge/2024-10-29/M1", *WHO, "--json", **BIHAR).json()
        moved = ("meter", "move-out", "M1", "--last-day", "2024-11-01", *WHO, "--json")
        said["move-out"] = site.good(*moved, **BIHAR).json()
        site.good("recharge", "M1", "70", "--reference", "PAY-2", **BIHAR)
        said["balance of who moves in"] = site.good("balance", "M1", "--json", **BIHAR).json()
        close(3)
        wait_for_rows(site, "SELECT count(*) FROM transfer WHERE kind = 'REFUND'", [(1,)])
        close(4)
        wait_for_rows(site, "SELECT count(*) FROM charge WHERE reversed = 0", [(5,)])
    return Story(site, said)


CHEAP, RURAL = 41_200_000, 24_500_000
"""10 kWh in micros."""


def statement(story: Story, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = story.site.good("statement", "M1", *words, "--json", **BIHAR).json()
    return rows


def test_terms_are_changed_once(story: Story) -> None:
    assert story.said["terms"] == {"meter": "M1", "outcome": "CHANGED"}
    assert story.said["terms again"] == {"meter": "M1", "outcome": "EXISTS"}


def test_days_are_listed_with_their_hashes(story: Story) -> None:
    rows = story.said["days"]
    assert [(row["day"], row["settled"], row["waiting"]) for row in rows] == [
        ("2024-10-29", 1, 0),
        ("2024-10-30", 1, 0),
        ("2024-10-31", 1, 0),
    ]
    assert len({row["hash"] for row in rows}) == 3
    assert story.said["days anew"] == rows, "billed anew by the same terms, the days are the same"
    one = story.site.good("days", "--from", "2024-10-30", "--to", "2024-10-30", **BIHAR).output
    assert rows[1]["hash"][:16] in one
    assert "2024-10-29" not in one


def test_the_statement_is_a_running_account(story: Story) -> None:
    rows = statement(story)
    assert [(row["kind"], row["amount_micros"], row["is_credit"]) for row in rows] == [
        ("RECHARGE", 500_000_000, True),
        ("CHARGE", CHEAP, False),
        ("CHARGE", CHEAP, False),
        ("CHARGE", RURAL, False),
        ("REVERSAL", CHEAP, True),
        ("REVERSAL", RURAL, True),
        ("CHARGE", CHEAP, False),
        ("CHARGE", RURAL, False),
        ("REVERSAL", CHEAP, True),
        ("RECHARGE", 70_000_000, True),
        ("CHARGE", RURAL, False),
        ("REFUND", 500_000_000 - CHEAP - 2 * RURAL, False),
        ("CHARGE", RURAL, False),
    ]
    amounts = [row["amount_micros"] * (1 if row["is_credit"] else -1) for row in rows]
    assert [row["balance_micros"] for row in rows] == list(accumulate(amounts))
    assert rows[-1]["balance_micros"] == 70_000_000 - RURAL


def test_reversals_name_what_they_reverse(story: Story) -> None:
    rows = statement(story)
    named = [(row["corrects"], row["reference"]) for row in rows if row["kind"] == "REVERSAL"]
    assert sorted(named) == [(name, f"reversal/{name}") for name in sorted(name for name, _ in named)]
    assert {name for name, _ in named} == {f"charge/2024-10-{day}/M1" for day in (29, 30, 31)}
    shown = story.site.good("statement", "M1", **BIHAR).output
    assert "reversal of charge/2024-10-30/M1" in shown
    assert "opening balance 0.00" in shown
    assert "closing balance 45.50" in shown


def test_the_bill_of_a_day_stands_beside_its_charge(story: Story) -> None:
    charges = [row for row in statement(story) if row["kind"] == "CHARGE"]
    assert [row["bill"]["day"] for row in charges][:3] == ["2024-10-29", "2024-10-30", "2024-10-31"]
    for row in charges:
        bill = row["bill"]
        assert bill["energy_wh"] == 10_000
        assert bill["total_micros"] == row["amount_micros"]
    assert "2024-10-31 rural 10.000 kWh: energy 24.50" in story.site.good("statement", "M1", **BIHAR).output


def test_the_statement_can_be_read_page_by_page(story: Story) -> None:
    whole = statement(story)
    pages: list[dict[str, Any]] = []
    while page := statement(story, "--limit", "4", "--after", str(pages[-1]["transfer_id"] if pages else 0)):
        assert len(page) <= 4
        pages += page
    assert pages == whole
    first = story.site.good("statement", "M1", "--limit", "4", **BIHAR).output
    assert f"more with --after {whole[3]['transfer_id']}" in first


def test_the_statement_of_some_days_opens_with_the_balance_before(story: Story) -> None:
    """All was posted today."""
    after = story.site.good("statement", "M1", "--from", "2199-01-01", **BIHAR).output
    assert "opening balance 45.50" in after
    assert "closing balance 45.50" in after
    assert statement(story, "--to", "2024-12-31") == []
    assert statement(story, "--from", "2025-01-01") == statement(story)


def test_the_statement_as_csv_adds_up(story: Story) -> None:
    text = story.site.good("statement", "M1", "--csv", **BIHAR).output
    rows = list(csv.DictReader(io.StringIO(text)))
    whole = statement(story)
    assert [row["reference"] for row in rows] == [row["reference"] for row in whole]
    assert [row["corrects"] for row in rows] == [row["corrects"] or "" for row in whole]
    for row, entry in zip(rows, whole, strict=True):
        for column in ("debit", "credit"):
            amount = entry["amount_micros"] if bool(entry["is_credit"]) is (column == "credit") else None
            assert (row[column] == "") is (amount is None)
            assert amount is None or micros(row[column]) == amount
        assert micros(row["balance"]) == entry["balance_micros"]
        if entry["bill"] is not None:
            lines = ("energy", "fixed", "duty", "rebate", "rounding")
            assert sum(micros(row[line]) for line in lines) == entry["amount_micros"]
            assert (row["day"], row["energy_kwh"]) == (entry["bill"]["day"], "10.000")


def micros(text: str) -> int:
    """Rupees as a decimal number, exactly."""
    found = re.fullmatch(r"(-?)(\d+)\.(\d{1,6})", text)
    assert found is not None, text
    value = int(found[2]) * 1_000_000 + int(found[3].ljust(6, "0"))
    return -value if found[1] else value


def test_corrections_answer_what_they_did(story: Story) -> None:
    assert story.said["rebill"] == {"meter": "M1", "from": "2024-10-30", "days": 2}
    assert story.said["reverse"] == {
        "reference": "charge/2024-10-29/M1",
        "outcome": "REVERSED",
        "amount_micros": CHEAP,
    }
    assert story.said["reverse again"]["outcome"] == "EXISTS"


def test_who_moves_in_has_an_account_of_their_own(story: Story) -> None:
    assert story.said["move-out"] == {"meter": "M1", "outcome": "CHANGED"}
    assert story.said["balance of who moves in"]["balance_micros"] == 70_000_000
    now = story.site.good("balance", "M1", "--json", **BIHAR).json()
    assert now["posted_micros"] == 70_000_000 - RURAL


def test_the_store_is_sound_after_all_of_it(story: Story) -> None:
    story.site.audit_in_flight()
    balances = dict(story.site.rows("SELECT code, credits_micros - debits_micros FROM account"))
    assert balances["charges"] == 0
    assert sum(balances.values()) == 0


# bad input --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = make_site(tmp_path_factory.mktemp("counter"))
    site.add_meters("M1")
    site.good("recharge", "M1", "50", "--reference", "PAID")
    return site


TERMS = ("meter", "terms", "M1", "--from", "2030-01-01", "--category", "rural")


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("meter", "terms", "M9", *TERMS[3:], *WHO), 3, "M9 is not registered"),
        (("meter", "move-out", "M9", "--last-day", "2030-01-01", *WHO), 3, "M9 is not registered"),
        (("rebill", "M9", "--from", "2024-10-30", *WHO), 3, "M9 is not registered"),
        (("statement", "M9"), 3, "M9 is not registered"),
        ((*TERMS[:5], *WHO), 2, "say --category, --load-w, or both"),
        ((*TERMS, "--load-w", "0", *WHO), 2, "load-w"),
        (("meter", "terms", "M1", "--from", "tomorrow", "--category", "rural", *WHO), 2, "not a date such as"),
        (("meter", "terms", "M1", "--from", "2030-01-01", "--category", "a b", *WHO), 2, "not a category id"),
        (("meter", "terms", "M1", "--from", "2001-01-01", "--category", "rural", *WHO), 4, "not installed yet"),
        ((*TERMS, "--actor", " ", "--reason", "test"), 2, "--actor must be"),
        ((*TERMS, "--actor", "clerk", "--reason", "x" * 201), 2, "--reason must be"),
        ((*TERMS, "--actor", "clerk"), 2, "Missing option '--reason'"),
        (("meter", "move-out", "M1", "--last-day", "2024-02-30", *WHO), 2, "not a date such as"),
        (("meter", "move-out", "M1", "--last-day", "2024-W01-1", *WHO), 2, "not a date such as"),
        (("evidence", "M1", "--from", "2024-W01-1"), 2, "not a date such as"),
        (("meter", "move-out", "M1", "--last-day", "2024-10-27", *WHO), 4, "another consumer's time"),
        (("reverse", "NEVER", *WHO), 2, "the ledger has no transfer NEVER"),
        (("reverse", "a b", *WHO), 2, "reference 'a b'"),
        (("reverse", "charge/", *WHO), 2, "the ledger has no transfer charge/"),
        (("rebill", "M1", "--from", "2024-10-30", *WHO), 2, "2024-10-30"),
        (("days", "--from", "2024-10-31", "--to", "2024-10-30"), 2, "--from 2024-10-31 is after --to 2024-10-30"),
        (("days", "--from", "20241031"), 2, "not a date such as"),
        (("statement", "M1", "--from", "2024-10-31", "--to", "2024-10-30"), 2, "is after --to"),
        (("statement", "M1", "--to", "1999-12-31"), 2, "not a date such as"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_bad_input_is_named_and_changes_nothing(
    counter: Site, words: tuple[str, ...], status: int, complaint: str
) -> None:
    with counter.unchanged():
        done = counter.headend(*words)
    assert done.status == status, done
    assert complaint in done.complaint, done.complaint
    assert done.output == ""


def test_a_statement_without_entries_is_a_statement(counter: Site) -> None:
    counter.add_meters("M7")
    assert json.loads(counter.good("statement", "M7", "--json").output) == []
    assert len(counter.good("statement", "M7", "--csv").output.splitlines()) == 1
    shown = counter.good("statement", "M7").output
    assert "opening balance 0.00" in shown
    assert "closing balance 0.00" in shown


def test_days_without_snapshots_are_none(counter: Site, tmp_path: Path) -> None:
    assert counter.good("days", "--json").json() == []
