"""Values that only `pulumi up` learns: they pass Check, silence what touches them, and are planned by their own marker."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.resources import RESOURCES
from unit.resources.test_recreate_table import CASES, Case
from unit.support import Life, World

BASE: Final = {"image": "me/x", "gpu": "ADA_24", "env": {"A": "1"}, "template": {"args": "x", "env": {"B": "2"}}}


def _with_unknown(case: Case) -> dict[str, Any]:
    outer, _, inner = case.path.partition(".")
    if not inner:
        return {**case.before, outer: UNKNOWN}
    return {**case.before, outer: {**case.before[outer], inner: UNKNOWN}}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_property_that_is_not_known_yet(world: World, case: Case) -> None:
    """It passes Check as it is, and its plan is that of its own change, also where only a part of an object is unknown."""
    world.seed(**case.seeds)
    life = Life(world, case.kind)
    life.up(case.before)
    program = _with_unknown(case)
    checked = life.checked(program)
    outer, _, inner = case.path.partition(".")
    assert (checked[outer][inner] if inner else checked[outer]) is UNKNOWN
    world.forget()
    plan = life.plan(program)
    if case.path == "template":
        assert not any(kind.endswith("replace") for kind in plan.values())
    else:
        does = case.does("replace")
        assert plan[case.path].endswith("replace") == (does == "replace")
    predicted = life.preview(program)
    assert (predicted[outer][inner] if inner else predicted[outer]) is UNKNOWN
    assert world.writes == []


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_all_properties_may_be_unknown_at_once(world: World, resource: Any) -> None:
    """No rule, no default and no look-up stumbles over them."""
    life = Life(world, resource.name)
    program = {item.name: UNKNOWN for item in resource.facts if len(item.path) == 1}
    assert life.failures(program) == []
    predicted = life.preview(program)
    assert {name: predicted[name] for name in program} == program
    assert world.sent == []


def test_unknowns_within_objects_and_maps(world: World, endpoint: Life) -> None:
    """The rest of them is planned as it is."""
    endpoint.up({**BASE, "workers": {"min": 0, "max": 2}})
    assert endpoint.plan({**BASE, "workers": {"min": 1, "max": UNKNOWN}}) == {"workers.min": "update", "workers.max": "update"}
    assert endpoint.plan({**BASE, "workers": {"min": UNKNOWN, "max": 2}}) == {"workers.min": "update"}
    base = {**BASE, "workers": 2}
    endpoint.up(base)
    assert endpoint.plan({**base, "env": {"A": UNKNOWN}}) == {"env.A": "update"}
    assert endpoint.plan({**base, "env": {"A": "1", "N": UNKNOWN}}) == {"env.N": "add"}
    assert endpoint.plan({**base, "env": UNKNOWN}) == {"env": "update"}
    assert endpoint.plan({**base, "template": {"args": UNKNOWN, "env": {"B": "2"}}}) == {"template.args": "update_replace"}
    assert endpoint.plan({**base, "template": {"args": "x", "env": {"B": UNKNOWN}}}) == {"template.env.B": "update"}
    assert endpoint.plan({**base, "template": {"args": "x", "env": UNKNOWN}}) == {"template.env": "update"}
    listed = [{"key": "B", "value": UNKNOWN}]
    assert endpoint.plan({**base, "template": {"args": "x", "env": listed}}) == {"template.env": "update"}
    imaged = {**base, "template": {"args": "x", "env": {"B": "2"}, "image": UNKNOWN}}
    assert endpoint.plan(imaged) == {"template.image": "add"}  # the endpoint's own wins
    del base["image"], imaged["image"]
    endpoint.up(base)
    assert endpoint.plan(imaged)["template.image"] == "add_replace"


def test_what_is_wrong_beside_an_unknown_is_found(endpoint: Life) -> None:
    """In the same object, map or list too."""
    assert [text.partition(":")[0] for text in endpoint.failures(
        {
            "workers": {"min": -1, "max": UNKNOWN},
            "template": {"disk": UNKNOWN, "containerDiskInGb": 0},
            "env": {"A": UNKNOWN, "B": 1},
            "cpu": [UNKNOWN, "cpu3c-1-2"],
            "wrokers": UNKNOWN,
        }
    )] == ["cpu[0]", "workers.min", "template.containerDiskInGb", "template.disk", "env.B", "wrokers"]  # fmt: skip


QUIET: Final = [
    {"gpu": UNKNOWN, "cpu": "cpu3c-2-4"},
    {"cpu": UNKNOWN, "gpu": "ADA_24", "gpuCount": 2},
    {"cpu": UNKNOWN, "template": {"containerDiskInGb": 500}},
    {"workers": {"min": 5, "max": UNKNOWN}},
    {"type": UNKNOWN, "scalerType": "QUEUE_DELAY"},
    {"scalerType": UNKNOWN, "idleTimeout": 60},
    {"scalerType": UNKNOWN, "scalerValue": 0.1},
    {"scalerValue": UNKNOWN, "scalerType": "REQUEST_COUNT"},
    {"executionTimeoutMs": UNKNOWN},
    {"pythonVersion": "3.12", "image": UNKNOWN},
    {"pythonVersion": "3.12", "template": UNKNOWN},
    {"minCudaVersion": UNKNOWN, "allowedCudaVersions": ["12.8"]},
    {"volume": ["a", UNKNOWN]},
    {"datacenter": ["EU-RO-1", UNKNOWN]},
]


@pytest.mark.parametrize("program", QUIET, ids=str)
def test_a_rule_that_touches_an_unknown_says_nothing(endpoint: Life, program: dict[str, Any]) -> None:
    """It may turn out to be right."""
    assert endpoint.failures(program) == []


DEFAULTS: Final = [
    ({"volume": UNKNOWN}, {"datacenter": UNKNOWN}),
    ({"volume": ["a", UNKNOWN]}, {"datacenter": UNKNOWN, "volume": ["a", UNKNOWN]}),
    ({"volume": UNKNOWN, "datacenter": "EU-RO-1"}, {"datacenter": "EU-RO-1"}),
    ({"type": UNKNOWN}, {"scalerType": UNKNOWN, "image": UNKNOWN, "idleTimeout": UNKNOWN}),
    ({"type": "LOAD_BALANCER", "scalerType": UNKNOWN}, {"idleTimeout": 60}),
    ({"scalerType": UNKNOWN}, {"idleTimeout": UNKNOWN}),
    ({"cpu": UNKNOWN}, {"gpu": UNKNOWN, "gpuCount": UNKNOWN, "image": UNKNOWN, "minCudaVersion": UNKNOWN}),
    ({"image": UNKNOWN}, {"pythonVersion": UNKNOWN, "minCudaVersion": UNKNOWN}),
    ({"template": UNKNOWN}, {"image": UNKNOWN, "pythonVersion": UNKNOWN, "minCudaVersion": UNKNOWN, "template": UNKNOWN}),
    ({"template": UNKNOWN, "image": "me/x"}, {"image": "me/x", "pythonVersion": None, "minCudaVersion": None}),
    ({"template": {"image": UNKNOWN}}, {"image": UNKNOWN, "template": {"image": UNKNOWN, "containerDiskInGb": 64}}),
    ({"template": {"args": UNKNOWN}}, {"image": "runpod/flash:py3.12-latest"}),
    ({"templateId": UNKNOWN}, {"image": UNKNOWN, "template": {"containerDiskInGb": UNKNOWN}}),
    ({"pythonVersion": UNKNOWN}, {"image": UNKNOWN}),
    ({"env": UNKNOWN, "name": UNKNOWN, "workers": UNKNOWN}, {"image": "runpod/flash:py3.12-latest", "datacenter": "EU-RO-1"}),
]


@pytest.mark.parametrize(("program", "expected"), DEFAULTS, ids=str)
def test_a_default_that_looks_at_an_unknown_is_unknown(endpoint: Life, program: dict[str, Any], expected: dict[str, Any]) -> None:
    """And no other; what the program says decides where it can."""
    checked = endpoint.checked(program)
    assert {name: checked.get(name) for name in expected} == expected


@pytest.mark.parametrize("before", [BASE, {"gpu": "ADA_24", "template": BASE["template"]}], ids=["own image", "managed image"])
def test_a_wholly_unknown_template_is_an_update_that_warns(world: World, endpoint: Life, before: dict[str, Any]) -> None:
    """It may turn out to hold another image or disk; what derives from it replaces nothing either."""
    endpoint.up(before)
    world.notes.warnings.clear()
    plan = endpoint.plan({**before, "template": UNKNOWN})
    assert plan["template"] == "update"
    assert set(plan.values()) == {"update"}
    assert world.notes.warnings == ["template is known only during `pulumi up`; what it then holds may replace the endpoint"]


def test_unknown_workers_are_no_reason_to_warn(world: World, endpoint: Life) -> None:
    """Whatever they turn out to be, the endpoint stays."""
    endpoint.up(BASE)
    assert endpoint.plan({**BASE, "workers": UNKNOWN}) == {"workers": "update"}
    assert world.notes.warnings == []


def test_an_unknown_template_that_replaces_anyway_needs_no_warning(world: World, endpoint: Life) -> None:
    """The replacement is planned already."""
    endpoint.up(BASE)
    endpoint.plan({**BASE, "template": UNKNOWN, "gpu": "AMPERE_80"})
    assert world.notes.warnings == []


def test_a_default_that_may_come_with_an_unknown_is_not_told(endpoint: Life) -> None:
    """It follows from what is shown."""
    endpoint.up(BASE)
    assert endpoint.plan({**BASE, "image": UNKNOWN}) == {"image": "update_replace"}


def test_an_unknown_volume_replaces_with_its_data_center(endpoint: Life, volume: Life) -> None:
    """As it may be elsewhere."""
    volume.up({})
    endpoint.up({**BASE, "volume": volume.id})
    assert endpoint.plan({**BASE, "volume": UNKNOWN}) == {"volume": "update_replace", "datacenter": "update"}
    assert endpoint.plan({**BASE, "volume": [volume.id, UNKNOWN]}) == {"volume": "update_replace", "datacenter": "update"}


def test_an_unknown_selection_has_unknown_pools(world: World, endpoint: Life) -> None:
    """Before a create and before a change in place."""
    predicted = endpoint.preview({"gpu": UNKNOWN, "image": "me/x"})
    assert predicted["gpuPools"] is predicted["excludedGpuTypes"] is UNKNOWN
    endpoint.up(BASE)
    predicted = endpoint.preview({**BASE, "gpu": UNKNOWN, "updateStrategy": "inPlace"})
    assert predicted["gpuPools"] is predicted["excludedGpuTypes"] is UNKNOWN
    assert predicted["requestUrls"] == endpoint.outputs["requestUrls"]


def test_the_urls_of_a_queue_stay(endpoint: Life) -> None:
    """Whatever an update changes; and a queue inherits no variables."""
    assert "inheritedEnv" not in endpoint.preview(BASE)
    endpoint.up(BASE)
    predicted = endpoint.preview({**BASE, "env": {"HEALTH_CHECK_PATH": "/up"}})
    assert predicted["requestUrls"] == endpoint.outputs["requestUrls"]
    assert "inheritedEnv" not in predicted


def test_the_urls_of_a_load_balancer_follow_its_env(world: World, endpoint: Life) -> None:
    """HEALTH_CHECK_PATH stands in one of them."""
    program = {"type": "LOAD_BALANCER", "image": "me/x", "gpu": "ADA_24", "env": {"A": "1"}}
    assert endpoint.preview(program)["inheritedEnv"] is UNKNOWN
    endpoint.up(program)
    assert endpoint.preview({**program, "env": {"HEALTH_CHECK_PATH": "/up"}})["requestUrls"] is UNKNOWN
    assert endpoint.preview({**program, "workers": 2})["requestUrls"] == endpoint.outputs["requestUrls"]
    endpoint.up({**program, "env": {"HEALTH_CHECK_PATH": "/up"}})
    assert endpoint.outputs["requestUrls"]["health"].endswith("/up")


def test_an_unknown_name_is_not_looked_for_to_adopt(world: World, volume: Life) -> None:
    """The list is asked once the name is known."""
    assert volume.preview({"name": UNKNOWN, "adoptExisting": True})["adopted"] is not True
    assert world.sent == []


def test_a_cpu_endpoint_has_no_pools_in_any_preview(endpoint: Life) -> None:
    """That is known before it is created, and while its size changes."""
    small, large = ({"image": "me/x", "cpu": size, "updateStrategy": "inPlace"} for size in ("cpu3c-2-4", "cpu3c-4-8"))
    for program in (small, large):
        predicted = endpoint.preview(program)
        assert predicted["gpuPools"] == predicted["excludedGpuTypes"] == []
        endpoint.up(program)
