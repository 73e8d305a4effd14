"""Makes drift of what the engine says: each property whose value differs, and what `up` would do about it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..core.checking import DEFAULTS_KEY, known_properties
from ..core.model import AutoNamed, nest
from ..core.naming import is_generated
from ..core.resource import PACKAGE, Resource
from ..core.validation import tolerant
from ..core.values import UNKNOWN, Path, contains_unknown, get_in, is_at_or_below, is_within, leaves, parse_pattern, render_path
from ..resources import RESOURCES
from .engine import Recorded, Run, Step, parts_of
from .report import SECRET, PropertyDrift, ResourceDrift, Undeployed, Up

_TYPE: Final = re.compile(rf"(?:{PACKAGE}:index|pulumi-python:dynamic/{PACKAGE}):(\w+)")
"""Of both doors."""
_ENV: Final[Path] = ("env",)
_INHERITED: Final = "inheritedEnv"
"""The output with the variables that an endpoint has from its template."""
_KINDS: Final = {resource.name: resource for resource in RESOURCES}
_UPS: Final = {
    "same": Up.NOTHING,
    "read": Up.NOTHING,
    "read-replacement": Up.NOTHING,
    "refresh": Up.NOTHING,
    "discard": Up.NOTHING,
    "discard-replaced": Up.NOTHING,
    "create": Up.CREATE,
    "import": Up.IMPORT,
    "update": Up.UPDATE,
    "delete": Up.DELETE,
}
"""By the engine's operation; all others are parts of a replacement."""
_PROPERTY: Final = re.compile(r"^\S+ resource .*? has a problem: ")
"""How the engine begins a check failure, whose own text names the property."""


@dataclass(frozen=True)
class Change:
    """One value before and after; None where there is none, UNKNOWN where the engine does not tell it."""

    path: Path
    old: Any
    new: Any
    replaces: bool = False


@dataclass(frozen=True)
class Plan:
    """What `up` would do with one resource."""

    up: Up
    step: Step | None = None
    changes: tuple[Change, ...] = ()
    remark: str = ""


def kind_of(token: str) -> Resource | None:
    """Return our resource of a type, whichever door it came through; None for others."""
    match = _TYPE.fullmatch(token)
    return _KINDS.get(match[1]) if match else None


def is_env(path: Path) -> bool:
    """Say whether `path` is an environment variable of ours."""
    return "env" in path[:-1]


def drifted(refreshed: Run, recorded: Mapping[str, Recorded]) -> Iterator[tuple[ResourceDrift, Step]]:
    """Yield the resources that are not as in the state, those left out that the program only reads.

    Properties that the program ignores are left out, too: where there is a diff by paths, the engine has seen to that.
    """
    for step in refreshed.done:
        known = recorded.get(step.urn, Recorded())
        if step.op not in ("update", "delete") or known.is_external:
            continue
        found = ResourceDrift(step.urn, step.type, step.name, str(step.old.get("id") or ""), is_gone=step.op == "delete")
        if found.is_gone:
            yield found, step
            continue
        ignored = [parse_pattern(path) for path in known.ignored]
        changes = [change for change in _changes(step) if not any(is_at_or_below(change.path, path) for path in ignored)]
        changes.sort(key=lambda change: render_path(change.path))
        inherited = known.keys.get(_INHERITED, frozenset[str]())
        properties = tuple(_property(_with_inherited(change, inherited), step.type) for change in changes)
        if properties:
            yield replace(found, properties=properties), step


def needs_export(refreshed: Run) -> bool:
    """Say whether the events leave open what counts: nobody compares a resource that is only read, and no paths show what is ignored."""
    return any(step.op in ("update", "delete") and step.changes is None for step in refreshed.done)


def needs_keys(refreshed: Run) -> bool:
    """Say whether there are variables that the inputs do not have, and a template that may have brought them."""
    return any(
        step.op == "update"
        and (step.old.get("outputs") or {}).get(_INHERITED) is not None
        and any(change.old is None for change in _changes(step) if change.path[:1] == _ENV)
        for step in refreshed.done
    )


