"""An emulator whose requests are held against the API's document, and against what the command may do that sends them.

Loaded only by the tests that start one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from runpod_emulator.running import Running
from unit.contract import Exchange, by_schema

PROVIDER = "pulumi-runpod-serverless/"


class Watched(Running):
    """Keeps what the provider sent, also where a test clears the log."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: list[dict[str, Any]] = []
        self._written: dict[str, list[str]] = {}

    def clear_requests(self) -> None:
        """Empty the log, which counts all the same."""
        self._kept += self.requests()
        super().clear_requests()

    def reset(self) -> None:
        """Begin anew, but for what counts."""
        self._kept += self.requests()
        super().reset()

    @contextlib.contextmanager
    def looked_at(self, command: str) -> Iterator[None]:
        """Count each request as a violation that changes anything while a command runs that only looks."""
        before = len(self._kept) + len(self.requests())
        yield
        for entry in [*self._kept, *self.requests()][before:]:
            if entry["method"] != "GET" and entry["userAgent"].startswith(PROVIDER):
                self._written.setdefault(f"{entry['method']} {entry['path']}", []).append(f"{command} must only look")

    def violations(self) -> dict[str, list[str]]:
        """Say what of all requests since the last call was not allowed, by request."""
        sent, self._kept = [*self._kept, *self.requests()], []
        written, self._written = self._written, {}
        super().clear_requests()
        wrong = {
            f"{entry['method']} {entry['path']} {entry['text']}": by_schema(
                Exchange(entry["method"], entry["path"], entry["text"].encode(), entry["query"])
            )
            for entry in sent
            if entry["userAgent"].startswith(PROVIDER)
        }
        return written | {request: found for request, found in wrong.items() if found}
