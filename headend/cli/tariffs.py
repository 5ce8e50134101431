"""Commands for the tariff: import versions, look at them, and reckon what a consumption costs."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.options import (
    ActorOption,
    ClockOption,
    ConfigOption,
    FromOption,
    JsonOption,
    ReasonOption,
    StoreOption,
    ToOption,
    check_kept,
    checked_day,
    read_config,
)
from headend.cli.output import print_json, print_table
from headend.cli.tariff_consumption import Days, period_of, read_days, spread, watts_of
from headend.config import Config
from headend.domain.calendar import day_of, iso_text, local_text
from headend.domain.pricing import DayCharge, Pricer
from headend.domain.tariff import CategoryTerms, DutyOn, Tariff, TimeBand
from headend.domain.tariff_items import Item, itemise
from headend.domain.tariff_month import same_month
from headend.domain.units import decimal_rupees
from headend.errors import ExitStatus, HeadendError
from headend.rules import RulesFile, load_tariff, read_rules
from headend.rules.quantities import number
from headend.rules.tariff import TariffSection, tariff_to_toml
from headend.service.ports.billing import TariffRow
from headend.service.tariffs import ImportOutcome, import_tariff

app = typer.Typer(help="Tariffs: dated versions of the prices.", no_args_is_help=True)

PresetOption = Annotated[str | None, typer.Option("--preset", help="A preset by its name.")]

_REFUSED = {
    ImportOutcome.IN_USE: "days were charged by the version of that day, which is immutable now",
    ImportOutcome.TOO_LATE: "days from then on are charged already, by the version before",
}


@app.command("import")
def import_version(
    actor: ActorOption,
    reason: ReasonOption,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A TOML file with a section [tariff], as `show` prints it."),
    ] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Enter a version of the tariff, in force from its day on. Once a day was charged by it, it never changes."""
    settings = read_config(config, store, clock)
    check_kept(actor, reason)
    if (file is None) == (preset is None):
        raise HeadendError("say a FILE, or --preset NAME")
    tariff = read_rules(preset).tariff.to_domain() if preset is not None else load_tariff(file or Path())
    with bootstrap.store(settings, create=True) as opened, opened.transaction() as uow:
        for row in uow.tariffs():
            _check_number(tariff, row.tariff)
        outcome = import_tariff(tariff, actor, reason, uow, bootstrap.clock(settings).now_s())
    begins = date.fromordinal(tariff.from_day).isoformat()
    if json:
        print_json({"outcome": outcome, "name": tariff.name, "version": tariff.version, "from": begins})
    elif outcome not in _REFUSED:
        print(f"{outcome}: {tariff.name} version {tariff.version}, in force from {begins}")
    if outcome in _REFUSED:
        raise HeadendError(
            f"{outcome}: a tariff cannot begin on {begins}: {_REFUSED[outcome]}; give it a later from_day",
            ExitStatus.EXISTS_DIFFERENT,
        )


def _check_number(new: Tariff, known: Tariff) -> None:
    """A version's number is never used for two different days."""
    if (new.name, new.version) == (known.name, known.version) and new.from_day != known.from_day:
        raise HeadendError(
            f"{known.name} version {known.version} is in force from {date.fromordinal(known.from_day)};"
            " give the new one a higher version",
            ExitStatus.EXISTS_DIFFERENT,
        )


