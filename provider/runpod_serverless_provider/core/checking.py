"""Check: complete the inputs of one resource with defaults and a name, and find everything that is wrong with them."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from .failures import CheckFailed, Failure
from .model import AutoNamed, Default, Facts, Inputs, Leaves, Strategy, WriteOnly, below, facts, facts_by_path, nest
from .naming import choose_name
from .plan import compare
from .resource import Resource
from .session import Session
from .validation import misshapen, shown_unless, tolerant, validate
from .values import BROKEN, UNKNOWN, Path, get_in, is_at_or_below, render_path, resolvable
from .verbs import Check, Checked

INPUTS_KEY: Final = "__inputs"
"""Where the dynamic door stores the program's own form of inputs: only it has canonical ones beside."""
OWED_KEY: Final = "__owed"
"""The output that says that the resource was not ready in time: the next update waits on, whatever it changes."""
MARK_KEY: Final = "__taken"
"""The output that tells an entry of the state, whose object was taken over, from an earlier one for the same object; see `Journal.mark`."""
DEFAULTS_KEY: Final = "__defaults"
"""The stored input that lists the paths of defaulted inputs. The engine hides names that begin so."""
GENERATED_KEY: Final = "__generated"
"""The stored input with generated names that a refresh found changed, by path: the next Check restores them."""


def strategy_of(planned: Leaves) -> Strategy:
    """Read the update strategy from canonical inputs."""
    return "inPlace" if planned.get(("updateStrategy",)) == "inPlace" else "replace"


