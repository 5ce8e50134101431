"""The readings of one commit, as columns over all frames in it.

Nothing is priced here. One statement takes all rows, or none: only when one of them is not newer than the meter's
register, or lower, or more than a step ahead, are they looked at singly, to tell an old or repeated
reading (harmless) from a register that went back (kept, and listed for a person) and from one that jumped (listed,
and kept with its frame among the dead letters only: whoever said it, nothing goes on from there).
"""

from bisect import bisect
from collections import Counter
from datetime import date
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from headend.domain.calendar import closed_day, day_of, minute_of_day
from headend.domain.pace import RegisterState
from headend.domain.reconcile import ExceptionKind
from headend.domain.rollover import rolled_over_wh
from headend.service.devices import note_rollover
from headend.service.intake import CLOCK_TOLERANCE_S, Intake
from headend.service.ports.devices import FormerDevice
from headend.service.ports.lost_numbers import Word
from headend.service.traffic import Arrival, ReadingFrame, ReceiptOut, Verdict

NOT_MIDNIGHT: Final = "NOT_MIDNIGHT"

_ROW_CODES: Final = {ExceptionKind.IMPLAUSIBLE_JUMP: str(ExceptionKind.REGISTER_WENT_BACK)}
"""The contract's codes are a closed list: to a gateway, any register that does not follow from the one before."""

Refused = dict[tuple[str, str], None]
"""(meter, code) of refused rows, each once, in order."""

Row = tuple[int, int, int, int, int]
"""(meter key, seq, at_s, register_wh, relay_open as 0 or 1)"""


class _Taken(NamedTuple):
    """A frame: where its rows begin, those of it that can be used, the others, and as it came."""

    first_row: int
    frame: ReadingFrame
    refused: Refused
    arrival: Arrival


