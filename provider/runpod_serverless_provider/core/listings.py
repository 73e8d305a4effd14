"""Lists of the API's objects, at most one of each kind in a process until a write of ours changes that kind."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .failures import ProviderFailure
from .ports import Voice

if TYPE_CHECKING:
    from .session import Session

_PAGING: Final = re.compile(r"next|cursor|page|more|token|offset", re.IGNORECASE)


class Listings:
    """Takes lists and keeps them. Raises ProviderFailure for a list that comes in pages, of which the API's document knows nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[str, tuple[float, list[Mapping[str, Any]]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._writes: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}

    def seen(self, path: str) -> set[str]:
        """Return the ids that lists of this process have shown at `path`; empty where none was taken."""
        return self._seen.get(path, set())

    async def get(
        self,
        path: str,
        key: str,
        voice: Voice,
        query: Mapping[str, str] | None = None,
        *,
        max_age_seconds: float = math.inf,
    ) -> list[Mapping[str, Any]]:
        """Return the items that `GET path` lists under `key`, no older than `max_age_seconds`."""
        name = f"{path}?{sorted((query or {}).items())}"
        async with self._locks.setdefault(name, asyncio.Lock()):
            taken, items = self._kept.get(name, (-math.inf, []))
            if self._session.clock() - taken > max_age_seconds or name not in self._kept:
                writes = self._writes.get(path, 0)
                found = await self._session.api.request("GET", path, query=query, voice=voice)
                paging = [field for field in found if field != key and _PAGING.search(field)]
                if paging:
                    said = f"the list at {path} comes in pages ({', '.join(map(repr, paging))}), which this version cannot read"
                    raise ProviderFailure(f"{said}; look for a newer version")
                taken, items = self._session.clock(), found[key]
                self._seen.setdefault(path, set()).update(str(item.get("id")) for item in items)
                if self._writes.get(path, 0) != writes:  # what a write of ours overtook is not kept for others
                    return items
                self._kept[name] = taken, items
            return items

    def forget(self, path: str) -> None:
        """Drop the lists at `path`, because something there was written."""
        self._writes[path] = self._writes.get(path, 0) + 1
        for name in [name for name in self._kept if name.startswith(f"{path}?")]:
            del self._kept[name]
