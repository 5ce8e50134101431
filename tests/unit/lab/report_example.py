"""A made-up run with everything in it that a report has to show."""

import json
from dataclasses import fields, replace
from pathlib import Path
from random import Random

from meter_sim.lab.plant import Sample
from meter_sim.lab.result import Finding, Missed, Result, Story, Verdict, Window

HOUR_S = 3_600
DAY_S = 86_400
START_S = 1_729_535_400  # 2024-10-22 00:00 in Kolkata
LENGTH_S = 20 * DAY_S
STEP_S = LENGTH_S // 400
DEAD = START_S + 6 * DAY_S, START_S + 17 * DAY_S + 10 * HOUR_S
METERS = 500
BLANK = Sample(**dict.fromkeys((field.name for field in fields(Sample)), 0))  # type: ignore[arg-type]

TITLES = (
    "The ledger sums to zero in every committed state",
    "Stored balances are the fold of the transfers",
    "No acknowledged recharge is lost, doubled or unexpected",
    "The same reference gets the same answer, or an error and no effect",
    "Transfers are append-only and hash-chained",
    "Charged energy is the difference of acknowledged registers",
    "Arrears plans end in exactly one way",
    "What was answered survives a kill and lost writes",
    "On the wire means committed before, and the other way round",
    "Each credit is applied exactly once",
    "Credit sequences have no gap and are never reused",
    "Applied is said by the meter alone",
    "Credits never expire; disconnections always do",
    "One bad meter delays no other",
    "No relay opens inside a protected window",
    "Silence opens no relay",
    "Each cut cites its balance, a fresh reading, and no unsettled recharge",
    "Cuts stay below the cap",
    "No cut before the end of the window and grace",
    "Credit closes the relay in time",
    "Shown balances are the ledger's, or marked stale",
    "Queues and gaps drain to zero",
    "Latency and memory are back in bounds after healing",
    "The same seed gives the same log",
    "Privileged acts have an actor and a reason",
)


