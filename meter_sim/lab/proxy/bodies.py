"""The JSON of the control interface: what may be in it, and how a proxy and a toxic look in it."""

from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from meter_sim.lab.proxy.address import Address
from meter_sim.lab.proxy.proxies import RefusedError
from meter_sim.lab.proxy.proxy import Proxy
from meter_sim.lab.toxics import TOXICS, AppliedToxic, Stream

NAME_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
MAX_GATEWAYS: Final = 50_000
_MAX_SHOWN: Final = 5

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
_Model = TypeVar("_Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NewProxy(_Body):
    """POST /proxies."""

    name: Name
    listen: str
    upstream: str
    enabled: bool = True


class ProxyChange(_Body):
    """POST /proxies/{name}: what is left out stays."""

    name: Name | None = None
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


class NewToxic(_Body):
    """POST /proxies/{name}/toxics."""

    type: str
    name: Name | None = None
    stream: Stream = "downstream"
    toxicity: float = Field(default=1.0, ge=0, le=1)
    attributes: dict[str, JsonValue] = {}
    seed: int | None = None
    gateways: list[str] | None = Field(default=None, max_length=MAX_GATEWAYS)


class ToxicChange(_Body):
    """POST /proxies/{name}/toxics/{toxic}: what is left out stays."""

    name: str | None = None
    type: str | None = None
    stream: str | None = None
    toxicity: float | None = Field(default=None, ge=0, le=1)
    attributes: dict[str, JsonValue] = {}
    seed: int | None = None
    gateways: list[str] | None = Field(default=None, max_length=MAX_GATEWAYS)


def read(model: type[_Model], body: bytes) -> _Model:
    """The body as this model.

    Raises:
        RefusedError: which field is wrong, and what is allowed.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, explain(error, model)) from error


def address(field: str, text: str) -> Address:
    """An address in a field.

    Raises:
        RefusedError: it is none.
    """
    try:
        return Address.parse(text)
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{field}: {error}") from error


def applied_toxic(new: NewToxic, default_seed: int) -> AppliedToxic:
    """The toxic that was asked for.

    Raises:
        RefusedError: its type or an attribute is wrong.
    """
    kind = TOXICS.get(new.type)
    if kind is None:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, f"type: {new.type[:64]!r} is unknown; allowed are {', '.join(sorted(TOXICS))}"
        )
    try:
        toxic = kind.model_validate(new.attributes)
    except ValidationError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, explain(error, kind, "attributes.")) from error
    return AppliedToxic(
        new.name or f"{new.type}_{new.stream}",
        toxic,
        new.stream,
        new.toxicity,
        None if new.gateways is None else frozenset(new.gateways),
        default_seed if new.seed is None else new.seed,
    )


def changed_toxic(applied: AppliedToxic, change: ToxicChange) -> AppliedToxic:
    """The toxic with what a body changes of it.

    Raises:
        RefusedError: an attribute is wrong, or what cannot change is to change.
    """
    shown = toxic_json(applied)
    for field in ("name", "type", "stream"):
        if getattr(change, field) not in (None, shown[field]):
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"{field}: cannot be changed from {shown[field]!r}; add another toxic"
            )
    given = change.model_dump(include=change.model_fields_set - {"attributes"}, exclude_none=True)
    merged = shown | given | {"attributes": shown["attributes"] | change.attributes}
    if "gateways" in change.model_fields_set:
        merged["gateways"] = change.gateways
    return applied_toxic(NewToxic.model_validate(merged), applied.seed)


def proxy_json(proxy: Proxy) -> dict[str, Any]:
    """A proxy as it is shown."""
    return {
        "name": proxy.name,
        "listen": str(proxy.listen),
        "upstream": str(proxy.upstream),
        "enabled": proxy.enabled,
        "toxics": [toxic_json(applied) for applied in proxy.toxics.values()],
    }


def toxic_json(applied: AppliedToxic) -> dict[str, Any]:
    """A toxic as it is shown."""
    (kind,) = (name for name, model in TOXICS.items() if type(applied.toxic) is model)
    return {
        "name": applied.name,
        "type": kind,
        "stream": applied.stream,
        "toxicity": applied.toxicity,
        "attributes": applied.toxic.model_dump(),
        "seed": applied.seed,
        "gateways": None if applied.gateways is None else sorted(applied.gateways),
    }


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """What is wrong, field by field, and what is allowed."""
    problems = []
    for problem in error.errors(include_url=False)[:_MAX_SHOWN]:
        field = prefix + ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(model.model_fields) or "none"
            problems.append(f"{field[:100]}: no such field; allowed are {allowed}")
        elif problem["type"] == "string_pattern_mismatch":
            problems.append(f"{field}: only letters, digits, '-' and '_', at most 64 of them")
        elif problem["type"] == "json_invalid" or not problem["loc"]:
            problems.append(f"the body: {problem['msg']}; a JSON object is expected")
        else:
            problems.append(f"{field}: {problem['msg']}")
    return "; ".join(problems)
