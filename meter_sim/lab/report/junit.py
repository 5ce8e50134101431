"""The verdict for CI: JUnit XML with one test case an invariant and one a threshold."""

from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from meter_sim.lab.report.clean import clean
from meter_sim.lab.report.content import ThresholdRow, command, headline, in_order, threshold_rows
from meter_sim.lab.result import Finding, Result, Verdict
from meter_sim.lab.scenario import Scenario

OUTCOMES: Final = {Verdict.FAIL: "failure", Verdict.UNKNOWN: "error", Verdict.NOT_EXERCISED: "skipped"}
COUNTED: Final = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))


def write_junit(result: Result, out: Path, *, scenario: Scenario | None = None) -> None:
    """Write it in one piece. With the scenario, thresholds that were met are listed as well.

    A run that was stopped, or of which nothing was judged, has one more case, an error, that says so.
    """
    suite = Element("testsuite", {"name": clean(f"meter-sim lab {result.scenario}")})
    _add_properties(suite, result)
    for finding in in_order(result.findings):
        _add_finding(suite, result, finding)
    for row in threshold_rows(result, scenario):
        _add_threshold(suite, result, row)
    if result.interrupted or not result.findings:
        case = _case(suite, result, "run", "the run came to its end and was judged")
        _outcome(case, "error", headline(result).word.lower(), headline(result).sentence, "")
    time_s = f"{max(0.0, result.wall_s):.3f}"
    counts = {"tests": str(len(suite.findall("testcase"))), "time": time_s}
    counts |= {name: str(len(suite.findall(f"testcase/{tag}"))) for name, tag in COUNTED}
    suite.attrib |= counts
    suites = Element("testsuites", {"name": "meter-sim lab"} | counts)
    suites.append(suite)
    indent(suites, " ")
    part = out.with_name(out.name + ".part")
    ElementTree(suites).write(part, encoding="utf-8", xml_declaration=True)
    part.replace(out)


def _add_properties(suite: Element, result: Result) -> None:
    properties = SubElement(suite, "properties")
    facts = {
        "scenario": result.scenario,
        "seed": result.seed,
        "meters": result.meters,
        "mode": result.mode,
        "rules": result.rules,
        "verdict": result.verdict.value,
        "exit_status": result.exit_status,
        "log_hash": result.log_hash,
        "command": command(result),
    }
    for name, value in facts.items():
        SubElement(properties, "property", {"name": name, "value": clean(str(value))})


def _add_finding(suite: Element, result: Result, finding: Finding) -> None:
    case = _case(suite, result, "invariants", f"{finding.invariant} {finding.title}")
    tag = OUTCOMES.get(finding.verdict)
    if tag is None:
        SubElement(case, "system-out").text = clean("\n".join([finding.detail, *finding.evidence]))
    else:
        _outcome(case, tag, finding.verdict.value, finding.detail, "\n".join(finding.evidence))


def _add_threshold(suite: Element, result: Result, row: ThresholdRow) -> None:
    case = _case(suite, result, "thresholds", f"{row.figure} {row.wanted} ({row.when})")
    if not row.met:
        message = f"{row.title}: wanted {row.wanted}, found {row.value}"
        _outcome(case, "failure" if row.known else "error", "threshold", message, "")


def _case(suite: Element, result: Result, group: str, name: str) -> Element:
    where = {"classname": clean(f"{result.scenario}.{group}"), "name": clean(name), "time": "0"}
    return SubElement(suite, "testcase", where)


def _outcome(case: Element, tag: str, kind: str, message: str, text: str) -> None:
    attributes = {"message": clean(message)} if tag == "skipped" else {"type": kind, "message": clean(message)}
    SubElement(case, tag, attributes).text = clean(text) or None
