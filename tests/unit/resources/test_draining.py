"""Waiting for jobs before an endpoint is deleted, where the program asks for it."""

from __future__ import annotations

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import Refused

PROGRAM = {"image": "me/x:1", "gpu": "ADA_24", "name": "api", "workers": {"min": 1, "max": 1}, "drainSeconds": 60}


@pytest.fixture
def busy(world, endpoint):
    """Give an endpoint with one running and two waiting jobs of 20 seconds each, and a worker that is ready."""
    endpoint.up(PROGRAM)
    world.app.world.clock.advance(100)
    jobs(world, endpoint.id, 3, seconds=20)
    world.forget()
    return endpoint


def jobs(world, id: str, count: int, seconds: float) -> None:
    """Submit jobs that take so long."""
    world.control("settings", {"jobSeconds": seconds})
    for _ in range(count):
        world.submit(id)


def statuses(world) -> list[str]:
    """Return how the jobs are doing, oldest first."""
    return [job["status"] for job in world.all("jobs")]


def delete(life, timeout_seconds: float = 0.0) -> None:
    """Delete as the engine does where `customTimeouts` are set."""
    request = verbs.Delete(
        life.token, life.urn, life.id, life.outputs, life.inputs, timeout_seconds=timeout_seconds, voice=life.world.notes
    )
    life.world.run(life.world.provider.delete(request))


def test_a_delete_waits_until_the_jobs_are_done(world, busy):
    """It counts them and what is left of the time, and asks nothing but their number; then nobody is warned."""
    busy.delete()
    assert world.notes.statuses[0] == "2 queued, 1 running jobs; deleting in at most 60 s"
    assert world.notes.statuses[1] == "2 queued, 1 running jobs; deleting in at most 58 s"
    assert world.notes.statuses[-1].startswith("0 queued, 1 running jobs; ")
    assert statuses(world) == ["COMPLETED"] * 3
    assert set(world.sent[:-1]) == {f"GET /{busy.id}/health"}
    assert world.sent[-1] == f"DELETE /serverless/{busy.id}"
    assert world.notes.warnings == []


def test_without_it_a_delete_is_one_request(world, busy):
    """The default."""
    busy.up({**PROGRAM, "drainSeconds": 0})
    assert world.sent == []
    busy.delete()
    assert world.sent == [f"DELETE /serverless/{busy.id}"]
    assert statuses(world) == ["CANCELLED"] * 3


def test_what_is_left_after_the_time_is_cancelled_with_a_warning(world, busy):
    """The bound is the user's; it is kept to the second."""
    busy.up({**PROGRAM, "drainSeconds": 30})
    before = world.app.world.clock.now()
    busy.delete()
    assert world.app.world.clock.now() - before == 30
    assert world.notes.warnings == [
        "the endpoint 'api' is deleted after 30 s (`drainSeconds`) all the same: 1 queued, 1 running jobs. What is left is cancelled"
    ]
    assert sorted(statuses(world)) == ["CANCELLED", "CANCELLED", "COMPLETED"]


def test_a_shorter_custom_timeout_bounds_it(world, busy):
    """Whichever is less counts."""
    before = world.app.world.clock.now()
    delete(busy, timeout_seconds=10)
    assert world.app.world.clock.now() - before == 10
    assert "after 10 s" in world.notes.warnings[0]
    assert world.all("endpoints") == []


def test_a_longer_custom_timeout_does_not(world, busy):
    """The program asked for a minute."""
    jobs(world, busy.id, 1, seconds=1000)
    delete(busy, timeout_seconds=600)
    assert "after 60 s" in world.notes.warnings[0]


def test_an_idle_endpoint_is_deleted_at_once(world, endpoint):
    """One question, one delete."""
    endpoint.up(PROGRAM)
    world.forget()
    endpoint.delete()
    assert world.sent == [f"GET /{endpoint.id}/health", f"DELETE /serverless/{endpoint.id}"]
    assert world.notes.statuses == []


def test_a_replacement_drains_the_old_one(world, busy):
    """New jobs go to the new one meanwhile; the plan says how long that may take."""
    old = busy.id
    assert "after 60 s (`drainSeconds`) at most, its queued" in _forewarned(world, busy, {**PROGRAM, "image": "me/x:2"})
    busy.up({**PROGRAM, "image": "me/x:2"})
    assert busy.id != old
    assert statuses(world) == ["COMPLETED"] * 3
    assert [line for line in world.writes if not line.startswith("POST")] == [f"DELETE /serverless/{old}"]


def _forewarned(world, life, program) -> str:
    life.plan(program)
    return world.notes.infos[-1]


def test_without_it_the_plan_says_that_jobs_are_cancelled(world, endpoint):
    """At once."""
    endpoint.up({**PROGRAM, "drainSeconds": 0})
    said = _forewarned(world, endpoint, {**PROGRAM, "drainSeconds": 0, "image": "me/x:2"})
    assert f"when {endpoint.id!r} is deleted its queued and running jobs are cancelled" in said


def test_a_cancelled_run_deletes_nothing(world, busy):
    """The endpoint and its jobs stay, and the next delete waits on."""

    async def pause(seconds: float) -> None:
        world.api.stop()

    world.api.pause = pause
    with pytest.raises(Refused) as refused:
        busy.delete()
    assert str(refused.value) == (
        "the endpoint 'api' was not deleted, as the run was cancelled: 2 queued, 1 running jobs; the next run waits on"
    )
    assert world.writes == []
    world.restart()
    busy.delete()
    assert statuses(world) == ["COMPLETED"] * 3


