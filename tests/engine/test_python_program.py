"""A Python program with the generated SDK: its types, its enums and its secrets arrive as they are meant."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

import pulumi_runpod_serverless as runpod
from engine.harness import Stack
from engine.programs import IMAGE

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _live(emulator: Running) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in emulator.state()["endpoints"]}


def test_a_program_states_what_it_wants_in_the_sdk_s_own_types(stack: Stack, emulator: Running) -> None:
    """Enums, a volume as it is, arguments as classes and as dicts: what arrives at the API is the same."""
    emulator.set(worker_quota=20)

    def program() -> None:
        models = runpod.NetworkVolume(
            "models",
            size=20,
            datacenter=runpod.DataCenter.US_KS_2,
            type=runpod.VolumeType.HIGH_PERFORMANCE,
            deletion_protection=False,
        )
        shared: dict[str, Any] = {"image": IMAGE, "volume": models, "gpu_count": 2}
        first = runpod.Endpoint(
            "first",
            name="first",
            gpu=[runpod.GpuType.NVIDIA_A100_80GB_PCIE, runpod.GpuGroup.ADA_24],
            workers=runpod.WorkersArgs(min=1, max=3),
            scaler_type=runpod.ScalerType.REQUEST_COUNT,
            scaler_value=2,
            flashboot=runpod.FlashBoot.PRIORITY_FLASHBOOT,
            template=runpod.PodTemplateSettingsArgs(container_disk_in_gb=30, env={"LEVEL": "info"}),
            **shared,
        )
        runpod.Endpoint(
            "second",
            name="second",
            gpu=["ADA_24", "NVIDIA A100 80GB PCIe"],
            workers={"min": 1, "max": 3},
            scaler_type="REQUEST_COUNT",
            scaler_value=2,
            flashboot="PRIORITY_FLASHBOOT",
            template={"container_disk_in_gb": 30, "env": [{"key": "LEVEL", "value": "info"}]},
            **shared,
        )
        runpod.Endpoint(
            "third", name="third", image=IMAGE, cpu=runpod.CpuInstanceType.CPU5C_4_8, type=runpod.EndpointType.LOAD_BALANCER
        )
        runpod.Endpoint("fourth", name="fourth", image=IMAGE, volume=[models.id], update_strategy=runpod.UpdateStrategy.IN_PLACE)
        pulumi.export("run", first.request_urls.run)
        pulumi.export("most", first.workers.max)
        pulumi.export("gpu", first.gpu)

    up = stack.inline(program).up()
    assert up.summary.resource_changes == {"create": 6}
    live = _live(emulator)
    own = ("id", "name", "createdAt", "requestUrls")
    assert {key: value for key, value in live["first"].items() if key not in own} == {
        key: value for key, value in live["second"].items() if key not in own
    }
    assert live["first"]["gpu"] == {
        "pools": ["AMPERE_80", "ADA_24"],
        "excludedTypes": ["NVIDIA A100-SXM4-80GB"],
        "count": 2,
        "allowedCudaVersions": [],
        "minCudaVersion": None,
    }
    (volume,) = emulator.state()["networkVolumes"]
    assert volume["type"] == "HIGH_PERFORMANCE"
    assert [live[name]["networkVolumes"] for name in ("first", "fourth")] == [[volume["id"]]] * 2
    assert live["fourth"]["dataCenterIds"] == ["US-KS-2"]
    assert live["third"]["cpu"][0]["vcpuCount"] == 4
    assert {name: output.value for name, output in up.outputs.items()} == {
        "run": live["first"]["requestUrls"]["run"],
        "most": 3,
        "gpu": ["ADA_24", "NVIDIA A100 80GB PCIe"],
    }
    assert stack.inline(program).up().summary.resource_changes == {"same": 6}


def test_secrets_stay_secret_through_a_program(stack: Stack, emulator: Running) -> None:
    """An output that holds a secret is one, the URLs are none, and values that the program computes arrive in full."""

    def program() -> None:
        token = pulumi.Output.secret("sesame")
        first = runpod.Endpoint("first", name="first", image=IMAGE, env={"TOKEN": token})
        runpod.Endpoint(
            "second", name="second", image=IMAGE, env=first.id.apply(lambda identifier: {"FIRST": identifier, "LEVEL": "info"})
        )
        pulumi.export("env", first.env)
        pulumi.export("url", first.request_urls.run)

    up = stack.inline(program).up()
    assert (up.outputs["env"].secret, up.outputs["env"].value) == (True, {"TOKEN": "sesame"})
    assert up.outputs["url"].secret is False
    live = _live(emulator)
    assert live["second"]["env"] == {"FIRST": live["first"]["id"], "LEVEL": "info"}
    assert "sesame" not in stack.pulumi("stack", "export").stdout


def test_an_existing_endpoint_is_looked_up(stack: Stack, emulator: Running) -> None:
    """`Endpoint.get` is what `Endpoint(id=…)` is in Flash: it reads, and changes nothing."""
    emulator.seed(endpoints=[{"id": "existing", "name": "found", "env": {"TOKEN": "sesame"}}])

    def program() -> None:
        found = runpod.Endpoint.get("found", "existing")
        pulumi.export("name", found.name)
        pulumi.export("url", found.request_urls.run)
        pulumi.export("env", found.env)

    up = stack.inline(program).up()
    assert up.outputs["name"].value == "found"
    assert up.outputs["url"].value.endswith("/existing/run")
    assert (up.outputs["env"].secret, up.outputs["env"].value) == (True, {"TOKEN": "sesame"})
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}


@pytest.mark.parametrize(
    ("enum", "members"),
    [
        (runpod.GpuGroup, {"ANY": "any", "ADA_24": "ADA_24", "AMPERE_80": "AMPERE_80", "BLACKWELL_180": "BLACKWELL_180"}),
        (runpod.GpuType, {"NVIDIA_A100_80GB_PCIE": "NVIDIA A100 80GB PCIe", "NVIDIA_GEFORCE_RTX_4090": "NVIDIA GeForce RTX 4090"}),
        (runpod.CpuInstanceType, {"CPU3G_2_8": "cpu3g-2-8", "CPU5C_4_8": "cpu5c-4-8"}),
        (runpod.DataCenter, {"ANY": "any", "EU_RO_1": "EU-RO-1", "US_GA_2": "US-GA-2"}),
        (runpod.ScalerType, {"QUEUE_DELAY": "QUEUE_DELAY", "REQUEST_COUNT": "REQUEST_COUNT"}),
        (runpod.EndpointType, {"QUEUE": "QUEUE", "LOAD_BALANCER": "LOAD_BALANCER"}),
        (runpod.FlashBoot, {"OFF": "OFF", "FLASHBOOT": "FLASHBOOT", "PRIORITY_FLASHBOOT": "PRIORITY_FLASHBOOT"}),
        (runpod.UpdateStrategy, {"REPLACE": "replace", "IN_PLACE": "inPlace"}),
        (runpod.VolumeType, {"STANDARD": "STANDARD", "HIGH_PERFORMANCE": "HIGH_PERFORMANCE"}),
    ],
)
def test_an_enum_s_members_have_readable_names(enum: type[Enum], members: dict[str, str]) -> None:
    """Members are named as Flash names them, in capitals with one underline between words."""
    assert {name: enum[name].value for name in members} == members
    assert all(name == name.upper() and "__" not in name for name in enum.__members__)
