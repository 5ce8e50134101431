"""The section [protection] of a rules file: when, why and how many homes may be cut."""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headend.domain.caps import CapLimits
from headend.domain.protected_hours import ORDINALS, WEEKDAYS, Festivals, Night, NthWeekday, ProtectedHours
from headend.domain.protection_rules import ProtectionRules
from headend.domain.reconnection import ReconnectionRules, Step
from headend.domain.spread import SpreadRules
from headend.rules.quantities import Exact, Money, Percent, basis_points, micros

_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_MONTH_DAY: Final = re.compile(r"([0-9]{2})-([0-9]{2})")
_LEAP_YEAR: Final = 2024


def _minutes(text: object) -> tuple[int, int]:
    match = _HOURS.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a pair of times such as 17:30-11:00")
    from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
    if (from_hour, from_minute) == (to_hour, to_minute):
        raise ValueError(f"{text!r} begins where it ends")
    return from_hour * 60 + from_minute, to_hour * 60 + to_minute


def _weekday(text: object) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f"{text!r} is not a weekday such as Sunday")
    return WEEKDAYS.index(str(text))


def _nth_weekday(text: object) -> NthWeekday:
    ordinal, _, weekday = str(text).partition(" ")
    if ordinal not in ORDINALS or weekday not in WEEKDAYS:
        raise ValueError(f"{text!r} is not a weekday of the month such as second Saturday")
    return NthWeekday(ORDINALS.index(ordinal) + 1, WEEKDAYS.index(weekday))


def _month_day(text: object) -> tuple[int, int]:
    match = _MONTH_DAY.fullmatch(str(text))
    try:
        on = date(_LEAP_YEAR, int(match[1]), int(match[2])) if match else None
    except ValueError:
        on = None
    if on is None:
        raise ValueError(f"{text!r} is not a month and day such as 01-26")
    return on.month, on.day


def _check_steps(name: str, edges: Sequence[Decimal | int | None]) -> None:
    """Raise ValueError unless steps rise and only the last has no upper edge."""
    for before, after in pairwise(edges):
        if before is None or (after is not None and after <= before):
            raise ValueError(f"{name}: each step must reach above the one before it")


Minutes = Annotated[tuple[int, int], BeforeValidator(_minutes)]
Weekday = Annotated[int, BeforeValidator(_weekday)]
WeekdayOfMonth = Annotated[NthWeekday, BeforeValidator(_nth_weekday)]
MonthDay = Annotated[tuple[int, int], BeforeValidator(_month_day)]
Seconds = Annotated[int, Field(ge=0, le=366 * 86_400)]
Days = Annotated[int, Field(ge=0, le=366)]
Balance = Annotated[Exact, Field(ge=-1_000_000, le=1_000_000, decimal_places=6)]
_NOTHING: Final = Decimal(0)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FestivalSection(_Section):
    """Which festivals of the `holidays` package protect: [protection.hours.festivals].

    `around_days`: for a word in a festival's name, how many days before and after it are protected too.
    """

    country: str
    subdivision: str | None = None
    categories: tuple[str, ...] = ("public",)
    around_days: dict[str, Annotated[int, Field(gt=0, le=7)]] = {}


class HoursSection(_Section):
    """The protected calendar: [protection.hours]. Local wall times of the utility's zone."""

    nights: tuple[Minutes, ...] = Field(default=(), description="No cut from ... to ..., on every day.")
    permitted: Minutes | None = Field(default=None, description="Cuts from ... to ... only.")
    weekdays: tuple[Weekday, ...] = ()
    nth_weekdays: tuple[WeekdayOfMonth, ...] = ()
    fixed_dates: tuple[MonthDay, ...] = ()
    dates: dict[date, str] = Field(default={}, description="Single days, with their names.")
    festivals: FestivalSection | None = None
    only_if_in_credit_at_opening: bool = False

    def to_domain(self, festivals: Festivals | None) -> ProtectedHours:
        """The calendar with its festivals filled in. None: none are asked for, or nothing is decided."""
        assert festivals is None or self.festivals is not None, "festivals that were not asked for were looked up"
        nights = [Night("night", *minutes) for minutes in self.nights]
        if self.permitted is not None:
            from_minute, to_minute = self.permitted
            nights.append(Night("outside the hours for cuts", to_minute, from_minute))
        return ProtectedHours(
            nights=tuple(nights),
            weekdays=frozenset(self.weekdays),
            nth_weekdays=frozenset(self.nth_weekdays),
            fixed_dates=frozenset(self.fixed_dates),
            dates={day.toordinal(): name for day, name in self.dates.items()},
            festivals=festivals,
            only_if_in_credit_at_opening=self.only_if_in_credit_at_opening,
        )


