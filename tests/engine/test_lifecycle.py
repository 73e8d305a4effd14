"""A stack's whole life on the real engine: it comes up, nothing changes, somebody meddles, and it goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.harness import Stack
from engine.programs import ENDPOINT, endpoint, secret, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _live(emulator: Running, kind: str = "endpoints") -> dict[str, dict[str, Any]]:
    """Give what the account has, by name."""
    return {item["name"]: item for item in emulator.state()[kind]}


def _is_empty(emulator: Running) -> bool:
    state = emulator.state()
    return not any(state[kind] for kind in ("endpoints", "boundTemplates", "templates", "networkVolumes"))


def test_a_stack_comes_up_stays_and_goes_away(stack: Stack, emulator: Running) -> None:
    """After `up`, neither another `up` nor a refresh finds anything to do, and `destroy` leaves nothing behind."""
    resources = {
        "models": volume(size=20),
        "gpu": endpoint(
            volume="${models}",
            gpu=["NVIDIA A40", "ADA_24"],
            workers={"min": 1, "max": 2},
            env={"TOKEN": secret("sesame"), "MODEL": "llama"},
            template={"env": [{"key": "MODEL", "value": "hidden"}, {"key": "LEVEL", "value": "info"}], "ports": ["8000/http"]},
        ),
        "cpu": endpoint(cpu=["cpu5c-2-4", "cpu3c-2-4"], scalerType="REQUEST_COUNT", scalerValue=2),
        "balancer": endpoint(type="LOAD_BALANCER", gpu="AMPERE_24", env={"PORT": "8000"}),
        "managed": endpoint(image=None, workers=0),
    }
    stack.write(resources, outputs={"url": "${gpu.requestUrls.run}", "mount": "${models.mountPath}"})
    came_up = stack.up()
    assert came_up.summary == {"create": 6}
    assert [message for message in came_up.said("warning") if "deprecated" in message]
    assert stack.outputs()["url"].endswith("/run")
    assert stack.outputs()["mount"] == "/runpod-volume/"
    assert stack.up().summary == {"same": 6}
    assert stack.refresh().summary == {"same": 6}
    assert stack.up().summary == {"same": 6}
    stack.expect_no_changes()
    assert stack.destroy().summary == {"delete": 6}
    assert _is_empty(emulator)


def test_an_update_keeps_the_endpoint(stack: Stack, emulator: Running) -> None:
    """Scaling, renaming and rotating a value change the living endpoint, and a property that goes returns to its default."""
    stack.write({"api": endpoint(name="api", workers=3, idleTimeout=300, env={"A": "1", "B": "2"})})
    stack.up()
    before = _live(emulator)["api"]
    stack.write({"api": endpoint(name="renamed", workers={"min": 1, "max": 2}, env={"A": "rotated"})})
    planned = stack.preview().step("api")
    assert planned.op == "update"
    assert planned.changes == {
        "name": "update",
        "workers": "update",
        "idleTimeout": "update",
        "env.A": "update",
        "env.B": "delete",
    }
    stack.up()
    after = _live(emulator)["renamed"]
    assert after == {
        **before,
        "name": "renamed",
        "workers": {"min": 1, "max": 2, "idleTimeout": 60},
        "env": {"A": "rotated"},
    }
    stack.expect_no_changes()


def test_what_somebody_changed_is_found_and_repaired(stack: Stack, emulator: Running) -> None:
    """A refresh takes drift into the state, the next preview shows each drifted property, and `up` restores what the program says."""
    resources = {
        "api": endpoint(name="api", gpu=["NVIDIA A40"], env={"A": "1"}, updateStrategy="inPlace"),
        "models": volume(name="models", size=20),
    }
    stack.write(resources)
    stack.up()
    before = _live(emulator)["api"], _live(emulator, "networkVolumes")["models"]
    emulator.mutate(
        "endpoints",
        before[0]["id"],
        name="meddled",
        workers={"max": 3},
        env={"A": "2", "FOREIGN": "x"},
        flashboot="OFF",
        gpu={"pools": ["ADA_24"], "excludedTypes": [], "count": 2},
        timeout=7000,
        dataCenterIds=["US-CA-2"],
    )
    emulator.mutate("networkVolumes", before[1]["id"], name="meddled")
    assert stack.preview("--refresh", "--expect-no-changes", exit_code=None).exit_code == 7
    assert stack.refresh().summary == {"same": 1, "update": 2}
    planned = stack.preview()
    assert planned.step("models").changes == {"name": "update"}
    assert planned.step("api").changes == {
        "name": "update",
        "workers.max": "update",
        "env.A": "update",
        "env.FOREIGN": "delete",
        "flashboot": "update",
        "gpu": "update",
        "gpuCount": "update",
        "executionTimeoutMs": "update",
        "datacenter": "update",
    }
    assert stack.up().summary == {"same": 1, "update": 2}
    assert (_live(emulator)["api"], _live(emulator, "networkVolumes")["models"]) == before
    stack.expect_no_changes()


def test_drift_of_hardware_recreates_as_a_change_of_it_does(stack: Stack, emulator: Running) -> None:
    """Where the program says `replace`, what somebody changed is replaced; a refresh alone does not speak of it."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    emulator.mutate("endpoints", _live(emulator)["api"]["id"], flashboot="OFF")
    planned = stack.preview("--refresh")
    assert planned.step("api", "replace").changes == {"flashboot": "update-replace"}
    assert len(planned.said("info")) == 1
    assert stack.refresh().said("info") == []


