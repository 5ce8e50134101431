"""What the judge says of a run: one object, written as JSON, from which reports and exit statuses are made."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    """Of one invariant. NOT_EXERCISED: the run could not show it, and it is not counted as passed."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_EXERCISED = "not exercised"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one invariant, `I1` to `I25`. `evidence`: what shows it, in words; the first few."""

    invariant: str
    title: str
    verdict: Verdict
    detail: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """A threshold that does not hold. `value` None: nobody knows."""

    figure: str
    wanted: str
    value: float | None
    when: str


@dataclass(frozen=True, slots=True)
class Story:
    """One of the homes that fared worst: what happened to it, in order, each with its time (virtual seconds)."""

    meter: str
    summary: str
    events: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A fault as it was: [from, to) in virtual seconds."""

    name: str
    fault: str
    from_s: int
    to_s: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that is said of a run. `figures`: `figures.FINAL`; None: not known. Times in virtual seconds.

    `log_hash`: of everything that passed on the links and was asked, in order; the same seed gives the same.
    """

    scenario: str
    story: str
    mode: str
    rules: str
    seed: int
    meters: int
    zone: str
    start_s: int
    end_s: int
    wall_s: float
    findings: tuple[Finding, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)
    missed: tuple[Missed, ...] = ()
    windows: tuple[Window, ...] = ()
    worst_off: tuple[Story, ...] = ()
    log_hash: str = ""
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """Of the whole run: fail before unknown before pass."""
        found = {finding.verdict for finding in self.findings}
        if Verdict.FAIL in found:
            return Verdict.FAIL
        return Verdict.UNKNOWN if Verdict.UNKNOWN in found or not self.findings else Verdict.PASS

    @property
    def exit_status(self) -> int:
        """0 pass, 1 fail, 2 unknown, 99 a threshold missed, 105 interrupted."""
        if self.interrupted:
            return 105
        if self.verdict is Verdict.FAIL:
            return 1
        if self.verdict is Verdict.UNKNOWN:
            return 2
        return 99 if self.missed else 0

    def as_json(self) -> dict[str, Any]:
        """As it stands in `result.json`."""
        return {"verdict": self.verdict, "exit_status": self.exit_status} | asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Result":
        """The other way round."""
        fields = {name: value for name, value in content.items() if name not in ("verdict", "exit_status")}
        fields["findings"] = tuple(
            Finding(**each | {"verdict": Verdict(each["verdict"]), "evidence": tuple(each["evidence"])})
            for each in fields["findings"]
        )
        fields["missed"] = tuple(Missed(**each) for each in fields["missed"])
        fields["windows"] = tuple(Window(**each) for each in fields["windows"])
        fields["worst_off"] = tuple(
            Story(**each | {"events": tuple((at_s, text) for at_s, text in each["events"])})
            for each in fields["worst_off"]
        )
        return cls(**fields)


def write_result(result: Result, path: Path) -> None:
    """Replace the file in one piece."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result.as_json(), indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read_result(path: Path) -> Result:
    """Read it again."""
    return Result.from_json(json.loads(path.read_text(encoding="utf-8")))
