"""What meters say of their counters: in a hello, and in the results of commands.

Both end in the same findings (`domain.reconcile`), carried out by sets. An answer is never taken at less or
more than it says: "applied up to 17" acknowledges 17 and all before it, a refusal is listed for a person.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from headend.domain.delivery import DeliveryKind
from headend.domain.pace import RegisterState
from headend.domain.reconcile import (
    CreditApplied,
    Exceptional,
    ExceptionKind,
    Finding,
    HeadendView,
    MeterView,
    PolicyApplied,
    PolicyForgotten,
    RelayApplied,
    reconcile,
    reconcile_credit,
)
from headend.service.intake import UNKNOWN_METER, Intake
from headend.service.notices import notices_of_cuts, notices_of_restored
from headend.service.ports.lost_numbers import Word
from headend.service.rows import Lane
from headend.service.traffic import (
    Arrival,
    CreditAnswer,
    HelloFrame,
    PolicyAnswer,
    ReceiptOut,
    RelayAnswer,
    ResultFrame,
    Verdict,
)

MENDABLE: Final = frozenset({"UNKNOWN_KEY", "BAD_SIGNATURE", "FUTURE_DATED"})
"""Refusals of a command that was good: keys or a clock have to be mended, and then it counts again."""

OLDER_VERSION: Final = "OLDER_VERSION"

EXPECTED: Final = frozenset({"EXPIRED", OLDER_VERSION})
"""Refusals that nobody has to look at."""

_OVER_ONCE_AGREED: Final = (
    ExceptionKind.CREDIT_AHEAD,
    ExceptionKind.CREDIT_TOTAL_DIFFERS,
    ExceptionKind.COMMAND_REJECTED,
)

_AHEAD: Final = {
    DeliveryKind.CREDIT: ExceptionKind.CREDIT_AHEAD,
    DeliveryKind.RELAY: ExceptionKind.RELAY_AHEAD,
    DeliveryKind.POLICY: ExceptionKind.POLICY_AHEAD,
}

_Credit = tuple[int, int, int, int]
_Version = tuple[int, int, int]

Found = tuple[int, int, int, Finding]
"""(meter key, the meter's time, the meter's credit total in micros, finding)"""


def take_hello(arrival: Arrival, frame: HelloFrame, gateway_key: int, intake: Intake) -> None:
    """Compare the counters of a gateway's meters with ours and act on what differs."""
    keys, strangers = intake.keys_of(gateway_key, [meter for meter, _ in frame.meters])
    if strangers:
        intake.keep_letter(arrival, "ROWS_REFUSED", _named(strangers))
    theirs = {key: view for key, (_, view) in zip(keys, frame.meters, strict=True) if key is not None}
    ours = intake.uow.headend_views(theirs)
    totals = _our_totals([(key, view.credit_seq) for key, view in theirs.items()], intake)
    _act(
        [
            (key, view.at_s, view.credit_total_micros, finding)
            for key, view in theirs.items()
            for finding in _findings(view, ours[key], totals.get(key), intake)
        ],
        intake,
    )
    intake.greeted.add(gateway_key)
    intake.receipts.append(
        ReceiptOut(frame.gateway, frame.frame, Verdict.ACCEPTED, refused=tuple(strangers.items()))
    )


def _findings(
    theirs: MeterView, ours: HeadendView, our_total_micros: int | None, intake: Intake
) -> Iterator[Finding]:
    """What the counters say, and whether no meter can have come to them."""
    yield from reconcile(theirs, ours, our_total_micros, intake.rollover_wh)
    held = RegisterState(ours.reading_seq, ours.register_wh, ours.read_at_s)
    if intake.pace is not None and not intake.pace.reaches(held, theirs.reading_seq, theirs.register_wh):
        detail = f"reading {theirs.reading_seq}, {theirs.register_wh} Wh in hello: more than a meter can come to"
        yield Exceptional(ExceptionKind.IMPLAUSIBLE_JUMP, f"{detail} after {held.seq}, {held.register_wh} Wh")


