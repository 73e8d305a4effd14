"""When the process ends: its engine is gone, or a signal asks for it. What is under way is finished first, within bounds."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Final

from .api import policy
from .engine import Engine

_LOG: Final = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
# The engine sends SIGKILL five seconds after SIGINT, and closing takes its part of them.
SIGNAL_GRACE_SECONDS: Final = 3.5
# Nobody waits for an orphan, so it may finish what costs money when torn; the journal tells the rest.
ORPHAN_GRACE_SECONDS: Final = policy.REQUEST_TIMEOUT_SECONDS + policy.SETTLE_MARGIN_SECONDS
_MISSES_TO_BE_GONE: Final = 2


class Cancels:
    """What the engine's Cancels tell of the end of its run.

    One belongs to each close. With more of them the run was interrupted, perhaps twice, and then the engine has thrown away what it had
    been told and not stored yet.
    """

    def __init__(self) -> None:
        self._count = 0
        self._is_last_at_rest = False

    def came(self, *, is_at_rest: bool) -> None:
        """Note one; `is_at_rest`: no call is open that changes anything."""
        self._count += 1
        self._is_last_at_rest = is_at_rest

    @property
    def are_orderly(self) -> bool:
        """Should this be the end, has the engine received all replies, and stored them?"""
        return self._count == 1 and self._is_last_at_rest


class Lifetime:
    """Waits for the reason to end; `grace_seconds` then says how long the work under way may still take.

    `hurried` is set when a later reason, a signal to an orphan, shortens that time; `is_asked`, when the reason is a signal.
    """

    def __init__(self, engine: Engine, *, poll_seconds: float = POLL_SECONDS, parent: Callable[[], int] | None = None) -> None:
        self._engine = engine
        self._poll_seconds = poll_seconds
        self._parent: Callable[[], int] = os.getppid if parent is None else parent
        self._first_parent = self._parent()
        self._ended = asyncio.Event()
        self.hurried = asyncio.Event()
        self.is_asked = False
        self.grace_seconds = SIGNAL_GRACE_SECONDS

    def end(self, reason: str, grace_seconds: float) -> None:
        """End the process for `reason`; a later reason counts only if it leaves less time."""
        _LOG.info("ending: %s", reason)
        if self._ended.is_set() and grace_seconds >= self.grace_seconds:
            return
        if self._ended.is_set():
            self.hurried.set()
        self.grace_seconds = grace_seconds
        self._ended.set()

    def heed_signals(self) -> None:
        """End on SIGINT and SIGTERM; the engine sends the first after it has cancelled, and CTRL_BREAK on Windows."""
        loop = asyncio.get_running_loop()
        for number in dict.fromkeys((signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM))):
            try:
                loop.add_signal_handler(number, self._end_by_signal, number)
            except (NotImplementedError, RuntimeError):  # Windows has no such handlers; other threads may set none
                try:
                    signal.signal(number, lambda received, _: loop.call_soon_threadsafe(self._end_by_signal, received))
                except ValueError:
                    _LOG.debug("%s is not heeded", signal.Signals(number).name)

    def _end_by_signal(self, number: int) -> None:
        self.is_asked = self.is_asked or not self._ended.is_set()
        self.end(signal.Signals(number).name, SIGNAL_GRACE_SECONDS)

    async def wait(self, *, watch_engine: bool) -> None:
        """Return when the process should end. An attached provider (`watch_engine` false) outlives its engines."""
        misses = 0
        while not self._ended.is_set():
            if await self._sleep() or not watch_engine:
                continue
            if self._parent() != self._first_parent:
                self.end("the parent process is gone", ORPHAN_GRACE_SECONDS)
                continue
            try:
                misses = 0 if await self._engine.is_alive() else misses + 1
            except Exception as problem:  # noqa: BLE001 - a broken check must not end a working provider
                _LOG.debug("the engine's health is not known: %s", type(problem).__name__)
            if misses >= _MISSES_TO_BE_GONE:
                self.end("the engine is gone", ORPHAN_GRACE_SECONDS)

    async def _sleep(self) -> bool:
        """Sleep until the next look, or give True when the end has come meanwhile."""
        try:
            await asyncio.wait_for(self._ended.wait(), self._poll_seconds)
        except asyncio.TimeoutError:
            return False
        return True
