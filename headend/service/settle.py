"""Settlement: a billing day is charged once, when its closing midnight snapshot is in, in order of days.

A missing snapshot is never guessed: its day and all after it stay open. The consumer's side of a charge is one
transfer to the account `charges`; what each commit gathers there goes on from it to the accounts of the lines
(energy, fixed, duty, rebates, rounding) in the same commit, so that `charges` always stands at zero.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final

from headend.domain.ledger import CHARGES_ACCOUNT, REFUNDS_ACCOUNT, TransferKind, line_transfers
from headend.domain.pricing import DayCharge, Pricer
from headend.domain.reconcile import ExceptionKind
from headend.domain.tariff_book import NoPrice
from headend.domain.tariff_month import place_in_month
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import NewCharge, OpenDay, SettledDay, Terms
from headend.service.rows import NewTransfer
from headend.service.tariffs import TariffBook

SETTLE_LIMIT: Final = 5_000
"""Most open days that one step looks at."""


@dataclass(frozen=True, slots=True)
class SettleOutcome:
    """`days`: (meter_key, day) settled. `resume_after`: the meter key to go on after; None: all were seen."""

    days: list[tuple[int, int]]
    resume_after: int | None


class _Batch:
    """What one commit settles. The transfers' numbers are known beforehand: they follow the ledger's last."""

    def __init__(self, max_day_wh: int, uow: UnitOfWork, now_s: int) -> None:
        self.max_day_wh = max_day_wh
        self.uow = uow
        self.now_s = now_s
        self.book = TariffBook(uow.tariffs())
        self.days: list[tuple[int, int]] = []
        self.charges: list[NewCharge] = []
        self.transfers: list[NewTransfer] = []
        self.meters: list[SettledDay] = []
        self.moved_out: list[tuple[str, int]] = []
        """The reference of each last charge of a consumer who moved out, and the account."""
        self._reference = ""
        self._to_account = uow.account_key(CHARGES_ACCOUNT)
        self._transfer_id = uow.last_transfer_id()

    def charge(
        self, day: OpenDay, terms: Terms, month_wh: int, energy_wh: int, priced: tuple[int, str, DayCharge]
    ) -> None:
        """Charge a day; `priced`: tariff's key, category, lines."""
        tariff_key, category, lines = priced
        total_micros, now_s, transfer_id = lines.total_micros, self.now_s, None
        reference = charge_reference(day)
        if total_micros:
            self._transfer_id = transfer_id = self._transfer_id + 1
            self.transfers.append(
                NewTransfer(
                    reference, TransferKind.CHARGE, terms.account_key, self._to_account, total_micros, now_s, now_s
                )
            )
        self.charges.append(
            NewCharge(
                day.meter_key, day.day, day.revision, tariff_key, category, terms.load_w, month_wh, energy_wh,
                lines, total_micros, transfer_id,
            )
        )  # fmt: skip
        self.days.append((day.meter_key, day.day))
        self._reference = self._reference or reference

    def write(self) -> None:
        """Write it all, and refund those who moved out."""
        if not self.charges:
            return
        uow, now_s = self.uow, self.now_s
        numbers = uow.post_many(self.transfers)
        assert not numbers or numbers[-1] == self._transfer_id, "transfers are numbered without gaps"
        split_lines([charge.lines for charge in self.charges], self._reference, uow, now_s)
        uow.add_charges(self.charges)
        uow.settle(self.days, self.meters, now_s)
        uow.note_tariffs_used({charge.tariff_key for charge in self.charges}, now_s)
        for reference, account_key in self.moved_out:
            _refund(reference, account_key, uow, now_s)


class Settlement:
    """Sweeps over the open days in bounded steps, whenever there is something new to find."""

    def __init__(self, max_day_wh: int) -> None:
        """`max_day_wh`: a home that drew more in a day is not billed but looked at."""
        self._max_day_wh = max_day_wh
        self._settled_until = 0
        self._after: int | None = None
        self._again = True

    def look_again(self) -> None:
        """Snapshots came in, or somebody changed what days are billed by."""
        self._again = True

    def has_work(self) -> bool:
        """Whether a sweep is under way or wanted."""
        return self._again or self._after is not None

    def step(self, uow: UnitOfWork, today: int, now_s: int) -> list[tuple[int, int]]:
        """Settle some of the days before `today` that can be settled now: their (meter_key, day)."""
        if today > self._settled_until:
            self._settled_until = today
            self._again = True
        if self._after is None:
            if not self._again:
                return []
            self._again, self._after = False, 0
        outcome = settle_days(self._max_day_wh, uow, self._after, today, now_s, SETTLE_LIMIT)
        self._after = outcome.resume_after
        return outcome.days


def settle_days(
    max_day_wh: int, uow: UnitOfWork, after_meter_key: int, today: int, now_s: int, limit: int
) -> SettleOutcome:
    """Charge what can be charged of a page of up to `limit` open days before `today`.

    A snapshot that a meter sent ahead of its day waits until the day is over by our own clock. A day over which
    the register went back, or rose by more than `max_day_wh`, is not billed but listed for a person.
    """
    page = uow.open_days(after_meter_key, today, limit)
    if not page:
        return SettleOutcome([], None)
    batch = _Batch(max_day_wh, uow, now_s)
    for _, days in groupby(page, key=itemgetter(0)):
        _settle_meter(list(days), batch)
    batch.write()
    settled = batch.days
    if len(page) < limit:
        return SettleOutcome(settled, None)
    # The last meter may have more days than the page had room for: once more, unless that would be for ever.
    last = page[-1].meter_key
    return SettleOutcome(settled, last - 1 if settled and settled[-1][0] == last else last)


