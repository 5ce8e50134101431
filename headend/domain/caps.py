"""Caps on cuts: how many may go in 24 hours per feeder, region and fleet.

A mistake of any size, ours or an operator's, ends at the caps; what is above them waits for a second person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CAP_PERIOD_S: Final = 86_400
"""Cuts are counted over the 24 hours before now, not by calendar day: midnight must not double a cap."""


class Cap(StrEnum):
    """What a cap counts cuts of, narrowest first."""

    FEEDER = "FEEDER"
    REGION = "REGION"
    FLEET = "FLEET"


@dataclass(frozen=True, slots=True)
class CapLimits:
    """Most cuts in 24 hours; None: no cap of this kind."""

    feeder: int | None = None
    region: int | None = None
    fleet: int | None = None


class Caps:
    """Counts cuts against the limits, beginning with those of the last 24 hours."""

    def __init__(
        self, limits: CapLimits, *, fleet: int, by_region: Mapping[str, int], by_feeder: Mapping[str, int]
    ) -> None:
        """Of the last `CAP_PERIOD_S`: cuts in all, by region, and by feeder (feeder ids are the whole fleet's)."""
        self._limits = limits
        self._fleet = fleet
        self._by_region = dict(by_region)
        self._by_feeder = dict(by_feeder)

    def take(self, region: str, feeder: str | None) -> Cap | None:
        """Count one cut, unless a cap is reached: then that cap, and nothing is counted.

        A meter whose feeder is not known counts for its region and the fleet.
        """
        in_region = self._by_region.get(region, 0)
        on_feeder = self._by_feeder.get(feeder, 0) if feeder is not None else 0
        if feeder is not None and _reached(on_feeder, self._limits.feeder):
            return Cap.FEEDER
        if _reached(in_region, self._limits.region):
            return Cap.REGION
        if _reached(self._fleet, self._limits.fleet):
            return Cap.FLEET
        if feeder is not None:
            self._by_feeder[feeder] = on_feeder + 1
        self._by_region[region] = in_region + 1
        self._fleet += 1
        return None


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
