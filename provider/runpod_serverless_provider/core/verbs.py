"""The verbs' requests and answers, free of any wire. `core.provider.Provider` answers them; doors translate them.

All property maps are plain values (see `values`): numbers are int where integral, secrets are unwrapped, unknowns are `UNKNOWN`.
Secretness travels beside them as a set of paths: a path in `secrets` covers all that lies below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from .failures import Failure
from .ports import Silent, Voice
from .values import Path

Properties = Mapping[str, Any]
NO_SECRETS: frozenset[Path] = frozenset()


class Autonaming(Enum):
    """How a missing name is chosen (Pulumi's autonaming modes)."""

    PROPOSE = "propose"
    ENFORCE = "enforce"
    DISABLE = "disable"


@dataclass(frozen=True)
class Check:
    """Validate `news` and resolve defaults against `olds` (the inputs stored before; empty on create).

    `urn` is empty where the door does not know which resource it is.
    """

    token: str
    name: str
    olds: Properties
    news: Properties
    secrets: frozenset[Path] = NO_SECRETS
    random_seed: bytes = b""
    autonaming: Autonaming | None = None
    proposed_name: str = ""
    urn: str = ""
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Checked:
    """The inputs in the user's form with defaults, and all failures found."""

    inputs: Mapping[str, Any]
    failures: tuple[Failure, ...] = ()


class Kind(Enum):
    """What happens at one path."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"
    ADD_REPLACE = "add_replace"
    DELETE_REPLACE = "delete_replace"
    UPDATE_REPLACE = "update_replace"


@dataclass(frozen=True)
class Change:
    """One changed path. `in_inputs` says that the prior value stands in the prior inputs rather than the outputs."""

    path: Path
    kind: Kind
    in_inputs: bool = True


@dataclass(frozen=True)
class Diff:
    """Compare the prior (`old_inputs`, `outputs`) with the planned inputs `news`."""

    token: str
    id: str
    outputs: Properties
    old_inputs: Properties
    news: Properties
    urn: str = ""
    secrets: frozenset[Path] = NO_SECRETS
    ignore_changes: tuple[str, ...] = ()
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Difference:
    """The plan: no changes at all means nothing happens. `stables` are outputs that this plan cannot change."""

    changes: tuple[Change, ...] = ()
    delete_before_replace: bool = False
    stables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Create:
    """Create a resource from checked inputs; `secrets` are paths in them.

    With `preview`, no request is sent that changes anything, and `inputs` may hold unknowns.
    """

    token: str
    urn: str
    inputs: Properties
    secrets: frozenset[Path] = NO_SECRETS
    preview: bool = False
    timeout_seconds: float = 0.0
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Created:
    """The new resource. `id` is empty and outputs may be UNKNOWN in a preview. `secrets` are the secret paths of `outputs`, all of them."""

    id: str
    outputs: Properties
    secrets: frozenset[Path] = NO_SECRETS


@dataclass(frozen=True)
class Update:
    """Bring a resource from its prior inputs to the planned `news`; `secrets` are paths in `news` and in `outputs`."""

    token: str
    urn: str
    id: str
    outputs: Properties
    old_inputs: Properties
    news: Properties
    secrets: frozenset[Path] = NO_SECRETS
    preview: bool = False
    timeout_seconds: float = 0.0
    ignore_changes: tuple[str, ...] = ()
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Updated:
    """The outputs after an update (predicted ones in a preview). `secrets`: see `Created`."""

    outputs: Properties
    secrets: frozenset[Path] = NO_SECRETS


@dataclass(frozen=True)
class Read:
    """Read a resource. Without inputs and outputs it is an import or a `.get()`; with both a refresh. `secrets` are paths in both."""

    token: str
    urn: str
    id: str
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    secrets: frozenset[Path] = NO_SECRETS
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Observed:
    """What exists. `secrets` are the secret paths of both maps, those of the request included."""

    id: str
    inputs: Properties
    outputs: Properties
    secrets: frozenset[Path] = NO_SECRETS


@dataclass(frozen=True)
class Delete:
    """Delete a resource, given its prior state. `target` is the URN as commands take it, where the door knows that."""

    token: str
    urn: str
    id: str
    outputs: Properties
    old_inputs: Properties
    target: str = ""
    timeout_seconds: float = 0.0
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Invoke:
    """Call a function. `arguments` hold no unknowns."""

    token: str
    arguments: Properties
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Invoked:
    """What a function returns, or what is wrong with its arguments."""

    values: Properties
    secrets: frozenset[Path] = NO_SECRETS
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class List:
    """List the resources of one type that exist, whoever made them."""

    token: str
    voice: Voice = field(default_factory=Silent)


@dataclass(frozen=True)
class Listed:
    """One that exists."""

    id: str
    name: str


@dataclass(frozen=True)
class Settings:
    """The provider's configuration as the core needs it."""

    default_datacenter: str | None = None
    default_update_strategy: Literal["replace", "inPlace"] = "replace"
