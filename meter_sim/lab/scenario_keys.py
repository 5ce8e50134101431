"""Which keys the models of a scenario allow where: for messages about a misspelt one."""

from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from meter_sim.lab.faults import FAULTS
from meter_sim.lab.scenario import Scenario


def keys_at(where: tuple[str | int, ...]) -> list[str]:
    """The keys of the mapping at a location as pydantic tells it (with the name of a fault after its index)."""
    model: type[BaseModel] = Scenario
    for step in where:
        if isinstance(step, str):
            model = FAULTS[step] if step in FAULTS else _model_of(_type_of(model, step)) or model
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _type_of(model: type[BaseModel], key: str) -> Any:
    """The type of a field, by its key; None: there is none."""
    return next((info.annotation for name, info in model.model_fields.items() if key in (name, info.alias)), None)


def _model_of(kind: Any) -> type[BaseModel] | None:
    """The model within a type such as `tuple[Model, ...]`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    inner = get_args(kind)
    if get_origin(kind) is Annotated:
        return _model_of(inner[0])
    if get_origin(kind) is dict:
        return _model_of(inner[1])
    return next((found for each in inner if (found := _model_of(each)) is not None), None)
