"""A run on real processes: broker, proxy, head-end, fleet, and the commands of people. See `plant.Plant`.

Owns which part runs, and who starts it again. Every process is ours and is killed by its own id; leaving the
context ends all of them, whatever happened.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from pysqlite3 import dbapi2 as sqlite

from meter_sim.fleet import FleetPlan
from meter_sim.lab.controls import Controls
from meter_sim.lab.faults.bulk_cut import BulkCut
from meter_sim.lab.gauges import Gauges
from meter_sim.lab.installation import HOST, Installation
from meter_sim.lab.operators import PATIENCE_S, Operators
from meter_sim.lab.plant import ClockShift, DiskState, Link, Part, Payment, Sample
from meter_sim.lab.process_parts import Parts
from meter_sim.lab.processes import LabError, wait_until
from meter_sim.lab.proxy.control import ProxyControl
from meter_sim.lab.run_clock import RunClock
from meter_sim.lab.run_folder import RunFolder, read_only
from meter_sim.lab.scenario import MICROS_PER_PAISA, Scenario
from meter_sim.lab.stranger import Stranger
from meter_sim.lab.toxics import TOXICS, AppliedToxic
from meter_sim.lab.unsynced import power_cut_file

Answer = Mapping[str, Any]

ACCEPTED: Final = ("RECORDED", "EXISTS")
DRAIN_TIMEOUT_S: Final = 30.0
STOPS_IN_S: Final = 0.15
"""Until its clock stops the head-end has so many wall seconds to learn that: it must not go back."""

TICK_S: Final = 0.02
KILL_AFTER_S: Final = 0.004
"""Where payments are taken dies at most so long after a request: before, in or after its commit."""

_KIND: Final = {model: kind for kind, model in TOXICS.items()}


class ProcessPlant:
    """See `plant.Plant`. Use as a context manager; the folder exists and is empty."""

    wall_patience_s = 60.0

    def __init__(
        self,
        scenario: Scenario,
        plan: FleetPlan,
        folder: RunFolder,
        *,
        broker: str = "amqtt",
        speed: float | None = None,
    ) -> None:
        """`broker`: amqtt or mosquitto. `speed`: instead of the scenario's.

        Raises:
            LabError: the broker is not installed, or no port is free.
        """
        self._plan = plan
        self._folder = folder
        self._clock = RunClock(scenario.clock, speed)
        self._site = site = Installation(scenario.rules, plan, folder, broker, self._clock)
        self._controls = Controls(site.disk_control, site.fleet_control)
        self._gauges = Gauges(folder, plan.interval_s, site.fleet_progress, self._clock)
        self._stranger = Stranger(HOST, site.broker_port)
        self._links = ProxyControl(HOST, site.control_port)
        self._counter = site.line_command("recharge", "--batch", "-")
        self._parts = Parts(site, self._counter, lambda: self._controls.disk_is_bad)
        lists = [
            fault.reason for fault in scenario.timeline for _ in range(fault.times) if isinstance(fault, BulkCut)
        ]
        self._operators = Operators(site, self._gauges, gives_orders=scenario.workload.orders > 0, lists=lists)
        self._chance = Random(f"processes {plan.seed}")
        self._accepted: set[str] = set()
        self._mended_at_s = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._operators.kill()
        finally:
            self._parts.close()
            self._stranger.close()
            self._controls.close()

    # --- what it is made of --------------------------------------------------------------------------------

    @property
    def now_s(self) -> int:
        """See `Plant`."""
        return self._clock.now_s

    @property
    def gateways(self) -> Sequence[str]:
        """See `Plant`."""
        return [self._plan.address(index).gateway for index in range(self._plan.gateways)]

    @property
    def meters(self) -> Sequence[str]:
        """See `Plant`."""
        return [self._plan.meter_id(number) for number in range(1, self._plan.meters + 1)]

    @property
    def region(self) -> str:
        """See `Plant`."""
        return self._plan.region

    # --- the run -------------------------------------------------------------------------------------------

    def set_up(self, payments: Sequence[Payment]) -> list[Answer]:
        """See `Plant`. The first recharges go in by one file, while nothing is up yet."""
        self._parts.start_broker()
        self._site.import_meters()
        answers = self._record(payments)
        self._parts.wait_for_broker()
        self._clock.start()
        self._operators.open()
        self._parts.start_others()
        return answers

    def _record(self, payments: Sequence[Payment]) -> list[Answer]:
        if not payments:
            return []
        content = "".join(_line(payment) + "\n" for payment in payments)
        done = self._site.run_headend("recharge", "--batch", "-", content=content)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(payments):
            raise LabError(f"headend recharge --batch ended with status {done.returncode}: {done.stderr.strip()}")
        self._accepted.update(answer["reference"] for answer in answers if answer["outcome"] in ACCEPTED)
        return answers

    def finish(self) -> bool:
        """See `Plant`.

        All clocks stop, and the fleet is started once more: it takes no new reading and hands over what it has.
        Only then its newest readings and the head-end's can be compared one by one, and what is judged is the run
        and not the time that its end takes.
        """
        self._parts.end_fleet()
        end_s = self._clock.ahead_s(STOPS_IN_S)
        self._controls.stop_clock(end_s)
        self._clock.stop(end_s)
        self._counter.close()
        self._operators.close()
        self._parts.start_fleet()
        try:
            wait_until(self._nothing_is_left, DRAIN_TIMEOUT_S, "the fleet hands over its last readings")
            drained = True
        except LabError:
            self._parts.children.check()
            drained = False
        self._parts.stop()
        return drained

    def _nothing_is_left(self) -> bool:
        self._tend()
        return self._gauges.nothing_is_left()

    # --- parts ---------------------------------------------------------------------------------------------

    def is_up(self, part: Part) -> bool:
        """See `Plant`."""
        return self._parts.is_up(part)

    def kill(self, part: Part) -> None:
        """See `Plant`."""
        self._parts.kill(part)

    def start(self, part: Part) -> None:
        """See `Plant`."""
        self._parts.start(part)
        self._mended_at_s = self.now_s
        if part is Part.COUNTER and self.is_up(part):
            self._operators.open()

    def pause(self, part: Part) -> None:
        """See `Plant`."""
        self._parts.pace.pause(part)

    def resume(self, part: Part) -> None:
        """See `Plant`."""
        self._parts.pace.resume(part)
        self._mended_at_s = self.now_s

    def slow(self, name: str, part: Part, share: float) -> None:
        """See `Plant`."""
        self._parts.pace.slow(name, part, share)

    def _tend(self) -> None:
        self._parts.tend()
        self._controls.tell(self.now_s)

    # --- links ---------------------------------------------------------------------------------------------

    def add_toxic(self, link: Link, applied: AppliedToxic) -> None:
        """See `Plant`."""
        self._links.add_toxic(
            link,
            _KIND[type(applied.toxic)],
            applied.stream,
            name=applied.name,
            toxicity=applied.toxicity,
            seed=applied.seed,
            gateways=applied.gateways,
            **applied.toxic.model_dump(),
        )

    def remove_toxic(self, link: Link, name: str) -> None:
        """See `Plant`."""
        self._links.remove_toxic(link, name)
        self._mended_at_s = self.now_s

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Plant`."""
        self._stranger.publish(topic, payload)

    # --- store ---------------------------------------------------------------------------------------------

    def set_disk(self, name: str, state: DiskState | None) -> None:
        """See `Plant`."""
        self._controls.set_disk(name, state, self.now_s)

    def cut_power(self, chance: Random) -> None:
        """See `Plant`."""
        self._parts.kill_counter()
        self._operators.kill()
        if self.is_up(Part.HEADEND):
            self.kill(Part.HEADEND)
        with suppress(FileNotFoundError):  # it never wrote anything
            power_cut_file(self._site.disk_journal, chance, self._folder.store)

    def back_up(self) -> bool:
        """See `Plant`."""
        try:
            with (
                closing(read_only(self._folder.store)) as source,
                closing(sqlite.connect(str(self._backup))) as target,
            ):
                source.backup(target)
        except sqlite.Error:
            return False
        shutil.copy(self._site.keys, self._backup_keys)
        return True

    def restore(self) -> None:
        """See `Plant`."""
        self.kill(Part.COUNTER)
        self.kill(Part.HEADEND)
        self._parts.kill_counter()
        self._operators.kill()
        store = self._folder.store
        for suffix in ("-wal", "-shm", "-journal"):
            store.with_name(store.name + suffix).unlink(missing_ok=True)
        self._site.disk_journal.unlink(missing_ok=True)
        shutil.copy(self._backup, store)
        shutil.copy(self._backup_keys, self._site.keys)
        self.start(Part.HEADEND)
        self.start(Part.COUNTER)

    @property
    def _backup(self) -> Path:
        return self._folder.path / "backup.db"

    @property
    def _backup_keys(self) -> Path:
        return self._folder.path / "backup.db.keys"

    # --- clocks --------------------------------------------------------------------------------------------

    def shift_clock(self, name: str, part: Part, shift: ClockShift | None) -> None:
        """See `Plant`."""
        self._controls.shift_clock(name, part, shift, self.now_s)

    # --- people --------------------------------------------------------------------------------------------

    def recharge(self, payment: Payment) -> Answer | None:
        """See `Plant`."""
        kill_after_s = None
        if not self.is_up(Part.COUNTER):
            if not self._parts.take_doom():
                return None
            kill_after_s = self._chance.uniform(0, KILL_AFTER_S)
        patience_s = 0.0 if self._parts.pace.is_paused(Part.COUNTER) else PATIENCE_S
        answer = self._counter.ask(_line(payment), patience_s, kill_after_s=kill_after_s)
        if answer is not None and answer["outcome"] in ACCEPTED:
            self._accepted.add(payment.reference)
        return answer

    def enquire(self, meter: str) -> Answer | None:
        """See `Plant`."""
        return self._operators.enquire(meter) if self.is_up(Part.COUNTER) else None

    def order_relay(self, meter: str, position: str, reason: str) -> Answer | None:
        """See `Plant`."""
        return self._operators.order_relay(meter, position, reason)

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`."""
        return self._operators.order_cut(meters, actor, reason)

    def attend(self) -> list[str]:
        """See `Plant`."""
        return self._operators.attend()

    # --- time ----------------------------------------------------------------------------------------------

    def advance(self, until_s: int) -> None:
        """See `Plant`."""
        while True:
            self._tend()
            left_s = self._clock.wait_s(until_s)
            if left_s == 0.0:
                return
            time.sleep(min(left_s, TICK_S))

    def look(self, stage: str) -> Sample:
        """See `Plant`."""
        headend = self._parts.children.get(Part.HEADEND)
        pid = None if headend is None else headend.pid
        is_up = headend is not None and not self._parts.pace.is_paused(Part.HEADEND)
        served = self._plan.meters if self.is_up(Part.COUNTER) else 0
        return self._gauges.look(stage, len(self._accepted), served, pid, headend_up=is_up)

    def has_converged(self) -> bool:
        """See `Plant`."""
        return self.is_up(Part.HEADEND) and self._gauges.has_converged(self._plan.gateways, self._mended_at_s)


def _line(payment: Payment) -> str:
    """A request as `headend recharge --batch` reads it."""
    paise = payment.amount_micros // MICROS_PER_PAISA
    return f"{payment.meter},{paise // 100}.{paise % 100:02},{payment.reference}"
