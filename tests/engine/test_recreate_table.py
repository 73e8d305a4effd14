"""What a change of each property does, as the real engine plans it, under both update strategies.

One stack holds a resource for each case and strategy, so that one preview plans them all. What is expected is written here and not
taken from the markers: the markers say only which cases there must be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine.harness import Outcome, Stack
from engine.programs import IMAGE, endpoint, hurried, registry, template, volume
from runpod_serverless_provider.core.model import Recreates, facts
from runpod_serverless_provider.core.values import render_path
from runpod_serverless_provider.resources import RESOURCES

if TYPE_CHECKING:
    from runpod_emulator.running import Running
    from runpod_serverless_provider.core.resource import Resource

ENDPOINT_RECREATES: Final = frozenset(
    "gpu gpuCount cpu image volume datacenter flashboot "  # the list of Flash's parameter reference
    "type templateId pythonVersion minCudaVersion allowedCudaVersions "
    "template.containerDiskInGb template.args template.ports template.registryAuthId template.image".split()
)
NEVER_IN_PLACE: Final = frozenset({"type", "templateId"})
VOLUME_RECREATES: Final = frozenset({"datacenter", "type"})
REGISTRY_RECREATES: Final = frozenset({"name", "username", "password"})


@dataclass(frozen=True)
class Case:
    """One change of one property: the properties before and after, and the kind of each change by the path that the plan shows.

    `follows` are defaults that change along. `recreated` names the paths that recreate even in place.
    """

    path: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    changes: Mapping[str, str]
    follows: Mapping[str, str] = field(default_factory=dict)
    recreated: frozenset[str] = NEVER_IN_PLACE

    def __str__(self) -> str:
        return f"{self.path} {'-'.join(self.changes.values())}"


def _sets(
    path: str, *, without: Any = None, before: Any, after: Any, shown: str | None = None, is_clearable: bool = True
) -> list[Case]:
    """Give three cases of a property that may be absent: it is added, changed and removed. `without` is what surrounds it.

    What a PATCH cannot take away is not `is_clearable`.
    """
    around = dict(without or {})
    absent, old, new = around, _put(around, path, before), _put(around, path, after)
    shown = shown or path
    return [
        Case(path, absent, old, {shown: "add"}),
        Case(path, old, new, {shown: "update"}),
        Case(path, new, absent, {shown: "delete"}, recreated=frozenset() if is_clearable else frozenset({shown})),
    ]


def _put(properties: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    inner = _put(properties.get(name, {}), rest, value) if rest else value
    return {**properties, name: inner}


def _change(path: str, before: Any, after: Any, **around: Any) -> Case:
    return Case(path, _put(around, path, before), _put(around, path, after), {path: "update"})


DISK: Final = {"template": {"containerDiskInGb": 10}}
EVERYWHERE: Final = {"datacenter": ["EU-RO-1", "US-CA-2"]}
FROM_TEMPLATE: Final = {"image": None, "templateId": "template-1"}

ENDPOINT_CASES: Final = [
    _change("name", "first", "second"),
    Case("type", {"type": "QUEUE"}, {"type": "LOAD_BALANCER"}, {"type": "update"}, follows={"scalerType": "update"}),
    _change("cpu", "cpu3c-2-4", "cpu3c-4-8", **DISK),
    _change("cpu", ["cpu3c-2-4"], ["cpu3c-2-4", "cpu5c-2-4"], **DISK),
    Case(
        "cpu",
        {"gpu": "any", **DISK},
        {"cpu": "cpu3c-2-4", **DISK},
        {"gpu": "delete", "cpu": "add"},
        follows={"gpuCount": "delete"},
        recreated=frozenset({"gpu", "gpuCount", "cpu"}),
    ),
    _change("gpu", "any", "ADA_24"),
    _change("gpu", "ADA_24", ["ADA_24", "NVIDIA A40"]),
    Case("gpu", {}, {"gpu": "ADA_24"}, {"gpu": "update"}),
    Case(
        "gpu",
        {"cpu": "cpu3c-2-4", **DISK},
        {"gpu": "any", **DISK},
        {"gpu": "add", "cpu": "delete"},
        follows={"gpuCount": "add"},
        recreated=frozenset({"gpu", "cpu"}),
    ),
    _change("gpuCount", 1, 2),
    *_sets("volume", before="volume-ro", after="volume-ca", without=EVERYWHERE),
    _change("volume", "volume-ro", ["volume-ro", "volume-ca"], **EVERYWHERE),
    _change("datacenter", "EU-RO-1", "US-CA-2"),
    _change("datacenter", "EU-RO-1", "any"),
    _change("datacenter", ["EU-RO-1"], ["EU-RO-1", "US-CA-2"]),
    _change("workers", 1, 2),
    _change("workers.min", 0, 1, workers={"max": 1}),
    _change("workers.max", 1, 2, workers={"min": 1}),
    Case(
        "scalerType",
        {"scalerType": "QUEUE_DELAY"},
        {"scalerType": "REQUEST_COUNT"},
        {"scalerType": "update"},
        {"idleTimeout": "delete"},
    ),
    _change("scalerValue", 4, 2.5),
    _change("idleTimeout", 60, 120),
    _change("executionTimeoutMs", 0, 5000),
    _change("flashboot", True, False),
    _change("flashboot", "FLASHBOOT", "PRIORITY_FLASHBOOT"),
    _change("templateId", "template-1", "template-2", image=None),
    *_sets("template.containerDiskInGb", before=80, after=90, without=FROM_TEMPLATE, is_clearable=False),
    _change("template.containerDiskInGb", 64, 80),
    *_sets("template.env", before={"A": "1"}, after={"A": "2"}, shown="template.env.A"),
    *_sets("template.args", before="--fast", after="--slow"),
    *_sets("template.ports", before=["8000/http"], after=["8000/http", "22/tcp"]),
    *_sets("template.registryAuthId", before="registry-1", after="registry-2"),
    _change("template.image", "me/other:1", "me/other:2", image=None),
    Case(
        "pythonVersion", {"image": None}, {"image": None, "pythonVersion": "3.11"}, {"pythonVersion": "update"}, {"image": "update"}
    ),
    _change("image", IMAGE, "me/worker:2"),
    *_sets("allowedCudaVersions", before=["12.8"], after=["12.8", "12.9"]),
    *_sets("minCudaVersion", before="12.4", after="12.8"),
    *_sets("env", before={"A.B": "1"}, after={"A.B": "2"}, shown='env["A.B"]'),
    _change("updateStrategy", "inPlace", "replace"),
    *_sets("waitForReady", without={"workers": {"min": 1, "max": 1}}, before=60, after=120),
    _change("drainSeconds", 0, 60),
    *_sets("dependencies", before=["numpy"], after=["numpy", "torch"]),
    *_sets("systemDependencies", before=["ffmpeg"], after=["ffmpeg", "sox"]),
    _change("accelerateDownloads", True, False),
]
"""The cases of an endpoint. `image` is `IMAGE` where nothing is said."""

VOLUME_CASES: Final = [
    _change("name", "first", "second"),
    _change("size", 10, 20),
    _change("datacenter", "EU-RO-1", "US-KS-2"),
    _change("type", "STANDARD", "HIGH_PERFORMANCE"),
    Case("type", {}, {"type": "HIGH_PERFORMANCE"}, {"type": "add"}),
    _change("adoptExisting", False, True, name="to-adopt"),
    _change("deletionProtection", False, True),
]

ENDPOINT_SAME: Final = {
    "gpu as a list": ({"gpu": "ADA_24"}, {"gpu": ["ADA_24"]}),
    "gpu in another order": ({"gpu": ["ADA_24", "NVIDIA A40"]}, {"gpu": ["NVIDIA A40", "ADA_24"]}),
    "gpu as the default": ({}, {"gpu": "any"}),
    "cpu as a list": ({"cpu": "cpu3c-2-4"}, {"cpu": ["cpu3c-2-4"]}),
    "cpu in another order": ({"cpu": ["cpu3c-2-4", "cpu5c-2-4"]}, {"cpu": ["cpu5c-2-4", "cpu3c-2-4"]}),
    "cpu with another memory": ({"cpu": "cpu3c-2-4"}, {"cpu": "cpu3c-2-16"}),
    "volume as a list": ({"volume": "volume-ro", **EVERYWHERE}, {"volume": ["volume-ro"], **EVERYWHERE}),
    "volume in another order": (
        {"volume": ["volume-ca", "volume-ro"], **EVERYWHERE},
        {"volume": ["volume-ro", "volume-ca"], **EVERYWHERE},
    ),
    "datacenter as a list": ({"datacenter": "EU-RO-1"}, {"datacenter": ["EU-RO-1"]}),
    "datacenter in another order": (EVERYWHERE, {"datacenter": ["US-CA-2", "EU-RO-1"]}),
    "datacenter as the enum's member": ({"datacenter": "EU-RO-1"}, {"datacenter": "EU_RO_1"}),
    "workers as an object": ({"workers": 5}, {"workers": {"min": 0, "max": 5}}),
    "workers as the default": ({}, {"workers": 1}),
    "flashboot as a word": ({"flashboot": True}, {"flashboot": "FLASHBOOT"}),
    "flashboot off": ({"flashboot": False}, {"flashboot": "OFF"}),
    "scalerValue with a point": ({"scalerValue": 4}, {"scalerValue": 4.0}),
    "template.env as a list": ({"template": {"env": {"A": "1"}}}, {"template": {"env": [{"key": "A", "value": "1"}]}}),
    "template.ports in another order": (
        {"template": {"ports": ["8000/http", "22/tcp"]}},
        {"template": {"ports": ["22/tcp", "8000/http"]}},
    ),
    "allowedCudaVersions in another order": ({"allowedCudaVersions": ["12.8", "12.9"]}, {"allowedCudaVersions": ["12.9", "12.8"]}),
    "an empty env": ({}, {"env": {}}),
    "every default said": (
        {},
        {
            "gpu": "any",
            "gpuCount": 1,
            "workers": {"min": 0, "max": 1},
            "idleTimeout": 60,
            "executionTimeoutMs": 0,
            "type": "QUEUE",
            "scalerType": "QUEUE_DELAY",
            "scalerValue": 4,
            "datacenter": "EU-RO-1",
            "flashboot": True,
            "template": {"containerDiskInGb": 64},
            "updateStrategy": "replace",
            "accelerateDownloads": True,
        },
    ),
    "the managed image said": ({"image": None}, {"image": "runpod/flash:py3.12-latest", "minCudaVersion": "12.8"}),
}
VOLUME_SAME: Final = {
    "every default said": ({}, {"size": 100, "datacenter": "EU-RO-1", "adoptExisting": False}),
    "type as the data center's": ({}, {"type": "STANDARD"}),
    "datacenter as the enum's member": ({}, {"datacenter": "EU_RO_1"}),
}


TEMPLATE_CASES: Final = [
    _change("name", "first", "second"),
    _change("category", "NVIDIA", "CPU"),
    _change("image", IMAGE, "me/worker:2"),
    _change("containerDiskInGb", 64, 80),
    *_sets("env", before={"A": "1"}, after={"A": "2"}, shown="env.A"),
    *_sets("args", before="--fast", after="--slow"),
    *_sets("ports", before=["8000/http"], after=["8000/http", "22/tcp"]),
    *_sets("registryAuthId", before="registry-1", after="registry-2"),
    _change("public", False, True),
    *_sets("allowedCudaVersions", before=["12.8"], after=["12.8", "12.9"]),
]
TEMPLATE_SAME: Final = {
    "every default said that endpoints do not see": ({}, {"category": "NVIDIA", "public": False, "serverless": True}),
    "env as a list": ({"env": {"A": "1"}}, {"env": [{"key": "A", "value": "1"}]}),
    "ports in another order": ({"ports": ["8000/http", "22/tcp"]}, {"ports": ["22/tcp", "8000/http"]}),
}
TEMPLATE_TOLD: Final = {
    "containerDiskInGb": ({}, {"containerDiskInGb": 64}),
    "image": ({"image": None}, {"image": "runpod/flash:py3.12-latest"}),
}
REGISTRY_CASES: Final = [
    _change("name", "first", "second"),
    _change("username", "me", "you"),
    _change("password", "sesame", "poppy"),
]


@dataclass(frozen=True)
class Table:
    """What is said here of one resource: how to state it, its cases, what is no change, and what recreates it (also in place).

    `told` are defaults, by property, that an output repeats once the program states them.
    """

    state: Callable[..., dict[str, Any]]
    cases: list[Case]
    same: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    recreates: frozenset[str]
    never_in_place: frozenset[str]
    strategies: tuple[str, ...] = ("replace",)
    told: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)

    def resources(self, name: str, *, is_after: bool) -> dict[str, Any]:
        """State one resource for each case and strategy, and for each spelling."""
        stated: dict[str, Any] = {}
        for index, case in enumerate(self.cases):
            for strategy in self.strategies:
                given = {"updateStrategy": strategy} if len(self.strategies) > 1 else {}
                stated[f"{name}-{index}-{strategy}"] = self.state(**{**given, **(case.after if is_after else case.before)})
        for index, (before, after) in enumerate(self.same.values()):
            stated[f"{name}-same-{index}"] = self.state(**(after if is_after else before))
        for path, (before, after) in self.told.items():
            stated[f"{name}-told-{path}"] = self.state(**(after if is_after else before))
        return stated


CONSTANTS: Final = {("serverless",)}
"""Properties with one value alone, which only drift."""
TABLES: Final = {
    "Endpoint": Table(endpoint, ENDPOINT_CASES, ENDPOINT_SAME, ENDPOINT_RECREATES, NEVER_IN_PLACE, ("replace", "inPlace")),
    "NetworkVolume": Table(volume, VOLUME_CASES, VOLUME_SAME, VOLUME_RECREATES, VOLUME_RECREATES),
    "PodTemplate": Table(template, TEMPLATE_CASES, TEMPLATE_SAME, frozenset(), frozenset(), told=TEMPLATE_TOLD),
    "Registry": Table(registry, REGISTRY_CASES, {}, REGISTRY_RECREATES, REGISTRY_RECREATES),
}


@pytest.fixture(scope="module")
def plan(shared: tuple[Stack, Running]) -> Outcome:
    """Bring every case up as it is before, and give the plan of all changes."""
    stack, emulator = shared
    emulator.seed(
        networkVolumes=[{"id": "volume-ro", "dataCenter": "EU-RO-1"}, {"id": "volume-ca", "dataCenter": "US-CA-2"}],
        templates=[{"id": "template-1"}, {"id": "template-2"}],
    )
    stack.write({key: value for name, table in TABLES.items() for key, value in table.resources(name, is_after=False).items()})
    with hurried(emulator):  # some wait for their workers
        stack.up()
    stack.write({key: value for name, table in TABLES.items() for key, value in table.resources(name, is_after=True).items()})
    emulator.clear_requests()
    planned = stack.preview()
    assert {entry["method"] for entry in emulator.requests()} <= {"GET"}
    return planned


def _expected(case: Case, recreates: frozenset[str]) -> tuple[list[str], dict[str, str]]:
    kinds = {
        path: f"{kind}-replace" if _declared(path) in recreates else kind for path, kind in {**case.changes, **case.follows}.items()
    }
    is_replaced = any(kind.endswith("-replace") for kind in kinds.values())
    return ["create-replacement", "replace", "delete-replaced"] if is_replaced else ["update"], kinds


def _declared(path: str) -> str:
    """Cut the key off a path into a map."""
    return path.partition(".env")[0] + ".env" if ".env." in path else path


def _planned(plan: Outcome, name: str) -> tuple[list[str], dict[str, str]]:
    steps = [step for step in plan.steps if step.name == name]
    return [step.op for step in steps], {path: kind for step in steps for path, kind in step.changes.items()}


@pytest.mark.parametrize(
    ("name", "index", "strategy"),
    [
        pytest.param(name, index, strategy, id=f"{name} {case} {strategy}")
        for name, table in TABLES.items()
        for index, case in enumerate(table.cases)
        for strategy in table.strategies
    ],
)
def test_a_changed_property(plan: Outcome, name: str, index: int, strategy: str) -> None:
    """Exactly the listed properties recreate a resource; under `inPlace` an endpoint is updated wherever the API can."""
    table, case = TABLES[name], TABLES[name].cases[index]
    is_in_place = case.after.get("updateStrategy", strategy) == "inPlace"
    expected = _expected(case, case.recreated if is_in_place else table.recreates)
    assert _planned(plan, f"{name}-{index}-{strategy}") == expected


@pytest.mark.parametrize("name", TABLES)
def test_another_spelling_is_no_change(plan: Outcome, name: str) -> None:
    """Another order or spelling, and a default that is now written out, plan nothing."""
    spellings = TABLES[name].same
    planned = {what: _planned(plan, f"{name}-same-{index}") for index, what in enumerate(spellings)}
    assert planned == dict.fromkeys(spellings, (["same"], {}))


@pytest.mark.parametrize("path", TEMPLATE_TOLD)
def test_a_default_that_a_template_states_is_an_update_of_its_settings(plan: Outcome, path: str) -> None:
    """They hold what the program states and no more, and endpoints learn of it by them; the API is not asked for anything."""
    assert _planned(plan, f"PodTemplate-told-{path}") == (["update"], {path: "update"})


@pytest.mark.parametrize("resource", RESOURCES, ids=[resource.name for resource in RESOURCES])
def test_every_marker_has_a_case(resource: Resource) -> None:
    """A resource or property without a case here fails, and so does a marker that says something else than this table."""
    table = TABLES[resource.name]
    tried = {case.path for case in table.cases}
    declared = {render_path(item.path): item for item in facts(resource.inputs) if item.path not in CONSTANTS}
    assert [path for path in declared if not any(f"{case}.".startswith(f"{path}.") for case in tried)] == []
    markers = {path: item.effect for path, item in declared.items() if isinstance(item.effect, Recreates)}
    assert set(markers) == table.recreates
    assert {path for path, effect in markers.items() if not effect.is_patchable} == table.never_in_place
