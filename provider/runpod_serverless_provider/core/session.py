"""What the verbs of one configured provider share: the API, the settings, the journal, and what was learned in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from .ports import Api, Journal, NoJournal
from .verbs import Settings

_Part = TypeVar("_Part")


class Session:
    """One configured provider, with a clock in seconds.

    Parts that resources need (the catalog, known volumes) are made on first use and then shared.
    """

    def __init__(
        self, api: Api, settings: Settings, clock: Callable[[], float] = time.monotonic, journal: Journal | None = None
    ) -> None:
        self.api = api
        self.journal: Journal = NoJournal() if journal is None else journal
        self.clock = clock
        self.settings = settings
        self._parts: dict[type[Any], Any] = {}

    def part(self, kind: type[_Part]) -> _Part:
        """Return this session's `kind`, made with the session as its only argument."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)  # type: ignore[call-arg]
        part: _Part = self._parts[kind]
        return part
