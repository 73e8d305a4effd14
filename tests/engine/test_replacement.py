"""How a change of hardware goes: the new endpoint before the old one, or a rolling release in place."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from engine.harness import KEY, Stack
from engine.programs import ENDPOINT, endpoint, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _ask(emulator: Running, path: str) -> Any:
    """Ask the API itself, past the provider."""
    request = urllib.request.Request(f"{emulator.url}/v2{path}", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _only(emulator: Running) -> dict[str, Any]:
    (found,) = emulator.state()["endpoints"]
    return dict(found)


def _program(options: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "api": endpoint(options, name="api", **properties),
        "caller": endpoint(env={"API": "${api.id}", "URL": "${api.requestUrls.run}"}),
    }


def test_the_new_endpoint_is_there_before_the_old_one_goes(stack: Stack, emulator: Running) -> None:
    """The engine creates, updates what depends on it with the new id and URL, and only then deletes."""
    stack.write(_program(), outputs={"id": "${api.id}"})
    stack.up()
    old = stack.outputs()["id"]
    stack.write(_program(gpu="ADA_24"), outputs={"id": "${api.id}"})
    planned = stack.preview()
    assert planned.step("api", "replace").changes == {"gpu": "update-replace"}
    assert planned.step("caller").changes == {"env.API": "update", "env.URL": "update"}
    (warning,) = planned.said("info")
    assert "another id" in warning
    assert "jobs are cancelled" in warning
    assert "inPlace" in warning
    emulator.clear_requests()
    stack.up()
    new = stack.outputs()["id"]
    assert new != old
    assert [(entry["method"], entry["path"].rpartition("/")[2]) for entry in emulator.requests()][1:] == [
        ("POST", "serverless"),
        ("PATCH", _id_of(emulator, "caller")),
        ("DELETE", old),
    ]
    caller = next(item for item in emulator.state()["endpoints"] if item["name"] != "api")
    assert caller["env"]["API"] == new
    assert f"/{new}/" in caller["env"]["URL"]
    stack.expect_no_changes()


def _id_of(emulator: Running, name: str) -> str:
    return next(str(item["id"]) for item in emulator.state()["endpoints"] if item["name"].startswith(name))


def test_in_place_the_endpoint_keeps_its_id_and_workers_roll_over(stack: Stack, emulator: Running) -> None:
    """`inPlace` sends one PATCH with all that the API can change; Runpod then replaces one worker after the other."""
    stack.write({"api": endpoint(name="api", updateStrategy="inPlace", workers={"min": 2, "max": 2})})
    stack.up()
    identifier = _only(emulator)["id"]
    emulator.advance(200)
    stack.write(
        {"api": endpoint(name="api", updateStrategy="inPlace", workers={"min": 2, "max": 2}, image="me/worker:2", gpu="ADA_24")}
    )
    assert stack.preview().step("api").changes == {"image": "update", "gpu": "update"}
    emulator.clear_requests()
    stack.up()
    assert sent(emulator) == ["GET /catalog/gpus", "PATCH /serverless/{id}"]
    assert _only(emulator)["id"] == identifier
    assert _ask(emulator, f"/serverless/{identifier}/releases")["rollout"]["inProgress"]
    emulator.advance(300)
    releases = _ask(emulator, f"/serverless/{identifier}/releases")
    assert releases["rollout"]["percentOnLatest"] == 100
    assert {change["field"] for change in releases["releases"][0]["diff"]} == {"template.imageName", "gpuIds"}
    assert {worker["image"] for worker in _ask(emulator, f"/serverless/{identifier}/workers")["workers"]} == {"me/worker:2"}
    stack.expect_no_changes()


def test_the_strategy_of_a_whole_stack_is_configuration(stack: Stack, emulator: Running) -> None:
    """`defaultUpdateStrategy` is what endpoints do that say nothing; a change of it is kept in state and sends nothing."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    stack.configure("runpod-serverless:defaultUpdateStrategy", "inPlace")
    emulator.clear_requests()
    assert stack.up().step("api").changes == {"updateStrategy": "update"}
    assert sent(emulator) == []
    stack.write({"api": endpoint(name="api", gpu="ADA_24")})
    assert stack.up().step("api").op == "update"


def test_a_quota_that_both_exceed_says_what_to_do(stack: Stack, emulator: Running) -> None:
    """While both exist their workers add up: the error gives the sum and the option that avoids it, and the old one lives on."""
    stack.write({"api": endpoint(name="api", workers=3)})
    stack.up()
    before = _only(emulator)
    stack.write({"api": endpoint(name="api", workers=4, gpu="ADA_24")})
    message = stack.up(exit_code=None).said("error")[0]
    assert "old max 3 + new max 4 = 7" in message
    assert "deleteBeforeReplace" in message
    assert _only(emulator) == before
    stack.write({"api": endpoint({"deleteBeforeReplace": True}, name="api", workers=4, gpu="ADA_24")})
    emulator.clear_requests()
    assert stack.up().ops("api") == ["delete-replaced", "replace", "create-replacement"]
    assert sent(emulator) == ["DELETE /serverless/{id}", "GET /catalog/gpus", "POST /serverless"]
    assert _only(emulator)["workers"]["max"] == 4


def test_an_endpoint_is_replaced_on_request(stack: Stack, emulator: Running) -> None:
    """`up --replace` gives a new endpoint although nothing changed."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    old = _only(emulator)["id"]
    urn = next(resource["urn"] for resource in stack.state() if resource["type"] == ENDPOINT)
    replaced = stack.up("--replace", urn)
    assert replaced.ops("api") == ["create-replacement", "replace", "delete-replaced"]
    assert _only(emulator)["id"] != old


def test_a_replaced_volume_takes_its_endpoints_along(stack: Stack, emulator: Running) -> None:
    """The warning names what is lost and who mounts it; the endpoint follows the volume to its new data center."""
    stack.write({"models": volume(size=20), "api": endpoint(name="api", volume="${models}")})
    stack.up()
    old = emulator.state()["networkVolumes"][0]["id"]
    stack.write({"models": volume(size=20, datacenter="US-CA-2"), "api": endpoint(name="api", volume="${models}")})
    (warning,) = stack.preview().said("warning")
    assert old in warning
    assert warning.endswith(f"it is mounted by the endpoint {_only(emulator)['id']!r}")
    stack.up()
    (new,) = emulator.state()["networkVolumes"]
    live = _only(emulator)
    assert (live["networkVolumes"], live["dataCenterIds"]) == ([new["id"]], ["US-CA-2"])
    stack.expect_no_changes()


@pytest.mark.parametrize("strategy", ["replace", "inPlace"])
def test_from_gpu_to_cpu_is_always_another_endpoint(stack: Stack, emulator: Running, strategy: str) -> None:
    """The API cannot change the kind of compute, so that not even `inPlace` tries."""
    stack.write({"api": endpoint(name="api", updateStrategy=strategy)})
    stack.up()
    stack.write({"api": endpoint(name="api", updateStrategy=strategy, cpu="cpu3c-2-4")})
    assert stack.up().ops("api") == ["create-replacement", "replace", "delete-replaced"]
    assert "cpu" in _only(emulator)
    stack.expect_no_changes()
