"""The evidence command: the story of a meter or an outage, line by line, as one would read it to a regulator."""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    StoreOption,
    checked_day,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json
from headend.config import Config
from headend.domain.calendar import iso_text, local_text, midnight_s
from headend.domain.notice import NoticeKind, notice_text
from headend.domain.units import format_rupees
from headend.errors import HeadendError
from headend.service.evidence import OutageStory, story_of_outage
from headend.service.ports import MAX_TIME_S
from headend.service.ports.evidence import StoryRow
from headend.wire.topics import is_id

Facts = dict[str, Any]
LocalText = Callable[[int | None], str]

_OUTAGE: Final = re.compile(r"(?:outage/)?([0-9]{1,15})")


def evidence(
    subject: Annotated[str, typer.Argument(metavar="METER|OUTAGE", help="A meter's id, or an outage's number.")],
    from_day: Annotated[str | None, typer.Option("--from", help="A meter's first day, YYYY-MM-DD.")] = None,
    to_day: Annotated[str | None, typer.Option("--to", help="A meter's last day, YYYY-MM-DD.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Tell the story of a meter or an outage in order: money, bills, cuts and refusals, notices, outages, acts.

    A number is an outage's, unless a meter has it for its id; outage/3 is the outage in any case.
    """
    settings = read_config(config, store, clock)
    zone = ZoneInfo(settings.zone)
    from_s = 0 if from_day is None else midnight_s(checked_day(from_day, "from"), zone)
    to_s = MAX_TIME_S if to_day is None else midnight_s(checked_day(to_day, "to") + 1, zone)
    outage_number = _OUTAGE.fullmatch(subject)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        meter = uow.meter_row(subject) if is_id(subject) else None
        if meter is not None:
            story = uow.story_of_meter(subject, from_s, to_s)
        elif outage_number is None:
            raise unknown_meter(subject, uow.device_now(subject)) if is_id(subject) else _unclear(subject)
        else:
            if from_day or to_day:
                raise HeadendError("--from and --to are for a meter's story; an outage's is told whole")
            told = story_of_outage(int(outage_number[1]), zone, uow, bootstrap.clock(settings).now_s())
            if told is None:
                raise _unclear(subject)
            _print_outage(told, settings, json)
            return
    if json:
        print_json({"meter": subject, "story": [_row_json(row) for row in story]})
        return
    installed = date.fromordinal(meter.installed_day)
    print(f"meter {subject}, region {meter.region}, gateway {meter.gateway}, installed {installed}")
    _print_story(story, zone)


def _unclear(subject: str) -> HeadendError:
    return HeadendError(
        f"{subject[:40]!r} is neither a meter nor an outage; see `headend meter list` and `headend outages --all`"
    )


def _row_json(row: StoryRow) -> Facts:
    return {"at_s": row.at_s, "at": iso_text(row.at_s), "what": row.what} | row.facts


def _print_story(story: list[StoryRow], zone: ZoneInfo) -> None:
    def local(at_s: int | None) -> str:
        return local_text(at_s, zone)

    for row in story:
        print(f"{local(row.at_s)}  {_SENTENCES[row.what](row.facts, local)}")
    if not story:
        print("nothing is on record")


def _print_outage(told: OutageStory, config: Config, json: bool) -> None:
    zone = ZoneInfo(config.zone)
    if json:
        content = as_json(told.outage, region=told.region, until_s=told.until_s, told_at_s=told.told_at_s)
        print_json(content | {"totals": told.totals, "story": [_row_json(row) for row in told.story]})
        return
    outage, totals = told.outage, told.totals

    def local(at_s: int | None) -> str:
        return local_text(at_s, zone)

    def count(name: str) -> str:
        return f"{totals[name] or 0:,}"

    lasted = "and it lasts" if outage.ended_at_s is None else f"until {local(outage.ended_at_s)}"
    print(f"outage {outage.outage_id}: {outage.kind} {outage.subject} ({outage.detail})")
    print(f"from {local(outage.began_at_s)} {lasted}; meters touched: {count('meters')}")
    print(
        f"recharges accepted meanwhile: {count('recharges_accepted')}, Rs"
        f" {format_rupees(totals['recharged_micros'] or 0)}; applied at the meter: {count('recharges_applied')},"
        f" from {local(totals['first_applied_at_s'])} to {local(totals['last_applied_at_s'])}"
    )
    print(
        f"billing days that it touched: {count('days_settled')} settled since it began,"
        f" the last at {local(totals['last_settled_at_s'])}; {count('days_open')} open"
    )
    print(f"cuts refused: {count('cuts_refused')}; held for a second person: {count('cuts_quarantined')}")
    print(
        f"cuts ordered while it lasted: {count('cuts_in_outage')}; from then to the end of grace"
        f" ({local(told.until_s)}): {count('cuts_in_grace')}; after that: {count('cuts_after_grace')}"
    )
    _print_story(told.story, zone)


def _day_text(day: int) -> str:
    return date.fromordinal(day).isoformat()


def _recharge(facts: Facts, local: LocalText) -> str:
    return (
        f"recharge of Rs {format_rupees(facts['amount_micros'])}, reference {facts['reference']}:"
        f" accepted {local(facts['accepted_s'])}, posted {local(facts['posted_s'])},"
        f" sent {local(facts['sent_s'])}, applied at the meter {local(facts['applied_s'])}"
    )


def _transfer(facts: Facts, local: LocalText) -> str:
    corrects = f", which takes back {facts['corrects']}" if facts["corrects"] else ""
    return (
        f"{facts['kind']} of Rs {format_rupees(facts['amount_micros'])}, reference {facts['reference']}{corrects}"
    )


def _charge(facts: Facts, local: LocalText) -> str:
    lines = ", ".join(
        f"{line} Rs {format_rupees(facts[f'{line}_micros'])}"
        for line in ("energy", "fixed", "duty", "rebate")
        if facts[f"{line}_micros"]
    )
    again = f" (billing {facts['revision']})" if facts["revision"] > 1 else ""
    taken_back = "; reversed later" if facts["reversed"] else ""
    total = f"{facts['energy_wh']:,} Wh, Rs {format_rupees(facts['total_micros'])}"
    return f"billing day {_day_text(facts['day'])}{again}: {total}{f' ({lines})' if lines else ''}{taken_back}"


def _disconnection(facts: Facts, local: LocalText) -> str:
    refused = f" for {facts['refused_for']}" if facts["refused_for"] else ""
    version = f" as relay version {facts['relay_version']}" if facts["relay_version"] else ""
    return (
        f"disconnection {facts['disconnection_id']} wanted by {facts['requested_by']} ({facts['reason']}):"
        f" {facts['state']}{refused}{version}, decided by {facts['decided_by']} {local(facts['decided_s'])}"
    )


def _sent_down(facts: Facts, local: LocalText) -> str:
    """How far a relay position or a policy has come on its way down."""
    ended = f"applied at the meter {local(facts['applied_s'])}" if facts["applied_s"] else facts["state"]
    reason = f" {facts['ended_reason']}" if facts["ended_reason"] else ""
    return f"sent {local(facts['sent_s'])}, {ended}{reason}"


def _relay(facts: Facts, local: LocalText) -> str:
    until = f", in force until {local(facts['expires_s'])}" if facts["expires_s"] else ""
    why = f" ({facts['reason']})" if facts["reason"] else ""
    return f"relay {facts['relay']} ordered, version {facts['version']}{why}{until}: {_sent_down(facts, local)}"


def _policy(facts: Facts, local: LocalText) -> str:
    return f"policy version {facts['version']}: {_sent_down(facts, local)}"


def _notice(facts: Facts, local: LocalText) -> str:
    sinks = ", ".join(f"{sink} {state}" for sink, state in facts["sinks"].items()) or "waiting"
    text = notice_text(NoticeKind(facts["kind"]), facts["content"], local)
    return f"notice {facts['notice_id']} {facts['kind']}: {text} [{sinks}]"


def _exception(facts: Facts, local: LocalText) -> str:
    count = f" ({facts['count']} times, last {local(facts['last_s'])})" if facts["count"] > 1 else ""
    return f"exception {facts['kind']}: {facts['detail']}{count}"


def _exception_closed(facts: Facts, local: LocalText) -> str:
    return f"exception {facts['kind']} closed by {facts['resolved_by']}: {facts['resolution']}"


def _outage(facts: Facts, local: LocalText) -> str:
    return f"outage {facts['outage_id']} began: {facts['kind']} {facts['subject']} ({facts['detail']})"


def _outage_ended(facts: Facts, local: LocalText) -> str:
    began = local(facts["began_s"])
    return f"outage {facts['outage_id']} ended: {facts['kind']} {facts['subject']}, out since {began}"


def _moratorium(facts: Facts, local: LocalText) -> str:
    ended = f", ended early {local(facts['ended_s'])} by {facts['ended_by']}" if facts["ended_s"] else ""
    where = f"region {facts['region']}" if facts["region"] else "all regions"
    return (
        f"moratorium for {where} from {local(facts['from_s'])} to {local(facts['to_s'])},"
        f" declared by {facts['declared_by']}: {facts['reason']}{ended}"
    )


def _act(facts: Facts, local: LocalText) -> str:
    return (
        f"act {facts['act_id']} {facts['kind']} of {facts['subject']} by {facts['actor']}: {facts['reason']}"
        f"{_basis(facts['basis'], local)}"
    )


def _basis(basis: Facts, local: LocalText) -> str:
    if not basis:
        return ""
    return "; based on " + _basis_facts(basis, local)


def _basis_facts(basis: Facts, local: LocalText) -> str:
    return ", ".join(_basis_fact(name, value, local) for name, value in basis.items())


def _basis_fact(name: str, value: object, local: LocalText) -> str:
    if name.endswith("_micros") and isinstance(value, int):
        return f"{name.removesuffix('_micros')} Rs {format_rupees(value)}"
    if name.endswith("_s") and isinstance(value, int):
        return f"{name.removesuffix('_s')} {local(value)}"
    if isinstance(value, dict):
        return f"{name} ({_basis_facts(value, local)})"
    if isinstance(value, list):
        return f"{name} {', '.join(map(str, value)) or '-'}"
    return f"{name} {'-' if value is None else value}"


_SENTENCES: Final[dict[str, Callable[[Facts, LocalText], str]]] = {
    "RECHARGE": _recharge,
    "TRANSFER": _transfer,
    "CHARGE": _charge,
    "DISCONNECTION": _disconnection,
    "RELAY": _relay,
    "POLICY": _policy,
    "NOTICE": _notice,
    "EXCEPTION": _exception,
    "EXCEPTION_CLOSED": _exception_closed,
    "OUTAGE": _outage,
    "OUTAGE_ENDED": _outage_ended,
    "MORATORIUM": _moratorium,
    "ACT": _act,
}
