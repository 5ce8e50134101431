"""A register that runs over its last digit begins again at zero: told from one that went back.

A fall by more than half of all that the digits can show is a rollover; a smaller one went back. That is sound
while two readings that are compared lie less than half of it apart: with six digits of kWh, decades of a home.
"""


def rolled_over_wh(before_wh: int, after_wh: int, rollover_wh: int | None) -> int:
    """What has to be added to `after_wh`, a register later than `before_wh`, because it ran over; mostly 0.

    `rollover_wh`: all that the register can show; None: it never gets there.
    """
    if rollover_wh is None:
        return 0
    return rollover_wh * max(0, -(-(before_wh - after_wh - rollover_wh // 2) // rollover_wh))
