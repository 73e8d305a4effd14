"""What a create sends, whole: every default is stated, and nothing that a template brings."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.resources.catalog import CPU_SIZES, FLAVORS, POOLS
from unit.contract import DOCUMENT
from unit.support import Life, World

REFERENCE: Final = DOCUMENT.with_name("bodies.json")
FACTS: Final = DOCUMENT.with_name("flash-facts.json")
DEFAULTS: Final = {
    "type": "QUEUE",
    "workers": {"min": 0, "max": 1, "idleTimeout": 60},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    "dataCenterIds": ["EU-RO-1"],
    "timeout": 0,
    "flashboot": "FLASHBOOT",
}
ALL_POOLS: Final = (
    "AMPERE_16 AMPERE_24 AMPERE_48 AMPERE_80 ADA_24 ADA_32_PRO ADA_48_PRO ADA_80_PRO HOPPER_141 BLACKWELL_96 BLACKWELL_180"
).split()
VOLUME: Final = {"networkVolumes": [{"id": "2q9m7x4c"}]}
TEMPLATE: Final = {
    "templates": [{"id": "9x4m2p7v", "name": "preset", "image": "me/preset:1", "env": {"MODEL": "m", "MODE": "fast"}}]
}

# what is said, what it needs, the program, the body
GOLDEN: Final[dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    "all defaults": (
        {},
        {"name": "infer-1a2b3c4"},
        {
            **DEFAULTS,
            "name": "infer-1a2b3c4",
            "image": "runpod/flash:py3.12-latest",
            "gpu": {"pools": ALL_POOLS, "count": 1, "minCudaVersion": "12.8"},
            "disk": 64,
        },
    ),
    "vLLM on one A100 card, volume, env, 100 GB": (
        VOLUME,
        {
            "name": "vllm-server",
            "image": "runpod/worker-vllm:stable-cuda12.1.0",
            "gpu": "NVIDIA A100 80GB PCIe",
            "volume": "2q9m7x4c",
            "env": {"MODEL_NAME": "meta-llama/Llama-3.2-3B-Instruct", "HF_TOKEN": "x"},
            "template": {"containerDiskInGb": 100},
        },
        {
            **DEFAULTS,
            "name": "vllm-server",
            "image": "runpod/worker-vllm:stable-cuda12.1.0",
            "gpu": {"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"], "count": 1},
            "env": {"MODEL_NAME": "meta-llama/Llama-3.2-3B-Instruct", "HF_TOKEN": "x"},
            "disk": 100,
            "networkVolumes": ["2q9m7x4c"],
        },
    ),
    "cpu5c-4-8": (
        {},
        {"name": "data-processor", "cpu": "cpu5c-4-8"},
        {
            **DEFAULTS,
            "name": "data-processor",
            "image": "runpod/flash-cpu:py3.12-latest",
            "cpu": [{"id": "cpu5c", "vcpuCount": 4}],
            "disk": 60,
        },
    ),
    "load balancer on CPU with its own port": (
        {},
        {
            "name": "cpu-api",
            "type": "LOAD_BALANCER",
            "image": "me/api:1",
            "cpu": "cpu3c-2-4",
            "workers": {"min": 1, "max": 10},
            "env": {"PORT": "8000", "PORT_HEALTH": "8000", "HEALTH_CHECK_PATH": "/health"},
            "template": {"ports": ["8000/http"]},
        },
        {
            **DEFAULTS,
            "name": "cpu-api",
            "type": "LOAD_BALANCER",
            "image": "me/api:1",
            "cpu": [{"id": "cpu3c", "vcpuCount": 2}],
            "disk": 20,
            "ports": ["8000/http"],
            "env": {"PORT": "8000", "PORT_HEALTH": "8000", "HEALTH_CHECK_PATH": "/health"},
            "workers": {"min": 1, "max": 10, "idleTimeout": 60},
            "scaling": {"type": "REQUEST_COUNT", "requestCount": 4},
        },
    ),
    "queue on REQUEST_COUNT": (
        {},
        {"name": "q-rc", "image": "me/w:1", "gpu": "ADA_24", "scalerType": "REQUEST_COUNT", "workers": 5},
        {
            **DEFAULTS,
            "name": "q-rc",
            "image": "me/w:1",
            "gpu": {"pools": ["ADA_24"], "count": 1},
            "disk": 64,
            "workers": {"min": 0, "max": 5},
            "scaling": {"type": "REQUEST_COUNT", "requestCount": 4},
        },
    ),
    "from a template": (
        TEMPLATE,
        {"name": "from-template", "templateId": "9x4m2p7v", "gpu": "ADA_24"},
        {**DEFAULTS, "name": "from-template", "templateId": "9x4m2p7v", "gpu": {"pools": ["ADA_24"], "count": 1}},
    ),
}


@pytest.mark.parametrize("what", GOLDEN)
def test_the_body_of_a_create(world: World, endpoint: Life, what: str) -> None:
    """It is exactly this, with no decimal point in an integer, and nothing is left to do afterwards."""
    seeds, program, body = GOLDEN[what]
    world.seed(**seeds)
    secrets = frozenset({("env", key) for key in program.get("env", ())})
    endpoint.up(program, secrets=secrets)
    assert world.body("POST") == body
    assert not re.search(rb"\d\.\d*[,}\]]", re.sub(rb'"[^"]*"', b'""', world.exchanges[-1].content))
    assert secrets <= endpoint.secrets
    assert endpoint.up(program) == {}
    assert endpoint.refresh() == {}


@pytest.mark.parametrize("what", GOLDEN)
def test_the_golden_bodies_are_those_of_the_reference(what: str) -> None:
    """Where this machine has the reference, it says the same."""
    if not REFERENCE.exists():
        pytest.skip(f"shared reference absent: the request bodies are not at {REFERENCE}")
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))["POST"]
    assert set(reference) == set(GOLDEN)
    assert GOLDEN[what][2] == reference[what]


def test_the_shipped_facts_are_flashs() -> None:
    """Pools, CPU flavors and sizes contain what Flash's reference lists; the cards that Runpod has beyond that are stated here."""
    if not FACTS.exists():
        pytest.skip(f"shared reference absent: Flash's facts are not at {FACTS}")
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    more = {"ADA_48_PRO": ("NVIDIA L40", "NVIDIA L40S"), "ADA_80_PRO": ("NVIDIA H100 PCIe", "NVIDIA H100 NVL")}
    assert {pool: (*cards, *more.get(pool, ())) for pool, cards in facts["gpuPools"].items()} == POOLS
    assert sorted(card for cards in more.values() for card in cards) == sorted(facts["otherGpuCardsSeen"])
    flavors = facts["cpuInstances"]["flavors"]
    assert {name: (each.ram_gb_per_vcpu, each.disk_gb_per_vcpu) for name, each in FLAVORS.items()} == {
        name: (each["ramGbPerVcpu"], each["containerDiskGbPerVcpu"]) for name, each in flavors.items()
    }
    assert set(CPU_SIZES) == {
        f"{name}-{count}-{count * each['ramGbPerVcpu']}" for name, each in flavors.items() for count in (2, 4, 8)
    }


