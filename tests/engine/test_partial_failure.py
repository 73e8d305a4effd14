"""What becomes of a resource when its creation ends in doubt: the id is kept where it is known, else the error says how to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import Outcome, Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, hurried, secret, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _endpoints(stack: Stack) -> list[dict[str, Any]]:
    return [resource for resource in stack.state() if resource["type"] == ENDPOINT]


@pytest.mark.parametrize("fields", [{"gpu": 5}, {"requestUrls": None, "createdAt": None}], ids=["unreadable", "incomplete"])
def test_an_answer_that_makes_no_sense_does_not_lose_the_endpoint(stack: Stack, emulator: Running, fields: dict[str, Any]) -> None:
    """The id is in the state with what went wrong, dependents wait, and the next `up` reads it again instead of creating another."""
    stack.write({"api": endpoint(name="api"), "caller": endpoint(env={"URL": "${api.requestUrls.run}"})})
    emulator.fault("add-fields", "POST", "/v2/serverless", fields=fields)
    assert any("reads it again" in message for message in stack.up(exit_code=None).said("error"))
    (live,) = emulator.state()["endpoints"]
    (kept,) = _endpoints(stack)
    assert kept["id"] == live["id"]
    assert "reads it again" in kept["initErrors"][0]
    emulator.clear_requests()
    stack.up()
    assert sent(emulator).count("POST /serverless") == 1
    assert [resource.get("initErrors") for resource in _endpoints(stack)] == [None, None]
    assert sorted(item["env"].get("URL", "") for item in emulator.state()["endpoints"]) == ["", live["requestUrls"]["run"]]
    stack.expect_no_changes()


LOST = pytest.mark.parametrize("fault", [{"action": "truncate"}, {"action": "wrong-json", "body": []}], ids=["torn", "no object"])


@LOST
def test_an_answer_without_an_id_is_looked_up(stack: Stack, emulator: Running, fault: dict[str, Any]) -> None:
    """A name that was generated is nobody else's, so that what bears it is the resource; nothing is created twice."""
    stack.write({"models": volume(size=20), "api": endpoint()})
    emulator.fault(method="POST", path="/v2/network-volumes", **fault)
    emulator.fault(method="POST", path="/v2/serverless", **fault)
    stack.up()
    assert {request: number for request, number in emulator.counters().items() if request.startswith("POST")} == {
        "POST /v2/network-volumes": 1,
        "POST /v2/serverless": 1,
    }
    stack.expect_no_changes()


@LOST
def test_an_answer_that_leaves_doubt_says_what_to_import(stack: Stack, emulator: Running, fault: dict[str, Any]) -> None:
    """Beside a namesake nothing is sure: the error gives the ids and the import line, which then works."""
    (there,) = emulator.seed(networkVolumes=[{"name": "models", "size": 20}])["networkVolumes"]
    stack.write({"models": volume(name="models", size=20)})
    emulator.fault(method="POST", path="/v2/network-volumes", **fault)
    message = stack.up(exit_code=None).said("error")[0]
    (made,) = {item["id"] for item in emulator.state()["networkVolumes"]} - {there}
    assert "not known whether" in message and there in message and made in message
    assert "pulumi import runpod-serverless:index:NetworkVolume models ID" in message
    stack.adopt(VOLUME, "models", made)
    stack.up()
    assert {item["id"] for item in emulator.state()["networkVolumes"]} == {there, made}


def test_a_create_that_had_no_effect_is_tried_again(stack: Stack, emulator: Running) -> None:
    """A limit that was reached and a connection that never came about are waited for, and end in one endpoint."""
    stack.write({"api": endpoint(name="api")})
    emulator.fault("status", "POST", "/v2/serverless", status=429, retryAfter=1)
    stack.up()
    assert sent(emulator).count("POST /serverless") == 2
    assert len(emulator.state()["endpoints"]) == 1


