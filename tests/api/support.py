"""What the API's tests share: a clock that only sleeping moves, a voice that remembers, and a server that follows a script."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import httpx

from runpod_serverless_provider.api.client import Client

KEY = "rpa_T0PSECRET+KEY=="
BASE = "https://api.example"
NOON = 1_780_315_200.0  # 2026-06-01T12:00:00Z

Reply = httpx.Response | Exception | Callable[[httpx.Request], Any]


class Time:
    """A clock that sleeping moves on; everything that waits together wakes in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def wall_clock(self) -> float:
        return NOON + self.now - 1000.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        await asyncio.sleep(seconds / 1000)  # a thousand times as fast, so that sleepers wake in their order
        self.now = max(self.now, until)


class Notes:
    """A voice that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def status(self, text: str) -> None:
        self.lines.append(text)

    debug = inform = warn = status


class Script(httpx.AsyncBaseTransport):
    """A server that answers its requests with the given replies in turn, the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies: Iterable[Reply] = itertools.chain(replies, itertools.repeat(replies[-1]))
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = next(iter(self.replies))
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            return reply
        answer = reply(request)
        return await answer if isinstance(answer, Awaitable) else answer

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Method and path of every request."""
        return [(request.method, request.url.path) for request in self.requests]


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """Build an answer; header names are written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.Response(status, json={} if body is None else body, headers=named)


def client_of(transport: httpx.AsyncBaseTransport, time: Time | None = None, **options: Any) -> Client:
    """Make a client on `transport` whose backoff is the longest that jitter allows."""
    time = time or Time()
    given: Mapping[str, Any] = {
        "base_url": BASE,
        "api_key": KEY,
        "user_agent": "tests/1",
        "clock": time.clock,
        "wall_clock": time.wall_clock,
        "sleep": time.sleep,
        "random": lambda: 1.0,
    }
    return Client(transport=transport, **{**given, **options})


def run(scenario: Awaitable[Any]) -> Any:
    """Run a scenario in a loop of its own, with an end to it."""

    async def bounded() -> Any:
        return await asyncio.wait_for(scenario, 20)

    return asyncio.run(bounded())
