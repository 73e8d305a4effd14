"""The log of the API's requests, which tests read back: what was sent, and how often."""

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass
class Entry:
    """One request. Its status is None where the connection was dropped."""

    seq: int
    time: str
    method: str
    path: str
    route: str
    query: str
    text: str
    body: Any
    user_agent: str
    status: int | None = None
    fault: str | None = None

    def shown(self) -> dict[str, Any]:
        """Return the entry in the control API's form."""
        return {("userAgent" if name == "user_agent" else name): value for name, value in vars(self).items()}


class Journal:
    """All requests since the last clear, in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._serial = 0

    def add(self, **facts: Any) -> Entry:
        """Note a request and return its entry, so that the outcome can be filled in."""
        self._serial += 1
        entry = Entry(seq=self._serial, **facts)
        self.entries.append(entry)
        return entry

    def counters(self) -> dict[str, int]:
        """Count the requests by method and route."""
        return dict(Counter(f"{entry.method} {entry.route}" for entry in self.entries))

    def clear(self) -> None:
        """Forget every request."""
        self.entries.clear()
