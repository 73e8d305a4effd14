"""Stacks of the real CLI on a file backend, and the emulator: what the measurements with the whole engine run in.

All that a command prints is shown to the canaries, and so is what it stored when the workspace closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pulumi_runpod_serverless.testing import LocalRunpod, local_runpod

from .canaries import API_KEY, ENV_VALUE, PASSWORD

if TYPE_CHECKING:
    from runpod_emulator.running import Running

    from .report import Run

PACKAGE: Final = "runpod-serverless:index:"
KINDS: Final = {"Endpoint": "endpoints", "NetworkVolume": "networkVolumes", "PodTemplate": "templates", "Registry": "registries"}
"""Resource types, and what the emulator's controls call them."""
PATHS: Final = {
    "Endpoint": "/v2/serverless",
    "NetworkVolume": "/v2/network-volumes",
    "PodTemplate": "/v2/templates",
    "Registry": "/v2/registries",
}
TIMEOUT_SECONDS: Final = 600
_SECRET: Final = "fn::secret"
LEAST: Final[Mapping[str, Mapping[str, Any]]] = {
    "Endpoint": {"image": "me/worker:1", "env": {"TOKEN": {_SECRET: ENV_VALUE}}},
    "NetworkVolume": {"size": 10, "deletionProtection": False},
    "PodTemplate": {"image": "me/worker:1", "env": {"TOKEN": {_SECRET: ENV_VALUE}}},
    "Registry": {"username": "me", "password": {_SECRET: PASSWORD}},
}
"""The least that a program states of each resource; with a canary wherever there is a place for a secret."""


def stated(kind: str, options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State a resource in YAML: the least of its kind, and those `properties` that are not None."""
    given = {name: value for name, value in properties.items() if value is not None}
    return {
        "type": PACKAGE + kind,
        "properties": {**LEAST[kind], **given},
        **({"options": dict(options)} if options else {}),
    }


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All that it printed."""
        return f"{self.stdout}\n{self.stderr}"

    @property
    def tail(self) -> str:
        """The last of what it printed, for a failure's text."""
        return " / ".join(line.strip() for line in self.said.splitlines() if line.strip())[-600:]


class Project:
    """A YAML project with one stack; every command runs in its directory."""

    def __init__(self, directory: Path, environment: Mapping[str, str], run: Run) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.environment = dict(environment)
        self._run = run
        self._is_selected = False

    def write(self, resources: Mapping[str, Any], **sections: Any) -> None:
        """Write the program."""
        program = {"name": self.directory.name, "runtime": "yaml", "resources": dict(resources), **sections}
        (self.directory / "Pulumi.yaml").write_text(json.dumps(program, indent=2))  # JSON is YAML

    def command(self, *arguments: str) -> list[str]:
        """Give a command of the CLI, whose stack is there."""
        if not self._is_selected:
            self._is_selected = True
            self.pulumi("stack", "select", "--create", "dev", must_succeed=True)
        return ["pulumi", "--non-interactive", "--color=never", *arguments]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own, with `variables` added to its environment; `ended` reads what it printed."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Done:
        """Wait for a command that was started."""
        stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        self._run.canaries.look(" ".join(cast("list[str]", process.args)), stdout, stderr)
        return Done(process.returncode, stdout, stderr)

    def pulumi(self, *arguments: str, must_succeed: bool = False) -> Done:
        """Run a command. Raises RuntimeError where it must succeed and does not."""
        with self.start(*arguments) as process:
            done = self.ended(process)
        if must_succeed and done.exit_code:
            raise RuntimeError(f"pulumi {' '.join(arguments)} exited with {done.exit_code}: {done.tail}")
        return done

    def up(self, *arguments: str, must_succeed: bool = True) -> Done:
        """Bring the stack up without a preview."""
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, must_succeed=must_succeed)

    def cancel(self) -> None:
        """Free the stack from a command that was killed.

        The CLI's file backend keeps a file of its own beside each, not written atomically: killed in that moment it leaves an empty one,
        and says "failed to load checkpoint: EOF" until that is deleted.
        """
        backend = Path(self.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        for torn in backend.glob(f".pulumi/stacks/{self.directory.name}/*.attrs"):
            if not torn.stat().st_size:
                torn.unlink()
        self.pulumi("cancel", "--yes")

    def state(self) -> list[dict[str, Any]]:
        """Give the resources of the state that are not the engine's own."""
        exported = json.loads(self.pulumi("stack", "export", must_succeed=True).stdout)
        found = exported["deployment"].get("resources") or []
        return [one for one in found if one["type"].startswith(PACKAGE)]

    def ids(self) -> list[str]:
        """Give the ids in the state, those that wait for their deletion included."""
        return sorted(one["id"] for one in self.state() if one.get("id"))


@dataclass(frozen=True)
class Workspace:
    """An emulator and a place for projects, which share a file backend and a Pulumi home."""

    emulator: Running
    directory: Path
    variables: Mapping[str, str]
    run: Run
    local: LocalRunpod
    """For inline programs of the Automation API."""

    def project(self, name: str, **variables: str) -> Project:
        """Make a project; `variables` are added to its environment."""
        return Project(self.directory / "projects" / name, {**self.variables, **variables}, self.run)

    def remote(self) -> dict[str, str]:
        """Give the names of all objects of the account by id."""
        state = self.emulator.state()
        return {item["id"]: item["name"] for kind in KINDS.values() for item in state[kind]}


@contextlib.contextmanager
def workspace(run: Run, name: str) -> Iterator[Workspace]:
    """Open a workspace below the run's directory, with no rate limit and no worker quota to speak of."""
    from runpod_emulator.running import Running

    directory = run.directory / name
    with Running(worker_quota=1000) as emulator, local_runpod(directory, emulator=emulator) as local:
        emulator.set(worker_quota=1_000_000)
        home = directory / "user"
        home.mkdir()
        variables = {**os.environ, **local.variables, "RUNPOD_API_KEY": API_KEY, "HOME": str(home), "USERPROFILE": str(home)}
        yield Workspace(emulator, directory, variables, run, local)
        run.canaries.look_into(name, [path for path in directory.iterdir() if path.name != "projects"])
