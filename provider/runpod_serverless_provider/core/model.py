"""The base of all input models and the markers that state each fact about a field once, on the field.

A resource declares its inputs as a pydantic model whose *validated* form is canonical: one spelling, one order. What a change of a field
does, how it is spelled in the schema, its default and its place in the API are markers in the field's annotation.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler, create_model, field_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from .values import UNKNOWN, Path, contains_unknown

if TYPE_CHECKING:
    from .session import Session

Strategy = Literal["replace", "inPlace"]


@dataclass(frozen=True)
class Recreates:
    """A change needs a new resource. `because` completes "a change recreates the endpoint because …".

    `is_patchable` says that the API can also apply it to the living resource, which `updateStrategy: inPlace` asks for;
    `is_presence_fixed`, that it can then change the value but neither add nor remove it.
    """

    because: str
    is_patchable: bool = True
    is_presence_fixed: bool = False


@dataclass(frozen=True)
class Updates:
    """A change is applied to the living resource. `note` says what else a user should know."""

    note: str = ""


@dataclass(frozen=True)
class StateOnly:
    """A change is kept in state; the API has no such field."""


Effect = Recreates | Updates | StateOnly

_UNCLEARABLE: Any = object()


@dataclass(frozen=True, init=False)
class At:
    """Where the field sits in an API body, when that is not its own name at the top level.

    `clear` is what a PATCH carries where the property is gone; without it the key is left out. `write` and `read` translate the canonical
    value to the API's and back. A field that others write (`is_written=False`) only names the top-level key that its change touches; one
    that the API never returns (`is_read=False`) is taken to be as planned.
    """

    path: tuple[str, ...]
    clear: Any = _UNCLEARABLE
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None
    is_written: bool = True
    is_read: bool = True

    def __init__(
        self,
        *path: str,
        clear: Any = _UNCLEARABLE,
        write: Callable[[Any], Any] | None = None,
        read: Callable[[Any], Any] | None = None,
        is_written: bool = True,
        is_read: bool = True,
    ) -> None:
        given = {"path": path, "clear": clear, "write": write, "read": read, "is_written": is_written, "is_read": is_read}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def is_clearable(self) -> bool:
        """Can a PATCH take the value away?"""
        return self.clear is not _UNCLEARABLE


@dataclass(frozen=True)
class Default:
    """How a field that the program leaves out is filled.

    `choose` gets a `Lookup` of canonical inputs and returns the value in the user's form, or None for no default. Where it looks at a
    value that is not known, the default is unknown too. `text` says the default in the schema and the README. A default is kept from one
    run to the next unless one of the properties that it looks at (`derived_from`, whose names may have dots) changes; one that
    `follows_settings` is chosen anew each time. One that `is_certain` always gives a value, so that the output is always there.
    """

    choose: Callable[[Lookup], Any]
    text: str
    derived_from: tuple[str, ...] = ()
    follows_settings: bool = False
    is_certain: bool = False


@dataclass(frozen=True)
class Spelled:
    """The schema type of what a user may write, where it is wider than the canonical form. A fragment of a Pulumi type spec."""

    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a user may write, in words that complete "must be …", where the canonical form tells less; `hint` follows what is there."""

    words: str
    hint: str = ""


@dataclass(frozen=True)
class EnumName:
    """The enum of the schema that lists the values of a `Literal`."""

    name: str
    description: str


@dataclass(frozen=True)
class Secret:
    """The value is secret whatever the program says."""


@dataclass(frozen=True)
class WriteOnly:
    """The API takes the value and never returns it: a create needs it, and an imported resource is without it.

    A program that adds it after an import states what cannot be compared, so that is no change of the resource.
    """


@dataclass(frozen=True, init=False)
class Brings:
    """The API fills these places of the body from what the value names, once and where the program leaves them out.

    So what the program no longer states can only come back with a new resource: a PATCH that clears it would leave nothing there.
    """

    places: tuple[tuple[str, ...], ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "places", tuple((name,) for name in names))


@dataclass(frozen=True)
class AutoNamed:
    """The field is the resource's name: it is chosen when left out, at most `max_length` characters long."""

    max_length: int = 191


@dataclass(frozen=True)
class DerivedFrom:
    """An output follows from these inputs, so it is not known before `pulumi up` while one of them changes."""

    inputs: tuple[str, ...]

    def __init__(self, *inputs: str) -> None:
        object.__setattr__(self, "inputs", inputs)


class Lookup(Protocol):
    """What a default may look at."""

    session: Session

    def __call__(self, name: str) -> Any:
        """Return the canonical value of the property `name`, which may have dots, or None where it is absent."""


