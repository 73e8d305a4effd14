"""Refresh, import and `.get()`: what is there, in the user's form where nothing drifted, and as a program would state it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core.checking import DEFAULTS_KEY
from runpod_serverless_provider.core.failures import ApiProblem, ApiUnreachable
from runpod_serverless_provider.core.values import Path
from unit.support import Life, World

FORMS: Final[list[dict[str, Any]]] = [
    {},
    {"gpu": "NVIDIA A100 80GB PCIe", "workers": 5, "flashboot": False, "datacenter": "eu_ro_1"},
    {"gpu": ["ADA_24", "NVIDIA L4"], "env": {"B": "2", "A": "1"}, "template": {"env": [{"key": "C", "value": "3"}]}},
    {"cpu": "cpu3c-2-99", "datacenter": "any", "executionTimeoutMs": 60_000},
    {"cpu": ["cpu5c-8-16", "cpu3c-4-8"], "template": {"ports": ["80/http", "22/tcp"], "args": ""}},
    {"type": "LOAD_BALANCER", "image": "me/x", "scalerValue": 9, "env": {"PORT": "8000"}},
    {"scalerType": "REQUEST_COUNT", "allowedCudaVersions": ["12.9", "12.8"]},
]


@pytest.mark.parametrize("program", FORMS, ids=str)
def test_a_refresh_keeps_the_users_form(world: World, endpoint: Life, program: dict[str, Any]) -> None:
    """Inputs and outputs stay as they are, at the price of one GET, and also in a process that knows nothing."""
    endpoint.up(program)
    inputs, outputs = dict(endpoint.inputs), dict(endpoint.outputs)
    for _ in range(2):
        world.restart()
        world.forget()
        assert endpoint.refresh() == {}
        assert (endpoint.inputs, endpoint.outputs) == (inputs, outputs)
        assert world.sent == ["GET /serverless"]


def test_drift_of_one_property_keeps_the_form_of_the_others(world: World, endpoint: Life) -> None:
    """Only what somebody changed takes the API's form."""
    program = {"gpu": "ADA_24", "workers": 5, "flashboot": True, "template": {"env": [{"key": "A", "value": "1"}]}, "image": "me/x"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, workers={"max": 2})
    endpoint.refresh()
    assert {name: endpoint.inputs[name] for name in program} == {
        **program,
        "workers": {"min": 0, "max": 2},
        "template": endpoint.inputs["template"],
    }
    assert endpoint.inputs["template"]["env"] == program["template"]["env"]
    assert endpoint.outputs["workers"] == {"min": 0, "max": 2}


def test_what_the_program_left_out_is_the_server_s(world: World, endpoint: Life) -> None:
    """Arguments, ports, registry, CUDA set and env without a value in the program are no drift."""
    endpoint.up({"image": "me/x", "gpu": "ADA_24"})
    changes = {"args": "x", "ports": ["1/tcp"], "registry": "r", "env": {"A": "1"}, "networkVolumes": ["v"]}
    world.drift("endpoints", endpoint.id, gpu={"allowedCudaVersions": ["12.8"]}, **changes)
    assert endpoint.refresh() == {}
    assert endpoint.plan({"image": "me/x", "gpu": "ADA_24"}) == {}


ENV: Final = [
    # the program's env, what the server has, and the drift
    ({"env": {"A": "1"}}, {"A": "1", "Z": "x"}, {"env.Z": "delete"}),
    ({"env": {"A": "1"}}, {"A": "1", "PORT": "1", "PORT_HEALTH": "2"}, {}),
    ({"template": {"env": {"A": "1"}}}, {"A": "1", "Z": "x"}, {"env.Z": "delete"}),
    ({}, {"Z": "x"}, {}),
    ({"env": {"A": "1"}}, {}, {"env.A": "add"}),
    ({"env": {"A": "1"}, "template": {"env": {"A": "2"}}}, {"A": "2"}, {"env.A": "update"}),
]


