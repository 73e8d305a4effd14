"""The one dynamic provider, an adapter over the core. It runs in the process that the engine starts for dynamic resources.

It is pickled into the state of each resource, by reference: its module and name never change, and it holds a token and nothing else.
The engine calls it with old outputs only, without names, unknowns in previews or secretness; what it needs stands under `__` keys,
which are never compared.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path as FilePath
from typing import Any, ClassVar, Final, TypeVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pulumi.runtime import rpc

INPUTS_KEY: Final = "__inputs"
"""The inputs in the program's own form, with `__defaults`: what the native door stores as inputs."""
NAME_KEY: Final = "__name"
"""The resource's name in the program."""
FAILED_KEY: Final = "__failed"
"""Why the creation of this resource did not finish; the next plan updates it."""
_INTERNAL: Final = "__"

_Answer = TypeVar("_Answer")


class _Runtime:
    """The event loop and the configured core of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="runpod", daemon=True).start()
        self._lock = threading.Lock()
        self._core: Any = None
        self.configuration: Mapping[str, Any] = {}

    def run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Wait for `work` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def core(self) -> Any:
        """Connect on first use, with the key of this moment."""
        with self._lock:
            if self._core is None:
                from runpod_serverless_provider.api.client import Client
                from runpod_serverless_provider.configuration import resolve
                from runpod_serverless_provider.core.provider import Provider
                from runpod_serverless_provider.core.version import DISTRIBUTION, plugin_version
                from runpod_serverless_provider.resources import RESOURCES

                found = resolve(self.configuration, os.environ, FilePath.home())
                agent = f"{DISTRIBUTION}/{plugin_version()} (dynamic)"
                client = Client(base_url=found.base_url, api_key=found.api_key, user_agent=agent)
                self._core = Provider(RESOURCES, client, found.settings)
            return self._core


class _Voice:
    """Speaks through stdout, which the engine shows for dynamic providers. There are no status lines."""

    async def status(self, text: str) -> None:
        """Say nothing."""

    async def debug(self, text: str) -> None:
        """Say nothing."""

    async def inform(self, text: str) -> None:
        """Print."""
        print(text, flush=True)

    async def warn(self, text: str) -> None:
        """Print."""
        print(f"warning: {text}", flush=True)


class RunpodProvider(ResourceProvider):
    """Answers the engine for the resource type `token`."""

    _runtime: ClassVar[_Runtime | None] = None

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    @classmethod
    def runtime(cls) -> _Runtime:
        """Return what the resources of this process share."""
        if cls._runtime is None:
            cls._runtime = _Runtime()
        return cls._runtime

    def configure(self, req: ConfigureRequest) -> None:
        """Learn the stack's configuration; the key is looked up when it is needed, and never kept with the resource."""
        from runpod_serverless_provider.core.resource import PACKAGE
        from runpod_serverless_provider.core.settings import CONFIGURATION

        found = {item.name: req.config.get(f"{PACKAGE}:{item.name}") for item in CONFIGURATION}
        self.runtime().configuration = {name: value for name, value in found.items() if value is not None}

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Return canonical inputs, which previews show as outputs, and the program's own form beside them."""
        from runpod_serverless_provider.core import verbs

        core, given = self.runtime().core, _without_internals(_from_wire(news))
        sealed = core.possible_secrets(self.token)
        checked = self._run(
            core.check(
                verbs.Check(
                    token=self.token,
                    name=str(news.get(NAME_KEY) or self.token.rpartition(":")[2].lower()),
                    olds=_from_wire(_olds),
                    news=given,
                    secrets=sealed,
                    voice=_Voice(),
                )
            )
        )
        kept = {key: news[key] for key in (NAME_KEY,) if key in news}
        if checked.failures:
            return CheckResult(
                {**given, **kept, INPUTS_KEY: ""}, [self._failure(failure, given, sealed) for failure in checked.failures]
            )
        canonical = core.canonical(self.token, checked.inputs)
        return CheckResult(_to_wire({**canonical, **kept, INPUTS_KEY: checked.inputs}), [])

    @staticmethod
    def _failure(failure: Any, given: Mapping[str, Any], sealed: frozenset[Any]) -> CheckFailure:
        """Name the property only where its value may be printed, as the CLI does."""
        name = str(failure.path[0]) if failure.path else ""
        is_shown = name in given and all(path[0] != name for path in sealed)
        return CheckFailure(name if is_shown else "", failure.text)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Plan. Always says whether there are changes: left open, the engine would compare the pickled provider too."""
        from runpod_serverless_provider.core import verbs

        core, olds, news = self.runtime().core, _from_wire(_olds), _from_wire(_news)
        planned = self._run(
            core.diff(
                verbs.Diff(
                    token=self.token,
                    id=_id,
                    urn=self._urn(news),
                    outputs=olds,
                    old_inputs=_prior(core, self.token, olds, news),
                    news=news,
                    voice=_Voice(),
                )
            )
        )
        replaced = {str(change.path[0]) for change in planned.changes if change.kind.value.endswith("replace")}
        return DiffResult(
            changes=bool(planned.changes) or FAILED_KEY in olds,
            replaces=sorted(replaced),
            stables=list(planned.stables),
            delete_before_replace=planned.delete_before_replace,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create. What exists in spite of a failure is returned and marked, so that it is never lost."""
        from runpod_serverless_provider.core import verbs
        from runpod_serverless_provider.core.failures import CreatedButFailed

        news = _from_wire(props)
        request = verbs.Create(token=self.token, urn=self._urn(news), inputs=news, voice=_Voice())
        try:
            created = self._run(self.runtime().core.create(request), CreatedButFailed)
        except CreatedButFailed as problem:
            print(f"warning: {problem}", flush=True)
            return CreateResult(problem.id, _to_wire({**problem.outputs, **_internals(news), FAILED_KEY: list(problem.reasons)}))
        return CreateResult(created.id, _to_wire({**created.outputs, **_internals(news)}))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Refresh."""
        from runpod_serverless_provider.core import verbs

        core, prior = self.runtime().core, _from_wire(props)
        observed = self._run(
            core.read(verbs.Read(token=self.token, urn=self._urn(prior), id=id_, inputs=prior, outputs=prior, voice=_Voice()))
        )
        if observed is None:
            return ReadResult(None, {})  # the engine's side takes no None for outputs
        kept = {**_internals(prior), INPUTS_KEY: observed.inputs}
        canonical = core.canonical(self.token, observed.inputs)
        return ReadResult(observed.id, _to_wire({**observed.outputs, **kept}), _to_wire({**canonical, **kept}))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Update; a resource whose creation did not finish is read first."""
        from runpod_serverless_provider.core import verbs

        core, olds, news = self.runtime().core, _from_wire(_olds), _from_wire(_news)
        if FAILED_KEY in olds:
            found = self.read(_id, _olds)
            if found.id is not None:
                olds = _from_wire({**found.outs, INPUTS_KEY: olds[INPUTS_KEY]})
        updated = self._run(
            core.update(
                verbs.Update(
                    token=self.token,
                    urn=self._urn(news),
                    id=_id,
                    outputs=olds,
                    old_inputs=_prior(core, self.token, olds, news),
                    news=news,
                    voice=_Voice(),
                )
            )
        )
        return UpdateResult(_to_wire({**updated.outputs, **_internals(news)}))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete."""
        from runpod_serverless_provider.core import verbs

        props = _from_wire(_props)
        request = verbs.Delete(token=self.token, urn=self._urn(props), id=_id, outputs=props, old_inputs=props, voice=_Voice())
        self._run(self.runtime().core.delete(request))

    def _urn(self, properties: Mapping[str, Any]) -> str:
        """Stand in for the URN, which the engine does not tell."""
        return f"{self.token}::{properties.get(NAME_KEY, '')}"

    def _run(self, work: Coroutine[Any, Any, _Answer], *passing: type[Exception]) -> _Answer:
        """Carry out `work`; a failure becomes one that shows its text and no traceback of ours."""
        from runpod_serverless_provider.core.failures import ProviderFailure

        try:
            return self.runtime().run(work)
        except passing:
            raise
        except ProviderFailure as problem:
            text = str(problem)
        raise _Refusal(text)


class _Refusal(Exception):
    """What the user reads; the engine's side prints it below a traceback."""


def _prior(core: Any, token: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the prior inputs: outputs of this door hold them, those of a resource that was native repeat them."""
    prior: Mapping[str, Any] = olds if INPUTS_KEY in olds else core.as_inputs(token, olds, news)
    return prior


def _without_internals(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if not key.startswith(_INTERNAL)}


def _internals(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: properties[key] for key in (INPUTS_KEY, NAME_KEY) if key in properties}


def _from_wire(value: Any) -> Any:
    """Make plain values of what the engine's side has decoded: its unknown marker is a string, and all of its numbers are doubles."""
    from runpod_serverless_provider.core.values import UNKNOWN

    if isinstance(value, Mapping):
        return {key: _from_wire(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_from_wire(item) for item in value]
    if isinstance(value, Unknown) or value == rpc.UNKNOWN:
        return UNKNOWN
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _to_wire(value: Any) -> Any:
    from runpod_serverless_provider.core.values import UNKNOWN, map_values

    return map_values(value, lambda leaf: rpc.UNKNOWN if leaf is UNKNOWN else leaf)
