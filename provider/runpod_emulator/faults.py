"""Misbehaviour on order: which requests it hits. How each action is carried out is the door's work."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runpod_emulator.shapes import Anything, Flag, Mapped, Nullable, Number, Object, Text, Whole

ACTIONS = (
    "status",
    "reset-before",
    "commit-then-status",
    "commit-then-drop",
    "delay",
    "commit-then-delay",
    "commit-late",
    "truncate",
    "wrong-json",
    "omit-from-list",
    "add-fields",
)

FAULT = Object(
    {
        "method": Text(),
        "path": Text(),
        "name": Nullable(Text()),
        "times": Nullable(Whole(minimum=1)),
        "skip": Whole(minimum=0),
        "action": Text(choices=ACTIONS),
        "status": Nullable(Whole(minimum=200, maximum=599)),
        "detail": Nullable(Text()),
        "seconds": Number(minimum=0),
        "retryAfter": Nullable(Whole(minimum=0)),
        "hold": Flag(),
        "id": Nullable(Text()),
        "body": Anything(),
        "fields": Mapped(Anything()),
    },
    required=("action",),
)


@dataclass
class Fault:
    """One order: the next `times` requests (None: all) that match, after `skip` of them, are answered by `action`.

    `name` means only requests whose body has that name.
    `status` answers instead of the API; with `commit-then-status` the API does its work first. `reset-before` and
    `commit-then-drop` hang up, the latter only after the caller has given up where `hold` is set. `delay` works and
    answers late, `commit-then-delay` works at once. `commit-late` gives up now (with `status`, by hanging up, or with
    `hold` by waiting for the caller to give up) and does the work `seconds` later. `truncate` sends half the answer,
    `wrong-json` sends `body` instead, `add-fields` adds `fields`, `omit-from-list` leaves out the item `id`, or all.
    """

    action: str
    method: str = "*"
    path: str = "*"
    name: str | None = None
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

    def matches(self, method: str, path: str, body: Any = None) -> bool:
        """Say whether the request is meant; a path may hold `*`."""
        is_of_name = self.name is None or (isinstance(body, dict) and body.get("name") == self.name)
        return self.method in ("*", method) and is_of_name and fnmatchcase(path, self.path)


class Faults:
    """The orders that are open, oldest first, and the work that late orders have still to do."""

    def __init__(self) -> None:
        self._open: list[Fault] = []
        self._late: set[asyncio.Task[None]] = set()

    def add(self, fault: Fault) -> None:
        """Take an order."""
        self._open.append(fault)

    def clear(self) -> None:
        """Drop every order."""
        self._open.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return the open orders."""
        return [asdict(fault) for fault in self._open]

    def take(self, method: str, path: str, body: Any = None) -> Fault | None:
        """Return the fault for this request, and count it as used."""
        for fault in self._open:
            if not fault.matches(method, path, body):
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

    def do_late(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work in the background."""
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def forget_late_work(self) -> None:
        """Cancel what has not been done yet."""
        for task in self._late:
            task.cancel()
