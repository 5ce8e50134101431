"""The section [protection] of a rules file, and what the presets say in it."""

import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

import headend.rules.protection
from headend.adapters.festivals import festivals
from headend.domain.caps import CapLimits
from headend.domain.protected_hours import Festivals, Night, NthWeekday
from headend.domain.protection_rules import ProtectionRules
from headend.domain.reconnection import ReconnectionRules, Step
from headend.domain.windows import permitted_on, window_at
from headend.rules.protection import HoursSection, ProtectionSection, ReconnectionSection

PRESETS = Path(headend.rules.protection.__file__).parents[1] / "presets"
KOLKATA = ZoneInfo("Asia/Kolkata")
LONDON = ZoneInfo("Europe/London")
UNIT_MICROS = 1_000_000


def section(text: str) -> ProtectionSection:
    content = tomllib.loads(text, parse_float=Decimal)
    return ProtectionSection.model_validate(content["protection"])


def preset(name: str) -> ProtectionRules:
    found = section((PRESETS / f"{name}.toml").read_text(encoding="utf-8"))
    asked = found.hours.festivals
    known = asked and festivals(asked.country, asked.subdivision, asked.categories, asked.around_days)
    return found.to_domain(known)


def permitted_text(rules: ProtectionRules, zone: ZoneInfo, *day: int) -> list[str]:
    stretches = permitted_on(rules.hours, (), zone, date(*day).toordinal())
    return [f"{_clock(from_s, zone)}-{_clock(to_s, zone)}" for from_s, to_s in stretches]


def _clock(instant_s: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(instant_s, zone):%H:%M}"


def test_flat_protects_nobody_and_cuts_nobody_by_itself() -> None:
    assert preset("flat") == ProtectionRules()
    assert permitted_text(preset("flat"), KOLKATA, 2024, 10, 31) == ["00:00-00:00"]


def test_bihar_cuts_from_eleven_to_one() -> None:
    rules = preset("bihar")
    assert permitted_text(rules, KOLKATA, 2024, 11, 26) == ["11:00-13:00"]
    assert (rules.disconnect_automatically, rules.debt_only, rules.grace_s) == (True, True, 72 * 3_600)
    assert rules.caps == CapLimits(fleet=20_000)


@pytest.mark.parametrize(
    "day",
    [(2024, 10, 30), (2024, 10, 31), (2024, 11, 1), (2024, 11, 4), (2024, 11, 7), (2024, 11, 8), (2025, 1, 26),
     (2025, 8, 15), (2024, 10, 2), (2024, 11, 10)],
    ids=lambda day: date(*day).isoformat(),
)  # fmt: skip
def test_bihar_cuts_nobody_on_festivals_holidays_and_sundays(day: tuple[int, int, int]) -> None:
    assert permitted_text(preset("bihar"), KOLKATA, *day) == []


def test_bihar_over_diwali_of_the_outage_has_days_on_which_it_could_cut() -> None:
    rules = preset("bihar")
    days = [date(2024, 10, 25).toordinal() + after for after in range(25)]
    free = [date.fromordinal(day).isoformat()[5:] for day in days if permitted_on(rules.hours, (), KOLKATA, day)]
    assert free == ["10-25", "10-26", "10-28", "10-29", "11-11", "11-12", "11-13", "11-14", "11-16", "11-18"]


def test_uttar_pradesh_as_reported() -> None:
    rules = preset("uttar-pradesh")
    assert permitted_text(rules, KOLKATA, 2024, 6, 4) == ["08:00-18:00"]
    assert permitted_text(rules, KOLKATA, 2024, 6, 8) == [], "second Saturday"
    assert permitted_text(rules, KOLKATA, 2024, 6, 15) == ["08:00-18:00"], "third Saturday"
    assert permitted_text(rules, KOLKATA, 2020, 8, 12) == [], "the festival evening of 2020"
    assert [rules.emergency_days(load_w) for load_w in (2_000, 2_001, None)] == [30, 3, 30]
    assert rules.reconnection == ReconnectionRules(
        from_micros=0, min_share_bp=5_000, days_by_share=(Step(7_500, 3), Step(None, 7))
    )


