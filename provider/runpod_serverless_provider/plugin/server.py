"""The gRPC face of the provider: each RPC is decoded, handed to the core, and its answer encoded. What to do is decided in the core."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final, Protocol, TypeVar, cast

import grpc
import grpc.aio

from .. import configuration as config
from ..core import verbs
from ..core.failures import CheckFailed, CreatedButFailed, Failure, NoSuchFunction, NoSuchType, NotConfigured
from ..core.values import Path, contains_unknown, is_at_or_below, parse_pattern, render_path
from ..core.version import DISTRIBUTION
from ..details import pack_status, packed
from ..engine import Engine, EngineVoice
from ..lifetime import Cancels
from ..proto import Empty, Struct, plugin_pb2, provider_pb2, provider_pb2_grpc
from ..redaction import Redactor, secret_leaves, secret_texts
from .status import NotOffered, Status, Stopping, Unsupported, shorten, translate
from .wire import decode, encode, is_secret_within, trace, whole_properties

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

    async def invoke(self, request: verbs.Invoke) -> verbs.Invoked:
        """Answer a function; NoSuchFunction for one that there is not."""

    async def list_all(self, request: verbs.List) -> list[verbs.Listed]:
        """List what exists; NoSuchType for a type that there is not."""

    def secret_paths(self, token: str) -> frozenset[Path]:
        """Name the properties that the schema calls secret; NoSuchType for a type that there is not."""

    def replied(self, id: str) -> None:
        """Note that the engine is told what was created."""

    async def tell_abandoned(self, voice: EngineVoice) -> None:
        """Warn of what earlier runs may have left."""

    async def ended(self) -> None:
        """Note that the engine ends the run in order: it has stored all that it was told."""


Connect = Callable[[config.Configuration], Awaitable[Core]]
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
    secrets: frozenset[Path] = frozenset()
    secret_leaves: frozenset[tuple[Path, str]] = frozenset()

    @property
    def subject(self) -> str:
        """The resource as the user knows it, to begin an error with."""
        return f"{self.token} {self.name!r}" if self.token else ""

    def decode(self, struct: Struct, *, is_output: bool = False) -> tuple[dict[str, Any], frozenset[Path]]:
        """Decode, and remember the secrets met, to hide them from everything said and to find them in everything answered.

        Whole outputs are secret for the sake of a part (see `encode`), which the inputs that come with them name exactly.
        """
        values, secrets = decode(struct)
        found = secret_leaves(values, self.schema_secrets if is_output else secrets | self.schema_secrets)
        self.redact.add(text for _, text in found)
        self.secret_leaves |= found
        return values, secrets

    def encode(self, values: Mapping[str, Any], secrets: frozenset[Path], *, preview: bool = False) -> Struct:
        """Write outputs with their secrets wrapped: those that the core names, and those met in the request."""
        found = whole_properties(secrets | self.schema_secrets | trace(values, self.secret_leaves))
        return encode(values, found, allow_unknown=preview)

    def encode_inputs(self, values: Mapping[str, Any], secrets: frozenset[Path]) -> Struct:
        """Write observed inputs, in which each secret stays where it was, so that plans show what is none."""
        return encode(values, secrets | trace(values, self.secret_leaves), self.schema_secrets, allow_unknown=False)


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
        return cast("_Answer", await context.abort(status.code, status.message, status.trailing_metadata))  # it always raises

    return handle


class Server(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the engine.

    `connect` is called at Configure and makes the core from the resolved configuration; `stop` once nothing new should be created.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        schema: Callable[[], str],
        version: str,
        engine: Engine,
        stop: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        home: FilePath | None = None,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._version = version
        self._engine = engine
        self._stop = stop
        self._environment = os.environ if environment is None else environment
        self._home = home
        self._core: Core | None = None
        self._api_keys: set[str] = set()
        self._mutations: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._cancels = Cancels()

    # -- shared by all RPCs

    def call_for(self, request: Any) -> Matter:
        """Say who `request` is about."""
        urn = getattr(request, "urn", "")
        token, name = _about(urn, getattr(request, "type", ""), getattr(request, "name", ""))
        redact = Redactor(self._api_keys)
        return Matter(urn=urn, token=token, name=name, redact=redact, voice=EngineVoice(self._engine, urn, redact))

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
            return Status(grpc.StatusCode.INTERNAL, f"internal error ({kinds}); this is a bug in {DISTRIBUTION}, please report it")

    def _init_failed(self, problem: CreatedButFailed, call: Matter) -> Status:
        """Keep the id whatever happens: without it the resource runs on, paid for and unmanaged."""
        reasons = [call.redact(reason) for reason in problem.reasons if reason] or ["its creation did not finish"]
        failed = provider_pb2.ErrorResourceInitFailed(id=problem.id, reasons=reasons)
        secrets = call.secrets | problem.secrets
        failed.properties.CopyFrom(_encode_surely(call.encode, problem.outputs, secrets))
        if call.inputs is not None:  # only a Read's inputs count
            failed.inputs.CopyFrom(
                _encode_surely(call.encode_inputs, problem.inputs, problem.secrets) if problem.inputs else call.inputs
            )
        message = shorten(call.redact(f"{call.subject}: {'; '.join(reasons)}"))
        details = pack_status(grpc.StatusCode.UNKNOWN, message, packed(failed))
        return Status(grpc.StatusCode.UNKNOWN, message, details)

    def _configured(self) -> Core:
        if self._core is None:
            raise NotConfigured("the provider is not configured; " + config.MISSING_KEY_HELP)
        return self._core

    def _core_for(self, call: Matter) -> Core:
        """Give the core, and learn what is secret by schema; asked before anything is touched, so that a wrong type fails harmlessly."""
        core = self._configured()
        try:
            call.schema_secrets = core.secret_paths(call.token)
        except NoSuchType:
            raise CheckFailed([Failure((), f"{config.PACKAGE} has no resource type {call.token!r}")]) from None
        return core

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
        self._stop()
        if not self._mutations:
            return True
        _, pending = await asyncio.wait(set(self._mutations), timeout=grace_seconds)
        return not pending

    async def closed(self) -> None:
        """Note that the engine has closed the plugin."""
        if self._core is not None and self._cancels.are_orderly:
            await self._core.ended()

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
        """Answer at once. The engine calls it on every close; what is sent is finished, as tearing it would lose resources."""
        self._stop()
        self._cancels.came(is_at_rest=not self._mutations)
        if self._core is not None and self._cancels.are_orderly:
            await self._core.tell_abandoned(call.voice)
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
        """Answer a function; it only reads, so previews may call it too."""
        arguments, secrets = call.decode(request.args)
        try:
            found = await self._configured().invoke(verbs.Invoke(request.tok, arguments, voice=call.voice))
        except NoSuchFunction:
            raise NotOffered(f"{config.PACKAGE} has no function {request.tok!r}") from None
        if found.failures:
            return provider_pb2.InvokeResponse(failures=_failures(found.failures, arguments, secrets, call))
        answer = provider_pb2.InvokeResponse()
        getattr(answer, "return").CopyFrom(
            encode(found.values, whole_properties(found.secrets), allow_unknown=False)
        )  # a keyword of Python
        return answer

    async def List(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Stream what exists of one resource type."""
        for answer in await self._list(request, context):
            yield answer

    @_rpc
    async def _list(self, call: Matter, request: Any) -> list[Any]:
        query, _ = call.decode(request.query)
        if query:
            raise NotOffered(f"nothing narrows a list of {request.token!r}, so it takes no {', '.join(map(repr, query))}")
        token = request.continuation_token
        if token and not (token.isascii() and token.isdecimal()):
            raise NotOffered(f"{token!r} continues no list of this provider")
        start = int(token or 0)
        try:
            found = await self._configured().list_all(verbs.List(request.token, voice=call.voice))
        except NoSuchType:
            raise NotOffered(f"{config.PACKAGE} has no resource type {request.token!r}") from None
        bounds = [bound for bound in (request.limit, request.page_size) if bound > 0]
        end = min([start + bound for bound in bounds], default=len(found))
        kinds = provider_pb2.ListResponse
        answers = [kinds(result=kinds.Result(id=item.id, name=item.name)) for item in found[start:end]]
        is_limited = 0 < request.limit <= end - start
        if end < len(found) and not is_limited:
            answers.append(kinds(continuation=kinds.Continuation(continuation_token=str(end))))
        return answers

    # -- configuration

    @_rpc
    async def CheckConfig(self, call: Matter, request: Any) -> Any:
        """Check the configuration and give back what the user wrote, with the key as a secret; nothing from the environment is added."""
        call.schema_secrets = config.SECRET_PATHS
        values, secrets = call.decode(request.news)
        # Asked here and not at Configure: only here does the version come from the program, and not from a state of long ago.
        if remark := config.version_remark(values.get(config.VERSION_KEY), self._version):
            await call.voice.warn(remark)
        failures = config.check(values)
        if failures:
            return provider_pb2.CheckResponse(failures=_failures(failures, values, secrets, call))
        return provider_pb2.CheckResponse(inputs=encode(values, secrets, call.schema_secrets, allow_unknown=True))

    @_rpc
    async def DiffConfig(self, call: Matter, request: Any) -> Any:
        """Compare configurations; never asks for a replacement."""
        call.schema_secrets = config.SECRET_PATHS
        stored = request.old_inputs if request.HasField("old_inputs") else request.olds
        prior, _ = call.decode(stored)
        planned, _ = call.decode(request.news)
        ignored = [parse_pattern(pattern) for pattern in request.ignoreChanges]
        return _difference(
            verbs.Difference(
                changes=tuple(
                    change
                    for change in config.difference(prior, planned)
                    if not any(is_at_or_below(change.path, pattern) for pattern in ignored)
                )
            )
        )

    @_rpc
    async def Configure(self, call: Matter, request: Any) -> Any:
        """Resolve the configuration and connect; no request is sent to Runpod, so nothing hangs here."""
        call.schema_secrets = config.SECRET_PATHS
        values, _ = call.decode(request.args)
        if not request.HasField("args"):
            values = {key.rsplit(":", 1)[-1]: text for key, text in request.variables.items()}
            call.redact.add(secret_texts(values, config.SECRET_PATHS))
        resolved = config.resolve(values, self._environment, self._home or FilePath.home())
        self._api_keys.add(resolved.api_key)
        call.redact.add((resolved.api_key,))
        for note in resolved.notes:
            await call.voice.debug(note)
        if self._core is not None and not self._mutations:  # an attached provider serves one run after the other
            await self._core.ended()
        self._cancels = Cancels()
        self._core = await self._connect(resolved)
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
        core = self._core_for(call)
        olds, old_secrets = call.decode(request.olds)
        news, secrets = call.decode(request.news)
        autonaming, proposed = _autonaming(request)
        try:
            checked = await core.check(
                verbs.Check(
                    token=call.token,
                    name=call.name,
                    olds=olds,
                    news=news,
                    secrets=secrets,
                    random_seed=request.randomSeed,
                    autonaming=autonaming,
                    proposed_name=proposed,
                    urn=call.urn,
                    voice=call.voice,
                )
            )
        except CheckFailed as problem:
            checked = verbs.Checked(inputs=news, failures=problem.failures)
        # A default that is kept from the olds is as secret as it was there; what the program states is as secret as it says.
        kept = frozenset(path for path in old_secrets if path and path[0] not in news)
        return provider_pb2.CheckResponse(
            inputs=encode(checked.inputs, secrets | kept, call.schema_secrets, allow_unknown=True),
            failures=_failures(checked.failures, news, secrets, call),
        )

    @_rpc
    async def Diff(self, call: Matter, request: Any) -> Any:
        """Plan."""
        core = self._core_for(call)
        outputs, _ = call.decode(request.olds, is_output=True)
        old_inputs, _ = call.decode(request.old_inputs)
        news, secrets = call.decode(request.news)
        planned = await core.diff(
            verbs.Diff(
                token=call.token,
                id=request.id,
                outputs=outputs,
                old_inputs=old_inputs,
                news=news,
                urn=call.urn,
                secrets=secrets,
                ignore_changes=tuple(request.ignoreChanges),
                voice=call.voice,
            )
        )
        return _difference(planned)

    @_rpc
    async def Create(self, call: Matter, request: Any) -> Any:
        """Create, or predict in a preview."""
        core = self._core_for(call)
        inputs, call.secrets = call.decode(request.properties)
        _require_known(inputs, request.preview)
        work = core.create(
            verbs.Create(
                token=call.token,
                urn=call.urn,
                inputs=inputs,
                secrets=call.secrets,
                preview=request.preview,
                timeout_seconds=request.timeout,
                voice=call.voice,
            )
        )
        try:
            created = await (work if request.preview else self._mutate(work))
        except CreatedButFailed as problem:
            core.replied(problem.id)
            raise
        if not request.preview:
            core.replied(created.id)
        try:
            secrets = call.secrets | created.secrets
            properties = call.encode(created.outputs, secrets, preview=request.preview)
        except Exception as problem:
            if request.preview:
                raise
            reason = f"its outputs could not be written ({type(problem).__name__}); this is a bug, please report it"
            raise CreatedButFailed(id=created.id, outputs={}, reasons=(reason,)) from problem
        return provider_pb2.CreateResponse(id=created.id, properties=properties)

    @_rpc
    async def Update(self, call: Matter, request: Any) -> Any:
        """Update, or predict in a preview."""
        core = self._core_for(call)
        outputs, output_secrets = call.decode(request.olds, is_output=True)
        old_inputs, _ = call.decode(request.old_inputs)
        news, secrets = call.decode(request.news)
        _require_known(news, request.preview)
        call.secrets = secrets | _exact(output_secrets, secrets)
        work = core.update(
            verbs.Update(
                token=call.token,
                urn=call.urn,
                id=request.id,
                outputs=outputs,
                old_inputs=old_inputs,
                news=news,
                secrets=call.secrets,
                preview=request.preview,
                timeout_seconds=request.timeout,
                ignore_changes=tuple(request.ignoreChanges),
                voice=call.voice,
            )
        )
        updated = await (work if request.preview else self._mutate(work))
        secrets = call.secrets | updated.secrets
        return provider_pb2.UpdateResponse(properties=call.encode(updated.outputs, secrets, preview=request.preview))

    @_rpc
    async def Read(self, call: Matter, request: Any) -> Any:
        """Refresh, get or import. What was secret in the state stays secret, in inputs and outputs alike."""
        core = self._core_for(call)
        outputs, output_secrets = call.decode(request.properties, is_output=request.HasField("inputs"))
        inputs, input_secrets = call.decode(request.inputs)
        call.secrets, call.inputs = output_secrets | input_secrets, request.inputs
        observed = await core.read(
            verbs.Read(
                token=call.token,
                urn=call.urn,
                id=request.id,
                inputs=inputs,
                outputs=outputs,
                secrets=input_secrets if inputs else call.secrets,
                voice=call.voice,
            )
        )
        if observed is None:
            return provider_pb2.ReadResponse()  # touching `properties` would make it a resource without id
        secrets = call.secrets | observed.secrets
        if not inputs:  # the YAML host gives `{}` for a secret within a map of what `get` reads
            secrets = frozenset(path[:1] for path in secrets)
        return provider_pb2.ReadResponse(
            id=observed.id or request.id,
            properties=call.encode(observed.outputs, secrets),
            inputs=call.encode_inputs(observed.inputs, observed.secrets),
        )

    @_rpc
    async def Delete(self, call: Matter, request: Any) -> Any:
        """Delete."""
        core = self._core_for(call)
        outputs, call.secrets = call.decode(request.properties, is_output=True)
        old_inputs, _ = call.decode(request.old_inputs)
        await self._mutate(
            core.delete(
                verbs.Delete(
                    token=call.token,
                    urn=call.urn,
                    id=request.id,
                    outputs=outputs,
                    old_inputs=old_inputs,
                    target=call.urn,
                    timeout_seconds=request.timeout,
                    voice=call.voice,
                )
            )
        )
        return Empty()


