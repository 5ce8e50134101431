"""A scenario: a fleet, its rules, what consumers do, what breaks when, and what has to hold before and after.

Models only: `scenario_file.py` reads them from YAML. Times are spans since the start of the run.
"""

from datetime import datetime
from functools import cached_property
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from meter_sim.lab.faults import AnyFault
from meter_sim.lab.faults.fault import Seconds, Share
from meter_sim.lab.figures import FINAL, LIVE

ZONE: Final = "Asia/Kolkata"
MOST_METERS: Final = 500_000
MOST_OCCURRENCES: Final = 20_000
MICROS_PER_PAISA: Final = 10_000
DAY_S: Final = 86_400

Rules = Literal["flat", "bihar", "uttar-pradesh", "great-britain"]
"""The presets of the head-end."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fleet(_Model):
    """The meters."""

    meters: int = Field(default=500, ge=1, le=MOST_METERS)
    gateways: int = Field(default=5, ge=1, le=10_000)
    interval: Seconds = Field(default=3_600, ge=60, le=DAY_S, description="Between two readings of a meter.")
    clock_error: Seconds = Field(
        default=0, le=DAY_S, description="Most that a meter's clock is off, fast or slow."
    )

    @model_validator(mode="after")
    def _each_gateway_has_meters(self) -> "Fleet":
        if self.gateways > self.meters:
            raise ValueError(f"{self.gateways} gateways for {self.meters} meters: each needs one at least")
        return self


class Turn(_Model):
    """From a time on, virtual time runs at another speed (processes only)."""

    at: Seconds
    speed: float = Field(gt=0, le=1_000_000)


def _instant(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


class Clock(_Model):
    """Virtual time. `speed`: virtual seconds in a wall second; a simulation takes no notice of it."""

    start: Annotated[str, BeforeValidator(_instant)] = Field(default="2024-10-22T00:00", description="Local time.")
    length: Seconds = Field(default=4 * DAY_S, gt=0, le=400 * DAY_S)
    speed: float = Field(default=7_200, gt=0, le=1_000_000)
    turns: tuple[Turn, ...] = Field(default=(), description="Where the speed changes.")

    @field_validator("start")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no time such as 2024-10-25T10:00") from error
        return text

    @property
    def start_s(self) -> int:
        """The start, seconds UTC."""
        at = datetime.fromisoformat(self.start)
        return int((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))).timestamp())


class Surge(_Model):
    """For a time consumers recharge more often, or less."""

    at: Seconds
    lasts: Seconds = Field(alias="for", gt=0)
    recharges: float = Field(ge=0, description="A day, of each 1,000 homes.")


class Workload(_Model):
    """What consumers and operators do while the run goes on. Rates are a day, of each 1,000 homes."""

    recharges: float = Field(default=40, ge=0, description="A day, of each 1,000 homes.")
    surges: tuple[Surge, ...] = ()
    retried: float = Field(
        default=0.25, ge=0, le=1, description="Share of recharges that are asked for again, unchanged."
    )
    retried_within: Seconds = Field(
        default=2 * DAY_S, gt=0, description="The last repetition comes so late at most."
    )
    conflicting: float = Field(default=0.03, ge=0, le=1, description="Share asked for again with another amount.")
    enquiries: float = Field(default=10, ge=0, description="Balance enquiries a day, of each 1,000 homes.")
    orders: float = Field(default=0, ge=0, description="Relay orders of an operator a day, of each 1,000 homes.")


class Homes(_Model):
    """A share of homes whose credit ends in a certain time; all others have enough for the whole run."""

    share: Share
    out_from: Seconds = Field(description="Their credit ends between this")
    out_to: Seconds = Field(description="and this; equal to 0: they never had any.")
    pays: tuple[Seconds, Seconds] | None = Field(
        default=None, description="They pay in this time; left out: never."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Homes":
        if self.out_to < self.out_from or (self.pays is not None and self.pays[1] < self.pays[0]):
            raise ValueError("a time ends before it begins")
        return self


class Threshold(_Model):
    """What a figure has to be."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Threshold":
        if self.min is None and self.max is None:
            raise ValueError("a threshold needs `min` or `max`")
        return self

    def holds(self, value: float | None) -> bool:
        """Whether a figure is within; what is not known is not."""
        if value is None:
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        parts = ((">=", self.min), ("<=", self.max))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in parts if bound is not None)


Thresholds = dict[str, Threshold]


class Scenario(_Model):
    """Everything that a run follows from, but for its seed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    story: str = Field(min_length=1, max_length=4_000, description="What happened, and what this is to show.")
    fleet: Fleet = Fleet()
    rules: Rules = "flat"
    clock: Clock = Clock()
    workload: Workload = Workload()
    homes: tuple[Homes, ...] = ()
    timeline: tuple[AnyFault, ...] = Field(default=(), description="What breaks when.")
    heals_within: Seconds = Field(
        default=DAY_S, gt=0, description="After the end: so long may it take to catch up."
    )
    before: Thresholds = Field(
        default={}, description="Live figures as the first fault begins, or there is no run."
    )
    after: Thresholds = Field(default={}, description="Figures of the whole run.")

    @field_validator("before")
    @classmethod
    def _live(cls, thresholds: Thresholds) -> Thresholds:
        return _known(thresholds, LIVE)

    @field_validator("after")
    @classmethod
    def _final(cls, thresholds: Thresholds) -> Thresholds:
        return _known(thresholds, FINAL)

    @field_validator("homes")
    @classmethod
    def _at_most_all(cls, homes: tuple[Homes, ...]) -> tuple[Homes, ...]:
        if sum(group.share for group in homes) > 1:
            raise ValueError("the shares of homes add up to more than 1")
        return homes

    @field_validator("timeline")
    @classmethod
    def _bounded(cls, timeline: tuple[AnyFault, ...]) -> tuple[AnyFault, ...]:
        if sum(fault.times for fault in timeline) > MOST_OCCURRENCES:
            raise ValueError(f"more than {MOST_OCCURRENCES:,} faults")
        return timeline

    @model_validator(mode="after")
    def _faults_end(self) -> "Scenario":
        for index, fault in enumerate(self.timeline):
            if fault.occurrences()[-1][1] > self.clock.length:
                raise ValueError(f"timeline.{index}: {fault.fault} ends after the run; make clock.length longer")
        return self

    @cached_property
    def first_fault_s(self) -> int:
        """When the first fault begins, since the start; without any: the end of the run."""
        return min((fault.at for fault in self.timeline), default=self.clock.length)

    @cached_property
    def last_fault_ends_s(self) -> int:
        """When the last fault ends, since the start; without any: the end of the run."""
        return max((fault.occurrences()[-1][1] for fault in self.timeline), default=self.clock.length)


def _known(thresholds: Thresholds, figures: object) -> Thresholds:
    assert isinstance(figures, dict)
    for name in thresholds:
        if name not in figures:
            raise ValueError(f"{name!r} is no figure; known are {', '.join(sorted(figures))}")
    return thresholds
