"""Runs the live suite on a real Runpod account, for those who ask for it: it needs RUNPOD_LIVE_TEST=1 and an API key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from runpod_serverless_provider.api.access import find_api_key

ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run from the command line."""
    if os.environ.get("RUNPOD_LIVE_TEST") != "1":
        print(
            "live: RUNPOD_LIVE_TEST is not 1, so nothing was run. It creates CPU endpoints without workers and a 10 GB volume on your"
        )
        print("live: account for some minutes, and deletes them: RUNPOD_LIVE_TEST=1 RUNPOD_API_KEY=… make live")
        return 0
    key, _ = find_api_key(None, os.environ, Path.home())
    if not key:
        print("live: no API key: set RUNPOD_API_KEY, or put it where Runpod's own command does", file=sys.stderr)
        return 2
    return subprocess.run([sys.executable, "-m", "pytest", "-s", "tests/live/test_live.py"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
