"""The scorecard's quick form: the same measurements as the nightly run, with fewer trials.

The seed is fixed, so that what fails here is the change at hand; the nightly run draws its own, and finds what nobody has met yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_target_of_the_quick_form_is_met(tmp_path: Path) -> None:
    """The program exits with 0, prints one table, and writes what it printed as JSON, with what was measured."""
    written = tmp_path / "scorecard.json"
    command = [sys.executable, "-m", "tools.reliability", "--quick", "--seed", "1", "--json", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    scorecard = json.loads(written.read_text())
    assert scorecard["form"] == "quick" and all(scorecard[name] for name in ("provider", "cli", "python", "commit"))
    for result in scorecard["results"]:
        assert result["n"] > 0 and result["isMet"] and f"| {result['metric']} |" in done.stdout
