"""Secrets that are made up to be looked for: what a run gives to the provider as a secret, and must meet again nowhere in clear."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

API_KEY: Final = "rpa_CANARY/api+key=0123456789"
ENV_VALUE: Final = 'canary/with+special&"chars"=ü 77'
PASSWORD: Final = "canary p@ssword/88+"
ALL: Final = {"API key": API_KEY, "env value": ENV_VALUE, "registry password": PASSWORD}
_AROUND: Final = 60
OF_THE_ENGINE: Final = "arshaling property for RPC"
"""What a line of the engine's own log says that writes a value: from `-v=9` on it shows all that passes between it and any program."""


def _base64_forms(secret: bytes) -> set[str]:
    """Give what of a secret can be recognized in the base64 of any text that holds it, whatever stands before it."""
    forms = set()
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            encoded = alphabet(b"\0" * before + secret).decode().rstrip("=")
            forms.add(encoded[(before * 8 + 5) // 6 : len(encoded) - 1])
    return forms


def forms(secret: str) -> set[str]:
    """Give the forms that a secret may take in a text: as it is, quoted, in URLs, in base64, in hexadecimal digits."""
    plain = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    plain |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    nested = {json.dumps(form)[1:-1] for form in plain}
    return plain | nested | _base64_forms(secret.encode()) | {secret.encode().hex()}


_FORMS: Final = {form: name for name, secret in ALL.items() for form in forms(secret)}


def found_in(text: str) -> list[str]:
    """Name each canary that a text holds, with what stands before it."""
    return [f"{name} after {text[max(0, at - _AROUND) : at]!r}" for form, name in _FORMS.items() if (at := text.find(form)) >= 0]


@dataclass
class Canaries:
    """What was looked through so far. `hits` say where a canary was, without it."""

    texts: int = 0
    characters: int = 0
    hits: list[str] = field(default_factory=list)

    def look(self, where: str, *texts: str) -> None:
        """Look through what a program printed, `where` saying which."""
        for text in texts:
            kept = "\n".join(line for line in text.splitlines() if OF_THE_ENGINE not in line) if OF_THE_ENGINE in text else text
            self.texts += 1
            self.characters += len(kept)
            self.hits += [f"{where}: {hit}" for hit in found_in(kept)]

    def look_into(self, where: str, directories: Iterable[Path]) -> None:
        """Look through all files below `directories`, as bytes: state, its history and backups, journals, logs."""
        for directory in directories:
            for path in sorted(directory.rglob("*")):
                if path.is_file():
                    self.look(f"{where}: {path.relative_to(directory)}", path.read_bytes().decode("utf-8", errors="replace"))
