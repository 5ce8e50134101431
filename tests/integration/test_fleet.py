"""The fleet as a process against a real mosquitto; a small head-end of the test's own gives receipts."""

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from waiting import wait_until

from headend.wire.checksum import unseal
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.messages import CreditCommand

PROGRAM = Path(sys.executable).with_name("meter-sim")
METERS = 40
GATEWAYS = 4


class Responder:
    """Receipts a share of what comes up, and repeats each meter's credit counter until its result."""

    def __init__(self, port: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.frames: dict[tuple[str, int], Any] = {}
        self.readings: dict[str, dict[int, int]] = defaultdict(dict)
        self.applied: dict[str, tuple[int, int]] = {}
        self.credits: dict[str, tuple[str, int, int]] = {}
        self.online: dict[str, bool] = {}
        self.contradictions: list[str] = []
        self.receipted_share = 0.5
        self.key: MasterKey | None = None
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("ami/v1/R1/+/up/+", 1)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send_credits(self) -> None:
        with self._lock:
            open_ones = [
                (meter, *credit)
                for meter, credit in self.credits.items()
                if self.applied.get(meter, (0, 0))[0] < credit[1]
            ]
        for meter, gateway, seq, total in open_ones:
            command = CreditCommand(meter=meter, seq=seq, credit_total_micros=total, issued_at_s=1)
            sent = command if self.key is None else self.key.sign(command)
            self._down(gateway, "commands", {"commands": [sent.model_dump(exclude_none=True)]})

    def all_applied(self) -> bool:
        self.send_credits()
        with self._lock:
            return all(self.applied.get(meter) == credit[1:] for meter, credit in self.credits.items())

    def highest_seq(self) -> int:
        with self._lock:
            return (
                min((max(seqs) for seqs in self.readings.values()), default=0)
                if len(self.readings) == METERS
                else 0
            )

    def is_complete(self, until_seq: int) -> bool:
        with self._lock:
            return len(self.readings) == METERS and all(
                set(range(1, until_seq + 1)) <= seqs.keys() for seqs in self.readings.values()
            )

    def _down(self, gateway: str, channel: str, fields: dict[str, Any]) -> None:
        payload = json.dumps({"v": 1, "sent_at_s": 1, **fields})
        self._client.publish(f"ami/v1/R1/{gateway}/down/{channel}", payload, qos=1)

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        gateway, channel = message.topic.split("/")[3], message.topic.split("/")[5]
        content = json.loads(unseal(message.payload))
        with self._lock:
            if channel == "status":
                self.online[gateway] = content["online"]
            elif channel == "results":
                for result in content["results"]:
                    newest = (result["seq"], result["credit_total_micros"])
                    self.applied[result["meter"]] = max(newest, self.applied.get(result["meter"], (0, 0)))
            else:
                self._take_frame(gateway, channel, content)

    def _take_frame(self, gateway: str, channel: str, content: dict[str, Any]) -> None:
        known = self.frames.setdefault((gateway, content["frame"]), content)
        if {**known, "sent_at_s": 0} != {**content, "sent_at_s": 0}:
            self.contradictions.append(f"{gateway} frame {content['frame']} has two contents")
        if self._random.random() > self.receipted_share:
            return
        if channel == "readings":
            rows = zip(content["meters"], content["seqs"], content["registers_wh"], strict=True)
            for meter, seq, register in rows:
                if self.readings[meter].setdefault(seq, register) != register:
                    self.contradictions.append(f"{meter} reading {seq} has two registers")
        self._down(gateway, "receipts", {"receipts": [{"frame": content["frame"], "outcome": "accepted"}]})


def start_fleet(port: int, log: Path, *more: str) -> subprocess.Popen[bytes]:
    options = {
        "--meters": METERS, "--meters-per-gateway": METERS // GATEWAYS, "--interval": "60s", "--log": log,
        "--broker": f"mqtt://127.0.0.1:{port}", "--start": "2024-10-30T00:00", "--speed": 600, "--resend": 0.3,
    }  # fmt: skip
    words = [str(word) for option in options.items() for word in option]
    return subprocess.Popen([PROGRAM, "run", *words, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end_fleet(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors


def rows_of(log: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"{log.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def check_against_log(responder: Responder, log: Path) -> None:
    """What the head-end took is what the meters logged, reading by reading."""
    logged: dict[str, dict[int, int]] = defaultdict(dict)
    query = "SELECT first_meter_key, seq, registers_wh FROM frame WHERE kind <> 'hello'"
    for first, seq, blob in rows_of(log, query):
        for number, register in enumerate(np.frombuffer(blob, "<i8").tolist(), first):
            assert seq not in logged[f"M{number:07}"], "a sequence number was used twice"
            logged[f"M{number:07}"][seq] = register
    for meter, readings in responder.readings.items():
        assert readings.items() <= logged[meter].items()
        in_order = [readings[seq] for seq in sorted(readings)]
        assert in_order == sorted(in_order)
    receipted = {(gateway, frame) for gateway, frame in rows_of(log, "SELECT gateway, frame FROM receipt")}
    assert receipted <= responder.frames.keys()
    assert responder.contradictions == []


@pytest.fixture
def mosquitto_program() -> str:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    return program


@pytest.fixture
def responder(mosquitto: int, seed: int) -> Iterator[Responder]:
    responder = Responder(mosquitto, seed)
    yield responder
    responder.close()


def test_fleet_killed_and_restarted_loses_and_doubles_nothing(
    mosquitto: int, responder: Responder, tmp_path: Path
) -> None:
    log = tmp_path / "fleet.db"
    for number in range(1, METERS + 1):
        gateway = f"G{(number - 1) // (METERS // GATEWAYS) + 1:04}"
        responder.credits[f"M{number:07}"] = (gateway, 3, 1_000_000 * number)
    for _ in range(3):
        reached = responder.highest_seq()
        process = start_fleet(mosquitto, log)
        try:
            wait_until(lambda reached=reached: responder.highest_seq() > reached + 5, 30.0)
            responder.send_credits()
        finally:
            process.kill()
            process.communicate(timeout=10)
    taken = rows_of(log, "SELECT max(seq) FROM frame")[0][0]
    process = start_fleet(mosquitto, log)
    try:
        responder.receipted_share = 0.9
        wait_until(responder.all_applied, 30.0, period_s=0.2)
        wait_until(lambda: responder.is_complete(taken + 5), 60.0, period_s=0.1)
        assert set(responder.online.values()) == {True}
    finally:
        end_fleet(process)
    wait_until(lambda: set(responder.online.values()) == {False})
    check_against_log(responder, log)
    events = rows_of(log, "SELECT meter_key, kind, number, credit_total_micros FROM event ORDER BY meter_key")
    assert events == [(number, "credit", 3, 1_000_000 * number) for number in range(1, METERS + 1)]


def test_fleet_with_keys_takes_signed_commands_only_and_a_new_key_from_the_file(
    mosquitto: int, responder: Responder, tmp_path: Path
) -> None:
    log, ring = tmp_path / "fleet.db", tmp_path / "ring"
    first = MasterKey(key="k1", secret="1" * 64, sign_from_s=0)
    second = MasterKey(key="k2", secret="2" * 64, sign_from_s=0)
    ring.write_text(KeyRing(keys=[first]).model_dump_json())
    responder.credits["M0000001"] = ("G0001", 1, 500)
    refusals = "SELECT DISTINCT code FROM event WHERE kind = 'refused' ORDER BY code"

    def refused() -> list[Any]:
        responder.send_credits()
        return rows_of(log, refusals)

    process = start_fleet(mosquitto, log, "--keys", str(ring))
    try:
        wait_until(lambda: len(responder.online) == GATEWAYS, 30.0)
        wait_until(lambda: refused() == [("BAD_SIGNATURE",)], 30.0, period_s=0.2)
        responder.key = second
        wait_until(lambda: refused() == [("BAD_SIGNATURE",), ("UNKNOWN_KEY",)], 30.0, period_s=0.2)
        assert rows_of(log, "SELECT count(*) FROM event WHERE kind = 'credit'") == [(0,)]
        ring.write_text(KeyRing(keys=[first, second]).model_dump_json())
        wait_until(responder.all_applied, 30.0, period_s=0.2)
    finally:
        end_fleet(process)
    assert rows_of(log, "SELECT credit_total_micros FROM event WHERE kind = 'credit'") == [(500,)]


def test_broker_killed_and_restarted_is_survived(
    mosquitto_program: str, free_port: int, tmp_path: Path, seed: int
) -> None:
    config = tmp_path / "broker.conf"
    config.write_text(f"listener {free_port} 127.0.0.1\nallow_anonymous true\n")

    def start_broker() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [mosquitto_program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    log = tmp_path / "fleet.db"
    fleet = start_fleet(free_port, log)  # before its broker, which it waits for
    broker = start_broker()
    responder = None
    try:
        wait_until(lambda: can_connect(free_port))
        responder = Responder(free_port, seed)
        wait_until(lambda: responder.highest_seq() > 5, 30.0)
        broker.kill()
        broker.wait(timeout=10)
        before = rows_of(log, "SELECT max(seq) FROM frame")[0][0]
        wait_until(lambda: rows_of(log, "SELECT max(seq) FROM frame")[0][0] > before + 20, 30.0)
        broker = start_broker()
        wait_until(lambda: responder.is_complete(before + 20), 60.0, period_s=0.1)
    finally:
        if responder is not None:
            responder.close()
        end_fleet(fleet)
        broker.kill()
        broker.wait(timeout=10)
    check_against_log(responder, log)


def can_connect(port: int) -> bool:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    client.disconnect()
    return True
