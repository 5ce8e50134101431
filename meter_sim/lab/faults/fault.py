"""A fault: what is broken when, for how long, where; one small file each beside this one.

A fault is a frozen pydantic model, so that a scenario's YAML is checked against it and its JSON Schema comes by
itself. `begin` breaks something and returns what mends it: whoever runs the scenario calls that at the end of
the fault's time, and also when the run is interrupted.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from meter_sim.durations import parse_duration_s
from meter_sim.lab.plant import Link, Plant
from meter_sim.lab.toxics import Stream

Mend = Callable[[], None]

SPAN_PATTERN: Final = r"^(?=.)([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s?)?$"
"""Of `2d10h`, `15m`, `90s`, `90`, as `parse_duration_s` reads them."""


def mend_nothing() -> None:
    """What mends a fault that leaves nothing behind."""


def _seconds(value: object) -> object:
    if isinstance(value, list | dict | float):
        raise ValueError("a span of time is a text such as 15m, 1h30m, 2d or 90s, or whole seconds")
    return parse_duration_s(value) if isinstance(value, str) else value


Seconds = Annotated[
    int,
    BeforeValidator(_seconds),
    Field(ge=0),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": SPAN_PATTERN}, {"type": "integer", "minimum": 0}],
            "examples": ["90s", "15m", "2d10h"],
        }
    ),
]
"""A span of virtual time: `2d10h`, `15m`, or whole seconds."""

Share = Annotated[float, Field(gt=0, le=1)]
"""Of gateways or meters: 0.25 is every fourth."""

Direction = Literal["up", "down", "both"]
"""`up`: from the meters towards the head-end."""

STREAMS: Final[dict[tuple[Link, str], Stream]] = {
    (Link.FLEET, "up"): "upstream",
    (Link.FLEET, "down"): "downstream",
    (Link.HEADEND, "up"): "downstream",
    (Link.HEADEND, "down"): "upstream",
}
"""A proxy's stream by link and direction: upstream is towards the broker."""

MOST_TIMES: Final = 10_000


class Fault(BaseModel):
    """What every fault has. `at`: since the start of the run.

    `every` and `times`: it happens again and again; each time it lasts for `for`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    at: Seconds = Field(description="When it begins, since the start of the run: 2d10h.")
    lasts: Seconds = Field(default=0, alias="for", description="How long it lasts. 0: it begins and ends at once.")
    every: Seconds = Field(
        default=0, description="From one beginning to the next, where it happens several times."
    )
    times: int = Field(default=1, ge=1, le=MOST_TIMES, description="How often it happens; above 1 with `every`.")
    seed: int = Field(
        default=0, ge=0, description="Changes what chance decides here (which gateways), and nothing else."
    )

    momentary: ClassVar[bool] = False
    """It happens at an instant: `for` means nothing to it."""

    breaks: ClassVar[frozenset[str]] = frozenset()
    """Invariants that nobody can hold under it: an explorer demands of such a run that it is judged."""

    longest_s: ClassVar[int] = 12 * 3_600
    """An explorer lets it last so long at most."""

    loses_commits: ClassVar[bool] = False
    """What was answered before it ends may be gone then: providers submit all of it once more."""

    @model_validator(mode="after")
    def _comes_again_later(self) -> "Fault":
        if self.times > 1 and self.every == 0:
            raise ValueError("`times` above 1 needs `every`: how long until it happens again")
        return self

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """Break something; what mends it. `name` is this occurrence's alone."""
        raise NotImplementedError

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """What an explorer gives this fault, besides when it happens: anything that must be survived."""
        return {}

    def occurrences(self) -> list[tuple[int, int]]:
        """(from, to) of each time it happens, seconds since the start."""
        return [
            (self.at + index * self.every, self.at + index * self.every + self.lasts)
            for index in range(self.times)
        ]


def some(items: Sequence[str], share: float, chance: Random) -> list[str]:
    """A share of them, at least one, in their order."""
    count = max(1, round(len(items) * share))
    chosen = set(chance.sample(range(len(items)), count))
    return [item for index, item in enumerate(items) if index in chosen]
