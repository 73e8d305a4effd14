"""What an update sends: the changed top-level keys, each whole, and nothing else; and what the server has afterwards."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core.failures import ApiProblem
from unit.support import Life, World

VOLUMES: Final = {"networkVolumes": [{"id": "vol0one"}, {"id": "vol0two"}, {"id": "vol0ks", "dataCenter": "US-KS-2"}]}
RICH: Final[dict[str, Any]] = {
    "name": "rich",
    "image": "me/worker:1",
    "gpu": "NVIDIA A100 80GB PCIe",
    "gpuCount": 2,
    "minCudaVersion": "12.4",
    "volume": "vol0one",
    "datacenter": ["EU-RO-1", "US-KS-2"],
    "workers": {"min": 1, "max": 4},
    "idleTimeout": 30,
    "scalerValue": 2.5,
    "executionTimeoutMs": 60_000,
    "env": {"A": "1", "B": "2"},
    "template": {"containerDiskInGb": 100, "args": "serve", "ports": ["8000/http"], "registryAuthId": "reg0", "env": {"C": "3"}},
    "updateStrategy": "inPlace",
}
GPU: Final = {"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"], "count": 2, "minCudaVersion": "12.4"}
WORKERS: Final = {"min": 1, "max": 4, "idleTimeout": 30}
ENV: Final = {"A": "1", "B": "2", "C": "3"}


def without(*names: str, **changes: Any) -> dict[str, Any]:
    """Change the rich program; a nested property is written with two underscores."""
    program = {name: value for name, value in RICH.items() if name not in names}
    program["template"] = {name: value for name, value in RICH["template"].items() if f"template.{name}" not in names}
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            program[outer] = {**program[outer], inner: value}
        else:
            program[outer] = value
    return program


# what changes, the program, the PATCH
PATCHES: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "pools": (without(gpu="ADA_24"), {"gpu": {"pools": ["ADA_24"], "count": 2, "minCudaVersion": "12.4"}}),
    "gpuCount": (without(gpuCount=1), {"gpu": {**GPU, "count": 1}}),
    "gpuCount back to its default": (without("gpuCount"), {"gpu": {**GPU, "count": 1}}),
    "CUDA floor": (without(minCudaVersion="12.8"), {"gpu": {**GPU, "minCudaVersion": "12.8", "allowedCudaVersions": []}}),
    "CUDA floor cleared": (without("minCudaVersion"), {"gpu": {**GPU, "minCudaVersion": ""}}),
    "CUDA floor to set": (
        without("minCudaVersion", allowedCudaVersions=["12.8"]),
        {"gpu": {**GPU, "minCudaVersion": "", "allowedCudaVersions": ["12.8"]}},
    ),
    "scaler type": (
        without("idleTimeout", scalerType="REQUEST_COUNT", scalerValue=3),
        {"scaling": {"type": "REQUEST_COUNT", "requestCount": 3}, "workers": {"min": 1, "max": 4}},
    ),
    "scaler value": (without(scalerValue=4), {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}),
    "scaler value back to its default": (without("scalerValue"), {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}),
    "workers": (without(workers=9), {"workers": {"min": 0, "max": 9, "idleTimeout": 30}}),
    "workers back to their default": (without("workers"), {"workers": {"min": 0, "max": 1, "idleTimeout": 30}}),
    "idleTimeout back to its default": (without("idleTimeout"), {"workers": {**WORKERS, "idleTimeout": 60}}),
    "executionTimeoutMs back to its default": (without("executionTimeoutMs"), {"timeout": 0}),
    "flashboot": (without(flashboot="PRIORITY_FLASHBOOT"), {"flashboot": "PRIORITY_FLASHBOOT"}),
    "image": (without(image="me/worker:2"), {"image": "me/worker:2"}),
    "name": (without(name="other"), {"name": "other"}),
    "volume": (without(volume=["vol0two"]), {"networkVolumes": ["vol0two"]}),
    "volume detached": (without("volume"), {"networkVolumes": []}),
    "data center": (without(datacenter="EU-RO-1"), {"dataCenterIds": ["EU-RO-1"]}),
    "data center to any": (without(datacenter="any"), {"dataCenterIds": []}),
    "env value": (without(env={"A": "1", "B": "new"}), {"env": {**ENV, "B": "new"}}),
    "env key removed": (without(env={"A": "1"}), {"env": {"A": "1", "C": "3"}}),
    "env removed": (without("env"), {"env": {"C": "3"}}),
    "env of the template removed": (without("template.env"), {"env": {"A": "1", "B": "2"}}),
    "all env removed": (without("env", "template.env"), {"env": {}}),
    "disk back to its default": (without("template.containerDiskInGb"), {"disk": 64}),
    "args cleared": (without("template.args"), {"args": ""}),
    "ports cleared": (without("template.ports"), {"ports": []}),
    "registry cleared": (without("template.registryAuthId"), {"registry": None}),
    "template removed": (
        {name: value for name, value in RICH.items() if name != "template"},
        {"disk": 64, "args": "", "ports": [], "registry": None, "env": {"A": "1", "B": "2"}},
    ),
    "several at once": (
        without(workers=2, gpu="ADA_24", env={"A": "9"}),
        {
            "workers": {"min": 0, "max": 2, "idleTimeout": 30},
            "gpu": {"pools": ["ADA_24"], "count": 2, "minCudaVersion": "12.4"},
            "env": {"A": "9", "C": "3"},
        },
    ),
}
CLEARED: Final = {"minCudaVersion": None}


@pytest.mark.parametrize("what", PATCHES)
def test_a_patch_is_lossless(world: World, endpoint: Life, what: str) -> None:
    """It carries the changed groups whole; the server has them so afterwards, and all else as before; another `up` does nothing."""
    program, patch = PATCHES[what]
    world.seed(**VOLUMES, registries=[{"id": "reg0"}])
    endpoint.up(RICH)
    before = dict(world.live("endpoints", endpoint.id))
    first = endpoint.id
    world.forget()
    endpoint.up(program)
    assert world.body("PATCH") == patch
    assert endpoint.id == first
    after = world.live("endpoints", endpoint.id)
    for key, value in patch.items():
        if key == "gpu":
            expected = {"excludedTypes": [], "allowedCudaVersions": [], **value, "minCudaVersion": value["minCudaVersion"] or None}
            assert after["gpu"] == expected
        else:
            assert after[key] == value
    kept = [key for key in before if key not in patch and not key.startswith("_")]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert endpoint.up(program) == {}
    assert endpoint.refresh() == {}
    assert endpoint.plan(program) == {}


def test_towards_queue_delay_the_workers_get_their_idle_timeout(world: World, endpoint: Life) -> None:
    """The API forgets it while the queue scales on requests."""
    program = {"image": "me/x", "gpu": "ADA_24"}
    endpoint.up({**program, "scalerType": "REQUEST_COUNT"})
    assert "idleTimeout" not in endpoint.outputs
    world.forget()
    endpoint.up(program)
    assert world.body("PATCH") == {
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "workers": {"min": 0, "max": 1, "idleTimeout": 60},
    }
    assert endpoint.refresh() == {}


def test_a_set_of_cuda_versions_is_kept_by_a_change_of_pools(world: World, endpoint: Life) -> None:
    """And a floor that a set replaces is cleared in the same patch."""
    program = {"image": "me/x", "gpu": "ADA_24", "allowedCudaVersions": ["12.8", "12.9"], "updateStrategy": "inPlace"}
    endpoint.up(program)
    world.forget()
    endpoint.up({**program, "gpu": "AMPERE_48"})
    gpu = {"pools": ["AMPERE_48"], "count": 1, "allowedCudaVersions": ["12.8", "12.9"]}
    assert world.body("PATCH") == {"gpu": gpu}
    world.forget()
    endpoint.up({name: value for name, value in {**program, "gpu": "AMPERE_48"}.items() if name != "allowedCudaVersions"})
    assert world.body("PATCH") == {"gpu": {"pools": ["AMPERE_48"], "count": 1, "allowedCudaVersions": []}}
    assert world.live("endpoints", endpoint.id)["gpu"]["allowedCudaVersions"] == []


def test_a_floor_that_somebody_set_gives_way_to_the_set(world: World, endpoint: Life) -> None:
    """The repair clears it, for the API takes no two constraints."""
    program = {"image": "me/x", "gpu": "ADA_24", "allowedCudaVersions": ["12.8"], "updateStrategy": "inPlace"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, gpu={"allowedCudaVersions": [], "minCudaVersion": "12.6"})
    assert endpoint.refresh() == {"allowedCudaVersions": "update"}
    world.forget()
    endpoint.up(program)
    gpu = {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": ["12.8"], "minCudaVersion": ""}
    assert world.body("PATCH") == {"gpu": gpu}
    assert endpoint.refresh() == {}


def test_cpu_sizes_change_in_place(world: World, endpoint: Life) -> None:
    """The list is sent whole, and the disk follows the new limit."""
    program = {"image": "me/x", "updateStrategy": "inPlace"}
    endpoint.up({**program, "cpu": "cpu3c-8-16"})
    world.forget()
    plan = endpoint.up({**program, "cpu": ["cpu3c-2-4", "cpu5c-4-8"]})
    assert plan == {"cpu": "update", "template.containerDiskInGb": "update"}
    assert world.body("PATCH") == {"cpu": [{"id": "cpu3c", "vcpuCount": 2}, {"id": "cpu5c", "vcpuCount": 4}], "disk": 20}
    assert endpoint.refresh() == {}


def test_a_new_worker_image_takes_its_floor_along_in_place(world: World, endpoint: Life) -> None:
    """From the managed image to one's own, and back."""
    endpoint.up({"gpu": "ADA_24", "updateStrategy": "inPlace"})
    for program, image, floor in (({"image": "me/x"}, "me/x", ""), ({}, "runpod/flash:py3.12-latest", "12.8")):
        world.forget()
        endpoint.up({"gpu": "ADA_24", "updateStrategy": "inPlace", **program})
        gpu = {"pools": ["ADA_24"], "count": 1, "minCudaVersion": floor}
        assert world.body("PATCH") == {"image": image, "gpu": {**gpu, **({"allowedCudaVersions": []} if floor else {})}}
        assert endpoint.refresh() == {}


