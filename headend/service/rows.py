"""Rows of the store, as the services read and write them. Keys are the store's own integers."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from headend.domain.delivery import DeliveryKind
from headend.domain.ledger import TransferKind
from headend.service.traffic import GatewayId

DEFAULT_LOAD_W: Final = 1_000
"""The sanctioned load of a meter that was entered without one."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A meter as it is entered: where it hangs, and the register and day from which it is billed.

    `category` None: the tariff's default. `load_w` is the sanctioned load. `feeder`: the line that supplies it.
    """

    meter: str
    gateway: GatewayId
    opening_register_wh: int
    installed_day: int
    category: str | None = None
    load_w: int = DEFAULT_LOAD_W
    feeder: str = ""


@dataclass(frozen=True, slots=True)
class MeterRow:
    """Everything that the head-end holds of one meter."""

    meter: str
    region: str
    gateway: str
    installed_day: int
    opening_register_wh: int
    settled_day: int
    settled_register_wh: int
    credit_seq: int
    credit_total_micros: int
    applied_credit_seq: int
    applied_credit_total_micros: int
    relay_version: int
    applied_relay_version: int
    reading_seq: int
    register_wh: int
    read_at_s: int | None
    relay_open: int
    credits_micros: int
    debits_micros: int
    account_key: int
    account_from_day: int
    category: str | None
    load_w: int
    feeder: str
    month_wh: int
    has_terms: int
    policy_version: int
    applied_policy_version: int


@dataclass(frozen=True, slots=True)
class MeterAccount:
    """What recording a recharge needs of a meter."""

    meter_key: int
    account_key: int
    credit_seq: int
    credit_total_micros: int


class NewTransfer(NamedTuple):
    """A transfer before it has its place in the chain."""

    reference: str
    kind: TransferKind
    debit_account: int
    credit_account: int
    amount_micros: int
    accepted_at_s: int
    posted_at_s: int
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One transfer of a consumer's account; for a recharge with its delivery's facts.

    `corrects`: the reference of the transfer that this one takes back.
    """

    transfer_id: int
    reference: str
    kind: str
    corrects: str | None
    amount_micros: int
    is_credit: int
    accepted_at_s: int
    posted_at_s: int
    credit_seq: int | None
    state: str | None
    sent_at_s: int | None
    applied_at_s: int | None


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One delivery with a recharge's four facts: accepted, posted, sent, applied.

    `held_by` is the exception that a person has to resolve before it is sent.
    """

    delivery_id: int
    meter: str
    kind: str
    seq: int
    amount_micros: int | None
    relay: str | None
    reason: str | None
    state: str
    ended_reason: str | None
    reference: str | None
    accepted_at_s: int
    posted_at_s: int | None
    sent_at_s: int | None
    attempts: int
    applied_at_s: int | None
    held_by: str | None


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """The newest open delivery of one lane."""

    meter_key: int
    meter: str
    kind: DeliveryKind
    seq: int
    credit_total_micros: int | None
    relay: str | None
    queued_at_s: int
    expires_at_s: int | None


@dataclass(frozen=True, slots=True)
class OutageRow:
    """One outage of the journal; `ended_at_s` None: it lasts."""

    outage_id: int
    kind: str
    subject: str
    detail: str
    began_at_s: int
    ended_at_s: int | None


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One thing that a person must look at; `resolved_at_s` None: still. `said_`: the meter's own word, if any."""

    kind: str
    meter: str
    detail: str
    first_at_s: int
    last_at_s: int
    count: int
    resolved_at_s: int | None
    resolved_by: str | None
    resolution: str | None
    said_number: int | None = None
    said_total_micros: int | None = None
    said_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """One payload that could not be used, without its bytes."""

    dead_letter_id: int
    topic: str
    payload_bytes: int
    code: str
    detail: str
    first_at_s: int
    last_at_s: int
    count: int


class Lane(NamedTuple):
    """One meter's deliveries of one kind; at most one command of a lane is on its way at a time."""

    gateway_key: int
    kind: DeliveryKind
    meter_key: int
