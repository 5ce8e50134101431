"""`headend arrears` as a clerk uses it."""

from pathlib import Path

import pytest
from running import Site, change, make_site

RUPEE = 1_000_000
WORDS = ("--actor", "A. Clerk", "--reason", "agreed at the counter")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """M1 owes 90 rupees, M2 nothing."""
    made = make_site(tmp_path)
    made.add_meters("M1", "M2")
    change(
        made.store,
        f"UPDATE account SET debits_micros = {90 * RUPEE} WHERE code = 'consumer/M1'",
        f"UPDATE account SET credits_micros = {90 * RUPEE} WHERE code = 'energy'",
    )
    return made


def refusal(site: Site, *words: str) -> str:
    """What a command that must change nothing says."""
    with site.unchanged():
        done = site.headend("arrears", *words)
    assert done.status != 0, done
    return done.complaint


def test_plan_by_instalments_from_making_to_cancelling(site: Site) -> None:
    done = site.good("arrears", "plan", "M1", "--instalments", "30", *WORDS)
    assert done.output == "MADE: plan 1 of meter M1, Rs 90.00, Rs 3.00 a day\n"
    (plan,) = site.good("arrears", "show", "M1", "--json").json()
    assert (plan["state"], plan["debt_micros"], plan["left_micros"]) == ("ACTIVE", 90 * RUPEE, 90 * RUPEE)
    assert (plan["next_micros"], plan["made_by"]) == (3 * RUPEE, "A. Clerk")
    assert plan["next_day"] == plan["from_day"]
    shown = site.good("arrears", "show", "M1").output
    assert "90.00" in shown
    assert "3.00 for 20" in shown
    assert "already, with Rs 90.00 left" in refusal(site, "plan", "M1", *WORDS)

    done = site.good("arrears", "cancel", "M1", *WORDS, "--json").json()
    assert (done["outcome"], done["debt_micros"]) == ("CANCELLED", 90 * RUPEE)
    (plan,) = site.good("arrears", "list", "--state", "cancelled", "--json").json()
    assert (plan["state"], plan["next_micros"]) == ("CANCELLED", None)
    assert site.good("arrears", "list", "--state", "active", "--json").json() == []
    assert "no active plan" in refusal(site, "cancel", "M1", *WORDS)


def test_plan_by_share_of_recharges_for_a_part_of_the_debt(site: Site) -> None:
    done = site.good("arrears", "plan", "M1", "--share", "12.5", "--amount", "60", *WORDS)
    assert done.output.splitlines() == [
        "MADE: plan 1 of meter M1, Rs 60.00, 12.50 % of each recharge",
        "on the account itself the meter owes Rs 30.00",
    ]
    assert "the next recharge" in site.good("arrears", "list").output


def test_plan_without_a_way_comes_back_as_the_rules_say(site: Site) -> None:
    site.good("arrears", "plan", "M1", *WORDS)
    (plan,) = site.good("arrears", "list", "--json").json()
    assert plan["instalment_micros"] == 3 * RUPEE, "30 instalments where the rules name no number"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "M9", *WORDS), "meter M9 is not registered"),
        (("plan", "M2", *WORDS), "owes nothing"),
        (("plan", "M1", "--amount", "90.01", *WORDS), "above the debt of meter M1, which is Rs 90.00"),
        (("plan", "M1", "--amount", "-5", *WORDS), "--amount"),
        (("plan", "M1", "--amount", "0", *WORDS), "above 0"),
        (("plan", "M1", "--instalments", "0", *WORDS), "--instalments"),
        (("plan", "M1", "--share", "0", *WORDS), "not a percentage"),
        (("plan", "M1", "--share", "100.01", *WORDS), "not a percentage"),
        (("plan", "M1", "--share", "1e1", *WORDS), "not a percentage"),
        (("plan", "M1", "--share", "5", "--instalments", "5", *WORDS), "by one of them"),
        (("plan", "M1", "--reason", "x"), "--actor"),
        (("plan", "M1", "--actor", " ", "--reason", "x"), "--actor must be"),
        (("cancel", "M2", *WORDS), "no active plan"),
        (("cancel", "M9", *WORDS), "not registered"),
        (("show", "M9"), "not registered"),
        (("list", "--state", "kept"), "kept"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    site: Site, words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in refusal(site, *words)
