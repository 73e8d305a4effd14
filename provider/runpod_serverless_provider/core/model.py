"""The base of all input models and the markers that state each fact about a field once, on the field.

A resource declares its inputs as a pydantic model whose *validated* form is canonical: one spelling, one order. What a change of a field
does, how it is spelled in the schema, its default and its place in the API are markers in the field's annotation.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from .values import UNKNOWN, Path, contains_unknown

Strategy = Literal["replace", "inPlace"]


@dataclass(frozen=True)
class Recreates:
    """A change needs a new resource. `because` completes "a change recreates the endpoint because …".

    `patchable` says that the API can also apply it to the living resource, which `updateStrategy: inPlace` asks for.
    """

    because: str
    patchable: bool = True


@dataclass(frozen=True)
class Updates:
    """A change is applied to the living resource. `note` says what else a user should know."""

    note: str = ""


@dataclass(frozen=True)
class StateOnly:
    """A change is kept in state; the API has no such field."""


Effect = Recreates | Updates | StateOnly


@dataclass(frozen=True)
class At:
    """Where the field sits in an API body, when that is not its own name at the top level."""

    path: tuple[str, ...]

    def __init__(self, *path: str) -> None:
        object.__setattr__(self, "path", path)


@dataclass(frozen=True)
class Default:
    """How a field that the program leaves out is filled.

    `choose` gets a lookup of canonical inputs by property name and returns the value in the user's form, or None for no default.
    `derived_from` names the properties that the choice looks at; `text` says the default in the schema and the README.
    """

    choose: Callable[[Lookup], Any]
    text: str
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spelled:
    """The schema type of what a user may write, where it is wider than the canonical form. A fragment of a Pulumi type spec."""

    schema: Mapping[str, Any]


@dataclass(frozen=True)
class OpenEnum:
    """The values of a string are known, but others are accepted; `name` is the enum in the schema."""

    name: str


@dataclass(frozen=True)
class Secret:
    """The value is secret whatever the program says."""


@dataclass(frozen=True)
class AutoNamed:
    """The field is the resource's name: it is chosen when left out, at most `max_length` characters long."""

    max_length: int = 191


Lookup = Callable[[str], Any]


class Inputs(BaseModel):
    """The base of input models: strict, closed, camelCase outside, and open to UNKNOWN at any depth."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, use_attribute_docstrings=True, frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _let_unknowns_pass(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        if value is UNKNOWN:
            return UNKNOWN
        if not contains_unknown(value) or (isinstance(value, Mapping) and not _is_free_map(value)):
            return validate(value)
        if isinstance(value, Mapping):
            known = {key: item for key, item in value.items() if item is not UNKNOWN}
            checked = validate(known)
            if isinstance(checked, BaseModel):
                return checked.model_copy(update={_attribute(type(checked), key): UNKNOWN for key in value if key not in known})
            return {**checked, **{key: UNKNOWN for key in value if key not in known}} if isinstance(checked, Mapping) else UNKNOWN
        known_items = [item for item in value if not contains_unknown(item)]
        if known_items:
            validate(known_items)
        return UNKNOWN


def _is_free_map(value: Mapping[str, Any]) -> bool:
    return any(item is UNKNOWN for item in value.values())


def _attribute(model: type[BaseModel], alias: str) -> str:
    for name, info in model.model_fields.items():
        if info.alias == alias:
            return name
    return alias


@dataclass(frozen=True)
class Facts:
    """All that is known of one field: its path from the resource's inputs, its markers and its pydantic description."""

    path: Path
    attribute: str
    info: FieldInfo
    effect: Effect
    nested: type[Inputs] | None = None

    @property
    def name(self) -> str:
        """The property's name as users write it."""
        return str(self.path[-1])

    def marker(self, kind: type[_M]) -> _M | None:
        """The field's marker of one kind, if it has one."""
        return next((item for item in self.info.metadata if isinstance(item, kind)), None)


_M = typing.TypeVar("_M")


def nested_model(annotation: Any) -> type[Inputs] | None:
    """The input model that an annotation stands for, also through `| None`."""
    if isinstance(annotation, type) and issubclass(annotation, Inputs):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(annotation) if (found := nested_model(part))), None)
    return None


@lru_cache(maxsize=None)
def facts(model: type[Inputs], within: Path = ()) -> tuple[Facts, ...]:
    """List the facts of every field of `model`, outer before inner."""
    return tuple(_facts(model, within))


def _facts(model: type[Inputs], within: Path) -> Iterator[Facts]:
    for attribute, info in model.model_fields.items():
        path = (*within, info.alias or attribute)
        effect = next((item for item in info.metadata if isinstance(item, Recreates | Updates | StateOnly)), None)
        inner = nested_model(info.annotation)
        if effect is None:
            raise TypeError(f"{model.__name__}.{attribute} does not say what a change of it does")
        yield Facts(path, attribute, info, effect, inner)
        if inner is not None:
            yield from _facts(inner, path)


def facts_at(model: type[Inputs], path: Path) -> Facts:
    """The facts of the innermost declared field on `path` (a key of a free map counts as its map)."""
    declared = {item.path: item for item in facts(model)}
    for length in range(len(path), 0, -1):
        if path[:length] in declared:
            return declared[path[:length]]
    raise KeyError(path)


class Canonical:
    """The canonical form of inputs as a map from property path to leaf, which is what plans compare.

    Lists are leaves; maps are opened, and an empty one leaves nothing. `None` is absence.
    """

    EMPTY: ClassVar[dict[Path, Any]] = {}

    @staticmethod
    def of(model: Inputs) -> dict[Path, Any]:
        """Flatten a validated model."""
        return dict(_flatten(model.model_dump(by_alias=True, exclude_none=True), ()))


def _flatten(value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flatten(item, (*path, key))
        elif item is not None:
            yield (*path, key), item
