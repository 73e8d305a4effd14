"""Which plugin the engine takes, and what is said where it is not the SDK's own version.

That the cache alone suffices, once `install-plugin` has filled it, is shown beside that command.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from pulumi import automation

import pulumi_runpod_serverless as runpod
from engine.harness import Stack
from engine.programs import IMAGE, endpoint
from runpod_serverless_provider.core.version import plugin_version

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _program() -> None:
    runpod.Endpoint("api", image=IMAGE)


def _previewed(stack: Stack) -> str:
    said = io.StringIO()
    stack.inline(_program).preview(on_output=said.write, on_error=said.write)
    return said.getvalue()


def test_an_sdk_of_the_same_version_says_nothing(stack: Stack, emulator: Running) -> None:
    """SDK and plugin come in one wheel, so that their versions agree without a word."""
    assert plugin_version() not in _previewed(stack)


@pytest.mark.parametrize("version", ["0.0.1", "7.1.0"])
def test_an_sdk_of_another_version_is_named(stack: Stack, emulator: Running, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """The engine takes a plugin from PATH whatever its version; the plugin then names both versions and what to do."""
    monkeypatch.setattr("pulumi_runpod_serverless._utilities._version_str", version)
    said = _previewed(stack)
    assert version in said
    assert plugin_version() in said
    assert "install-plugin" in said


def test_a_yaml_program_that_asks_for_another_version_is_told(stack: Stack, emulator: Running) -> None:
    """The option `version` of a resource counts as its SDK's version does."""
    stack.write({"api": endpoint({"version": "7.1.0"})})
    assert any("7.1.0" in warning and "install-plugin" in warning for warning in stack.preview().said("warning"))
    stack.write({"api": endpoint({"version": plugin_version()})})
    assert stack.preview().said("warning") == []


def test_a_version_that_is_not_in_the_cache_is_named(stack: Stack, emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PATH has no plugin, the engine itself says which version it looked for."""
    stack.environment["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    monkeypatch.setattr("pulumi_runpod_serverless._utilities._version_str", "7.1.0")
    with pytest.raises(automation.CommandError, match=r"runpod-serverless.*7\.1\.0"):
        _previewed(stack)
