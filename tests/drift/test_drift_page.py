"""The page about drift, held to its word: its commands and its program are run, its table is what the command prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from drift.sample import REPORT
from drift.support import identifiers
from engine.harness import ROOT, TIMEOUT_SECONDS, Stack
from engine.programs import endpoint
from runpod_serverless_provider.drift import CauseKind, Up
from runpod_serverless_provider.drift.formats import as_json

if TYPE_CHECKING:
    from runpod_emulator.running import Running

PAGE: Final = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
EXIT_CODES: Final = {"runpod-serverless": 7, "pulumi": 0}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _run(command: list[str], stack: Stack) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=stack.directory,
        env=stack.environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="the page's lines are for a POSIX shell")
def test_the_page_s_commands_run_and_its_table_is_what_they_print(stack: Stack, emulator: Running) -> None:
    """Each line ends with the code that the page tells, the program prints what recreates, and the two ways to mend it do."""
    program = {"batch": endpoint(name="batch"), "api": endpoint(name="api", workers=3, env={"LEVEL": "info"})}
    emulator.set(worker_quota=20)
    stack.write(program, name="shop")
    stack.pulumi("stack", "select", "--create", "prod")  # beside the harness's own, which stays empty
    stack.up()
    ids = identifiers(stack)
    variables = {"LEVEL": "info", "DEBUG": "1"}
    emulator.mutate("endpoints", ids["api"], flashboot="OFF", workers={"max": 2}, env=variables)
    emulator.delete("endpoints", ids["batch"])
    (shown,) = _blocks("text")
    stack.environment["COLUMNS"] = "120"
    printed = _run(["runpod-serverless", "drift"], stack)
    assert printed.stdout.replace(f"'{ids['batch']}'", "'batch'") == shown
    elsewhere = stack.directory / "infrastructure"
    elsewhere.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml"):
        if (stack.directory / name).exists():
            shutil.copy(stack.directory / name, elsewhere)
    (python,) = _blocks("python")
    assert _run([sys.executable, "-c", python], stack).stdout == "shop/prod api ['env.DEBUG', 'flashboot', 'workers.max']\n"
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    mending = [line for line in lines if line.startswith("pulumi ")]
    assert mending == ["pulumi up --refresh --yes", "pulumi refresh --yes"]
    for line in sorted(lines, key=lambda line: line in mending):
        done = _run(["sh", "-c", line], stack)
        assert done.returncode == EXIT_CODES[line.split()[0]], f"{line}\n{done.stdout}\n{done.stderr}"
    assert (stack.directory / "drift.json").read_text().startswith('{\n  "exitCode": 7,')
    assert (stack.directory / "drift.md").read_text().startswith("## Drift: 2 stacks: 1 with drift, 1 without")
    assert _run(["runpod-serverless", "drift"], stack).returncode == 0


def test_the_page_names_every_option(engine_directory: Path) -> None:
    """And none that there is not."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "runpod-serverless"), "drift", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        check=True,
    )
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.stdout)) - {"--help", "--program"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) - {"--preview-only", "--expect-no-changes", "--refresh", "--yes"}
    assert named == options


def test_the_page_explains_every_word_of_the_report() -> None:
    """What `up` would do, all members of the JSON form, and each cause has its row."""
    column = PAGE.partition("| `up` would | |\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| \**`(\w+)`", column, re.MULTILINE)) == {up.value for up in Up} - {Up.IMPORT.value}
    formats = PAGE.partition("## Formats\n")[2].partition("\n## ")[0]
    assert [name for name in _names(as_json(REPORT)) if f"`{name}`" not in formats] == []
    causes = PAGE.partition("## Causes\n")[2].partition("\n\n## ")[0].strip().partition("\n\n")[0]
    assert len(causes.splitlines()) == 2 + len(CauseKind)


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        nested = {name for key, item in value.items() if key not in ("causes", "undeployed") for name in _names(item)}
        return {*value, *nested}
    return {name for item in value for name in _names(item)} if isinstance(value, list) else set()