def as_written(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return stored inputs in the program's own form, which the dynamic door keeps beside canonical ones."""
    written = properties.get(INPUTS_KEY)
    return written if isinstance(written, Mapping) else properties


def defaults_of(inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the paths of checked inputs that defaults filled; nothing where that is not what stands there."""
    listed = inputs.get(DEFAULTS_KEY)
    return frozenset(text for text in listed if isinstance(text, str)) if isinstance(listed, list | tuple) else frozenset()


def generated_of(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the generated names that somebody has changed, by path; nothing where that is not what stands there."""
    names = inputs.get(GENERATED_KEY)
    return {text: name for text, name in names.items() if isinstance(name, str)} if isinstance(names, Mapping) else {}


def mark_of(outputs: Mapping[str, Any]) -> str | None:
    """Return the mark of an entry of the state."""
    mark = outputs.get(MARK_KEY)
    return mark if isinstance(mark, str) else None


def with_mark(outputs: Mapping[str, Any], mark: str | None) -> dict[str, Any]:
    """Return outputs with that mark, if there is one."""
    return {**outputs, MARK_KEY: mark} if mark else dict(outputs)


def without_internals(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the engine or this provider stores beside properties."""
    return {name: value for name, value in properties.items() if not name.startswith("__")}


def known_properties(model: type[Inputs], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of inputs or outputs that are properties of `model`."""
    return {name: properties[name] for info in model.model_fields.values() if (name := info.alias or "") in properties}


class _Undecided(Exception):
    """A default depends on a value that is not known yet."""


class _Draft:
    """Inputs under completion; a `Lookup` for defaults. `decided` are the paths that are filled, or stay without a value."""

    def __init__(self, model: type[Inputs], values: dict[str, Any], session: Session) -> None:
        self.session = session
        self.values = values
        self.decided: set[Path] = set()
        self._model = model

    def __call__(self, name: str) -> Any:
        path = tuple(name.split("."))
        found = get_in(nest(self.leaves_at(path)), path)
        if found is UNKNOWN:
            raise _Undecided
        return found

    def leaves_at(self, path: Path) -> dict[Path, Any]:
        """Return the canonical leaves at `path`, or an UNKNOWN where it lies in an object that is not known."""
        name = str(path[0])
        leaves = tolerant(self._model, {} if self.values.get(name) is None else {name: self.values[name]})
        return {path: UNKNOWN} if leaves.get((name,)) is UNKNOWN else below(leaves, path)

    def misshapen(self, names: Iterable[str]) -> set[str]:
        """Name those of `names` that hold what nothing can look at."""
        return misshapen(self._model, {name: self.values[name] for name in names if self.values.get(name) is not None})

    def is_open(self, path: Path) -> bool:
        """Say whether a property can be filled: what it is nested in may be no object."""
        outer = self.values.get(str(path[0]))
        return len(path) == 1 or outer is None or outer is UNKNOWN or isinstance(outer, Mapping)

    def fill(self, path: Path, value: Any) -> None:
        """Set one property, which may be nested once."""
        if len(path) == 1:
            self.values[str(path[0])] = value
        else:
            outer = self.values.get(str(path[0])) or {}
            self.values[str(path[0])] = {**outer, path[1]: value}


def check(resource: Resource, session: Session, request: Check, *, is_there: bool = False) -> Checked:
    """Answer `Check`. Failing properties count as unknown for the other rules, so that all failures are found at once.

    `is_there` says that the resource exists although there are no old inputs: it was imported. Then it is as it is.
    """
    model, news = resource.inputs, without_internals(request.news)
    shown = shown_unless(request.secrets | resource.secrets(frozenset()))
    _, failures = validate(model, news, shown)
    failures = [Failure(_as_spelled(failure.path, news), failure.reason) for failure in failures]
    failures += _secret_keys(model, request.secrets)
    names = {info.alias or "" for info in model.model_fields.values()}
    # What is there with a value that no program could set now (an import, a version with other bounds) may stay as it is.
    may_stay = {name for name in names if is_there or (name in request.olds and request.olds[name] == news.get(name))}
    failures = [failure for failure in failures if failure.path[0] not in may_stay]
    broken = {failure.path[0] for failure in failures}
    draft = _Draft(model, {name: UNKNOWN if name in broken else copy.copy(news[name]) for name in news if name in names}, session)

    prior = tolerant(model, known_properties(model, request.olds))
    defaulted = []
    for item in facts(model):
        if not draft.is_open(item.path):
            continue
        value = _default(item, draft, request, prior) if get_in(draft.values, item.path) is None else None
        if isinstance(value, Failure):
            failures.append(value)
        elif value is not None:
            draft.fill(item.path, value)
            defaulted.append(render_path(item.path))
        draft.decided.add(item.path)

    planned = tolerant(model, draft.values)
    odd = draft.misshapen(draft.values)
    seen = {path: BROKEN if path[0] in broken | odd else value for path, value in planned.items()}
    found = list(resource.rules(seen, frozenset(defaulted), session))
    if not request.olds:
        unsaid = [item for item in facts(model) if item.marker(WriteOnly) and item.path not in planned and not is_there]
        found += [Failure(item.path, f"is required to create a {resource.noun}") for item in unsaid]
    else:
        known = request.olds
        if DEFAULTS_KEY not in known:  # imported inputs leave defaults out until they are checked for the first time
            known = check(resource, session, replace(request, olds={}, news=known), is_there=True).inputs
            prior = tolerant(model, known_properties(model, known))
        odd = misshapen(model, known_properties(model, known))
        seen = {path: BROKEN if path[0] in odd else value for path, value in prior.items()}
        before = set(resource.rules(seen, defaults_of(known), session))
        found = [failure for failure in found if failure not in before]
        steps = compare(model, prior, planned, {}, strategy_of(planned), defaulted=defaulted)
        found += resource.transitions(prior, planned, steps)
    failures += [Failure(resolvable(failure.path, draft.values), failure.reason) for failure in found if not is_there]
    if failures:
        return Checked(dict(request.news), tuple(dict.fromkeys(failures)))
    inputs = {name: value for name, value in draft.values.items() if value is not None}
    return Checked({**inputs, DEFAULTS_KEY: sorted(defaulted)})


def _secret_keys(model: type[Inputs], secrets: frozenset[Path]) -> list[Failure]:
    """Refuse a key, in a list of pairs, that is a secret itself: outputs, plans and a refresh have it as the key of a map, in clear."""
    pairs = facts_by_path(model)
    keys = [path for path in secrets if path[-1:] == ("key",) and path[:-2] in pairs and isinstance(path[-2], int)]
    return [
        Failure(path, "must not be secret: keys are stored and shown in clear; seal the value") for path in sorted(keys, key=str)
    ]


def _as_spelled(path: Path, news: Mapping[str, Any]) -> Path:
    """Cut a path of the canonical form to what the program says, but for a key that an object of the program lacks."""
    return path if isinstance(get_in(news, path[:-1]), Mapping) else resolvable(path, news)


def require_checked(
    resource: Resource, inputs: Mapping[str, Any], secrets: frozenset[Path], olds: Mapping[str, Any] | None = None
) -> None:
    """Raise CheckFailed for inputs that `check` has not answered with: a request would be made of them that nobody means.

    What a default filled, or what `olds` have as well, may be an older version's and no longer valid, as long as it has the form of what
    is sent.
    """
    _, failures = validate(resource.inputs, without_internals(inputs), shown_unless(secrets | resource.secrets(frozenset())))
    defaulted, prior = defaults_of(inputs), olds or {}
    odd = misshapen(resource.inputs, known_properties(resource.inputs, inputs))
    old = [
        item.path
        for item in resource.facts
        if (
            render_path(item.path) in defaulted
            or (item.path[0] in prior and prior[str(item.path[0])] == inputs.get(str(item.path[0])))
        )
        and item.at.write is None
        and not (item.path[0] in odd and (item.nested is not None or (item.is_sent and item.at.is_written)))
    ]
    failures = [failure for failure in failures if not any(is_at_or_below(failure.path, path) for path in old)]
    certain = [item.path for item in facts(resource.inputs) if item.marker(AutoNamed) or _is_certain(item)]
    said = "has no value, which it would have if these inputs had been checked"
    failures += [Failure(path, said) for path in certain if get_in(inputs, path) is None]
    if failures:
        raise CheckFailed(list({failure.path: failure for failure in failures}.values()))


def _is_certain(item: Facts) -> bool:
    default = item.marker(Default)
    return default is not None and default.is_certain


def _default(item: Facts, draft: _Draft, request: Check, prior: Leaves) -> Any:
    named, default = item.marker(AutoNamed), item.marker(Default)
    kept, prior_defaults = get_in(request.olds, item.path), defaults_of(request.olds)
    if named is not None:
        generated = generated_of(request.olds).get(render_path(item.path))
        return generated or kept or choose_name(request, str(item.path[0]), named.max_length)
    if default is None:
        return None
    if kept is not None and render_path(item.path) in prior_defaults and not default.follows_settings:
        sources = [tuple(name.split(".")) for name in default.derived_from]
        if all(_is_unchanged(path, draft, prior, prior_defaults) for path in sources):
            return kept
    if draft.misshapen([name.partition(".")[0] for name in default.derived_from]):
        return kept
    try:
        return default.choose(draft)
    except _Undecided:
        return UNKNOWN


def _is_unchanged(path: Path, draft: _Draft, prior: Leaves, prior_defaults: Container[str]) -> bool:
    """Compare what stands at `path`; before its own default is chosen, only what the program says counts."""
    is_settled = path in draft.decided
    before = {leaf: value for leaf, value in below(prior, path).items() if is_settled or render_path(leaf) not in prior_defaults}
    return draft.leaves_at(path) == before
