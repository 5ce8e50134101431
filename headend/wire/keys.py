"""The key ring: the master keys that a head-end signs with, as they stand in its file. Pure; reads no file.

Keys stand in the order in which they were made. The last one whose `sign_from_s` has come signs. A meter accepts
every key of the ring until its `accept_until_s`, also one that does not sign yet: so a rotation overlaps at both
ends.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headend.wire.messages import Command, Count, Hex256, Id
from headend.wire.signing import Purpose, derive, signature

MAX_KEYS = 64
"""Most keys of a ring: those whose time is over leave it at the next rotation."""


class MasterKey(BaseModel):
    """One master key. `accept_until_s` is set when a newer key has taken over."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    key: Id
    secret: Annotated[Hex256, Field(repr=False)]
    sign_from_s: Count
    accept_until_s: Count | None = None

    def is_accepted(self, now_s: int) -> bool:
        """Whether a meter still heeds it."""
        return self.accept_until_s is None or now_s <= self.accept_until_s

    def meter_key(self, purpose: Purpose, meter: str) -> bytes:
        """The key of one meter and purpose."""
        return derive(bytes.fromhex(self.secret), self.key, purpose, meter)

    def sign(self, command: Command) -> Command:
        """The command with this key's id and signature."""
        named = command.model_copy(update={"key": self.key})
        meter_key = self.meter_key(Purpose(command.kind), command.meter)
        return named.model_copy(update={"signature": signature(meter_key, named)})


class KeyRing(BaseModel):
    """All keys of a head-end, oldest first."""

    # What is wrong is said without the input: it may be a secret.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    keys: Annotated[list[MasterKey], Field(min_length=1, max_length=MAX_KEYS)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({key.key for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self

    def signing_key(self, now_s: int) -> MasterKey | None:
        """The key to sign with now; None: none has begun to sign, or the one that did is no longer accepted."""
        begun = [key for key in self.keys if key.sign_from_s <= now_s]
        return begun[-1] if begun and begun[-1].is_accepted(now_s) else None

    def meter_key(self, key: str, purpose: Purpose, meter: str, now_s: int) -> bytes | None:
        """The key of one meter and purpose; None: no such key, or it is no longer accepted."""
        for master in self.keys:
            if master.key == key:
                return master.meter_key(purpose, meter) if master.is_accepted(now_s) else None
        return None
