"""What the API accepts: its own OpenAPI document, where this machine has it, and the rules that it states in prose only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "shared" / "reference" / "runpod-openapi-v2.json"
ABSENT: Final = f"shared reference absent: the API document is not at {DOCUMENT}"
_CONTENT: Final = ("requestBody", "content", "application/json", "schema")
_ROUTES: Final = {
    "serverless": "endpoints",
    "network-volumes": "networkVolumes",
    "templates": "templates",
    "registries": "registries",
}
_PARAMETERS: Final = ("id", "", "workerId", "")
"""What stands below a kind, in turn: an object's id, and what is asked of it."""


@dataclass(frozen=True)
class Exchange:
    """One request: `before` is the object that it is about as the server had it, `pools` the catalog's cards by serverless pool."""

    method: str
    path: str
    content: bytes = b""
    query: str = ""
    before: Mapping[str, Any] | None = None
    pools: Mapping[str, list[str]] = field(default_factory=dict)
    centers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None

    @property
    def route(self) -> str:
        """The path as the document has it."""
        kind, *rest = self.path.removeprefix("/v2/").split("/")
        if kind not in _ROUTES or not rest:
            return self.path
        parts = [part if at % 2 else f"{{{name}}}" for at, (part, name) in enumerate(zip(rest, _PARAMETERS, strict=False))]
        return "/".join(("/v2", kind, *parts))

    @property
    def kind(self) -> str:
        """What the request is about, in the emulator's words."""
        return _ROUTES.get(self.path.removeprefix("/v2/").partition("/")[0], "")

    @property
    def id(self) -> str:
        return self.path.removeprefix("/v2/").partition("/")[2]


@cache
def document() -> dict[str, Any] | None:
    """Load the API's document, None where it is absent."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8")) if DOCUMENT.exists() else None


@cache
def _validator(*pointer: str) -> Draft202012Validator:
    resource = DRAFT202012.create_resource(document())
    steps = "/".join(step.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D") for step in pointer)
    registry: Registry[Any] = Registry().with_resource("urn:api", resource)
    return Draft202012Validator({"$ref": f"urn:api#/{steps}"}, registry=registry)


def by_schema(exchange: Exchange) -> list[str]:
    """Say what the document's schemas find wrong with a request; nothing where there is no document."""
    found = document()
    if found is None:
        return []
    if exchange.method == "GET" and re.fullmatch(r"/v2/[^/]+/health", exchange.path):
        return []  # all that the provider asks of the API that takes jobs, which has no document
    operation = found["paths"].get(exchange.route, {}).get(exchange.method.lower())
    if operation is None:
        return [f"the document has no {exchange.method} {exchange.route}"]
    documented = [_resolved(found, parameter) for parameter in operation.get("parameters", [])]
    names = {parameter["name"] for parameter in documented if parameter["in"] == "query"}
    wrong = [f"{name} is no query parameter" for name, _ in parse_qsl(exchange.query) if name not in names]
    if exchange.body is None:
        return wrong
    if "requestBody" not in operation:
        return [*wrong, "takes no body"]
    errors = _validator("paths", exchange.route, exchange.method.lower(), *_CONTENT).iter_errors(exchange.body)
    return [*wrong, *(f"{error.json_path}: {error.message}" for error in errors)]


def _resolved(found: Mapping[str, Any], item: Any) -> Any:
    while "$ref" in item:
        name: Any = found
        for step in item["$ref"].removeprefix("#/").split("/"):
            name = name[step]
        item = name
    return item


# -- what the document says in words only, and what the design adds

Check = Callable[[Exchange], Iterator[str]]
RULES: Final[dict[str, Check]] = {}


def _rule(check: Check) -> Check:
    RULES[check.__name__.removeprefix("_")] = check
    return check


def by_prose(exchange: Exchange) -> list[str]:
    """Name the prose rules that a request breaks."""
    return [name for name, check in RULES.items() if any(True for _ in check(exchange))]


def _is_endpoint_write(exchange: Exchange) -> bool:
    is_there = exchange.method == "POST" or (exchange.method == "PATCH" and exchange.before is not None)
    return exchange.kind == "endpoints" and is_there


@_rule
def _integers_have_no_decimal_point(exchange: Exchange) -> Iterator[str]:
    texts: list[str] = []
    json.loads(exchange.content or b"null", parse_float=texts.append)
    yield from (text for text in texts if re.fullmatch(r"-?\d+\.0*", text))


@_rule
def _a_patch_changes_something(exchange: Exchange) -> Iterator[str]:
    if exchange.method == "PATCH" and not exchange.body:
        yield "an empty PATCH"


