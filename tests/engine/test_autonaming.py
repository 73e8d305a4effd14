"""How resources are named that the program does not name, in each of the engine's modes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import Stack
from engine.programs import endpoint, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _write(stack: Stack, autonaming: dict[str, Any] | None, **properties: Any) -> None:
    config = {"config": {"pulumi:autonaming": {"value": autonaming}}} if autonaming else {}
    stack.write({"api": endpoint(**properties), "models": volume(size=20)}, **config)


def _names(emulator: Running) -> list[str]:
    state = emulator.state()
    return [item["name"] for kind in ("endpoints", "networkVolumes") for item in state[kind]]


def test_a_name_is_the_logical_one_with_a_random_end(stack: Stack, emulator: Running) -> None:
    """So a replacement can exist beside what it replaces; the name stays as long as the resource does."""
    _write(stack, None)
    stack.up()
    first = _names(emulator)
    assert [re.fullmatch(r"(api|models)-[0-9a-f]{7}", name) is not None for name in first] == [True, True]
    _write(stack, None, workers=2)
    stack.up()
    assert _names(emulator) == first
    _write(stack, None, gpu="ADA_24")
    stack.up()
    assert _names(emulator)[0] != first[0]


@pytest.mark.parametrize(
    ("autonaming", "pattern"),
    [
        ({"mode": "verbatim"}, "api"),
        ({"pattern": "${project}-${stack}-${name}-${hex(4)}"}, r"harness-dev-api-[0-9a-f]{4}"),
        ({"mode": "disabled", "providers": {"runpod-serverless": {"pattern": "x-${name}", "enforce": True}}}, "x-api"),
    ],
    ids=["verbatim", "pattern", "enforced for this provider"],
)
def test_the_project_decides_how_names_are_made(stack: Stack, emulator: Running, autonaming: dict[str, Any], pattern: str) -> None:
    """A configured mode is followed, and a resource that is there already is not renamed by it."""
    _write(stack, autonaming)
    stack.up()
    assert re.fullmatch(pattern, _names(emulator)[0])
    _write(stack, None)
    assert stack.preview().summary == {"same": 3}


def test_without_automatic_names_each_resource_needs_one(stack: Stack, emulator: Running) -> None:
    """Where the project disables them, the failure is on `name`, and a given name passes."""
    disabled = {"config": {"pulumi:autonaming": {"value": {"mode": "disabled"}}}}
    stack.write({"api": endpoint()}, **disabled)
    assert any("name: is required" in message for message in stack.preview(exit_code=1).said("error"))
    stack.write({"api": endpoint(name="given")}, **disabled)
    assert stack.preview().ops("api") == ["create"]


def test_a_name_that_is_always_the_same_goes_before_it_comes_again(stack: Stack, emulator: Running) -> None:
    """With verbatim names the engine itself deletes before it replaces."""
    verbatim = {"mode": "verbatim"}
    _write(stack, verbatim)
    stack.up()
    _write(stack, verbatim, gpu="ADA_24")
    assert stack.up().ops("api") == ["delete-replaced", "replace", "create-replacement"]
