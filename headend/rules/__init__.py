"""The rules of a utility: one TOML file with a section for each subject, made into plain values of the domain.

Named presets are shipped in `headend/presets`; a file of one's own has the same form. Each section has a module
of its own here, with a model that has `to_domain()`.
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headend.domain.protected_hours import Festivals
from headend.domain.rules import Rules
from headend.domain.tariff import Tariff
from headend.errors import HeadendError
from headend.rules.alerts import AlertsSection
from headend.rules.arrears import ArrearsSection
from headend.rules.protection import ProtectionSection
from headend.rules.recovery import RecoverySection
from headend.rules.tariff import Name, TariffSection

PRESETS: Final = Path(__file__).parents[1] / "presets"


class RulesFile(BaseModel):
    """The form of a rules file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    tariff: TariffSection
    protection: ProtectionSection = ProtectionSection()
    alerts: AlertsSection = AlertsSection()
    arrears: ArrearsSection = ArrearsSection()
    recovery: RecoverySection = RecoverySection()

    def to_domain(self, *, festivals: bool = True) -> Rules:
        """The rules as plain values, with the festivals looked up that they ask for.

        Without them it is quicker, and good for all but for deciding about a cut.
        """
        protection = self.protection.to_domain(self._festivals() if festivals else None)
        return Rules(
            name=self.name,
            currency=self.currency,
            tariff=self.tariff.to_domain(),
            protection=protection,
            alerts=self.alerts.to_domain(protection),
            arrears=self.arrears.to_domain(),
            recovery=self.recovery.to_domain(),
        )

    def _festivals(self) -> Festivals | None:
        asked = self.protection.hours.festivals
        if asked is None:
            return None
        # Imported for those who ask: it takes longer than most commands.
        from headend.adapters.festivals import festivals

        return festivals(asked.country, asked.subdivision, asked.categories, asked.around_days)


class _TariffFile(BaseModel):
    tariff: TariffSection


_Form = TypeVar("_Form", RulesFile, _TariffFile)


def preset_names() -> list[str]:
    """The presets that are shipped, in order of their names."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_rules(source: str | Path) -> Rules:
    """The rules of a preset by its name, or of a file.

    Raises:
        HeadendError: as `read_rules`; festivals of a place that is not known.
    """
    return read_rules(source).to_domain()


def read_rules(source: str | Path) -> RulesFile:
    """What a preset or a file says, without looking up any festivals.

    Raises:
        HeadendError: no such preset or file, an unknown key, a value that makes no sense.
    """
    if isinstance(source, Path):
        return _read(source, f"rules file {source}", RulesFile)
    if source not in preset_names():
        raise HeadendError(f"preset {source[:40]!r} is not known; known are {', '.join(preset_names())}")
    return _read(PRESETS / f"{source}.toml", f"preset {source}", RulesFile)


def load_tariff(path: Path) -> Tariff:
    """Read the section [tariff] of a file, whatever else it holds.

    Raises:
        HeadendError: no such file, no such section, an unknown key in it, a value that makes no sense.
    """
    return _read(path, f"tariff file {path}", _TariffFile).tariff.to_domain()


def _read(path: Path, where: str, form: type[_Form]) -> _Form:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return form.model_validate(content)
    except ValidationError as error:
        raise HeadendError(f"{where}: {'; '.join(map(_complaint, error.errors()))}") from error
    except OSError as error:
        raise HeadendError(f"{where}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or no TOML
        raise HeadendError(f"{where}: {error}") from error


def _complaint(entry: Any) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        return f"unknown key {key!r}; the presets show the known ones"
    return f"{key}: {entry['msg'].removeprefix('Value error, ')}"
