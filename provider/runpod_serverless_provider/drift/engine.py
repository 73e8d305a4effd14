"""Runs the pulumi CLI and reads its events. Knows nothing of drift, nor of Runpod."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..core.values import UNKNOWN
from ..signatures import SECRET, SIGNATURE_KEY, UNKNOWN_SENTINELS

_STACK_TYPE: Final = "pulumi:pulumi:Stack"
_CLOSING: Final = ("preview failed", "update failed")
"""What the engine adds to the errors of resources."""
_ASIDE: Final = "info#err"
_SHOWN_ERRORS: Final = 3
_QUIET: Final = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",  # the same events from every verb, one a line
}


class DriftError(Exception):
    """The search cannot begin. Says what to do."""


@dataclass(frozen=True)
class StackName:
    """A stack as the CLI takes it (`organization/project/stack`, or what the user wrote), and its parts."""

    full: str
    is_selected: bool = False

    @property
    def stack(self) -> str:
        """The stack alone."""
        return self.full.rpartition("/")[2]

    @property
    def project(self) -> str:
        """The project, empty where the name does not tell."""
        parts = self.full.split("/")
        return parts[1] if len(parts) == 3 else ""


@dataclass(frozen=True)
class Recorded:
    """What the state records of one resource beside its properties.

    `is_external` says that the program only reads it (`.get`); `ignored` are the paths of its `ignoreChanges`; `keys` are those of each
    output that is a map, secret or not.
    """

    is_external: bool = False
    ignored: tuple[str, ...] = ()
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What the engine says of one resource.

    `changes` is the kind of change by property path, None where there is no such diff. `names` are the top-level properties that differ,
    and `replaces` those of them that replace, where the provider tells.

    `old` and `new` hold `id`, `inputs`, `outputs`; they are empty where there is nothing before or after. A value that the engine does
    not tell, because it is secret or not known yet, is UNKNOWN.
    """

    op: str
    urn: str
    type: str
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, str] | None = None
    names: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return parts_of(self.urn)[1]


def parts_of(urn: str) -> tuple[str, str]:
    """Split the type, without those of the parents, and the name off an URN."""
    _, _, types, name = (*urn.split("::", 3), "", "", "", "")[:4]
    return types.rpartition("$")[2], name


@dataclass(frozen=True)
class Run:
    """One command: `done` are results, `planned` what a preview would do. `complaints` are errors by resource, empty for the stack.

    `aside` is what the program wrote to standard error, which is all that some language hosts say of why it failed. `has_summary` says
    that the engine came to its end.
    """

    exit_code: int
    done: tuple[Step, ...] = ()
    planned: tuple[Step, ...] = ()
    complaints: tuple[tuple[str, str], ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)
    aside: str = ""
    plain: str = ""
    has_summary: bool = True

    @property
    def error(self) -> str:
        """Why it failed; empty where it did not. Silence is a failure: it must not pass for a stack without drift."""
        if not self.exit_code:
            return "" if self.has_summary else "pulumi ended without the summary of its events: upgrade the Pulumi CLI"
        said = [message.removeprefix("Preview failed: ") for _, message in self.complaints if message not in _CLOSING]
        said = list(dict.fromkeys(said or [self.aside or self.plain]))
        more = [f"and {len(said) - _SHOWN_ERRORS} more"] if len(said) > _SHOWN_ERRORS else []
        return "\n".join(said[:_SHOWN_ERRORS] + more) or f"pulumi ended with exit code {self.exit_code}"


