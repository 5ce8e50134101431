"""`headend recovery` as an operator reads it, with the server down."""

from pathlib import Path

import pytest
from running import Site, change, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path)
    made.add_meters("M1", "M2")
    made.add_meters("M3", region="R2", gateway="G2")
    return made


def test_regions_without_an_outage_are_normal(site: Site) -> None:
    rows = site.good("recovery", "--json").json()
    assert [(row["region"], row["phase"], row["left"], row["outage_began"]) for row in rows] == [
        ("R1", "NORMAL", {}, None),
        ("R2", "NORMAL", {}, None),
    ]
    assert "NORMAL" in site.good("recovery").output


def test_recovering_region_is_shown_with_what_is_left(site: Site) -> None:
    site.good("recharge", "M1", "50", "--reference", "PAY-1")
    change(
        site.store,
        "UPDATE region SET phase = 'CREDITS', since_s = unixepoch() - 60, outage_began_s = unixepoch() - 7200,"
        " outage_ended_s = unixepoch() + 5, first_left = 3 WHERE region = 'R1'",
        "UPDATE region SET phase = 'GRACE', since_s = 1, outage_began_s = 1, outage_ended_s = 2,"
        " grace_until_s = 4102444800 WHERE region = 'R2'",
    )
    with site.unchanged():
        recovering, grace = site.good("recovery", "--json").json()
        table = site.good("recovery").output
    assert (recovering["phase"], recovering["left"]["CREDITS"], recovering["left"]["DISPLAY"]) == ("CREDITS", 1, 2)
    assert 30 <= recovering["to_go_s"] <= 60, "two of three took a minute"
    assert recovering["likely_until"].endswith("Z")
    assert (grace["grace_until"], grace["likely_until"]) == ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    assert "CREDITS" in table
    assert "2100-01-01" in table
