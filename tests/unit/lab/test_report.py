"""The report of a run says everything, loads nothing, and believes no text."""

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from unit.lab import report_example as example

from meter_sim.lab.quantities import phrase, span
from meter_sim.lab.report import write_junit, write_report
from meter_sim.lab.result import Finding, Missed, Result, Story, Verdict, Window
from meter_sim.lab.scenario import Scenario, Threshold

CELLS = {"td", "th", "dt", "dd"}
VOID = {"meta", "link", "br", "img", "input", "hr"}
LATE = Missed("converged_after_s", "<= 86400", 147_600, "after")
SCENARIO = Scenario(
    name="diwali-2024",
    story="A story.",
    before={"balances_stale": Threshold(max=0)},
    after={
        "credits_lost": Threshold(max=0),
        "converged_after_s": Threshold(max=86_400),
        "homes_spared": Threshold(min=1),
    },
)
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\x00\x1b[31m\ud800\u202eevil"


class Page(HTMLParser):
    """A page as a browser takes it: its text, its attributes, and whether tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.words.append(" " if tag in CELLS else "")
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def report(folder: Path, result: Result, **more: object) -> str:
    samples = folder / "samples.jsonl"
    if not samples.exists():
        example.write_samples(samples)
    write_report(result, samples, folder / "report.html", **more)  # type: ignore[arg-type]
    return (folder / "report.html").read_text(encoding="utf-8")


def full_report(folder: Path, result: Result | None = None) -> str:
    naive = example.naive_result(), example.write_samples(folder / "naive.jsonl", naive=True)
    result = result or example.result(("I3", "I10"), (LATE,))
    return report(folder, result, naive=naive, latencies=example.latencies(), scenario=SCENARIO)


def test_page_is_well_formed(tmp_path: Path) -> None:
    page = Page(full_report(tmp_path))
    assert not page.open
    assert not page.crossed
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_page_loads_nothing(tmp_path: Path) -> None:
    text = full_report(tmp_path)
    page = Page(text)
    assert not re.findall(r"https?://|url\(|@import|//[a-z]+\.", text)
    assert not [
        name for _, name, _ in page.attributes if name in ("src", "href", "srcset", "xlink:href", "action")
    ]
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    assert "default-src 'none'" in text


def test_page_is_small_enough_to_send(tmp_path: Path) -> None:
    assert len(full_report(tmp_path).encode()) < 120 * 1_024


def test_many_samples_make_no_larger_page_and_keep_the_peak(tmp_path: Path) -> None:
    lines = example.samples(lines=20_000)
    lines[777] = replace(lines[777], relays_open=431)
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(line.as_json()) + "\n" for line in lines))
    text = report(tmp_path, example.result())
    assert len(text.encode()) < 120 * 1_024
    shown = [value.split() for _, name, value in Page(text).attributes if name == "data-v"]
    assert any("431" in values for values in shown)


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert full_report(tmp_path) == full_report(tmp_path)


def test_verdict_comes_first_with_what_repeats_the_run(tmp_path: Path) -> None:
    text = Page(full_report(tmp_path)).text
    order = ["Fail", "2 promises were broken: I3, I10.", "meter-sim lab run diwali-2024 --meters 500 --seed 42"]
    order += ["With and without the protections", "What happened when", "Thresholds", "Figures", "Invariants"]
    order += ["The homes that fared worst", "Conditions", "Words"]
    places = [text.index(words, text.index("meter-sim lab diwali-2024")) for words in order]
    assert places == sorted(places)


def test_every_finding_threshold_figure_and_story_is_there(tmp_path: Path) -> None:
    result = example.result(("I3", "I10"), (LATE,))
    text = Page(full_report(tmp_path, result)).text
    for finding in result.findings:
        assert f"{finding.invariant} {finding.title}" in text
        assert finding.detail in text
        assert all(line in text for line in finding.evidence)
    for home in result.worst_off:
        assert home.meter in text
        assert all(words in text for _, words in home.events)
    for window in result.windows:
        assert window.fault in text
    assert result.log_hash in text
    assert "missed from the last fault's end" in text
    assert "≤ 1 d at the end" in text
    assert "≤ 0 meters before the first fault" in text
    assert "≥ 1 homes at the end" in text
    assert "Thu 31 Oct 2024 19:00" in text, "local time of the utility"


def test_both_sides_stand_side_by_side_and_the_naive_one_is_said_to_be_simulated(tmp_path: Path) -> None:
    text = Page(full_report(tmp_path)).text
    for row in ("Homes cut wrongly 0287", "Credits lost 0311", "Credits doubled 096"):
        assert row.replace(" ", "") in text.replace(" ", "")
    assert "simulated from the same seed" in text


def test_the_worse_side_is_marked_whichever_it_is(tmp_path: Path) -> None:
    ours, naive = example.result(), example.naive_result()
    samples = example.write_samples(tmp_path / "samples.jsonl", lines=10)
    worse = replace(ours, figures=ours.figures | {"credits_lost": 400, "credits_doubled": None, "wrong_cuts": 287})
    text = report(tmp_path, worse, naive=(naive, samples))
    assert '<td class="worse">400</td><td class="better">311</td>' in text
    assert '<td class="unsaid">not known</td><td class="same">96</td>' in text
    assert '<td class="same">287</td><td class="same">287</td>' in text


def test_without_the_naive_run_the_page_says_so(tmp_path: Path) -> None:
    text = report(tmp_path, example.result())
    assert "without its naive counterpart" in Page(text).text
    assert 'class="line naive"' not in text


def test_each_chart_is_described_and_shows_both_runs(tmp_path: Path) -> None:
    text = full_report(tmp_path)
    drawings = re.findall(r'<svg class="chart".*?</svg>.*?</svg>', text, flags=re.DOTALL)
    assert len(drawings) == 8
    for drawing in drawings:
        tree = ElementTree.fromstring(drawing)
        assert tree.get("role") == "img"
        assert tree.get("aria-label")
        assert tree.findtext("title")
        assert tree.findtext("desc")
    assert "at most 500 meters, first on Mon 28 Oct 2024 00:00; naive at most 500" in text
    assert "always 500 meters; naive at least 0" in text
    assert sum('class="line naive"' in drawing for drawing in drawings) == 6
    assert sum('class="band"' in drawing for drawing in drawings) == 7


def test_failed_evidence_is_open_and_other_evidence_folded(tmp_path: Path) -> None:
    text = full_report(tmp_path)
    for kind, opened in (("fail", True), ("pass", False)):
        rows = re.findall(rf'<tr class="{kind}">.*?</tr>', text, flags=re.DOTALL)
        folded = [row for row in rows if "<details" in row]
        assert folded
        assert all(("<details open>" in row) is opened for row in folded)


def hostile_result() -> Result:
    start_s = example.START_S
    return replace(
        example.result(),
        scenario=HOSTILE,
        story=HOSTILE,
        mode=HOSTILE,
        rules=HOSTILE,
        findings=(Finding(HOSTILE, HOSTILE, Verdict.FAIL, HOSTILE, (HOSTILE,)),),
        figures={HOSTILE: 1.0},
        missed=(Missed(HOSTILE, HOSTILE, None, HOSTILE),),
        windows=(Window(HOSTILE, HOSTILE, start_s, start_s + 60),),
        worst_off=(Story(HOSTILE, HOSTILE, ((start_s, HOSTILE),)),),
        log_hash=HOSTILE,
    )


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    hostile = hostile_result()
    harmless = replace(hostile, scenario="x", story="x", mode="x", rules="x", log_hash="x")
    harmless = replace(harmless, findings=(Finding("x", "x", Verdict.FAIL, "x", ("x",)),), figures={"x": 1.0})
    harmless = replace(harmless, missed=(Missed("x", "x", None, "x"),), worst_off=())
    harmless = replace(harmless, worst_off=(Story("x", "x", ((example.START_S, "x"),)),))
    page, plain = Page(report(tmp_path, hostile)), Page(report(tmp_path, harmless))
    assert not page.crossed
    assert page.tags == plain.tags, "no element of a stranger's"
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 10
    assert not set("\x00\x1b\u202e") & set(page.text)


def test_hostile_text_stays_text_in_junit(tmp_path: Path) -> None:
    out = tmp_path / "report.xml"
    write_junit(hostile_result(), out)
    suite = ElementTree.parse(out).getroot()[0]
    assert suite.get("tests") == "2"
    assert {child.tag for child in suite.iter()} == {
        *("testsuite", "properties", "property", "testcase", "failure", "error"),
    }


@pytest.mark.parametrize(
    ("result", "word", "sentence"),
    [
        (example.result(), "Pass", "Every promise that this run could test was kept."),
        (example.result(("I3",)), "Fail", "1 promise was broken: I3."),
        (example.result((), (LATE,)), "Threshold missed", "Every promise held, but 1 figure is not as wanted."),
        (replace(example.result(), interrupted=True), "Interrupted", "The run was stopped before its end."),
        (
            replace(example.result(), findings=(Finding("I3", "t", Verdict.UNKNOWN, "d"),)),
            "Unknown",
            "Nothing was found broken, but the evidence does not decide I3.",
        ),
        (replace(example.result(), findings=()), "Unknown", "Nothing was judged, so nothing is known."),
    ],
)
def test_verdict_in_words(tmp_path: Path, result: Result, word: str, sentence: str) -> None:
    page = Page(report(tmp_path, result))
    assert not page.crossed
    assert f"{word}: {sentence}" in page.text


def test_an_empty_run_still_has_a_page(tmp_path: Path) -> None:
    start_s = example.START_S
    empty = Result("x", "", "processes", "flat", 0, 1, "Asia/Kolkata", start_s, start_s, 0.0, interrupted=True)
    write_report(empty, tmp_path / "none.jsonl", tmp_path / "report.html", (empty, tmp_path / "none-either.jsonl"))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.crossed
    for words in ("No samples were kept", "Nothing was broken in this run", "Nothing was judged", "not known"):
        assert words in page.text


def test_a_line_of_samples_cut_short_is_left_out(tmp_path: Path) -> None:
    samples = example.write_samples(tmp_path / "samples.jsonl", lines=20)
    with samples.open("a") as file:
        file.write('{"at_s": 17')
    page = Page(report(tmp_path, example.result()))
    times = [value.split() for _, name, value in page.attributes if name == "data-t"]
    assert len(times) == 6
    assert len(times[0]) == 21


def test_junit_has_a_case_for_each_invariant_and_threshold(tmp_path: Path) -> None:
    result = example.result(("I3", "I10"), (LATE,))
    unknown = replace(result.findings[4], verdict=Verdict.UNKNOWN, detail="no journal")
    result = replace(result, findings=(*result.findings[:4], unknown, *result.findings[5:]))
    out = tmp_path / "report.xml"
    write_junit(result, out, scenario=SCENARIO)
    suites = ElementTree.parse(out).getroot()
    suite = suites[0]
    counts = {"tests": "29", "failures": "3", "errors": "1", "skipped": "2"}
    for element in (suites, suite):
        assert {name: element.get(name) for name in counts} == counts
    cases = {case.get("name", ""): case for case in suite.iter("testcase")}
    assert len(cases) == 29
    failure = next(case for name, case in cases.items() if name.startswith("I3 ")).find("failure")
    assert failure is not None
    assert failure.get("message") == "2 of 1,931 recharges are not as they were answered"
    assert "UPI-20241030-000731" in (failure.text or "")
    late = next(case for name, case in cases.items() if name.startswith("converged_after_s")).find("failure")
    assert late is not None
    assert "wanted ≤ 1 d, found 1 d 17 h" in late.get("message", "")


@pytest.mark.parametrize("change", [{"interrupted": True}, {"findings": ()}])
def test_junit_of_a_run_that_shows_nothing_is_no_success(tmp_path: Path, change: dict[str, object]) -> None:
    out = tmp_path / "report.xml"
    write_junit(replace(example.result(), **change), out)  # type: ignore[arg-type]
    assert ElementTree.parse(out).getroot().get("errors") == "1"


def test_units_are_readable() -> None:
    assert phrase(1_250_000, "micros") == "1.25 rupees"
    assert phrase(-3_500_000, "micros") == "−3.50 rupees"  # noqa: RUF001 a minus sign
    assert phrase(3 * 1_024 * 1_024, "bytes") == "3 MiB"
    assert phrase(1_536, "KiB") == "1.5 MiB"
    assert phrase(163_044.4, "hours") == "163,044 hours"
    assert phrase(None, "hours") == "not known"
    assert [span(each) for each in (0.25, 59, 90, 3_600, 987_654)] == [
        "0.25 s",
        "59 s",
        "1 min 30 s",
        "1 h",
        "11 d 10 h",
    ]
