"""The emulator's time: the wall clock plus whatever the controls have added."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import formatdate


class Clock:
    """A clock that runs by itself and can be advanced, in seconds since the epoch."""

    def __init__(self, source: Callable[[], float] = time.time, offset_seconds: float = 0) -> None:
        self._source = source
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Return the simulated time."""
        return self._source() + self.offset_seconds

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.offset_seconds += seconds

    async def sleep(self, seconds: float) -> None:
        """Let the caller wait, in real seconds; a clock that is not the wall's decides for itself what that means."""
        await asyncio.sleep(seconds)

    def http_date(self) -> str:
        """Return the simulated time as a `Date` header."""
        return formatdate(self.now(), usegmt=True)


def iso(moment: float) -> str:
    """Write a moment as the API does, in whole seconds."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
