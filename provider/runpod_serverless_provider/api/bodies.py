"""JSON bodies to and from bytes. Numbers go out as the API reads them: no decimal point on an integer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


class NotUsable(ValueError):
    """The body of a successful answer is no JSON object or list."""


def encode(body: Mapping[str, Any]) -> bytes:
    """Write `body` as JSON; Pulumi has only doubles, so an integral float is written as the integer it is.

    Raises ValueError for NaN and infinities, TypeError for what JSON cannot hold.
    """
    return json.dumps(_plain(body), allow_nan=False, separators=(",", ":")).encode()


def decode(content: bytes) -> Any:
    """Read a JSON object or list; raise NotUsable for all else, as no operation of the API answers with a bare value."""
    try:
        decoded = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise NotUsable("the answer is not JSON" if content.strip() else "the answer has no body") from problem
    if not isinstance(decoded, dict | list):
        raise NotUsable("the answer is neither a JSON object nor a list")
    return decoded


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