@pytest.mark.parametrize(("program", "live", "drift"), ENV, ids=str)
def test_drift_of_env(world: World, endpoint: Life, program: dict[str, Any], live: dict[str, str], drift: dict[str, str]) -> None:
    """A key too many counts where the program sets any, but for those of the platform; what somebody else set is secret."""
    program = {"image": "me/x", "gpu": "ADA_24", **program}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, env=live)
    assert endpoint.refresh() == drift
    assert {path for path in endpoint.secrets if path[0] == "env"} == ({("env", "Z")} if "Z" in live and drift else set())
    world.forget()
    assert endpoint.up(program) == drift
    assert len(world.bodies("PATCH")) == bool(drift)
    assert endpoint.refresh() == {}


@pytest.mark.parametrize("live", [{"MODEL": "other", "Z": "x"}, {}], ids=["changed", "gone"])
def test_a_variable_of_the_template_that_somebody_changed_is_drift(world: World, endpoint: Life, live: dict[str, str]) -> None:
    """It came with `templateId`, and returns to what it was; what else is there is the server's, as the program sets no env."""
    world.seed(templates=[{"id": "tmpl0", "name": "t", "image": "me/t", "env": {"MODEL": "m"}}])
    program = {"templateId": "tmpl0", "gpu": "ADA_24"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, env=live)
    assert endpoint.refresh() == {"env.MODEL": "delete"}
    if not live:  # a second refresh finds what the first one did
        found = dict(endpoint.inputs), dict(endpoint.outputs)
        world.drift("endpoints", endpoint.id)
        assert endpoint.refresh() == {} and (endpoint.inputs, endpoint.outputs) == found
    world.forget()
    endpoint.up(program)
    assert world.body("PATCH") == {"env": {"MODEL": "m"}}
    assert endpoint.refresh() == {}


@pytest.mark.parametrize(
    ("changes", "word", "default"),
    [
        ({"workers": {"max": 2}}, "workers", {"min": 0, "max": 1}),
        ({"timeout": 9000}, "executionTimeoutMs", 0),
        ({"flashboot": "OFF"}, "flashboot", True),
        ({"dataCenterIds": ["US-KS-2"]}, "datacenter", "EU-RO-1"),
        ({"disk": 20}, "template", {"containerDiskInGb": 64}),
        ({"image": "you/x"}, "image", "runpod/flash:py3.12-latest"),
        ({"gpu": {"pools": ["ADA_24"]}}, "gpu", "any"),
        ({"gpu": {"minCudaVersion": "12.1"}}, "minCudaVersion", "12.8"),
    ],
    ids=str,
)
def test_a_default_that_drifted_returns(world: World, endpoint: Life, changes: Any, word: str, default: Any) -> None:
    """It is compared like a value of the program's, and no longer kept as the default."""
    endpoint.up({"updateStrategy": "inPlace"})
    world.drift("endpoints", endpoint.id, **changes)
    drift = endpoint.refresh()
    assert {path.partition(".")[0] for path in drift} == {word}
    assert endpoint.checked({"updateStrategy": "inPlace"})[word] == default
    world.forget()
    endpoint.up({"updateStrategy": "inPlace"})
    assert len(world.bodies("PATCH")) == 1
    assert endpoint.refresh() == {}


def test_on_a_load_balancer_without_env_nothing_is_drift(world: World, endpoint: Life) -> None:
    """The platform's own variables are no sign that the program sets any."""
    endpoint.up({"type": "LOAD_BALANCER", "image": "me/x"})
    world.drift("endpoints", endpoint.id, env={"PORT": "8000", "Z": "x"})
    assert endpoint.refresh() == {}


def test_runpods_own_scaling_down_is_drift(world: World, endpoint: Life) -> None:
    """Of an idle endpoint: it stays so until somebody raises it."""
    endpoint.up({"image": "me/x", "gpu": "ADA_24", "workers": 5})
    world.control("time", {"advanceSeconds": 8 * 86_400})
    assert endpoint.refresh() == {"workers": "update"}
    assert endpoint.outputs["workers"]["max"] == 0


# -- import

