"""The README's tables: what a program may write, and what a change of it does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from ..core.model import AutoNamed, Default, Facts, Recreates, StateOnly
from ..core.resource import Resource
from ..core.settings import CONFIGURATION
from .emit import describe
from .types import spelled_type

CONFIGURATION_TABLE: Final = "configuration"


def table(name: str, resources: Iterable[Resource]) -> str:
    """Return one table in Markdown: of a resource by its name in lower case, or of the configuration. Raises KeyError for another."""
    if name == CONFIGURATION_TABLE:
        rows = [(f"`{item.name}`", item.default, _first_sentence(item.description)) for item in CONFIGURATION]
        return _markdown(("property", "default", "what it is"), rows)
    resource = {each.name.lower(): each for each in resources}[name]
    shown = sorted((item for item in resource.facts if item.nested is None or len(item.path) == 1), key=lambda item: item.path)
    return _markdown(("property", "type", "default", "a change", "what it is"), [_row(item, resource) for item in shown])


def _row(item: Facts, resource: Resource) -> tuple[str, ...]:
    default = item.marker(Default)
    text = default.text if default else "auto-named" if item.marker(AutoNamed) else "–"
    what = _first_sentence(describe(item, resource.noun))
    return (f"`{'.'.join(map(str, item.path))}`", _type_text(spelled_type(item)), text, effect_word(item, resource), what)


def effect_word(item: Facts, resource: Resource) -> str:
    """Say in a word what a change does; only a resource that knows `inPlace` says so of what it cannot help."""
    if item.nested is not None:
        return "by field"
    if isinstance(item.effect, Recreates):
        is_choice = any(other.name == "updateStrategy" for other in resource.facts)
        return "**recreates**, also `inPlace`" if is_choice and not item.effect.is_patchable else "**recreates**"
    return "updates the state" if isinstance(item.effect, StateOnly) else "updates"


def _type_text(spec: dict[str, Any]) -> str:
    if "oneOf" in spec:
        texts = [_type_text(option) for option in spec["oneOf"]]
        return " \\| ".join(text for text in texts if text != "string" or not any("`" in other for other in texts))
    if "$ref" in spec:
        return f"`{spec['$ref'].rpartition(':')[2]}`"
    if spec["type"] == "array":
        return "list" if "oneOf" in spec["items"] else f"list of {_type_text(spec['items'])}"
    return f"map of {_type_text(spec['additionalProperties'])}" if spec["type"] == "object" else str(spec["type"])


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.?])\s", text, maxsplit=1)[0]


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
