"""The queue of an endpoint: which of its jobs wait, run and end, worked out from the clock whenever somebody looks. No HTTP.

Nothing is executed: a job takes the time that the settings gave it, and then is done.
"""

from collections.abc import Sequence

from runpod_emulator.store import Doc
from runpod_emulator.world import World

WAITING = "IN_QUEUE"
RUNNING = "IN_PROGRESS"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMED_OUT = "TIMED_OUT"
_COUNTED = {COMPLETED: "completed", FAILED: "failed", TIMED_OUT: "failed"}


def open_jobs(world: World, endpoint: Doc) -> list[Doc]:
    """Return the jobs that wait or run, oldest first."""
    found = (world.store.get("jobs", identifier) for identifier in endpoint.get("_jobs", ()))
    return [job for job in found if job is not None]


def counts(endpoint: Doc) -> Doc:
    """Return how many jobs have ended, and how many were put back, since the endpoint was created."""
    counted: Doc = endpoint.setdefault("_jobCounts", {"completed": 0, "failed": 0, "retried": 0})
    return counted


def add(world: World, endpoint: Doc, job: Doc) -> None:
    """Put a job at the end of the queue; the endpoint is stored by the caller."""
    endpoint["_jobs"] = [*endpoint.get("_jobs", ()), job["id"]]
    world.store.put("jobs", job["id"], job)


def end(world: World, endpoint: Doc, job: Doc, status: str, moment: float) -> None:
    """Take a job out of the queue; a worker that ran it is free from then on."""
    job.update(status=status, endedAt=moment)
    endpoint["_jobs"] = [identifier for identifier in endpoint["_jobs"] if identifier != job["id"]]
    if status in _COUNTED:
        counts(endpoint)[_COUNTED[status]] += 1
    for worker in endpoint["_workers"]:
        if worker["id"] == job["workerId"]:
            worker["freeAt"] = moment
    world.store.put("jobs", job["id"], job)


def cancel_all(world: World, endpoint: Doc) -> None:
    """Cancel what waits and what runs: the endpoint goes away."""
    for job in open_jobs(world, endpoint):
        end(world, endpoint, job, CANCELLED, world.clock.now())


def advance(world: World, endpoint: Doc, crew: Sequence[Doc], now: float) -> bool:
    """Hand waiting jobs to workers and end those that are done, up to the present, and say whether anything happened.

    `crew` are the workers that may take a job, none where the endpoint is held up; what is held up starts afterwards.
    """
    jobs = open_jobs(world, endpoint)
    if jobs and not crew:
        endpoint["_heldAt"] = now
    is_changed = False
    for job in jobs:
        if job["status"] == WAITING:
            if not crew:
                continue
            worker = min(crew, key=_free_at)
            start = max(job["queuedAt"], _free_at(worker), endpoint.get("_heldAt", 0))
            if start > now:
                break
            limit_seconds = (job["timeoutMs"] or endpoint["timeout"]) / 1000
            seconds = min(job["seconds"], limit_seconds) if limit_seconds else job["seconds"]
            job.update(status=RUNNING, startedAt=start, dueAt=start + seconds, workerId=worker["id"])
            job["dueStatus"] = COMPLETED if seconds == job["seconds"] else TIMED_OUT
            worker["freeAt"] = job["dueAt"]
            world.store.put("jobs", job["id"], job)
            is_changed = True
        if job["dueAt"] <= now:
            end(world, endpoint, job, job["dueStatus"], job["dueAt"])
            is_changed = True
    return is_changed


def _free_at(worker: Doc) -> float:
    return float(max(worker["readyAt"], worker.get("freeAt", 0.0)))
