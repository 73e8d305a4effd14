"""The plugin's gRPC service in this process, wired as the plugin wires it, and led as the engine leads it.

What the CLI costs is left out, so that thousands of creations fit into minutes; both sockets, to the service and to the emulator, are real.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from runpod_serverless_provider.core.version import plugin_version
from runpod_serverless_provider.engine import Engine
from runpod_serverless_provider.plugin.server import GRPC_OPTIONS, Server
from runpod_serverless_provider.plugin.wiring import Wiring

from .canaries import API_KEY
from .workspace import PACKAGE

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from runpod_serverless_provider.api.client import Timings

_SIGNATURE: Final = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
Properties = Mapping[str, Any]


def sealed(value: Any) -> Any:
    """Write `fn::secret` of YAML as secrets travel."""
    if isinstance(value, Mapping):
        if "fn::secret" in value:
            return {**_SIGNATURE, "value": value["fn::secret"]}
        return {name: sealed(item) for name, item in value.items()}
    return value


def _struct(properties: Properties) -> Struct:
    return ParseDict(dict(properties), Struct())


@dataclass(frozen=True)
class Made:
    """What the engine learns from a Create: an id, which a partial failure has too, or why there is none."""

    id: str = ""
    said: str = ""


class Service:
    """One configured provider behind a socket."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def check(
        self, kind: str, urn: str, properties: Properties, seed: bytes, *, proposed: str = "", must_be_proposed: bool = False
    ) -> dict[str, Any]:
        """Give the checked inputs of a new resource. Raises ValueError for what the check refuses.

        `proposed` is the name that the project's autonaming proposes, or prescribes where it `must_be_proposed`; without one, none is
        configured.
        """
        request = provider_pb2.CheckRequest(urn=urn, type=PACKAGE + kind, news=_struct(sealed(properties)), randomSeed=seed)
        if proposed:
            request.autonaming.proposed_name = proposed
            modes = provider_pb2.CheckRequest.AutonamingOptions
            request.autonaming.mode = modes.ENFORCE if must_be_proposed else modes.PROPOSE
        checked = await self._stub.Check(request)
        if checked.failures:
            raise ValueError("; ".join(failure.reason for failure in checked.failures))
        return MessageToDict(checked.inputs)

    async def create(self, kind: str, urn: str, inputs: Properties) -> Made:
        """Create a resource from checked inputs."""
        request = provider_pb2.CreateRequest(urn=urn, type=PACKAGE + kind, properties=_struct(inputs))
        try:
            made = await self._stub.Create(request)
        except grpc.aio.AioRpcError as problem:
            return Made(_kept_id(problem), problem.details() or str(problem.code()))
        return Made(made.id)

    async def update(self, kind: str, urn: str, id: str, inputs: Properties, news: Properties) -> None:
        """Change a resource whose outputs are as its inputs. Raises grpc.aio.AioRpcError."""
        prior = _struct(inputs)
        request = provider_pb2.UpdateRequest(id=id, urn=urn, type=PACKAGE + kind, olds=prior, old_inputs=prior, news=_struct(news))
        await self._stub.Update(request)

    async def refreshed(self, kind: str, urn: str, id: str, inputs: Properties) -> dict[str, Any]:
        """Read a resource that the state knows, and give its inputs; nothing where it is gone. Raises grpc.aio.AioRpcError."""
        prior = _struct(inputs)
        request = provider_pb2.ReadRequest(id=id, urn=urn, type=PACKAGE + kind, properties=prior, inputs=prior)
        found = await self._stub.Read(request)
        return MessageToDict(found.inputs) if found.id else {}

    async def delete(self, kind: str, urn: str, id: str, inputs: Properties) -> str:
        """Delete a resource, and give the reason where that fails."""
        properties = _struct(inputs)
        request = provider_pb2.DeleteRequest(id=id, urn=urn, type=PACKAGE + kind, properties=properties, old_inputs=properties)
        try:
            await self._stub.Delete(request)
        except grpc.aio.AioRpcError as problem:
            return problem.details() or str(problem.code())
        return ""


def _kept_id(problem: grpc.aio.AioRpcError) -> str:
    """Give the id that the engine keeps of a creation that failed, if any."""
    from google.rpc import status_pb2  # type: ignore[import-untyped]

    metadata = dict(problem.trailing_metadata() or ())
    if "grpc-status-details-bin" not in metadata:
        return ""
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    failed = provider_pb2.ErrorResourceInitFailed()
    kept: str = failed.id if any(detail.Unpack(failed) for detail in status.details) else ""
    return kept


@contextlib.asynccontextmanager
async def serving(url: str, pulumi_home: Path, **timings: Unpack[Timings]) -> AsyncIterator[Service]:
    """Serve a provider for the account at `url`, whose journal is in `pulumi_home`."""
    wiring, engine = Wiring(plugin_version(), **timings), Engine()
    servicer = Server(
        connect=wiring.connect,
        schema=wiring.schema,
        version=plugin_version(),
        engine=engine,
        stop=wiring.stop,
        environment={"RUNPOD_API_KEY": API_KEY, "RUNPOD_API_URL": url, "PULUMI_HOME": str(pulumi_home)},
        home=pulumi_home,
    )
    server = grpc.aio.server(options=GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=GRPC_OPTIONS) as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            await stub.Configure(provider_pb2.ConfigureRequest(args=Struct()))
            yield Service(stub)
    finally:
        await server.stop(0)
        await wiring.aclose()
