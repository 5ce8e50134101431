"""The commands for cuts: one order for many homes, moratoria, the quarantine. Uttar Pradesh 2020, made small."""

import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from running import Done, Site, change, copy_site, make_site
from unit.service.bench import RUPEE, ZONE
from unit.service.protect_bench import ProtectBench

from headend.adapters.sqlite import SqliteStore
from headend.errors import ExitStatus
from headend.rules import PRESETS, load_rules
from headend.service.accounts import Recharge
from headend.service.recharges import take_recharge

IN_DEBT = [f"D{number:04d}" for number in range(900)]
PAID_UP = [f"P{number:04d}" for number in range(60)]
EVERYBODY = [*PAID_UP, *IN_DEBT]
FIRST_DAY = date(2024, 10, 26)
FESTIVAL = date(2024, 10, 31)
"""Diwali."""
MONDAY = date(2024, 11, 4)
CAP = 50
PRESET = "uttar-pradesh"


def in_debt_on(folder: Path, day: date, hour: int) -> Site:
    """Homes of 3 kW that have owed Rs 700 for days, and some that are paid up, read at this hour."""
    site = make_site(folder)
    text = (PRESETS / f"{PRESET}.toml").read_text()
    capped = text.replace("fleet = 20_000 ", f"fleet = {CAP} ")
    assert capped != text
    (folder / "rules.toml").write_text(capped)
    (folder / "headend.toml").write_text('rules = "rules.toml"\n')
    rules = load_rules(folder / "rules.toml")
    # Nothing is cut by the rules before: the order of a person is what is looked at. Nor is it an outage that the
    # bench skips from one reading to the next, half a day later.
    by_hand = replace(
        rules,
        protection=replace(rules.protection, disconnect_automatically=False),
        recovery=replace(rules.recovery, min_outage_s=86_400),
    )
    bench = ProtectBench(by_hand, first_day=FIRST_DAY, store=SqliteStore(site.store))
    bench.enter(*IN_DEBT, *PAID_UP, load_w=3_000)
    bench.connect()
    with bench.command_line() as uow:
        for meter in PAID_UP:
            take_recharge(Recharge(meter, 50_000 * RUPEE, f"P-{meter}"), rules, ZONE, uow, bench.clock.now_s())
    bench.registers |= dict.fromkeys(bench.registers, 100_000)
    bench.live(bench.at_s((day - FIRST_DAY).days, hour) - bench.clock.now_s(), period_s=43_200)
    bench.report()
    bench.headend.stop()
    bench.store.close()
    return site


