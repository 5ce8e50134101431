"""SIGKILL at random moments. The long loop is `scripts/soak`; here is the least that must always hold."""

import json
import os
import random
import subprocess
import time
from pathlib import Path

from running import (
    COMMANDS,
    Site,
    clock_at,
    environment,
    fleet_words,
    import_fleet,
    make_site,
    mosquitto_on,
    running,
    serving,
    stop_when_quiet,
    wait_for_rows,
)
from waiting import wait_until

ROUNDS = 4


def test_a_killed_batch_of_recharges_has_kept_its_word(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    site = make_site(tmp_path)
    site.add_meters(*(f"M{n}" for n in range(10)))
    answered: list[str] = []
    lines = [f"M{chance.randrange(10)},{chance.randrange(1, 500)},R-{n}" for n in range(2_000)]
    for _ in range(ROUNDS):
        # Each round begins a few lines back, as a caller does who does not know what became of the last ones.
        begin = max(0, len(answered) - 5)
        answers = kill_within(site, lines[begin:], after=chance.randrange(10, 60), pause_s=chance.random() / 50)
        assert all(answer["outcome"] in ("RECORDED", "EXISTS") for answer in answers)
        answered += [a["reference"] for a in answers if a["reference"] not in answered]
        held = [reference for (reference,) in site.rows("SELECT reference FROM transfer ORDER BY transfer_id")]
        assert len(held) == len(set(held))
        assert held[: len(answered)] == answered, "an answered recharge is missing"
        assert len(held) <= len(answered) + 1, "more than the one that nobody was told of"
    resubmitted = site.headend("recharge", "--batch", "-", text="\n".join(lines[: len(answered) + 3]))
    outcomes = [json.loads(line)["outcome"] for line in resubmitted.output.splitlines()]
    assert resubmitted.status == 0
    assert set(outcomes[: len(answered)]) == {"EXISTS"}
    assert set(outcomes[len(answered) :]) <= {"EXISTS", "RECORDED"}
    assert site.rows("SELECT count(*) FROM delivery") == [(len(answered) + 3,)]
    site.audit_in_flight()


def kill_within(site: Site, lines: list[str], after: int, pause_s: float) -> list[dict[str, object]]:
    """Feed a batch, kill it a moment after its n-th answer; everything that it answered."""
    with subprocess.Popen(
        [str(COMMANDS / "headend"), "recharge", "--batch", "-"],
        cwd=site.folder,
        env=environment(HEADEND_STORE=str(site.store)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as batch:
        assert batch.stdin is not None
        assert batch.stdout is not None
        os.set_blocking(batch.stdin.fileno(), False)
        text = "".join(f"{line}\n" for line in lines).encode()
        os.write(batch.stdin.fileno(), text[:60_000])
        heard = b""
        while heard.count(b"\n") < after:
            chunk = os.read(batch.stdout.fileno(), 4096)
            assert chunk, "ended by itself"
            heard += chunk
        time.sleep(pause_s)
        batch.kill()
        heard += batch.stdout.read()
    return [json.loads(line) for line in heard.split(b"\n")[:-1]]


METERS = 60
SPEED = 900.0


def test_a_server_killed_while_a_fleet_reports_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    site = make_site(tmp_path)
    meters = import_fleet(site, METERS, 10, "2024-10-29")
    clock = clock_at("2024-10-29T22:00:00+05:30", SPEED)
    words = ["--clock", clock]
    with (
        mosquitto_on(site.folder) as broker,
        running(site, *fleet_words(site, broker.port, clock, METERS, 10, seed % 1000)) as fleet,
    ):
        for number in range(3):
            lines = [f"{meter},{number + 1},PAY-{meter}-{number}\n" for meter in meters]
            assert site.headend("recharge", "--batch", "-", text="".join(lines)).status == 0
            with serving(site, broker.port, *words) as serve:
                time.sleep(chance.uniform(0.0, 1.0))
                serve.kill()
            assert fleet.is_running()
        with serving(site, broker.port, *words) as serve:
            wait_for_rows(site, "SELECT count(*) FROM delivery WHERE state <> 'APPLIED'", [(0,)], 60)
            query = "SELECT count(*) FROM snapshot WHERE settled_at_s IS NOT NULL"
            wait_until(lambda: site.rows(query)[0][0] >= METERS, 60)
            stop_when_quiet(site, fleet, clock)
            assert serve.ask_to_stop() == 0
    done = site.headend("audit", "--fleet-log", "fleet.db", "--clock", clock)
    assert done.status == 0, done.output
    assert "not exercised" not in done.output
    assert site.rows("SELECT DISTINCT credit_seq, credit_total_micros, applied_credit_seq FROM meter") == [
        (3, 6_000_000, 3)
    ]
    kills = site.rows("SELECT count(*) FROM outage WHERE kind = 'HEADEND' AND detail = 'ended without a word'")
    assert kills[0][0] >= 2
