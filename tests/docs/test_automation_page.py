"""docs/automation.md, held to its word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from docs.pages import blocks, installs
from engine.harness import ROOT
from pulumi_runpod_serverless.testing import LocalRunpod, local_runpod

PAGE: Final = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")


@pytest.fixture
def runpod(tmp_path: Path, engine_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRunpod]:
    """Give what the page is about, where a user has Pulumi."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(engine_directory), os.environ["PATH"]]))
    with local_runpod(tmp_path / "local") as found:
        yield found


def _run(*command: str | Path, directory: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_drives_its_stack(tmp_path: Path, runpod: LocalRunpod) -> None:
    """As it stands there."""
    (program,) = [block for block in blocks(f"## All\n{PAGE.partition('## ')[0]}", "All") if block.language == "python"]
    (tmp_path / "program.py").write_text(program.text)
    printed = _run(sys.executable, "program.py", directory=tmp_path)
    assert "'create': 2" in printed and f"{runpod.emulator.url}/v2/" in printed
    assert runpod.emulator.state()["endpoints"] == []
    assert runpod.emulator.counters()["POST /v2/serverless"] == 1


def test_the_examples_lines_work(tmp_path: Path, runpod: LocalRunpod) -> None:
    """In the example's own directory; its stacks are kept elsewhere here."""
    (lines,) = [block for block in blocks(f"## All\n{PAGE.partition('## ')[0]}", "All") if block.language == "sh"]
    (tmp_path / "tenants.py").symlink_to(ROOT / "examples" / "automation" / "tenants.py")
    for line in lines.text.splitlines():
        name, *arguments = line.split()
        assert name == "python"
        _run(sys.executable, *arguments, directory=tmp_path)
    assert runpod.emulator.counters()["DELETE /v2/serverless/{id}"] == 2
    assert runpod.emulator.state()["endpoints"] == []


def test_the_tests_that_the_page_shows_pass(tmp_path: Path, engine_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block alone, and a conftest.py with two tests; with an environment that has nothing but the CLI."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(engine_directory), os.environ["PATH"]]))
    install, block, conftest, tests = blocks(PAGE, "Tests of your own")
    assert installs(install.text)
    (tmp_path / "block.py").write_text(block.text)
    assert _run(sys.executable, "block.py", directory=tmp_path) == "2\n"
    (tmp_path / "conftest.py").write_text(conftest.text)
    (tmp_path / "test_page.py").write_text(tests.text)
    printed = _run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        "-c",
        os.devnull,
        tmp_path,
        directory=tmp_path,
    )
    assert "2 passed" in printed
