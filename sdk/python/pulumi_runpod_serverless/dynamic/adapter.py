"""Translates the calls of `pulumi.dynamic` to the core's verbs, for one type of resource. What to do is decided in the core.

The engine tells a dynamic provider old outputs only, no names and no secretness. What the core needs beyond that stands beside the
properties, under names with two underscores, which are never compared.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, UpdateResult
from pulumi.output import Unknown

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.checking import INPUTS_KEY, OWED_KEY, as_written, without_internals
from runpod_serverless_provider.core.failures import CheckFailed, CreatedButFailed, Failure, OutcomeUnknown, worded
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.values import UNKNOWN, Path, map_values
from runpod_serverless_provider.engine import EngineVoice
from runpod_serverless_provider.redaction import Redactor, secret_texts
from runpod_serverless_provider.signatures import EXACT_INTEGER_LIMIT, SECRET, SIGNATURE_KEY, UNKNOWN_SENTINELS, UNKNOWN_STRING

from . import NAME_KEY, PROVIDER_KEY, SECRETS_KEY, STACK_KEY
from .partial import tell
from .process import IMPORTS, Process

FAILED_KEY: Final = "__failed"
"""Why the creation of this resource did not finish; the next plan updates it."""
_KEPT: Final = (NAME_KEY, STACK_KEY, SECRETS_KEY, INPUTS_KEY)

_P = ParamSpec("_P")
_Answer = TypeVar("_Answer")


class RunpodError(Exception):
    """What the user reads; the engine's side prints it below a traceback."""


@dataclass(frozen=True)
class Matter:
    """One call about one resource: who it is about, and what must not be said about it."""

    name: str
    urn: str
    """Stands in for the URN, which the engine does not tell."""
    subject: str
    redact: Redactor
    secrets: frozenset[Path]

    @classmethod
    def of(cls, token: str, bags: Iterable[Mapping[str, Any]], api_keys: Iterable[str]) -> Matter:
        """Learn it from the properties that come with the call."""
        names = [str(bag[NAME_KEY]) for bag in bags if NAME_KEY in bag]
        told = (path for bag in bags for path in bag.get(SECRETS_KEY) or ())
        kind = token.rpartition(":")[2]
        name = names[-1] if names else kind.lower()
        stacks = [f"urn:pulumi:{bag[STACK_KEY]}::" for bag in bags if STACK_KEY in bag]
        urn = f"{stacks[-1] if stacks else ''}{token}::{name}"
        return cls(name, urn, f"{kind} {name!r}", Redactor(api_keys), frozenset(tuple(map(str, path)) for path in told))

    def hide(self, bags: Iterable[Mapping[str, Any]], schema_secrets: frozenset[Path]) -> None:
        """Take secrets out of all that is said from now on."""
        for bag in bags:
            for properties in (bag, as_written(bag)):
                self.redact.add(secret_texts(properties, self.secrets | schema_secrets))

    def said(self, text: str) -> str:
        """Word a message about this resource, for it is shown at the stack: the engine tells no URN."""
        return self.redact(f"{self.subject}:{'' if text.startswith(chr(10)) else ' '}{text}")


def _about(
    method: Callable[Concatenate[Adapter, Matter, _P], _Answer],
) -> Callable[Concatenate[Adapter, _P], _Answer]:
    """Tell a method what its call is about, and let every failure be a text without secrets and without a traceback of ours."""

    @functools.wraps(method)
    def handle(self: Adapter, /, *arguments: _P.args, **options: _P.kwargs) -> _Answer:
        bags = [bag for bag in arguments if isinstance(bag, Mapping)]
        matter = Matter.of(self.token, bags, self.process.api_keys)
        try:
            matter.hide(bags, self.process.core.secret_paths(self.token))
            matter.redact.add(self.process.api_keys)
            return method(self, matter, *arguments, **options)
        except Exception as problem:  # noqa: BLE001 - the last line of defence
            text = worded(problem)
            if isinstance(problem, OutcomeUnknown) and "pulumi import" in text:
                text += f" {IMPORTS}"
        raise RunpodError(matter.said(text))

    return handle


