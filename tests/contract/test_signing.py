"""The vectors for gateway makers, against a few lines of their own and against our meter's rules."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from headend.wire.codec import decode
from headend.wire.errors import RefusalCode
from headend.wire.keys import MasterKey
from headend.wire.messages import Commands, PolicyDocument, Unknown
from headend.wire.signing import Purpose, canonical, canonical_document, digest, verify
from headend.wire.topics import Channel
from meter_sim.fleet import Columns, FleetPlan
from meter_sim.meter import Meter
from meter_sim.orders import carry_out, policies_of
from meter_sim.policy import Policy

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "signing.json").read_bytes())
CASES: list[dict[str, Any]] = VECTORS["cases"]
MASTERS = {row["key"]: row for row in VECTORS["master_keys"]}
MASTER_KEYS = {key: MasterKey(sign_from_s=0, **row) for key, row in MASTERS.items()}
POLICIES = {
    row["document"]["version"]: Policy.of(PolicyDocument.model_validate(row["document"]), row["digest"])
    for row in VECTORS["documents"]
}
each_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def own_hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).digest()


def own_code(command: dict[str, Any], text: str, clock_s: int) -> str | None:
    """What the page asks of a gateway, in as few lines as it takes."""
    if "key" not in command or "signature" not in command:
        return "BAD_SIGNATURE"
    master = MASTERS.get(command["key"])
    if master is None or (master["accept_until_s"] is not None and clock_s > master["accept_until_s"]):
        return "UNKNOWN_KEY"
    named = f"ami/v1|{command['key']}|{command['kind']}|{command['meter']}"
    meter_key = own_hmac(bytes.fromhex(master["secret"]), named)
    return None if own_hmac(meter_key, text).hex() == command["signature"] else "BAD_SIGNATURE"


def own_canonical(command: dict[str, Any]) -> str:
    fields = {
        "credit": ("seq", "credit_total_micros", "issued_at_s"),
        "relay": ("version", "relay", "issued_at_s", "expires_at_s"),
        "policy": ("version", "digest", "issued_at_s"),
    }[command["kind"]]
    values = [command.get(name, "") for name in ("key", "meter", *fields)]
    return "|".join(map(str, ("ami/v1", command["kind"], *values)))


@pytest.mark.parametrize("row", VECTORS["meter_keys"], ids=lambda row: row["derived_from"])
def test_meter_key_is_derived_as_the_vector_says(row: dict[str, str]) -> None:
    assert row["derived_from"] == f"ami/v1|{row['key']}|{row['purpose']}|{row['meter']}"
    assert own_hmac(bytes.fromhex(MASTERS[row["key"]]["secret"]), row["derived_from"]).hex() == row["meter_key"]
    ours = MASTER_KEYS[row["key"]].meter_key(Purpose(row["purpose"]), row["meter"])
    assert ours.hex() == row["meter_key"]


def test_keys_of_two_purposes_meters_or_masters_are_never_the_same() -> None:
    keys = [row["meter_key"] for row in VECTORS["meter_keys"]]
    assert len(set(keys)) == len(keys) == 9


@pytest.mark.parametrize("row", VECTORS["documents"], ids=lambda row: f"version {row['document']['version']}")
def test_document_has_the_bytes_and_the_digest_of_the_vector(row: dict[str, Any]) -> None:
    document = PolicyDocument.model_validate(row["document"])
    assert canonical_document(document).decode() == row["canonical"]
    assert digest(document) == row["digest"] == hashlib.sha256(row["canonical"].encode()).hexdigest()


@each_case
def test_signature_of_the_vector_holds_by_an_implementation_of_its_own(case: dict[str, Any]) -> None:
    assert own_canonical(case["command"]) == case["canonical"]
    code = own_code(case["command"], case["canonical"], case["clock_s"])
    # A changed document shows by its digest, which the signed command names.
    if code is None and case["expect"] == "BAD_SIGNATURE":
        digests = [digest(PolicyDocument.model_validate(document)) for document in case["documents"]]
        assert case["command"]["digest"] not in digests
        return
    assert code == (case["expect"] if case["expect"] in ("BAD_SIGNATURE", "UNKNOWN_KEY") else None)


@each_case
def test_our_meter_answers_as_the_vector_says(case: dict[str, Any]) -> None:
    content = {"v": 1, "sent_at_s": 0, "commands": [case["command"]], "policies": case["documents"]}
    message = decode(Channel.COMMANDS, json.dumps(content).encode())
    assert isinstance(message, Commands)
    (command,) = message.commands
    assert not isinstance(command, Unknown)
    assert canonical(command).decode() == case["canonical"]

    def meter_key(key: str, purpose: Purpose, meter: str) -> bytes | None:
        master = MASTER_KEYS.get(key)
        return master.meter_key(purpose, meter) if master and master.is_accepted(case["clock_s"]) else None

    columns = Columns(FleetPlan(1, 1, "R1", start_s=0))
    held = POLICIES.get(case["policy_version"])
    before = Meter(int(columns.opening_register_wh[0]), 1, 1, relay_version=4, policy=held)
    columns.put(0, before)
    policies = policies_of(message.policies)
    refusal = verify(command, meter_key)
    result, event = carry_out(command, refusal, policies, columns, 0, 1, case["clock_s"])
    assert result.code == case["expect"]
    assert (columns.meter(0) == before) == (case["expect"] is not None or case["name"] == "policy-again")
    assert (event is None) == (case["name"] == "policy-again")


def test_every_refusal_that_a_signature_or_policy_causes_has_a_vector() -> None:
    elsewhere = {RefusalCode.UNKNOWN_METER, RefusalCode.TOTAL_WENT_BACK}
    assert {case["expect"] for case in CASES} == {None, *RefusalCode} - elsewhere
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_names_of_vectors_are_explained() -> None:
    assert all(case["why"].endswith(".") for case in CASES)
