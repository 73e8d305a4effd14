"""The report in four forms: a table for people, JSON for programs, Markdown for pages, and what a GitHub workflow shows."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import IO, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import wording
from .report import Report, StackReport, Up

_PLAIN_WIDTH: Final = 160
"""Columns where there is no terminal to measure."""
_STYLES: Final = {
    Up.RECREATE: "bold red",
    Up.DELETE: "bold red",
    Up.FAIL: "bold red",
    Up.CREATE: "yellow",
    Up.UPDATE: "yellow",
    Up.IMPORT: "yellow",
    Up.NOTHING: "dim",
    None: "dim",
}
SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"


class Format(str, Enum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"


def write(report: Report, form: Format, file: IO[str], environment: Mapping[str, str] | None = None) -> None:
    """Write the report to `file`; as `github`, the job summary where `GITHUB_STEP_SUMMARY` says."""
    if form is Format.TABLE:
        width = None if file.isatty() or "COLUMNS" in os.environ else _PLAIN_WIDTH
        write_table(report, Console(file=file, highlight=False, width=width))
    elif form is Format.JSON:
        file.write(json.dumps(as_json(report), indent=2) + "\n")
    elif form is Format.MARKDOWN:
        file.write(markdown(report))
    else:
        place = (os.environ if environment is None else environment).get(SUMMARY_VARIABLE)
        if place:
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.write(markdown(report))
        file.write("".join(f"{line}\n" for line in workflow_commands(report)))


# -- a table


def write_table(report: Report, console: Console) -> None:
    """Print a table for each stack that drifted, what is known of it, and a line on all."""
    width = console.width
    for stack in report.stacks:
        if not wording.is_worth_saying(stack):
            continue
        console.print(Text(f"{stack.label}: {wording.stack_text(stack)}", style="bold"))
        if stack.error:
            console.print(_block(stack.error, width, style="red"))
        if stack.resources:
            console.print(_table(stack))
        for name, text in wording.remarks(stack):
            console.print(_block(f"{name}: {text}", width))
        if stack.undeployed:
            console.print(_block(f"{wording.NOT_DEPLOYED}:", width, style="dim"))
            for item in stack.undeployed:
                console.print(_block(f"{item.name}: {wording.undeployed_text(item)}", width, style="dim", indent=4))
        if stack.up_unknown:
            console.print(_block(f"{wording.UNKNOWN}: {stack.up_unknown}", width, style="dim"))
        console.print()
    console.print(Text(wording.summary(report), style="bold"))


def _block(text: str, width: int, style: str = "", indent: int = 2) -> Text:
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent = wrapper.subsequent_indent = " " * indent
    lines = [part for line in text.splitlines() for part in wrapper.wrap(wording.one_line(line))]
    return Text("\n".join(lines), style=style, no_wrap=True, overflow="ignore")


def _table(stack: StackReport) -> Table:
    table = Table()
    for heading in wording.COLUMNS:
        is_value = heading in (wording.STATE, wording.RUNPOD)  # these give way on a narrow terminal
        table.add_column(heading.replace("`", ""), no_wrap=not is_value, overflow="fold")
    for resource in stack.resources:
        name = f"{wording.one_line(resource.name)} ({wording.kind_text(resource.type)})"
        found = wording.rows(resource)
        for index, (path, old, new, up) in enumerate(found):
            cells = [Text(name if index == 0 else ""), Text(wording.one_line(path)), Text(old), Text(new)]
            table.add_row(*cells, Text(wording.up_text(up), style=_STYLES[up]), end_section=index == len(found) - 1)
    return table


# -- JSON


def as_json(report: Report) -> dict[str, Any]:
    """Give the report as JSON has it. Names are never taken away, and null is no value, or not known."""
    return {"exitCode": report.exit_code, "stacks": [_stack(stack) for stack in report.stacks]}


def _stack(stack: StackReport) -> dict[str, Any]:
    return {
        "stack": stack.stack,
        "project": stack.project or None,
        "exitCode": stack.exit_code,
        "error": stack.error or None,
        "resources": [
            {
                "urn": resource.urn,
                "type": resource.type,
                "name": resource.name,
                "id": resource.id,
                "isGone": resource.is_gone,
                "up": resource.up and resource.up.value,
                "remark": resource.remark or None,
                "causes": [{"kind": cause.kind.value, "text": cause.text} for cause in resource.causes],
                "properties": [
                    {
                        "path": item.path,
                        "inState": item.in_state,
                        "atRunpod": item.at_runpod,
                        "isSecret": item.is_secret,
                        "up": item.up and item.up.value,
                    }
                    for item in resource.properties
                ],
            }
            for resource in stack.resources
        ],
        "undeployed": [
            {
                "urn": item.urn,
                "type": item.type,
                "name": item.name,
                "up": item.up.value,
                "remark": item.remark or None,
                "properties": list(item.properties),
            }
            for item in stack.undeployed
        ],
        "upUnknown": stack.up_unknown or None,
    }


# -- Markdown


def markdown(report: Report) -> str:
    """Write a section for the whole and one for each stack that there is something to say of."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    yield f"## Drift: {_escaped(wording.summary(report))}"
    for stack in report.stacks:
        if not wording.is_worth_saying(stack):
            continue
        yield f"\n### {_escaped(stack.label)}: {wording.stack_text(stack)}\n"
        if stack.error:
            yield from (*_fenced(stack.error), "")
        if stack.resources:
            yield f"| {' | '.join(wording.COLUMNS)} |"
            yield f"|{' --- |' * len(wording.COLUMNS)}"
            yield from _markdown_rows(stack)
        said = [f"- {_code(name)}: {_prose(text)}" for name, text in wording.remarks(stack)]
        if said:
            yield from ("", *said)
        if stack.undeployed:
            yield f"\n{wording.NOT_DEPLOYED}:\n"
            for item in stack.undeployed:
                yield f"- {_code(item.name)} ({wording.kind_text(item.type)}): {_prose(wording.undeployed_text(item))}"
        if stack.up_unknown:
            yield from (f"\n{wording.UNKNOWN}:\n", *_fenced(stack.up_unknown))


