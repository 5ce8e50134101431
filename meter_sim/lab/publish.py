"""Writes the JSON Schema of scenarios, from the models, for editors and for whoever writes scenarios by machine.

    python -m meter_sim.lab.publish [DIR]            write DIR/schemas/scenario.json (default: docs)
    python -m meter_sim.lab.publish [DIR] --check    write nothing; name it if it is stale and exit 1

The output depends on nothing but the models and the list of figures.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from meter_sim.lab.figures import FINAL, LIVE, Figure
from meter_sim.lab.scenario import Scenario

Json = dict[str, Any]

FILE: Final = Path("schemas") / "scenario.json"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID: Final = "urn:prepaid-headend:lab:scenario"


class _Generator(GenerateJsonSchema):
    """Pydantic's generator without a title on every field: the field's name says as much."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def schema() -> Json:
    """The JSON Schema (2020-12) of a scenario file."""
    document = Scenario.model_json_schema(by_alias=True, schema_generator=_Generator)
    _require_the_fault(document)
    for key, figures in (("before", LIVE), ("after", FINAL)):
        document["properties"][key] = _thresholds(document["properties"][key], figures)
    head = {"$schema": _DIALECT, "$id": _ID, "title": "Scenario of the outage laboratory"}
    return head | {key: value for key, value in document.items() if key not in head}


def _require_the_fault(document: Json) -> None:
    """Which fault it is has to be said; its default is for whoever builds one in Python."""
    del document["properties"]["timeline"]["items"]["discriminator"]
    for model in document["$defs"].values():
        model["description"] = " ".join(model.get("description", "").split())
        kind = model.get("properties", {}).get("fault")
        if kind is not None:
            del kind["default"]
            model["required"] = ["fault", *model["required"]]


def _thresholds(entry: Json, figures: Mapping[str, Figure]) -> Json:
    """Thresholds by the name of a figure, each with what it means."""
    entry["propertyNames"] = {"enum": sorted(figures)}
    entry["properties"] = {
        name: {"$ref": "#/$defs/Threshold", "description": _meaning(figure)} for name, figure in figures.items()
    }
    entry["additionalProperties"] = False
    return entry


def _meaning(figure: Figure) -> str:
    unit = f" ({figure.unit})" if figure.unit else ""
    return f"{figure.title[0].upper()}{figure.title[1:]}{unit}."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m meter_sim.lab.publish", description="Write the JSON Schema of scenarios."
    )
    parser.add_argument("dir", nargs="?", type=Path, default=Path("docs"), metavar="DIR", help="default: docs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    options = parser.parse_args(arguments)
    target: Path = options.dir / FILE
    content = (json.dumps(schema(), indent=2, ensure_ascii=False) + "\n").encode()
    if options.check:
        if target.is_file() and target.read_bytes() == content:
            return 0
        print(f"{target}: stale; run python -m meter_sim.lab.publish {options.dir}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
