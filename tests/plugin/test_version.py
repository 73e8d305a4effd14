"""PEP 440 versions as semver: the engine parses nothing else."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.core import version

SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


@pytest.mark.parametrize(
    ("pep", "semver"),
    [
        ("1.2.0", "1.2.0"),
        ("1.2", "1.2.0"),
        ("1.2.0.1", "1.2.0"),
        ("1.2.0b1", "1.2.0-beta.1"),
        ("1.2.0a2", "1.2.0-alpha.2"),
        ("1.0rc2.dev3", "1.0.0-rc.2.dev.3"),
        ("1.0.post1", "1.0.0+post.1"),
        ("1.0+local.7", "1.0.0+local.7"),
        ("?", "0.0.0+unknown"),
    ],
)
def test_versions_become_semver(pep, semver):
    """As Pulumi's own generated SDKs write them."""
    assert version.to_semver(pep) == semver


@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?", fullmatch=True))
def test_every_release_becomes_semver(text):
    """Leading zeros included."""
    assert SEMVER.fullmatch(version.to_semver(text))


def test_a_source_tree_that_is_not_installed_has_a_version_too(monkeypatch):
    """One that parses."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert version.plugin_version() == "0.0.0+unknown" and SEMVER.fullmatch("0.0.0+unknown")
