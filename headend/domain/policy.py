"""Policies: the protected windows that the meters of a region hold themselves to. Pure.

A policy is a document with a version, the same for a whole region; the newest version wins. It knows its windows
up to `valid_until_s`. After that a meter opens no relay, so a policy has to be renewed in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Windows = tuple[tuple[int, int], ...]
"""Protected windows [from, to) in seconds UTC: ascending, apart from each other."""

MAX_WINDOWS: Final = 600
"""Most windows of one policy; it fits into one message with room for the commands."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a meter is told. It counts each window as longer by `clock_tolerance_s` at both ends."""

    version: int
    issued_at_s: int
    valid_until_s: int
    clock_tolerance_s: int
    protected: Windows


def draw_up(
    version: int, windows: Sequence[tuple[int, int]], until_s: int, clock_tolerance_s: int, now_s: int
) -> Policy:
    """A policy from the windows of the calendar, which are known up to `until_s`.

    Windows that are over, for the slowest clock too, are left out. Where there are more than MAX_WINDOWS, the
    policy ends where the first one left out begins.
    """
    coming = [window for window in windows if window[1] + clock_tolerance_s > now_s and window[0] < until_s]
    if len(coming) > MAX_WINDOWS:
        until_s = coming[MAX_WINDOWS][0]
    return Policy(version, now_s, until_s, clock_tolerance_s, tuple(coming[:MAX_WINDOWS]))


def must_replace(held: Policy | None, fresh: Policy, renew_before_s: int) -> bool:
    """Whether meters that hold a policy need the fresh one: it protects otherwise, or the old one ends soon."""
    if held is None or held.valid_until_s - fresh.issued_at_s < renew_before_s:
        return True
    until_s = min(held.valid_until_s, fresh.valid_until_s)
    from_s = fresh.issued_at_s
    return held.clock_tolerance_s != fresh.clock_tolerance_s or _within(held, from_s, until_s) != _within(
        fresh, from_s, until_s
    )


def _within(policy: Policy, from_s: int, until_s: int) -> list[tuple[int, int]]:
    clipped = [(max(begin_s, from_s), min(end_s, until_s)) for begin_s, end_s in policy.protected]
    return [window for window in clipped if window[0] < window[1]]
