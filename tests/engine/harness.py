"""The real engine on a file backend, the emulator, and a project between them: what a test needs to bring a stack up.

Nothing outside of the test's own directory is read or written: no login, no `~/.pulumi`, no `~/.runpod`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

if TYPE_CHECKING:  # every test run loads this module, and few need these
    from pulumi import automation

    from engine.watched import Watched
    from pulumi_runpod_serverless.testing import InlinePrograms
    from runpod_emulator.running import Running

ROOT: Final = Path(__file__).resolve().parents[2]
KEY: Final = "rpa_of_the_test"
STACK: Final = "dev"
TIMEOUT_SECONDS: Final = 300
LOOKING: Final = ("preview", "refresh", "import")
"""The commands that must change nothing in the account."""


@dataclass(frozen=True)
class Step:
    """One step of the engine's plan, or of what it did. `changes` holds the detailed diff: the kind of change by property path."""

    op: str
    urn: str
    changes: Mapping[str, str] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True)
class Diagnostic:
    """A message of the engine or of a provider; `urn` is empty where it is about no resource."""

    severity: str
    message: str
    urn: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one command of the CLI did, from the events that `--json` prints."""

    exit_code: int
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...]
    summary: Mapping[str, int]
    stdout: str
    stderr: str

    def ops(self, name: str) -> list[str]:
        """Give the operations on one resource, in the engine's order; a replacement is three."""
        return [step.op for step in self.steps if step.name == name]

    def step(self, name: str, op: str | None = None) -> Step:
        """Give the only step on one resource, or the one with this operation."""
        (found,) = (step for step in self.steps if step.name == name and op in (None, step.op))
        return found

    def said(self, severity: str) -> list[str]:
        """Give the messages of one severity: error, warning, info or `info#err`."""
        return [diagnostic.message for diagnostic in self.diagnostics if diagnostic.severity == severity]


def _parse(done: subprocess.CompletedProcess[str]) -> Outcome:
    steps: list[Step] = []
    diagnostics: list[Diagnostic] = []
    summary: Mapping[str, int] = {}
    for line in done.stdout.splitlines():
        event = json.loads(line) if line.startswith('{"') else {}
        if "resourcePreEvent" in event:
            steps.append(_step(event["resourcePreEvent"]["metadata"]))
        elif "diagnosticEvent" in event:
            found = event["diagnosticEvent"]
            # That plugins come from PATH is this harness's own doing.
            if found["severity"] != "debug" and "from $PATH" not in found["message"]:
                diagnostics.append(Diagnostic(found["severity"], found["message"].strip(), found.get("urn", "")))
        elif "summaryEvent" in event:
            summary = event["summaryEvent"]["resourceChanges"] or {}
    return Outcome(done.returncode, tuple(steps), tuple(diagnostics), summary, done.stdout, done.stderr)


def _readable(done: subprocess.CompletedProcess[str]) -> str:
    outcome = _parse(done)
    events = [f"{step.op} {step.name} {dict(step.changes) or ''}".rstrip() for step in outcome.steps]
    events += [f"{found.severity}: {found.message}" for found in outcome.diagnostics]
    plain = [line for line in done.stdout.splitlines() if not line.startswith('{"sequence"')]
    return "\n".join([*events, *plain, done.stderr])


def _step(metadata: Mapping[str, Any]) -> Step:
    changes = {path: change["diffKind"] for path, change in (metadata.get("detailedDiff") or {}).items()}
    replaces = tuple(metadata.get("keys") or ())
    return Step(metadata["op"], metadata["urn"], changes, replaces, metadata["old"] or {}, metadata["new"] or {})


