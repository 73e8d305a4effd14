"""`runpod-serverless install-plugin`, with the real CLI and a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.harness import Stack
from runpod_serverless_provider.core.version import plugin_version

PROGRAM = Path(sys.executable).parent / "runpod-serverless"


@pytest.fixture
def environment(tmp_path: Path, engine_directory: Path) -> dict[str, str]:
    """Make the environment of a user who did not activate the virtual environment."""
    return {
        "PATH": f"{engine_directory}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "cache"),
    }


def _run(*arguments: str | Path, environment: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def _launcher(environment: dict[str, str]) -> Path:
    folder = Path(environment["PULUMI_HOME"], "plugins", f"resource-runpod-serverless-v{plugin_version()}")
    return folder / "pulumi-resource-runpod-serverless"


def _pretend(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_the_cache_holds_an_executable_of_exactly_this_version(environment: dict[str, str]) -> None:
    """The engine finds the plugin under the wheel's version, as an executable: a plugin folder would get no signal before it is killed."""
    done = _run("install-plugin", environment=environment)
    assert done.returncode == 0, done.stderr
    assert plugin_version() in done.stdout
    listed = subprocess.run(["pulumi", "plugin", "ls"], env=environment, capture_output=True, text=True, check=True)
    assert f"runpod-serverless  resource  {plugin_version()}" in listed.stdout
    assert os.access(_launcher(environment), os.X_OK)
    assert [path.name for path in _launcher(environment).parent.iterdir()] == ["pulumi-resource-runpod-serverless"]


def test_what_is_installed_starts_this_environments_plugin(environment: dict[str, str], tmp_path: Path) -> None:
    """The launcher passes its arguments on, prints nothing itself, and takes no module from the program's directory."""
    _run("install-plugin", environment=environment)
    (tmp_path / "logging.py").write_text("raise SystemExit('taken for the library')")
    (tmp_path / "runpod_serverless_provider.py").write_text("raise SystemExit('taken for the plugin')")
    done = subprocess.run([_launcher(environment), "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{plugin_version()}\n", "")


def test_a_stack_comes_up_without_the_environment_activated(stack: Stack, engine_directory: Path) -> None:
    """The engine takes the plugin from its cache where PATH has none; before that it finds none."""
    stack.environment["PATH"] = f"{engine_directory}{os.pathsep}/usr/bin{os.pathsep}/bin"
    endpoint = {"type": "runpod-serverless:Endpoint", "properties": {"image": "org/worker:1"}}
    stack.write({"worker": endpoint}, outputs={"url": "${worker.requestUrls.run}"})
    assert "no resource plugin 'pulumi-resource-runpod-serverless'" in stack.preview(exit_code=1).stdout
    assert _run("install-plugin", environment=stack.environment).returncode == 0
    assert stack.up().ops("worker") == ["create"]
    assert stack.outputs()["url"].endswith("/run")
    stack.destroy()


def test_installing_again_replaces_what_is_there(environment: dict[str, str]) -> None:
    """After a move of the virtual environment the same version can be installed once more."""
    _run("install-plugin", environment=environment)
    right = _launcher(environment).read_text()
    _launcher(environment).write_text("#!/bin/sh\nexit 1\n")
    assert _run("install-plugin", environment=environment).returncode == 0
    assert _launcher(environment).read_text() == right


def test_the_cli_can_be_named(environment: dict[str, str], engine_directory: Path) -> None:
    """A CLI that is not on PATH is named by its path."""
    environment["PATH"] = "/usr/bin:/bin"
    assert _run("install-plugin", "--pulumi", engine_directory / "pulumi", environment=environment).returncode == 0
    assert _launcher(environment).exists()


def test_a_missing_cli_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    """Without a CLI the message says what to do, and nothing is written."""
    environment["PATH"] = str(tmp_path)
    done = _run("install-plugin", environment=environment)
    assert done.returncode == 1
    assert done.stderr == (
        "runpod-serverless: there is no pulumi on PATH: install the Pulumi CLI 3.243.0 or later, or name it with --pulumi\n"
    )
    assert not Path(environment["PULUMI_HOME"]).exists()


def test_a_wrong_path_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    """A path that is no program is quoted."""
    done = _run("install-plugin", "--pulumi", tmp_path / "absent", environment=environment)
    assert (done.returncode, "absent' is no program: install" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("version", "reason"), [("v3.242.1", "is version v3.242.1, and 3.243.0 or later is needed"), ("?", "but '?'")]
)
def test_a_cli_that_is_too_old_is_refused(environment: dict[str, str], tmp_path: Path, version: str, reason: str) -> None:
    """Older engines lack what the plugin relies on."""
    done = _run("install-plugin", "--pulumi", _pretend(tmp_path / "pulumi", version), environment=environment)
    assert (done.returncode, reason in done.stderr) == (1, True), done.stderr


def test_the_program_tells_its_version_and_its_commands() -> None:
    """`--version` prints only the version; without a command there is the help."""
    assert _run("--version", environment={}).stdout == f"{plugin_version()}\n"
    assert "install-plugin" in _run("--help", environment={}).stdout
