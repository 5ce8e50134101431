"""Faults: one small file each. What a scenario's timeline can hold is listed here, and nowhere else."""

from typing import Annotated, Final, get_args

from pydantic import Field

from meter_sim.lab.faults.broker_restart import BrokerRestart
from meter_sim.lab.faults.bulk_cut import BulkCut
from meter_sim.lab.faults.clock_drift import ClockDrift
from meter_sim.lab.faults.clock_jump import ClockJump
from meter_sim.lab.faults.fault import Fault
from meter_sim.lab.faults.hostile_payload import HostilePayload
from meter_sim.lab.faults.intake_down import IntakeDown
from meter_sim.lab.faults.link_bandwidth import LinkBandwidth
from meter_sim.lab.faults.link_black_hole import LinkBlackHole
from meter_sim.lab.faults.link_corrupt import LinkCorrupt
from meter_sim.lab.faults.link_duplicate import LinkDuplicate
from meter_sim.lab.faults.link_latency import LinkLatency
from meter_sim.lab.faults.link_loss import LinkLoss
from meter_sim.lab.faults.link_reorder import LinkReorder
from meter_sim.lab.faults.link_reset import LinkReset
from meter_sim.lab.faults.power_cut import PowerCut
from meter_sim.lab.faults.process_kill import ProcessKill
from meter_sim.lab.faults.process_pause import ProcessPause
from meter_sim.lab.faults.process_slow import ProcessSlow
from meter_sim.lab.faults.store_error import StoreError
from meter_sim.lab.faults.store_full import StoreFull
from meter_sim.lab.faults.store_lies import StoreLies
from meter_sim.lab.faults.store_restore import StoreRestore
from meter_sim.lab.faults.store_slow import StoreSlow

_Any = (
    ProcessKill
    | ProcessPause
    | ProcessSlow
    | BrokerRestart
    | IntakeDown
    | LinkLatency
    | LinkBandwidth
    | LinkLoss
    | LinkDuplicate
    | LinkReorder
    | LinkCorrupt
    | LinkReset
    | LinkBlackHole
    | StoreSlow
    | StoreFull
    | StoreError
    | PowerCut
    | StoreLies
    | StoreRestore
    | ClockJump
    | ClockDrift
    | HostilePayload
    | BulkCut
)

AnyFault = Annotated[_Any, Field(discriminator="fault")]

FAULTS: Final[dict[str, type[Fault]]] = {kind.model_fields["fault"].default: kind for kind in get_args(_Any)}
"""Every fault by its name."""