def _exact(output_secrets: frozenset[Path], secrets: frozenset[Path]) -> frozenset[Path]:
    """Leave out of the secret paths of outputs those that are secret as a whole for the sake of a part, which the new inputs name."""
    return frozenset(path for path in output_secrets if path in secrets or not any(path == inner[:1] for inner in secrets))


def _require_known(values: Mapping[str, Any], is_preview: bool) -> None:
    if is_preview:
        return
    unknown = [render_path((key,)) for key, value in values.items() if contains_unknown(value)]
    if unknown:
        raise CheckFailed([Failure((), f"{name} is not known, although this is no preview") for name in unknown])


def _encode_surely(
    write: Callable[[Mapping[str, Any], frozenset[Path]], Struct], values: Mapping[str, Any], secrets: frozenset[Path]
) -> Struct:
    try:
        return write(values, secrets)
    except Exception as problem:  # noqa: BLE001 - the id counts more
        _LOG.error("partial properties were not kept: %s", type(problem).__name__)
        return Struct()


def _failures(
    failures: Iterable[Failure], given: Mapping[str, Any], secrets: frozenset[Path], call: Matter
) -> list[provider_pb2.CheckFailure]:
    """Name the property only where it was given and holds no secret: the CLI prints the value of a named property."""
    answers = []
    for failure in failures:
        name = str(failure.path[0]) if failure.path else ""
        is_shown = name in given and not is_secret_within(name, secrets | call.schema_secrets)
        answers.append(provider_pb2.CheckFailure(property=name if is_shown else "", reason=call.redact(failure.text)))
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
    for change in sorted(changes, key=lambda change: change.kind in _REPLACING):  # of two on one path, a replacement is what counts
        entry = response.detailedDiff[render_path(_speakable(change.path))]
        entry.kind, entry.inputDiff = _KINDS[change.kind], change.in_inputs
    return response


def _speakable(path: Path) -> Path:
    """Cut a path before a key that the engine's syntax has no spelling for; it takes a wrong path for a reason to stop the whole run."""
    return path[: next((at for at, part in enumerate(path) if at and isinstance(part, str) and "\\" in part), len(path))]
