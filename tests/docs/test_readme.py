"""The README, held to its word: its commands are run as they stand there, and what it names exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from docs.pages import blocks, installs, run, section
from engine.harness import KEY, ROOT
from runpod_serverless_provider.core.model import Updates
from runpod_serverless_provider.resources.endpoint import Endpoint

if TYPE_CHECKING:
    from runpod_emulator.running import Running

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "examples/*/README.md") for path in ROOT.glob(pattern) if path.name != "LICENSE"
)
PORT = "8500"


@pytest.mark.skipif(os.name == "nt", reason="the README's lines are for a POSIX shell")
def test_the_quickstart_works_as_it_is_written(tmp_path: Path, environment: dict[str, str], emulator: Running) -> None:
    """Its files and its lines, in their order, bring the stack up, name a URL, and leave nothing behind."""
    emulator.set(accepted_keys=[KEY])
    project = tmp_path / "empty"
    project.mkdir()
    (project / "venv").symlink_to(sys.prefix)
    printed: dict[str, str] = {}
    not_run = []
    for block in blocks(README, "Quickstart"):
        if block.file:
            (project / Path(block.file).name).write_text(block.text, encoding="utf-8")
            continue
        assert block.language == "sh"
        for line in block.text.splitlines():
            if installs(line):
                not_run.append(line)
            else:
                printed[line] = run(line, project, environment)
    assert not_run == ["python3 -m venv venv", "venv/bin/pip install pulumi-runpod-serverless"]
    assert re.fullmatch(re.escape(emulator.url) + r"/v2/\w+/runsync\n", printed["pulumi stack output runSyncUrl"])
    counters = emulator.counters()
    assert counters["POST /v2/network-volumes"] == counters["DELETE /v2/network-volumes/{id}"] == 1
    assert not any(emulator.state()[kind] for kind in ("endpoints", "networkVolumes", "templates", "boundTemplates"))


@pytest.mark.skipif(os.name == "nt", reason="the README's lines are for a POSIX shell")
def test_the_emulator_is_started_and_used_as_it_is_written(tmp_path: Path, environment: dict[str, str]) -> None:
    """It prints its address first, serves a stack, and each control answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    start, use, controls = (block.text.replace(PORT, port) for block in blocks(README, "Without an account: the emulator"))
    install, command = start.splitlines()
    assert installs(install)
    emulator = subprocess.Popen(
        [str(Path(sys.executable).parent / shlex.split(command)[0]), *shlex.split(command)[1:]],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert emulator.stdout is not None
        assert emulator.stdout.readline() == f"http://127.0.0.1:{port}\n"
        del environment["RUNPOD_API_URL"], environment["RUNPOD_ENDPOINT_BASE_URL"]
        program = (ROOT / "examples/quickstart-yaml/Pulumi.yaml").read_text()
        (tmp_path / "Pulumi.yaml").write_text(program)
        own = str(Path(sys.executable).parent)
        run("pulumi stack init dev", tmp_path, environment)
        run(use, tmp_path, {**environment, "PATH": os.pathsep.join([environment["PATH"], own])})
        answers = [_curl(line) for line in controls.splitlines()]
        assert answers[0]["offsetSeconds"] == 90
        assert [entry["method"] for entry in answers[1]["requests"]].count("POST") == 2
        assert answers[2]["faults"][0]["times"] == 2
        assert answers[3]["jobSeconds"] == 600
        assert httpx.get(f"http://127.0.0.1:{port}/").headers["content-type"].startswith("text/html")
        assert (tmp_path / "account.db").exists()
    finally:
        emulator.terminate()
        emulator.wait(10)
        if emulator.stdout:
            emulator.stdout.close()


def _curl(line: str) -> dict[str, list[dict[str, object]]]:
    """Send what a line sends; machines that test need not have curl."""
    name, *arguments, url = shlex.split(line)
    assert name == "curl"
    if not arguments:
        answer = httpx.get(url)
    elif arguments[0] == "--json":
        answer = httpx.post(url, json=json.loads(arguments[1]))
    else:
        assert arguments[0] == "--request"
        answer = httpx.request(arguments[1], url)
    assert answer.is_success, f"{line}: {answer.text}"
    return dict(answer.json()) if answer.content else {}


def test_every_file_that_the_readme_shows_is_that_file() -> None:
    """A program in the README is an example's, which other tests run."""
    shown = [block for block in blocks(README, "Quickstart") if block.file]
    assert [Path(block.file).name for block in shown] == ["Pulumi.yaml", "__main__.py"]
    for block in shown:
        assert block.text == (ROOT / block.file).read_text(encoding="utf-8")


def test_the_readme_leads_to_every_example() -> None:
    """No example is left for chance to find, and each says what it is."""
    examples = {path.parent.name for path in ROOT.glob("examples/*/Pulumi.yaml")}
    assert examples == {path.parent.name for path in ROOT.glob("examples/*/README.md")}
    assert examples <= set(re.findall(r"examples/([\w-]+)", README))


def test_the_readme_lists_what_only_updates() -> None:
    """The sentence about updates names the properties that their markers say it of."""
    sentence = re.search(r"^\*\*Updates\*\* are one PATCH: (.*?)\.", README, re.MULTILINE | re.DOTALL)
    assert sentence is not None
    updating = {item.name for item in Endpoint().facts if isinstance(item.effect, Updates) and len(item.path) == 1}
    assert set(re.findall(r"`(\w+)`", sentence[1])) == updating - {"template"}


def test_the_emulator_has_the_options_that_the_readme_names() -> None:
    """No option is made up."""
    command = [str(Path(sys.executable).parent / "runpod-emulator"), "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=True).stdout
    named = re.findall(r"(?<![\w-])--[a-z-]+", re.sub(r"curl.*", "", section(README, "Without an account: the emulator")))
    assert named
    assert [option for option in named if option not in printed] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Each link within the project names a file that is there, and a heading that is in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    """A path in a text leads to a file, from the project's root or the provider's package; `x` stands for any name."""
    roots = (ROOT, ROOT / "provider" / "runpod_serverless_provider")
    named = re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|json|md|toml|txt))`", document.read_text(encoding="utf-8"))
    missing = [name for name in named if not any((root / name).exists() for root in roots)]
    assert [name for name in missing if not re.search(r"(^|[/_])x\.py$", name)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_that_are_named_exist(document: Path) -> None:
    """`make x` in a text is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ((?:[a-z]+ ?)+)", text, re.MULTILINE))
    assert {target for targets_named in named for target in targets_named.split()} <= targets
