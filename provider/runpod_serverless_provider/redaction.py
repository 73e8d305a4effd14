"""Keeps secrets out of every text that leaves the process: errors, check failures, status lines and log records."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from .core.values import Path, get_in, leaves

PLACEHOLDER: Final = "[secret]"
_SHORTEST_RAW: Final = 4


def secret_leaves(values: Mapping[str, Any], secrets: frozenset[Path]) -> frozenset[tuple[Path, str]]:
    """Collect all secret leaves as texts; numbers count by their digits, booleans and empty texts hold nothing worth hiding."""
    return frozenset(
        (path, str(leaf))
        for secret in secrets
        for path, leaf in leaves(get_in(values, secret), secret)
        if isinstance(leaf, str | int | float) and not isinstance(leaf, bool) and leaf != ""
    )


def secret_texts(values: Mapping[str, Any], secrets: frozenset[Path]) -> frozenset[str]:
    """Collect the texts of all secret leaves."""
    return frozenset(text for _, text in secret_leaves(values, secrets))


class Redactor:
    """Replaces known secrets by `[secret]`.

    Secrets of four characters or more are replaced wherever they stand, shorter ones only in quotes: replacing every `a` of a message
    would leave nothing to read, and tell where the letters were. Escaped forms (JSON, `repr`, URLs) are recognised too, and other case,
    for a canonical form may have that.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        """Hide `texts` from now on."""
        before = len(self._texts)
        self._texts.update(text for text in texts if text)
        if len(self._texts) != before:
            self._pattern = self._compile()

    def _compile(self) -> re.Pattern[str]:
        forms: set[str] = set()
        for text in self._texts:
            variants = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
            variants |= {quote(text, safe="", errors="replace"), text.strip()}
            for variant in filter(None, variants):
                if len(variant) >= _SHORTEST_RAW:
                    forms.add(re.escape(variant))
                else:
                    forms.update(f"(?<={mark}){re.escape(variant)}(?={mark})" for mark in ("'", '"', "`"))
        # One pass, longest first: a second pass could find a secret inside a placeholder.
        return re.compile("|".join(sorted(forms, key=len, reverse=True)), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """Give `text` without the secrets."""
        return self._pattern.sub(PLACEHOLDER, text) if self._pattern else text

    def __repr__(self) -> str:
        return f"Redactor({len(self._texts)} texts)"


class RedactingFormatter(logging.Formatter):
    """Formats log records, tracebacks included, without secrets."""

    def __init__(self, template: str, redact: Callable[[str], str]) -> None:
        super().__init__(template)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Format and redact."""
        return self._redact(super().format(record))
