"""What the driver asks for by whole files: the homes' first recharges, and lists of homes to cut; journalled."""

import json
from collections.abc import Sequence
from typing import Any

from meter_sim.lab.payments import MICROS_PER_PAISA, REFUSED, Journal, Payment
from meter_sim.lab.processes import LabError
from meter_sim.lab.site import Site


def pay_all(site: Site, journal: Journal, payments: Sequence[Payment]) -> None:
    """Record recharges by one file; they go in while nothing is up yet.

    Raises:
        LabError: one of them was not recorded.
    """
    numbers = [
        journal.request(
            "recharge",
            at_s=site.now_s(),
            link="up",
            meter=payment.meter,
            amount_micros=payment.paise * MICROS_PER_PAISA,
            reference=payment.reference,
            sync=False,
        )
        for payment in payments
    ]
    done = site.run_headend("recharge", "--batch", "-", content="".join(payment.line for payment in payments))
    answers = done.stdout.splitlines()
    if done.returncode != 0 or len(answers) != len(numbers):
        raise LabError(f"headend recharge --batch ended with status {done.returncode}: {done.stderr.strip()}")
    for number, answer in zip(numbers, answers, strict=True):
        journal.answer(number, site.now_s(), json.loads(answer), sync=False)


def cut_all(site: Site, journal: Journal, meters: Sequence[str], actor: str, reason: str) -> dict[str, Any]:
    """Order the supply of many homes cut by one file; the head-end's answer.

    Raises:
        LabError: it gave none.
    """
    number = journal.request("bulk", at_s=site.now_s(), meters=list(meters))
    words = ("relay", "open", "--file", "-", "--actor", actor, "--reason", reason, "--json")
    done = site.run_headend(*words, content="\n".join(meters) + "\n")
    if done.returncode not in (0, REFUSED):
        raise LabError(f"headend relay --file ended with status {done.returncode}: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    journal.answer(number, site.now_s(), answer)
    return answer
