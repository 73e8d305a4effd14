"""What the core needs from outside, as protocols: the API, a journal and a voice to the user. The doors wire in what implements them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Method = Literal["GET", "POST", "PATCH", "DELETE"]
BeforeSending = Callable[[str | None], Awaitable[None]]
"""Called each time a request is about to leave, with the server's `Date` of the last answer, where there was one."""


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
        before_sending: BeforeSending | None = None,
        outlasts_stop: bool = False,
    ) -> Any:
        """Send one request below the API's base (`path` like `/serverless/abc`) and return the decoded body, or None for 204.

        Retries by the policy of the method; waits for rate limits and says so to `voice`. Once stopped, nothing waits that has had no
        effect, but for a GET that `outlasts_stop`, as it tells what became of another request.
        Raises ApiProblem, ApiUnreachable, OutcomeUnknown, NotConfigured, and Refused for what was not sent, as all is stopped.
        """

    async def events(
        self, path: str, *, query: Mapping[str, str], most: int, timeout_seconds: float, voice: Voice | None = None
    ) -> list[Any]:
        """Return the decoded data of the first `most` server-sent events of a stream, or of those that come within the time.

        One GET below the API's base, not repeated. Raises ApiProblem, ApiUnreachable, NotConfigured, Refused.
        """

    async def ask_jobs(self, path: str, *, timeout_seconds: float) -> Any:
        """Ask the API that takes jobs, below a base of its own (`path` like `/abc/health`), and return the decoded body.

        One GET, not repeated, outside of the rate limit of `request`. Raises ApiProblem, ApiUnreachable, NotConfigured.
        """


SEALED: Final = "#"
"""So begins what stands for a secret name."""


@dataclass(frozen=True)
class Intent:
    """A creation that is about to be sent, as the journal keeps it.

    `path` is the kind's place in the API, `name` the name, or where that is secret what stands for it, `digest` stands for the inputs
    without a generated name, and `before` are the ids that a list taken earlier showed, None where none was taken.
    """

    urn: str
    path: str
    name: str
    is_name_generated: bool
    digest: str
    before: frozenset[str] | None = None


@dataclass(frozen=True)
class Unfinished:
    """A creation of which it is not known that a state holds what it made.

    `age_seconds` counts from its last POST, before which the server said it was `server_date`; `id` is what the answer named, if one came.
    """

    number: str
    intent: Intent
    server_date: str | None
    age_seconds: float
    id: str | None
    is_under_way: bool
    """Does another process live that sent it?"""
    is_own: bool = False
    """Did this process send it?"""
    has_this_key: bool = True
    """Was it sent with the API key of now, so that `digest` tells equal inputs?"""

    @property
    def shown_name(self) -> str:
        """The name for a message; nothing where it is secret."""
        return "" if self.intent.name.startswith(SEALED) else repr(self.intent.name)


class Journal(Protocol):
    """What outlives a killed process: the creations that it has sent. No method raises for a journal that cannot be kept."""

    @property
    def knows_owner(self) -> bool:
        """Is it known which Pulumi backend this run works for, so that an equal URN means the same resource?"""

    def digest(self, text: str) -> str:
        """Return what stands for `text`, from which nobody without the API key can tell it."""

    async def unfinished(self, urn: str) -> list[Unfinished]:
        """Return what is open for `urn` on this backend, oldest first."""

    async def abandoned(self, stack: str) -> list[Unfinished]:
        """Return what ended processes left open for resources whose URN begins with `stack`."""

    async def send(self, number: str, intent: Intent, server_date: str | None) -> None:
        """Note, before a POST leaves and so that it outlives a power cut, that it does."""

    async def created(self, number: str, id: str) -> None:
        """Note what the answer named."""

    async def take(self, number: str, id: str) -> bool:
        """Make an unfinished creation this process's own; False where it is gone, or another process was faster."""

    async def mark(self, urn: str, id: str) -> str:
        """Return a mark, greater than all before, for the entry of `urn` that a state gets for an object that is taken over.

        The state may have an entry for it already. Then that one is to be deleted, now or later, and the object is not: see `is_stale`.
        """

    async def newest_mark(self, urn: str, id: str) -> str | None:
        """Return the mark of the last takeover for `urn`."""

    async def stored(self, urn: str, id: str, mark: str) -> None:
        """Note that a state has an entry of `urn` with this mark."""

    async def claim(self, urn: str) -> None:
        """Note that this run decides about `urn` anew: until then what was taken over for it stays."""

    async def is_stale(self, urn: str, id: str, mark: str | None, *, is_planned: bool = False, is_new: bool = False) -> bool:
        """Say whether an entry with this mark is one of the past, beside which the state has, or this run makes, a newer one.

        `is_planned`: this process has planned with the entry, as is done only with the newest of a state. `is_new`: this process was asked
        to check `urn` as if nothing were there.
        """

    async def unmark(self, urn: str, id: str) -> None:
        """Forget the takeovers for `urn` of what is gone."""

    async def forget(self, number: str) -> None:
        """Drop a creation that made nothing, or whose object is gone."""

    async def named(self, urn: str, id: str, name: str | None) -> None:
        """Drop a creation because the engine names what it made, which so is in a state, be it of another URN by now.

        `name`, where it is a generated one, tells it where no answer told the id.
        """

    def replied(self, id: str) -> None:
        """Note that the engine was told the id."""

    async def ended(self) -> None:
        """Drop the creations that the engine was told of, which ends the run in order and so has stored them."""


class NoJournal:
    """A journal that keeps nothing."""

    knows_owner = False

    def digest(self, text: str) -> str:
        """Keep nothing."""
        return ""

    async def unfinished(self, urn: str) -> list[Unfinished]:
        """Keep nothing."""
        return []

    async def abandoned(self, stack: str) -> list[Unfinished]:
        """Keep nothing."""
        return []

    async def send(self, number: str, intent: Intent, server_date: str | None) -> None:
        """Keep nothing."""

    async def created(self, number: str, id: str) -> None:
        """Keep nothing."""

    async def take(self, number: str, id: str) -> bool:
        """Keep nothing."""
        return False

    async def mark(self, urn: str, id: str) -> str:
        """Keep nothing."""
        return ""

    async def newest_mark(self, urn: str, id: str) -> str | None:
        """Keep nothing."""
        return None

    async def stored(self, urn: str, id: str, mark: str) -> None:
        """Keep nothing."""

    async def claim(self, urn: str) -> None:
        """Keep nothing."""

    async def is_stale(self, urn: str, id: str, mark: str | None, *, is_planned: bool = False, is_new: bool = False) -> bool:
        """Keep nothing."""
        return False

    async def unmark(self, urn: str, id: str) -> None:
        """Keep nothing."""

    async def forget(self, number: str) -> None:
        """Keep nothing."""

    async def named(self, urn: str, id: str, name: str | None) -> None:
        """Keep nothing."""

    def replied(self, id: str) -> None:
        """Keep nothing."""

    async def ended(self) -> None:
        """Keep nothing."""
