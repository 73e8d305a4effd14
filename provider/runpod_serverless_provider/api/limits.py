"""The request budget: what the `RateLimit` headers say is left, and waiting before the API has to refuse. Sends nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..core.ports import Voice

_SPREAD: Final = 0.05
_LEAST_SPREAD_SECONDS: Final = 0.25
_MOST_SPREAD_SECONDS: Final = 1.0
"""Those that wait for the same reset are spread over a part of the wait, within these bounds."""
_SHARE: Final = 0.25
"""Which part of what is left may be under way at once: other processes of the account take theirs, of which only answers tell."""
_SCOUTS: Final = 2
"""So many may be under way after a 429, until one of them passes: the limit may last longer than it said."""
_SAME_RESET_SECONDS: Final = 1.5
"""Resets that lie closer together are the same: the headers count whole seconds."""


@dataclass(frozen=True)
class Left:
    """What is left of one window: a member of `RateLimit`."""

    window: str
    remaining: int
    reset_seconds: int


@dataclass(frozen=True)
class Quota:
    """What one window grants: a member of `RateLimit-Policy`."""

    window: str
    quota: int
    length_seconds: int


def parse_rate_limit(value: str | None) -> tuple[Left, ...]:
    """Read `"minute";r=0;t=12, "hour";r=2800;t=1812`; members that make no sense are left out."""
    return tuple(Left(name, *numbers) for name, numbers in _members(value, "r", "t"))


def parse_rate_limit_policy(value: str | None) -> tuple[Quota, ...]:
    """Read `"minute";q=60;w=60, "hour";q=3000;w=3600`; members that make no sense are left out."""
    return tuple(Quota(name, *numbers) for name, numbers in _members(value, "q", "w") if all(numbers))


def exhausted(windows: tuple[Left, ...]) -> Left | None:
    """Return the exhausted window that takes longest to reset, if any is exhausted."""
    return max((left for left in windows if not left.remaining), key=lambda left: left.reset_seconds, default=None)


def _members(value: str | None, first: str, second: str) -> list[tuple[str, tuple[int, int]]]:
    if not value:
        return []
    import http_sf  # late: most processes of the plugin send no request

    try:
        members: Any = http_sf.parse(value.encode("ascii", "replace"), tltype="list")
    except http_sf.StructuredFieldError:  # a header that cannot be read is only a missed hint
        return []
    found = []
    for name, params in members:
        numbers = (params.get(first), params.get(second))
        if isinstance(name, str | http_sf.Token) and all(type(number) is int and number >= 0 for number in numbers):
            found.append((str(name), numbers))
    return found


@dataclass
class _Window:
    remaining: int
    reset_at: float
    is_guess: bool = False


class Budget:
    """What is left of the account's rate limits; all requests of a process share one.

    A request waits for a place with `wait`, takes it with `reserve`, and gives it back with `release`. Times are those of `clock`, in
    seconds. Windows that reset later than `patience_seconds` from now are not waited for: there the API itself has to answer.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        random: Callable[[], float],
        patience_seconds: float,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._patience_seconds = patience_seconds
        self._windows: dict[str, _Window] = {}
        self._quotas: dict[str, Quota] = {}
        self._blocks: dict[str, float] = {}
        self._in_flight = 0
        self._is_scouting = False
        self._answered = asyncio.Event()

    async def wait(self, voice: Voice) -> None:
        """Wait until no window forbids a request; tell `voice` about each wait for a reset."""
        while True:
            wait = self._next_wait()
            if wait is None and not self._is_crowded:
                return
            if wait is None:
                await self._answered.wait()
                continue
            window, seconds = wait
            await voice.status(waiting_text(seconds, window))
            # All that wait for the same reset would otherwise come back in the same instant.
            spread = min(_MOST_SPREAD_SECONDS, max(_LEAST_SPREAD_SECONDS, seconds * _SPREAD))
            await self._sleep(seconds + self._random() * spread)

    def reserve(self) -> bool:
        """Take a place; False where others have taken the last one meanwhile."""
        if self._next_wait() is not None or self._is_crowded:
            return False
        self._in_flight += 1
        return True

    def release(self, headers: Mapping[str, str], *, was_sent: bool) -> None:
        """Give the place back and learn from the answer's headers; a request that was sent without an answer counts as spent."""
        self._in_flight -= 1
        self._answered.set()
        self._answered = asyncio.Event()
        self._quotas.update((quota.window, quota) for quota in parse_rate_limit_policy(headers.get("ratelimit-policy")))
        observed = parse_rate_limit(headers.get("ratelimit"))
        for left in observed:
            self._observe(left)
        if was_sent:
            for name in self._windows.keys() - {left.window for left in observed}:
                self._windows[name].remaining = max(0, self._windows[name].remaining - 1)

    def block(self, seconds: float, window: str = "") -> None:
        """Let nobody through for `seconds`, because the API answered 429 and asked for it."""
        self._blocks[window] = max(self._blocks.get(window, 0.0), self._clock() + seconds)
        self._is_scouting = True

    def passed(self) -> None:
        """Note an answer other than 429; one to what was sent before the block says nothing about its end."""
        self._is_scouting = self._is_scouting and self.is_blocked

    @property
    def is_blocked(self) -> bool:
        """Did the API ask that nobody comes before a time that is still to come?"""
        now = self._clock()
        return any(0 < until - now <= self._patience_seconds for until in self._blocks.values())

    def _observe(self, left: Left) -> None:
        reset_at = self._clock() + left.reset_seconds
        known = self._windows.get(left.window)
        if known is None or known.is_guess or reset_at > known.reset_at + _SAME_RESET_SECONDS:
            self._windows[left.window] = _Window(left.remaining, reset_at)
        elif reset_at >= known.reset_at - _SAME_RESET_SECONDS:
            known.remaining = min(known.remaining, left.remaining)  # answers overtake each other
            known.reset_at = min(known.reset_at, reset_at)  # each counts whole seconds, rounded up
        # else: a late answer that speaks of the window before this one

    @property
    def _is_crowded(self) -> bool:
        if self._is_scouting and self._in_flight >= _SCOUTS:
            return True
        return any(self._in_flight >= max(1.0, known.remaining * _SHARE) for known in self._windows.values() if known.remaining)

    def _next_wait(self) -> tuple[str, float] | None:
        now = self._clock()
        self._forget_the_past(now)
        waits = [(until - now, window) for window, until in self._blocks.items()]
        waits += [(known.reset_at - now, name) for name, known in self._windows.items() if self._in_flight >= known.remaining]
        seconds, window = max((wait for wait in waits if wait[0] <= self._patience_seconds), default=(0.0, ""))
        return (window, seconds) if seconds else None

    def _forget_the_past(self, now: float) -> None:
        self._blocks = {window: until for window, until in self._blocks.items() if until > now}
        for name, known in list(self._windows.items()):
            if known.reset_at > now:
                continue
            quota = self._quotas.get(name)
            if quota is None:
                del self._windows[name]
            else:
                # Until an answer says more, the new window is taken to begin now: the waiters do not all rush in at once.
                self._windows[name] = _Window(quota.quota, now + quota.length_seconds, is_guess=True)


def waiting_text(seconds: float, window: str) -> str:
    """Word the status line of a wait."""
    return f"waiting {math.ceil(seconds)} s for Runpod's rate limit" + (f" ({window} window)" if window else "")
