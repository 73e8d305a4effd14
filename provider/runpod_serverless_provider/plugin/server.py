"""The gRPC face of the provider: each RPC is decoded, handed to the core, and its answer encoded. What to do is decided in the core."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final, Protocol, TypeVar

import grpc
import grpc.aio

from ..core import verbs
from ..core.failures import CheckFailed, CreatedButFailed, Failure, NotConfigured
from ..core.values import Path, contains_unknown, render_path
from . import configuration as config
from .proto import Empty, Struct, plugin_pb2, provider_pb2, provider_pb2_grpc
from .redaction import Redactor, secret_texts
from .status import NotOffered, Status, Stopping, Unsupported, init_failed_details, pack_status, shorten, translate
from ..core.version import DISTRIBUTION
from .voice import Engine, EngineVoice
from .wire import decode, encode, is_secret_within, trace

_LOG: Final = logging.getLogger(__name__)

MESSAGE_LIMIT_BYTES: Final = 400 * 1024 * 1024
GRPC_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.server_max_unrequested_time_in_server", 1800),
    ("grpc.so_reuseport", 0),
)

_KINDS: Final = {
    verbs.Kind.ADD: provider_pb2.PropertyDiff.ADD,
    verbs.Kind.DELETE: provider_pb2.PropertyDiff.DELETE,
    verbs.Kind.UPDATE: provider_pb2.PropertyDiff.UPDATE,
    verbs.Kind.ADD_REPLACE: provider_pb2.PropertyDiff.ADD_REPLACE,
    verbs.Kind.DELETE_REPLACE: provider_pb2.PropertyDiff.DELETE_REPLACE,
    verbs.Kind.UPDATE_REPLACE: provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_REPLACING: Final = frozenset({verbs.Kind.ADD_REPLACE, verbs.Kind.DELETE_REPLACE, verbs.Kind.UPDATE_REPLACE})


class Core(Protocol):
    """What this door asks of `core.provider.Provider`."""

    async def check(self, request: verbs.Check) -> verbs.Checked:
        """Validate inputs and resolve defaults."""

    async def diff(self, request: verbs.Diff) -> verbs.Difference:
        """Plan."""

    async def create(self, request: verbs.Create) -> verbs.Created:
        """Create a resource."""

    async def update(self, request: verbs.Update) -> verbs.Updated:
        """Change a resource."""

    async def read(self, request: verbs.Read) -> verbs.Observed | None:
        """Observe a resource; None when it is gone."""

    async def delete(self, request: verbs.Delete) -> None:
        """Delete a resource."""

    def secret_paths(self, token: str) -> frozenset[Path]:
        """The properties that the schema calls secret."""


Connect = Callable[[config.Configuration], Core]
_Answer = TypeVar("_Answer")


@dataclass
class Matter:
    """One RPC about one resource: who it is about, and what must not be said about it."""

    urn: str
    token: str
    name: str
    redact: Redactor
    voice: EngineVoice
    schema_secrets: frozenset[Path] = frozenset()
    inputs: Struct | None = None
    secrets: frozenset[Path] = field(default_factory=frozenset)

    @property
    def subject(self) -> str:
        """The resource as the user knows it, to begin an error with."""
        return f"{self.token} {self.name!r}" if self.token else ""

    def decode(self, struct: Struct) -> tuple[dict[str, Any], frozenset[Path]]:
        """Decode, and hide the secrets met from everything said during this call."""
        values, secrets = decode(struct)
        self.redact.add(secret_texts(values, secrets | self.schema_secrets))
        return values, secrets


def _about(urn: str, token: str, name: str) -> tuple[str, str]:
    """Give type and name, from the URN where an old engine does not send them (`urn:pulumi:stack::project::parent$type::name`)."""
    parts = urn.split("::", 3)
    if len(parts) == 4:
        return token or parts[2].rsplit("$", 1)[-1], name or parts[3]
    return token, name


def _rpc(
    method: Callable[[Server, Matter, Any], Awaitable[_Answer]],
) -> Callable[[Server, Any, Any], Coroutine[Any, Any, _Answer]]:
    """Turn every failure of an RPC into a status that is typed, names the resource and holds no secret; nothing escapes as it is."""

    @functools.wraps(method)
    async def handle(self: Server, request: Any, context: Any) -> _Answer:
        call = self.call_for(request)
        try:
            return await method(self, call, request)
        except Exception as problem:  # noqa: BLE001 - the last line of defence
            status = self.status_of(problem, call)
        await context.abort(status.code, status.message, status.trailing_metadata)
        raise AssertionError("abort always raises")

    return handle


class Server(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the engine. `connect` is called at Configure and makes the core from the resolved configuration."""

    def __init__(
        self,
        *,
        connect: Connect,
        schema: Callable[[], str],
        version: str,
        engine: Engine,
        environment: Mapping[str, str] | None = None,
        home: FilePath | None = None,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._version = version
        self._engine = engine
        self._environment = os.environ if environment is None else environment
        self._home = home
        self._core: Core | None = None
        self._api_keys: set[str] = set()
        self._mutations: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    # -- shared by all RPCs

    def call_for(self, request: Any) -> Matter:
        """Say who `request` is about."""
        urn = getattr(request, "urn", "")
        token, name = _about(urn, getattr(request, "type", ""), getattr(request, "name", ""))
        redact = Redactor(self._api_keys)
        try:
            hidden = self._schema_secrets(token)
        except Exception:  # noqa: BLE001 - the RPC itself says what is wrong
            hidden = frozenset()
        return Matter(
            urn=urn, token=token, name=name, redact=redact, voice=EngineVoice(self._engine, urn, redact), schema_secrets=hidden
        )

    def redact(self, text: str) -> str:
        """Remove what is secret for the whole process: the API keys."""
        return Redactor(self._api_keys)(text)

    def status_of(self, problem: Exception, call: Matter) -> Status:
        """Translate `problem`; even a failure of the translation becomes a status."""
        try:
            if isinstance(problem, CreatedButFailed):
                return self._init_failed(problem, call)
            status = translate(problem, call.subject)
            if status.code is grpc.StatusCode.INTERNAL:
                _LOG.error("%s failed with %s", call.redact(call.subject) or "an RPC", type(problem).__name__)
                _LOG.debug("%s", "".join(traceback.format_tb(problem.__traceback__)))
            return Status(status.code, call.redact(status.message), status.details)
        except Exception as second:  # noqa: BLE001 - the last line of defence
            kinds = f"{type(problem).__name__}, then {type(second).__name__}"
            return Status(
                grpc.StatusCode.INTERNAL, f"internal error ({kinds}); this is a bug in {DISTRIBUTION}, please report it"
            )

    def _init_failed(self, problem: CreatedButFailed, call: Matter) -> Status:
        """Keep the id whatever happens: without it the resource runs on, paid for and unmanaged."""
        reasons = [call.redact(reason) for reason in problem.reasons if reason] or ["its creation did not finish"]
        failed = provider_pb2.ErrorResourceInitFailed(id=problem.id, reasons=reasons)
        secrets = call.secrets | getattr(problem, "secrets", frozenset())
        failed.properties.CopyFrom(self._encode_surely(problem.outputs, secrets, call))
        if call.inputs is not None:  # only a Read's inputs count
            given = problem.inputs
            failed.inputs.CopyFrom(self._encode_surely(given, secrets, call) if given else call.inputs)
        message = shorten(call.redact(f"{call.subject}: {'; '.join(reasons)}"))
        details = pack_status(grpc.StatusCode.UNKNOWN, message, init_failed_details(failed))
        return Status(grpc.StatusCode.UNKNOWN, message, details)

    def _encode_surely(self, values: Mapping[str, Any], secrets: frozenset[Path], call: Matter) -> Struct:
        try:
            return self._encode(values, secrets, call.token)
        except Exception as problem:  # noqa: BLE001 - the id counts more
            _LOG.error("partial properties were not kept: %s", type(problem).__name__)
            return Struct()

    def _configured(self) -> Core:
        if self._core is None:
            raise NotConfigured("the provider is not configured; " + config.MISSING_KEY_HELP)
        return self._core

    def _schema_secrets(self, token: str) -> frozenset[Path]:
        """Asked before a resource is touched, so that an unknown type fails harmlessly."""
        try:
            return self._configured().secret_paths(token)
        except KeyError:
            raise CheckFailed([Failure((), f"{config.PACKAGE} has no resource type {token!r}")]) from None

    def _encode(
        self,
        values: Mapping[str, Any],
        secrets: frozenset[Path],
        token: str,
        texts: frozenset[str] = frozenset(),
        *,
        preview: bool = False,
    ) -> Struct:
        return encode(values, secrets | trace(values, texts), self._schema_secrets(token), allow_unknown=preview)

    async def _mutate(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Carry out `work` to its end even if the engine dies and its RPC with it: a torn POST is a resource that nobody knows."""
        if self._is_stopping:
            work.close()
            raise Stopping("the provider is ending; run the command again")
        task = asyncio.ensure_future(work)
        self._mutations.add(task)
        task.add_done_callback(self._finish)
        return await asyncio.shield(task)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._mutations.discard(task)
        if not task.cancelled() and task.exception() is not None:  # retrieved: nobody may wait any more
            _LOG.info("a mutation ended with %s", type(task.exception()).__name__)

    async def drain(self, grace_seconds: float) -> bool:
        """Take on no more mutations and wait for those under way; say whether all ended."""
        self._is_stopping = True
        if not self._mutations:
            return True
        _, pending = await asyncio.wait(set(self._mutations), timeout=grace_seconds)
        return not pending

    # -- the plugin itself

    @_rpc
    async def Handshake(self, call: Matter, request: Any) -> Any:
        """Agree on the encoding."""
        if request.engine_address:
            await self._engine.connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True, supports_autonaming_configuration=True
        )

    @_rpc
    async def Attach(self, call: Matter, request: Any) -> Any:
        """Talk to this engine (PULUMI_DEBUG_PROVIDERS)."""
        await self._engine.connect(request.address)
        return Empty()

    @_rpc
    async def GetPluginInfo(self, call: Matter, request: Any) -> Any:
        """Give the version."""
        return plugin_pb2.PluginInfo(version=self._version)

    @_rpc
    async def GetSchema(self, call: Matter, request: Any) -> Any:
        """Give the schema; needs neither configuration nor network."""
        if request.version != 0:
            raise NotOffered(f"schema version {request.version} is not supported; only version 0 is")
        if request.subpackage_name or request.subpackage_version:
            raise NotOffered(f"{config.PACKAGE} has no subpackages")
        return provider_pb2.GetSchemaResponse(schema=self._schema())

    @_rpc
    async def Cancel(self, call: Matter, request: Any) -> Any:
        """Answer at once. The engine calls it on every close; what is under way is finished, as tearing it would lose resources."""
        return Empty()

    @_rpc
    async def GetMapping(self, call: Matter, request: Any) -> Any:
        """Give no mapping: an error here would stop converters, which ask every provider."""
        return provider_pb2.GetMappingResponse()

    @_rpc
    async def GetMappings(self, call: Matter, request: Any) -> Any:
        """Give no mappings."""
        return provider_pb2.GetMappingsResponse()

    @_rpc
    async def Parameterize(self, call: Matter, request: Any) -> Any:
        """Not offered."""
        raise Unsupported(f"{config.PACKAGE} is not a parameterized provider")

    @_rpc
    async def Construct(self, call: Matter, request: Any) -> Any:
        """Not offered."""
        raise Unsupported(f"{config.PACKAGE} has no component resources")

    @_rpc
    async def Call(self, call: Matter, request: Any) -> Any:
        """Not offered."""
        raise Unsupported(f"{config.PACKAGE} has no methods")

    @_rpc
    async def Invoke(self, call: Matter, request: Any) -> Any:
        """Not offered yet."""
        raise NotOffered(f"{config.PACKAGE} has no function {request.tok!r}")

    @_rpc
    async def List(self, call: Matter, request: Any) -> Any:  # type: ignore[override, unused-ignore] # it fails before it streams
        """Not offered yet."""
        raise Unsupported(f"{config.PACKAGE} cannot list {request.token!r}")

    # -- configuration

    @_rpc
    async def CheckConfig(self, call: Matter, request: Any) -> Any:
        """Check the configuration and give back what the user wrote, with the key as a secret; nothing from the environment is added."""
        values, secrets = call.decode(request.news)
        sealed = secrets | {(config.SECRET_KEY,)}
        call.redact.add(secret_texts(values, sealed))
        failures = config.check(values)
        if failures:
            return provider_pb2.CheckResponse(failures=_failures(failures, sealed, call))
        return provider_pb2.CheckResponse(inputs=encode(values, sealed, allow_unknown=True))

    @_rpc
    async def DiffConfig(self, call: Matter, request: Any) -> Any:
        """Compare configurations; never asks for a replacement."""
        stored = request.old_inputs if request.HasField("old_inputs") else request.olds
        prior, _ = call.decode(stored)
        planned, _ = call.decode(request.news)
        ignored = set(request.ignoreChanges)
        changes = tuple(change for change in config.difference(prior, planned) if change.path[0] not in ignored)
        return _difference(verbs.Difference(changes=changes))

    @_rpc
    async def Configure(self, call: Matter, request: Any) -> Any:
        """Resolve the configuration and connect; no request is sent to Runpod, so nothing hangs here."""
        values, _ = call.decode(request.args)
        if not request.HasField("args"):
            values = {key.rsplit(":", 1)[-1]: text for key, text in request.variables.items()}
        call.redact.add(secret_texts(values, frozenset({(config.SECRET_KEY,)})))
        resolved = config.resolve(values, self._environment, self._home or FilePath.home())
        self._api_keys.add(resolved.api_key)
        call.redact.add((resolved.api_key,))
        for note in resolved.notes:
            await call.voice.debug(note)
        self._core = self._connect(resolved)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=True,
            acceptOutputs=True,
            supports_autonaming_configuration=True,
        )

    # -- resources

    @_rpc
    async def Check(self, call: Matter, request: Any) -> Any:
        """Validate inputs; what is wrong with them is an answer here, not an error."""
        schema_secrets = self._schema_secrets(call.token)
        olds, _ = call.decode(request.olds)
        news, secrets = call.decode(request.news)
        autonaming, proposed = _autonaming(request)
        try:
            checked = await self._configured().check(
                verbs.Check(
                    token=call.token,
                    name=call.name,
                    olds=olds,
                    news=news,
                    secrets=secrets,
                    random_seed=request.randomSeed,
                    autonaming=autonaming,
                    proposed_name=proposed,
                    voice=call.voice,
                )
            )
        except CheckFailed as problem:
            checked = verbs.Checked(inputs=news, failures=problem.failures)
        return provider_pb2.CheckResponse(
            inputs=encode(checked.inputs, secrets, schema_secrets, allow_unknown=True),
            failures=_failures(checked.failures, secrets | schema_secrets, call),
        )

    @_rpc
    async def Diff(self, call: Matter, request: Any) -> Any:
        """Plan."""
        outputs, _ = call.decode(request.olds)
        old_inputs, _ = call.decode(request.old_inputs)
        news, secrets = call.decode(request.news)
        planned = await self._configured().diff(
            verbs.Diff(
                token=call.token,
                id=request.id,
                outputs=outputs,
                old_inputs=old_inputs,
                news=news,
                secrets=secrets,
                ignore_changes=tuple(request.ignoreChanges),
                voice=call.voice,
            )
        )
        return _difference(planned)

    @_rpc
    async def Create(self, call: Matter, request: Any) -> Any:
        """Create, or predict in a preview."""
        inputs, call.secrets = call.decode(request.properties)
        _require_known(inputs, request.preview)
        core, texts = self._prepare(call, inputs)
        work = core.create(
            verbs.Create(
                token=call.token,
                urn=call.urn,
                inputs=inputs,
                preview=request.preview,
                timeout_seconds=request.timeout,
                voice=call.voice,
            )
        )
        created = await (work if request.preview else self._mutate(work))
        secrets = call.secrets | created.secrets
        try:
            properties = self._encode(created.outputs, secrets, call.token, texts, preview=request.preview)
        except Exception as problem:
            if request.preview or not created.id:
                raise
            reason = f"its outputs could not be written ({type(problem).__name__}); this is a bug, please report it"
            raise CreatedButFailed(id=created.id, outputs={}, reasons=(reason,)) from problem
        return provider_pb2.CreateResponse(id=created.id, properties=properties)

    @_rpc
    async def Update(self, call: Matter, request: Any) -> Any:
        """Update, or predict in a preview."""
        outputs, _ = call.decode(request.olds)
        old_inputs, _ = call.decode(request.old_inputs)
        news, call.secrets = call.decode(request.news)
        _require_known(news, request.preview)
        core, texts = self._prepare(call, news)
        work = core.update(
            verbs.Update(
                token=call.token,
                urn=call.urn,
                id=request.id,
                outputs=outputs,
                old_inputs=old_inputs,
                news=news,
                preview=request.preview,
                timeout_seconds=request.timeout,
                ignore_changes=tuple(request.ignoreChanges),
                voice=call.voice,
            )
        )
        updated = await (work if request.preview else self._mutate(work))
        secrets = call.secrets | updated.secrets
        return provider_pb2.UpdateResponse(
            properties=self._encode(updated.outputs, secrets, call.token, texts, preview=request.preview)
        )

    @_rpc
    async def Read(self, call: Matter, request: Any) -> Any:
        """Refresh, get or import. What was secret in the state stays secret, in inputs and outputs alike."""
        outputs, output_secrets = call.decode(request.properties)
        inputs, input_secrets = call.decode(request.inputs)
        call.secrets, call.inputs = output_secrets | input_secrets, request.inputs
        core, texts = self._prepare(call, inputs)
        texts |= secret_texts(outputs, output_secrets)
        observed = await core.read(
            verbs.Read(token=call.token, urn=call.urn, id=request.id, inputs=inputs, outputs=outputs, voice=call.voice)
        )
        if observed is None:
            return provider_pb2.ReadResponse()  # touching `properties` would make it a resource without id
        secrets = call.secrets | observed.secrets
        return provider_pb2.ReadResponse(
            id=observed.id or request.id,
            properties=self._encode(observed.outputs, secrets, call.token, texts),
            inputs=self._encode(observed.inputs, secrets, call.token, texts),
        )

    @_rpc
    async def Delete(self, call: Matter, request: Any) -> Any:
        """Delete."""
        outputs, call.secrets = call.decode(request.properties)
        old_inputs, _ = call.decode(request.old_inputs)
        core, _ = self._prepare(call, old_inputs)
        await self._mutate(
            core.delete(
                verbs.Delete(
                    token=call.token,
                    urn=call.urn,
                    id=request.id,
                    outputs=outputs,
                    old_inputs=old_inputs,
                    timeout_seconds=request.timeout,
                    voice=call.voice,
                )
            )
        )
        return Empty()

    def _prepare(self, call: Matter, inputs: Mapping[str, Any]) -> tuple[Core, frozenset[str]]:
        """Give the core and the secret texts of `inputs`, which are hidden from now on."""
        core, schema_secrets = self._configured(), self._schema_secrets(call.token)
        texts = secret_texts(inputs, call.secrets | schema_secrets)
        call.redact.add(texts)
        return core, texts


def _require_known(values: Mapping[str, Any], is_preview: bool) -> None:
    if is_preview:
        return
    unknown = [render_path((key,)) for key, value in values.items() if contains_unknown(value)]
    if unknown:
        raise CheckFailed([Failure((), f"{name} is not known, although this is no preview") for name in unknown])


def _failures(failures: tuple[Failure, ...], secrets: frozenset[Path], call: Matter) -> list[provider_pb2.CheckFailure]:
    """Name the property only where it is not secret: the CLI prints the value of a named property."""
    answers = []
    for failure in failures:
        name = str(failure.path[0]) if failure.path else ""
        shown = "" if is_secret_within(name, secrets) else name
        answers.append(provider_pb2.CheckFailure(property=shown, reason=call.redact(failure.text)))
    return answers


def _autonaming(request: Any) -> tuple[verbs.Autonaming | None, str]:
    if not request.HasField("autonaming"):
        return None, ""
    options = provider_pb2.CheckRequest.AutonamingOptions
    modes = {
        options.PROPOSE: verbs.Autonaming.PROPOSE,
        options.ENFORCE: verbs.Autonaming.ENFORCE,
        options.DISABLE: verbs.Autonaming.DISABLE,
    }
    return modes.get(request.autonaming.mode, verbs.Autonaming.PROPOSE), request.autonaming.proposed_name


def _difference(planned: verbs.Difference) -> provider_pb2.DiffResponse:
    """Write a plan. Every top-level name has a detailed path and the other way round; the engine relies on it."""
    changes = [change for change in planned.changes if change.path]
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if planned.changes else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=dict.fromkeys(str(change.path[0]) for change in changes),
        replaces=dict.fromkeys(str(change.path[0]) for change in changes if change.kind in _REPLACING),
        stables=planned.stables,
        deleteBeforeReplace=planned.delete_before_replace,
        hasDetailedDiff=True,
    )
    for change in changes:
        entry = response.detailedDiff[render_path(change.path)]
        entry.kind, entry.inputDiff = _KINDS[change.kind], change.in_inputs
    return response