class Cli:
    """The CLI `program` in the project directory `cwd`. One process for each call, none of which writes anything."""

    def __init__(self, program: str, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        is_path = any(separator in program for separator in (os.sep, os.altsep) if separator)
        self._program = str(Path(program).absolute()) if is_path else program  # a relative path is not relative to `cwd`
        self._cwd = cwd
        self._environment = {**(os.environ if environment is None else environment), **_QUIET}

    async def stacks(self) -> list[StackName]:
        """List the project's stacks. Raises DriftError where there is no project or no login."""
        code, stdout, stderr = await self._call("stack", "ls", "--json", "--fully-qualify-stack-names")
        if code:
            raise DriftError(f"pulumi cannot list the stacks of {self._cwd}: {_plain(stderr) or _plain(stdout)}")
        return [StackName(item["name"], item["current"]) for item in json.loads(stdout)]

    async def refresh(self, stack: str) -> Run:
        """Compare the state with what exists. The program is not run."""
        return parse(*await self._call("refresh", "--preview-only", "--json", "--stack", stack))

    async def preview(self, stack: str, *, with_refresh: bool) -> Run:
        """Plan from the program; against what exists, or against the state alone, which asks no provider to read."""
        given = ["--refresh"] if with_refresh else []
        return parse(*await self._call("preview", "--json", *given, "--stack", stack))

    async def recorded(self, stack: str, *, with_keys: bool = False) -> dict[str, Recorded]:
        """Read from the state what the events do not tell, by URN; nothing where it cannot be exported.

        Only `with_keys` are secrets decrypted, and their values are not kept.
        """
        code, stdout, _ = await self._call("stack", "export", *(["--show-secrets"] if with_keys else []), "--stack", stack)
        resources = [] if code else json.loads(stdout)["deployment"].get("resources", [])
        return {
            item["urn"]: Recorded(
                bool(item.get("external")),
                tuple(item.get("ignoreChanges") or ()),
                {name: frozenset(value) for name, value in _opened(item.get("outputs") or {}) if isinstance(value, dict)}
                if with_keys
                else {},
            )
            for item in resources
            if not item.get("delete")
        }

    async def configured(self, stack: str, key: str) -> str | None:
        """Decrypt one value of the stack's configuration."""
        code, stdout, _ = await self._call("config", "get", key, "--stack", stack)
        return None if code else stdout.rstrip("\r\n")

    async def _call(self, *arguments: str) -> tuple[int, str, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "--non-interactive",
                "--color=never",
                *arguments,
                cwd=self._cwd,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as problem:
            raise DriftError(f"{self._program} cannot be started in {self._cwd}: {problem}") from None
        try:
            stdout, stderr = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()  # the engine then closes its plugins
            await process.wait()
            raise
        return process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace")


def parse(exit_code: int, stdout: str, stderr: str) -> Run:
    """Read the events that a command printed; lines that are none are kept as they are."""
    done, planned, complaints, asides, plain = [], [], [], [], []
    configuration: Mapping[str, str] = {}
    has_summary = False
    for line in stdout.splitlines():
        event = _event(line)
        if "resOutputsEvent" in event:
            done.append(_step(event["resOutputsEvent"]["metadata"]))
        elif "resourcePreEvent" in event:
            planned.append(_step(event["resourcePreEvent"]["metadata"]))
        elif "preludeEvent" in event:
            configuration = event["preludeEvent"].get("config") or {}
        elif "summaryEvent" in event:
            has_summary = True
        elif "diagnosticEvent" in event:
            said = event["diagnosticEvent"]
            if said["severity"] == "error" and not said.get("ephemeral"):
                complaints.append((said.get("urn", ""), said["message"].strip()))
            elif said["severity"] == _ASIDE and not said.get("ephemeral"):
                asides.append(said["message"])
        elif not event:
            plain.append(line)
    return Run(
        exit_code,
        tuple(_own(done)),
        tuple(_own(planned)),
        tuple(complaints),
        configuration,
        _plain("\n".join(asides)),
        _plain(stderr) or _plain("\n".join(plain)),
        has_summary,
    )


def _opened(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in properties.items():
        is_secret = isinstance(value, Mapping) and value.get(SIGNATURE_KEY) == SECRET
        yield name, json.loads(value["plaintext"]) if is_secret else value


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _step(metadata: Mapping[str, Any]) -> Step:
    detailed = metadata.get("detailedDiff")
    changes = None if detailed is None else {path: str(change["diffKind"]) for path, change in detailed.items()}
    return Step(
        metadata["op"],
        metadata["urn"],
        metadata["type"],
        _told(metadata.get("old") or {}),
        _told(metadata.get("new") or {}),
        changes,
        tuple(metadata.get("diffs") or ()),
        tuple(metadata.get("keys") or ()),
    )


def _told(value: Any) -> Any:
    if isinstance(value, Mapping):
        return UNKNOWN if value.get(SIGNATURE_KEY) == SECRET else {key: _told(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_told(item) for item in value]
    return UNKNOWN if isinstance(value, str) and value in UNKNOWN_SENTINELS else value


def _own(steps: Iterable[Step]) -> list[Step]:
    """Leave out the stack itself, and what a later `up` deletes anyhow."""
    return [
        step for step in steps if step.type != _STACK_TYPE and not (step.op in ("refresh", "delete") and step.old.get("delete"))
    ]


def _plain(text: str) -> str:
    return "\n".join(line.removeprefix("error: ") for line in text.strip().splitlines() if line.strip())
