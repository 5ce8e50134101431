"""The statements that move deliveries do just what the table of `domain.delivery` says."""

import re

import pytest

from headend.adapters.statements import load_statements
from headend.domain.delivery import Event, state_after, states_before

STATEMENTS = load_statements("delivery", "policies", "protection", "devices")

EVENT_OF = {
    "supersede_unsent_relays": Event.REJECT,
    "expire_unsent_relays": Event.REJECT,
    "supersede_relays": Event.REJECT,
    "supersede_older_opens": Event.REJECT,
    "reject_relay": Event.REJECT,
    "requeue_all": Event.TIME_OUT,
    "requeue": Event.TIME_OUT,
    "send": Event.SEND,
    "apply_credits": Event.APPLY,
    "apply_relay": Event.APPLY,
    "apply_policy": Event.APPLY,
    "reject_policy": Event.REJECT,
    "reject_open": Event.REJECT,
    "supersede_unapplied_policies": Event.REJECT,
    "forget_policy": Event.FORGET,
    "forget_applied": Event.FORGET,
}


def test_every_statement_that_moves_deliveries_is_held_to_the_table() -> None:
    assert {name for name, sql in STATEMENTS.items() if "UPDATE delivery SET state" in sql} == set(EVENT_OF)


@pytest.mark.parametrize("name", EVENT_OF)
def test_statement_moves_as_the_table_allows(name: str) -> None:
    change, _, condition = STATEMENTS[name].partition("WHERE")
    assert re.search(r"SET state = '(\w+)'", change)[1] == state_after(EVENT_OF[name])  # type: ignore[index]
    selected = [
        set(re.findall(r"'(\w+)'", states))
        for states in re.findall(r"\bstate (?:IN|=) ([^;\n]*?)(?:\)|$|AND)", condition, re.M)
    ]
    assert selected
    # Sending again what is SENT is a time-out and a sending in one: its lane had been given up before.
    allowed = set(states_before(EVENT_OF[name])) | ({"SENT"} if name == "send" else set())
    assert set.intersection(*selected) <= allowed
