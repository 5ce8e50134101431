"""What meters say of their counters: in a hello, and in the results of commands.

Both end in the same findings (`domain.reconcile`), carried out by sets. An answer is never taken at less or
more than it says: "applied up to 17" acknowledges 17 and all before it, a refusal is listed for a person.
"""

from collections.abc import Iterable, Sequence

from headend.domain.delivery import DeliveryKind
from headend.domain.reconcile import (
    CreditApplied,
    Exceptional,
    ExceptionKind,
    Finding,
    RelayApplied,
    reconcile,
    reconcile_credit,
)
from headend.service.intake import UNKNOWN_METER, Intake
from headend.service.rows import Lane
from headend.service.traffic import (
    Arrival,
    CreditAnswer,
    HelloFrame,
    ReceiptOut,
    RelayAnswer,
    ResultFrame,
    Verdict,
)

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
            for finding in reconcile(view, ours[key], totals.get(key))
        ],
        intake,
    )
    intake.greeted.add(gateway_key)
    intake.receipts.append(
        ReceiptOut(frame.gateway, frame.frame, Verdict.ACCEPTED, refused=tuple(strangers.items()))
    )


def take_results(arrival: Arrival, frame: ResultFrame, gateway_key: int, intake: Intake) -> None:
    """Move deliveries on by the meters' own answers."""
    answers: list[CreditAnswer | RelayAnswer] = [*frame.credits, *frame.relays]
    keys, strangers = intake.keys_of(gateway_key, [answer.meter for answer in answers])
    if strangers:
        intake.keep_letter(arrival, "ROWS_REFUSED", _named(strangers))
    credits: list[tuple[int, CreditAnswer]] = []
    relays: list[tuple[int, RelayAnswer]] = []
    for meter_key, answer in zip(keys, answers, strict=True):
        if meter_key is None:
            continue
        if isinstance(answer, CreditAnswer):
            credits.append((meter_key, answer))
        else:
            relays.append((meter_key, answer))
    intake.answered += [Lane(gateway_key, DeliveryKind.CREDIT, key) for key, _ in credits]
    intake.answered += [Lane(gateway_key, DeliveryKind.RELAY, key) for key, _ in relays]
    _take_credit_answers(credits, intake)
    _take_relay_answers(relays, intake)


def _take_credit_answers(answers: Sequence[tuple[int, CreditAnswer]], intake: Intake) -> None:
    newest: dict[int, CreditAnswer] = {}
    for meter_key, answer in answers:
        if answer.refusal == UNKNOWN_METER:
            # The gateway's word, not the meter's: the counter in it is nobody's, and the credit goes on waiting.
            _list_as_not_found(meter_key, "a credit", intake)
            continue
        if answer.refusal is not None:
            detail = f"credit refused: {answer.refusal}; the meter stands at number {answer.seq}"
            intake.uow.add_exception(ExceptionKind.CREDIT_REFUSED, meter_key, detail, intake.now_s)
        # The counter is cumulative: of several answers of one meter the furthest says it all.
        if meter_key not in newest or answer.seq >= newest[meter_key].seq:
            newest[meter_key] = answer
    ours = intake.uow.headend_views(newest)
    totals = _our_totals([(key, answer.seq) for key, answer in newest.items()], intake)
    # The meter agrees with our ledger on its counter: whatever was wrong with an earlier answer is over.
    agreed = [
        (key, kind)
        for key, answer in newest.items()
        if answer.refusal is None
        and totals.get(key) == answer.credit_total_micros
        and ours[key].applied_credit_seq <= answer.seq <= ours[key].credit_seq
        for kind in (ExceptionKind.CREDIT_AHEAD, ExceptionKind.CREDIT_TOTAL_DIFFERS)
    ]
    intake.uow.resolve_exceptions(agreed, "headend", "a later answer agrees with the ledger", intake.now_s)
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
    applied, refused = [], []
    for meter_key, answer in answers:
        if answer.version > ours[meter_key].relay_version:
            detail = f"the meter answers relay version {answer.version}, which we never issued"
            intake.uow.add_exception(ExceptionKind.RELAY_AHEAD, meter_key, detail, intake.now_s)
        elif answer.refusal == UNKNOWN_METER:
            _list_as_not_found(meter_key, f"relay version {answer.version}", intake)
        elif answer.refusal is None:
            applied.append((meter_key, answer.version, intake.believed(answer.at_s)))
        else:
            refused.append((meter_key, answer.version, answer.refusal))
    intake.uow.apply_relays(applied)
    intake.uow.reject_relays(refused)


def _list_as_not_found(meter_key: int, what: str, intake: Intake) -> None:
    detail = f"its gateway knows no such meter ({what}); check where the meter hangs"
    intake.uow.add_exception(ExceptionKind.METER_NOT_FOUND, meter_key, detail, intake.now_s)


def _our_totals(counters: Sequence[tuple[int, int]], intake: Intake) -> dict[int, int]:
    """Our cumulative credit totals at the meters' credit numbers; at number 0 the total is 0."""
    totals = intake.uow.credit_totals([counter for counter in counters if counter[1] > 0])
    return {key: 0 for key, seq in counters if seq == 0} | totals


def _act(findings: Iterable[Found], intake: Intake) -> None:
    credits, relays = [], []
    for meter_key, at_s, credit_total_micros, finding in findings:
        match finding:
            case CreditApplied(seq):
                credits.append((meter_key, seq, intake.believed(at_s), credit_total_micros))
            case RelayApplied(version):
                relays.append((meter_key, version, intake.believed(at_s)))
            case Exceptional(kind, detail):
                intake.uow.add_exception(kind, meter_key, detail, intake.now_s)
    intake.uow.apply_credits(credits)
    intake.uow.apply_relays(relays)


def _named(strangers: dict[str, str]) -> str:
    some = ", ".join(f"{meter} ({code})" for meter, code in sorted(strangers.items())[:5])
    return f"{len(strangers)} meters that are not this gateway's: {some}"
