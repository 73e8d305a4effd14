"""Wait until an endpoint has the workers that the program asks for, on the newest release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..core.failures import ApiProblem, ApiUnreachable
from ..core.ports import Voice
from ..core.session import Session

_FIRST_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 10.0
_READY: Final = ("IDLE", "RUNNING")


async def unready(id: str, wanted: int, seconds: float, session: Session, voice: Voice) -> tuple[str, ...]:
    """Wait at most `seconds` for `wanted` workers on the newest release; return why there are fewer, or nothing."""
    waited, pause = 0.0, _FIRST_PAUSE_SECONDS
    while True:
        try:
            found = await session.api.request("GET", f"/serverless/{id}/workers", voice=voice)
        except (ApiProblem, ApiUnreachable) as problem:
            return (f"whether its workers are ready is not known: {problem}",)
        ready, version = _count(found)
        if ready >= wanted:
            return ()
        said = f"{ready}/{wanted} workers on version {version}"
        if session.api.is_stopped:
            return (f"{said} when the update was cancelled; the next `pulumi up` waits on",)
        if waited >= seconds:
            return (f"{said} after {seconds:.0f} s{_diagnosis(found)}; the next `pulumi up` waits on",)
        await voice.status(said)
        step = min(pause, seconds - waited)
        await session.api.pause(step)
        waited, pause = waited + step, min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _count(found: Mapping[str, Any]) -> tuple[int, Any]:
    workers = found.get("workers") or ()
    return sum(worker.get("status") in _READY and not worker.get("isStale") for worker in workers), found.get("endpointVersion")


def _diagnosis(found: Mapping[str, Any]) -> str:
    counts = found.get("summary") or {}
    said = []
    if counts.get("throttled"):
        said.append(f"{counts['throttled']} throttled, for want of capacity: name more GPU groups or data centers")
    if counts.get("unhealthy"):
        said.append(f"{counts['unhealthy']} unhealthy: look at their logs in the Runpod console")
    if counts.get("initializing"):
        said.append(f"{counts['initializing']} still starting")
    return f" ({'; '.join(said)})" if said else ""