LIMITS: Final = {
    "cpu3g-2-8": 20,
    "cpu3g-4-16": 40,
    "cpu3g-8-32": 80,
    "cpu3c-2-4": 20,
    "cpu3c-4-8": 40,
    "cpu3c-8-16": 80,
    "cpu5c-2-4": 30,
    "cpu5c-4-8": 60,
    "cpu5c-8-16": 120,
}


def test_every_size_has_a_limit_here() -> None:
    """The table is whole."""
    assert set(LIMITS) == set(CPU_SIZES)


@pytest.mark.parametrize("size", LIMITS)
def test_container_disk_of_a_cpu_size(world: World, endpoint: Life, size: str) -> None:
    """Unset it is 64 GB or the size's limit; the limit itself passes; a GB more is refused before any request."""
    limit = LIMITS[size]
    (said,) = endpoint.failures({"cpu": size, "template": {"containerDiskInGb": limit + 1}})
    assert said.startswith(f"template.containerDiskInGb: {limit + 1} GB is more than the {limit} GB that the smallest of ")
    assert said.endswith(f"{size.rpartition('-')[0]} may have; lower it or choose a larger size")
    assert world.sent == []
    endpoint.up({"cpu": size})
    Life(world, "Endpoint", "y").up({"cpu": size, "template": {"containerDiskInGb": limit}})
    unset, at_limit = world.bodies("POST")
    flavor, count, _ = size.split("-")
    assert unset["cpu"] == at_limit["cpu"] == [{"id": flavor, "vcpuCount": int(count)}]
    assert (unset["disk"], at_limit["disk"]) == (min(64, limit), limit)


def test_the_smallest_listed_size_limits_the_disk(endpoint: Life) -> None:
    """Any of them may get the worker."""
    assert endpoint.checked({"cpu": ["cpu5c-8-16", "cpu3c-2-4"]})["template"] == {"containerDiskInGb": 20}
    assert "template" not in endpoint.checked({"cpu": ["cpu5g-8-32", "cpu3c-2-4"]})


