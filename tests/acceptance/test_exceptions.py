"""The list of what a person must look at: state, age, what to do; and the act that closes an entry."""

from pathlib import Path

import pytest
from running import Site, change, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """M1's credit counter is ahead since 50 hours, M2 is silent since half an hour."""
    made = make_site(tmp_path / "site")
    made.add_meters("M1", "M2")
    for meter_key, kind, age_s in ((1, "CREDIT_AHEAD", 50 * 3_600), (2, "METER_SILENT", 1_800)):
        change(
            made.store,
            "INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s)"
            f" VALUES ('{kind}', {meter_key}, 'as found', unixepoch() - {age_s}, unixepoch() - {age_s})",
        )
    return made


def resolve(site: Site) -> None:
    site.good("exceptions", "resolve", "M1", "CREDIT_AHEAD", "--actor", "a clerk", "--note", "meter was exchanged")


def test_list_says_state_age_and_what_to_do(site: Site) -> None:
    first, second = site.good("exceptions", "list", "--json").json()
    assert (first["meter"], first["kind"], first["state"]) == ("M1", "CREDIT_AHEAD", "OPEN")
    assert 50 * 3_600 <= first["age_s"] < 51 * 3_600
    assert "credits are held" in first["what_to_do"]
    assert second["meter"] == "M2"
    text = site.good("exceptions", "list").output
    assert "2 d 2 h" in text
    assert "30 min" in text
    assert first["what_to_do"] in text


def test_list_can_be_of_one_meter(site: Site) -> None:
    assert [row["meter"] for row in site.good("exceptions", "list", "--meter", "M2", "--json").json()] == ["M2"]
    assert site.headend("exceptions", "list", "--meter", "M9").status == 3


def test_resolved_entry_leaves_the_list_and_is_kept_with_by_whom_and_why(site: Site) -> None:
    resolve(site)
    assert [row["meter"] for row in site.good("exceptions", "list", "--json").json()] == ["M2"]
    (row,) = site.good("exceptions", "list", "--resolved", "--json").json()
    assert (row["state"], row["resolved_by"], row["resolution"]) == ("RESOLVED", "a clerk", "meter was exchanged")
    assert "meter was exchanged" in site.good("exceptions", "list", "--resolved").output


def test_resolving_is_an_act_of_the_audit_log(site: Site) -> None:
    resolve(site)
    acts = site.rows("SELECT kind, subject, actor, reason FROM act")
    assert acts == [("EXCEPTION_RESOLVED", "meter/M1", "a clerk", "meter was exchanged")]


def put_old_backup(site: Site) -> None:
    """M1 and M2 speak of credit numbers that the store never gave out."""
    for meter_key, kind, micros in ((1, "CREDIT_AHEAD", 70_000_000), (2, "CREDIT_TOTAL_DIFFERS", 30_000_000)):
        change(
            site.store,
            f"UPDATE exception SET kind = '{kind}', said_number = 2, said_total_micros = {micros},"
            f" said_at_s = unixepoch() WHERE meter_key = {meter_key}",
        )


def test_meter_with_more_than_the_books_is_resolved_once_the_recharge_is_found(site: Site) -> None:
    put_old_backup(site)
    words = ("exceptions", "resolve", "M1", "CREDIT_AHEAD", "--actor", "asha", "--note", "backup restored")
    site.good("recharge", "M1", "20", "--reference", "PAY-2")
    with site.unchanged():
        done = site.headend(*words)
    assert done.status == 2
    assert "M1 has Rs 50.00 more credit than our books" in done.complaint
    site.good("recharge", "M1", "50", "--reference", "PAY-1")
    site.good(*words)
    assert [row["seq"] for row in site.good("queue", "M1", "--json").json()] == [3, 4]
    assert site.good("audit", "--in-flight").status == 0


def test_all_of_a_kind_are_resolved_and_those_left_are_named(site: Site) -> None:
    put_old_backup(site)
    words = ("--actor", "asha", "--note", "backup restored")
    text = site.good("exceptions", "resolve-all", "CREDIT_AHEAD", *words).output
    assert "0 resolved, 1 left open" in text
    assert "has Rs 70.00 more credit than our books" in text
    site.good("recharge", "M2", "30", "--reference", "PAY-3")
    of_region = ("CREDIT_TOTAL_DIFFERS", "--region", "R1", "--json")
    done = site.good("exceptions", "resolve-all", *of_region, *words).json()
    assert (done["resolved"], done["left"]) == (1, [])
    with site.unchanged():
        refused = site.headend("exceptions", "resolve-all", "METER_SILENT", *words)
    assert refused.status == 2
    assert "CREDIT_AHEAD" in refused.complaint


def test_what_is_not_open_cannot_be_resolved(site: Site) -> None:
    with site.unchanged():
        done = site.headend("exceptions", "resolve", "M1", "METER_SILENT", "--actor", "a clerk", "--note", "n")
    assert done.status == 2
    assert "has no open exception METER_SILENT" in done.complaint


def test_reading_that_jumped_is_taken_only_by_who_says_that_the_display_shows_it(site: Site) -> None:
    believing = (
        "exceptions",
        "resolve",
        "M1",
        "IMPLAUSIBLE_JUMP",
        "--actor",
        "a clerk",
        "--note",
        "seen",
        "--believe",
    )
    change(
        site.store,
        "INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s, said_number, said_total_micros,"
        " said_at_s) VALUES ('IMPLAUSIBLE_JUMP', 1, 'as found', 5, 5, 900, 7000, 5)",
    )
    registers = "SELECT reading_seq, register_wh FROM register WHERE meter_key = 1"
    assert site.rows(registers) != [(900, 7_000)]
    site.good(*believing)
    assert site.rows(registers) == [(900, 7_000)]
    with site.unchanged():
        done = site.headend(*believing)
    assert done.status != 0


def test_only_a_reading_that_jumped_can_be_believed(site: Site) -> None:
    with site.unchanged():
        done = site.headend(
            "exceptions", "resolve", "M1", "CREDIT_AHEAD", "--actor", "a clerk", "--note", "seen", "--believe"
        )
    assert "IMPLAUSIBLE_JUMP" in done.complaint
