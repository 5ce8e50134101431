"""The balance that a consumer is shown: what is posted, less the energy drawn since the last settled day."""

from dataclasses import dataclass

from headend.domain.tariff import FlatTariff


@dataclass(frozen=True, slots=True)
class Balance:
    """All amounts in micros. `as_of_s` is the time of the newest reading; None: the meter never reported."""

    posted_micros: int
    unsettled_wh: int
    unsettled_micros: int
    as_of_s: int | None

    @property
    def shown_micros(self) -> int:
        """Posted balance minus the charge for energy not yet settled."""
        return self.posted_micros - self.unsettled_micros


def balance(
    tariff: FlatTariff,
    *,
    credits_micros: int,
    debits_micros: int,
    register_wh: int,
    settled_register_wh: int,
    as_of_s: int | None,
) -> Balance:
    """Derive the balance from the ledger's two totals and the meter's two registers (design, section 3)."""
    unsettled_wh = max(0, register_wh - settled_register_wh)
    return Balance(
        posted_micros=credits_micros - debits_micros,
        unsettled_wh=unsettled_wh,
        unsettled_micros=tariff.energy_charge_micros(unsettled_wh),
        as_of_s=as_of_s,
    )
