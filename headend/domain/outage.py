"""When a region was out: times of silence at once, out of the journal's single outages.

The head-end, or its link to the broker, is the whole region; a gateway is a part of it, and a large enough share
of them makes an outage of the region. Silences that touch are one.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

from headend.domain.recovery import RecoveryRules

FULL_SHARE_BP: Final = 10_000


class Silence(NamedTuple):
    """A time without a sign of life. `whole`: of the head-end or its link, else of one gateway. None: it lasts."""

    began_s: int
    ended_s: int | None
    whole: bool


def outages(
    silences: Iterable[Silence], gateways: int, rules: RecoveryRules, now_s: int, *, lasting: bool
) -> list[Silence]:
    """The outages of a region with so many gateways, oldest first: times of silence at once that are long enough.

    With `lasting` the region was out when last looked at: then the first one goes on from there, however long.
    """
    needed = max(1, -(-gateways * rules.region_share_bp // FULL_SHARE_BP))
    steps: list[tuple[int, int]] = []
    for silence in silences:
        weight = needed if silence.whole else 1
        steps.append((silence.began_s, weight))
        if silence.ended_s is not None:
            steps.append((silence.ended_s, -weight))
    found, silent, began_s = [], 0, 0
    for at_s, here in groupby(sorted(steps), key=lambda step: step[0]):
        before, silent = silent, silent + sum(weight for _, weight in here)
        if before < needed <= silent:
            began_s = at_s
        elif silent < needed <= before:
            found.append(Silence(began_s, at_s, whole=True))
    if silent >= needed:
        found.append(Silence(began_s, None, whole=True))
    return [
        outage
        for number, outage in enumerate(found)
        if (lasting and number == 0)
        or (now_s if outage.ended_s is None else outage.ended_s) - outage.began_s >= rules.min_outage_s
    ]
