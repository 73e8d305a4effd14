"""The generated Python SDK: its members, its secrets, and its types in a program that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from mypy import api as mypy

import pulumi_runpod_serverless as runpod
from runpod_serverless_provider.resources import catalog

MEMBERS: Final = {
    "GpuGroup": {"ADA_24": "ADA_24", "AMPERE_80": "AMPERE_80", "ANY": "any", "BLACKWELL_180": "BLACKWELL_180"},
    "GpuType": {
        "NVIDIA_A100_80GB_PCIE": "NVIDIA A100 80GB PCIe",
        "NVIDIA_A100_SXM4_80GB": "NVIDIA A100-SXM4-80GB",
        "NVIDIA_GEFORCE_RTX_4090": "NVIDIA GeForce RTX 4090",
        "NVIDIA_H100_80GB_HBM3": "NVIDIA H100 80GB HBM3",
    },
    "CpuInstanceType": {"CPU3G_2_8": "cpu3g-2-8", "CPU5C_4_8": "cpu5c-4-8"},
    "DataCenter": {"EU_RO_1": "EU-RO-1", "US_KS_2": "US-KS-2", "ANY": "any"},
    "EndpointType": {"QUEUE": "QUEUE", "LOAD_BALANCER": "LOAD_BALANCER"},
    "ScalerType": {"QUEUE_DELAY": "QUEUE_DELAY", "REQUEST_COUNT": "REQUEST_COUNT"},
    "FlashBoot": {"OFF": "OFF", "FLASHBOOT": "FLASHBOOT", "PRIORITY_FLASHBOOT": "PRIORITY_FLASHBOOT"},
    "UpdateStrategy": {"REPLACE": "replace", "IN_PLACE": "inPlace"},
    "VolumeType": {"STANDARD": "STANDARD", "HIGH_PERFORMANCE": "HIGH_PERFORMANCE"},
}
WHOLE: Final = {
    "GpuGroup": (catalog.ANY, *catalog.POOLS),
    "GpuType": catalog.GPU_TYPES,
    "CpuInstanceType": catalog.CPU_SIZES,
    "DataCenter": (catalog.ANY, *catalog.DATA_CENTERS),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_an_enum_has_the_members_that_one_expects(name: str) -> None:
    """Named as Flash names them, with the API's values."""
    enum = getattr(runpod, name)
    for member, value in MEMBERS[name].items():
        assert enum[member].value == value
    if name in WHOLE:
        assert {member.value for member in enum} == set(WHOLE[name])
    else:
        assert {member.value for member in enum} == set(MEMBERS[name].values())


PROGRAM: Final = """
import pulumi
import pulumi_runpod_serverless as runpod
from pulumi_runpod_serverless import dynamic

config = pulumi.Config()
weights = runpod.NetworkVolume("weights", size=100, datacenter=runpod.DataCenter.EU_RO_1, deletion_protection=True)
llm = runpod.Endpoint(
    "llm",
    gpu=[runpod.GpuGroup.ADA_24, runpod.GpuType.NVIDIA_A100_80GB_PCIE, "SOMETHING_NEW"],
    gpu_count=2,
    workers={"min": 0, "max": 3},
    volume=weights,
    datacenter="EU-RO-1",
    env={"HF_TOKEN": config.require_secret("hfToken"), "MODE": "fast"},
    template={"container_disk_in_gb": 100, "env": [{"key": "A", "value": "b"}]},
    flashboot=True,
    scaler_type=runpod.ScalerType.QUEUE_DELAY,
    scaler_value=2.5,
    update_strategy=runpod.UpdateStrategy.IN_PLACE,
)
api = runpod.Endpoint(
    "api",
    type=runpod.EndpointType.LOAD_BALANCER,
    cpu=runpod.CpuInstanceType.CPU5C_4_8,
    image="me/api:1",
    workers=runpod.WorkersArgs(min=1, max=2),
    template=runpod.PodTemplateSettingsArgs(args="serve", ports=["8000/http"]),
    volume=[weights.id],
    opts=pulumi.ResourceOptions(protect=True),
)
settings = runpod.PodTemplate("settings", image="me/worker:1").settings
image: pulumi.Output[str | None] = settings.image
runpod.Endpoint("templated", template=settings)
runpod.Endpoint("by arguments", runpod.EndpointArgs(template=settings))
dynamic.Endpoint("through the other door", template=dynamic.PodTemplate("its settings", image="me/worker:1").settings)
url: pulumi.Output[str | None] = llm.request_urls.apply(lambda urls: urls.run)
size: pulumi.Output[int | None] = weights.size
provider = runpod.Provider("other", api_key="k", default_datacenter="US-KS-2")
"""
WRONG: Final = """
import pulumi_runpod_serverless as runpod

runpod.Endpoint("a", wrokers=1)
runpod.Endpoint("b", gpu_count="two")
runpod.NetworkVolume("c", size="big")
runpod.Endpoint("d", template=runpod.NetworkVolume("v").name)
runpod.DataCenter.EU_RO_9
"""


def _judge(tmp_path: Path, program: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\n", encoding="utf-8")
    options = [
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(tmp_path / "mypy.ini"),
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    said, problems, _ = mypy.run([*options, str(path)])
    assert problems == ""
    return said.splitlines()


def test_a_program_type_checks(tmp_path: Path) -> None:
    """With enums, plain words, classes, dictionaries, resources and outputs."""
    assert _judge(tmp_path, PROGRAM.replace("str | None", "'str | None'")) == []


def test_what_is_wrong_in_a_program_is_found(tmp_path: Path) -> None:
    """A misspelt property, a wrong type, an enum member that is not there."""
    lines = {int(line.split(":")[1]) for line in _judge(tmp_path, WRONG) if ": error: " in line}
    assert lines == {4, 5, 6, 7, 8}