def take_results(arrival: Arrival, frame: ResultFrame, gateway_key: int, intake: Intake) -> None:
    """Move deliveries on by the meters' own answers."""
    answers: list[CreditAnswer | RelayAnswer | PolicyAnswer] = [*frame.credits, *frame.relays, *frame.policies]
    keys, strangers = intake.keys_of(gateway_key, [answer.meter for answer in answers])
    if strangers:
        intake.keep_letter(arrival, "ROWS_REFUSED", _named(strangers))
    credits: list[tuple[int, CreditAnswer]] = []
    relays: list[tuple[int, RelayAnswer]] = []
    policies: list[tuple[int, PolicyAnswer]] = []
    for meter_key, answer in zip(keys, answers, strict=True):
        if meter_key is None:
            continue
        if isinstance(answer, CreditAnswer):
            credits.append((meter_key, answer))
        elif isinstance(answer, RelayAnswer):
            relays.append((meter_key, answer))
        else:
            policies.append((meter_key, answer))
    intake.answered += [Lane(gateway_key, DeliveryKind.CREDIT, key) for key, _ in credits]
    intake.answered += [Lane(gateway_key, DeliveryKind.RELAY, key) for key, _ in relays]
    intake.answered += [Lane(gateway_key, DeliveryKind.POLICY, key) for key, _ in policies]
    _take_credit_answers(credits, intake)
    _take_relay_answers(relays, intake)
    _take_policy_answers(policies, intake)


def _take_credit_answers(answers: Sequence[tuple[int, CreditAnswer]], intake: Intake) -> None:
    newest: dict[int, CreditAnswer] = {}
    for meter_key, answer in answers:
        if answer.refusal == UNKNOWN_METER:
            # The gateway's word, not the meter's: the counter in it is nobody's, and the credit goes on waiting.
            _list_as_not_found(meter_key, "a credit", intake)
            continue
        if answer.refusal in MENDABLE:
            # Not the meter's word on the credit: it goes on waiting, and is sent again.
            _list_refusal(meter_key, f"credit {answer.seq + 1}", answer.refusal, intake)
        elif answer.refusal is not None:
            detail = f"credit refused: {answer.refusal}; the meter stands at number {answer.seq}"
            intake.uow.add_exception(ExceptionKind.CREDIT_REFUSED, meter_key, detail, intake.now_s)
        # The counter is cumulative: of several answers of one meter the furthest says it all.
        if meter_key not in newest or answer.seq >= newest[meter_key].seq:
            newest[meter_key] = answer
    ours = intake.uow.headend_views(newest)
    totals = _our_totals([(key, answer.seq) for key, answer in newest.items()], intake)
    # The meter agrees with our ledger on its counter: whatever was wrong with an earlier answer is over.
    agreed = {
        (key, kind)
        for key, answer in newest.items()
        if answer.refusal is None
        and totals.get(key) == answer.credit_total_micros
        and ours[key].applied_credit_seq <= answer.seq <= ours[key].credit_seq
        for kind in _OVER_ONCE_AGREED
    }
    for key, kind, word in intake.uow.credit_words(newest):
        # An answer of before, or one that leaves the meter ahead, takes nothing back of what it said.
        ahead = kind == ExceptionKind.CREDIT_AHEAD and newest[key].seq >= word.number
        if ahead or intake.believed(newest[key].at_s) <= word.at_s:
            agreed.discard((key, ExceptionKind(kind)))
    note = "a later answer agrees with the ledger"
    intake.uow.resolve_exceptions(sorted(agreed), "headend", note, intake.now_s)
    _act(
        [
            (key, answer.at_s, answer.credit_total_micros, finding)
            for key, answer in newest.items()
            for finding in reconcile_credit(
                answer.at_s, answer.seq, answer.credit_total_micros, ours[key], totals.get(key)
            )
        ],
        intake,
    )