class Stack:
    """A YAML project with one stack.

    `write` states the program; the verbs run the CLI and give an `Outcome`. A verb whose exit code is not the expected one fails the test
    with all that the CLI said. Where it knows the `emulator`, that judges whether a command which only looks does no more.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], emulator: Watched | None = None) -> None:
        self.directory = directory
        self._emulator = emulator
        self.environment = dict(environment)
        directory.mkdir(parents=True, exist_ok=True)
        self._is_selected = False
        self._programs: InlinePrograms | None = None

    def write(self, resources: Mapping[str, Any] | None = None, **sections: Any) -> None:
        """Write the program: `resources`, and as keywords `outputs`, `variables`, `config`, `plugins` and so on."""
        program = {"name": "harness", "runtime": "yaml", "resources": dict(resources or {}), **sections}
        (self.directory / "Pulumi.yaml").write_text(json.dumps(program, indent=2))  # JSON is YAML

    def pulumi(self, *arguments: str, exit_code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run any command of the CLI in the project; `exit_code` None accepts each."""
        if not self._is_selected:
            self._is_selected = True
            self.pulumi("stack", "select", "--create", STACK)
        watched = self._emulator if arguments[0] in LOOKING else None
        with watched.looked_at(f"pulumi {' '.join(arguments)}") if watched else contextlib.nullcontext():
            done = subprocess.run(
                ["pulumi", "--non-interactive", "--color=never", *arguments],
                cwd=self.directory,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        if exit_code not in (None, done.returncode):
            pytest.fail(f"pulumi {' '.join(arguments)} exited with {done.returncode}:\n{_readable(done)}", pytrace=False)
        return done

    def up(self, *arguments: str, exit_code: int | None = 0) -> Outcome:
        """Bring the stack up without a preview."""
        return _parse(self.pulumi("up", "--yes", "--skip-preview", "--json", *arguments, exit_code=exit_code))

    def preview(self, *arguments: str, exit_code: int | None = 0) -> Outcome:
        """Plan only."""
        return _parse(self.pulumi("preview", "--json", *arguments, exit_code=exit_code))

    def refresh(self, *arguments: str, exit_code: int | None = 0) -> Outcome:
        """Take what the API says into the state."""
        return _parse(self.pulumi("refresh", "--yes", "--skip-preview", "--json", *arguments, exit_code=exit_code))

    def destroy(self, *arguments: str, exit_code: int | None = 0) -> Outcome:
        """Delete all resources."""
        return _parse(self.pulumi("destroy", "--yes", "--skip-preview", "--json", *arguments, exit_code=exit_code))

    def expect_no_changes(self) -> None:
        """Assert that the engine, with what the API says now, finds nothing to do."""
        self.preview("--refresh", "--expect-no-changes")

    def adopt(self, token: str, name: str, identifier: str, *arguments: str) -> str:
        """Import a resource, without protection, and give the program that the CLI writes for it."""
        program = self.directory / "imported.yaml"
        options = ("--yes", "--skip-preview", "--protect=false", f"--out={program}")
        self.pulumi("import", *options, *arguments, token, name, identifier)
        return program.read_text()

    def configure(self, key: str, value: str, *, secret: bool = False) -> None:
        """Set one value of the stack's configuration."""
        self.pulumi("config", "set", *(["--secret"] if secret else []), key, "--", value)

    def state(self, *arguments: str) -> list[dict[str, Any]]:
        """Give the resources of the exported state; `--show-secrets` decrypts them."""
        exported = json.loads(self.pulumi("stack", "export", *arguments).stdout)
        found: list[dict[str, Any]] = exported["deployment"].get("resources", [])
        return found

    def outputs(self, *arguments: str) -> dict[str, Any]:
        """Give the stack's outputs; `--show-secrets` decrypts them."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", *arguments).stdout)
        return found

    def inline(self, program: Callable[[], None]) -> automation.Stack:
        """Make a stack of a Python program, which the Automation API runs in this process, in the project that is there or an empty one."""
        from pulumi import automation

        from pulumi_runpod_serverless.testing import InlinePrograms

        self._programs = self._programs or InlinePrograms()
        settings = automation.ProjectSettings(name="harness", runtime="python")
        there = self.directory / "Pulumi.yaml"
        options = automation.LocalWorkspaceOptions(
            work_dir=str(self.directory),
            env_vars=self.environment,
            pulumi_command=automation.PulumiCommand(root=str(Path(self.environment["PATH"].split(os.pathsep)[0]).parent)),
            project_settings=None if there.exists() else settings,
        )
        project = yaml.safe_load(there.read_text())["name"] if there.exists() else settings.name
        return automation.create_or_select_stack(STACK, project, self._programs.made_of(program), opts=options)

    def close(self) -> None:
        """Close what the Automation API leaves open after a program that failed."""
        if self._programs is not None:
            self._programs.close()


@pytest.fixture(scope="session")
def engine_directory() -> Path:
    """Provide the engine, as `make engine` does, and give the directory of its programs."""
    command = [sys.executable, str(ROOT / "tools" / "engine.py"), "--where"]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Watched]:
    """Start one emulator for all tests of a process. Ask for `emulator` instead."""
    from engine.watched import Watched

    with Watched() as running:
        yield running


@pytest.fixture
def emulator(running_emulator: Watched) -> Iterator[Watched]:
    """Give an emulator with an empty account and no rate limit, and hold what the provider sent it against the API's document."""
    running_emulator.violations()
    running_emulator.reset()
    yield running_emulator
    wrong = running_emulator.violations()
    assert wrong == {}, wrong


def environment_in(directory: Path, engine_directory: Path, url: str) -> dict[str, str]:
    """Make the environment of a machine where nobody is logged in, with the engine and this environment's programs on PATH."""
    home, backend = directory / "home", directory / "backend"
    home.mkdir()
    backend.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "RUNPOD_"))}
    path = [str(engine_directory), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        **inherited,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": os.pathsep.join(path),
        "PULUMI_BACKEND_URL": f"file://{backend.as_posix()}",
        "PULUMI_CONFIG_PASSPHRASE": "passphrase",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",  # so that a preview prints the same events as the other verbs
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "RUNPOD_API_KEY": KEY,
        "RUNPOD_API_URL": url,
        "RUNPOD_ENDPOINT_BASE_URL": f"{url}/v2",
    }


@pytest.fixture
def engine_environment(tmp_path: Path, engine_directory: Path, emulator: Running) -> dict[str, str]:
    """Make the environment of one test's stack."""
    return environment_in(tmp_path, engine_directory, emulator.url)


@pytest.fixture
def stack(tmp_path: Path, engine_environment: dict[str, str], emulator: Watched) -> Iterator[Stack]:
    """Give a project without a program yet."""
    with contextlib.closing(Stack(tmp_path / "project", engine_environment, emulator)) as created:
        yield created


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, engine_directory: Path) -> Iterator[tuple[Stack, Running]]:
    """Give one stack and an emulator of its own to all tests of a module, which then leave both as they find them."""
    from engine.watched import Watched

    directory = tmp_path_factory.mktemp("shared")
    with Watched(worker_quota=1000) as emulator:
        yield Stack(directory / "project", environment_in(directory, engine_directory, emulator.url), emulator), emulator
        wrong = emulator.violations()
    assert wrong == {}, wrong
