"""Compare prior and planned inputs, and decide what each change does. The only place where a marker and the strategy meet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .model import Brings, Default, Facts, Inputs, Leaves, Recreates, StateOnly, Strategy, WriteOnly, facts_at
from .values import UNKNOWN, Path, get_in, is_at_or_below, parse_pattern, resolvable
from .verbs import Change, Kind

_REPLACING: Final = {Kind.ADD: Kind.ADD_REPLACE, Kind.DELETE: Kind.DELETE_REPLACE, Kind.UPDATE: Kind.UPDATE_REPLACE}


@dataclass(frozen=True)
class Step:
    """One change of a canonical leaf.

    `is_drift` says that the inputs agree and only the observed value differs; `is_shadowed`, that another property wins before and after;
    `replaces_anyway`, that `updateStrategy: inPlace` would not help.
    """

    path: Path
    facts: Facts
    old: Any
    new: Any
    replaces: bool
    replaces_anyway: bool
    is_drift: bool
    is_shadowed: bool

    @property
    def is_state_only(self) -> bool:
        """Does the API not know of it?"""
        return self.is_shadowed or isinstance(self.facts.effect, StateOnly) or _is_first_told(self.facts, self.old)

    @property
    def kind(self) -> Kind:
        """What happens at the path, replacement aside."""
        if self.old is None:
            return Kind.ADD
        return Kind.DELETE if self.new is None else Kind.UPDATE


def compare(
    model: type[Inputs],
    prior: Leaves,
    planned: Leaves,
    observed: Leaves,
    strategy: Strategy,
    ignored: Iterable[str] = (),
    defaulted: Iterable[str] = (),
) -> list[Step]:
    """List what `planned` changes, against the prior inputs and, where these agree, against what was last observed.

    Only properties that `observed` has count as observed, and only leaves that the inputs have: what the program never set is the
    server's, and to state it as it is changes nothing. `defaulted` are the paths in `planned` that the program left out.
    """
    patterns = [parse_pattern(pattern) for pattern in ignored]
    defaults = {parse_pattern(path) for path in defaulted}
    seen = {path[0] for path in observed}
    places = {facts_at(model, path).at.path for path in planned}
    brought = {place for path in planned if (copied := facts_at(model, path).marker(Brings)) for place in copied.places}
    known = [path for path, value in planned.items() if path in prior and value is not UNKNOWN]
    winning = [path for path in known if facts_at(model, path).at.is_written]  # over what is nested
    steps = []
    for path, old, new in _pairs(prior, planned):
        if any(is_at_or_below(path, pattern) for pattern in patterns):
            continue
        found = observed.get(path)
        facts = facts_at(model, path)
        is_default = any(path[:length] in defaults for length in range(1, len(path) + 1))
        is_new_here = is_default and isinstance(facts.effect, StateOnly)  # the state is of a version without the property
        if old is None and (found == new or is_new_here):  # what was the server's choice is now stated as it is
            continue
        if (
            old != new and found == new and path[0] in seen
        ):  # an update had this effect and failed afterwards: its inputs were not kept
            continue
        if _is_written_alike_by_another(model, facts, prior, planned):
            continue
        is_drift = old == new and new is not UNKNOWN
        if is_drift and (path[0] not in seen or found == new or isinstance(facts.effect, StateOnly)):
            continue
        before = found if is_drift else old
        # A default is unknown because something else is, which says for itself whether it recreates.
        is_hollow = is_default and new is UNKNOWN
        if is_hollow and old is None:
            continue
        is_shadowed = any(_place(model, other) == _place(model, path) for other in winning if len(other) < len(path))
        can_clear = facts.at.is_clearable and facts.at.path not in brought
        means: tuple[Strategy, Strategy] = (strategy, "inPlace")
        replaces, replaces_anyway = (
            not (is_hollow or is_shadowed) and does_replace(facts, before, new, path, each, places, can_clear=can_clear)
            for each in means
        )
        steps.append(Step(path, facts, before, new, replaces, replaces_anyway, is_drift, is_shadowed))
    return steps


def _is_written_alike_by_another(model: type[Inputs], facts: Facts, prior: Leaves, planned: Leaves) -> bool:
    """Say whether a property counts only through another one (a Python version through the image), and that one stays as it is."""
    if facts.at.is_written:
        return False
    writers = [
        path for path in {**prior, **planned} if _place(model, path) == facts.at.path and facts_at(model, path).at.is_written
    ]
    return bool(writers) and all(prior.get(path) == planned.get(path) for path in writers)


def _place(model: type[Inputs], path: Path) -> Path:
    """Say where a leaf sits in the API's body."""
    facts = facts_at(model, path)
    return (*facts.at.path, *path[len(facts.path) :])


def _pairs(prior: Leaves, planned: Leaves) -> Iterator[tuple[Path, Any, Any]]:
    """Pair the leaves; an unknown object takes the place of all that was below it."""
    unknown = [path for path, value in planned.items() if value is UNKNOWN]
    hidden = {path for path in prior for above in unknown if path != above and path[: len(above)] == above}
    for path in dict.fromkeys([*planned, *prior]):
        if path not in hidden:
            yield path, prior.get(path), planned.get(path)


def does_replace(
    facts: Facts, old: Any, new: Any, path: Path, strategy: Strategy, places: Container[Path], *, can_clear: bool
) -> bool:
    """Say whether a change needs a new resource: by its marker and the strategy, and where a PATCH cannot take the value away.

    `places` are those in the API's body that the plan fills.
    """
    effect = facts.effect
    if not isinstance(effect, Recreates) or _is_first_told(facts, old):
        return False
    if new is None and facts.at.is_read and not effect.is_patchable and facts.marker(Default) is None:
        return False  # nothing says what it should be instead, so it becomes the server's
    if strategy == "replace" or not effect.is_patchable:
        return True
    is_presence = path == facts.path and (old is None or new is None)
    is_lost = new is None and facts.at.is_written and not can_clear and facts.at.path not in places
    return is_lost or (effect.is_presence_fixed and is_presence)


def _is_first_told(facts: Facts, old: Any) -> bool:
    return old is None and facts.marker(WriteOnly) is not None


def changes(
    steps: Iterable[Step], old_inputs: Mapping[str, Any], outputs: Mapping[str, Any], news: Mapping[str, Any]
) -> tuple[Change, ...]:
    """Put steps on paths that the user's own form has; steps that share one are one change, a replacing one if any is."""
    found: dict[Path, Change] = {}
    for step in steps:
        prior = outputs if step.is_drift else old_inputs
        sources = {Kind.ADD: (news,), Kind.DELETE: (prior,)}.get(step.kind, ())
        shown = (
            resolvable(step.path, *sources) if sources else min(resolvable(step.path, prior), resolvable(step.path, news), key=len)
        )
        has_old, has_new = get_in(prior, shown) is not None, get_in(news, shown) is not None
        kind = Kind.UPDATE if has_old and has_new else Kind.DELETE if has_old else Kind.ADD
        known = found.get(shown)
        if step.replaces or (known is not None and known.kind in _REPLACING.values()):
            kind = _REPLACING[kind]
        found[shown] = Change(shown, kind, in_inputs=not step.is_drift if known is None else known.in_inputs)
    return tuple(found.values())
