"""Every command as a user runs it, for people and for machines, with the server up and with it down."""

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from running import (
    Done,
    Site,
    find_free_port,
    gateway_by_hand,
    make_site,
    mosquitto_on,
    rows_of,
    running,
    serving,
)
from waiting import wait_until

from headend.cli import app

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FACTS = ("accepted_at", "posted_at", "sent_at", "applied_at")


@dataclass
class Story:
    """A recharge from the counter to the meter: what the commands said at each point."""

    site: Site
    before: dict[str, Any]
    sent: dict[str, Any]
    after: dict[str, Any]
    stop_status: int
    stop_s: float
    serve_complaint: str


def _look(site: Site) -> dict[str, Any]:
    return {
        "queue": site.good("queue", "M1", "--json").json(),
        "statement": site.good("statement", "M1", "--json").json(),
        "balance": site.good("balance", "M1", "--json").json(),
    }


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    site = make_site(tmp_path_factory.mktemp("story"))
    site.add_meters("M1", "M2")
    site.good("recharge", "M1", "50", "--reference", "PAY-1")
    before = _look(site)  # the server has never run
    with mosquitto_on(site.folder) as broker, serving(site, broker.port) as serve:
        with gateway_by_hand(site, broker.port) as gateway:
            gateway.receipt(gateway.hello("M1", "M2"))
            gateway.command("M1", 1)
            sent = _look(site)
            gateway.credit_applied("M1", 1, 50_000_000)
            wait_until(lambda: site.rows("SELECT state FROM delivery") == [("APPLIED",)])
        asked_s = time.monotonic()
        status = serve.ask_to_stop()
        took_s = time.monotonic() - asked_s
        complaint = serve.complaint()
    after = _look(site)  # the server is down again
    return Story(site, before, sent, after, status, took_s, complaint)


def facts(row: dict[str, Any]) -> list[bool]:
    """Which of accepted, posted, sent, applied have happened."""
    for name in FACTS:
        assert (row[name] is None) == (row[f"{name}_s"] is None)
        assert row[name] is None or ISO_TIME.fullmatch(row[name])
    return [row[name] is not None for name in FACTS]


@pytest.mark.parametrize("view", ["queue", "statement"])
def test_the_four_facts_appear_one_after_the_other(story: Story, view: str) -> None:
    (before,), (sent,), (after,) = story.before[view], story.sent[view], story.after[view]
    assert facts(before) == [True, True, False, False]
    assert facts(sent) == [True, True, True, False]
    assert facts(after) == [True, True, True, True]
    assert [row["state"] for row in (before, sent, after)] == ["QUEUED", "SENT", "APPLIED"]
    assert {row["reference"] for row in (before, sent, after)} == {"PAY-1"}


@pytest.mark.parametrize(("view", "words"), [("queue", ["queue", "M1"]), ("statement", ["statement", "M1"])])
def test_the_four_facts_stand_in_the_table(story: Story, view: str, words: list[str]) -> None:
    shown = story.site.good(*words).output
    columns = ("accepted", "posted", "sent", "applied") if view == "queue" else ("posted", "sent", "applied")
    for column in columns:
        assert column in shown
    assert "PAY-1" in shown
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown)) == len(columns)


def test_the_balance_counts_a_recharge_at_once_and_says_what_is_on_the_way(story: Story) -> None:
    for look in (story.before, story.sent, story.after):
        assert look["balance"]["balance_micros"] == 50_000_000
    assert story.before["balance"]["credits_on_the_way_micros"] == 50_000_000
    assert story.after["balance"]["credits_on_the_way_micros"] == 0
    shown = story.site.good("balance", "M1").output
    assert "Rs 50.00" in shown
    assert "on the way" not in shown


def test_sigterm_ends_the_server_with_status_0_and_soon(story: Story) -> None:
    assert story.stop_status == 0
    assert story.stop_s < 3
    assert "stopped in good order" in story.serve_complaint


def test_the_queue_of_everybody_is_empty_when_all_has_arrived(story: Story) -> None:
    assert story.site.good("queue", "--json").json() == []
    assert "PAY-1" not in story.site.good("queue").output


def test_a_converged_store_passes_the_whole_audit(story: Story) -> None:
    done = story.site.good("audit", "--json")
    verdict = done.json()
    assert verdict["ok"] is True
    named = {check["id"] for check in verdict["checks"]}
    assert {"E1", "E2", "E3", "E4", "I1", "I2", "I3", "I5", "I9", "I10", "I11", "I12"} <= named
    plain = story.site.good("audit").output
    assert "VIOLATED" not in plain
    assert plain.splitlines()[-1] == "audit: all is well"


