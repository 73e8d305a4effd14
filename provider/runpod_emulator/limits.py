"""The rate-limit policy: three fixed windows for each key, reported in the two structured header fields."""

import math
from dataclasses import dataclass

from runpod_emulator.problems import Problem
from runpod_emulator.world import World

WINDOWS_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


@dataclass
class _Window:
    opened: float
    used: int = 0


class Limits:
    """Counts the requests of each key and refuses those beyond the quota."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: dict[tuple[str, str], _Window] = {}

    def clear(self) -> None:
        """Forget every request."""
        self._windows.clear()

    def take(self, key: str) -> dict[str, str]:
        """Count one request and return the header fields, or raise the 429. Without a quota the caller is exempt."""
        settings = self._world.settings
        if settings.quota is None:
            return {}
        quotas = {"minute": settings.quota, "hour": settings.hour_quota, "day": settings.day_quota}
        now = self._world.clock.now()
        windows: dict[str, _Window] = {}
        for name, length in WINDOWS_SECONDS.items():
            window = self._windows.get((key, name))
            if window is None or now >= window.opened + length or now < window.opened:
                window = self._windows[key, name] = _Window(now)
            windows[name] = window
        waits = {name: max(1, math.ceil(windows[name].opened + length - now)) for name, length in WINDOWS_SECONDS.items()}
        exceeded = next((name for name in windows if windows[name].used >= quotas[name]), None)
        if exceeded is None:
            for window in windows.values():
                window.used += 1
        headers = {
            "RateLimit-Policy": ", ".join(f'"{name}";q={quotas[name]};w={WINDOWS_SECONDS[name]}' for name in windows),
            "RateLimit": ", ".join(
                f'"{name}";r={max(0, quotas[name] - window.used)};t={waits[name]}' for name, window in windows.items()
            ),
        }
        if exceeded is not None:
            raise Problem(
                429,
                f"rate limit exceeded for the {exceeded} window",
                headers={**headers, "Retry-After": str(waits[exceeded])},
            )
        return headers