@pytest.mark.parametrize("env", [{}, {"PORT": "8000"}, {"A": "1"}])
def test_a_load_balancer_keeps_the_platforms_ports(world: World, endpoint: Life, env: dict[str, str]) -> None:
    """A PATCH of env restates PORT and PORT_HEALTH, which the platform injected; the program's own value wins."""
    program = {"type": "LOAD_BALANCER", "image": "me/x", "gpu": "ADA_24"}
    endpoint.up({**program, "env": env})
    assert set(endpoint.outputs["inheritedEnv"]) == {"PORT", "PORT_HEALTH"} - set(env)
    world.forget()
    endpoint.up({**program, "env": {**env, "B": "2"}})
    assert world.body("PATCH") == {"env": {"PORT": "80", "PORT_HEALTH": "80", **env, "B": "2"}}
    assert endpoint.refresh() == {}


def test_a_port_that_the_program_gives_up_is_the_platforms_again(world: World, endpoint: Life) -> None:
    """The platform injects its own, which is recorded."""
    program = {"type": "LOAD_BALANCER", "image": "me/x", "gpu": "ADA_24"}
    endpoint.up({**program, "env": {"PORT": "8000"}})
    endpoint.up(program)
    assert endpoint.outputs["inheritedEnv"] == {"PORT": "80", "PORT_HEALTH": "80"}
    assert endpoint.refresh() == {}


