"""Names the causes of drift that can be known. Asks for an endpoint's workers only where fewer are allowed than in the state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..core.values import parse_pattern
from .comparing import is_env, kind_of
from .report import Cause, CauseKind, PropertyDrift, ResourceDrift

_LIMITS: Final = ("workers.max", "workers.min")
_IDLE: Final = {2: "3 days", 0: "7 days"}
"""How many workers Runpod leaves an endpoint without requests, and after which time."""
_UNHEALTHY: Final = "UNHEALTHY"


class WorkersUnknown(Exception):
    """Says why an endpoint's workers could not be listed."""


@dataclass(frozen=True)
class Worker:
    """A worker of an endpoint, with the API's word for its status (`UNHEALTHY`)."""

    id: str
    status: str


@dataclass(frozen=True)
class Account:
    """What a stack says of the account that it uses: its configuration by full key. What is secret there, `decrypt` gives by key."""

    values: Mapping[str, str]
    decrypt: Callable[[str], Awaitable[str | None]]


ListWorkers = Callable[[Account, str], Awaitable[Sequence[Worker]]]
"""Lists the workers of an endpoint (`listEndpointWorkers`). Raises WorkersUnknown."""


async def causes_of(drift: ResourceDrift, account: Account, list_workers: ListWorkers) -> tuple[Cause, ...]:
    """Say what is known of how a resource came to differ."""
    kind = kind_of(drift.type)
    if kind is None:
        return ()
    if drift.is_gone:
        text = f"it was deleted outside of Pulumi: Runpod has no {kind.noun} {drift.id!r} any more"
        return (Cause(CauseKind.DELETED, text),)
    found = []
    if any(item.path in _LIMITS and _is_lowered(item) for item in drift.properties):
        limits = {item.path: item.at_runpod for item in drift.properties}
        found.append(Cause(CauseKind.WORKERS_LOWERED, await _lowered(drift.id, limits.get(_LIMITS[0]), account, list_workers)))
    paths = [parse_pattern(item.path) for item in drift.properties if item.in_state is None]
    added = [str(path[-1]) for path in paths if is_env(path)]
    if added:
        said = (
            "a variable that the program does not know was" if len(added) == 1 else "variables that the program does not know were"
        )
        found.append(Cause(CauseKind.ENV_ADDED, f"{said} added by hand: {', '.join(added)}"))
    return tuple(found)


def _is_lowered(item: PropertyDrift) -> bool:
    return isinstance(item.in_state, int) and isinstance(item.at_runpod, int) and item.at_runpod < item.in_state


async def _lowered(id: str, most: object, account: Account, list_workers: ListWorkers) -> str:
    reasons = [f"an endpoint without a request for {_IDLE[most]}"] if isinstance(most, int) and most in _IDLE else []
    reasons.append("one whose workers are unhealthy again and again")
    said = f"somebody lowered the workers, or Runpod itself: it does so with {' and with '.join(reasons)}"
    try:
        workers = await list_workers(account, id)
    except WorkersUnknown as problem:
        return f"{said}. The workers could not be listed: {problem}"
    ill = [worker.id for worker in workers if worker.status == _UNHEALTHY]
    if not ill:
        return f"{said}. {'None of its workers is unhealthy' if workers else 'It has no worker'} now"
    count = (
        "Its only worker is"
        if len(workers) == 1
        else f"{len(ill)} of its {len(workers)} workers {'is' if len(ill) == 1 else 'are'}"
    )
    return (
        f"{said}. {count} unhealthy now ({', '.join(ill)}): read the logs before `pulumi up`, which starts workers again, and each start "
        "is billed"
    )
