"""Runs of every kind are judged: cut short, without some of their files, naive, restored from an old backup."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.lab.spoilt import CONTENT, SEED, change, change_lines, copy_of_sound_run, sound_run

from meter_sim.lab.auditor import judge
from meter_sim.lab.auditor.promises import BIHAR
from meter_sim.lab.result import Finding, Missed, Result, Verdict, read_result, write_result
from meter_sim.lab.run import Silent, simulate
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario

NAIVE_SHOWS = {"I3", "I15", "I16", "I19", "I20", "I21"}


def of(result: Result, invariant: str) -> Finding:
    return next(finding for finding in result.findings if finding.invariant == invariant)


def with_thresholds(folder: RunFolder, **thresholds: Any) -> None:
    content = json.loads(folder.scenario.read_text())
    folder.scenario.write_text(json.dumps(content | thresholds))


def test_a_threshold_that_does_not_hold_is_missed(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    with_thresholds(
        folder,
        before={"gateways_online": {"min": 9}},
        after={"right_cuts": {"max": 2}, "credits_lost": {"max": 0}},
    )
    result = judge(folder)
    assert result.missed == (
        Missed("gateways_online", ">= 9", 8, "before"),
        Missed("right_cuts", "<= 2", 12, "after"),
    )
    assert result.exit_status == 99


def test_a_run_that_was_interrupted_is_said_to_be(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[: len(lines) // 2]) + b'{"kind": "ans')
    result = judge(folder)
    assert result.interrupted
    assert result.exit_status == 105


def test_without_a_log_of_the_links_nothing_is_said_of_them(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    for each in tmp_path.glob("wire.db*"):
        each.unlink()
    result = judge(folder)
    assert {of(result, name).verdict for name in ("I9", "I12", "I14")} == {Verdict.NOT_EXERCISED}
    assert result.exit_status == 0


def test_without_a_store_nobody_can_tell_what_became_of_the_money(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    for each in tmp_path.glob("headend.db*"):
        each.unlink()
    result = judge(folder)
    assert of(result, "I3").verdict is Verdict.UNKNOWN
    assert of(result, "I1").verdict is Verdict.NOT_EXERCISED
    assert result.figures["balances_wrong"] is None
    assert result.exit_status == 2


def test_a_damaged_store_fails_what_was_answered(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    for each in tmp_path.glob("headend.db-*"):
        each.unlink()
    content = bytearray(folder.store.read_bytes())
    content[4_096 * 3 : 4_096 * 40] = b"\xff" * (4_096 * 37)
    folder.store.write_bytes(content)
    result = judge(folder)
    assert of(result, "I8").verdict is Verdict.FAIL
    assert of(result, "I1").verdict is Verdict.UNKNOWN


def test_a_cap_that_is_passed_is_seen() -> None:
    assert of(judge(sound_run(), replace(BIHAR, cap_a_day=11)), "I18").verdict is Verdict.FAIL
    assert of(judge(sound_run(), replace(BIHAR, cap_a_day=12)), "I18").verdict is Verdict.PASS


def test_of_a_request_without_an_answer_the_ledger_tells(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    asked = {line["n"] for line in lines if line.get("reference") == "UPI-000003" and line["kind"] == "recharge"}

    def silent(line: dict[str, Any]) -> dict[str, Any]:
        is_answer = line["kind"] == "answer" and line["n"] in asked
        return {"kind": "silence", "n": line["n"], "at_s": line["at_s"]} if is_answer else line

    change_lines(folder.journal, silent)
    result = judge(folder)
    assert of(result, "I3").verdict is Verdict.PASS
    assert result.figures["recharges_unanswered"] == 1
    change(folder.store, "DELETE FROM transfer WHERE reference = 'UPI-000003'")
    assert of(judge(folder), "I3").verdict is Verdict.FAIL


def test_the_log_hash_is_of_journal_and_links(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    before = judge(folder).log_hash
    assert before == judge(sound_run()).log_hash
    change(folder.wire, "UPDATE wire SET fate = 'lost' WHERE frame_id = 9")
    other_link = judge(folder).log_hash
    change_lines(folder.journal, lambda line: None if line["kind"] == "enquiry" else line)
    assert len({before, other_link, judge(folder).log_hash}) == 3


def test_the_homes_that_fared_worst_have_a_story() -> None:
    worst = judge(sound_run()).worst_off
    assert len(worst) == 10
    assert "hours without supply" in worst[0].summary
    times = [at_s for at_s, _ in worst[0].events]
    assert times == sorted(times)
    told = " ".join(text for _, text in worst[0].events)
    assert all(
        word in told for word in ("asks for", "the meter counts", "supply is cut", "is told: cut announced")
    )


def test_a_result_is_written_and_read_again(tmp_path: Path) -> None:
    result = judge(sound_run())
    write_result(result, tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result


def test_the_naive_run_is_judged_by_what_meters_and_consumers_saw(tmp_path: Path) -> None:
    naive = simulate(Scenario.model_validate(CONTENT), SEED, tmp_path, Silent(), naive=True)
    result = judge(naive)
    judged = {finding.invariant for finding in result.findings if finding.verdict is not Verdict.NOT_EXERCISED}
    assert judged <= NAIVE_SHOWS
    assert result.rules == "naive"
    assert (result.figures["wrong_cuts"] or 0) > 0
    assert of(result, "I15").verdict is Verdict.FAIL
    assert result.figures["balances_wrong"] is None


def test_what_an_operator_had_cut_is_no_wrong_cut_of_the_naive_run(tmp_path: Path) -> None:
    content = CONTENT | {
        "rules": "flat",
        "clock": {"start": "2024-10-14T00:00", "length": "2d"},
        "workload": {"recharges": 100, "orders": 200},
        "timeline": [],
        "homes": [],
    }
    result = judge(simulate(Scenario.model_validate(content), SEED, tmp_path, Silent(), naive=True))
    assert result.figures["wrong_cuts"] == 0
    assert "0 relays opened" not in of(result, "I16").detail


@pytest.mark.parametrize("rules", ["flat", "uttar-pradesh", "great-britain"])
def test_other_rules_are_judged_by_their_own_promises(tmp_path: Path, rules: str) -> None:
    content = CONTENT | {
        "rules": rules,
        "clock": {"start": "2024-10-14T00:00", "length": "4d"},
        "workload": {"recharges": 200, "enquiries": 200},
        "timeline": [{"fault": "process-kill", "part": "headend", "at": "2d8h", "for": "10m"}],
        "homes": [{"share": 0.2, "out_from": 0, "out_to": 0, "pays": ["2d", "3d"]}],
    }
    result = judge(simulate(Scenario.model_validate(content), SEED, tmp_path, Silent()))
    assert [finding for finding in result.findings if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN)] == []
    assert of(result, "I6").verdict is Verdict.PASS
    assert of(result, "I21").verdict is Verdict.PASS


def test_a_store_restored_from_an_old_backup_loses_nothing_that_was_asked_for_again(tmp_path: Path) -> None:
    content = CONTENT | {
        "clock": {"start": "2024-10-14T00:00", "length": "4d"},
        "timeline": [{"fault": "store-restore", "at": "1d8h", "for": "6h"}],
    }
    folder = simulate(Scenario.model_validate(content), SEED, tmp_path, Silent())
    result = judge(folder)
    assert of(result, "I8").verdict is Verdict.PASS
    assert "to a store that was lost" in of(result, "I8").detail
    assert of(result, "I3").verdict is Verdict.PASS
    # Asked for again and gone all the same: that is a breach.
    lost_s = 1_728_844_200 + 14 * 3_600 + 86_400
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    again = [line for line in lines if line.get("outcome") in ("RECORDED", "EXISTS") and line["at_s"] > lost_s]
    change(folder.store, f"DELETE FROM transfer WHERE reference = '{again[0]['reference']}'")
    assert of(judge(folder), "I8").verdict is Verdict.FAIL
