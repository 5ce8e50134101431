"""What tests of every kind may ask for: a free port, a real mosquitto, a seed."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from waiting import wait_until

# A failure prints what repeats it; in CI the same examples are tried each time.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("local", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

MOSQUITTO_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 1000
max_queued_messages 100000
log_dest stderr
"""


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def free_port() -> int:
    return find_free_port()


@pytest.fixture
def seed() -> int:
    """Seed of a random test: TEST_SEED, or 1 in CI, or a new one; a failing test shows it."""
    default = "1" if os.environ.get("CI") else str(secrets.randbits(32))
    value = int(os.environ.get("TEST_SEED", default))
    print(f"seed {value}: repeat with TEST_SEED={value}")
    return value


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """Start a mosquitto of this test's own on a loopback port, and yield the port."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto mosquitto-clients")
    port, process = _start_mosquitto(program, tmp_path)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _has_started(process: subprocess.Popen[bytes], port: int) -> bool:
    return process.poll() is not None or is_listening(port)


def _start_mosquitto(program: str, folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    log_path = folder / "mosquitto.log"
    for _ in range(5):  # somebody may take the port between our look and its bind
        port = find_free_port()
        config_path = folder / f"mosquitto-{port}.conf"
        config_path.write_text(MOSQUITTO_CONFIG.format(port=port))
        with log_path.open("ab") as log:
            process = subprocess.Popen([program, "-c", str(config_path)], stdout=log, stderr=log)
        try:
            wait_until(partial(_has_started, process, port))
        except AssertionError:
            process.kill()
            process.wait(timeout=10)
            raise
        if process.poll() is None:
            return port, process
    raise AssertionError(f"mosquitto did not start:\n{log_path.read_text()}")
