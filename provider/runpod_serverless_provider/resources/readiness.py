"""Wait until an endpoint has the workers that the program asks for, on the newest release, and say what keeps them from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.failures import ApiProblem, ApiUnreachable
from ..core.resource import Task
from ..redaction import secret_texts
from .worker_logs import last_lines

_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 10.0
_LAST_LOOK_SECONDS: Final = 10.0
"""How long the last look may take beyond the wait: a request may have to wait for the rate limit."""
_LOG_SECONDS: Final = 30.0
_READY: Final = ("IDLE", "RUNNING")
_UNHEALTHY: Final = "UNHEALTHY"
_CONTAINER: Final = frozenset({"image", "args", "disk", "ports", "env", "registry"})
"""What of a PATCH makes a release, as the API's document has it."""
_WAITS_ON: Final = "the next `pulumi up` waits on"


@dataclass(frozen=True)
class _Seen:
    """What was found at one moment: in words, whether that is enough, and the list of workers."""

    said: str
    is_ready: bool = False
    workers: Mapping[str, Any] = field(default_factory=dict)


def makes_release(body: Mapping[str, Any]) -> bool:
    """Say whether a PATCH with this body surely makes a release."""
    return not _CONTAINER.isdisjoint(body)


async def version_of(id: str, task: Task) -> int | None:
    """Return the version that an endpoint has now; None where that cannot be told."""
    try:
        return _version(await task.session.api.request("GET", f"/serverless/{id}/workers", voice=task.voice))
    except (ApiProblem, ApiUnreachable):
        return None


async def unready(id: str, wanted: int, seconds: float, task: Task, *, is_rolling: bool) -> tuple[str, ...]:
    """Wait at most `seconds` for `wanted` workers on the newest release; return why there are fewer, or nothing.

    The task's `since` is the version that the newest one has to come after, where that is known. Where it `is_rolling`, also wait until no
    worker is left on an older release. A failure that may pass is waited out like workers that start.
    """
    session, voice = task.session, task.voice
    began, paused, pause = session.clock(), 0.0, _FIRST_PAUSE_SECONDS
    seen, problem = None, ""
    while True:
        left = seconds - max(paused, session.clock() - began)
        try:
            look = _look(id, wanted, task, is_rolling=is_rolling)
            seen, problem = await asyncio.wait_for(look, max(left, _LAST_LOOK_SECONDS) if seconds else None), ""
        except asyncio.TimeoutError:
            return await _diagnosed(id, seen, "no answer came in time", seconds, task)
        except (ApiProblem, ApiUnreachable) as failed:
            problem = str(failed)
            if not _may_pass(failed):
                return (_unknown(problem),)
        if seen is not None and seen.is_ready and not problem:
            return ()
        said = _unknown(problem) if seen is None or problem else seen.said
        if session.api.is_stopped:
            return (f"{said} when the update was cancelled; {_WAITS_ON}",)
        left = seconds - max(paused, session.clock() - began)
        if left <= 0:
            return await _diagnosed(id, seen, problem, seconds, task)
        await voice.status(said)
        step = min(pause, left)
        await session.api.pause(step)
        paused, pause = paused + step, min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _unknown(problem: str) -> str:
    return f"whether its workers are ready is not known: {problem}"


def _may_pass(problem: ApiProblem | ApiUnreachable) -> bool:
    """Say whether the API may answer another time; a refusal is one for good."""
    return isinstance(problem, ApiUnreachable) or problem.status in (408, 429) or not 300 <= problem.status < 500


def _version(found: Any) -> int | None:
    version = found.get("endpointVersion") if isinstance(found, Mapping) else None
    return version if isinstance(version, int) else None


def _on_version(found: Mapping[str, Any]) -> str:
    version = _version(found)
    return "of an unknown version" if version is None else f"on version {version}"


async def _look(id: str, wanted: int, task: Task, *, is_rolling: bool) -> _Seen:
    found = await task.session.api.request("GET", f"/serverless/{id}/workers", voice=task.voice)
    if _is_of_before(found, task):
        return _Seen(f"0/{wanted} workers on a version after {task.since}, which the update makes", workers=found)
    workers = found.get("workers") or ()
    ready = sum(worker.get("status") in _READY and not worker.get("isStale") for worker in workers)
    seen = _Seen(f"{ready}/{wanted} workers {_on_version(found)}", ready >= wanted, found)
    if not (seen.is_ready and is_rolling):
        return seen
    answer = await task.session.api.request("GET", f"/serverless/{id}/releases", voice=task.voice)
    rollout = answer.get("rollout")
    if not rollout or _is_of_before(answer, task):
        return _Seen(f"{seen.said}, and whether others are left on an older one is not told", workers=found)
    counts = f"{rollout.get('workersOnLatest')}/{rollout.get('workersTotal')}"
    return _Seen(f"{counts} workers {_on_version(answer)}", not rollout.get("inProgress"), found)


def _is_of_before(found: Mapping[str, Any], task: Task) -> bool:
    """Say whether an answer does not know yet of the release that is waited for."""
    version = _version(found)
    return task.since is not None and (version is None or version <= task.since)


async def _diagnosed(id: str, seen: _Seen | None, problem: str, seconds: float, task: Task) -> tuple[str, ...]:
    """Say what was last known, and what is known of the reasons; `problem` is why the last look found nothing."""
    after = f" after {seconds:.0f} s" if seconds else ""
    if seen is None:
        return (f"whether its workers are ready is not known{after}: {problem}; {_WAITS_ON}",)
    workers = seen.workers.get("workers") or ()
    counts = seen.workers.get("summary") or {}
    ill = [str(worker["id"]) for worker in workers if worker.get("status") == _UNHEALTHY and worker.get("id")]
    lines = await _logged(id, ill[0], task) if ill else []
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
    if problem:
        causes.append(f"as of an earlier look; the last one failed: {problem}")
    why = f" ({'; '.join(causes)})" if causes else ""
    logged = (f"worker {ill[0]!r} wrote last:" + "".join(f"\n    {line}" for line in lines),) if lines else ()
    return (f"{seen.said}{after}{why}; {_WAITS_ON}", *logged)


async def _logged(id: str, worker: str, task: Task) -> list[str]:
    """Return a worker's last lines; none where they take too long."""
    try:
        return await asyncio.wait_for(last_lines(id, worker, task, secret_texts(task.outputs, task.secrets)), _LOG_SECONDS)
    except asyncio.TimeoutError:
        return []