class Inputs(BaseModel):
    """The base of input models: strict, closed, camelCase outside, and open to UNKNOWN at any depth."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, use_attribute_docstrings=True, frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _let_unknowns_pass(cls, value: Any, validate: ValidatorFunctionWrapHandler, field: ValidationInfo) -> Any:
        """Validate what is known of `value`; a list that holds an unknown is unknown as a whole, a map only at that key."""
        if value is UNKNOWN:
            return UNKNOWN
        if not contains_unknown(value) or nested_model(cls.model_fields[str(field.field_name)].annotation) is not None:
            return validate(value)  # the fields of a nested model look after their own unknowns
        if isinstance(value, Mapping):
            checked = validate({key: item for key, item in value.items() if item is not UNKNOWN})
            return {**checked, **{key: UNKNOWN for key, item in value.items() if item is UNKNOWN}}
        known_items = [item for item in value if not contains_unknown(item)]
        if known_items:
            validate(known_items)
        return UNKNOWN


class Outputs(BaseModel):
    """The base of models of what a resource has beyond its inputs. Only declares: fields carry `At`, `Secret` and `DerivedFrom`."""

    model_config = ConfigDict(alias_generator=to_camel, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Facts:
    """All that is known of one field: its path from the resource's properties, its markers and its pydantic description."""

    path: Path
    attribute: str
    info: FieldInfo
    effect: Effect | None = None
    nested: type[Inputs] | None = None

    @property
    def name(self) -> str:
        """The property's name as users write it."""
        return str(self.path[-1])

    @cached_property
    def at(self) -> At:
        """Where the field sits in the API."""
        return self.marker(At) or At(self.name, is_read=self.marker(WriteOnly) is None)

    @property
    def is_sent(self) -> bool:
        """Is it part of API bodies? A nested object is not, its fields are."""
        return self.nested is None and not isinstance(self.effect, StateOnly)

    def marker(self, kind: type[_M]) -> _M | None:
        """Return the field's marker of one kind, if it has one."""
        if kind not in self._markers:
            self._markers[kind] = next((item for item in self.info.metadata if isinstance(item, kind)), None)
        return cast("_M | None", self._markers[kind])

    @cached_property
    def _markers(self) -> dict[type[Any], Any]:
        return {}


_M = typing.TypeVar("_M")


def is_model(annotation: Any, kind: type[Any] | types.UnionType) -> bool:
    """Say whether an annotation is a class of this kind; Python 3.10 also takes `list[str]` for a class."""
    return typing.get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, kind)


def nested_model(annotation: Any) -> type[Inputs] | None:
    """Return the input model that an annotation stands for, also through `| None`."""
    if is_model(annotation, Inputs):
        return cast(type[Inputs], annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(annotation) if (found := nested_model(part))), None)
    return None


_Model = typing.TypeVar("_Model", bound=BaseModel)


@cache
def lenient(model: type[_Model]) -> type[_Model]:
    """Return `model` with nothing required: what an old state holds, or a single property, is not the whole."""
    required = {attribute: info for attribute, info in model.model_fields.items() if info.is_required()}
    parts = {attribute: (info.annotation, *info.metadata) for attribute, info in required.items()}
    fields: dict[str, Any] = {attribute: (cast(Any, Annotated)[annotation], None) for attribute, annotation in parts.items()}

    class Undescribed(model):  # type: ignore[misc, valid-type] # descriptions would be parsed from source, which threads must not do
        model_config = ConfigDict(use_attribute_docstrings=False)

    return create_model(model.__name__, __base__=Undescribed, **fields)


@cache
def facts(model: type[Inputs]) -> tuple[Facts, ...]:
    """List the facts of every field of `model`, outer before inner. Raises TypeError for a field without an effect."""
    return tuple(_facts(model, ()))


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


@cache
def output_facts(model: type[Outputs]) -> tuple[Facts, ...]:
    """List the facts of every field of an output model."""
    return tuple(Facts((info.alias or attribute,), attribute, info) for attribute, info in model.model_fields.items())


@cache
def facts_by_path(model: type[Inputs]) -> Mapping[Path, Facts]:
    """Map the facts of `model` by path."""
    return {item.path: item for item in facts(model)}


@lru_cache(maxsize=4096)  # the keys of maps are the program's
def facts_at(model: type[Inputs], path: Path) -> Facts:
    """Return the facts of the innermost declared field on `path` (a key of a free map counts as its map)."""
    declared = facts_by_path(model)
    for length in range(len(path), 0, -1):
        if path[:length] in declared:
            return declared[path[:length]]
    raise KeyError(path)


Leaves = Mapping[Path, Any]
"""Canonical inputs as a map from property path to value, which is what plans compare. Lists are leaves, maps are opened, and an empty
one leaves nothing. None is absence."""


def leaves_of(model: Inputs) -> dict[Path, Any]:
    """Flatten a validated model."""
    return dict(_leaves(model, ()))


def _leaves(model: Inputs, path: Path) -> Iterator[tuple[Path, Any]]:
    for attribute, info in type(model).model_fields.items():  # not model_dump: it warns of UNKNOWN
        value = getattr(model, attribute)
        if value is None:
            continue
        here = (*path, info.alias or attribute)
        if isinstance(value, Inputs):
            yield from _leaves(value, here)
        elif isinstance(value, Mapping):
            yield from open_leaf(here, value).items()
        else:
            yield here, value


def open_leaf(path: Path, value: Any) -> dict[Path, Any]:
    """Open one canonical value that may be a map."""
    return dict(_flatten({path[-1]: value}, path[:-1]))


def _flatten(value: Mapping[Any, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flatten(item, (*path, key))
        elif item is not None:
            yield (*path, key), item


def nest(flat: Leaves) -> dict[str, Any]:
    """Build property values from leaves: the reverse of `leaves_of`."""
    nested: dict[Any, Any] = {}
    for path, value in flat.items():
        here = nested
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
    return nested


def below(flat: Leaves, path: Path) -> dict[Path, Any]:
    """Return the leaves at `path` and below it."""
    return {leaf: value for leaf, value in flat.items() if leaf[: len(path)] == path}
