"""What the core needs from outside, as protocols: the API and a voice to the user. Implemented in `api` and by the doors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Method = Literal["GET", "POST", "PATCH", "DELETE"]


class Voice(Protocol):
    """Where messages about one resource go. Every method swallows its own failures."""

    async def status(self, text: str) -> None:
        """Show a passing status line, not kept."""

    async def debug(self, text: str) -> None:
        """Note something for `--debug` only."""

    async def inform(self, text: str) -> None:
        """Add an informational diagnostic."""

    async def warn(self, text: str) -> None:
        """Add a warning to the diagnostics."""


class Silent:
    """A voice that says nothing."""

    async def status(self, text: str) -> None:
        """Say nothing."""

    async def debug(self, text: str) -> None:
        """Say nothing."""

    async def inform(self, text: str) -> None:
        """Say nothing."""

    async def warn(self, text: str) -> None:
        """Say nothing."""


class Api(Protocol):
    """One authenticated connection to the Runpod REST API v2."""

    @property
    def settle_seconds(self) -> float:
        """How long after a lost answer the server may still carry the request out."""

    @property
    def is_stopped(self) -> bool:
        """Is everybody asked to come to an end, so that nothing new is begun and nobody waits?"""

    async def pause(self, seconds: float) -> None:
        """Let time pass between two requests, or return at once when stopped."""

    async def request(
        self,
        method: Method,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        voice: Voice | None = None,
    ) -> Any:
        """Send one request below the API's base (`path` like `/serverless/abc`) and return the decoded body, or None for 204.

        Retries by the policy of the method; waits for rate limits and says so to `voice`.
        Raises ApiProblem, ApiUnreachable, OutcomeUnknown, NotConfigured.
        """
