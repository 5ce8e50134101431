"""The balance that a consumer is shown: what is posted, less what is used but not yet settled."""

from collections.abc import Callable
from dataclasses import dataclass

from headend.domain.pricing import Pricer
from headend.domain.tariff_month import same_month


@dataclass(frozen=True, slots=True)
class Balance:
    """All amounts in micros. `as_of_s` is the time of the newest reading; None: the meter never reported.

    `provisional_since_day` is the first day that should be settled and is not; None: only today is open.
    """

    posted_micros: int
    unsettled_wh: int
    unsettled_micros: int
    as_of_s: int | None
    provisional_since_day: int | None

    @property
    def shown_micros(self) -> int:
        """Posted balance minus the charge for what is not yet settled."""
        return self.posted_micros - self.unsettled_micros


def derive_balance(
    pricer_of_day: Callable[[int], Pricer],
    *,
    credits_micros: int,
    debits_micros: int,
    register_wh: int,
    settled_register_wh: int,
    settled_day: int,
    month_wh: int,
    today: int,
    reading_day: int | None,
    as_of_s: int | None,
) -> Balance:
    """Derive the balance from the ledger's two totals and the meter's two registers (design, section 3).

    `settled_day` is the last settled day, `month_wh` the energy settled in its month. `reading_day` is the day of
    the newest reading's energy: a midnight snapshot's is the day that it closes.

    How the energy of several open days falls on them is not known before their snapshots are in. It is priced as
    if drawn on the day of the newest reading, from the start of the slabs if that lies in another month than the
    first open day, and by no time band. A day's fixed charge counts once the day is over.
    """
    open_day = settled_day + 1
    unsettled_wh = max(0, register_wh - settled_register_wh)
    priced_day = open_day if reading_day is None else max(open_day, reading_day)
    pricer = pricer_of_day(priced_day)
    energy_micros = pricer.energy_micros(month_wh if same_month(settled_day, priced_day) else 0, unsettled_wh)
    fixed_micros = sum(pricer_of_day(day).fixed_micros(day) for day in range(open_day, today))
    return Balance(
        posted_micros=credits_micros - debits_micros,
        unsettled_wh=unsettled_wh,
        unsettled_micros=pricer.charge_of(energy_micros, fixed_micros).total_micros,
        as_of_s=as_of_s,
        provisional_since_day=open_day if open_day < today else None,
    )
