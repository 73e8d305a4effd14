"""Translates the engine's property encoding (structpb with signatures and sentinels) to plain values and back. No policy here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from ..core.values import UNKNOWN, Path, leaves, render_path
from ..proto import NULL_VALUE, ListValue, Struct, Value
from ..signatures import (
    ARCHIVE,
    ASSET,
    BYTE_STRING,
    EXACT_INTEGER_LIMIT,
    OUTPUT_VALUE,
    RESOURCE_REFERENCE,
    SECRET,
    SIGNATURE_KEY,
    UNKNOWN_SENTINELS,
    UNKNOWN_STRING,
)

MAX_DEPTH: Final = 200
_SHORTEST_TRACED_SECRET: Final = 8


class Malformed(Exception):
    """The engine (or something in its place) sent properties that are no valid encoding. The text holds paths, never values."""


def decode(struct: Struct | None) -> tuple[dict[str, Any], frozenset[Path]]:
    """Give the plain values of `struct` and the paths of its secrets.

    A top-level null counts as absent and is dropped. Raises `Malformed`.
    """
    if struct is None:
        return {}, frozenset()
    secrets: set[Path] = set()
    values = _decode_fields(struct, (), secrets, 0)
    if not isinstance(values, dict):
        raise Malformed("the properties are not a map")
    return {key: value for key, value in values.items() if value is not None}, frozenset(secrets)


def _decode(value: Value, path: Path, secrets: set[Path], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Malformed(f"{render_path(path[:1])} is nested more than {MAX_DEPTH} levels deep")
    kind = value.WhichOneof("kind")
    if kind == "null_value":
        return None
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        return _decode_number(value.number_value, path)
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWN_SENTINELS else value.string_value
    if kind == "list_value":
        return [_decode(item, (*path, index), secrets, depth + 1) for index, item in enumerate(value.list_value.values)]
    if kind == "struct_value":
        return _decode_fields(value.struct_value, path, secrets, depth + 1)
    raise Malformed(f"{render_path(path)}: a value without a kind")


def _decode_number(number: float, path: Path) -> int | float:
    if not math.isfinite(number):
        raise Malformed(f"{render_path(path)}: not a finite number")
    return int(number) if number.is_integer() and abs(number) <= EXACT_INTEGER_LIMIT else number


def _decode_fields(struct: Struct, path: Path, secrets: set[Path], depth: int) -> Any:
    fields = struct.fields
    if SIGNATURE_KEY not in fields:
        return {key: _decode(item, (*path, key), secrets, depth) for key, item in fields.items()}
    signature = fields[SIGNATURE_KEY].string_value
    if signature == SECRET:
        if "value" not in fields:
            raise Malformed(f"{render_path(path)}: a secret without a value")
        secrets.add(path)
        return _decode(fields["value"], path, secrets, depth + 1)
    if signature == OUTPUT_VALUE:
        if "secret" in fields and fields["secret"].bool_value:
            secrets.add(path)
        return _decode(fields["value"], path, secrets, depth + 1) if "value" in fields else UNKNOWN
    if signature == RESOURCE_REFERENCE:
        return _decode_reference(fields, path, secrets, depth)
    if signature == BYTE_STRING:
        return _decode(fields["value"], path, secrets, depth + 1) if "value" in fields else ""
    if signature in (ASSET, ARCHIVE):
        return {key: _decode(item, (*path, key), secrets, depth) for key, item in fields.items() if key != SIGNATURE_KEY}
    raise Malformed(f"{render_path(path)}: a value with an unknown signature")


def _decode_reference(fields: Mapping[str, Value], path: Path, secrets: set[Path], depth: int) -> Any:
    """Let a resource stand for its id: unknown while the id is empty, its URN where the resource has no id (a component)."""
    if "id" in fields:
        identifier = _decode(fields["id"], path, secrets, depth + 1)
        return UNKNOWN if identifier in ("", None) else identifier
    if "urn" in fields:
        return _decode(fields["urn"], path, secrets, depth + 1)
    raise Malformed(f"{render_path(path)}: a resource reference without id and urn")


def encode(
    values: Mapping[str, Any],
    secrets: frozenset[Path] = frozenset(),
    schema_secrets: frozenset[Path] = frozenset(),
    *,
    allow_unknown: bool,
) -> Struct:
    """Write `values` for the engine, with all that lies at or below a secret path wrapped as secret.

    A secret path into a value that has another shape secures its deepest ancestor, so nothing leaks. Where unknowns are not allowed they
    are left out (nested ones become null) rather than raised: by then the request has been carried out, and an error would lose the
    resource. The same holds for NaN.
    """
    sealed = frozenset(found for path in secrets | schema_secrets if (found := _within(path, values)) is not None)
    struct = Struct()
    for key, value in values.items():
        encoded = _encode(value, (key,), sealed, allow_unknown, hidden=() in sealed)
        if encoded is not None:
            struct.fields[key].CopyFrom(encoded)
    return struct


def _within(path: Path, values: Mapping[str, Any]) -> Path | None:
    """Follow a secret path: to its end, to the last value whose shape it fits, or to nothing where a map lacks the key."""
    here: Any = values
    for length, part in enumerate(path):
        if isinstance(part, str) and isinstance(here, Mapping):
            if part not in here:
                return None
        elif not (isinstance(part, int) and isinstance(here, list | tuple) and 0 <= part < len(here)):
            return path[:length]
        here = here[part]
    return path


def _encode(value: Any, path: Path, sealed: frozenset[Path], allow_unknown: bool, *, hidden: bool = False) -> Value | None:
    """Encode one value; None stands for null. Inside of a secret nothing is wrapped again."""
    if hidden or path in sealed:
        inner = _encode(value, path, frozenset(), allow_unknown)
        if inner is None:
            return None
        wrapped = Struct()
        wrapped.fields[SIGNATURE_KEY].string_value = SECRET
        wrapped.fields["value"].CopyFrom(inner)
        return Value(struct_value=wrapped)
    if value is UNKNOWN:
        return Value(string_value=UNKNOWN_STRING) if allow_unknown else None
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return None
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, int):
        # A double would round it; identifiers beyond 2^53 travel as text.
        return Value(number_value=value) if abs(value) <= EXACT_INTEGER_LIMIT else Value(string_value=str(value))
    if isinstance(value, float):
        return Value(number_value=value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        struct = Struct()
        for key, item in value.items():
            encoded = _encode(item, (*path, str(key)), sealed, allow_unknown)
            struct.fields[str(key)].CopyFrom(encoded or Value(null_value=NULL_VALUE))
        return Value(struct_value=struct)
    if isinstance(value, list | tuple):
        items = [_encode(item, (*path, index), sealed, allow_unknown) for index, item in enumerate(value)]
        return Value(list_value=ListValue(values=[item or Value(null_value=NULL_VALUE) for item in items]))
    return Value(string_value=str(value))


def whole_properties(secrets: Iterable[Path]) -> frozenset[Path]:
    """Let a secret part make its whole property secret, as outputs need it.

    Canonical values have another order than inputs, SDKs lift a nested secret to its property anyway, and the YAML host loses it.
    """
    return frozenset(path[:1] for path in secrets)


def trace(values: Mapping[str, Any], found: Iterable[tuple[Path, str]]) -> frozenset[Path]:
    """Find the leaves of `values` that hold one of the secret texts `found` (with their paths) in another place.

    A second net under the core's own answer. A text counts wherever it is, but a short one ("true", "A100") only under its own name.
    """
    texts = {(None if len(text) >= _SHORTEST_TRACED_SECRET else path[-1:], text) for path, text in found}
    return frozenset(
        path for path, leaf in leaves(values) if isinstance(leaf, str) and not texts.isdisjoint({(None, leaf), (path[-1:], leaf)})
    )


def is_secret_within(name: str, secrets: frozenset[Path]) -> bool:
    """Say whether the top-level property `name` is secret or holds a secret at any depth."""
    return any(not path or path[0] == name for path in secrets)
