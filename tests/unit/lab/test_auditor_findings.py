"""The judge sees each breach of an invariant: every test does one thing wrong to a run without fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.lab.spoilt import SEED, change, change_lines, copy_of_sound_run, sound_run

from meter_sim.lab.auditor import judge
from meter_sim.lab.figures import FINAL
from meter_sim.lab.result import Result, Verdict
from meter_sim.lab.run_folder import RunFolder

Spoil = Callable[[RunFolder], None]
Line = dict[str, Any]

NIGHT_S = 9 * 3_600
LAST_CREDIT = "SELECT max(event_id) FROM event WHERE kind = 'credit'"
AN_OPENING = "SELECT min(event_id) FROM event WHERE relay = 'open'"
A_CLOSING = "SELECT min(event_id) FROM event WHERE relay = 'closed'"
A_RELAY = "SELECT min(delivery_id) FROM delivery WHERE kind = 'RELAY'"
A_COMMAND = "SELECT min(frame_id) FROM wire WHERE topic LIKE '%/commands'"
OPEN_SENT = "topic LIKE '%/commands' AND instr(payload, '\"open\"') AND link = 'headend'"
REFUSED = "kind = 'refused', code = 'BAD_SIGNATURE', policy_key = NULL"
PARTLY_OUT = "1728930600 AND 1729038600"
HEALED_S = 1_728_844_200 + 6 * 86_400 + 17 * 3_600


def store(*statements: str) -> Spoil:
    return lambda folder: change(folder.store, *statements)


def meters(*statements: str) -> Spoil:
    return lambda folder: change(folder.fleet, *statements)


def wire(*statements: str) -> Spoil:
    return lambda folder: change(folder.wire, *statements)


def journal(spoil: Callable[[Line], Line | None]) -> Spoil:
    return lambda folder: change_lines(folder.journal, spoil)


def samples(spoil: Callable[[Line], Line | None]) -> Spoil:
    return lambda folder: change_lines(folder.samples, spoil)


def answers(of: str, **changes: Any) -> Spoil:
    """Change all answers that say this."""

    def spoil(line: Line) -> Line:
        return line | changes if line.get("outcome") == of else line

    return journal(spoil)


def without(kind: str) -> Spoil:
    return journal(lambda line: None if line["kind"] == kind else line)


def event(chosen: str, change: str) -> Spoil:
    """Change one event of a meter's log."""
    return meters(f"UPDATE event SET {change} WHERE event_id = ({chosen})")


def cut_by(name: str, value: str) -> Spoil:
    """Change what cuts were based on."""
    change = f"UPDATE disconnection SET basis = json_set(basis, '$.{name}', {value})"
    return store(f"{change} WHERE state = 'ISSUED'")


def growing_memory(line: Line) -> Line:
    return line | {"headend_rss_kib": 10_000_000 if line["stage"] == "faults" else 50_000}


def paid_more(line: Line) -> Line:
    """The first home that was cut had paid enough."""
    of_it = line["kind"] == "recharge" and line["reference"] == "FIRST-M0000013"
    return line | {"amount_micros": 900_000_000} if of_it else line


def not_drained(line: Line) -> Line:
    return line | {"drained": False} if line["kind"] == "end" else line


def forget_a_recharge(folder: RunFolder) -> None:
    """All that is known of one recharge, so that it stands in the ledger and nobody asked for it."""
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    numbers = {line["n"] for line in lines if line.get("reference") == "UPI-000003"}
    change_lines(folder.journal, lambda line: None if line["n"] in numbers else line)


def answered_otherwise(folder: RunFolder) -> None:
    """A repetition got another receipt."""
    change_lines(
        folder.journal, lambda line: line | {"transfer_id": 1_000_000} if line.get("outcome") == "EXISTS" else line
    )


def shown(**changes: Any) -> Spoil:
    """Change answers to enquiries."""

    def spoil(line: Line) -> Line:
        return line | changes if "balance_micros" in line and line["kind"] == "answer" else line

    return journal(spoil)


def shown_too_much(line: Line) -> Line:
    if line["kind"] == "answer" and "balance_micros" in line:
        return line | {"balance_micros": line["balance_micros"] + 10_000_000}
    return line


def shown_older_and_older(line: Line) -> Line:
    if line["kind"] == "answer" and line.get("as_of_s") is not None:
        return line | {"as_of_s": 3_457_688_400 - line["as_of_s"], "stale": True}
    return line


