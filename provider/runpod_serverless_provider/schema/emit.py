"""Emit schema.json: every property, type, default, secret and description from the markers on the models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ..core.function import Function, GetAll
from ..core.model import (
    AutoNamed,
    Default,
    EnumName,
    Facts,
    Inputs,
    Outputs,
    Recreates,
    Secret,
    StateOnly,
    Updates,
    WriteOnly,
    facts,
    output_facts,
)
from ..core.resource import PACKAGE, Resource
from ..core.settings import CONFIGURATION, ConfigurationProperty
from ..core.version import DISTRIBUTION, plugin_version
from ..resources.enums import OPEN_ENUMS, one_of, reference, word_of
from .types import canonical_name, literal_values, nested_types, spelled_type, type_of

_DESCRIPTION: Final = (
    "Runpod serverless endpoints, network volumes, templates and registry credentials, with the parameters of Runpod Flash, on the Runpod "
    "REST API v2."
)


def emit(resources: Iterable[Resource], functions: Iterable[Function] = ()) -> dict[str, Any]:
    """Return the schema of the package."""
    resources, functions = list(resources), list(functions)
    return {
        "name": PACKAGE,
        "displayName": "Runpod Serverless",
        "version": plugin_version(),
        "description": _DESCRIPTION,
        "keywords": ["pulumi", "runpod", "serverless", "gpu", "category/cloud", "kind/native"],
        "license": "Apache-2.0",
        "publisher": DISTRIBUTION,
        "meta": {"moduleFormat": "(.*)"},
        "config": {"variables": {item.name: _configured(item) for item in CONFIGURATION}},
        "provider": {
            "description": "The connection to a Runpod account.",
            "inputProperties": {item.name: _configured(item) for item in CONFIGURATION},
        },
        "types": _first_of_each([*_types(resources), *_function_types(functions)]),
        "resources": {resource.token: _resource(resource) for resource in sorted(resources, key=lambda each: each.name)},
        "functions": {function.token: _function(function) for function in sorted(functions, key=lambda each: each.name)},
        "language": {
            "python": {
                "packageName": DISTRIBUTION.replace("-", "_"),
                "requires": {"pulumi": ">=3.243,<4"},
                "pyproject": {"enabled": True},
                "respectSchemaVersion": True,
                "inputTypes": "classes-and-dicts",
            },
            "nodejs": {"packageName": DISTRIBUTION, "dependencies": {"@pulumi/pulumi": "^3.243.0"}, "respectSchemaVersion": True},
        },
    }


def _first_of_each(types: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Sort types; one that several resources refer to is worded for the first of them, which declares it."""
    found: dict[str, Any] = {}
    for token, spec in types:
        found.setdefault(token, spec)
    return dict(sorted(found.items()))


def _configured(item: ConfigurationProperty) -> dict[str, Any]:
    kind = one_of(*word_of(item.enum)) if item.enum else {"type": "string"}
    text = {**kind, "description": f"{item.description} Default: {item.default}."}
    return {**text, "secret": True} if item.is_secret else text


def _function(function: Function) -> dict[str, Any]:
    arguments = function.arguments.model_fields.items()
    inputs = {
        "type": "object",
        "properties": {info.alias or name: _plain(info.annotation, info.description) for name, info in arguments},
        "required": [info.alias or name for name, info in arguments if info.is_required()],
    }
    spec = {"description": _text(function.description), "inputs": {name: value for name, value in inputs.items() if value}}
    return {**spec, "outputs": _answer(function)}


def _answer(function: Function) -> dict[str, Any]:
    if isinstance(function, GetAll):
        items = {"type": "array", "items": reference(_details(function.resource)), "description": f"Each {function.resource.noun}."}
        return {"type": "object", "properties": {function.key: items}, "required": [function.key]}
    if isinstance(function.answers, Resource):
        return _found(function.answers)
    return _object(function.answers, "")


def _found(resource: Resource, without: Iterable[str] = ()) -> dict[str, Any]:
    """Describe a resource that a function found: its id and its properties."""
    spec = _resource(resource)
    unseen = {item.name for item in resource.facts if isinstance(item.effect, StateOnly) or item.marker(WriteOnly) is not None}
    without = {*without, *unseen}
    spec["properties"] = {name: item for name, item in spec["properties"].items() if name not in without}
    identity = {"type": "string", "description": f"Id of the {resource.noun}."}
    properties = {"id": identity, **{name: _without_effect(item) for name, item in spec["properties"].items()}}
    return {
        "type": "object",
        "properties": properties,
        "required": ["id", *(name for name in spec.get("required", ()) if name not in without)],
    }