def _take_relay_answers(answers: Sequence[tuple[int, RelayAnswer]], intake: Intake) -> None:
    ours = intake.uow.headend_views({key for key, _ in answers})
    applied, refused, mendable = [], [], []
    given_up: dict[tuple[int, int], RelayAnswer] = {}
    for meter_key, answer in answers:
        # A refusal of what we never issued is no word on where the meter stands: somebody else sent it that.
        if answer.refusal is None and answer.version > ours[meter_key].relay_version:
            detail = f"the meter answers relay version {answer.version}, which we never issued"
            word = Word(answer.version, None, intake.believed(answer.at_s))
            _list_as_ahead(DeliveryKind.RELAY, meter_key, detail, word, intake)
        elif answer.refusal == UNKNOWN_METER:
            _list_as_not_found(meter_key, f"relay version {answer.version}", intake)
        elif answer.refusal is None:
            applied.append((meter_key, answer.version, intake.believed(answer.at_s)))
        elif answer.refusal == OLDER_VERSION and answer.version == ours[meter_key].relay_version:
            # Only the meter's next hello says which version it has. An order to open is given up meanwhile.
            detail = f"the meter has a newer relay version than {answer.version}, the newest issued by us"
            _list_as_ahead(DeliveryKind.RELAY, meter_key, detail, None, intake)
            mendable.append((meter_key, answer.version, answer.refusal))
        else:
            if answer.refusal not in EXPECTED:
                _list_refusal(meter_key, f"relay version {answer.version}", answer.refusal, intake)
                given_up[meter_key, answer.version] = answer
            if answer.refusal not in MENDABLE:
                refused.append((meter_key, answer.version, answer.refusal))
            else:
                mendable.append((meter_key, answer.version, answer.refusal))
    applied = _ours(DeliveryKind.RELAY, applied, intake)
    _tell_of_relays(applied, intake)
    intake.uow.apply_relays(applied)
    _close_after(given_up, intake)
    intake.uow.reject_relays(refused)
    # An order to open is given up; one that gives supply back goes on until it is heard.
    intake.uow.reject_opens(mendable)
    _is_over([meter_key for meter_key, _, _ in applied], intake)


def _close_after(given_up: dict[tuple[int, int], RelayAnswer], intake: Intake) -> None:
    """A refused order to open is ended, but another copy of it may still be carried out, once a key or the time is
    another: an order to close follows, and the newest version wins whichever arrives first."""
    uow = intake.uow
    closed = []
    for order in uow.open_orders(list(given_up)):
        answer = given_up[order.meter_key, order.version]
        reason = f"the meter refused relay version {order.version}: {answer.refusal}"
        uow.issue_relay(answer.meter, "closed", reason, None, intake.now_s)
        closed.append(order.meter_key)
    uow.note_reconnected(closed, intake.now_s)


def _take_policy_answers(answers: Sequence[tuple[int, PolicyAnswer]], intake: Intake) -> None:
    ours = intake.uow.headend_views({key for key, _ in answers})
    applied, refused = [], []
    for meter_key, answer in answers:
        if answer.refusal is None and answer.version > ours[meter_key].policy_version:
            detail = f"the meter answers policy version {answer.version}, which we never issued"
            word = Word(answer.version, None, intake.believed(answer.at_s))
            _list_as_ahead(DeliveryKind.POLICY, meter_key, detail, word, intake)
        elif answer.refusal == UNKNOWN_METER:
            _list_as_not_found(meter_key, f"policy version {answer.version}", intake)
        elif answer.refusal is None:
            applied.append((meter_key, answer.version, intake.believed(answer.at_s)))
        elif answer.refusal == OLDER_VERSION and answer.version == ours[meter_key].policy_version:
            # A newer one, or this one with another content: either way the next must be above it.
            detail = f"the meter has another policy {answer.version} than ours, or a newer one"
            word = Word(answer.version, None, intake.believed(answer.at_s))
            _list_as_ahead(DeliveryKind.POLICY, meter_key, detail, word, intake)
        else:
            if answer.refusal not in EXPECTED:
                _list_refusal(meter_key, f"policy version {answer.version}", answer.refusal, intake)
            if answer.refusal not in MENDABLE:
                refused.append((meter_key, answer.version, answer.refusal))
    applied = _ours(DeliveryKind.POLICY, applied, intake)
    intake.uow.apply_policies(applied)
    intake.uow.reject_policies(refused)
    _is_over([meter_key for meter_key, _, _ in applied], intake)


def _tell_of_relays(applied: Sequence[tuple[int, int, int]], intake: Intake) -> None:
    """Consumers are told once that their supply went or came back: when the meter says so first."""
    moved = intake.uow.relays_moved(applied)
    notices_of_cuts([(key, reason, at_s) for key, position, reason, at_s in moved if position == "open"],
                    intake.uow, intake.now_s)  # fmt: skip
    restored = [(key, at_s) for key, position, _, at_s in moved if position == "closed"]
    notices_of_restored(restored, intake.uow, intake.now_s)


