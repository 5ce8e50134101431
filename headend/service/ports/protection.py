"""What the store holds of disconnections, the quarantine and moratoria."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from headend.domain.windows import Moratorium
from headend.service.rows import MeterRow


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What a decision about one meter needs.

    `announced_s`: the cut that its consumer was told of; `refused_for`: why it was not cut the last time.
    """

    meter_key: int
    meter: MeterRow
    zero_since_s: int | None
    exhausted_since_s: int | None
    unsettled_recharges: int
    plan_kept: int
    open_exceptions: str | None
    relay_ordered_open: int
    announced_s: int | None
    refused_for: str | None
    no_cut_before_s: int | None


class NewDisconnection(NamedTuple):
    """A wish to open a relay and what became of it. `basis` is JSON."""

    meter_key: int
    requested_at_s: int
    requested_by: str
    origin: str
    reason: str
    state: str
    refused_for: str | None
    basis: str
    decided_at_s: int
    decided_by: str
    relay_version: int | None


@dataclass(frozen=True, slots=True)
class DisconnectionRow:
    """A wish to open a relay as it is kept."""

    disconnection_id: int
    meter: str
    requested_at_s: int
    requested_by: str
    origin: str
    reason: str
    state: str
    refused_for: str | None
    basis: str
    decided_at_s: int
    decided_by: str
    relay_version: int | None
    reconnected_at_s: int | None


class Decided(NamedTuple):
    """What becomes of a wish that waits. `refused_for` and `basis` None: as they were."""

    disconnection_id: int
    state: str
    actor: str
    at_s: int
    relay_version: int | None = None
    refused_for: str | None = None
    basis: str | None = None


class OpenOrder(NamedTuple):
    """An order to open that was issued; `attempts`: how often it was sent."""

    meter_key: int
    version: int
    attempts: int
    origin: str


@dataclass(frozen=True, slots=True)
class MoratoriumRow:
    """A moratorium as it is kept."""

    moratorium_id: int
    region: str | None
    from_s: int
    to_s: int
    reason: str
    declared_by: str
    declared_at_s: int
    ended_at_s: int | None
    ended_by: str | None


class ProtectionRows(Protocol):
    """What the store holds of disconnections, the quarantine and moratoria."""

    def cases(self, meter_keys: Sequence[int]) -> list[CaseRow]:
        """What decisions about these meters need, in their order."""

    def due_debtors(self, now_s: int, limit: int) -> list[int]:
        """Keys of meters in debt that are to be looked at, longest due first."""

    def note_debtors(self, rows: Sequence[tuple[int, int, str | None]]) -> None:
        """(meter_key, look_at_s, refused_for) of debtors that were looked at."""

    def look_at_debtors_again(self) -> None:
        """Look at all meters in debt anew: what protected them may have ended early."""

    def promise(self, meter_key: int, no_cut_before_s: int) -> None:
        """The home is not cut before this time."""

    def add_disconnections(self, rows: Sequence[NewDisconnection]) -> None:
        """Keep wishes with what became of them."""

    def cuts_since(self, since_s: int) -> list[tuple[str, str, int]]:
        """(region, feeder, count) of the orders to open that were issued since a time."""

    def waiting(self, state: str, after: int, limit: int) -> list[DisconnectionRow]:
        """A page of wishes in quarantine, or released from it, oldest first."""

    def waiting_meters(self, meter_keys: Iterable[int]) -> set[int]:
        """Those of these meters that have a wish in quarantine, or released from it."""

    def waiting_wish(self, disconnection_id: int) -> DisconnectionRow | None:
        """One wish that is in quarantine; None: it is not."""

    def decide(self, wish: Decided) -> None:
        """Move a wish on that waits."""

    def lasting_cuts(
        self, after_meter_key: int, limit: int, *, ordered: bool = False
    ) -> list[tuple[int, int, str]]:
        """(meter_key, disconnection_id, basis) of homes cut for debt that are not reconnected, in order.

        `ordered`: those too that an operator had cut, as where the rules let them cut for debt only.
        """

    def lasting_cut(self, meter_key: int, *, ordered: bool = False) -> tuple[int, str] | None:
        """(disconnection_id, basis) of one home cut for debt that is not reconnected; as `lasting_cuts`."""

    def note_reconnected(self, meter_keys: Iterable[int], now_s: int) -> None:
        """The supply was ordered back, or the order to cut was taken back."""

    def open_orders(self, orders: Sequence[tuple[int, int]]) -> list[OpenOrder]:
        """Of these (meter_key, version) the orders to open that wait for an answer, with how they came about."""

    def disconnections(self, meter: str | None, limit: int) -> list[DisconnectionRow]:
        """The newest wishes, of one meter or of all."""

    def relays_moved(self, rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, str, str, int]]:
        """Of (meter_key, version, at_s) that meters carried out those that are news: with position and reason."""

    def reject_opens(self, rows: Sequence[tuple[int, int, str]]) -> None:
        """(meter_key, version, reason): end these orders to open; those to close go on."""

    def moratoria(self, now_s: int) -> list[Moratorium]:
        """Moratoria that are not over."""

    def moratorium_rows(self, limit: int) -> list[MoratoriumRow]:
        """All moratoria, newest first."""

    def declare_moratorium(
        self, region: str | None, from_s: int, to_s: int, reason: str, actor: str, now_s: int
    ) -> int:
        """Keep a moratorium; its number."""

    def end_moratorium(self, moratorium_id: int, actor: str, now_s: int) -> bool:
        """End one that is not over; False: there is none such."""
