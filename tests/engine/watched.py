"""An emulator whose requests are held against the API's document. Loaded only by the tests that start one."""

from __future__ import annotations

from typing import Any

from runpod_emulator.running import Running
from unit.contract import Exchange, by_schema

PROVIDER = "pulumi-runpod-serverless/"


class Watched(Running):
    """Keeps what the provider sent, also where a test clears the log."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: list[dict[str, Any]] = []

    def clear_requests(self) -> None:
        """Empty the log, which counts all the same."""
        self._kept += self.requests()
        super().clear_requests()

    def reset(self) -> None:
        """Begin anew, but for what counts."""
        self._kept += self.requests()
        super().reset()

    def violations(self) -> dict[str, list[str]]:
        """Say what of all requests since the last call the document does not allow, by request."""
        sent, self._kept = [*self._kept, *self.requests()], []
        super().clear_requests()
        wrong = {
            f"{entry['method']} {entry['path']} {entry['text']}": by_schema(
                Exchange(entry["method"], entry["path"], entry["text"].encode(), entry["query"])
            )
            for entry in sent
            if entry["userAgent"].startswith(PROVIDER)
        }
        return {request: found for request, found in wrong.items() if found}