def test_what_runpod_itself_does_to_an_idle_endpoint_is_drift(stack: Stack, emulator: Running) -> None:
    """Runpod lowers the workers of an endpoint that nobody calls; a refresh shows it and `up` restores them."""
    stack.write({"api": endpoint(name="api", workers=5)})
    stack.up()
    emulator.advance(4 * 86_400)
    planned = stack.preview("--refresh")
    assert planned.step("api", "update").changes == {"workers": "update"}
    stack.up("--refresh")
    assert _live(emulator)["api"]["workers"]["max"] == 5


def test_what_somebody_deleted_is_created_again(stack: Stack, emulator: Running) -> None:
    """A refresh drops what is gone from the state, and the next `up` creates it anew; its own delete needs nobody else."""
    stack.write({"api": endpoint(name="api"), "models": volume(name="models", size=20)})
    stack.up()
    first = _live(emulator)["api"]["id"]
    emulator.delete("endpoints", first)
    emulator.delete("networkVolumes", _live(emulator, "networkVolumes")["models"]["id"])
    assert stack.refresh().summary == {"same": 1, "delete": 2}
    assert stack.up().summary == {"same": 1, "create": 2}
    assert _live(emulator)["api"]["id"] != first
    emulator.delete("endpoints", _live(emulator)["api"]["id"])
    emulator.delete("networkVolumes", _live(emulator, "networkVolumes")["models"]["id"])
    emulator.clear_requests()
    stack.destroy()
    assert sorted(sent(emulator)) == ["DELETE /network-volumes/{id}", "DELETE /serverless/{id}"]


def test_an_update_of_what_is_gone_says_how_to_go_on(stack: Stack, emulator: Running) -> None:
    """It is not created by surprise: the error names the id and `pulumi refresh`, which then helps."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    identifier = _live(emulator)["api"]["id"]
    emulator.delete("endpoints", identifier)
    stack.write({"api": endpoint(name="api", workers=2)})
    (message, *_) = stack.up(exit_code=None).said("error")
    assert identifier in message
    assert "pulumi refresh" in message
    stack.refresh()
    stack.up()
    assert _live(emulator)["api"]["workers"]["max"] == 2


def test_a_refresh_that_the_api_refuses_keeps_the_state(stack: Stack, emulator: Running) -> None:
    """Neither a refused key nor a server in trouble is taken for the end of a resource."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    advice = {401: "RUNPOD_API_KEY", 403: "read and write access", 500: "500"}
    for status, words in advice.items():
        emulator.fault("status", "GET", "/v2/serverless*", status=status, times=None)
        message = stack.refresh(exit_code=None).said("error")[0]
        emulator.clear_faults()
        assert words in message
        assert len([resource for resource in stack.state() if resource["type"] == ENDPOINT]) == 1
    stack.expect_no_changes()


def test_a_property_that_went_is_no_longer_managed(stack: Stack, emulator: Running) -> None:
    """What the program no longer says, and no default fills, is the server's: whatever somebody sets there is no drift."""
    stack.write({"api": endpoint(name="api", template={"args": "--fast"}, updateStrategy="inPlace")})
    stack.up()
    stack.write({"api": endpoint(name="api", updateStrategy="inPlace")})
    assert stack.up().step("api").changes == {"template.args": "delete"}
    assert _live(emulator)["api"]["args"] == ""
    emulator.mutate("endpoints", _live(emulator)["api"]["id"], args="--other", ports=["22/tcp"], registry="mine")
    stack.expect_no_changes()