def other_registers(folder: RunFolder) -> None:
    change(folder.store, "UPDATE segment SET registers_wh = randomblob(length(registers_wh)) WHERE segment_id = 5")


def quarantined(state: str, decided_by: str) -> str:
    """A wish that waits; the person who asked is `operator`."""
    return (
        "INSERT INTO disconnection (meter_key, requested_at_s, requested_by, origin, reason, state, refused_for,"
        " basis, decided_at_s, decided_by) SELECT meter_key, 1, 'operator', 'ORDER', 'list', "
        f"'{state}', 'CAP_FLEET', '{{}}', 1, '{decided_by}' FROM meter ORDER BY meter_key DESC LIMIT 1"
    )


def again(text: str) -> Spoil:
    def write(folder: RunFolder) -> None:
        (folder.path / "again.hash").write_text(text)

    return write


BREACHES: list[tuple[str, str, Spoil]] = [
    (
        "I1",
        "an account has more than it was credited",
        store("UPDATE account SET credits_micros = credits_micros + 1 WHERE account_key = 1"),
    ),
    ("I1", "a look found a sum", samples(lambda line: line | {"ledger_sum_micros": 1})),
    (
        "I2",
        "a balance is not the fold",
        store(
            "UPDATE account SET credits_micros = credits_micros + 1, debits_micros = debits_micros + 1"
            " WHERE account_key = 1"
        ),
    ),
    (
        "I2",
        "a counter is not the fold",
        store("UPDATE meter SET credit_total_micros = credit_total_micros + 1 WHERE meter_key = 1"),
    ),
    ("I3", "a meter lost a credit", meters(f"DELETE FROM event WHERE event_id = ({LAST_CREDIT})")),
    ("I3", "a meter counted one twice", event(LAST_CREDIT, "credit_total_micros = credit_total_micros * 2")),
    ("I3", "the ledger lost one", store("DELETE FROM transfer WHERE reference = 'UPI-000003'")),
    (
        "I3",
        "another amount in the ledger",
        store("UPDATE transfer SET amount_micros = amount_micros + 1 WHERE reference = 'UPI-000003'"),
    ),
    ("I3", "one that nobody asked for", forget_a_recharge),
    ("I4", "another receipt for the same", answered_otherwise),
    ("I4", "the same is recorded again", answers("EXISTS", outcome="RECORDED")),
    ("I4", "the same is refused", answers("EXISTS", outcome="EXISTS_DIFFERENT")),
    ("I4", "other content is taken", answers("EXISTS_DIFFERENT", outcome="EXISTS")),
    ("I4", "a reference is forgotten", store("DELETE FROM transfer WHERE reference = 'UPI-000003'")),
    (
        "I5",
        "a transfer is changed",
        store("UPDATE transfer SET posted_at_s = posted_at_s + 1 WHERE transfer_id = 20"),
    ),
    ("I5", "a transfer is removed", store("DELETE FROM transfer WHERE transfer_id = 20")),
    (
        "I6",
        "a day is charged with other energy",
        store("UPDATE charge SET energy_wh = energy_wh + 1 WHERE meter_key = 1"),
    ),
    (
        "I6",
        "a day is charged with other money",
        store(
            "UPDATE charge SET total_micros = total_micros + 1, rounding_micros = rounding_micros + 1"
            " WHERE meter_key = 3"
        ),
    ),
    ("I6", "a day is not charged", store("DELETE FROM charge WHERE meter_key = 2")),
    ("I6", "a reading is another one", other_registers),
    ("I6", "a reading is missing", store("DELETE FROM segment WHERE segment_id = 5")),
    ("I7", "more is owed than was put in", store("UPDATE plan SET debt_micros = debt_micros + 1")),
    ("I7", "a plan ends and keeps its debt", store("UPDATE plan SET state = 'CANCELLED', ended_at_s = 1")),
    ("I7", "a plan nobody made", store("DELETE FROM act WHERE kind = 'PLAN_MADE'")),
    ("I8", "an answered row is another one", answers("RECORDED", accepted_at_s=1)),
    ("I8", "an answered row is gone", store("DELETE FROM transfer WHERE reference = 'UPI-000003'")),
    ("I8", "a receipted reading is gone", store("DELETE FROM segment WHERE segment_id = 5")),
    ("I9", "sent before it was committed", store("UPDATE delivery SET queued_at_s = queued_at_s + 1000")),
    ("I9", "sent and never committed", store(f"DELETE FROM delivery WHERE delivery_id = ({A_RELAY})")),
    (
        "I9",
        "committed and never sent",
        wire(f"DELETE FROM wire WHERE topic LIKE '%/commands' AND frame_id > ({A_COMMAND})"),
    ),
    (
        "I9",
        "says something else than was committed",
        store("UPDATE delivery SET credit_total_micros = credit_total_micros + 1 WHERE kind = 'CREDIT'"),
    ),
    ("I9", "a meter cannot trust a command", meters(f"UPDATE event SET {REFUSED} WHERE kind = 'policy'")),
    ("I10", "a number is counted twice", event(LAST_CREDIT, "number = 1")),
    ("I10", "a counter falls", event(LAST_CREDIT, "credit_total_micros = 1")),
    ("I10", "a credit never comes", meters(f"DELETE FROM event WHERE event_id = ({LAST_CREDIT})")),
    (
        "I11",
        "a number is left out",
        store("UPDATE delivery SET seq = seq + 100 WHERE kind = 'CREDIT' AND seq = 2"),
    ),
    (
        "I11",
        "a number stands for another credit",
        store(
            "UPDATE delivery SET credit_total_micros = credit_total_micros + 1"
            " WHERE kind = 'CREDIT' AND meter_key = 1"
        ),
    ),
    ("I12", "no answer ever came", wire("DELETE FROM wire WHERE topic LIKE '%/results' OR topic LIKE '%/hello'")),
    (
        "I12",
        "applied before the meter did",
        store("UPDATE delivery SET applied_at_s = applied_at_s - 1000 WHERE state = 'APPLIED'"),
    ),
    ("I12", "applied, and the meter did nothing", meters(f"DELETE FROM event WHERE event_id = ({AN_OPENING})")),
    ("I12", "applied before it was sent", store("UPDATE delivery SET sent_at_s = applied_at_s + 1 WHERE seq = 1")),
    ("I13", "a credit is dropped", store("DELETE FROM delivery WHERE kind = 'CREDIT' AND meter_key = 1")),
    (
        "I13",
        "a meter obeys an order that has expired",
        store("UPDATE delivery SET expires_at_s = queued_at_s - 1 WHERE relay = 'open'"),
    ),
    (
        "I14",
        "others wait too",
        meters(f"UPDATE event SET at_s = at_s + 90000 WHERE kind = 'credit' AND at_s BETWEEN {PARTLY_OUT}"),
    ),
    ("I15", "a cut at night", event(AN_OPENING, f"at_s = at_s + {NIGHT_S}")),
    ("I15", "a cut in an outage", event(AN_OPENING, f"at_s = {HEALED_S - 5 * 3_600 + 600}")),
    ("I15", "an order that leaves at night", wire(f"UPDATE wire SET at_s = at_s + {NIGHT_S} WHERE {OPEN_SENT}")),
    ("I16", "an opening that nobody ordered", store("DELETE FROM delivery WHERE relay = 'open'")),
    ("I16", "an opening by an order to close", store("UPDATE delivery SET relay = 'closed' WHERE relay = 'open'")),
    ("I17", "a cut in credit, by its own basis", cut_by("balance_micros", "1")),
    ("I17", "a cut in credit, by the meter", cut_by("balance_micros", "-900000000")),
    ("I17", "a cut by an old reading", cut_by("read_at_s", "decided_at_s - 90000")),
    ("I17", "a cut by a register that never was", cut_by("register_wh", "1")),
    ("I17", "a cut with a recharge on its way", cut_by("unsettled_recharges", "1")),
    ("I17", "a cut of a home in credit", journal(paid_more)),
    ("I17", "a cut without a basis", store("DELETE FROM disconnection WHERE state = 'ISSUED'")),
    ("I18", "released by who had asked", store(quarantined("RELEASED", "Operator "))),
    ("I19", "a cut before the grace is over", event(AN_OPENING, "at_s = at_s - 2 * 86400")),
    (
        "I19",
        "a cut in the grace after an outage",
        event(AN_OPENING, f"at_s = {HEALED_S} + 18 * 3600 + 1800"),
    ),
    ("I19", "a cut of which nobody was told", store("DELETE FROM notice WHERE kind = 'CUT_ANNOUNCED'")),
    ("I20", "supply comes back late", event(A_CLOSING, "at_s = at_s + 36000")),
    ("I20", "supply never comes back", meters(f"DELETE FROM event WHERE event_id = ({A_CLOSING})")),
    ("I21", "a balance that is not the home's", journal(shown_too_much)),
    ("I21", "an old balance without a mark", shown(as_of_s=1_728_844_200, stale=False)),
    ("I21", "a fresh balance with a mark", shown(stale=True)),
    ("I21", "time goes back", journal(shown_older_and_older)),
    (
        "I21",
        "a balance is wrong in the end",
        store("UPDATE account SET debits_micros = debits_micros + 1 WHERE code LIKE 'consumer/%'"),
    ),
    (
        "I22",
        "a queue does not drain",
        store("UPDATE delivery SET state = 'QUEUED', applied_at_s = NULL WHERE delivery_id = 3"),
    ),
    ("I22", "another register", store("UPDATE register SET register_wh = register_wh + 1")),
    ("I22", "another relay", store("UPDATE meter SET applied_relay_version = 0 WHERE applied_relay_version > 0")),
    ("I22", "never caught up", without("converged")),
    ("I22", "readings left over", journal(not_drained)),
    (
        "I23",
        "slow after healing",
        meters(f"UPDATE event SET at_s = at_s + 40000 WHERE kind = 'credit' AND at_s > {HEALED_S}"),
    ),
    ("I23", "memory without bound", samples(growing_memory)),
    ("I23", "a store without bound", samples(lambda line: line | {"store_bytes": 10**10})),
    ("I24", "another log the second time", again("0" * 64)),
    ("I25", "an act without a reason", store("UPDATE act SET reason = '' WHERE act_id = 2")),
    (
        "I25",
        "an act is changed",
        store("UPDATE act SET basis = '{}' WHERE act_id IN (SELECT min(act_id) FROM act WHERE kind = 'CUT')"),
    ),
    ("I25", "an act is removed", store("DELETE FROM act WHERE act_id = 2")),
    ("I25", "a cut without an act", store("UPDATE act SET kind = 'CUT_REFUSED' WHERE kind = 'CUT'")),
    (
        "I25",
        "released by who had asked",
        store("UPDATE act SET kind = 'RELEASED', basis = json_object('requested_by', actor) WHERE act_id = 2"),
    ),
]


