"""The parts of a run as processes: broker, head-end, fleet, and the virtual clock that both ends share.

Knows the command lines of both ends and where their files lie; what happens when is the story's.
"""

import fcntl
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from headend.wire.timescale import TimeScale
from meter_sim.fleet import FleetPlan, import_lines
from meter_sim.lab.processes import Child, Children, LabError, clean_environment, dying_with_us

ROOT: Final = Path(__file__).parents[2]
ZONE: Final = "Asia/Kolkata"
START: Final = "2024-10-30T00:00:00+05:30"
"""The day before Diwali 2024, in the days of the outage that this project comes from."""
REGION: Final = "patna"
OPEN_EXPIRES_AFTER_S: Final = 6 * 3_600
READY_TIMEOUT_S: Final = 60.0
COMMAND_TIMEOUT_S: Final = 120.0
STANDING_SPEED: Final = 0.001
"""Of a clock that stands still: not quite 0, which a clock cannot have."""

PORTS: Final = range(20_000, 32_000)
"""Below the system's own range: a client that dials a dead port of that range can connect to itself."""

MARKER: Final = ".laboratory"
"""In a folder that a run has made, and that the next one may empty."""

BROKER: Final = "broker"
HEADEND: Final = "headend"
FLEET: Final = "fleet"
BROKERS: Final = ("amqtt", "mosquitto")

_SETTINGS: Final = """\
store = "{store}"
broker = "mqtt://127.0.0.1:{port}"
regions = ["{region}"]
zone = "{zone}"
preset = "{preset}"
gateway_silent_after_s = {silent}
meter_silent_after_s = {meter_silent}
{expires}answer_timeout_s = 3.0
heartbeat_s = 0.25
"""

_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 1000
max_queued_messages 100000
"""


CATEGORIES: Final = (("urban", 2_000),) * 12 + (("rural", 1_000),) * 5 + (("kutir-jyoti", 500),) * 3
"""Consumer categories with their sanctioned load in W, of each twenty homes."""


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What a run is made of.

    `speed`: virtual seconds in a wall second; `turns`: (ISO time, speed) where it changes. `preset`: the rules of
    the head-end. `clock_error_s`: most that a meter's clock is off. `silent_after_s`: virtual seconds after which
    a gateway counts as out; a meter, after twelve times as many. `expires_after_s`: how long an order to open
    has effect; None: as the rules say. `resend_s`: wall seconds until a gateway sends a frame again.
    """

    folder: Path
    meters: int
    gateways: int
    seed: int
    speed: float
    broker: str = "amqtt"
    preset: str = "flat"
    start: str = START
    turns: tuple[tuple[str, float], ...] = ()
    interval_s: int = 900
    clock_error_s: int = 0
    silent_after_s: int = 2 * 3_600
    expires_after_s: int | None = OPEN_EXPIRES_AFTER_S
    resend_s: float = 3.0

    def category(self, number: int) -> tuple[str, int]:
        """Consumer category and sanctioned load of a meter; a flat price knows one category, without a name."""
        return ("", 1_000) if self.preset == "flat" else CATEGORIES[number % len(CATEGORIES)]


