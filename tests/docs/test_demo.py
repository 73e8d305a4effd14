"""The demo, which checks its own claims."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.harness import ROOT


def test_the_demo_holds_what_it_claims(engine_directory: Path) -> None:
    """It runs to its end, and shows each step's plan as it is."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "demo.py"], capture_output=True, text=True, timeout=180, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for sign in ("created replacement", "(replace)", "(update)", "is protected from deletion", "nothing is left on the emulator"):
        assert sign in done.stdout
    assert "All of it held" in done.stdout.splitlines()[-2]