def test_one_resource_that_fails_leaves_the_others(stack: Stack, emulator: Running) -> None:
    """What the API refuses is named with what was attempted; what came up beside it is in the state and stays."""
    stack.write({"bad": endpoint(name="bad", workers=9), "good": endpoint(name="good")})
    message = stack.up(exit_code=None).said("error")[0]
    assert "creating the endpoint 'bad' failed" in message
    assert "workers.max (9) counts against the account's worker quota" in message
    assert [resource["urn"].rpartition("::")[2] for resource in _endpoints(stack)] == ["good"]
    stack.write({"bad": endpoint(name="bad", workers=1), "good": endpoint(name="good")})
    assert stack.up().summary == {"create": 1, "same": 2}


def test_capacity_that_is_out_says_what_to_widen(stack: Stack, emulator: Running) -> None:
    """The API's refusal is translated into the properties that give it more choice."""
    stack.write({"api": endpoint(name="api", cpu="cpu3c-2-4")})
    emulator.fault("status", "POST", "/v2/serverless", status=400, detail="There are no longer any instances available", times=1)
    message = stack.up(exit_code=None).said("error")[0]
    assert "`cpu`" in message
    assert "`datacenter`" in message


def test_an_update_in_doubt_is_sent_again(stack: Stack, emulator: Running) -> None:
    """A PATCH says the whole value, so that it may be repeated after a broken connection."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    stack.write({"api": endpoint(name="api", workers=2)})
    emulator.fault("commit-then-drop", "PATCH", "/v2/serverless/*")
    emulator.clear_requests()
    stack.up()
    assert sent(emulator) == ["PATCH /serverless/{id}"] * 2
    stack.expect_no_changes()


def test_a_refused_update_keeps_what_was(stack: Stack, emulator: Running) -> None:
    """The state keeps the old inputs, so that the same change is planned again."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    stack.write({"api": endpoint(name="api", workers=9)})
    message = stack.up(exit_code=None).said("error")[0]
    assert "updating the endpoint" in message
    assert "quota" in message
    assert stack.preview().step("api").changes == {"workers": "update"}
    emulator.set(worker_quota=10)
    stack.up()
    stack.expect_no_changes()


WAITING: dict[str, Any] = {"name": "api", "workers": {"min": 2, "max": 2}, "waitForReady": 1}


def _failed_up(stack: Stack) -> str:
    """Bring a stack up that must not get there, and give its errors."""
    outcome: Outcome = stack.up(exit_code=None)
    assert outcome.exit_code != 0
    return "\n".join(outcome.said("error"))


def test_workers_that_are_not_ready_in_time_keep_the_endpoint(stack: Stack, emulator: Running) -> None:
    """The update fails with what is wrong, dependents wait, the id is in the state, and the next `up` waits on without a PATCH."""
    stack.write({"api": endpoint(**WAITING), "caller": endpoint(env={"URL": "${api.requestUrls.run}"})})
    assert "0/2 workers on version 1 after 1 s (2 still starting); the next `pulumi up` waits on" in _failed_up(stack)
    (live,) = emulator.state()["endpoints"]
    (kept,) = _endpoints(stack)
    assert kept["id"] == live["id"] and "2 still starting" in kept["initErrors"][0]
    emulator.clear_requests()
    assert "2 still starting" in _failed_up(stack)
    emulator.advance(100)
    stack.up()
    assert {line for line in sent(emulator) if not line.startswith("GET")} == {"POST /serverless"}  # of the caller
    assert [resource.get("initErrors") for resource in _endpoints(stack)] == [None, None]
    emulator.clear_requests()
    stack.expect_no_changes()


def test_more_time_for_workers_that_were_not_ready_is_waited(stack: Stack, emulator: Running) -> None:
    """The status line counts them meanwhile."""
    stack.write({"api": endpoint(**WAITING)})
    _failed_up(stack)
    stack.write({"api": endpoint(**{**WAITING, "waitForReady": 60})})
    emulator.clear_requests()
    with hurried(emulator):
        outcome = stack.up()
    assert "0/2 workers on version 1" in outcome.stdout
    assert set(sent(emulator)) == {"GET /serverless/{id}/workers"}
    assert _endpoints(stack)[0].get("initErrors") is None


