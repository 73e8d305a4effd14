"""Searches of Python programs: every example is clean, and the dynamic door's resources are compared like the native ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from drift.support import identifiers, paths, resource, search_one, with_hosts
from engine.harness import ROOT, Stack
from engine.programs import configure
from runpod_serverless_provider.drift import SECRET, CauseKind, PropertyDrift, StackReport, Up

if TYPE_CHECKING:
    from runpod_emulator.running import Running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the hosts are scripts for a POSIX shell")

EXAMPLES: Final = sorted(path.parent for path in (ROOT / "examples").glob("*/Pulumi.yaml"))
DYNAMIC: Final = """
import pulumi
from pulumi_runpod_serverless.dynamic import Endpoint, NetworkVolume, PodTemplate, Registry

token = pulumi.Output.secret("canary-1")
Endpoint("api", name="api", image="me/worker:1", workers=3, update_strategy="inPlace")
Endpoint("sealed", name="sealed", image="me/worker:1", env={"TOKEN": token, "LEVEL": "info"})
Endpoint("rotated", name="rotated", image="me/worker:1", env={"TOKEN": token})
Endpoint("lost", name="lost", image="me/worker:1")
NetworkVolume("models", name="models", size=20, deletion_protection=False)
PodTemplate("settings", name="settings", image="me/worker:1", env={"LEVEL": "info"})
Registry("login", name="login", username="me", password="canary-2")
Endpoint("recreated", image="me/worker:1", workers=2)
given = dict(image="me/worker:1", workers=3, env={"LEVEL": "info"})
for name in ("left", "partly"):
    Endpoint(name, name=name, opts=pulumi.ResourceOptions(ignore_changes=["workers", "env.LEVEL"]), **given)
"""


@pytest.mark.parametrize("folder", EXAMPLES, ids=[folder.name for folder in EXAMPLES])
def test_an_example_has_no_drift(stack: Stack, emulator: Running, tmp_path: Path, folder: Path) -> None:
    """What was brought up as it stands there and touched by nobody is clean; and nothing of it waits to be deployed."""
    shutil.copytree(folder, stack.directory, dirs_exist_ok=True)
    with_hosts(stack, tmp_path / "hosts")
    configure(stack, folder.name)
    stack.up()
    assert search_one(stack) == StackReport("dev", folder.name)


def test_the_dynamic_door_s_resources_drift_like_the_native_ones(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """By property where the engine shows values, and by the whole where it keeps them secret; `up` repairs them all."""
    (stack.directory / "Pulumi.yaml").write_text("name: harness\nruntime: python\n")
    (stack.directory / "__main__.py").write_text(DYNAMIC)
    with_hosts(stack, tmp_path / "hosts")
    emulator.set(worker_quota=100)
    stack.up()
    assert search_one(stack) == StackReport("dev", "harness")
    ids = identifiers(stack)
    emulator.mutate("endpoints", ids["api"], workers={"max": 2}, flashboot="OFF")
    emulator.mutate("endpoints", ids["sealed"], timeout=7000)
    emulator.mutate("endpoints", ids["rotated"], env={"TOKEN": "canary-3"})
    emulator.delete("endpoints", ids["lost"])
    emulator.mutate("networkVolumes", ids["models"], dataCenter="US-KS-2")
    emulator.mutate("templates", ids["settings"], disk=99)
    emulator.mutate("registries", ids["login"], name="theirs")
    emulator.mutate("endpoints", ids["recreated"], flashboot="OFF", workers={"max": 1})
    emulator.mutate("endpoints", ids["left"], workers={"max": 2}, env={"LEVEL": "debug"})
    emulator.mutate("endpoints", ids["partly"], workers={"max": 2}, timeout=7000)
    found = search_one(stack)
    assert paths(found) == {
        "api": ["flashboot", "workers.max"],
        "partly": ["executionTimeoutMs"],
        "recreated": ["flashboot", "workers.max"],
        "sealed": ["executionTimeoutMs"],
        "rotated": ["env"],
        "lost": [],
        "models": ["datacenter"],
        "settings": ["containerDiskInGb"],
        "login": ["name"],
    }
    assert resource(found, "rotated").properties == (PropertyDrift("env", SECRET, SECRET, is_secret=True, up=Up.UPDATE),)
    assert {item.name: (item.up, [each.up for each in item.properties]) for item in found.resources} == {
        "api": (Up.UPDATE, [Up.UPDATE, Up.UPDATE]),
        "partly": (Up.UPDATE, [Up.UPDATE]),
        "recreated": (Up.RECREATE, [Up.RECREATE, Up.UPDATE]),
        "sealed": (Up.UPDATE, [Up.UPDATE]),
        "rotated": (Up.UPDATE, [Up.UPDATE]),
        "lost": (Up.CREATE, []),
        "models": (Up.RECREATE, [Up.RECREATE]),
        "settings": (Up.UPDATE, [Up.UPDATE]),
        "login": (Up.RECREATE, [Up.RECREATE]),
    }
    assert [cause.kind for cause in resource(found, "api").causes] == [CauseKind.WORKERS_LOWERED]
    assert found.undeployed == ()
    assert "canary" not in repr(found)
    stack.up("--refresh")
    assert search_one(stack) == StackReport("dev", "harness")


INHERITING: Final = """
from {door} import Endpoint

