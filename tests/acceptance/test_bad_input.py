"""Bad input from people, from gateways and from the machine: said clearly, nothing lost, nothing half done.

Each complaint says what was wrong, where, and what to do; `Site.run` fails on any traceback.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import (
    HandGateway,
    Mosquitto,
    Running,
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

MIDNIGHT_S = 1_730_226_600  # 2024-10-30 00:00 in Kolkata


# --- people -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = make_site(tmp_path_factory.mktemp("counter"))
    site.add_meters("M1", "M2")
    site.good("recharge", "M1", "50", "--reference", "PAID")
    return site


@pytest.mark.parametrize(
    "words",
    [
        ["recharge", "M9", "50", "--reference", "NEW"],
        ["balance", "M9"],
        ["relay", "M9", "open", "--reason", "test"],
        ["meter", "show", "M9"],
    ],
    ids=lambda words: words[0],
)
def test_an_unknown_meter_is_status_3_and_named(counter: Site, words: list[str]) -> None:
    with counter.unchanged():
        done = counter.headend(*words)
    assert done.status == 3
    assert "meter M9 is not registered" in done.complaint
    assert "headend meter add" in done.complaint


HUGE = "9" * 20
WHO = ("--actor", "asha", "--reason", "test")


@pytest.mark.parametrize(
    "words",
    [
        ["moratorium", "end", HUGE, *WHO],
        ["quarantine", "release", HUGE, *WHO],
        ["quarantine", "drop", HUGE, *WHO],
        ["meter", "terms", "M1", "--from", "2030-01-01", "--load-w", HUGE, *WHO],
        ["meter", "terms", "M1", "--from", "2030-01-01", "--load-w", "1000000001", *WHO],
        ["meter", "move-out", "M1", "--last-day", "2199-12-31", *WHO],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_number_or_day_beyond_all_bounds_is_refused(counter: Site, words: list[str]) -> None:
    with counter.unchanged():
        done = counter.headend(*words)
    assert done.status == 2
    assert done.output == ""


@pytest.mark.parametrize("amount", ["0", "NaN", "9" * 5_000, "\u0665\u0660"], ids=lambda amount: repr(amount[:12]))
def test_an_absurd_amount_is_refused_and_shown(counter: Site, amount: str) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "M1", amount, "--reference", "NEW")
    assert done.status == 2
    assert "amount" in done.complaint
    assert len(done.complaint) < 300
    assert done.output == ""


def test_absurd_amounts_in_a_batch_are_refused_line_by_line(counter: Site) -> None:
    amounts = ["-5", "0", "0.00", "nan", "NaN", "inf", "-inf", "1e9", "1E2", "1000000.01", "9" * 5_000, "5.001"]
    amounts += ["", "0x10", "+5", "1_000", "\u0665\u0660", "\uff15", "5\u00b2", "Rs5", ".5", "5.", "1 000"]
    lines = [f"M1,{amount},NEW-{n}" for n, amount in enumerate(amounts)]
    with counter.unchanged():
        done = counter.headend("recharge", "--batch", "-", text="\n".join(lines))
    assert done.status == 2
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [answer["line"] for answer in answers if answer["outcome"] == "REFUSED"] == [
        *range(1, len(amounts) + 1)
    ]
    assert all("amount" in answer["error"] for answer in answers)


@pytest.mark.parametrize("words", [["M1", "-5"], ["--", "M1", "-5"]], ids=["bare", "after --"])
def test_a_negative_amount_is_refused(counter: Site, words: list[str]) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "--reference", "NEW", *words)
    assert done.status == 2
    assert "-5" in done.complaint


def test_a_negative_amount_is_called_an_amount(counter: Site) -> None:
    assert "amount" in counter.headend("recharge", "M1", "-5", "--reference", "NEW").complaint


def test_a_reused_reference_with_another_amount_is_status_4(counter: Site) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "M1", "51", "--reference", "PAID")
    assert done.status == 4
    assert "reference PAID stands for another recharge" in done.complaint


@pytest.mark.parametrize("reference", ["", "a b", "x" * 65, "über", "a/b"])
def test_a_reference_that_cannot_be_one_is_refused(counter: Site, reference: str) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "M1", "5", "--reference", reference)
    assert done.status == 2
    assert "reference" in done.complaint


def test_bytes_that_are_no_text_are_refused_line_by_line(counter: Site) -> None:
    with counter.unchanged():
        done = counter.headend("recharge", "--batch", "-", text=b"M1,\xff,NEW-1\n\xff\x00,5,NEW-2\n")
    assert done.status == 2
    assert [json.loads(line)["outcome"] for line in done.output.splitlines()] == ["REFUSED", "REFUSED"]


def test_an_unknown_word_for_a_relay_position_is_refused(counter: Site) -> None:
    with counter.unchanged():
        done = counter.headend("relay", "M1", "off", "--reason", "test")
        blank = counter.headend("relay", "M1", "open", "--reason", " ")
    assert (done.status, blank.status) == (2, 2)
    assert "'M1 off'" in done.complaint
    assert "open: cut off" in done.complaint
    assert "--reason" in blank.complaint


@pytest.mark.parametrize("words", [["queue"], ["statement", "M1"]], ids=lambda words: words[0])
def test_a_huge_page_start_is_no_traceback(counter: Site, words: list[str]) -> None:
    assert counter.headend(*words, "--after", "9" * 20).status in (0, 2)


def test_a_reason_that_is_no_text_is_refused(counter: Site) -> None:
    assert counter.headend("relay", "M1", "open", "--reason", os.fsdecode(b"x\xff")).status == 2


def test_an_absurd_day_of_installation_is_refused_or_shown(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    words = ["--region", "R1", "--gateway", "G1", "--installed", "0001-01-01"]
    assert site.headend("meter", "add", "OLD", *words).status in (0, 2)
    assert site.headend("meter", "show", "OLD").status in (0, 3, 5)


HEADER = "meter,region,gateway,register_wh,installed\n"


def imported(folder: Path, text: str) -> tuple[Site, int, str]:
    site = make_site(folder)
    (folder / "fleet.csv").write_text(text)
    done = site.headend("meter", "import", "fleet.csv")
    return site, done.status, done.complaint


def test_a_huge_register_in_a_csv_is_refused(tmp_path: Path) -> None:
    _, status, complaint = imported(tmp_path, f"{HEADER}M1,R1,G1,{'9' * 5_000},\n")
    assert status == 2
    assert "line 2" in complaint


def test_what_a_broken_csv_says_of_the_lines_before_is_true(tmp_path: Path) -> None:
    site, status, complaint = imported(tmp_path, f"{HEADER}M1,R1,G1,1,\nM2,R1,G1,x,\n")
    assert status == 2
    assert ("lines before are in" in complaint) == (site.rows("SELECT meter FROM meter") == [("M1",)])


@pytest.mark.parametrize("line", ["M2,R1,G1", "M2,R1,G1,,2024-10-29"])
def test_a_csv_line_without_a_register_is_refused(tmp_path: Path, line: str) -> None:
    site, status, complaint = imported(tmp_path, f"{HEADER}M1,R1,G1,1,2024-10-29\n{line}\n")
    assert status == 2
    assert "line 3" in complaint
    assert site.rows("SELECT meter FROM meter WHERE meter = 'M2'") == []


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"], ids=["empty", "other columns", "binary"]
)
def test_a_file_that_is_no_csv_of_meters_is_refused(tmp_path: Path, content: bytes) -> None:
    site = make_site(tmp_path)
    (tmp_path / "fleet.csv").write_bytes(content)
    done = site.headend("meter", "import", "fleet.csv")
    assert done.status == 2
    assert "fleet.csv" in done.complaint
    assert site.rows("SELECT * FROM meter") == []


def test_a_csv_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = make_site(tmp_path).headend("meter", "import", "absent.csv")
    assert done.status == 2
    assert "absent.csv: No such file" in done.complaint


# --- configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('stroe = "x.db"\n', "unknown key 'stroe'"),
        ("a = = b\n", "line 1"),
        ("window = 0\n", "window"),
        ('max_day_wh = "much"\n', "max_day_wh"),
        ('zone = "Mars/Olympus"\n', "'Mars/Olympus'"),
        ('broker = "http://x"\n', "mqtt://127.0.0.1:1883"),
    ],
    ids=["unknown key", "no TOML", "out of range", "no number", "no zone", "no broker"],
)
def test_a_bad_configuration_names_file_and_key(counter: Site, text: str, what: str) -> None:
    (counter.folder / "bad.toml").write_text(text)
    with counter.unchanged():
        done = counter.headend("balance", "M1", "--config", "bad.toml")
    assert done.status == 2
    assert "bad.toml" in done.complaint
    assert what in done.complaint


def test_an_unknown_key_is_answered_with_the_known_ones(counter: Site) -> None:
    (counter.folder / "typo.toml").write_text('stroe = "x.db"\n')
    done = counter.headend("serve", "--config", "typo.toml")
    assert done.status == 2
    assert "known are" in done.complaint
    assert "store" in done.complaint


def test_a_configuration_that_is_not_there_is_named(counter: Site) -> None:
    done = counter.headend("balance", "M1", "--config", "absent.toml")
    assert done.status == 2
    assert "absent.toml does not exist" in done.complaint
    assert "headend config" in done.complaint


# --- the store --------------------------------------------------------------------------------------------------


STORE_COMMANDS = [["recharge", "M1", "5", "--reference", "X"], ["audit"], ["serve"]]


@pytest.mark.parametrize("words", STORE_COMMANDS, ids=lambda words: words[0])
def test_garbage_as_a_store_is_left_as_it_is(tmp_path: Path, words: list[str]) -> None:
    site = make_site(tmp_path)
    garbage = bytes(range(256)) * 64
    site.store.write_bytes(garbage)
    done = site.headend(*words)
    assert done.status == 5
    assert str(site.store) in done.complaint
    assert "--store" in done.complaint
    assert site.store.read_bytes() == garbage


@pytest.mark.parametrize("words", STORE_COMMANDS, ids=lambda words: words[0])
def test_a_store_from_a_newer_version_is_left_as_it_is(tmp_path: Path, words: list[str]) -> None:
    site = make_site(tmp_path)
    site.add_meters("M1")
    connection = sqlite3.connect(site.store)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('headend', 'm999_later', '')"
    )
    connection.commit()
    connection.close()
    with site.unchanged():
        done = site.headend(*words)
    assert done.status == 5
    assert "newer version" in done.complaint
    assert "m999_later" in done.complaint


@pytest.mark.parametrize(
    "words",
    [
        STORE_COMMANDS[0],
        pytest.param(
            STORE_COMMANDS[2],
        ),
    ],
    ids=lambda words: words[0],
)
def test_a_store_where_no_folder_can_be_is_status_5(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("")
    site = Site(tmp_path, tmp_path / "file" / "store.db")
    done = site.headend(*words)
    assert done.status == 5
    assert str(site.store) in done.complaint


@pytest.mark.parametrize(
    "words",
    [
        STORE_COMMANDS[1],
        pytest.param(
            STORE_COMMANDS[2],
        ),
    ],
    ids=lambda words: words[0],
)
def test_a_store_in_a_folder_that_may_not_be_written_is_status_5(tmp_path: Path, words: list[str]) -> None:
    # /proc takes no files from anybody, root included.
    site = Site(tmp_path, Path("/proc/store.db"))
    done = site.headend(*words)
    assert done.status == 5
    assert "/proc/store.db" in done.complaint


def test_a_store_that_is_a_folder_is_status_5(tmp_path: Path) -> None:
    done = Site(tmp_path, tmp_path).headend("audit")
    assert done.status == 5
    assert "check the path" in done.complaint


def test_an_audit_of_a_store_that_is_not_there_fails(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    done = site.headend("audit", "--store", "typo.db")
    assert done.status == 5
    assert not (tmp_path / "typo.db").exists()


def test_somebody_elses_database_is_left_as_it_is(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    connection = sqlite3.connect(site.store)
    connection.execute("CREATE TABLE photo (name TEXT)")
    connection.commit()
    connection.close()
    done = site.headend("meter", "list")
    assert done.status == 5
    assert "another program" in done.complaint
    assert site.rows("SELECT name FROM sqlite_schema") == [("photo",)]


def test_a_fleet_log_that_is_none_is_named(counter: Site) -> None:
    (counter.folder / "note.txt").write_text("no log")
    for path in ("note.txt", "absent.db"):
        done = counter.headend("audit", "--in-flight", "--fleet-log", path)
        assert done.status == 5
        assert path in done.complaint


# --- the broker -------------------------------------------------------------------------------------------------


def test_a_taken_port_for_the_broker_is_named(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (tmp_path / "broker.yaml").write_text("")
    with mosquitto_on(tmp_path) as broker:
        done = site.headend("broker", "--port", str(broker.port))
    assert done.status == 6
    assert str(broker.port) in done.complaint
    assert "--port" in done.complaint or "broker.yaml" in done.complaint


def test_a_broker_without_its_settings_or_with_odd_ones_says_so(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    absent = site.headend("broker")
    (tmp_path / "broker.yaml").write_text("prot: 1883\n")
    odd = site.headend("broker")
    (tmp_path / "broker.yaml").write_text("host: 0.0.0.0\n")
    public = site.headend("broker")
    assert (absent.status, odd.status, public.status) == (2, 2, 2)
    assert all("broker.yaml" in done.complaint for done in (absent, odd, public))
    assert "prot" in odd.complaint
    assert "allow_off_loopback" in public.complaint


def test_serve_says_once_that_the_broker_is_away_and_connects_when_it_comes(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.add_meters("M1")
    port = find_free_port()
    with serving(site, port, connected=False) as serve:
        serve.wait_for("cannot be reached")
        time.sleep(2.5)  # at least two more attempts
        assert serve.complaint().count("cannot be reached") == 1
        assert f"127.0.0.1:{port}" in serve.complaint()
        with mosquitto_on(tmp_path, port):
            serve.wait_for("connected to broker")
            with gateway_by_hand(site, port) as gateway:
                gateway.receipt(gateway.hello("M1"))
            assert serve.ask_to_stop() == 0


def test_a_fleet_that_reaches_no_broker_ends_with_status_6(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    port = find_free_port()
    words = ["--meters", "2", "--connect-timeout", "1", "--log", "fleet.db"]
    done = site.run("meter-sim", "run", *words, "--broker", f"mqtt://127.0.0.1:{port}")
    assert done.status == 6
    assert f"127.0.0.1:{port}" in done.complaint
    assert "--broker" in done.complaint


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--meters", "0"], "0 meters"),
        (["--meters-per-gateway", "0"], "per gateway"),
        (["--interval", "-5m"], "'-5m'"),
        (["--speed", "nan"], "--speed"),
        (["--broker", "mqtt://x"], "mqtt://HOST:PORT"),
        (["--clock", "x"], "START@EPOCHxSPEED"),
        (["--connect-rate", "nan"], "--connect-rate"),
        pytest.param(
            ["--speed", "1e300"],
            "--speed",
        ),
        pytest.param(
            ["--start", "9999-12-31"],
            "--start",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_fleet_with_silly_numbers_is_refused(tmp_path: Path, words: list[str], what: str) -> None:
    site = make_site(tmp_path)
    broker = ["--broker", f"mqtt://127.0.0.1:{find_free_port()}", "--connect-timeout", "1"]
    done = site.run("meter-sim", "run", "--meters", "2", *broker, *words)
    assert done.status == 2
    assert what in done.complaint


# --- gateways ---------------------------------------------------------------------------------------------------


@dataclass
class Bus:
    """A live head-end with a gateway by hand."""

    site: Site
    broker: Mosquitto
    serve: Running
    gateway: HandGateway
    good_seq: int = 0

    def still_works(self) -> None:
        """A good reading goes through: whatever came before has harmed nobody."""
        self.good_seq += 1
        frame = self.gateway.reading("GOOD", self.good_seq, 1000 + self.good_seq)
        assert self.gateway.receipt(frame)["outcome"] == "accepted"
        held = self.site.rows(
            "SELECT reading_seq, register_wh FROM register JOIN meter USING (meter_key) WHERE meter = 'GOOD'"
        )
        assert held == [(self.good_seq, 1000 + self.good_seq)]
        assert self.serve.is_running()
        assert "Traceback" not in self.serve.complaint()

    def letters(self, code: str) -> list[tuple[bytes, str, int, str]]:
        query = "SELECT payload, topic, count, detail FROM dead_letter WHERE code = ? ORDER BY dead_letter_id"
        return [(payload, topic, count, detail) for payload, topic, count, detail in self.site.rows(query, code)]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    site = make_site(tmp_path_factory.mktemp("bus"))
    site.add_meters("GOOD", "BACK", "SNAP")
    site.add_meters("OTHER", gateway="G2")
    with (
        mosquitto_on(site.folder) as broker,
        serving(site, broker.port) as serve,
        gateway_by_hand(site, broker.port) as gateway,
    ):
        gateway.receipt(gateway.hello("GOOD", "BACK", "SNAP"))
        yield Bus(site, broker, serve, gateway)
        site.audit_in_flight()
        assert serve.ask_to_stop() == 0


NESTED = b'{"v":1,"x":' + b"[" * 300 + b"]" * 300 + b"}"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"v":1,"frame":', "BAD_JSON"),
        (b"\x00\xff\xfe binary \x80", "BAD_JSON"),
        (b'{"v":1,"frame":NaN}', "BAD_JSON"),
        (NESTED, "BAD_JSON"),
        (b"", "BAD_JSON"),
        (b" " * 70_000, "TOO_LARGE"),
        (b'{"v":2}', "UNKNOWN_VERSION"),
        (b"{}", "UNKNOWN_VERSION"),
        (b"[]", "BAD_MESSAGE"),
    ],
    ids=["cut off", "binary", "NaN", "nested", "empty", "oversized", "version 2", "no version", "a list"],
)
def test_a_payload_that_cannot_be_read_is_refused_and_kept_with_its_bytes(
    bus: Bus, payload: bytes, code: str
) -> None:
    before = len(bus.gateway.receipts())
    bus.gateway.publish("up/readings", payload)
    wait_until(lambda: len(bus.gateway.receipts()) > before)
    receipt = bus.gateway.receipts()[before]
    assert receipt["outcome"] == "refused"
    assert receipt.get("frame") is None
    found = receipt["code"]
    assert found == code or (payload == b"[]" and found in ("BAD_JSON", "UNKNOWN_VERSION"))
    bus.gateway.publish("up/readings", payload)
    wait_until(lambda: len(bus.gateway.receipts()) > before + 1)
    kept = payload[:65_536]  # of one that is too large, as much as may be right
    letters = [letter for letter in bus.letters(found) if letter[0] == kept]
    assert [(topic, count) for _, topic, count, _ in letters] == [(bus.gateway.topic("up/readings"), 2)]
    assert kept == payload or "70000" in letters[0][3].replace(",", "")
    bus.still_works()


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"seqs": [1.0]}, "seqs"),
        ({"registers_wh": [-1]}, "registers_wh"),
        ({"registers_wh": [2**53]}, "registers_wh"),
        ({"registers_wh": [1, 2]}, ""),
        ({"meters": ["M+1"]}, "meters"),
        ({"kind": "guess"}, "kind"),
        ({"meters": [], "seqs": [], "at_s": [], "registers_wh": []}, ""),
    ],
    ids=["float", "negative", "too big", "columns differ", "bad id", "bad kind", "empty"],
)
def test_a_frame_that_breaks_the_contract_is_refused_by_its_number(
    bus: Bus, fields: dict[str, object], where: str
) -> None:
    frame = bus.gateway.new_frame()
    columns = {"meters": ["GOOD"], "seqs": [9], "at_s": [1_730_225_700], "registers_wh": [9]}
    message = {"frame": frame, "sent_at_s": 1, "kind": "interval"} | columns | fields
    bus.gateway.say("up/readings", **message)
    receipt = bus.gateway.receipt(frame)
    assert (receipt["outcome"], receipt["code"]) == ("refused", "BAD_MESSAGE")
    assert where in receipt["detail"]
    bus.still_works()


def test_a_frame_of_another_version_is_refused_by_its_number(bus: Bus) -> None:
    frame = bus.gateway.new_frame()
    bus.gateway.publish("up/readings", json.dumps({"v": 2, "frame": frame}))
    receipt = bus.gateway.receipt(frame)
    assert (receipt["outcome"], receipt["code"]) == ("refused", "UNKNOWN_VERSION")
    bus.still_works()


def test_a_topic_that_is_none_of_ours_is_kept_as_a_letter(bus: Bus) -> None:
    bus.gateway.publish("up/gossip", b'{"v":1}')
    wait_until(lambda: any(topic.endswith("up/gossip") for _, topic, _, _ in bus.letters("BAD_TOPIC")))
    bus.still_works()


def test_strangers_in_a_frame_are_refused_and_the_others_taken(bus: Bus) -> None:
    bus.good_seq += 1
    frame = bus.gateway.new_frame()
    rows = {"meters": ["NOBODY", "GOOD", "OTHER"], "seqs": [1, bus.good_seq, 1], "at_s": [1_730_225_700] * 3}
    registers_wh = [5, 1000 + bus.good_seq, 2000]
    bus.gateway.say("up/readings", frame=frame, sent_at_s=1, kind="interval", registers_wh=registers_wh, **rows)
    receipt = bus.gateway.receipt(frame)
    assert receipt["outcome"] == "accepted"
    codes = {row["meter"]: row["code"] for row in receipt["refused"]}
    assert codes == {"NOBODY": "UNKNOWN_METER", "OTHER": "OTHER_GATEWAY"}
    assert any(b"NOBODY" in payload for payload, _, _, _ in bus.letters("ROWS_REFUSED"))
    bus.still_works()


def test_a_register_that_goes_back_is_flagged_and_not_billed(bus: Bus) -> None:
    assert bus.gateway.receipt(bus.gateway.reading("BACK", 1, 3000))["refused"] == []
    balance = bus.site.good("balance", "BACK", "--json").json()
    frame = bus.gateway.reading("BACK", 2, 2000)
    receipt = bus.gateway.receipt(frame)
    assert receipt["outcome"] == "accepted"
    assert receipt["refused"] == [{"meter": "BACK", "code": "REGISTER_WENT_BACK"}]
    shown = bus.site.good("meter", "show", "BACK", "--json").json()
    assert (shown["register_wh"], shown["reading_seq"]) == (3000, 1)
    (exception,) = shown["exceptions"]
    assert exception["kind"] == "REGISTER_WENT_BACK"
    assert "2000" in exception["detail"]
    assert "3000" in exception["detail"]
    assert bus.site.good("balance", "BACK", "--json").json() == balance
    assert "REGISTER_WENT_BACK" in bus.site.good("meter", "show", "BACK").output
    bus.still_works()


def test_a_snapshot_at_no_midnight_is_refused_and_kept(bus: Bus) -> None:
    frame = bus.gateway.reading("SNAP", 1, 1500, at_s=MIDNIGHT_S + 1, kind="snapshot")
    receipt = bus.gateway.receipt(frame)
    assert receipt["refused"] == [{"meter": "SNAP", "code": "NOT_MIDNIGHT"}]
    assert bus.site.rows("SELECT * FROM snapshot") == []
    bus.still_works()


def test_a_frame_sent_twice_changes_nothing(bus: Bus) -> None:
    bus.still_works()
    frame = bus.gateway.frame
    with bus_registers_unchanged(bus):
        bus.gateway.reading("GOOD", bus.good_seq, 1000 + bus.good_seq, frame=frame)
        assert bus.gateway.receipt(frame, number=2)["outcome"] == "accepted"


@contextmanager
def bus_registers_unchanged(bus: Bus) -> Iterator[None]:
    query = "SELECT * FROM register UNION ALL SELECT meter_key, day, register_wh, 0, 0 FROM snapshot ORDER BY 1"
    before = bus.site.rows(query)
    yield
    assert bus.site.rows(query) == before


def test_an_unknown_gateway_is_told_later_and_works_once_it_is_registered(bus: Bus) -> None:
    with gateway_by_hand(bus.site, bus.broker.port, "G9") as stranger:
        receipt = stranger.receipt(stranger.hello("NEW"))
        assert (receipt["outcome"], receipt["code"]) == ("later", "UNKNOWN_GATEWAY")
        assert receipt["retry_after_s"] == 60
        frame = stranger.reading("NEW", 1, 1100)
        assert stranger.receipt(frame)["outcome"] == "later"
        bus.site.add_meters("NEW", gateway="G9")
        assert stranger.receipt(stranger.hello("NEW"))["outcome"] == "accepted"
        stranger.reading("NEW", 1, 1100, frame=frame)
        assert stranger.receipt(frame, number=2) == {"frame": frame, "outcome": "accepted", "refused": []}
        bus.site.good("recharge", "NEW", "5", "--reference", "FIRST")
        assert stranger.command("NEW", 1)["credit_total_micros"] == 5_000_000
    assert bus.site.good("meter", "show", "NEW", "--json").json()["register_wh"] == 1100
    bus.still_works()


def test_an_answer_to_a_credit_that_was_never_sent_is_flagged_and_credits_nothing(bus: Bus) -> None:
    bus.gateway.credit_applied("SNAP", 7, 700_000_000)
    wait_until(
        lambda: bus.site.rows("SELECT count(*) FROM exception WHERE kind <> 'REGISTER_WENT_BACK'") != [(0,)]
    )
    assert bus.site.good("balance", "SNAP", "--json").json()["balance_micros"] == 0
    bus.still_works()


# --- a full disk ------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, mounted; only root may."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out:
        for size in (65_536, 512, 1):
            try:
                while True:
                    out.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(disk).free == 0
    return ballast


def test_a_recharge_on_a_full_disk_is_refused_and_works_after(tmp_path: Path, small_disk: Path) -> None:
    site = Site(tmp_path, small_disk / "store.db")
    site.add_meters("M1")
    ballast = fill(small_disk)
    done = site.headend("recharge", "M1", "5", "--reference", "FULL")
    assert done.status == 5
    assert "error: store" in done.complaint
    assert "full" in done.complaint or "No space" in done.complaint
    assert "nothing was half done" in done.complaint
    ballast.unlink()
    assert site.rows("SELECT count(*) FROM transfer") == [(0,)]
    assert site.good("recharge", "M1", "5", "--reference", "FULL").output.startswith("RECORDED")
    site.audit_in_flight()


def test_a_server_on_a_full_disk_goes_on_once_there_is_space(tmp_path: Path, small_disk: Path) -> None:
    site = Site(tmp_path, small_disk / "store.db")
    site.add_meters(*(f"M{n}" for n in range(400)))
    with (
        mosquitto_on(tmp_path) as broker,
        serving(site, broker.port) as serve,
        gateway_by_hand(site, broker.port) as gateway,
    ):
        gateway.receipt(gateway.hello("M0"))
        ballast = fill(small_disk)
        frames: list[int] = []
        while "trying again" not in serve.complaint() and len(frames) < 100:
            frames.append(say_everything(gateway, len(frames) + 1))
            time.sleep(0.05)
        serve.wait_for("trying again")
        frames += [say_everything(gateway, len(frames) + number) for number in (1, 2, 3)]
        time.sleep(2.2)  # some more attempts
        said = serve.complaint()
        assert said.count("trying again") <= 2, "says it once, not at every attempt"
        assert "full" in said or "No space" in said
        assert serve.is_running()
        answered = {receipt["frame"] for receipt in gateway.receipts()}
        assert frames[-1] not in answered, "a receipt without a commit"
        ballast.unlink()
        serve.wait_for("can be written again")
        for frame in frames:
            assert gateway.receipt(frame)["outcome"] == "accepted"
        last = len(frames)
        rows = site.rows("SELECT DISTINCT reading_seq, register_wh FROM register")
        assert rows == [(last, 1000 + last)]
        assert serve.ask_to_stop() == 0
    site.audit_in_flight()


def say_everything(gateway: HandGateway, seq: int) -> int:
    """A reading of each of 400 meters."""
    frame = gateway.new_frame()
    rows = {"meters": [f"M{n}" for n in range(400)], "seqs": [seq] * 400, "at_s": [1_730_225_700 + seq] * 400}
    registers_wh = [1000 + seq] * 400
    gateway.say("up/readings", frame=frame, sent_at_s=1, kind="interval", registers_wh=registers_wh, **rows)
    return frame


def test_an_answer_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    """The output's disk is full, the store's is not: the recharge stands, and the same again says so."""
    site = make_site(tmp_path)
    site.add_meters("M1")
    done = site.run("sh", "-c", "headend recharge M1 5 --reference OUT >/dev/full")
    assert done.status != 0
    assert "No space left" in done.complaint
    assert site.good("recharge", "M1", "5", "--reference", "OUT").output.startswith("EXISTS")


# --- interruptions ----------------------------------------------------------------------------------------------


def test_a_batch_that_is_interrupted_has_answered_for_what_it_did(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.add_meters("M1")
    lines = tmp_path / "lines.csv"
    lines.write_text("".join(f"M1,5,R-{n}\n" for n in range(5_000)))
    with running(site, "headend", "recharge", "--batch", str(lines)) as batch:
        batch.wait_for('"line": 20')
        batch.process.send_signal(signal.SIGINT)
        assert batch.process.wait(10) != 0
        answered = [line for line in batch.output().split("\n")[:-1] if "RECORDED" in line]
    (count,) = rows_of(site.store, "SELECT count(*) FROM transfer")[0]
    assert len(answered) <= count <= len(answered) + 1
    assert count < 5_000
    site.audit_in_flight()
