"""Plain values as the core sees them: JSON-like data in which any part may be UNKNOWN. No wire encoding here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

Path = tuple[str | int, ...]


class Unknown:
    """The type of `UNKNOWN`, a value that the engine learns only during `pulumi up`, and of `BROKEN`; copies keep which it is."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: object) -> Unknown:
        return self


UNKNOWN: Final = Unknown()
BROKEN: Final = Unknown()
"""Stands for what a program states and what is wrong by itself, where rules look at it."""

_PLAIN_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def contains_unknown(value: object) -> bool:
    """Say whether `value` is UNKNOWN or holds one at any depth."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(contains_unknown(item) for item in value)
    return False


def render_path(path: Iterable[str | int]) -> str:
    """Write a property path as the engine parses it: `workers.max`, `env["A.B"]`, `volume[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            text += f".{part}" if text else part
        else:
            quoted = part.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def map_values(value: Any, change: Callable[[Any], Any]) -> Any:
    """Copy `value` with `change` applied to every leaf."""
    if isinstance(value, Mapping):
        return {key: map_values(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_values(item, change) for item in value]
    return change(value)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf of `value` with its path; an empty list or map is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def get_in(value: Any, path: Path) -> Any:
    """Return what stands at `path`, UNKNOWN where an ancestor is, or None where there is nothing."""
    for part in path:
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(part, str) and isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(part, int) and isinstance(value, list | tuple) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def stands(value: Any, path: Path) -> bool:
    """Say whether `path` leads to something in `value`, be it null."""
    parent = get_in(value, path[:-1])
    return get_in(parent, path[-1:]) is not None or (isinstance(parent, Mapping) and path[-1] in parent)


def resolvable(path: Path, *values: Any) -> Path:
    """Cut `path` to the longest beginning, at least one part, that stands in one of `values`."""
    for length in range(len(path), 1, -1):
        if any(stands(value, path[:length]) for value in values):
            return path[:length]
    return path[:1]


_PATH_PART = re.compile(r"""\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|\.?([^.\[\]]+)""")


def parse_pattern(pattern: str) -> Path:
    """Read a property path as `ignoreChanges` has it (`env["A.B"]`, `list[0].x`, `a.*`); `*` stands for any one part."""
    parts: list[str | int] = []
    for quoted, bracketed, plain in _PATH_PART.findall(pattern):
        if bracketed and bracketed != "*":
            parts.append(int(bracketed))
        else:
            parts.append(bracketed or plain or re.sub(r"\\(.)", r"\1", quoted))
    return tuple(parts)


def is_at_or_below(path: Path, pattern: Path) -> bool:
    """Say whether `path` is what `pattern` names, or lies within it."""
    return len(pattern) <= len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=False))


def is_within(path: Path, outer: Path) -> bool:
    """Say whether `path` lies within what stands at `outer`, and is not it."""
    return len(outer) < len(path) and path[: len(outer)] == outer
