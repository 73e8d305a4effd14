"""Runpod on this machine, for a program's own tests: an emulator, and a workspace whose stacks nobody else sees.

    with local_runpod() as runpod:
        runpod.stack(program).up()
        assert len(runpod.emulator.state()["endpoints"]) == 1

With pytest, `pytest_plugins = ["pulumi_runpod_serverless.testing"]` in a `conftest.py`, or importing it, gives the fixture `runpod`.
Needs the extra `[emulator]` and the Pulumi CLI.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pulumi import automation

    from runpod_emulator.running import Running

__all__ = ["KEY", "LocalRunpod", "local_runpod"]

KEY: Final = "rpa_of_no_account"
"""The API key that stacks use here; Runpod knows no such key."""
_OURS: Final = ("PULUMI_", "RUNPOD_")
_CLOSE_SECONDS: Final = 10.0
_OWN_CLOSE_SECONDS: Final = 1.0
_WORKER_QUOTA: Final = 1000
_OWN_CONNECTIONS: Final = ("grpc.use_local_subchannel_pool", 1)


class InlinePrograms:
    """The programs that the Automation API runs in this process, without three flaws of it.

    It leaves their event loops open where a program or its update fails. As it logs once more after it has let the engine go, it fails a
    run that is done where the engine is faster. And as gRPC remembers for a second, for all of a process, that a port refused it, it fails
    a run whose engine has the port of one that has just gone.
    """

    def __init__(self) -> None:
        self._loops: list[asyncio.AbstractEventLoop] = []
        _forget_refused_ports()

    def made_of(self, program: Callable[[], Any]) -> Callable[[], Any]:
        """Make such a program."""

        def made() -> Any:
            self._loops.append(asyncio.get_running_loop())
            _let_log_outlive_its_engine()
            return program()

        return made

    def close(self) -> None:
        """Close the loops that are left open; their finalizers would warn in some later test."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        for loop in self._loops:
            _wait(lambda loop=loop: not loop.is_running(), deadline)  # type: ignore[misc] # its thread has yet to see that the engine is gone
            _wait(loop.is_closed, time.monotonic() + _OWN_CLOSE_SECONDS)  # by that thread, which two must not do at once
            if not (loop.is_running() or loop.is_closed()):
                loop.close()


def _wait(is_over: Callable[[], bool], deadline: float) -> None:
    while not is_over() and time.monotonic() < deadline:
        time.sleep(0.02)


def _let_log_outlive_its_engine() -> None:
    """Let a message to an engine that is gone be lost, without an error."""
    import grpc
    from pulumi.runtime import settings

    engine: Any = settings.get_engine()
    log = engine.Log

    def forgiving(request: Any) -> Any:
        try:
            return log(request)
        except grpc.RpcError as problem:
            if not isinstance(problem, grpc.Call) or problem.code() is not grpc.StatusCode.UNAVAILABLE:
                raise

    engine.Log = forgiving


def _forget_refused_ports() -> None:
    """Let Pulumi's channels to engines share no connection, and no refusal, with others to the same port."""
    from pulumi.runtime import _grpc_settings

    options: list[tuple[str, int]] = _grpc_settings._GRPC_CHANNEL_OPTIONS  # no other way leads to them
    if _OWN_CONNECTIONS not in options:
        options.append(_OWN_CONNECTIONS)


@dataclass(frozen=True)
class LocalRunpod:
    """A running emulator, and the variables by which Pulumi and its providers use it and no account of anybody.

    `emulator` has the account's `state()`, the log of `requests()`, `fault(…)`, `advance(seconds)`, `set(worker_quota=…)` and more.
    """

    emulator: Running
    directory: Path
    variables: Mapping[str, str]
    programs: InlinePrograms = field(default_factory=InlinePrograms, repr=False)

    def stack(
        self,
        program: Callable[[], Any],
        *,
        name: str = "dev",
        project: str = "test",
        config: Mapping[str, str | automation.ConfigValue] | None = None,
    ) -> automation.Stack:
        """Make a stack of an inline program, or take the one of that name with another program.

        `config` holds its configuration by full key; a secret is a `ConfigValue(value, secret=True)`.
        """
        from pulumi import automation

        directory = self.directory / "projects" / project / name
        directory.mkdir(parents=True, exist_ok=True)
        options = automation.LocalWorkspaceOptions(
            work_dir=str(directory),
            env_vars=dict(self.variables),
            project_settings=automation.ProjectSettings(name=project, runtime="python"),
        )
        made = automation.create_or_select_stack(name, project, self.programs.made_of(program), opts=options)
        if config:
            values = {key: automation.ConfigValue(value) if isinstance(value, str) else value for key, value in config.items()}
            made.set_all_config(values)
        return made


@contextlib.contextmanager
def local_runpod(directory: Path | None = None, *, emulator: Running | None = None) -> Iterator[LocalRunpod]:
    """Start an emulator, or reset the given one, and let this process's environment lead to it until the end.

    No rate limit and no worker quota to speak of hold; a given emulator keeps the settings that it was started with. Stacks, plugins and
    their log stay in `directory`, or in a temporary one. Raises RuntimeError where the emulator or the Pulumi CLI is not installed.
    """
    if shutil.which("pulumi") is None:
        raise RuntimeError("the Pulumi CLI is not on PATH; install it, or run pulumi.automation.PulumiCommand.install()")
    with contextlib.ExitStack() as stack:
        if emulator is None:
            emulator = stack.enter_context(_running())
        else:
            emulator.reset()
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runpod-", ignore_cleanup_errors=True)))
        variables = _variables(directory, emulator.url)
        stack.enter_context(_environment(variables))
        found = LocalRunpod(emulator, directory, variables)
        stack.callback(found.programs.close)
        yield found


def _running() -> Running:
    try:
        from runpod_emulator.running import Running
    except ImportError as problem:
        raise RuntimeError("the emulator is missing; run `pip install 'pulumi-runpod-serverless[emulator]'`") from problem
    return Running(worker_quota=_WORKER_QUOTA)


def _variables(directory: Path, url: str) -> dict[str, str]:
    home, backend = directory / "pulumi-home", directory / "backend"
    for made in (home, backend):
        made.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),  # where pip puts the plugin
        "PULUMI_BACKEND_URL": f"file://{backend.as_posix()}",
        "PULUMI_CONFIG_PASSPHRASE": "passphrase",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(home),
        "PULUMI_PYTHON_CMD": sys.executable,  # in which dynamic providers run
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "RUNPOD_API_KEY": KEY,
        "RUNPOD_API_URL": url,
        "RUNPOD_ENDPOINT_BASE_URL": f"{url}/v2",
    }


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and unset all others by which Pulumi or Runpod could find an account."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(_OURS)]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if name == "PATH" or name.startswith(_OURS)})


with contextlib.suppress(ImportError):
    import pytest

    _EMULATOR: Final = pytest.StashKey["Running"]()

    @pytest.fixture
    def runpod(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalRunpod]:
        """Give an empty account and an empty workspace; the emulator's process serves all tests of a run."""
        stash = request.session.stash
        if _EMULATOR not in stash:
            stash[_EMULATOR] = _running().__enter__()
            request.config.add_cleanup(lambda: stash[_EMULATOR].__exit__(None, None, None))
        with local_runpod(tmp_path, emulator=stash[_EMULATOR]) as found:
            yield found
