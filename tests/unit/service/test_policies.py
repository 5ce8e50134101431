"""Policies: issued where something protects, renewed in time, new after a moratorium, and sent to every meter."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from unit.service.protect_bench import DAY_S, HOUR_S, ProtectBench, rules_of

from headend.domain.protected_hours import ProtectedHours
from headend.rules import load_rules
from headend.service.policies import ISSUE_LIMIT, POLICY_DAYS, RENEW_BEFORE_S, Policies
from headend.service.ports import StoreError
from headend.service.resolutions import Outcome as ResolutionOutcome
from headend.service.resolutions import resolve_exception
from headend.wire.errors import RefusalCode
from headend.wire.messages import Outcome, PolicyResult


@pytest.fixture
def bench() -> Iterator[ProtectBench]:
    made = ProtectBench(rules_of(), "M1", "M2")
    yield made
    made.store.close()


def policies(bench: ProtectBench, region: str = "R1") -> list[tuple[int, int]]:
    """(version, valid until) of what was issued."""
    return bench._query("SELECT version, valid_until_s FROM policy WHERE region = ? ORDER BY version", region)


def windows(bench: ProtectBench) -> list[list[int]]:
    (document,) = bench._query("SELECT document FROM policy ORDER BY version DESC LIMIT 1")[0]
    return list(json.loads(document)[3])


def held(bench: ProtectBench, meter: str) -> tuple[int, int]:
    row = bench.meter(meter)
    return row.policy_version, row.applied_policy_version


def test_every_meter_of_a_region_is_told_its_windows_weeks_ahead(bench: ProtectBench) -> None:
    bench.live(HOUR_S)
    ((version, until_s),) = policies(bench)
    assert (version, until_s) == (1, bench.at_s(POLICY_DAYS))
    assert {(meter, number) for meter, number in bench.policies_sent} == {("M1", 1), ("M2", 1)}
    assert (held(bench, "M1"), held(bench, "M2")) == ((1, 1), (1, 1))
    assert windows(bench)[0] == [bench.at_s(0), bench.at_s(0, 10)]
    assert windows(bench)[1] == [bench.at_s(0, 13), bench.at_s(1, 10)]
    assert bench.acts("POLICY_ISSUED") == [("POLICY_ISSUED", "region/R1")]


def test_policy_stays_while_nothing_changes_and_is_renewed_in_time(bench: ProtectBench) -> None:
    days = POLICY_DAYS - RENEW_BEFORE_S // DAY_S
    bench.live((days - 1) * DAY_S, period_s=12 * HOUR_S)
    assert len(policies(bench)) == 1
    bench.live(3 * DAY_S, period_s=HOUR_S)
    assert [version for version, _ in policies(bench)] == [1, 2]
    assert policies(bench)[1][1] - bench.clock.now_s() > RENEW_BEFORE_S
    assert held(bench, "M1") == (2, 2)


def test_moratorium_and_its_end_reach_every_meter_as_new_versions(bench: ProtectBench) -> None:
    bench.live(HOUR_S)
    number = bench.declare(bench.at_s(2), bench.at_s(5))
    bench.live(60)
    assert held(bench, "M1") == (2, 2)
    assert [bench.at_s(1, 13), bench.at_s(5, 10)] in windows(bench)
    with bench.command_line() as uow:
        assert uow.end_moratorium(number, "asha", bench.clock.now_s())
        uow.record_act(_ended(bench))
    bench.live(60)
    assert held(bench, "M1") == (3, 3)
    assert [bench.at_s(2, 13), bench.at_s(3, 10)] in windows(bench)


def _ended(bench: ProtectBench):  # type: ignore[no-untyped-def]
    from headend.domain.evidence import Act, ActKind

    return Act(bench.clock.now_s(), "asha", ActKind.MORATORIUM_ENDED, "moratorium/1", "over")


def test_moratorium_of_one_region_changes_no_other_region(bench: ProtectBench) -> None:
    from dataclasses import replace

    from unit.service.bench import registration

    from headend.service.accounts import register_meters
    from headend.service.traffic import GatewayId

    with bench.command_line() as uow:
        register_meters([replace(registration("N1"), gateway=GatewayId("R2", "G9"))], uow)
    bench.live(HOUR_S)
    bench.declare(bench.at_s(2), bench.at_s(5), region="R2")
    bench.live(60)
    assert (len(policies(bench)), len(policies(bench, "R2"))) == (1, 2)


def test_meter_registered_later_is_told_too(bench: ProtectBench) -> None:
    bench.live(HOUR_S)
    bench.enter("M3")
    bench.greet()
    bench.live(HOUR_S)
    assert held(bench, "M3") == (1, 1)
    assert [meter for meter, _ in bench.policies_sent].count("M1") == 1, "and the others not again"


def test_newer_policy_ends_one_that_waits(bench: ProtectBench) -> None:
    bench.obeys = False
    bench.live(HOUR_S)
    bench.declare(bench.at_s(2), bench.at_s(5))
    bench.live(60)
    assert bench.states("M1") == ["SUPERSEDED", "SENT"]
    bench.obeys = True
    bench.live(HOUR_S)
    assert bench.states("M1") == ["SUPERSEDED", "APPLIED"]
    assert held(bench, "M1") == (2, 2)


def answer(bench: ProtectBench, version: int, code: str | None) -> None:
    outcome = Outcome.APPLIED if code is None else Outcome.REJECTED
    made = {"meter": "M1", "version": version, "outcome": outcome, "code": code, "at_s": bench.clock.now_s()}
    bench.results(PolicyResult.model_validate(made, strict=False))  # type: ignore[arg-type]
    bench.run()


def test_policy_that_a_meter_refuses_is_listed_and_one_it_cannot_verify_goes_on(bench: ProtectBench) -> None:
    bench.obeys = False
    bench.live(60)
    answer(bench, 1, "BAD_SIGNATURE")
    assert ("M1", "COMMAND_REJECTED") in bench.exception_kinds()
    assert bench.states("M1") == ["SENT"], "the keys have to be mended, then it counts"
    answer(bench, 1, None)
    assert bench.states("M1") == ["APPLIED"]
    assert bench.exception_kinds() == []


def test_meter_that_lost_its_policy_is_sent_it_again(bench: ProtectBench) -> None:
    bench.live(HOUR_S)
    assert held(bench, "M1") == (1, 1)
    bench.policies_sent.clear()
    # A hello carries version 0 unless it says otherwise.
    bench.live(10)
    bench.hello(("M1", bench.registers["M1"], 0, 0, 0), ("M2", bench.registers["M2"], 0, 0, 0))
    bench.run()
    bench.answer()
    assert ("M1", 1) in bench.policies_sent
    assert held(bench, "M1") == (1, 1)


@pytest.mark.parametrize("preset", ["flat", "great-britain"])
def test_no_policy_where_no_window_holds_for_every_meter(preset: str) -> None:
    bench = ProtectBench(load_rules(preset), "M1")
    bench.live(DAY_S)
    assert policies(bench) == []
    assert bench.policies_sent == []
    bench.declare(bench.at_s(2), bench.at_s(5))
    bench.live(60)
    assert windows(bench) == [[bench.at_s(2), bench.at_s(5)]]
    assert held(bench, "M1") == (1, 1)
    bench.store.close()


def test_no_meter_is_forgotten_when_a_commit_fails_between_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headend.service.policies.ISSUE_LIMIT", 3)
    homes = [f"M{number}" for number in range(1, 21)]
    bench = ProtectBench(rules_of())
    bench.enter(*homes)
    bench.link.connect()
    for _ in range(4):
        bench.store.failing_commits = 1
        with suppress(StoreError):
            bench.headend.step(0.0)
        bench.store.failing_commits = 0
        bench.headend.step(0.0)
    bench.run()
    assert bench._query("SELECT count(*) FROM meter WHERE policy_version = 1") == [(20,)]
    assert bench._query("SELECT count(*) FROM delivery WHERE kind = 'POLICY'") == [(20,)]
    bench.store.close()


def test_looking_again_costs_one_look_for_new_meters_only(bench: ProtectBench) -> None:
    bench.live(HOUR_S)
    service = Policies(bench.rules.protection, bench.settings.zone)
    with bench.store.transaction() as uow:
        service.follow(uow, bench.clock.now_s())
        while service.has_work():
            service.step(uow, bench.clock.now_s())
        service.look_again()
        service.follow(uow, bench.clock.now_s())
    assert not service.has_work()
    assert ISSUE_LIMIT > 100
    assert bench.rules.protection.hours != ProtectedHours()


def test_store_that_is_behind_its_meters_issues_a_policy_above_theirs_once_a_person_says_so(
    bench: ProtectBench,
) -> None:
    """As after a restore from a backup: the meters hold versions that this store never issued."""
    bench.live(HOUR_S)
    for meter in ("M1", "M2"):
        bench.results(PolicyResult(meter=meter, version=4, outcome=Outcome.APPLIED, at_s=bench.clock.now_s()))  # type: ignore[arg-type]
    bench.run()
    assert bench.exception_kinds() == [("M1", "POLICY_AHEAD"), ("M2", "POLICY_AHEAD")]
    with bench.command_line() as uow:
        done = resolve_exception("M2", "POLICY_AHEAD", "asha", "an old backup", uow, bench.clock.now_s())
    assert done.outcome is ResolutionOutcome.RESOLVED
    bench.live(60)
    assert [version for version, _ in policies(bench)] == [1, 5]
    assert (held(bench, "M1"), held(bench, "M2")) == ((5, 5), (5, 5)), "one resolution is enough for a region"
    assert bench.exceptions() == []
    bench.live(HOUR_S)
    assert len(policies(bench)) == 2, "and it is issued once"


def test_policy_that_the_meter_has_with_another_content_is_not_given_up_silently(bench: ProtectBench) -> None:
    bench.obeys = False
    bench.live(HOUR_S)
    refused = PolicyResult(
        meter="M1", version=1, outcome=Outcome.REJECTED, code=RefusalCode.OLDER_VERSION, at_s=bench.clock.now_s()
    )
    bench.results(refused)  # type: ignore[arg-type]
    bench.run()
    assert bench.exception_kinds() == [("M1", "POLICY_AHEAD")]
    assert "REJECTED" not in bench.states("M1")
    with bench.command_line() as uow:
        resolve_exception("M1", "POLICY_AHEAD", "asha", "an old backup", uow, bench.clock.now_s())
    bench.obeys = True
    bench.live(60)
    assert held(bench, "M1") == (2, 2)