class ReadingBatch:
    """Collects frames with `add`; `write` writes them and adds their receipts to the intake."""

    def __init__(self, intake: Intake, zone: ZoneInfo) -> None:
        self._intake = intake
        self._zone = zone
        self._meter_keys: list[int] = []
        self._seqs: list[int] = []
        self._at_s: list[int] = []
        self._registers_wh: list[int] = []
        # 0 and 1, not False and True: a bool costs SQLite's binding three times as much as all the rest.
        self._relays_open: list[int] = []
        # Which rows are snapshots, and of which days.
        self._snapshot_rows: list[int] = []
        self._snapshot_days: list[int] = []
        # Of devices that were exchanged since: (meter key, day, register), (meter key, day, minute, register)
        self._former_snapshots: list[tuple[int, int, int]] = []
        self._former_bands: list[tuple[int, int, int, int]] = []
        # (row, day, minute) of registers at which a time-of-day band begins
        self._bands: list[tuple[int, int, int]] = []
        self._frames: list[_Taken] = []
        # Rows that no meter can have come to.
        self._jumped: set[int] = set()

    def add(self, arrival: Arrival, frame: ReadingFrame, gateway_key: int) -> None:
        """Take a frame of a known gateway; rows that cannot be used are kept with its bytes."""
        refused: Refused = {}
        known, strangers = self._intake.keys_of(gateway_key, frame.meters)
        keys = known
        if strangers:
            keys = [key for key in known if key is not None]
            if frame.snapshot or self._intake.band_minutes:
                self._add_of_former_devices(frame, strangers, gateway_key)
            refused |= dict.fromkeys(strangers.items())
            frame = _select(frame, [row for row, key in enumerate(known) if key is not None])
        if frame.snapshot:
            midnights = {at_s: closed_day(at_s, self._zone) for at_s in set(frame.at_s)}
            if None in midnights.values():
                rows = [row for row, at_s in enumerate(frame.at_s) if midnights[at_s] is not None]
                others = set(range(len(keys))) - set(rows)
                refused |= dict.fromkeys((frame.meters[row], NOT_MIDNIGHT) for row in sorted(others))
                frame, keys = _select(frame, rows), [keys[row] for row in rows]
            first = len(self._meter_keys)
            self._snapshot_rows += range(first, first + len(keys))
            self._snapshot_days += [midnights[at_s] for at_s in frame.at_s]  # type: ignore[misc]
        elif self._intake.band_minutes:
            self._note_bands(frame)
        if refused:
            codes = ", ".join(sorted({code for _, code in refused}))
            self._intake.keep_letter(arrival, "ROWS_REFUSED", f"{len(refused)} rows not used: {codes}")
        self._frames.append(_Taken(len(self._meter_keys), frame, refused, arrival))
        self._meter_keys += keys  # type: ignore[arg-type]
        self._seqs += frame.seqs
        self._at_s += frame.at_s
        self._registers_wh += frame.registers_wh
        is_open = set(frame.relays_open)
        self._relays_open += [int(meter in is_open) for meter in frame.meters] if is_open else [0] * len(keys)

    def _add_of_former_devices(self, frame: ReadingFrame, strangers: dict[str, str], gateway_key: int) -> None:
        """What exchanged devices sent of billing days before that still counts; the rest stays a stranger's."""
        former = {
            each.device: each
            for each in self._intake.uow.former_devices(list(strangers))
            if each.gateway_key == gateway_key
        }
        unused = set()
        for meter, at_s, register_wh in zip(frame.meters, frame.at_s, frame.registers_wh, strict=True):
            device = former.get(meter)
            if device is not None and not self._add_of_former(device, at_s, register_wh, snapshot=frame.snapshot):
                unused.add(meter)
        for meter in former.keys() - unused:
            del strangers[meter]

    def _add_of_former(self, device: FormerDevice, at_s: int, register_wh: int, *, snapshot: bool) -> bool:
        """Whether a register of an exchanged device counts: read before that, where a day or a band ends."""
        intake = self._intake
        register_wh += device.register_offset_wh
        register_wh -= rolled_over_wh(register_wh, device.final_wh, intake.rollover_wh)
        if at_s > device.exchanged_at_s:
            return False
        if register_wh > device.final_wh:
            detail = f"{register_wh} Wh of {device.device}, which was exchanged at {device.final_wh} Wh"
            intake.uow.add_exception(ExceptionKind.REGISTER_WENT_BACK, device.meter_key, detail, intake.now_s)
            return False
        if snapshot:
            day = closed_day(at_s, self._zone)
            if day is not None:
                self._former_snapshots.append((device.meter_key, day, register_wh))
            return day is not None
        place = self._band_place(at_s)
        if place is not None:
            self._former_bands.append((device.meter_key, *place, register_wh))
        return place is not None

    def _note_bands(self, frame: ReadingFrame) -> None:
        """Note the rows of an interval frame that stand where a time-of-day band begins."""
        places = {at_s: self._band_place(at_s) for at_s in set(frame.at_s)}
        if any(places.values()):
            first = len(self._meter_keys)
            for row, at_s in enumerate(frame.at_s, start=first):
                place = places[at_s]
                if place is not None:
                    self._bands.append((row, *place))

    def _band_place(self, at_s: int) -> tuple[int, int] | None:
        minute = minute_of_day(at_s, self._zone)
        if minute is None or minute not in self._intake.band_minutes:
            return None
        return day_of(at_s, self._zone), minute

    def write(self) -> None:
        """Write all rows in a few statements."""
        intake = self._intake
        self._count_on()
        rows = self._rows()
        step = None if intake.pace is None else intake.pace.step
        if rows:
            all_taken = intake.uow.advance_registers(rows, step)
            if not all_taken and intake.rollover_wh is not None and self._roll_over(intake.rollover_wh):
                rows = self._rows()
                all_taken = intake.uow.advance_registers(rows, step)
            unused = set() if all_taken else self._advance_one_by_one(rows)
            self._keep_segment()
            if self._snapshot_rows:
                self._write_snapshots(unused)
            bands = [
                (self._meter_keys[row], day, minute, self._registers_wh[row])
                for row, day, minute in self._bands
                if row not in unused
            ]
            intake.uow.add_band_registers(bands)
        self._write_former()
        intake.rows += len(rows)
        intake.bands += len(self._bands) + len(self._former_bands)
        intake.snapshots += len(self._snapshot_rows) + len(self._former_snapshots)
        for _, frame, refused, _ in self._frames:
            intake.receipts.append(
                ReceiptOut(frame.gateway, frame.frame, Verdict.ACCEPTED, refused=tuple(refused))
            )

    def _keep_segment(self) -> None:
        """Keep every row as it came, also one that turned out to go back; but for those that jumped."""
        intake, jumped = self._intake, self._jumped
        columns = [self._meter_keys, self._seqs, self._at_s, self._registers_wh]
        if jumped:
            columns = [[value for row, value in enumerate(column) if row not in jumped] for column in columns]
            frames = Counter(bisect(self._frames, row, key=_first_row) - 1 for row in jumped)
            for number, count in frames.items():
                detail = f"{count} rows not used: {ExceptionKind.IMPLAUSIBLE_JUMP}"
                intake.keep_letter(self._frames[number].arrival, "ROWS_REFUSED", detail)
        if columns[0]:
            intake.uow.add_segment(*columns)

    def _rows(self) -> list[Row]:
        columns = (self._meter_keys, self._seqs, self._believed_times(), self._registers_wh, self._relays_open)
        return list(zip(*columns, strict=True))

    def _count_on(self) -> None:
        """Make what devices report the meters' registers, which go on over exchanges and rollovers."""
        offsets = self._intake.directory.offsets
        if offsets:
            for row, meter_key in enumerate(self._meter_keys):
                self._registers_wh[row] += offsets.get(meter_key, 0)

    def _roll_over(self, rollover_wh: int) -> bool:
        """Count registers on that ran over, and older ones back that did not yet; whether there were any."""
        held = self._intake.uow.register_states(set(self._meter_keys))
        rolled: Counter[int] = Counter()
        found = False
        for row, (meter_key, seq) in enumerate(zip(self._meter_keys, self._seqs, strict=True)):
            state = held[meter_key]
            register_wh = self._registers_wh[row] + rolled[meter_key]
            if seq > state.seq:
                more_wh = rolled_over_wh(state.register_wh, register_wh, rollover_wh)
                # A fall that takes more than a meter can have drawn is no rollover.
                if self._reaches(state, seq, register_wh + more_wh):
                    rolled[meter_key] += more_wh
                    register_wh += more_wh
                    held[meter_key] = RegisterState(seq, max(state.register_wh, register_wh), state.since_s)
            else:
                register_wh -= rolled_over_wh(register_wh, state.register_wh, rollover_wh)
            found = found or register_wh != self._registers_wh[row]
            self._registers_wh[row] = register_wh
        for meter_key, energy_wh in rolled.items():
            if energy_wh:
                note_rollover(meter_key, energy_wh, self._intake)
        return found

    def _advance_one_by_one(self, rows: list[Row]) -> set[int]:
        """Take what can be taken where not every row can; returns the rows that are not to be used.

        A newer number with a lower register went back, and so did an older number with a higher one, or the same
        number with another. A newer one beyond what a meter can have come to jumped. All other rows that are not
        taken are old or repeated, and harmless.
        """
        held = self._intake.uow.register_states(set(self._meter_keys))
        taken: list[Row] = []
        unused = set()
        for number, row in enumerate(rows):
            meter_key, seq, at_s, register_wh, _ = row
            state = held[meter_key]
            if (
                (seq > state.seq and register_wh < state.register_wh)
                or (seq < state.seq and register_wh > state.register_wh)
                or (seq == state.seq and register_wh != state.register_wh)
            ):
                detail = f"reading {seq}: {register_wh} Wh; reading {state.seq}: {state.register_wh} Wh"
                self._refuse(number, ExceptionKind.REGISTER_WENT_BACK, detail)
                unused.add(number)
            elif seq > state.seq and not self._reaches(state, seq, register_wh):
                self._refuse_jump(number, row, state)
                unused.add(number)
            elif seq > state.seq:
                held[meter_key] = RegisterState(seq, register_wh, max(state.since_s, at_s))
                taken.append(row)
        all_taken = self._intake.uow.advance_registers(taken)
        assert all_taken, "what is newer, and not lower is always taken"
        return unused

    def _reaches(self, state: RegisterState, seq: int, register_wh: int) -> bool:
        pace = self._intake.pace
        return pace is None or pace.reaches(state, seq, register_wh)

    def _refuse_jump(self, number: int, row: Row, state: RegisterState) -> None:
        """Nothing goes on from a reading that no meter can have come to. A person may say that it was so."""
        _, seq, at_s, register_wh, _ = row
        detail = (
            f"reading {seq}: {register_wh} Wh, which no meter can have come to after reading {state.seq}:"
            f" {state.register_wh} Wh; not used"
        )
        self._jumped.add(number)
        self._refuse(number, ExceptionKind.IMPLAUSIBLE_JUMP, detail, Word(seq, register_wh, at_s))

    def _believed_times(self) -> list[int]:
        """The readings' times as far as they are believed; meters whose clock is far ahead are listed."""
        now_s = self._intake.now_s
        if not self._at_s or max(self._at_s) <= now_s + CLOCK_TOLERANCE_S:
            return self._at_s
        for row, at_s in enumerate(self._at_s):
            if at_s > now_s + CLOCK_TOLERANCE_S:
                detail = f"a reading at {at_s} s came at {now_s} s: the meter's clock is ahead"
                self._intake.uow.add_exception(ExceptionKind.CLOCK_AHEAD, self._meter_keys[row], detail, now_s)
        return [self._intake.believed(at_s) for at_s in self._at_s]

    def _write_snapshots(self, went_back: set[int]) -> None:
        kept = [
            (row, (self._meter_keys[row], day, self._registers_wh[row]))
            for row, day in zip(self._snapshot_rows, self._snapshot_days, strict=True)
            if row not in went_back
        ]
        differing = self._intake.uow.add_snapshots([snapshot for _, snapshot in kept])
        if differing:
            held = {(meter_key, day): held_wh for meter_key, day, held_wh in differing}
            for row, (meter_key, day, register_wh) in kept:
                held_wh = held.get((meter_key, day), register_wh)
                if held_wh != register_wh:
                    detail = f"{date.fromordinal(day)} closed at {held_wh} Wh before, now {register_wh} Wh came"
                    self._refuse(row, ExceptionKind.SNAPSHOT_DIFFERS, detail)

    def _write_former(self) -> None:
        """What counts of devices that were exchanged since."""
        uow = self._intake.uow
        uow.add_band_registers(self._former_bands)
        for meter_key, day, held_wh in uow.add_snapshots(self._former_snapshots):
            detail = f"{date.fromordinal(day)} closed at {held_wh} Wh before; the device before says otherwise"
            uow.add_exception(ExceptionKind.SNAPSHOT_DIFFERS, meter_key, detail, self._intake.now_s)

    def _refuse(self, row: int, kind: ExceptionKind, detail: str, word: Word | None = None) -> None:
        """List the meter for a person, and name the row in the receipt of the frame that it came with."""
        self._intake.uow.add_exception(kind, self._meter_keys[row], detail, self._intake.now_s, word)
        taken = self._frames[bisect(self._frames, row, key=_first_row) - 1]
        taken.refused[taken.frame.meters[row - taken.first_row], _ROW_CODES.get(kind, str(kind))] = None


def _first_row(taken: _Taken) -> int:
    return taken.first_row


def _select(frame: ReadingFrame, rows: list[int]) -> ReadingFrame:
    """The frame with these of its rows only."""
    return ReadingFrame(
        frame.gateway,
        frame.frame,
        frame.snapshot,
        [frame.meters[row] for row in rows],
        [frame.seqs[row] for row in rows],
        [frame.at_s[row] for row in rows],
        [frame.registers_wh[row] for row in rows],
        frame.relays_open,
    )
