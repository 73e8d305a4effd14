"""`pulumi package add`: the provider from a path, for programs of any language and without an installed plugin."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from engine.harness import ROOT, Stack
from engine.programs import endpoint
from runpod_serverless_provider.cli import OLDEST_CLI

if TYPE_CHECKING:
    from runpod_emulator.running import Running

FOLDER = ROOT / "provider"
EXECUTABLE = "pulumi-resource-runpod-serverless"


def _program(path: Path, command: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
    return path


def _without_the_plugin(stack: Stack, *directories: Path) -> None:
    """Take this environment off the PATH, where the engine would find the plugin."""
    own = str(Path(sys.executable).parent)
    kept = [entry for entry in stack.environment["PATH"].split(os.pathsep) if entry != own]
    stack.environment["PATH"] = os.pathsep.join([*map(str, directories), *kept])


@pytest.mark.skipif(os.name == "nt", reason="POSIX launchers")
def test_the_folder_is_added_and_used(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """Its dependencies are installed, its schema is taken, and a stack comes up with the plugin that the language host runs from it."""
    host = _program(tmp_path / "bin" / "pulumi-language-python", [sys.executable, str(ROOT / "tests/engine/plugin_host.py")])
    _without_the_plugin(stack, host.parent)
    stack.write({"api": endpoint()})
    added = stack.pulumi("package", "add", str(FOLDER))
    assert "Added package Runpod Serverless" in added.stdout + added.stderr
    project = yaml.safe_load((stack.directory / "Pulumi.yaml").read_text())
    assert project["packages"] == {"runpod-serverless": str(FOLDER)}
    assert stack.up().summary == {"create": 2}
    assert len(emulator.state()["endpoints"]) == 1
    stack.expect_no_changes()
    stack.destroy()


@pytest.mark.skipif(os.name == "nt", reason="POSIX launchers")
def test_an_executable_gives_its_schema_and_is_used_by_its_folder(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """`package add` writes down name and version alone, which the cache answers; `plugins` in the project names the folder itself."""
    executable = _program(tmp_path / "plugin" / EXECUTABLE, [sys.executable, "-m", "runpod_serverless_provider.plugin"])
    _without_the_plugin(stack)
    stack.write({"api": endpoint()})
    stack.pulumi("package", "add", str(executable))
    assert "runpod-serverless@" in (stack.directory / "Pulumi.yaml").read_text()
    stack.write({"api": endpoint()}, plugins={"providers": [{"name": "runpod-serverless", "path": str(executable.parent)}]})
    assert stack.preview().summary == {"create": 2}


def test_what_the_host_installs_is_the_project_itself() -> None:
    """A language host runs `pip install -r requirements.txt` in the folder, and refuses engines that are too old."""
    (requirement,) = (FOLDER / "requirements.txt").read_text().split()
    assert (FOLDER / requirement).resolve() == ROOT
    plugin = yaml.safe_load((FOLDER / "PulumiPlugin.yaml").read_text())
    assert plugin == {"runtime": "python", "requiredPulumiVersion": ">=" + ".".join(map(str, OLDEST_CLI))}
