"""What a search for drift finds, as plain values. No engine, no wording for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

CLEAN: Final = 0
DRIFT: Final = 7
"""As the engine's own `--expect-no-changes` has it."""
ERROR: Final = 2

SECRET: Final = "[secret]"
"""Stands for a value that is not told."""


class Up(Enum):
    """What `pulumi up` would do."""

    NOTHING = "nothing"
    UPDATE = "update"
    RECREATE = "recreate"
    CREATE = "create"
    IMPORT = "import"
    DELETE = "delete"
    FAIL = "fail"


class CauseKind(Enum):
    """Causes of drift that can be known."""

    DELETED = "deleted"
    """Somebody deleted the resource."""
    WORKERS_LOWERED = "workersLowered"
    """There are fewer workers than in the state, as Runpod itself sees to where an endpoint is idle or its workers are unhealthy."""
    ENV_ADDED = "envAdded"
    """There are environment variables that the program does not know."""


@dataclass(frozen=True)
class Cause:
    """One cause, in words."""

    kind: CauseKind
    text: str


@dataclass(frozen=True)
class PropertyDrift:
    """One property whose values differ; `path` is as the engine writes it (`workers.max`).

    A value is None where there is none, and `SECRET` where it is one. `up` is None where it is not known.
    """

    path: str
    in_state: Any
    at_runpod: Any
    is_secret: bool = False
    up: Up | None = None


@dataclass(frozen=True)
class ResourceDrift:
    """One resource that is not as in the state. `is_gone` says that it does not exist, and then there are no `properties`.

    `remark` is what the engine says where `up` would fail.
    """

    urn: str
    type: str
    name: str
    id: str
    is_gone: bool = False
    properties: tuple[PropertyDrift, ...] = ()
    causes: tuple[Cause, ...] = ()
    up: Up | None = None
    remark: str = ""


@dataclass(frozen=True)
class Undeployed:
    """One resource that the program changes whatever Runpod says: code that is merged and not deployed, which is no drift."""

    urn: str
    type: str
    name: str
    up: Up
    properties: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class StackReport:
    """What was found in one stack.

    `error` says why the comparison is not complete, and `up_unknown` why it is not known, of all or some resources, what `up` would do.
    """

    stack: str
    project: str
    resources: tuple[ResourceDrift, ...] = ()
    undeployed: tuple[Undeployed, ...] = ()
    error: str = ""
    up_unknown: str = ""

    @property
    def label(self) -> str:
        """The stack as people call it: `project/stack`."""
        return f"{self.project}/{self.stack}" if self.project else self.stack

    @property
    def exit_code(self) -> int:
        """0 clean, 7 drift, 2 error."""
        return ERROR if self.error else DRIFT if self.resources else CLEAN


@dataclass(frozen=True)
class Report:
    """What was found in all stacks, in the order in which they were asked for."""

    stacks: tuple[StackReport, ...]

    @property
    def exit_code(self) -> int:
        """Of the whole: 2 where any stack could not be compared, else 7 where any drifted, else 0."""
        codes = {stack.exit_code for stack in self.stacks}
        return next((code for code in (ERROR, DRIFT) if code in codes), CLEAN)
