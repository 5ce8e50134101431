"""What a link can do to the messages on it, one file each: for the proxy (real TCP) and for a simulated wire."""

from typing import Final

from meter_sim.lab.toxics.applied import STREAMS, AppliedToxic, Stream
from meter_sim.lab.toxics.bandwidth import Bandwidth
from meter_sim.lab.toxics.black_hole import BlackHole
from meter_sim.lab.toxics.corrupt import Corrupt
from meter_sim.lab.toxics.duplicate import Duplicate
from meter_sim.lab.toxics.latency import Latency
from meter_sim.lab.toxics.loss import Loss
from meter_sim.lab.toxics.pipe import Pipe, fate_of
from meter_sim.lab.toxics.reorder import Reorder
from meter_sim.lab.toxics.reset import Reset
from meter_sim.lab.toxics.toxic import Parcel, Passage, Toxic, ToxicStream

__all__ = [
    "STREAMS",
    "TOXICS",
    "AppliedToxic",
    "Parcel",
    "Passage",
    "Pipe",
    "Stream",
    "Toxic",
    "ToxicStream",
    "fate_of",
]

TOXICS: Final[dict[str, type[Toxic]]] = {
    "black_hole": BlackHole,
    "reset": Reset,
    "loss": Loss,
    "corrupt": Corrupt,
    "bandwidth": Bandwidth,
    "latency": Latency,
    "reorder": Reorder,
    "duplicate": Duplicate,
}
