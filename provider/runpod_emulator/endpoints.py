"""Serverless endpoints: defaults, the rules that the document states in prose, and what a PATCH changes."""

import copy
from collections.abc import Iterable
from urllib.parse import quote

from runpod_emulator import catalog, logs, queries, queue, rules, templates, workers
from runpod_emulator.clock import iso
from runpod_emulator.problems import bad_request, not_found, unprocessable
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, Stream, World

TIMEOUT_MS = (5000, 7 * 86_400 * 1000)
PLATFORM_ENV = {"PORT": "80", "PORT_HEALTH": "80"}
NO_CAPACITY = "There are no longer any instances available with the requested specifications. Please refresh and try again."
PLAIN_FIELDS = ("name", *templates.CONTAINER_FIELDS, "dataCenterIds", "networkVolumes", "timeout", "flashboot", "scaling")
_JOB_PATHS = {
    "run": "run",
    "runSync": "runsync",
    "status": "status/{job_id}",
    "stream": "stream/{job_id}",
    "cancel": "cancel/{job_id}",
    "retry": "retry/{job_id}",
    "purgeQueue": "purge-queue",
    "health": "health",
}


def _scales_queue_on_requests(endpoint: Doc) -> bool:
    return bool(endpoint["type"] == "QUEUE" and endpoint["scaling"]["type"] == "REQUEST_COUNT")


def _request_urls(world: World, endpoint: Doc) -> Doc:
    base = world.settings.job_base_url.rstrip("/")
    if endpoint["type"] == "QUEUE":
        return {name: f"{base}/{endpoint['id']}/{path}" for name, path in _JOB_PATHS.items()}
    scheme, _, rest = base.partition("://")
    host = rest.split("/")[0]
    # a local base has no wildcard DNS, so its load balancers live under a path
    is_local = host.split(":")[0] in ("127.0.0.1", "localhost")
    own = f"{scheme}://{host}/lb/{endpoint['id']}" if is_local else f"{scheme}://{endpoint['id']}.{host}"
    path = quote(endpoint["env"].get("HEALTH_CHECK_PATH", "/ping").lstrip("/"), safe="/?&=%:@+,;")
    return {"base": own, "health": f"{own}/{path}"}


def render(world: World, endpoint: Doc) -> Doc:
    """Return the endpoint as the API shows it."""
    shown: Doc = {name: endpoint[name] for name in ("id", "type", "createdAt", *PLAIN_FIELDS)}
    shown["requestUrls"] = _request_urls(world, endpoint)
    shown["workers"] = dict(endpoint["workers"])
    if _scales_queue_on_requests(endpoint):
        shown["workers"].pop("idleTimeout", None)
    if "gpu" in endpoint:
        shown["gpu"] = {name: value for name, value in endpoint["gpu"].items() if name != "excludedTypes" or value}
    else:
        shown["cpu"] = [{**size, "memory": _memory_gb(world, size)} for size in endpoint["cpu"]]
    return shown


def _memory_gb(world: World, size: Doc) -> int:
    flavor = world.store.get("cpus", size["id"])
    return max(1, round(size["vcpuCount"] * flavor["ramGbPerVcpu"])) if flavor else 1


def _settled(world: World, endpoint: Doc) -> Doc:
    if workers.settle(world, endpoint):
        world.store.put("endpoints", endpoint["id"], endpoint)
    return endpoint


def find(world: World, identifier: str) -> Doc:
    """Return the stored endpoint as it is now, or refuse with 404."""
    endpoint = world.store.get("endpoints", identifier)
    if endpoint is None:
        raise not_found("endpoint")
    return _settled(world, endpoint)


def everything(world: World) -> list[Doc]:
    """Return all stored endpoints as they are now."""
    return [_settled(world, endpoint) for endpoint in world.store.all("endpoints")]


def workers_used(world: World) -> int:
    """Return the sum of `workers.max` that counts against the account's quota, as it was when last somebody looked."""
    return sum(endpoint["workers"]["max"] for endpoint in world.store.all("endpoints"))


def _check_gpu(world: World, gpu: Doc) -> None:
    """Check a selection of pools and exclusions."""
    members = catalog.pools(world)
    for pool in gpu["pools"]:
        if pool not in members:
            raise bad_request(f"unknown gpu pool '{pool}', valid pools are: {', '.join(members)}")
    selected = {card for pool in gpu["pools"] for card in members[pool]}
    for card in gpu["excludedTypes"]:
        if card not in selected:
            raise bad_request(f"gpu.excludedTypes: '{card}' is not a GPU type in one of the selected pools")
    if selected <= set(gpu["excludedTypes"]):
        raise bad_request("gpu.excludedTypes leaves no GPU type in the selected pools")


