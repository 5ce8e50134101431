"""What the store holds of standings and notices, and the sinks that notices go to."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from headend.domain.notice import Content, NoticeKind
from headend.domain.standing import Debt
from headend.domain.tariff_bound import ChargeBound
from headend.service.rows import OutageRow


class StandingRow(NamedTuple):
    """A meter whose register has reached the point where its balance may have crossed a level."""

    meter_key: int
    register_wh: int
    read_at_s: int
    settled_day: int
    settled_register_wh: int
    month_wh: int
    category: str | None
    load_w: int
    has_terms: int
    credits_micros: int
    debits_micros: int
    last_recharge_micros: int
    credits_looked_at_micros: int
    levels: int
    zero_since_s: int | None
    exhausted_since_s: int | None
    cut_announced_s: int | None


class LookedAt(NamedTuple):
    """A meter as it was looked at. `trip_wh`: the register before which there is nothing to look at again."""

    meter_key: int
    trip_wh: int
    balance_micros: int
    as_of_s: int
    credits_micros: int
    levels: int


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice to one meter's consumer, or (`meter_key` None) to everybody in `region`; region None: in all."""

    kind: NoticeKind
    meter_key: int | None
    region: str | None
    at_s: int
    content: Content


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it is kept. `meter` None: to everybody in the region; `region` None: in all."""

    notice_id: int
    kind: NoticeKind
    meter: str | None
    region: str | None
    at_s: int
    content: Content


class DeliveryState(StrEnum):
    """How far a notice has come with one sink."""

    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice with what became of it. `sinks`: (sink, state, attempts, detail); none: not taken up yet."""

    notice: Notice
    sinks: tuple[tuple[str, str, int, str], ...]


class Delivered(NamedTuple):
    """What came of handing a notice to a sink. `again`: it is worth trying later; else `ok`, or it has failed."""

    notice_id: int
    ok: bool
    again: bool = False
    detail: str = ""


class Sink(Protocol):
    """Somewhere that notices go. It may answer at once or later, and never blocks."""

    @property
    def name(self) -> str:
        """What the store calls it."""

    def room(self) -> int:
        """How many more notices it takes now."""

    def send(self, notices: Sequence[Notice], now_s: int) -> None:
        """Take up to `room()` notices on."""

    def answers(self) -> list[Delivered]:
        """What came of notices since the last call."""

    def close(self) -> None:
        """Let go; what is not answered is sent again next time."""


class NoticeRows(Protocol):
    """What the store holds of standings and notices."""

    # standings
    def pass_over(
        self,
        after_meter_key: int,
        to_meter_key: int,
        today: int,
        marks_micros: Sequence[int],
        share_bp: int,
        bounds: Mapping[str | None, ChargeBound],
    ) -> int:
        """Set the trips of homes in a range whose balance surely has reached no mark; how many.

        They have no debt and no terms of their own, and would be above the mark for their number of levels
        (`AlertRules.marks_micros`) and above this share of their last recharge (basis points), even if all that is
        not settled cost the most that it can by their category's bound.
        """

    def standings_to_look_at(self, after_meter_key: int, to_meter_key: int) -> list[StandingRow]:
        """Of meters with keys in a range (its end included) those that may have crossed a level."""

    def last_meter_key(self) -> int:
        """The newest meter's key; 0: there is none."""

    def put_standings(self, rows: Sequence[LookedAt]) -> None:
        """Keep what meters were found at."""

    def put_debts(self, rows: Sequence[tuple[int, Debt]]) -> None:
        """Keep since when these meters (keys) have no credit left."""

    def look_at_all_again(self) -> None:
        """Every balance may have changed otherwise than by its register: prices, a new day, other rules."""

    def note_cut_announced(self, rows: Sequence[tuple[int, int]]) -> None:
        """(meter_key, cut_at_s) of which the consumers are told."""

    # notices
    def add_notices(self, notices: Iterable[NewNotice]) -> None:
        """Keep notices; `headend notify` hands them to the sinks."""

    def notices(self, meter: str | None, state: DeliveryState | None, after: int, limit: int) -> list[NoticeRow]:
        """A page of notices with ids above `after`: of one meter and to all, by the state of any delivery."""

    def outages_to_tell(self, ended_since_s: int, now_s: int, after_s: int) -> list[tuple[OutageRow, bool]]:
        """Outages of the system, lasting or ended since a time, longer than `after_s`, that are not wholly told.

        Each with whether its beginning was told.
        """

    # deliveries to sinks
    def begin_sink(self, sink: str, from_s: int) -> None:
        """The first time, a sink begins with the notices from `from_s` on."""

    def take_up_notices(self, sink: str, limit: int, now_s: int) -> int:
        """Make the next notices wait for a sink; how many."""

    def waiting_notices(
        self, sink: str, now_s: int, without: Collection[int], limit: int
    ) -> list[tuple[Notice, int]]:
        """Notices that are due for a sink, oldest first, but for these ids; each with its attempts so far."""

    def note_deliveries(self, rows: Iterable[tuple[str, int, DeliveryState, int, str, int]]) -> None:
        """(sink, notice_id, state, next_at_s, detail, now_s): what came of one attempt each."""

    def retry_failed(self, sink: str | None, now_s: int) -> int:
        """Let failed deliveries wait again; how many."""
