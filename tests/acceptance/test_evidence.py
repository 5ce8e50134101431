"""The story of a meter and of an outage, as it would be read to a regulator."""

from pathlib import Path

import pytest
from running import Site, change, make_site

NOON_S = 1_730_269_800  # 30 October 2024, 12:00 in Kolkata


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """M1 with a recharge, a refused cut, an exception and a moratorium; an outage of three days."""
    made = make_site(tmp_path / "site")
    made.add_meters("M1", "M2", "7")
    made.good("recharge", "M1", "100", "--reference", "PAY-1")
    change(
        made.store,
        f"UPDATE transfer SET accepted_at_s = {NOON_S + 60}, posted_at_s = {NOON_S + 60}",
        "INSERT INTO outage (kind, subject, detail, began_at_s, ended_at_s)"
        f" VALUES ('HEADEND', 'headend serve', 'ended without a word', {NOON_S}, {NOON_S + 259_200})",
        "INSERT INTO disconnection (meter_key, requested_at_s, requested_by, origin, reason, state, refused_for,"
        f" basis, decided_at_s, decided_by) VALUES (1, {NOON_S + 120}, 'a clerk', 'ORDER', 'no credit', 'REFUSED',"
        f" 'MORATORIUM', '{{}}', {NOON_S + 120}, 'headend')",
        "INSERT INTO act (at_s, actor, kind, subject, reason, basis, chain_hash)"
        f" VALUES ({NOON_S + 120}, 'a clerk', 'CUT_REFUSED', 'meter/M1', 'no credit',"
        f' \'{{"at":{{"now_s":{NOON_S}}},"balance_micros":-5000000,"refused_for":["MORATORIUM"]}}\','
        " zeroblob(32))",
        "INSERT INTO moratorium (region, from_s, to_s, reason, declared_by, declared_at_s)"
        f" VALUES (NULL, {NOON_S}, {NOON_S + 864_000}, 'Diwali and Chhath', 'the chairman', {NOON_S + 30})",
        "INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s)"
        f" VALUES ('CLOCK_AHEAD', 1, 'an hour ahead', {NOON_S + 180}, {NOON_S + 180})",
    )
    return made


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:4].isdigit()]


def test_story_of_a_meter_is_told_in_order(site: Site) -> None:
    site.good("exceptions", "resolve", "M1", "CLOCK_AHEAD", "--actor", "a clerk", "--note", "clock set")
    told = site.good("evidence", "M1")
    assert told.output.startswith("meter M1, region R1, gateway G1, installed 2024-10-29\n")
    lines = lines_of(told.output)
    assert [line[:19] for line in lines] == sorted(line[:19] for line in lines)
    expected = (
        "2024-10-30 12:00:00  outage 1 began: HEADEND headend serve",
        "2024-10-30 12:00:30  moratorium for all regions",
        "2024-10-30 12:01:00  recharge of Rs 100.00, reference PAY-1: accepted 2024-10-30 12:01:00",
        "2024-10-30 12:02:00  disconnection 1 wanted by a clerk (no credit): REFUSED for MORATORIUM",
        "2024-10-30 12:02:00  act 1 CUT_REFUSED of meter/M1 by a clerk: no credit; based on",
        "2024-10-30 12:03:00  exception CLOCK_AHEAD: an hour ahead",
        "2024-11-02 12:00:00  outage 1 ended: HEADEND headend serve, out since 2024-10-30 12:00:00",
    )
    for line, start in zip(lines, expected, strict=False):
        assert line.startswith(start)
    assert lines[4].endswith("based on at (now 2024-10-30 12:00:00), balance Rs -5.00, refused_for MORATORIUM")
    assert any("exception CLOCK_AHEAD closed by a clerk: clock set" in line for line in lines)
    assert any("EXCEPTION_RESOLVED of meter/M1 by a clerk: clock set" in line for line in lines)


def test_story_can_be_cut_to_days_and_told_to_machines(site: Site) -> None:
    told = site.good("evidence", "M1", "--from", "2024-10-31", "--to", "2024-11-02", "--json").json()
    assert [(row["what"], row["at"]) for row in told["story"]] == [("OUTAGE_ENDED", "2024-11-02T06:30:00Z")]
    assert lines_of(site.good("evidence", "M1", "--to", "2024-10-29").output) == []
    assert "nothing is on record" in site.good("evidence", "M1", "--to", "2024-10-29").output


def test_story_of_an_outage_has_its_totals_and_its_acts(site: Site) -> None:
    told = site.good("evidence", "1").output
    assert told.startswith("outage 1: HEADEND headend serve (ended without a word)\n")
    assert "from 2024-10-30 12:00:00 until 2024-11-02 12:00:00; meters touched: 3" in told
    assert "recharges accepted meanwhile: 1, Rs 100.00; applied at the meter: 0" in told
    assert "cuts refused: 1" in told
    assert "cuts ordered while it lasted: 0" in told
    assert lines_of(told)[0][21:].startswith("outage 1 began")
    totals = site.good("evidence", "outage/1", "--json").json()["totals"]
    assert (totals["recharges_accepted"], totals["recharged_micros"], totals["cuts_refused"]) == (
        1,
        100_000_000,
        1,
    )


def test_meter_with_a_number_for_its_id_goes_before_the_outage(site: Site) -> None:
    change(
        site.store,
        "INSERT INTO outage (outage_id, kind, subject, detail, began_at_s)"
        f" VALUES (7, 'BROKER_LINK', 'broker', 'refused', {NOON_S})",
    )
    assert site.good("evidence", "7").output.startswith("meter 7,")
    assert site.good("evidence", "outage/7").output.startswith("outage 7: BROKER_LINK broker (refused)")
    assert "and it lasts" in site.good("evidence", "outage/7").output


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["M9"], 3),
        (["99"], 2),
        (["outage/99"], 2),
        (["a meter"], 2),
        (["M1", "--from", "yesterday"], 2),
        (["1", "--from", "2024-10-30"], 2),
    ],
)
def test_what_there_is_not_is_said_in_one_line(site: Site, words: list[str], status: int) -> None:
    done = site.headend("evidence", *words)
    assert (done.status, done.output) == (status, "")
    assert done.complaint.count("\n") == 1
