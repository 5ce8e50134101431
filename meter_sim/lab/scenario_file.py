"""Scenarios from files: one that is shipped, by its name, or anybody's own YAML; with changes from a command line.

Owns what a mistake in a file is told with: where it stands, which entry it is, what is wrong, what is allowed.
What a scenario may say is `scenario.py`'s business.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from meter_sim.lab.faults import FAULTS
from meter_sim.lab.placed_yaml import MOST_BYTES, Path, Placed, YamlError, read_yaml, shown
from meter_sim.lab.scenario import Fleet, Scenario
from meter_sim.lab.scenario_keys import keys_at

SHIPPED: Final = FilePath(__file__).with_name("scenarios")
MOST_PROBLEMS: Final = 20

_BOUNDS: Final = {
    "greater_than": ("not more than", "gt"),
    "greater_than_equal": ("less than", "ge"),
    "less_than": ("not less than", "lt"),
    "less_than_equal": ("more than", "le"),
}
_KINDS: Final = {
    "model": "a mapping",
    "dict": "a mapping",
    "tuple": "a list",
    "list": "a list",
    "string": "a text (quote it)",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
}


class ScenarioError(ValueError):
    """A scenario that cannot be used; one problem a line, each with its place."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def names() -> list[str]:
    """The scenarios that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def text_of(source: str) -> tuple[str, str]:
    """How a scenario is called in messages, and its YAML."""
    if source in names():
        path, called = SHIPPED / f"{source}.yaml", f"{source}.yaml"
    else:
        path, called = FilePath(source), source
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScenarioError(f"{called}: larger than {MOST_BYTES:,} bytes")
        return called, path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        near = get_close_matches(source, names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"shipped are {', '.join(names())}"
        raise ScenarioError(f"{source}: there is no such file, and no such scenario; {hint}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{called}: byte {error.start} is no UTF-8") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise error if isinstance(error, ScenarioError) else ScenarioError(f"{called}: {reason}") from None


def load(
    source: str, overrides: Sequence[str] = (), meters: int | None = None, speed: float | None = None
) -> Scenario:
    """Read a shipped scenario or a file, change it, check it.

    `overrides`: `fleet.meters=100`, `timeline.0.share=0.5`; the value is YAML. `meters` leaves as many behind each
    gateway as before. `speed` holds for the whole run.

    Raises:
        ScenarioError: with a message for a person.
    """
    called, text = text_of(source)
    try:
        placed = read_yaml(text)
    except YamlError as error:
        raise ScenarioError(f"{called}:{error.place}{': ' if error.place else ' '}{error.problem}") from None
    if not isinstance(placed.data, dict):
        raise ScenarioError(f"{called}: a scenario is a mapping of keys such as `name:`, not {shown(placed.data)}")
    document = _Document(called, placed)
    for override in overrides:
        document.override(override)
    if meters is not None:
        document.scale(meters)
    if speed is not None:
        document.put(("clock", "speed"), speed, "--speed")
        document.put(("clock", "turns"), [], "--speed")
    return document.scenario()


class _Document:
    """A scenario's data, and where each of it comes from."""

    def __init__(self, called: str, placed: Placed) -> None:
        self._called = called
        self._data: dict[str, Any] = placed.data
        self._places = {path: f"{called}:{at}" for path, at in placed.places.items()}
        self._keys = {path: f"{called}:{at}" for path, at in placed.keys.items()}

    def override(self, text: str) -> None:
        """Change one entry, as `--set KEY=VALUE` says."""
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ScenarioError(f"--set {shown(text)}: it has to be KEY=VALUE, such as fleet.meters=100")
        try:
            data = read_yaml(value).data
        except YamlError as error:
            raise ScenarioError(f"--set {key}: {error.problem}") from None
        words = key.replace("[", ".").replace("]", "").split(".")
        self.put(tuple(int(word) if word.isdecimal() else word for word in words), data, f"--set {key}")

    def put(self, path: Path, value: object, origin: str) -> None:
        """Change one entry; mappings on the way to it are made."""
        node: Any = self._data
        for depth, step in enumerate(path):
            here = dotted(path[:depth]) or "a scenario"
            last = depth == len(path) - 1
            if isinstance(node, list):
                if not isinstance(step, int) or step >= len(node):
                    raise ScenarioError(f"{origin}: {here} has {len(node)} entries, counted from 0; not {step!r}")
                if last:
                    node[step] = value
            elif isinstance(node, dict):
                if last:
                    node[step] = value
                elif node.get(step) is None:
                    node[step] = {}
                    self._places[path[: depth + 1]] = self._keys[path[: depth + 1]] = origin
            else:
                raise ScenarioError(f"{origin}: {here} is {shown(node)}, which has nothing in it")
            node = node[step]
        for known in (self._places, self._keys):
            for old in [old for old in known if old[: len(path)] == path]:
                del known[old]
        self._places[path] = self._keys[path] = origin

    def scale(self, meters: int) -> None:
        """Another number of meters, with as many behind a gateway as before."""
        try:
            fleet = Fleet.model_validate(self._data.get("fleet") or {})
        except ValidationError:
            return self.put(("fleet", "meters"), meters, "--meters")  # what is wrong with it is told later
        gateways = min(max(1, round(meters * fleet.gateways / fleet.meters)), max(1, meters))
        self.put(("fleet", "meters"), meters, "--meters")
        return self.put(("fleet", "gateways"), gateways, "--meters")

    def scenario(self) -> Scenario:
        """Check it."""
        try:
            return Scenario.model_validate(self._data, by_alias=True, by_name=False)
        except ValidationError as error:
            problems = [text for _, text in sorted(self._problem(each) for each in error.errors())]
        more = len(problems) - MOST_PROBLEMS
        raise ScenarioError(*problems[:MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else []))

    def _problem(self, error: ErrorDetails) -> tuple[tuple[int, ...], str]:
        """Line and column to sort by, and what is said."""
        path = _cleaned(error["loc"]) + tuple(error.get("ctx", {}).get("path", ()))
        if error["type"].startswith("union_tag"):
            path = (*path, "fault")
        about_key = error["type"] in ("extra_forbidden", "unknown_key")
        place = (self._keys if about_key else self._places).get(path) or self._place_of(path)
        if error["type"] == "missing" or (error["type"] == "union_tag_not_found"):
            path = path[:-1]
            place = self._place_of(path)
        at = place.removeprefix(f"{self._called}:")
        order = tuple(int(number) for number in at.split(":") if number.isdecimal())
        return order, f"{place}: {dotted(path)}{': ' if path else ''}{_said(error, path)}"

    def _place_of(self, path: Path) -> str:
        """Of an entry, or of the nearest one around it that is there."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._places:
                return self._places[path[:length]]
        return self._called


def dotted(path: Path) -> str:
    """An entry's path as people write it: `timeline[2].share`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _cleaned(where: tuple[str | int, ...]) -> Path:
    """Pydantic's location without the name of the fault that it puts in."""
    if len(where) > 2 and where[0] == "timeline" and where[2] in FAULTS:
        return (*where[:2], *where[3:])
    return where