def test_a_roll_over_in_place_that_takes_too_long_is_waited_for(stack: Stack, emulator: Running) -> None:
    """One PATCH in all: the release is what `up` waits on."""
    program = {**WAITING, "updateStrategy": "inPlace", "waitForReady": 60}
    stack.write({"api": endpoint(**program)})
    with hurried(emulator):
        stack.up()
    stack.write({"api": endpoint(**{**program, "image": "me/worker:2", "waitForReady": 1})})
    emulator.clear_requests()
    assert "workers on version 2 after 1 s" in _failed_up(stack)
    stack.write({"api": endpoint(**{**program, "image": "me/worker:2"})})
    with hurried(emulator):
        assert "/2 workers on version 2" in stack.up().stdout
    assert sent(emulator).count("PATCH /serverless/{id}") == 1
    assert sent(emulator)[-1] == "GET /serverless/{id}/releases"


@pytest.fixture
def replaced(stack: Stack, emulator: Running) -> str:
    """Leave a stack whose replacement was not ready in time; give the id of the endpoint that it is to take the place of."""
    stack.write({"api": endpoint(**{**WAITING, "waitForReady": 120})})
    with hurried(emulator):
        stack.up()
    (old,) = emulator.state()["endpoints"]
    emulator.set(worker_quota=10)
    stack.write({"api": endpoint(**{**WAITING, "image": "me/worker:2"})})
    assert "0/2 workers on version 1 after 1 s" in _failed_up(stack)
    return str(old["id"])


REFRESHES = pytest.mark.parametrize("arguments", [(), ("--refresh",)], ids=["plain", "with a refresh"])


@REFRESHES
def test_a_refresh_pays_no_wait(stack: Stack, emulator: Running, replaced: str, arguments: tuple[str, ...]) -> None:
    """What a replacement was not ready for stays as long as that is so; the engine says so at each refresh, and plans the wait."""
    assert "unhealthy state:\n* 0/2 workers on version 1 (2 still starting)" in "\n".join(stack.refresh().said("warning"))
    assert "update" in stack.preview("--refresh").ops("api")
    assert "0/2 workers on version 1 after 1 s" in "\n".join(stack.up(*arguments, exit_code=None).said("error"))
    assert replaced in {item["id"] for item in emulator.state()["endpoints"]}
    emulator.advance(100)
    stack.up(*arguments)
    (live,) = emulator.state()["endpoints"]
    assert live["id"] != replaced and [resource.get("initErrors") for resource in _endpoints(stack)] == [None]
    stack.expect_no_changes()


def test_a_refresh_that_finds_it_ready_settles_the_wait(stack: Stack, emulator: Running, replaced: str) -> None:
    """Nothing is left to wait for, and no change is planned but the end of what was replaced."""
    emulator.advance(100)
    stack.refresh()
    assert [resource.get("initErrors") for resource in _endpoints(stack)] == [None, None]
    emulator.clear_requests()
    assert stack.up().summary.get("update") is None
    assert "GET /serverless/{id}/workers" not in sent(emulator)
    assert replaced not in {item["id"] for item in emulator.state()["endpoints"]}


def _ill(emulator: Running) -> None:
    """Let the workers fail their health checks, and print their environment."""
    (live,) = emulator.state()["endpoints"]
    says = ["starting with TOKEN=hunter22", "pin is 123", "MODE=plain"]
    emulator.mutate("endpoints", live["id"], _isUnhealthy=True, _says=says)
    emulator.advance(100)


