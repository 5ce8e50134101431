"""The end of a run: heal until nothing is left to catch up with, stop so that nothing is in between, judge."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from meter_sim.lab.cuts import Spans
from meter_sim.lab.evidence import Evidence, collect
from meter_sim.lab.judge import Check, Rules, Verdict, judge
from meter_sim.lab.payments import Counter, Journal, Orders
from meter_sim.lab.processes import LabError, wait_until
from meter_sim.lab.promises import Promises
from meter_sim.lab.site import (
    BROKER,
    FLEET,
    HEADEND,
    OPEN_EXPIRES_AFTER_S,
    ZONE,
    Site,
)
from meter_sim.lab.watch import Picture, Watch

CONVERGE_TIMEOUT_S: Final = 60.0
DRAIN_TIMEOUT_S: Final = 30.0
SHOWN: Final = 3
"""Most violations of one of the head-end's own checks that are repeated here."""


class Bench:
    """A site and what drives and watches it."""

    def __init__(self, site: Site) -> None:
        """Begin the journal; the store must exist."""
        self.site = site
        self.journal_path = site.plan.folder / "journal.jsonl"
        self.journal = Journal(self.journal_path)
        self.counter = Counter(site, self.journal)
        self.orders = Orders(site, self.journal)
        self.watch = Watch(site)

    def close(self) -> None:
        """End the driver's processes."""
        self.counter.kill()
        self.orders.kill()
        self.watch.close()
        self.journal.close()


def converge(bench: Bench, show: Callable[[Picture], None]) -> bool:
    """Wait until nothing is left to catch up with; whether that came within CONVERGE_TIMEOUT_S."""
    gateways = bench.site.fleet.gateways

    def settled() -> bool:
        bench.site.children.check()
        picture = bench.watch.look()
        show(picture)
        return picture.converged(gateways) and bench.watch.gateways_reporting() == gateways

    try:
        wait_until(settled, CONVERGE_TIMEOUT_S, "convergence")
    except LabError:
        bench.site.children.check()
        return False
    return True


def drain(bench: Bench) -> bool:
    """Stop everything in good order with nothing in between; whether nothing was left over.

    The fleet is started once more on a clock that stands still: it takes no new reading and hands over what it
    has. Only then its newest readings and the head-end's can be compared one by one.
    """
    site = bench.site
    bench.counter.close()
    site.children.terminate(FLEET)
    site.start_fleet(standing=True)
    try:
        wait_until(lambda: _nothing_left(bench), DRAIN_TIMEOUT_S, "the fleet hands over its last readings")
        drained = True
    except LabError:
        site.children.check()
        drained = False
    for name in (FLEET, HEADEND, BROKER):
        site.children.terminate(name)
    return drained


def _nothing_left(bench: Bench) -> bool:
    bench.site.children.check()
    picture = bench.watch.look()
    return bench.watch.unreceipted_readings() + picture.open_deliveries + picture.unsettled_days == 0


def judge_run(
    bench: Bench, promises: Promises, outages: Spans = (), *, slack_wall_s: float = 0.0
) -> tuple[Verdict, Evidence]:
    """The judge's verdict on a run that was drained, and what it is based on."""
    site, zone = bench.site, ZoneInfo(ZONE)
    evidence = collect(bench.journal_path, site.log, site.store, zone)
    slack_s = int(slack_wall_s * site.plan.speed)
    return judge(evidence, Rules(promises, zone, OPEN_EXPIRES_AFTER_S, slack_s, outages)), evidence


def audit(site: Site) -> list[Check]:
    """The head-end's own audit of itself against the meters' log, one check an id."""
    done = site.run_headend("audit", "--fleet-log", str(site.log), "--json")
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    except (ValueError, KeyError) as error:
        raise LabError(f"headend audit ended with status {done.returncode}: {done.stderr.strip()}") from error
    by_id: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_id.setdefault(entry["id"], []).append(entry)
    checks = [_of_audit(check_id, same) for check_id, same in by_id.items()]
    consistent = (done.returncode == 0) == all(check.ok for check in checks)
    return [*checks, Check("audit", consistent, f"headend audit ended with status {done.returncode}")]


def _of_audit(check_id: str, entries: list[dict[str, Any]]) -> Check:
    violations = [f"{found['subject']}: {found['detail']}" for entry in entries for found in entry["violations"]]
    titles = "; ".join(entry["title"] for entry in entries)
    if not violations:
        # Nothing is skipped: the log was given.
        return Check(f"audit-{check_id}", all(entry["ok"] is True for entry in entries), titles)
    more = f"; and {len(violations) - SHOWN:,} more" if len(violations) > SHOWN else ""
    return Check(f"audit-{check_id}", False, f"{titles}: {'; '.join(violations[:SHOWN])}{more}")


def outages(site: Site) -> list[dict[str, Any]]:
    """The outages that the head-end wrote down by itself."""
    done = site.run_headend("outages", "--limit", "1000", "--json")
    if done.returncode != 0:
        raise LabError(f"headend outages ended with status {done.returncode}: {done.stderr.strip()}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the file in one piece."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def checks_json(checks: list[Check]) -> list[dict[str, Any]]:
    """Checks as they stand in a verdict file."""
    return [{"id": check.check_id, "ok": check.ok, "detail": check.detail} for check in checks]
