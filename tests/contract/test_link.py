"""What every way to the gateways promises, held against the one in memory and the one over a real broker."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from conftest import find_free_port, is_listening
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from waiting import wait_until

from headend.adapters.memory import MemoryLink
from headend.adapters.mqtt import Broker, MqttLink
from headend.domain.delivery import DeliveryKind
from headend.service.ports import GatewayLink
from headend.service.traffic import (
    Arrival,
    CommandOut,
    GatewayId,
    HelloFrame,
    HelloWanted,
    LinkChanged,
    ReadingFrame,
    ReceiptOut,
    ResultFrame,
    StatusChanged,
    Unreadable,
    Verdict,
)
from headend.wire.codec import decode
from headend.wire.limits import MAX_INTEGER, MAX_PAYLOAD_BYTES, MAX_ROWS
from headend.wire.messages import Commands, Receipts, Request
from headend.wire.topics import parse_topic

G1, G2 = GatewayId("R1", "G1"), GatewayId("R1", "G2")
NOW_S = 1_730_226_600
QUIET_S = 0.4
"""Long enough for a message that must not come."""

CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages {inflight}
max_queued_messages 100000
log_dest stderr
"""


class Mosquitto:
    """A real broker that can be killed and started again on its port."""

    def __init__(self, folder: Path, inflight: int = 1_000) -> None:
        program = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        self.port = find_free_port()
        config = folder / "broker.conf"
        config.write_text(CONFIG.format(port=self.port, inflight=inflight))
        self._command = [program, "-c", str(config)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        wait_until(partial(is_listening, self.port))

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)


class Wire(Protocol):
    """A link with its other side, played by the test."""

    link: GatewayLink
    sent: list[tuple[str, bytes]]

    def deliver(self, topic: str, payload: bytes) -> None: ...


class MemoryWire:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.link = MemoryLink(lambda topic, payload: self.sent.append((topic, payload)))
        self.deliver = self.link.deliver
        self.link.connect()

    def close(self) -> None:
        self.link.close()