def test_jobs_that_cannot_be_counted_are_taken_to_be_there(world, busy):
    """The whole time is theirs; a passing failure costs nothing."""
    world.fault(method="GET", path="/v2/*/health", action="status", status=503, times=2)
    busy.delete()
    assert world.notes.statuses[0].startswith(
        f"its jobs cannot be counted (Runpod answered 503 to GET https://jobs/v2/{busy.id}/health: "
    )
    assert world.notes.statuses[0].endswith("; deleting in at most 60 s")
    assert statuses(world) == ["COMPLETED"] * 3 and world.notes.warnings == []


def test_it_asks_no_earlier_than_runpod_says(world, busy):
    """But at the latest when the time is up."""
    for seconds in (25, 3600):
        world.fault(method="GET", path="/v2/*/health", action="status", status=429, retryAfter=seconds)
    busy.delete()
    assert [said.rpartition("; ")[2] for said in world.notes.statuses] == ["deleting in at most 60 s", "deleting in at most 35 s"]
    assert world.sent == [f"GET /{busy.id}/health"] * 3 + [f"DELETE /serverless/{busy.id}"]
    assert statuses(world) == ["COMPLETED"] * 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"action": "status", "status": 401}, "Runpod answered 401"),
        ({"action": "status", "status": 404}, "Runpod answered 404"),
        ({"action": "reset-before"}, "Runpod could not be reached"),
        ({"action": "wrong-json", "body": {}}, "the answer has no numbers of jobs"),
        ({"action": "wrong-json", "body": {"jobs": {"inQueue": "2"}}}, "the answer has no numbers of jobs"),
        ({"action": "wrong-json", "body": []}, "the answer has no numbers of jobs"),
        ({"action": "wrong-json", "body": "<html>"}, "the answer is not JSON"),
    ],
    ids=str,
)
def test_an_endpoint_whose_jobs_are_never_counted_is_deleted_in_the_end(world, busy, fault, said):
    """With a warning that says why they were not."""
    world.fault(method="GET", path="/v2/*/health", times=None, **fault)
    before = world.app.world.clock.now()
    busy.delete()
    assert world.app.world.clock.now() - before == 60
    (warning,) = world.notes.warnings
    assert "deleted after 60 s (`drainSeconds`) all the same: its jobs cannot be counted (" in warning and said in warning
    assert world.all("endpoints") == []


def test_an_endpoint_that_is_gone_is_not_waited_for(world, busy):
    """Both APIs say so."""
    world.control(f"resources/endpoints/{busy.id}", None, "DELETE")
    busy.delete()
    assert world.sent == [f"GET /{busy.id}/health", f"GET /serverless/{busy.id}", f"DELETE /serverless/{busy.id}"]
    assert world.notes.warnings == []


def test_one_of_two_apis_is_not_enough_to_be_gone(world, busy):
    """Where the other one cannot be asked, the jobs are taken to be there."""
    world.fault(method="GET", path="/v2/*/health", action="status", status=404)
    world.fault(method="GET", path="/v2/serverless/*", action="status", status=403)
    busy.delete()
    assert "its jobs cannot be counted" in world.notes.statuses[0]
    assert statuses(world) == ["COMPLETED"] * 3


def test_whether_it_is_gone_is_not_waited_for_in_a_cancelled_run(world, busy, monkeypatch):
    """It counts as there."""

    async def request(method, path, **options):
        world.api.stop()
        raise Refused(f"{method} {path} was given up")

    monkeypatch.setattr(world.api, "request", request)
    world.fault(method="GET", path="/v2/*/health", action="status", status=404)
    with pytest.raises(Refused, match="the endpoint 'api' was not deleted, as the run was cancelled: its jobs cannot be counted"):
        busy.delete()


def test_a_slow_answer_counts_into_the_time(world, busy):
    """The clock that passes while Runpod is asked is the user's too."""
    asked = []

    async def ask(path: str, *, timeout_seconds: float) -> object:
        asked.append(timeout_seconds)
        world._now += 25
        return {"jobs": {"inQueue": 0, "inProgress": 1}}

    world.api.ask_jobs = ask
    busy.delete()
    assert asked == [30, 30, 10, 1]  # what is left of the minute bounds the next answer, and the last look has a second


@pytest.mark.parametrize("bad", [-1, 86_401, 1.5, "60"])
def test_it_is_whole_seconds_of_a_day_at_most(endpoint, bad):
    """Anything else is a mistake."""
    (failure,) = endpoint.failures({**PROGRAM, "drainSeconds": bad})
    assert failure.startswith("drainSeconds: ")


def test_a_load_balancer_has_no_queue_to_drain(world, endpoint):
    """To ask for it is refused, and its default asks nothing."""
    balanced = {"image": "me/x:1", "gpu": "ADA_24", "type": "LOAD_BALANCER"}
    assert endpoint.failures({**balanced, "drainSeconds": 5}) == [
        "drainSeconds: waits for the jobs of a queue, and a LOAD_BALANCER endpoint has none; leave it out"
    ]
    endpoint.up({**balanced, "drainSeconds": 0})
    world.forget()
    endpoint.inputs["drainSeconds"] = 5  # as another version's default may be
    endpoint.delete()
    assert world.sent == [f"DELETE /serverless/{endpoint.id}"]
