"""The rate-limit policy: three fixed windows for the account, reported in the two structured header fields."""

import math
from dataclasses import dataclass

from runpod_emulator.problems import Problem
from runpod_emulator.world import World


@dataclass
class Window:
    """One window: what it grants, and what was used of it since it opened."""

    name: str
    quota: int
    length_seconds: int
    opened: float
    used: int = 0

    @property
    def remaining(self) -> int:
        """Return how many requests are left."""
        return max(0, self.quota - self.used)

    def reset_seconds(self, now: float) -> int:
        """Return the seconds until it begins anew, rounded up."""
        return max(1, math.ceil(self.opened + self.length_seconds - now))


class Limits:
    """Counts the account's requests, whatever key they carry, and refuses those beyond the quota."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: list[Window] = []

    def clear(self) -> None:
        """Forget every request."""
        self._windows.clear()

    def windows(self) -> list[Window]:
        """Return the windows as they are now; none without a quota."""
        settings, now = self._world.settings, self._world.clock.now()
        if settings.quota is None:
            return []
        if not self._windows:
            self._windows = [
                Window("minute", settings.quota, settings.minute_seconds, now),
                Window("hour", settings.hour_quota, settings.hour_seconds, now),
                Window("day", settings.day_quota, settings.day_seconds, now),
            ]
        for window in self._windows:
            if not window.opened <= now < window.opened + window.length_seconds:
                window.opened, window.used = now, 0
        return self._windows

    def take(self) -> dict[str, str]:
        """Count one request and return the header fields, or raise the 429. Without a quota the caller is exempt."""
        windows = self.windows()
        if not windows:
            return {}
        now = self._world.clock.now()
        exhausted = [window for window in windows if not window.remaining]
        if not exhausted:
            for window in windows:
                window.used += 1
        headers = {
            "RateLimit-Policy": ", ".join(f'"{window.name}";q={window.quota};w={window.length_seconds}' for window in windows),
            "RateLimit": ", ".join(f'"{window.name}";r={window.remaining};t={window.reset_seconds(now)}' for window in windows),
        }
        if exhausted:
            longest = max(exhausted, key=lambda window: window.reset_seconds(now))
            wait = {"Retry-After": str(longest.reset_seconds(now))}
            raise Problem(429, f"rate limit exceeded for the {longest.name} window", headers={**headers, **wait})
        return headers