for name in ("changed", "gone", "added", "bare"):
    Endpoint(name, name=name, template_id="template-1", **({{}} if name == "bare" else {{"env": {{"A": "1"}}}}))
"""


@pytest.mark.parametrize("door", ["pulumi_runpod_serverless", "pulumi_runpod_serverless.dynamic"])
def test_what_a_template_brought_was_not_added_by_hand(stack: Stack, emulator: Running, tmp_path: Path, door: str) -> None:
    """The state has such a variable, if not among the inputs: it is another one now, or gone. What is new is told from it."""
    (stack.directory / "Pulumi.yaml").write_text("name: harness\nruntime: python\n")
    (stack.directory / "__main__.py").write_text(INHERITING.format(door=door))
    with_hosts(stack, tmp_path / "hosts")
    emulator.set(worker_quota=100)
    brought = {"T": "canary-1", "U": "canary-2"}
    emulator.seed(templates=[{"id": "template-1", "name": "theirs", "image": "me/worker:1", "env": brought}])
    stack.up()
    assert search_one(stack) == StackReport("dev", "harness")
    ids = identifiers(stack)
    emulator.mutate("endpoints", ids["changed"], env={"A": "1", **brought, "T": "canary-3"})
    emulator.mutate("endpoints", ids["gone"], env={"A": "1", "T": "canary-1"})
    emulator.mutate("endpoints", ids["added"], env={"A": "1", **brought, "N": "canary-4"})
    emulator.mutate("endpoints", ids["bare"], env={**brought, "T": "canary-5"})
    found = search_one(stack)
    shown = {item.name: [(each.path, each.in_state, each.at_runpod) for each in item.properties] for item in found.resources}
    is_native = not door.endswith("dynamic")  # the other door keeps secrets whole
    assert shown == {
        "changed": [("env.T" if is_native else "env", SECRET, SECRET)],
        "gone": [("env.U", SECRET, None)],
        "added": [("env.N", None, SECRET)] if is_native else [("env", SECRET, SECRET)],
        "bare": [("env.T" if is_native else "env", SECRET, SECRET)],
    }
    kinds = {item.name: [cause.kind for cause in item.causes] for item in found.resources}
    assert kinds == {"changed": [], "gone": [], "added": [CauseKind.ENV_ADDED] if is_native else [], "bare": []}
    assert {item.up for item in found.resources} == {Up.UPDATE}
    assert "canary" not in repr(found)
    stack.up("--refresh")
    assert search_one(stack) == StackReport("dev", "harness")
    assert all(item["env"].items() >= brought.items() and "N" not in item["env"] for item in emulator.state()["endpoints"])
