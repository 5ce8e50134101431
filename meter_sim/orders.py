"""Commands carried out on the columns of a fleet: the meter's answer for the wire, the row for its log."""

from headend.wire.errors import RefusalCode
from headend.wire.messages import (
    Command,
    CreditCommand,
    CreditResult,
    Outcome,
    PolicyDocument,
    PolicyResult,
    RelayCommand,
    RelayPosition,
    RelayResult,
    Result,
)
from headend.wire.signing import digest
from meter_sim.fleet import Columns
from meter_sim.frames import position
from meter_sim.log_tables import EventRow
from meter_sim.meter import Answer, Meter, apply_credit, apply_policy, apply_relay, register_wh
from meter_sim.policy import Policy

Policies = dict[tuple[int, str], Policy]
"""The documents of one message, by version and digest."""


def policies_of(documents: list[PolicyDocument] | None) -> Policies:
    """The documents that came with commands, each with the digest that its content really has."""
    policies = [Policy.of(document, digest(document)) for document in documents or ()]
    return {(policy.version, policy.digest): policy for policy in policies}


def carry_out(
    command: Command,
    refusal: RefusalCode | None,
    policies: Policies,
    columns: Columns,
    row: int,
    meter_key: int,
    now_s: int,
) -> tuple[Result, EventRow | None]:
    """Let one meter take a command, in the columns; the log's row is None when there is nothing to tell.

    `refusal`: what is wrong with the signature already. The meter judges times by its own clock; the log and the
    result name the true time.
    """
    meter = columns.meter(row)
    demand_wh = columns.demand_wh(row, now_s)
    if refusal is not None:
        answer = Answer(meter, refusal)
    else:
        answer = _answer(command, policies, meter, columns.clock_s(row, now_s), demand_wh)
    if answer.changed:
        columns.put(row, answer.meter)
    event = None
    if answer.changed or answer.code is not None:
        event = EventRow(
            at_s=now_s,
            meter_key=meter_key,
            kind="refused" if answer.code is not None else command.kind,
            number=_number(command),
            credit_total_micros=command.credit_total_micros if isinstance(command, CreditCommand) else None,
            relay=command.relay.value if isinstance(command, RelayCommand) else None,
            policy=answer.meter.policy if command.kind == "policy" and answer.changed else None,
            code=answer.code,
            register_wh=register_wh(answer.meter, demand_wh),
            undrawn_wh=answer.meter.undrawn_wh,
        )
    return _result(command, answer, now_s), event


def refuse_unknown(command: Command, now_s: int) -> Result:
    """The gateway's answer for a meter that is not behind it."""
    return _result(command, Answer(Meter(), RefusalCode.UNKNOWN_METER), now_s)


def _answer(command: Command, policies: Policies, meter: Meter, clock_s: int, demand_wh: int) -> Answer:
    if isinstance(command, CreditCommand):
        return apply_credit(meter, command.seq, command.credit_total_micros)
    if isinstance(command, RelayCommand):
        opens = command.relay is RelayPosition.OPEN
        return apply_relay(
            meter, command.version, opens, command.expires_at_s, clock_s, demand_wh, command.issued_at_s
        )
    policy = policies.get((command.version, command.digest))
    if policy is None:
        return Answer(meter, RefusalCode.BAD_SIGNATURE)
    return apply_policy(meter, policy, command.issued_at_s, clock_s)


def _number(command: Command) -> int:
    return command.seq if isinstance(command, CreditCommand) else command.version


def _result(command: Command, answer: Answer, now_s: int) -> Result:
    outcome = Outcome.APPLIED if answer.code is None else Outcome.REJECTED
    if isinstance(command, CreditCommand):
        return CreditResult(
            meter=command.meter,
            seq=answer.meter.credit_seq,
            credit_total_micros=answer.meter.credit_total_micros,
            outcome=outcome,
            code=answer.code,
            at_s=now_s,
        )
    if isinstance(command, RelayCommand):
        return RelayResult(
            meter=command.meter,
            version=command.version,
            relay=position(answer.meter.relay_open),
            outcome=outcome,
            code=answer.code,
            at_s=now_s,
        )
    return PolicyResult(
        meter=command.meter, version=command.version, outcome=outcome, code=answer.code, at_s=now_s
    )
