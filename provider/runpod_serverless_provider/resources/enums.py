"""The enums of the schema: what a user may pick from. Those of names that Runpod adds to are open, any other string passes too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import catalog


@dataclass(frozen=True)
class EnumFacts:
    """One enum: what it lists, and its values. `is_open` says that other values are accepted."""

    description: str
    values: tuple[str, ...]
    is_open: bool = False


ENUMS: Final[Mapping[str, EnumFacts]] = {
    "CpuInstanceType": EnumFacts("CPU sizes: flavor, vCPUs and GB of memory.", catalog.CPU_SIZES, is_open=True),
    "DataCenter": EnumFacts(
        "Runpod's data centers; `any` lets the scheduler choose.", (catalog.ANY, *catalog.DATA_CENTERS), is_open=True
    ),
    "EndpointType": EnumFacts(
        "How requests reach workers: through a queue of jobs, or straight through a load balancer.", ("QUEUE", "LOAD_BALANCER")
    ),
    "FlashBoot": EnumFacts("How workers start from cached images.", ("OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT")),
    "GpuGroup": EnumFacts(
        "Serverless GPU pools: groups of cards of one size; `any` is all of them.", (catalog.ANY, *catalog.POOLS), is_open=True
    ),
    "GpuType": EnumFacts("GPU cards that belong to a serverless pool.", catalog.GPU_TYPES, is_open=True),
    "ScalerType": EnumFacts(
        "What makes Runpod add workers: how long requests wait, or how many there are.", ("QUEUE_DELAY", "REQUEST_COUNT")
    ),
    "UpdateStrategy": EnumFacts(
        "What a change of hardware, image or placement does: a new endpoint, or a rolling release of the living one.",
        ("replace", "inPlace"),
    ),
    "VolumeType": EnumFacts("Storage tiers of network volumes.", ("STANDARD", "HIGH_PERFORMANCE")),
}


def reference(name: str) -> dict[str, Any]:
    """Refer to a type of the schema."""
    return {"$ref": f"#/types/runpod-serverless:index:{name}"}


def one_of(*options: Mapping[str, Any]) -> dict[str, Any]:
    """Allow any of several types."""
    return {"oneOf": [dict(option) for option in options]}


def word_of(*enums: str) -> list[dict[str, Any]]:
    """A string, or a member of one of these enums."""
    return [{"type": "string"}, *({"type": "string", **reference(name)} for name in enums)]


def one_or_many(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One item or a list of them."""
    options = list(items)
    return one_of(*options, {"type": "array", "items": one_of(*options)})
