"""Answers the verbs for every resource. Knows no resource by name: what differs between them is on their models and in their hooks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from .checking import (
    DEFAULTS_KEY,
    GENERATED_KEY,
    OWED_KEY,
    as_written,
    check,
    defaults_of,
    generated_of,
    known_properties,
    mark_of,
    require_checked,
    strategy_of,
    with_mark,
)
from .creation import Creations
from .deletions import Deletions
from .failures import ApiProblem, CheckFailed, CreatedButFailed, NoSuchFunction, NoSuchType, ProviderFailure, Unreadable
from .function import Function, listed_of
from .leftovers import Order
from .listings import Listings
from .model import AutoNamed, Default, Leaves, Recreates, StateOnly, facts_at, nest, output_facts
from .naming import is_generated
from .plan import Step, changes, compare
from .ports import Api, Journal, Method, Unfinished, Voice
from .resource import Departure, Resource, Task
from .session import Session
from .validation import shown_unless, tolerant, unreadable, validate
from .values import UNKNOWN, Path, contains_unknown, get_in, is_at_or_below, is_within, parse_pattern, render_path
from .verbs import (
    Change,
    Check,
    Checked,
    Create,
    Created,
    Delete,
    Diff,
    Difference,
    Invoke,
    Invoked,
    Kind,
    List,
    Listed,
    Observed,
    Read,
    Settings,
    Update,
    Updated,
)

_REFRESH_AGE_SECONDS: Final = 10.0
"""How old a list may be that answers a refresh: those of one `pulumi refresh` come within seconds."""


class Provider:
    """The core of one configured provider; `clock` counts seconds.

    Raises NoSuchType for a type that it does not have, else only ProviderFailure.
    """

    def __init__(
        self,
        resources: Iterable[Resource],
        api: Api,
        settings: Settings,
        functions: Iterable[Function] = (),
        clock: Callable[[], float] = time.monotonic,
        journal: Journal | None = None,
    ) -> None:
        self._resources = {resource.token: resource for resource in resources}
        self._functions = {function.token: function for function in functions}
        self._session = Session(api, settings, clock, journal)
        for resource in self._resources.values():
            self._session.part(Listings).tie(resource.path, resource.also_changes)
        self._replacements: dict[str, Task] = {}
        self._refreshed: dict[str, Mapping[str, Any]] = {}
        self._prior: dict[str, Leaves] = {}
        self._living: dict[str, str] = {}
        self._planned: dict[str, tuple[str, str | None]] = {}
        self._anew: set[str] = set()
        self._replaced: set[str] = set()
        self._changed: set[str] = set()
        self._adopted: set[str] = set()

    def _resource(self, token: str) -> Resource:
        if token not in self._resources:
            raise NoSuchType(token)
        return self._resources[token]

    def secret_paths(self, token: str, given: frozenset[Path] = frozenset()) -> frozenset[Path]:
        """Return the properties that are secret whatever the program says, and those that are for the sake of the inputs `given`."""
        return self._resource(token).secrets(given)

    def canonical(self, token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return checked inputs in their canonical form."""
        return nest(_leaves(self._resource(token), inputs))

    def following(self, token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that follow from checked inputs alone, for a door whose previews show inputs as outputs."""
        resource = self._resource(token)
        return resource.derived(_leaves(resource, inputs), defaults_of(inputs))

    def as_inputs(self, token: str, outputs: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that outputs repeat, for a door that is told no others; `news` tells which of them were stated."""
        resource, stated = self._resource(token), as_written(news)
        known = known_properties(resource.inputs, as_written(outputs))
        return {name: value for name, value in known.items() if name in stated or name not in resource.always_shown}

    async def check(self, request: Check) -> Checked:
        """Validate inputs, choose defaults and a name, and refuse transitions that can only fail. Sends no request."""
        request = replace(request, olds=as_written(request.olds))
        resource = self._resource(request.token)
        checked = check(resource, self._session, request)
        if not request.urn:
            return checked
        if request.olds:
            self._prior[request.urn] = _leaves(resource, request.olds)
            return checked
        self._anew.add(request.urn)
        if request.urn in self._prior:  # the engine asks anew, without olds, where it replaces
            self._replaced.add(request.urn)
            refused = tuple(resource.replacement(self._prior.pop(request.urn)))
            return Checked(checked.inputs, (*checked.failures, *refused))
        return checked

    async def diff(self, request: Diff) -> Difference:
        """Plan. Sends a request only to say what a replacement costs."""
        resource = self._resource(request.token)
        outputs, old_inputs = _readable(resource, request.outputs), as_written(request.old_inputs)
        request = replace(request, outputs=outputs, old_inputs=old_inputs, news=as_written(request.news))
        await self._session.part(Creations).named(request.urn, request.id, request.outputs)
        resource.noted(request.id, request.outputs, self._session)
        planned, steps = _steps(resource, request.old_inputs, request.outputs, request.news, request.ignore_changes)
        is_replaced = any(step.replaces for step in steps)
        # A refresh asks, too, against the inputs that it has just read with: it shows drift and replaces nothing.
        is_of_refresh = self._refreshed.pop(request.urn, None) == request.news
        if not is_of_refresh:
            self._living[request.urn] = request.id
            self._planned[request.urn] = (request.id, mark_of(request.outputs))
            self._replacements.pop(request.urn, None)
            self._replaced.discard(request.urn)
        if is_replaced and not is_of_refresh:
            task = Task(self._session, request.voice, planned, request.outputs, tuple(steps))
            self._replacements[request.urn] = task
            self._replaced.add(request.urn)
            await resource.forewarn(request.id, task)
        hollow = [step.facts for step in steps if step.new is UNKNOWN and step.facts.nested is not None and not is_replaced]
        for item in hollow:
            if any(is_within(inner.path, item.path) and isinstance(inner.effect, Recreates) for inner in resource.facts):
                said = f"{item.name} is known only during `pulumi up`; what it then holds may replace the {resource.noun}"
                await request.voice.warn(said)
        hidden = [render_path(step.path) for step in steps if any(is_within(step.path, secret) for secret in request.secrets)]
        if hidden:
            await request.voice.inform(f"the plan shows [secret] for a change of {', '.join(hidden)}")
        found = changes(steps, request.old_inputs, request.outputs, request.news)
        return Difference(
            found or _restated(resource, request, planned),
            stables=() if is_replaced else tuple(name for name in resource.stables if name in request.outputs),
        )

    async def create(self, request: Create) -> Created:
        """Create, or predict in a preview: 1 POST, after what the resource has to look up."""
        request = replace(request, inputs=as_written(request.inputs))
        resource = self._resource(request.token)
        require_checked(resource, request.inputs, request.secrets)
        journal = self._session.journal
        left = await journal.unfinished(request.urn)
        if not request.preview:
            await journal.claim(request.urn)
        planned = _leaves(resource, request.inputs)
        defaulted = defaults_of(request.inputs)
        task = Task(self._session, request.voice, planned, {}, None, defaulted, request.secrets)
        resolved = await resource.resolve(task)
        secrets = resource.secrets(request.secrets)
        # What an earlier run left is this stack's own, and not to be adopted, which would never delete it.
        is_open = contains_unknown(planned) or bool(left)
        replaced = self._living.get(request.urn) if request.urn in self._replacements else None
        adopted = None if is_open else await resource.adopt(task, replaced)
        if request.preview:
            predicted = resource.predicted(planned, {**resolved, **(adopted or {})}, {}, None)
            return Created("", {**predicted, **resource.derived(planned, defaulted)}, secrets)
        if adopted is not None:
            self._adopted.add(str(adopted["id"]))
            self._living[request.urn] = str(adopted["id"])
            return Created(*await self._adopt(request.urn, resource, task, adopted, adopted, defaulted), secrets)
        self._changed.add(_stack_of(request.urn))
        order = Order(
            resource=resource,
            urn=request.urn,
            body=resource.body(planned, resolved),
            planned=planned,
            resolved=resolved,
            is_name_generated="name" in defaulted and _is_unique(resource, planned, request.urn),
            is_name_defaulted="name" in defaulted,
            is_name_secret=("name",) in secrets,
            voice=request.voice,
        )
        try:
            made = await self._session.part(Creations).create(order, resource.is_refusal)
        except ApiProblem as problem:
            if problem.attempt:  # on what an earlier run left
                raise
            advice = resource.advice(problem, task, self._replacements.get(request.urn))
            raise problem.explained(f"creating the {resource.noun} {_name(planned)}", advice) from None
        found = made.found
        self._living[request.urn] = str(found["id"])
        if made.is_taken_over:
            if not made.is_own:
                said = f"took over the {resource.noun} {str(found['id'])!r}, which an earlier run created that did not end in order"
                await request.voice.inform(said)
            identifier, outputs = await self._adopt(request.urn, resource, task, found, resolved, defaulted, is_own=made.is_own)
            await self._await_ready(resource, identifier, task, request.timeout_seconds, outputs, secrets)
            return Created(identifier, outputs, secrets)
        identifier = str(found["id"])
        await journal.unmark(request.urn, identifier)  # of another one that had this id, as after a reset of the emulator
        try:
            outputs = self._outputs(resource, found, planned, resolved, defaulted)
        except Exception as problem:
            reason = f"the answer to its creation could not be read ({type(problem).__name__}); the next `pulumi up` reads it again"
            raise CreatedButFailed(identifier, {**nest(planned), OWED_KEY: True}, (reason,), secrets=secrets) from problem
        absent = _absent(resource, outputs)
        if absent:
            reason = f"the answer to its creation does not tell {', '.join(absent)}; the next `pulumi up` reads it again"
            raise CreatedButFailed(identifier, {**outputs, OWED_KEY: True}, (reason,), secrets=secrets)
        resource.noted(identifier, outputs, self._session)
        await self._await_ready(resource, identifier, task, request.timeout_seconds, outputs, secrets)
        return Created(identifier, outputs, secrets)

    async def _await_ready(
        self,
        resource: Resource,
        id: str,
        task: Task,
        timeout_seconds: float,
        outputs: Mapping[str, Any],
        secrets: frozenset[Path],
    ) -> None:
        """Wait as the program asks; what is not ready in time is kept, and the next `pulumi up` waits on."""
        task = replace(task, outputs=outputs, secrets=secrets)
        reasons = await self._unready(resource, id, task, timeout_seconds or math.inf)
        if reasons:
            raise CreatedButFailed(id, {**outputs, OWED_KEY: True}, reasons, secrets=secrets)

    async def _unready(self, resource: Resource, id: str, task: Task, most_seconds: float) -> tuple[str, ...]:
        try:
            with Unreadable.of("its workers"):
                return await resource.unready(id, task, most_seconds)
        except ProviderFailure as problem:  # whatever it is, the id is kept
            return (f"whether it is ready is not known: {problem}",)

    async def _adopt(
        self,
        urn: str,
        resource: Resource,
        task: Task,
        adopted: Mapping[str, Any],
        resolved: Mapping[str, Any],
        defaulted: frozenset[str],
        *,
        is_own: bool = False,
    ) -> tuple[str, dict[str, Any]]:
        """Take over an object that exists and bring it to what is planned.

        Unless this process did so before, the state may have an entry for it, which is to be deleted then.
        """
        identifier = str(adopted["id"])
        journal = self._session.journal
        mark = await (journal.newest_mark(urn, identifier) if is_own else journal.mark(urn, identifier))
        with Unreadable.of(f"the {resource.noun} {identifier!r}"):
            outputs = self._outputs(resource, adopted, task.planned, resolved, defaulted)
        steps = compare(resource.inputs, task.planned, task.planned, _leaves(resource, outputs), strategy_of(task.planned))
        task = Task(self._session, task.voice, task.planned, outputs, tuple(steps))
        outputs, _ = await self._patch(resource, identifier, task, defaulted)
        resource.noted(identifier, outputs, self._session)
        return identifier, with_mark(outputs, mark)

    async def update(self, request: Update) -> Updated:
        """Update, or predict in a preview: 1 PATCH, or none where the API has no part in what changed."""
        resource = self._resource(request.token)
        outputs, old_inputs = _readable(resource, request.outputs), as_written(request.old_inputs)
        request = replace(request, outputs=outputs, old_inputs=old_inputs, news=as_written(request.news))
        await self._session.part(Creations).named(request.urn, request.id, request.outputs)
        require_checked(resource, request.news, request.secrets, request.old_inputs)
        planned, steps = _steps(resource, request.old_inputs, request.outputs, request.news, request.ignore_changes)
        secrets, defaulted = resource.secrets(request.secrets), defaults_of(request.news)
        task = Task(self._session, request.voice, planned, request.outputs, tuple(steps), defaulted, request.secrets)
        if request.preview:
            predicted = resource.predicted(planned, await resource.resolve(task), request.outputs, task.steps)
            predicted = with_mark({**predicted, **resource.derived(planned, defaulted)}, mark_of(request.outputs))
            return Updated(predicted, secrets)
        self._changed.add(_stack_of(request.urn))
        outputs, since = await self._patch(resource, request.id, task, defaulted)
        resource.noted(request.id, outputs, self._session)
        outputs = with_mark(outputs, mark_of(request.outputs))
        # Without steps the engine asks to wait on.
        if not steps or OWED_KEY in request.outputs or any(not step.is_state_only for step in steps):
            task = replace(task, since=since)
            await self._await_ready(resource, request.id, task, request.timeout_seconds, outputs, secrets)
        return Updated(outputs, secrets)

    async def _patch(self, resource: Resource, id: str, task: Task, defaulted: frozenset[str]) -> tuple[dict[str, Any], Any]:
        """Send what the steps change, if the API has a part in it; return the outputs, and what was noted before."""
        planned, outputs = task.planned, task.outputs
        computed = {**_computed(resource, outputs), **await resource.resolve(task)}
        body = resource.patch(task, computed)
        if not body and _absent(resource, computed):  # its creation ended before these were known
            found = await self._get(resource, id, task.voice)
            with Unreadable.of(f"the {resource.noun} {id!r}"):
                return self._outputs(resource, found, planned, computed, defaulted), None
        if not body:
            shown = {name: outputs[name] for name in resource.always_shown if name in outputs}
            return {**shown, **nest(planned), **computed, **resource.derived(planned, defaulted)}, None
        since = await resource.before_patch(id, body, task)
        try:
            found = await self._request("PATCH", resource, id, body=body, voice=task.voice)
        except ApiProblem as problem:
            advice = resource.advice(problem, task, None)
            if problem.status == 404 and not advice and await self._is_there(resource, id, task.voice):
                advice = (
                    f"It is there, so it is somebody else's: only its owner can change this {resource.noun}. Take it out of the program, "
                    "and out of the state with `pulumi state delete`."
                )
            raise problem.explained(f"updating the {resource.noun} {id!r}", advice) from None
        with Unreadable.of(f"the {resource.noun} {id!r}"):
            _require_about(found, id)
            return self._outputs(resource, found, planned, computed, defaulted), since

    async def read(self, request: Read) -> Observed | None:
        """Observe one resource; None when it is gone. Without inputs, also work out how a program would state it.

        An import is 1 GET; refreshes share 1 list a kind, and what is absent from it is confirmed by 1 GET. What was not ready in time is
        looked at once more; while it is not, CreatedButFailed says so, and the next `pulumi up` waits on.
        """
        resource = self._resource(request.token)
        request = replace(request, inputs=as_written(request.inputs), outputs=_readable(resource, request.outputs))
        await self._session.part(Creations).named(request.urn, request.id, request.outputs)
        try:
            found = await self._listed(resource, request) or await self._get(resource, request.id, request.voice)
        except ApiProblem as problem:
            if problem.status == 404:
                return None
            raise
        mark = mark_of(request.outputs)
        if not request.outputs:
            await self._session.part(Creations).named(request.urn, request.id, found)
            mark = await self._session.journal.newest_mark(request.urn, request.id)
        self._refreshed[request.urn] = request.inputs
        with Unreadable.of(f"the {resource.noun} {request.id!r}"):
            observed = await self._observed(resource, request, found)
        observed = replace(observed, outputs=with_mark(observed.outputs, mark))
        if OWED_KEY in request.outputs and request.inputs:
            await self._require_ready(resource, request, observed)
        return observed

    async def _require_ready(self, resource: Resource, request: Read, observed: Observed) -> None:
        planned = _leaves(resource, request.inputs)
        task = Task(self._session, request.voice, planned, observed.outputs, (), secrets=observed.secrets)
        if reasons := await self._unready(resource, request.id, task, 0.0):
            outputs = {**observed.outputs, OWED_KEY: request.outputs[OWED_KEY]}
            raise CreatedButFailed(request.id, outputs, reasons, observed.inputs, observed.secrets)

    async def _observed(self, resource: Resource, request: Read, found: Mapping[str, Any]) -> Observed:
        managed = _leaves(resource, request.inputs) if request.inputs else None
        prior = _computed(resource, request.outputs)
        await resource.before_reading(found, managed, prior, self._session, request.voice)
        observed = resource.observe(found, managed, prior, self._session)
        if managed is None:
            inputs = self._least(resource, resource.stated(observed, found))
        else:
            inputs = _overlaid(resource, request.inputs, managed, observed)
        known = managed or {}
        unstated = resource.secret_observed({path: value for path, value in observed.items() if path not in known})
        shown = observed if DEFAULTS_KEY in request.inputs else self._whole(resource, found, inputs, prior, observed)
        computed = {**prior, **resource.computed(found, managed or {}, prior)}
        stated = _leaves(resource, inputs) if managed is None else observed
        derived = resource.derived(stated, defaults_of(inputs))
        outputs = {**_shown(resource, found), **nest(shown), **computed, **derived}
        resource.noted(request.id, outputs, self._session)
        return Observed(request.id, inputs, outputs, resource.secrets(request.secrets | unstated))

    async def _listed(self, resource: Resource, request: Read) -> Mapping[str, Any] | None:
        """Find the object of a refresh in a list, which serves all refreshes of its kind; what a list lacks may still exist."""
        if not request.inputs:
            return None
        try:
            items = await self._session.part(Listings).get(
                resource.path, resource.list_key, request.voice, max_age_seconds=_REFRESH_AGE_SECONDS
            )
        except ApiProblem as problem:
            raise problem.explained(f"reading the {resource.noun} {request.id!r}") from None
        return next((item for item in items if item.get("id") == request.id), None)

    def _whole(
        self, resource: Resource, found: Mapping[str, Any], inputs: Mapping[str, Any], prior: Mapping[str, Any], observed: Leaves
    ) -> Leaves:
        """Complete what was observed of an imported resource, whose inputs leave the defaults out until the next Check adds them.

        What is in the outputs is no change then.
        """
        completed = self._completed(resource, inputs)
        at = {path: facts_at(resource.inputs, path) for path in completed}
        unseen = {
            path: value for path, value in completed.items() if isinstance(at[path].effect, StateOnly) or not at[path].at.is_read
        }
        live = resource.observe(found, None, prior, self._session)
        return {**{path: value for path, value in live.items() if path in completed}, **unseen, **observed}

    def _completed(self, resource: Resource, inputs: Mapping[str, Any]) -> Leaves:
        request = Check(resource.token, "imported", {}, inputs)
        return _leaves(resource, check(resource, self._session, request, is_there=True).inputs)

    def _least(self, resource: Resource, stated: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out of `stated` what the defaults bring by themselves."""
        whole, least = self._completed(resource, stated), dict(stated)
        nested = [item.path for item in resource.facts if len(item.path) > 1 and item.marker(Default) is not None]
        for path in [*((name,) for name in stated), *nested]:
            shorter = _without(least, path)
            if self._completed(resource, shorter) == whole:
                least = shorter
        return least

    async def delete(self, request: Delete) -> None:
        """Delete with 1 DELETE; what is gone already counts as deleted."""
        resource = self._resource(request.token)
        request = replace(request, old_inputs=as_written(request.old_inputs), outputs=_readable(resource, request.outputs))
        await self._session.part(Creations).named(request.urn, request.id, request.outputs)
        living = self._living.get(request.urn, request.id)
        # The entry is of the past, where the object was taken over since: the state has, or this run makes, another one for it.
        is_adopted, mark = request.id == living and living in self._adopted, mark_of(request.outputs)
        is_planned, is_new = self._planned.get(request.urn) == (request.id, mark), request.urn in self._anew
        if is_adopted or await self._session.journal.is_stale(request.urn, request.id, mark, is_planned=is_planned, is_new=is_new):
            said = f"the {resource.noun} {request.id!r} stays: a run has taken it over in place of itself, and it was not replaced"
            if not is_adopted:  # which another run would do again
                said += "; `pulumi up --replace` does that. If `pulumi stack --show-ids` shows it no more, delete it in the Runpod console"
            await request.voice.warn(said)
            return
        self._changed.add(_stack_of(request.urn))
        prior = _leaves(resource, request.old_inputs)
        successor = living if request.target and living != request.id else None
        if resource.keeps(Departure(request.target, request.id, prior, request.outputs, successor)):
            return
        task = Task(self._session, request.voice, prior, request.outputs, ())
        with self._session.part(Deletions).of(resource.path):
            await resource.before_delete(request.id, prior, self._session, request.voice, request.timeout_seconds)
            try:
                await self._request("DELETE", resource, request.id, voice=request.voice)
            except ApiProblem as problem:
                if problem.status != 404 and not await resource.goes_with_another(request.id, problem, task):
                    advice = resource.advice(problem, task, None)
                    raise problem.explained(f"deleting the {resource.noun} {request.id!r}", advice) from None
        await self._session.journal.unmark(request.urn, request.id)

    def replied(self, id: str) -> None:
        """Note that the engine was told what was created."""
        self._session.journal.replied(id)

    async def ended(self) -> None:
        """Note that the engine ends the run in order: it has stored all that it was told."""
        await self._session.journal.ended()

    async def tell_abandoned(self, voice: Voice) -> None:
        """Warn of what earlier runs of this stack may have created and nobody has taken over; forget what is surely gone.

        Where this run changed nothing, of that alone which stands beside what the stack has: `pulumi up` sees no reason to take it over.
        Where there is something to tell of, it takes two lists a kind at most, and a GET for each id that the first of them lacks.
        """
        found = []
        for stack in self._changed | {_stack_of(urn) for urn in self._living}:
            for entry in await self._session.journal.abandoned(stack):
                held = None if entry.intent.urn in self._replaced else self._living.get(entry.intent.urn)
                resource = next((one for one in self._resources.values() if one.path == entry.intent.path), None)
                if resource is not None and (held or stack in self._changed):
                    found.append((resource, entry, held))
        creations = self._session.part(Creations)
        are_gone = await asyncio.gather(*(creations.forgets(resource, entry, voice) for resource, entry, _ in found))
        told = [_abandoned(*item) for item, is_gone in zip(found, are_gone, strict=True) if not is_gone]
        await asyncio.gather(*map(voice.warn, told))

    async def invoke(self, request: Invoke) -> Invoked:
        """Answer a function's question with GETs alone. Raises NoSuchFunction for one that it does not have."""
        if request.token not in self._functions:
            raise NoSuchFunction(request.token)
        function = self._functions[request.token]
        arguments = {name: value for name, value in request.arguments.items() if value is not None}
        model, failures = validate(function.arguments, arguments, shown_unless(frozenset()))
        if model is None:
            return Invoked({}, failures=tuple(failures))
        try:
            with Unreadable.of("this"):
                answer = await function.call(self._session, model, request.voice)
        except CheckFailed as problem:
            return Invoked({}, failures=problem.failures)
        return Invoked(answer.values, answer.secrets)

    async def list_all(self, request: List) -> list[Listed]:
        """List what exists, with 1 GET."""
        found = await listed_of(self._resource(request.token), self._session, request.voice)
        return [Listed(str(item["id"]), str(item.get("name", ""))) for item in found]

    async def _get(self, resource: Resource, id: str, voice: Voice) -> Any:
        try:
            found = await self._session.api.request("GET", f"{resource.path}/{id}", voice=voice)
        except ApiProblem as problem:
            raise problem.explained(f"reading the {resource.noun} {id!r}") from None
        with Unreadable.of(f"the {resource.noun} {id!r}"):
            _require_about(found, id)
        return found

    async def _is_there(self, resource: Resource, id: str, voice: Voice) -> bool:
        try:
            return bool(await self._get(resource, id, voice))
        except ProviderFailure:
            return False

    async def _request(
        self, method: Method, resource: Resource, id: str = "", *, voice: Voice, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Write, and forget lists that the write outdates."""
        try:
            return await self._session.api.request(method, f"{resource.path}/{id}" if id else resource.path, body=body, voice=voice)
        finally:
            self._session.part(Listings).forget(resource.path)

    def _outputs(
        self, resource: Resource, found: Mapping[str, Any], planned: Leaves, prior: Mapping[str, Any], defaulted: frozenset[str]
    ) -> dict[str, Any]:
        computed = {**_computed(resource, prior), **resource.computed(found, planned, prior)}
        observed = resource.observe(found, planned, computed, self._session)
        return {**_shown(resource, found), **nest(observed), **computed, **resource.derived(observed, defaulted)}


def _restated(resource: Resource, request: Diff, planned: Leaves) -> tuple[Change, ...]:
    """List what is as it was, but now stated instead of a default, or the other way round, where an output tells the difference."""
    defaulted = defaults_of(request.news)
    derived = resource.derived(planned, defaulted)
    if all(request.outputs.get(name, value) == value for name, value in derived.items()):
        return ()
    turned = sorted(defaults_of(request.old_inputs) ^ defaulted)
    paths = [parse_pattern(text) for text in turned if resource.derived(planned, defaulted ^ {text}) != derived]
    return tuple(Change(path, Kind.UPDATE) for path in paths if get_in(request.news, path) is not None)


def _require_about(found: Any, id: str) -> None:
    """Raise ValueError for an answer that is not about the object asked for: what it does not tell would count as gone."""
    if not isinstance(found, Mapping) or found.get("id") != id:
        raise ValueError


def _without(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Copy `values` without what stands at `path`."""
    inner = values.get(str(path[0]))
    if len(path) > 1 and isinstance(inner, Mapping):
        return {**values, str(path[0]): _without(inner, path[1:])}
    return {name: value for name, value in values.items() if (name,) != path}


def _readable(resource: Resource, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of prior outputs what this version cannot read; it counts as not observed."""
    foreign = unreadable(
        resource.outputs, {item.name: outputs[item.name] for item in output_facts(resource.outputs) if item.name in outputs}
    )
    foreign |= unreadable(resource.inputs, known_properties(resource.inputs, outputs))
    return {name: value for name, value in outputs.items() if name not in foreign}


def _leaves(resource: Resource, properties: Mapping[str, Any]) -> dict[Path, Any]:
    return tolerant(resource.inputs, known_properties(resource.inputs, properties))


def _steps(
    resource: Resource,
    old_inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    news: Mapping[str, Any],
    ignored: Iterable[str],
) -> tuple[Leaves, list[Step]]:
    prior, planned, observed = (_leaves(resource, properties) for properties in (old_inputs, news, outputs))
    return planned, compare(resource.inputs, prior, planned, observed, strategy_of(planned), ignored, defaults_of(news))


def _computed(resource: Resource, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs beyond the inputs."""
    return {item.name: outputs[item.name] for item in output_facts(resource.outputs) if item.name in outputs}


def _abandoned(resource: Resource, entry: Unfinished, held: str | None) -> str:
    """Tell of what an earlier run left; `held` is what the stack has for its URN, as far as this run was told."""
    urn, noun = entry.intent.urn, resource.noun
    what = f"created the {noun} {entry.id!r}" if entry.id else f"may have created the {noun} {entry.shown_name}".rstrip()
    if held:
        advice = (
            f"The stack has {held!r} for it; another one may cost money unseen. If that was to replace it, replace it again, which takes "
            f"the other one over: `pulumi up --replace '{urn}'`; else delete the other one in the Runpod console"
        )
    else:
        advice = (
            "If the stack holds it (`pulumi stack --show-ids`), `pulumi refresh` settles this; if not, it may cost money unseen: "
            "delete it in the Runpod console or, where the stack has no other one for this resource, take it over with "
            f"`pulumi refresh --import-pending-creates '{urn}' {entry.id or 'ID'}`"
        )
    return f"an earlier run that did not end in order {what} for {urn}. {advice}"


def _stack_of(urn: str) -> str:
    """Return how the URNs of a stack's resources begin: `urn:pulumi:<stack>::<project>::`."""
    return "".join(f"{part}::" for part in urn.split("::")[:2])


def _is_unique(resource: Resource, planned: Leaves, urn: str) -> bool:
    """Say whether this provider made the name up, so that nobody else has it. What autonaming proposes may be a logical name as it is."""
    name, logical_name = planned.get(("name",)), urn.rpartition("::")[2]
    limits = [marker.max_length for item in resource.facts if (marker := item.marker(AutoNamed))]
    return any(is_generated(name, logical_name, limit) for limit in limits)


def _absent(resource: Resource, outputs: Mapping[str, Any]) -> list[str]:
    """Name the outputs that every resource of this kind has, and `outputs` do not."""
    return [item.name for item in output_facts(resource.outputs) if item.info.is_required() and item.name not in outputs]


def _shown(resource: Resource, found: Mapping[str, Any]) -> dict[str, Any]:
    at = {item.name: item.at for item in resource.facts if len(item.path) == 1}
    return {name: value for name in resource.always_shown if (value := get_in(found, at[name].path)) is not None}


def _overlaid(resource: Resource, inputs: Mapping[str, Any], managed: Leaves, observed: Leaves) -> dict[str, Any]:
    """Put what was observed into inputs of the user's own form; a property that did not drift keeps that form.

    A drifted property no longer counts as defaulted: the next Check would take the drifted value for the default. A generated name is
    kept aside, as nothing but the state could say what it was.
    """
    drift = [path for path in {*managed, *observed} if managed.get(path) != observed.get(path)]
    drifted = {str(path[0]) for path in drift}
    live = nest(observed)
    overlaid = {name: live.get(name) if name in drifted else value for name, value in inputs.items()}
    overlaid.update({name: live[name] for name in drifted - set(inputs) if name in live})
    if DEFAULTS_KEY in inputs:
        defaulted = [text for text in defaults_of(inputs) if not any(is_at_or_below(path, parse_pattern(text)) for path in drift)]
        named = {render_path(item.path): item.path for item in resource.facts if item.marker(AutoNamed) is not None}
        prior = {text: managed[path] for text, path in named.items() if text in defaults_of(inputs) and path in managed}
        generated = {text: name for text, name in {**prior, **generated_of(inputs)}.items() if text in named}
        restored = [text for text in generated if generated[text] == observed.get(named[text])]
        overlaid[DEFAULTS_KEY] = sorted({*defaulted, *restored})
        overlaid[GENERATED_KEY] = {text: name for text, name in generated.items() if text not in restored} or None
    return {name: value for name, value in overlaid.items() if value is not None}


def _name(planned: Leaves) -> str:
    return repr(planned.get(("name",), ""))