def _said(error: ErrorDetails, path: Path) -> str:
    """What is wrong and what is allowed."""
    kind, context, value = error["type"], error.get("ctx", {}), shown(error["input"])
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        limit = context[bound]
        return f"{value} is {words} {int(limit) if limit == int(limit) else limit:,}"
    match kind:
        case "missing":
            return f"`{error['loc'][-1]}` is missing"
        case "union_tag_not_found":
            return f"`fault` is missing; it is one of {', '.join(sorted(FAULTS))}"
        case "union_tag_invalid":
            return _unknown(str(context["tag"]), sorted(FAULTS), "fault")
        case "extra_forbidden":
            return _unknown(str(path[-1]), keys_at(error["loc"][:-1]), "key")
        case "unknown_key":
            return _unknown(str(path[-1]), context["known"], context["kind"])
        case "literal_error" | "enum":
            return f"{value} is not one of {context['expected']}".replace("'", "")
        case "string_pattern_mismatch":
            return f"{value} does not match {context['pattern']}"
        case "string_too_long" | "too_long":
            return f"longer than {context['max_length']:,}"
        case "string_too_short" | "too_short":
            return f"shorter than {context['min_length']:,}"
    wanted = _KINDS.get(kind.partition("_")[0])
    if wanted is not None:
        return f"{value} is not {wanted}"
    return error["msg"].removeprefix("Value error, ").replace("'", "")


def _unknown(word: str, known: Sequence[str], kind: str) -> str:
    near = get_close_matches(word, known, 1, 0.6)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"`{shown(word)}` is no {kind}; {hint}known are {', '.join(known)}"
