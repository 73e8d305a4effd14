"""The machine of somebody who reads the documents."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.harness import ROOT, environment_in

if TYPE_CHECKING:
    from runpod_emulator.running import Running


@pytest.fixture
def environment(tmp_path: Path, engine_directory: Path, emulator: Running) -> dict[str, str]:
    """Make a machine with Pulumi, whose user has no key in the environment and no virtual environment on PATH, and says yes."""
    made = environment_in(tmp_path, engine_directory, emulator.url)
    del made["RUNPOD_API_KEY"]
    host = tmp_path / "host" / "pulumi-language-python"
    host.parent.mkdir()
    host.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(ROOT / "tests/docs/python_host.py"))} "$@"\n')
    host.chmod(0o755)
    own = Path(sys.executable).parent
    path = [str(host.parent), *(part for part in made["PATH"].split(os.pathsep) if Path(part) != own)]
    return {**made, "PATH": os.pathsep.join(path), "PULUMI_SKIP_CONFIRMATIONS": "true"}
