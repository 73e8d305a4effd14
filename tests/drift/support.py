"""How tests search a stack of theirs for drift, in this process and by the command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from engine.harness import ROOT, TIMEOUT_SECONDS, Stack
from runpod_serverless_provider.drift import Report, ResourceDrift, StackReport, find_drift

PROGRAM: Final = Path(sys.executable).parent / "runpod-serverless"


def search(stack: Stack, **options: Any) -> Report:
    """Search in this process."""
    return find_drift(stack.directory, environment=stack.environment, **options)


def search_one(stack: Stack, **options: Any) -> StackReport:
    """Search one stack, which can be compared."""
    (found,) = search(stack, **options).stacks
    assert found.error == ""
    return found


def paths(found: StackReport) -> dict[str, list[str]]:
    """Give the properties that differ, by resource."""
    return {resource.name: [item.path for item in resource.properties] for resource in found.resources}


def resource(found: StackReport, name: str) -> ResourceDrift:
    """Give what differs of one resource."""
    (drift,) = (item for item in found.resources if item.name == name)
    return drift


def command(stack: Stack, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the project."""
    return subprocess.run(
        [PROGRAM, "drift", *arguments],
        cwd=stack.directory,
        env={**stack.environment, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def identifiers(stack: Stack) -> dict[str, str]:
    """Give the ids in the state by the resources' names."""
    return {item["urn"].rpartition("::")[2]: item["id"] for item in stack.state() if item.get("id")}


def with_hosts(stack: Stack, directory: Path) -> None:
    """Put on PATH what the official release of Pulumi has beside the CLI: the hosts of Python programs and of dynamic providers."""
    programs = {
        "pulumi-language-python": f'{shlex.quote(str(ROOT / "tests/docs/python_host.py"))} "$@"',
        "pulumi-resource-pulumi-python": '-u -m pulumi.dynamic "$@"',
    }
    directory.mkdir()
    for name, arguments in programs.items():
        script = directory / name
        script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}\n")
        script.chmod(0o755)
    stack.environment["PATH"] = os.pathsep.join([stack.environment["PATH"], str(directory)])
