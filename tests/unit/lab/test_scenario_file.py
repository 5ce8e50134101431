"""Scenario files: what a mistake in one is told with, and what a command line changes."""

import random
from pathlib import Path

import pytest

from meter_sim.lab.faults import FAULTS
from meter_sim.lab.figures import FINAL, LIVE
from meter_sim.lab.placed_yaml import DEEPEST, MOST_BYTES, YamlError, read_yaml
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.scenario_file import MOST_PROBLEMS, ScenarioError, load, names

GOOD = """\
name: mine
story: A link that is cut.
fleet:
  meters: 100
  gateways: 4
clock:
  length: 2d
  speed: 3600
  turns:
    - {at: 12h, speed: 7200}
timeline:
  - fault: link-reset
    at: 10h
    for: 5m
    share: 0.5
  - fault: process-kill
    at: 20h
    part: headend
before:
  balances_stale: {max: 0}
after:
  credits_lost: {max: 0}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Writer":
    monkeypatch.chdir(tmp_path)
    return Writer(tmp_path)


class Writer:
    """Writes `my.yaml`, which is GOOD with a text replaced."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "my.yaml"

    def __call__(self, old: str = "", new: str = "", *, content: str = GOOD) -> str:
        assert old in content
        self._path.write_text(content.replace(old, new, 1) if old else content, encoding="utf-8")
        return self._path.name


def problems(source: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as raised:
        load(source, overrides)
    return raised.value.problems


def test_a_file_is_read(write: Writer) -> None:
    scenario = load(write())
    assert (scenario.name, scenario.fleet.meters, scenario.clock.length) == ("mine", 100, 172_800)
    assert [fault.occurrences() for fault in scenario.timeline] == [[(36_000, 36_300)], [(72_000, 72_000)]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("share: 0.5", "share: 3", "my.yaml:15:12: timeline[0].share: 3 is more than 1"),
        ("share: 0.5", "sahre: 0.5", "my.yaml:15:5: timeline[0].sahre: `sahre` is no key; did you mean `share`?"),
        ("meters: 100", "meters: many", "my.yaml:4:11: fleet.meters: many is not a whole number"),
        ("meters: 100", "meters: 0", "my.yaml:4:11: fleet.meters: 0 is less than 1"),
        ("meters: 100", "meters: 3", "my.yaml:4:3: fleet: 4 gateways for 3 meters"),
        ("meters: 100", "meters: 1.5", "my.yaml:4:11: fleet.meters: 1.5 is not a whole number"),
        ("gateways: 4", "gatways: 4", "my.yaml:5:3: fleet.gatways: `gatways` is no key; did you mean `gateways`?"),
        ("length: 2d", "length: 10:30", "my.yaml:7:11: clock.length: 10:30 is no span of time"),
        ("length: 2d", "length: [2d]", "my.yaml:7:11: clock.length: a span of time is a text such as 15m"),
        ("length: 2d", "length: -5", "my.yaml:7:11: clock.length: -5 is not more than 0"),
        (
            "length: 2d",
            "length: 15h",
            "my.yaml:16:5: timeline[1]: ends after the run, at 20h; clock.length is 15h",
        ),
        ("speed: 3600", "speed: nan", "my.yaml:8:10: clock.speed: nan is not a finite number"),
        ("speed: 3600", "start: Friday", "my.yaml:8:10: clock.start: Friday is no time such as"),
        (
            "- {at: 12h, speed: 7200}",
            "- {at: 12h, speed: 7200}\n    - {at: 11h, speed: 1}",
            "my.yaml:11:12: clock.turns[1].at: is not after the turn before it",
        ),
        (
            "link-reset",
            "link-rest",
            "my.yaml:12:12: timeline[0].fault: `link-rest` is no fault; did you mean `link-r",
        ),
        (
            "fault: link-reset\n    at: 10h",
            "at: 10h",
            "my.yaml:12:5: timeline[0]: `fault` is missing; it is one of ",
        ),
        ("    part: headend\n", "", "my.yaml:16:5: timeline[1]: `part` is missing"),
        ("part: headend", "part: meter", "my.yaml:18:11: timeline[1].part: meter is not one of headend, broker,"),
        ("for: 5m", "times: 3", "my.yaml:12:5: timeline[0]: `times` above 1 needs `every`"),
        ("for: 5m", "lasts: 5m", "my.yaml:14:5: timeline[0].lasts: `lasts` is no key; known are at, direction,"),
        (
            "balances_stale",
            "balance_stale",
            "my.yaml:20:3: before.balance_stale: `balance_stale` is no figure; did",
        ),
        ("credits_lost", "credits_queued", "my.yaml:22:3: after.credits_queued: `credits_queued` is no figure"),
        ("{max: 0}", "{}", "my.yaml:20:19: before.balances_stale: a threshold needs `min` or `max`"),
        ("{max: 0}", "{maximum: 0}", "my.yaml:20:20: before.balances_stale.maximum: `maximum` is no key; did you"),
        ("name: mine", "name: Mine!", "my.yaml:1:7: name: Mine! does not match ^[a-z0-9]"),
        ("name: mine\n", "", "my.yaml:1:1: `name` is missing"),
        ("story: A link that is cut.", "story:", "my.yaml:2:7: story: nothing is not a text"),
        ("timeline:", "timelin:", "my.yaml:11:1: timelin: `timelin` is no key; did you mean `timeline`?"),
        ("fleet:\n  meters: 100\n  gateways: 4", "fleet: big", "my.yaml:3:8: fleet: big is not a mapping"),
        ("  speed: 3600", "\tspeed: 3600", "my.yaml:8:1: no valid YAML: "),
        ("  gateways: 4", "  meters: 4", "my.yaml:5:3: `meters` comes twice; before in line 4"),
        ("fleet:", "fleet: &f", "my.yaml:24:5: aliases (*name) are not allowed"),
        ("meters: 100", "meters: !!python/name:os.system 1", "my.yaml:4:11: tag tag:yaml.org,2002:python/name:"),
        ("name: mine", "? [a]\n: b\nname: mine", "my.yaml:1:3: a key has to be a word"),
    ],
)
def test_a_mistake_is_told_with_line_column_and_path(write: Writer, old: str, new: str, said: str) -> None:
    content = GOOD if "&f" not in new else GOOD + "homes:\n  - *f\n"
    (problem,) = problems(write(old, new, content=content))
    assert problem.startswith(said)


