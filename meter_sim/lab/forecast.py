"""What a run of a scenario is going to be like, without running it: its agenda, its amounts, its time and memory.

Amounts are expected values; the estimates of time and memory are rough, and made to warn.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from meter_sim.durations import duration_text
from meter_sim.lab.faults.fault import Fault
from meter_sim.lab.scenario import DAY_S, ZONE, Clock, Scenario, Workload

ROWS_A_FRAME: Final = 500
REPETITIONS: Final = 1.3
"""Of a recharge that is asked for again."""

LINKS: Final = 2
"""A message between meter and head-end passes two."""

START_AND_JUDGE_S: Final = 12.0
SIMULATED_READINGS_A_S: Final = 20_000.0
SIMULATED_MESSAGES_A_S: Final = 2_500.0
SIMULATED_DAY_S: Final = 0.3
"""Of a day on which nothing happens."""

PROCESSES_KIB: Final = 280_000
"""Head-end, counter, fleet, broker and proxy with hardly anything to do."""

METER_KIB: Final = 4.0
SIMULATION_KIB: Final = 85_000
SIMULATED_METER_KIB: Final = 18.0
"""With what the judge keeps of it."""

GATEWAY_KIB: Final = 160.0
"""Its connections: in the fleet, through the proxy, in the broker."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something on the agenda; times are local, and spans since the start."""

    at: str
    local: str
    lasts: str
    what: str
    details: str
    times: int
    until: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one run. `recharges`: without repetitions and conflicts; `requests`: with them."""

    agenda: tuple[Entry, ...]
    recharges: int
    recharges_in_faults: int
    requests: int
    readings: int
    messages: int
    wall_s: dict[str, float]
    memory_kib: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """As data."""
        return asdict(self)


def forecast(scenario: Scenario) -> Forecast:
    """What to expect."""
    workload, length_s = scenario.workload, scenario.clock.length
    meters, gateways = scenario.fleet.meters, scenario.fleet.gateways
    reliefs = sum(max(1, round(meters * homes.share)) for homes in scenario.homes if homes.pays is not None)
    recharges = expected_recharges(workload, meters, 0, length_s) + reliefs
    requests = recharges * (1 + workload.retried * REPETITIONS + workload.conflicting)
    rounds = length_s / scenario.fleet.interval + length_s / DAY_S
    frames = rounds * gateways * -(-meters // gateways // ROWS_A_FRAME)
    # A frame and its receipt, a credit and its answer.
    messages = LINKS * (2 * frames + 2 * recharges)
    readings = rounds * meters
    simulated_s = readings / SIMULATED_READINGS_A_S + messages / SIMULATED_MESSAGES_A_S
    simulated_s += length_s / DAY_S * SIMULATED_DAY_S
    return Forecast(
        tuple(_agenda(scenario)),
        round(recharges),
        round(_recharges_in_faults(scenario)),
        round(requests),
        round(readings),
        round(messages),
        {
            "processes": round(wall_s(scenario.clock) + START_AND_JUDGE_S, 1),
            "simulation": round(simulated_s + START_AND_JUDGE_S / 8, 1),
        },
        {
            "processes": round(PROCESSES_KIB + METER_KIB * meters + GATEWAY_KIB * gateways),
            "simulation": round(SIMULATION_KIB + SIMULATED_METER_KIB * meters),
        },
    )


def wall_s(clock: Clock) -> float:
    """Wall seconds that the run's time takes between processes."""
    turns = [(0, clock.speed), *((turn.at, turn.speed) for turn in clock.turns), (clock.length, 1.0)]
    spans = ((min(to_s, clock.length) - from_s, speed) for (from_s, speed), (to_s, _) in pairwise(turns))
    return sum(span_s / speed for span_s, speed in spans if span_s > 0)


def expected_recharges(workload: Workload, meters: int, from_s: int, to_s: int) -> float:
    """How many are asked for in [from_s, to_s), repetitions left out. Surges that overlap add up."""
    plain_s, more = float(to_s - from_s), 0.0
    for surge in workload.surges:
        shared_s = max(0, min(to_s, surge.at + surge.lasts) - max(from_s, surge.at))
        plain_s -= shared_s
        more += shared_s * surge.recharges
    return (max(0.0, plain_s) * workload.recharges + more) * meters / 1_000 / DAY_S


def _recharges_in_faults(scenario: Scenario) -> float:
    """Those that are asked for while something is broken."""
    total, ended_s = 0.0, 0
    for from_s, to_s in sorted(span for fault in scenario.timeline for span in fault.occurrences()):
        begin_s = max(from_s, ended_s)
        if to_s > begin_s:
            total += expected_recharges(scenario.workload, scenario.fleet.meters, begin_s, to_s)
            ended_s = to_s
    return total


def _agenda(scenario: Scenario) -> Iterator[Entry]:
    for fault in sorted(scenario.timeline, key=lambda fault: fault.at):
        last_s = fault.occurrences()[-1][1]
        yield Entry(
            duration_text(fault.at),
            local_text(scenario.clock, fault.at),
            duration_text(fault.lasts),
            fault.fault,
            _details(fault),
            fault.times,
            local_text(scenario.clock, last_s),
        )


def local_text(clock: Clock, at_s: int) -> str:
    """A time of the run on the wall: `Fri 25 Oct 10:00`."""
    return datetime.fromtimestamp(clock.start_s + at_s, ZoneInfo(ZONE)).strftime("%a %d %b %H:%M")


def _details(fault: Fault) -> str:
    """What it says besides when and how often."""
    fields = fault.model_dump(mode="json", by_alias=True, exclude=set(Fault.model_fields) | {"fault"})
    everywhere = {"link": "fleet", "direction": "both", "share": 1.0}
    said = [f"{name}={value}" for name, value in fields.items() if everywhere.get(name) != value]
    if fault.times > 1:
        said.insert(0, f"{fault.times} times, every {duration_text(fault.every)}")
    return ", ".join(said)
