"""Every request of this suite is held against the API's document when its world ends; here the judge is judged, and the models walked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from runpod_serverless_provider.core.model import At as Place
from runpod_serverless_provider.core.model import Facts, Recreates, output_facts
from runpod_serverless_provider.core.resource import Resource
from runpod_serverless_provider.resources import RESOURCES
from unit.contract import ABSENT, RULES, Exchange, by_prose, by_schema, document
from unit.support import Life, World, world_of

POOLS: Final = {"ADA_24": ["NVIDIA GeForce RTX 4090"], "AMPERE_80": ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"]}
QUEUE: Final = {
    "name": "q",
    "type": "QUEUE",
    "image": "me/x",
    "gpu": {"pools": ["ADA_24"], "count": 1},
    "workers": {"min": 0, "max": 1, "idleTimeout": 60},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
}
ON_REQUESTS: Final = {**QUEUE, "workers": {"min": 0, "max": 1}, "scaling": {"type": "REQUEST_COUNT", "requestCount": 4}}
BALANCED: Final = {
    **QUEUE,
    "type": "LOAD_BALANCER",
    "scaling": {"type": "REQUEST_COUNT", "requestCount": 4},
    "env": {"PORT": "80", "PORT_HEALTH": "80"},
}
CPU: Final = {name: value for name, value in QUEUE.items() if name != "gpu"}
SIZES: Final = [{"id": "cpu3c", "vcpuCount": 2}]
CENTERS: Final = {"vol0a": "EU-RO-1", "vol0b": "EU-RO-1", "vol0c": "US-KS-2"}


def _create(text: str | None = None, base: Mapping[str, Any] = QUEUE, **changes: Any) -> Exchange:
    content = text if text is not None else json.dumps({**base, **changes})
    return Exchange("POST", "/v2/serverless", content.encode(), pools=POOLS, centers=CENTERS)


def _change(before: Mapping[str, Any] = QUEUE, **changes: Any) -> Exchange:
    return Exchange("PATCH", "/v2/serverless/ep0", json.dumps(changes).encode(), before=before, pools=POOLS, centers=CENTERS)


def _volume(**changes: Any) -> Exchange:
    return Exchange("PATCH", "/v2/network-volumes/vol0a", json.dumps(changes).encode(), before={"size": 100})


NEGATIVE: Final[dict[str, tuple[Exchange, Exchange]]] = {
    # the rule, a request that breaks it and no other, and one that is right
    "integers_have_no_decimal_point": (
        _create(json.dumps(QUEUE).replace('"max": 1', '"max": 1.0')),
        _create(json.dumps(QUEUE).replace('"queueDelay": 4', '"queueDelay": 2.5')),
    ),
    "a_patch_changes_something": (_change(), _change(name="n")),
    "exactly_one_of_gpu_and_cpu": (_create(cpu=SIZES), _create(base=CPU, cpu=SIZES)),
    "the_compute_family_stays": (
        _change(cpu=[{"id": "cpu3c", "vcpuCount": 2}]),
        _change({**CPU, "cpu": []}, cpu=[{"id": "cpu3c", "vcpuCount": 2}]),
    ),
    "vcpu_counts_are_powers_of_two": (
        _create(base=CPU, cpu=[{"id": "cpu3c", "vcpuCount": 6}]),
        _create(base=CPU, cpu=[{"id": "cpu3c", "vcpuCount": 8}]),
    ),
    "excluded_types_are_in_the_pools": (
        _create(gpu={"pools": ["ADA_24"], "count": 1, "excludedTypes": ["NVIDIA A100-SXM4-80GB"]}),
        _create(gpu={"pools": ["AMPERE_80"], "count": 1, "excludedTypes": ["NVIDIA A100-SXM4-80GB"]}),
    ),
    "one_cuda_constraint": (
        _change({**QUEUE, "gpu": {"minCudaVersion": "12.8"}}, gpu={"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": ["12.8"]}),
        _change(
            {**QUEUE, "gpu": {"minCudaVersion": "12.8"}},
            gpu={"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": ["12.8"], "minCudaVersion": ""},
        ),
    ),
    "a_patch_of_gpu_keeps_the_selection": (_change(gpu={"count": 2}), _change(gpu={"pools": ["ADA_24"], "count": 2})),
    "a_patch_of_workers_is_whole": (_change(workers={"max": 2}), _change(workers={"min": 0, "max": 2})),
    "no_idle_timeout_for_a_queue_on_request_count": (
        _create(base=ON_REQUESTS, workers={"min": 0, "max": 1, "idleTimeout": 60}),
        _create(base=ON_REQUESTS),
    ),
    "a_load_balancer_scales_on_requests": (
        _create(base=BALANCED, scaling={"type": "QUEUE_DELAY", "queueDelay": 4}),
        _create(base=BALANCED),
    ),
    "another_scaler_takes_the_workers_along": (
        _change(scaling=ON_REQUESTS["scaling"]),
        _change(scaling=ON_REQUESTS["scaling"], workers={"min": 0, "max": 1}),
    ),
    "min_does_not_exceed_max": (_create(workers={"min": 4}), _create(workers={"min": 3})),
    "a_timeout_is_none_or_5_seconds_to_7_days": (_create(timeout=4999), _create(timeout=5000)),
    "ports_name_their_protocol": (_create(ports=["80"]), _create(ports=["80/http"])),
    "volumes_are_one_for_each_data_center_of_the_endpoint": (
        _create(networkVolumes=["vol0a", "vol0b"]),
        _create(networkVolumes=["vol0a", "vol0c"]),
    ),
    "a_template_is_copied_when_the_endpoint_is_created": (_change(templateId="t"), _create(templateId="t")),
    "a_load_balancer_keeps_its_ports_in_env": (
        _change(BALANCED, env={"A": "1"}),
        _change(BALANCED, env={"A": "1", "PORT": "8000", "PORT_HEALTH": "80"}),
    ),
    "a_volume_only_grows": (_volume(size=99), _volume(size=101)),
}  # fmt: skip


def test_every_prose_rule_has_a_case() -> None:
    """A rule that nothing breaks proves nothing."""
    assert set(NEGATIVE) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_prose_rule_finds_what_breaks_it(rule: str) -> None:
    """That rule alone, and nothing in the request beside it that is right."""
    wrong, right = NEGATIVE[rule]
    assert by_prose(wrong) == [rule]
    assert by_prose(right) == []
    assert by_schema(right) == []


ELSEWHERE: Final = _create(networkVolumes=["vol0c"], dataCenterIds=["EU-RO-1"])


def test_a_volume_elsewhere_breaks_its_rule_too() -> None:
    """It has two sides."""
    assert by_prose(ELSEWHERE) == ["volumes_are_one_for_each_data_center_of_the_endpoint"]


UNDOCUMENTED: Final = [
    (_create(scalling=1), "scalling"),
    (_create(workers={"min": -1}), "less than the minimum"),
    (_create(timeout="0"), "is not of type 'integer'"),
    (_create(scaling={"queueDelay": 4}), "not valid under any"),
    (_create(base={name: value for name, value in QUEUE.items() if name != "image"}), "'image' is a required property"),
    (_create(base=BALANCED, scaling={"type": "QUEUE_DELAY", "queueDelay": 4}), "not one of ['REQUEST_COUNT']"),
    (_change(type="QUEUE"), "type"),
    (_volume(dataCenter="EU-RO-1"), "dataCenter"),
    (Exchange("PUT", "/v2/serverless/ep0"), "the document has no PUT"),
    (Exchange("GET", "/v2/nowhere"), "the document has no GET"),
    (Exchange("GET", "/v2/catalog/gpus", query="includ=AVAILABILITY"), "includ is no query parameter"),
    (Exchange("DELETE", "/v2/serverless/ep0", b"{}"), "takes no body"),
]


@pytest.mark.parametrize(("exchange", "said"), UNDOCUMENTED, ids=lambda value: value if isinstance(value, str) else "")
def test_the_document_finds_what_it_does_not_know(exchange: Exchange, said: str) -> None:
    """Unknown keys, wrong types, missing parts, other methods, other queries."""
    if document() is None:
        pytest.skip(ABSENT)
    assert said in " ".join(by_schema(exchange))


def test_a_world_ends_in_failure_where_a_request_was_wrong() -> None:
    """So that no test has to ask."""

    async def send(world: World) -> None:
        await world.api.request("POST", "/network-volumes", body={"name": "n", "size": 20.5, "dataCenter": "EU-RO-1"})

    def stray(world: World) -> None:
        with pytest.raises(Exception, match="size"):
            world.run(send(world))
        world.exchanges.append(_volume(size=1))

    with pytest.raises(AssertionError, match="a_volume_only_grows"), world_of() as world:
        stray(world)


# -- the document's fields and bounds against the models

SCHEMAS: Final = {
    "Endpoint": ("CreateEndpointRequest", "UpdateEndpointRequest"),
    "NetworkVolume": ("CreateNetworkVolumeRequest", "UpdateNetworkVolumeRequest"),
    "PodTemplate": ("CreateTemplateRequest", "UpdateTemplateRequest"),
    "Registry": ("CreateRegistryRequest", ""),
}
DIFFERENCES: Final[dict[tuple[str, str], str]] = {
    # what of the document no property of ours writes
    ("Endpoint", "unwritten cpu[].id"): "a CPU size is one word of flavor and vCPUs",
    ("Endpoint", "unwritten cpu[].vcpuCount"): "a CPU size is one word of flavor and vCPUs",
    ("Endpoint", "unwritten scaling.queueDelay"): "scalerValue, by scalerType",
    ("Endpoint", "unwritten scaling.requestCount"): "scalerValue, by scalerType",
    ("PodTemplate", "unwritten mounts.persistent.size"): "serverless templates have no mounts",
    ("PodTemplate", "unwritten mounts.persistent.path"): "serverless templates have no mounts",
    ("PodTemplate", "unwritten startJupyter"): "for pods",
    ("PodTemplate", "unwritten startSsh"): "for pods",
    # what of ours the document does not have
    ("Endpoint", "undocumented scaling.value"): "queueDelay or requestCount, by scalerType",
    # what the document lets a PATCH change, and we do not, or the other way round
    ("Endpoint", "patchable templateId"): "a one-time copy: what it brought cannot be taken away again, so it replaces",
    # bounds that ours does not share
    ("Endpoint", "bound gpu.excludedTypes pattern"): "cards come from the catalog",
    ("Endpoint", "bound gpu.excludedTypes uniqueItems"): "a set by the way it is made",
    ("Endpoint", "bound cpu uniqueItems"): "a size that stands twice counts once",
}


def _resolved(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas that hold together for one value: itself, what it refers to, and what it combines."""
    found = document()
    assert found is not None
    if "$ref" in schema:
        yield from _resolved(found["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    yield schema
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from _resolved(part)


def _fields(schema: Mapping[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """List the leaves of a body with all that bounds them."""
    parts = list(_resolved(schema))
    properties: dict[str, list[Any]] = {}
    for part in parts:
        for name, inner in part.get("properties", {}).items():
            properties.setdefault(name, []).append(inner)
    if properties:
        found: dict[str, dict[str, Any]] = {}
        for name, inner in properties.items():
            for leaf, bounds in _fields({"allOf": inner}, f"{path}.{name}" if path else name).items():
                found.setdefault(leaf, {}).update({key: value for key, value in bounds.items() if key != "enum"})
                if "enum" in bounds:
                    found[leaf]["enum"] = [*found[leaf].get("enum", ()), *bounds["enum"]]
        return found
    bounds = {}
    for part in parts:
        bounds |= {
            key: part[key] for key in ("minimum", "maximum", "minLength", "minItems", "uniqueItems", "pattern") if key in part
        }
        if "enum" in part:
            bounds["enum"] = [*bounds.get("enum", ()), *part["enum"]]
        items = part.get("items", {})
        if "pattern" in items:
            bounds["pattern"] = items["pattern"]
        if items and (inner := _fields(items, f"{path}[]")) and f"{path}[]" not in inner:
            return {path: bounds, **inner}
    return {path: bounds}


def _schema(name: str) -> dict[str, dict[str, Any]]:
    found = document()
    if found is None:
        pytest.skip(ABSENT)
    return _fields(found["components"]["schemas"][name]) if name else {}


def _places(resource: Resource) -> dict[str, Facts]:
    """Map the places in a body to the properties that fill them, the outermost one where several do."""
    written = [item for item in resource.facts if item.is_sent and item.at.is_written]
    places = {".".join(item.at.path): item for item in sorted(written, key=lambda item: -len(item.path))}
    selected = {".".join(item.at.path): item for item in output_facts(resource.outputs) if item.marker(Place) is not None}
    return {**places, **{place: item for place, item in selected.items() if place.startswith("gpu.")}}


EACH: Final = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)


@EACH
def test_every_resource_is_held_against_the_document(resource: Resource) -> None:
    """A new one is added here."""
    assert resource.name in SCHEMAS


def _listed(resource: Resource, *kinds: str) -> set[str]:
    return {what for name, what in DIFFERENCES if name == resource.name and what.split()[0] in kinds}


def _differences(resource: Resource) -> set[str]:
    create, update = (_schema(name) for name in SCHEMAS[resource.name])
    places = _places(resource)
    found = {f"unwritten {leaf}" for leaf in create if leaf not in places}
    found |= {f"undocumented {place}" for place in places if place not in create}
    for place, item in places.items():
        effect = item.effect
        can_be_patched = not isinstance(effect, Recreates) or effect.is_patchable
        if place in create and (place in update) != can_be_patched:
            found.add(f"patchable {place}")
    return found


@EACH
def test_the_properties_are_the_fields_of_the_document(resource: Resource) -> None:
    """What one has and the other has not, in a create or in an update, is listed with its reason, and nothing else is."""
    assert _differences(resource) == _listed(resource, "unwritten", "undocumented", "patchable")


SAMPLES: Final[dict[str, tuple[list[Any], list[Any]]]] = {
    r"^\d+\.\d+$": (["12.8", "13.0"], ["12", "12.8.1", "x12.8", "", "12.8\n"]),
}
WORDS: Final = {"cpu[].vcpuCount": lambda count: f"cpu3c-{count}", "cpu[].id": lambda flavor: f"{flavor}-2"}
BESIDE: Final = {
    "scaling.requestCount": {"scalerType": "REQUEST_COUNT"},
    "username": {"password": "p"},
    "password": {"username": "u"},
    "category": {"image": "me/x"},
}
PROPERTY: Final = {
    "gpu.pools": "gpu",
    "scaling.queueDelay": "scalerValue",
    "scaling.requestCount": "scalerValue",
    "cpu[].id": "cpu",
    "cpu[].vcpuCount": "cpu",
}


def _values(kind: str, bound: Any) -> tuple[list[Any], list[Any]]:
    """Give values on both sides of a bound."""
    if kind == "minimum":
        return [bound], [bound - 0.25 if isinstance(bound, float) else bound - 1]
    if kind == "maximum":
        return [bound], [bound + 1]
    if kind == "minLength":
        return ["x" * bound], ["x" * (bound - 1)]
    if kind == "minItems":
        return [], [[]]
    if kind == "enum":
        return list(bound), ["ELSE"]
    return SAMPLES[bound]


@EACH
def test_the_bounds_are_those_of_the_document(world: World, resource: Resource) -> None:
    """What the document allows at its bounds passes Check, and what lies beyond fails, on the property's own path."""
    places = {**{leaf: ".".join(map(str, item.path)) for leaf, item in _places(resource).items()}, **PROPERTY}
    listed = _listed(resource, "bound")
    bounds = {
        (leaf, kind): bound
        for leaf, each in _schema(SCHEMAS[resource.name][0]).items()
        for kind, bound in each.items()
        if leaf in places
    }
    assert {f"bound {leaf} {kind}" for leaf, kind in bounds} >= listed
    for (leaf, kind), bound in bounds.items():
        if f"bound {leaf} {kind}" in listed:
            continue
        right, wrong = _values(kind, bound)
        for value, is_right in [*((value, True) for value in right), *((value, False) for value in wrong)]:
            said = _failures(world, resource, leaf, places[leaf], value)
            assert bool(said) != is_right, (leaf, kind, value, said)
            assert all(text.startswith(places[leaf]) for text in said)


def _failures(world: World, resource: Resource, leaf: str, path: str, value: Any) -> list[str]:
    if leaf in WORDS:
        value = WORDS[leaf](value)
    elif path == "allowedCudaVersions" and not isinstance(value, list):
        value = [value]
    program: dict[str, Any] = {"username": "u", "password": "p"} if resource.name == "Registry" else {}
    program |= BESIDE.get(leaf, {})
    outer, _, inner = path.partition(".")
    if path in ("workers.min", "workers.max"):
        program["workers"] = {"min": 0, "max": 9, inner: value}
    elif inner:
        program[outer] = {inner: value}
    else:
        program[outer] = value
    return Life(world, resource.name).failures(program)


def test_every_difference_has_a_reason_and_is_of_a_resource() -> None:
    """Nothing is listed for nobody."""
    assert {name for name, _ in DIFFERENCES} <= set(SCHEMAS)
    assert all(DIFFERENCES.values())
