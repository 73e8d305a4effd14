"""What becomes of a resource when its creation ends in doubt: the id is kept where it is known, else the error says how to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, sent, volume

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
    """What bears a name of the program's may have been there before: the error gives its id and the import line, which then works."""
    stack.write({"models": volume(name="models", size=20)})
    emulator.fault(method="POST", path="/v2/network-volumes", **fault)
    message = stack.up(exit_code=None).said("error")[0]
    (live,) = emulator.state()["networkVolumes"]
    assert "not known whether" in message
    assert f"pulumi import runpod-serverless:index:NetworkVolume models {live['id']}" in message
    stack.adopt(VOLUME, "models", live["id"])
    stack.up()
    assert [item["id"] for item in emulator.state()["networkVolumes"]] == [live["id"]]


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
