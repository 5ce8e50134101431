"""`headend recovery`: how far each region has come since its newest outage."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from headend import bootstrap
from headend.cli.options import ClockOption, ConfigOption, JsonOption, StoreOption, read_config
from headend.cli.output import as_json, print_json, print_table
from headend.config import Config
from headend.domain.calendar import iso_text, local_text
from headend.domain.recovery import WORK_PHASES
from headend.service.recovery import Recovery, RegionProgress


def recovery(
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show each region's phase, what is left in it and in those to come, and how long it is likely to last."""
    settings = read_config(config, store, clock)
    now_s = bootstrap.clock(settings).now_s()
    with bootstrap.store(settings) as opened, opened.view() as uow:
        regions = recovery_of(settings).progress(uow, now_s)
    if json:
        print_json([_as_json(region, now_s) for region in regions])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "recovery",
        (
            "region",
            "phase",
            "since",
            "outage",
            "",
            *(f"{phase.lower()} left" for phase in WORK_PHASES),
            "likely until",
        ),
        (_cells(region, now_s, zone) for region in regions),
    )


def recovery_of(config: Config) -> Recovery:
    """What follows the regions of this configuration."""
    rules = bootstrap.rules(config)
    return Recovery(rules.recovery, rules.arrears, ZoneInfo(config.zone), config.regions)


def _cells(region: RegionProgress, now_s: int, zone: ZoneInfo) -> Sequence[object]:
    state = region.state
    until_s = None if region.to_go_s is None else now_s + region.to_go_s
    return (
        region.region,
        state.phase,
        local_text(state.since_s or None, zone),
        f"from {local_text(state.outage_began_s, zone)}",
        f"to {local_text(state.outage_ended_s, zone)}",
        *(region.left.get(phase, "-") for phase in WORK_PHASES),
        local_text(until_s, zone),
    )


def _as_json(region: RegionProgress, now_s: int) -> dict[str, Any]:
    state = region.state
    content = as_json(state, region=region.region)
    for name in ("since", "outage_began", "outage_ended", "grace_until"):
        content[name] = iso_text(content[f"{name}_s"])
    likely_until = None if region.to_go_s is None else iso_text(now_s + region.to_go_s)
    return content | {"left": region.left, "to_go_s": region.to_go_s, "likely_until": likely_until}
