"""Writes the contract's published form: the JSON Schemas and the AsyncAPI document, from the models.

    python -m headend.wire.publish [DIR]            write them below DIR (default: docs)
    python -m headend.wire.publish [DIR] --check    write nothing; name each stale file and exit 1

The examples are golden messages, so this runs in a checkout. The output depends on nothing but the models and
the golden messages.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic.json_schema import GenerateJsonSchema

from headend.wire.codec import MESSAGE_OF
from headend.wire.limits import ID_PATTERN, MAX_PAYLOAD_BYTES, MAX_ROWS, PROTOCOL_VERSION
from headend.wire.topics import Address, Channel

Json = dict[str, Any]

GOLDEN_DIR: Final = Path(__file__).parents[2] / "tests" / "contract" / "golden"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_BINDING_VERSION: Final = "0.2.0"
_OF_OTHERS: Final = {"scenario.json"}
"""In the same folder, and not of the contract: whoever publishes it checks it."""
_TEMPLATE: Final = Address("{region}", "{gateway}")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the models do not say about a channel."""

    file: str
    title: str
    action: Literal["send", "receive"]
    retain: bool = False

    @property
    def qos(self) -> int:
        return 1 if self.action == "send" else 0


RULES: Final[dict[Channel, _Rule]] = {
    Channel.HELLO: _Rule("hello", "Hello", "send"),
    Channel.READINGS: _Rule("readings", "Readings", "send"),
    Channel.RESULTS: _Rule("results", "Results of commands", "send"),
    Channel.STATUS: _Rule("status", "Status of a gateway", "send", retain=True),
    Channel.COMMANDS: _Rule("commands", "Commands", "receive"),
    Channel.RECEIPTS: _Rule("receipts", "Receipts", "receive"),
    Channel.REQUESTS: _Rule("request", "Request", "receive"),
}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator without a title on every field: the field's name says as much."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def schema(channel: Channel) -> Json:
    """The JSON Schema (2020-12) of a channel's payload, in one document without an `$id`."""
    document = MESSAGE_OF[channel].model_json_schema(schema_generator=_Generator)
    _require_constants(document)
    head = {"$schema": _DIALECT, "title": RULES[channel].title, "description": _one_paragraph(document)}
    return head | {key: value for key, value in document.items() if key not in head}


def _one_paragraph(document: Json) -> str:
    return " ".join(str(document["description"]).split())


def _require_constants(node: object) -> None:
    """Make `v` and `kind` required, as `decode` does, and drop OpenAPI's `discriminator`, in place.

    Their defaults are for whoever builds a message in Python.
    """
    if isinstance(node, list):
        for item in node:
            _require_constants(item)
    if not isinstance(node, dict):
        return
    node.pop("discriminator", None)
    for name, field in node.get("properties", {}).items():
        if "const" in field and "default" in field:
            del field["default"]
            node.setdefault("required", []).append(name)
    if "required" in node:
        node["required"] = [name for name in node["properties"] if name in node["required"]]
    for value in node.values():
        _require_constants(value)


