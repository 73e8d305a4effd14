"""What the wheel promises across its parts."""

from __future__ import annotations

import importlib.metadata

import pytest

from pulumi_runpod_serverless import _utilities
from runpod_serverless_provider.core.version import plugin_version, to_semver


def test_the_sdk_asks_for_the_plugin_of_its_own_wheel() -> None:
    """Each resource that a program declares carries the version that the plugin reports."""
    assert _utilities.get_version() == plugin_version()


@pytest.mark.parametrize("version", ["0.1.0", "1.2.3", "1.2.0a1", "1.2.0b2", "1.2.0rc3", "1.2.0.dev4"])
def test_sdk_and_plugin_read_a_release_alike(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated SDK and the plugin turn the distribution's version into the same semver, for every form that we publish."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    assert str(_utilities._get_semver_version()) == to_semver(version)