def _without_effect(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {**spec, "description": re.split(r" (?:Default:|A change )", spec["description"], maxsplit=1)[0]}


def _details(resource: Resource) -> str:
    return f"{resource.name}Details"


def _function_types(functions: Iterable[Function]) -> Iterator[tuple[str, Any]]:
    for function in functions:
        if isinstance(function, GetAll):
            found = {
                **_found(function.resource, without=function.resource.may_be_secret),
                "description": f"A {function.resource.noun} that a function found.",
            }
            yield f"{PACKAGE}:index:{_details(function.resource)}", found
        elif not isinstance(function.answers, Resource):
            for model in _models_within(function.answers):
                yield f"{PACKAGE}:index:{canonical_name(model)}", _object(model, "")


def _models_within(model: type[Outputs]) -> Iterator[type[Outputs | Inputs]]:
    for item in output_facts(model):
        for inner in nested_types(item.info.annotation):
            yield inner
            if issubclass(inner, Outputs):
                yield from _models_within(inner)


def _plain(annotation: Any, description: str | None) -> dict[str, Any]:
    return {**type_of(annotation), "description": _text(description)}


def _resource(resource: Resource) -> dict[str, Any]:
    given = [item for item in facts(resource.inputs) if len(item.path) == 1]
    computed = output_facts(resource.outputs)
    spec = {
        "description": _text(resource.__doc__),
        "inputProperties": {item.name: input_property(item, resource.noun) for item in given},
        "properties": {
            **{item.name: {**type_of(item.info.annotation), **_said(item, resource.noun)} for item in given},
            **{item.name: {**type_of(item.info.annotation), **_said(item, resource.noun)} for item in computed},
        },
        "listInputs": {"type": "object", "description": "Nothing narrows the list."},
        "requiredInputs": [item.name for item in given if item.info.is_required()],
        "required": sorted(_always_set(given, computed, resource)),
    }
    return {name: value for name, value in spec.items() if value}


def _always_set(given: Iterable[Facts], computed: Iterable[Facts], resource: Resource) -> set[str]:
    named = {item.name for item in given if item.marker(AutoNamed) or item.info.is_required()}
    named |= {item.name for item in given if (default := item.marker(Default)) is not None and default.is_certain}
    return named | {item.name for item in computed if item.info.is_required()} | set(resource.always_shown)


def input_property(item: Facts, noun: str) -> dict[str, Any]:
    """Return the spec of an input property."""
    return {
        **spelled_type(item),
        **_said(item, noun),
        **({"willReplaceOnChanges": True} if isinstance(item.effect, Recreates) else {}),
    }


def _said(item: Facts, noun: str) -> dict[str, Any]:
    said = {"description": describe(item, noun)}
    return {**said, "secret": True} if item.marker(Secret) else said


def describe(item: Facts, noun: str) -> str:
    """Word a property: its docstring, its default, and what a change does."""
    default = item.marker(Default)
    parts = [_text(item.info.description)]
    if default is not None:
        parts.append(f"Default: {default.text}.")
    if item.marker(AutoNamed):
        parts.append("Default: the resource's name and seven random hexadecimal digits, or as the project's autonaming says.")
    if item.effect is not None and item.nested is None:
        parts.append(effect_text(item, noun))
    return " ".join(part for part in parts if part)


def effect_text(item: Facts, noun: str) -> str:
    """Say what a change of the field does."""
    effect = item.effect
    if isinstance(effect, StateOnly):
        return "A change updates the state only, without a request."
    if isinstance(effect, Updates):
        return f"A change updates the {noun}{f': {effect.note}' if effect.note else ''}."
    assert isinstance(effect, Recreates)
    stays = "" if effect.is_patchable or noun != "endpoint" else ", also with `updateStrategy: inPlace`"
    return f"A change recreates the {noun} because {effect.because}{stays}."


def _text(docstring: str | None) -> str:
    return re.sub(r"\s*\n\s*", " ", (docstring or "").strip())


def _types(resources: Iterable[Resource]) -> Iterator[tuple[str, Any]]:
    for name, enum in OPEN_ENUMS.items():
        yield f"{PACKAGE}:index:{name}", _enum(enum.description, enum.values)
    for resource in resources:
        for item in facts(resource.inputs):
            closed = item.marker(EnumName)
            if closed is not None:
                yield f"{PACKAGE}:index:{closed.name}", _enum(closed.description, literal_values(item.info.annotation))
            if item.nested is not None:
                yield f"{PACKAGE}:index:{item.nested.__name__}", _written_object(item.nested, resource.noun)
        for item in (*facts(resource.inputs), *output_facts(resource.outputs)):
            for model in nested_types(item.info.annotation):
                yield f"{PACKAGE}:index:{canonical_name(model)}", _object(model, resource.noun)


def _enum(description: str, values: Iterable[str]) -> dict[str, Any]:
    members = [{"name": member_name(value), "value": value} for value in values]
    return {"type": "string", "description": description, "enum": members}


def member_name(value: str) -> str:
    """Name an enum member in lower snake case: the Python generator takes capitals apart (`E_U_R_O_1`).

    Only camelCase is split: a card's brand stays one word (`NVIDIA_GEFORCE_RTX_4090`, as in Flash).
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value) if value[:1].islower() else value
    return re.sub(r"[^A-Za-z0-9]+", "_", words).lower()


def _written_object(model: type[Inputs], noun: str) -> dict[str, Any]:
    """Describe what a program may write."""
    return _described(model, {item.name: input_property(item, noun) for item in _own(model)}, _own(model))


def _object(model: type[Inputs | Outputs], noun: str) -> dict[str, Any]:
    """Describe what is read."""
    fields = _own(model)
    return _described(model, {item.name: {**type_of(item.info.annotation), **_said(item, noun)} for item in fields}, fields)


def _own(model: type[Inputs | Outputs]) -> list[Facts]:
    """List the facts of a model's own fields, without those of what is nested in them."""
    return [item for item in (facts(model) if issubclass(model, Inputs) else output_facts(model)) if len(item.path) == 1]


def _described(model: type[Inputs | Outputs], properties: Mapping[str, Any], fields: Iterable[Facts]) -> dict[str, Any]:
    required = [item.name for item in fields if item.info.is_required()]
    spec: Mapping[str, Any] = {
        "type": "object",
        "description": _text(model.__doc__),
        "properties": properties,
        "required": required,
    }
    return {name: value for name, value in spec.items() if value}
