"""The rules of protection of one utility, as plain values. The defaults protect nobody, and cut nobody unasked."""

from dataclasses import dataclass, field

from headend.domain.caps import CapLimits
from headend.domain.protected_hours import ProtectedHours
from headend.domain.reconnection import ReconnectionRules, Step, days_for
from headend.domain.spread import SpreadRules


@dataclass(frozen=True, slots=True)
class ProtectionRules:
    """Which homes may be cut, when, and how many.

    `disconnect_automatically`: debt alone leads to a cut. `debt_only`: an operator's order needs debt too.
    `cut_below_micros`: a balance below it is debt. `grace_s`: time after that. `emergency_credit_micros`: how far
    below that limit a home may use; `emergency_days_by_load`: for how long, by its sanctioned load in W.
    `stale_after_s`: a reading older than this tells nothing, nor does one by which a home drew more than
    `max_day_wh` for each day that is not charged (None: whatever a register shows is believed).
    """

    disconnect_automatically: bool = False
    debt_only: bool = False
    cut_below_micros: int = 0
    grace_s: int = 0
    emergency_credit_micros: int = 0
    emergency_days_by_load: tuple[Step, ...] = ()
    stale_after_s: int = 86_400
    max_day_wh: int | None = None
    hours: ProtectedHours = field(default_factory=ProtectedHours)
    caps: CapLimits = field(default_factory=CapLimits)
    spread: SpreadRules = field(default_factory=SpreadRules)
    reconnection: ReconnectionRules = field(default_factory=ReconnectionRules)

    @property
    def exhausted_at_micros(self) -> int:
        """The balance at which nothing is left, emergency credit included."""
        return self.cut_below_micros - self.emergency_credit_micros

    def is_fresh(self, read_at_s: int | None, now_s: int) -> bool:
        """Whether a reading tells how things stand: it is not too old, nor from the future."""
        return read_at_s is not None and -self.spread.clock_tolerance_s <= now_s - read_at_s <= self.stale_after_s

    def believes(self, unsettled_wh: int, open_days: int) -> bool:
        """Whether a home can have drawn so much in the days that are not charged, today among them."""
        return self.max_day_wh is None or unsettled_wh <= self.max_day_wh * max(1, open_days)

    def emergency_days(self, load_w: int | None) -> int:
        """Days of emergency credit of a home. One whose load is not known has the most that there is."""
        if load_w is None:
            return max((step.days for step in self.emergency_days_by_load), default=0)
        return days_for(self.emergency_days_by_load, load_w)