def verdicts(result: Result) -> dict[str, Verdict]:
    return {finding.invariant: finding.verdict for finding in result.findings}


def test_a_sound_run_passes_all_that_it_shows() -> None:
    result = judge(sound_run())
    assert list(verdicts(result)) == [f"I{number}" for number in range(1, 26)]
    assert [finding for finding in result.findings if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN)] == []
    shown = {name for name, verdict in verdicts(result).items() if verdict is Verdict.PASS}
    assert verdicts(result).keys() - shown == {"I18", "I24"}
    assert (result.seed, result.mode, result.rules, result.meters) == (SEED, "simulation", "bihar", 40)
    assert result.exit_status == 0


def test_figures_are_all_there() -> None:
    figures = judge(sound_run()).figures
    assert figures.keys() == FINAL.keys()
    nothing = (
        "credits_lost", "credits_doubled", "credits_pending", "balances_wrong", "wrong_cuts", "homes_left_dark",
        "relays_opened_unordered", "invariants_failed",
    )  # fmt: skip
    assert {figures[name] for name in nothing} == {0}
    some = ("recharges_accepted", "recharges_in_outage", "recharges_repeated", "right_cuts", "homes_spared")
    assert all((figures[name] or 0) > 0 for name in some)


def test_every_invariant_can_fail() -> None:
    assert {invariant for invariant, _, _ in BREACHES} == {f"I{number}" for number in range(1, 26)}


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [pytest.param(invariant, spoil, id=f"{invariant}: {what}") for invariant, what, spoil in BREACHES],
)
def test_a_breach_is_seen(tmp_path: Path, invariant: str, spoil: Spoil) -> None:
    folder = copy_of_sound_run(tmp_path)
    spoil(folder)
    result = judge(folder)
    finding = next(finding for finding in result.findings if finding.invariant == invariant)
    assert finding.verdict is Verdict.FAIL, finding
    assert 1 <= len(finding.evidence) <= 5
    assert result.exit_status == 1


def test_a_release_by_a_second_person_passes(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    change(folder.store, quarantined("RELEASED", "supervisor"))
    assert verdicts(judge(folder))["I18"] is Verdict.PASS


def test_the_same_log_twice_passes(tmp_path: Path) -> None:
    folder = copy_of_sound_run(tmp_path)
    again(judge(folder).log_hash + "\n")(folder)
    assert verdicts(judge(folder))["I24"] is Verdict.PASS
