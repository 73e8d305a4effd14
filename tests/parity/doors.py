"""Three ways to the same resources, each led by the calls that the engine makes: the core, the gRPC service, and `pulumi.dynamic`.

Properties are in the engine's own form here: plain JSON in which a secret is an object with a signature.
"""

from __future__ import annotations

import base64
import copy
import importlib.util
import os
import pickle
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from types import ModuleType
from typing import Any, Final, TypeVar

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from pulumi_runpod_serverless.dynamic import NAME_KEY, PROVIDER_KEY, SECRETS_KEY, STACK_KEY, process
from pulumi_runpod_serverless.dynamic.provider import RunpodProvider
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import CreatedButFailed, ProviderFailure
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.values import Path
from runpod_serverless_provider.engine import Engine
from runpod_serverless_provider.plugin.server import GRPC_OPTIONS, Server
from runpod_serverless_provider.plugin.wire import decode, encode
from runpod_serverless_provider.signatures import SECRET, SIGNATURE_KEY
from unit.support import PACKAGE, World, world_of

P: Final = provider_pb2
KEY: Final = "rpa_of_the_test"
_Answer = TypeVar("_Answer")
Properties = dict[str, Any]


def secret(value: Any) -> Properties:
    """Mark a value as secret."""
    return {SIGNATURE_KEY: SECRET, "value": value}


def plain(value: Any) -> Any:
    """Take secrets for what they hold."""
    if isinstance(value, Mapping):
        return plain(value["value"]) if SIGNATURE_KEY in value else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def holds_secret(value: Any) -> bool:
    """Say whether a value is or holds a secret."""
    if isinstance(value, Mapping):
        return SIGNATURE_KEY in value or any(map(holds_secret, value.values()))
    return isinstance(value, list) and any(map(holds_secret, value))


def struct(properties: Mapping[str, Any]) -> Struct:
    """Write properties as they travel."""
    return ParseDict(dict(properties), Struct())


@dataclass(frozen=True)
class Plan:
    """What the engine learns from Diff: `same`, `update` or `replace`, and the top-level properties for which it replaces."""

    op: str
    replaces: tuple[str, ...] = ()


class Unfinished(Exception):
    """What the engine learns of a resource that exists although it failed: it keeps it, and its next plan is an update at the least."""

    def __init__(self, id: str, outputs: Properties, reasons: Iterable[str]) -> None:
        super().__init__("; ".join(reasons))
        self.id, self.outputs, self.reasons = id, outputs, tuple(reasons)

    @classmethod
    def told(cls, metadata: Any) -> Unfinished | None:
        """Read it from the details of a failure; None where there are none."""
        raw = dict(metadata or ()).get("grpc-status-details-bin")
        found = provider_pb2.ErrorResourceInitFailed()
        if raw is None or not status_pb2.Status.FromString(raw).details[0].Unpack(found):
            return None
        return cls(found.id, MessageToDict(found.properties), found.reasons)


