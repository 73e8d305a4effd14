"""What a change of each property does, alone and under both strategies. The engine's own plan is held against the same facts elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from runpod_serverless_provider.core.model import Facts, Recreates, StateOnly
from runpod_serverless_provider.core.values import render_path
from runpod_serverless_provider.resources import RESOURCES
from unit.support import Life, World

IMAGE: Final = {"image": "me/worker:1"}
GPU: Final = {**IMAGE, "gpu": "ADA_24"}
STRATEGIES: Final = ("replace", "inPlace")


@dataclass(frozen=True)
class Case:
    """A program before and after, and what the change does under `replace` and under `inPlace`; `also` are paths that follow."""

    kind: str
    path: str
    before: dict[str, Any]
    after: dict[str, Any]
    under_replace: str
    under_in_place: str = ""
    also: tuple[str, ...] = ()
    seeds: dict[str, Any] = field(default_factory=dict)

    def does(self, strategy: str) -> str:
        return self.under_in_place or self.under_replace if strategy == "inPlace" else self.under_replace

    def __str__(self) -> str:
        return f"{self.kind}.{self.path}"


def _endpoint(
    path: str, before: Any, after: Any, *does: str, also: tuple[str, ...] = (), seeds: Any = None, **context: Any
) -> Case:
    """Make a case from two values of one property; None leaves it out."""

    def program(value: Any) -> dict[str, Any]:
        outer, _, inner = path.partition(".")
        if value is None:
            return context
        return {**context, outer: {**context.get(outer, {}), inner: value}} if inner else {**context, outer: value}

    return Case("Endpoint", path, program(before), program(after), *does, also=also, seeds=seeds or {})


VOLUMES: Final = {"networkVolumes": [{"id": "vol0one"}, {"id": "vol0two"}]}
TEMPLATES: Final = {"templates": [{"id": "tmpl0one", "name": "one"}, {"id": "tmpl0two", "name": "two"}]}
REGISTRIES: Final = {"registries": [{"id": "reg0one"}, {"id": "reg0two"}]}
SMALL: Final = {"template": {"containerDiskInGb": 20}}

CASES: Final = [
    _endpoint("name", "a", "b", "update", **GPU),
    _endpoint("type", "QUEUE", "LOAD_BALANCER", "replace", "replace", also=("scalerType",), **GPU),
    _endpoint("cpu", "cpu3c-2-4", "cpu5c-4-8", "replace", "update", **IMAGE, **SMALL),
    _endpoint("gpu", "ADA_24", "AMPERE_80", "replace", "update", **IMAGE),
    _endpoint("gpuCount", 1, 2, "replace", "update", **GPU),
    _endpoint("minCudaVersion", "12.4", "12.8", "replace", "update", **GPU),
    _endpoint("allowedCudaVersions", ["12.8"], ["12.8", "12.9"], "replace", "update", **GPU),
    _endpoint("volume", "vol0one", "vol0two", "replace", "update", seeds=VOLUMES, **GPU),
    _endpoint("datacenter", "EU-RO-1", "US-KS-2", "replace", "update", **GPU),
    _endpoint("workers", 1, 3, "update", **GPU),
    _endpoint("workers.min", 0, 1, "update", workers={"max": 2}, **GPU),
    _endpoint("workers.max", 2, 3, "update", workers={"min": 1}, **GPU),
    _endpoint("idleTimeout", 60, 90, "update", **GPU),
    _endpoint("executionTimeoutMs", 0, 600_000, "update", **GPU),
    _endpoint("scalerType", "QUEUE_DELAY", "REQUEST_COUNT", "update", also=("idleTimeout",), **GPU),
    _endpoint("scalerValue", 4, 2.5, "update", **GPU),
    _endpoint("flashboot", True, False, "replace", "update", **GPU),
    _endpoint("image", "me/worker:1", "me/worker:2", "replace", "update", gpu="ADA_24"),
    _endpoint("pythonVersion", "3.12", "3.11", "replace", "update", also=("image",), gpu="ADA_24"),
    _endpoint("env", {"A": "1"}, {"A": "2"}, "update", **GPU),
    _endpoint("template", {"env": {"A": "1"}, "args": "x"}, {"env": {"A": "1"}, "args": "y"}, "replace", "update", **GPU),
    _endpoint("template.containerDiskInGb", 64, 100, "replace", "update", **GPU),
    _endpoint("template.env", {"A": "1"}, {"A": "2"}, "update", **GPU),
    _endpoint("template.args", "serve", "serve --fast", "replace", "update", **GPU),
    _endpoint("template.ports", ["8000/http"], ["8001/http"], "replace", "update", **GPU),
    _endpoint("template.registryAuthId", "reg0one", "reg0two", "replace", "update", seeds=REGISTRIES, **GPU),
    _endpoint("template.image", "me/worker:1", "me/worker:2", "replace", "update", gpu="ADA_24"),
    _endpoint("updateStrategy", "replace", "inPlace", "state", **GPU),
    _endpoint("templateId", "tmpl0one", "tmpl0two", "replace", "replace", seeds=TEMPLATES, gpu="ADA_24"),
    _endpoint("dependencies", ["torch"], ["torch==2.8"], "state", **GPU),
    _endpoint("waitForReady", 600, 700, "state", **GPU, workers={"min": 1, "max": 1}),
    _endpoint("drainSeconds", 0, 60, "state", **GPU),
    _endpoint("systemDependencies", ["ffmpeg"], ["ffmpeg", "git"], "state", **GPU),
    _endpoint("accelerateDownloads", True, False, "state", **GPU),
    Case("NetworkVolume", "name", {"name": "a"}, {"name": "b"}, "update"),
    Case("NetworkVolume", "size", {"size": 10}, {"size": 20}, "update"),
    Case(
        "NetworkVolume",
        "datacenter",
        {"datacenter": "EU-RO-1", "deletionProtection": False},
        {"datacenter": "US-KS-2", "deletionProtection": False},
        "replace",
    ),
    Case(
        "NetworkVolume",
        "type",
        {"type": "STANDARD", "deletionProtection": False},
        {"type": "HIGH_PERFORMANCE", "deletionProtection": False},
        "replace",
    ),
    Case("NetworkVolume", "adoptExisting", {"name": "v"}, {"name": "v", "adoptExisting": True}, "state"),
    Case("NetworkVolume", "deletionProtection", {}, {"deletionProtection": False}, "state"),
    Case("PodTemplate", "name", {"name": "a"}, {"name": "b"}, "update"),
    Case("PodTemplate", "category", IMAGE, {**IMAGE, "category": "AMD"}, "update"),
    Case("PodTemplate", "image", {"image": "me/worker:1"}, {"image": "me/worker:2"}, "update"),
    Case("PodTemplate", "containerDiskInGb", {}, {"containerDiskInGb": 20}, "update"),
    Case("PodTemplate", "env", {"env": {"A": "1"}}, {"env": {"A": "2"}}, "update"),
    Case("PodTemplate", "args", {"args": "x"}, {"args": "y"}, "update"),
    Case("PodTemplate", "ports", {"ports": ["80/http"]}, {"ports": ["81/http"]}, "update"),
    Case("PodTemplate", "registryAuthId", {"registryAuthId": "reg0one"}, {"registryAuthId": "reg0two"}, "update", seeds=REGISTRIES),
    Case("PodTemplate", "public", {}, {"public": True}, "update"),
    Case("PodTemplate", "allowedCudaVersions", {"allowedCudaVersions": ["12.8"]}, {"allowedCudaVersions": ["12.6"]}, "update"),
    *(
        Case(
            "Registry",
            name,
            {"username": "u", "password": "p", name: "a"},
            {"username": "u", "password": "p", name: "b"},
            "replace",
        )
        for name in ("name", "username", "password")
    ),
]
SAME: Final = [
    ({"gpu": "ADA_24"}, {"gpu": ["ADA_24"]}),
    ({"gpu": ["ADA_24", "AMPERE_80"]}, {"gpu": ["AMPERE_80", "ADA_24", "ADA_24"]}),
    ({"gpu": "any"}, {}),
    ({"gpu": "ANY"}, {"gpu": ["any"]}),
    ({"cpu": "cpu3c-2-4"}, {"cpu": "cpu3c-2-16"}),
    ({"cpu": "cpu3c-2-4"}, {"cpu": ["cpu3c-2"]}),
    ({"cpu": ["cpu3c-2-4", "cpu3g-4-16"]}, {"cpu": ["cpu3g-4-16", "CPU3C-2-4"]}),
    ({"datacenter": "EU-RO-1"}, {"datacenter": "eu_ro_1"}),
    ({"datacenter": ["EU-RO-1", "US-KS-2"]}, {"datacenter": ["us_ks_2", "EU-RO-1"]}),
    ({"datacenter": "any"}, {"datacenter": ["Any"]}),
    ({"workers": 5}, {"workers": {"min": 0, "max": 5}}),
    ({"workers": {"max": 5}}, {"workers": 5}),
    ({"workers": 1}, {}),
    ({"scalerValue": 4}, {"scalerValue": 4.0}),
    ({"scalerValue": 4}, {}),
    ({"flashboot": True}, {"flashboot": "FLASHBOOT"}),
    ({"flashboot": False}, {"flashboot": "OFF"}),
    ({"template": {"env": {"A": "1", "B": "2"}}}, {"template": {"env": [{"key": "B", "value": "2"}, {"key": "A", "value": "1"}]}}),
    ({"template": {"containerDiskInGb": 64}}, {}),
    ({"template": {"ports": ["80/http", "22/tcp"]}}, {"template": {"ports": ["22/tcp", "80/http"]}}),
    ({"template": {"env": {}}, "env": {}}, {}),
    ({"allowedCudaVersions": ["12.8", "12.6"]}, {"allowedCudaVersions": ["12.6", "12.8"]}),
    ({"volume": "vol0one"}, {"volume": ["vol0one"]}),
    ({"type": "QUEUE", "pythonVersion": "3.12", "minCudaVersion": "12.8", "gpuCount": 1, "idleTimeout": 60}, {}),
    ({"image": None, "env": None, "template": None}, {}),
    ({}, {"image": "runpod/flash:py3.12-latest", "minCudaVersion": "12.8"}),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_change_of_one_property(world: World, case: Case, strategy: str) -> None:
    """It does what the table says, in the plan and in what is sent, and then nothing is left to do."""
    world.seed(**case.seeds)
    by = {"updateStrategy": strategy} if case.kind == "Endpoint" and case.path != "updateStrategy" else {}
    life = Life(world, case.kind)
    life.up({**case.before, **by})
    id_before, does = life.id, case.does(strategy)
    world.forget()
    plan = life.up({**case.after, **by})
    paths = {path for path in plan if path == case.path or path.startswith((f"{case.path}.", f"{case.path}["))}
    assert paths or case.path.rpartition(".")[0] in plan
    assert set(plan) - paths <= {*case.also, case.path.rpartition(".")[0]}
    assert any(kind.endswith("replace") for kind in plan.values()) == (does == "replace")
    assert (life.id != id_before) == (does == "replace")
    writes = {"replace": ["POST", "DELETE"], "update": ["PATCH"], "state": []}[does]
    assert [line.split()[0] for line in world.writes] == writes
    assert life.up({**case.after, **by}) == {}
    assert life.refresh() == {}
    assert life.plan({**case.after, **by}) == {}


def _cases_of(item: Facts, kind: str) -> list[Case]:
    return [case for case in CASES if (case.kind, case.path) == (kind, render_path(item.path))]


@pytest.mark.parametrize(
    ("kind", "item"),
    [pytest.param(each.name, item, id=f"{each.name}.{render_path(item.path)}") for each in RESOURCES for item in each.facts],
)
def test_every_marker_has_a_case(kind: str, item: Facts) -> None:
    """A property without a row, or with a row that says other than its marker, fails."""
    if (kind, item.name) == ("PodTemplate", "serverless"):  # it has one value alone, and only drifts
        return
    (case,) = _cases_of(item, kind)
    if item.nested is not None:
        return
    if isinstance(item.effect, Recreates):
        expected = ("replace", "update" if item.effect.is_patchable and kind == "Endpoint" else "replace")
    else:
        expected = ("state",) * 2 if isinstance(item.effect, StateOnly) else ("update",) * 2
    assert (case.does("replace"), case.does("inPlace")) == expected


@pytest.mark.parametrize(("one", "other"), SAME, ids=str)
def test_another_order_or_spelling_is_no_change(world: World, endpoint: Life, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Neither way round."""
    world.seed(**VOLUMES)
    endpoint.up(one)
    world.forget()
    assert endpoint.up(other) == {}
    assert endpoint.up(one) == {}
    assert endpoint.refresh() == {}
    assert world.writes == []


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("before", "after"),
    [({"cpu": "cpu3c-2-4"}, {"gpu": "ADA_24"}), ({"gpu": "ADA_24"}, {"cpu": "cpu3c-2-4"})],
    ids=["to gpu", "to cpu"],
)
def test_between_gpu_and_cpu_an_endpoint_is_always_replaced(endpoint: Life, strategy: str, before: Any, after: Any) -> None:
    """The API cannot change the compute family."""
    endpoint.up({**before, "updateStrategy": strategy})
    first = endpoint.id
    plan = endpoint.up({**after, "updateStrategy": strategy})
    assert {path: kind for path, kind in plan.items() if path in ("gpu", "cpu")} == {
        next(iter(before)): "delete_replace",
        next(iter(after)): "add_replace",
    }
    assert endpoint.id != first
    assert endpoint.up({**after, "updateStrategy": strategy}) == {}


