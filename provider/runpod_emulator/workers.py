"""The workers and releases of an endpoint, worked out from the clock whenever somebody looks.

Jobs are not simulated here, so an endpoint keeps exactly `workers.min` workers.
"""

import random

from runpod_emulator import catalog
from runpod_emulator.clock import iso
from runpod_emulator.store import Doc
from runpod_emulator.world import World

IDLE_SECONDS = 3 * 86_400  # without a request: at most two workers
LONG_IDLE_SECONDS = 7 * 86_400  # none
START_SECONDS = (30, 90)
STATUSES = ("RUNNING", "IDLE", "INITIALIZING", "THROTTLED", "UNHEALTHY")
# (field path of the endpoint, name in a release's diff): a change of one of these makes a new version
VERSIONED = (
    ("image", "template.imageName"),
    ("args", "template.dockerArgs"),
    ("disk", "template.containerDiskInGb"),
    ("ports", "template.ports"),
    ("env", "template.env"),
    ("registry", "template.containerRegistryAuthId"),
    ("gpu.selection", "gpuIds"),
    ("gpu.count", "gpuCount"),
    ("gpu.allowedCudaVersions", "allowedCudaVersions"),
    ("gpu.minCudaVersion", "minCudaVersion"),
    ("cpu", "instanceIds"),
    ("dataCenterIds", "locations"),
    ("networkVolumes", "networkVolumeIds"),
    ("flashboot", "flashBootType"),
)
UNVERSIONED = (
    ("name", "name"),
    ("workers.min", "workers.min"),
    ("workers.max", "workers.max"),
    ("workers.idleTimeout", "idleTimeout"),
    ("scaling", "scaling"),
    ("timeout", "executionTimeoutMs"),
)


def _value(endpoint: Doc, path: str) -> object:
    if path == "gpu.selection" and "gpu" in endpoint:
        gpu = endpoint["gpu"]
        return ",".join([*gpu["pools"], *(f"-{card}" for card in gpu["excludedTypes"])])
    if path == "cpu" and "cpu" in endpoint:
        return ",".join(f"{size['id']}-{size['vcpuCount']}" for size in endpoint["cpu"])
    head, _, tail = path.partition(".")
    value = endpoint.get(head)
    return value.get(tail) if tail and isinstance(value, dict) else value


def _diff(old: Doc, new: Doc, paths: tuple[tuple[str, str], ...]) -> list[Doc]:
    pairs = ((name, _value(old, path), _value(new, path)) for path, name in paths)
    return [{"field": name, "old": before, "new": after} for name, before, after in pairs if before != after]


def begin(world: World, endpoint: Doc) -> None:
    """Give a new endpoint its first release and start its workers."""
    now = world.clock.now()
    endpoint["_version"] = 1
    endpoint["_releases"] = [{"id": world.store.new_id("release"), "version": 1, "createdAt": iso(now), "diff": []}]
    endpoint["_workers"] = []
    endpoint["_rolloutAt"] = now
    endpoint["_activeAt"] = now
    endpoint.setdefault("_isUnhealthy", False)
    settle(world, endpoint)


def change(world: World, old: Doc, new: Doc) -> None:
    """Note what an update changed: a new release where containers or hardware differ, none where only scaling does."""
    now = world.clock.now()
    new["_activeAt"] = now
    diff = _diff(old, new, VERSIONED)
    if diff:
        new["_version"] = old["_version"] + 1
        new["_rolloutAt"] = now
        release = {"id": world.store.new_id("release"), "version": new["_version"], "createdAt": iso(now)}
        new["_releases"] = [{**release, "diff": diff + _diff(old, new, UNVERSIONED)}, *old["_releases"]]
    settle(world, new)


def _start(world: World, endpoint: Doc, moment: float) -> Doc:
    identifier = world.store.new_id("worker", 14)
    seconds = random.Random(identifier).uniform(*START_SECONDS)
    return {
        "id": identifier,
        "version": endpoint["_version"],
        "image": endpoint["image"],
        "createdAt": moment,
        "readyAt": moment + seconds,
    }


def _lower(endpoint: Doc, now: float) -> bool:
    """Lower the worker limits of an idle endpoint as Runpod does, and say whether that changed them."""
    idle_seconds = now - endpoint["_activeAt"]
    if idle_seconds < IDLE_SECONDS:
        return False
    limits = endpoint["workers"]
    before = limits["min"], limits["max"]
    limits["max"] = min(limits["max"], 0 if idle_seconds >= LONG_IDLE_SECONDS else 2)
    limits["min"] = min(limits["min"], limits["max"])
    return before != (limits["min"], limits["max"])


