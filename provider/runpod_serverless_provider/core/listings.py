"""What the API was asked already: nothing is asked twice in a process until a write of ours changes that kind."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .failures import ApiProblem, ApiUnreachable, Incomplete, ProviderFailure
from .ports import Voice

if TYPE_CHECKING:
    from .session import Session

_Found = TypeVar("_Found")
_PAGING: Final = re.compile(r"next|cursor|page|more|token|offset", re.IGNORECASE)


@dataclass(frozen=True)
class _Kept:
    """An answer and when it came; `turn` counts what happened before it was asked for."""

    turn: int
    answered_at: float
    found: Any


class Listings:
    """Takes lists and single objects, and keeps them until `forget`. A failure is that of all who had queued when it was asked for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[str, _Kept] = {}
        self._failed: dict[str, tuple[int, ProviderFailure]] = {}
        self._turns = itertools.count()
        self._locks: dict[str, asyncio.Lock] = {}
        self._writes: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}
        self._tied: dict[str, tuple[str, ...]] = {}

    def tie(self, path: str, others: tuple[str, ...]) -> None:
        """Let a write at `path` count as one at `others`, too."""
        self._tied[path] = others

    def seen(self, path: str) -> frozenset[str] | None:
        """Return the ids that lists of this process have shown at `path`; None where none was taken."""
        return frozenset(self._seen[path]) if path in self._seen else None

    async def get(
        self,
        path: str,
        key: str,
        voice: Voice,
        query: Mapping[str, str] | None = None,
        *,
        max_age_seconds: float = math.inf,
        outlasts_stop: bool = False,
    ) -> list[Mapping[str, Any]]:
        """Return the items that `GET path` lists under `key`.

        Those of an earlier request do where they came at most `max_age_seconds` ago, or were asked for after this call. `outlasts_stop` is
        that of `core.ports.Api`.
        Raises ProviderFailure for a list that comes in pages, of which the API's document knows nothing.
        """

        async def ask() -> list[Mapping[str, Any]]:
            answer = await self._session.api.request("GET", path, query=query, voice=voice, outlasts_stop=outlasts_stop)
            found = answer if isinstance(answer, Mapping) else {}
            paging = [field for field in found if field != key and _PAGING.search(field)]
            listed = found.get(key)
            if paging or not (isinstance(listed, list) and all(isinstance(item, Mapping) for item in listed)):
                form = f"comes in pages ({', '.join(map(repr, paging))})" if paging else f"has no {key!r}, or of another form"
                raise ProviderFailure(f"the list at {path} {form}, which this version cannot read; look for a newer version")
            items: list[Mapping[str, Any]] = listed
            if not all(item.get("id") for item in items):
                raise Incomplete(path, "id")
            self._seen.setdefault(path, set()).update(str(item["id"]) for item in items)
            return items

        return await self._once(path, f"{path}?{sorted((query or {}).items())}", ask, max_age_seconds)

    async def anew(self, path: str, key: str, voice: Voice, *, outlasts_stop: bool = False) -> list[Mapping[str, Any]]:
        """Return what a list says that is asked for now: something there may have been created."""
        self.forget(path)
        return await self.get(path, key, voice, outlasts_stop=outlasts_stop)

    async def one(self, path: str, id: str, voice: Voice) -> Mapping[str, Any]:
        """Return the object that `GET path/id` answers with."""

        async def ask() -> Mapping[str, Any]:
            found: Mapping[str, Any] = await self._session.api.request("GET", f"{path}/{id}", voice=voice)
            return found

        return await self._once(path, f"{path}?id={id}", ask)

    async def _once(self, path: str, name: str, ask: Callable[[], Awaitable[_Found]], max_age_seconds: float = math.inf) -> _Found:
        clock, arrived = self._session.clock, next(self._turns)
        async with self._locks.setdefault(name, asyncio.Lock()):
            # Those that queued for a slow answer, or for the rate limit, are content with what was asked for meanwhile.
            kept = self._kept.get(name)
            if kept is not None and (kept.turn > arrived or clock() - kept.answered_at <= max_age_seconds):
                known: _Found = kept.found
                return known
            failed, problem = self._failed.get(name, (-1, None))
            if problem is not None and failed > arrived:
                raise problem
            writes, turn = self._writes.get(path, 0), next(self._turns)
            try:
                found = await ask()
            except (ApiProblem, ApiUnreachable) as failure:
                self._failed[name] = turn, failure
                raise
            if self._writes.get(path, 0) == writes:  # what a write of ours overtook is not kept for others
                self._kept[name] = _Kept(turn, clock(), found)
            return found

    def forget(self, path: str) -> None:
        """Drop what was asked at `path` and where it is tied to, because something there was written."""
        for changed in (path, *self._tied.get(path, ())):
            self._writes[changed] = self._writes.get(changed, 0) + 1
            for name in [name for name in self._kept if name.startswith(f"{changed}?")]:
                del self._kept[name]