@pytest.mark.parametrize(
    "words",
    [
        ["meter", "list"],
        ["meter", "show", "M1"],
        ["statement", "M1"],
        ["queue"],
        ["outages"],
        ["config", "--current"],
    ],
    ids=" ".join,
)
def test_json_is_one_document_and_nothing_else(story: Story, words: list[str]) -> None:
    with story.site.unchanged():
        done = story.site.good(*words, "--json")
        people = story.site.good(*words)
    done.json()
    assert done.complaint == ""
    assert "\x1b" not in done.output + people.output
    assert people.output.strip()
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        json.loads(people.output)


def test_an_outsider_sees_no_colour_codes_and_no_broken_lines(story: Story) -> None:
    shown = story.site.good("statement", "M1", COLUMNS="20").output
    assert "\x1b" not in shown
    assert len([line for line in shown.splitlines() if "PAY-1" in line]) == 1


# --- outcomes ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A store that no server has ever opened: the counter works alone."""
    site = make_site(tmp_path_factory.mktemp("counter"))
    site.add_meters("C1", "C2")
    return site


def test_a_recharge_answers_recorded_then_exists_then_exists_different(counter: Site) -> None:
    first = counter.good("recharge", "C1", "99.50", "--reference", "OUT-1")
    assert first.output.startswith("RECORDED")
    with counter.unchanged():
        again = counter.good("recharge", "C1", "99.5", "--reference", "OUT-1")
        other = counter.headend("recharge", "C1", "99.51", "--reference", "OUT-1")
        elsewhere = counter.headend("recharge", "C2", "99.50", "--reference", "OUT-1", "--json")
    assert again.output.startswith("EXISTS:")
    assert (other.status, elsewhere.status) == (4, 4)
    assert "EXISTS_DIFFERENT" in other.complaint
    assert elsewhere.json()["outcome"] == "EXISTS_DIFFERENT"
    assert "OUT-1" in other.complaint
    assert "nothing was changed" in other.complaint


def test_a_recharge_for_machines(counter: Site) -> None:
    done = counter.good("recharge", "C1", "7", "--reference", "OUT-2", "--json")
    answer = done.json()
    assert (answer["outcome"], answer["amount_micros"], answer["meter"]) == ("RECORDED", 7_000_000, "C1")
    assert counter.good("recharge", "C1", "7", "--reference", "OUT-2", "--json").json() == answer | {
        "outcome": "EXISTS"
    }


def test_a_batch_answers_each_line_and_goes_on_after_a_bad_one(counter: Site) -> None:
    lines = "C1,5,BAT-1\nC1,abc,BAT-2\nnobody,5,BAT-3\nC1,6,BAT-1\nC1\n\nC2,5,BAT-4"
    done = counter.headend("recharge", "--batch", "-", text=lines)
    answers = {answer["line"]: answer["outcome"] for answer in map(json.loads, done.output.splitlines())}
    assert answers == {
        1: "RECORDED",
        2: "REFUSED",
        3: "UNKNOWN_METER",
        4: "EXISTS_DIFFERENT",
        5: "REFUSED",
        7: "RECORDED",
    }
    assert done.status == 2
    assert "4 lines" in done.complaint
    counter.audit_in_flight()


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_batch_without_a_line_is_no_batch(text: str, counter: Site) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "--batch", "-", text=text)
    assert (done.status, done.output) == (2, "")
    assert "no line METER,RUPEES,REFERENCE" in done.complaint


def test_balances_of_a_batch_are_those_of_the_single_command(counter: Site) -> None:
    counter.good("recharge", "C1", "12", "--reference", "BAL-1")
    done = counter.headend("balance", "--batch", "-", text="C1\nnobody\n\nC2")
    first, second, third = map(json.loads, done.output.splitlines())
    assert first == {"line": 1} | counter.good("balance", "C1", "--json").json()
    assert (second["line"], "nobody is not registered" in second["error"]) == (2, True)
    assert third == {"line": 4} | counter.good("balance", "C2", "--json").json()
    assert done.status == 2
    assert "1 balances cannot be shown" in done.complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--batch", "-"), "no line METER"),
        (("C1", "--batch", "-"), "--batch reads meters"),
        ((), "say METER, or --batch FILE"),
    ],
)
def test_a_balance_needs_a_meter_or_a_batch(words: tuple[str, ...], complaint: str, counter: Site) -> None:
    done = counter.headend("balance", *words, text="")
    assert (done.status, done.output) == (2, "")
    assert complaint in done.complaint


