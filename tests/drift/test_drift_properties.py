"""Each property that Runpod can tell: a change behind the state's back is found as exactly that property, and `up` repairs it.

One stack holds a resource for each property (an endpoint for each update strategy), so that one search finds all that was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from drift.support import identifiers, paths, resource, search_one
from engine.harness import Stack
from engine.programs import IMAGE, endpoint, volume
from runpod_serverless_provider.core.model import Facts, Recreates
from runpod_serverless_provider.core.naming import is_generated
from runpod_serverless_provider.core.values import render_path
from runpod_serverless_provider.drift import Up
from runpod_serverless_provider.resources import RESOURCES

if TYPE_CHECKING:
    from runpod_emulator.running import Running

KINDS: Final = {"Endpoint": "endpoints", "NetworkVolume": "networkVolumes", "PodTemplate": "templates", "Registry": "registries"}
STRATEGIES: Final = ("replace", "inPlace")


@dataclass(frozen=True)
class Case:
    """One property: what a program says of it, and what somebody does to the API's object. `shown` is the path where it is a longer one."""

    path: str
    said: Mapping[str, Any]
    done: Mapping[str, Any]
    shown: str = ""


ON_CPU: Final = {"cpu": "cpu3c-2-4", "template": {"containerDiskInGb": 10}}
CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "Endpoint": (
        Case("name", {"name": "mine"}, {"name": "theirs"}),
        Case("name", {}, {"name": "theirs-2"}),
        Case("type", {}, {"type": "LOAD_BALANCER"}),
        Case("cpu", ON_CPU, {"cpu": [{"id": "cpu3c", "vcpuCount": 4}]}),
        Case("gpu", {"gpu": "AMPERE_24"}, {"gpu": {"pools": ["ADA_24"]}}),
        Case("gpuCount", {"gpuCount": 1}, {"gpu": {"count": 2}}),
        Case("volume", {"volume": "volume-1"}, {"networkVolumes": ["volume-2"]}),
        Case("datacenter", {"datacenter": "EU-RO-1"}, {"dataCenterIds": ["US-CA-2"]}),
        Case("workers.min", {"workers": {"min": 0, "max": 2}}, {"workers": {"min": 1}}),
        Case("workers.max", {"workers": 3}, {"workers": {"max": 4}}),
        # The other way round, the API would no longer tell the idle time-out either.
        Case("scalerType", {"scalerType": "REQUEST_COUNT"}, {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}),
        Case("scalerValue", {"scalerValue": 2.5}, {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 7}}),
        Case("idleTimeout", {}, {"workers": {"idleTimeout": 5}}),
        Case("executionTimeoutMs", {"executionTimeoutMs": 5000}, {"timeout": 6000}),
        Case("flashboot", {"flashboot": True}, {"flashboot": "OFF"}),
        Case("template.containerDiskInGb", {}, {"disk": 99}),
        Case("template.env", {"template": {"env": {"A": "1"}}}, {"env": {"A": "2"}}, shown="template.env.A"),
        Case("template.args", {"template": {"args": "--fast"}}, {"args": "--slow"}),
        Case("template.ports", {"template": {"ports": ["8000/http", "22/tcp"]}}, {"ports": ["8000/http"]}),
        Case("template.registryAuthId", {"template": {"registryAuthId": "registry-1"}}, {"registry": "registry-2"}),
        Case("template.image", {"image": None, "template": {"image": IMAGE}}, {"image": "other/image:1"}),
        Case("image", {}, {"image": "other/image:1"}),
        Case("allowedCudaVersions", {"allowedCudaVersions": ["12.8"]}, {"gpu": {"allowedCudaVersions": ["12.9"]}}),
        Case("minCudaVersion", {"minCudaVersion": "12.4"}, {"gpu": {"minCudaVersion": "12.8"}}),
        Case("env", {"env": {"A.B": "1"}}, {"env": {"A.B": "2"}}, shown='env["A.B"]'),
    ),
    "NetworkVolume": (
        Case("name", {"name": "mine"}, {"name": "theirs"}),
        Case("name", {}, {"name": "theirs-2"}),
        Case("size", {"size": 50}, {"size": 20}),
        Case("datacenter", {}, {"dataCenter": "US-KS-2"}),
        Case("type", {"type": "STANDARD"}, {"type": "HIGH_PERFORMANCE"}),
    ),
    "PodTemplate": (
        Case("name", {"name": "mine"}, {"name": "theirs"}),
        Case("name", {}, {"name": "theirs-2"}),
        Case("category", {"category": "NVIDIA"}, {"category": "CPU"}),
        Case("image", {}, {"image": "other/image:1"}),
        Case("containerDiskInGb", {}, {"disk": 99}),
        Case("env", {"env": {"A": "1"}}, {"env": {"A": "2"}}, shown="env.A"),
        Case("args", {"args": "--fast"}, {"args": "--slow"}),
        Case("ports", {"ports": ["22/tcp"]}, {"ports": ["23/tcp"]}),
        Case("registryAuthId", {"registryAuthId": "registry-1"}, {"registry": "registry-2"}),
        Case("public", {}, {"public": True}),
        Case("serverless", {}, {"serverless": False}),
        Case("allowedCudaVersions", {"allowedCudaVersions": ["12.8"]}, {"allowedCudaVersions": ["12.9"]}),
    ),
    "Registry": (Case("name", {"name": "mine"}, {"name": "theirs"}), Case("name", {}, {"name": "theirs-2"})),
}