def plans(previewed: Run) -> dict[str, Plan]:
    """Give what `up` would do, by resource."""
    found: dict[str, Plan] = {}
    for step in previewed.planned:
        if step.op == "refresh":
            continue
        up = _UPS.get(step.op, Up.RECREATE)
        known = found.get(step.urn)
        if known is None or (step.new and not known.changes):
            # Of a replacement's steps the deletion, which may come first, tells nothing of what changes.
            is_silent = up in (Up.CREATE, Up.DELETE, Up.NOTHING) or not step.new
            found[step.urn] = Plan(up, step, () if is_silent else tuple(_changes(step, is_plan=True)))
    for urn, message in previewed.complaints:
        if kind_of(parts_of(urn)[0]):
            known = found.get(urn)
            earlier = [known.remark] if known is not None and known.up is Up.FAIL else []
            found[urn] = Plan(Up.FAIL, remark="; ".join(dict.fromkeys([*earlier, _remark(message)])))
    return found


def _remark(message: str) -> str:
    """Leave out what the engine puts before a failure of ours: the resource, or Python's trace where it is the dynamic door's."""
    if message.startswith("Traceback "):
        return message.splitlines()[-1].partition(": ")[2]
    return _PROPERTY.sub("", message)


def with_plan(drift: ResourceDrift, plan: Plan | None) -> ResourceDrift:
    """Add what `up` would do; no plan for what it leaves alone."""
    plan = plan or Plan(Up.NOTHING)
    properties = tuple(replace(item, up=_up_of(item, plan)) for item in drift.properties)
    return replace(drift, properties=properties, up=plan.up, remark=plan.remark)


def undeployed(plan: Plan, urn: str, drift: ResourceDrift | None, refreshed: Step | None) -> Undeployed | None:
    """Say what of a plan is not the repair of drift."""
    token, name = parts_of(urn)
    stated = [change for change in plan.changes if not _is_generated(change, plan, name)]
    if drift is None:
        paths = tuple(dict.fromkeys(render_path(change.path) for change in stated))
        return None if plan.up is Up.NOTHING else Undeployed(urn, token, name, plan.up, paths, plan.remark)
    if drift.is_gone or plan.up in (Up.NOTHING, Up.FAIL):
        return None
    if plan.up is Up.DELETE:
        return Undeployed(urn, token, name, plan.up)
    before = _canonical(token, refreshed.old.get("inputs")) if refreshed else {}
    drifted_paths = [parse_pattern(item.path) for item in drift.properties]
    beyond = [
        change
        for change in stated
        if not any(_related(change.path, path) for path in drifted_paths) or _is_other(change.new, _at(before, change.path))
    ]
    up = Up.RECREATE if any(change.replaces for change in beyond) else Up.UPDATE
    return Undeployed(urn, token, name, up, tuple(render_path(change.path) for change in beyond)) if beyond else None


def _with_inherited(change: Change, inherited: Collection[str]) -> Change:
    """Give the state's value where a template brought it: it stands beside the inputs. What is gone at Runpod is read as empty."""
    is_inherited = change.old is None and change.path[:1] == _ENV and (change.path == _ENV or change.path[-1] in inherited)
    if not (inherited and is_inherited):
        return change
    return replace(change, old=UNKNOWN, new=None if change.new == "" else UNKNOWN)


def _property(change: Change, token: str) -> PropertyDrift:
    # Whatever somebody put into the environment may be a secret: nobody told whether it is.
    is_foreign = kind_of(token) is not None and is_env(change.path) and change.old is None
    is_secret = is_foreign or contains_unknown([change.old, change.new])
    old, new = (SECRET if is_secret and value is not None else value for value in (change.old, change.new))
    return PropertyDrift(render_path(change.path), old, new, is_secret)


def _up_of(item: PropertyDrift, plan: Plan) -> Up:
    """Say what `up` would do for the sake of one property; where the resource is recreated, that need not be because of this one."""
    if plan.up not in (Up.UPDATE, Up.RECREATE):
        return plan.up
    path = parse_pattern(item.path)
    touching = [change for change in plan.changes if _related(path, change.path)]
    return Up.RECREATE if any(change.replaces for change in touching) else Up.UPDATE if touching else Up.NOTHING