PROPERTIES: Final = {
    "image": ({"image": "me/own:1"}, {"image": "me/own:1"}),
    "disk": ({"template": {"containerDiskInGb": 30}}, {"disk": 30}),
    "args": ({"template": {"args": ""}}, {"args": ""}),
    "ports": ({"template": {"ports": []}}, {"ports": []}),
    "env": ({"env": {"MODE": "slow"}}, {"env": {"MODE": "slow"}}),
    "registry": ({"template": {"registryAuthId": "reg0"}}, {"registry": "reg0"}),
    "template.image": ({"template": {"image": "me/own:1"}}, {"image": "me/own:1"}),
}


@pytest.mark.parametrize("what", PROPERTIES)
def test_beside_a_template_id_only_what_was_set_is_sent(world: World, endpoint: Life, what: str) -> None:
    """The endpoint's own property wins over the template's, and the rest of the template is left to it."""
    program, sent = PROPERTIES[what]
    world.seed(**TEMPLATE, registries=[{"id": "reg0"}])
    program = {"name": "n", "templateId": "9x4m2p7v", "gpu": "ADA_24", **program}
    endpoint.up(program)
    golden = GOLDEN["from a template"][2]
    assert world.body("POST") == {**golden, "name": "n", **sent}
    assert endpoint.up(program) == {}
    assert endpoint.refresh() == {}


def test_the_env_of_a_template_is_recorded_and_restated(world: World, endpoint: Life) -> None:
    """A PATCH replaces env, so each one carries what the template brought; the program's own values win."""
    world.seed(**TEMPLATE)
    program = {"templateId": "9x4m2p7v", "gpu": "ADA_24", "env": {"MODE": "slow"}}
    endpoint.up(program)
    assert endpoint.outputs["inheritedEnv"] == {"MODEL": "m"}
    assert ("inheritedEnv",) in endpoint.secrets
    assert endpoint.outputs["image"] == "me/preset:1"
    for env, whole in (
        ({"MODE": "slow", "KEY": "k"}, {"MODEL": "m", "MODE": "slow", "KEY": "k"}),
        ({"MODEL": "own"}, {"MODEL": "own"}),
        ({}, {"MODEL": "m"}),
    ):
        world.forget()
        endpoint.up({**program, "env": env})
        assert world.body("PATCH") == {"env": whole}
        assert world.live("endpoints", endpoint.id)["env"] == whole
        assert endpoint.refresh() == {}


def test_a_preview_does_not_know_what_a_template_brings(world: World, endpoint: Life) -> None:
    """Image and env are the API's to say; once they are known, an update leaves them."""
    world.seed(**TEMPLATE)
    program = {"templateId": "9x4m2p7v", "gpu": "ADA_24"}
    predicted = endpoint.preview(program)
    assert predicted["image"] is predicted["inheritedEnv"] is UNKNOWN
    endpoint.up(program)
    predicted = endpoint.preview({**program, "workers": 2})
    assert (predicted["image"], predicted["inheritedEnv"]) == ("me/preset:1", {"MODEL": "m", "MODE": "fast"})


def test_what_a_template_holds_without_the_program_is_no_drift(world: World, endpoint: Life) -> None:
    """Image, disk, args and ports of the template are the server's."""
    world.seed(**TEMPLATE)
    program = {"templateId": "9x4m2p7v", "gpu": "ADA_24"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, disk=99, args="x", ports=["1/tcp"], image="me/other:1")
    assert endpoint.refresh() == {}
    assert endpoint.outputs["image"] == "me/other:1"
    assert endpoint.plan(program) == {}


PRECEDENCE: Final = [
    ({"image": "a", "template": {"image": "b"}}, {"image": "a"}),
    ({"template": {"image": "b"}}, {"image": "b"}),
    ({"env": {"A": "1"}, "template": {"env": {"A": "2", "B": "3"}}}, {"env": {"A": "1", "B": "3"}}),
    ({"env": {"A": "1"}, "template": {"env": [{"key": "A", "value": "2"}]}}, {"env": {"A": "1"}}),
]


@pytest.mark.parametrize(("program", "sent"), PRECEDENCE, ids=str)
def test_the_endpoints_own_property_wins_over_its_template(world: World, endpoint: Life, program: Any, sent: Any) -> None:
    """And what cannot be seen in the answer, because the other won, is no drift."""
    endpoint.up(program)
    body = world.body("POST")
    assert {name: body[name] for name in sent} == sent
    assert endpoint.up(program) == {}
    assert endpoint.refresh() == {}


IMAGES: Final = [
    ({}, "runpod/flash:py3.12-latest"),
    ({"cpu": "cpu3c-2-4"}, "runpod/flash-cpu:py3.12-latest"),
    ({"type": "LOAD_BALANCER"}, "runpod/flash-lb:py3.12-latest"),
    ({"type": "LOAD_BALANCER", "cpu": "cpu3c-2-4"}, "runpod/flash-lb-cpu:py3.12-latest"),
    ({"pythonVersion": "3.10"}, "runpod/flash:py3.10-latest"),
    ({"pythonVersion": "3.13", "cpu": "cpu3c-2-4"}, "runpod/flash-cpu:py3.13-latest"),
]