IMPORTED: Final[list[tuple[dict[str, Any], dict[str, Any]]]] = [
    # what made the endpoint, and what is stated of it
    ({"name": "n"}, {}),
    ({"name": "n", "pythonVersion": "3.11"}, {"pythonVersion": "3.11"}),
    ({"name": "n", "minCudaVersion": "12.4"}, {"minCudaVersion": "12.4"}),
    ({"name": "n", "allowedCudaVersions": ["12.8"]}, {"allowedCudaVersions": ["12.8"]}),
    ({"name": "n", "gpu": "ADA_24", "image": "me/x"}, {"gpu": ["ADA_24"], "image": "me/x"}),
    ({"name": "n", "gpu": "NVIDIA L4", "image": "me/x"}, {"gpu": ["NVIDIA L4"], "image": "me/x"}),
    (
        {"name": "n", "gpu": ["NVIDIA L4", "NVIDIA A100 80GB PCIe", "HOPPER_141"], "gpuCount": 2, "image": "me/x"},
        {"gpu": ["HOPPER_141", "NVIDIA A100 80GB PCIe", "NVIDIA L4"], "gpuCount": 2, "image": "me/x"},
    ),
    ({"name": "n", "image": "me/x", "minCudaVersion": "12.8"}, {"image": "me/x", "minCudaVersion": "12.8"}),
    ({"name": "n", "cpu": "cpu3c-4-8"}, {"cpu": ["cpu3c-4-8"]}),
    (
        {"name": "n", "cpu": ["cpu5c-8-16", "cpu3g-2-8"], "image": "me/x", "template": {"containerDiskInGb": 10}},
        {"cpu": ["cpu3g-2-8", "cpu5c-8-16"], "image": "me/x", "template": {"containerDiskInGb": 10}},
    ),
    (
        {"name": "n", "type": "LOAD_BALANCER", "image": "me/x", "workers": 3},
        {"type": "LOAD_BALANCER", "image": "me/x", "workers": {"min": 0, "max": 3}},
    ),
    ({"name": "n", "scalerType": "REQUEST_COUNT", "scalerValue": 2}, {"scalerType": "REQUEST_COUNT", "scalerValue": 2}),
    ({"name": "n", "scalerValue": 2.5, "idleTimeout": 5}, {"scalerValue": 2.5, "idleTimeout": 5}),
    ({"name": "n", "datacenter": "any", "flashboot": False}, {"datacenter": ["any"], "flashboot": "OFF"}),
    (
        {"name": "n", "image": "me/x", "template": {"args": "a", "ports": ["80/http"], "registryAuthId": "r", "env": {"A": "1"}}},
        {"image": "me/x", "template": {"args": "a", "ports": ["80/http"], "registryAuthId": "r"}, "env": {"A": "1"}},
    ),
    ({"name": "n", "volume": "vol0", "executionTimeoutMs": 5000}, {"volume": ["vol0"], "executionTimeoutMs": 5000}),
]


@pytest.mark.parametrize(("program", "stated"), IMPORTED, ids=lambda value: str(value) if "name" in value else "")
def test_an_import_states_the_live_values_without_the_defaults(
    world: World, endpoint: Life, program: dict[str, Any], stated: dict[str, Any]
) -> None:
    """What it states is enough: a program that repeats it has no changes, at once, after a refresh, and after an `up`."""
    world.seed(networkVolumes=[{"id": "vol0"}], registries=[{"id": "r"}])
    endpoint.up(program)
    world.restart()
    imported = Life(world, "Endpoint", "imported")
    assert imported.take_over(endpoint.id) == {"name": "n", **stated}
    again = {"name": "n", **stated}
    assert imported.plan(again) == {}
    assert imported.refresh() == {}
    assert imported.plan(again) == {}
    assert imported.up(again) == {}
    assert imported.refresh() == {}
    assert {name: value for name, value in imported.outputs.items() if name not in ("env", "template", "gpuPools")} == {
        name: value for name, value in endpoint.outputs.items() if name not in ("env", "template", "gpuPools")
    }
    world.forget()
    imported.up({**again, "workers": 4})
    assert world.body("PATCH")["workers"]["max"] == 4


