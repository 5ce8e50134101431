"""Commands for the key ring. A secret is shown by none of them, unless `export` is told to with `--out -`."""

import json as json_text
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.adapters import key_ring
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    StoreOption,
    check_kept,
    checked_id,
    read_config,
)
from headend.cli.output import print_json, print_table
from headend.domain.calendar import iso_text, local_text
from headend.domain.evidence import Act, ActKind
from headend.errors import HeadendError
from headend.wire.keys import KeyRing
from headend.wire.signing import Purpose

app = typer.Typer(help="The keys that sign commands to meters.", no_args_is_help=True)


@app.command("list")
def list_keys(
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List the keys of the ring, oldest first, without their secrets."""
    settings = read_config(config, store, clock)
    now_s = bootstrap.clock(settings).now_s()
    ring = key_ring.load(key_ring.key_ring_path(settings.store), now_s)
    states = _states(ring, now_s)
    if json:
        print_json(
            [
                {
                    "key": key.key,
                    "state": state,
                    "sign_from": iso_text(key.sign_from_s),
                    "accept_until": None if key.accept_until_s is None else iso_text(key.accept_until_s),
                }
                for key, state in zip(ring.keys, states, strict=True)
            ]
        )
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "keys",
        ("key", "state", "signs from", "accepted until"),
        (
            (key.key, state, local_text(key.sign_from_s, zone), local_text(key.accept_until_s, zone))
            for key, state in zip(ring.keys, states, strict=True)
        ),
    )


@app.command("rotate")
def rotate_keys(
    actor: Annotated[str, typer.Option("--actor", help="Who does it; it is kept.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    sign_after_h: Annotated[
        int, typer.Option("--sign-after-h", min=0, max=8_784, help="Hours until it signs: export it first.")
    ] = 24,
    overlap_h: Annotated[
        int, typer.Option("--overlap-h", min=0, max=8_784, help="Hours that the old keys hold after that.")
    ] = 24,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new key. Meters may use it at once, the head-end signs with it later; a running one takes it up."""
    settings = read_config(config, store, clock)
    check_kept(actor, reason)
    sign_after_s, overlap_s = (int(timedelta(hours=hours).total_seconds()) for hours in (sign_after_h, overlap_h))
    # Within the transaction: a ring that cannot be written leaves no act, and an act that cannot, an error.
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        fresh = key_ring.rotate(key_ring.key_ring_path(settings.store), now_s, sign_after_s, overlap_s)
        basis = {"key": fresh.key, "sign_from_s": fresh.sign_from_s, "overlap_s": overlap_s}
        uow.record_act(Act(now_s, actor, ActKind.KEYS_ROTATED, "keys", reason, basis))
    until_s = fresh.sign_from_s + overlap_s
    if json:
        print_json(
            {
                "key": fresh.key,
                "sign_from": iso_text(fresh.sign_from_s),
                "others_accepted_until": iso_text(until_s),
            }
        )
    else:
        zone = ZoneInfo(settings.zone)
        print(f"key {fresh.key} signs from {local_text(fresh.sign_from_s, zone)}")
        print(f"the keys before it are accepted until {local_text(until_s, zone)}")


@app.command("export")
def export_keys(
    meters: Annotated[list[str], typer.Argument(metavar="METER...", help="Ids of the meters.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, mode 0600; - for standard output.")],
    purposes: Annotated[
        list[Purpose] | None, typer.Option("--purpose", help="Only keys for this; may be given again.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
) -> None:
    """Write the derived keys of meters, as they are put into the meters when these are made or rotated."""
    settings = read_config(config, store, clock)
    now_s = bootstrap.clock(settings).now_s()
    ring = key_ring.load(key_ring.key_ring_path(settings.store), now_s)
    text = json_text.dumps(
        {
            "meter_keys": [
                {
                    "meter": checked_id(meter),
                    "key": master.key,
                    "purpose": purpose.value,
                    "meter_key": master.meter_key(purpose, meter).hex(),
                    "accept_until_s": master.accept_until_s,
                }
                for meter in meters
                for master in ring.keys
                for purpose in purposes or list(Purpose)
                if master.is_accepted(now_s)
            ]
        },
        indent=1,
    )
    if str(out) == "-":
        sys.stdout.write(text + "\n")
        return
    if out.exists():
        raise HeadendError(f"{out} exists already; name a new file")
    key_ring.write_secret(out, text + "\n")
    print(f"keys of {len(meters):,} meters written to {out}")


def _states(ring: KeyRing, now_s: int) -> list[str]:
    signing = ring.signing_key(now_s)
    states = []
    for key in ring.keys:
        if key == signing:
            states.append("signs")
        elif not key.is_accepted(now_s):
            states.append("over")
        else:
            states.append("accepted" if key.sign_from_s <= now_s else "waits")
    return states
