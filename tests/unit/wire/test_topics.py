import pytest

from headend.wire.errors import ErrorCode, WireError
from headend.wire.topics import Address, Channel, is_id, parse_topic, up_filter


@pytest.mark.parametrize("channel", Channel)
def test_topic_taken_apart_is_what_it_was_built_from(channel: Channel) -> None:
    address = Address("PATNA-1", "GW-0042")
    assert parse_topic(address.topic(channel)) == (address, channel)


def test_topics_are_spelled_as_published() -> None:
    assert Address("R1", "G1").topic(Channel.HELLO) == "ami/v1/R1/G1/up/hello"
    assert Address("R1", "G1").topic(Channel.REQUESTS) == "ami/v1/R1/G1/down/requests"


def test_filters_cover_one_direction_only() -> None:
    assert Address("R1", "G1").down_filter() == "ami/v1/R1/G1/down/+"
    assert up_filter("R1") == "ami/v1/R1/+/up/+"
    assert up_filter() == "ami/v1/+/+/up/+"


@pytest.mark.parametrize("text", ["a", "Z9", "-", "M" * 32])
def test_id_takes_up_to_32_letters_digits_and_minus(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", "M" * 33, "a/b", "#", "+", "$SYS", "M1\n", "\nM1", "M_1", "\u00e9", "\u0661", " M1"]
)
def test_id_takes_nothing_else(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "ami/v1",
        "ami/v1/R1/G1/up/hello/",
        "ami/v10/R1/G1/up/hello",
        "ami/v1/R1/G1/up/hello\n",
        "a" * 65535,
    ],
)
def test_other_topics_are_bad_topics(topic: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_topic(topic)
    assert caught.value.code is ErrorCode.BAD_TOPIC
    assert caught.value.frame is None


def test_detail_of_a_hostile_topic_fits_into_a_receipt() -> None:
    with pytest.raises(WireError) as caught:
        parse_topic("\x01" * 300)
    assert len(caught.value.detail) == 500
