"""Turn what pydantic says of bad inputs into failures a user can act on. Wording only; the rules are on the models."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from .failures import Failure
from .model import Inputs, Wanted, facts_by_path, leaves_of, lenient, nested_model, open_leaf
from .values import Path

Shown = Callable[[Path, Any], str]


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Find the known words most like `word`, best first; those that hold it, or each part of it, come before those that resemble it."""
    by_folded = {_folded(name): name for name in known}
    wanted = _folded(word)
    parts = set(wanted.split("-"))
    holding = [folded for folded in by_folded if wanted in folded or parts <= set(folded.split("-"))] if len(wanted) > 2 else []
    alike = difflib.get_close_matches(wanted, by_folded, n=count, cutoff=0.4)
    return [by_folded[hit] for hit in dict.fromkeys([*holding, *alike])][:count]


def _folded(word: str) -> str:
    return word.casefold().replace("_", "-").replace(" ", "-")


def did_you_mean(word: str, known: Iterable[str], count: int = 3) -> str:
    """Word a closing question with the nearest known words, or nothing."""
    hits = nearest(word, known, count)
    return f"; did you mean {' or '.join(repr(hit) for hit in hits)}?" if hits else ""


def shown_unless(secrets: frozenset[Path]) -> Shown:
    """Make a writer of values in messages that never writes one on, above or below a secret path."""

    def shown(path: Path, value: Any) -> str:
        if any(path[: len(secret)] == secret or secret[: len(path)] == path for secret in secrets):
            return "[secret]"
        return written(value)

    return shown


def written(value: Any) -> str:
    """Write a value as programs of any language have it: JSON's words, and texts in single quotes."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{written(key)}: {written(item)}' for key, item in value.items())}}}"
    return f"[{', '.join(map(written, value))}]" if isinstance(value, list | tuple) else repr(value)


_Model = TypeVar("_Model", bound=BaseModel)


def validate(model: type[_Model], values: Mapping[str, Any], shown: Shown) -> tuple[_Model | None, list[Failure]]:
    """Validate `values`; return the canonical model, or None and every failure."""
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as error:
        return None, list(_failures(model, error.errors(), shown))


def tolerant(model: type[Inputs], values: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the canonical leaves of `values`, which may be another version's: what does not validate stands for itself."""
    known, foreign = _parted(model, values)
    return {**leaves_of(known), **foreign}


def unreadable(model: type[BaseModel], values: Mapping[str, Any]) -> set[str]:
    """Name those of `values` that are no such property of `model`, as another version's or an edited state's may be."""
    return {str(path[0]) for path in _parted(model, values)[1]}


def misshapen(model: type[BaseModel], values: Mapping[str, Any]) -> set[str]:
    """Name those of `values` that are not even of the type of the property, so that nothing can look at them."""
    try:
        lenient(model).model_validate(dict(values))
    except ValidationError as error:
        return {str(item["loc"][0]) for item in error.errors() if item["type"].endswith("_type")}
    return set()


def _parted(model: type[_Model], values: Mapping[str, Any]) -> tuple[_Model, dict[Path, Any]]:
    """Return what validates, and the rest as leaves."""
    values, foreign = dict(values), dict[Path, Any]()
    while True:
        try:
            return lenient(model).model_validate(values), foreign
        except ValidationError as error:
            for name, within in {(str(item["loc"][0]), item["loc"][1:2]) for item in error.errors()}:
                outer = values.get(name)
                is_part = issubclass(model, Inputs) and (name, *within) in facts_by_path(model)
                if is_part and isinstance(outer, Mapping) and within and within[0] in outer:
                    values[name] = {key: value for key, value in outer.items() if key != within[0]}
                    foreign |= open_leaf((name, *within), outer[within[0]])
                elif name in values:
                    foreign[(name,)] = values.pop(name)


def _failures(model: type[BaseModel], errors: Iterable[ErrorDetails], shown: Shown) -> Iterator[Failure]:
    seen: set[Path] = set()
    for error in errors:
        path = tuple(part for part in error["loc"] if part != "[key]")
        if path in seen:
            continue
        seen.add(path)
        yield Failure(path, _reason(model, path, error, shown))


def _siblings(model: type[BaseModel], path: Path) -> dict[str, FieldInfo]:
    """Return the fields by name among which the last part of `path` is looked for."""
    for part in path[:-1]:
        inner = next((nested_model(info.annotation) for info in model.model_fields.values() if info.alias == part), None)
        if inner is None:
            return {}
        model = inner
    return {info.alias or "": info for info in model.model_fields.values()}


def _reason(model: type[BaseModel], path: Path, error: ErrorDetails, shown: Shown) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), shown(path, error["input"])
    if kind == "extra_forbidden":
        return f"there is no such property{did_you_mean(str(path[-1]), _siblings(model, path), 1)}"
    field = _siblings(model, path).get(str(path[-1]))
    wanted = next((item for item in field.metadata if isinstance(item, Wanted)), None) if field else None
    if wanted and kind in ("literal_error", "dict_type", "model_type"):
        return f"must be {wanted.words}, not {value}{wanted.hint}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return f"must be at {'least' if kind == 'greater_than_equal' else 'most'} {bound}, not {value}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}, not {value}"
    if kind == "missing":
        return "is required"
    if kind == "string_too_short":
        return "must not be empty"
    if kind in ("value_error", "assertion_error"):
        return str(context["error"]).replace("{value}", value)
    expected = {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "finite_number": "a number",
        "string_type": "a string",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a map",
        "model_type": "an object",
        "model_attributes_type": "an object",
    }.get(kind)
    is_bare = kind == "string_type" and isinstance(error["input"], bool | int | float) and value == written(error["input"])
    hint = "; put it in quotes" if is_bare else ""
    return f"must be {expected}, not {value}{hint}" if expected else f"{error['msg']} (got {value})"
