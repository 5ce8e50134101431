"""Where the files of a run between processes lie, which ports it uses, and the command lines of its programs.

Everything is written down before anything is started; what runs when is the plant's.
"""

import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from meter_sim.fleet import FleetPlan, import_lines
from meter_sim.lab.disk_control import CONTROL_VARIABLE, JOURNAL_VARIABLE
from meter_sim.lab.households import consumer
from meter_sim.lab.line_command import LineCommand
from meter_sim.lab.plant import Link
from meter_sim.lab.processes import LabError, clean_environment, dying_with_us
from meter_sim.lab.run_clock import RunClock
from meter_sim.lab.run_folder import RunFolder

ROOT: Final = Path(__file__).parents[2]
BROKERS: Final = ("amqtt", "mosquitto")
HOST: Final = "127.0.0.1"
COMMAND_TIMEOUT_S: Final = 120.0
RESEND_S: Final = 1.5
"""Wall seconds until a gateway sends a frame again."""

PORTS: Final = range(20_000, 32_000)
"""Below the system's own range: a client that dials a dead port of that range can connect to itself."""

SILENT_S: Final = 2 * 3_600
SILENT_INTERVALS: Final = 4
SILENT_WALL_S: Final = 1.5
"""A gateway counts as out after the longer of the first two, and so many wall seconds at the highest speed."""

METER_SILENT_TIMES: Final = 12
"""A meter counts as silent after so many times as long."""

_SETTINGS: Final = """\
store = "{store}"
broker = "mqtt://{host}:{port}"
regions = ["{region}"]
zone = "{zone}"
preset = "{preset}"
gateway_silent_after_s = {silent}
meter_silent_after_s = {meter_silent}
answer_timeout_s = 1.5
heartbeat_s = 0.25
stalled_after_s = 2.0
"""

_MOSQUITTO: Final = """\
listener {port} {host}
allow_anonymous true
max_inflight_messages 1000
max_queued_messages 100000
"""


