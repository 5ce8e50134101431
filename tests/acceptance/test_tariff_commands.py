"""The tariff's commands as a user runs them: price a consumption, import versions, look at them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from running import Done, Site, change, make_site

BIHAR_MONTH = ("tariff", "price", "--preset", "bihar", "--month", "2024-11")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


def refused(done: Done, *words: str, status: int = 2) -> None:
    """The command changed nothing and said why, in one line."""
    assert done.status == status, done
    assert done.complaint.startswith("error: ")
    for word in words:
        assert word in done.complaint, done.complaint


def cells(output: str) -> list[list[str]]:
    """The cells of a table's rows."""
    lines = [line for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def lines_of(bill: dict[str, Any]) -> dict[str, int]:
    return {line["line"]: line["amount_micros"] for line in bill["lines"]}


# --- price: needs no store --------------------------------------------------------------------------------------


def test_a_consumption_is_priced_line_by_line(site: Site) -> None:
    done = site.good(*BIHAR_MONTH, "--kwh", "230")
    assert "bihar-domestic version 1, urban" in done.output
    assert "30 days, 2024-11-01 to 2024-11-30" in done.output
    assert cells(done.output)[:2] == [
        ["energy", "100.000", "4.12", "412.00"],
        ["energy from 100 kWh", "130.000", "5.52", "717.60"],
    ]
    assert cells(done.output)[-1][:2] == ["total", "230.000"]
    assert not site.store.exists()


def test_a_price_for_machines_adds_up(site: Site) -> None:
    bill = site.good(
        "tariff",
        "price",
        "--preset",
        "uttar-pradesh",
        "--month",
        "2024-02",
        "--kwh",
        "310.007",
        "--load-kw",
        "2.5",
        "--json",
    ).json()
    assert (bill["currency"], bill["category"], bill["load_w"], bill["energy_wh"]) == (
        "INR",
        "urban",
        2_500,
        310_007,
    )
    assert len(bill["days"]) == 29
    assert lines_of(bill)["fixed charge"] == 275_000_000
    assert sum(lines_of(bill).values()) == bill["total_micros"]
    assert sum(day["total_micros"] for day in bill["days"]) == bill["total_micros"]
    assert sum(day["energy_wh"] for day in bill["days"]) == 310_007
    assert all(day["total_micros"] % 10_000 == 0 for day in bill["days"])


def test_a_figure_for_each_day_is_priced_on_its_day(site: Site) -> None:
    words = ("tariff", "price", "--preset", "bihar", "--from", "2024-10-31", "--to", "2024-11-01", "--json")
    bill = site.good(*words, "--kwh", "101", "--kwh", "100").json()
    assert [(day["day"], day["energy_micros"]) for day in bill["days"]] == [
        ("2024-10-31", 417_520_000),
        ("2024-11-01", 412_000_000),  # a new month: the first slab again
    ]


def test_time_bands_have_a_figure_each(site: Site) -> None:
    words = ("tariff", "price", "--preset", "great-britain", "--category", "two-rate", "--json")
    bill = site.good(*words, "--from", "2024-11-01", "--to", "2024-11-01", "--kwh", "1/4/5").json()
    assert bill["currency"] == "GBP"
    energy = [line for line in bill["lines"] if line["line"].startswith("energy")]
    assert [(line["energy_wh"], line["amount_micros"]) for line in energy] == [
        (1_000, 287_500),
        (4_000, 546_250),
        (5_000, 1_437_500),
    ]


def test_the_days_of_a_csv_file_are_priced(site: Site) -> None:
    (site.folder / "days.csv").write_text(
        "date,home,kwh\n2024-11-02,H1,7.5\n2024-10-31,H1,2\n2024-11-01,H1,0.125\n"
    )
    words = ("tariff", "price", "--preset", "bihar", "--category", "rural", "--daily-csv", "days.csv", "--json")
    bill = site.good(*words).json()
    assert [(day["day"], day["energy_wh"]) for day in bill["days"]] == [
        ("2024-10-31", 2_000),
        ("2024-11-01", 125),
        ("2024-11-02", 7_500),
    ]
    only = site.good(*words, "--month", "2024-11").json()
    assert (len(only["days"]), only["energy_wh"]) == (2, 7_625)


def test_rules_of_ones_own_and_those_of_the_configuration_are_priced_by(site: Site) -> None:
    shown = site.good("tariff", "show", "--preset", "flat").output
    (site.folder / "own.toml").write_text('name = "own"\ncurrency = "NPR"\n' + shown.replace("4.12", "9.5"))
    words = ("tariff", "price", "--month", "2024-11", "--kwh", "10", "--json")
    assert site.good(*words, "--rules", "own.toml").json()["total_micros"] == 95_000_000
    assert site.good(*words, HEADEND_RULES="own.toml").json()["currency"] == "NPR"
    assert site.good(*words, HEADEND_PRESET="bihar").json()["tariff"] == "bihar-domestic"
    assert site.good(*words).json()["total_micros"] == 41_200_000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--month", "2024-11"), "--kwh"),
        (("--kwh", "5"), "say the period"),
        (("--month", "2024-11", "--kwh", "-5"), "'-5' is not an energy in kWh"),
        (("--month", "2024-11", "--kwh", "5", "--category", "farm"), "urban, rural, kutir-jyoti"),
        (("--month", "2024-11", "--kwh", "5", "--rules", "x.toml"), "say one of them"),
        (("--month", "2024-11", "--kwh", "5", "--daily-csv", "x.csv"), "--daily-csv"),
    ],
    ids=str,
)
def test_a_question_that_makes_no_sense_is_refused(words: tuple[str, ...], complaint: str, site: Site) -> None:
    refused(site.headend("tariff", "price", "--preset", "bihar", *words), complaint)


