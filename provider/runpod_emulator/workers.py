"""The workers and releases of an endpoint, worked out from the clock whenever somebody looks.

An endpoint has `workers.min` workers, and more, up to `workers.max`, while there are jobs; one that did a job stays for the idle time-out.
"""

import random

from runpod_emulator import catalog, queue
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
    """Replace one stale worker after the other, each once its predecessor is ready and its job is done, and say whether any was."""
    crew = endpoint["_workers"]
    is_changed = False
    while True:
        stale = [worker for worker in crew if worker["version"] != endpoint["_version"]]
        if not stale:
            return is_changed
        leaving = min(stale, key=_busy_until)
        renewed = [worker["readyAt"] for worker in crew if worker["version"] == endpoint["_version"]]
        moment = max([endpoint["_rolloutAt"], _busy_until(leaving), *renewed])
        if moment > now:
            return is_changed
        crew[crew.index(leaving)] = _start(world, endpoint, moment)
        is_changed = True


def _busy_until(worker: Doc) -> float:
    """Return when the worker's last job ends or ended, 0 where it has had none."""
    return float(worker.get("freeAt", 0.0))


def _dismiss(endpoint: Doc, wanted: int, now: float) -> bool:
    """End workers beyond `wanted`: none at work, and none within its idle time-out unless `workers.max` forbids it.

    The newest version keeps those that are always on, beside older ones that are still at work.
    """
    limits, crew = endpoint["workers"], endpoint["_workers"]
    is_changed = False
    for worker in reversed(list(crew)):
        current = [each for each in crew if each["version"] == endpoint["_version"]]
        if len(crew) <= wanted or (worker in current and len(current) <= limits["min"]):
            continue
        busy_until = _busy_until(worker)
        stays_until = busy_until + (limits.get("idleTimeout", 0) if busy_until and len(crew) <= limits["max"] else 0)
        if stays_until <= now:
            crew.remove(worker)
            is_changed = True
    return is_changed


def settle(world: World, endpoint: Doc) -> bool:
    """Bring an endpoint up to the present and say whether that changed it.

    These go by themselves: Runpod's scale-downs, the number of workers, the jobs, the roll over to the newest version.
    """
    now = world.clock.now()
    is_changed = _lower(endpoint, now)
    crew, limits = endpoint["_workers"], endpoint["workers"]
    while len(crew) < _wanted(endpoint):
        crew.append(_start(world, endpoint, now))
        is_changed = True
    if endpoint.get("_jobs"):
        can_work = _place(world, endpoint) is not None and not endpoint["_isUnhealthy"]
        current = [worker for worker in crew if worker["version"] == endpoint["_version"]] if can_work else []
        is_changed = queue.advance(world, endpoint, current, now) or is_changed
    if len(crew) > limits["min"]:
        is_changed = _dismiss(endpoint, _wanted(endpoint), now) or is_changed
    return (bool(crew) and _roll_over(world, endpoint, now)) or is_changed


def _wanted(endpoint: Doc) -> int:
    """Return how many workers there should be: those that are always on, and one for each job as far as the limit goes."""
    limits = endpoint["workers"]
    return int(max(limits["min"], min(limits["max"], len(endpoint.get("_jobs", ())))))


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
        status = "THROTTLED" if place is None else "INITIALIZING"
        if is_ready:
            status = "RUNNING" if _busy_until(worker) > now else "IDLE"
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
