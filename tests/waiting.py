"""Waiting for a condition with a limit, so that no test sleeps for luck."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0, *, period_s: float = 0.01) -> None:
    """Return once `condition()` is true; fail the test if it is not within `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            described = getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not true within {timeout_s} s: {described}")
        time.sleep(period_s)