class CapsSection(_Section):
    """Most cuts in 24 hours: [protection.caps]. One that is left out caps nothing."""

    feeder: int | None = Field(default=None, ge=0)
    region: int | None = Field(default=None, ge=0)
    fleet: int | None = Field(default=None, ge=0)


class LoadStep(_Section):
    """Days of emergency credit of homes up to a sanctioned load; without it: of all above."""

    up_to_load_w: int | None = Field(default=None, gt=0)
    days: Days


class ShareStep(_Section):
    """Days without a cut after paying up to a share of the dues; without it: any share above."""

    up_to_percent: Percent | None = None
    days: Days


class ReconnectionSection(_Section):
    """What suffices to be reconnected: [protection.reconnection]."""

    from_balance: Balance = _NOTHING
    min_percent: Percent | None = None
    days_by_share: tuple[ShareStep, ...] = ()

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        _check_steps("days_by_share", [step.up_to_percent for step in self.days_by_share])
        if self.min_percent == 0:
            raise ValueError("min_percent is 0: homes would be reconnected without paying anything")
        return self

    def to_domain(self) -> ReconnectionRules:
        """The rules of reconnection, shares in basis points."""
        return ReconnectionRules(
            from_micros=micros(self.from_balance),
            min_share_bp=None if self.min_percent is None else basis_points(self.min_percent),
            days_by_share=tuple(
                Step(None if step.up_to_percent is None else basis_points(step.up_to_percent), step.days)
                for step in self.days_by_share
            ),
        )


class ProtectionSection(_Section):
    """The whole section: as `ProtectionRules`, but money in the currency's unit. The defaults protect nobody."""

    disconnect_automatically: bool = False
    debt_only: bool = False
    cut_below: Balance = _NOTHING
    grace_s: Seconds = 0
    emergency_credit: Money = _NOTHING
    emergency_days: tuple[LoadStep, ...] = ()
    stale_after_s: Seconds = 86_400
    spread_s: Seconds = 0
    relay_open_expires_after_s: Annotated[int, Field(gt=0, le=7 * 86_400)] = 3_600
    meter_clock_tolerance_s: Annotated[int, Field(ge=0, le=3_600)] = 300
    hours: HoursSection = HoursSection()
    caps: CapsSection = CapsSection()
    reconnection: ReconnectionSection = ReconnectionSection()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _check_steps("emergency_days", [step.up_to_load_w for step in self.emergency_days])
        if self.reconnection.from_balance < self.cut_below:
            raise ValueError("reconnection.from_balance is below cut_below: homes would be cut again at once")
        return self

    def to_domain(self, festivals: Festivals | None) -> ProtectionRules:
        """The rules with their festivals filled in; `festivals` None: the section asks for none."""
        return ProtectionRules(
            disconnect_automatically=self.disconnect_automatically,
            debt_only=self.debt_only,
            cut_below_micros=micros(self.cut_below),
            grace_s=self.grace_s,
            emergency_credit_micros=micros(self.emergency_credit),
            emergency_days_by_load=tuple(Step(step.up_to_load_w, step.days) for step in self.emergency_days),
            stale_after_s=self.stale_after_s,
            hours=self.hours.to_domain(festivals),
            caps=CapLimits(feeder=self.caps.feeder, region=self.caps.region, fleet=self.caps.fleet),
            spread=SpreadRules(
                spread_s=self.spread_s,
                expires_after_s=self.relay_open_expires_after_s,
                clock_tolerance_s=self.meter_clock_tolerance_s,
            ),
            reconnection=self.reconnection.to_domain(),
        )
