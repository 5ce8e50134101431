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


def test_what_is_not_open_cannot_be_resolved(site: Site) -> None:
    with site.unchanged():
        done = site.headend("exceptions", "resolve", "M1", "METER_SILENT", "--actor", "a clerk", "--note", "n")
    assert done.status == 2
    assert "has no open exception METER_SILENT" in done.complaint
