"""Whatever is lost, repeated, late or cut off in between: the end is the same, and the audit is always clean."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from unit.service.bench import DAY_S, RUPEE, START_S, TIMEOUT_S, Bench, refused_by_store

from headend.wire.messages import Commands, CreditCommand

# --- readings -----------------------------------------------------------------------------------------------

Reading = tuple[str, int, int, int, bool]
"""meter, number, time, register, whether it is a midnight snapshot"""


def reading_history(meter: str, draws_wh: list[int]) -> list[Reading]:
    """Six readings a day, each sixth one the midnight snapshot."""
    rows, register_wh = [], 0
    for number, draw_wh in enumerate(draws_wh, start=1):
        register_wh += draw_wh
        rows.append((meter, number, START_S + number * DAY_S // 6, register_wh, number % 6 == 0))
    return rows


def send(bench: Bench, rows: list[Reading]) -> None:
    """One frame a kind and gateway, as gateways send them."""
    for gateway, meters in (("G1", {"M1", "M2"}), ("G2", {"M3"})):
        for snapshot in (False, True):
            chosen = [row[:4] for row in rows if row[0] in meters and row[4] is snapshot]
            if chosen:
                bench.readings(*chosen, gateway=gateway, snapshot=snapshot)


def outcome(bench: Bench) -> dict[str, Any]:
    return {
        "registers": {meter: bench.register_of(meter) for meter in ("M1", "M2", "M3")},
        "snapshots": bench.snapshots(),
        "charges": {meter: sorted(bench.charges(meter)) for meter in ("M1", "M2", "M3")},
    }


def new_bench() -> Bench:
    bench = Bench()
    bench.register("M1", "M2")
    bench.register("M3", gateway="G2")
    bench.connect()
    return bench


draws = st.lists(st.integers(0, 500), min_size=1, max_size=20)


@settings(max_examples=60)
@given(st.tuples(draws, draws, draws), st.data())
def test_readings_in_any_order_and_number_end_the_same(
    all_draws: tuple[list[int], ...], data: st.DataObject
) -> None:
    rows = [
        row
        for meter, draws_wh in zip(("M1", "M2", "M3"), all_draws, strict=True)
        for row in reading_history(meter, draws_wh)
    ]
    in_order = new_bench()
    send(in_order, rows)
    in_order.run()

    # Old interval readings may get lost for good; snapshots and the newest reading come at least once.
    newest = {row[0]: row for row in rows}
    lost = data.draw(st.sets(st.sampled_from(rows)))
    kept = [row for row in rows if row[4] or row == newest[row[0]] or row not in lost]
    copies = data.draw(st.permutations(kept + data.draw(st.lists(st.sampled_from(rows), max_size=10))))
    shuffled = new_bench()
    while copies:
        frame = data.draw(st.integers(1, 8))
        send(shuffled, copies[:frame])
        copies = copies[frame:]
        match data.draw(st.sampled_from(["more", "more", "step", "restart", "fail"])):
            case "step":
                shuffled.run()
            case "restart":
                lost_in_flight = [shuffled.link.unsettled[ticket] for ticket in sorted(shuffled.link.unsettled)]
                shuffled.start()
                for topic, payload in lost_in_flight:
                    shuffled.link.deliver(topic, payload)
            case "fail":
                refused_by_store(shuffled)
    shuffled.run()
    assert outcome(shuffled) == outcome(in_order)
    assert shuffled.exceptions() == []
    assert shuffled.violations() == []
    assert shuffled.link.unsettled == {}


# --- deliveries ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meter:
    """A meter that keeps the contract's rules for commands."""

    credit_seq: int = 0
    total_micros: int = 0
    version: int = 0
    relay: str = "closed"
    jumps: tuple[int, ...] = ()
    """The credit numbers that it stood at, in order."""

    def take(self, command: Any, now_s: int) -> tuple["Meter", str | None]:
        """The meter after a command, and the code of its refusal."""
        if isinstance(command, CreditCommand):
            if command.seq <= self.credit_seq:
                return self, None
            if command.credit_total_micros < self.total_micros:
                return self, "TOTAL_WENT_BACK"
            jumps = (*self.jumps, command.seq)
            return replace(
                self, credit_seq=command.seq, total_micros=command.credit_total_micros, jumps=jumps
            ), None
        if command.version < self.version:
            return self, "OLDER_VERSION"
        if command.version == self.version:
            return self, None
        if command.expires_at_s is not None and now_s > command.expires_at_s:
            return self, "EXPIRED"
        return replace(self, version=command.version, relay=str(command.relay)), None


METERS = ("M1", "M2", "M3")
GATEWAY_OF = {"M1": "G1", "M2": "G1", "M3": "G2"}
meters = st.sampled_from(METERS)


