"""Starts the commands as a user does: real processes, real files, real ports. Ends only what it started."""

import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from headend.wire.timescale import TimeScale

COMMANDS = Path(sys.executable).parent

MOSQUITTO_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_dest stderr
"""


def environment(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing of ours but `more`."""
    ours = ("HEADEND_", "METER_SIM_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return clean | {"PATH": f"{COMMANDS}:{clean.get('PATH', '')}:/usr/sbin", "COLUMNS": "200"} | more


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str
    complaint: str

    def json(self) -> Any:
        return json.loads(self.output)


@dataclass(frozen=True)
class Site:
    """A folder to work in, with a store in it. Commands run there, so that no other `headend.toml` is seen."""

    folder: Path
    store: Path

    def run(self, *words: str, text: str | bytes | None = None, timeout_s: float = 40, **more: str) -> Done:
        """Run a command to its end; a traceback is a failure whatever the test looks at."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment(HEADEND_STORE=str(self.store)) | more,
            input=text.encode() if isinstance(text, str) else text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            timeout=timeout_s,
        )
        complaint = done.stderr.decode()
        assert "Traceback" not in complaint, complaint
        return Done(done.returncode, done.stdout.decode(), complaint)

    def headend(self, *words: str, text: str | bytes | None = None, timeout_s: float = 40, **more: str) -> Done:
        return self.run("headend", *words, text=text, timeout_s=timeout_s, **more)

    def good(self, *words: str, **more: str) -> Done:
        """A command that must succeed."""
        done = self.headend(*words, **more)
        assert done.status == 0, done
        return done

    def add_meters(self, *meters: str, region: str = "R1", gateway: str = "G1", register_wh: int = 1000) -> None:
        rows = [f"{meter},{region},{gateway},{register_wh},2024-10-29" for meter in meters]
        text = "\n".join(["meter,region,gateway,register_wh,installed", *rows])
        done = self.headend("meter", "import", "-", text=text)
        assert done.status == 0, done

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return rows_of(self.store, query, *values)

    def content(self) -> str:
        """A hash of everything in the store but the signs of life."""
        digest = hashlib.sha256()
        tables = [
            name
            for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            if name != "heartbeat"
        ]
        for table in tables:
            digest.update(table.encode())
            for row in self.rows(f'SELECT * FROM "{table}" ORDER BY 1, 2'):
                digest.update(repr(row).encode())
        return digest.hexdigest()

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is done within changes no row of any table."""
        before = self.content()
        yield
        assert self.content() == before

    def audit_in_flight(self) -> None:
        done = self.headend("audit", "--in-flight")
        assert done.status == 0, done.output
        assert "audit: all is well" in done.output


def make_site(folder: Path) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    return Site(folder, folder / "store.db")


def copy_site(site: Site, folder: Path) -> Site:
    """The same store in another folder. No process may have the first one open."""
    shutil.copytree(site.folder, folder)
    return Site(folder, folder / site.store.name)


def rows_of(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Look into an SQLite file with another library than the one that wrote it."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def change(path: Path, *statements: str) -> None:
    """Change rows as an outsider would: each statement must hit at least one row."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
    finally:
        connection.close()


# --- processes --------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """A process of ours with what it has written so far."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    output_path: Path
    complaint_path: Path

    def output(self) -> str:
        return self.output_path.read_text(errors="replace")

    def complaint(self) -> str:
        return self.complaint_path.read_text(errors="replace")

    def is_running(self) -> bool:
        return self.process.poll() is None

    def has_said(self, words: str) -> bool:
        return words in self.output() + self.complaint()

    def wait_for(self, words: str, timeout_s: float = 20) -> None:
        """Wait until the words stand in its output or complaint; fail at once when it ends without them."""
        try:
            wait_until(lambda: self.has_said(words) or not self.is_running(), timeout_s, period_s=0.02)
        except AssertionError as error:
            raise AssertionError(f"did not say {words!r}: {self.output()}{self.complaint()}") from error
        assert self.has_said(words), f"ended without {words!r}: {self.output()}{self.complaint()}"

    def ask_to_stop(self, timeout_s: float = 10) -> int:
        """SIGTERM, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running(site: Site, *words: str, **more: str) -> Iterator[Running]:
    """A process with its output in files; killed at the end if it still runs."""
    number = len(list(site.folder.glob("process-*.out")))
    name = f"process-{number}-{Path(words[0]).name}"
    output_path, complaint_path = site.folder / f"{name}.out", site.folder / f"{name}.err"
    with output_path.open("wb") as output, complaint_path.open("wb") as complaint:
        process = subprocess.Popen(
            words,
            cwd=site.folder,
            env=environment(HEADEND_STORE=str(site.store)) | more,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaint,
        )
    started = Running(words, process, output_path, complaint_path)
    try:
        yield started
    finally:
        if started.is_running():
            started.kill()
    assert "Traceback" not in started.complaint(), started.complaint()


@contextmanager
def serving(site: Site, port: int, *words: str, connected: bool = True, **more: str) -> Iterator[Running]:
    """A `headend serve` that is up, and connected to its broker unless told otherwise."""
    broker = f"mqtt://127.0.0.1:{port}"
    with running(site, "headend", "serve", "--broker", broker, *words, **more) as serve:
        serve.wait_for("headend ready:")
        if connected:
            serve.wait_for("connected to broker")
        yield serve


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Mosquitto:
    """A mosquitto that can be killed and started again on the same port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        config_path = self.folder / "mosquitto.conf"
        config_path.write_text(MOSQUITTO_CONFIG.format(port=self.port))
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", str(config_path)], env=environment(), stdout=log, stderr=log
            )
        process = self.process
        wait_until(lambda: process.poll() is not None or is_listening(self.port))
        assert process.poll() is None, (self.folder / "mosquitto.log").read_text()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def mosquitto_on(folder: Path, port: int | None = None) -> Iterator[Mosquitto]:
    if shutil.which("mosquitto", path=environment()["PATH"]) is None or shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto mosquitto-clients")
    broker = Mosquitto(folder, port or find_free_port())
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


# --- a gateway by hand ------------------------------------------------------------------------------------------


@dataclass
class HandGateway:
    """A gateway of mosquitto_pub and mosquitto_sub: says what a test gives it, and hears what comes down."""

    port: int
    region: str
    gateway: str
    ear: Running
    frame: int = 0

    def topic(self, channel: str) -> str:
        return f"ami/v1/{self.region}/{self.gateway}/{channel}"

    def publish(self, channel: str, payload: bytes | str, *words: str) -> None:
        """Say these bytes as they are."""
        content = payload.encode() if isinstance(payload, str) else payload
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", *words]
        how = ["-s"] if content else ["-n"]  # mosquitto_pub takes no empty input
        subprocess.run([*command, "-t", self.topic(channel), *how], input=content, check=True, timeout=10)

    def say(self, channel: str, /, **fields: object) -> None:
        self.publish(channel, json.dumps({"v": 1, **fields}))

    def new_frame(self) -> int:
        self.frame += 1
        return self.frame

    def status(self, *, online: bool) -> None:
        self.publish("up/status", json.dumps({"v": 1, "online": online}), "-r")

    def hello(self, *meters: str, register_wh: int = 1000, **counters: int) -> int:
        frame = self.new_frame()
        rows = [
            {"meter": meter, "reading_seq": 0, "register_wh": register_wh, "credit_seq": 0}
            | {"credit_total_micros": 0, "relay_version": 0, "relay": "closed"}
            | counters
            for meter in meters
        ]
        self.say("up/hello", frame=frame, sent_at_s=1_730_225_000, meters=rows)
        return frame

    def reading(
        self,
        meter: str,
        seq: int,
        register_wh: int,
        *,
        at_s: int = 1_730_225_700,
        kind: str = "interval",
        frame: int | None = None,
    ) -> int:
        frame = self.new_frame() if frame is None else frame
        columns = {"meters": [meter], "seqs": [seq], "at_s": [at_s], "registers_wh": [register_wh]}
        self.say("up/readings", frame=frame, sent_at_s=at_s + 1, kind=kind, **columns)
        return frame

    def credit_applied(self, meter: str, seq: int, total_micros: int, at_s: int = 1_730_226_700) -> None:
        counters = {"seq": seq, "credit_total_micros": total_micros, "outcome": "applied", "at_s": at_s}
        result = {"kind": "credit", "meter": meter, **counters}
        self.say("up/results", sent_at_s=at_s, results=[result])

    def heard(self, channel: str) -> list[Any]:
        """All messages that came down on a channel, oldest first."""
        prefix = self.topic(f"down/{channel}") + " "
        lines = self.ear.output().split("\n")[:-1]
        return [json.loads(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)]

    def receipts(self) -> list[Any]:
        return [receipt for message in self.heard("receipts") for receipt in message["receipts"]]

    def commands(self, meter: str) -> list[Any]:
        everything = [command for message in self.heard("commands") for command in message["commands"]]
        return [command for command in everything if command["meter"] == meter]

    def receipt(self, frame: int | None, number: int = 1, timeout_s: float = 10) -> Any:
        """The receipt of a frame (its n-th one), once it is there."""
        found: list[Any] = []

        def has_come() -> bool:
            found[:] = [receipt for receipt in self.receipts() if receipt.get("frame") == frame]
            return len(found) >= number

        wait_until(has_come, timeout_s, period_s=0.02)
        return found[number - 1]

    def command(self, meter: str, seq: int, timeout_s: float = 10) -> Any:
        """The credit command with this number, once it is there."""

        def found() -> list[Any]:
            return [c for c in self.commands(meter) if c["kind"] == "credit" and c["seq"] == seq]

        wait_until(lambda: bool(found()), timeout_s, period_s=0.02)
        return found()[0]


@contextmanager
def gateway_by_hand(site: Site, port: int, gateway: str = "G1", region: str = "R1") -> Iterator[HandGateway]:
    """A gateway that listens, with its last will. Killing `ear` is the power cut."""
    prefix = f"ami/v1/{region}/{gateway}"
    will = ["--will-topic", f"{prefix}/up/status", "--will-payload", '{"v":1,"online":false}']
    command = [
        "stdbuf",
        "-oL",
        "mosquitto_sub",
        "-d",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-i",
        f"{region}.{gateway}",
        "-q",
        "1",
    ]
    words = [*command, "-v", "-t", f"{prefix}/down/+", *will, "--will-qos", "1", "--will-retain"]
    with running(site, *words) as ear:
        ear.wait_for("Subscribed")
        yield HandGateway(port, region, gateway, ear)


# --- a fleet ----------------------------------------------------------------------------------------------------


def clock_at(start: str, speed: float) -> str:
    """A virtual clock that begins now: `--clock` of the head-end and the fleet."""
    return f"{start}@{time.time():.3f}x{speed}"


def fleet_words(site: Site, port: int, clock: str, meters: int, per_gateway: int, seed: int) -> list[str]:
    sizes = ["--meters", str(meters), "--meters-per-gateway", str(per_gateway), "--seed", str(seed)]
    files = ["--log", str(site.folder / "fleet.db"), "--json", str(site.folder / "fleet.json")]
    return ["meter-sim", "run", *sizes, "--broker", f"mqtt://127.0.0.1:{port}", "--clock", clock, *files]


def import_fleet(site: Site, meters: int, per_gateway: int, installed: str) -> list[str]:
    """Register a fleet's meters as the documentation says; their ids."""
    words = ["--meters", str(meters), "--meters-per-gateway", str(per_gateway), "--installed", installed]
    lines = site.run("meter-sim", "meters", *words).output
    done = site.headend("meter", "import", "-", text=lines)
    assert done.status == 0, done
    return [line.split(",")[0] for line in lines.splitlines()[1:]]


def stop_when_quiet(site: Site, fleet: Running, clock: str, attempts: int = 4) -> None:
    """Stop a fleet of 15-minute readings early in an interval, when the head-end has all that it took.

    A busy machine may stop it late, with the next readings not yet receipted: then it goes on, and again.
    """
    scale = TimeScale.parse(clock)

    def is_quiet() -> bool:
        now_s = scale.virtual_s(time.time())
        oldest_s = site.rows("SELECT min(coalesce(read_at_s, 0)) FROM register")[0][0]
        # Not at once: the receipts of the newest readings need a moment.
        return bool(200 < now_s % 900 < 500 and oldest_s >= now_s - now_s % 900)

    fleet.wait_for("sessions")
    wait_until(is_quiet, 40, period_s=0.02)
    assert fleet.ask_to_stop() == 0
    end = json.loads((site.folder / "fleet.json").read_text())
    if end["unreceipted_frames"]:
        assert attempts > 1, end
        with running(site, *(str(word) for word in fleet.words)) as again:
            stop_when_quiet(site, again, clock, attempts - 1)


def wait_for_rows(site: Site, query: str, wanted: Sequence[tuple[Any, ...]], timeout_s: float = 15) -> None:
    wait_until(partial(_gives, site, query, list(wanted)), timeout_s, period_s=0.05)


def _gives(site: Site, query: str, wanted: list[tuple[Any, ...]]) -> bool:
    return site.rows(query) == wanted
