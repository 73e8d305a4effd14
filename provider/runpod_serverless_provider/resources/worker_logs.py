"""The last lines of a worker's log, fit to be shown: without secrets, which workers like to print, and without control characters."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Final

from ..core.failures import ApiProblem, ApiUnreachable, Refused
from ..core.resource import Task
from ..redaction import PLACEHOLDER, Redactor

_LINES: Final = 10
_SECONDS: Final = 10.0
_LONGEST_LINE: Final = 300
_SHORT: Final = 4
"""Shorter secrets cannot be replaced wherever they stand; a line that has one as a word is hidden as a whole."""


async def last_lines(id: str, worker: str, task: Task, secrets: Iterable[str]) -> list[str]:
    """Return the last lines that a worker wrote (`getWorkerLogs`), oldest first; none where they cannot be read."""
    try:
        found = await task.session.api.events(
            f"/serverless/{id}/workers/{worker}/logs",
            query={"tail": str(_LINES)},
            most=_LINES,
            timeout_seconds=_SECONDS,
            voice=task.voice,
        )
    except (ApiProblem, ApiUnreachable, Refused):
        return []
    texts = [str(event["line"]) for event in found if isinstance(event, Mapping) and event.get("line")]
    return shown(texts, secrets)


def shown(texts: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Hide `secrets` in lines of a log, each line of a secret that has several too, and what would not print.

    The secrets go before a line is cut, and once more after control characters did: neither may leave a part.
    """
    whole = {text for text in secrets if text}
    pieces = {piece.strip() for text in whole for piece in text.splitlines()}
    pieces = whole | {piece for piece in pieces if len(piece) >= _SHORT}
    encoded = [base64.b64encode(piece.encode("utf-8", "replace")).decode() for piece in pieces if len(piece) >= _SHORT]
    redact = Redactor([*pieces, *encoded, *(text.rstrip("=") for text in encoded)])
    short = [re.escape(piece) for piece in pieces if len(piece) < _SHORT]
    words = re.compile(rf"(?<!\w)(?:{'|'.join(short)})(?!\w)", re.IGNORECASE) if short else None
    found = []
    for text in texts:
        line = redact(_printable(redact(text)))
        if words is not None and words.search(line):
            line = PLACEHOLDER
        found.append(line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…")
    return found


def _printable(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)  # colours
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())
