"""The laboratory's proxy as a process of its own, between real clients and real brokers."""

import itertools
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from pysqlite3 import dbapi2 as sqlite
from waiting import wait_until

from meter_sim.lab.proxy.control import ProxyControl, ProxyControlError

CONFIG = Path(__file__).parents[2] / "broker.yaml"
EMBEDDED = """
import sys
from pathlib import Path
from headend.adapters.embedded_broker import run
run(Path(sys.argv[1]), port=0)
"""
LOOPBACK = "127.0.0.1"
TOPIC = "ami/v1/R1/G1/up/results"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
CONNACK = b"\x20\x02\x00\x00"
NUMBERS = itertools.count(1)


class Running:
    """One proxy process."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meter_sim.lab.proxy", "--control", f"{LOOPBACK}:0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], 20)[0], "the proxy said nothing"
        line = self.process.stdout.readline()
        assert line.startswith("proxy ready "), line or self.process.communicate(timeout=10)[1]
        self.ports = {
            name: int(address.rpartition(":")[2])
            for name, address in (part.split("=") for part in line.split()[2:])
        }
        self.control = ProxyControl(LOOPBACK, self.ports["control"])

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def wire_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxy") / "wire.db"


@pytest.fixture(scope="module")
def running(wire_path: Path) -> Iterator[Running]:
    """One proxy process for all tests; each makes a proxy of its own in it."""
    one = Running("--log", str(wire_path), "--seed", "7")
    yield one
    status, errors = one.end()
    assert status == 0, errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def embedded() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", EMBEDDED, str(CONFIG)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    yield int(process.stdout.readline().rpartition(":")[2])
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture(params=["mosquitto", "embedded"])
def broker(request: pytest.FixtureRequest) -> int:
    return int(request.getfixturevalue(request.param))


@dataclass
class Link:
    """A proxy of the process, made for one test, and how to work with it."""

    name: str
    port: int
    broker: int
    control: ProxyControl
    wire_path: Path

    def add(self, kind: str, stream: Any = "upstream", **fields: Any) -> dict[str, Any]:
        return self.control.add_toxic(self.name, kind, stream, **fields)

    def wire(self, columns: str = "direction, topic, fate") -> list[Any]:
        with closing(sqlite.connect(self.wire_path)) as log:
            return log.execute(
                f"SELECT {columns} FROM wire WHERE link = ? ORDER BY frame_id", (self.name,)
            ).fetchall()


def new_link(running: Running, wire_path: Path, broker: int) -> Link:
    name = f"link-{next(NUMBERS)}"
    made = running.control.create(name, f"{LOOPBACK}:0", f"{LOOPBACK}:{broker}")
    return Link(name, int(made["listen"].rpartition(":")[2]), broker, running.control, wire_path)


@pytest.fixture
def link(running: Running, wire_path: Path, mosquitto: int) -> Iterator[Link]:
    one = new_link(running, wire_path, mosquitto)
    yield one
    one.control.delete(one.name)


@pytest.fixture
def any_link(running: Running, wire_path: Path, broker: int) -> Iterator[Link]:
    one = new_link(running, wire_path, broker)
    yield one
    one.control.delete(one.name)


@dataclass
class Client:
    """A paho client with what came to it."""

    paho: mqtt.Client
    received: list[mqtt.MQTTMessage] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    disconnected: list[str] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.received]

    def publish(self, *payloads: bytes, qos: int = 1, topic: str = TOPIC) -> None:
        """Publish all, and wait until the broker has taken them."""
        sent = [self.paho.publish(topic, payload, qos) for payload in payloads]
        for info in sent:
            info.wait_for_publish(10)
        assert all(info.is_published() for info in sent)


class Clients:
    def __init__(self) -> None:
        self._clients: list[mqtt.Client] = []

    def connect(
        self, port: int, name: str, subscribe: str | None = None, *, will: str | None = None, qos: int = 1
    ) -> Client:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        seen = Client(client)
        client.on_message = lambda _client, _data, message: seen.received.append(message)
        client.on_disconnect = lambda *_: seen.disconnected.append(name)
        client.on_subscribe = lambda *_: seen.subscribed.append(name)
        client.on_publish = lambda _client, _data, mid, *_: seen.acknowledged.append(mid)
        if will is not None:
            client.will_set(will, b"gone", qos=1)
        client.connect(LOOPBACK, port)
        self._clients.append(client)
        client.loop_start()
        wait_until(client.is_connected)
        if subscribe is not None:
            client.subscribe(subscribe, qos)
            wait_until(lambda: seen.subscribed)
        return seen

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()


@pytest.fixture
def clients(running: Running) -> Iterator[Clients]:
    connected = Clients()
    yield connected
    connected.close()


def raw_client(port: int, name: bytes = b"raw", level: int = 4) -> socket.socket:
    """A client of which nothing is hidden: connected, CONNACK not yet read."""
    connected = socket.create_connection((LOOPBACK, port), timeout=10)
    body = b"\x00\x04MQTT" + bytes((level, 2)) + b"\x00\x3c" + len(name).to_bytes(2) + name
    connected.sendall(b"\x10" + bytes((len(body),)) + body)
    return connected


def read_exactly(connected: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count and (more := connected.recv(count - len(content))):
        content += more
    return content


def test_messages_of_every_qos_pass_both_ways(any_link: Link, clients: Clients) -> None:
    headend = clients.connect(any_link.port, "headend", "ami/#", qos=2)
    gateway = clients.connect(any_link.port, "G1")
    for qos in (0, 1, 2):
        gateway.publish(b"qos %d" % qos, qos=qos)
    wait_until(lambda: len(headend.received) == 3)
    assert headend.payloads() == [b"qos 0", b"qos 1", b"qos 2"]
    assert not headend.disconnected + gateway.disconnected


def test_large_payload_passes_whole(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.port, "headend", "ami/#")
    payload = bytes(range(256)) * 3_000
    clients.connect(link.port, "G1").publish(payload)
    wait_until(lambda: headend.received)
    assert headend.payloads() == [payload]


def test_latency_delays_one_direction(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    gateway = clients.connect(link.port, "G1")
    link.add("latency", "upstream", latency_ms=300)
    began_s = time.monotonic()
    gateway.publish(b"late")
    assert 0.3 <= time.monotonic() - began_s < 0.6, "up is late, and the acknowledgement down is not"
    wait_until(lambda: headend.payloads() == [b"late"])


def test_what_waits_is_sent_in_order_when_nothing_delays_any_more(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    gateway = clients.connect(link.port, "G1")
    link.add("latency", latency_ms=3_600_000)
    for number in range(10):
        gateway.paho.publish(TOPIC, b"%d" % number, 1)
    wait_until(lambda: link.wire() == [("up", TOPIC, "delayed")] * 10)
    link.control.reset()
    wait_until(lambda: headend.payloads() == [b"%d" % number for number in range(10)])


def test_message_held_back_still_comes_before_the_goodbye(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    link.add("reorder", probability=1, delay_ms=200)
    with raw_client(link.port) as client:
        assert read_exactly(client, 4) == CONNACK
        client.sendall(b"\x30\x0c\x00\x05ami/xhello" + b"\xe0\x00")
        assert client.recv(1) == b"", "the broker closes after the goodbye"
    wait_until(lambda: headend.payloads() == [b"hello"])


def test_bandwidth_is_kept(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    gateway = clients.connect(link.port, "G1")
    link.add("bandwidth", "upstream", rate_kbps=100)
    began_s = time.monotonic()
    gateway.publish(*[bytes(5_000)] * 10)
    assert 0.5 <= time.monotonic() - began_s < 1.0
    wait_until(lambda: len(headend.received) == 10)


def test_lost_message_is_acknowledged_and_the_connection_stays_usable(any_link: Link, clients: Clients) -> None:
    headend = clients.connect(any_link.broker, "headend", "ami/#")
    gateway = clients.connect(any_link.port, "G1")
    any_link.add("loss", "upstream", probability=1)
    gateway.publish(*[b"lost"] * 100)
    any_link.control.remove_toxic(any_link.name, "loss_upstream")
    gateway.publish(b"arrives")
    wait_until(lambda: headend.received)
    assert headend.payloads() == [b"arrives"]
    assert len(gateway.acknowledged) == len(set(gateway.acknowledged)) == 101
    assert not gateway.disconnected


def test_messages_lost_on_the_way_down_do_not_fill_the_brokers_window(any_link: Link, clients: Clients) -> None:
    gateway = clients.connect(any_link.port, "G1", "ami/#")
    headend = clients.connect(any_link.broker, "headend")
    any_link.add("loss", "downstream", probability=1)
    headend.publish(*[b"lost"] * 200)
    wait_until(lambda: any_link.wire().count(("down", TOPIC, "lost")) == 200)
    any_link.control.remove_toxic(any_link.name, "loss_downstream")
    headend.publish(b"arrives")
    wait_until(lambda: gateway.received)
    assert gateway.payloads() == [b"arrives"]
    assert not gateway.disconnected


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("qos", [0, 1])
def test_each_duplicate_arrives_and_confuses_nobody(
    any_link: Link, clients: Clients, stream: str, qos: int
) -> None:
    headend = clients.connect(any_link.port, "headend", "ami/#")
    gateway = clients.connect(any_link.port, "G1")
    affected = "G1" if stream == "upstream" else "headend"
    any_link.add("duplicate", stream, probability=1, copies=2, gateways=[affected])
    payloads = [b"%03d" % number for number in range(60)]
    gateway.publish(*payloads, qos=qos)
    wait_until(lambda: len(headend.received) >= 180)
    gateway.publish(b"the end", qos=qos)
    wait_until(lambda: headend.payloads().count(b"the end") == 3)
    assert sorted(headend.payloads()) == sorted([*payloads, b"the end"] * 3)
    assert len(gateway.acknowledged) == len(set(gateway.acknowledged)) == 61
    assert not headend.disconnected + gateway.disconnected


def test_copies_are_acknowledged_to_nobody(link: Link) -> None:
    with raw_client(link.port) as client:
        client.sendall(b"\x82\x06\x00\x01\x00\x01t\x01")
        assert read_exactly(client, 9) == CONNACK + b"\x90\x03\x00\x01\x01"
        link.add("duplicate", "upstream", probability=1)
        client.sendall(b"\x32\x07\x00\x01t\x12\x34hi")
        with_qos_1, copy, puback = b"\x32\x07\x00\x01t\x00\x01hi", b"\x30\x05\x00\x01thi", b"\x40\x02\x12\x34"
        answer = read_exactly(client, len(with_qos_1 + copy + puback))
        assert answer.replace(puback, b"", 1) == with_qos_1 + copy
        link.control.reset()
        link.add("duplicate", "downstream", probability=1)
        client.sendall(b"\x40\x02\x00\x01" + b"\x30\x05\x00\x01thi" + PINGREQ)
        assert read_exactly(client, 2 * len(copy) + 2) == copy * 2 + PINGRESP, "one acknowledgement each, no more"


def test_reordered_messages_all_arrive_in_another_order(any_link: Link, clients: Clients) -> None:
    headend = clients.connect(any_link.broker, "headend", "ami/#")
    gateway = clients.connect(any_link.port, "G1")
    any_link.add("reorder", "upstream", probability=0.3, delay_ms=100)
    payloads = [b"%03d" % number for number in range(100)]
    gateway.publish(*payloads)
    wait_until(lambda: len(headend.received) == 100)
    assert sorted(headend.payloads()) == payloads != headend.payloads()
    assert not gateway.disconnected


def test_corrupted_payload_arrives_under_its_topic(any_link: Link, clients: Clients) -> None:
    headend = clients.connect(any_link.broker, "headend", "ami/#")
    gateway = clients.connect(any_link.port, "G1")
    any_link.add("corrupt", "upstream", probability=1)
    gateway.publish(*[b"content"] * 20)
    wait_until(lambda: len(headend.received) == 20)
    assert {message.topic for message in headend.received} == {TOPIC}
    assert {len(payload) for payload in headend.payloads()} == {len(b"content")}
    assert b"content" not in headend.payloads()
    assert not gateway.disconnected


def test_reset_cuts_with_a_tcp_reset_and_each_time_again(link: Link) -> None:
    link.add("reset", timeout_ms=100)
    for _ in range(2):
        with raw_client(link.port) as client:
            assert read_exactly(client, 4) == CONNACK
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_reset_reaches_a_connection_that_lives(link: Link, clients: Clients) -> None:
    gateway = clients.connect(link.port, "G1")
    link.add("reset")
    wait_until(lambda: gateway.disconnected)


def test_black_hole_swallows_pings_and_answers_and_keeps_the_connection(link: Link) -> None:
    to_itself = b"\x30\x05\x00\x01t\x00\x00"
    with raw_client(link.port) as client:
        client.sendall(b"\x82\x06\x00\x01\x00\x01t\x00")
        assert read_exactly(client, 9) == CONNACK + b"\x90\x03\x00\x01\x00"
        for stream, direction in (("upstream", "up"), ("downstream", "down")):
            name = link.add("black_hole", stream)["name"]
            client.sendall(PINGREQ * 3 + to_itself)
            wait_until(lambda lost=(direction, "t", "lost"): lost in link.wire())
            link.control.remove_toxic(link.name, name)
        client.sendall(PINGREQ + b"\xa2\x05\x00\x02\x00\x01t")
        assert read_exactly(client, 6) == PINGRESP + b"\xb0\x02\x00\x02", "no earlier ping was answered"


def test_broker_does_not_learn_of_an_end_behind_a_black_hole(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    with raw_client(link.port) as client:
        assert read_exactly(client, 4) == CONNACK
    doomed = clients.connect(link.port, "G1", will="ami/will")
    link.add("black_hole", "upstream")
    doomed.paho.socket().shutdown(socket.SHUT_RDWR)
    wait_until(lambda: doomed.disconnected)
    clients.connect(link.broker, "G2").publish(b"meanwhile")
    wait_until(lambda: headend.received)
    assert headend.payloads() == [b"meanwhile"]
    link.control.remove_toxic(link.name, "black_hole_upstream")
    wait_until(lambda: headend.payloads() == [b"meanwhile", b"gone"])


def test_attempts_that_end_in_a_black_hole_leave_nothing_behind(link: Link, running: Running) -> None:
    open_files = Path(f"/proc/{running.process.pid}/fd")
    before = len(list(open_files.iterdir()))
    link.add("black_hole")
    for number in range(20):
        with raw_client(link.port, b"%d" % number) as client:
            client.sendall(b"\x30\x03\x00\x01t")
    wait_until(lambda: link.wire() == [("up", "t", "lost")] * 20)
    wait_until(lambda: len(list(open_files.iterdir())) <= before)


def test_disabled_proxy_cuts_and_refuses_and_comes_back_on_its_port(link: Link, clients: Clients) -> None:
    gateway = clients.connect(link.port, "G1")
    assert link.control.change(link.name, enabled=False)["enabled"] is False
    wait_until(lambda: gateway.disconnected)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, link.port), timeout=5)
    assert link.control.change(link.name, enabled=True)["listen"] == f"{LOOPBACK}:{link.port}"
    clients.connect(link.port, "G1").publish(b"again")


def test_dead_broker_is_a_cut_connection_until_it_is_there(link: Link, clients: Clients, free_port: int) -> None:
    link.control.change(link.name, upstream=f"{LOOPBACK}:{free_port}")
    with raw_client(link.port) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    link.control.change(link.name, upstream=f"{LOOPBACK}:{link.broker}")
    clients.connect(link.port, "G1").publish(b"again")


def test_only_the_chosen_gateways_are_affected(link: Link, clients: Clients) -> None:
    headend = clients.connect(link.broker, "headend", "ami/#")
    link.add("loss", probability=1, gateways=["G2"])
    link.add("loss", name="share", probability=1, toxicity=0.5, seed=3)
    for number in range(1, 21):
        clients.connect(link.port, f"G{number}").publish(b"G%d" % number)
    wait_until(lambda: len(link.wire()) == 20)
    fates = {client.encode(): fate for client, fate in link.wire("client, fate")}
    assert fates[b"G2"] == "lost"
    assert 5 <= list(fates.values()).count("lost") <= 16
    passed = {client for client, fate in fates.items() if fate == "passed"}
    wait_until(lambda: set(headend.payloads()) == passed)


def test_same_seed_gives_the_same_fates_again(
    link: Link, running: Running, wire_path: Path, clients: Clients
) -> None:
    again = new_link(running, wire_path, link.broker)
    for one in (link, again):
        one.add("loss", probability=0.3, seed=11)
        one.add("corrupt", probability=0.3, seed=11)
        clients.connect(one.port, "G1").publish(*[b"%d" % number for number in range(100)])
        wait_until(lambda one=one: len(one.wire()) == 100)
    assert link.wire("payload, fate") == again.wire("payload, fate")
    assert {fate for _, _, fate in link.wire()} == {"passed", "lost", "corrupted"}
    link.control.delete(again.name)


def test_sender_is_held_back_when_a_direction_is_full(link: Link) -> None:
    link.add("latency", latency_ms=3_600_000)
    packet = b"\x30\x80\x80\x02" + b"\x00\x04" + b"wxyz" + bytes(32_768 - 6)
    with raw_client(link.port) as client:
        sent = 0
        while select.select([], [client], [], 0.5)[1]:
            sent += client.send(packet[sent % len(packet) :])
            assert sent < 64 * 1024 * 1024
        assert sent > 4 * 1024 * 1024


@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x30\x03\x00\x01a", b"\x10\xff\xff\xff\xff\x01", b"\x10\xff\xff\xff\x7f"],
)
def test_what_is_no_mqtt_is_closed(link: Link, clients: Clients, first: bytes) -> None:
    with socket.create_connection((LOOPBACK, link.port), timeout=10) as stranger:
        stranger.sendall(first)
        assert stranger.recv(1) == b""
    clients.connect(link.port, "G1").publish(b"others are served")


def test_packet_beyond_the_limit_ends_its_connection(link: Link, clients: Clients) -> None:
    gateway = clients.connect(link.port, "G1")
    gateway.paho.publish(TOPIC, bytes(1024 * 1024 + 1), 1)
    wait_until(lambda: gateway.disconnected)


def test_client_of_mqtt_5_is_told_so(link: Link) -> None:
    with raw_client(link.port, level=5) as client:
        assert read_exactly(client, 4) == b"\x20\x02\x00\x01"
        assert client.recv(1) == b""


def test_wire_log_has_every_message_with_its_fate(link: Link, clients: Clients) -> None:
    gateway = clients.connect(link.port, "G1", "ami/v1/R1/G1/down/+")
    readings = "ami/v1/R1/G1/up/readings"
    gateway.publish(b"bulk", topic=readings)
    gateway.publish(b"order", topic="ami/v1/R1/G1/down/commands")
    wait_until(lambda: gateway.received)
    for kind, attributes in (("loss", {}), ("corrupt", {}), ("duplicate", {}), ("reorder", {"delay_ms": 5})):
        link.add(kind, name="one", probability=1, **attributes)
        gateway.publish(kind.encode())
        link.control.remove_toxic(link.name, "one")
    wait_until(lambda: len(link.wire()) == 7)
    assert link.wire() == [
        ("up", readings, "passed"),
        ("up", "ami/v1/R1/G1/down/commands", "passed"),
        ("down", "ami/v1/R1/G1/down/commands", "passed"),
        ("up", TOPIC, "lost"),
        ("up", TOPIC, "corrupted"),
        ("up", TOPIC, "duplicated"),
        ("up", TOPIC, "delayed"),
    ]
    assert link.wire("client, bytes, payload, digest")[0] == ("G1", 4, None, sha256(b"bulk").digest()[:8])
    assert link.wire("payload")[1:5] == [(b"order",), (b"order",), (b"loss",), (b"corrupt",)]
    ((at_s, wall_s),) = set(link.wire("at_s, CAST(wall_s AS INTEGER)")[:1])
    assert at_s == wall_s == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_its_log_whole_and_no_port_left(
    mosquitto: int, clients: Clients, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "wire.db"
    clock = "2024-10-30T00:00:00Z@1x1"
    one = Running("--listen", f"fleet={LOOPBACK}:0={LOOPBACK}:{mosquitto}", "--log", str(path), "--clock", clock)
    gateway = clients.connect(one.ports["fleet"], "G1")
    gateway.publish(b"last words")
    assert one.end(number) == (0, "")
    wait_until(lambda: gateway.disconnected)
    for port in one.ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port), timeout=5)
    with closing(sqlite.connect(path)) as log:
        assert log.execute("SELECT clock, is_complete, dropped FROM run").fetchall() == [(clock, 1, 0)]
        ((at_s, wall_s),) = log.execute("SELECT at_s, wall_s FROM wire").fetchall()
    assert at_s == 1730246400 + int(wall_s) - 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--listen", "fleet=127.0.0.1:1883"], "is not NAME=HOST:PORT=BROKERHOST:PORT"),
        (["--log", "/nowhere/wire.db"], "/nowhere/wire.db cannot be used as a wire log"),
        (["--seed", "red"], "--seed"),
    ],
)
def test_bad_input_is_one_clear_line(options: list[str], expected: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "meter_sim.lab.proxy", *options], capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == 2
    assert expected in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_taken_port_is_named(link: Link) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "meter_sim.lab.proxy", "--control", f"{LOOPBACK}:{link.port}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 2
    assert f"{LOOPBACK}:{link.port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_control_shows_and_changes_what_is_there(link: Link) -> None:
    control = link.control
    assert control.version().startswith("meter-sim")
    made = link.add("latency", latency_ms=10, gateways=["G2", "G1"])
    assert made == {
        "name": "latency_upstream",
        "type": "latency",
        "stream": "upstream",
        "toxicity": 1.0,
        "attributes": {"latency_ms": 10.0, "jitter_ms": 0.0},
        "seed": 7,
        "gateways": ["G1", "G2"],
    }
    changed = control.change_toxic(link.name, "latency_upstream", toxicity=0.5, attributes={"jitter_ms": 5})
    assert changed == {**made, "toxicity": 0.5, "attributes": {"latency_ms": 10.0, "jitter_ms": 5.0}}
    assert control.toxics(link.name) == control.proxy(link.name)["toxics"] == [changed]
    assert control.proxies()[link.name]["upstream"] == f"{LOOPBACK}:{link.broker}"
    control.change(link.name, enabled=False)
    control.reset()
    assert control.proxy(link.name)["enabled"] is True
    assert control.toxics(link.name) == []


BAD_REQUESTS: list[tuple[str, str, object, int, str]] = [
    ("GET", "/nothing", None, 404, "no such path: /nothing"),
    ("PUT", "/proxies", None, 405, "PUT /proxies: allowed are GET, POST"),
    ("GET", "/proxies/other", None, 404, "no proxy 'other'"),
    ("DELETE", "/proxies/LINK/toxics/other", None, 404, "no toxic 'other' on proxy"),
    ("POST", "/proxies", {"listen": "127.0.0.1:0", "upstream": "h:1"}, 400, "name: Field required"),
    ("POST", "/proxies", {"name": "a/b", "listen": "127.0.0.1:0", "upstream": "h:1"}, 400, "name: only letters"),
    ("POST", "/proxies", {"name": "n", "listen": "x", "upstream": "h:1"}, 400, "listen: 'x' is not HOST:PORT"),
    (
        "POST",
        "/proxies",
        {"name": "LINK", "listen": "127.0.0.1:0", "upstream": "h:1"},
        409,
        "name: there is a proxy",
    ),
    ("POST", "/proxies", {"name": "n", "listen": "127.0.0.1:PORT", "upstream": "h:1"}, 409, "listen: 127.0.0.1:"),
    ("POST", "/proxies/LINK", {"enabled": "no"}, 400, "enabled: Input should be a valid boolean"),
    ("POST", "/proxies/LINK", {"colour": 1}, 400, "colour: no such field; allowed are name, listen"),
    ("POST", "/proxies/LINK", {"name": "other"}, 400, "name: cannot be changed"),
    ("POST", "/proxies/LINK/toxics", [], 400, "a JSON object is expected"),
    ("POST", "/proxies/LINK/toxics", b"{", 400, "Invalid JSON"),
    ("POST", "/proxies/LINK/toxics", {}, 400, "type: Field required"),
    (
        "POST",
        "/proxies/LINK/toxics",
        {"type": "slow"},
        400,
        "type: 'slow' is unknown; allowed are bandwidth, black_",
    ),
    ("POST", "/proxies/LINK/toxics", {"type": "loss"}, 400, "attributes.probability: Field required"),
    (
        "POST",
        "/proxies/LINK/toxics",
        {"type": "loss", "attributes": {"probability": 2}},
        400,
        "attributes.probability: Input should be less than or equal to 1",
    ),
    (
        "POST",
        "/proxies/LINK/toxics",
        {"type": "latency", "attributes": {"latency": 1, "latency_ms": 1}},
        400,
        "attributes.latency: no such field; allowed are latency_ms, jitter_ms",
    ),
    ("POST", "/proxies/LINK/toxics", {"type": "reset", "stream": "up"}, 400, "'upstream' or 'downstream'"),
    ("POST", "/proxies/LINK/toxics", {"type": "reset", "toxicity": 1.5}, 400, "toxicity: "),
    ("POST", "/proxies/LINK/toxics", {"type": "reset", "seed": "x"}, 400, "seed: "),
    ("POST", "/proxies/LINK/toxics", {"type": "reset", "gateways": "G1"}, 400, "gateways: "),
    (
        "POST",
        "/proxies/LINK/toxics",
        {"type": "latency", "name": "there", "attributes": {"latency_ms": 1}},
        409,
        "name:",
    ),
    ("POST", "/proxies/LINK/toxics/there", {"type": "reset"}, 400, "type: cannot be changed from 'latency'"),
    ("POST", "/proxies/LINK/toxics/there", {"attributes": {"jitter_ms": -1}}, 400, "attributes.jitter_ms: "),
]


def test_bad_requests_name_the_field_and_what_is_allowed(link: Link, running: Running) -> None:
    link.add("latency", name="there", latency_ms=0)
    before = link.control.proxies()
    for method, path, body, status, expected in BAD_REQUESTS:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        content = content.replace(b"LINK", link.name.encode()).replace(b"PORT", str(link.port).encode())
        head = f"{method} {path.replace('LINK', link.name)} HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n"
        answer = ask(running, head.encode() + content)
        assert answer["status"] == status, (path, body, answer)
        assert expected in answer["error"], (path, body, answer)
    assert link.control.proxies() == before


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nX: " + bytes(20_000) + b"\r\n\r\n", 431),
        (b"POST /reset HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /reset HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /reset HTTP/1.1\r\nOrigin: http://example.com\r\n\r\n", 403),
    ],
)
def test_hostile_http_is_refused(running: Running, request_bytes: bytes, status: int) -> None:
    assert ask(running, request_bytes)["status"] == status


def ask(running: Running, request_bytes: bytes) -> dict[str, Any]:
    """The JSON of an answer, whose status line says the same as its body."""
    with socket.create_connection((LOOPBACK, running.ports["control"]), timeout=10) as connected:
        connected.sendall(request_bytes)
        answer = b"".join(iter(lambda: connected.recv(65_536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    found: dict[str, Any] = json.loads(content)
    assert int(head.split()[1]) == found["status"]
    return found


def test_control_client_says_why_it_was_refused(link: Link, free_port: int) -> None:
    with pytest.raises(ProxyControlError, match="no proxy 'other'") as refused:
        link.control.proxy("other")
    assert refused.value.status == 404
    with pytest.raises(ProxyControlError, match="no answer") as unreachable:
        ProxyControl(LOOPBACK, free_port).version()
    assert unreachable.value.status == 0