class Installation:
    """One run's files, ports and command lines."""

    def __init__(self, rules: str, plan: FleetPlan, folder: RunFolder, broker: str, clock: RunClock) -> None:
        """Choose the ports and write the settings; the folder exists.

        Raises:
            LabError: the broker is not known or not installed, or no port is free.
        """
        if broker not in BROKERS:
            raise LabError(f"no broker {broker!r}: there are {' and '.join(BROKERS)}")
        self.folder = folder
        self.clock = clock
        self.plan = plan
        self.rules = rules
        path = folder.path
        self.keys = folder.store.with_name(folder.store.name + ".keys")
        self.disk_control = path / "disk.json"
        self.disk_journal = path / "disk.journal"
        self.fleet_control = path / "fleet-control.json"
        self.fleet_progress = path / "fleet.json"
        self.broker_port, self.control_port, *links = free_ports(4)
        self.link_ports = dict(zip(Link, links, strict=True))
        self._broker = broker
        self._bin = Path(sys.executable).parent
        self._settings = path / "headend.toml"
        silent_s = max(SILENT_S, SILENT_INTERVALS * plan.interval_s) + int(SILENT_WALL_S * clock.fastest)
        self._settings.write_text(
            _SETTINGS.format(
                store=folder.store.absolute(),
                host=HOST,
                port=self.link_ports[Link.HEADEND],
                region=plan.region,
                zone=plan.zone,
                preset=rules,
                silent=silent_s,
                meter_silent=METER_SILENT_TIMES * silent_s,
            )
        )
        self._mosquitto = path / "mosquitto.conf"
        self._mosquitto.write_text(_MOSQUITTO.format(port=self.broker_port, host=HOST))
        self.broker_command()  # whoever lacks it learns so before anything runs

    # --- commands ------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of this run."""
        spec = self.clock.spec
        return clean_environment(
            HEADEND_CONFIG=str(self._settings),
            HEADEND_CLOCK=spec,
            METER_SIM_CLOCK=spec,
            **{CONTROL_VARIABLE: str(self.disk_control)},
        )

    @property
    def serve_environment(self) -> dict[str, str]:
        """The environment of `headend serve`: it keeps a journal of what its disk has not synced."""
        return self.environment | {JOURNAL_VARIABLE: str(self.disk_journal)}

    def headend_command(self, *words: str) -> list[str]:
        """A command of the head-end, on a sound disk by a right clock."""
        return [str(self._bin / "headend"), *words]

    def under_test_command(self, *words: str) -> list[str]:
        """A command of the head-end whose disk and clock can be broken."""
        return [sys.executable, "-m", "meter_sim.lab.under_test", *words]

    def broker_command(self) -> list[str]:
        """The broker.

        Raises:
            LabError: it is not installed.
        """
        if self._broker == "amqtt":
            return self.headend_command("broker", "--port", str(self.broker_port))
        program = shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise LabError("mosquitto is not installed: apt-get install mosquitto, or take --broker amqtt")
        return [program, "-c", str(self._mosquitto)]

    def proxy_command(self) -> list[str]:
        """The proxy: one listener a link, before the broker."""
        words = [sys.executable, "-m", "meter_sim.lab.proxy"]
        for link, port in self.link_ports.items():
            words += ["--listen", f"{link}={HOST}:{port}={HOST}:{self.broker_port}"]
        words += ["--control", f"{HOST}:{self.control_port}", "--seed", str(self.plan.seed)]
        return [*words, "--log", str(self.folder.wire), "--clock", self.clock.spec]

    def fleet_command(self) -> list[str]:
        """The fleet."""
        plan = self.plan
        options = {
            "--meters": plan.meters, "--meters-per-gateway": plan.meters_per_gateway, "--region": plan.region,
            "--interval": f"{plan.interval_s}s", "--seed": plan.seed, "--zone": plan.zone,
            "--log": self.folder.fleet, "--broker": f"mqtt://{HOST}:{self.link_ports[Link.FLEET]}",
            "--clock": self.clock.spec, "--resend": RESEND_S, "--progress-json": self.fleet_progress,
            "--clock-error": f"{plan.clock_error_s}s", "--keys": self.keys, "--control": self.fleet_control,
        }  # fmt: skip
        return [str(self._bin / "meter-sim"), "run", *(str(word) for option in options.items() for word in option)]

    def begin_headend(self, *words: str, under_test: bool = False) -> subprocess.Popen[str]:
        """Begin a command of the head-end, which waits for its input; `end_headend` or kill it."""
        return subprocess.Popen(
            dying_with_us(self.under_test_command(*words) if under_test else self.headend_command(*words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=ROOT,
            start_new_session=True,
        )

    @staticmethod
    def end_headend(process: subprocess.Popen[str], content: str = "") -> subprocess.CompletedProcess[str]:
        """Give a command its input, and wait for its end.

        Raises:
            LabError: it does not end.
        """
        with process:
            try:
                output, complaint = process.communicate(content, COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError(f"{process.args!r} did not end within {COMMAND_TIMEOUT_S:g} s") from None
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, complaint)

    def run_headend(self, *words: str, content: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the head-end to its end, on a sound disk and by a right clock.

        Raises:
            LabError: it does not end.
        """
        return self.end_headend(self.begin_headend(*words), content)

    def line_command(self, *words: str) -> LineCommand:
        """A command of the head-end under test that answers line by line."""
        log = self.folder.path / f"{words[0]}.log"
        return LineCommand(
            f"headend {words[0]}", self.under_test_command(*words), lambda: self.environment, ROOT, log
        )

    def import_meters(self) -> None:
        """Register the fleet's meters.

        Raises:
            LabError: the head-end refuses them.
        """
        head, *rows = import_lines(self.plan, self.clock.first_day)
        lines = [f"{head},category,load_w,feeder"]
        for number, row in enumerate(rows, start=1):
            who = consumer(self.rules, number)
            lines.append(f"{row},{who.category},{who.load_w},F{row.split(',')[2].removeprefix('G')}")
        done = self.run_headend("meter", "import", "-", content="\n".join(lines) + "\n")
        if done.returncode != 0:
            raise LabError(f"headend meter import failed: {done.stderr.strip()}")

    def broker_listens(self) -> bool:
        """Whether the broker can be dialled."""
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((HOST, self.broker_port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now.

    Raises:
        LabError: there are too few.
    """
    chance, found = random.Random(), set[int]()
    for _ in range(100 * count):
        port = chance.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found.add(port)
        if len(found) == count:
            return list(found)
    raise LabError(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")
