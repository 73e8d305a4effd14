"""Bodies that break exactly one constraint of the document, made from bodies that keep them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonschema import Draft202012Validator

SURPLUS: Final = "surplus"
_KINDS: Final[tuple[tuple[str, Any], ...]] = (
    ("null", None),
    ("boolean", True),
    ("number", 1.5),
    ("string", "word"),
    ("array", []),
    ("object", {}),
)
_WORDS: Final = ("x", "-", "12")

Constraint = tuple[str, str]
"""Where it holds in the body, and its keyword."""


@dataclass(frozen=True)
class Broken:
    """A body, or a part of one, and the one constraint that it breaks."""

    constraint: Constraint
    value: Any


def inlined(document: Mapping[str, Any], schema: Any) -> Any:
    """Write a schema with what it refers to in the place of each reference."""
    if isinstance(schema, list):
        return [inlined(document, part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return inlined(document, found)
    return {name: inlined(document, part) for name, part in schema.items() if name != "discriminator"}


def constraints(schema: Mapping[str, Any], path: str = "$") -> Iterator[Constraint]:
    """List every constraint of an inlined schema."""
    for keyword in ("type", "enum", "minLength", "pattern", "minimum", "maximum", "minItems", "minProperties"):
        if keyword in schema:
            yield path, keyword
    if schema.get("uniqueItems"):
        yield path, "uniqueItems"
    if _is_closed(schema):
        yield path, "extra key"
    for name in schema.get("required", ()):
        yield path, f"required {name}"
    for name, companions in schema.get("dependentRequired", {}).items():
        for companion in companions:
            yield path, f"{name} requires {companion}"
    if "if" in schema:
        yield path, _conditional(schema)
    for name, part in schema.get("properties", {}).items():
        yield from constraints(part, f"{path}.{name}")
    for keyword, place in (("items", f"{path}[]"), ("additionalProperties", f"{path}.*")):
        if isinstance(schema.get(keyword), Mapping):
            yield from constraints(schema[keyword], place)
    for part in schema.get("allOf", ()):
        yield from constraints(part, path)
    if "oneOf" in schema:
        yield path, "oneOf"
    for index, part in enumerate(schema.get("oneOf", ())):
        yield from constraints(part, f"{path}<{index}>")


def breaks(schema: Mapping[str, Any], value: Any, path: str = "$") -> Iterator[Broken]:
    """Break each constraint that an inlined schema has for `value`, which keeps them all, one at a time."""
    for keyword, broken in _broken_here(schema, value):
        yield Broken((path, keyword), broken)
    for key, part, place in _parts(schema, value, path):
        for inner in breaks(part, value[key], place):
            yield Broken(inner.constraint, _with(value, key, inner.value))
    for part in schema.get("allOf", ()):
        yield from breaks(part, value, path)
    for index, part in enumerate(schema.get("oneOf", ())):
        if _accepts(part, value):
            yield from breaks(part, value, f"{path}<{index}>")


def _parts(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[tuple[Any, Mapping[str, Any], str]]:
    """Yield the keys of what is within a value, with the schema and the place of each."""
    properties = schema.get("properties", {})
    if isinstance(value, dict):
        yield from ((name, part, f"{path}.{name}") for name, part in properties.items() if name in value)
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping):
            yield from ((name, others, f"{path}.*") for name in value if name not in properties)
    if isinstance(value, list) and "items" in schema:
        yield from ((index, schema["items"], f"{path}[]") for index in range(len(value)))


def _broken_here(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    """Break what a schema itself asks of a value."""
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield from (("type", other) for kind, other in _KINDS if kind not in kinds)
    if "enum" in schema:
        yield "enum", SURPLUS
    if "minLength" in schema:
        yield "minLength", value[: schema["minLength"] - 1]
    if "pattern" in schema:
        yield from (("pattern", word) for word in _WORDS if not re.search(schema["pattern"], word))
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - (1 if isinstance(schema["minimum"], int) else 0.1)
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + 1
    if "minItems" in schema:
        yield "minItems", value[: schema["minItems"] - 1]
    if schema.get("uniqueItems"):
        yield "uniqueItems", [*value, value[0]]
    if "minProperties" in schema:
        yield "minProperties", dict(list(value.items())[: schema["minProperties"] - 1])
    if _is_closed(schema):
        yield "extra key", {**value, SURPLUS: 1}
    for name in schema.get("required", ()):
        yield f"required {name}", _without(value, name)
    for name, companions in schema.get("dependentRequired", {}).items():
        if name in value:
            yield from ((f"{name} requires {companion}", _without(value, companion)) for companion in companions)
    if "oneOf" in schema:
        yield "oneOf", {**value, "type": SURPLUS}
    if "if" in schema and not _accepts(schema["if"], value):
        changed = [_without(value, name) for name in value]
        changed += [{**value, name: part["const"]} for name, part in schema["if"].get("properties", {}).items()]
        yield from ((_conditional(schema), other) for other in changed if not _accepts(schema, other))


def _is_closed(schema: Mapping[str, Any]) -> bool:
    return False in (schema.get("additionalProperties"), schema.get("unevaluatedProperties"))


def _conditional(schema: Mapping[str, Any]) -> str:
    return f"if {json.dumps(schema['if'])}"


def _accepts(schema: Mapping[str, Any], value: Any) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


def _without(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}


def _with(value: Any, key: Any, item: Any) -> Any:
    changed = value.copy()
    changed[key] = item
    return changed


_CONTAINER: Final[Mapping[str, Any]] = {
    "args": "serve",
    "disk": 20,
    "env": {"A": "1"},
    "image": "me/worker:1",
    "ports": ["8000/http"],
    "registry": "registry0",
}
_PLACED: Final[Mapping[str, Any]] = {
    "dataCenterIds": ["EU-RO-1", "US-KS-2"],
    "flashboot": "OFF",
    "networkVolumes": ["volume0"],
    "timeout": 5000,
}
_CARDS: Final[Mapping[str, Any]] = {"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"], "count": 1}
_DELAY: Final[Mapping[str, Any]] = {
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    "workers": {"min": 0, "max": 1, "idleTimeout": 5},
}
_COUNT: Final[Mapping[str, Any]] = {"scaling": {"type": "REQUEST_COUNT", "requestCount": 4}, "workers": {"min": 0, "max": 1}}
_SIZES: Final = [{"id": "cpu3c", "vcpuCount": 2}]
_QUEUE: Final[Mapping[str, Any]] = {"name": "n", "type": "QUEUE", **_DELAY}
_TEMPLATE: Final[Mapping[str, Any]] = {
    **_CONTAINER,
    "name": "new",
    "allowedCudaVersions": ["12.8"],
    "category": "NVIDIA",
    "public": False,
    "serverless": True,
}
_POD: Final[Mapping[str, Any]] = {
    "name": "new-pod",
    "image": "me/pod:1",
    "serverless": False,
    "mounts": {"persistent": {"size": 10, "path": "/workspace"}},
    "startJupyter": True,
    "startSsh": True,
}
WIDE: Final[Mapping[tuple[str, str], list[tuple[str, dict[str, Any]]]]] = {
    ("POST", "/v2/serverless"): [
        ("", {**_QUEUE, **_CONTAINER, **_PLACED, "gpu": {**_CARDS, "allowedCudaVersions": ["12.8"]}}),
        ("", {**_QUEUE, "templateId": "template0", "gpu": {**_CARDS, "minCudaVersion": "12.8"}}),
        ("", {"name": "n", "type": "LOAD_BALANCER", "image": "me/worker:1", "cpu": _SIZES, "dataCenterIds": ["EU-RO-1"], **_COUNT}),
    ],
    ("PATCH", "/v2/serverless/{id}"): [
        (
            "queue0",
            {"name": "n", **_CONTAINER, **_PLACED, **_DELAY, "gpu": {**_CARDS, "allowedCudaVersions": ["12.8"]}},
        ),
        ("queue0", {"templateId": "template0", "gpu": {**_CARDS, "minCudaVersion": "12.8"}}),
        ("cpu0", {"cpu": _SIZES, **_COUNT}),
    ],
    ("POST", "/v2/templates"): [("", {**_TEMPLATE}), ("", {**_POD})],
    ("PATCH", "/v2/templates/{id}"): [("template0", {**_TEMPLATE}), ("pod0", {**_POD})],
    ("POST", "/v2/network-volumes"): [("", {"name": "n", "size": 10, "dataCenter": "EU-RO-1", "type": "STANDARD"})],
    ("PATCH", "/v2/network-volumes/{id}"): [("volume0", {"name": "n", "size": 200})],
    ("POST", "/v2/registries"): [("", {"name": "n", "username": "u", "password": "p"})],
    ("POST", "/v2/registries/delegations"): [
        ("", {"resource": "arn:aws:ecr:us-east-2:418399314813:repository/app", "name": "n"}),
    ],
}
"""For each operation that takes a body: ids of the seed, and bodies that together have every property of the document."""