@pytest.mark.parametrize("change", [{"dependencies": ["torch"]}, {"updateStrategy": "replace"}, {"accelerateDownloads": False}])
def test_a_change_of_state_alone_sends_nothing(world: World, endpoint: Life, change: dict[str, Any]) -> None:
    """There is no such field in the API, and no empty PATCH."""
    program = {"image": "me/x", "gpu": "ADA_24", "updateStrategy": "inPlace"}
    endpoint.up(program)
    world.forget()
    assert list(endpoint.up({**program, **change})) == list(change)
    assert world.sent == []
    assert {name: endpoint.outputs[name] for name in change} == change
    assert endpoint.outputs["image"] == "me/x" and endpoint.outputs["requestUrls"]["run"]


def test_an_update_without_a_change_sends_nothing(world: World, endpoint: Life) -> None:
    """The engine asks for one where the creation did not finish."""
    endpoint.up(RICH | {"volume": None})
    world.forget()
    before = dict(endpoint.outputs)
    endpoint.update(endpoint.inputs)
    assert world.sent == []
    assert endpoint.outputs == before


# what somebody did, and the PATCH that repairs it
DRIFTS: Final[dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]]] = {
    "workers": ({"workers": {"max": 2}}, {"workers": WORKERS}, {"workers.max": "update"}),
    "idle time-out": ({"workers": {"idleTimeout": 5}}, {"workers": WORKERS}, {"idleTimeout": "update"}),
    "scaler value": (
        {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 9.5}},
        {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 2.5}},
        {"scalerValue": "update"},
    ),
    "scaler": (
        {"scaling": {"type": "REQUEST_COUNT", "requestCount": 7}},
        {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 2.5}, "workers": WORKERS},
        {"scalerType": "update", "scalerValue": "update", "idleTimeout": "add"},
    ),
    "time-out": ({"timeout": 5000}, {"timeout": 60_000}, {"executionTimeoutMs": "update"}),
    "flashboot": ({"flashboot": "OFF"}, {"flashboot": "FLASHBOOT"}, {"flashboot": "update"}),
    "image": ({"image": "you/x"}, {"image": "me/worker:1"}, {"image": "update"}),
    "name": ({"name": "yours"}, {"name": "rich"}, {"name": "update"}),
    "disk": ({"disk": 30}, {"disk": 100}, {"template.containerDiskInGb": "update"}),
    "args": ({"args": ""}, {"args": "serve"}, {"template.args": "update"}),
    "ports": ({"ports": ["1/tcp", "8000/http"]}, {"ports": ["8000/http"]}, {"template.ports": "update"}),
    "registry": ({"registry": None}, {"registry": "reg0"}, {"template.registryAuthId": "add"}),
    "volume": ({"networkVolumes": []}, {"networkVolumes": ["vol0one"]}, {"volume": "update"}),
    "data centers": ({"dataCenterIds": []}, {"dataCenterIds": ["EU-RO-1", "US-KS-2"]}, {"datacenter": "update"}),
    "env value": ({"env": {**ENV, "A": "x"}}, {"env": ENV}, {"env.A": "update"}),
    "env key gone": ({"env": {"A": "1", "C": "3"}}, {"env": ENV}, {"env.B": "add"}),
    "env gone": ({"env": {}}, {"env": ENV}, {"env.A": "add", "env.B": "add", "template.env.C": "add"}),
    "env of the template": ({"env": {**ENV, "C": "x"}}, {"env": ENV}, {"template.env.C": "update"}),
    "an env key too many": ({"env": {**ENV, "Z": "x"}}, {"env": ENV}, {"env.Z": "delete"}),
    "pools": ({"gpu": {"pools": ["ADA_24"], "excludedTypes": []}}, {"gpu": GPU}, {"gpu": "update"}),
    "exclusions": ({"gpu": {"excludedTypes": []}}, {"gpu": GPU}, {"gpu": "update"}),
    "number of GPUs": ({"gpu": {"count": 1}}, {"gpu": GPU}, {"gpuCount": "update"}),
    "CUDA floor": ({"gpu": {"minCudaVersion": None}}, {"gpu": {**GPU, "allowedCudaVersions": []}}, {"minCudaVersion": "add"}),
    "a CUDA set instead of the floor": (
        {"gpu": {"minCudaVersion": None, "allowedCudaVersions": ["12.6"]}},
        {"gpu": {**GPU, "allowedCudaVersions": []}},
        {"minCudaVersion": "add"},
    ),
}