def _is_over(meter_keys: Sequence[int], intake: Intake) -> None:
    """What a meter refused before, it now takes: nobody has to look at that any more."""
    rejected = [(meter_key, ExceptionKind.COMMAND_REJECTED) for meter_key in meter_keys]
    intake.uow.resolve_exceptions(rejected, "headend", "a later command was carried out", intake.now_s)


def _list_refusal(meter_key: int, what: str, refusal: str, intake: Intake) -> None:
    """What a meter refuses of an order that should have been good is for a person to look at."""
    intake.uow.add_exception(
        ExceptionKind.COMMAND_REJECTED, meter_key, f"the meter refused {what}: {refusal}", intake.now_s
    )


def _list_as_not_found(meter_key: int, what: str, intake: Intake) -> None:
    detail = f"its gateway knows no such meter ({what}); check where the meter hangs"
    intake.uow.add_exception(ExceptionKind.METER_NOT_FOUND, meter_key, detail, intake.now_s)


def _our_totals(counters: Sequence[tuple[int, int]], intake: Intake) -> dict[int, int]:
    """Our cumulative credit totals at the meters' credit numbers; at number 0 the total is 0."""
    totals = intake.uow.credit_totals([counter for counter in counters if counter[1] > 0])
    return {key: 0 for key, seq in counters if seq == 0} | totals


def _act(findings: Iterable[Found], intake: Intake) -> None:
    credits, relays, policies, forgotten = [], [], [], []
    for meter_key, at_s, credit_total_micros, finding in findings:
        match finding:
            case CreditApplied(seq):
                credits.append((meter_key, seq, intake.believed(at_s), credit_total_micros))
            case RelayApplied(version):
                relays.append((meter_key, version, intake.believed(at_s)))
            case PolicyForgotten(version):
                forgotten.append((meter_key, version))
            case PolicyApplied(version):
                policies.append((meter_key, version, intake.believed(at_s)))
            case Exceptional(kind, detail, number):
                total_micros = credit_total_micros if kind.startswith(DeliveryKind.CREDIT) else None
                word = None if number is None else Word(number, total_micros, intake.believed(at_s))
                intake.ahead += kind in _AHEAD.values()
                intake.uow.add_exception(kind, meter_key, detail, intake.now_s, word)
    intake.uow.apply_credits(_not_ahead(credits, intake))
    intake.uow.apply_relays(_ours(DeliveryKind.RELAY, relays, intake))
    intake.uow.apply_policies(_ours(DeliveryKind.POLICY, policies, intake))
    intake.uow.forget_policies(forgotten)


def _list_as_ahead(kind: DeliveryKind, meter_key: int, detail: str, word: Word | None, intake: Intake) -> None:
    intake.ahead += 1
    intake.uow.add_exception(_AHEAD[kind], meter_key, detail, intake.now_s, word)


def _not_ahead(credits: list[_Credit], intake: Intake) -> list[_Credit]:
    """Without meters that said that they are ahead: their numbers may mean other recharges than ours do."""
    if not credits:
        return credits
    words = intake.uow.credit_words(key for key, *_ in credits)
    ahead = {key for key, kind, _ in words if kind == ExceptionKind.CREDIT_AHEAD}
    return [row for row in credits if row[0] not in ahead]


def _ours(kind: DeliveryKind, rows: list[_Version], intake: Intake) -> list[_Version]:
    """Without versions that never left this store: what the meter has carried out was another's of that number.

    So does a store that was lost show itself, when an older copy of it has given out the same version anew.
    """
    foreign = intake.uow.never_sent([(meter_key, kind, version) for meter_key, version, _ in rows])
    for meter_key, version, at_s in rows:
        if (meter_key, kind, version) in foreign:
            detail = f"the meter has {kind.lower()} version {version}, which we never sent"
            _list_as_ahead(kind, meter_key, detail, Word(version, None, at_s), intake)
    return [row for row in rows if (row[0], kind, row[1]) not in foreign]


def _named(strangers: dict[str, str]) -> str:
    some = ", ".join(f"{meter} ({code})" for meter, code in sorted(strangers.items())[:5])
    return f"{len(strangers)} meters that are not this gateway's: {some}"
