"""Between the wire contract and the services' own types, in both directions. No transport."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeVar

from headend.domain.delivery import DeliveryKind
from headend.domain.policy import Policy
from headend.domain.reconcile import MeterView
from headend.service.traffic import (
    Arrival,
    CommandOut,
    CreditAnswer,
    GatewayId,
    HelloFrame,
    HelloWanted,
    Message,
    Outgoing,
    PolicyAnswer,
    ReadingFrame,
    ReceiptOut,
    RelayAnswer,
    ResultFrame,
    StatusChanged,
    Unreadable,
    Verdict,
)
from headend.wire.codec import decode, encode
from headend.wire.errors import ErrorCode, RowCode, WireError
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.limits import MAX_PAYLOAD_BYTES, MAX_ROWS
from headend.wire.messages import (
    Command,
    Commands,
    CreditCommand,
    CreditResult,
    Hello,
    Outcome,
    PolicyCommand,
    PolicyDocument,
    PolicyResult,
    ReadingKind,
    Readings,
    Receipt,
    ReceiptOutcome,
    Receipts,
    RefusedRow,
    RelayCommand,
    RelayPosition,
    Request,
    Results,
    Status,
    Unknown,
)
from headend.wire.signing import digest
from headend.wire.topics import Address, Channel, parse_topic

_T = TypeVar("_T")
_O = TypeVar("_O", ReceiptOut, CommandOut, HelloWanted)

REFUSED_ROWS_A_RECEIPT: Final = 700
"""A refused row is at most about 80 bytes: so many fit into one message."""

RETRY_AFTER_S: Final = 60
"""What a gateway is told to wait when its frame was not taken now but may be later."""


def arrival(topic: str, payload: bytes, ticket: object) -> Arrival:
    """A message of the wire as the services take it; one that breaks the contract as `Unreadable`."""
    return Arrival(_message(topic, payload), ticket, topic, payload)


def _message(topic: str, payload: bytes) -> Message:
    gateway = None
    try:
        address, channel = parse_topic(topic)
        gateway = GatewayId(address.region, address.gateway)
        match decode(channel, payload):
            case Readings() as readings:
                return ReadingFrame(
                    gateway,
                    readings.frame,
                    readings.kind is ReadingKind.SNAPSHOT,
                    readings.meters,
                    readings.seqs,
                    readings.at_s,
                    readings.registers_wh,
                    readings.relays_open,
                )
            case Hello() as hello:
                return _hello(gateway, hello)
            case Results() as results:
                return _results(gateway, results)
            case Status(online=online):
                return StatusChanged(gateway, online)
        raise WireError(ErrorCode.BAD_TOPIC, f"{topic!r} is for gateways, not for the head-end")
    except WireError as error:
        return Unreadable(gateway, error.frame, topic, payload, error.code, error.detail)


def _hello(gateway: GatewayId, hello: Hello) -> HelloFrame:
    return HelloFrame(
        gateway,
        hello.frame,
        [
            (
                meter.meter,
                MeterView(
                    hello.sent_at_s,
                    meter.register_wh,
                    meter.reading_seq,
                    meter.credit_seq,
                    meter.credit_total_micros,
                    meter.relay_version,
                    meter.policy_version,
                ),
            )
            for meter in hello.meters
        ],
    )


def _results(gateway: GatewayId, results: Results) -> ResultFrame:
    credits: list[CreditAnswer] = []
    relays: list[RelayAnswer] = []
    policies: list[PolicyAnswer] = []
    unknown = 0
    for result in results.results:
        if isinstance(result, Unknown):
            unknown += 1
            continue
        refusal = None
        if result.outcome is Outcome.REJECTED:
            refusal = str(result.code or "REJECTED")
        if isinstance(result, CreditResult):
            credits.append(
                CreditAnswer(result.meter, result.seq, result.credit_total_micros, result.at_s, refusal)
            )
        elif isinstance(result, PolicyResult):
            policies.append(PolicyAnswer(result.meter, result.version, result.at_s, refusal))
        else:
            relays.append(RelayAnswer(result.meter, result.version, result.at_s, refusal))
    return ResultFrame(gateway, credits, relays, policies, unknown)


def publications(
    outgoing: Sequence[Outgoing], now_s: int, ring: KeyRing | None = None
) -> Iterator[tuple[str, bytes]]:
    """(topic, payload) of everything that goes down, grouped by gateway, each within the limits.

    Commands are signed with the ring's key of the moment. Without a ring, or before its first key's time, they
    go unsigned: a meter that holds keys refuses them, which is safe.
    """
    key = None if ring is None else ring.signing_key(now_s)
    for gateway, items in _by_gateway(outgoing, ReceiptOut):
        for payload in _within_limits([_receipt(item) for item in items], _receipts(now_s)):
            yield _topic(gateway, Channel.RECEIPTS), payload
    for gateway, orders in _by_gateway(outgoing, CommandOut):
        for policy, commands in _by_policy(orders, key):
            for payload in _within_limits(commands, _commands(now_s, policy)):
                yield _topic(gateway, Channel.COMMANDS), payload
    for gateway, _ in _by_gateway(outgoing, HelloWanted):
        yield _topic(gateway, Channel.REQUESTS), encode(Request(sent_at_s=now_s, want="hello"))


def _receipts(now_s: int) -> Callable[[list[Receipt]], bytes]:
    return lambda receipts: encode(Receipts.model_construct(sent_at_s=now_s, receipts=receipts))


def _commands(now_s: int, policy: Policy | None) -> Callable[[list[Command]], bytes]:
    policies = None if policy is None else [_document(policy)[0]]
    return lambda commands: encode(Commands.model_construct(sent_at_s=now_s, commands=commands, policies=policies))


def _within_limits(items: list[_T], encoded: Callable[[list[_T]], bytes]) -> Iterator[bytes]:
    """The items in as few messages as the limits of rows and bytes allow."""
    if len(items) <= MAX_ROWS:
        payload = encoded(items)
        if len(payload) <= MAX_PAYLOAD_BYTES or len(items) == 1:
            yield payload
            return
    half = len(items) // 2
    yield from _within_limits(items[:half], encoded)
    yield from _within_limits(items[half:], encoded)


def _receipt(item: ReceiptOut) -> Receipt:
    if item.verdict is Verdict.ACCEPTED and not item.refused:
        return Receipt.model_construct(frame=item.frame, outcome=ReceiptOutcome.ACCEPTED, refused=[])
    refused = item.refused[:REFUSED_ROWS_A_RECEIPT]
    return Receipt(
        frame=item.frame,
        outcome=ReceiptOutcome(item.verdict),
        code=None if item.code is None else ErrorCode(item.code),
        detail=None if item.detail is None else item.detail[:200],
        retry_after_s=RETRY_AFTER_S if item.verdict is Verdict.LATER else None,
        refused=[RefusedRow(meter=meter, code=RowCode(code)) for meter, code in refused],
    )


def _by_policy(orders: list[CommandOut], key: MasterKey | None) -> Iterator[tuple[Policy | None, list[Command]]]:
    """The commands of a gateway, signed, apart by the document that goes with them: once in each message."""
    groups: dict[int, tuple[Policy | None, list[Command]]] = {}
    for order in orders:
        command = _command(order)
        _, commands = groups.setdefault(0 if order.policy is None else order.policy.version, (order.policy, []))
        commands.append(command if key is None else key.sign(command))
    yield from groups.values()


@lru_cache(maxsize=16)
def _document(policy: Policy) -> tuple[PolicyDocument, str]:
    """A policy as a document of the contract, and its digest: the same for thousands of gateways."""
    document = PolicyDocument(
        version=policy.version,
        issued_at_s=policy.issued_at_s,
        valid_until_s=policy.valid_until_s,
        clock_tolerance_s=policy.clock_tolerance_s,
        protected=[list(window) for window in policy.protected],
    )
    return document, digest(document)


def _command(item: CommandOut) -> Command:
    if item.kind is DeliveryKind.POLICY:
        assert item.policy is not None
        return PolicyCommand(
            meter=item.meter,
            version=item.seq,
            digest=_document(item.policy)[1],
            issued_at_s=item.issued_at_s,
        )
    if item.kind is DeliveryKind.CREDIT:
        assert item.credit_total_micros is not None
        return CreditCommand(
            meter=item.meter,
            seq=item.seq,
            credit_total_micros=item.credit_total_micros,
            issued_at_s=item.issued_at_s,
        )
    assert item.relay is not None
    return RelayCommand(
        meter=item.meter,
        version=item.seq,
        relay=RelayPosition(item.relay),
        issued_at_s=item.issued_at_s,
        expires_at_s=item.expires_at_s,
    )


def _by_gateway(outgoing: Sequence[Outgoing], kind: type[_O]) -> Iterator[tuple[GatewayId, list[_O]]]:
    items: dict[GatewayId, list[_O]] = {}
    for item in outgoing:
        if isinstance(item, kind):
            items.setdefault(item.gateway, []).append(item)
    yield from items.items()


def _topic(gateway: GatewayId, channel: Channel) -> str:
    return Address(*gateway).topic(channel)