@pytest.mark.parametrize("what", DRIFTS)
def test_drift_shows_at_its_property_and_is_repaired_by_its_group(world: World, endpoint: Life, what: str) -> None:
    """Refresh shows exactly what somebody changed, and the next `up` sends the PATCH of that group and no more."""
    changes, patch, paths = DRIFTS[what]
    world.seed(**VOLUMES, registries=[{"id": "reg0"}])
    endpoint.up(RICH)
    world.drift("endpoints", endpoint.id, **changes)
    world.restart()
    world.forget()
    assert endpoint.refresh() == paths
    asked = ["GET /catalog/gpus"] if what in ("pools", "exclusions") else []  # a selection that is not the recorded one needs words
    assert world.sent == ["GET /serverless", *asked]
    world.forget()
    plan = endpoint.up(RICH)
    assert plan == paths
    assert world.body("PATCH") == patch
    assert endpoint.refresh() == {}
    assert endpoint.plan(RICH) == {}


def test_a_patch_that_the_api_refuses_says_what_was_attempted(world: World, endpoint: Life) -> None:
    """And what to do: an endpoint that is gone is taken out of the state by a refresh."""
    endpoint.up({"image": "me/x", "gpu": "ADA_24"})
    world.control(f"resources/endpoints/{endpoint.id}", None, "DELETE")
    with pytest.raises(Exception, match=f"updating the endpoint '{endpoint.id}' failed: .* 404 .* `pulumi refresh`"):
        endpoint.up({"image": "me/x", "gpu": "ADA_24", "workers": 2})


