"""Choose a resource's name when the program gives none, in all of Pulumi's autonaming modes."""

from __future__ import annotations

import hashlib
import os
import re

from .failures import Failure
from .verbs import Autonaming, Check

_HEX_DIGITS = 7


def choose_name(request: Check, path: str, max_length: int) -> str | Failure:
    """Return the name for a resource that has none: `<logical name>-<7 hex>` unless autonaming is configured otherwise."""
    if request.autonaming is Autonaming.DISABLE:
        return Failure((path,), "is required, for this stack's autonaming is disabled; give a name")
    if request.proposed_name:
        if len(request.proposed_name) > max_length and request.autonaming is Autonaming.ENFORCE:
            return Failure((path,), f"the name {request.proposed_name!r} that autonaming asks for is longer than {max_length}")
        return request.proposed_name[:max_length]
    seed = request.random_seed or os.urandom(32)
    suffix = hashlib.sha256(seed).hexdigest()[:_HEX_DIGITS]
    return f"{_stem(request.name, max_length)}-{suffix}"


def is_generated(name: object, logical_name: str, max_length: int) -> bool:
    """Say whether `name` is one that a resource gets where no autonaming is configured."""
    stem = re.escape(_stem(logical_name, max_length))
    return isinstance(name, str) and re.fullmatch(rf"{stem}-[0-9a-f]{{{_HEX_DIGITS}}}", name) is not None


def _stem(logical_name: str, max_length: int) -> str:
    return logical_name[: max_length - _HEX_DIGITS - 1]
