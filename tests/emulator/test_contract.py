"""The emulator against the API's own document: what it offers, what it answers, what it refuses."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

import http_sf
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from schemathesis import GenerationMode

from emulator import negatives, strategies
from emulator.conftest import Api, in_process
from runpod_emulator.app import ROUTES

CASES: Final = 60
"""Requests of each kind for each operation."""
OPERATIONS: Final = [(method, path) for path, handlers in ROUTES.items() for method in handlers]
EACH_OPERATION: Final = pytest.mark.parametrize(
    ("method", "path"), [pytest.param(method, path, id=f"{method} {path}") for method, path in OPERATIONS]
)
WRITES: Final = [(method, path) for method, path in OPERATIONS if method in ("POST", "PATCH")]
OFFERED: Final = ("/v2/serverless", "/v2/network-volumes", "/v2/templates", "/v2/registries", "/v2/catalog")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
BY_PROSE: Final[Mapping[str, set[int]]] = {
    # what the document says in words only is an answer of the kind `default`
    "/v2/catalog/gpus": {400, 422},
    "/v2/catalog/gpus/{id}": {400, 422},
    "/v2/catalog/cpus": {400, 422},
    "/v2/catalog/cpus/{id}": {400, 422},
    "/v2/catalog/datacenters": {422},
    "/v2/catalog/datacenters/{id}": {422},
    "/v2/catalog/templates": {422},
    "/v2/serverless/{id}/workers/{workerId}/logs": {422},
    "/v2/registries/delegations": {400, 422},
}
KNOWN: Final[Mapping[str, list[str]]] = {
    "/v2/serverless/": ["queue0", "cpu0", "balancer0"],
    "/v2/network-volumes/": ["volume0"],
    "/v2/templates/": ["template0", "pod0", "30zmvf89kd", "vllm0worker"],
    "/v2/registries/": ["registry0"],
    "/v2/catalog/gpus/": ["NVIDIA GeForce RTX 4090", "AMD Instinct MI300X OAM"],
    "/v2/catalog/cpus/": ["cpu3c", "cpu5g"],
    "/v2/catalog/datacenters/": ["EU-RO-1", "US-GA-2"],
}
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
bounded = settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
formats = FormatChecker(formats=())


@formats.checks("date-time")
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or MOMENT.fullmatch(value) is not None


@formats.checks("uri")
def _is_address(value: object) -> bool:
    return not isinstance(value, str) or (bool(urlsplit(value).netloc) and value.isascii() and " " not in value)


@dataclass
class Judge:
    """The document, asked about single requests and answers."""

    document: dict[str, Any]
    _validators: dict[str, Draft202012Validator] = field(default_factory=dict)

    def operation(self, method: str, path: str) -> Any:
        return self.document["paths"][path][method.lower()]

    def failures(self, value: Any, *pointer: str) -> list[str]:
        """Return what the schema at a place of the document finds wrong with a value."""
        steps = "/".join(step.replace("~", "~0").replace("/", "~1") for step in pointer)
        if steps not in self._validators:
            resource: Resource[Any] = Resource(contents=self.document, specification=DRAFT202012)
            registry: Registry[Any] = Registry().with_resource("urn:api", resource)
            reference = {"$ref": f"urn:api#/{quote(steps)}"}
            self._validators[steps] = Draft202012Validator(reference, registry=registry, format_checker=formats)
        return [f"{error.json_path}: {error.message}" for error in self._validators[steps].iter_errors(value)]

    def accepts(self, method: str, path: str, body: Any) -> bool:
        """Say whether the schema of the request accepts a body."""
        place = ("paths", path, method.lower(), "requestBody", "content", "application/json", "schema")
        return not self.failures(body, *place)

    def accepts_query(self, method: str, path: str, query: Mapping[str, str]) -> bool:
        """Say whether each documented parameter of a query has a documented value."""
        places = [("paths", path, method.lower(), "parameters", str(index)) for index in range(20)]
        documented = self.operation(method, path).get("parameters", [])
        for place, parameter in zip(places, documented, strict=False):
            if "$ref" in parameter:
                place = tuple(parameter["$ref"].removeprefix("#/").split("/"))
                parameter = self.document["components"]["parameters"][place[-1]]
            if parameter["in"] != "query" or parameter["name"] not in query:
                continue
            value = typed(query[parameter["name"]], parameter["schema"].get("type"))
            if self.failures(value, *place, "schema"):
                return False
        return True

    def statuses(self, method: str, path: str) -> set[int]:
        named = {int(status) for status in self.operation(method, path)["responses"] if status.isdecimal()}
        return named | BY_PROSE.get(path, set())

    def check(self, method: str, path: str, response: httpx.Response) -> None:
        """Hold an answer against the document: status, type, header fields, body."""
        request = response.request
        told = f"{request.method} {request.url} {request.content[:500]!r} answered {response.status_code}: {response.text[:500]}"
        assert response.status_code in self.statuses(method, path), told
        responses = self.operation(method, path)["responses"]
        status = str(response.status_code) if str(response.status_code) in responses else "default"
        place = ["paths", path, method.lower(), "responses", status]
        if "$ref" in responses[status]:
            place = responses[status]["$ref"].removeprefix("#/").split("/")
        documented = self.document
        for step in place:
            documented = documented[step]
        for name in documented.get("headers", {}):
            assert name in response.headers or name == "Retry-After", f"{name} is missing: {told}"
        self._check_limits(response)
        content = documented.get("content")
        if content is None:
            assert not response.content and "content-type" not in response.headers, told
            return
        [media_type] = content
        assert response.headers["content-type"].split(";")[0] == media_type, told
        if media_type != "text/event-stream":
            assert self.failures(response.json(), *place, "content", media_type, "schema") == [], told
        if media_type == "application/problem+json":
            assert response.json()["status"] == response.status_code, told

    def _check_limits(self, response: httpx.Response) -> None:
        for name, parameters in (("RateLimit", {"r", "t"}), ("RateLimit-Policy", {"q", "w"})):
            members = http_sf.parse(response.headers[name].encode(), tltype="list")
            assert [window for window, _ in members] == ["minute", "hour", "day"]
            assert all(set(given) == parameters for _, given in members)


def typed(text: str, kind: str | None) -> Any:
    """Return what a parameter's text says, the text itself where it does not say anything of its kind."""
    if kind == "array":
        return text.split(",") if text else []
    if kind == "integer" and text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