def test_relay_orders_of_a_batch_are_answered_one_by_one(counter: Site) -> None:
    lines = "C1,open\nC1,close\nnobody,open\n\nC2,ajar"
    done = counter.headend("relay", "--batch", "-", "--reason", "exercise", text=lines)
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [(answer["line"], answer["outcome"], answer.get("version")) for answer in answers] == [
        (1, "ISSUED", 1),
        (2, "ISSUED", 2),
        (3, "REFUSED", None),
        (5, "REFUSED", None),
    ]
    assert "nobody is not registered" in answers[2]["error"]
    assert done.status == 7
    assert "2 orders" in done.complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--batch", "-"), "no line METER,open"),
        (("C1", "open", "--batch", "-"), "--batch reads meters"),
        ((), "say METER open|close"),
    ],
)
def test_a_relay_order_needs_a_position(words: tuple[str, ...], complaint: str, counter: Site) -> None:
    with counter.unchanged():
        done = counter.headend("relay", *words, "--reason", "exercise", text="")
    assert (done.status, done.output) == (2, "")
    assert complaint in done.complaint


def test_a_relay_order_waits_in_the_queue_with_its_reason(counter: Site) -> None:
    opened = counter.good("relay", "C2", "open", "--reason", "arrears of October")
    assert "version 1" in opened.output
    closed = counter.good("relay", "C2", "close", "--reason", "paid", "--json").json()
    assert closed == {"meter": "C2", "relay": "closed", "version": 2}
    rows = [row for row in counter.good("queue", "C2", "--json").json() if row["kind"] == "RELAY"]
    assert [(row["relay"], row["reason"], row["state"]) for row in rows] == [
        ("open", "arrears of October", "REJECTED"),
        ("closed", "paid", "QUEUED"),
    ]
    counter.audit_in_flight()


def test_meter_add_is_harmless_again_and_refuses_another_registration(counter: Site) -> None:
    words = ["meter", "add", "C7", "--region", "R1", "--gateway", "G7", "--installed", "2024-10-29"]
    assert counter.good(*words).output == "meter C7: REGISTERED\n"
    with counter.unchanged():
        assert counter.good(*words, "--json").json() == {"meter": "C7", "outcome": "EXISTS"}
        done = counter.headend(*words, "--register-wh", "5")
    assert done.status == 4
    assert "headend meter show C7" in done.complaint


def test_first_commands_at_the_same_time_make_one_store(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with ExitStack() as stack:
        words = ["--region", "R1", "--gateway", "G1", "--installed", "2024-10-29"]
        commands = [
            stack.enter_context(running(site, "headend", "meter", "add", f"P{n}", *words)) for n in range(4)
        ]
        assert [command.process.wait(40) for command in commands] == [0, 0, 0, 0]
    assert site.rows("SELECT meter FROM meter ORDER BY meter") == [("P0",), ("P1",), ("P2",), ("P3",)]
    assert site.store.stat().st_mode & 0o777 == 0o600


def test_meter_list_goes_page_by_page(counter: Site) -> None:
    counter.add_meters("L1", "L2", "L3", gateway="GL")
    page = counter.good("meter", "list", "--after", "L1", "--limit", "2", "--json").json()
    assert [row["meter"] for row in page["meters"]] == ["L2", "L3"]
    assert page["total"] >= 5


def test_meter_show_names_everything_of_a_meter(counter: Site) -> None:
    row = counter.good("meter", "show", "C1", "--json").json()
    assert (row["meter"], row["gateway"], row["register_wh"], row["installed"]) == ("C1", "G1", 1000, "2024-10-29")
    assert row["exceptions"] == []
    shown = counter.good("meter", "show", "C1").output
    assert re.search(r"gateway +G1", shown)


# --- meter import -----------------------------------------------------------------------------------------------

HEADER = "meter,region,gateway,register_wh,installed\n"


def test_meter_import_of_a_file_again_without_harm(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (tmp_path / "fleet.csv").write_text(HEADER + "".join(f"I{n},R1,G1,{n},2024-10-29\n" for n in range(40)))
    assert site.good("meter", "import", "fleet.csv").output.startswith("40 REGISTERED")
    with site.unchanged():
        again = site.good("meter", "import", "fleet.csv", "--json").json()
    assert again == {"REGISTERED": 0, "EXISTS": 40, "EXISTS_DIFFERENT": 0}
    (tmp_path / "fleet.csv").write_text(HEADER + "I1,R1,G2,1,2024-10-29\nI99,R1,G1,1,2024-10-29\n")
    done = site.headend("meter", "import", "fleet.csv", "--json")
    assert done.status == 4
    assert done.json() == {"REGISTERED": 1, "EXISTS": 0, "EXISTS_DIFFERENT": 1}
    assert "I1" in done.complaint


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("B2,R1,G1,12x,2024-10-29", "register_wh '12x'"),
        ("B2,R1,G1,-1,2024-10-29", "register_wh '-1'"),
        ("B 2,R1,G1,1,2024-10-29", "'B 2'"),
        ("B2,R1,G1,1,29.10.2024", "'29.10.2024'"),
    ],
)
def test_a_partly_broken_csv_names_file_line_and_fault(tmp_path: Path, line: str, what: str) -> None:
    site = make_site(tmp_path)
    (tmp_path / "broken.csv").write_text(HEADER + f"B1,R1,G1,1,2024-10-29\n{line}\nB3,R1,G1,1,2024-10-29\n")
    done = site.headend("meter", "import", "broken.csv")
    assert done.status == 2
    assert done.complaint.startswith("error: broken.csv, line 3: ")
    assert what in done.complaint


