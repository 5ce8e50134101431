"""The laboratory's commands that run nothing: list, show, validate, and the plan of a run."""

import json
from pathlib import Path

import pytest
from running import Site, make_site

BAD = """\
name: mine
story: A mistake in line 5.
timeline:
  - fault: link-loss
    share: 3
    at: 1h
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def test_list_names_every_scenario_with_its_story(site: Site) -> None:
    done = site.run("meter-sim", "lab", "list")
    assert done.status == 0, done.complaint
    assert "diwali-2024" in done.output
    rows = site.run("meter-sim", "lab", "list", "--json").json()
    assert len(rows) == 13
    (row,) = (row for row in rows if row["name"] == "broker-queue-loss")
    assert row["story"].startswith("The broker is killed")
    assert row["length"] == "3d"
    assert "broker-restart" in row["faults"]


def test_what_is_shown_is_a_file_that_can_be_validated(site: Site) -> None:
    shown = site.run("meter-sim", "lab", "show", "link-flap")
    assert shown.output.startswith("# ")
    (site.folder / "mine.yaml").write_text(shown.output, encoding="utf-8")
    done = site.run("meter-sim", "lab", "validate", "mine.yaml")
    assert (done.status, done.output) == (0, "mine.yaml: ok: link-flap, 300 meters, 3d, 30 faults\n")
    model = site.run("meter-sim", "lab", "show", "mine.yaml", "--json").json()
    assert model["workload"]["enquiries"] == 50
    assert model["timeline"][0]["for"] == 120


def test_validate_names_the_line_and_goes_on_with_the_next_file(site: Site) -> None:
    (site.folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = site.run("meter-sim", "lab", "validate", "bad.yaml", "link-flap", "none.yaml")
    assert done.status == 104
    assert done.output.startswith("link-flap: ok: ")
    bad, none = done.complaint.splitlines()
    assert bad == "bad.yaml:5:12: timeline[0].share: 3 is more than 1"
    assert none.startswith("none.yaml: there is no such file")


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(site: Site) -> None:
    done = site.run("meter-sim", "lab", "run", "diwali-2024", "--dry-run", "--meters", "500", "--seed", "7")
    assert done.status == 0, done.complaint
    assert "500 meters behind 5 gateways, rules bihar, seed 7" in done.output
    assert "6d9h  Mon 28 Oct 09:00  process-kill until Fri 08 Nov 10:00 (part=headend)" in done.output
    assert "credits_lost <= 0" in done.output
    assert done.output.rstrip().endswith("nothing was run")
    assert list(site.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none",), "none: there is no such file, and no such scenario; shipped are"),
        (("link-flap", "--set", "fleet.meters=x"), "--set fleet.meters: fleet.meters: x is not a whole number"),
        (("link-flap", "--meters", "0"), "--meters: fleet.meters: 0 is less than 1"),
        (("link-flap", "--speed", "-1"), "--speed: clock.speed: -1.0 is not more than 0"),
        (("link-flap", "--mode", "dream"), "lab: --mode 'dream' is not one of processes, simulation"),
        (("link-flap", "--broker", "mine"), "lab: --broker 'mine' is not one of amqtt, mosquitto"),
        (("link-flap", "--json", "no/such/file"), "lab: --json no/such/file: there is no such folder"),
    ],
)
def test_a_bad_scenario_or_option_ends_in_one_line_and_104(site: Site, words: tuple[str, ...], said: str) -> None:
    done = site.run("meter-sim", "lab", "run", *words)
    assert done.status == 104
    assert done.output == ""
    (line,) = done.complaint.splitlines()
    assert line.startswith(said)
    assert list(site.folder.iterdir()) == []


def test_an_unknown_option_is_no_verdict(site: Site) -> None:
    done = site.run("meter-sim", "lab", "run", "link-flap", "--such")
    assert done.status == 104
    assert "--such" in done.complaint


def test_the_plan_follows_the_mode(site: Site) -> None:
    words = ("meter-sim", "lab", "run", "link-flap", "--dry-run")
    plans = [site.run(*words, "--mode", mode).output for mode in ("processes", "simulation")]
    assert "(processes)" in plans[0]
    assert "(simulation)" in plans[1]


def test_lists_are_data_for_machines(site: Site) -> None:
    text = site.run("meter-sim", "lab", "list", "--json").output
    assert json.loads(text) == sorted(json.loads(text), key=lambda row: row["name"])
