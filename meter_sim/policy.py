"""The protection policy that a meter holds, and what it says to an order to open the relay. Pure.

A meter does not know the true time, only that its clock is off by no more than the policy's tolerance. So it
refuses what would be wrong at any time within that tolerance.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from headend.wire.errors import RefusalCode
from headend.wire.messages import PolicyDocument


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document as a meter keeps it; the digest stands for all that is in it.

    `ends_s` of an index belongs to `begins_s` of the same index.
    """

    version: int
    digest: str
    issued_at_s: int = field(compare=False)
    valid_until_s: int = field(compare=False)
    clock_tolerance_s: int = field(compare=False)
    begins_s: tuple[int, ...] = field(compare=False)
    ends_s: tuple[int, ...] = field(compare=False)

    @classmethod
    def of(cls, document: PolicyDocument, digest: str) -> "Policy":
        """Take it out of its message."""
        return cls(
            document.version,
            digest,
            document.issued_at_s,
            document.valid_until_s,
            document.clock_tolerance_s,
            tuple(from_s for from_s, _ in document.protected),
            tuple(to_s for _, to_s in document.protected),
        )

    def refusal(self, clock_s: int) -> RefusalCode | None:
        """Why the relay must not open when the meter's clock says `clock_s`; None: it may."""
        earliest_s, latest_s = clock_s - self.clock_tolerance_s, clock_s + self.clock_tolerance_s
        if latest_s < self.issued_at_s:
            return RefusalCode.CLOCK_DOUBTFUL
        # The last window that may have begun: windows ascend and do not touch, so its end is the latest.
        index = bisect_right(self.begins_s, latest_s) - 1
        if index >= 0 and earliest_s < self.ends_s[index]:
            return RefusalCode.PROTECTED
        return RefusalCode.POLICY_EXPIRED if latest_s >= self.valid_until_s else None
