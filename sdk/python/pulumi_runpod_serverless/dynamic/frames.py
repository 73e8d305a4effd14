"""What `pulumi.dynamic` has at hand while it calls a provider, and gives it no access to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def in_callers(name: str, is_it: Callable[[Any], bool]) -> Any:
    """Return the local variable `name` of the nearest caller in this thread whose value `is_it`; None where there is none."""
    frame = sys._getframe()
    while frame is not None:
        found = frame.f_locals.get(name)
        if is_it(found):
            return found
        frame = frame.f_back  # type: ignore[assignment]
    return None