class Door:
    """One way to the resources of a world. `secrets` of a program are marked in its properties."""

    def __init__(self, world: World) -> None:
        self.world = world

    def close(self) -> None:
        """Leave."""

    def check(self, token: str, name: str, olds: Properties, news: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        """Give checked inputs, and each failure as the property that the CLI prints, and its reason."""
        raise NotImplementedError

    def diff(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Plan:
        raise NotImplementedError

    def create(self, token: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        raise NotImplementedError

    def update(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Properties:
        raise NotImplementedError

    def read(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> tuple[Properties, Properties] | None:
        """Give outputs and inputs; None where there is nothing any more."""
        raise NotImplementedError

    def delete(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> None:
        raise NotImplementedError


def _urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::parity::{token}::{name}"


def _opened(properties: Properties) -> tuple[Properties, frozenset[Path]]:
    return decode(struct(properties))


def _sealed(values: Mapping[str, Any], secrets: frozenset[Path]) -> Properties:
    return MessageToDict(encode(values, frozenset(path[:1] for path in secrets), allow_unknown=True))


class CoreDoor(Door):
    """Calls the core's verbs."""

    def check(self, token: str, name: str, olds: Properties, news: Properties) -> Any:
        given, secrets = _opened(news)
        request = verbs.Check(token, name, _opened(olds)[0], given, secrets, b"seed", voice=self.world.notes)
        checked = self.world.run(self.world.provider.check(request))
        failures = [(str(failure.path[0]) if failure.path else "", failure.text) for failure in checked.failures]
        return MessageToDict(encode(checked.inputs, secrets, allow_unknown=True)), failures

    def diff(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Plan:
        planned, secrets = _opened(news)
        request = verbs.Diff(
            token, id, _opened(outputs)[0], _opened(inputs)[0], planned, _urn(token, name), secrets, voice=self.world.notes
        )
        changes = self.world.run(self.world.provider.diff(request)).changes
        replaces = {str(change.path[0]) for change in changes if change.kind.value.endswith("replace")}
        return _plan(bool(changes), replaces)

    def create(self, token: str, name: str, inputs: Properties) -> Any:
        given, secrets = _opened(inputs)
        request = verbs.Create(token, _urn(token, name), given, secrets, voice=self.world.notes)
        created = self._surely(self.world.provider.create(request))
        return created.id, _sealed(created.outputs, created.secrets)

    def update(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Any:
        (prior, known), (given, secrets) = _opened(outputs), _opened(news)
        request = verbs.Update(
            token, _urn(token, name), id, prior, _opened(inputs)[0], given, secrets | known, voice=self.world.notes
        )
        updated = self._surely(self.world.provider.update(request))
        return _sealed(updated.outputs, updated.secrets)

    def _surely(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.world.run(work)
        except CreatedButFailed as problem:
            raise Unfinished(problem.id, _sealed(problem.outputs, problem.secrets), problem.reasons) from None

    def read(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> Any:
        given, secrets = _opened(inputs)
        request = verbs.Read(token, _urn(token, name), id, given, _opened(outputs)[0], secrets, voice=self.world.notes)
        observed = self.world.run(self.world.provider.read(request))
        if observed is None:
            return None
        return _sealed(observed.outputs, observed.secrets), _sealed(observed.inputs, observed.secrets)

    def delete(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> None:
        request = verbs.Delete(token, _urn(token, name), id, _opened(outputs)[0], _opened(inputs)[0], voice=self.world.notes)
        self.world.run(self.world.provider.delete(request))


def _plan(is_some: bool, replaces: Any) -> Plan:
    return Plan("replace" if is_some and replaces else "update" if is_some else "same", tuple(sorted(replaces)))


class GrpcDoor(Door):
    """Serves the plugin's service on a socket, and calls it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)

        async def connect(configuration: object) -> Any:
            return world.provider

        servicer = Server(
            connect=connect,
            schema=str,
            version="1.2.3",
            engine=Engine(),
            stop=lambda: None,
            environment={"RUNPOD_API_KEY": KEY, "PULUMI_HOME": os.environ["PULUMI_HOME"]},
            home=FilePath("/nonexistent"),
        )
        world.run(self._start(servicer))
        self.call("Configure", P.ConfigureRequest(args=Struct()))

    async def _start(self, servicer: Server) -> None:
        self._server = grpc.aio.server(options=GRPC_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def close(self) -> None:
        self.world.run(self._channel.close())
        self.world.run(self._server.stop(0))

    def call(self, rpc: str, request: Any) -> Any:
        """Call one RPC."""

        async def asked() -> Any:
            try:
                return await getattr(self._stub, rpc)(request)
            except grpc.aio.AioRpcError as problem:
                raise Unfinished.told(problem.trailing_metadata()) or problem from None

        return self.world.run(asked())

    def check(self, token: str, name: str, olds: Properties, news: Properties) -> Any:
        request = P.CheckRequest(urn=_urn(token, name), olds=struct(olds), news=struct(news), randomSeed=b"seed")
        checked = self.call("Check", request)
        return MessageToDict(checked.inputs), [(failure.property, failure.reason) for failure in checked.failures]

    def answer(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Any:
        """Give what Diff answers, whole."""
        return self.call(
            "Diff",
            P.DiffRequest(urn=_urn(token, name), id=id, olds=struct(outputs), old_inputs=struct(inputs), news=struct(news)),
        )

    def diff(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Plan:
        found = self.answer(token, name, id, outputs, inputs, news)
        assert found.changes in (P.DiffResponse.DIFF_NONE, P.DiffResponse.DIFF_SOME)
        return _plan(found.changes == P.DiffResponse.DIFF_SOME, found.replaces)

    def create(self, token: str, name: str, inputs: Properties) -> Any:
        created = self.call("Create", P.CreateRequest(urn=_urn(token, name), properties=struct(inputs)))
        return created.id, MessageToDict(created.properties)

    def update(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Any:
        request = P.UpdateRequest(urn=_urn(token, name), id=id, olds=struct(outputs), old_inputs=struct(inputs), news=struct(news))
        return MessageToDict(self.call("Update", request).properties)

    def read(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> Any:
        request = P.ReadRequest(urn=_urn(token, name), id=id, properties=struct(outputs), inputs=struct(inputs))
        found = self.call("Read", request)
        return (MessageToDict(found.properties), MessageToDict(found.inputs)) if found.id else None

    def delete(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> None:
        request = P.DeleteRequest(urn=_urn(token, name), id=id, properties=struct(outputs), old_inputs=struct(inputs))
        self.call("Delete", request)


class Aborted(Exception):
    """What an RPC of the dynamic provider is aborted with."""


class _Context:
    def __init__(self) -> None:
        self._metadata: Any = ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        self._metadata = metadata

    def abort(self, code: Any, text: str) -> None:
        raise Unfinished.told(self._metadata) or Aborted(text)

    def set_code(self, code: Any) -> None: ...

    def set_details(self, text: str) -> None: ...


def servicer_module() -> ModuleType:
    """Load `pulumi.dynamic.__main__` without its last line, which serves for ever."""
    spec = importlib.util.find_spec("pulumi.dynamic")
    assert spec is not None and spec.origin is not None
    file = FilePath(spec.origin).with_name("__main__.py")
    source, count = re.subn(r"^main\(\)\s*\Z", "", file.read_text(), flags=re.MULTILINE)
    assert count == 1
    module = ModuleType("dynamic_servicer")
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module


def blob_of(token: str, protocol: int = 4) -> str:
    """Pickle the provider of a type."""
    return base64.b64encode(pickle.dumps(RunpodProvider(token), protocol)).decode()


def registered(token: str, name: str, properties: Properties) -> Properties:
    """Give the properties that the SDK's class registers."""
    told = []
    for key, value in properties.items():
        if holds_secret(value):
            parts = value if isinstance(value, Mapping) and SIGNATURE_KEY not in value else {}
            told += [[key, part] for part, inner in parts.items() if holds_secret(inner)] or [[key]]
    return {**properties, PROVIDER_KEY: secret(blob_of(token)), NAME_KEY: name, STACK_KEY: "dev::app", SECRETS_KEY: told}


def annotate(outs: Properties, ins: Properties) -> Properties:
    """Copy secretness by name, as the engine does for providers that know nothing of secrets (`annotateSecrets`)."""
    marked = dict(outs)
    for key, given in ins.items():
        if key not in outs:
            continue
        is_map = [isinstance(value, Mapping) and SIGNATURE_KEY not in value for value in (outs[key], given)]
        if all(is_map):
            marked[key] = annotate(outs[key], given)
        elif holds_secret(given) and not (isinstance(outs[key], Mapping) and SIGNATURE_KEY in outs[key]):
            marked[key] = secret(outs[key])
    return marked


class DynamicDoor(Door):
    """Calls Pulumi's own servicer of dynamic providers; what the engine does for such providers is done here."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._servicer = servicer_module().DynamicResourceProviderServicer()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(process, "_CURRENT", InProcess(world))
        self.call("Configure", P.ConfigureRequest(args=Struct()))

    def close(self) -> None:
        self._patch.undo()

    def call(self, rpc: str, request: Any) -> Any:
        """Call one RPC."""
        return getattr(self._servicer, rpc)(request, _Context())

    def check(self, token: str, name: str, olds: Properties, news: Properties) -> Any:
        if PROVIDER_KEY not in news:
            news = registered(token, name, news)
        checked = self.call("Check", P.CheckRequest(olds=struct(plain(olds)), news=struct(plain(news))))
        failures = [(failure.property, failure.reason) for failure in checked.failures]
        return annotate(MessageToDict(checked.inputs), news), failures

    def answer(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Any:
        """Give what Diff answers, whole."""
        return self.call("Diff", P.DiffRequest(id=id, olds=struct(plain(outputs)), news=struct(plain(news))))

    def diff(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Plan:
        found = self.answer(token, name, id, outputs, inputs, news)
        assert found.changes in (P.DiffResponse.DIFF_NONE, P.DiffResponse.DIFF_SOME)
        return _plan(found.changes == P.DiffResponse.DIFF_SOME, found.replaces)

    def create(self, token: str, name: str, inputs: Properties) -> Any:
        created = self._marked(inputs, "Create", P.CreateRequest(properties=struct(plain(inputs))))
        return created.id, annotate(MessageToDict(created.properties), inputs)

    def update(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties, news: Properties) -> Any:
        request = P.UpdateRequest(id=id, olds=struct(plain(outputs)), news=struct(plain(news)))
        return annotate(MessageToDict(self._marked(news, "Update", request).properties), news)

    def _marked(self, inputs: Properties, rpc: str, request: Any) -> Any:
        try:
            return self.call(rpc, request)
        except Unfinished as problem:
            raise Unfinished(problem.id, annotate(problem.outputs, inputs), problem.reasons) from None

    def read(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> Any:
        request = P.ReadRequest(id=id, properties=struct(plain(outputs)), inputs=struct(plain(inputs)))
        found = self.call("Read", request)
        if not found.id:
            return None
        return annotate(MessageToDict(found.properties), outputs), annotate(MessageToDict(found.inputs), inputs)

    def delete(self, token: str, name: str, id: str, outputs: Properties, inputs: Properties) -> None:
        self.call("Delete", P.DeleteRequest(id=id, properties=struct(plain(outputs))))


class InProcess:
    """What the dynamic resources share, on the world's own loop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.engine = Engine()
        self.api_keys = {KEY}
        self.configured: Any = None

    def configure(self, config: Any) -> None:
        self.configured = config

    @property
    def core(self) -> Provider:
        return self._world.provider

    def run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        found: _Answer = self._world.run(work)
        return found


DOORS: Final = {"core": CoreDoor, "grpc": GrpcDoor, "dynamic": DynamicDoor}


@dataclass
class Life:
    """One resource in one state file, led as the engine leads it; through `door`, which may change.

    A resource that is replaced on a move is deleted by the door that it leaves: its state names that provider.
    """

    door: Door
    kind: str
    name: str = "x"
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    owner: Door | None = None
    unfinished: tuple[str, ...] = ()
    """Why the last create or update did not finish."""

    @property
    def token(self) -> str:
        return PACKAGE + self.kind

    def check(self, program: Properties) -> Any:
        return self.door.check(self.token, self.name, self.inputs, copy.deepcopy(program))

    def checked(self, program: Properties) -> Properties:
        inputs, failures = self.check(program)
        assert failures == []
        return dict(inputs)

    def plan(self, program: Properties) -> Plan:
        return self.diff(self.checked(program))

    def diff(self, news: Properties) -> Plan:
        return self.door.diff(self.token, self.name, self.id, self.outputs, self.inputs, news)

    def up(self, program: Properties) -> Plan:
        """Bring it to what the program states; a replacement creates before it deletes."""
        owner, self.owner = self.owner or self.door, self.door
        is_due, self.unfinished = bool(self.unfinished), ()
        if not self.id:
            self._create(program)
            return Plan("create")
        news = self.checked(program)
        plan = self.diff(news)
        if plan.op == "same" and is_due:
            plan = Plan("update")
        if plan.op == "replace":
            old = replace(self, door=owner)
            self.inputs = {}
            self._create(program)
            old.destroy()
            return plan
        if plan.op == "update":
            try:
                self.outputs = self.door.update(self.token, self.name, self.id, self.outputs, self.inputs, news)
            except Unfinished as problem:
                self.outputs, self.unfinished = problem.outputs, problem.reasons
        self.inputs = news
        return plan

    def _create(self, program: Properties) -> None:
        self.inputs = self.checked(program)
        try:
            self.id, self.outputs = self.door.create(self.token, self.name, self.inputs)
        except Unfinished as problem:
            self.id, self.outputs, self.unfinished = problem.id, problem.outputs, problem.reasons

    def refresh(self) -> Plan:
        """Take what is there into the state, and give the drift that `pulumi refresh` shows."""
        found = self.door.read(self.token, self.name, self.id, self.outputs, self.inputs)
        if found is None:
            self.id, self.inputs, self.outputs = "", {}, {}
            return Plan("delete")
        before = self.inputs
        self.outputs, self.inputs = found
        return self.diff(before)

    def destroy(self) -> str:
        """Delete it, and give the reason where that is refused."""
        return refusal(lambda: self.door.delete(self.token, self.name, self.id, self.outputs, self.inputs))

    @property
    def shown(self) -> Properties:
        """Give the outputs that a program sees."""
        return {name: value for name, value in plain(self.outputs).items() if not name.startswith("__") and value is not None}

    @property
    def hidden(self) -> set[str]:
        """Give the names of the outputs that are or hold a secret."""
        return {name for name, value in self.outputs.items() if holds_secret(value) and not name.startswith("__")}


def refusal(work: Callable[[], Any]) -> str:
    """Give the text with which `work` fails, without what each door puts before it, or knows alone; empty where it succeeds."""
    try:
        work()
    except ProviderFailure as problem:
        return str(problem)
    except grpc.aio.AioRpcError as problem:
        return re.sub(r"^\S+ '\w+': ?| --target '\S+'", "", problem.details() or "")
    except Aborted as problem:
        last = str(problem).strip().splitlines()[-1]
        return re.sub(r"^[\w.]+\.RunpodError: \w+ '\w+': ", "", last)
    return ""


@contextmanager
def behind(kind: str) -> Iterator[Door]:
    """Give a door to a world of its own."""
    with world_of() as world, entered(kind, world) as door:
        yield door


@contextmanager
def entered(kind: str, world: World) -> Iterator[Door]:
    """Give a door to a world."""
    door = DOORS[kind](world)
    try:
        yield door
    finally:
        door.close()


def requests(world: World) -> list[tuple[str, str, str, Any]]:
    """Give all requests since `world.forget()`."""
    return [(one.method, one.path, one.query, one.body) for one in world.recent]
