"""Reset: the connection is cut without a goodbye (a TCP RST), both directions at once."""

from pydantic import Field

from meter_sim.lab.toxics.toxic import MAX_DELAY_MS, Toxic


class Reset(Toxic):
    """A connection is cut `timeout_ms` after this toxic takes hold of it; so is each one that follows."""

    timeout_ms: float = Field(default=0, ge=0, le=MAX_DELAY_MS)

    def cut_after_s(self) -> float | None:
        """When the connection ends."""
        return self.timeout_ms / 1_000
