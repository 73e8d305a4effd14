"""Waiting for workers, where the program asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import CreatedButFailed, Refused
from runpod_serverless_provider.resources import readiness

STOCK = "NVIDIA GeForce RTX 4090"
PROGRAM: dict[str, Any] = {"image": "me/x:1", "gpu": "ADA_24", "workers": {"min": 2, "max": 3}, "waitForReady": 120}


def test_a_create_waits_for_the_workers(world, endpoint):
    """The status line counts them."""
    endpoint.up(PROGRAM)
    assert "0/2 workers on version 1" in world.notes.statuses
    assert {line.rpartition("/")[2] for line in world.sent if line.endswith("/workers")} == {"workers"}


def stock(world, level: str) -> None:
    """Say how many of the card Runpod has."""
    world.seed(catalog={"gpus": [{"id": STOCK, "stock": {"*": level}}]})


def not_ready(life, program: dict[str, Any], secrets=frozenset(), timeout_seconds: float = 0.0) -> CreatedButFailed:
    """Create an endpoint that must not be ready in time, and keep it as the engine does."""
    inputs = life.checked(program, secrets=secrets)
    request = verbs.Create(life.token, life.urn, inputs, secrets, timeout_seconds=timeout_seconds, voice=life.world.notes)
    with pytest.raises(CreatedButFailed) as failed:
        life.world.run(life.world.provider.create(request))
    life.id, life.inputs, life.outputs = failed.value.id, inputs, dict(failed.value.outputs)
    return failed.value


def test_what_is_not_ready_in_time_is_kept_with_a_diagnosis(world, endpoint):
    """The id reaches the state, and the next update waits on without a PATCH."""
    stock(world, "NONE")
    failed = not_ready(endpoint, {**PROGRAM, "waitForReady": 10})
    assert failed.id == world.all("endpoints")[0]["id"]
    (reason,) = failed.reasons
    assert reason == (
        "0/2 workers on version 1 after 10 s (2 throttled, for want of capacity: name more GPU groups or data centers); "
        "the next `pulumi up` waits on"
    )
    stock(world, "HIGH")
    world.app.world.clock.advance(120)
    world.forget()
    endpoint.update(endpoint.inputs)
    assert world.sent == [f"GET /serverless/{endpoint.id}/workers"]
    assert endpoint.outputs["waitForReady"] == 10


def test_a_refresh_keeps_the_wait_owed(world, endpoint):
    """Until it finds the workers ready; it looks once."""
    not_ready(endpoint, {**PROGRAM, "waitForReady": 1})
    world.control(f"resources/endpoints/{endpoint.id}", {"name": "other"}, "PATCH")
    world.forget()
    with pytest.raises(CreatedButFailed) as failed:
        endpoint.read()
    assert failed.value.id == endpoint.id
    assert failed.value.reasons == ("0/2 workers on version 1 (2 still starting); the next `pulumi up` waits on",)
    assert failed.value.inputs["name"] == failed.value.outputs["name"] == "other"
    assert world.sent == ["GET /serverless", f"GET /serverless/{endpoint.id}/workers"]
    endpoint.outputs = dict(failed.value.outputs)
    with pytest.raises(CreatedButFailed):
        endpoint.read()
    world.app.world.clock.advance(120)
    endpoint.refresh()
    world.forget()
    endpoint.refresh()
    assert world.sent == []


def test_a_refresh_that_cannot_look_keeps_the_wait_owed(world, endpoint):
    """What is not known is not settled."""
    not_ready(endpoint, {**PROGRAM, "waitForReady": 1})
    world.fault(method="GET", path="*/workers", action="status", status=403)
    with pytest.raises(CreatedButFailed, match="not known"):
        endpoint.read()


def test_a_longer_time_for_one_that_was_not_ready_waits_on(world, endpoint):
    """What the user does next; it is a change of state alone, but the wait is still owed."""
    stock(world, "NONE")
    not_ready(endpoint, {**PROGRAM, "waitForReady": 10})
    stock(world, "HIGH")
    world.forget()
    assert endpoint.up({**PROGRAM, "waitForReady": 600}) == {"waitForReady": "update"}
    assert world.writes == [] and world.sent
    assert world.notes.statuses[-1].endswith("/2 workers on version 1")
    assert endpoint.outputs["waitForReady"] == 600
    world.forget()
    endpoint.up({**PROGRAM, "waitForReady": 700})
    assert world.sent == []


def test_a_shorter_custom_timeout_bounds_the_wait(world, endpoint):
    """Whichever is less counts."""
    stock(world, "NONE")
    before = world.app.world.clock.now()
    assert "after 7 s" in not_ready(endpoint, PROGRAM, timeout_seconds=7).reasons[0]
    assert world.app.world.clock.now() - before == 7


def test_workers_that_still_start_are_told(world, endpoint):
    """More time is what they ask for."""
    assert "(2 still starting)" in not_ready(endpoint, {**PROGRAM, "waitForReady": 1}).reasons[0]


SECRETS = frozenset({("env", "TOKEN"), ("env", "PIN"), ("template", "env", "DEEP")})
TALKATIVE = {
    **PROGRAM,
    "env": {"TOKEN": "hunter22", "PIN": "123", "MODE": "verbose-mode"},
    "template": {"env": {"DEEP": "deep-secret"}},
    "waitForReady": 1,
}


def unhealthy(world, endpoint, lines: list[str]) -> tuple[str, ...]:
    """Say why an endpoint is not ready whose workers are unhealthy and wrote these lines."""
    world.control("settings", {"logHoldSeconds": 0})
    not_ready(endpoint, TALKATIVE, SECRETS)
    world.drift("endpoints", endpoint.id, _isUnhealthy=True)
    world.app.world.clock.advance(120)
    events = "".join(f"data: {line}\n\n" for line in lines)
    if lines:
        world.fault(method="GET", path="*/logs", action="wrong-json", body=events)
    request = verbs.Update(
        endpoint.token, endpoint.urn, endpoint.id, endpoint.outputs, endpoint.inputs, endpoint.inputs, SECRETS, voice=world.notes
    )
    with pytest.raises(CreatedButFailed) as failed:
        world.run(world.provider.update(request))
    return failed.value.reasons


def test_unhealthy_workers_show_their_last_lines(world, endpoint):
    """Those of the first one, in their order, asked for with one GET."""
    summary, logged = unhealthy(world, endpoint, [])
    [worker, _] = [each["id"] for each in world.live("endpoints", endpoint.id)["_workers"]]
    assert summary == (
        f"0/2 workers on version 1 after 1 s (2 unhealthy: the last lines of {worker!r} are below); the next `pulumi up` waits on"
    )
    first, *lines = logged.split("\n    ")
    assert first == f"worker {worker!r} wrote last:"
    assert lines[0] == "create container me/x:1" and "Worker ready." in lines and lines[-1] == "Health check failed."
    assert world.sent[-1] == f"GET /serverless/{endpoint.id}/workers/{worker}/logs"
    assert world.recent[-1].query == "tail=10"


def test_a_worker_that_prints_its_environment_gives_no_secret_away(world, endpoint):
    """Not even a short one; what is no secret is what one looks for."""
    _, logged = unhealthy(
        world,
        endpoint,
        [
            '{"line": "TOKEN=hunter22 MODE=verbose-mode"}',
            '{"line": "pin: 123"}',
            '{"line": "x deep-secret x"}',
            '{"source": "y"}',
            "[]",
        ],
    )
    assert logged.split("\n    ")[1:] == ["TOKEN=[secret] MODE=verbose-mode", "[secret]", "x [secret] x"]


@pytest.mark.parametrize("fault", [{"action": "status", "status": 404}, {"action": "reset-before"}], ids=str)
def test_logs_that_cannot_be_read_are_to_be_looked_up(world, endpoint, fault):
    """The diagnosis does without them."""
    world.fault(method="GET", path="*/logs", **fault)
    (summary,) = unhealthy(world, endpoint, [])
    assert "2 unhealthy: look at their logs in the Runpod console" in summary


def test_logs_that_a_cancelled_run_does_not_wait_for_are_to_be_looked_up(world, endpoint, monkeypatch):
    """The diagnosis does without them, too."""

    async def events(path, **options):
        raise Refused(f"GET {path} was given up")

    monkeypatch.setattr(world.api, "events", events)
    (summary,) = unhealthy(world, endpoint, [])
    assert "2 unhealthy: look at their logs in the Runpod console" in summary


def test_an_update_in_place_waits_for_the_roll_over(world, endpoint):
    """Ready means on the newest release."""
    endpoint.up({**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600})
    world.notes.statuses.clear()
    endpoint.up({**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600, "image": "me/x:2"})
    assert world.notes.statuses[0] == "0/2 workers on version 2"
    assert "1/2 workers on version 2" in world.notes.statuses
    assert world.sent[-1] == f"GET /serverless/{endpoint.id}/releases"


def test_an_update_in_place_waits_for_those_at_work_on_the_old_release(world, endpoint):
    """As the release says; a worker beyond the minimum ends its job first."""
    program = {**PROGRAM, "workers": {"min": 1, "max": 2}, "updateStrategy": "inPlace", "waitForReady": 600}
    endpoint.up(program)
    for seconds in (200, 500):
        world.control("settings", {"jobSeconds": seconds})
        world.submit(endpoint.id)
    world.app.world.clock.advance(100)
    world.notes.statuses.clear()
    endpoint.up({**program, "env": {"A": "1"}})
    assert world.notes.statuses[0] == "0/1 workers on version 2"
    assert "1/2 workers on version 2" in world.notes.statuses


def test_what_does_not_roll_over_in_time_is_told(world, endpoint):
    """With the number that is left behind."""
    program = {**PROGRAM, "workers": {"min": 1, "max": 2}, "updateStrategy": "inPlace", "waitForReady": 600}
    endpoint.up(program)
    world.control("settings", {"jobSeconds": 10_000})
    for _ in range(2):
        world.submit(endpoint.id)
    world.app.world.clock.advance(100)
    with pytest.raises(CreatedButFailed, match=r"on version 2 after 600 s \(.*2 on an older version\)"):
        endpoint.up({**program, "env": {"A": "1"}})


def test_an_update_that_was_not_ready_is_not_sent_again(world, endpoint):
    """The engine keeps the old inputs beside the new outputs, which tell that Runpod has it already; what is taken back is sent."""
    program = {**PROGRAM, "updateStrategy": "inPlace", "env": {"A": "1", "B": "2"}, "waitForReady": 600}
    endpoint.up(program)
    changed = {**program, "image": "me/x:2", "env": {"A": "3"}, "waitForReady": 1}
    with pytest.raises(CreatedButFailed) as failed:
        endpoint.up(changed)
    endpoint.outputs = dict(failed.value.outputs)
    world.forget()
    assert endpoint.plan({**changed, "waitForReady": 700}) == {"waitForReady": "update"}
    endpoint.up({**changed, "waitForReady": 700})
    assert world.writes == []
    assert world.sent[-1] == f"GET /serverless/{endpoint.id}/releases"
    endpoint.inputs, endpoint.outputs = endpoint.checked(program), dict(failed.value.outputs)
    endpoint.up(program)
    assert world.body("PATCH") == {"image": "me/x:1", "env": {"A": "1", "B": "2"}}


def test_under_the_other_strategy_the_minimum_is_enough(world, endpoint):
    """Nobody asks for releases."""
    endpoint.up(PROGRAM)
    endpoint.up({**PROGRAM, "env": {"A": "1"}})
    assert "0/2 workers on version 2" in world.notes.statuses
    assert not any(line.endswith("/releases") for line in world.sent)


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


def answer(version: int | None, ready: int) -> dict[str, Any]:
    """Give a list of workers that are all ready and, as far as it knows, on the newest version."""
    workers = [{"id": f"w{index}", "status": "IDLE", "isStale": False, "version": version, "gpuCount": 1} for index in range(ready)]
    return {"endpointVersion": version, "workers": workers, "summary": {"idle": ready, "total": ready}}


def test_workers_of_before_the_update_are_not_taken_for_those_after_it(world, endpoint):
    """A list that does not know of the new release yet calls nobody stale."""
    program = {**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600}
    endpoint.up(program)
    world.notes.statuses.clear()
    world.fault(method="GET", path="*/workers", action="wrong-json", body=answer(1, 2), skip=1, times=2)
    endpoint.up({**program, "image": "me/x:2"})
    assert world.notes.statuses[:2] == ["0/2 workers on a version after 1, which the update makes"] * 2
    assert world.notes.statuses[2] == "0/2 workers on version 2"


def test_a_roll_out_of_before_the_update_is_not_taken_for_the_one_after_it(world, endpoint):
    """Nor is one that is not told."""
    program = {**PROGRAM, "updateStrategy": "inPlace", "waitForReady": 600}
    endpoint.up(program)
    rollout = {"inProgress": False, "workersOnLatest": 2, "workersTotal": 2, "percentOnLatest": 100}
    for body in ({"endpointVersion": 1, "rollout": rollout, "releases": []}, {"endpointVersion": 2, "releases": []}):
        world.fault(method="GET", path="*/releases", action="wrong-json", body=body)
    endpoint.up({**program, "image": "me/x:2"})
    told = "2/2 workers on version 2, and whether others are left on an older one is not told"
    assert world.notes.statuses.count(told) == 2


def test_a_version_that_is_not_known_is_worded(world, endpoint):
    """The API may not know it."""
    world.fault(method="GET", path="*/workers", action="wrong-json", body=answer(None, 1))
    endpoint.up(PROGRAM)
    assert world.notes.statuses[0] == "1/2 workers of an unknown version"


@pytest.mark.parametrize("fault", [{"action": "status", "status": 403}, {"action": "wrong-json", "body": []}], ids=str)
def test_an_update_goes_on_where_the_version_before_it_is_not_known(world, endpoint, fault):
    """Then the first look has to do."""
    endpoint.up(PROGRAM)
    world.fault(method="GET", path="*/workers", **fault)
    world.fault(method="GET", path="*/workers", action="wrong-json", body=answer(1, 2))
    world.forget()
    endpoint.up({**PROGRAM, "env": {"A": "1"}})
    workers = f"GET /serverless/{endpoint.id}/workers"
    assert world.sent == [workers, f"PATCH /serverless/{endpoint.id}", workers]


def test_an_update_that_makes_no_release_looks_for_no_newer_version(world, endpoint):
    """Scaling is not part of one."""
    endpoint.up(PROGRAM)
    world.forget()
    endpoint.up({**PROGRAM, "executionTimeoutMs": 5000})
    assert world.sent == [f"PATCH /serverless/{endpoint.id}", f"GET /serverless/{endpoint.id}/workers"]


@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "reset-before"}], ids=str)
def test_a_failure_that_may_pass_is_waited_out(world, endpoint, fault):
    """An hour's wait does not end with a minute's outage."""
    world.fault(method="GET", path="*/workers", times=12, **fault)
    endpoint.up(PROGRAM)
    assert any(said.startswith("whether its workers are ready is not known: ") for said in world.notes.statuses)
    assert world.notes.statuses[-1] == "1/2 workers on version 1"


def test_a_failure_to_the_end_is_told_with_what_was_known_before(world, endpoint):
    """The wait is as long as the program says, and the next one goes on."""
    world.fault(method="GET", path="*/workers", action="status", status=503, skip=1, times=None)
    (reason,) = not_ready(endpoint, {**PROGRAM, "waitForReady": 10}).reasons
    assert reason.startswith(
        "0/2 workers on version 1 after 10 s (2 still starting; as of an earlier look; the last one failed: Runpod answered 503"
    )
    assert reason.endswith("); the next `pulumi up` waits on")


def test_a_failure_from_the_beginning_to_the_end_is_told(world, endpoint):
    """Nothing else is known."""
    world.fault(method="GET", path="*/workers", action="status", status=503, times=None)
    (reason,) = not_ready(endpoint, {**PROGRAM, "waitForReady": 10}).reasons
    assert reason.startswith("whether its workers are ready is not known after 10 s: Runpod answered 503")
    assert reason.endswith("; the next `pulumi up` waits on")


def hang(world, monkeypatch, after: int) -> None:
    """Let the API answer no question about workers after so many."""
    monkeypatch.setattr(readiness, "_LAST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(readiness, "_LOG_SECONDS", 0.01)
    request, asked = world.api.request, []

    async def answer(method: str, path: str, **options: Any) -> Any:
        asked.extend([path] * path.endswith("/workers"))
        return await (asyncio.Event().wait() if len(asked) > after else request(method, path, **options))

    world.api.request = answer


def test_the_wait_is_bounded_whatever_a_request_waits_for(world, endpoint, monkeypatch):
    """A rate limit, say; what was known before is told."""
    hang(world, monkeypatch, after=1)
    (reason,) = not_ready(endpoint, {**PROGRAM, "waitForReady": 1}).reasons
    assert reason == (
        "0/2 workers on version 1 after 1 s (2 still starting; as of an earlier look; the last one failed: no answer came in time); "
        "the next `pulumi up` waits on"
    )


def test_a_wait_without_any_answer_is_bounded_too(world, endpoint, monkeypatch):
    """The id is kept."""
    hang(world, monkeypatch, after=0)
    failed = not_ready(endpoint, PROGRAM, timeout_seconds=0.01)
    assert failed.id and "is not known after 0 s: no answer came in time" in failed.reasons[0]


def test_logs_that_do_not_come_are_not_waited_for(world, endpoint, monkeypatch):
    """The diagnosis does without them."""

    async def never(*arguments: Any, **options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(readiness, "_LOG_SECONDS", 0.01)
    world.api.events = never
    (summary,) = unhealthy(world, endpoint, [])
    assert "2 unhealthy: look at their logs in the Runpod console" in summary


def test_waiting_for_no_worker_is_refused(endpoint):
    """With min 0 there is nothing to wait for."""
    assert endpoint.failures({**PROGRAM, "workers": 3}) == [
        "waitForReady: waits for workers that are always on, but workers.min is 0; leave it out, or raise workers.min"
    ]
