"""Rules files: the presets as their sources have them, and what is said about a file that is wrong."""

from datetime import date
from pathlib import Path

import pytest

from headend.domain.tariff import CategoryTerms, DutyOn, Slab
from headend.domain.tariff_rounding import Rounding, RoundingRule
from headend.errors import HeadendError
from headend.rules import PRESETS, load_rules, load_tariff, preset_names

SMALLEST = """\
name = "own"
currency = "INR"

[tariff]
name = "own"
version = 3
from_day = 2024-04-01
rounding_unit = 0.01
default_category = "all"

[tariff.categories.all]
slabs = [{ price = 4.12 }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_presets_are_these() -> None:
    assert preset_names() == ["bihar", "flat", "great-britain", "uttar-pradesh"]


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_has_the_name_of_its_file(preset: str) -> None:
    assert load_rules(preset).name == preset


def test_flat_is_one_price_and_nothing_else() -> None:
    rules = load_rules("flat")
    assert rules.currency == "INR"
    assert rules.tariff.categories == (CategoryTerms("all", (Slab(0, 4_120_000),)),)
    assert rules.tariff.rounding.unit_micros == 1


def test_bihar_has_the_reported_prices() -> None:
    tariff = load_rules("bihar").tariff
    assert tariff.from_day == date(2024, 4, 1).toordinal()
    assert tariff.default_category == "urban"
    assert tariff.rounding == Rounding(RoundingRule.HALF_EVEN, 10_000)
    assert tariff.categories == (
        CategoryTerms("urban", (Slab(0, 4_120_000), Slab(100_000, 5_520_000))),
        CategoryTerms("rural", (Slab(0, 2_450_000),)),
        CategoryTerms("kutir-jyoti", (Slab(0, 1_970_000),)),
    )


def test_uttar_pradesh_shows_slabs_fixed_charge_duty_and_rebate() -> None:
    urban = load_rules("uttar-pradesh").tariff.category(None)
    assert urban is not None
    assert len(urban.slabs) > 1
    assert urban.fixed_micros_per_kw_month > 0
    assert (urban.duty_bp, urban.duty_on, urban.rebate_bp) == (500, DutyOn.ENERGY_AND_FIXED, 200)


def test_great_britain_shows_a_charge_per_day_and_two_rates() -> None:
    rules = load_rules("great-britain")
    two_rate = rules.tariff.category("two-rate")
    assert two_rate is not None
    assert rules.currency == "GBP"
    assert two_rate.fixed_micros_per_day > 0
    assert len({band.change_bp for band in two_rate.bands}) == 2


@pytest.mark.parametrize("preset", ["uttar-pradesh", "great-britain"])
def test_prices_without_a_source_say_so(preset: str) -> None:
    assert "EXAMPLE PRICES" in (PRESETS / f"{preset}.toml").read_text(encoding="utf-8")


def test_a_file_of_ones_own_has_the_same_form(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path, SMALLEST))
    assert (rules.name, rules.tariff.version) == ("own", 3)
    assert rules.tariff.categories == (CategoryTerms("all", (Slab(0, 4_120_000),)),)


def test_a_price_is_read_without_a_binary_fraction(tmp_path: Path) -> None:
    text = SMALLEST.replace("4.12", "0.000001")
    assert load_rules(written(tmp_path, text)).tariff.categories[0].slabs == (Slab(0, 1),)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("rounding_unit", "rounding_step"), "unknown key 'tariff.rounding_step'"),
        (
            ("[tariff.categories.all]", "[tariff.categories.all]\ntax = 5"),
            "unknown key 'tariff.categories.all.tax'",
        ),
        (("currency", "[colours]\ncurrency"), "unknown key 'colours'"),
        (("price = 4.12", "price = -4.12"), "tariff.categories.all.slabs.0.price: "),
        (("price = 4.12", "price = 1001"), "tariff: a price is from 0 to 1000 per kWh"),
        (("price = 4.12", "from_kwh = 5, price = 4.12"), "tariff: the first slab begins at 0 kWh"),
        (("price = 4.12", "price = nan"), "tariff.categories.all.slabs.0.price: "),
        (("2024-04-01", '"soon"'), "tariff.from_day: "),
        (('"INR"', '"Rs"'), "currency: "),
        (('default_category = "all"', 'default_category = "some"'), "tariff: the default category is one of"),
        (("[tariff]", "[tariffs]"), "unknown key 'tariffs'"),
        (("[tariff]", "[tariff"), "Expected"),
    ],
    ids=str,
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_key(
    change: tuple[str, str], complaint: str, tmp_path: Path
) -> None:
    path = written(tmp_path, SMALLEST.replace(*change))
    with pytest.raises(HeadendError) as raised:
        load_rules(path)
    assert str(raised.value).startswith(f"rules file {path}: ")
    assert complaint in str(raised.value)


def test_a_preset_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        HeadendError, match="preset 'assam' is not known; known are bihar, flat, great-britain, uttar"
    ):
        load_rules("assam")


@pytest.mark.parametrize("name", ["../presets/flat", "flat.toml", "", "*"])
def test_a_preset_is_no_path(name: str) -> None:
    with pytest.raises(HeadendError, match="is not known"):
        load_rules(name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadendError, match="No such file"):
        load_rules(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(HeadendError, match=r"rules file .*bytes\.toml"):
        load_rules(path)


def test_a_tariff_is_read_from_a_file_with_that_section_alone(tmp_path: Path) -> None:
    alone = SMALLEST[SMALLEST.index("[tariff]") :]
    assert load_tariff(written(tmp_path, alone)) == load_rules(written(tmp_path, SMALLEST)).tariff


def test_a_tariff_file_without_that_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadendError, match=r"tariff file .*: tariff: Field required"):
        load_tariff(written(tmp_path, 'name = "own"\n'))


def test_a_file_without_the_other_sections_protects_nobody_and_cuts_nobody(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path, SMALLEST))
    assert not rules.protection.disconnect_automatically
    assert rules.alerts.low_micros == ()
    assert not rules.arrears.auto_after_outage


@pytest.mark.parametrize("section", ["protection", "alerts", "arrears", "recovery"])
def test_every_section_refuses_a_key_that_it_does_not_know(section: str, tmp_path: Path) -> None:
    with pytest.raises(HeadendError, match=f"unknown key '{section}.colour'"):
        load_rules(written(tmp_path, f'{SMALLEST}\n[{section}]\ncolour = "red"\n'))


def test_a_preset_has_its_sections_as_its_file_has_them() -> None:
    rules = load_rules("bihar")
    assert rules.protection.disconnect_automatically
    assert rules.arrears.instalments == 300
    assert rules.recovery.grace_s == 72 * 3_600