def asyncapi(golden_dir: Path) -> Json:
    """The AsyncAPI 3.0 document, seen from a gateway: `send` is up, `receive` is down."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Prepaid meters: gateway to head-end",
            "version": f"{PROTOCOL_VERSION}.0.0",
            "description": (
                "Readings go up, credits, relay positions and policies come down, over MQTT 3.1.1. Operations are "
                "seen from the gateway. The rules that no schema can say (receipts, resending, sequences, "
                f"signatures) are in gateway.md. At most {MAX_PAYLOAD_BYTES} bytes a payload and {MAX_ROWS} "
                "rows a list."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": _server()},
        "channels": {rule.file: _channel(channel) for channel, rule in RULES.items()},
        "operations": {f"{rule.action}{_pascal(rule.file)}": _operation(rule) for rule in RULES.values()},
        "components": {
            "parameters": {
                name: {"description": f"{text} Matches `{ID_PATTERN}`.", "examples": [example]}
                for name, text, example in (
                    ("region", "The part of the fleet that one head-end worker owns.", "R1"),
                    ("gateway", "The gateway's id, unique in its region.", "G1"),
                )
            },
            "messages": {
                rule.file: _message(channel, _examples(channel, golden_dir)) for channel, rule in RULES.items()
            },
        },
    }


def _server() -> Json:
    return {
        "host": "127.0.0.1:1883",
        "protocol": "mqtt",
        "protocolVersion": "3.1.1",
        "description": "The broker that `headend broker` starts. In production: the utility's own.",
        "bindings": {
            "mqtt": {
                "cleanSession": True,
                "keepAlive": 60,
                "lastWill": {
                    "topic": _TEMPLATE.topic(Channel.STATUS),
                    "qos": 1,
                    "message": f'{{"v":{PROTOCOL_VERSION},"online":false}}',
                    "retain": True,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _channel(channel: Channel) -> Json:
    name = RULES[channel].file
    return {
        "address": _TEMPLATE.topic(channel),
        "title": RULES[channel].title,
        "description": _summary(channel),
        "parameters": {key: {"$ref": f"#/components/parameters/{key}"} for key in ("region", "gateway")},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(rule: _Rule) -> Json:
    return {
        "action": rule.action,
        "channel": {"$ref": f"#/channels/{rule.file}"},
        "description": (
            "The gateway publishes this."
            if rule.action == "send"
            else "The gateway subscribes at QoS 1; the head-end publishes at QoS 0, which is what arrives."
        ),
        "messages": [{"$ref": f"#/channels/{rule.file}/messages/{rule.file}"}],
        "bindings": {
            "mqtt": {"qos": rule.qos, "retain": rule.retain, "bindingVersion": _BINDING_VERSION},
        },
    }


def _message(channel: Channel, examples: list[Json]) -> Json:
    rule = RULES[channel]
    return {
        "name": rule.file,
        "title": rule.title,
        "summary": _summary(channel),
        "contentType": "application/json",
        "payload": {"$ref": f"./schemas/{rule.file}.json"},
        "examples": examples,
    }


def _summary(channel: Channel) -> str:
    return _one_paragraph({"description": MESSAGE_OF[channel].__doc__})


def _examples(channel: Channel, golden_dir: Path) -> list[Json]:
    """The golden messages of a channel that are marked as examples."""
    cases: list[Json] = json.loads((golden_dir / "cases.json").read_bytes())["cases"]
    return [
        {
            "name": case["name"],
            "summary": case["why"],
            "payload": json.loads((golden_dir / case["file"]).read_bytes()),
        }
        for case in cases
        if case.get("example") and case["topic"].endswith(f"/{channel}")
    ]


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def documents(golden_dir: Path = GOLDEN_DIR) -> dict[str, str]:
    """All published files: path below the target folder, and content."""
    contents = {f"schemas/{rule.file}.json": schema(channel) for channel, rule in RULES.items()}
    contents["asyncapi.json"] = asyncapi(golden_dir)
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in contents.items()}


def stale(target: Path, files: dict[str, str]) -> list[Path]:
    """The published files that are missing, differ, or should no longer be there."""
    wanted = {target / path: content for path, content in files.items()}
    differing = [
        path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content.encode()
    ]
    found = {path for path in (target / "schemas").glob("*") if path.name not in _OF_OTHERS}
    return differing + sorted(found - set(wanted))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; answers its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m headend.wire.publish",
        description="Write the contract's JSON Schemas and AsyncAPI document.",
    )
    parser.add_argument("dir", nargs="?", type=Path, default=Path("docs"), metavar="DIR", help="default: docs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming each stale file")
    parser.add_argument("--golden", type=Path, default=GOLDEN_DIR, help="folder of the golden messages")
    options = parser.parse_args(arguments)
    if not (options.golden / "cases.json").is_file():
        print(f"{options.golden}: no cases.json there; run this in a checkout or give --golden", file=sys.stderr)
        return 2
    files = documents(options.golden)
    if options.check:
        found = stale(options.dir, files)
        for path in found:
            print(f"{path}: stale; run python -m headend.wire.publish {options.dir}", file=sys.stderr)
        return 1 if found else 0
    for name, content in files.items():
        target: Path = options.dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
