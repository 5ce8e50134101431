"""YAML as plain data that knows where each of its values stands. Refuses what a scenario has no use for.

Refused: aliases (a small text can stand for a huge one), keys that come twice, tags, and texts that are too large
or too deep. Words are text unless they are numbers: `on` is no boolean, and `10:30` is not 630. Knows nothing of
scenarios.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

MOST_BYTES: Final = 262_144
DEEPEST: Final = 20
QUOTED: Final = 40
"""So much of a value is quoted in a message."""

_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_NULL: Final = "tag:yaml.org,2002:null"
_PLAIN: Final = {"tag:yaml.org,2002:str", _INT, _FLOAT, _NULL}
_DIGITS: Final = 30

Path = tuple[str | int, ...]


class YamlError(ValueError):
    """What is wrong with a text. `place`: `line:column`; empty where it is the whole text."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem


@dataclass(slots=True)
class Placed:
    """Data, and where each value and each key of it stands, by path: `line:column`, both from 1."""

    data: Any
    places: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)


class _Resolver(BaseResolver):
    """What is a number and what is nothing; all else is text."""


_Resolver.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Resolver.add_implicit_resolver(_INT, re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Resolver.add_implicit_resolver(
    _FLOAT, re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)


class _Loader(Reader, Scanner, Parser, Composer, _Resolver):
    """Text to nodes, without aliases and without endless depth."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """A node, if there are not too many around it."""
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise YamlError(_at(event.start_mark), "aliases (*name) are not allowed; write it out")
        self._depth += 1
        if self._depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise YamlError(_at(mark), f"more than {DEEPEST} levels deep")
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_yaml(text: str) -> Placed:
    """Read one document.

    Raises:
        YamlError: it is no YAML, or none that is allowed.
    """
    if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise YamlError("", f"larger than {MOST_BYTES:,} bytes")
    placed = Placed(None)
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(_at(mark) if mark else "", f"no valid YAML: {said}") from None
    except yaml.YAMLError as error:
        raise YamlError("", f"no valid YAML: {' '.join(str(error).split())}") from None
    if root is not None:
        placed.data = _data(root, (), placed)
    return placed


def shown(value: object) -> str:
    """A value as it is quoted in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value) or "an empty text"
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."


def _data(node: Node, path: Path, placed: Placed) -> Any:
    placed.places[path] = _at(node.start_mark)
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, SequenceNode) and node.tag == BaseResolver.DEFAULT_SEQUENCE_TAG:
        return [_data(item, (*path, index), placed) for index, item in enumerate(node.value)]
    if not isinstance(node, MappingNode) or node.tag != BaseResolver.DEFAULT_MAPPING_TAG:
        raise YamlError(_at(node.start_mark), f"tag {node.tag} is not allowed")
    content: dict[str, Any] = {}
    for key_node, value_node in node.value:
        at = _at(key_node.start_mark)
        if not isinstance(key_node, ScalarNode) or key_node.tag not in _PLAIN:
            raise YamlError(at, "a key has to be a word")
        key = str(key_node.value)
        if key in content:
            raise YamlError(at, f"`{key}` comes twice; before in line {placed.keys[*path, key].partition(':')[0]}")
        placed.keys[*path, key] = at
        content[key] = _data(value_node, (*path, key), placed)
    return content


def _scalar(node: ScalarNode) -> Any:
    if node.tag not in _PLAIN:
        raise YamlError(_at(node.start_mark), f"tag {node.tag} is not allowed")
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag in (_INT, _FLOAT):
        try:
            if len(text) > _DIGITS:
                raise ValueError
            number = text.replace("_", "")
            return int(number) if node.tag == _INT else float(number)
        except ValueError:
            raise YamlError(_at(node.start_mark), f"{shown(text)} is no number") from None
    return text


def _at(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"
