"""What a run did to the head-end, as data: scenario, journal of requests and answers, faults, samples.

Knows the formats of `journal.py` and `samples.jsonl`; judges nothing. Times are virtual seconds UTC.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from meter_sim.lab.result import Window
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.load import Integers

ACCEPTED: Final = ("RECORDED", "EXISTS")
NAIVE: Final = "naive"

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Something that was asked, and its answer; None: there was none, done or not."""

    at_s: int
    link: str
    meter: str
    answer: Answer | None
    answered_at_s: int
    amount_micros: int = 0
    reference: str = ""
    relay: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the answer said that a recharge stands in the ledger."""
        return self.answer is not None and self.answer.get("outcome") in ACCEPTED


@dataclass(frozen=True, slots=True)
class Bulk:
    """Many homes that somebody wanted cut at once, and what the head-end answered; {}: nothing."""

    at_s: int
    meters: tuple[str, ...]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Registration:
    """A meter as it was registered."""

    gateway: str
    category: str
    load_w: int
    feeder: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault as it was, with its fields."""

    window: Window
    what: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The fault's name in scenarios."""
        return self.window.fault


@dataclass(slots=True)
class Course:
    """The run from outside."""

    scenario: Scenario
    seed: int = 0
    mode: str = ""
    rules: str = ""
    start_s: int = 0
    end_s: int = 0
    wall_s: float = 0.0
    recharges: list[Request] = field(default_factory=list)
    enquiries: list[Request] = field(default_factory=list)
    orders: list[Request] = field(default_factory=list)
    bulks: list[Bulk] = field(default_factory=list)
    registered: dict[str, Registration] = field(default_factory=dict)
    faults: list[Broken] = field(default_factory=list)
    persons: list[tuple[int, str]] = field(default_factory=list)
    converged_at_s: int | None = None
    ended: bool = False
    drained: bool = False
    samples: dict[str, Integers] = field(default_factory=dict)
    """By name of figure, and `at_s`."""
    stages: list[str] = field(default_factory=list)
    """Of each sample."""
    lines: bytes = b""
    """The journal as it is."""

    @property
    def naive(self) -> bool:
        """Whether this is the comparison without the protections."""
        return self.rules == NAIVE

    @property
    def healed_at_s(self) -> int | None:
        """When the last fault had ended; None: there was none."""
        return max((fault.window.to_s for fault in self.faults), default=None)


def read_course(folder: RunFolder) -> Course:
    """Read it; a journal that ends in the middle of a line is read up to there."""
    course = Course(Scenario.model_validate_json(folder.scenario.read_bytes()))
    course.start_s = course.end_s = course.scenario.clock.start_s
    course.lines = folder.journal.read_bytes()
    lines = _parsed(course.lines)
    answers = {line["n"]: line for line in lines if line["kind"] == "answer"}
    began: dict[str, dict[str, Any]] = {}
    for line in lines:
        course.end_s = max(course.end_s, line["at_s"])
        if line["kind"] == "fault":
            _note_fault(line, began, course)
        else:
            _note(line, answers.get(line["n"]), course)
    for line in began.values():
        _add_fault(line, course.end_s, course)
    course.faults.sort(key=lambda fault: (fault.window.from_s, fault.window.to_s, fault.window.name))
    if folder.samples.exists():
        samples = _parsed(folder.samples.read_bytes())
        course.stages = [sample["stage"] for sample in samples]
        names = [name for name, value in samples[0].items() if isinstance(value, int)] if samples else []
        course.samples = {name: np.array([sample[name] for sample in samples], np.int64) for name in names}
    return course


def _parsed(content: bytes) -> list[dict[str, Any]]:
    whole = content[: content.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines() if line]


def _note(line: dict[str, Any], answer: dict[str, Any] | None, course: Course) -> None:
    at_s = line["at_s"]
    answered_at_s = at_s if answer is None else answer["at_s"]
    common = (at_s, line.get("link", "up"), line.get("meter", ""), answer, answered_at_s)
    match line["kind"]:
        case "recharge":
            course.recharges.append(Request(*common, line["amount_micros"], line["reference"]))
        case "enquiry":
            course.enquiries.append(Request(*common))
        case "relay":
            course.orders.append(Request(*common, relay=line["relay"]))
        case "bulk":
            counts = {} if answer is None else dict(answer.get("counts", {}))
            course.bulks.append(Bulk(at_s, tuple(line["meters"]), counts))
        case "meter":
            course.registered[line["meter"]] = Registration(
                line.get("gateway", ""), line["category"], line.get("load_w", 1_000), line.get("feeder", "")
            )
        case "run":
            course.seed, course.mode, course.rules = line["seed"], line["mode"], line["rules"]
        case "person":
            course.persons.append((at_s, str(line["did"])))
        case "converged":
            course.converged_at_s = at_s
        case "end":
            course.ended, course.drained = True, bool(line["drained"])
            course.wall_s = float(line.get("wall_s", 0.0))


def _note_fault(line: dict[str, Any], began: dict[str, dict[str, Any]], course: Course) -> None:
    if line["event"] == "began":
        began[line["name"]] = line
    elif line["name"] in began:
        _add_fault(began.pop(line["name"]), line["at_s"], course)


def _add_fault(line: dict[str, Any], to_s: int, course: Course) -> None:
    what = line.get("what") or {}
    window = Window(line["name"], line["fault"], line["at_s"], to_s)
    course.faults.append(Broken(window, what if isinstance(what, dict) else {}))
