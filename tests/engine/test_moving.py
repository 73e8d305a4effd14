"""Resources move between the native plugin and the dynamic door by an alias, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine.harness import KEY, Stack
from engine.programs import sent

if TYPE_CHECKING:
    from pulumi import automation

    from runpod_emulator.running import Running

KINDS: Final = ("Endpoint", "NetworkVolume", "PodTemplate", "Registry")
CANARY: Final = "canary-7d1"


def _program(door: str, *, image: str = "me/worker:1", explicit: bool = False) -> Callable[[], None]:
    """State one resource of each kind behind a door, with aliases for those of the other."""

    def program() -> None:
        import pulumi

        import pulumi_runpod_serverless as native
        from pulumi_runpod_serverless import dynamic

        kinds: Any = dynamic if door == "dynamic" else native
        types = {
            "native": "runpod-serverless:index:{}",
            "dynamic": "pulumi-python:dynamic/runpod-serverless:{}",
        }
        provider = None
        if explicit and door == "native":
            provider = native.Provider("explicit", api_key=KEY)

        def options(kind: str) -> pulumi.ResourceOptions:
            other = types["native" if door == "dynamic" else "dynamic"].format(kind)
            return pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=other)], provider=provider)

        volume = kinds.NetworkVolume("volume", size=20, deletion_protection=False, opts=options("NetworkVolume"))
        template = kinds.PodTemplate("template", image=image, env={"T": pulumi.Output.secret(CANARY)}, opts=options("PodTemplate"))
        registry = kinds.Registry("registry", username="u", password=CANARY, opts=options("Registry"))
        endpoint = kinds.Endpoint("endpoint", template=template.settings, volume=[volume], workers=1, opts=options("Endpoint"))
        pulumi.export("ids", [endpoint.id, volume.id, template.id, registry.id])
        pulumi.export("url", endpoint.request_urls.apply(lambda urls: urls.run if hasattr(urls, "run") else urls["run"]))

    return program


def _changes(result: automation.UpResult) -> dict[str, int]:
    return dict(result.summary.resource_changes or {})


@pytest.mark.parametrize("explicit", [False, True], ids=["default provider", "explicit provider"])
@pytest.mark.parametrize(("first", "second"), [("native", "dynamic"), ("dynamic", "native")])
def test_every_resource_moves_without_a_request(stack: Stack, emulator: Running, first: str, second: str, explicit: bool) -> None:
    """Nothing is recreated, the next up has nothing to do, and a destroy straight after works; the state tells no secret."""
    before = stack.inline(_program(first, explicit=explicit)).up()
    emulator.clear_requests()
    moved = stack.inline(_program(second, explicit=explicit))
    planned = moved.preview()
    assert set(planned.change_summary) <= {"same", "update", "create", "delete"}
    up = moved.up()
    assert sent(emulator) == []
    assert {name: output.value for name, output in up.outputs.items()} == {
        name: output.value for name, output in before.outputs.items()
    }
    providers = {"create", "delete"} if explicit else set()  # the explicit provider comes or goes
    assert set(_changes(up)) <= {"same", "update"} | providers
    assert set(_changes(moved.up())) == {"same"}
    assert sent(emulator) == []
    assert CANARY not in json.dumps(stack.state())
    moved.destroy()
    assert not any(emulator.state()[kind] for kind in ("endpoints", "networkVolumes", "templates", "registries"))


@pytest.mark.parametrize(("first", "second"), [("native", "dynamic"), ("dynamic", "native")])
def test_a_move_together_with_a_change_recreates_once(stack: Stack, emulator: Running, first: str, second: str) -> None:
    """The door that a resource leaves deletes the old one; the rest moves as it is, and a refresh finds no drift."""
    stack.inline(_program(first)).up()
    emulator.clear_requests()
    moved = stack.inline(_program(second, image="me/worker:2"))
    moved.up()
    writes = sorted(line for line in sent(emulator) if not line.startswith("GET "))
    assert writes == ["DELETE /serverless/{id}", "PATCH /templates/{id}", "POST /serverless"]
    assert set(_changes(moved.up())) == {"same"}
    assert set(_changes(moved.refresh())) == {"same"}
