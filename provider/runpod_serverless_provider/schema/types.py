"""Pulumi types of Python annotations."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from ..core.model import EnumName, Facts, Inputs, Outputs, Spelled, facts, is_model
from ..resources.enums import one_of, reference, word_of

_PLAIN: Final[Mapping[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def type_of(annotation: Any) -> dict[str, Any]:
    """Return the type spec of a canonical value, which is what outputs have. Raises TypeError for what no schema can say."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return {"type": _PLAIN[annotation]}
    if is_model(annotation, Inputs | Outputs):
        return {"type": "object", **reference(canonical_name(annotation))}
    if origin is Annotated:
        return type_of(arguments[0])
    if origin in (Union, types.UnionType):
        (only,) = [argument for argument in arguments if argument is not type(None)]
        return type_of(only)
    if origin is Literal:
        return {"type": "string"}
    if origin is list:
        return {"type": "array", "items": type_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": type_of(arguments[1])}
    raise TypeError(f"no schema type for {annotation!r}")


def canonical_name(model: type[Inputs | Outputs]) -> str:
    """Name the type of a model's canonical form.

    It is one of its own where a program may spell a field in several ways: a language that knows types, such as YAML, reads no part of
    a field that may be a map or a list.
    """
    is_spelled = issubclass(model, Inputs) and any(item.marker(Spelled) for item in facts(model))
    return f"Resolved{model.__name__}" if is_spelled else model.__name__


def spelled_type(item: Facts) -> dict[str, Any]:
    """Return the type spec of what a user may write."""
    spelled, enum = item.marker(Spelled), item.marker(EnumName)
    if spelled is not None:
        return dict(spelled.schema)
    if item.nested is not None:
        return {"type": "object", **reference(item.nested.__name__)}
    return one_of(*word_of(enum.name)) if enum is not None else type_of(item.info.annotation)


def literal_values(annotation: Any) -> tuple[str, ...]:
    """List the values of the `Literal` in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((values for argument in get_args(annotation) if (values := literal_values(argument))), ())


def nested_types(annotation: Any) -> list[type[Outputs | Inputs]]:
    """List the models that an annotation refers to."""
    if is_model(annotation, Inputs | Outputs):
        return [annotation]
    return [model for argument in get_args(annotation) for model in nested_types(argument)]
