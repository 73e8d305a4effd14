"""The live suite on a real account: `make live`. It costs next to nothing, and is for those who have an account."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from live.account import Account
from live.comparison import write
from live.suite import COMMON_PREFIX, new_prefix, run
from runpod_emulator.running import Running
from runpod_serverless_provider.api import access


@pytest.mark.skipif(
    os.environ.get("RUNPOD_LIVE_TEST") != "1", reason="RUNPOD_LIVE_TEST is not set to 1: `make live` uses a real account"
)
def test_the_cheap_lifecycle_on_a_real_account(tmp_path: Path, engine_directory: Path) -> None:
    """The account goes through it as planned, nothing is left, and what it answered stands beside what the emulator answers."""
    key, _ = access.find_api_key(None, os.environ, Path.home())
    assert key, "no API key: set RUNPOD_API_KEY, or log in with Runpod's own command"
    url, prefix = access.find_api_url(None, os.environ), new_prefix()
    print(f"\nlive: everything is named {prefix}… and deleted at the end", flush=True)
    real = run(url, key, prefix, tmp_path / "real", engine_directory)
    with Running(job_base_url=access.JOBS_URL) as emulator:
        beside = run(emulator.url, "any", prefix, tmp_path / "emulator", engine_directory)
    report = write(Path(os.environ.get("RUNPOD_LIVE_REPORT") or tempfile.mkdtemp(prefix="runpod-live-")), real, beside)
    print(f"live: what Runpod answered beside what the emulator answers: {report}", flush=True)
    with Account(url, key) as account:
        others = [f"{kind} {item['name']}" for kind, items in account.owned(COMMON_PREFIX).items() for item in items]
    if others:
        print(f"live: these are of other runs, delete them by hand if none is under way: {', '.join(others)}", flush=True)
    assert beside.problems == []
    assert real.problems == []
