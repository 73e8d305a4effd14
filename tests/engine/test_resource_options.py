"""The engine's own options do with these resources what they do with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.harness import Stack
from engine.programs import endpoint, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _live(emulator: Running) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in emulator.state()["endpoints"]}


def test_ignored_changes_are_neither_planned_nor_sent(stack: Stack, emulator: Running) -> None:
    """`ignoreChanges` holds for a whole property, for what is inside of one, and for drift."""
    options = {"ignoreChanges": ["gpu", "workers.max", "env", "idleTimeout"]}
    stack.write({"api": endpoint(options, name="api", workers={"min": 0, "max": 1}, env={"A": "1"})})
    stack.up()
    emulator.mutate("endpoints", _live(emulator)["api"]["id"], workers={"max": 3}, env={"A": "9"}, idleTimeout=5)
    stack.refresh()
    stack.write({"api": endpoint(options, name="api", gpu="ADA_24", workers={"min": 0, "max": 2}, env={"A": "2"}, scalerValue=7)})
    assert stack.preview().step("api").changes == {"scalerValue": "update"}
    emulator.clear_requests()
    stack.up()
    (patch,) = emulator.requests()
    assert patch["body"] == {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 7}}
    live = _live(emulator)["api"]
    assert (live["env"], live["workers"]["max"], len(live["gpu"]["pools"]) > 1) == ({"A": "9"}, 3, True)
    stack.expect_no_changes()


def test_the_engine_protects_forgets_and_renames(stack: Stack, emulator: Running) -> None:
    """`protect` refuses the delete, `aliases` rename without a change, `retainOnDelete` leaves it alive, and time-outs are accepted."""
    stack.write({"api": endpoint({"protect": True}, name="api"), "old": endpoint(name="aliased")})
    stack.up()
    before = _live(emulator)
    stack.write({"old": endpoint(name="aliased")})
    assert "protected" in stack.up(exit_code=None).said("error")[0]
    assert _live(emulator) == before
    timeouts = {"customTimeouts": {"create": "5m", "update": "5m", "delete": "5m"}}
    stack.write(
        {
            "api": endpoint({"retainOnDelete": True, **timeouts}, name="api"),
            "new": endpoint({"aliases": [{"name": "old"}], **timeouts}, name="aliased"),
        }
    )
    emulator.clear_requests()
    assert stack.up().summary == {"same": 3}
    assert sent(emulator) == []
    stack.destroy()
    assert list(_live(emulator)) == ["api"]


def test_a_change_that_updates_can_be_made_to_replace(stack: Stack, emulator: Running) -> None:
    """`replaceOnChanges` works on the paths that the plan shows."""
    options = {"replaceOnChanges": ["env.A"]}
    stack.write({"api": endpoint(options, name="api", env={"A": "1", "B": "1"})})
    stack.up()
    first = _live(emulator)["api"]["id"]
    stack.write({"api": endpoint(options, name="api", env={"A": "1", "B": "2"})})
    assert stack.up().step("api").op == "update"
    stack.write({"api": endpoint(options, name="api", env={"A": "2", "B": "2"})})
    assert stack.up().ops("api") == ["create-replacement", "replace", "delete-replaced"]
    assert _live(emulator)["api"]["id"] != first


def test_a_target_alone_is_changed(stack: Stack, emulator: Running) -> None:
    """`--target` brings up, changes and destroys one resource and leaves the others."""
    urn = "urn:pulumi:dev::harness::runpod-serverless:index:NetworkVolume::models"
    stack.write({"models": volume(name="models", size=20), "api": endpoint(name="api", volume="${models}")})
    stack.up("--target", urn)
    assert emulator.state()["endpoints"] == []
    stack.up()
    stack.write({"models": volume(name="models", size=30), "api": endpoint(name="api", volume="${models}", workers=2)})
    stack.up("--target", urn)
    assert _live(emulator)["api"]["workers"]["max"] == 1
    assert emulator.state()["networkVolumes"][0]["size"] == 30
    stack.destroy("--target", urn, "--target-dependents")
    assert (emulator.state()["networkVolumes"], emulator.state()["endpoints"]) == ([], [])


def test_a_provider_of_its_own_speaks_to_its_own_api(stack: Stack, emulator: Running) -> None:
    """An explicit provider takes its settings from its properties, and a change of them replaces nothing."""

    def program(**settings: Any) -> dict[str, Any]:
        provider = {"type": "pulumi:providers:runpod-serverless", "properties": {"apiKey": "rpa_other", **settings}}
        return {"runpod": provider, "api": endpoint({"provider": "${runpod}"}, name="api")}

    stack.write(program(defaultDatacenter="US-CA-2"))
    stack.up()
    assert _live(emulator)["api"]["dataCenterIds"] == ["US-CA-2"]
    stack.write(program(defaultDatacenter="US-CA-2", baseUrl=f"{emulator.url}/v2"))
    emulator.clear_requests()
    assert stack.up().summary == {"same": 2, "update": 1}
    assert sent(emulator) == []


def test_a_saved_plan_is_kept(stack: Stack, emulator: Running) -> None:
    """What a preview planned, names included, is what `up --plan` does."""
    stack.write({"api": endpoint()})
    stack.preview("--save-plan=plan.json")
    stack.up("--plan=plan.json")
    assert len(emulator.state()["endpoints"]) == 1
