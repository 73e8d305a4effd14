"""The benchmarks run, and measure like with like."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("go") is None, reason="Go absent: the plugin to compare with cannot be built")
def test_the_floor_sends_the_requests_of_the_provider(tmp_path: Path) -> None:
    """Each operation costs as many requests as the least that there could be; times depend on the machine and are not judged here."""
    written = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tools.bench", "--sizes", "3", "--runs", "1", "--only", "start", "--only", "floor"]
    done = subprocess.run([*command, "--json", str(written)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {one["name"]: one for one in json.loads(written.read_text())["figures"]}
    requests = {name: (one["median"], one["target"]) for name, one in figures.items() if name.endswith(": requests")}
    assert requests == {
        "up 3: requests": (4, "4 of the floor"),
        "preview 3: requests": (0, "0 of the floor"),
        "refresh 3: requests": (1, "1 of the floor"),
        "destroy 3: requests": (3, "3 of the floor"),
    }
    assert len(figures["start until the port is printed"]["values"]) >= 7
