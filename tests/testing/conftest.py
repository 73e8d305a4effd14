"""What `pulumi_runpod_serverless.testing` gives to a user's tests, given to ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pulumi_runpod_serverless.testing import runpod

__all__ = ["runpod"]


@pytest.fixture(autouse=True)
def _engine_on_path(engine_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the engine where a user has it."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(engine_directory), os.environ["PATH"]]))