def _markdown_rows(stack: StackReport) -> Iterator[str]:
    for resource in stack.resources:
        name = f"{_code(resource.name)} ({wording.kind_text(resource.type)})"
        for path, old, new, up in wording.rows(resource):
            shown = path if resource.is_gone else _code(path)
            values = (old, new) if resource.is_gone else (_code(old), _code(new))
            does = f"**{wording.up_text(up)}**" if up in (Up.RECREATE, Up.DELETE, Up.FAIL) else wording.up_text(up)
            yield f"| {' | '.join((name, shown, *values, does))} |"


def _code(text: str) -> str:
    """Write a code span: the fence is longer than any run of backticks within, and a pipe would end a table's cell."""
    text = wording.one_line(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fenced(text: str) -> Iterator[str]:
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    yield from (fence, *map(wording.one_line, text.splitlines()), fence)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", wording.one_line(text))


def _prose(text: str) -> str:
    """Write our own text, which has code spans, on one line; what looks like HTML is none."""
    return wording.one_line(" ".join(text.split())).replace("<", "&lt;")


# -- a GitHub workflow


def workflow_commands(report: Report) -> Iterator[str]:
    """Write one annotation for each stack that drifted or could not be compared, as GitHub shows few of them, and a line on all."""
    for stack in report.stacks:
        if stack.error:
            yield _annotation("error", f"{stack.label}: {wording.stack_text(stack)}", stack.error)
        if stack.resources:
            yield _annotation("warning", f"{stack.label}: drift", "\n".join(_annotated(stack)))
    yield wording.summary(report)


def _annotated(stack: StackReport) -> Iterator[str]:
    for resource in stack.resources:
        what = "is gone" if resource.is_gone else ", ".join(item.path for item in resource.properties)
        does = f"; `up` would {resource.up.value} it" if resource.up not in (None, Up.FAIL, Up.NOTHING) else ""
        yield f"{resource.name} ({wording.kind_text(resource.type)}): {what}{does}"
    yield from (f"{name}: {text}" for name, text in wording.remarks(stack))


def _annotation(level: str, title: str, message: str) -> str:
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    title = wording.one_line(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{escaped}"