# --- configuration ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A folder for configuration files."""
    return make_site(tmp_path_factory.mktemp("desk"))


def current(desk: Site, *words: str, **more: str) -> Any:
    """What `headend config --current` says is in force."""
    return desk.good("config", "--current", "--json", *words, **more).json()


def test_the_printed_configuration_is_a_file_that_config_takes(desk: Site) -> None:
    (desk.folder / "printed.toml").write_text(desk.good("config").output)
    from_file = current(desk, "--config", "printed.toml")
    assert from_file == current(desk)
    lines = (desk.folder / "printed.toml").read_text().splitlines()
    keys = [line for line in lines if re.match(r"(# )?\w+ = ", line)]
    assert len(keys) == len(from_file)
    assert all(lines[lines.index(key) - 1].startswith("# ") for key in keys), "a key without a comment"


def test_a_headend_toml_in_the_folder_is_read_by_itself(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (tmp_path / "headend.toml").write_text("max_day_wh = 9000\n")
    assert current(site)["max_day_wh"] == 9000


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(desk: Site) -> None:
    (desk.folder / "mine.toml").write_text('zone = "Asia/Dubai"\nwindow = 7\n')
    found = current(desk, "--config", "mine.toml", HEADEND_WINDOW="9")
    assert (found["zone"], found["window"], found["poll_s"]) == ("Asia/Dubai", 9, 0.05)
    assert current(desk, HEADEND_CONFIG="mine.toml")["window"] == 7


def test_an_option_goes_before_the_environment(desk: Site) -> None:
    desk.good("meter", "add", "O1", "--region", "R1", "--gateway", "G1", "--store", "option.db")
    (desk.folder / "store.toml").write_text('store = "file.db"\n')
    desk.good("meter", "list", "--config", "store.toml", "--store", "option.db", HEADEND_STORE="environment.db")
    assert not (desk.folder / "environment.db").exists()
    assert not (desk.folder / "file.db").exists()
    assert rows_of(desk.folder / "option.db", "SELECT meter FROM meter") == [("O1",)]


# --- the server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A store whose server was killed, whose broker was down and whose gateway lost its session."""
    site = make_site(tmp_path_factory.mktemp("journal"))
    site.add_meters("M1")
    with mosquitto_on(site.folder) as broker:
        with serving(site, broker.port) as serve:
            time.sleep(1.1)  # for a sign of life that is older than the start
            serve.kill()
        with serving(site, broker.port) as serve, gateway_by_hand(site, broker.port) as gateway:
            gateway.status(online=True)
            gateway.receipt(gateway.hello("M1"))
            gateway.ear.kill()  # the broker speaks its last will
            wait_until(lambda: open_outages(site) == ["GATEWAY"])
            broker.kill()
            wait_until(lambda: "BROKER_LINK" in open_outages(site))
            broker.start()
            wait_until(lambda: open_outages(site) == ["GATEWAY"])
            assert serve.ask_to_stop() == 0
    return site


def open_outages(site: Site) -> list[str]:
    return [kind for (kind,) in site.rows("SELECT kind FROM outage WHERE ended_at_s IS NULL ORDER BY kind")]


def outage(site: Site, kind: str, detail: str) -> dict[str, Any]:
    rows = site.good("outages", "--json").json()
    (row,) = [row for row in rows if row["kind"] == kind and detail in row["detail"]]
    return dict(row)


def test_a_killed_server_is_an_outage_with_both_its_times(journal: Site) -> None:
    row = outage(journal, "HEADEND", "ended without a word")
    assert row["began_at_s"] <= row["ended_at_s"]
    assert abs(row["began_at_s"] - time.time()) < 300
    assert ISO_TIME.fullmatch(row["began_at"])
    assert ISO_TIME.fullmatch(row["ended_at"])


def test_a_lost_broker_is_an_outage_with_both_its_times(journal: Site) -> None:
    rows = [row for row in journal.good("outages", "--json").json() if row["kind"] == "BROKER_LINK"]
    (lost,) = [row for row in rows if row["detail"] != "not connected yet"]
    assert lost["began_at_s"] <= lost["ended_at_s"]
    assert "127.0.0.1" in lost["detail"]


def test_a_gateway_with_a_last_will_is_an_outage_that_lasts(journal: Site) -> None:
    row = outage(journal, "GATEWAY", "session ended")
    assert row["subject"] == "R1/G1"
    assert row["ended_at_s"] is None
    assert [row["kind"] for row in journal.good("outages", "--open", "--json").json()] == ["GATEWAY"]
    assert "R1/G1" in journal.good("outages", "--open").output


def test_a_good_stop_is_told_from_a_kill(journal: Site, tmp_path: Path) -> None:
    with mosquitto_on(tmp_path) as broker, serving(journal, broker.port) as serve:
        assert serve.ask_to_stop() == 0
    assert outage(journal, "HEADEND", "stopped in good order")


def test_a_second_server_on_the_same_store_is_refused(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.add_meters("M1")
    port = find_free_port()
    with serving(site, port, connected=False) as first:
        second = site.headend("serve", "--broker", f"mqtt://127.0.0.1:{port}")
        assert second.status == 5
        assert str(site.store) in second.complaint
        assert "another headend serve" in second.complaint
        assert first.is_running()
        # and the counter still works beside the first one
        site.good("recharge", "M1", "5", "--reference", "BESIDE")
        first.kill()
    with serving(site, port, connected=False) as third:
        assert third.ask_to_stop() == 0, "a killed server leaves no lock behind"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_a_broker_stops_as_fast(tmp_path: Path, number: signal.Signals) -> None:
    site = make_site(tmp_path)
    with serving(site, find_free_port(), connected=False) as serve:
        asked_s = time.monotonic()
        serve.process.send_signal(number)
        assert serve.process.wait(10) == 0
        assert time.monotonic() - asked_s < 3


# --- the plant --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The embedded broker; yields its port."""
    site = make_site(tmp_path_factory.mktemp("embedded"))
    port = find_free_port()
    (site.folder / "broker.yaml").write_text(f"port: {port}\n")
    with running(site, "headend", "broker") as broker:
        broker.wait_for("broker ready")
        yield port
        assert broker.ask_to_stop() == 0


def test_doctor_is_content_where_all_is_there(counter: Site, embedded: int) -> None:
    words = ["doctor", "--broker", f"mqtt://127.0.0.1:{embedded}"]
    done = counter.headend(*words)
    assert done.status == 0, done
    assert "TROUBLE" not in done.output
    findings = counter.good(*words, "--json").json()
    assert {finding["what"] for finding in findings} >= {"sqlite", "store", "broker", "disk"}
    assert all(finding["ok"] is True for finding in findings)


def test_doctor_says_what_is_wrong_and_what_to_do(counter: Site) -> None:
    words = ["doctor", "--broker", f"mqtt://127.0.0.1:{find_free_port()}"]
    done = counter.headend(*words)
    assert done.status == 1
    (trouble,) = [line for line in done.output.splitlines() if line.startswith("TROUBLE")]
    assert "headend broker" in trouble
    findings = counter.headend(*words, "--json")
    assert findings.status == 1
    assert [finding["what"] for finding in findings.json() if not finding["ok"]] == ["broker"]


def test_the_head_end_works_over_the_embedded_broker(counter: Site, embedded: int) -> None:
    with serving(counter, embedded) as serve:
        assert serve.is_running()
        assert serve.ask_to_stop() == 0


# --- documentation ----------------------------------------------------------------------------------------------


def command_names() -> list[str]:
    group = typer.main.get_command(app)
    names = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        names += [name] if inner is None else [f"{name} {below}" for below in inner]
    return names


@pytest.mark.parametrize(
    "name",
    command_names(),
)
def test_every_command_stands_in_the_readme(name: str) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert f"headend {name}" in readme.read_text()


def test_help_names_every_command(counter: Site) -> None:
    done: Done = counter.good("--help")
    for name in command_names():
        assert name.split()[0] in done.output
