"""A stranger on the broker: garbage, oversized, forged and impossible payloads in the gateways' names."""

import json
from random import Random
from typing import Any, ClassVar, Final, Literal, get_args

from pydantic import Field

from headend.wire.topics import Address, Channel
from meter_sim.lab.faults.fault import Fault, Mend, mend_nothing
from meter_sim.lab.plant import Plant

OVERSIZED_BYTES: Final = 70_000
DEEP: Final = 5_000
JUMP_WH: Final = 10**12

Kind = Literal["garbage", "oversized", "nested", "forged-command", "forged-receipt", "jump"]


class HostilePayload(Fault):
    """`count` messages at once, each of one of these kinds, by chance."""

    fault: Literal["hostile-payload"] = "hostile-payload"
    kinds: tuple[Kind, ...] = Field(
        default=get_args(Kind),
        min_length=1,
        description="`jump`: a reading that no home can draw. `nested`: JSON that is thousands of levels deep.",
    )
    count: int = Field(default=10, ge=1, le=10_000, description="How many messages.")

    momentary: ClassVar[bool] = True

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        for _ in range(self.count):
            index = chance.randrange(len(plant.gateways))
            address = Address(plant.region, plant.gateways[index])
            behind = -(-len(plant.meters) // len(plant.gateways))
            meter = chance.choice(plant.meters[index * behind : (index + 1) * behind])
            channel, payload = _payload(chance.choice(self.kinds), meter, plant.now_s, chance)
            plant.publish(address.topic(channel), payload)
        return mend_nothing

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"count": chance.randint(1, 30)}


def _payload(kind: str, meter: str, now_s: int, chance: Random) -> tuple[Channel, bytes]:
    """What a stranger says. Of a register only a jump that no home can draw: a small lie nobody can tell."""
    match kind:
        case "garbage":
            return Channel.READINGS, chance.randbytes(chance.randrange(1, 200))
        case "oversized":
            return Channel.READINGS, b'{"v":1,"frame":1,"x":"' + b"x" * OVERSIZED_BYTES + b'"}'
        case "nested":
            return Channel.HELLO, b"[" * DEEP + b"]" * DEEP
        case "forged-command":
            command = {"kind": "relay", "meter": meter, "version": 10**6, "relay": "open", "issued_at_s": now_s}
            command |= {"expires_at_s": now_s + 86_400, "key": "k1", "signature": chance.randbytes(32).hex()}
            return Channel.COMMANDS, _json({"v": 1, "sent_at_s": now_s, "commands": [command]})
        case "forged-receipt":
            receipt = {"frame": 2**40, "outcome": "accepted"}
            return Channel.RECEIPTS, _json({"v": 1, "sent_at_s": now_s, "receipts": [receipt]})
        case _:
            row = {"meters": [meter], "seqs": [2**40], "at_s": [now_s], "registers_wh": [JUMP_WH]}
            return Channel.READINGS, _json({"v": 1, "frame": 2**40, "sent_at_s": now_s, "kind": "interval"} | row)


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
