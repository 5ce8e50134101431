"""The course of a run: a scenario carried out on a plant, from the first recharge to the last reading.

    set up -> before (the gate) -> faults -> healing (until nothing is left to catch up with) -> end

The same for real processes and for a simulation. What was broken is mended whatever happens. It writes the
journal and the samples; it judges nothing but the gate.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.journal import Journal
from meter_sim.lab.plant import Payment, Plant, Sample
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.workload import Agenda, Wish

LOOKS: Final = 240
"""Looks at a run over its length, for charts."""

ASK_AGAIN_S: Final = 3_600
"""Who got no answer asks again after so long, and then after twice as long, and so on."""

MOST_PATIENCE_S: Final = 86_400
HEALING_STEP_S: Final = 300
"""Between two looks whether nothing is left to catch up with."""

EXCEPTIONS_EVERY_S: Final = 1_800
"""While things are broken, and commits were lost, somebody looks at the exceptions so often."""

GATE_PATIENCE_S: Final = 1_800
GATE_WALL_S: Final = 2.0
GATE, MEND, BREAK, LOOK, WANT = range(5)
"""What comes first of what is due at the same time."""

ACCEPTED: Final = ("RECORDED", "EXISTS")


class View(Protocol):
    """What a run is shown by while it goes on."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def fault(self, name: str, began: bool) -> None:
        """A fault begins or ends."""

    def show(self, sample: Sample) -> None:
        """The present figures."""

    def note(self, text: str) -> None:
        """Something to say."""


class GateError(Exception):
    """The steady state that the scenario demands before its faults is not there; there was no run."""


