"""From the fleet's columns to payloads of the contract, each within its limits of rows and bytes. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from headend.wire.codec import encode
from headend.wire.messages import (
    Hello,
    MeterCounters,
    ReadingKind,
    Readings,
    RelayPosition,
    Result,
    Results,
)
from meter_sim.fleet import Columns
from meter_sim.log_tables import FrameRow

MAX_READING_ROWS: Final = 500
"""Rows of a readings frame. At the contract's longest ids and numbers 500 rows are below 64 KiB."""

MAX_HELLO_ROWS: Final = 250
MAX_RESULT_ROWS: Final = 250
"""Likewise: one row of the longest values is at most 260 bytes."""


def slices(rows: range, most: int) -> Iterator[range]:
    """Rows in consecutive parts of at most `most`."""
    for first in range(rows.start, rows.stop, most):
        yield range(first, min(first + most, rows.stop))


def position(is_open: bool) -> RelayPosition:
    """A relay's position as the contract says it."""
    return RelayPosition.OPEN if is_open else RelayPosition.CLOSED


def encode_readings(row: FrameRow, meters: list[str], sent_at_s: int) -> bytes:
    """A readings frame; `meters` are the ids of its rows. `sent_at_s` alone differs when it is sent again."""
    count = len(meters)
    return encode(
        Readings(
            frame=row.frame,
            sent_at_s=sent_at_s,
            kind=ReadingKind(row.kind),
            meters=meters,
            seqs=[row.seq] * count,
            at_s=[row.at_s] * count,
            registers_wh=row.registers_wh.tolist(),
            relays_open=[meters[i] for i in row.open_rows.tolist()],
        )
    )


def encode_hello(row: FrameRow, first_row: int, meters: list[str], columns: Columns) -> bytes:
    """A hello frame with the counters that the columns hold now; `meters` are the ids of its rows."""
    part = slice(first_row, first_row + len(meters))
    counters = [
        MeterCounters(
            meter=meter,
            reading_seq=row.seq,
            register_wh=register,
            credit_seq=credit_seq,
            credit_total_micros=total,
            relay_version=version,
            relay=position(is_open),
            policy_version=policy_version,
        )
        for meter, register, credit_seq, total, version, is_open, policy_version in zip(
            meters,
            row.registers_wh.tolist(),
            columns.credit_seq[part].tolist(),
            columns.credit_total_micros[part].tolist(),
            columns.relay_version[part].tolist(),
            columns.relay_open[part].tolist(),
            columns.policy_versions(part),
            strict=True,
        )
    ]
    return encode(Hello(frame=row.frame, sent_at_s=row.at_s, meters=counters))


def encode_results(results: Sequence[Result], sent_at_s: int) -> Iterator[bytes]:
    """As many results messages as are needed, in the order given."""
    for first in range(0, len(results), MAX_RESULT_ROWS):
        yield encode(Results(sent_at_s=sent_at_s, results=list(results[first : first + MAX_RESULT_ROWS])))
