"""The embedded broker as a process of its own, with real clients."""

import json
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from waiting import wait_until

CONFIG = Path(__file__).parents[2] / "broker.yaml"
READY = re.compile(r"broker ready on mqtt://(?P<host>[^:]+):(?P<port>\d+)\n")
# What the command does with `run`, without the command.
PROGRAM = """
import json, sys
from pathlib import Path
from headend.adapters.embedded_broker import BrokerError, run
config_path, options = sys.argv[1:]
try:
    run(Path(config_path), **json.loads(options))
except BrokerError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_status)
"""


class Brokers:
    """Starts brokers and ends those that the test has left."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def spawn(self, config_path: Path = CONFIG, **options: str | int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(config_path), json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def start(self, config_path: Path = CONFIG, **options: str | int) -> tuple[subprocess.Popen[str], int]:
        process = self.spawn(config_path, **options)
        assert process.stdout
        assert select.select([process.stdout], [], [], 20)[0], "the broker said nothing"
        line = process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready, line or process.communicate(timeout=10)[1]
        assert ready["host"] == "127.0.0.1"
        return process, int(ready["port"])

    def fail(self, config_path: Path = CONFIG, **options: str | int) -> tuple[int, str]:
        process = self.spawn(config_path, **options)
        _, message = process.communicate(timeout=20)
        assert "Traceback" not in message
        return process.returncode, message.strip()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate(timeout=10)


class Clients:
    """Connects paho clients and collects what they receive."""

    def __init__(self) -> None:
        self._clients: list[mqtt.Client] = []
        self.received: list[mqtt.MQTTMessage] = []
        self.subscribed: list[str] = []
        self.disconnected: list[str] = []

    def connect(
        self,
        port: int,
        name: str,
        subscribe: str | None = None,
        will: str | None = None,
        keepalive_s: int = 60,
    ) -> mqtt.Client:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        client.on_message = lambda _client, _data, message: self.received.append(message)
        client.on_disconnect = lambda *_: self.disconnected.append(name)
        client.on_subscribe = lambda *_: self.subscribed.append(name)
        if will is not None:
            client.will_set(will, b"gone", qos=1)
        client.connect("127.0.0.1", port, keepalive=keepalive_s)
        self._clients.append(client)
        client.loop_start()
        wait_until(client.is_connected)
        if subscribe is not None:
            client.subscribe(subscribe, qos=1)
            wait_until(lambda: name in self.subscribed)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    started = Brokers()
    yield started
    started.close()


@pytest.fixture
def clients(brokers: Brokers) -> Iterator[Clients]:
    connected = Clients()
    yield connected
    connected.close()


def write_config(folder: Path, text: str) -> Path:
    path = folder / "broker.yaml"
    path.write_text(text)
    return path


def test_message_with_qos_1_arrives(brokers: Brokers, clients: Clients) -> None:
    _, port = brokers.start(port=0)
    clients.connect(port, "head-end", subscribe="ami/v1/+/+/up/+")
    clients.connect(port, "gateway").publish("ami/v1/r/g/up/hello", b"content", qos=1).wait_for_publish(10)
    wait_until(lambda: clients.received)
    message = clients.received[0]
    assert (message.topic, message.payload, message.qos) == ("ami/v1/r/g/up/hello", b"content", 1)


def test_taken_port_is_named_with_what_to_do(brokers: Brokers) -> None:
    _, port = brokers.start(port=0)
    exit_status, message = brokers.fail(port=port)
    assert exit_status == 6
    assert message == (
        f"127.0.0.1:{port} is taken (address already in use): "
        "stop what listens there or choose another port with --port"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_disconnects_clients_exits_0_and_frees_the_port(
    brokers: Brokers, clients: Clients, number: signal.Signals
) -> None:
    process, port = brokers.start(port=0)
    clients.connect(port, "gateway")
    process.send_signal(number)
    assert process.wait(timeout=5) == 0
    wait_until(lambda: clients.disconnected == ["gateway"])
    _, again = brokers.start(port=port)
    assert again == port


def test_signal_ends_it_in_time_though_some_clients_read_nothing(
    brokers: Brokers, clients: Clients, tmp_path: Path
) -> None:
    process, port = brokers.start(write_config(tmp_path, "shutdown_timeout_s: 1.0"), port=0)
    with ExitStack() as stack:
        for number in b"123":
            deaf = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connect = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05deaf%c" % number
            deaf.sendall(connect + b"\x82\x06\x00\x01\x00\x01#\x01")
            assert deaf.recv(4, socket.MSG_WAITALL) == b"\x20\x02\x00\x00"
        gateway = clients.connect(port, "gateway")
        for _ in range(100):
            gateway.publish("flood", bytes(200_000), qos=1).wait_for_publish(10)
        process.terminate()
        assert process.wait(timeout=5) == 0


def test_restart_after_sigkill_binds_at_once(brokers: Brokers, clients: Clients) -> None:
    process, port = brokers.start(port=0)
    clients.connect(port, "gateway")
    process.kill()
    process.wait(timeout=5)
    _, again = brokers.start(port=port)
    assert again == port


def test_listens_on_loopback_only(brokers: Brokers) -> None:
    _, port = brokers.start(port=0)
    listening = "0A"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [row[1] for row in rows if row[3] == listening and row[1].endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]
    rows = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    assert not [row for row in rows if row[3] == listening and row[1].endswith(f":{port:04X}")]


def test_last_will_is_sent_when_the_client_is_killed(brokers: Brokers, clients: Clients) -> None:
    _, port = brokers.start(port=0)
    clients.connect(port, "head-end", subscribe="ami/v1/+/+/up/status")
    program = (
        "import sys, paho.mqtt.client as mqtt\n"
        "client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, 'gateway')\n"
        "client.on_connect = lambda *_: print('connected', flush=True)\n"
        "client.will_set('ami/v1/r/g/up/status', b'gone', qos=1)\n"
        "client.connect('127.0.0.1', int(sys.argv[1]))\n"
        "client.loop_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(port)], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout
        assert gateway.stdout.readline() == b"connected\n"
        gateway.kill()
    wait_until(lambda: clients.received)
    assert clients.received[0].payload == b"gone"


def test_last_will_is_sent_when_the_client_falls_silent(brokers: Brokers, clients: Clients) -> None:
    _, port = brokers.start(port=0)
    clients.connect(port, "head-end", subscribe="wills/+")
    connect = b"\x10\x1d\x00\x04MQTT\x04\x0e\x00\x01\x00\x04hung\x00\x07wills/h\x00\x02xy"
    with socket.create_connection(("127.0.0.1", port)) as hung:
        hung.sendall(connect[:1] + bytes([len(connect) - 2]) + connect[2:])
        wait_until(lambda: clients.received)
    assert clients.received[0].payload == b"xy"


def test_second_connection_of_a_client_ends_the_first(brokers: Brokers, clients: Clients) -> None:
    _, port = brokers.start(port=0)
    clients.connect(port, "gateway")
    clients.connect(port, "gateway")
    wait_until(lambda: clients.disconnected == ["gateway"])


def test_retained_messages_reach_only_subscribers_and_many_connect_at_once(
    brokers: Brokers, clients: Clients
) -> None:
    _, port = brokers.start(port=0)
    first = clients.connect(port, "head-end", subscribe="ami/v1/r/+/up/status")
    for number in range(50):
        first.publish(f"ami/v1/r/g{number}/up/status", b"here", 1, retain=True).wait_for_publish(10)
    wait_until(lambda: len(clients.received) == 50)
    threads = [
        threading.Thread(
            target=clients.connect,
            args=(port, f"g{number}"),
            kwargs={"subscribe": f"ami/v1/r/g{number}/down/+"},
        )
        for number in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(clients.subscribed) == 41
    assert clients.disconnected == []
    assert len(clients.received) == 50


def test_connection_over_the_limit_is_closed(brokers: Brokers, clients: Clients, tmp_path: Path) -> None:
    _, port = brokers.start(write_config(tmp_path, "max_connections: 1"), port=0)
    clients.connect(port, "first")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as second:
        assert second.recv(1) == b""


def test_packet_over_the_limit_ends_its_connection_only(
    brokers: Brokers, clients: Clients, tmp_path: Path
) -> None:
    _, port = brokers.start(write_config(tmp_path, "max_packet_bytes: 2048"), port=0)
    clients.connect(port, "head-end", subscribe="#")
    clients.connect(port, "large").publish("topic", bytes(4096), qos=1)
    wait_until(lambda: clients.disconnected == ["large"])
    clients.connect(port, "small").publish("topic", b"fits", qos=1)
    wait_until(lambda: clients.received)
    assert clients.received[0].payload == b"fits"


def test_strangers_do_not_flood_the_log(brokers: Brokers) -> None:
    process, port = brokers.start(port=0)
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    process.terminate()
    _, log = process.communicate(timeout=10)
    assert len(log.splitlines()) <= 5, log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot: 1883", "unknown key 'prot': allowed are host, port, allow_off_loopback, max_connections"),
        ("port: 99999", "port: Input should be less than or equal to 65535"),
        ("host: localhost", "host must be an IP address such as 127.0.0.1, not 'localhost'"),
        ("host: 0.0.0.0", "host 0.0.0.0 can be reached from other machines"),
        ("- port", "must hold lines of `key: value`"),
        ("port: [", "is not readable as YAML"),
        (None, "No such file or directory"),
    ],
)
def test_bad_config_is_explained(brokers: Brokers, tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "broker.yaml"
    if text is not None:
        path.write_text(text)
    exit_status, message = brokers.fail(path, port=0) if "port" not in (text or "") else brokers.fail(path)
    assert exit_status == 2
    assert message.startswith(str(path))
    assert expected in message


def test_off_loopback_must_be_allowed_by_name(brokers: Brokers, tmp_path: Path) -> None:
    process = brokers.spawn(write_config(tmp_path, "allow_off_loopback: true\nhost: 0.0.0.0"), port=0)
    assert process.stdout
    assert process.stdout.readline().startswith("broker ready on mqtt://0.0.0.0:")