def _roll_over(world: World, endpoint: Doc, now: float) -> bool:
    """Replace one stale worker after the other, each once its predecessor is ready, and say whether any was."""
    crew = endpoint["_workers"]
    is_changed = False
    while True:
        stale = next((worker for worker in crew if worker["version"] != endpoint["_version"]), None)
        if stale is None:
            return is_changed
        renewed = [worker["readyAt"] for worker in crew if worker["version"] == endpoint["_version"]]
        moment = max([endpoint["_rolloutAt"], *renewed])
        if moment > now:
            return is_changed
        crew[crew.index(stale)] = _start(world, endpoint, moment)
        is_changed = True


def settle(world: World, endpoint: Doc) -> bool:
    """Bring an endpoint up to the present and say whether that changed it.

    These go by themselves: Runpod's scale-downs, the number of workers, the roll over to the newest version.
    """
    now = world.clock.now()
    is_changed = _lower(endpoint, now)
    crew, wanted = endpoint["_workers"], endpoint["workers"]["min"]
    if len(crew) > wanted:
        del crew[wanted:]
        is_changed = True
    if crew and _roll_over(world, endpoint, now):
        is_changed = True
    while len(crew) < wanted:
        crew.append(_start(world, endpoint, now))
        is_changed = True
    return is_changed


def _place(world: World, endpoint: Doc) -> tuple[str | None, str | None] | None:
    """Return the card and data center of the endpoint's workers, None while no stock fits."""
    centers = endpoint["dataCenterIds"] or [doc["id"] for doc in world.store.all("dataCenters")]
    if "cpu" in endpoint:
        flavors = [size["id"] for size in endpoint["cpu"]]
        offers = [doc for doc in world.store.all("cpus") if doc["id"] in flavors]
    else:
        gpu = endpoint["gpu"]
        offers = [doc for doc in world.store.all("gpus") if doc["pool"] in gpu["pools"] and doc["id"] not in gpu["excludedTypes"]]
    for offer in offers:
        for center in centers:
            if catalog.level(offer, center) != "NONE":
                return (None if "cpu" in endpoint else offer["id"]), center
    return None


def find(endpoint: Doc, identifier: str) -> Doc | None:
    """Return a worker of an endpoint, None where it has no such one (any more)."""
    return next((worker for worker in endpoint["_workers"] if worker["id"] == identifier), None)


def worker_list(world: World, endpoint: Doc) -> Doc:
    """Answer `listEndpointWorkers`."""
    now = world.clock.now()
    place = _place(world, endpoint)
    shown = []
    for worker in endpoint["_workers"]:
        is_ready = place is not None and now >= worker["readyAt"]
        status = "THROTTLED" if place is None else "IDLE" if is_ready else "INITIALIZING"
        if is_ready and endpoint["_isUnhealthy"]:
            status = "UNHEALTHY"
        shown.append(
            {
                "id": worker["id"],
                "status": status,
                "isStale": worker["version"] != endpoint["_version"],
                "version": worker["version"],
                "gpuCount": endpoint["gpu"]["count"] if "gpu" in endpoint and place else 0,
                "image": worker["image"],
                "uptimeSeconds": int(now - worker["readyAt"]) if is_ready else None,
                "gpuTypeId": place[0] if place else None,
                "dataCenterId": place[1] if place else None,
                "startedAt": iso(worker["readyAt"]) if is_ready else None,
            }
        )
    counts = [worker["status"] for worker in shown]
    summary = {name.lower(): counts.count(name) for name in STATUSES}
    return {"endpointVersion": endpoint["_version"], "summary": {**summary, "total": len(shown)}, "workers": shown}


def release_list(endpoint: Doc) -> Doc:
    """Answer `listEndpointReleases`."""
    versions = [worker["version"] for worker in endpoint["_workers"]]
    latest = versions.count(endpoint["_version"])
    return {
        "endpointVersion": endpoint["_version"],
        "rollout": {
            "inProgress": latest < len(versions),
            "workersOnLatest": latest,
            "workersTotal": len(versions),
            "percentOnLatest": round(100 * latest / len(versions)) if versions else 0,
        },
        "releases": [
            {
                **release,
                "source": "MANUAL",
                "buildId": None,
                "createdByUserId": None,
                "workerCount": versions.count(release["version"]),
            }
            for release in endpoint["_releases"]
        ],
    }