def test_an_import_without_a_floor_on_the_managed_image_states_the_image(world: World, endpoint: Life) -> None:
    """The default would bring the floor."""
    (id,) = world.seed(endpoints=[{"name": "n", "image": "runpod/flash:py3.12-latest", "gpu": {"pools": ["ADA_24"]}}])["endpoints"]
    inputs = endpoint.take_over(id)
    assert inputs["image"] == "runpod/flash:py3.12-latest"
    assert "pythonVersion" not in inputs and "minCudaVersion" not in inputs
    assert endpoint.plan(inputs) == {}


def test_an_import_of_what_others_made(world: World, endpoint: Life) -> None:
    """The server's own defaults are others than ours, so they are stated."""
    (id,) = world.seed(endpoints=[{"name": "n", "image": "me/x", "gpu": {"pools": ["ADA_24"]}}])["endpoints"]
    inputs = endpoint.take_over(id)
    assert inputs == {
        "name": "n",
        "image": "me/x",
        "gpu": ["ADA_24"],
        "workers": {"min": 0, "max": 3},
        "idleTimeout": 10,
        "executionTimeoutMs": 300_000,
        "flashboot": "OFF",
        "datacenter": ["any"],
        "template": {"containerDiskInGb": 20},
    }
    assert endpoint.up(inputs) == {}


def test_an_import_on_hardware_and_in_a_place_that_is_not_shipped(world: World, endpoint: Life) -> None:
    """A flavor with other memory, a data center, a pool and a card of tomorrow."""
    world.seed(
        catalog={
            "cpus": [{"id": "cpu9x", "ramGbPerVcpu": 7}, {"id": "cpu3c", "ramGbPerVcpu": 3.5}],
            "dataCenters": [{"id": "EU-PL-1"}],
            "gpus": [{"id": "NVIDIA R200", "pool": "RUBIN_288"}, {"id": "NVIDIA R300", "pool": "RUBIN_288"}],
        }
    )
    common = {"image": "me/x", "dataCenterIds": ["EU-PL-1"]}
    cpu_id, gpu_id = world.seed(
        endpoints=[
            {**common, "name": "c", "cpu": [{"id": "cpu9x", "vcpuCount": 4}, {"id": "cpu3c", "vcpuCount": 2}]},
            {**common, "name": "g", "gpu": {"pools": ["RUBIN_288", "ADA_24"], "excludedTypes": ["NVIDIA R300"]}},
        ]
    )["endpoints"]
    for id, hardware in (
        (cpu_id, {"cpu": ["cpu9x-4-28", "cpu3c-2-7"]}),
        (gpu_id, {"gpu": ["ADA_24", "NVIDIA R200"]}),
    ):
        life = Life(world, "Endpoint", id)
        inputs = life.take_over(id)
        assert {name: inputs[name] for name in hardware} == hardware
        assert inputs["datacenter"] == ["EU-PL-1"]
        assert life.plan(inputs) == {}
        assert life.up(inputs) == {}
        assert life.refresh() == {}


def test_cards_of_a_pool_that_is_no_more(world: World, endpoint: Life) -> None:
    """It is named as it is, and stays."""
    (id,) = world.seed(endpoints=[{"image": "me/x", "gpu": {"pools": ["OLD_8"], "excludedTypes": ["NVIDIA OLD"]}}])["endpoints"]
    inputs = endpoint.take_over(id)
    assert inputs["gpu"] == ["OLD_8"]
    assert endpoint.outputs["excludedGpuTypes"] == ["NVIDIA OLD"]
    assert endpoint.up(inputs) == {}


def test_a_pool_and_a_card_that_appear_are_no_change(world: World, endpoint: Life) -> None:
    """Of a group, of a card, and of `any`."""
    for index, words in enumerate(("ADA_24", "NVIDIA L4", "any")):
        life = Life(world, "Endpoint", f"e{index}")
        life.up({"gpu": words, "image": "me/x"})
        world.seed(catalog={"gpus": [{"id": f"NVIDIA N{index}", "pool": "AMPERE_24"}, {"id": "NVIDIA R200", "pool": "RUBIN_288"}]})
        world.restart()
        assert life.refresh() == {}
        assert life.plan({"gpu": words, "image": "me/x"}) == {}