def test_a_preset_that_is_not_there_is_refused_with_those_that_are(site: Site) -> None:
    done = site.headend("tariff", "price", "--preset", "assam", "--month", "2024-11", "--kwh", "5")
    refused(done, "bihar, flat, great-britain, uttar-pradesh")


def test_a_csv_file_that_makes_no_sense_is_refused_with_its_line(site: Site) -> None:
    (site.folder / "days.csv").write_text("date,kwh\n2024-11-30,five\n")
    refused(site.headend("tariff", "price", "--daily-csv", "days.csv"), "days.csv line 2: 'five'")


# --- versions in the store --------------------------------------------------------------------------------------

BY = ("--actor", "A. Clerk", "--reason", "tariff order 7")


def write_version(site: Site, version: int, from_day: str, price: str = "2.45") -> str:
    """A file made as the documentation says: what `show` prints, changed."""
    text = site.good("tariff", "show", "--preset", "bihar").output
    text = re.sub(r"version = 1", f"version = {version}", text)
    text = text.replace("2024-04-01", from_day).replace("2.45", price)
    name = f"v{version}-{from_day}-{price}.toml"
    (site.folder / name).write_text(text)
    return name


def listed(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.good("tariff", "list", "--json").json()
    return found


def test_an_imported_version_is_listed_and_shown(site: Site) -> None:
    done = site.good("tariff", "import", "--preset", "bihar", *BY)
    assert "IMPORTED: bihar-domestic version 1, in force from 2024-04-01" in done.output
    (row,) = listed(site)
    assert (row["name"], row["version"], row["from"]) == ("bihar-domestic", 1, "2024-04-01")
    assert (row["imported_by"], row["used_at"]) == ("A. Clerk", None)
    assert "kutir-jyoti" in site.good("tariff", "list").output
    assert site.good("tariff", "show").output == site.good("tariff", "show", "--preset", "bihar").output


def test_the_same_version_again_changes_nothing(site: Site) -> None:
    site.good("tariff", "import", "--preset", "bihar", *BY)
    with site.unchanged():
        assert site.good("tariff", "import", "--preset", "bihar", *BY, "--json").json()["outcome"] == "EXISTS"


def test_each_day_has_the_version_in_force_on_it(site: Site) -> None:
    site.good("tariff", "import", "--preset", "bihar", *BY)
    site.good("tariff", "import", write_version(site, 2, "2025-04-01", "2.75"), *BY)
    found = [
        site.good("tariff", "show", "--on", day, "--json").json()["version"]
        for day in ("2024-04-01", "2025-03-31", "2025-04-01", "2030-01-01")
    ]
    assert found == [1, 1, 2, 2]
    refused(site.headend("tariff", "show", "--on", "2024-03-31"), "no tariff is in force on 2024-03-31")


def test_a_version_that_no_day_used_is_replaced(site: Site) -> None:
    site.good("tariff", "import", "--preset", "bihar", *BY)
    done = site.good("tariff", "import", write_version(site, 1, "2024-04-01", "2.50"), *BY, "--json")
    assert done.json()["outcome"] == "REPLACED"
    assert len(listed(site)) == 1
    assert site.good("tariff", "show", "--json").json()["categories"]["rural"]["slabs"][0]["price"] == "2.5"


def test_a_version_that_a_day_used_is_immutable(site: Site) -> None:
    site.good("tariff", "import", "--preset", "bihar", *BY)
    change(site.store, "UPDATE tariff SET used_at_s = 1730226600")  # as the first settled day does
    assert listed(site)[0]["used_at"] == "2024-10-29T18:30:00Z"
    other = write_version(site, 2, "2024-04-01", "2.50")
    with site.unchanged():
        refused(site.headend("tariff", "import", other, *BY), "IN_USE", "2024-04-01", status=4)
        assert site.good("tariff", "import", "--preset", "bihar", *BY, "--json").json()["outcome"] == "EXISTS"


def test_a_versions_number_is_not_used_for_two_days(site: Site) -> None:
    site.good("tariff", "import", "--preset", "bihar", *BY)
    other = write_version(site, 1, "2025-04-01", "2.50")
    with site.unchanged():
        refused(
            site.headend("tariff", "import", other, *BY), "version 1", "2024-04-01", "higher version", status=4
        )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say a FILE, or --preset"),
        (("x.toml", "--preset", "bihar"), "say a FILE, or --preset"),
        (("none.toml",), "none.toml"),
        (("--preset", "assam"), "bihar, flat"),
        (("wrong.toml",), "wrong.toml: unknown key 'tariff.colour'"),
    ],
    ids=str,
)
def test_an_import_that_makes_no_sense_is_refused(words: tuple[str, ...], complaint: str, site: Site) -> None:
    shown = site.good("tariff", "show", "--preset", "flat").output
    (site.folder / "wrong.toml").write_text(shown.replace("version = 1", 'version = 1\ncolour = "red"'))
    refused(site.headend("tariff", "import", *words, *BY), complaint)
    assert not site.store.exists()


def test_an_import_needs_an_actor_and_a_reason(site: Site) -> None:
    assert site.headend("tariff", "import", "--preset", "bihar", "--actor", "A. Clerk").status == 2
    refused(site.headend("tariff", "import", "--preset", "bihar", "--actor", " ", "--reason", "r"), "--actor")
    refused(site.headend("tariff", "import", "--preset", "bihar", "--actor", "a", "--reason", ""), "--reason")
    assert not site.store.exists()


def test_what_show_prints_for_machines_is_the_kept_document(site: Site) -> None:
    site.good("tariff", "import", "--preset", "uttar-pradesh", *BY)
    ((document,),) = site.rows("SELECT document FROM tariff")
    assert site.good("tariff", "show", "--json").json() == json.loads(document)
