"""What the audit of protection asks of the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headend.domain.windows import Moratorium


@dataclass(frozen=True, slots=True)
class IssuedCut:
    """A decision to cut, with the case that it was based on. `sent_at_s` None: it never left.

    `basis`: as it stands in the store, where somebody may have changed it.
    """

    meter_key: int
    meter: str
    region: str
    feeder: str
    origin: str
    basis: Mapping[str, Any]
    issued_at_s: int
    relay_version: int
    sent_at_s: int | None

    @property
    def exhausted_since_s(self) -> int | None:
        """Since when emergency credit was used up too, as the decision had it."""
        found = self.basis.get("exhausted_since_s")
        return found if isinstance(found, int) else None


class AuditRows(Protocol):
    """What the audit of protection asks of the store."""

    def all_moratoria(self) -> list[Moratorium]:
        """Every moratorium that ever was."""

    def issued_cuts(self) -> list[IssuedCut]:
        """Every order to open that the gate let pass, in order."""

    def undecided_opens(self) -> list[tuple[str, int]]:
        """(meter, version) of orders to open that are no decision of the gate."""

    def recharges_on_their_way(self, meter_key: int, at_s: int) -> int:
        """How many recharges of a meter were accepted and not applied at an instant."""

    def regions_of_meters(self) -> dict[str, str]:
        """Each meter's region."""