@pytest.fixture(scope="module")
def on_the_festival(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return in_debt_on(tmp_path_factory.mktemp("festival") / "site", FESTIVAL, 18)


@pytest.fixture(scope="module")
def in_the_hours(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return in_debt_on(tmp_path_factory.mktemp("hours") / "site", MONDAY, 10)


def at(day: date, time_of_day: str) -> str:
    """The clock of a command that is given at this time."""
    return f"{day}T{time_of_day}+05:30@{time.time()}x1"


def order_all(site: Site, day: date, time_of_day: str) -> Done:
    order = ("relay", "--file", "-", "open", "--reason", "unpaid", "--actor", "asha", "--json")
    return site.headend(*order, text="\n".join(EVERYBODY), HEADEND_CLOCK=at(day, time_of_day))


def opens(site: Site) -> int:
    ((count,),) = site.rows("SELECT count(*) FROM delivery WHERE kind = 'RELAY' AND relay = 'open'")
    return int(count)


def test_one_order_for_all_homes_on_a_festival_evening_sends_nothing(
    on_the_festival: Site, tmp_path: Path
) -> None:
    site = copy_site(on_the_festival, tmp_path / "site")
    done = order_all(site, FESTIVAL, "19:00:00")
    assert done.status == ExitStatus.REFUSED
    assert done.json()["counts"] == {"ISSUED": 0, "REFUSED": len(EVERYBODY), "QUARANTINED": 0}
    assert done.json()["reasons"]["PROTECTED_HOURS"] == len(EVERYBODY)
    assert opens(site) == 0
    site.audit_in_flight()


def test_one_order_for_all_homes_in_the_hours_sends_the_cap_and_holds_the_rest(
    in_the_hours: Site, tmp_path: Path
) -> None:
    site = copy_site(in_the_hours, tmp_path / "site")
    done = order_all(site, MONDAY, "10:30:00")
    assert done.status == ExitStatus.REFUSED
    held = len(IN_DEBT) - CAP
    assert done.json()["counts"] == {"ISSUED": CAP, "REFUSED": len(PAID_UP), "QUARANTINED": held}
    assert done.json()["reasons"] == {"IN_CREDIT": len(PAID_UP), "CAP_FLEET": held}
    assert opens(site) == CAP
    again = order_all(site, MONDAY, "10:40:00")
    assert again.json()["counts"]["ISSUED"] == 0
    assert opens(site) == CAP, "the same order again goes round no cap"
    site.audit_in_flight()


def test_a_second_person_releases_what_is_in_quarantine(in_the_hours: Site, tmp_path: Path) -> None:
    site = copy_site(in_the_hours, tmp_path / "site")
    order_all(site, MONDAY, "10:30:00")
    waiting = [str(row["disconnection_id"]) for row in site.good("quarantine", "list", "--json").json()]
    with site.unchanged():
        for who in ("asha", " Asha"):
            refused = site.headend("quarantine", "release", waiting[0], "--actor", who, "--reason", "now")
            assert refused.status == ExitStatus.BAD_INPUT
            assert "a second person has to release it" in refused.complaint
        both = site.headend("quarantine", "release", waiting[0], "999999", "--actor", "ravi", "--reason", "now")
        assert both.status == ExitStatus.BAD_INPUT
        assert "999999 is not in quarantine" in both.complaint
    site.good("quarantine", "release", *waiting[:2], "--actor", "ravi", "--reason", "checked")
    site.good("quarantine", "drop", "--first", "10", "--actor", "asha", "--reason", "a mistake")
    assert [str(row["disconnection_id"]) for row in released(site)] == waiting[:2]
    left = site.good("quarantine", "list", "--limit", "1000", "--json").json()
    assert [str(row["disconnection_id"]) for row in left] == [
        *map(str, range(int(waiting[12]), int(waiting[0]) + len(IN_DEBT) - CAP))
    ]
    # Released is not sent: there is no room under the cap today.
    assert opens(site) == CAP
    site.audit_in_flight()


def released(site: Site) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = site.good("quarantine", "list", "--released", "--json").json()
    return rows


def test_a_moratorium_refuses_orders_from_its_declaration_to_its_end(in_the_hours: Site, tmp_path: Path) -> None:
    site = copy_site(in_the_hours, tmp_path / "site")
    words = ("--actor", "ravi", "--reason", "server trouble")
    declared = site.good(
        *("moratorium", "declare", "--from", "2024-11-04", "--to", "2024-11-06", "--region", "R1", *words),
        "--json",
        HEADEND_CLOCK=at(MONDAY, "10:20:00"),
    )
    number = str(declared.json()["moratorium"])
    order = ("relay", IN_DEBT[0], "open", "--reason", "unpaid", "--actor", "asha")
    refused = site.headend(*order, HEADEND_CLOCK=at(MONDAY, "10:30:00"))
    assert refused.status == ExitStatus.REFUSED
    assert "MORATORIUM" in refused.complaint
    assert "not before 2024-11-06 00:00" in refused.complaint
    assert opens(site) == 0
    site.good("moratorium", "end", number, *words, HEADEND_CLOCK=at(MONDAY, "10:35:00"))
    again = site.headend("moratorium", "end", number, *words, HEADEND_CLOCK=at(MONDAY, "10:36:00"))
    assert again.status == ExitStatus.BAD_INPUT
    (listed,) = site.good("moratorium", "list", "--json").json()
    assert (listed["region"], listed["declared_by"], listed["ended_by"]) == ("R1", "ravi", "ravi")
    site.good(*order, HEADEND_CLOCK=at(MONDAY, "10:40:00"))
    assert opens(site) == 1
    site.audit_in_flight()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--from", "2024-11-06", "--to", "2024-11-05"), "is not after --from"),
        (("--from", "2024-11-05", "--to", "2024-11-05"), "is not after --from"),
        (("--from", "2024-02-30", "--to", "2024-11-05"), "is not a time such as"),
        (("--from", "2024-11-05", "--to", "2024-11-06", "--region", "R9"), "region R9 has no meters"),
    ],
)
def test_a_moratorium_that_makes_no_sense_is_refused(
    words: tuple[str, ...], complaint: str, in_the_hours: Site, tmp_path: Path
) -> None:
    site = copy_site(in_the_hours, tmp_path / "site")
    with site.unchanged():
        done = site.headend(
            *("moratorium", "declare", *words, "--actor", "ravi", "--reason", "trouble"),
            HEADEND_CLOCK=at(MONDAY, "10:20:00"),
        )
    assert done.status == ExitStatus.BAD_INPUT
    assert complaint in done.complaint


@pytest.mark.parametrize("basis", ["no json", "[]", "{}", '{"balance_micros": "much"}'])
def test_a_cut_whose_basis_was_made_unreadable_is_named_by_the_audit(
    basis: str, in_the_hours: Site, tmp_path: Path
) -> None:
    site = copy_site(in_the_hours, tmp_path / "site")
    site.good(
        "relay", IN_DEBT[0], "open", "--reason", "unpaid", "--actor", "asha", HEADEND_CLOCK=at(MONDAY, "10:30:00")
    )
    change(site.store, f"UPDATE disconnection SET basis = '{basis}' WHERE state = 'ISSUED'")
    done = site.headend("audit", "--in-flight")
    assert done.status == ExitStatus.CHECK_FAILED
    assert f"{IN_DEBT[0]}: cut at" in " ".join(done.output.split())
    assert "on a basis that does not say balance_micros" in " ".join(done.output.split())
