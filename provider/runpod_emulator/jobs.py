"""The API that takes jobs, below `/v2/{endpointId}`. Jobs take time and workers, but nothing is executed: outputs are simulated.

Left out are `runsync` and `stream`, which wait for what a worker returns. Nobody documents the form of errors here, so it is
the REST API's.
"""

from runpod_emulator import endpoints, queue, workers
from runpod_emulator.problems import Problem, bad_request, not_found
from runpod_emulator.shapes import Anything, Mapped, Object, Whole
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, World, parse_json

LARGEST_BODY = 10 * 1024 * 1024
RETENTION_SECONDS = 30 * 60
"""How long the result of a job is kept."""
_RUN = Object(
    {"input": Mapped(Anything()), "policy": Object({"executionTimeout": Whole(minimum=5000)}, is_open=True)},
    required=("input",),
    is_open=True,
)
_AGAIN = (queue.FAILED, queue.TIMED_OUT)
_OPEN = (queue.WAITING, queue.RUNNING)


def _queue_of(world: World, call: Call) -> Doc:
    endpoint = endpoints.find(world, call.params["endpointId"])
    if endpoint["type"] != "QUEUE":
        raise bad_request("the endpoint is a load balancer, which takes no jobs")
    return endpoint


def _job_of(world: World, endpoint: Doc, call: Call) -> Doc:
    job = world.store.get("jobs", call.params["jobId"])
    if job is not None and world.clock.now() - job.get("endedAt", world.clock.now()) >= RETENTION_SECONDS:
        world.store.remove("jobs", job["id"])
        job = None
    if job is None or job["endpointId"] != endpoint["id"]:
        raise not_found("job")
    return job


def _keep(world: World, endpoint: Doc) -> None:
    """Let the workers notice what has changed, and store the endpoint."""
    workers.settle(world, endpoint)
    world.store.put("endpoints", endpoint["id"], endpoint)


def _shown(job: Doc) -> Doc:
    shown: Doc = {"id": job["id"], "status": job["status"]}
    if job["workerId"] is not None:
        shown |= {"delayTime": round(1000 * (job["startedAt"] - job["queuedAt"])), "workerId": job["workerId"]}
    if job["workerId"] is not None and job["status"] not in _OPEN:
        shown["executionTime"] = round(1000 * (job["endedAt"] - job["startedAt"]))
    if job["status"] == queue.COMPLETED:
        shown["output"] = {"simulated": True}
    return shown


def run(world: World, call: Call) -> Reply:
    """Submit a job. It takes as long as the setting `jobSeconds` says at this moment."""
    endpoint = _queue_of(world, call)
    if len(call.raw) > LARGEST_BODY:
        raise Problem(413, f"request body has {len(call.raw)} bytes, at most {LARGEST_BODY} are taken")
    body = parse_json(call.raw)
    errors = list(_RUN.failures(body, "$"))
    if errors:
        raise bad_request("; ".join(errors))
    job = {
        "id": world.store.new_id("jobs", 20),
        "endpointId": endpoint["id"],
        "status": queue.WAITING,
        "workerId": None,
        "queuedAt": world.clock.now(),
        "seconds": world.settings.job_seconds,
        "timeoutMs": body.get("policy", {}).get("executionTimeout"),
    }
    endpoint["_activeAt"] = job["queuedAt"]
    queue.add(world, endpoint, job)
    _keep(world, endpoint)
    return 200, {"id": job["id"], "status": queue.WAITING}


def status(world: World, call: Call) -> Reply:
    """Tell how a job is doing."""
    return 200, _shown(_job_of(world, _queue_of(world, call), call))


def cancel(world: World, call: Call) -> Reply:
    """Cancel a job that waits or runs; one that has ended stays as it is."""
    endpoint = _queue_of(world, call)
    job = _job_of(world, endpoint, call)
    if job["status"] in _OPEN:
        queue.end(world, endpoint, job, queue.CANCELLED, world.clock.now())
        _keep(world, endpoint)
    return 200, {"id": job["id"], "status": job["status"]}


def retry(world: World, call: Call) -> Reply:
    """Put a job that failed or took too long at the end of the queue again."""
    endpoint = _queue_of(world, call)
    job = _job_of(world, endpoint, call)
    if job["status"] not in _AGAIN:
        raise bad_request(f"job is {job['status']}, only {' and '.join(_AGAIN)} ones can be retried")
    job = {name: value for name, value in job.items() if name not in ("startedAt", "endedAt", "dueAt", "dueStatus")}
    job |= {"status": queue.WAITING, "workerId": None, "queuedAt": world.clock.now(), "seconds": world.settings.job_seconds}
    queue.counts(endpoint)["retried"] += 1
    queue.add(world, endpoint, job)
    _keep(world, endpoint)
    return 200, {"id": job["id"], "status": queue.WAITING}


def purge(world: World, call: Call) -> Reply:
    """Cancel the jobs that wait; those that run go on."""
    endpoint = _queue_of(world, call)
    waiting = [job for job in queue.open_jobs(world, endpoint) if job["status"] == queue.WAITING]
    for job in waiting:
        queue.end(world, endpoint, job, queue.CANCELLED, world.clock.now())
    _keep(world, endpoint)
    return 200, {"removed": len(waiting), "status": "completed"}


def health(world: World, call: Call) -> Reply:
    """Count jobs and workers."""
    endpoint = _queue_of(world, call)
    statuses = [job["status"] for job in queue.open_jobs(world, endpoint)]
    jobs = {**queue.counts(endpoint), "inQueue": statuses.count(queue.WAITING), "inProgress": statuses.count(queue.RUNNING)}
    summary = {name: number for name, number in workers.worker_list(world, endpoint)["summary"].items() if name != "total"}
    return 200, {"jobs": jobs, "workers": {**summary, "ready": summary["idle"] + summary["running"]}}
