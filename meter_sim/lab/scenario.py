"""A scenario: a fleet, its rules, what consumers do, what breaks when, and what has to hold before and after.

Models only: `scenario_file.py` reads them from YAML. Times are spans since the start of the run.
"""

from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from meter_sim.durations import duration_text
from meter_sim.lab.faults import AnyFault
from meter_sim.lab.faults.fault import Seconds, Share
from meter_sim.lab.figures import FINAL, LIVE

ZONE: Final = "Asia/Kolkata"
MOST_METERS: Final = 500_000
MOST_OCCURRENCES: Final = 20_000
MOST_RATE: Final = 100_000
MICROS_PER_PAISA: Final = 10_000
DAY_S: Final = 86_400

Rules = Literal["flat", "bihar", "uttar-pradesh", "great-britain"]
"""The presets of the head-end."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Fleet(_Model):
    """The meters, one a home, all in one region, in equal groups behind gateways."""

    meters: int = Field(default=500, ge=1, le=MOST_METERS, description="How many homes.")
    gateways: int = Field(
        default=5, ge=1, le=10_000, description="How many gateways they hang on; at most as many as meters."
    )
    interval: Seconds = Field(
        default=3_600, ge=60, le=DAY_S, description="Between two readings of a meter. Each midnight has one more."
    )
    clock_error: Seconds = Field(
        default=0,
        le=DAY_S,
        description="Most that a meter's clock is off, fast or slow, by chance. The presets reckon with 5m.",
    )

    @model_validator(mode="after")
    def _each_gateway_has_meters(self) -> "Fleet":
        if self.gateways > self.meters:
            raise ValueError(f"{self.gateways} gateways for {self.meters} meters: each needs one at least")
        return self


class Turn(_Model):
    """From a time on, virtual time runs at another speed (processes only)."""

    at: Seconds = Field(description="From when on, since the start of the run.")
    speed: float = Field(gt=0, le=1_000_000, description="Virtual seconds in a wall second.")


def _instant(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


class Clock(_Model):
    """Virtual time: when the run begins, how long it lasts, and how fast it passes between processes."""

    start: Annotated[str, BeforeValidator(_instant)] = Field(
        default="2024-10-22T00:00",
        description="Local time in Asia/Kolkata, to which rules, holidays and night hours refer.",
        examples=["2024-10-22T00:00"],
    )
    length: Seconds = Field(
        default=4 * DAY_S, gt=0, le=400 * DAY_S, description="Of the run. Every fault ends within it."
    )
    speed: float = Field(
        default=7_200,
        gt=0,
        le=1_000_000,
        description="Virtual seconds in a wall second: 7200 is a day in 12 s. A simulation takes no notice of it.",
    )
    turns: tuple[Turn, ...] = Field(
        default=(), description="Where the speed changes, in order: fast over calm days, slow where things break."
    )

    @field_validator("start")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no time such as 2024-10-25T10:00") from error
        return text

    @field_validator("turns")
    @classmethod
    def _ascending(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        for index, (turn, following) in enumerate(pairwise(turns), start=1):
            if following.at <= turn.at:
                raise _mistake("is not after the turn before it", index, "at")
        return turns

    @property
    def start_s(self) -> int:
        """The start, seconds UTC."""
        at = datetime.fromisoformat(self.start)
        return int((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))).timestamp())


class Surge(_Model):
    """For a time consumers recharge more often, or less."""

    at: Seconds = Field(description="From when on, since the start of the run.")
    lasts: Seconds = Field(alias="for", gt=0, description="For how long.")
    recharges: float = Field(
        ge=0, le=MOST_RATE, description="Recharges a day of each 1,000 homes, instead of `workload.recharges`."
    )


class Workload(_Model):
    """What consumers and operators do while the run goes on. Rates are a day, of each 1,000 homes.

    Homes and times are chosen by the seed of the run. Whoever gets no answer asks again until there is one.
    """

    recharges: float = Field(default=40, ge=0, le=MOST_RATE, description="Recharges a day, of each 1,000 homes.")
    surges: tuple[Surge, ...] = Field(default=(), description="Times in which recharges are more, or less.")
    retried: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of recharges that are asked for once or twice more with the same reference and amount.",
    )
    retried_within: Seconds = Field(
        default=2 * DAY_S, gt=0, description="The last repetition comes so long after the first request at most."
    )
    conflicting: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="Share asked for again with the same reference and another amount; each has to be refused.",
    )
    enquiries: float = Field(
        default=10, ge=0, le=MOST_RATE, description="Balance enquiries a day, of each 1,000 homes."
    )
    orders: float = Field(
        default=0,
        ge=0,
        le=MOST_RATE,
        description="Orders of an operator to open or close a relay, a day, of each 1,000 homes.",
    )


class Homes(_Model):
    """A share of homes whose credit ends in a certain time; all others have enough for the whole run."""

    share: Share = Field(description="Of all homes; those of all groups add up to 1 at most.")
    out_from: Seconds = Field(description="Their credit ends at this time since the start at the earliest,")
    out_to: Seconds = Field(
        description="and at this time at the latest, each at a time of its own; 0: they never had any."
    )
    pays: tuple[Seconds, Seconds] | None = Field(
        default=None,
        description="[from, to]: each pays once within, enough for the rest of the run; left out: never.",
        examples=[["9d", "10d12h"]],
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Homes":
        if self.out_to < self.out_from or (self.pays is not None and self.pays[1] < self.pays[0]):
            raise ValueError("a time ends before it begins")
        return self


class Threshold(_Model):
    """What a figure has to be: at least `min`, at most `max`, or both."""

    min: float | None = Field(default=None, description="The least that holds.")
    max: float | None = Field(default=None, description="The most that holds.")

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
    """A fleet, its rules, what consumers do, what breaks when, and what has to hold before and after.

    Times are spans since the start of the run: `2d10h30m`, `90s`, or whole seconds.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="As in `lab run NAME`.")
    story: str = Field(
        min_length=1,
        max_length=4_000,
        description="What happened, and what this is to show; `lab list` has the first sentence.",
    )
    fleet: Fleet = Field(default=Fleet(), description="The meters and their gateways.")
    rules: Rules = Field(
        default="flat",
        description="The head-end's preset. `flat`: one price, nobody is cut for debt, no hours are protected.",
    )
    clock: Clock = Field(default=Clock(), description="When the run begins and how long it lasts.")
    workload: Workload = Field(default=Workload(), description="What consumers and operators do meanwhile.")
    homes: tuple[Homes, ...] = Field(
        default=(),
        description="Homes whose credit ends in the run. All others have enough from the beginning.",
    )
    timeline: tuple[AnyFault, ...] = Field(
        default=(),
        description="What breaks when. Faults may overlap; each ends, and what it broke is mended.",
    )
    heals_within: Seconds = Field(
        default=DAY_S,
        gt=0,
        description="After the last fault, and at the end of the run: so long may it take to catch up.",
    )
    before: Thresholds = Field(
        default={},
        description="What live figures have to be as the first fault begins; if one is not, nothing is broken.",
    )
    after: Thresholds = Field(default={}, description="What figures of the whole run have to be at its end.")

    @field_validator("before")
    @classmethod
    def _live(cls, thresholds: Thresholds) -> Thresholds:
        return _known(thresholds, sorted(LIVE))

    @field_validator("after")
    @classmethod
    def _final(cls, thresholds: Thresholds) -> Thresholds:
        return _known(thresholds, sorted(FINAL))

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
                ends = duration_text(fault.occurrences()[-1][1])
                length = duration_text(self.clock.length)
                raise _mistake(f"ends after the run, at {ends}; clock.length is {length}", "timeline", index)
        return self

    @cached_property
    def first_fault_s(self) -> int:
        """When the first fault begins, since the start; without any: the end of the run."""
        return min((fault.at for fault in self.timeline), default=self.clock.length)

    @cached_property
    def last_fault_ends_s(self) -> int:
        """When the last fault ends, since the start; without any: the end of the run."""
        return max((fault.occurrences()[-1][1] for fault in self.timeline), default=self.clock.length)


def _known(thresholds: Thresholds, figures: list[str]) -> Thresholds:
    for name in thresholds:
        if name not in figures:
            context = {"path": (name,), "kind": "figure", "known": figures, "name": name}
            raise PydanticCustomError("unknown_key", "{name} is no figure", context)
    return thresholds


def _mistake(text: str, *path: str | int) -> PydanticCustomError:
    """A mistake in an entry beneath the one that is checked."""
    return PydanticCustomError("mistake", "{text}", {"text": text, "path": path})
