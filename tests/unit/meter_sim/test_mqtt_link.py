import socket
from collections.abc import Iterator

import pytest
from waiting import wait_until

from headend.wire.topics import Address
from meter_sim import mqtt_link
from meter_sim.mqtt_link import FleetLink
from meter_sim.traffic import Dialled, Disconnected, Incoming, Publish


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port where TCP connects and nobody ever says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def addresses(count: int) -> list[Address]:
    return [Address("R1", f"G{number:04}") for number in range(count)]


def test_broker_that_accepts_and_stays_mute_is_given_up_and_dialled_again(
    mute_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_link, "HANDSHAKE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(mqtt_link, "CARE_S", 0.02)
    link = FleetLink("127.0.0.1", mute_port, addresses(1), most_backoff_s=0.05)
    happened: list[Incoming] = []

    def is_dialled_again() -> bool:
        happened.extend(link.poll(0.01))
        return len(happened) >= 3

    wait_until(is_dialled_again)
    assert happened[:3] == [(0, Dialled()), (0, Disconnected()), (0, Dialled())]
    assert "handshake" in link.last_error
    assert len(link._selector.get_map()) <= 1
    assert not link.was_up
    link.close(0.1)


def test_dialling_is_paced(free_port: int) -> None:
    link = FleetLink("127.0.0.1", free_port, addresses(500), connect_rate=1.0)
    dialled = [event for _ in range(20) for event in link.poll(0.0) if isinstance(event[1], Dialled)]
    assert dialled == [(0, Dialled())]
    link.close(0.1)


def test_message_for_a_link_that_is_down_is_dropped_and_counted(free_port: int) -> None:
    link = FleetLink("127.0.0.1", free_port, addresses(1))
    link.send([(0, Publish("ami/v1/R1/G0000/up/hello", b"{}"))])
    assert link.dropped == 1
    link.close(0.1)
