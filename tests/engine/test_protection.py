"""A network volume holds what cannot be had again: it refuses to go until its protection was lifted by an `up` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.harness import Outcome, Stack
from engine.programs import VOLUME, sent, volume

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
    assert _refuses(stack.destroy(exit_code=None))
    stack.write()
    assert _refuses(stack.up(exit_code=None))
    assert sent(emulator) == []
    assert len(emulator.state()["networkVolumes"]) == 1


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