class Deliveries(RuleBasedStateMachine):
    """Recharges and orders, with a network that loses, repeats and reorders, and a head-end that is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = new_bench()
        self.meters = dict.fromkeys(METERS, Meter())
        self.down: list[Any] = []
        """Every command ever sent: each may arrive at any time, any number of times."""
        self.up: list[tuple[Any, ...]] = []
        """Every answer ever given, likewise."""
        self.amounts: dict[str, tuple[str, int]] = {}

    def teardown(self) -> None:
        try:
            self._converge()
        finally:
            self.bench.store.close()

    @rule(meter=meters, number=st.integers(1, 12), rupees=st.integers(1, 3))
    def recharge(self, meter: str, number: int, rupees: int) -> None:
        outcome = self.bench.recharge(meter, f"PAY-{number}", rupees).outcome
        known = self.amounts.setdefault(f"PAY-{number}", (meter, rupees))
        assert (outcome == "EXISTS_DIFFERENT") == (known != (meter, rupees))

    @rule(meter=meters, position=st.sampled_from(["open", "closed"]), seconds=st.integers(1, 100))
    def order(self, meter: str, position: str, seconds: int) -> None:
        self.bench.order(meter, position, seconds)

    @rule(seconds=st.sampled_from([0, 1, TIMEOUT_S, 100]))
    def step(self, seconds: float) -> None:
        self.bench.wait(seconds)
        self._collect()

    @precondition(lambda self: self.down)
    @rule(data=st.data())
    def command_arrives(self, data: st.DataObject) -> None:
        self._obey(data.draw(st.sampled_from(self.down)))

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def answer_arrives(self, data: st.DataObject) -> None:
        self._answer(data.draw(st.sampled_from(self.up)))

    @rule(gateway=st.sampled_from(["G1", "G2"]))
    def hello(self, gateway: str) -> None:
        self._hello(gateway)

    @rule(gateway=st.sampled_from(["G1", "G2"]))
    def last_will(self, gateway: str) -> None:
        self.bench.status(False, gateway)

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        if up:
            self.bench.link.connect()
        else:
            self.bench.link.disconnect()

    @rule()
    def kill(self) -> None:
        """What was not taken in yet is lost: answers are not kept by anybody."""
        self.bench.start()

    @rule()
    def store_fails(self) -> None:
        refused_by_store(self.bench)
        self._collect()

    @invariant()
    def audit_is_clean(self) -> None:
        assert self.bench.violations() == []

    @invariant()
    def nothing_is_applied_but_by_the_meter(self) -> None:
        for meter, own in self.meters.items():
            row = self.bench.meter(meter)
            assert row.applied_credit_seq <= own.credit_seq <= row.credit_seq
            assert row.applied_relay_version <= own.version <= row.relay_version

    @invariant()
    def honest_meters_are_nobodys_concern(self) -> None:
        assert self.bench.exceptions() == []
        assert self.bench.dead_letters() == []

    def _collect(self) -> None:
        now_s = self.bench.clock.now_s()
        for _, message in self.bench.take():
            if isinstance(message, Commands):
                for command in message.commands:
                    assert command.issued_at_s <= now_s
                    self.down.append(command)

    def _obey(self, command: Any) -> None:
        now_s = self.bench.clock.now_s()
        own, refusal = self.meters[command.meter].take(command, now_s)
        self.meters[command.meter] = own
        if isinstance(command, CreditCommand):
            self.up.append(("credit", command.meter, own.credit_seq, own.total_micros, refusal, now_s))
        else:
            self.up.append(("relay", command.meter, command.version, None, refusal, now_s))

    def _answer(self, answer: tuple[Any, ...]) -> None:
        kind, meter, number, total_micros, refusal, at_s = answer
        gateway = GATEWAY_OF[meter]
        if kind == "credit":
            self.bench.credit_result(meter, number, total_micros, code=refusal, gateway=gateway, at_s=at_s)
        else:
            self.bench.relay_result(meter, number, code=refusal, gateway=gateway, at_s=at_s)

    def _hello(self, gateway: str) -> None:
        own = [(meter, self.meters[meter]) for meter in METERS if GATEWAY_OF[meter] == gateway]
        self.bench.hello(
            *((meter, 0, state.credit_seq, state.total_micros, state.version) for meter, state in own),
            gateway=gateway,
        )

    def _converge(self) -> None:
        """The link heals: in a few rounds everything is where it belongs."""
        self.bench.store.failing_commits = 0
        self.bench.link.connect()
        for _ in range(6):
            self.bench.wait(TIMEOUT_S)
            for gateway in ("G1", "G2"):
                self._hello(gateway)
            self.bench.run()
            sent = len(self.down)
            self._collect()
            for command in self.down[sent:]:
                answered = len(self.up)
                self._obey(command)
                for answer in self.up[answered:]:
                    self._answer(answer)
        self.bench.run()
        assert self.bench.violations(converged=True) == []
        assert self.bench.exceptions() == []
        for meter, own in self.meters.items():
            paid_micros = sum(rupees * RUPEE for payer, rupees in self.amounts.values() if payer == meter)
            assert own.total_micros == paid_micros, "every rupee once"
            assert list(own.jumps) == sorted(set(own.jumps))


Deliveries.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestDeliveries = Deliveries.TestCase
