"""All in which the dynamic door may differ from the native one: each test is of one limit, under its title in docs/dynamic.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio
import pytest
from google.protobuf.struct_pb2 import Struct

import pulumi_runpod_serverless.dynamic as dynamic
from engine.harness import ROOT
from parity.doors import Aborted, DynamicDoor, GrpcDoor, Life, P, Unfinished, behind, plain, registered, secret, struct
from parity.test_parity import FULL, named
from runpod_serverless_provider.core.checking import DEFAULTS_KEY, INPUTS_KEY
from runpod_serverless_provider.resources import RESOURCES

ALLOWED: Final[dict[str, list[Callable[..., None]]]] = {}
"""The limits by title, and the tests that hold each."""
GPU: Final = {"image": "me/worker:1", "gpu": "ADA_24"}


def differs(title: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say of which limit a test is."""

    def register(test: Callable[..., None]) -> Callable[..., None]:
        ALLOWED.setdefault(title, []).append(test)
        return test

    return register


def test_the_limits_are_those_of_the_documentation() -> None:
    """Whoever chooses a door reads of each, and each that they read of is tested."""
    page = (ROOT / "docs" / "dynamic.md").read_text(encoding="utf-8")
    section = page.partition("## What this door cannot do")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^- \*\*(.+?)\.?\*\*", section, re.MULTILINE)) == sorted(ALLOWED)