def test_an_unknown_fault_is_answered_with_all_faults(write: Writer) -> None:
    (problem,) = problems(write("link-reset", "rain"))
    assert all(name in problem for name in FAULTS)


@pytest.mark.parametrize(("key", "figures"), [("balances_stale", LIVE), ("credits_lost", FINAL)])
def test_an_unknown_figure_is_answered_with_all_figures(
    write: Writer, key: str, figures: dict[str, object]
) -> None:
    (problem,) = problems(write(key, "happiness"))
    assert problem.endswith(", ".join(sorted(figures)))


def test_all_mistakes_are_told_in_order_of_lines(write: Writer) -> None:
    found = problems(write(content=GOOD.replace("0.5", "2").replace("100", "x").replace("2d", "y")))
    assert [text.split(":")[1] for text in found] == ["4", "7", "15"]


def test_mistakes_without_end_are_cut_short(write: Writer) -> None:
    faults = "".join(f"  - {{fault: link-reset, at: {number}h, x: 1}}\n" for number in range(30))
    found = problems(write(content=f"name: a\nstory: b\ntimeline:\n{faults}"))
    assert found[-1] == f"and {30 - MOST_PROBLEMS} more"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("fleet.meters=x", "--set fleet.meters: fleet.meters: x is not a whole number"),
        ("timeline.0.share=3", "--set timeline.0.share: timeline[0].share: 3 is more than 1"),
        ("timeline[1].prt=fleet", "--set timeline[1].prt: timeline[1].prt: `prt` is no key; did you mean `part`?"),
        ("timeline.7.share=1", "--set timeline.7.share: timeline has 2 entries, counted from 0; not 7"),
        ("name.x=1", "--set name.x: name is mine, which has nothing in it"),
        ("workload.recharges=[", "--set workload.recharges: no valid YAML: "),
        ("after.happiness.max=1", "--set after.happiness.max: after.happiness: `happiness` is no figure"),
        ("fleet", "--set fleet: it has to be KEY=VALUE"),
        ("=3", "--set =3: it has to be KEY=VALUE"),
    ],
)
def test_a_wrong_change_is_told_with_its_key(write: Writer, override: str, said: str) -> None:
    (problem,) = problems(write(), override)
    assert problem.startswith(said)


