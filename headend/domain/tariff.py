"""What energy costs. One flat price for now; slabs, fixed charges and duty will stand here too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlatTariff:
    """The same price for every watt-hour: exact in integers, so nothing is ever rounded."""

    price_micros_per_wh: int

    def energy_charge_micros(self, energy_wh: int) -> int:
        """The charge for an amount of energy, in micros."""
        return energy_wh * self.price_micros_per_wh
