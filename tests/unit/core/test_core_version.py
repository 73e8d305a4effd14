"""The plugin's version, as the engine reads it."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

import pytest

from runpod_serverless_provider.core import version

VERSIONS: Final = [
    ("1.2.3", "1.2.3"),
    ("1.2", "1.2.0"),
    ("1", "1.0.0"),
    ("1.2.3.4", "1.2.3"),
    ("1.2.0a1", "1.2.0-alpha.1"),
    ("1.2.0b2", "1.2.0-beta.2"),
    ("1.2.0rc3", "1.2.0-rc.3"),
    ("1.2.0.dev4", "1.2.0-dev.4"),
    ("1.2.0rc3.dev4", "1.2.0-rc.3.dev.4"),
    ("1.2.0.post5", "1.2.0+post.5"),
    ("1.2.0+local.1", "1.2.0+local.1"),
    ("1.2.0.post5+local", "1.2.0+post.5.local"),
    ("2026.01", "2026.1.0"),
    ("nonsense", "0.0.0+unknown"),
]


@pytest.mark.parametrize(("pep_440", "semver"), VERSIONS)
def test_a_python_version_becomes_semver(pep_440: str, semver: str) -> None:
    """Of every form that a release may have."""
    assert version.to_semver(pep_440) == semver


def test_a_tree_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so."""

    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    assert version.plugin_version() == version.to_semver(metadata.version(version.DISTRIBUTION))
    monkeypatch.setattr(metadata, "version", absent)
    assert version.plugin_version() == version.UNKNOWN_VERSION
