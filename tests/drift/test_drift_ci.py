"""The example's jobs: each service accepts its file, and the commands in it do what the example tells."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from drift.support import identifiers
from engine.harness import ROOT, TIMEOUT_SECONDS, Stack

if TYPE_CHECKING:
    from runpod_emulator.running import Running

EXAMPLE: Final = ROOT / "examples" / "drift-ci"
GITHUB: Final = EXAMPLE / ".github" / "workflows" / "drift.yml"
GITLAB: Final = EXAMPLE / ".gitlab-ci.yml"
INSTALLING: Final = ["python3 -m venv venv", "venv/bin/pip install pulumi-runpod-serverless"]
"""Lines that make an environment, which these tests run in already."""


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (GITHUB, ["--builtin-schema", "vendor.github-workflows"]),
        (GITHUB, ["--builtin-schema", "custom.github-workflows-require-timeout"]),
        (GITLAB, ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["GitHub", "GitHub with a timeout", "GitLab"],
)
def test_each_service_accepts_its_file(file: Path, schema: list[str]) -> None:
    """It is valid by the schema that the service's own users validate with."""
    command = [str(Path(sys.executable).parent / "check-jsonschema"), *schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _github() -> list[str]:
    """Give the lines of all steps."""
    (job,) = yaml.safe_load(GITHUB.read_text())["jobs"].values()
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def _gitlab() -> dict[str, Any]:
    (job,) = yaml.safe_load(GITLAB.read_text()).values()
    found: dict[str, Any] = job
    return found


@pytest.fixture
def project(stack: Stack, emulator: Running) -> Stack:
    """Bring the example up, in an environment where the commands are not on PATH."""
    shutil.copytree(EXAMPLE, stack.directory, dirs_exist_ok=True)
    stack.up()
    (stack.directory / "venv").symlink_to(sys.prefix)
    own = Path(sys.executable).parent
    stack.environment["PATH"] = os.pathsep.join(part for part in stack.environment["PATH"].split(os.pathsep) if Path(part) != own)
    return stack


def _run(lines: list[str], project: Stack, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run lines as a service does, but for those that install."""
    assert lines[: len(INSTALLING)] == INSTALLING
    return subprocess.run(
        ["bash", *options, "-c", "\n".join(lines[len(INSTALLING) :])],
        cwd=project.directory,
        env={**project.environment, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="the lines are for a POSIX shell")
def test_the_workflow_on_github_finds_drift(project: Stack, emulator: Running, tmp_path: Path) -> None:
    """Its run passes where nothing drifted, and fails with an annotation and a table where something did."""
    summary = tmp_path / "summary.md"
    clean = _run(_github(), project, "-e", GITHUB_STEP_SUMMARY=str(summary))
    assert clean.returncode == 0, clean.stderr
    assert "::" not in clean.stdout
    emulator.mutate("endpoints", identifiers(project)["api"], flashboot="OFF")
    drifted = _run(_github(), project, "-e", GITHUB_STEP_SUMMARY=str(summary))
    assert drifted.returncode == 7, drifted.stderr
    assert "::warning title=drift-ci/dev%3A drift::api (Endpoint): flashboot; `up` would recreate it" in drifted.stdout
    assert summary.read_text().splitlines() == [
        "## Drift: 1 stack: no drift",
        "## Drift: 1 stack: 1 with drift",
        "",
        "### drift-ci/dev: 1 resource differs from the state",
        "",
        "| Resource | Property | State says | Runpod says | `up` would |",
        "| --- | --- | --- | --- | --- |",
        "| `api` (Endpoint) | `flashboot` | `FLASHBOOT` | `OFF` | **recreate** |",
    ]


@pytest.mark.skipif(os.name == "nt", reason="the lines are for a POSIX shell")
def test_the_job_on_gitlab_finds_drift(project: Stack, emulator: Running) -> None:
    """Its exit code is one that only warns, and the table is where the job's artifacts are."""
    job = _gitlab()
    emulator.advance(4 * 86_400)
    done = _run(job["script"], project, "-eo", "pipefail")  # as GitLab's runner has it
    assert done.returncode == job["allow_failure"]["exit_codes"] == 7, done.stderr
    (artifact,) = job["artifacts"]["paths"]
    table = (project.directory / artifact).read_text()
    assert "| `api` (Endpoint) | `workers.max` | `3` | `2` | update |" in table
    assert "without a request for 3 days" in table
    assert table in done.stdout


def test_the_readme_shows_the_commands_of_the_jobs() -> None:
    """What it explains is what they run."""
    shown = (EXAMPLE / "README.md").read_text()
    for line in (_github()[-1], _gitlab()["script"][-1]):
        assert f"\n{line}\n" in shown
        assert shlex.split(line)[:2] == ["venv/bin/runpod-serverless", "drift"]