@app.command("list")
def list_versions(
    config: ConfigOption = None, store: StoreOption = None, clock: ClockOption = None, json: JsonOption = False
) -> None:
    """List the versions in the store, in order of their days."""
    settings = read_config(config, store, clock)
    rows = _versions(settings)
    if json:
        print_json([_row_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "tariffs",
        ("from", "name", "version", "categories", "imported", "by", "used since"),
        (
            (
                date.fromordinal(row.tariff.from_day),
                row.tariff.name,
                row.tariff.version,
                ", ".join(category.name for category in row.tariff.categories),
                local_text(row.imported_at_s, zone),
                row.imported_by,
                local_text(row.used_at_s, zone),
            )
            for row in rows
        ),
    )


@app.command("show")
def show_version(
    on: Annotated[str | None, typer.Option("--on", metavar="DATE", help="A day; today if not given.")] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show the version in force on a day, or that of a preset, as a file that `import` reads."""
    settings = read_config(config, store, clock)
    if preset is not None:
        tariff = read_rules(preset).tariff.to_domain()
    else:
        now_s = bootstrap.clock(settings).now_s()
        day = day_of(now_s, ZoneInfo(settings.zone)) if on is None else checked_day(on, "on")
        found = [row.tariff for row in _versions(settings) if row.tariff.from_day <= day]
        if not found:
            raise HeadendError(f"no tariff is in force on {date.fromordinal(day)}; see `headend tariff list`")
        tariff = found[-1]
    if json:
        print_json(TariffSection.from_domain(tariff).model_dump(mode="json"))
    else:
        print(tariff_to_toml(tariff), end="")


@app.command("price")
def price(
    kwh: Annotated[
        list[str] | None,
        typer.Option(
            help="Energy of the whole period, or once for each of its days; A/B/C where prices have bands."
        ),
    ] = None,
    daily_csv: Annotated[
        Path | None, typer.Option(help="A file with columns date and kwh; days that it lacks are not priced.")
    ] = None,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="The period: a month.")] = None,
    first: FromOption = None,
    last: ToOption = None,
    category: Annotated[str | None, typer.Option(help="The consumer category (default: the tariff's).")] = None,
    load_kw: Annotated[str, typer.Option(help="The sanctioned load.")] = "1",
    preset: PresetOption = None,
    rules: Annotated[Path | None, typer.Option(help="A file of rules in place of a preset.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Reckon what a consumption costs, line by line, by the rules' own tariff. It needs no store."""
    if preset is not None and rules is not None:
        raise HeadendError("--preset and --rules: say one of them")
    chosen = _read_rules(rules or preset, config)
    tariff = chosen.tariff.to_domain()
    terms = tariff.category(category)
    if terms is None:
        known = ", ".join(known.name for known in tariff.categories)
        raise HeadendError(f"tariff {tariff.name} has no category {category!r}; it has {known}")
    if bool(kwh) == (daily_csv is not None):
        raise HeadendError("say the energy by --kwh, or by --daily-csv FILE")
    period = period_of(month, first, last)
    if daily_csv is not None:
        days = read_days(daily_csv, period, terms)
    elif period is None:
        raise HeadendError("say the period: --month YYYY-MM, or --from DATE --to DATE")
    else:
        days = spread(kwh or [], period, terms)
    bill = _bill(tariff, chosen.currency, terms, watts_of(load_kw), days)
    if json:
        print_json(_bill_json(bill))
    else:
        _print_bill(bill)


@dataclass(frozen=True, slots=True)
class _Bill:
    """Days with their charges, and the energy lines taken apart over all of them."""

    tariff: Tariff
    currency: str
    terms: CategoryTerms
    load_w: int
    days: list[tuple[int, int, DayCharge]]
    items: list[Item]


def _read_rules(source: Path | str | None, config: Path | None) -> RulesFile:
    if source is None:
        settings = read_config(config, None, None)
        source = settings.rules or settings.preset
    return read_rules(source)


def _versions(settings: Config) -> list[TariffRow]:
    with bootstrap.store(settings) as opened, opened.view() as uow:
        return uow.tariffs()


def _bill(tariff: Tariff, currency: str, terms: CategoryTerms, load_w: int, days: Days) -> _Bill:
    pricer = Pricer(tariff, terms, load_w)
    charges: list[tuple[int, int, DayCharge]] = []
    items: dict[tuple[int, TimeBand | None], Item] = {}
    month_wh, last_day = 0, days[0][0]
    for day, band_wh in days:
        month_wh = month_wh if same_month(last_day, day) else 0
        for item in itemise(pricer, month_wh, band_wh):
            before = items.get((item.from_wh, item.band), item._replace(energy_wh=0, amount_micros=0))
            items[item.from_wh, item.band] = before._replace(
                energy_wh=before.energy_wh + item.energy_wh,
                amount_micros=before.amount_micros + item.amount_micros,
            )
        if terms.bands:
            charge = pricer.price_bands(day, month_wh, band_wh)
        else:
            charge = pricer.price_day(day, month_wh, sum(band_wh))
        charges.append((day, sum(band_wh), charge))
        month_wh, last_day = month_wh + sum(band_wh), day
    in_order = sorted(items.values(), key=lambda item: (item.from_wh, item.band.from_minute if item.band else 0))
    return _Bill(tariff, currency, terms, load_w, charges, in_order)


def _lines(bill: _Bill) -> list[tuple[str, int | None, int | None, int]]:
    """What is charged: name, energy, price per kWh, amount."""
    terms = bill.terms
    lines: list[tuple[str, int | None, int | None, int]] = [
        (_item_name(item), item.energy_wh, item.price_micros_per_kwh, item.amount_micros) for item in bill.items
    ]
    duty_on = "energy and fixed charge" if terms.duty_on is DutyOn.ENERGY_AND_FIXED else "energy"
    more = (
        ("fixed charge", _sum(bill, "fixed_micros")),
        (f"duty, {_percent(terms.duty_bp)} of {duty_on}", _sum(bill, "duty_micros")),
        (f"rebate, {_percent(terms.rebate_bp)} of energy", -_sum(bill, "rebate_micros")),
        ("rounding", _sum(bill, "rounding_micros")),
    )
    return lines + [(name, None, None, amount_micros) for name, amount_micros in more if amount_micros]


def _sum(bill: _Bill, line: str) -> int:
    return sum(getattr(charge, line) for _, _, charge in bill.days)


def _percent(share_bp: int) -> str:
    return f"{number(share_bp, 100)} %"


def _item_name(item: Item) -> str:
    name = f"energy from {number(item.from_wh, 1_000)} kWh" if item.from_wh else "energy"
    if item.band is None:
        return name
    sign = "-" if item.band.change_bp < 0 else "+"
    minute = item.band.from_minute
    return f"{name}, from {minute // 60:02d}:{minute % 60:02d} ({sign}{_percent(abs(item.band.change_bp))})"


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh // 1_000:,}.{energy_wh % 1_000:03d}"


def _print_bill(bill: _Bill) -> None:
    tariff, first, last = bill.tariff, bill.days[0][0], bill.days[-1][0]
    print(f"{tariff.name} version {tariff.version}, {bill.terms.name}, {number(bill.load_w, 1_000)} kW")
    print(f"{len(bill.days)} days, {date.fromordinal(first)} to {date.fromordinal(last)}")
    lines = [
        (
            name,
            "" if energy_wh is None else _kwh(energy_wh),
            "" if price_micros is None else decimal_rupees(price_micros),
            decimal_rupees(amount_micros),
        )
        for name, energy_wh, price_micros, amount_micros in _lines(bill)
    ]
    total = (
        "total",
        _kwh(sum(energy_wh for _, energy_wh, _ in bill.days)),
        "",
        decimal_rupees(_sum(bill, "total_micros")),
    )
    print_table("", ("line", "kWh", "per kWh", bill.currency), [*lines, total])


def _bill_json(bill: _Bill) -> dict[str, Any]:
    return {
        "tariff": bill.tariff.name,
        "version": bill.tariff.version,
        "category": bill.terms.name,
        "load_w": bill.load_w,
        "currency": bill.currency,
        "energy_wh": sum(energy_wh for _, energy_wh, _ in bill.days),
        "total_micros": _sum(bill, "total_micros"),
        "lines": [
            {"line": name, "energy_wh": energy_wh, "price_micros_per_kwh": price, "amount_micros": amount_micros}
            for name, energy_wh, price, amount_micros in _lines(bill)
        ],
        "days": [_day_json(*day) for day in bill.days],
    }


def _day_json(day: int, energy_wh: int, charge: DayCharge) -> dict[str, Any]:
    return {
        "day": date.fromordinal(day).isoformat(),
        "energy_wh": energy_wh,
        "energy_micros": charge.energy_micros,
        "fixed_micros": charge.fixed_micros,
        "duty_micros": charge.duty_micros,
        "rebate_micros": charge.rebate_micros,
        "rounding_micros": charge.rounding_micros,
        "total_micros": charge.total_micros,
    }


def _row_json(row: TariffRow) -> dict[str, Any]:
    return {
        "name": row.tariff.name,
        "version": row.tariff.version,
        "from": date.fromordinal(row.tariff.from_day).isoformat(),
        "categories": [category.name for category in row.tariff.categories],
        "imported_at": iso_text(row.imported_at_s),
        "imported_at_s": row.imported_at_s,
        "imported_by": row.imported_by,
        "used_at": iso_text(row.used_at_s),
        "used_at_s": row.used_at_s,
    }
