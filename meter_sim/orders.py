"""Commands carried out on the columns of a fleet: the meter's answer for the wire, the row for its log."""

from headend.wire.errors import RefusalCode
from headend.wire.messages import (
    CreditCommand,
    CreditResult,
    Outcome,
    RelayCommand,
    RelayPosition,
    RelayResult,
)
from meter_sim.fleet import Columns
from meter_sim.frames import position
from meter_sim.log import EventRow
from meter_sim.meter import Answer, apply_credit, apply_relay, register_wh

Result = CreditResult | RelayResult


def carry_out(
    command: CreditCommand | RelayCommand, columns: Columns, row: int, meter_key: int, now_s: int
) -> tuple[Result, EventRow | None]:
    """Let one meter take a command, in the columns; the log's row is None when there is nothing to tell."""
    meter = columns.meter(row)
    demand_wh = columns.demand_wh(row, now_s)
    if isinstance(command, CreditCommand):
        number = command.seq
        answer = apply_credit(meter, command.seq, command.credit_total_micros)
    else:
        number = command.version
        opens = command.relay is RelayPosition.OPEN
        answer = apply_relay(meter, command.version, opens, command.expires_at_s, now_s, demand_wh)
    if answer.changed:
        columns.put(row, answer.meter)
    event = None
    if answer.changed or answer.code is not None:
        event = EventRow(
            at_s=now_s,
            meter_key=meter_key,
            kind="refused" if answer.code is not None else command.kind,
            number=number,
            credit_total_micros=command.credit_total_micros if isinstance(command, CreditCommand) else None,
            relay=command.relay.value if isinstance(command, RelayCommand) else None,
            code=answer.code,
            register_wh=register_wh(answer.meter, demand_wh),
            undrawn_wh=answer.meter.undrawn_wh,
        )
    return _result(command, answer, now_s), event


def refuse_unknown(command: CreditCommand | RelayCommand, now_s: int) -> Result:
    """The gateway's answer for a meter that is not behind it."""
    if isinstance(command, CreditCommand):
        return CreditResult(
            meter=command.meter,
            seq=0,
            credit_total_micros=0,
            outcome=Outcome.REJECTED,
            code=RefusalCode.UNKNOWN_METER,
            at_s=now_s,
        )
    return RelayResult(
        meter=command.meter,
        version=command.version,
        relay=RelayPosition.CLOSED,
        outcome=Outcome.REJECTED,
        code=RefusalCode.UNKNOWN_METER,
        at_s=now_s,
    )


def _result(command: CreditCommand | RelayCommand, answer: Answer, now_s: int) -> Result:
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
    return RelayResult(
        meter=command.meter,
        version=command.version,
        relay=position(answer.meter.relay_open),
        outcome=outcome,
        code=answer.code,
        at_s=now_s,
    )
