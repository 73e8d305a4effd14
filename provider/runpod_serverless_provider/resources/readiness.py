"""Wait until an endpoint has the workers that the program asks for, on the newest release, and say what keeps them from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.failures import ApiProblem, ApiUnreachable
from ..core.resource import Task
from ..redaction import secret_texts
from .worker_logs import last_lines

_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 10.0
_READY: Final = ("IDLE", "RUNNING")
_UNHEALTHY: Final = "UNHEALTHY"


@dataclass(frozen=True)
class _Seen:
    """What was found at one moment: in words, whether that is enough, and the list of workers."""

    said: str
    is_ready: bool
    workers: Mapping[str, Any]


async def unready(id: str, wanted: int, seconds: float, task: Task, *, is_rolling: bool) -> tuple[str, ...]:
    """Wait at most `seconds` for `wanted` workers on the newest release; return why there are fewer, or nothing.

    Where it `is_rolling`, also until no worker is left on an older release.
    """
    session, voice = task.session, task.voice
    began, paused, pause = session.clock(), 0.0, _FIRST_PAUSE_SECONDS
    while True:
        try:
            seen = await _look(id, wanted, task, is_rolling=is_rolling)
        except (ApiProblem, ApiUnreachable) as problem:
            return (f"whether its workers are ready is not known: {problem}",)
        if seen.is_ready:
            return ()
        if session.api.is_stopped:
            return (f"{seen.said} when the update was cancelled; the next `pulumi up` waits on",)
        left = seconds - max(paused, session.clock() - began)
        if left <= 0:
            return await _diagnosed(id, seen, seconds, task)
        await voice.status(seen.said)
        step = min(pause, left)
        await session.api.pause(step)
        paused, pause = paused + step, min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def _look(id: str, wanted: int, task: Task, *, is_rolling: bool) -> _Seen:
    found = await task.session.api.request("GET", f"/serverless/{id}/workers", voice=task.voice)
    workers = found.get("workers") or ()
    ready = sum(worker.get("status") in _READY and not worker.get("isStale") for worker in workers)
    seen = _Seen(f"{ready}/{wanted} workers on version {found.get('endpointVersion')}", ready >= wanted, found)
    if not (seen.is_ready and is_rolling):
        return seen
    answer = await task.session.api.request("GET", f"/serverless/{id}/releases", voice=task.voice)
    rollout = answer.get("rollout") or {}
    counts = f"{rollout.get('workersOnLatest')}/{rollout.get('workersTotal')}"
    return _Seen(f"{counts} workers on version {answer.get('endpointVersion')}", not rollout.get("inProgress"), found)


async def _diagnosed(id: str, seen: _Seen, seconds: float, task: Task) -> tuple[str, ...]:
    workers = seen.workers.get("workers") or ()
    counts = seen.workers.get("summary") or {}
    ill = [str(worker["id"]) for worker in workers if worker.get("status") == _UNHEALTHY and worker.get("id")]
    lines = await last_lines(id, ill[0], task, secret_texts(task.outputs, task.secrets)) if ill else []
    causes = []
    if counts.get("throttled"):
        causes.append(f"{counts['throttled']} throttled, for want of capacity: name more GPU groups or data centers")
    if counts.get("unhealthy"):
        where = f"the last lines of {ill[0]!r} are below" if lines else "look at their logs in the Runpod console"
        causes.append(f"{counts['unhealthy']} unhealthy: {where}")
    if counts.get("initializing"):
        causes.append(f"{counts['initializing']} still starting")
    stale = sum(bool(worker.get("isStale")) for worker in workers)
    if stale:
        causes.append(f"{stale} on an older version")
    why = f" ({'; '.join(causes)})" if causes else ""
    logged = (f"worker {ill[0]!r} wrote last:" + "".join(f"\n    {line}" for line in lines),) if lines else ()
    after = f" after {seconds:.0f} s" if seconds else ""
    return (f"{seen.said}{after}{why}; the next `pulumi up` waits on", *logged)