def test_changes_are_yaml_and_make_what_is_missing(write: Writer) -> None:
    changes = ["workload.recharges=7", "timeline.0.for=1h", "homes=[{share: 0.1, out_from: 0, out_to: 1h}]"]
    scenario = load(write(), changes)
    assert scenario.workload.recharges == 7
    assert scenario.timeline[0].lasts == 3_600
    assert scenario.homes[0].out_to == 3_600


def test_more_meters_keep_as_many_behind_a_gateway(write: Writer) -> None:
    fleet = load(write(), meters=1_000).fleet
    assert (fleet.meters, fleet.gateways) == (1_000, 40)
    fleet = load(write(), meters=10).fleet
    assert (fleet.meters, fleet.gateways) == (10, 1)


def test_meters_scale_the_default_fleet_too(write: Writer) -> None:
    fleet = load(write("fleet:\n  meters: 100\n  gateways: 4\n"), meters=2_000).fleet
    assert (fleet.meters, fleet.gateways) == (2_000, 20)


@pytest.mark.parametrize("meters", [0, -1, 500_001])
def test_too_few_or_too_many_meters_are_refused(write: Writer, meters: int) -> None:
    with pytest.raises(ScenarioError, match=r"--meters: fleet\.meters: "):
        load(write(), meters=meters)


def test_one_speed_replaces_all_turns(write: Writer) -> None:
    clock = load(write(), speed=60).clock
    assert (clock.speed, clock.turns) == (60, ())


def test_a_name_that_is_nearly_right_gets_the_right_one() -> None:
    (problem,) = problems("link-flp")
    assert problem.endswith("did you mean link-flap?")


def test_an_unknown_name_is_answered_with_all_names() -> None:
    (problem,) = problems("nothing-like-it")
    assert problem.endswith(", ".join(names()))


def test_files_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("#" * (MOST_BYTES + 1))
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    (tmp_path / "list.yaml").write_text("- 1")
    (tmp_path / "empty.yaml").write_text("")
    for name, said in [
        ("large.yaml", "larger than 262,144 bytes"),
        ("latin.yaml", "byte 9 is no UTF-8"),
        ("list.yaml", "not a list"),
        ("empty.yaml", "not nothing"),
        ("", "Is a directory"),
    ]:
        (problem,) = problems(str(tmp_path / name))
        assert said in problem
        assert "\n" not in problem


def test_a_bomb_of_brackets_ends_in_one_line() -> None:
    with pytest.raises(YamlError, match=f"more than {DEEPEST} levels deep"):
        read_yaml("[" * 100_000)


def test_words_are_words() -> None:
    data = read_yaml("[on, no, 10:30, 010, 2024-10-31, 1_000, 1e3, ~, '5']").data
    assert data == ["on", "no", "10:30", 10, "2024-10-31", 1_000, 1e3, None, "5"]


@pytest.mark.parametrize("seed", range(20))
def test_no_damage_to_a_file_ends_in_anything_but_a_scenario_or_an_error(write: Writer, seed: int) -> None:
    chance = random.Random(f"damage {seed}")
    for _ in range(40):
        text = list(GOOD)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 3)] = chance.choice("\t\n :-[]{}&*!|>'\"%@`#,?0aé")
        damaged = "".join(text)
        try:
            found: tuple[str, ...] = ("my.yaml",) if isinstance(load(write(content=damaged)), Scenario) else ()
        except ScenarioError as error:
            found = error.problems
        assert found
        assert all(problem.startswith(("my.yaml", "and ")) for problem in found), damaged
