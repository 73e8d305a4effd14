"""A state that another version of this provider recorded: its defaults, its pools and its managed image stay what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running

OLD_IMAGE = "runpod/flash:py3.11-2026.1"
OLD_POOLS = ["ADA_24", "AMPERE_24", "RETIRED_POOL"]
OLD_DEFAULTS = {
    "idleTimeout": 45,
    "executionTimeoutMs": 600_000,
    "scalerValue": 9,
    "workers": {"min": 0, "max": 2},
    "template": {"containerDiskInGb": 50},
    "flashboot": False,
    "datacenter": "US-CA-2",
    "image": OLD_IMAGE,
    "pythonVersion": "3.11",
    "minCudaVersion": "12.6",
    "accelerateDownloads": False,
}
OLD_LIVE = {
    "timeout": 600_000,
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 9},
    "workers": {"min": 0, "max": 2, "idleTimeout": 45},
    "disk": 50,
    "flashboot": "OFF",
    "dataCenterIds": ["US-CA-2"],
    "image": OLD_IMAGE,
    "gpu": {"pools": OLD_POOLS, "minCudaVersion": "12.6"},
}
CANONICAL = {"datacenter": ["US-CA-2"], "flashboot": "OFF"}


def _rewrite(stack: Stack, change: Callable[[dict[str, Any]], None]) -> None:
    """Put the stack's state through `change`, resource by resource, as if another version had written it."""
    exported = json.loads(stack.pulumi("stack", "export").stdout)
    for resource in exported["deployment"]["resources"]:
        change(resource)
    (stack.directory / "state.json").write_text(json.dumps(exported))
    stack.pulumi("stack", "import", "--file=state.json")


def _as_another_version_wrote_it(resource: dict[str, Any]) -> None:
    if resource["type"] == ENDPOINT:
        assert set(OLD_DEFAULTS) - {"template"} <= set(resource["inputs"]["__defaults"])
        resource["inputs"].update(OLD_DEFAULTS)
        resource["outputs"].update({**OLD_DEFAULTS, **CANONICAL, "gpuPools": OLD_POOLS, "excludedGpuTypes": []})
    if resource["type"] == VOLUME:
        resource["inputs"]["size"] = resource["outputs"]["size"] = 50
    if resource["type"] in (ENDPOINT, VOLUME):
        resource["inputs"]["fromTheFuture"] = resource["outputs"]["fromTheFuture"] = {"a": [1]}


@pytest.fixture
def old_stack(stack: Stack, emulator: Running) -> Stack:
    """Give a stack of another version, and an account as that version left it."""
    stack.write({"api": endpoint(name="api", image=None), "models": volume(name="models")})
    stack.up()
    _rewrite(stack, _as_another_version_wrote_it)
    emulator.mutate("endpoints", emulator.state()["endpoints"][0]["id"], **OLD_LIVE)
    emulator.mutate("networkVolumes", emulator.state()["networkVolumes"][0]["id"], size=50)
    emulator.clear_requests()
    return stack


def test_another_version_s_state_previews_without_a_change(old_stack: Stack, emulator: Running) -> None:
    """Neither this version's defaults nor its catalog nor its image change anybody's stack."""
    assert old_stack.preview().summary == {"same": 3}
    assert old_stack.up().summary == {"same": 3}
    assert sent(emulator) == []
    old_stack.expect_no_changes()


def test_a_change_brings_no_other_along(old_stack: Stack, emulator: Running) -> None:
    """What the program changes is all that is sent; the old defaults stay, and only a property that goes takes today's default."""
    old_stack.write({"api": endpoint(name="api", image=None, scalerValue=2), "models": volume(name="models", size=50)})
    assert old_stack.up().step("api").changes == {"scalerValue": "update"}
    (patch,) = emulator.requests()
    assert patch["body"] == {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 2}}
    old_stack.write({"api": endpoint(name="api", image=None), "models": volume(name="models", size=50)})
    assert old_stack.up().step("api").changes == {"scalerValue": "update"}
    assert emulator.requests()[1]["body"] == {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}
    old_stack.expect_no_changes()


def test_a_state_without_outputs_that_came_later_previews_without_a_change(stack: Stack, emulator: Running) -> None:
    """Outputs that an older version did not record are no change, and the next refresh fills them in."""
    stack.write({"api": endpoint(name="api"), "models": volume(name="models")})
    stack.up()

    def forget(resource: dict[str, Any]) -> None:
        for name in ("gpuPools", "excludedGpuTypes", "requestUrls", "createdAt", "mountPath", "adopted"):
            resource.get("outputs", {}).pop(name, None)

    _rewrite(stack, forget)
    assert stack.preview().summary == {"same": 3}
    stack.refresh()
    (api,) = (resource for resource in stack.state() if resource["type"] == ENDPOINT)
    assert "run" in api["outputs"]["requestUrls"]
    assert stack.preview().summary == {"same": 3}