def test_great_britain_has_friendly_hours_over_a_bank_holiday_weekend() -> None:
    rules = preset("great-britain")
    assert rules.emergency_credit_micros == 10 * UNIT_MICROS
    assert rules.hours.only_if_in_credit_at_opening
    assert permitted_text(rules, LONDON, 2024, 8, 23) == ["12:00-19:30"]
    sunday_s = int(datetime(2024, 8, 25, 12, tzinfo=LONDON).timestamp())
    window = window_at(rules.hours, (), LONDON, sunday_s)
    assert window is not None
    assert window.opened_s == int(datetime(2024, 8, 23, 19, 30, tzinfo=LONDON).timestamp())
    assert window.until_s == int(datetime(2024, 8, 27, 12, tzinfo=LONDON).timestamp())


def test_amounts_are_written_in_the_currency_and_kept_in_micros() -> None:
    rules = section(
        "[protection]\ncut_below = -12.5\nemergency_credit = 10.25\nreconnection.from_balance = 0.000001"
    ).to_domain(None)
    assert (rules.cut_below_micros, rules.emergency_credit_micros) == (-12_500_000, 10_250_000)
    assert rules.exhausted_at_micros == -22_750_000
    assert rules.reconnection.from_micros == 1


def test_every_form_of_a_protected_day_is_read() -> None:
    hours = HoursSection.model_validate(
        {
            "nights": ["23:59-00:00", "00:01-00:02"],
            "permitted": "09:05-21:50",
            "weekdays": ["Monday", "Sunday"],
            "nth_weekdays": ["first Monday", "fifth Friday"],
            "fixed_dates": ["02-29", "12-31"],
            "dates": {"2024-11-01": "Diwali"},
        }
    ).to_domain(None)
    assert hours.nights == (
        Night("night", 1_439, 0),
        Night("night", 1, 2),
        Night("outside the hours for cuts", 1_310, 545),
    )
    assert hours.weekdays == {0, 6}
    assert hours.nth_weekdays == {NthWeekday(1, 0), NthWeekday(5, 4)}
    assert hours.fixed_dates == {(2, 29), (12, 31)}
    assert hours.dates == {date(2024, 11, 1).toordinal(): "Diwali"}


def test_festivals_that_were_not_asked_for_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="were looked up"):
        HoursSection.model_validate({}).to_domain(Festivals({}, 1, 2))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("unknown = 1", "Extra inputs"),
        ("grace_s = -1", "greater than or equal to 0"),
        ("emergency_credit = -1", "greater than or equal to 0"),
        ("relay_open_expires_after_s = 0", "greater than 0"),
        ("cut_below = 5", "reconnection.from_balance is below cut_below"),
        ("emergency_days = [{ days = 3 }, { up_to_load_w = 2000, days = 30 }]", "above the one before"),
        (
            "emergency_days = [{ up_to_load_w = 2, days = 3 }, { up_to_load_w = 2, days = 30 }]",
            "above the one before",
        ),
        ('hours.nights = ["17:30"]', "pair of times"),
        ('hours.nights = ["17:30-24:00"]', "pair of times"),
        ('hours.nights = ["08:00-08:00"]', "begins where it ends"),
        ('hours.permitted = "8:00-9:00"', "pair of times"),
        ('hours.weekdays = ["sunday"]', "is not a weekday"),
        ('hours.nth_weekdays = ["sixth Sunday"]', "weekday of the month"),
        ('hours.nth_weekdays = ["second"]', "weekday of the month"),
        ('hours.fixed_dates = ["02-30"]', "month and day"),
        ('hours.fixed_dates = ["26 Jan"]', "month and day"),
        ('hours.dates = { tomorrow = "x" }', "date"),
        ("hours.festivals = { subdivision = 'BR' }", "Field required"),
        ("caps.fleet = -1", "greater than or equal to 0"),
        ("reconnection.min_percent = 0", "without paying"),
        ("reconnection.days_by_share = [{ days = 7 }, { up_to_percent = 75, days = 3 }]", "above the one before"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        section(f"[protection]\n{text}")


def test_reconnection_steps_are_kept_in_basis_points() -> None:
    form = ReconnectionSection.model_validate({"min_percent": Decimal("12.5"), "days_by_share": [{"days": 2}]})
    assert form.to_domain() == ReconnectionRules(0, 1_250, (Step(None, 2),))
