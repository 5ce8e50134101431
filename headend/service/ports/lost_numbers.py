"""What the store holds of numbers that a store gave out which was lost: an older copy of it serves since."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from headend.domain.delivery import DeliveryKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.rows import ExceptionRow


class Word(NamedTuple):
    """What a meter said of a counter: its number or version, its credit total, when by its clock.

    Of a reading that jumped: its number, its register in Wh in place of a total, and when.
    """

    number: int
    total_micros: int | None
    at_s: int


class LostNumbers(NamedTuple):
    """Numbers of one meter that are taken: what they stood for, the meter alone knows. `word` is within them."""

    meter_key: int
    kind: DeliveryKind
    from_number: int
    to_number: int
    word: Word


class LostNumberRows(Protocol):
    """What the store holds of numbers that a lost store gave out."""

    def exceptions_of_kind(
        self, kind: ExceptionKind, region: str | None, after: int, limit: int
    ) -> list[tuple[int, ExceptionRow]]:
        """A page of the open exceptions of a kind (None: of all regions), each with its number."""

    def credit_words(self, meter_keys: Iterable[int]) -> list[tuple[int, str, Word]]:
        """(meter_key, kind of exception, word) of these meters' open exceptions about their credit counter."""

    def never_sent(
        self, deliveries: Sequence[tuple[int, DeliveryKind, int]]
    ) -> set[tuple[int, DeliveryKind, int]]:
        """Of these (meter_key, kind, number) those that are ours and never left this store."""

    def first_open(self, meter_key: int, kind: DeliveryKind) -> int | None:
        """The lowest number of a meter's open deliveries of a kind; None: none is open."""

    def take_over_credit(self, lost: LostNumbers) -> None:
        """Give the open credits numbers above the lost ones; the meter's word is what it acknowledged."""

    def take_over_relay(self, lost: LostNumbers) -> None:
        """Let the next relay position of the meter have a version above the lost ones."""

    def take_over_policy(self, lost: LostNumbers) -> None:
        """Let the next policy of the meter's region have a version above the lost ones."""

    def last_lost_policy(self, region: str) -> int:
        """The highest version of a policy that was lost; 0: none."""

    def close_policies_ahead(self, region: str, version: int, now_s: int) -> int:
        """Close the exceptions of meters that are not ahead of this version any more; how many."""

    def all_lost_numbers(self) -> Iterable[tuple[str, DeliveryKind, int, int, int, int | None]]:
        """(meter, kind, from, to, the meter's number, its credit total) of all that was taken over."""