def test_a_managed_image_that_is_stated_changes_nothing_beside_another_change(endpoint: Life) -> None:
    """The Python version that chose it goes with nobody noticing."""
    endpoint.up({})
    assert endpoint.plan({"image": "runpod/flash:py3.12-latest", "minCudaVersion": "12.8", "workers": 3}) == {"workers": "update"}


def test_a_setting_that_no_patch_takes_away_replaces_also_in_place(world: World, endpoint: Life) -> None:
    """The container disk of a flavor without a known limit has no default, and the API no word for none."""
    program = {"cpu": "cpu5g-2-8", "updateStrategy": "inPlace", **IMAGE}
    endpoint.up({**program, "template": {"containerDiskInGb": 30}})
    assert endpoint.plan(program) == {"template.containerDiskInGb": "delete_replace"}


def test_an_image_may_move_between_endpoint_and_template_in_place(world: World, endpoint: Life) -> None:
    """Another property gives the same value to the same place in the API."""
    endpoint.up({"gpu": "ADA_24", "image": "me/worker:1", "updateStrategy": "inPlace"})
    plan = endpoint.up({"gpu": "ADA_24", "template": {"image": "me/worker:1"}, "updateStrategy": "inPlace"})
    assert plan == {"image": "delete", "template.image": "add"}
    assert endpoint.refresh() == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_preview_says_what_recreation_costs(world: World, endpoint: Life, strategy: str) -> None:
    """New id and URLs, and cancelled jobs; the other strategy would not help here."""
    endpoint.up({"type": "QUEUE", "updateStrategy": strategy, **GPU})
    old = endpoint.id
    endpoint.plan({"type": "LOAD_BALANCER", "updateStrategy": strategy, **GPU})
    (said,) = world.notes.infos
    assert "a change of type recreates the endpoint" in said
    assert repr(old) in said and "another id and other URLs" in said and "jobs are cancelled" in said
    assert "updateStrategy: inPlace" not in said
