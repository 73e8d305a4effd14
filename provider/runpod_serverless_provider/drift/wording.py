"""The words that all formats for people share."""

from __future__ import annotations

import json
from typing import Any, Final

from .report import CLEAN, Report, ResourceDrift, StackReport, Undeployed, Up

STATE: Final = "State says"
RUNPOD: Final = "Runpod says"
COLUMNS: Final = ("Resource", "Property", STATE, RUNPOD, "`up` would")
NO_VALUE: Final = "–"
WHOLE: Final = "(the resource)"
NOT_DEPLOYED: Final = "Merged and not deployed, which is no drift"
UNKNOWN: Final = "What `up` would do is not known"
_LONGEST: Final = 80


def value_text(value: Any) -> str:
    """Write a value on one line: a text as it is, everything else as JSON."""
    if value is None:
        return NO_VALUE
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return shortened(one_line(text))


def one_line(text: str) -> str:
    """Show what is not printable as its escape, so that no terminal obeys what somebody wrote into a value."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def shortened(text: str) -> str:
    """Cut what would fill the screen."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def up_text(up: Up | None) -> str:
    """Say what `up` would do; nothing where it is not known."""
    return "" if up is None else up.value


def kind_text(token: str) -> str:
    """Shorten a type to what people call it."""
    return token.rpartition(":")[2]


def rows(resource: ResourceDrift) -> list[tuple[str, str, str, Up | None]]:
    """Give property, state's and Runpod's value, and what `up` would do; one row for a resource that is gone."""
    if resource.is_gone:
        return [(WHOLE, "exists", "is gone", resource.up)]
    return [(item.path, value_text(item.in_state), value_text(item.at_runpod), item.up) for item in resource.properties]


def remarks(stack: StackReport) -> list[tuple[str, str]]:
    """Give what there is to say below the table, by the resource's name."""
    said = []
    for resource in stack.resources:
        said += [(resource.name, cause.text) for cause in resource.causes]
        if resource.up is Up.FAIL:
            said.append((resource.name, f"`up` would fail: {resource.remark}"))
    return said


def undeployed_text(item: Undeployed) -> str:
    """Say what `up` would do with a resource, and for which properties."""
    if item.up is Up.FAIL:
        return f"`up` would fail: {item.remark}"
    return f"`up` would {item.up.value} it" + (f" ({', '.join(item.properties)})" if item.properties else "")


def is_worth_saying(stack: StackReport) -> bool:
    """Is there more to say than that nothing differs?"""
    return bool(stack.resources or stack.undeployed or stack.error or stack.up_unknown)


def stack_text(stack: StackReport) -> str:
    """Say in a few words how one stack is."""
    if stack.error:
        return "could not be compared"
    if not stack.resources:
        return "no drift"
    count = len(stack.resources)
    return f"{count} {'resource differs' if count == 1 else 'resources differ'} from the state"


def summary(report: Report) -> str:
    """Say in one line how all stacks are."""
    count = len(report.stacks)
    clean = sum(stack.exit_code == CLEAN for stack in report.stacks)
    drifted = sum(bool(stack.resources) for stack in report.stacks)
    failed = sum(bool(stack.error) for stack in report.stacks)
    parts = [(drifted, "with drift"), (clean, "without"), (failed, "that could not be compared")]
    said = "no drift" if clean == count else ", ".join(f"{number} {words}" for number, words in parts if number)
    return f"{count} {'stack' if count == 1 else 'stacks'}: {said}"
