"""Misbehaviour on order: which requests it hits. How each action is carried out is the door's work."""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runpod_emulator.shapes import Flag, Mapped, Nullable, Number, Object, Shape, Text, Whole

ACTIONS = (
    "status",
    "reset-before",
    "commit-then-drop",
    "delay",
    "commit-late",
    "truncate",
    "wrong-json",
    "omit-from-list",
    "add-fields",
)


class _Anything:
    def failures(self, value: Any, path: str) -> tuple[str, ...]:
        return ()


_ANYTHING: Shape = _Anything()  # type: ignore[assignment]
FAULT = Object(
    {
        "method": Text(),
        "path": Text(),
        "times": Nullable(Whole(minimum=1)),
        "skip": Whole(minimum=0),
        "action": Text(choices=ACTIONS),
        "status": Whole(minimum=200, maximum=599),
        "detail": Text(),
        "seconds": Number(minimum=0),
        "retryAfter": Whole(minimum=0),
        "hold": Flag(),
        "id": Text(),
        "body": _ANYTHING,
        "fields": Mapped(_ANYTHING),
    },
    required=("action",),
)


@dataclass
class Fault:
    """One order: the next `times` requests (None: all) that match, after `skip` of them, are answered by `action`."""

    action: str
    method: str = "*"
    path: str = "*"
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    detail: str | None = None
    seconds: float = 0
    retryAfter: int | None = None  # noqa: N815 - the control API's own spelling
    hold: bool = False
    id: str | None = None
    body: Any = None
    fields: dict[str, Any] = field(default_factory=dict)

    def matches(self, method: str, path: str) -> bool:
        """Say whether the request is meant; a path may hold `*`."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)


class Faults:
    """The orders that are open, oldest first."""

    def __init__(self) -> None:
        self._open: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Take an order."""
        self._open.append(fault)

    def clear(self) -> None:
        """Drop every order."""
        self._open.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return the open orders."""
        return [asdict(fault) for fault in self._open]

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, and count it as used."""
        for fault in self._open:
            if not fault.matches(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self._open.remove(fault)
            return fault
        return None
