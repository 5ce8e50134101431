"""The head-end's configuration: one frozen object, read once.

Precedence: option > environment (`HEADEND_...`) > file (`headend.toml`, `--config`) > default. Unknown keys in
the file are refused.
"""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from headend.adapters.mqtt import Broker
from headend.errors import HeadendError
from headend.wire.timescale import TimeScale
from headend.wire.topics import is_id

DEFAULT_FILE: Final = Path("headend.toml")


class Config(BaseSettings):
    """Every setting with its default. `headend config` prints them as a commented file."""

    model_config = SettingsConfigDict(env_prefix="HEADEND_", frozen=True, extra="forbid")

    store: Path = Field(Path("var/headend.db"), description="The SQLite file that holds everything.")
    broker: str = Field("mqtt://127.0.0.1:1883", description="The MQTT broker.")
    regions: tuple[str, ...] = Field((), description="The regions that this process owns; none: all.")
    client_id: str = Field("headend", description="Our MQTT client id; one a head-end process.")
    zone: str = Field("Asia/Kolkata", description="The utility's time zone: billing days begin there.")
    preset: str = Field("flat", description="The rules by name: flat, bihar, uttar-pradesh, great-britain.")
    rules: Path | None = Field(None, description="A file of rules of your own, in place of a preset.")
    max_day_wh: int = Field(
        2_400_000, gt=0, le=10**12, description="More energy than this in a day is looked at, not billed."
    )
    rollover_wh: int | None = Field(
        None, gt=0, description="All that a register can show, if it runs over; 6 digits of kWh: 1000000000."
    )
    window: int = Field(100, gt=0, le=1_000, description="Most unanswered commands a gateway.")
    answer_timeout_s: float = Field(
        10.0, gt=0, description="Wall seconds after which an unanswered command is sent again."
    )
    heartbeat_s: float = Field(1.0, gt=0, description="Wall seconds between signs of life in the store.")
    stalled_after_s: float = Field(
        60.0, gt=0, description="Wall seconds by which a sign of life is late until we count as having been out."
    )
    poll_s: float = Field(
        0.05, gt=0, le=5, description="Wall seconds between looks for what other processes committed."
    )
    gateway_silent_after_s: int = Field(
        3_600, gt=0, description="Seconds without a message after which a gateway counts as out."
    )
    balance_stale_after_s: int = Field(
        7_200, gt=0, description="Seconds after which a balance is shown as stale: its reading is so old."
    )
    meter_silent_after_s: int = Field(
        93_600, gt=0, description="Seconds without a reading after which a meter is listed for a person."
    )
    relay_open_expires_after_s: int | None = Field(
        None, gt=0, description="Seconds for which an order to open a relay has effect, instead of the rules'."
    )
    notice_log: bool = Field(True, description="Whether `headend notify` logs each notice.")
    notice_file: Path | None = Field(None, description="A file that `headend notify` adds JSON lines to.")
    notice_webhook: str | None = Field(
        None, description="Where `headend notify` POSTs notices: https, or http on the loopback."
    )
    notice_webhook_key_file: Path | None = Field(
        None, description="The secret that signs them: at least 32 bytes, readable by the owner only."
    )
    outage_notice_after_s: int = Field(
        900, gt=0, description="Seconds after which everybody is told of an outage of the system."
    )
    clock: str | None = Field(
        None, description="Laboratory only: virtual time, as START@EPOCHxSPEED (see headend.wire.timescale)."
    )

    @field_validator("store")
    @classmethod
    def _store_is_file(cls, path: Path) -> Path:
        if not path.name:
            raise ValueError("the store must be the name of a file")
        return path

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone such as Asia/Kolkata") from error
        return name

    @field_validator("broker")
    @classmethod
    def _broker_is_url(cls, url: str) -> str:
        Broker.parse(url)
        return url

    @field_validator("regions")
    @classmethod
    def _regions_are_ids(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        for region in regions:
            if not is_id(region):
                raise ValueError(f"{region!r} is not a region id (letters, digits, dashes; at most 32)")
        return regions

    @field_validator("notice_webhook")
    @classmethod
    def _webhook_is_url(cls, url: str | None) -> str | None:
        if url is not None:
            check_webhook_url(url)
        return url

    @field_validator("clock")
    @classmethod
    def _clock_is_spec(cls, spec: str | None) -> str | None:
        if spec is not None:
            TimeScale.parse(spec)
        return spec

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **sources: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, environment, file; in this order of precedence."""
        return init_settings, sources["env_settings"], TomlConfigSettingsSource(settings_cls)


def check_webhook_url(url: str) -> None:
    """Notices hold what concerns their readers only: they cross a network encrypted.

    Raises:
        ValueError: the URL is not https, nor http on the loopback, or carries a secret of its own.
    """
    parts = urlsplit(url)
    on_loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.scheme not in (("http", "https") if on_loopback else ("https",)):
        raise ValueError("must be a URL with https, or with http on the loopback")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and password; notices are signed by notice_webhook_key_file")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL without spaces, in ASCII")
    _ = parts.port  # ValueError: no number of a port


def load_config(file: Path | None, **options: object) -> Config:
    """Read the configuration. Options that are None are not set.

    Raises:
        HeadendError: a file that is missing or broken, an unknown key, a value out of range.
    """
    if file is not None and not file.is_file():
        raise HeadendError(f"config file {file} does not exist; `headend config` prints one to start from")
    path = file or DEFAULT_FILE

    class _FromFile(Config):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _FromFile(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise HeadendError("; ".join(_complaint(path, entry) for entry in error.errors())) from error
    except (ValueError, OSError) as error:
        where = f"config file {path}" if path.exists() else 'environment (lists are JSON there, such as ["R1"])'
        raise HeadendError(f"{where}: {error}") from error


def _complaint(path: Path, entry: Any) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        return f"config file {path}: unknown key {key!r}; known are {', '.join(sorted(Config.model_fields))}"
    message = entry["msg"].removeprefix("Value error, ")
    return f"setting {key}: {message} (by option, HEADEND_{key.upper()} or {path})"


def commented_default() -> str:
    """The default configuration as a TOML file with a comment on every key."""
    lines = [
        "# headend.toml: settings of the head-end. An option or an environment variable",
        "# (HEADEND_STORE and so on) goes before the file, the file before these defaults.",
    ]
    for name, field in Config.model_fields.items():
        value = field.default
        shown = (
            '""' if value is None else json.dumps(list(value) if isinstance(value, tuple) else value, default=str)
        )
        lines += ["", f"# {field.description}", f"{'# ' if value is None else ''}{name} = {shown}"]
    return "\n".join(lines) + "\n"
