"""Makes drift of what the engine says: each property whose value differs, and what `up` would do about it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..core.checking import known_properties
from ..core.model import nest
from ..core.resource import PACKAGE, Resource
from ..core.validation import tolerant
from ..core.values import UNKNOWN, Path, contains_unknown, get_in, is_at_or_below, is_within, leaves, parse_pattern, render_path
from ..resources import RESOURCES
from .engine import Run, Step, parts_of
from .report import SECRET, PropertyDrift, ResourceDrift, Undeployed, Up

_TYPE: Final = re.compile(rf"(?:{PACKAGE}:index|pulumi-python:dynamic/{PACKAGE}):(\w+)")
"""Of both doors."""
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


def drifted(refreshed: Run, external: frozenset[str]) -> Iterator[tuple[ResourceDrift, Step]]:
    """Yield the resources that are not as in the state; `external` are those that the program only reads."""
    for step in refreshed.done:
        if step.op not in ("update", "delete") or step.urn in external:
            continue
        found = ResourceDrift(step.urn, step.type, step.name, str(step.old.get("id") or ""), is_gone=step.op == "delete")
        if found.is_gone:
            yield found, step
            continue
        changes = sorted(_changes(step), key=lambda change: render_path(change.path))
        properties = tuple(_property(change, step.type) for change in changes)
        if properties:
            yield replace(found, properties=properties), step


def needs_export(refreshed: Run) -> bool:
    """Say whether the events leave open if a resource is only read: the engine asks nobody to compare such a one."""
    return any(step.op in ("update", "delete") and step.changes is None for step in refreshed.done)


def plans(previewed: Run) -> dict[str, Plan]:
    """Give what `up` would do, by resource."""
    found: dict[str, Plan] = {}
    for step in previewed.planned:
        if step.op == "refresh":
            continue
        up = _UPS.get(step.op, Up.RECREATE)
        known = found.get(step.urn)
        if known is None or (step.changes and not known.changes):
            found[step.urn] = Plan(
                up, step, () if up in (Up.CREATE, Up.DELETE, Up.NOTHING) else tuple(_changes(step, is_plan=True))
            )
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
    if drift is None:
        paths = tuple(dict.fromkeys(render_path(change.path) for change in plan.changes))
        return None if plan.up is Up.NOTHING else Undeployed(urn, token, name, plan.up, paths, plan.remark)
    if drift.is_gone or plan.up in (Up.NOTHING, Up.FAIL):
        return None
    if plan.up is Up.DELETE:
        return Undeployed(urn, token, name, plan.up)
    before = _canonical(token, refreshed.old.get("inputs")) if refreshed else {}
    drifted_paths = [parse_pattern(item.path) for item in drift.properties]
    beyond = [
        change
        for change in plan.changes
        if not any(_related(change.path, path) for path in drifted_paths) or _is_other(change.new, _at(before, change.path))
    ]
    up = Up.RECREATE if any(change.replaces for change in beyond) else Up.UPDATE
    return Undeployed(urn, token, name, up, tuple(render_path(change.path) for change in beyond)) if beyond else None


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


def _is_other(planned: Any, prior: Any) -> bool:
    return not contains_unknown([planned, prior]) and planned != prior


def _changes(step: Step, *, is_plan: bool = False) -> Iterator[Change]:
    """Yield the values that differ, each once and in canonical form, as one spelling may hold several properties.

    The outputs of a plan are only foretold, and say nothing.

    Without a diff by paths (the dynamic door has none), all values are compared; what is secret on both sides may then differ unseen,
    and that it does is known only where nothing else explains what the engine says.
    """
    given = {parse_pattern(path): kind.endswith("replace") for path, kind in (step.changes or {}).items()}
    given = given or {(name,): name in step.replaces for name in step.names} or {(): False}
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
