"""The open enums of the schema, and the type specs that refer to types. Closed enums stand on their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import catalog


@dataclass(frozen=True)
class OpenEnum:
    """What is known of names that Runpod adds to: any other string passes too."""

    description: str
    values: tuple[str, ...]


OPEN_ENUMS: Final[Mapping[str, OpenEnum]] = {
    "CpuInstanceType": OpenEnum("CPU sizes: flavor, vCPUs and GB of memory.", catalog.CPU_SIZES),
    "DataCenter": OpenEnum("Runpod's data centers; `any` lets the scheduler choose.", (catalog.ANY, *catalog.DATA_CENTERS)),
    "GpuGroup": OpenEnum("Serverless GPU pools: groups of cards of one size; `any` is all of them.", (catalog.ANY, *catalog.POOLS)),
    "GpuType": OpenEnum("GPU cards that belong to a serverless pool.", catalog.GPU_TYPES),
}


def reference(name: str) -> dict[str, Any]:
    """Refer to a type of the schema."""
    return {"$ref": f"#/types/runpod-serverless:index:{name}"}


def one_of(*options: Mapping[str, Any]) -> dict[str, Any]:
    """Allow any of several types."""
    return {"oneOf": [dict(option) for option in options]}


def word_of(*enums: str) -> list[dict[str, Any]]:
    """Allow a string, or a member of one of these enums."""
    return [{"type": "string"}, *({"type": "string", **reference(name)} for name in enums)]


def one_or_many(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One item or a list of them."""
    options = list(items)
    return one_of(*options, {"type": "array", "items": one_of(*options)})