def _related(path: Path, other: Path) -> bool:
    return is_at_or_below(path, other) or is_at_or_below(other, path)


def _is_generated(change: Change, plan: Plan, name: str) -> bool:
    """Is this the name that a replacement gets where the program gives none? The dynamic door does not tell what it generated."""
    kind = kind_of(plan.step.type) if plan.step is not None and plan.up is Up.RECREATE else None
    if kind is None or plan.step is None:
        return False
    limits = [marker.max_length for item in kind.facts if item.path == change.path and (marker := item.marker(AutoNamed))]
    defaulted = (plan.step.new.get("inputs") or {}).get(DEFAULTS_KEY) or ()
    return any(render_path(change.path) in defaulted or is_generated(change.new, name, limit) for limit in limits)


def _is_other(planned: Any, prior: Any) -> bool:
    return not contains_unknown([planned, prior]) and planned != prior


def _changes(step: Step, *, is_plan: bool = False) -> Iterator[Change]:
    """Yield the values that differ, each once and in canonical form, as one spelling may hold several properties.

    The outputs of a plan are only foretold, and say nothing.

    Without a diff by paths (the dynamic door has none), all values are compared, after the properties that are known to replace; what is
    secret on both sides may then differ unseen, and that it does is known only where nothing else explains what the engine says.
    """
    given: dict[Path, bool] = {parse_pattern(path): kind.endswith("replace") for path, kind in (step.changes or {}).items()}
    if not given:
        given = {(name,): name in step.replaces for name in (*step.replaces, *step.names)}
    if not step.changes and not step.names:
        given[()] = False
    inputs, outputs = (
        _aligned(*(_canonical(step.type, state.get(side)) for state in (step.old, step.new))) for side in ("inputs", "outputs")
    )
    outputs = ({}, {}) if is_plan else outputs
    seen: set[Path] = set()
    for path, is_replacing in given.items():
        found = _differing(*inputs, path, is_replacing) or _differing(*outputs, path, is_replacing)
        if path and not found:
            found = [Change(path, _at(inputs[0], path), _at(inputs[1], path), is_replacing)]
        yield from (change for change in found if change.path not in seen)
        seen |= {change.path for change in found}
    if not seen and (is_plan or step.old.get("outputs") == step.new.get("outputs")):
        yield from (Change(path, UNKNOWN, UNKNOWN) for path, value in inputs[0].items() if value is UNKNOWN)


def _aligned(old: dict[Path, Any], new: dict[Path, Any]) -> tuple[dict[Path, Any], dict[Path, Any]]:
    """Take together on one side what is secret as a whole on the other: a whole that held secrets is a secret, too."""
    for one, other in ((old, new), (new, old)):
        for path in [path for path, value in one.items() if value is UNKNOWN]:
            within = {leaf: other.pop(leaf) for leaf in [*other] if is_within(leaf, path)}
            if within:
                other[path] = UNKNOWN if UNKNOWN in within.values() else nest({leaf[len(path) :]: within[leaf] for leaf in within})
    return old, new


def _differing(old: Mapping[Path, Any], new: Mapping[Path, Any], path: Path, is_replacing: bool) -> list[Change]:
    paths = [leaf for leaf in dict.fromkeys([*old, *new]) if is_at_or_below(leaf, path)]
    return [Change(leaf, old.get(leaf), new.get(leaf), is_replacing) for leaf in paths if old.get(leaf) != new.get(leaf)]


def _canonical(token: str, properties: Mapping[str, Any] | None) -> dict[Path, Any]:
    kind, given = kind_of(token), properties or {}
    if kind is not None:
        return tolerant(kind.inputs, known_properties(kind.inputs, given))
    return {path: value for path, value in leaves(given) if path and not str(path[0]).startswith("__")}


def _at(values: Mapping[Path, Any], path: Path) -> Any:
    """Return what stands at `path`, UNKNOWN where something above it is."""
    for length in range(len(path), 0, -1):
        if path[:length] in values:
            return get_in(values[path[:length]], path[length:])
    return None
