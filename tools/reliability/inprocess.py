"""A provider on an account in this process, on a clock that costs nothing: thousands of lives in minutes, each the same in every run."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import httpx

from runpod_emulator import Clock, create_app
from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.version import plugin_version
from runpod_serverless_provider.engine import Engine, EngineVoice
from runpod_serverless_provider.journal import SqliteJournal
from runpod_serverless_provider.plugin.server import Server
from runpod_serverless_provider.plugin.wiring import Wiring
from runpod_serverless_provider.resources import FUNCTIONS, RESOURCES

from .canaries import API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from runpod_serverless_provider.configuration import Configuration

_START: Final = 1_780_315_200.0  # 2026-06-01T12:00:00Z
_TURNS: Final = 8
"""So many turns of the loop let a request that was due be carried out."""


class OwnTime(Clock):
    """The emulator's clock and the provider's. It stands still until somebody passes time."""

    def __init__(self) -> None:
        super().__init__(lambda: _START)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody passes so much time."""
        until: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now() + seconds, next(self._serial), until))
        await until

    async def passing(self, seconds: float) -> None:
        """Let time pass, and what is due on the way happen when it is due."""
        end = self.now() + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, sleeper = heapq.heappop(self._sleepers)
            self.advance(max(0.0, due - self.now()))
            if not sleeper.done():
                sleeper.set_result(None)
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        self.advance(max(0.0, end - self.now()))
        await asyncio.sleep(0)


class Listener(Engine):
    """An engine that keeps what it is told to log."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    async def log(self, severity: int, message: str, urn: str, *, ephemeral: bool = False) -> None:
        """Keep it."""
        self.said.append(message)


class Account:
    """An account at the emulator, with its own time. Provider processes serve it one after the other.

    With a `directory` they keep a journal there, as they do for a stack.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.time = OwnTime()
        self.app = create_app(clock=self.time, worker_quota=1_000_000, drop_error=lambda: httpx.ReadError("hung up"))
        self.engine = Listener()
        self._directory = directory
        self._journal: SqliteJournal | None = None
        self._clients: list[Client] = []

    async def process(self, *, is_killed: bool = False) -> Server:
        """Begin another process of the provider, which wants to be configured, once the one before has ended; `is_killed`: at once."""
        if self._journal is not None:
            if not is_killed:
                await self._journal.ended()
            await self._journal.aclose()
            self._journal = None
        return Server(
            connect=self._connect,
            schema=Wiring.schema,
            version=plugin_version(),
            engine=self.engine,
            environment={"RUNPOD_API_KEY": API_KEY},
            home=Path("nowhere"),
        )

    async def _connect(self, configuration: Configuration) -> Provider:
        client = Client(
            base_url=configuration.base_url,
            api_key=configuration.api_key,
            user_agent="reliability",
            transport=httpx.ASGITransport(self.app),
            clock=self.time.now,
            wall_clock=self.time.now,
            sleep=self.time.passing,
            random=lambda: 0.5,
        )
        self._clients.append(client)
        if self._directory is not None:
            self._journal = SqliteJournal(
                self._directory,
                backend="file:///state",
                base_url=configuration.base_url,
                api_key=configuration.api_key,
                voice=EngineVoice(self.engine, "", str),
                wall_clock=self.time.now,
            )
        return Provider(RESOURCES, client, configuration.settings, FUNCTIONS, self.time.now, self._journal)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Use one of the emulator's controls."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://emulator/_emulator/") as controls:
            answer = await controls.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Give the account's own objects of a kind, in the emulator's words, as it stores them."""
        found: list[dict[str, Any]] = self.app.world.store.all(kind)
        return [one for one in found if one.get("_source") is None and "_boundTo" not in one]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._journal is not None:
            await self._journal.aclose()
        self.app.faults.forget_late_work()
        for client in self._clients:
            await client.aclose()
        self.app.world.store.close()


class Failed(Exception):
    """How an RPC failed: the status, its text, and the details that gRPC carries beside."""

    def __init__(self, code: grpc.StatusCode, text: str, details: bytes | None = None) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code, self.text, self.details = code, text, details


class _Context:
    async def abort(self, code: grpc.StatusCode, text: str, trailing: Any = ()) -> None:
        raise Failed(code, text, dict(trailing).get("grpc-status-details-bin"))


async def ask(server: Server, rpc: str, request: Any) -> Any:
    """Call one RPC without a socket; both messages are written and read as on one. Raises Failed."""
    received = type(request).FromString(request.SerializeToString())
    handler: Callable[[Any, Any], Any] = getattr(server, rpc)
    reply = await handler(received, _Context())
    return type(reply).FromString(reply.SerializeToString())