def _check_cuda(gpu: Doc) -> None:
    if gpu["allowedCudaVersions"] and gpu["minCudaVersion"]:
        raise bad_request("gpu.allowedCudaVersions and gpu.minCudaVersion are mutually exclusive")


def _check_cpu(world: World, sizes: list[Doc]) -> None:
    for size in sizes:
        flavor = world.store.get("cpus", size["id"])
        if flavor is None:
            valid = ", ".join(doc["id"] for doc in world.store.all("cpus"))
            raise bad_request(f"unknown cpu flavor '{size['id']}', valid flavors are: {valid}")
        count = size["vcpuCount"]
        if count & (count - 1):
            raise bad_request(f"cpu.vcpuCount must be a power of two, got {count}")
        bounds = flavor["vcpu"]
        if not bounds["min"] <= count <= bounds["max"]:
            raise bad_request(f"cpu.vcpuCount {count} is not valid for {size['id']}: it must be {bounds['min']} to {bounds['max']}")


def _check_cpu_capacity(world: World, endpoint: Doc) -> None:
    for size in endpoint["cpu"]:
        flavor = world.store.get("cpus", size["id"])
        if flavor is not None and not catalog.is_offered(world, flavor, endpoint["dataCenterIds"]):
            raise bad_request(NO_CAPACITY)


def _check_cpu_disk(world: World, endpoint: Doc) -> None:
    flavors = {size["id"]: world.store.get("cpus", size["id"]) for size in endpoint["cpu"]}
    limits = [
        size["vcpuCount"] * flavor["diskGbPerVcpu"]
        for size in endpoint["cpu"]
        if (flavor := flavors[size["id"]]) is not None and flavor["diskGbPerVcpu"] is not None
    ]
    if limits and endpoint["disk"] > min(limits):
        raise bad_request(
            f"Container disk size {endpoint['disk']}GB exceeds the maximum allowed for CPU instances "
            f"({min(limits)}GB for the smallest selected instance)"
        )


def _check_volumes(world: World, endpoint: Doc) -> None:
    seen: dict[str, str] = {}
    for identifier in endpoint["networkVolumes"]:
        volume = world.store.get("networkVolumes", identifier)
        if volume is None:
            raise bad_request(f"network volume '{identifier}' not found")
        center = volume["dataCenter"]
        if center in seen:
            raise bad_request(
                f"at most one network volume per data center: '{seen[center]}' and '{identifier}' are both in {center}"
            )
        seen[center] = identifier
        if endpoint["dataCenterIds"] and center not in endpoint["dataCenterIds"]:
            raise bad_request(f"network volume '{identifier}' is in {center}, which is not in dataCenterIds")


def _check_workers(world: World, endpoint: Doc, prior: Doc | None) -> None:
    limits = endpoint["workers"]
    if limits["min"] > limits["max"]:
        raise bad_request(f"workers.min ({limits['min']}) must not exceed workers.max ({limits['max']})")
    prior_max = 0 if prior is None else prior["workers"]["max"]
    if limits["max"] <= prior_max:
        return
    quota = world.settings.worker_quota
    if workers_used(world) - prior_max + limits["max"] <= quota:
        return  # time only lowers what the endpoints use
    others = sum(other["workers"]["max"] for other in everything(world) if other["id"] != endpoint["id"])
    if others + limits["max"] > quota:
        raise bad_request(
            f"Max workers across all endpoints must not exceed your workers quota ({quota}). "
            f"Other endpoints use {others}, this one asks for {limits['max']}."
        )


