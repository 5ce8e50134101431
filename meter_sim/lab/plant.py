"""What a run is made of, as faults and the course of a scenario see it: real processes or a simulation.

A plant is a broker, a head-end with its store, a fleet, the counter where payments are taken, and the links
between them. Times are virtual seconds UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any, Protocol

from meter_sim.lab.toxics import AppliedToxic


class Part(StrEnum):
    """What can be killed, stopped and started."""

    HEADEND = "headend"
    BROKER = "broker"
    FLEET = "fleet"
    COUNTER = "counter"
    """Where recharges are taken: `headend recharge`, which needs the store and nothing else."""


class Link(StrEnum):
    """A link to the broker: up is towards the broker on `FLEET`, and from it on `HEADEND`."""

    FLEET = "fleet"
    HEADEND = "headend"


@dataclass(frozen=True, slots=True)
class Payment:
    """A recharge that somebody asks for."""

    meter: str
    amount_micros: int
    reference: str


@dataclass(frozen=True, slots=True)
class DiskState:
    """How the head-end's disk behaves. `fails`: which operation ends in EIO: `read`, `write` or `sync`."""

    delay_s: float = 0.0
    full: bool = False
    fails: str | None = None
    lies: bool = False


@dataclass(frozen=True, slots=True)
class ClockShift:
    """A clock that is `offset_s` ahead at once, and fast by `drift_ppm`; of the fleet, those behind `gateways`."""

    offset_s: int = 0
    drift_ppm: int = 0
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a run: its live figures (`figures.LIVE` says what each is)."""

    at_s: int
    stage: str
    """`before`, `faults`, `healing` or `end`."""
    region_phase: str
    balances_stale: int
    balances_shown: int
    """Homes that would be shown a balance if they asked, fresh or marked as stale."""
    days_unsettled: int
    readings_late: int
    credits_queued: int
    credits_applied: int
    commands_open: int
    relays_open: int
    homes_at_zero: int
    gateways_online: int
    recharges_accepted: int
    messages: int
    """Passed on the links since the beginning."""
    ledger_sum_micros: int
    store_bytes: int
    headend_rss_kib: int
    """0: not running, or simulated."""
    headend_up: int

    def as_json(self) -> dict[str, Any]:
        """A line of `samples.jsonl`."""
        return asdict(self)


class Plant(Protocol):
    """A run that can be broken. What a fault does to it, the fault undoes."""

    @property
    def now_s(self) -> int:
        """Virtual time."""

    @property
    def wall_patience_s(self) -> float:
        """Wall seconds that it may take at least to catch up, however fast virtual time runs."""

    @property
    def gateways(self) -> Sequence[str]:
        """Their ids, in order; meters stand behind them in equal runs."""

    @property
    def meters(self) -> Sequence[str]:
        """Their ids, in order."""

    @property
    def region(self) -> str:
        """The region in the topics."""

    # --- parts ---------------------------------------------------------------------------------------------

    def is_up(self, part: Part) -> bool:
        """Whether a part runs (stopped and slow ones do)."""

    def kill(self, part: Part) -> None:
        """SIGKILL, if it runs. Faults overlap: what was killed twice starts with the second `start`."""

    def start(self, part: Part) -> None:
        """Start it again."""

    def pause(self, part: Part) -> None:
        """SIGSTOP: it holds what it has and does nothing. Counted as kills are."""

    def resume(self, part: Part) -> None:
        """SIGCONT."""

    def slow(self, name: str, part: Part, share: float) -> None:
        """Let it run for this share of the time only; 1: all of it, as far as this fault goes."""

    # --- links ---------------------------------------------------------------------------------------------

    def add_toxic(self, link: Link, applied: AppliedToxic) -> None:
        """Put a behaviour on a link; `applied.name` is new on it."""

    def remove_toxic(self, link: Link, name: str) -> None:
        """Take it off again."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Let a stranger publish something on the broker."""

    # --- store ---------------------------------------------------------------------------------------------

    def set_disk(self, name: str, state: DiskState | None) -> None:
        """What a fault adds to how the head-end's disk behaves; None: nothing any more."""

    def cut_power(self, chance: Random) -> None:
        """The head-end and the counter die with whatever their disk had not synced; the head-end stays down."""

    def back_up(self) -> bool:
        """Keep a copy of the store as it is; whether that could be made."""

    def restore(self) -> None:
        """Put the copy in the store's place, with the head-end and the counter down for it, and up again after."""

    # --- clocks --------------------------------------------------------------------------------------------

    def shift_clock(self, name: str, part: Part, shift: ClockShift | None) -> None:
        """What a fault adds to the error of a clock from now on; None: nothing any more."""

    # --- people --------------------------------------------------------------------------------------------

    def recharge(self, payment: Payment) -> Mapping[str, Any] | None:
        """Ask for a recharge; the answer, None: there was none, and nobody knows."""

    def enquire(self, meter: str) -> Mapping[str, Any] | None:
        """Ask for a balance: `balance_micros`, `as_of_s`, `stale`; None: there was no answer."""

    def order_relay(self, meter: str, position: str, reason: str) -> Mapping[str, Any] | None:
        """Order one relay `open` or `close`; the answer with its `outcome`, ORDERED or REFUSED."""

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Mapping[str, Any] | None:
        """Order many homes cut at once; the answer with its `counts`."""

    # --- time ----------------------------------------------------------------------------------------------

    def advance(self, until_s: int) -> None:
        """Let virtual time pass."""

    def look(self, stage: str) -> Sample:
        """How it stands."""

    def has_converged(self) -> bool:
        """Whether nothing is left to catch up with."""

    def attend(self) -> list[str]:
        """Do what the head-end's list of exceptions says, as a person would; what was done."""

    # --- the run -------------------------------------------------------------------------------------------

    def set_up(self, payments: Sequence[Payment]) -> list[Mapping[str, Any]]:
        """Register the meters, record these recharges, then start the clock and all parts; the answers."""

    def finish(self) -> bool:
        """Stop all in good order, with nothing left in between; whether every reading was handed over."""
