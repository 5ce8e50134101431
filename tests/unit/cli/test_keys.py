"""`headend keys` on a store and a ring of its own: what it tells, what it keeps to itself, what it leaves."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from headend.adapters.key_ring import key_ring_path, load, load_or_create
from headend.adapters.sqlite import SqliteStore
from headend.cli.keys import app
from headend.domain.evidence import ActKind
from headend.errors import HeadendError
from headend.wire.signing import Purpose

CLOCK = "2024-10-30T00:00:00+05:30@1000000000x0.000001"
NOW_S = 1_730_226_600
HOUR_S = 3_600


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "headend.db"
    SqliteStore(path).close()
    load_or_create(key_ring_path(path), NOW_S - 10)
    return path


def run(store: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--store", str(store), "--clock", CLOCK])
    if isinstance(result.exception, HeadendError):
        raise result.exception
    for key in load(key_ring_path(store), NOW_S).keys:
        assert key.secret not in result.output
    return result


def rows(store: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run(store, "list", "--json").output)
    return listed


ROTATE = ("rotate", "--actor", "A. Clerk", "--reason", "yearly")


def test_list_tells_what_each_key_is_for_and_no_secret(store: Path) -> None:
    assert rows(store) == [
        {"key": "k1", "state": "signs", "sign_from": "2024-10-29T18:29:50Z", "accept_until": None}
    ]
    run(store, *ROTATE)
    assert [(row["key"], row["state"]) for row in rows(store)] == [("k1", "signs"), ("k2", "waits")]
    assert "k2" in run(store, "list").output


def test_rotation_is_an_act_with_actor_reason_and_times(store: Path) -> None:
    assert run(store, *ROTATE, "--sign-after-h", "2", "--overlap-h", "3").exit_code == 0
    (act,) = read_acts(store)
    assert (act.kind, act.actor, act.reason, act.subject) == (ActKind.KEYS_ROTATED, "A. Clerk", "yearly", "keys")
    basis = json.loads(act.basis)
    assert abs(basis["sign_from_s"] - NOW_S - 2 * HOUR_S) < HOUR_S
    assert (basis["key"], basis["overlap_s"]) == ("k2", 3 * HOUR_S)
    old, new = load(key_ring_path(store), NOW_S).keys
    assert (new.sign_from_s, old.accept_until_s) == (basis["sign_from_s"], basis["sign_from_s"] + 3 * HOUR_S)


def read_acts(store: Path) -> list[Any]:
    opened = SqliteStore(store)
    try:
        with opened.view() as uow:
            return list(uow.acts())
    finally:
        opened.close()


def test_rotation_that_fails_leaves_no_act(store: Path) -> None:
    key_ring_path(store).chmod(0o644)
    with pytest.raises(HeadendError, match="chmod 600"):
        run(store, *ROTATE)
    assert read_acts(store) == []


@pytest.mark.parametrize("missing", ["--actor", "--reason"])
def test_rotation_without_actor_or_reason_is_refused(store: Path, missing: str) -> None:
    place = ROTATE.index(missing)
    assert run(store, *ROTATE[:place], *ROTATE[place + 2 :]).exit_code == 2
    with pytest.raises(HeadendError, match=missing):
        run(store, *ROTATE[: place + 1], " ", *ROTATE[place + 2 :])
    assert len(rows(store)) == 1


def test_export_writes_the_derived_keys_to_a_file_for_its_owner(store: Path, tmp_path: Path) -> None:
    run(store, *ROTATE)
    out = tmp_path / "meter-keys.json"
    assert run(store, "export", "M1", "M2", "--out", str(out)).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    exported = json.loads(out.read_bytes())["meter_keys"]
    assert len(exported) == 2 * 2 * 3
    ring = load(key_ring_path(store), NOW_S)
    for row in exported:
        meter_key = ring.meter_key(row["key"], Purpose(row["purpose"]), row["meter"], NOW_S)
        assert meter_key is not None
        assert row["meter_key"] == meter_key.hex()
    with pytest.raises(HeadendError, match="exists already"):
        run(store, "export", "M1", "--out", str(out))


def test_export_goes_to_the_screen_only_when_told_to(store: Path) -> None:
    assert run(store, "export", "M1").exit_code == 2
    shown = run(store, "export", "M1", "--purpose", "relay", "--out", "-")
    (row,) = json.loads(shown.output)["meter_keys"]
    assert (row["meter"], row["key"], row["purpose"]) == ("M1", "k1", "relay")


def test_export_for_no_id_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadendError, match="not a meter id"):
        run(store, "export", "M/1", "--out", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
