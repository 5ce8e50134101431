"""A client of the broker that belongs to nobody: publishes what it is told, and hears nothing."""

import time
from contextlib import suppress
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

ANSWER_TIMEOUT_S: Final = 2.0
"""Wall seconds that a broker may take; so long it is left alone after it took longer."""


class Stranger:
    """One connection at most, made anew where it was lost."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._client: mqtt.Client | None = None
        self._leave_alone_until_s = 0.0

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1; whether the broker acknowledged it. Without a broker nothing happens."""
        if time.monotonic() < self._leave_alone_until_s:
            return False
        client = self._client if self._client is not None and self._client.is_connected() else self._connect()
        if client is None:
            return False
        sent = client.publish(topic, payload, qos=1)
        with suppress(ValueError, RuntimeError):  # the connection ended meanwhile
            sent.wait_for_publish(ANSWER_TIMEOUT_S)
            if sent.is_published():
                return True
        self._leave_alone_until_s = time.monotonic() + ANSWER_TIMEOUT_S
        return False

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connect(self) -> mqtt.Client | None:
        self.close()
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = ANSWER_TIMEOUT_S
        try:
            client.connect(self._host, self._port)
        except OSError:
            return None
        client.loop_start()
        self._client = client
        return client
