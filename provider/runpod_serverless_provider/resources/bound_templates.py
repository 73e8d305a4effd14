"""The hidden template that Runpod keeps for each endpoint, under a name formed from the endpoint's, and deletes with it."""

from __future__ import annotations

from typing import Any, Final

from ..core.session import Session

_MARK: Final = "__template__"


def is_bound(name: str) -> bool:
    """Say whether a name is that of an endpoint's own template."""
    return _MARK in name


def owner_of(name: str) -> str:
    """Return the name that the endpoint had when it was made."""
    return name.rpartition(_MARK)[0]


class BoundTemplates:
    """Those that a program has as PodTemplates, as far as this process has met them."""

    def __init__(self, session: Session) -> None:
        self._names: dict[str, str] = {}

    def note(self, id: str, name: Any) -> None:
        """Remember a template if it is a bound one."""
        if id and isinstance(name, str) and is_bound(name):
            self._names[id] = name

    def of(self, endpoint: Any) -> list[str]:
        """Return the names of those that belong to an endpoint of this name."""
        return [name for name in self._names.values() if owner_of(name) == endpoint]
