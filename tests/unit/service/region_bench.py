"""One utility's store and clock without a server: a test says what comes in, and when days are settled."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from plain_rules import plain_tariff

from headend.adapters.memory import memory_store
from headend.domain.arrears import ArrearsRules
from headend.domain.calendar import day_of, midnight_s
from headend.domain.ledger import Transfer
from headend.domain.reconcile import ExceptionKind
from headend.domain.recovery import RecoveryRules
from headend.service.accounts import Recharge, record_recharge, register_meters
from headend.service.arrears import (
    Planned,
    cancel_plan,
    make_plan,
    take_instalments,
    take_share,
)
from headend.service.journal import HEADEND_SUBJECT, LINK_SUBJECT, OutageKind
from headend.service.ports import UnitOfWork
from headend.service.ports.recovery import PlanRow, RegionRow
from headend.service.recovery import PhaseChange, Recovery
from headend.service.rows import Registration
from headend.service.settle import settle_days
from headend.service.tariffs import ensure_tariff
from headend.service.traffic import GatewayId

ZONE = ZoneInfo("Asia/Kolkata")
DAY = date(2024, 10, 30).toordinal()
START_S = midnight_s(DAY, ZONE)
DAY_S = 86_400
PRICE = 4
RUPEE = 1_000_000
MAX_DAY_WH = 10**9

BY_DAY = ArrearsRules(
    instalments=10, share_bp=None, plan_limit_micros=1_000 * RUPEE, missed_allowed=3, auto_after_outage=True
)
BY_SHARE = ArrearsRules(
    instalments=None, share_bp=2_500, plan_limit_micros=1_000 * RUPEE, missed_allowed=3, auto_after_outage=True
)
RULES = RecoveryRules(min_outage_s=900, region_share_bp=5_000, grace_s=7_200)


class RegionBench:
    """Meters, their money and their regions. `now_s` is the clock; days are counted from the first one."""

    def __init__(self, arrears: ArrearsRules = BY_DAY, regions: tuple[str, ...] = ()) -> None:
        self.store = memory_store()
        self.now_s = START_S
        self.arrears = arrears
        self.regions = regions
        with self.store.transaction() as uow:
            ensure_tariff(plain_tariff(PRICE), uow, self.now_s)
            uow.beat(self.now_s, stopped=False)

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        with self.store.transaction() as uow:
            yield uow

    def query(self, sql: str, *values: object) -> list[Any]:
        return self.store._connection.execute(sql, values).fetchall()  # type: ignore[attr-defined, no-any-return]

    def register(self, *meters: str, region: str = "R1", gateway: str = "G1") -> None:
        with self.write() as uow:
            register_meters([Registration(meter, GatewayId(region, gateway), 0, DAY) for meter in meters], uow)

    def key(self, meter: str, uow: UnitOfWork) -> int:
        ((_, meter_key, _),) = uow.meter_keys([meter])
        return meter_key

    def at(self, day: int, hour: int = 0) -> None:
        """Set the clock to an hour of a day."""
        self.now_s = midnight_s(DAY + day, ZONE) + hour * 3_600

    # money and energy --------------------------------------------------------------------------------------

    def recharge(self, meter: str, reference: str, rupees: int) -> None:
        with self.write() as uow:
            recorded = record_recharge(Recharge(meter, rupees * RUPEE, reference), uow, self.now_s)
            assert recorded.transfer is not None
            take_share(self.key(meter, uow), recorded.transfer, uow, self.now_s)

    def snapshots(self, meter: str, registers_wh: Sequence[int], from_day: int = 0) -> None:
        """The closing registers of days in a row."""
        with self.write() as uow:
            key = self.key(meter, uow)
            uow.add_snapshots([(key, DAY + day, wh) for day, wh in enumerate(registers_wh, start=from_day)])

    def read(self, meter: str, seq: int, register_wh: int) -> None:
        with self.write() as uow:
            assert uow.advance_registers([(self.key(meter, uow), seq, self.now_s, register_wh, 0)])

    def settle(self) -> int:
        """Charge all days that can be, with their instalments; how many instalments."""
        with self.write() as uow:
            outcome = settle_days(MAX_DAY_WH, uow, 0, day_of(self.now_s, ZONE), self.now_s, 10_000)
            return take_instalments(outcome.days, ZONE, uow, self.now_s)

    def use(self, meter: str, rupees: int, day: int = 0) -> None:
        """Draw energy for so many rupees on a day, charged at the midnight after it."""
        before = self.query("SELECT settled_register_wh FROM meter WHERE meter = ?", meter)[0][0]
        self.snapshots(meter, [before + rupees * RUPEE // PRICE], day)
        self.at(day + 1)
        self.settle()

    def balance(self, meter: str) -> int:
        """The posted balance, in rupees."""
        with self.store.view() as uow:
            debtor = uow.debtor(meter)
        assert debtor is not None
        assert debtor.balance_micros % RUPEE == 0
        return debtor.balance_micros // RUPEE

    def code_balance(self, code: str) -> int:
        rows = self.query("SELECT credits_micros - debits_micros FROM account WHERE code = ?", code)
        return int(rows[0][0])

    def transfers(self, kind: str) -> list[Transfer]:
        with self.store.view() as uow:
            return [transfer for transfer in uow.transfers() if transfer.kind == kind]

    def total(self) -> int:
        return int(self.query("SELECT sum(credits_micros) - sum(debits_micros) FROM account")[0][0])

    def violations(self) -> list[tuple[str, str]]:
        """What the audit finds wrong about money."""
        with self.store.view() as uow:
            checks = ("transfers_balance", "balances_fold", "plans_hold", "instalments_within_terms")
            return [violation for check in checks for violation in uow.violations(check)]

    # plans -------------------------------------------------------------------------------------------------

    def plan(self, meter: str, amount_rupees: int | None = None) -> Planned:
        amount = None if amount_rupees is None else amount_rupees * RUPEE
        with self.write() as uow:
            return make_plan(meter, self.arrears, amount, "a clerk", "agreed", ZONE, uow, self.now_s)

    def cancel(self, meter: str) -> Planned:
        with self.write() as uow:
            return cancel_plan(meter, "a clerk", "moved", uow, self.now_s)

    def plans(self, meter: str | None = None) -> list[PlanRow]:
        with self.store.view() as uow:
            return uow.plans(meter, None, 0, 10_000)

    def exceptions(self) -> list[tuple[str, str]]:
        with self.store.view() as uow:
            return [(row.meter, row.kind) for row in uow.exceptions(None, 1_000)]

    def list_meter(self, meter: str, kind: ExceptionKind = ExceptionKind.METER_NOT_FOUND) -> None:
        with self.write() as uow:
            uow.add_exception(kind, self.key(meter, uow), "test", self.now_s)

    def resolve(self, meter: str, kind: ExceptionKind = ExceptionKind.METER_NOT_FOUND) -> None:
        with self.write() as uow:
            assert uow.resolve_exceptions([(self.key(meter, uow), kind)], "a clerk", "looked", self.now_s)

    # outages -----------------------------------------------------------------------------------------------

    def headend_out(self, seconds: int) -> None:
        """The head-end is away until now + seconds, and writes it down at its start."""
        with self.write() as uow:
            uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "test", self.now_s)
            self.now_s += seconds
            uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, self.now_s)

    def link(self, up: bool) -> None:
        with self.write() as uow:
            if up:
                uow.end_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, self.now_s)
            else:
                uow.begin_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, "test", self.now_s)

    def gateway(self, name: str, up: bool, region: str = "R1") -> None:
        with self.write() as uow:
            if up:
                uow.end_outage(OutageKind.GATEWAY, f"{region}/{name}", self.now_s)
            else:
                uow.begin_outage(OutageKind.GATEWAY, f"{region}/{name}", "test", self.now_s)

    def recovery(self) -> Recovery:
        return Recovery(RULES, self.arrears, ZONE, self.regions)

    def follow(self) -> list[PhaseChange]:
        """One look, by a process that remembers nothing: each call is a restart."""
        with self.write() as uow:
            return self.recovery().follow(uow, self.now_s)

    def phases(self) -> list[str]:
        """Look once; the phases that R1 came to."""
        return [str(change.state.phase) for change in self.follow() if change.region == "R1"]

    def region(self, region: str = "R1") -> RegionRow:
        with self.store.view() as uow:
            (row,) = [row for row in uow.recoveries() if row.region == region]
        return row
