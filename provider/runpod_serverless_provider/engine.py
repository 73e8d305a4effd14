"""The way back to the engine: its log, from which users see messages, and its health. Failures here never fail the work."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio

from .proto import engine_pb2, engine_pb2_grpc

_LOG: Final = logging.getLogger(__name__)
_LOG_TIMEOUT_SECONDS: Final = 2.0
_STATUS_INTERVAL_SECONDS: Final = 1.0
_HEALTH_TIMEOUT_SECONDS: Final = 2.0
_MESSAGE_LIMIT: Final = 64 * 1024


class Engine:
    """A connection to the engine; there may be none (attach mode before Attach), then nothing is said and nobody is missed."""

    def __init__(self, address: str | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel: grpc.aio.Channel | None = None
        self._log_stub: engine_pb2_grpc.EngineStub | None = None
        self._clock = clock
        self._last_status: dict[str, float] = {}
        self._address = address or ""

    @property
    def address(self) -> str:
        """Where the engine listens; empty when that is not known."""
        return self._address

    @property
    def run(self) -> str:
        """What tells this run from others, the same in each process that serves it; empty when that is not known."""
        return f"{self._address} {os.getppid()}" if self._address else ""  # a port alone comes again

    async def connect(self, address: str) -> None:
        """Talk to the engine at `address` from now on."""
        if address and address != self._address:
            self._address = address
            await self.close()

    async def close(self) -> None:
        """Close the channel; the next message opens it again."""
        channel, self._channel, self._log_stub = self._channel, None, None
        if channel is not None:
            await channel.close()

    def _open(self) -> grpc.aio.Channel | None:
        # Opened late: gRPC channels belong to the running event loop.
        if self._channel is None and self._address:
            self._channel = grpc.aio.insecure_channel(self._address)
            self._log_stub = engine_pb2_grpc.EngineStub(self._channel)  # type: ignore[no-untyped-call, unused-ignore]
        return self._channel

    async def log(self, severity: int, message: str, urn: str, *, ephemeral: bool = False) -> None:
        """Send one message about `urn`. Nothing is raised: the engine may be gone while the work goes on."""
        try:
            if self._open() is None or self._log_stub is None:
                return
            request = engine_pb2.LogRequest(message=message[:_MESSAGE_LIMIT], urn=urn, ephemeral=ephemeral)
            request.severity = severity  # type: ignore[assignment, unused-ignore]
            await self._log_stub.Log(request, timeout=_LOG_TIMEOUT_SECONDS)  # type: ignore[misc, unused-ignore]
        except Exception as problem:  # noqa: BLE001 - a lost message must not fail the work
            _LOG.debug("a message did not reach the engine: %s", type(problem).__name__)

    def may_show_status(self, urn: str) -> bool:
        """Say whether a status line for `urn` is due; the engine redraws its display for each."""
        now = self._clock()
        last = self._last_status.get(urn)
        if last is not None and now - last < _STATUS_INTERVAL_SECONDS:
            return False
        self._last_status[urn] = now
        return True

    async def is_alive(self) -> bool:
        """Ask the engine's health service. Any answer is life, also that there is no such service; so is slowness (a debugger)."""
        channel = self._open()
        if channel is None:
            return True
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=lambda empty: empty, response_deserializer=lambda answer: answer
        )
        try:
            await check(b"", timeout=_HEALTH_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as problem:
            return problem.code() is not grpc.StatusCode.UNAVAILABLE
        return True


class EngineVoice:
    """Speaks about one resource through the engine's log, without its secrets."""

    def __init__(self, engine: Engine, urn: str, redact: Callable[[str], str]) -> None:
        self._engine = engine
        self._urn = urn
        self._redact = redact

    async def status(self, text: str) -> None:
        """Show a passing status line, at most one a second for a resource."""
        if self._engine.may_show_status(self._urn):
            await self._engine.log(engine_pb2.INFO, self._redact(text), self._urn, ephemeral=True)

    async def debug(self, text: str) -> None:
        """Note something for `--debug` only."""
        await self._engine.log(engine_pb2.DEBUG, self._redact(text), self._urn)

    async def inform(self, text: str) -> None:
        """Add an informational diagnostic."""
        await self._engine.log(engine_pb2.INFO, self._redact(text), self._urn)

    async def warn(self, text: str) -> None:
        """Add a warning to the diagnostics."""
        await self._engine.log(engine_pb2.WARNING, self._redact(text), self._urn)