class Course:
    """One run of a scenario. Use once."""

    def __init__(
        self, scenario: Scenario, seed: int, plant: Plant, folder: RunFolder, view: View, looks: int = LOOKS
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._plant = plant
        self._folder = folder
        self._view = view
        self._looks = looks
        self._start_s = scenario.clock.start_s
        self._end_s = self._start_s + scenario.clock.length
        self._agenda = Agenda()
        self._people = Agenda()
        self._stage = "before"
        self._mends: dict[str, tuple[Fault, Mend]] = {}
        self._unanswered: dict[str, Payment] = {}
        self._patience_s: dict[str, int] = {}
        self._accepted: dict[str, Payment] = {}
        self._converged = False
        self._faults_left = sum(fault.times for fault in scenario.timeline)

    def run(
        self, journal: Journal, first: Sequence[Payment], wishes: Sequence[Wish], register: Callable[[], None]
    ) -> None:
        """Carry it out. `register` writes the meters into the journal.

        Raises:
            GateError: the steady state is not there; nothing was broken.
        """
        self._journal = journal
        with self._folder.samples.open("w", encoding="utf-8") as self._samples:
            try:
                register()
                self._set_up(first)
                self._plan(wishes)
                self._follow_agenda()
                self._heal()
                self._enter("end")
                self._journal.note("end", drained=self._plant.finish())
            finally:
                self.mend_all()

    def mend_all(self) -> None:
        """Take back whatever is still broken."""
        for name in list(self._mends):
            # One that cannot be taken back must not keep the others from it.
            with suppress(Exception):
                self._take_back(name)

    # --- set up --------------------------------------------------------------------------------------------

    def _set_up(self, first: Sequence[Payment]) -> None:
        numbers = [self._ask("recharge", payment) for payment in first]
        answers = self._plant.set_up(first)
        for number, payment, answer in zip(numbers, first, answers, strict=True):
            self._journal.answer(number, answer)
            self._note_answer(payment, answer)

    def _plan(self, wishes: Sequence[Wish]) -> None:
        scenario, start_s = self._scenario, self._start_s
        first_fault_s = start_s + scenario.first_fault_s
        if scenario.timeline:
            self._agenda.add(first_fault_s, GATE, self._pass_gate)
        for index, fault in enumerate(scenario.timeline, start=1):
            for turn, (from_s, to_s) in enumerate(fault.occurrences(), start=1):
                name = f"{index}-{turn}-{fault.fault}"
                self._agenda.add(start_s + from_s, BREAK, partial(self._break, fault, name))
                self._agenda.add(start_s + to_s, MEND if to_s > from_s else BREAK, partial(self._mend, name))
        every_s = max(1, scenario.clock.length // self._looks)
        for at_s in range(start_s + every_s, self._end_s, every_s):
            self._agenda.add(at_s, LOOK, self._look)
        for wish in wishes:
            self._people.add(start_s + wish.at_s, WANT, partial(self._carry_out, wish))
        self._agenda.add(self._end_s, LOOK, self._look)
        self._enter("before")

    def _follow_agenda(self) -> None:
        while (at_s := self._next().next_s()) is not None and at_s <= self._end_s:
            self._plant.advance(at_s)
            entry = self._next().pop()
            assert callable(entry)
            entry()

    def _next(self) -> Agenda:
        """Where the next entry is. Requests may come late, where a slow store answers them; faults do not."""
        due_s, wanted_s = self._agenda.next_s(), self._people.next_s()
        if due_s is None or wanted_s is None:
            return self._agenda if wanted_s is None else self._people
        return self._agenda if due_s <= max(wanted_s, self._plant.now_s) else self._people

    def _pass_gate(self) -> None:
        """Wait a moment for the steady state, then insist on it."""
        wall_s, began_s = time.monotonic(), self._plant.now_s
        while True:
            sample = self._look()
            found = sample.as_json()
            missed = [
                f"{name} is {found[name]:,}, wanted {wanted}"
                for name, wanted in self._scenario.before.items()
                if not wanted.holds(found[name])
            ]
            if not missed:
                break
            waited_s = self._plant.now_s - began_s
            if waited_s > GATE_PATIENCE_S and time.monotonic() - wall_s > min(
                GATE_WALL_S, self._plant.wall_patience_s
            ):
                raise GateError(f"no steady state before the faults: {'; '.join(missed)}")
            self._plant.advance(self._plant.now_s + HEALING_STEP_S)
        self._enter("faults")

    # --- faults --------------------------------------------------------------------------------------------

    def _break(self, fault: Fault, name: str) -> None:
        self._note_fault("began", name, fault)
        chance = Random(f"{self._seed} {fault.seed} {name}")
        self._mends[name] = fault, fault.begin(_Journalled(self._plant, self._journal), name, chance)
        self._view.fault(name, True)

    def _take_back(self, name: str) -> Fault:
        fault, mend = self._mends.pop(name)
        mend()
        self._note_fault("ended", name, fault)
        self._view.fault(name, False)
        return fault

    def _mend(self, name: str) -> None:
        """A fault's time is over: take it back, and go on with what follows from that."""
        if self._take_back(name).loses_commits:
            self._settle()
        self._faults_left -= 1
        if not self._faults_left:
            self._begin_healing()

    def _settle(self) -> None:
        """The store is not what it was: providers submit all by their own books, in an order of their own.

        And from now on somebody looks at the list of exceptions.
        """
        payments = list(self._accepted.values())
        Random(f"settlement {self._seed}").shuffle(payments)
        for payment in payments:
            self._recharge(payment)
        self._look_at_exceptions()

    def _look_at_exceptions(self) -> None:
        if self._stage == "faults":
            self._attend()
            self._agenda.add(self._plant.now_s + EXCEPTIONS_EVERY_S, LOOK, self._look_at_exceptions)

    def _attend(self) -> None:
        for did in self._plant.attend():
            self._journal.note("person", did=did)

    def _note_fault(self, event: str, name: str, fault: Fault) -> None:
        what = fault.model_dump(mode="json", by_alias=True, exclude={"fault"})
        self._journal.note("fault", event=event, name=name, fault=getattr(fault, "fault", ""), what=what)

    # --- people --------------------------------------------------------------------------------------------

    def _carry_out(self, wish: Wish) -> None:
        match wish.what:
            case "recharge":
                # Nobody asks for another amount while the first request has no answer.
                waits = self._unanswered.get(wish.reference)
                if waits is None or waits == wish.payment:
                    self._recharge(wish.payment)
            case "enquiry":
                number = self._journal.request("enquiry", meter=wish.meter, link=self._link())
                self._journal.answer(number, self._plant.enquire(wish.meter))
            case "order":
                position = "close" if wish.number % 2 else "open"
                relay = "closed" if position == "close" else "open"
                number = self._journal.request("relay", meter=wish.meter, relay=relay, link=self._link())
                self._journal.answer(number, self._plant.order_relay(wish.meter, position, "exercise"))

    def _recharge(self, payment: Payment) -> None:
        number = self._ask("recharge", payment)
        answer = self._plant.recharge(payment)
        self._journal.answer(number, answer)
        self._note_answer(payment, answer)

    def _ask(self, kind: str, payment: Payment) -> int:
        return self._journal.request(
            kind,
            meter=payment.meter,
            amount_micros=payment.amount_micros,
            reference=payment.reference,
            link=self._link(),
        )

    def _note_answer(self, payment: Payment, answer: Mapping[str, Any] | None) -> None:
        if answer is not None:
            # Another amount under the same reference may have been asked for meanwhile: that one still waits.
            if self._unanswered.get(payment.reference) == payment:
                del self._unanswered[payment.reference]
            if answer["outcome"] in ACCEPTED:
                self._accepted[payment.reference] = payment
            return
        self._unanswered.setdefault(payment.reference, payment)
        wait_s = self._patience_s.get(payment.reference, ASK_AGAIN_S)
        self._patience_s[payment.reference] = min(2 * wait_s, MOST_PATIENCE_S)
        self._people.add(self._plant.now_s + wait_s, WANT, partial(self._ask_again, payment))

    def _ask_again(self, payment: Payment) -> None:
        if self._unanswered.get(payment.reference) == payment:
            self._recharge(payment)

    def _link(self) -> str:
        return "down" if self._mends else "up"

    # --- looking -------------------------------------------------------------------------------------------

    def _look(self) -> Sample:
        sample = self._plant.look(self._stage)
        self._samples.write(json.dumps(sample.as_json()) + "\n")
        self._samples.flush()
        self._view.show(sample)
        return sample

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._journal.note("stage", stage=stage)
        self._view.stage(stage)

    # --- healing -------------------------------------------------------------------------------------------

    def _begin_healing(self) -> None:
        """The last fault is over: who got no answer asks again, and the run must catch up."""
        self._enter("healing")
        for payment in list(self._unanswered.values()):
            self._recharge(payment)
        self._agenda.add(self._plant.now_s + HEALING_STEP_S, LOOK, self._follow_healing)

    def _follow_healing(self) -> None:
        self._attend()
        if not self._plant.has_converged():
            self._agenda.add(self._plant.now_s + HEALING_STEP_S, LOOK, self._follow_healing)
        else:
            self._note_converged()
            self._look()

    def _heal(self) -> None:
        """The run's time is over: wait until nothing is left, or patience ends."""
        if self._stage != "healing":
            self._begin_healing()
        wall_s, end_s = time.monotonic(), self._plant.now_s + self._scenario.heals_within
        ask_at_s = 0
        while True:
            self._attend()
            if self._plant.has_converged() and not self._unanswered:
                self._note_converged()
                break
            if self._plant.now_s > end_s and time.monotonic() - wall_s > self._plant.wall_patience_s:
                break
            if self._plant.now_s >= ask_at_s:
                ask_at_s = self._plant.now_s + ASK_AGAIN_S
                for payment in list(self._unanswered.values()):
                    self._recharge(payment)
            self._plant.advance(self._plant.now_s + HEALING_STEP_S)
        self._look()

    def _note_converged(self) -> None:
        if not self._converged:
            self._converged = True
            self._journal.note("converged")


class _Journalled:
    """The plant as faults see it: what they order in bulk goes into the journal."""

    def __init__(self, plant: Plant, journal: Journal) -> None:
        self._plant = plant
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plant, name)

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Mapping[str, Any] | None:
        """See `Plant.order_cut`."""
        number = self._journal.request("bulk", meters=list(meters), actor=actor, reason=reason)
        answer = self._plant.order_cut(meters, actor, reason)
        self._journal.answer(number, answer)
        return answer