def _check(world: World, endpoint: Doc, prior: Doc | None, touched: Iterable[str]) -> None:
    """Apply the prose rules that the touched fields take part in; `gpu.pools` is one of its own."""
    touched = set(touched)
    if not endpoint["image"]:
        raise bad_request("image is required")
    if "ports" in touched:
        templates.check_ports(endpoint)
    if "timeout" in touched and endpoint["timeout"] and not TIMEOUT_MS[0] <= endpoint["timeout"] <= TIMEOUT_MS[1]:
        raise bad_request(f"timeout must be 0 or between {TIMEOUT_MS[0]} and {TIMEOUT_MS[1]} milliseconds")
    if "dataCenterIds" in touched:
        for identifier in endpoint["dataCenterIds"]:
            catalog.data_center(world, identifier)
    if "gpu.pools" in touched:
        _check_gpu(world, endpoint["gpu"])
    if "gpu" in touched and "gpu" in endpoint:
        _check_cuda(endpoint["gpu"])
    if "cpu" in endpoint:
        if "cpu" in touched:
            _check_cpu(world, endpoint["cpu"])
        if touched & {"cpu", "disk"}:
            _check_cpu_disk(world, endpoint)
        if touched & {"cpu", "dataCenterIds"}:
            _check_cpu_capacity(world, endpoint)
    if touched & {"networkVolumes", "dataCenterIds"}:
        _check_volumes(world, endpoint)
    if "workers" in touched:
        _check_workers(world, endpoint, prior)


def _check_scaling(endpoint_type: str, scaling: Doc, limits: Doc) -> None:
    if endpoint_type == "LOAD_BALANCER" and scaling["type"] != "REQUEST_COUNT":
        raise unprocessable("$.scaling.type: value must be 'REQUEST_COUNT' for a LOAD_BALANCER endpoint")
    if endpoint_type == "QUEUE" and scaling["type"] == "REQUEST_COUNT" and "idleTimeout" in limits:
        raise unprocessable("$.workers.idleTimeout: not applicable to QUEUE endpoints that scale on REQUEST_COUNT")


def _with_template(world: World, body: Doc) -> Doc:
    """Return the body with the template's container settings under its own; `env` is merged by key."""
    if "templateId" not in body:
        return body
    template = templates.for_endpoint(world, body["templateId"])
    settings = {name: copy.deepcopy(template[name]) for name in templates.CONTAINER_FIELDS}
    own = {name: value for name, value in body.items() if name != "templateId"}
    return {**settings, **own, "env": {**settings["env"], **body.get("env", {})}}


def _seeded_cuda(world: World, body: Doc) -> list[str]:
    gpu = body["gpu"]
    if "allowedCudaVersions" in gpu or "minCudaVersion" in gpu or "templateId" not in body:
        return list(gpu.get("allowedCudaVersions", []))
    return list(templates.for_endpoint(world, body["templateId"])["allowedCudaVersions"])


def _trimmed(cards: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(card.strip() for card in cards))


def new_endpoint(world: World, body: Doc) -> Doc:
    """Build the stored form of a body, with the server's defaults. Applies no rule."""
    settings = _with_template(world, body)
    identifier = body.get("id") or world.store.new_id("endpoints", 14)
    endpoint: Doc = {
        "type": "QUEUE",
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        **templates.server_defaults(),
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 300_000,
        "flashboot": "OFF",
        "createdAt": iso(world.clock.now()),
        **settings,
        "id": identifier,
        "workers": {"min": 0, "max": 3, "idleTimeout": 10, **body.get("workers", {})},
    }
    if "gpu" in body:
        endpoint["gpu"] = {
            "pools": body["gpu"]["pools"],
            "excludedTypes": _trimmed(body["gpu"].get("excludedTypes", [])),
            "count": body["gpu"].get("count", 1),
            "allowedCudaVersions": _seeded_cuda(world, body),
            "minCudaVersion": body["gpu"].get("minCudaVersion"),
        }
    _complete(endpoint)
    template_id = world.store.new_id("templates")
    endpoint["_template"] = {"id": template_id, "name": f"{endpoint['name']}__template__{template_id}"}
    return endpoint


def _complete(endpoint: Doc) -> None:
    """Keep what follows from type and scaler: the platform's env, and an idle time-out exactly where it applies."""
    if endpoint["type"] == "LOAD_BALANCER":
        endpoint["env"] = {**PLATFORM_ENV, **endpoint["env"]}
    if _scales_queue_on_requests(endpoint):
        endpoint["workers"].pop("idleTimeout", None)
    else:
        endpoint["workers"].setdefault("idleTimeout", 10)


def create(world: World, call: Call) -> Reply:
    """`createEndpoint`."""
    body = call.body(rules.CREATE_ENDPOINT)
    if "templateId" not in body and "image" not in body:
        raise unprocessable("$: missing property 'image'")
    _check_scaling(body["type"], body["scaling"], body.get("workers", {}))
    if ("gpu" in body) == ("cpu" in body):
        raise bad_request("exactly one of gpu and cpu must be given")
    endpoint = new_endpoint(world, body)
    _check(world, endpoint, None, [*endpoint, *(["gpu.pools"] if "gpu" in body else [])])
    workers.begin(world, endpoint)
    world.store.put("endpoints", endpoint["id"], endpoint)
    return 201, render(world, endpoint)


