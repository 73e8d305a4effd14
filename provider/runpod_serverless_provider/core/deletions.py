"""What this process is deleting, for a delete that the API refuses until another one is done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from .session import Session


class Deletions:
    """The deletes under way, by where the API has the kind."""

    def __init__(self, session: Session) -> None:
        self._under_way: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Note a delete for as long as it takes."""
        ended = asyncio.Event()
        self._under_way.setdefault(path, set()).add(ended)
        try:
            yield
        finally:
            self._under_way[path].discard(ended)
            ended.set()

    async def settle(self, path: str) -> None:
        """Wait for those that are under way now, however they end."""
        for ended in tuple(self._under_way.get(path, ())):
            await ended.wait()
