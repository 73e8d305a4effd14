"""The progress line: on a terminal one that changes, elsewhere one for each stack that is done. It goes to standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.text import Text

from . import wording
from .report import StackReport
from .search import Progress


@contextmanager
def shown(file: IO[str]) -> Iterator[Progress]:
    """Give what `find_drift` calls for each stack."""
    if not file.isatty():
        yield lambda stack, done, count: print(f"[{done}/{count}] {_line(stack)}", file=file, flush=True)
        return
    with Console(file=file).status("comparing with Runpod") as status:
        yield lambda stack, done, count: status.update(Text(f"comparing with Runpod: {done} of {count} stacks; {_line(stack)}"))


def _line(stack: StackReport) -> str:
    return wording.one_line(f"{stack.label}: {wording.stack_text(stack)}")