def samples(naive: bool = False, lines: int = 400) -> list[Sample]:
    chance = Random(7)
    found, applied, messages, queued, dark = [], 0, 0, 0, 0
    for index in range(lines + 1):
        at_s = START_S + index * LENGTH_S // lines
        down = DEAD[0] <= at_s < DEAD[1]
        degraded = START_S + 3 * DAY_S <= at_s < DEAD[0]
        rate = chance.randrange(2, 7) * (1 if not down else 2)
        if down:
            queued = min(queued + rate, 120) if naive else queued + rate
        elif degraded:
            queued = max(0, queued + rate - 4)
            applied += 4
        else:
            sent = min(queued, 90)
            applied, queued = applied + sent + rate, queued - sent
        stale = METERS if down else chance.randrange(40, 180) if degraded else 0
        if at_s >= DEAD[1]:
            stale = max(0, METERS - (at_s - DEAD[1]) // (300 if not naive else 900))
        if naive and at_s >= DEAD[1]:
            dark = min(310, dark + 60) if at_s < DEAD[1] + DAY_S else max(20, dark - 8)
        messages += 0 if down else 90_000 if at_s < DEAD[1] else 240_000
        found.append(
            replace(
                BLANK,
                at_s=at_s,
                stage="faults",
                region_phase="normal",
                balances_stale=stale,
                balances_shown=0 if naive and down else METERS,
                credits_queued=queued,
                credits_applied=applied,
                commands_open=queued,
                relays_open=dark if naive else 6 if at_s > START_S + DAY_S else 0,
                homes_at_zero=40,
                gateways_online=0 if down else 5,
                recharges_accepted=applied + queued,
                messages=messages,
                store_bytes=1_000_000,
                headend_rss_kib=90_000,
                headend_up=0 if down else 1,
            )
        )
    return found


def write_samples(path: Path, naive: bool = False, lines: int = 400) -> Path:
    path.write_text("".join(json.dumps(each.as_json()) + "\n" for each in samples(naive, lines)))
    return path


def findings(failed: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    made = []
    for number, title in enumerate(TITLES, start=1):
        name = f"I{number}"
        if name in failed:
            verdict, detail = Verdict.FAIL, "2 of 1,931 recharges are not as they were answered"
            evidence = (
                "reference UPI-20241030-000731: in the ledger twice (transfers 90211, 91804)",
                "reference UPI-20241101-000204: accepted Fri 1 Nov 08:40, in no transfer",
            )
        elif number in (7, 25):
            verdict, detail, evidence = (
                Verdict.NOT_EXERCISED,
                "no arrears plan or privileged act was asked for",
                (),
            )
        else:
            verdict, detail = Verdict.PASS, f"{number * 731:,} cases looked at, none against it"
            evidence = ("the last 3 of them: M000017 seq 4, M000291 seq 2, M000480 seq 9",) if number % 2 else ()
        made.append(Finding(name, title, verdict, detail, evidence))
    return tuple(made)


def result(failed: tuple[str, ...] = (), missed: tuple[Missed, ...] = ()) -> Result:
    return Result(
        scenario="diwali-2024",
        story="Degraded from Friday 25 October, dead from Monday 28 October, restored on 8 November with "
        "eleven days of backlog and everyone back at once. Diwali was on 31 October; people went on paying.",
        mode="simulation",
        rules="bihar",
        seed=42,
        meters=METERS,
        zone="Asia/Kolkata",
        start_s=START_S,
        end_s=START_S + LENGTH_S,
        wall_s=41.7,
        findings=findings(failed),
        figures={
            "recharges_accepted": 1_931,
            "recharges_in_outage": 1_204,
            "recharges_repeated": 488,
            "recharges_refused": 57,
            "recharges_unanswered": 0,
            "credits_lost": 0,
            "credits_doubled": 0,
            "credits_pending": 0,
            "balances_wrong": 0,
            "wrong_cuts": 0,
            "right_cuts": 6,
            "homes_spared": 143,
            "relays_opened_unordered": 0,
            "homes_left_dark": 0,
            "bulk_orders_sent": 0,
            "blank_hours": 0.0,
            "stale_hours": 141_270.5,
            "converged_after_s": 41 * HOUR_S,
            "applied_p50_s": 94_211,
            "applied_p99_s": 988_000,
            "exceptions_open": 3,
            "dead_letters": 12,
            "refused_by_meters": 0,
            "invariants_failed": len(failed),
        },
        missed=missed,
        windows=(
            Window("1-1-link-latency", "link-latency", START_S + 3 * DAY_S, DEAD[0]),
            Window("2-1-link-loss", "link-loss", START_S + 3 * DAY_S + 7 * HOUR_S, DEAD[0]),
            *(
                Window(f"3-{turn}-process-pause", "process-pause", at_s, at_s + 2 * HOUR_S)
                for turn, at_s in enumerate(range(START_S + 3 * DAY_S, DEAD[0], 9 * HOUR_S), start=1)
            ),
            Window("4-1-process-kill", "process-kill", *DEAD),
            Window("5-1-broker-restart", "broker-restart", DEAD[1], DEAD[1]),
        ),
        worst_off=tuple(
            Story(
                f"M{number:06}",
                "Paid three times while nothing arrived, and had a blank balance for 11 days.",
                (
                    (
                        START_S + 3 * DAY_S + 8 * HOUR_S,
                        "recharge of Rs 200 accepted, reference UPI-20241025-000017",
                    ),
                    (DEAD[0], "last reading heard; balance Rs 61.20"),
                    (
                        START_S + 9 * DAY_S + 19 * HOUR_S,
                        "recharge of Rs 500 accepted; no answer reached the payer",
                    ),
                    (START_S + 9 * DAY_S + 20 * HOUR_S, "the same recharge asked for again: already there"),
                    (DEAD[1] + 2 * HOUR_S, "credits 4 and 5 applied by the meter"),
                    (DEAD[1] + 5 * HOUR_S, "balance exact again: Rs 402.11"),
                ),
            )
            for number in range(17, 137, 12)
        ),
        log_hash="3f1c0a9be2775d04c8f1b6a5d9e4270b61f8836f3d1f0f2a94b5e7c6d8091a2b",
    )


def naive_result() -> Result:
    ours = result()
    figures = ours.figures | {
        "wrong_cuts": 287,
        "credits_lost": 311,
        "credits_doubled": 96,
        "blank_hours": 137_000.0,
        "stale_hours": 163_044.0,
        "credits_pending": 311,
    }
    fields = {name: getattr(ours, name) for name in Result.__slots__}
    return Result(**fields | {"rules": "naive", "figures": figures, "log_hash": "77aa"})


def latencies() -> list[tuple[int, float]]:
    chance = Random(3)
    found = []
    for _ in range(1_900):
        at_s = START_S + chance.randrange(LENGTH_S)
        waits_s = max(0, DEAD[1] - at_s) if at_s >= DEAD[0] else 0
        found.append((at_s, waits_s + chance.expovariate(1 / 40)))
    return found