class Adapter:
    """Answers for the resource type `token`."""

    def __init__(self, token: str, process: Process) -> None:
        self.token = token
        self.process = process

    @_about
    def check(self, matter: Matter, olds: Mapping[str, Any], news: Mapping[str, Any]) -> CheckResult:
        """Validate; return canonical inputs and the program's own form."""
        given, kept = without_internals(_decode(news)), _kept(news)
        request = verbs.Check(
            token=self.token, name=matter.name, olds=_decode(olds), news=given, secrets=matter.secrets, voice=self._voice(matter)
        )
        try:
            checked = self._run(self._core.check(request))
        except CheckFailed as problem:
            checked = verbs.Checked(given, problem.failures)
        if checked.failures:
            return CheckResult(_encode({**given, **kept}), [self._failure(found, given, matter) for found in checked.failures])
        return CheckResult(self._inputs(matter, checked.inputs, kept), [])

    @_about
    def diff(self, matter: Matter, id: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> DiffResult:
        """Plan. A resource that came from the other door, or whose creation did not finish, is updated at the least."""
        outputs, planned = _decode(olds), _decode(news)
        request = verbs.Diff(
            token=self.token,
            id=id,
            outputs=outputs,
            old_inputs=self._prior(outputs, planned),
            news=planned,
            urn=matter.urn,
            secrets=matter.secrets,
            voice=self._voice(matter),
        )
        difference = self._run(self._core.diff(request))
        is_due = bool(difference.changes) or FAILED_KEY in olds or PROVIDER_KEY not in olds
        return DiffResult(
            changes=is_due,
            replaces=sorted({str(change.path[0]) for change in difference.changes if change.kind.value.endswith("replace")}),
            stables=list(difference.stables),
            delete_before_replace=difference.delete_before_replace,
        )

    @_about
    def create(self, matter: Matter, properties: Mapping[str, Any]) -> CreateResult:
        """Create; once there is an id, nothing that happens loses it."""
        inputs = _decode(properties)
        request = verbs.Create(token=self.token, urn=matter.urn, inputs=inputs, secrets=matter.secrets, voice=self._voice(matter))
        try:
            created = self._run(self._create(request))
        except CreatedButFailed as problem:
            return CreateResult(problem.id, self._unfinished(matter, problem, inputs))
        return CreateResult(created.id, _encode({**created.outputs, **_kept(inputs)}, created.secrets))

    async def _create(self, request: verbs.Create) -> verbs.Created:
        """Create; what there is then, the engine is told by what follows."""
        try:
            created = await self._core.create(request)
        except CreatedButFailed as problem:
            self._core.replied(problem.id)
            raise
        self._core.replied(created.id)
        return created

    def _unfinished(
        self, matter: Matter, problem: CreatedButFailed, inputs: Mapping[str, Any], read: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Fail with all that is known of the resource; where the engine cannot be told, return outputs that the next plan updates.

        `read` are the encoded inputs that a refresh found.
        """
        reasons = [matter.redact(reason) for reason in problem.reasons]
        outputs = {**problem.outputs, **_kept(inputs)}
        provider = {PROVIDER_KEY: inputs[PROVIDER_KEY]} if PROVIDER_KEY in inputs else {}
        told = None if read is None else {**read, **provider}
        if tell(problem.id, _encode({**outputs, **provider}, problem.secrets), reasons, matter.said(str(problem)), told):
            raise problem
        self._run(self._voice(matter).warn(str(problem)))
        return _encode({**outputs, FAILED_KEY: reasons}, problem.secrets)

    @_about
    def read(self, matter: Matter, id: str, properties: Mapping[str, Any]) -> ReadResult:
        """Refresh; the next plan updates what was not ready in time and is not yet."""
        prior = _decode(properties)
        try:
            return self._read(matter, id, prior)
        except CreatedButFailed as problem:
            kept = {**_kept(prior), INPUTS_KEY: problem.inputs}
            inputs = self._inputs(matter, problem.inputs, kept, problem.secrets)
            return ReadResult(problem.id, self._unfinished(matter, problem, {**prior, **kept}, inputs), inputs)

    def _read(self, matter: Matter, id: str, prior: Mapping[str, Any]) -> ReadResult:
        request = verbs.Read(
            token=self.token,
            urn=matter.urn,
            id=id,
            inputs=prior,
            outputs=prior,
            secrets=matter.secrets,
            voice=self._voice(matter),
        )
        observed = self._run(self._core.read(request))
        if observed is None:
            return ReadResult(None, {})  # the engine's side takes no None for outputs
        kept = {**_kept(prior), INPUTS_KEY: observed.inputs}
        outputs = _encode({**observed.outputs, **kept}, observed.secrets)
        return ReadResult(observed.id, outputs, self._inputs(matter, observed.inputs, kept, observed.secrets))

    @_about
    def update(self, matter: Matter, id: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> UpdateResult:
        """Update; what is known of a resource whose creation did not finish is read first.

        One that is not ready in time is kept with a warning, so that its change is not sent again; it fails where none was sent.
        """
        outputs, planned = _decode(olds), _decode(news)
        if FAILED_KEY in outputs:
            found = self._read(matter, id, {name: value for name, value in outputs.items() if name != OWED_KEY})
            if found.id is not None:
                outputs = {**_decode(found.outs), INPUTS_KEY: outputs[INPUTS_KEY], OWED_KEY: True}
        request = verbs.Update(
            token=self.token,
            urn=matter.urn,
            id=id,
            outputs=outputs,
            old_inputs=self._prior(outputs, planned),
            news=planned,
            secrets=matter.secrets,
            voice=self._voice(matter),
        )
        try:
            updated = self._run(self._core.update(request))
        except CreatedButFailed as problem:
            return UpdateResult(self._unfinished(matter, problem, planned))
        return UpdateResult(_encode({**updated.outputs, **_kept(planned)}, updated.secrets))

    @_about
    def delete(self, matter: Matter, id: str, properties: Mapping[str, Any]) -> None:
        """Delete."""
        outputs = _decode(properties)
        request = verbs.Delete(
            token=self.token, urn=matter.urn, id=id, outputs=outputs, old_inputs=outputs, voice=self._voice(matter)
        )
        self._run(self._core.delete(request))

    def _inputs(
        self, matter: Matter, inputs: Mapping[str, Any], kept: Mapping[str, Any], secrets: frozenset[Path] = frozenset()
    ) -> dict[str, Any]:
        """Write checked inputs in canonical form, and what follows from them: a preview shows all of it as outputs."""
        following = self._core.following(self.token, inputs)
        hidden = {path for path in self._core.secret_paths(self.token, matter.secrets) if path[0] in following}
        return _encode({**self._core.canonical(self.token, inputs), **following, **kept, INPUTS_KEY: inputs}, hidden | secrets)

    @property
    def _core(self) -> Provider:
        return self.process.core

    def _run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self.process.run(work)

    def _voice(self, matter: Matter) -> EngineVoice:
        return EngineVoice(self.process.engine, "", matter.said)

    def _failure(self, failure: Failure, given: Mapping[str, Any], matter: Matter) -> CheckFailure:
        """Name the property only where it was given and holds no secret: the CLI prints the value of a named property."""
        name = str(failure.path[0]) if failure.path else ""
        secrets = matter.secrets | self._core.secret_paths(self.token)
        is_shown = name in given and all(path[0] != name for path in secrets)
        return CheckFailure(name if is_shown else "", matter.redact(failure.text))

    def _prior(self, outputs: Mapping[str, Any], news: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the prior inputs: outputs of this door hold them, those of a resource that was native repeat them."""
        prior: Mapping[str, Any] = (
            outputs if INPUTS_KEY in outputs else self._core.as_inputs(self.token, without_internals(outputs), news)
        )
        return prior


def _kept(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: properties[key] for key in _KEPT if key in properties}


def _decode(value: Any) -> Any:
    """Make plain values of what Pulumi's side has decoded: null is absent, numbers are doubles, an unknown may still be its marker."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE_KEY) == SECRET:
            return _decode(value.get("value"))
        return {key: _decode(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_decode(item) for item in value]
    if isinstance(value, Unknown) or (isinstance(value, str) and value in UNKNOWN_SENTINELS):
        return UNKNOWN
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_INTEGER_LIMIT
    return int(value) if is_whole else value


def _encode(properties: Mapping[str, Any], secrets: Iterable[Path] = ()) -> dict[str, Any]:
    """Write properties, those whole that hold a secret as the engine marks secrets.

    By itself it finds only those again that have the name of their secret input. The program's own form is one of them always.
    """
    hidden = {INPUTS_KEY, *(str(path[0]) for path in secrets if path)}
    plain = map_values(properties, lambda leaf: UNKNOWN_STRING if leaf is UNKNOWN else leaf)
    return {name: {SIGNATURE_KEY: SECRET, "value": value} if name in hidden else value for name, value in plain.items()}
