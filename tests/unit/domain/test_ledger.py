"""The hash chain: every field of a transfer and all transfers before it are in its hash."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.ledger import GENESIS_HASH, chain_hash, consumer_account

FIELDS: dict[str, Any] = {
    "previous": GENESIS_HASH,
    "transfer_id": 1,
    "reference": "PAY-1",
    "kind": "RECHARGE",
    "debit_account": 1,
    "credit_account": 3,
    "amount_micros": 50_000_000,
    "accepted_at_s": 1_730_226_600,
    "posted_at_s": 1_730_226_601,
    "corrects": None,
}
CHANGED: dict[str, Any] = {
    "previous": bytes(31) + b"\x01",
    "transfer_id": 2,
    "reference": "PAY-2",
    "kind": "ENERGY",
    "debit_account": 2,
    "credit_account": 4,
    "amount_micros": 50_000_001,
    "accepted_at_s": 1_730_226_599,
    "posted_at_s": 1_730_226_602,
    "corrects": 1,
}

texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
integers = st.integers(0, 2**53)
rows = st.tuples(
    integers, texts, texts, integers, integers, integers, integers, integers, st.none() | st.integers(1, 2**53)
)


def test_hash_is_the_documented_one() -> None:
    fields = b"1\nPAY-1\nRECHARGE\n1\n3\n50000000\n1730226600\n1730226601\n"
    assert chain_hash(**FIELDS) == hashlib.sha256(bytes(32) + fields).digest()


@pytest.mark.parametrize("field", FIELDS)
def test_any_changed_field_changes_the_hash(field: str) -> None:
    assert FIELDS[field] != CHANGED[field]
    assert chain_hash(**FIELDS | {field: CHANGED[field]}) != chain_hash(**FIELDS)


def test_all_fields_are_tried() -> None:
    assert set(FIELDS) == set(CHANGED) == set(chain_hash.__annotations__) - {"return"}


@given(rows, rows)
def test_different_rows_have_different_hashes(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    assert (chain_hash(GENESIS_HASH, *first) == chain_hash(GENESIS_HASH, *second)) == (first == second)


def test_swapped_accounts_are_another_transfer() -> None:
    swapped = FIELDS | {"debit_account": FIELDS["credit_account"], "credit_account": FIELDS["debit_account"]}
    assert chain_hash(**swapped) != chain_hash(**FIELDS)


def test_consumers_have_accounts_of_their_own() -> None:
    assert consumer_account("M1") != consumer_account("M2")
    assert not {consumer_account("recharges"), consumer_account("energy")} & {"recharges", "energy"}
