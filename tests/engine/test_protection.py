"""A network volume holds what cannot be had again: it refuses to go until its protection was lifted by an `up` of its own."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.harness import Outcome, Stack
from engine.programs import VOLUME, endpoint, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running

BOTH_STEPS = ("deletionProtection to false", "second `pulumi up`")


def _refuses(outcome: Outcome) -> bool:
    return outcome.exit_code != 0 and all(words in outcome.said("error")[0] for words in BOTH_STEPS)


def test_a_protected_volume_does_not_go(stack: Stack, emulator: Running) -> None:
    """Volumes are protected unless the program says otherwise; no request is sent, and the message gives both steps."""
    stack.write({"models": volume(size=20, deletionProtection=None)})
    stack.up()
    emulator.clear_requests()
    for refused in (stack.destroy(exit_code=None), _without_it(stack)):
        (said, *_) = refused.said("error")
        assert f"run `pulumi up --target '{_urn(stack)}'`" in said and "repeat what was refused" in said
    assert sent(emulator) == []
    assert len(emulator.state()["networkVolumes"]) == 1


def _urn(stack: Stack) -> str:
    (urn, *_) = {resource["urn"] for resource in stack.state() if resource["type"] == VOLUME}
    return str(urn)


def _without_it(stack: Stack) -> Outcome:
    stack.write()
    return stack.up(exit_code=None)


def test_the_way_out_of_a_refused_destroy_creates_nothing(stack: Stack, emulator: Running) -> None:
    """What was destroyed before the volume refused stays so, where the message is followed."""

    def program(*, is_protected: bool) -> None:
        models = volume(size=20, deletionProtection=is_protected)
        stack.write({"models": models, "api": endpoint(volume="${models}", gpu="ADA_24")})

    program(is_protected=True)
    stack.up()
    (said, *_) = stack.destroy(exit_code=1).said("error")
    command = said.partition("`pulumi ")[2].partition("`")[0]
    program(is_protected=False)
    emulator.clear_requests()
    stack.pulumi(*command.replace("'", "").split(), "--yes", "--skip-preview")
    assert sent(emulator) == []
    stack.destroy()
    assert emulator.state()["networkVolumes"] == emulator.state()["endpoints"] == []


def test_a_protected_volume_is_not_replaced(stack: Stack, emulator: Running) -> None:
    """The preview already refuses, also where the same `up` would lift the protection; what it was before counts."""
    stack.write({"models": volume(size=20, deletionProtection=True)})
    stack.up()
    emulator.clear_requests()
    for is_protected in (True, False):
        stack.write({"models": volume(size=20, deletionProtection=is_protected, datacenter="US-CA-2")})
        refused = stack.preview(exit_code=None)
        assert _refuses(refused)
        assert "datacenter: " in refused.said("error")[0]
        assert _refuses(stack.up(exit_code=None))
    assert sent(emulator) == []


def test_the_protection_is_lifted_by_an_up_of_its_own(stack: Stack, emulator: Running) -> None:
    """To lift it sends no request; after that the volume can be replaced and deleted."""
    stack.write({"models": volume(size=20, deletionProtection=None)})
    stack.up()
    stack.write({"models": volume(size=20, deletionProtection=False)})
    emulator.clear_requests()
    assert stack.up().step("models").changes == {"deletionProtection": "update"}
    assert sent(emulator) == []
    stack.write({"models": volume(size=20, deletionProtection=False, datacenter="US-CA-2")})
    assert stack.preview().step("models", "replace").replaces == ("datacenter",)
    stack.destroy()
    assert emulator.state()["networkVolumes"] == []


def test_a_volume_grows_but_never_shrinks(stack: Stack, emulator: Running) -> None:
    """Growing is one PATCH; shrinking fails in the preview with both sizes."""
    stack.write({"models": volume(name="models", size=20)})
    stack.up()
    stack.write({"models": volume(name="models", size=40)})
    emulator.clear_requests()
    stack.up()
    assert [(entry["method"], entry["body"]) for entry in emulator.requests()] == [("PATCH", {"size": 40})]
    stack.write({"models": volume(name="models", size=30)})
    message = stack.preview(exit_code=None).said("error")[0]
    assert "size: " in message
    assert "40 GB" in message
    assert "30 GB" in message


def test_an_adopted_volume_stays_when_its_stack_goes(stack: Stack, emulator: Running) -> None:
    """Found by its name rather than created, it is brought to what the program says, and never deleted."""
    emulator.seed(networkVolumes=[{"id": "shared-volume", "name": "datasets", "size": 20}])
    stack.write({"datasets": volume(name="datasets", size=30, adoptExisting=True)}, outputs={"adopted": "${datasets.adopted}"})
    stack.up()
    assert stack.outputs() == {"adopted": True}
    (resource,) = (resource for resource in stack.state() if resource["type"] == VOLUME)
    assert resource["id"] == "shared-volume"
    assert [item["size"] for item in emulator.state()["networkVolumes"]] == [30]
    stack.expect_no_changes()
    emulator.clear_requests()
    stack.destroy()
    assert sent(emulator) == []
    assert len(emulator.state()["networkVolumes"]) == 1


def test_a_volume_that_is_not_there_yet_is_created(stack: Stack, emulator: Running) -> None:
    """`adoptExisting` is find-or-create: without a volume of that name it creates one, which then goes with the stack."""
    emulator.seed(networkVolumes=[{"name": "datasets", "dataCenter": "US-CA-2"}])
    stack.write({"datasets": volume(name="datasets", size=30, adoptExisting=True)}, outputs={"adopted": "${datasets.adopted}"})
    stack.up()
    assert stack.outputs() == {"adopted": False}
    assert len(emulator.state()["networkVolumes"]) == 2
    stack.destroy()
    assert [item["dataCenter"] for item in emulator.state()["networkVolumes"]] == ["US-CA-2"]


@pytest.mark.parametrize("is_protected", [True, False], ids=["", "lifted in the same step"])
def test_a_replacement_that_the_engine_forces_is_refused_before_the_second_volume(
    stack: Stack, emulator: Running, is_protected: bool
) -> None:
    """An option of the resource makes a replacement of what only grows it; the preview says no, and nothing is sent."""
    stack.write({"models": volume(size=20, deletionProtection=True)})
    stack.up()
    emulator.clear_requests()
    stack.write({"models": volume({"replaceOnChanges": ["size"]}, size=30, deletionProtection=is_protected)})
    for refused in (stack.preview(exit_code=None), stack.up(exit_code=None)):
        assert _refuses(refused)
        assert "`replaceOnChanges`" in refused.said("error")[0]
    assert sent(emulator) == []
    stack.write({"models": volume(size=30, deletionProtection=False)})
    assert stack.up().ops("models") == ["update"]
    stack.write({"models": volume({"replaceOnChanges": ["size"]}, size=40, deletionProtection=False)})
    assert "replace" in stack.up().ops("models")
    assert [each["size"] for each in emulator.state()["networkVolumes"]] == [40]


@pytest.mark.parametrize("means", ["--replace", "taint"])
def test_a_replacement_of_which_the_provider_is_not_told_loses_nothing(stack: Stack, emulator: Running, means: str) -> None:
    """The new volume is there before the old one is named; the message says which is which, and its command sets the stack free."""
    stack.write({"models": volume(size=20, deletionProtection=True)})
    stack.up()
    (old,) = (each["id"] for each in emulator.state()["networkVolumes"])
    urn = _urn(stack)
    if means == "taint":
        stack.pulumi("state", "taint", "--yes", urn)
    refused = stack.up(*(("--replace", urn) if means == "--replace" else ()), exit_code=1)
    (new,) = (each["id"] for each in emulator.state()["networkVolumes"] if each["id"] != old)
    for outcome in (refused, stack.up(exit_code=1)):  # also in another run, where nothing is created
        (said, *_) = outcome.said("error")
        assert f"{old!r} stays with all of its data, although {new!r} has replaced it" in said
        assert f"run `pulumi state delete '{urn}'`" in said
    _choose(stack, ["state", "delete", "--yes", urn], f'"{old}" (Pending Deletion)')
    assert stack.up("--expect-no-changes").summary["same"] > 0
    assert {each["id"] for each in emulator.state()["networkVolumes"]} == {old, new}
    stack.write({"models": volume(size=20, deletionProtection=False)})
    stack.up()
    stack.destroy()
    assert [each["id"] for each in emulator.state()["networkVolumes"]] == [old]


def _choose(stack: Stack, command: list[str], wanted: str) -> None:
    """Answer a question of the CLI in a terminal with the line that is wanted."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["pulumi", "--color=never", *command],
        cwd=stack.directory,
        env={**stack.environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, has_moved = "", False
    while f"> {wanted}" not in shown:
        shown += os.read(ours, 65536).decode()
        if f"  {wanted}" in shown and not has_moved:
            has_moved = True
            os.write(ours, b"\x1b[B")
    os.write(ours, b"\r")
    assert process.wait(60) == 0, shown
    os.close(ours)
