"""The tariff's document: the same tariff in every form, and texts that are none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from unit.domain.test_pricing_laws import roundings, tariff_of, terms_of_a_category

from headend.domain.tariff import CategoryTerms
from headend.domain.tariff_rounding import Rounding
from headend.rules import load_rules, load_tariff, preset_names
from headend.rules.tariff import tariff_from_json, tariff_to_json, tariff_to_toml

BIHAR = load_rules("bihar").tariff


@given(terms_of_a_category(), terms_of_a_category(bands=3, name="banded"), roundings)
def test_every_tariff_comes_back_from_its_document(
    plain: CategoryTerms, banded: CategoryTerms, rounding: Rounding
) -> None:
    tariff = tariff_of(plain, banded, rounding=rounding)
    document = tariff_to_json(tariff)
    assert tariff_from_json(document) == tariff
    assert tariff_to_json(tariff_from_json(document)) == document


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_comes_back_from_the_file_that_show_prints(preset: str, tmp_path: Path) -> None:
    tariff = load_rules(preset).tariff
    path = tmp_path / "tariff.toml"
    path.write_text(tariff_to_toml(tariff), encoding="utf-8")
    assert load_tariff(path) == tariff


def test_the_document_names_every_value_and_holds_no_inexact_number() -> None:
    content = json.loads(tariff_to_json(BIHAR), parse_float=pytest.fail)
    assert content["categories"]["urban"] == {
        "slabs": [{"from_kwh": "0", "price": "4.12"}, {"from_kwh": "100", "price": "5.52"}],
        "free_kwh_per_month": "0",
        "fixed_per_day": "0",
        "fixed_per_kw_month": "0",
        "duty_percent": "0",
        "duty_on": "ENERGY",
        "rebate_percent": "0",
        "bands": [],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a b"},
        {"version": 0},
        {"from_day": "2024-13-01"},
        {"rounding": "NEAREST"},
        {"rounding_unit": "0"},
        {"default_category": "farm"},
        {"categories": {}},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_document_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    content = json.loads(tariff_to_json(BIHAR))
    with pytest.raises(ValueError, match="TariffSection"):
        tariff_from_json(json.dumps(content | change))


@pytest.mark.parametrize("document", ["", "{", "[]", "null"])
def test_a_text_that_is_no_document_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="TariffSection"):
        tariff_from_json(document)