def test_a_scaler_that_somebody_changed_is_put_back_with_the_workers(world: World, endpoint: Life) -> None:
    """The API dropped their idle time-out with the change, which no later read tells; so the repair restates it."""
    program = {"image": "me/x", "gpu": "ADA_24", "idleTimeout": 30, "workers": 2}
    endpoint.up(program)
    world.drift(
        "endpoints",
        endpoint.id,
        scaling={"type": "REQUEST_COUNT", "requestCount": 4},
        workers={"min": 0, "max": 2, "idleTimeout": None},
    )
    assert endpoint.refresh() == {"scalerType": "update", "idleTimeout": "add"}
    world.forget()
    endpoint.up(program)
    assert world.body("PATCH") == {
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        "workers": {"min": 0, "max": 2, "idleTimeout": 30},
    }


def test_towards_queue_delay_the_workers_come_along_also_where_a_change_of_theirs_is_ignored(world: World, endpoint: Life) -> None:
    """A scaler without them would leave the queue with the server's own idle time-out."""
    program = {"image": "me/x", "gpu": "ADA_24"}
    endpoint.up({**program, "scalerType": "REQUEST_COUNT"})
    world.forget()
    endpoint.up(program, ignore=("idleTimeout",))
    assert world.body("PATCH")["workers"] == {"min": 0, "max": 1, "idleTimeout": 60}


FORMS: Final = [
    ({"gpu": "AMPERE_80"}, True),
    ({"gpu": "AMPERE_80", "image": "me/y"}, True),
    ({"gpu": "AMPERE_80", "type": "LOAD_BALANCER"}, False),
    ({"gpu": None, "cpu": "cpu3c-2-4"}, False),
    ({"image": None, "templateId": "tmpl0"}, False),
    ({"gpu": "AMPERE_80", "updateStrategy": "inPlace", "type": "LOAD_BALANCER"}, False),
]


@pytest.mark.parametrize(("change", "helps"), FORMS, ids=str)
def test_in_place_is_offered_only_where_it_helps(world: World, endpoint: Life, change: dict[str, Any], helps: bool) -> None:
    """In the note of a plan that replaces, and where the worker quota refuses the second endpoint."""
    world.seed(templates=[{"id": "tmpl0", "name": "t"}])
    world.control("settings", {"workerQuota": 5})
    program = {"image": "me/x", "gpu": "ADA_24", "workers": 3}
    endpoint.up(program)
    after = {name: value for name, value in {**program, **change}.items() if value is not None}
    endpoint.plan(after)
    (note,) = world.notes.infos
    assert "recreates the endpoint: the new one gets another id and other URLs" in note
    with pytest.raises(ApiProblem) as caught:
        endpoint.up(after)
    said = str(caught.value)
    assert "old max 3 + new max 3 = 6" in said and "`deleteBeforeReplace: true`" in said and "lower workers.max" in said
    assert [("`updateStrategy: inPlace`" in text) for text in (note, said)] == [helps, helps]


def test_a_refresh_that_finds_other_hardware_forewarns_of_nothing(world: World, endpoint: Life) -> None:
    """It replaces nothing; the plan that would says what that costs."""
    program = {"image": "me/x", "gpu": "ADA_24"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, flashboot="OFF")
    assert endpoint.refresh() == {"flashboot": "update_replace"}
    assert world.notes.infos == []
    assert endpoint.plan(program) == {"flashboot": "update_replace"}
    (note,) = world.notes.infos
    assert note.startswith("a change of flashboot recreates the endpoint")


BROUGHT: Final = [("args", "stop", "go"), ("ports", ["81/http"], ["80/http"]), ("registryAuthId", "reg0two", "reg0one")]


@pytest.mark.parametrize(("name", "own", "copied"), BROUGHT, ids=str)
def test_what_a_template_id_brings_comes_back_with_a_new_endpoint(
    world: World, endpoint: Life, name: str, own: Any, copied: Any
) -> None:
    """The API copies it only once, so a PATCH could but clear it; without `templateId` that is what is wanted."""
    key = {"registryAuthId": "registry"}.get(name, name)
    world.seed(registries=[{"id": "reg0one"}, {"id": "reg0two"}], templates=[{"id": "tmpl0", "name": "t", key: copied}])
    base = {"templateId": "tmpl0", "gpu": "ADA_24", "updateStrategy": "inPlace"}
    endpoint.up({**base, "template": {name: own}})
    first = endpoint.id
    assert endpoint.up(base) == {f"template.{name}": "delete_replace"}
    assert endpoint.id != first
    assert world.live("endpoints", endpoint.id)[key] == copied
    base = {"image": "me/x", "gpu": "ADA_24", "updateStrategy": "inPlace"}
    endpoint.up({**base, "template": {name: own}})
    assert endpoint.up(base) == {f"template.{name}": "delete"}
    assert not world.live("endpoints", endpoint.id).get(key)
