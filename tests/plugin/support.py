"""What the plugin's tests share: a scripted core, an engine that remembers its log, and a provider served over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from runpod_serverless_provider.configuration import Configuration
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import NoSuchType
from runpod_serverless_provider.engine import Engine
from runpod_serverless_provider.plugin import wire
from runpod_serverless_provider.plugin.server import GRPC_OPTIONS, Server

TOKEN = "runpod-serverless:index:Endpoint"
URN = f"urn:pulumi:dev::shop::{TOKEN}::llm"
PROVIDER_URN = "urn:pulumi:dev::shop::pulumi:providers:runpod-serverless::default_1_2_3"
KEY = "rpa_TOPSECRETKEY"
P = provider_pb2


def secret(value: Any) -> dict[str, Any]:
    """Mark a value as the engine marks secrets."""
    return {wire.SIGNATURE_KEY: wire.SECRET, "value": value}


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    """Write properties as they travel."""
    return ParseDict(values, struct_pb2.Struct())


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Read properties as they travelled."""
    return MessageToDict(message)


def in_file(home: Path, text: str) -> Path:
    """Write the file in which Runpod's own tools keep the key."""
    (home / ".runpod").mkdir()
    (home / ".runpod" / "config.toml").write_text(text)
    return home


class FakeCore:
    """Answers each verb with what the test put there: a value, an exception, or a coroutine function."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[Any] = []
        self.replies: list[Any] = []

    async def _answer(self, verb: str, request: Any) -> Any:
        self.requests.append(request)
        answer = self.answers[verb]
        if isinstance(answer, Exception):
            raise answer
        return await answer(request) if callable(answer) else answer

    async def check(self, request: verbs.Check) -> verbs.Checked:
        return await self._answer("check", request)

    async def diff(self, request: verbs.Diff) -> verbs.Difference:
        return await self._answer("diff", request)

    async def create(self, request: verbs.Create) -> verbs.Created:
        return await self._answer("create", request)

    async def update(self, request: verbs.Update) -> verbs.Updated:
        return await self._answer("update", request)

    async def read(self, request: verbs.Read) -> verbs.Observed | None:
        return await self._answer("read", request)

    async def delete(self, request: verbs.Delete) -> None:
        return await self._answer("delete", request)

    async def invoke(self, request: verbs.Invoke) -> verbs.Invoked:
        return await self._answer("invoke", request)

    async def list_all(self, request: verbs.List) -> list[verbs.Listed]:
        return await self._answer("list_all", request)

    def replied(self, id: str) -> None:
        self.replies.append(id)

    async def tell_abandoned(self, voice: Any) -> None:
        await voice.warn("abandoned")

    async def ended(self) -> None:
        self.replies.append("end")

    def secret_paths(self, token: str) -> frozenset[Any]:
        if token != TOKEN:
            raise NoSuchType(token)
        return frozenset({("token",)})


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """Keeps what is logged; may be slow."""

    def __init__(self, delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        self.logged: list[Any] = []

    async def Log(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(self.delay_seconds)
        self.logged.append(request)
        return empty_pb2.Empty()


@contextlib.asynccontextmanager
async def listening(engine: FakeEngine) -> AsyncIterator[str]:
    """Let an engine listen, and give its address."""
    server = grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class Served:
    """A provider behind a socket, with its engine."""

    def __init__(self, channel: Any, server: Server, engine: FakeEngine, link: Engine, connected: list[Configuration]) -> None:
        self.channel, self.server, self.engine, self.link, self.connected = channel, server, engine, link, connected
        self.stub = provider_pb2_grpc.ResourceProviderStub(channel)
        self.stops = 0

    def stop(self) -> None:
        """Count how often nothing new was to be created any more."""
        self.stops += 1


@contextlib.asynccontextmanager
async def serving(
    core: FakeCore | None = None,
    *,
    configured: bool = True,
    environment: dict[str, str] | None = None,
    home: Path = Path("/nonexistent"),
    version: str = "1.2.3",
) -> AsyncIterator[Served]:
    """Serve `core` over a real socket; configured with `KEY` unless told otherwise."""
    engine, connected = FakeEngine(), []

    async def connect(configuration: Configuration) -> FakeCore:
        connected.append(configuration)
        return core or FakeCore()

    async with listening(engine) as address:
        link = Engine(address)
        served: Served

        def stop() -> None:
            served.stop()

        servicer = Server(
            connect=connect,
            schema=lambda: '{"name":"x"}',
            version=version,
            engine=link,
            stop=stop,
            environment=environment or {},
            home=home,
        )
        server = grpc.aio.server(options=GRPC_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = [*GRPC_OPTIONS, ("grpc.max_metadata_size", 16 * 1024 * 1024)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            served = Served(channel, servicer, engine, link, connected)
            if configured:
                await served.stub.Configure(P.ConfigureRequest(args=struct({"apiKey": secret(KEY)})))
            yield served
        await server.stop(0)
        await link.close()


def run(scenario: Awaitable[Any]) -> Any:
    """Run a scenario in a loop of its own, with an end to it."""

    async def bounded() -> Any:
        return await asyncio.wait_for(scenario, 20)

    return asyncio.run(bounded())


def ask(core: FakeCore | None, rpc: str, request: Any, **options: Any) -> Any:
    """Serve `core` for one RPC, and give its answer."""

    async def scenario() -> Any:
        async with serving(core, **options) as served:
            return await getattr(served.stub, rpc)(request)

    return run(scenario())


def fail(core: FakeCore | None, rpc: str, request: Any, **options: Any) -> grpc.aio.AioRpcError:
    """Serve `core` for one RPC that must fail, and give its failure."""

    async def scenario() -> Any:
        async with serving(core, **options) as served:
            return await refused(getattr(served.stub, rpc)(request))

    return run(scenario())


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """Await an RPC that must fail."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as problem:
        return problem
    raise AssertionError(f"no failure, but {answer!r}")


def detail(problem: grpc.aio.AioRpcError, into: Any) -> Any:
    """Unpack the detail of a rich status, read by googleapis' own message."""
    from google.rpc import status_pb2

    raw = dict(problem.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(raw)
    assert status.code == problem.code().value[0]
    assert status.details[0].Unpack(into)
    return into
