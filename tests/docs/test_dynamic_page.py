"""docs/dynamic.md, held to its word."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from docs.pages import blocks, installs, run
from engine.harness import KEY, ROOT
from engine.programs import sent

if TYPE_CHECKING:
    from runpod_emulator.running import Running

PAGE: Final = (ROOT / "docs" / "dynamic.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the page's lines are for a POSIX shell")


def test_the_page_holds_from_the_first_line_to_the_last(tmp_path: Path, environment: dict[str, str], emulator: Running) -> None:
    """The quickstart comes up without a plugin anywhere; its stack moves to the native door and back, and what was imported moves too."""
    emulator.set(accepted_keys=[KEY])
    project = tmp_path / "empty"
    project.mkdir()
    (project / "venv").symlink_to(sys.prefix)
    install, yaml, program, use = blocks(PAGE, "Quickstart")
    assert all(map(installs, install.text.splitlines()))
    (project / "Pulumi.yaml").write_text(yaml.text)
    (project / "__main__.py").write_text(program.text)
    *start, destroy = use.text.splitlines()
    printed = [run(line, project, environment) for line in start]
    assert re.fullmatch(re.escape(emulator.url) + r"/v2/\w+/runsync\n", printed[-1])

    to_dynamic, to_native, move, importing = blocks(PAGE, "From door to door")
    run("venv/bin/runpod-serverless install-plugin", project, environment)
    emulator.clear_requests()
    for moved in (to_native, to_dynamic):
        (project / "__main__.py").write_text(moved.text)
        said = [run(line, project, environment) for line in move.text.splitlines()]
        assert not re.search("replace|delete", "".join(said))
        assert "unchanged" in run("pulumi up", project, environment)
    assert sent(emulator) == []
    assert run("pulumi stack output url", project, environment) == printed[-1]

    run(destroy, project, environment)
    seeded = emulator.seed(networkVolumes=[{"id": "vol0made", "size": 20}])
    assert seeded["networkVolumes"] == ["vol0made"]
    (line,) = importing.text.splitlines()
    line = line.replace("Endpoint llm ENDPOINT_ID", "NetworkVolume models vol0made")
    run(line, project, environment)
    program_of_one = to_dynamic.text.partition("llm = Endpoint(")[0]
    (project / "__main__.py").write_text(program_of_one)
    emulator.clear_requests()
    run("pulumi up", project, environment)
    assert sent(emulator) == []
    run(destroy, project, environment)
    assert emulator.state()["networkVolumes"] == []


def test_the_size_that_the_page_gives_is_right() -> None:
    """So many characters has the serialized provider."""
    from parity.doors import blob_of

    (said,) = re.findall(r"about (\d+)\s+characters", PAGE)
    assert abs(len(blob_of("runpod-serverless:index:Endpoint")) - int(said)) < 10