def _patched_gpu(prior: Doc, patch: Doc) -> Doc:
    gpu = {**prior, **patch}
    if "pools" in patch:
        gpu["excludedTypes"] = _trimmed(patch.get("excludedTypes", []))
    gpu["minCudaVersion"] = gpu["minCudaVersion"] or None
    return gpu


def update(world: World, call: Call) -> Reply:
    """`updateEndpoint`."""
    body = call.body(rules.UPDATE_ENDPOINT)
    prior = find(world, call.params["id"])
    if not body:
        return 200, render(world, prior)
    if "gpu" in body and "cpu" in body:
        raise bad_request("gpu and cpu cannot both be given")
    for family in ("gpu", "cpu"):
        if family in body and family not in prior:
            raise bad_request(f"endpoint compute family cannot be changed: {family} is not valid for this endpoint")
    _check_scaling(prior["type"], body.get("scaling") or prior["scaling"], body.get("workers", {}))
    return 200, render(world, _apply(world, prior, _with_template(world, body)))


def _apply(world: World, prior: Doc, changes: Doc) -> Doc:
    """Apply checked top-level changes to a stored endpoint, as one release."""
    endpoint = copy.deepcopy(prior)
    endpoint.update({name: changes[name] for name in (*PLAIN_FIELDS, "cpu") if name in changes})
    endpoint["workers"] = {**prior["workers"], **changes.get("workers", {})}
    if "gpu" in changes:
        endpoint["gpu"] = _patched_gpu(prior["gpu"], changes["gpu"])
    _complete(endpoint)
    _check(world, endpoint, prior, [*changes, *(f"gpu.{name}" for name in changes.get("gpu", ()))])
    workers.change(world, prior, endpoint)
    world.store.put("endpoints", endpoint["id"], endpoint)
    return endpoint


def patch_bound_template(world: World, identifier: str, body: Doc) -> None:
    """Apply a PATCH of an endpoint's own template, whose container settings are the endpoint's."""
    prior = find(world, identifier)
    settings = {name: value for name, value in body.items() if name != "name"}
    endpoint = _apply(world, prior, settings)
    if "name" in body:
        endpoint["_template"]["name"] = body["name"]
        world.store.put("endpoints", identifier, endpoint)


def listing(world: World, call: Call) -> Reply:
    """`listEndpoints`."""
    return 200, {"endpoints": [render(world, endpoint) for endpoint in everything(world)]}


def read(world: World, call: Call) -> Reply:
    """`getEndpoint`."""
    return 200, render(world, find(world, call.params["id"]))


def delete(world: World, call: Call) -> Reply:
    """`deleteEndpoint`: its bound template, its workers and its jobs go with it."""
    remove(world, find(world, call.params["id"]))
    return 204, None


def remove(world: World, endpoint: Doc) -> None:
    """Remove a stored endpoint; its jobs are cancelled."""
    queue.cancel_all(world, endpoint)
    world.store.remove("endpoints", endpoint["id"])


def worker_list(world: World, call: Call) -> Reply:
    """`listEndpointWorkers`."""
    return 200, workers.worker_list(world, find(world, call.params["id"]))


def release_list(world: World, call: Call) -> Reply:
    """`listEndpointReleases`."""
    return 200, workers.release_list(find(world, call.params["id"]))


def worker_logs(world: World, call: Call) -> Reply:
    """`getWorkerLogs`."""
    source = queries.text(call, "source", choices=logs.SOURCES)
    tail = queries.whole(call, "tail", 0, logs.LONGEST_TAIL)
    since = call.query.get("since")
    cursor = call.headers.get("last-event-id")
    start = logs.Start(
        tail=logs.DEFAULT_TAIL if tail is None else tail,
        since=None if since is None else queries.moment(since, "query.since"),
        after=None if cursor is None else logs.cursor(cursor),
    )
    endpoint = find(world, call.params["id"])
    if workers.find(endpoint, call.params["workerId"]) is None:
        raise not_found("worker")

    def written() -> list[logs.Line] | None:
        present = world.store.get("endpoints", endpoint["id"])
        worker = None if present is None else workers.find(_settled(world, present), call.params["workerId"])
        return None if present is None or worker is None else logs.written(present, worker, world.clock.now())

    return 200, Stream(logs.follow(world, written, source, start))