def test_every_imported_variable_is_secret(world: World, endpoint: Life) -> None:
    """Nobody can know which are; the platform's own are left out."""
    endpoint.up({"type": "LOAD_BALANCER", "image": "me/x", "env": {"A": "1", "B": "2"}})
    imported = Life(world, "Endpoint", "imported")
    inputs = imported.take_over(endpoint.id)
    assert inputs["env"] == {"A": "1", "B": "2"}
    assert imported.secrets >= {("env", "A"), ("env", "B"), ("inheritedEnv",)}
    assert imported.outputs["inheritedEnv"] == {"PORT": "80", "PORT_HEALTH": "80"}
    world.forget()
    imported.up({**inputs, "env": {"A": "1"}})
    assert world.body("PATCH") == {"env": {"A": "1", "PORT": "80", "PORT_HEALTH": "80"}}


SECRETS: Final[list[tuple[Path, Path]]] = [
    (("env", "A"), ("env", "A")),
    (("template",), ("image",)),
    (("template", "image"), ("image",)),
    (("env", "HEALTH_CHECK_PATH"), ("requestUrls", "health")),
    (("template", "env", "HEALTH_CHECK_PATH"), ("requestUrls", "health")),
    (("gpu",), ("gpuPools",)),
    (("gpu", 0), ("excludedGpuTypes",)),
]


@pytest.mark.parametrize(("given", "carried"), SECRETS, ids=str)
def test_what_is_secret_stays_so_where_it_is_repeated(world: World, endpoint: Life, given: Path, carried: Path) -> None:
    """In the outputs of a create, an update and a refresh."""
    program = {"gpu": ["ADA_24"], "env": {"A": "1"}, "template": {"image": "me/x"}}
    endpoint.up(program, secrets=frozenset({given}))
    assert {given, carried} <= endpoint.secrets
    endpoint.refresh()
    assert {given, carried} <= endpoint.secrets
    endpoint.up({**program, "workers": 2}, secrets=frozenset({given}))
    assert {given, carried} <= endpoint.secrets


# -- gone, or not to be read

KINDS: Final = [("Endpoint", "endpoints", "/serverless"), ("NetworkVolume", "networkVolumes", "/network-volumes")]


@pytest.mark.parametrize(("kind", "store", "path"), KINDS)
def test_what_is_gone_is_gone(world: World, kind: str, store: str, path: str) -> None:
    """A 404 is the only sign of it; then a delete succeeds too."""
    life = Life(world, kind)
    life.up({"image": "me/x"} if kind == "Endpoint" else {"deletionProtection": False})
    world.control(f"resources/{store}/{life.id}", None, "DELETE")
    assert life.read() is None
    life.delete()
    assert world.sent[-2:] == [f"GET {path}/{life.id}", f"DELETE {path}/{life.id}"]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
@pytest.mark.parametrize(("kind", "store", "path"), KINDS)
def test_a_read_that_is_refused_is_an_error(world: World, kind: str, store: str, path: str, status: int) -> None:
    """The state is kept."""
    life = Life(world, kind)
    life.up({"image": "me/x"} if kind == "Endpoint" else {})
    world.fault(action="status", status=status, times=None)
    with pytest.raises(ApiProblem) as caught:
        life.read()
    assert caught.value.status == status
    assert str(caught.value).startswith(
        f"reading the {'endpoint' if kind == 'Endpoint' else 'network volume'} '{life.id}' failed: "
    )


def test_a_read_without_an_answer_is_an_error(world: World, endpoint: Life) -> None:
    """Nothing is known of the endpoint then."""
    endpoint.up({"image": "me/x"})
    world.fault(action="reset-before", times=None)
    with pytest.raises(ApiUnreachable):
        endpoint.read()


