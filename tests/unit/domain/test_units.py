"""Rupees at the edge: what is read, what is refused, and that nothing is lost between the two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.units import (
    MAX_AMOUNT_MICROS,
    MICROS_PER_PAISA,
    MICROS_PER_RUPEE,
    format_rupees,
    parse_rupees,
)


@pytest.mark.parametrize(
    ("text", "amount_micros"),
    [
        ("1", 1_000_000),
        ("250", 250_000_000),
        ("99.50", 99_500_000),
        ("99.5", 99_500_000),
        ("0.01", 10_000),
        ("0.1", 100_000),
        ("007", 7_000_000),
        ("1000000", MAX_AMOUNT_MICROS),
        ("1000000.00", MAX_AMOUNT_MICROS),
    ],
)
def test_plain_amount_is_read_exactly(text: str, amount_micros: int) -> None:
    assert parse_rupees(text) == amount_micros


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "0.00", "00", "-1", "+1", "-0", "1e3", "1E3", "0x10", "1_000", "1,000", "1,5"),
        *("NaN", "nan", "inf", "Infinity", ".5", "5.", "1.234", "0.001", "0.000", "1..2", "1.2.3"),
        *(" 5", "5 ", "5\n", "\n5", "5\x00", "Rs 5", "5/-", "₹5", "٣", "५००", "\uff15", "²", "5.٣", "½"),
        *("1000000.01", "1000001", "999999999999", "1" * 13, "9" * 4_000, "1." + "0" * 4_000),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount") as refused:
        parse_rupees(text)
    assert len(str(refused.value)) < 200, "a message for a person does not repeat a novel"


def test_refusal_says_which_rule_was_broken() -> None:
    with pytest.raises(ValueError, match="above 0"):
        parse_rupees("0")
    with pytest.raises(ValueError, match=r"at most 1,000,000\.00"):
        parse_rupees("1000000.01")
    with pytest.raises(ValueError, match=r"'1e3' is not an amount"):
        parse_rupees("1e3")


@given(st.integers(1, MAX_AMOUNT_MICROS // MICROS_PER_PAISA))
def test_amount_survives_a_round_trip(amount_paise: int) -> None:
    amount_micros = amount_paise * MICROS_PER_PAISA
    assert parse_rupees(format_rupees(amount_micros).replace(",", "")) == amount_micros


@given(st.text(max_size=20))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        amount_micros = parse_rupees(text)
    except ValueError:
        return
    assert 0 < amount_micros <= MAX_AMOUNT_MICROS
    assert amount_micros % MICROS_PER_PAISA == 0
    assert text.isascii()


@pytest.mark.parametrize(
    ("amount_micros", "text"),
    [
        (0, "0.00"),
        (1, "0.00"),
        (-1, "0.00"),
        (9_999, "0.00"),
        (-9_999, "0.00"),
        (10_000, "0.01"),
        (-10_000, "-0.01"),
        (-19_999, "-0.01"),
        (1_234_567_890_000, "1,234,567.89"),
        (-1_234_567_899_999, "-1,234,567.89"),
        (7 * MICROS_PER_RUPEE, "7.00"),
        (2**63 - 1, "9,223,372,036,854.77"),
    ],
)
def test_amount_is_written_to_the_paisa_towards_zero(amount_micros: int, text: str) -> None:
    assert format_rupees(amount_micros) == text