class Site:
    """One broker, one head-end and one fleet, each a process."""

    def __init__(self, plan: SitePlan, children: Children) -> None:
        """Write the settings and choose a port; nothing is started."""
        self.plan = plan
        self.store = plan.folder / "headend.db"
        self.log = plan.folder / "fleet.db"
        self.children = children
        self._bin = Path(sys.executable).parent
        self._port = _free_port(random.Random())
        self._settings = plan.folder / "headend.toml"
        self._settings.write_text(
            _SETTINGS.format(
                store=self.store,
                port=self._port,
                region=REGION,
                zone=ZONE,
                preset=plan.preset,
                silent=plan.silent_after_s,
                meter_silent=12 * plan.silent_after_s,
                expires=f"relay_open_expires_after_s = {plan.expires_after_s}\n" if plan.expires_after_s else "",
            )
        )
        self.fleet = FleetPlan(
            plan.meters,
            -(-plan.meters // plan.gateways),
            REGION,
            int(datetime.fromisoformat(plan.start).timestamp()),
            plan.seed,
            plan.interval_s,
            ZONE,
            clock_error_s=plan.clock_error_s,
        )
        self._clock = self._standing_clock(0)
        self._scale = TimeScale.parse(self._clock)

    # --- time ----------------------------------------------------------------------------------------------

    def start_clock(self) -> None:
        """Let virtual time begin now; until then it stands still."""
        turns = "".join(f",{at}x{speed:g}" for at, speed in self.plan.turns)
        self._clock = f"{self.plan.start}@{time.time():.3f}x{self.plan.speed:g}{turns}"
        self._scale = TimeScale.parse(self._clock)

    def now_s(self) -> int:
        """Virtual time, seconds UTC."""
        return self._scale.virtual_s(time.time())

    def since_start_s(self) -> int:
        """Virtual seconds since the run began."""
        return self.now_s() - self._scale.start_s

    def local_text(self) -> str:
        """Virtual time for people."""
        return datetime.fromtimestamp(self.now_s(), ZoneInfo(ZONE)).strftime("%a %d %b %H:%M")

    def ago_s(self, wall_s: float) -> int:
        """What virtual time it was some wall seconds ago."""
        return self._scale.virtual_s(time.time() - wall_s)

    def _standing_clock(self, since_start_s: int) -> str:
        # The same start, for that is the fleet's name in its log; begun so long ago that it shows this time.
        return f"{self.plan.start}@{time.time() - since_start_s / STANDING_SPEED:.3f}x{STANDING_SPEED:f}"

    # --- the head-end's command line ------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of this run."""
        return clean_environment(
            HEADEND_CONFIG=str(self._settings), HEADEND_CLOCK=self._clock, METER_SIM_CLOCK=self._clock
        )

    def headend_command(self, *words: str) -> list[str]:
        """A command line of the head-end."""
        return [str(self._bin / "headend"), *words]

    def run_headend(self, *words: str, content: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the head-end to its end."""
        return subprocess.run(
            dying_with_us(self.headend_command(*words)),
            input=content,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=ROOT,
            timeout=COMMAND_TIMEOUT_S,
            start_new_session=True,
            check=False,
        )

    def import_meters(self) -> None:
        """Register the fleet's meters.

        Raises:
            LabError: the head-end refuses them.
        """
        head, *rows = import_lines(self.fleet, self.plan.start[:10])
        lines = [f"{head},category,load_w,feeder"]
        for number, row in enumerate(rows, start=1):
            category, load_w = self.plan.category(number)
            lines.append(f"{row},{category},{load_w},F{row.split(',')[2].removeprefix('G')}")
        done = self.run_headend("meter", "import", "-", content="\n".join(lines) + "\n")
        if done.returncode != 0:
            raise LabError(f"headend meter import failed: {done.stderr.strip()}")

    # --- the three parts ------------------------------------------------------------------------------------

    def start_broker(self, *, wait: bool = True) -> None:
        """Start the broker, on the same port as before, and wait until it listens."""
        if self.plan.broker == "mosquitto":
            settings = self.plan.folder / "mosquitto.conf"
            settings.write_text(_MOSQUITTO.format(port=self._port))
            program = shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/usr/bin:/usr/local/bin")
            if program is None:
                raise LabError("mosquitto is not installed: apt-get install mosquitto, or take --broker amqtt")
            child = self._start(BROKER, [program, "-c", str(settings)])
        else:
            child = self._start(BROKER, self.headend_command("broker", "--port", str(self._port)))
        self._broker = child
        if wait:
            self.wait_for_broker()

    def wait_for_broker(self) -> None:
        """Wait until the broker listens that was started without waiting for it."""
        self._broker.wait_until_ready(self._broker_listens, READY_TIMEOUT_S)

    def start_headend(self, *, wait: bool = True) -> None:
        """Start `headend serve` and wait until it says that it is ready."""
        child = self._start(HEADEND, self.headend_command("serve"))
        if wait:
            child.wait_until_ready(lambda: "headend ready" in child.output(), READY_TIMEOUT_S)

    def start_fleet(self, *, wait: bool = True, standing: bool = False) -> None:
        """Start the fleet; `standing`: with a clock that stands still, so that no new reading falls due."""
        clock = self._standing_clock(self.since_start_s()) if standing else self._clock
        plan = self.fleet
        options = {
            "--meters": plan.meters, "--meters-per-gateway": plan.meters_per_gateway, "--region": plan.region,
            "--interval": f"{plan.interval_s}s", "--seed": plan.seed, "--zone": plan.zone, "--log": self.log,
            "--broker": f"mqtt://127.0.0.1:{self._port}", "--clock": clock, "--resend": self.plan.resend_s,
            "--progress-json": self.plan.folder / "fleet.json", "--clock-error": f"{plan.clock_error_s}s",
            "--keys": self.store.with_name(self.store.name + ".keys"),
        }  # fmt: skip
        words = [str(word) for option in options.items() for word in option]
        child = self._start(FLEET, [str(self._bin / "meter-sim"), "run", *words])
        if wait:
            child.wait_until_ready(self.log.exists, READY_TIMEOUT_S)

    def _start(self, name: str, command: list[str]) -> Child:
        return self.children.start(name, command, self.environment)

    def _broker_listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextmanager
def fresh_folder(folder: Path) -> Iterator[None]:
    """An empty folder that no other run uses meanwhile; what a former run left there is removed.

    Raises:
        LabError: another run is using it, or what it holds is no run's.
    """
    marker = folder / MARKER
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"another run uses {folder}: wait for its end or end it") from None
        if folder.exists():
            if any(folder.iterdir()) and not marker.exists():
                raise LabError(f"{folder} holds something else than a run: choose another folder")
            shutil.rmtree(folder)
        folder.mkdir()
        marker.touch()
        yield


def _free_port(chance: random.Random) -> int:
    for _ in range(100):
        port = chance.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError(f"no free port between {PORTS.start} and {PORTS.stop}")