def _settle_meter(days: Sequence[OpenDay], batch: _Batch) -> None:
    """Charge one meter's open days in order, as far as there is no gap."""
    first = days[0]
    changed = batch.uow.terms(first.meter_key) if first.has_terms else []
    own = Terms(0, first.account_key, first.category, first.load_w)
    settled_day, settled_wh, month_wh = first.settled_day, first.settled_register_wh, first.month_wh
    for day in days:
        if day.day != settled_day + 1:
            break
        energy_wh = day.register_wh - settled_wh
        if not 0 <= energy_wh <= batch.max_day_wh:
            _list_for_a_person(day, settled_wh, batch)
            break
        terms = terms_on(day.day, changed, own) if changed else own
        moved_in = changed and terms.account_key != terms_on(day.day - 1, changed, own).account_key
        if moved_in or place_in_month(day.day)[0] == 1:
            month_wh = 0  # a consumer who moves in begins the month's slabs anew
        try:
            tariff_key, pricer = batch.book.pricer(terms, day.day)
        except NoPrice as error:
            detail = f"{date.fromordinal(day.day)} cannot be billed: {error}"
            batch.uow.add_exception(ExceptionKind.NO_PRICE, day.meter_key, detail, batch.now_s)
            break
        if pricer.terms.bands:
            band_wh = _energy_in_bands(day, settled_wh, pricer, batch)
            if band_wh is None:
                break
            lines = pricer.price_bands(day.day, month_wh, band_wh)
        else:
            lines = pricer.price_day(day.day, month_wh, energy_wh)
        batch.charge(day, terms, month_wh, energy_wh, (tariff_key, pricer.terms.name, lines))
        settled_day, settled_wh, month_wh = day.day, day.register_wh, month_wh + energy_wh
        if changed and terms_on(day.day + 1, changed, own).account_key != terms.account_key:
            batch.moved_out.append((charge_reference(day), terms.account_key))
    if settled_day != first.settled_day:
        batch.meters.append(SettledDay(first.meter_key, settled_day, settled_wh, month_wh))


def _energy_in_bands(day: OpenDay, settled_wh: int, pricer: Pricer, batch: _Batch) -> list[int] | None:
    """A day's energy in each time band; None: a register between two is missing, which is never guessed either."""
    found = batch.uow.band_registers(day.meter_key, day.day)
    minutes = [band.from_minute for band in pricer.terms.bands[1:]]
    if not found.keys() >= set(minutes):
        return None
    registers_wh = [settled_wh, *(found[minute] for minute in minutes), day.register_wh]
    band_wh = [later - earlier for earlier, later in pairwise(registers_wh)]
    if min(band_wh) < 0:
        detail = f"{date.fromordinal(day.day)} has {registers_wh} Wh at its time bands: not billed, it stays open"
        batch.uow.add_exception(ExceptionKind.REGISTER_WENT_BACK, day.meter_key, detail, batch.now_s)
        return None
    return band_wh


def terms_on(day: int, changed: Sequence[Terms], own: Terms) -> Terms:
    """The terms in force on a day: of those that changed the newest that has begun, else the meter's own."""
    for terms in reversed(changed):
        if terms.from_day <= day:
            return terms
    return own


def charge_reference(day: OpenDay) -> str:
    """The reference of a day's charge: the same day can be charged once only, unless it is billed anew.

    The day stands before the meter, so that the references of a night lie together in the store's index.
    """
    reference = f"charge/{_date_text(day.day)}/{day.meter}"
    return reference if day.revision == 1 else f"{reference}/{day.revision}"


@lru_cache(maxsize=4096)
def _date_text(day: int) -> str:
    return date.fromordinal(day).isoformat()


def split_lines(bills: Sequence[DayCharge], reference: str, uow: UnitOfWork, now_s: int, sign: int = 1) -> None:
    """Post what bills come to in all from `charges` to the accounts of their lines; back with `sign` -1."""
    transfers = [
        NewTransfer(
            f"split/{line.account}/{reference}", TransferKind.SPLIT, uow.account_key(line.debits),
            uow.account_key(line.credits), line.amount_micros, now_s, now_s,
        )
        for line in line_transfers(bills, sign)
    ]  # fmt: skip
    uow.post(transfers)


def _refund(charge: str, account_key: int, uow: UnitOfWork, now_s: int) -> None:
    """What a consumer who moved out has left is owed to them outside; a debt stays on the account."""
    left_micros = uow.account_balance(account_key)
    if left_micros > 0:
        refunds = uow.account_key(REFUNDS_ACCOUNT)
        kind = TransferKind.REFUND
        uow.post([NewTransfer(f"refund/{charge}", kind, account_key, refunds, left_micros, now_s, now_s)])


def _list_for_a_person(day: OpenDay, settled_register_wh: int, batch: _Batch) -> None:
    went_back = day.register_wh < settled_register_wh
    kind = ExceptionKind.REGISTER_WENT_BACK if went_back else ExceptionKind.IMPLAUSIBLE_JUMP
    detail = (
        f"{date.fromordinal(day.day)} closes at {day.register_wh} Wh after {settled_register_wh} Wh:"
        " not billed, the day stays open"
    )
    batch.uow.add_exception(kind, day.meter_key, detail, batch.now_s)


def day_hash(day: int, uow: UnitOfWork) -> str:
    """SHA-256 over what a day was charged, all meters in order: the same however late or in what order it came."""
    digest = hashlib.sha256()
    for charge in uow.day_charges(day):
        lines = (charge.energy_micros, charge.fixed_micros, charge.duty_micros, charge.rebate_micros)
        fields = (charge.meter, charge.day, charge.category, charge.load_w, charge.energy_wh, *lines)
        digest.update(f"{fields}{charge.rounding_micros}\n".encode())
    return digest.hexdigest()
