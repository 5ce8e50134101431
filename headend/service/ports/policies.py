"""What the store holds of the policies that go down to meters."""

from collections.abc import Sequence
from typing import Protocol

from headend.domain.policy import Policy


class PolicyRows(Protocol):
    """What the store holds of the policies that go down to meters."""

    def newest_policy(self, region: str) -> Policy | None:
        """A region's newest policy; None: there never was one."""

    def policy(self, region: str, version: int) -> Policy:
        """A policy that was issued."""

    def add_policy(self, region: str, policy: Policy) -> None:
        """Keep a policy as the region's newest."""

    def issue_policies(
        self, region: str, version: int, after_meter_key: int, now_s: int, limit: int
    ) -> int | None:
        """Queue a policy for a page of the region's meters that are behind; older ones that wait end.

        Returns the last meter key of the page; None: there were no more.
        """

    def apply_policies(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """(meter_key, version, at_s): the meter holds this version; older open ones are superseded."""

    def forget_policies(self, rows: Sequence[tuple[int, int]]) -> None:
        """(meter_key, version): the meter holds only this version any more; the newest goes out to it again."""

    def reject_policies(self, rows: Sequence[tuple[int, int, str]]) -> None:
        """(meter_key, version, reason): the meter refused this version."""
