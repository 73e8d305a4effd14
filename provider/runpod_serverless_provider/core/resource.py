"""What a resource is: its models and its place in the API, and the hooks for what markers cannot say. All else is derived from these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from .failures import ApiProblem, Failure
from .model import (
    At,
    DerivedFrom,
    Facts,
    Inputs,
    Leaves,
    Outputs,
    Recreates,
    Secret,
    StateOnly,
    below,
    facts,
    facts_at,
    nest,
    open_leaf,
    output_facts,
)
from .plan import Step
from .ports import Voice
from .session import Session
from .values import UNKNOWN, Path, get_in

PACKAGE: Final = "runpod-serverless"


@dataclass(frozen=True)
class Task:
    """What a hook works for: the planned inputs, the session, and a voice to the user.

    `steps` is None for a create; `outputs` are the prior ones, empty for a create, and once it is done those it has led to. `defaulted` are
    the paths that the program left out, `secrets` those of inputs and outputs that are not to be quoted, neither whole nor in parts.
    `since` is what `before_patch` noted.
    """

    session: Session
    voice: Voice
    planned: Leaves
    outputs: Mapping[str, Any]
    steps: tuple[Step, ...] | None = None
    defaulted: frozenset[str] = frozenset()
    secrets: frozenset[Path] = frozenset()
    since: Any = None

    def touches(self, *names: str) -> bool:
        """Is this a create, or a change of one of these properties?"""
        return self.steps is None or any(step.path[0] in names for step in self.steps)


@dataclass(frozen=True)
class Departure:
    """A resource that is to be deleted, by its prior inputs and outputs.

    `target` is its URN, where the door knows it; `successor` the id that the state has in its place, where it was replaced.
    """

    target: str
    id: str
    prior: Leaves
    outputs: Mapping[str, Any]
    successor: str | None = None


class Resource:
    """One kind of resource. Subclasses declare the models and override only what markers cannot say. Holds no state."""

    name: ClassVar[str]
    """As in the token and the SDK: `Endpoint`."""
    noun: ClassVar[str]
    """As in messages: `endpoint`."""
    path: ClassVar[str]
    """Where the API has it: `/serverless`."""
    list_key: ClassVar[str]
    """The member of a list answer that holds the items."""
    also_changes: ClassVar[tuple[str, ...]] = ()
    """Paths of other kinds, of whose objects a write to one of these may change some."""
    inputs: ClassVar[type[Inputs]]
    outputs: ClassVar[type[Outputs]]
    plural: ClassVar[str]
    """As in the name of the function that lists them: `Endpoints`."""
    stables: ClassVar[tuple[str, ...]] = ()
    """Outputs that no update changes."""
    may_be_secret: ClassVar[tuple[str, ...]] = ()
    """Outputs that may hold what nobody called secret: lists leave them out."""
    refusals: ClassVar[tuple[str, ...]] = ()
    """What Runpod is known to say where it refuses a create with status 500, in lower case."""
    always_shown: ClassVar[tuple[str, ...]] = ()
    """Properties that are outputs even where no input sets them."""

    @property
    def facts(self) -> tuple[Facts, ...]:
        """The facts of all input fields."""
        return facts(self.inputs)

    @property
    def token(self) -> str:
        """The type token."""
        return f"{PACKAGE}:index:{self.name}"

    @property
    def is_patchable(self) -> bool:
        """Can the API change such an object at all?"""
        return any(not isinstance(item.effect, Recreates) or item.effect.is_patchable for item in self.facts)

    @property
    def tells_creation_time(self) -> bool:
        """Does the API say when it made such an object?"""
        return any(item.at.path == ("createdAt",) for item in output_facts(self.outputs) if item.marker(At))

    # -- what a program may write

    def rules(self, planned: Leaves, defaulted: frozenset[str], session: Session) -> Iterable[Failure]:
        """Yield what is wrong across fields. Leaves may be UNKNOWN, and a rule that touches one says nothing.

        What is wrong by itself is BROKEN: it is there, which is all that is known of it.
        `defaulted` are the paths that the program left out and a default fills.
        """
        return ()

    def transitions(self, prior: Leaves, planned: Leaves, steps: Iterable[Step]) -> Iterable[Failure]:
        """Yield what is wrong with going from `prior` to `planned`."""
        return ()

    def replacement(self, prior: Leaves) -> Iterable[Failure]:
        """Yield why what has the inputs `prior` must not be replaced, where the engine wants that for reasons of its own."""
        return ()

    # -- what happens before a request

    async def resolve(self, task: Task) -> dict[str, Any]:
        """Work out outputs that are sent (a selection of pools, for one), and look up what only the API knows.

        Runs in previews too. Raises CheckFailed; sends no request that changes anything.
        """
        return {}

    async def adopt(self, task: Task, replaced: str | None) -> Mapping[str, Any] | None:
        """Return the API's object that a create takes over, but never the one that it replaces; None to create one."""
        return None

    async def forewarn(self, id: str, task: Task) -> None:
        """Tell what replacing `id` costs."""

    async def before_patch(self, id: str, body: Mapping[str, Any], task: Task) -> Any:
        """Note what `unready` has to know of the time before a PATCH with `body`."""
        return None

    async def unready(self, id: str, task: Task, most_seconds: float) -> tuple[str, ...]:
        """Wait until the resource is ready, as far as the program asks for it, and say why it is not; nothing where it is.

        `most_seconds` bounds the wait besides; with 0 it is only looked at.
        """
        return ()

    def keeps(self, departure: Departure) -> bool:
        """Say whether a delete leaves the remote object alone. Raises Refused where it must not happen at all."""
        return False

    async def before_delete(self, id: str, prior: Leaves, session: Session, voice: Voice, timeout_seconds: float) -> None:
        """Say what the user should know of a delete, and wait for what has to end first, within the time (0: as long as it takes).

        Raises Refused where the delete must not happen now.
        """

    async def goes_with_another(self, id: str, problem: ApiProblem, task: Task) -> bool:
        """Say whether an object whose delete was refused is gone all the same, once a delete that takes it along is done."""
        return False

    def noted(self, id: str, properties: Mapping[str, Any], session: Session) -> None:
        """Learn from a resource of this kind that passes by; called with inputs or outputs."""

    def is_refusal(self, problem: ApiProblem) -> bool:
        """Say whether a create that was answered with 5xx or 408 has surely made nothing.

        Only a known sentence under status 500 tells that: the other statuses are a gateway's too, behind which the create may go on.
        """
        said = problem.detail.lower()
        return problem.status == 500 and any(sentence in said for sentence in self.refusals)

    def advice(self, problem: ApiProblem, task: Task, replacement: Task | None) -> str:
        """Say what to do about a refusal; `replacement` is the plan that made this create one, with the outputs of what it replaces."""
        return ""

    # -- bodies and answers

    async def before_reading(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session, voice: Voice
    ) -> None:
        """Look up what `observe` needs to know; nothing in the common case, so that a refresh is 1 GET."""

    def body(self, planned: Leaves, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Build the whole body of a create. Nested objects come first, so that top-level properties win; maps are merged."""
        body: dict[str, Any] = {}
        sent = [(item, _value_at(planned, item.path)) for item in self.facts if item.is_sent and item.at.is_written]
        resolved = [item for item in output_facts(self.outputs) if item.marker(At) is not None and item.at.is_written]
        sent += [(item, outputs.get(item.name)) for item in resolved]
        for item, value in sorted(sent, key=lambda pair: -len(pair[0].path)):
            if value is not None:
                _put(body, item.at.path, item.at.write(value) if item.at.write else value)
        return body

    def patch(self, task: Task, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Build the body of an update: the top-level keys that `steps` touch, each whole; a key that is gone takes its clearing value."""
        whole = self.body(task.planned, outputs)
        patch: dict[str, Any] = {}
        for step in task.steps or ():
            if step.is_state_only:
                continue
            at = step.facts.at
            if len(at.path) > 1 and step.new is None and at.is_clearable and get_in(whole, at.path) is None:
                _put(whole, at.path, at.clear)
            key = at.path[0]
            if key in whole:
                patch[key] = whole[key]
            elif at.is_clearable and step.new is None:
                patch[key] = at.clear
        return patch

    def observe(
        self, found: Mapping[str, Any], managed: Leaves | None, outputs: Mapping[str, Any], session: Session
    ) -> dict[Path, Any]:
        """Translate the API's object to canonical leaves: those that `managed` has, or all where it is None.

        `outputs` are the prior or resolved ones, by which an unchanged selection is recognised.
        """
        observed: dict[Path, Any] = {}
        for item in self.facts:
            if not item.is_sent or not item.at.is_read:
                continue
            value = get_in(found, item.at.path)
            if value is not None and item.at.read:
                value = item.at.read(value)
            if managed is None and value in ("", []):
                continue
            leaves = open_leaf(item.path, value).items()
            observed |= {path: leaf for path, leaf in leaves if managed is None or path in managed}
        if managed is not None:
            for path, value in managed.items():
                item = facts_at(self.inputs, path)
                if isinstance(item.effect, StateOnly) or not item.at.is_read:
                    observed[path] = value
        return observed

    def computed(self, found: Mapping[str, Any], planned: Leaves, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Read the outputs beyond the inputs from the API's object. `outputs` are the prior or resolved ones."""
        return {
            item.name: value
            for item in output_facts(self.outputs)
            if (value := get_in(found, item.at.path) if item.marker(At) else outputs.get(item.name)) is not None
        }

    def derived(self, leaves: Leaves, defaulted: frozenset[str]) -> dict[str, Any]:
        """Return outputs that follow from the properties alone; `defaulted` are the paths that the program left out."""
        return {}

    def stated(self, observed: Leaves, found: Mapping[str, Any]) -> dict[str, Any]:
        """Write all that was observed in the form in which a program would state it."""
        return nest(observed)

    def hidden_as(self, found: Mapping[str, Any]) -> str:
        """Say what an object of the API is that look-ups and lists leave out; nothing where a program would manage it."""
        return ""

    async def seen(self, found: Mapping[str, Any], session: Session, voice: Voice) -> tuple[dict[str, Any], frozenset[Path]]:
        """Return the outputs of an object that no state knows, and the secret paths in them."""
        await self.before_reading(found, None, {}, session, voice)
        observed = self.observe(found, None, {}, session)
        shown = {
            item.name: value for item in self.facts if item.name in self.always_shown and (value := get_in(found, item.at.path))
        }
        outputs = {**shown, **nest(observed), **self.computed(found, {}, {}), **self.derived(observed, frozenset())}
        return outputs, self.secrets(self.secret_observed(observed))

    def secret_observed(self, observed: Leaves) -> frozenset[Path]:
        """Say which observed values may be secret although nobody told so, as no input stated them."""
        return frozenset()

    # -- outputs

    def predicted(
        self, planned: Leaves, resolved: Mapping[str, Any], prior: Mapping[str, Any], steps: tuple[Step, ...] | None
    ) -> dict[str, Any]:
        """Predict the outputs of a create (`steps` None) or an update, UNKNOWN where only the API decides."""
        outputs = nest(planned)
        for name in self.always_shown:
            outputs.setdefault(name, resolved.get(name, prior.get(name, UNKNOWN)))
        for item in output_facts(self.outputs):
            sources = item.marker(DerivedFrom)
            if item.name in resolved:
                outputs[item.name] = resolved[item.name]
            elif (
                steps is None
                or item.name not in prior
                or (sources is not None and any(step.path[0] in sources.inputs for step in steps))
            ):
                outputs[item.name] = UNKNOWN
            else:
                outputs[item.name] = prior[item.name]
        return outputs

    def secrets(self, given: frozenset[Path]) -> frozenset[Path]:
        """Return the secret paths of outputs, from those of inputs."""
        return given | {item.path for item in (*self.facts, *output_facts(self.outputs)) if item.marker(Secret)}


def _value_at(planned: Leaves, path: Path) -> Any:
    if path in planned:
        return planned[path]
    return nest({leaf[len(path) :]: value for leaf, value in below(planned, path).items()}) or None


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    known = body.get(path[-1])
    body[path[-1]] = {**known, **value} if isinstance(known, dict) and isinstance(value, Mapping) else value
