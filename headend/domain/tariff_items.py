"""A bill's energy line taken apart: what was drawn in which slab and time band, and what it came to."""

from collections.abc import Sequence
from typing import NamedTuple

from headend.domain.pricing import Pricer
from headend.domain.tariff import TimeBand


class Item(NamedTuple):
    """Energy of one slab in one band (None: the tariff has none). The price is the slab's, without the change."""

    from_wh: int
    band: TimeBand | None
    price_micros_per_kwh: int
    energy_wh: int
    amount_micros: int


def itemise(pricer: Pricer, month_wh_before: int, band_wh: Sequence[int]) -> list[Item]:
    """The items of a day, in the order in which they are drawn; their amounts add up to the day's energy line.

    `band_wh`: the day's energy in each time band, or all of it where the tariff has none.
    """
    terms = pricer.terms
    bands: Sequence[TimeBand | None] = terms.bands or [None]
    edges_wh = sorted({slab.from_wh for slab in terms.slabs} | {terms.free_wh})
    items, at_wh = [], month_wh_before
    for index, (band, energy_wh) in enumerate(zip(bands, band_wh, strict=True)):
        end_wh = at_wh + energy_wh
        while at_wh < end_wh:
            from_wh = max(edge_wh for edge_wh in edges_wh if edge_wh <= at_wh)
            until_wh = min([end_wh, *(edge_wh for edge_wh in edges_wh if edge_wh > at_wh)])
            piece_wh = until_wh - at_wh
            if band is None:
                amount_micros = pricer.energy_micros(at_wh, piece_wh)
            else:
                alone = [piece_wh if number == index else 0 for number in range(len(bands))]
                amount_micros = sum(pricer.band_micros(at_wh, alone))
            slab = next(slab for slab in reversed(terms.slabs) if slab.from_wh <= from_wh)
            price = slab.price_micros_per_kwh if from_wh >= terms.free_wh else 0
            items.append(Item(from_wh, band, price, piece_wh, amount_micros))
            at_wh = until_wh
    return items