class MqttWire:
    def __init__(self, broker: Mosquitto, regions: tuple[str, ...] = ()) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.broker = broker
        self._ready = False
        self.connect()
        self.link = MqttLink(Broker("127.0.0.1", broker.port), regions, "headend-test")

    def connect(self) -> None:
        """The gateways' own session; `self.link` has its own."""
        self._ready = False
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="gateways")
        self._client.on_connect = lambda client, *_: client.subscribe("ami/v1/+/+/down/+", 1)
        self._client.on_subscribe = lambda *_: setattr(self, "_ready", True)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", self.broker.port)
        self._client.loop_start()
        wait_until(lambda: self._ready)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        self.sent.append((message.topic, message.payload))

    def deliver(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def close(self) -> None:
        self.link.close()
        self.disconnect()
        self.broker.kill()


@pytest.fixture(params=["memory", "mqtt"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    """Each kind of link, up."""
    made = MemoryWire() if request.param == "memory" else MqttWire(Mosquitto(tmp_path))
    assert changes(made.link) == [True]
    settle_subscription(made)
    yield made
    made.close()


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[MqttWire]:
    """A link over a broker that gives the next message only when the one before was acknowledged."""
    made = MqttWire(Mosquitto(tmp_path, inflight=1))
    assert changes(made.link) == [True]
    settle_subscription(made)
    yield made
    made.close()


def settle_subscription(wire: Wire) -> None:
    """The link's subscription is in force once a message comes through; it is acknowledged."""
    if isinstance(wire, MemoryWire):
        return
    got: list[Arrival] = []

    def came_through() -> bool:
        wire.deliver("ami/v1/R1/PROBE/up/status", b'{"v":1,"online":true}')
        got.extend(wire.link.receive(100, 0.05))
        wire.link.settle(got)
        return bool(got)

    wait_until(came_through)
    drain(wire.link)


def drain(link: GatewayLink) -> None:
    while more := link.receive(100, QUIET_S):
        link.settle(more)


def collect(link: GatewayLink, count: int, *, settle: bool = False, timeout_s: float = 10.0) -> list[Arrival]:
    """The next `count` arrivals."""
    got: list[Arrival] = []
    deadline_s = time.monotonic() + timeout_s
    while len(got) < count:
        assert time.monotonic() < deadline_s, f"{len(got)} of {count} came"
        new = link.receive(count - len(got), 0.1)
        if settle:
            link.settle(new)
        got += new
    return got


def changes(link: GatewayLink, count: int = 1) -> list[bool]:
    """The next comings and goings of the link."""
    found = []
    for arrival in collect(link, count, timeout_s=20.0):
        assert isinstance(arrival.message, LinkChanged), arrival
        assert arrival.message.detail
        found.append(arrival.message.up)
    return found


def reading(number: int, gateway: str = "G1") -> tuple[str, bytes]:
    payload = (
        b'{"v":1,"frame":%d,"sent_at_s":1,"kind":"interval","meters":["M1"],"seqs":[%d],"at_s":[1],'
        b'"registers_wh":[%d]}'
    ) % (number, number, number)
    return f"ami/v1/R1/{gateway}/up/readings", payload


def frames(arrivals: list[Arrival]) -> list[int]:
    found = []
    for arrival in arrivals:
        assert isinstance(arrival.message, ReadingFrame), arrival
        found.append(arrival.message.frame)
    return found


# --- up -----------------------------------------------------------------------------------------------------


def test_messages_arrive_in_order_with_their_raw_form(wire: Wire) -> None:
    for number in range(1, 201):
        wire.deliver(*reading(number, f"G{number % 3}"))
    arrivals = collect(wire.link, 200, settle=True)
    assert frames(arrivals) == list(range(1, 201))
    assert (arrivals[6].topic, arrivals[6].payload) == reading(7, "G1")
    assert wire.link.receive(10, 0.0) == []


def test_each_kind_of_message_is_understood(wire: Wire) -> None:
    wire.deliver("ami/v1/R1/G1/up/status", b'{"v":1,"online":false}')
    wire.deliver(
        "ami/v1/R1/G1/up/hello",
        b'{"v":1,"frame":3,"sent_at_s":9,"meters":[{"meter":"M1","reading_seq":1,"register_wh":2,"credit_seq":3,'
        b'"credit_total_micros":4,"relay_version":5,"relay":"closed"}]}',
    )
    wire.deliver(
        "ami/v1/R1/G1/up/results",
        b'{"v":1,"sent_at_s":9,"results":[{"kind":"relay","meter":"M1","version":2,"relay":"open",'
        b'"outcome":"rejected","code":"EXPIRED","at_s":8}]}',
    )
    status, hello, results = (arrival.message for arrival in collect(wire.link, 3))
    assert status == StatusChanged(G1, False)
    assert isinstance(hello, HelloFrame)
    ((meter, view),) = hello.meters
    assert (hello.frame, meter, view.at_s, view.register_wh, view.credit_seq) == (3, "M1", 9, 2, 3)
    assert (view.credit_total_micros, view.relay_version) == (4, 5)
    assert isinstance(results, ResultFrame)
    assert [(answer.meter, answer.version, answer.refusal) for answer in results.relays] == [("M1", 2, "EXPIRED")]


@pytest.mark.parametrize(
    ("topic", "payload", "gateway", "frame", "code"),
    [
        ("ami/v1/R1/G1/up/readings", b"\xff", G1, None, "BAD_JSON"),
        ("ami/v1/R1/G1/up/readings", b'{"v":1,"frame":5}', G1, 5, "BAD_MESSAGE"),
        ("ami/v1/R1/G1/up/hello", b'{"v":9,"frame":5}', G1, 5, "UNKNOWN_VERSION"),
        ("ami/v1/R1/G1/up/hello", b" " * (MAX_PAYLOAD_BYTES + 1), G1, None, "TOO_LARGE"),
        ("ami/v1/R1/G_1/up/hello", b"{}", None, None, "BAD_TOPIC"),
        ("ami/v1/R1/G1/up/nonsense", b"{}", None, None, "BAD_TOPIC"),
    ],
)
def test_what_cannot_be_read_comes_as_unreadable_and_in_nobodys_way(
    wire: Wire, topic: str, payload: bytes, gateway: GatewayId | None, frame: int | None, code: str
) -> None:
    wire.deliver(*reading(1))
    wire.deliver(topic, payload)
    wire.deliver(*reading(2))
    first, bad, second = collect(wire.link, 3)
    assert frames([first, second]) == [1, 2]
    assert isinstance(bad.message, Unreadable)
    assert (bad.message.gateway, bad.message.frame, bad.message.code) == (gateway, frame, code)
    assert (bad.message.topic, bad.message.payload) == (topic, payload)
    assert bad.message.detail


def test_receive_gives_at_most_what_was_asked_for(wire: Wire) -> None:
    for number in range(1, 6):
        wire.deliver(*reading(number))
    got: list[Arrival] = []
    while len(got) < 5:
        some = wire.link.receive(2, 5.0)
        assert 1 <= len(some) <= 2
        got += some
    assert frames(got) == [1, 2, 3, 4, 5]


def test_receive_does_not_wait_longer_than_told(wire: Wire) -> None:
    began_s = time.monotonic()
    assert wire.link.receive(10, 0.0) == []
    assert time.monotonic() - began_s < 0.2
    assert wire.link.receive(10, 0.1) == []
    assert time.monotonic() - began_s < 1.0


# --- acknowledgement ----------------------------------------------------------------------------------------


def test_memory_settles_only_what_it_is_given() -> None:
    wire = MemoryWire()
    for number in range(1, 4):
        wire.deliver(*reading(number))
    change, first, second, _ = wire.link.receive(10, 0.0)
    wire.link.settle([change, second])
    assert sorted(wire.link.unsettled) == [first.ticket, 3]


def test_message_is_acknowledged_by_settle_and_by_nothing_else(narrow: MqttWire) -> None:
    for number in range(1, 4):
        narrow.deliver(*reading(number))
    for number in range(1, 4):
        (arrival,) = collect(narrow.link, 1)
        assert frames([arrival]) == [number]
        assert narrow.link.receive(10, QUIET_S) == [], "the broker waits for our word"
        narrow.link.settle([arrival])
    assert narrow.link.receive(10, QUIET_S) == []


def test_unsettled_message_comes_no_more_after_a_new_connection(narrow: MqttWire) -> None:
    """The session is clean: who sent it sends it again, because it has no receipt."""
    narrow.deliver(*reading(1))
    collect(narrow.link, 1)
    narrow.disconnect()
    narrow.broker.kill()
    assert changes(narrow.link) == [False]
    narrow.broker.start()
    assert changes(narrow.link) == [True]
    assert narrow.link.receive(10, QUIET_S) == []
    narrow.connect()


def test_ticket_of_an_older_connection_acknowledges_nothing(narrow: MqttWire) -> None:
    narrow.deliver(*reading(1))
    (old,) = collect(narrow.link, 1)
    narrow.disconnect()
    narrow.broker.kill()
    assert changes(narrow.link) == [False]
    narrow.broker.start()
    assert changes(narrow.link) == [True]
    narrow.connect()
    time.sleep(QUIET_S)  # the subscription
    narrow.deliver(*reading(2))
    narrow.deliver(*reading(3))
    (new,) = collect(narrow.link, 1)
    # Packet numbers begin anew, so by number alone the old ticket would acknowledge a message of now.
    for mid in range(1, 10):
        stale = Arrival(old.message, type(old.ticket)(1, mid), old.topic, old.payload)  # type: ignore[call-arg]
        narrow.link.settle([stale])
    narrow.link.settle([old])
    assert narrow.link.receive(10, QUIET_S) == []
    narrow.link.settle([new])
    assert frames(collect(narrow.link, 1)) == [3]


def test_broker_is_held_back_while_nothing_is_received(tmp_path: Path) -> None:
    """What is not asked for waits at the broker, not in our memory; and nothing of it is lost."""
    wire = MqttWire(Mosquitto(tmp_path))
    collect(wire.link, 1)
    settle_subscription(wire)
    topic, _ = reading(1)
    for number in range(1, 301):
        wire.deliver(topic, reading(number)[1].ljust(60_000))
    got = collect(wire.link, 5, settle=True)
    for _ in range(3):
        time.sleep(QUIET_S / 2)
        got += wire.link.receive(5, 0.0)
        assert wire.link._arrived == [], "no more is taken than was asked for"
    assert len(got) <= 20
    got += collect(wire.link, 300 - len(got), settle=True)
    assert frames(got) == list(range(1, 301))
    wire.close()


# --- down ---------------------------------------------------------------------------------------------------


def arrived(wire: Wire, done: Callable[[], bool]) -> None:
    """Wait for the last message, then for one too many. What the socket did not take goes on in `receive`."""

    def pumped() -> bool:
        wire.link.receive(1, 0.0)
        return done()

    wait_until(pumped)
    if isinstance(wire, MqttWire):
        time.sleep(0.1)


def test_messages_go_to_the_gateway_that_they_are_for(wire: Wire) -> None:
    wire.link.send(
        [
            HelloWanted(G1),
            CommandOut(G2, "M3", DeliveryKind.CREDIT, 4, NOW_S, credit_total_micros=9),
            ReceiptOut(G1, 7, Verdict.ACCEPTED, refused=[("M1", "UNKNOWN_METER")]),
            CommandOut(G2, "M4", DeliveryKind.RELAY, 5, NOW_S, relay="open", expires_at_s=NOW_S + 60),
            ReceiptOut(G1, None, Verdict.REFUSED, "BAD_JSON", "no"),
            ReceiptOut(G2, 8, Verdict.LATER, "UNKNOWN_GATEWAY", "who"),
        ],
        NOW_S + 1,
    )
    arrived(wire, lambda: len(wire.sent) >= 4)
    found = {topic: decode(parse_topic(topic)[1], payload) for topic, payload in wire.sent}
    assert len(found) == len(wire.sent) == 4
    assert found["ami/v1/R1/G1/down/requests"] == Request(sent_at_s=NOW_S + 1, want="hello")
    commands = found["ami/v1/R1/G2/down/commands"]
    assert isinstance(commands, Commands)
    credit, relay = commands.commands
    assert (credit.meter, credit.kind, credit.issued_at_s) == ("M3", "credit", NOW_S)
    assert (relay.meter, relay.kind) == ("M4", "relay")
    receipts = found["ami/v1/R1/G1/down/receipts"]
    assert isinstance(receipts, Receipts)
    assert [(each.frame, str(each.outcome)) for each in receipts.receipts] == [(7, "accepted"), (None, "refused")]
    assert [(row.meter, str(row.code)) for row in receipts.receipts[0].refused] == [("M1", "UNKNOWN_METER")]
    later = found["ami/v1/R1/G2/down/receipts"]
    assert isinstance(later, Receipts)
    assert later.receipts[0].retry_after_s


def test_many_messages_are_split_within_the_limits(wire: Wire) -> None:
    longest = "M" * 28
    commands = [
        CommandOut(
            G1,
            f"{longest}{number:04}",
            DeliveryKind.RELAY,
            MAX_INTEGER,
            MAX_INTEGER,
            relay="closed",
            expires_at_s=MAX_INTEGER,
        )
        for number in range(2_000)
    ]
    rows = [(f"{longest}{number:04}", "REGISTER_WENT_BACK") for number in range(500)]
    receipts = [
        ReceiptOut(G1, number, Verdict.ACCEPTED, refused=rows[: 500 if number % 100 == 7 else number % 9])
        for number in range(1, 1_100)
    ]
    wire.link.send([*commands, *receipts], NOW_S)
    received: list[str] = []
    frames_: list[int | None] = []

    def all_there() -> bool:
        received.clear()
        frames_.clear()
        for topic, payload in list(wire.sent):
            message = decode(parse_topic(topic)[1], payload)
            if isinstance(message, Commands):
                received.extend(command.meter for command in message.commands)
            elif isinstance(message, Receipts):
                frames_.extend(receipt.frame for receipt in message.receipts)
        return len(received) >= 2_000 and len(frames_) >= 1_099

    arrived(wire, all_there)
    assert received == [command.meter for command in commands]
    assert frames_ == [receipt.frame for receipt in receipts]
    for topic, payload in wire.sent:
        assert len(payload) <= MAX_PAYLOAD_BYTES, topic
    assert all(len(message.split(b'"meter"')) <= MAX_ROWS + 1 for _, message in wire.sent)


def test_nothing_to_send_sends_nothing(wire: Wire) -> None:
    wire.link.send([], NOW_S)
    time.sleep(0.1)
    assert wire.sent == []


# --- coming and going ---------------------------------------------------------------------------------------


def test_memory_link_comes_and_goes() -> None:
    wire = MemoryWire()
    wire.link.disconnect()
    wire.link.connect()
    assert changes(wire.link, 3) == [True, False, True]


def test_killed_broker_is_noticed_and_its_return_too(tmp_path: Path) -> None:
    wire = MqttWire(Mosquitto(tmp_path))
    assert changes(wire.link) == [True]
    wire.disconnect()
    wire.broker.kill()
    assert changes(wire.link) == [False]
    wire.link.send([HelloWanted(G1)], NOW_S)  # to nobody: neither an error nor kept for later
    wire.broker.start()
    assert changes(wire.link) == [True]
    wire.connect()
    settle_subscription(wire)
    wire.deliver(*reading(1))
    assert frames(collect(wire.link, 1)) == [1]
    assert wire.sent == []
    wire.link.send([HelloWanted(G1)], NOW_S)
    wait_until(lambda: len(wire.sent) == 1)
    wire.close()


def test_link_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.kill()
    link = MqttLink(Broker("127.0.0.1", broker.port), (), "early")
    assert link.receive(10, QUIET_S) == []
    broker.start()
    assert changes(link) == [True]
    link.close()
    broker.kill()


def test_link_closes_quickly_without_a_broker(free_port: int) -> None:
    link = MqttLink(Broker("127.0.0.1", free_port), (), "lonely")
    link.receive(10, QUIET_S)
    began_s = time.monotonic()
    link.close()
    assert time.monotonic() - began_s < 6


def test_only_the_regions_named_are_received(tmp_path: Path) -> None:
    wire = MqttWire(Mosquitto(tmp_path), regions=("R1", "R3"))
    collect(wire.link, 1)
    settle_subscription(wire)
    _, payload = reading(1)
    for region in ("R2", "R3", "R1"):
        wire.deliver(f"ami/v1/{region}/G1/up/readings", payload)
    regions = [arrival.message.gateway.region for arrival in collect(wire.link, 2)]  # type: ignore[union-attr]
    assert regions == ["R3", "R1"]
    assert wire.link.receive(10, QUIET_S) == []
    wire.close()