@pytest.fixture(scope="session")
def judge(document) -> Judge:
    """Return the document as a judge."""
    return Judge(document)


def plain(document: Mapping[str, Any], schema: Any) -> Any:
    """Write a schema without `allOf`, `if` and `unevaluatedProperties`, which not every generator of requests can follow.

    What is lost makes some requests invalid that were meant to be valid, and the judge, who knows the whole schema, sees it.
    """
    if isinstance(schema, list):
        return [plain(document, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = [part for part in schema.get("allOf", ()) if "if" not in part]
    dropped = ("allOf", "if", "then", "dependentRequired", "unevaluatedProperties", "discriminator")
    whole = {name: plain(document, value) for name, value in schema.items() if name not in dropped}
    for part in parts:
        if "$ref" in part:
            part = document["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        merged = plain(document, part)
        properties = {**merged.get("properties", {}), **whole.get("properties", {})}
        required = [*merged.get("required", ()), *whole.get("required", ())]
        whole = {
            **merged,
            **whole,
            **({"properties": properties} if properties else {}),
            **({"required": required} if required else {}),
        }
    return {**whole, "additionalProperties": False} if schema.get("unevaluatedProperties") is False else whole


@pytest.fixture(scope="session")
def generator(document) -> Any:
    """Return the document as a source of requests."""
    return schemathesis.openapi.from_dict(plain(document, document))


@pytest.fixture
def account() -> Iterator[Api]:
    """Return an emulator whose limits are on and never reached."""
    with in_process(quota=1_000_000) as api:
        api.control("settings", {"hourQuota": 1_000_000, "dayQuota": 1_000_000, "logHoldSeconds": 0})
        yield api


def furnish(api: Api) -> None:
    """Give every case the same account."""
    api.control("reset")
    api.control("settings", {"hourQuota": 1_000_000, "dayQuota": 1_000_000, "logHoldSeconds": 0, "workerQuota": 5})
    api.control("seed", strategies.SEED)


def known_parameters(api: Api, path: str, pick: int) -> dict[str, str]:
    """Return path parameters that lead to something."""
    if "{" not in path:
        return {}
    if path == "/v2/registries/delegations/{id}":
        resource = "arn:aws:ecr:us-east-2:418399314813:repository/runpod/deployment"
        return {"id": api.post("/v2/registries/delegations", {"resource": resource})["id"]}
    known = next(names for prefix, names in KNOWN.items() if path.startswith(prefix))
    found = {"id": known[pick % len(known)]}
    if "{workerId}" in path:
        found = {"id": "queue0", "workerId": api.get("/v2/serverless/queue0/workers")["workers"][0]["id"]}
    return found


def resources(api: Api) -> str:
    """Return all that a refused request must leave as it was."""
    store = api.app.world.store
    return json.dumps([store.all(kind) for kind in ("endpoints", "templates", "networkVolumes", "registries", "delegations")])


def send(api: Api, case: Any, parameters: Mapping[str, str]) -> tuple[httpx.Response, dict[str, str], Any]:
    """Send a generated request with a key that is valid; return the answer, the query and the body, None where there is none."""
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", quote(parameters[name], safe="") if name in parameters else str(value))
    query = {name: str(value) for name, value in (case.query or {}).items() if isinstance(value, str | int | float)}
    headers = {name: str(value) for name, value in (case.headers or {}).items() if name == "Last-Event-ID"}
    headers = {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}
    body: Any = case.body
    if case.method == "GET" or type(body).__name__ == "NotSet":
        return api.send(case.method, path, params=query, headers=headers), query, None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    return api.send(case.method, path, params=query, headers=headers, content=raw), query, body


def test_the_routes_are_the_documents_operations(document):
    """Under the five paths the emulator offers every operation of the document and no other."""
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        if path.startswith(OFFERED)
        for method in operations
        if method != "parameters"
    }
    assert set(OPERATIONS) == described


def test_every_prose_status_has_its_operation():
    """A stale entry in the list of exceptions would hide a difference."""
    assert set(BY_PROSE) <= set(ROUTES)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@EACH_OPERATION
def test_every_answer_is_documented(account, judge, generator, method, path, mode):
    """Whatever is sent, status, header fields and body are the document's, and a body that it refuses changes nothing."""
    sent = []

    @bounded
    @given(case=generator[path][method].as_strategy(generation_mode=mode), pick=st.integers(0, 8))
    def ask(case: Any, pick: int) -> None:
        furnish(account)
        parameters = known_parameters(account, path, pick) if pick else {}
        before = resources(account)
        response, query, body = send(account, case, parameters)
        judge.check(method, path, response)
        if not judge.accepts_query(method, path, query):
            assert response.status_code in (400, 422), f"{query} answered {response.status_code}: {response.text}"
        if (method, path) in WRITES and (isinstance(body, bytes) or not judge.accepts(method, path, body)):
            assert response.status_code in (400, 422), f"{body!r} answered {response.status_code}: {response.text}"
        if response.status_code >= 400:
            assert resources(account) == before, f"{body!r} answered {response.status_code} and changed something"
        sent.append(response.status_code)

    ask()
    assert len(sent) >= CASES, f"only {len(sent)} cases"


@pytest.mark.parametrize(("method", "path"), WRITES, ids=[f"{method} {path}" for method, path in WRITES])
def test_a_body_that_breaks_one_constraint_is_refused(account, judge, document, method, path):
    """Each constraint that the document has for a body is broken by itself, and none is left out; the unbroken bodies are accepted."""
    content = judge.operation(method, path)["requestBody"]["content"]["application/json"]
    schema = negatives.inlined(document, content["schema"])
    met = set()
    for id, body in negatives.WIDE[method, path]:
        furnish(account)
        before, place = resources(account), path.replace("{id}", id)
        assert judge.accepts(method, path, body)
        for broken in negatives.breaks(schema, body):
            told = f"{broken.constraint} broken by {broken.value!r}"
            assert not judge.accepts(method, path, broken.value), f"{told}, which the document allows"
            response = account.send(method, place, content=json.dumps(broken.value), headers={"Content-Type": "application/json"})
            assert response.status_code in (400, 422), f"{told} answered {response.status_code}: {response.text}"
            judge.check(method, path, response)
            assert resources(account) == before, told
            met.add(broken.constraint)
        assert account.send(method, place, json=body).is_success
    assert met == set(negatives.constraints(schema))


def test_the_cases_are_two_thousand_and_more():
    """The number that the project promises, from what each test asserts of itself."""
    assert 2 * CASES * len(OPERATIONS) >= 2000


def test_every_body_that_the_prose_allows_creates_an_endpoint(account, judge):
    """What was sent comes back; what a template brings stands under it."""

    @bounded
    @given(body=strategies.endpoint())
    def create(body: dict[str, Any]) -> None:
        furnish(account)
        assert judge.accepts("POST", "/v2/serverless", body), body
        response = account.send("POST", "/v2/serverless", json=body)
        judge.check("POST", "/v2/serverless", response)
        assert response.status_code == 201, f"{body}: {response.text}"
        assert_kept(body, response.json())

    create()


def test_every_change_that_the_prose_allows_updates_an_endpoint(account, judge):
    """What was sent comes back, and the rest is as it was."""

    @bounded
    @given(change=strategies.endpoint_change())
    def update(change: tuple[str, dict[str, Any]]) -> None:
        identifier, body = change
        furnish(account)
        before = account.get(f"/v2/serverless/{identifier}")
        assert judge.accepts("PATCH", "/v2/serverless/{id}", body), body
        response = account.send("PATCH", f"/v2/serverless/{identifier}", json=body)
        judge.check("PATCH", "/v2/serverless/{id}", response)
        assert response.status_code == 200, f"{body}: {response.text}"
        after = response.json()
        assert_kept(body, after)
        touched = {*body, "requestUrls", *(("workers",) if "scaling" in body else ())}
        touched |= {"image", "args", "disk", "ports", "env", "registry"} if "templateId" in body else set()
        assert {name: after[name] for name in after if name not in touched} == {
            name: before[name] for name in before if name not in touched
        }
        assert account.get(f"/v2/serverless/{identifier}") == after

    update()


def assert_kept(body: dict[str, Any], shown: dict[str, Any]) -> None:
    """Hold what was sent against what came back."""
    for name, value in body.items():
        if name == "env":
            assert value.items() <= shown["env"].items()
        elif name == "cpu":
            assert [{"id": size["id"], "vcpuCount": size["vcpuCount"]} for size in shown["cpu"]] == value
        elif name == "gpu":
            assert {**value, "excludedTypes": value.get("excludedTypes", [])}.items() <= {
                "excludedTypes": [],
                **shown["gpu"],
            }.items()
        elif name == "workers":
            assert value.items() <= shown["workers"].items()
        elif name != "templateId":
            assert shown[name] == value, name


@pytest.mark.parametrize(
    ("method", "path", "bodies", "status"),
    [
        ("POST", "/v2/templates", strategies.template, 201),
        ("PATCH", "/v2/templates/template0", strategies.template_change, 200),
        ("POST", "/v2/network-volumes", strategies.volume, 201),
        ("PATCH", "/v2/network-volumes/volume0", strategies.volume_change, 200),
        ("POST", "/v2/registries", strategies.registry, 201),
        ("POST", "/v2/registries/delegations", strategies.delegation, 201),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_other_body_that_the_prose_allows_is_accepted(account, judge, method, path, bodies: Callable[[], Any], status):
    """What was sent comes back, but for what is written only."""
    documented = path if method == "POST" else f"{path.rpartition('/')[0]}/{{id}}"

    @bounded
    @given(body=bodies())
    def write(body: dict[str, Any]) -> None:
        furnish(account)
        assert judge.accepts(method, documented, body), body
        response = account.send(method, path, json=body)
        judge.check(method, documented, response)
        assert response.status_code == status, f"{body}: {response.text}"
        shown = response.json()
        written = {"username", "password", "resource"} | ({"mounts"} if body.get("mounts") == {} else set())
        assert {name: shown[name] for name in body if name not in written} == {
            name: value for name, value in body.items() if name not in written
        }

    write()


def examples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the examples of a body by name."""
    return {name: example["value"] for name, example in content["application/json"].get("examples", {}).items()}


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_every_example_of_a_request_is_accepted(account, judge, document, method, path):
    """What the document shows to its readers works here."""
    for name, body in examples(judge.operation(method, path)["requestBody"]["content"]).items():
        furnish(account)
        account.control("settings", {"workerQuota": 50})
        response = account.send(method, path.replace("{id}", known_parameters(account, path, 0).get("id", "")), json=body)
        judge.check(method, path, response)
        assert response.is_success, f"{name}: {response.text}"


def test_an_answer_has_the_fields_of_its_example(account, judge, document):
    """Neither more nor fewer, also where the schema would leave the choice."""
    furnish(account)
    account.control("resources/endpoints/queue0", {"gpu": {"excludedTypes": []}}, "PATCH")
    for path, identifier, name in (
        ("/v2/serverless/{id}", "balancer0", "endpoint"),
        ("/v2/templates/{id}", "template0", "template"),
        ("/v2/network-volumes/{id}", "volume0", "networkVolume"),
        ("/v2/registries/{id}", "registry0", "registry"),
    ):
        example = examples(judge.operation("GET", path)["responses"]["200"]["content"])[name]
        assert account.get(path.replace("{id}", identifier)).keys() == example.keys()
    created = examples(judge.operation("POST", "/v2/serverless")["responses"]["201"]["content"])
    for identifier, name in (("queue0", "endpoint"), ("cpu0", "cpuEndpoint")):
        shown = account.get(f"/v2/serverless/{identifier}")
        assert shown.keys() == created[name].keys()
        for inner in ("workers", "scaling", "requestUrls", "gpu"):
            assert shown.get(inner, {}).keys() == created[name].get(inner, {}).keys()


def test_every_reference_body_is_accepted(account, judge, reference):
    """Those that the provider should send."""
    bodies = reference("bodies.json")
    for name, body in bodies["POST"].items():
        account.control("reset")
        account.control("settings", {"workerQuota": 50})
        account.control("seed", {"networkVolumes": [{"id": "2q9m7x4c"}], "templates": [{"id": "9x4m2p7v"}]})
        assert judge.accepts("POST", "/v2/serverless", body), name
        made = account.post("/v2/serverless", body)
        assert_kept(body, made)
    for name, body in bodies["PATCH"].items():
        assert judge.accepts("PATCH", "/v2/serverless/{id}", body), name
        furnish(account)
        account.control("settings", {"workerQuota": 50})
        assert_kept({key: value for key, value in body.items() if key != "gpu"}, account.patch("/v2/serverless/queue0", body))


def test_the_catalog_holds_what_flash_knows(account, reference):
    """Pools, CPU flavors with their disks, and data centers, of which the emulator has some more."""
    facts = reference("flash-facts.json")
    pools: dict[str, set[str]] = {}
    for card in account.get("/v2/catalog/gpus")["gpus"]:
        pools.setdefault(card["pool"], set()).add(card["id"])
    for pool, cards in facts["gpuPools"].items():
        assert set(cards) <= pools[pool]
    assert set(facts["otherGpuCardsSeen"]) <= set().union(*pools.values())
    stored = {flavor["id"]: flavor for flavor in account.app.world.store.all("cpus")}
    for flavor, expected in facts["cpuInstances"]["flavors"].items():
        assert stored[flavor]["diskGbPerVcpu"] == expected["containerDiskGbPerVcpu"]
        assert stored[flavor]["ramGbPerVcpu"] == expected["ramGbPerVcpu"]
    assert set(facts["otherCpuFlavorsSeen"]) <= stored.keys()
    centers = {center["id"]: center for center in account.get("/v2/catalog/datacenters")["dataCenters"]}
    assert {name for name, center in centers.items() if center["networkVolumeTypes"]} == set(facts["storageDataCenters"])
    assert set(facts["otherDataCentersSeen"]) <= centers.keys()
    assert account.control("settings", method="GET")["workerQuota"] == facts["workerQuotaDefault"]


@pytest.mark.parametrize("path", list(ROUTES))
def test_a_method_that_the_path_does_not_have_is_not_allowed(account, judge, path):
    """The refusal names the methods there are."""
    for method in sorted(set(METHODS) - set(ROUTES[path])):
        response = account.send(method, path.replace("{", "").replace("}", ""))
        assert response.status_code == 405
        assert response.headers["Allow"] == ", ".join(ROUTES[path])
        assert judge.failures(response.json(), "components", "schemas", "ErrorResponse") == []


def test_every_answer_carries_only_documented_fields(account, document):
    """A field that the document does not name would be one that only the emulator has."""
    schemas = document["components"]["schemas"]

    def properties(schema: dict[str, Any]) -> dict[str, Any]:
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        found = dict(schema.get("properties", {}))
        for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
            found.update(properties(part))
        return found

    furnish(account)
    for path, name, key in (
        ("/v2/serverless", "Endpoint", "endpoints"),
        ("/v2/templates", "Template", "templates"),
        ("/v2/network-volumes", "NetworkVolume", "networkVolumes"),
        ("/v2/registries", "Registry", "registries"),
        ("/v2/catalog/gpus?include=AVAILABILITY&product=SERVERLESS", "GpuType", "gpus"),
        ("/v2/catalog/cpus?include=AVAILABILITY&product=SERVERLESS", "CpuType", "cpus"),
        ("/v2/catalog/datacenters?include=GPU_AVAILABILITY,CPU_AVAILABILITY", "DataCenter", "dataCenters"),
        ("/v2/catalog/templates", "Template", "templates"),
        ("/v2/serverless/queue0/workers", "Worker", "workers"),
        ("/v2/serverless/queue0/releases", "Release", "releases"),
    ):
        items = account.get(path)[key]
        known = properties(schemas[name])
        assert items
        for item in items:
            assert item.keys() <= known.keys(), path
            for inner in (entry for entry in item if isinstance(item[entry], dict) and properties(known[entry])):
                assert item[inner].keys() <= properties(known[inner]).keys(), f"{path}: {inner}"
