"""A head-end with rules of protection on the bench; the test plays meters that draw energy and obey."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from plain_rules import plain_rules
from unit.service.bench import DAY, PRICE, REGION, RUPEE, START_S, ZONE, Bench, registration

from headend.domain.calendar import midnight_s
from headend.domain.case import Origin
from headend.domain.notice import NoticeKind
from headend.domain.protected_hours import Night, ProtectedHours
from headend.domain.protection_rules import ProtectionRules
from headend.domain.recovery import RecoveryRules
from headend.domain.rules import Rules
from headend.domain.spread import SpreadRules
from headend.service.accounts import Recharge, Recorded, register_meters
from headend.service.gate import Decision, Gate, Wish
from headend.service.ports import UnitOfWork
from headend.service.ports.protection import DisconnectionRow
from headend.service.recharges import take_recharge
from headend.service.rows import Registration
from headend.wire.messages import (
    Commands,
    CreditCommand,
    Outcome,
    PolicyCommand,
    PolicyResult,
    RelayCommand,
    RelayPosition,
    RelayResult,
    Results,
)
from headend.wire.topics import Channel

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
NOON_ONLY: Final = ProtectedHours(nights=(Night("outside the hours for cuts", 13 * 60, 10 * 60),))
"""Cuts from 10:00 to 13:00."""

PROTECTION: Final = ProtectionRules(
    disconnect_automatically=True,
    debt_only=True,
    grace_s=6 * HOUR_S,
    hours=NOON_ONLY,
    spread=SpreadRules(spread_s=HOUR_S, expires_after_s=1_500, clock_tolerance_s=300),
)
RECOVERY: Final = RecoveryRules(min_outage_s=1_800, region_share_bp=5_000, grace_s=2 * HOUR_S)


def rules_of(**changes: Any) -> Rules:
    """Small rules: cuts from 10:00 to 13:00, six hours of grace; `changes` are of the protection."""
    return replace(plain_rules(PRICE), protection=replace(PROTECTION, **changes), recovery=RECOVERY)


class ProtectBench(Bench):
    """Meters behind G1 that report every half hour as `live` goes on, and answer what they are told.

    `obeys` False: nothing is answered. The clock begins on `first_day` at 00:00.
    """

    def __init__(self, rules: Rules, *meters: str, first_day: date | None = None, **changes: Any) -> None:
        super().__init__(rules=rules, **{"max_day_wh": 10**10} | changes)
        self.rules = rules
        self.day = DAY if first_day is None else first_day.toordinal()
        self.clock.jump(midnight_s(self.day, ZONE) - START_S)
        self.obeys = True
        self.relays: list[tuple[str, str, int, int, int | None]] = []
        """(meter, position, version, when it was sent, when it expires) of every order that went out."""
        self.policies_sent: list[tuple[str, int]] = []
        self.registers: dict[str, int] = {}
        self.seqs: dict[str, int] = {}
        if meters:
            self.enter(*meters)
            self.connect()

    def enter(self, *meters: str, **details: Any) -> None:
        """Register meters that will report."""
        with self.store.transaction() as uow:
            register_meters([replace(registration(meter, day=self.day), **details) for meter in meters], uow)
        self.store.news = True
        self.registers |= dict.fromkeys(meters, 0)
        self.seqs |= dict.fromkeys(meters, 0)

    # time --------------------------------------------------------------------------------------------------

    def live(self, seconds: float, period_s: int = 1_800) -> None:
        """Let time pass, with readings and snapshots as they fall due, and a look when a home is due."""
        end_s = self.clock.now_s() + seconds
        self.run()
        self.answer()
        while self.clock.now_s() < end_s:
            now_s = self.clock.now_s()
            report_s = now_s + period_s - (now_s - midnight_s(self.day, ZONE)) % period_s
            (look_s,) = self._query("SELECT min(look_at_s) FROM debtor WHERE look_at_s > ?", now_s)[0]
            at_s = min(end_s, report_s, look_s or end_s)
            self.wait(at_s - now_s)
            if at_s == report_s:
                self.report()
                # What came in is swept with the next sign of life.
                self.wait(min(1, end_s - at_s))
            self.answer()

    def until(self, day: int, hour: int, minute: int = 0) -> None:
        """Live until a local time, `day` days after the first."""
        self.live(self.at_s(day, hour, minute) - self.clock.now_s())

    def at_s(self, day: int, hour: int = 0, minute: int = 0) -> int:
        return midnight_s(self.day + day, ZONE) + hour * HOUR_S + minute * 60

    def local(self, at_s: int) -> datetime:
        return datetime.fromtimestamp(at_s, ZONE)

    def report(self) -> None:
        """All meters say where they stand, and answer what came."""
        now_s = self.clock.now_s()
        for snapshot in (True, False) if (now_s - midnight_s(self.day, ZONE)) % DAY_S == 0 else (False,):
            rows = []
            for meter in self.registers:
                self.seqs[meter] += 1
                rows.append((meter, self.seqs[meter], now_s, self.registers[meter]))
            self.readings(*rows, snapshot=snapshot)
        self.run()
        self.answer()

    def answer(self) -> None:
        """Meters carry out what was sent, until nothing more comes."""
        while self.sent:
            results: list[Any] = []
            for command in self._taken():
                applied = {"outcome": Outcome.APPLIED, "at_s": self.clock.now_s()}
                if isinstance(command, CreditCommand):
                    self.credit_result(command.meter, command.seq, command.credit_total_micros)
                elif isinstance(command, PolicyCommand):
                    results.append(PolicyResult(meter=command.meter, version=command.version, **applied))
                else:
                    moved = {"version": command.version, "relay": command.relay}
                    results.append(RelayResult(meter=command.meter, **moved, **applied))
            if results and self.obeys:
                now_s = self.clock.now_s()
                self.up(Channel.RESULTS, Results.model_construct(v=1, sent_at_s=now_s, results=results))
            self.run()

    def _taken(self) -> Iterator[Any]:
        for _, message in self.take():
            for command in message.commands if isinstance(message, Commands) else ():
                if isinstance(command, RelayCommand):
                    sent = (command.version, self.clock.now_s(), command.expires_at_s)
                    self.relays.append((command.meter, str(command.relay), *sent))
                if isinstance(command, PolicyCommand):
                    self.policies_sent.append((command.meter, command.version))
                if self.obeys:
                    yield command

    # money and people --------------------------------------------------------------------------------------

    def draw(self, meter: str, rupees: int) -> None:
        """Use energy for so much; it shows with the next report."""
        self.registers[meter] += rupees * RUPEE // PRICE

    def pay(self, meter: str, rupees: int, reference: str = "") -> Recorded:
        """A recharge with all that belongs to it, in one commit."""
        recharge = Recharge(meter, rupees * RUPEE, reference or f"P{self.clock.now_s()}-{meter}")
        with self.store.transaction() as uow:
            recorded = take_recharge(recharge, self.rules, ZONE, uow, self.clock.now_s())
        self.store.news = True
        return recorded

    @contextmanager
    def command_line(self) -> Iterator[UnitOfWork]:
        """A transaction of a command beside the head-end."""
        with self.store.transaction() as uow:
            yield uow
        self.store.news = True

    def order_open(self, *meters: str, actor: str = "asha", origin: Origin = Origin.ORDER) -> list[Decision]:
        """`headend relay --file`, one chunk."""
        with self.command_line() as uow:
            keys = {meter: key for meter, key, _ in uow.meter_keys(meters)}
            gate = Gate(self.rules, ZONE, uow, self.clock.now_s())
            return gate.decide(uow.cases([keys[meter] for meter in meters]), Wish(actor, origin, "unpaid"))

    def declare(self, from_s: int, to_s: int, region: str | None = None) -> int:
        now_s = self.clock.now_s()
        with self.command_line() as uow:
            number = uow.declare_moratorium(region, from_s, to_s, "Chhath", "asha", now_s)
            # An act, as the command records one: by it the head-end sees that something changed.
            from headend.domain.evidence import Act, ActKind

            subject = f"region/{region}" if region else "regions"
            basis = {"moratorium": number, "from_s": from_s, "to_s": to_s}
            uow.record_act(Act(now_s, "asha", ActKind.MORATORIUM_DECLARED, subject, "Chhath", basis))
        return number

    # what came of it ---------------------------------------------------------------------------------------

    def wishes(self, meter: str | None = None) -> list[DisconnectionRow]:
        """Oldest first."""
        with self.store.view() as uow:
            return uow.disconnections(meter, 10_000)[::-1]

    def states_of_wishes(self) -> list[tuple[str, str]]:
        return [(wish.meter, wish.state) for wish in self.wishes()]

    def acts(self, *kinds: str) -> list[tuple[str, str]]:
        """(kind, subject) of the audit log, of these kinds."""
        with self.store.view() as uow:
            return [(act.kind, act.subject) for act in uow.acts() if act.kind in kinds]

    def refusals(self, meter: str) -> list[str]:
        """What each refusal of a home in the audit log was for."""
        with self.store.view() as uow:
            kinds = [act for act in uow.acts() if act.kind == "CUT_REFUSED" and act.subject == f"meter/{meter}"]
        import json

        return [",".join(json.loads(act.basis)["refused_for"]) for act in kinds]

    def notices(self, meter: str, *kinds: NoticeKind) -> list[tuple[NoticeKind, dict[str, Any]]]:
        with self.store.view() as uow:
            rows = uow.notices(meter, None, 0, 1_000)
        return [(row.notice.kind, dict(row.notice.content)) for row in rows if row.notice.kind in kinds]

    def announced(self, meter: str) -> list[int]:
        return [content["cut_at_s"] for _, content in self.notices(meter, NoticeKind.CUT_ANNOUNCED)]

    def relay_states(self, meter: str) -> list[str]:
        """The states of a meter's relay orders in order, with the reason of an end."""
        return [row.ended_reason or row.state for row in self.queue(meter) if row.kind == "RELAY"]

    def opened(self) -> list[str]:
        """The meters whose relays were ordered open on the wire."""
        return [meter for meter, position, *_ in self.relays if position == RelayPosition.OPEN]


def in_debt(bench: ProtectBench, meters: Sequence[str], rupees: int = 10, day: int = 0) -> None:
    """These homes have used more than they have paid, for longer than the grace: due for a cut at 10:00."""
    for meter in meters:
        bench.draw(meter, rupees)
    bench.until(day, 9, 59)


def hung_on(meter: str, *, feeder: str = "", region: str = REGION, load_w: int = 1_000) -> Registration:
    made = registration(meter)
    return replace(made, feeder=feeder, load_w=load_w, gateway=replace(made.gateway, region=region))
