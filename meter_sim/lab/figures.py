"""The named figures of a run: for thresholds in scenarios, for reports and charts. The only list of them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """What a number of a run means. `worse`: `more`, `less`, or `""` where neither is."""

    name: str
    title: str
    unit: str = ""
    worse: str = ""


LIVE: Final = {
    figure.name: figure
    for figure in (
        Figure("balances_stale", "balances without a fresh reading", "meters", "more"),
        Figure("balances_shown", "homes that can be shown a balance", "meters", "less"),
        Figure("days_unsettled", "days taken in and not charged yet", "meter days", "more"),
        Figure("readings_late", "readings kept by gateways for too long", "readings", "more"),
        Figure("credits_queued", "credits on their way to meters", "credits", "more"),
        Figure("credits_applied", "credits applied by meters", "credits"),
        Figure("commands_open", "commands without an answer", "commands", "more"),
        Figure("relays_open", "homes without supply", "homes", "more"),
        Figure("homes_at_zero", "homes without credit", "homes"),
        Figure("gateways_online", "gateways heard lately", "gateways", "less"),
        Figure("recharges_accepted", "recharges accepted", "recharges", "less"),
        Figure("messages", "messages on the links", "messages"),
        Figure("ledger_sum_micros", "sum over all accounts", "micros", "more"),
        Figure("store_bytes", "size of the store", "bytes", "more"),
        Figure("headend_rss_kib", "memory of the head-end", "KiB", "more"),
        Figure("headend_up", "whether the head-end runs: 1 or 0", "", "less"),
    )
}
"""Of one look at a run (`plant.Sample`); thresholds before the faults are on these."""

FINAL: Final = {
    figure.name: figure
    for figure in (
        Figure("recharges_accepted", "recharges accepted", "recharges", "less"),
        Figure("recharges_in_outage", "recharges accepted while something was down", "recharges"),
        Figure("recharges_repeated", "recharges asked for more than once", "recharges"),
        Figure("recharges_refused", "requests refused: same reference, other content", "requests"),
        Figure("recharges_unanswered", "recharges of which nobody knows", "recharges", "more"),
        Figure("credits_lost", "credits lost", "credits", "more"),
        Figure("credits_doubled", "credits doubled", "credits", "more"),
        Figure("credits_pending", "accepted credits that no meter has applied", "credits", "more"),
        Figure("balances_wrong", "balances that are not exact at the end", "meters", "more"),
        Figure("wrong_cuts", "homes cut wrongly", "cuts", "more"),
        Figure("right_cuts", "homes cut rightly", "cuts"),
        Figure("homes_spared", "homes that an ordinary day would have cut", "homes"),
        Figure("relays_opened_unordered", "relays opened without an order in force", "relays", "more"),
        Figure("homes_left_dark", "homes in credit without supply at the end", "homes", "more"),
        Figure("bulk_orders_sent", "orders sent of lists of homes to cut by mistake", "orders", "more"),
        Figure("blank_hours", "hours without any balance shown, over all homes", "hours", "more"),
        Figure("stale_hours", "hours of stale balance, over all homes", "hours", "more"),
        Figure("converged_after_s", "from the last fault's end until all was caught up", "s", "more"),
        Figure("applied_p50_s", "from acceptance to the meter's answer, median", "s", "more"),
        Figure("applied_p99_s", "from acceptance to the meter's answer, 99 %", "s", "more"),
        Figure("exceptions_open", "cases that wait for a person", "cases", "more"),
        Figure("dead_letters", "messages that could not be used", "messages"),
        Figure("refused_by_meters", "commands that meters refused", "commands", "more"),
        Figure("invariants_failed", "invariants that do not hold", "invariants", "more"),
    )
}
"""Of a whole run, as the judge finds them; thresholds after it are on these."""