def test_an_answer_with_more_or_less_than_expected_is_read(world: World, endpoint: Life) -> None:
    """The document lets a CPU endpoint carry `gpu: null`, and more may be added."""
    endpoint.up({"cpu": "cpu3c-2-4", "image": "me/x"})
    world.fault(action="add-fields", fields={"gpu": None, "tomorrow": {"x": 1}}, times=None)
    assert endpoint.refresh() == {}
    imported = Life(world, "Endpoint", "imported")
    assert imported.take_over(endpoint.id)["cpu"] == ["cpu3c-2-4"]


def test_a_cpu_size_without_its_memory_is_stated_without(world: World, endpoint: Life) -> None:
    """Flavor and vCPUs say which it is."""
    endpoint.up({"cpu": "cpu3c-2-4", "image": "me/x"})
    world.fault(action="add-fields", fields={"cpu": [{"id": "cpu3c", "vcpuCount": 2}]})
    assert Life(world, "Endpoint", "imported").take_over(endpoint.id)["cpu"] == ["cpu3c-2"]


def test_a_delete_that_is_refused_says_so(world: World, endpoint: Life) -> None:
    """It stays in the state."""
    endpoint.up({"image": "me/x"})
    world.fault(action="status", status=400, detail="not now")
    with pytest.raises(ApiProblem, match=f"deleting the endpoint '{endpoint.id}' failed: Runpod answered 400 .*: not now"):
        endpoint.delete()


OUT_OF_BOUNDS: Final = [
    {"timeout": 1000},
    {"workers": {"min": 0, "max": 1, "idleTimeout": 0}},
    {"workers": {"min": 3, "max": 1, "idleTimeout": 60}},
    {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 0}},
    {"env": {"A=B": "c"}},
    {"flashboot": "TURBO"},
    {"ports": ["8000"]},
    {"gpu": {"pools": ["ADA_24"], "count": 1, "minCudaVersion": "12.4", "allowedCudaVersions": ["12.8"]}},
]


@pytest.mark.parametrize("live", OUT_OF_BOUNDS, ids=str)
def test_what_is_there_may_stay_as_it_is(world: World, endpoint: Life, live: dict[str, Any]) -> None:
    """What no program could set now is no failure after an import, and no change; what the program does set is held against the bounds."""
    (id,) = world.seed(endpoints=[{"name": "old"}])["endpoints"]
    world.drift("endpoints", id, **live)
    program = endpoint.take_over(id)
    assert endpoint.failures(program) == []
    assert endpoint.plan(program) == {}
    endpoint.up(program)  # now the defaults are stored, too
    assert endpoint.inputs[DEFAULTS_KEY] != []
    assert endpoint.failures(program) == [] and endpoint.plan(program) == {} and endpoint.refresh() == {}
    assert endpoint.failures({**program, "gpuCount": 0}) == ["gpuCount: must be at least 1, not 0"]
    assert len(endpoint.failures(program, olds={})) == 1  # a new one is not to be had
    assert world.writes == []


@pytest.mark.parametrize(
    ("live", "program", "said"),
    [
        ({"timeout": 1000}, {"executionTimeoutMs": 2000}, "executionTimeoutMs: must be 0"),
        ({"workers": {"min": 3, "max": 1}}, {"workers": {"min": 4, "max": 1}}, "workers: min (4) must not exceed max (1)"),
        ({"workers": {"min": 0, "max": 1, "idleTimeout": 0}}, {"idleTimeout": 4000}, "idleTimeout: must be at most 3600"),
    ],
    ids=str,
)
def test_another_value_out_of_bounds_is_refused(world: World, endpoint: Life, live: Any, program: Any, said: str) -> None:
    """That one is the program's."""
    (id,) = world.seed(endpoints=[{"name": "old"}])["endpoints"]
    world.drift("endpoints", id, **live)
    (failure,) = endpoint.failures({**endpoint.take_over(id), **program})
    assert failure.startswith(said)


def test_what_is_there_in_another_shape_may_stay_too(endpoint: Life) -> None:
    """A state of another version; no default is put into it."""
    odd = {"image": "me/x", "template": 5}
    assert endpoint.failures(odd, olds=odd) == []
    assert endpoint.checked(odd, olds=odd)["template"] == 5
