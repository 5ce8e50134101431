"""Many meters as columns: who they are, behind which gateway, and what each remembers.

Row `i` is meter number `first_number + i`. Gateway number g stands for meters (g - 1) * K + 1 to g * K,
counted over the whole fleet, so that any division of the gateways among processes names the same meters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from headend.wire.limits import MAX_INTEGER
from headend.wire.topics import Address, is_id
from meter_sim.grid import zone_of
from meter_sim.load import ALL_ROWS, Integers, LoadModel, Rows, opening_register_wh
from meter_sim.meter import Meter, register_wh
from meter_sim.policy import Policy

NO_POLICY = -1

MAX_METERS = 1_000_000
"""Most meters of one process."""

LEAST_INTERVAL_S = 1
MOST_INTERVAL_S = 86_400
MOST_CLOCK_ERROR_S = 2**31


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a fleet process is made of. Two processes with the same plan simulate the same meters.

    `start_s`: when the run began, seconds UTC; registers are at their opening values then. `clock_error_s`: most
    seconds, fast or slow, that a meter's clock is off when it judges a command; readings keep the true time.

    Raises:
        ValueError: with a message for a person.
    """

    meters: int
    meters_per_gateway: int
    region: str
    start_s: int
    seed: int = 1
    interval_s: int = 900
    zone: str = "Asia/Kolkata"
    first_number: int = 1
    meter_prefix: str = "M"
    gateway_prefix: str = "G"
    clock_error_s: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.meters <= MAX_METERS:
            raise ValueError(f"{self.meters} meters: a process simulates 1 to {MAX_METERS:,}")
        if self.meters_per_gateway < 1:
            raise ValueError(f"{self.meters_per_gateway} meters per gateway: must be 1 or more")
        if self.first_number < 1 or (self.first_number - 1) % self.meters_per_gateway:
            raise ValueError(
                f"start number {self.first_number} is not the first meter of a gateway: "
                f"with {self.meters_per_gateway} per gateway that is 1, {self.meters_per_gateway + 1}, ..."
            )
        if not LEAST_INTERVAL_S <= self.interval_s <= MOST_INTERVAL_S:
            raise ValueError(f"an interval of {self.interval_s} s: must be {LEAST_INTERVAL_S} s to one day")
        if self.seed < 0 or self.start_s < 0 or self.start_s > MAX_INTEGER:
            raise ValueError("seed and start must not be negative")
        if not 0 <= self.clock_error_s <= MOST_CLOCK_ERROR_S:
            raise ValueError(f"a clock error of {self.clock_error_s} s: must be 0 to {MOST_CLOCK_ERROR_S:,} s")
        last = self.first_number + self.meters - 1
        for what, text in (
            ("region", self.region),
            ("meter id", self.meter_id(last)),
            ("gateway id", self.gateway_id(last)),
        ):
            if not is_id(text):
                raise ValueError(f"{what} {text!r} must be 1 to 32 letters, digits or hyphens")
        if self.meter_prefix[-1:].isdigit() or self.gateway_prefix[-1:].isdigit():
            raise ValueError("a prefix must not end in a digit: ids of different numbers could be the same")
        zone_of(self.zone)

    @property
    def gateways(self) -> int:
        """How many gateways; the last one may have fewer meters."""
        return -(-self.meters // self.meters_per_gateway)

    def meter_id(self, number: int) -> str:
        """The id of a meter by its number: `M0000001`."""
        return f"{self.meter_prefix}{number:07}"

    def gateway_id(self, number: int) -> str:
        """The id of the gateway of a meter, by the meter's number: `G0001`."""
        return f"{self.gateway_prefix}{(number - 1) // self.meters_per_gateway + 1:04}"

    def address(self, gateway: int) -> Address:
        """Where the gateway of an index (0, 1, ...) of this process lives."""
        return Address(self.region, self.gateway_id(self.first_number + gateway * self.meters_per_gateway))

    def rows(self, gateway: int) -> range:
        """The rows of a gateway's meters."""
        first = gateway * self.meters_per_gateway
        return range(first, min(first + self.meters_per_gateway, self.meters))


def import_lines(plan: FleetPlan, installed: str = "") -> Iterator[str]:
    """The fleet as lines of the CSV that `headend meter import` reads."""
    yield "meter,region,gateway,register_wh,installed"
    openings = opening_register_wh(plan.first_number, plan.meters).tolist()
    for number, opening in enumerate(openings, plan.first_number):
        yield f"{plan.meter_id(number)},{plan.region},{plan.gateway_id(number)},{opening},{installed}"


def clock_errors_s(plan: FleetPlan) -> Integers:
    """How far each meter's clock is ahead (or behind: below 0); the same in any division among processes."""
    if plan.clock_error_s == 0:
        return np.zeros(plan.meters, np.int64)
    numbers = np.arange(plan.first_number, plan.first_number + plan.meters, dtype=np.uint64)
    # A multiplicative hash: https://en.wikipedia.org/wiki/Hash_function#Fibonacci_hashing
    mixed = (numbers + np.uint64(plan.seed)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(31)
    errors: Integers = (mixed % np.uint64(2 * plan.clock_error_s + 1)).astype(np.int64) - plan.clock_error_s
    return errors


class Columns:
    """What all meters of a process remember, one array for each field of `Meter`, and their demand."""

    def __init__(self, plan: FleetPlan) -> None:
        count = plan.meters
        self.opening_register_wh = opening_register_wh(plan.first_number, count)
        self.credit_seq = np.zeros(count, np.int64)
        self.credit_total_micros = np.zeros(count, np.int64)
        self.relay_version = np.zeros(count, np.int64)
        self.relay_open = np.zeros(count, np.bool_)
        self.undrawn_wh = np.zeros(count, np.int64)
        self.opened_demand_wh = np.zeros(count, np.int64)
        self.policy_index = np.full(count, NO_POLICY, np.int32)
        self.clock_error_s = clock_errors_s(plan)
        self._policies: list[Policy] = []
        self._policy_indexes: dict[Policy, int] = {}
        self._load = LoadModel(plan.seed, plan.first_number, count, plan.start_s, ZoneInfo(plan.zone))

    def meter(self, row: int) -> Meter:
        """One meter, taken out of the columns."""
        return Meter(
            int(self.opening_register_wh[row]),
            int(self.credit_seq[row]),
            int(self.credit_total_micros[row]),
            int(self.relay_version[row]),
            bool(self.relay_open[row]),
            int(self.undrawn_wh[row]),
            int(self.opened_demand_wh[row]),
            self._policy(int(self.policy_index[row])),
        )

    def put(self, row: int, meter: Meter) -> None:
        """Put one meter back."""
        self.credit_seq[row] = meter.credit_seq
        self.credit_total_micros[row] = meter.credit_total_micros
        self.relay_version[row] = meter.relay_version
        self.relay_open[row] = meter.relay_open
        self.undrawn_wh[row] = meter.undrawn_wh
        self.opened_demand_wh[row] = meter.opened_demand_wh
        if meter.policy is not None:
            self.policy_index[row] = self.index_of(meter.policy)

    def index_of(self, policy: Policy) -> int:
        """The index that stands for a policy in `policy_index`: all meters that hold it share it."""
        index = self._policy_indexes.setdefault(policy, len(self._policies))
        if index == len(self._policies):
            self._policies.append(policy)
        return index

    def policy_versions(self, rows: Rows) -> list[int]:
        """The version of the policy that each meter holds; 0: none."""
        return [0 if index == NO_POLICY else self._policies[index].version for index in self.policy_index[rows]]

    def _policy(self, index: int) -> Policy | None:
        return None if index == NO_POLICY else self._policies[index]

    def clock_s(self, row: int, now_s: int) -> int:
        """What a meter's own clock says. None goes back beyond 1970."""
        return max(0, now_s + int(self.clock_error_s[row]))

    def shift_clocks(self, plan: FleetPlan, offsets_s: Mapping[str, int]) -> None:
        """Let the clocks of the meters behind these gateways, and no others, be off by so much more.

        Raises:
            ValueError: one of them is no gateway of the plan.
        """
        gateways = {plan.address(gateway).gateway: gateway for gateway in range(plan.gateways)}
        if strangers := offsets_s.keys() - gateways.keys():
            raise ValueError(f"{min(strangers)!r} is no gateway of this fleet")
        errors = clock_errors_s(plan)
        for name, offset_s in offsets_s.items():
            rows = plan.rows(gateways[name])
            errors[rows.start : rows.stop] += offset_s
        self.clock_error_s = errors

    def demand_wh(self, row: int, at_s: int) -> int:
        """The demand of one home since the start of the run."""
        return int(self._load.demand_wh(at_s, slice(row, row + 1))[0])

    def registers_wh(self, at_s: int, rows: Rows = ALL_ROWS) -> Integers:
        """`meter.register_wh` for many: valid for a time not before the last relay change of any of them."""
        supplied = self._load.demand_wh(at_s, rows)
        is_open = self.relay_open[rows]
        if is_open.any():
            supplied = np.where(is_open, self.opened_demand_wh[rows], supplied)
        registers: Integers = self.opening_register_wh[rows] + supplied - self.undrawn_wh[rows]
        return registers

    def register_wh(self, row: int, at_s: int) -> int:
        """`meter.register_wh` of one row."""
        return register_wh(self.meter(row), self.demand_wh(row, at_s))