def _is_told(said: str) -> None:
    """Assert that the last lines of a worker are there, and no secret."""
    assert "2 unhealthy: the last lines of" in said and "wrote last:" in said
    assert "MODE=plain" in said and "TOKEN=[secret]" in said
    assert "hunter22" not in said and "123" not in said


def test_unhealthy_workers_tell_their_last_lines_and_no_secret(stack: Stack, emulator: Running) -> None:
    """In the error, in the state, and in the logs of the engine."""
    env = {"TOKEN": secret("hunter22"), "PIN": secret("123"), "MODE": "plain"}
    stack.write({"api": endpoint(**WAITING, env=env)})
    _failed_up(stack)
    _ill(emulator)
    outcome = stack.up(exit_code=None)
    said = "\n".join(outcome.said("error"))
    worker = said.partition("worker '")[2].partition("'")[0]
    _is_told(said.replace(worker, "w"))
    assert "hunter22" not in outcome.stdout + outcome.stderr
    assert "hunter22" not in str(stack.state())
    assert "wrote last:" in _endpoints(stack)[0]["initErrors"][1]


def test_behind_the_dynamic_door_the_wait_is_owed_too(stack: Stack, emulator: Running) -> None:
    """A create and an update fail and are kept; the next `up` waits on without a PATCH, and fails where it waited in vain."""
    import pulumi
    from pulumi import automation

    given: dict[str, Any] = {
        "workers": {"min": 2, "max": 2},
        "wait_for_ready": 1,
        "update_strategy": "inPlace",
        "image": "me/worker:1",
    }

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        env = {"TOKEN": pulumi.Output.secret("hunter22"), "PIN": pulumi.Output.secret("123"), "MODE": "plain"}
        Endpoint("api", name="api", env=env, **given)

    inline = stack.inline(program)
    with pytest.raises(automation.CommandError) as failed:
        inline.up()
    said = "0/2 workers on version 1 after 1 s (2 still starting); the next `pulumi up` waits on"
    assert said in str(failed.value)
    _ill(emulator)
    (live,) = emulator.state()["endpoints"]
    emulator.clear_requests()
    with pytest.raises(automation.CommandError) as failed:
        inline.up()
    worker = str(failed.value).partition("worker '")[2].partition("'")[0]
    told = str(failed.value)[str(failed.value).index("0/2 workers") :].partition("stack trace")[0]
    _is_told(told.replace(worker, "w"))
    emulator.mutate("endpoints", live["id"], _isUnhealthy=False)
    assert (inline.up().summary.resource_changes or {})["update"] == 1
    assert inline.up().summary.resource_changes == {"same": 2}
    assert not [line for line in sent(emulator) if not line.startswith("GET")]
    given["image"] = "me/worker:2"
    with pytest.raises(automation.CommandError, match="workers on version 2 after 1 s"):
        inline.up()
    given["wait_for_ready"] = 60
    with hurried(emulator):
        inline.up()
    assert inline.up().summary.resource_changes == {"same": 2}
    assert sent(emulator).count("PATCH /serverless/{id}") == 1
    assert [item["image"] for item in emulator.state()["endpoints"]] == ["me/worker:2"]


def test_behind_the_dynamic_door_a_refresh_pays_no_wait_either(stack: Stack, emulator: Running) -> None:
    """It keeps the mark and what it found; without a way to say so, the next plan would find nothing to do."""
    from pulumi import automation

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        Endpoint("api", name="api", image="me/worker:1", workers={"min": 2, "max": 2}, wait_for_ready=1)

    inline = stack.inline(program)
    with pytest.raises(automation.CommandError):
        inline.up()
    assert "unhealthy state:\n* 0/2 workers on version 1 (2 still starting)" in inline.refresh().stdout.replace("    ", "")
    with pytest.raises(automation.CommandError, match="0/2 workers on version 1 after 1 s"):
        inline.up(refresh=True)
    emulator.advance(100)
    inline.up(refresh=True)
    assert inline.up().summary.resource_changes == {"same": 2}