def _answers(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for kind in ("grpc", "dynamic"):
        with behind(kind) as door:
            assert isinstance(door, GrpcDoor | DynamicDoor)
            life = Life(door, "Endpoint")
            life.up(named(before))
            news = life.checked(named(after))
            found[kind] = door.answer(life.token, life.name, life.id, life.outputs, life.inputs, news)
    return found


@differs("No detailed diff")
def test_a_plan_names_only_what_replaces() -> None:
    """Native plans name each changed path, and what never changes."""
    found = _answers(GPU, {**GPU, "workers": 3, "template": {"args": "x"}})
    assert set(found["grpc"].detailedDiff) == {"workers", "template.args"}
    assert found["grpc"].hasDetailedDiff and list(found["grpc"].diffs) == ["workers", "template"]
    assert not found["dynamic"].hasDetailedDiff and not found["dynamic"].detailedDiff and not found["dynamic"].diffs
    assert list(found["dynamic"].replaces) == list(found["grpc"].replaces) == ["template"]


@differs("No outputs in previews")
@pytest.mark.parametrize("kind", FULL)
def test_a_preview_shows_checked_inputs_as_outputs(kind: str) -> None:
    """They are canonical, so that what is shown is what comes; what Runpod decides is unknown, also where an update keeps it."""
    with behind("dynamic") as door:
        assert isinstance(door, DynamicDoor)
        configured = door.call("Configure", P.ConfigureRequest(args=Struct()))
        assert not configured.supportsPreview and not configured.acceptSecrets
        life = Life(door, kind)
        life.up(named(FULL[kind]))
        previewed = {name: value for name, value in plain(life.inputs).items() if not name.startswith("__")}
        assert {name: life.shown[name] for name in previewed} == previewed
        (resource,) = (resource for resource in RESOURCES if resource.name == kind)
        computed = {item.alias for item in resource.outputs.model_fields.values()}
        assert life.shown.keys() - previewed.keys() <= computed | set(resource.always_shown)


@differs("No `import`, no `get`")
@pytest.mark.parametrize("kind", dynamic.__all__)
def test_what_the_state_does_not_hold_cannot_be_read(kind: str) -> None:
    """The class says so at once, and says what to do; the engine's own import fails without harm."""
    with pytest.raises(TypeError, match=rf"dynamic.{kind} has no `get`.*pulumi_runpod_serverless.{kind}, which has"):
        getattr(dynamic, kind).get("x", "id0")
    with behind("dynamic") as door:
        assert isinstance(door, DynamicDoor)
        with pytest.raises(Aborted, match="__provider"):
            door.call("Read", P.ReadRequest(id="id0"))


@differs("No autonaming configuration")
def test_a_name_is_generated_whatever_the_project_says() -> None:
    """The engine's proposal does not reach a dynamic provider."""
    proposed = P.CheckRequest.AutonamingOptions(proposed_name="proposed", mode=P.CheckRequest.AutonamingOptions.ENFORCE)
    with behind("dynamic") as door:
        assert isinstance(door, DynamicDoor)
        life = Life(door, "Endpoint")
        news = struct(plain(registered(life.token, "llm", GPU)))
        checked = door.call("Check", P.CheckRequest(news=news, autonaming=proposed))
        assert re.fullmatch(r"llm-[0-9a-f]{7}", checked.inputs["name"])


@differs("No custom time-outs")
def test_a_wait_is_bounded_by_the_program_alone() -> None:
    """The engine sends the resource option along, and Pulumi's side does not pass it on."""
    said = {}
    for kind in ("grpc", "dynamic"):
        with behind(kind) as door:
            life = Life(door, "Endpoint")
            inputs = life.checked(named({**GPU, "workers": {"min": 1, "max": 1}, "waitForReady": 30}))
            request = P.CreateRequest(urn=f"urn:pulumi:test::parity::{life.token}::x", properties=struct(inputs), timeout=3)
            if isinstance(door, DynamicDoor):
                request.properties.CopyFrom(struct(plain(inputs)))
            assert isinstance(door, GrpcDoor | DynamicDoor)
            with pytest.raises(Unfinished) as raised:
                door.call("Create", request)
            said[kind] = raised.value.reasons[0]
    assert "after 3 s" in said["grpc"] and "after 30 s" in said["dynamic"]


@differs("What is read is secret as a whole")
def test_a_secret_that_was_read_hides_the_map_it_is_in() -> None:
    """The native door marks values; this one marks properties, so that drift names the property and not what was added."""
    shown = {}
    for kind in ("grpc", "dynamic"):
        with behind(kind) as door:
            life = Life(door, "Endpoint")
            life.up(named({**GPU, "env": {"A": "1"}}))
            door.world.drift("endpoints", life.id, env={"A": "1", "ADDED": "theirs"})
            life.refresh()
            shown[kind] = life.inputs["env"]
    assert shown["grpc"]["A"] == "1" and shown["grpc"]["ADDED"] == secret("theirs")
    assert shown["dynamic"] == secret({"A": "1", "ADDED": "theirs"})


@differs("The key of a variable may be secret")
def test_a_secret_key_is_refused_where_keys_are_shown() -> None:
    """It is sealed by this door, together with all that stands beside it."""
    program = named({**GPU, "env": [{"key": secret("SECRET-KEY"), "value": "x"}]})
    with behind("grpc") as native:
        _, failures = Life(native, "Endpoint").check(program)
    assert [text for _, text in failures] == ["env[0].key: must not be secret: keys are stored and shown in clear; seal the value"]
    with behind("dynamic") as door:
        life = Life(door, "Endpoint")
        life.up(program)
        life.refresh()
        assert life.hidden == {"env"} and life.inputs["env"] == secret({"SECRET-KEY": "x"})


@differs("No more than a text of an error")
def test_an_error_comes_below_a_traceback() -> None:
    """It is Pulumi's own, of a few frames; the last line says what happened to which resource."""
    with behind("dynamic") as door:
        life = Life(door, "Endpoint", "llm")
        door.world.fault(method="POST", action="status", status=400, detail="the moon is full")
        with pytest.raises(Aborted) as raised:
            life.up(named(GPU))
    lines = str(raised.value).strip().splitlines()
    assert lines[0] == "Traceback (most recent call last):" and len(lines) < 20
    assert re.match(r"pulumi_runpod_serverless\.dynamic\.adapter\.RunpodError: Endpoint 'llm': creating the endpoint", lines[-1])
    assert "the moon is full" in lines[-1]


@differs("Imports are advised of the other door")
def test_an_import_line_says_that_it_is_of_the_native_plugin() -> None:
    """It is where a creation is in doubt, and this page shows the way back."""
    with behind("dynamic") as door:
        life = Life(door, "Endpoint", "llm")
        door.world.fault(method="POST", action="status", status=503, times=None)
        with pytest.raises(Aborted, match=r"pulumi import runpod-serverless:index:Endpoint llm ID.*docs/dynamic\.md"):
            life.up(named(GPU))


@differs("No URN")
def test_a_forced_replacement_of_a_protected_volume_is_refused_by_its_delete() -> None:
    """The native door refuses it in Check, and names the target of the command that lifts the protection."""
    for kind in ("grpc", "dynamic"):
        with behind(kind) as door:
            life = Life(door, "NetworkVolume")
            life.up({"name": "n"})
            assert life.check({"name": "n"})[1] == []
            _, failures = door.check(life.token, life.name, {}, {"name": "n"})
            assert len(failures) == (1 if kind == "grpc" else 0)
            with pytest.raises((Aborted, grpc.aio.AioRpcError)) as caught:
                door.delete(life.token, life.name, life.id, life.outputs, life.inputs)
            said = caught.value.details() or "" if isinstance(caught.value, grpc.aio.AioRpcError) else str(caught.value)
            assert "is protected from deletion" in said and ("--target" in said) == (kind == "grpc")


@differs("A respelled input is refreshed as it was spelled before")
def test_a_refresh_knows_the_inputs_of_the_last_update() -> None:
    """A spelling that changes nothing reaches the inputs only, which the engine does not show to a dynamic Read."""
    with behind("dynamic") as door:
        life = Life(door, "Endpoint")
        life.up(named({**GPU, "workers": 1}))
        assert life.up(named(GPU)).op == "same"
        assert "workers" in plain(life.inputs)[INPUTS_KEY][DEFAULTS_KEY]
        assert life.refresh().op == "same"
        assert "workers" not in plain(life.inputs)[INPUTS_KEY][DEFAULTS_KEY]
        assert life.up(named(GPU)).op == "same"


@differs("What was secret for a time is shown again")
def test_a_variable_made_by_hand_makes_env_secret_until_it_is_gone() -> None:
    """The native door, which is told what is secret in the state, keeps it so."""
    for kind, kept in (("grpc", {"env"}), ("dynamic", set())):
        with behind(kind) as door:
            life = Life(door, "Endpoint")
            program = named({**GPU, "env": {"A": "1"}})
            life.up(program)
            door.world.drift("endpoints", life.id, env={"A": "1", "HAND": "made"})
            life.refresh()
            assert life.hidden == {"env"}
            life.up(program)
            assert life.hidden == kept


def test_a_secret_stays_one_behind_both_doors() -> None:
    """This is no limit."""
    for kind in ("grpc", "dynamic"):
        with behind(kind) as door:
            life = Life(door, "Endpoint")
            program = named({**GPU, "env": {"A": secret("1")}})
            life.up(program)
            life.refresh()
            life.up({**program, "workers": 2})
            assert life.hidden == {"env"}
