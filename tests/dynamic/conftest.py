"""Fixtures of the tests of the dynamic door."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for what a process that another one has killed may have created for a resource of the same name."""
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
