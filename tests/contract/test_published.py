"""The published form of the contract: current, complete, and of the form that AsyncAPI 3.0 asks for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from headend.wire import publish
from headend.wire.messages import MeterCounters
from headend.wire.topics import Address, Channel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ASYNCAPI: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_bytes())


def resolve(reference: str) -> Any:
    """Follow a `$ref` from the AsyncAPI document, into another file as well."""
    file, _, pointer = reference.partition("#")
    node: Any = json.loads((DOCS / file).read_bytes()) if file else ASYNCAPI
    for part in pointer.strip("/").split("/") if pointer else ():
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return []


def test_published_files_are_current() -> None:
    assert publish.stale(DOCS, publish.documents()) == [], "run: python -m headend.wire.publish"


def test_publishing_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert publish.main([str(tmp_path / folder)]) == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.json"))
    assert len(files) == len(Channel) + 1
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_check_names_each_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish.main([str(tmp_path)])
    assert publish.main([str(tmp_path), "--check"]) == 0
    changed, missing, extra = (tmp_path / "schemas" / f"{name}.json" for name in ("hello", "status", "old"))
    changed.write_text(changed.read_text() + " ")
    missing.unlink()
    extra.write_text("{}")
    capsys.readouterr()
    assert publish.main([str(tmp_path), "--check"]) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in complaints] == [str(changed), str(missing), str(extra)]
    assert not missing.exists()


def test_publishing_without_golden_messages_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.main([str(tmp_path), "--golden", str(tmp_path)]) == 2
    assert "--golden" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channel", Channel)
def test_schema_is_valid_and_self_contained(channel: Channel) -> None:
    document = publish.schema(channel)
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["title"]
    assert document["description"]
    assert document["properties"]["v"]["const"] == 1
    assert "v" in document["required"]
    text = json.dumps(document)
    assert '"$id"' not in text
    assert '"discriminator"' not in text
    names = {reference.removeprefix("#/$defs/") for reference in references(document)}
    assert names == set(document.get("$defs", {}))


def test_schema_keeps_fields_and_descriptions_of_the_models() -> None:
    counters = publish.schema(Channel.HELLO)["$defs"]["MeterCounters"]
    assert list(counters["properties"]) == list(MeterCounters.model_fields)
    # Gateways of before the policies leave policy_version out.
    assert counters["required"] == [name for name in MeterCounters.model_fields if name != "policy_version"]
    assert counters["properties"]["register_wh"]["description"] == "All energy ever drawn, now."


# The rules below are those of https://www.asyncapi.com/docs/reference/specification/v3.0.0 for the objects
# that the document uses.
ALLOWED = {
    "root": "asyncapi id info servers defaultContentType channels operations components",
    "info": "title version description termsOfService contact license tags externalDocs",
    "server": (
        "host protocol protocolVersion pathname description title summary variables "
        "security tags externalDocs bindings"
    ),
    "channel": ("address messages title summary description servers parameters tags externalDocs bindings"),
    "operation": (
        "action channel title summary description security tags externalDocs bindings traits messages reply"
    ),
    "message": (
        "headers payload correlationId contentType name title summary description tags "
        "externalDocs bindings examples traits"
    ),
    "example": "headers payload name summary",
    "parameter": "enum default description examples location",
    "mqtt server binding": (
        "clientId cleanSession lastWill keepAlive sessionExpiryInterval maximumPacketSize bindingVersion"
    ),
    "mqtt operation binding": "qos retain messageExpiryInterval bindingVersion",
}


def only(kind: str, node: dict[str, Any], *required: str) -> None:
    assert set(node) <= set(ALLOWED[kind].split()), kind
    assert set(required) <= set(node), kind


def test_asyncapi_document_has_the_required_structure() -> None:
    only("root", ASYNCAPI, "asyncapi", "info", "channels", "operations")
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    only("info", ASYNCAPI["info"], "title", "version", "license")
    for server in ASYNCAPI["servers"].values():
        only("server", server, "host", "protocol")
        only("mqtt server binding", server["bindings"]["mqtt"], "cleanSession", "lastWill", "keepAlive")
    assert set(ASYNCAPI["components"]) == {"parameters", "messages"}
    for parameter in ASYNCAPI["components"]["parameters"].values():
        only("parameter", parameter, "description")
    for key in (*ASYNCAPI["channels"], *ASYNCAPI["operations"], *ASYNCAPI["components"]["messages"]):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", key)


def test_asyncapi_references_lead_somewhere() -> None:
    found = references(ASYNCAPI)
    assert len(found) > 4 * len(Channel)
    for reference in found:
        assert resolve(reference), reference


def test_asyncapi_channels_are_the_topics_of_the_contract() -> None:
    addresses = set()
    for name, channel in ASYNCAPI["channels"].items():
        only("channel", channel, "address", "messages", "parameters", "description")
        addresses.add(channel["address"])
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])
        assert list(channel["messages"]) == [name]
    assert addresses == {Address("{region}", "{gateway}").topic(channel) for channel in Channel}


def test_asyncapi_operations_are_seen_from_the_gateway() -> None:
    operated = []
    for operation in ASYNCAPI["operations"].values():
        only("operation", operation, "action", "channel", "messages", "bindings")
        address = resolve(operation["channel"]["$ref"])["address"]
        operated.append(address)
        up = "/up/" in address
        assert operation["action"] == ("send" if up else "receive")
        binding = operation["bindings"]["mqtt"]
        only("mqtt operation binding", binding, "qos", "retain", "bindingVersion")
        assert binding["qos"] == (1 if up else 0)
        assert binding["retain"] is address.endswith("/up/status")
        # An operation's messages are references into its own channel, as the specification demands.
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    assert sorted(operated) == sorted(channel["address"] for channel in ASYNCAPI["channels"].values())


@pytest.mark.parametrize("name", ASYNCAPI["components"]["messages"])
def test_asyncapi_examples_are_valid_payloads(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]
    only("message", message, "name", "title", "summary", "contentType", "payload", "examples")
    validator = Draft202012Validator(resolve(message["payload"]["$ref"]))
    assert message["examples"]
    for example in message["examples"]:
        only("example", example, "name", "summary", "payload")
        assert list(validator.iter_errors(example["payload"])) == []


def test_last_will_is_the_golden_offline_status() -> None:
    will = ASYNCAPI["servers"]["local"]["bindings"]["mqtt"]["lastWill"]
    golden = ROOT / "tests" / "contract" / "golden" / "valid" / "status-offline.json"
    assert will["message"].encode() == golden.read_bytes()
    assert (will["qos"], will["retain"]) == (1, True)
