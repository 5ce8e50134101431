"""Which key signs, which keys are heeded, and what is said of a ring that is none."""

import pytest
from pydantic import ValidationError

from headend.wire.keys import MAX_KEYS, KeyRing, MasterKey
from headend.wire.signing import Purpose


def key(name: str, sign_from_s: int, accept_until_s: int | None = None) -> MasterKey:
    return MasterKey(key=name, secret="ab" * 32, sign_from_s=sign_from_s, accept_until_s=accept_until_s)


def signing(ring: KeyRing, now_s: int) -> str | None:
    found = ring.signing_key(now_s)
    return None if found is None else found.key


def test_last_key_whose_time_has_come_signs() -> None:
    ring = KeyRing(keys=[key("k1", 100, 300), key("k2", 200)])
    assert [signing(ring, now_s) for now_s in (99, 100, 199, 200, 10**9)] == [None, "k1", "k1", "k2", "k2"]


def test_key_made_later_signs_before_one_that_still_waits() -> None:
    ring = KeyRing(keys=[key("k1", 0, 500), key("k2", 400, 500), key("k3", 300)])
    assert [signing(ring, now_s) for now_s in (299, 300, 400)] == ["k1", "k3", "k3"]


def test_key_that_meters_no_longer_heed_does_not_sign() -> None:
    assert signing(KeyRing(keys=[key("k1", 0, 100)]), 101) is None


def test_meters_heed_a_key_before_it_signs_and_until_its_last_second() -> None:
    ring = KeyRing(keys=[key("k1", 0, 100), key("k2", 500)])
    assert ring.meter_key("k2", Purpose.RELAY, "M1", 0) is not None
    assert ring.meter_key("k1", Purpose.RELAY, "M1", 100) is not None
    assert ring.meter_key("k1", Purpose.RELAY, "M1", 101) is None
    assert ring.meter_key("k3", Purpose.RELAY, "M1", 0) is None


@pytest.mark.parametrize(
    "content",
    [
        {"keys": []},
        {"keys": [{"key": "k1", "secret": "ab" * 31, "sign_from_s": 0}]},
        {"keys": [{"key": "k/1", "secret": "ab" * 32, "sign_from_s": 0}]},
        {"keys": [{"key": "k1", "secret": "ab" * 32, "sign_from_s": 0, "accept_untill_s": 1}]},
        {"keys": [{"key": "k1", "secret": "ab" * 32, "sign_from_s": 0}] * 2},
        {"keys": [{"key": f"k{n}", "secret": "ab" * 32, "sign_from_s": 0} for n in range(MAX_KEYS + 1)]},
        {},
    ],
)
def test_ring_that_is_none_is_refused_without_a_word_of_its_secrets(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        KeyRing.model_validate(content)
    assert "abab" not in str(caught.value)


def test_secret_is_not_shown_with_the_key() -> None:
    assert "abab" not in repr(key("k1", 0)) + str(KeyRing(keys=[key("k1", 0)]))
