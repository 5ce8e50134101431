"""A process dies, or its disk fails, at every point of a short story in turn; nothing that was answered is lost.

Deaths at commits, publications, acknowledgements and at the counter are tried at every point. Operations beneath
SQLite are many: of those a sample is tried, the same each time, and all with CRASH_POINTS=all.
"""

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from crash_points import DEATHS, CrashPoints, Harm, Kind, Trouble
from crash_story import Outcome, run_story

from headend.adapters.sqlite import SqliteStore
from headend.service.ports import Clock, GatewayLink, UnitOfWork
from headend.service.server import Headend, Settings
from headend.service.traffic import Arrival, Outgoing
from meter_sim.lab.result import Verdict

ALL: Final = os.environ.get("CRASH_POINTS") == "all"

FIRST: Final = {Harm.FAILS_ONCE: 20, Harm.LOSES_POWER: 30, Harm.DIES_UNSYNCED: 1_000}
"""So many of the first operations are tried one by one,"""

STRIDE: Final = {Harm.FAILS_ONCE: 11, Harm.FAILS: 13, Harm.IS_FULL: 17, Harm.LOSES_POWER: 9, Harm.DIES: 13}
"""and then each so-many-th; of different harms different ones."""

FEWEST_POINTS: Final = {Kind.COMMIT: 80, Kind.PUBLISH: 40, Kind.SETTLE: 30, Kind.COUNTER: 30}
"""That there are this many at least shows that points are counted at all."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    SqliteStore(path).close()
    return path


def numbers(harm: Harm) -> Iterable[int]:
    if ALL:
        return itertools.count()
    first = FIRST.get(harm, 0)
    return itertools.chain(range(first), itertools.count(first, STRIDE.get(harm, 1)))


def faults(outcome: Outcome) -> list[str]:
    return sorted({window.fault for window in outcome.result.windows})


def test_story_shows_what_it_is_for(empty: Path) -> None:
    outcome = run_story(empty, CrashPoints())
    assert outcome.wrong == []
    assert outcome.fired == 0
    assert faults(outcome) == []
    details = {each.invariant: each.detail for each in outcome.result.findings}
    assert details["I3"] == "14 recharges accepted, 0 never answered"
    assert details["I4"] == "4 references asked for again, 1 times with other content"
    assert details["I6"] == "6 days charged, 24 readings taken"
    assert details["I12"] == "21 deliveries applied", "an order and the policies too"


@pytest.mark.parametrize("deaths", [1, DEATHS], ids=["once", "from then on"])
@pytest.mark.parametrize("kind", list(Kind))
def test_death_at_every_point_loses_and_doubles_nothing(empty: Path, kind: Kind, deaths: int) -> None:
    died = 0
    for number in itertools.count():
        outcome = run_story(empty, CrashPoints(kind, number, deaths))
        assert outcome.wrong == [], f"{kind} {number}, {outcome.fired} deaths"
        if not outcome.fired:
            break
        died += outcome.fired
        if kind is not Kind.COUNTER:
            assert outcome.verdict("I8") is Verdict.PASS, "the judge knows that it died"
    assert number >= FEWEST_POINTS[kind]
    assert died > (number - DEATHS) * deaths, "all but the last die again and again"


@pytest.mark.parametrize("harm", list(Harm))
def test_trouble_beneath_the_store_at_any_point_loses_and_doubles_nothing(empty: Path, harm: Harm) -> None:
    tried = 0
    for number in numbers(harm):
        outcome = run_story(empty, CrashPoints(), Trouble(harm, number))
        assert outcome.wrong == [], f"{harm} {number}"
        if not outcome.fired:
            break
        assert faults(outcome), number
        tried += 1
    assert tried >= 25
    assert number > (40 if harm is Harm.DIES_UNSYNCED else 400)


def test_same_death_leaves_the_same_log(empty: Path) -> None:
    once, again = (run_story(empty, CrashPoints(Kind.COMMIT, 20)) for _ in range(2))
    assert once.result.log_hash == again.result.log_hash
    assert once.result.log_hash != run_story(empty, CrashPoints(Kind.COMMIT, 60)).result.log_hash


# --- it would be noticed ------------------------------------------------------------------------------------


def found_out(outcomes: Iterable[Outcome], *invariants: str) -> bool:
    """Whether a run breaks one of them, before the points end."""
    for outcome in outcomes:
        assert outcome.fired, "the story came to its end"
        if any(text.startswith(tuple(f"{name} " for name in invariants)) for text in outcome.wrong):
            return True
    return False


class HastyHeadend(Headend):
    """Says what it is about to commit."""

    def _work(self, arrivals: list[Arrival], uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[Outgoing]:
        self._link.send(super()._work(arrivals, uow, now_s, monotonic_s), now_s)
        return []


def test_head_end_that_speaks_before_its_commit_is_found_out(empty: Path) -> None:
    outcomes = (
        run_story(empty, CrashPoints(Kind.COMMIT, number), serving=HastyHeadend)
        for number in itertools.count(0, 2)
    )
    assert found_out(outcomes, "I8")


class CarelessHeadend(Headend):
    """Does not sync what it commits."""

    def __init__(self, store: Any, link: GatewayLink, clock: Clock, settings: Settings) -> None:
        store.store._store._connection.execute("PRAGMA synchronous = NORMAL")
        super().__init__(store, link, clock, settings)


def test_head_end_that_does_not_sync_is_found_out(empty: Path) -> None:
    outcomes = (
        run_story(empty, CrashPoints(), Trouble(Harm.LOSES_POWER, number), CarelessHeadend)
        for number in itertools.count(50, 25)
    )
    assert found_out(outcomes, "I8")


def test_answer_about_a_commit_that_is_not_durable_is_found_out(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new process has to sync what a dead one left, before it says that it exists."""
    sound = SqliteStore.__init__

    def trusting(self: SqliteStore, path: Path | str) -> None:
        sound(self, path)
        self._is_durable = True

    monkeypatch.setattr(SqliteStore, "__init__", trusting)
    outcomes = (
        run_story(empty, CrashPoints(), Trouble(Harm.DIES_UNSYNCED, number)) for number in itertools.count()
    )
    assert found_out(outcomes, "I3", "I8")
