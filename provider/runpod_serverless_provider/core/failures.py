"""Every way in which work can fail, and the wording of it. Doors translate these to their own form; nothing else words an error.

ProviderFailure
├── CheckFailed          the user can fix an input: one or more `Failure`s, each on a property path
├── ApiProblem           the API answered and refused (problem+json, parsed)
├── ApiUnreachable       no answer, and the request surely had no effect
├── OutcomeUnknown       no usable answer, and the request may have had its effect
├── Refused              the provider refuses before any request (deletion protection, ambiguous adoption …)
├── NotFound             what a function looks up is not there, or is not one thing alone
├── Unreadable           the API's answer is not what its document says
├── NotConfigured        no API key
├── Incomplete           an answer lacks what every one of its kind has
└── CreatedButFailed     the resource exists (id kept), but the work on it did not finish

NoSuchType, NoSuchFunction: what the engine names is not there. Doors word these, as nothing was tried.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from .values import Path, render_path
from .version import DISTRIBUTION


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong with one input.

    `path` is the full property path; `reason` says what is wrong and what to do, without the path (doors put it first).
    """

    path: Path
    reason: str

    @property
    def text(self) -> str:
        """The reason, begun with the property's path."""
        return f"{render_path(self.path)}: {self.reason}" if self.path else self.reason


class ProviderFailure(Exception):
    """The base of all expected failures; its text is shown to the user as it is."""


class NoSuchType(LookupError):
    """The engine names a resource type that there is not."""


class NoSuchFunction(LookupError):
    """The engine names a function that there is not."""


class CheckFailed(ProviderFailure):
    """Inputs are wrong; nothing was requested that could change anything."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("; ".join(failure.text for failure in failures))


class Refused(ProviderFailure):
    """The provider refuses to act; no request was sent for it."""


class NotFound(ProviderFailure):
    """Nothing in the account, or more than one thing, is what was looked for."""


class Incomplete(ProviderFailure):
    """An answer of the API lacks `name`, which every answer of its kind has."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(f"Runpod's answer to GET {path} has no {name!r}, which this version needs; look for a newer version")


class NotConfigured(ProviderFailure):
    """No API key was found where one is looked for."""


@dataclass
class ApiProblem(ProviderFailure):
    """An error answer of the API (problem+json: `title`, `status`, `detail`, `errors[]`).

    `attempt` says what was attempted on what, `advice` what to do; `explained` adds both. `retry_after_seconds` is what the API asked for.
    """

    method: str
    path: str
    status: int
    title: str = ""
    detail: str = ""
    errors: tuple[str, ...] = ()
    request_id: str | None = None
    attempt: str = ""
    advice: str = ""
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        said = self.detail or self.title or "no explanation"
        if self.errors:
            said += f" ({'; '.join(self.errors)})"
        request = f", request {self.request_id}" if self.request_id else ""
        attempt = f"{self.attempt} failed: " if self.attempt else ""
        return _advised(f"{attempt}Runpod answered {self.status} to {self.method} {self.path}{request}: {said}", self.advice)

    def explained(self, attempt: str, advice: str = "") -> ApiProblem:
        """Say what was attempted, and what to do: `advice`, or what the status alone suggests."""
        is_of_one = self.method != "POST" and self.path.count("/") > 1
        self.attempt, self.advice = attempt, advice or (_ADVICE.get(self.status, "") if is_of_one or self.status != 404 else "")
        return self


def _advised(said: str, advice: str) -> str:
    """Put advice behind what was said, which may end a sentence by itself."""
    stop = "" if said.endswith((".", "!", "?")) else "."
    return f"{said}{stop} {advice}" if advice else said


_ADVICE: Final = {
    401: "The API key was refused. It is taken from the stack's configuration `runpod-serverless:apiKey`, else from the environment "
    "variable RUNPOD_API_KEY, else from ~/.runpod/config.toml; set a valid one with `pulumi config set --secret "
    "runpod-serverless:apiKey` (keys: Runpod console, Settings, API Keys). `pulumi refresh` and `pulumi destroy` use the configured key as "
    "it was at the last `pulumi up`, unless `--run-program` is given.",
    403: "The API key lacks the permission for this; give it read and write access in the Runpod console (Settings, API Keys).",
    404: "It is gone from Runpod; run `pulumi refresh`, which takes it out of the state, and then `pulumi up`.",
}


@dataclass
class ApiUnreachable(ProviderFailure):
    """The API could not be reached; the request had no effect."""

    method: str
    path: str
    cause: str

    def __str__(self) -> str:
        return f"Runpod could not be reached for {self.method} {self.path}: {self.cause}"


@dataclass
class OutcomeUnknown(ProviderFailure):
    """A request was sent and its answer did not arrive or made no sense; it may have had its effect.

    `server_date` is the server's `Date` header of the last answer before the send (RFC 9110 form), where one is known.
    """

    method: str
    path: str
    cause: str
    status: int | None = None
    server_date: str | None = None
    advice: str = ""

    def __str__(self) -> str:
        return _advised(f"it is not known whether {self.method} {self.path} took effect: {self.cause}", self.advice)

    def advised(self, advice: str) -> OutcomeUnknown:
        """Say what to do about the doubt."""
        self.advice = advice
        return self


@dataclass
class CreatedButFailed(ProviderFailure):
    """The resource exists under `id`, and the engine must keep it, but `reasons` remain."""

    id: str
    outputs: Mapping[str, Any]
    reasons: tuple[str, ...]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    secrets: frozenset[Path] = frozenset()

    def __str__(self) -> str:
        return "; ".join(self.reasons)


class Unreadable(ProviderFailure):
    """The API answered, and the answer is not what its document says; `of` raises it in place of what tripped over that."""

    @staticmethod
    @contextmanager
    def of(subject: str) -> Iterator[None]:
        """Say that Runpod's answer about `subject` cannot be read, where reading it fails by an exception of no other meaning."""
        try:
            yield
        except ProviderFailure:
            raise
        except Exception as problem:
            where = f"{type(problem).__name__}{_place(problem)}"
            raise Unreadable(f"Runpod's answer about {subject} cannot be read ({where}); look for a newer version") from problem


def worded(problem: Exception) -> str:
    """Word any exception for the user. Secrets are not removed here."""
    if isinstance(problem, CheckFailed):
        return "".join(f"\n  - {failure.text}" for failure in problem.failures) if problem.failures else "the inputs are not valid"
    if isinstance(problem, ProviderFailure):
        return str(problem) or type(problem).__name__
    return f"internal error ({type(problem).__name__}{_place(problem)}); this is a bug in {DISTRIBUTION}, please report it"


def _place(problem: Exception) -> str:
    """Name the line that raised. The text of an unexpected exception stays out: it may quote a secret in part, past recognition."""
    frames = traceback.extract_tb(problem.__traceback__)
    return f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