@_rule
def _exactly_one_of_gpu_and_cpu(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "endpoints" and exchange.method == "POST" and ("gpu" in exchange.body) == ("cpu" in exchange.body):
        yield "both or neither"


@_rule
def _the_compute_family_stays(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "endpoints" and exchange.method == "PATCH" and exchange.before:
        yield from (family for family in ("gpu", "cpu") if family in exchange.body and family not in exchange.before)


@_rule
def _vcpu_counts_are_powers_of_two(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange):
        yield from (str(size) for size in exchange.body.get("cpu", ()) if size["vcpuCount"] & (size["vcpuCount"] - 1))


@_rule
def _excluded_types_are_in_the_pools(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange) and "gpu" in exchange.body:
        gpu = exchange.body["gpu"]
        members = {card for pool in gpu.get("pools", ()) for card in exchange.pools.get(pool, ())}
        yield from (card for card in gpu.get("excludedTypes", ()) if card not in members)


@_rule
def _one_cuda_constraint(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange) and "gpu" in exchange.body:
        gpu = {**((exchange.before or {}).get("gpu") or {}), **exchange.body["gpu"]}
        if gpu.get("minCudaVersion") and gpu.get("allowedCudaVersions"):
            yield "a floor and a set"


@_rule
def _a_patch_of_gpu_keeps_the_selection(exchange: Exchange) -> Iterator[str]:
    if (
        exchange.kind == "endpoints"
        and exchange.method == "PATCH"
        and not {"pools", "count"} <= set(exchange.body.get("gpu", ("pools", "count")))
    ):
        yield "pools and count are restated"


@_rule
def _a_patch_of_workers_is_whole(exchange: Exchange) -> Iterator[str]:
    if (
        exchange.kind == "endpoints"
        and exchange.method == "PATCH"
        and not {"min", "max"} <= set(exchange.body.get("workers", ("min", "max")))
    ):
        yield "min and max are restated"


@_rule
def _no_idle_timeout_for_a_queue_on_request_count(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange):
        whole = {**(exchange.before or {}), **exchange.body}
        is_on_requests = whole["type"] == "QUEUE" and whole["scaling"]["type"] == "REQUEST_COUNT"
        if is_on_requests and "idleTimeout" in exchange.body.get("workers", {}):
            yield "idleTimeout"


@_rule
def _a_load_balancer_scales_on_requests(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange):
        whole = {**(exchange.before or {}), **exchange.body}
        if whole["type"] == "LOAD_BALANCER" and whole["scaling"]["type"] != "REQUEST_COUNT":
            yield whole["scaling"]["type"]


@_rule
def _another_scaler_takes_the_workers_along(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "endpoints" and exchange.method == "PATCH" and exchange.before and "scaling" in exchange.body:
        is_other = exchange.body["scaling"]["type"] != exchange.before["scaling"]["type"]
        yield from ["no workers"] * (is_other and "workers" not in exchange.body)


@_rule
def _min_does_not_exceed_max(exchange: Exchange) -> Iterator[str]:
    limits = exchange.body.get("workers", {}) if _is_endpoint_write(exchange) else {}
    if limits.get("min", 0) > limits.get("max", 3):
        yield str(limits)


@_rule
def _a_timeout_is_none_or_5_seconds_to_7_days(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange) and not (
        exchange.body.get("timeout", 0) == 0 or 5000 <= exchange.body["timeout"] <= 604_800_000
    ):
        yield str(exchange.body["timeout"])


@_rule
def _ports_name_their_protocol(exchange: Exchange) -> Iterator[str]:
    if exchange.kind in ("endpoints", "templates") and exchange.method in ("POST", "PATCH"):
        yield from (port for port in exchange.body.get("ports", ()) if not re.fullmatch(r"\d{1,5}/(http|tcp|udp)", port))


@_rule
def _volumes_are_one_for_each_data_center_of_the_endpoint(exchange: Exchange) -> Iterator[str]:
    if _is_endpoint_write(exchange) and exchange.body.get("networkVolumes"):
        places = [exchange.centers.get(volume) for volume in exchange.body["networkVolumes"]]
        ids = exchange.body.get("dataCenterIds", (exchange.before or {}).get("dataCenterIds", ()))
        if len(set(places)) < len(places) or any(place not in (ids or places) for place in places):
            yield str(places)


@_rule
def _a_template_is_copied_when_the_endpoint_is_created(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "endpoints" and exchange.method == "PATCH" and "templateId" in exchange.body:
        yield "templateId"


@_rule
def _a_load_balancer_keeps_its_ports_in_env(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "endpoints" and exchange.method == "PATCH" and exchange.before and "env" in exchange.body:
        kept = {key for key in ("PORT", "PORT_HEALTH") if exchange.before["env"].get(key) == "80"}
        yield from kept - set(exchange.body["env"])


@_rule
def _a_volume_only_grows(exchange: Exchange) -> Iterator[str]:
    if exchange.kind == "networkVolumes" and exchange.method == "PATCH" and exchange.before:
        size = exchange.before["size"]
        yield from ["smaller"] * (exchange.body.get("size", size) < size)


def violations(exchange: Exchange) -> list[str]:
    """Say all that is wrong with a request."""
    return [*by_schema(exchange), *by_prose(exchange)]
