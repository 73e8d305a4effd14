"""The Pulumi schema and the README's tables, derived from the models. Plugins serve the committed schema; nothing here runs with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).with_name("schema.json")
_IN_TREE: Final = Path(__file__).resolve().parents[3] / "schema.json"


def load() -> str:
    """Return the committed schema: from the wheel, or from the source tree where this is an editable installation."""
    return (_PACKAGED if _PACKAGED.exists() else _IN_TREE).read_text(encoding="utf-8")
