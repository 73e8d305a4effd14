"""Waiting for workers, where the program asks for it."""

from __future__ import annotations

import pytest

from runpod_serverless_provider.core.failures import CreatedButFailed

PROGRAM = {"image": "me/x:1", "gpu": "ADA_24", "workers": {"min": 2, "max": 3}, "waitForReady": 120}


def test_a_create_waits_for_the_workers(world, endpoint):
    """The status line counts them."""
    endpoint.up(PROGRAM)
    assert "0/2 workers on version 1" in world.notes.statuses
    assert {line.rpartition("/")[2] for line in world.sent if line.endswith("/workers")} == {"workers"}


def test_what_is_not_ready_in_time_is_kept_with_a_diagnosis(world, endpoint):
    """The id reaches the state, and the next update waits on without a PATCH."""
    world.seed(catalog={"gpus": [{"id": "NVIDIA GeForce RTX 4090", "stock": {"*": "NONE"}}]})
    inputs = endpoint.checked({**PROGRAM, "waitForReady": 10})
    with pytest.raises(CreatedButFailed, match=r"0/2 workers on version 1 after 10 s .*2 throttled") as failed:
        endpoint.up({**PROGRAM, "waitForReady": 10})
    endpoint.id, endpoint.inputs, endpoint.outputs = failed.value.id, inputs, dict(failed.value.outputs)
    world.seed(catalog={"gpus": [{"id": "NVIDIA GeForce RTX 4090", "stock": {"*": "HIGH"}}]})
    world.app.world.clock.advance(120)
    world.forget()
    endpoint.update(endpoint.inputs)
    assert world.writes == []


def test_unhealthy_and_starting_workers_are_told_apart(world, endpoint):
    """Each asks for something else."""
    with pytest.raises(CreatedButFailed, match="2 still starting"):
        endpoint.up({**PROGRAM, "waitForReady": 1})
    (made,) = world.all("endpoints")
    world.drift("endpoints", made["id"], _isUnhealthy=True)
    world.app.world.clock.advance(120)
    endpoint.id, endpoint.inputs = made["id"], endpoint.checked({**PROGRAM, "waitForReady": 1})
    with pytest.raises(CreatedButFailed, match="2 unhealthy"):
        endpoint.update(endpoint.inputs)


def test_an_update_in_place_waits_for_the_roll_over(world, endpoint):
    """Ready means on the newest release."""
    endpoint.up({**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600})
    endpoint.up({**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600, "image": "me/x:2"})
    assert "0/2 workers on version 2" in world.notes.statuses


def test_a_change_of_state_alone_waits_for_nothing(world, endpoint):
    """Nothing rolls over."""
    endpoint.up(PROGRAM)
    world.forget()
    endpoint.up({**PROGRAM, "waitForReady": 121})
    assert world.sent == []


def test_a_cancelled_wait_ends_with_the_id(world, endpoint):
    """The user wants out, and nothing is lost."""

    async def pause(seconds):
        world.api.stop()

    world.api.pause = pause
    with pytest.raises(CreatedButFailed, match="cancelled"):
        endpoint.up(PROGRAM)


def test_workers_that_cannot_be_listed_are_no_lost_endpoint(world, endpoint):
    """The failure keeps the id."""
    world.fault(method="GET", path="*/workers", action="status", status=403)
    with pytest.raises(CreatedButFailed, match="not known"):
        endpoint.up(PROGRAM)


def test_waiting_for_no_worker_is_refused(endpoint):
    """With min 0 there is nothing to wait for."""
    assert endpoint.failures({**PROGRAM, "workers": 3}) == [
        "waitForReady: waits for workers that are always on, but workers.min is 0; leave it out, or raise workers.min"
    ]
