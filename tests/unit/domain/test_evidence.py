"""The audit log's hash covers every field, and equal content is equal text."""

import hashlib
import json
from typing import Any

import pytest

from headend.domain.evidence import GENESIS_ACT_HASH, Act, ActKind, act_hash, basis_text

FIELDS: dict[str, Any] = {
    "act_id": 1,
    "at_s": 1_730_226_600,
    "actor": "a clerk",
    "kind": "REVERSAL",
    "subject": "meter/M1",
    "reason": 'wrong "meter"\nधन',
    "basis": '{"day":5}',
}


def test_hash_is_that_of_the_canonical_array_behind_the_hash_before() -> None:
    array = [*list(FIELDS.values())[:-1], json.loads(FIELDS["basis"])]
    text = json.dumps(array, separators=(",", ":"), ensure_ascii=False)
    assert act_hash(GENESIS_ACT_HASH, **FIELDS) == hashlib.sha256(GENESIS_ACT_HASH + text.encode()).digest()


@pytest.mark.parametrize("name", FIELDS)
def test_hash_changes_with_every_field(name: str) -> None:
    value = FIELDS[name]
    changed = FIELDS | {name: value + 1 if isinstance(value, int) else value + "x"}
    assert act_hash(GENESIS_ACT_HASH, **changed) != act_hash(GENESIS_ACT_HASH, **FIELDS)
    assert act_hash(b"x" * 32, **FIELDS) != act_hash(GENESIS_ACT_HASH, **FIELDS)


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    split = FIELDS | {"subject": "a", "reason": "b"}
    joined = FIELDS | {"subject": 'a","b', "reason": ""}
    assert act_hash(GENESIS_ACT_HASH, **split) != act_hash(GENESIS_ACT_HASH, **joined)


def test_order_of_the_basis_does_not_matter() -> None:
    assert basis_text({"b": 1, "a": [2, "x"]}) == basis_text({"a": [2, "x"], "b": 1}) == '{"a":[2,"x"],"b":1}'


@pytest.mark.parametrize("missing", ["actor", "subject", "reason"])
def test_act_without_actor_subject_or_reason_cannot_be_made(missing: str) -> None:
    fields: dict[str, Any] = {"actor": "a clerk", "subject": "meter/M1", "reason": "asked for", missing: ""}
    with pytest.raises(AssertionError, match="needed"):
        Act(at_s=1, kind=ActKind.CUT, **fields)
