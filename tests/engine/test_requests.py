"""How many requests each operation costs, from the emulator's log: an account has 60 a minute."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import Outcome, Stack
from engine.programs import endpoint, sent, volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from runpod_emulator.running import Running


def _cost(emulator: Running, verb: Callable[[], Outcome]) -> dict[str, int]:
    """Run one command and count its requests."""
    emulator.clear_requests()
    verb()
    return dict(Counter(sent(emulator)))


def test_the_life_of_a_stack_costs_what_is_promised(stack: Stack, emulator: Running) -> None:
    """One request for each resource that is created, read, updated or deleted, one look at each catalog, and else none."""
    placed = {"volume": "${models}", "datacenter": "EU-RO-1"}

    def program(size: int = 20, **properties: Any) -> dict[str, Any]:
        return {
            "models": volume(size=size),
            "first": endpoint(**placed, **properties),
            "second": endpoint(**placed, gpu="ADA_24", **properties),
            "third": endpoint(cpu="cpu3c-2-4", **properties),
        }

    catalog = {"GET /catalog/gpus": 1, "GET /catalog/cpus": 1}
    stack.write(program())
    assert _cost(emulator, stack.preview) == catalog
    assert _cost(emulator, stack.up) == {**catalog, "POST /network-volumes": 1, "POST /serverless": 3}
    assert _cost(emulator, stack.preview) == {}
    assert _cost(emulator, stack.up) == {}
    assert _cost(emulator, stack.refresh) == {"GET /network-volumes": 1, "GET /serverless": 1}
    stack.write(program(size=30, workers={"max": 1, "min": 1}, env={"A": "1"}, scalerValue=2.5, idleTimeout=5))
    assert _cost(emulator, stack.preview) == {}
    assert _cost(emulator, stack.up) == {"PATCH /network-volumes/{id}": 1, "PATCH /serverless/{id}": 3}
    for entry in emulator.requests():
        assert set(entry["body"]) in ({"size"}, {"workers", "env", "scaling"})
        assert not re.search(r"\d\.0\b", entry["text"])
    assert _cost(emulator, stack.destroy) == {"DELETE /network-volumes/{id}": 1, "DELETE /serverless/{id}": 3}


def test_what_only_the_state_knows_costs_nothing(stack: Stack, emulator: Running) -> None:
    """Strategy, dependencies, adoption and protection are ours, so that a change of them is an update without a request."""
    stack.write({"api": endpoint(), "models": volume(size=20, name="models")})
    stack.up()
    ours = {"updateStrategy": "inPlace", "dependencies": ["numpy"], "systemDependencies": ["ffmpeg"], "accelerateDownloads": False}
    stack.write({"api": endpoint(**ours), "models": volume(size=20, name="models", deletionProtection=True, adoptExisting=True)})
    emulator.clear_requests()
    assert stack.up().summary == {"same": 1, "update": 2}
    assert sent(emulator) == []


def test_a_failed_check_costs_nothing(stack: Stack, emulator: Running) -> None:
    """All that is wrong with a resource is said at once, and nothing was asked of the API for it."""
    stack.write({"api": endpoint(workers=-1, idleTimeout=0, gpuCount=0)})
    assert _cost(emulator, lambda: stack.preview(exit_code=1)) == {}
    emulator.clear_requests()
    found = "\n".join(stack.up(exit_code=1).said("error"))
    assert all(f" {path}: " in found for path in ("workers", "idleTimeout", "gpuCount"))
    assert sent(emulator) == []


def test_another_hardware_costs_a_look_at_the_catalog(stack: Stack, emulator: Running) -> None:
    """However many endpoints change theirs, the preview and the update look once each; another image needs no look in place."""

    def program(**properties: Any) -> dict[str, Any]:
        return {name: endpoint(updateStrategy="inPlace", **properties) for name in ("first", "second")}

    stack.write(program())
    stack.up()
    stack.write(program(gpu="ADA_24", gpuCount=2))
    assert _cost(emulator, stack.preview) == {"GET /catalog/gpus": 1}
    assert _cost(emulator, stack.up) == {"GET /catalog/gpus": 1, "PATCH /serverless/{id}": 2}
    stack.write(program(gpu="ADA_24", gpuCount=4, image="me/worker:2"))
    assert _cost(emulator, stack.up) == {"PATCH /serverless/{id}": 2}


@pytest.mark.parametrize("unseen", ["created", "changed"])
def test_unseen_volumes_cost_one_list(stack: Stack, emulator: Running, unseen: str) -> None:
    """Endpoints that mount volumes by id ask once where these are; later changes do not ask again."""
    emulator.seed(networkVolumes=[{"id": "volume-ro"}, {"id": "volume-ca", "dataCenter": "US-CA-2"}])
    centers = ["EU-RO-1", "US-CA-2"]

    def program(**properties: Any) -> dict[str, Any]:
        return {name: endpoint(updateStrategy="inPlace", datacenter=centers, **properties) for name in ("first", "second")}

    if unseen == "created":
        stack.write(program(volume="volume-ro"))
        listed = {"GET /catalog/gpus": 1, "GET /network-volumes": 1}
        assert _cost(emulator, stack.preview) == listed
        assert _cost(emulator, stack.up) == {**listed, "POST /serverless": 2}
        stack.write(program(volume="volume-ro", workers=2))
        assert _cost(emulator, stack.up) == {"PATCH /serverless/{id}": 2}
    else:
        stack.write(program())
        stack.up()
        stack.write(program(volume=["volume-ro", "volume-ca"]))
        assert _cost(emulator, stack.preview) == {"GET /network-volumes": 1}
        assert _cost(emulator, stack.up) == {"GET /network-volumes": 1, "PATCH /serverless/{id}": 2}
