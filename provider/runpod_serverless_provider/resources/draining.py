"""Wait, before an endpoint is deleted, until its jobs are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..core.failures import ApiProblem, ApiUnreachable, Refused
from ..core.ports import Voice
from ..core.session import Session

_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0


async def drain(id: str, name: str, seconds: float, session: Session, voice: Voice) -> None:
    """Wait at most `seconds` until no job is queued or running; warn of those that are left, which the delete cancels.

    Jobs that cannot be counted count as there. Raises Refused where the run is cancelled first.
    """
    began, paused, pause = session.clock(), 0.0, _FIRST_PAUSE_SECONDS
    while True:
        left = seconds - max(paused, session.clock() - began)
        said, rest = await _left_over(id, min(_ANSWER_SECONDS, max(left, 1.0)), session, voice)
        if not said:
            return
        if session.api.is_stopped:
            raise Refused(f"the endpoint {name!r} was not deleted, as the run was cancelled: {said}; the next run waits on")
        if left <= 0:
            await voice.warn(
                f"the endpoint {name!r} is deleted after {seconds:.0f} s (`drainSeconds`) all the same: {said}. What is left is cancelled"
            )
            return
        await voice.status(f"{said}; deleting in at most {left:.0f} s")
        step = min(max(pause, rest), left)
        await session.api.pause(step)
        paused, pause = paused + step, min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def _left_over(id: str, timeout_seconds: float, session: Session, voice: Voice) -> tuple[str, float]:
    """Say what an endpoint still has to do, nothing where it has no job or is gone, and how many seconds not to ask again."""
    try:
        found = await session.api.ask_jobs(f"/{id}/health", timeout_seconds=timeout_seconds)
    except (ApiProblem, ApiUnreachable) as problem:
        if isinstance(problem, ApiProblem) and problem.status == 404 and await _is_gone(id, session, voice):
            return "", 0.0
        rest = problem.retry_after_seconds if isinstance(problem, ApiProblem) else None
        return f"its jobs cannot be counted ({problem})", rest or 0.0
    jobs = found.get("jobs") if isinstance(found, Mapping) else None
    counts = [jobs.get(key) for key in ("inQueue", "inProgress")] if isinstance(jobs, Mapping) else [None]
    if not all(isinstance(count, int) for count in counts):
        return "its jobs cannot be counted (the answer has no numbers of jobs)", 0.0
    return f"{counts[0]} queued, {counts[1]} running jobs" if any(counts) else "", 0.0


async def _is_gone(id: str, session: Session, voice: Voice) -> bool:
    """Ask the REST API: that the other one knows no such endpoint may be a wrong `endpointBaseUrl`."""
    try:
        await session.api.request("GET", f"/serverless/{id}", voice=voice)
    except (ApiProblem, ApiUnreachable, Refused) as problem:
        return isinstance(problem, ApiProblem) and problem.status == 404
    return False