def _facts() -> dict[tuple[str, str], Facts]:
    """Give what the markers say of each property whose value the API tells."""
    return {
        (kind.name, render_path(item.path)): item
        for kind in RESOURCES
        for item in kind.facts
        if item.is_sent and (item.at.is_read or item.path == ("gpu",))  # `gpu` is read from pools and exclusions
    }


def _each() -> Iterator[tuple[str, Case, str, str]]:
    """Yield kind, case, strategy and the name in the program."""
    for kind, cases in CASES.items():
        for index, case in enumerate(cases):
            for strategy in STRATEGIES if kind == "Endpoint" else STRATEGIES[:1]:
                yield kind, case, strategy, f"{kind}-{index}-{strategy}"


EACH: Final = tuple(_each())


def _program() -> dict[str, Any]:
    program: dict[str, Any] = {}
    for kind, case, strategy, name in EACH:
        said = {**case.said, **({"name": f"{name}-{case.said['name']}"} if "name" in case.said else {})}
        if kind == "Endpoint":
            program[name] = endpoint(updateStrategy=strategy, **said)
        elif kind == "NetworkVolume":
            program[name] = volume(**said)
        else:
            needed = {"image": IMAGE} if kind == "PodTemplate" else {"username": "me", "password": {"fn::secret": "sesame-1"}}
            program[name] = {"type": f"runpod-serverless:index:{kind}", "properties": {**needed, **said}}
    return program


def _live(emulator: Running, stack: Stack) -> dict[str, dict[str, Any]]:
    """Give the objects as they are stored, by the names in the program."""
    ids, stored = identifiers(stack), emulator.state()["stored"]
    by_id = {(kind, item["id"]): item for kind in KINDS.values() for item in stored[kind]}
    return {name: by_id[KINDS[kind], ids[name]] for kind, _, _, name in EACH}


@pytest.fixture(scope="module")
def story(shared: tuple[Stack, Running]) -> dict[str, Any]:
    """Bring all up, change all, search, repair, and search again."""
    stack, emulator = shared
    emulator.seed(networkVolumes=[{"id": "volume-1"}, {"id": "volume-2"}])
    stack.write(_program())
    stack.up()
    told: dict[str, Any] = {"clean": search_one(stack), "before": _live(emulator, stack)}
    for kind, case, _, name in EACH:
        emulator.mutate(KINDS[kind], told["before"][name]["id"], **case.done)
    told["drifted"] = search_one(stack)
    told["alone"] = search_one(stack, with_program=False)
    stack.up("--refresh")
    told["repaired"], told["after"] = search_one(stack), _live(emulator, stack)
    return told


def test_every_property_that_the_api_tells_has_a_case() -> None:
    """A property that is new in a model fails here until somebody says how it drifts."""
    leaves = {(kind, path) for kind, path in _facts() if (kind, path) != ("Endpoint", "workers")}
    assert {(kind, case.path) for kind, cases in CASES.items() for case in cases} == leaves


def test_what_nobody_touched_is_no_drift(story: dict[str, Any]) -> None:
    """Neither before, nor after `up` has repaired what was touched; and nothing waits to be deployed."""
    for moment in ("clean", "repaired"):
        assert (paths(story[moment]), story[moment].undeployed, story[moment].up_unknown) == ({}, (), "")


def test_each_change_is_found_as_exactly_that_property(story: dict[str, Any]) -> None:
    """No more and no less, with the program and without it."""
    expected = {name: [case.shown or case.path] for _, case, _, name in EACH}
    assert paths(story["drifted"]) == expected
    assert paths(story["alone"]) == expected
    assert story["drifted"].undeployed == ()


@pytest.mark.parametrize(("kind", "case", "strategy", "name"), EACH, ids=[name for *_, name in EACH])
def test_what_up_would_do_follows_from_the_marker(story: dict[str, Any], kind: str, case: Case, strategy: str, name: str) -> None:
    """A property that recreates says so before anybody runs `up`; under `inPlace`, only what the API cannot patch."""
    effect = _facts()[kind, case.path].effect
    recreates = isinstance(effect, Recreates) and (strategy == "replace" or not effect.is_patchable)
    found = resource(story["drifted"], name)
    up = Up.RECREATE if recreates else Up.UPDATE
    assert (found.up, found.properties[0].up) == (up, up)
    alone = resource(story["alone"], name)
    assert (alone.up, alone.properties[0].up) == (None, None)
    values = found.properties[0].in_state, found.properties[0].at_runpod
    assert values[0] != values[1]
    assert None not in values


@pytest.mark.parametrize(("kind", "case", "strategy", "name"), EACH, ids=[name for *_, name in EACH])
def test_up_repairs_it(story: dict[str, Any], kind: str, case: Case, strategy: str, name: str) -> None:
    """What was changed is as it was, in a new resource where it was recreated and in the old one where not.

    Only a resource that is recreated gets another name where the program gives none.
    """
    before, after = dict(story["before"][name]), story["after"][name]
    is_recreated = resource(story["drifted"], name).up is Up.RECREATE
    assert (after["id"] != before["id"]) == is_recreated
    if is_recreated and "name" in case.done and "name" not in case.said:
        assert is_generated(after["name"], name, 191) and after["name"] != before.pop("name")
        return
    assert {key: after[key] for key in case.done} == {key: before[key] for key in case.done}


def test_why_the_program_was_not_asked_is_said(story: dict[str, Any]) -> None:
    """An empty column has its reason."""
    assert story["alone"].up_unknown == "the program was not asked"
