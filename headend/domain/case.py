"""What a decision about a cut is based on, and what is kept of it: a meter's case and its region's situation."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.protected_hours import ProtectedHours
from headend.domain.windows import Moratorium, Window, window_at


class Origin(StrEnum):
    """Who wants the cut: the rules, because of debt, or an operator."""

    DEBT = "DEBT"
    ORDER = "ORDER"


@dataclass(frozen=True, slots=True)
class Case:
    """Everything about one meter that the decision is based on.

    `zero_since_s`: since when the balance is below the cut limit; `exhausted_since_s`: since when emergency credit
    is used up too; None: not so, or not known since when. `no_cut_before_s`: a promise, as after a part payment.
    `settled_day`: the newest billing day that is charged; `unsettled_wh`: what was drawn since then.
    `unsettled_recharges`: how many are accepted and not yet applied at the meter. `relay_ordered_open`: it is
    open, or an order to open it is on its way.
    """

    meter: str
    origin: Origin
    balance_micros: int
    read_at_s: int | None
    register_wh: int
    settled_day: int
    unsettled_wh: int
    zero_since_s: int | None
    exhausted_since_s: int | None
    no_cut_before_s: int | None
    load_w: int | None
    unsettled_recharges: int
    plan_kept: bool
    open_exceptions: tuple[str, ...]
    relay_ordered_open: bool

    def basis(self) -> dict[str, object]:
        """The case as it is kept with its decision: plain values, for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"open_exceptions": list(self.open_exceptions)}


@dataclass(frozen=True, slots=True)
class Situation:
    """What holds for all meters of a region at one instant. `today` is the billing day of `now_s`.

    `hours` and `moratorium` are the windows in force; `recovery_grace_until_s`: when the grace after an outage is
    over.
    """

    region: str
    now_s: int
    today: int
    hours: Window | None
    moratorium: Window | None
    recovering: bool
    recovery_grace_until_s: int | None

    def basis(self) -> dict[str, object]:
        """The situation as it is kept with a decision."""
        return asdict(self)


def situation_at(
    now_s: int,
    region: str,
    hours: ProtectedHours,
    moratoria: Iterable[Moratorium],
    zone: ZoneInfo,
    *,
    recovering: bool,
    recovery_grace_until_s: int | None,
) -> Situation:
    """The situation of a region, out of all moratoria that there are."""
    here = [each for each in moratoria if each.covers(region)]
    return Situation(
        region=region,
        now_s=now_s,
        today=day_of(now_s, zone),
        hours=window_at(hours, (), zone, now_s),
        moratorium=window_at(ProtectedHours(), here, zone, now_s),
        recovering=recovering,
        recovery_grace_until_s=recovery_grace_until_s,
    )
