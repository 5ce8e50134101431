"""What the store holds of the audit log, what a story is told from, and the sweeps for exceptions."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from headend.domain.evidence import Act
from headend.service.rows import OutageRow
from headend.service.traffic import GatewayId


class ActRow(NamedTuple):
    """One act as it is kept. `basis` is canonical JSON."""

    act_id: int
    at_s: int
    actor: str
    kind: str
    subject: str
    reason: str
    basis: str
    chain_hash: bytes


class StoryRow(NamedTuple):
    """Something that happened, by the table that it stands in. `facts`: that row's fields as JSON values."""

    at_s: int
    what: str
    facts: dict[str, Any]


class EvidenceRows(Protocol):
    """What the store holds of the audit log, what a story is told from, and the sweeps for exceptions."""

    def record_act(self, act: Act) -> None:
        """Append one act to the chain."""

    def record_acts(self, acts: Sequence[Act]) -> None:
        """Append acts to the chain, in order."""

    def last_act_id(self) -> int:
        """The newest act's number; 0: there is none."""

    def acts(self) -> Iterable[ActRow]:
        """The whole audit log in order."""

    def privileges_without_act(self) -> list[tuple[str, str]]:
        """(subject, what is wrong) of what was done without an act of it, or without a second person (I25)."""

    def story_of_meter(self, meter: str, from_s: int, to_s: int) -> list[StoryRow]:
        """All that happened to a meter in a range of time (its end excluded), in order."""

    def outage(self, outage_id: int) -> OutageRow | None:
        """One outage of the journal."""

    def story_of_outage(self, outage_id: int, region: str | None, from_s: int, to_s: int) -> list[StoryRow]:
        """What was done and told about an outage, in order; of a region, or (None) of all."""

    def grace_until_s(self, region: str | None, ended_s: int) -> int | None:
        """When the last grace period of regions that recover from an outage that ended then is over."""

    def outage_totals(
        self, gateway: GatewayId | None, period_s: tuple[int, int, int], days: tuple[int, int]
    ) -> dict[str, int | None]:
        """What an outage did to the meters of a gateway, or (None) of all.

        `period_s`: its beginning, its end, and the end of the grace period; `days`: the first billing day that it
        touched, and the last that could be settled now.
        """

    # sweeps for exceptions
    def listening_since_s(self) -> int | None:
        """When the newest outage of the head-end or its broker ended; None: one lasts; 0: there was none."""

    def list_silent_meters(self, since_s: int, day: int, now_s: int, limit: int) -> int:
        """List meters without a reading since a time, or without any though installed before a day; how many."""

    def list_days_not_settled(self, day: int, now_s: int, limit: int) -> int:
        """List meters whose first open day is before a day, with a later day's register known; how many."""

    def close_days_not_settled(self, now_s: int) -> None:
        """Close the exceptions of days that are settled now."""

    def close_silent_meters(self, since_s: int, now_s: int) -> None:
        """Close the exceptions of silent meters that have read since a time."""

    def list_open_without_order(self, now_s: int, limit: int) -> int:
        """List meters whose relay is reported open without an order; how many."""

    def close_open_without_order(self, now_s: int) -> None:
        """Close the exceptions of open relays that are closed now."""
