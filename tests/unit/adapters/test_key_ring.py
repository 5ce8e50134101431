"""The key ring's file: who may read it, what a rotation leaves, and that no word of it gets out."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headend.adapters.key_ring import KeyRingFile, key_ring_path, load, load_or_create, rotate
from headend.errors import HeadendError

NOW_S = 1_730_226_600
HOUR_S = 3_600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return key_ring_path(tmp_path / "store" / "headend.db")


def rows(path: Path) -> list[tuple[str, int, int | None]]:
    return [
        (row["key"], row["sign_from_s"], row["accept_until_s"]) for row in json.loads(path.read_bytes())["keys"]
    ]


def test_missing_ring_is_made_for_its_owner_only_and_kept(path: Path) -> None:
    ring = load_or_create(path, NOW_S)
    assert path.name == "headend.db.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [key.key for key in ring.keys] == ["k1"]
    assert load_or_create(path, NOW_S + 5) == load(path, NOW_S) == ring


def test_two_rings_have_two_secrets(path: Path, tmp_path: Path) -> None:
    assert (
        load_or_create(path, NOW_S).keys[0].secret != load_or_create(tmp_path / "other.keys", NOW_S).keys[0].secret
    )


def test_umask_opens_nothing(path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(path, NOW_S)
        rotate(path, NOW_S, 0, 0)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_ring_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    load_or_create(path, NOW_S)
    path.chmod(mode)
    for use in (lambda: load(path, NOW_S), lambda: load_or_create(path, NOW_S), lambda: rotate(path, NOW_S, 0, 0)):
        with pytest.raises(HeadendError, match=f"mode {mode:04o}.*chmod 600"):
            use()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no key ring: file"),
        (b"[]", "no key ring: file"),
        (b'{"keys":[]}', "no key ring: keys"),
        (b'{"keys":[{"key":"k1","secret":"c0ffee","sign_from_s":1}]}', r"keys\.0\.secret"),
        (b'{"keys":[{"key":"k1","secret":"%s","sign_from_s":1,"sing":2}]}' % (b"c0" * 32), r"keys\.0\.sing"),
    ],
)
def test_what_is_no_ring_is_said_without_its_secrets(path: Path, content: bytes, said: str) -> None:
    load_or_create(path, NOW_S)
    path.write_bytes(content)
    with pytest.raises(HeadendError, match=said) as caught:
        load(path, NOW_S)
    assert "c0" not in str(caught.value)
    assert path.read_bytes() == content


def test_missing_ring_is_said_where_none_is_made(path: Path) -> None:
    with pytest.raises(HeadendError, match="does not exist"):
        load(path, NOW_S)


def test_ring_without_a_key_that_may_sign_is_refused(path: Path) -> None:
    load_or_create(path, NOW_S)
    with pytest.raises(HeadendError, match="no key may sign now"):
        load(path, NOW_S - 1)


def test_rotation_overlaps_at_both_ends(path: Path) -> None:
    load_or_create(path, NOW_S)
    fresh = rotate(path, NOW_S + 10, 24 * HOUR_S, 2 * HOUR_S)
    signs_from_s = NOW_S + 10 + 24 * HOUR_S
    assert rows(path) == [("k1", NOW_S, signs_from_s + 2 * HOUR_S), ("k2", signs_from_s, None)]
    ring = load(path, NOW_S + 10)
    signing = [ring.signing_key(now_s) for now_s in (signs_from_s - 1, signs_from_s)]
    assert [key and key.key for key in signing] == ["k1", "k2"]
    assert fresh == ring.keys[1]
    assert ring.keys[0].secret != ring.keys[1].secret


def test_key_whose_time_is_over_leaves_and_its_id_never_comes_back(path: Path) -> None:
    load_or_create(path, NOW_S)
    for number in range(2, 5):
        rotate(path, NOW_S + number * 10, 0, 5)
    assert [key for key, _, _ in rows(path)] == ["k3", "k4"]
    rotate(path, NOW_S + 10**6, 0, 5)
    assert [key for key, _, _ in rows(path)] == ["k4", "k5"]


def test_rotation_shortens_the_time_of_a_key_and_never_prolongs_it(path: Path) -> None:
    load_or_create(path, NOW_S)
    rotate(path, NOW_S, 0, 100)
    rotate(path, NOW_S, 0, 1_000)
    assert rows(path) == [("k1", NOW_S, NOW_S + 100), ("k2", NOW_S, NOW_S + 1_000), ("k3", NOW_S, None)]
    rotate(path, NOW_S, 0, 50)
    assert [until for _, _, until in rows(path)] == [NOW_S + 50, NOW_S + 50, NOW_S + 50, None]


def test_rotations_at_once_lose_no_key(path: Path) -> None:
    load_or_create(path, NOW_S)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: rotate(path, NOW_S, 0, 10).key, range(8)))
    assert sorted(made) == [f"k{number}" for number in range(2, 10)]
    assert [key for key, _, _ in rows(path)] == [f"k{number}" for number in range(1, 10)]


def test_running_head_end_takes_up_a_rotation(path: Path) -> None:
    file = KeyRingFile(path, NOW_S)
    assert len(file.ring(NOW_S).keys) == 1
    rotate(path, NOW_S, 0, 10)
    signing = file.ring(NOW_S).signing_key(NOW_S)
    assert signing is not None
    assert signing.key == "k2"


def test_ring_that_breaks_under_a_running_head_end_leaves_the_last_good_one(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyRingFile(path, NOW_S)
    before = file.ring(NOW_S)
    secret = before.keys[0].secret
    path.write_text(f'{{"keys": "{secret}"}}')
    assert file.ring(NOW_S) is before
    assert file.ring(NOW_S) is before
    assert caplog.text.count("keys known so far go on") == 1
    path.unlink()
    assert file.ring(NOW_S) is before
    assert secret not in caplog.text


def test_ring_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadendError, match="file"):
        load_or_create(tmp_path / "file" / "ring", NOW_S)