@pytest.mark.parametrize(("program", "image"), IMAGES, ids=str)
def test_the_managed_image(world: World, endpoint: Life, program: Any, image: str) -> None:
    """It follows type, compute and Python version; on GPUs it brings the CUDA floor of Flash; one warning says what it is good for."""
    endpoint.up(program)
    body = world.body("POST")
    assert body["image"] == image
    assert body.get("gpu", {}).get("minCudaVersion") == (None if "cpu" in program else "12.8")
    (said,) = world.notes.warnings
    assert repr(image) in said and "2026-10-29" in said and ("load balancer" in said) == ("type" in program)


@pytest.mark.parametrize("program", [{"image": "me/x"}, {"template": {"image": "me/x"}}, {"templateId": "9x4m2p7v"}], ids=str)
def test_an_image_of_ones_own_brings_no_floor_and_no_warning(world: World, endpoint: Life, program: Any) -> None:
    """Nothing is assumed about it."""
    world.seed(**TEMPLATE)
    endpoint.up({**program, "gpu": "ADA_24"})
    assert "minCudaVersion" not in world.body("POST")["gpu"]
    assert world.notes.warnings == []


def test_ports_of_a_load_balancer_need_port_in_env(world: World, endpoint: Life) -> None:
    """Requests go to the port that it names."""
    program = {"type": "LOAD_BALANCER", "image": "me/x", "template": {"ports": ["8000/http"]}}
    endpoint.preview(program)
    assert world.notes.warnings == [
        "`template.ports` is set, but requests go to the port that `PORT` in `env` names (80 without it)"
    ]
    endpoint.preview({**program, "env": {"PORT": "8000"}})
    endpoint.preview({**program, "template": {"ports": ["8000/http"], "env": {"PORT": "8000"}}})
    assert len(world.notes.warnings) == 1


GPUS: Final = [
    ("NVIDIA A100 80GB PCIe", ["AMPERE_80"], ["NVIDIA A100-SXM4-80GB"]),
    (["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"], ["AMPERE_80"], None),
    (["NVIDIA A100 80GB PCIe", "AMPERE_80"], ["AMPERE_80"], None),
    (["ADA_24", "NVIDIA A100 80GB PCIe", "NVIDIA L4"], ["AMPERE_24", "AMPERE_80", "ADA_24"],
     ["NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090", "NVIDIA A100-SXM4-80GB"]),
    ("NVIDIA GeForce RTX 4090", ["ADA_24"], None),
]  # fmt: skip


@pytest.mark.parametrize(("words", "pools", "excluded"), GPUS, ids=str)
def test_gpu_words_become_pools_and_exclusions(world: World, endpoint: Life, words: Any, pools: Any, excluded: Any) -> None:
    """A card selects its pool without the others; a pool that is named keeps all its cards."""
    endpoint.up({"gpu": words, "image": "me/x"})
    gpu = world.body("POST")["gpu"]
    assert (gpu["pools"], gpu.get("excludedTypes")) == (pools, excluded)
    assert (endpoint.outputs["gpuPools"], endpoint.outputs["excludedGpuTypes"]) == (pools, excluded or [])
    assert endpoint.refresh() == {}


def test_any_data_center_is_sent_as_none(world: World, endpoint: Life) -> None:
    """The scheduler chooses where the list is empty."""
    endpoint.up({"datacenter": "any", "image": "me/x"})
    assert world.body("POST")["dataCenterIds"] == []
    assert endpoint.refresh() == {}
    assert endpoint.outputs["datacenter"] == ["any"]


def test_a_preview_predicts_what_is_certain(world: World, endpoint: Life) -> None:
    """Each value that a preview gives is the one that comes."""
    for program in (
        {"gpu": "NVIDIA L4", "env": {"A": "1"}, "workers": 3},
        {"gpu": "NVIDIA L4", "env": {"B": "1"}, "workers": 2, "updateStrategy": "inPlace"},
        {"gpu": "NVIDIA A40", "env": {"B": "1"}, "workers": 2, "updateStrategy": "inPlace", "image": "me/x"},
        {"gpu": "NVIDIA A40", "env": {"B": "1"}, "workers": 2, "updateStrategy": "inPlace", "template": {"image": "me/y"}},
    ):
        predicted = {name: value for name, value in endpoint.preview(program).items() if repr(value) != "UNKNOWN"}
        endpoint.up(program)
        assert {name: endpoint.outputs[name] for name in predicted} == predicted
        assert set(predicted) >= {"gpuPools", "image", "workers", "env"}
