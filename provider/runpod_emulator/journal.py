"""The log of the API's requests, which tests read back: what was sent, and how often."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

_LONGEST = 100_000


@dataclass
class Entry:
    """One request. `at` is the simulated time in seconds since the epoch; status and `took_ms` are None without an answer."""

    seq: int
    at: float
    time: str
    method: str
    path: str
    route: str
    query: str
    text: str
    body: Any
    user_agent: str
    status: int | None = None
    took_ms: float | None = None
    retry_after: str | None = None
    fault: str | None = None

    def shown(self) -> dict[str, Any]:
        """Return the entry in the control API's form."""
        camel = {"user_agent": "userAgent", "took_ms": "tookMs", "retry_after": "retryAfter"}
        return {camel.get(name, name): value for name, value in vars(self).items()}


class Journal:
    """The requests since the last clear, in order of arrival; the oldest go once there are very many, and stay counted."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_LONGEST)
        self._counts: Counter[str] = Counter()
        self._serial = 0

    def add(self, **facts: Any) -> Entry:
        """Note a request and return its entry, so that the outcome can be filled in."""
        self._serial += 1
        entry = Entry(seq=self._serial, **facts)
        self.entries.append(entry)
        self._counts[f"{entry.method} {entry.route}"] += 1
        return entry

    def counters(self) -> dict[str, int]:
        """Count the requests by method and route."""
        return dict(self._counts)

    def clear(self) -> None:
        """Forget every request."""
        self.entries.clear()
        self._counts.clear()
