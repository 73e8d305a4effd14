"""Types of properties in their canonical form, with the spellings that they accept. Shared by the resources; no rules across fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from ..core.validation import did_you_mean
from .catalog import ANY, CPU_SIZES, FLAVORS

_CPU: Final = re.compile(r"([a-z0-9]+)-([0-9]+)(?:-[0-9]+)?")
_CUDA: Final = re.compile(r"[0-9]+\.[0-9]+")
_PORT: Final = re.compile(r"([1-9][0-9]{0,4})/(http|tcp|udp)")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) or value is None else [value]


def _as_set(values: list[str]) -> list[str]:
    """Put a list of words whose order means nothing into one order."""
    if not values:
        raise ValueError("must not be an empty list; leave the property out instead")
    if ANY in values and len(values) > 1:
        raise ValueError(f"{ANY!r} stands for all of them, so it stands alone")
    return sorted(set(values))


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _gpu(word: str) -> str:
    return ANY if _not_blank(word).casefold() == ANY else word.strip()


def _cpu(word: str) -> str:
    """Reduce a CPU size to flavor and vCPUs: its memory varies in the catalog, and the API does not take it."""
    match = _CPU.fullmatch(word.strip().lower())
    if match is None:
        hint = did_you_mean(word, CPU_SIZES) or f"; sizes are, for example, {', '.join(CPU_SIZES)}"
        raise ValueError(f"{{value}} is not a CPU size like 'cpu5c-4-8' (flavor, vCPUs, GB of memory){hint}")
    flavor, count = match[1], int(match[2])
    if count < 2 or count & (count - 1):
        sizes = [size for size in CPU_SIZES if size.startswith(f"{flavor}-")] or CPU_SIZES
        raise ValueError(f"{{value}} has {count} vCPU, but the API takes powers of two from 2; sizes that work: {', '.join(sizes)}")
    return f"{flavor}-{count}"


def _data_center(word: str) -> str:
    return ANY if _not_blank(word).casefold() == ANY else word.strip().upper().replace("_", "-")


def _cuda(text: str) -> str:
    if not _CUDA.fullmatch(text):
        raise ValueError("must be a CUDA version like '12.8' (major.minor, in quotes), not {value}")
    return text


def _port(text: str) -> str:
    match = _PORT.fullmatch(text)
    if match is None or int(match[1]) > 65535:
        raise ValueError("must be a port and its protocol, like '8000/http' or '22/tcp', not {value}")
    return text


def _workers(value: Any) -> Any:
    return {"min": 0, "max": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _flashboot(value: Any) -> Any:
    return {True: "FLASHBOOT", False: "OFF"}[value] if isinstance(value, bool) else value


def whole_or_not(value: float) -> float:
    """Write a number without a fraction as the integer that it is."""
    return int(value) if float(value).is_integer() else value


def _env(value: Any) -> Any:
    """Turn Flash's list of `{key, value}` into a map."""
    if not isinstance(value, list | tuple):
        return value
    found: dict[str, Any] = {}
    for index, item in enumerate(value):
        if not isinstance(item, Mapping) or set(item) != {"key", "value"}:
            raise ValueError(f"item {index} must be an object with exactly `key` and `value`")
        if not isinstance(item["key"], str):
            raise ValueError(f"the key of item {index} must be a string")
        if item["key"] in found:
            raise ValueError(f"item {index} has the key of an item before it; keep one")
        found[item["key"]] = item["value"]
    return found


def _env_keys(env: dict[str, str]) -> dict[str, str]:
    for key in env:
        if not key.strip() or "=" in key or "\0" in key:
            raise ValueError(f"the key {key!r} is not the name of an environment variable: it must not be empty nor hold '='")
    return env


GpuWords = Annotated[list[Annotated[str, AfterValidator(_gpu)]], BeforeValidator(_as_list), AfterValidator(_as_set)]
CpuWords = Annotated[list[Annotated[str, AfterValidator(_cpu)]], BeforeValidator(_as_list), AfterValidator(_as_set)]
DataCenterWord = Annotated[str, AfterValidator(_data_center)]
DataCenterWords = Annotated[list[DataCenterWord], BeforeValidator(_as_list), AfterValidator(_as_set)]
Text = Annotated[str, AfterValidator(_not_blank)]
VolumeIds = Annotated[list[Text], BeforeValidator(_as_list), AfterValidator(_as_set)]
CudaVersions = Annotated[list[Annotated[str, AfterValidator(_cuda)]], AfterValidator(_as_set)]
CudaVersion = Annotated[str, AfterValidator(_cuda)]
Ports = Annotated[list[Annotated[str, AfterValidator(_port)]], AfterValidator(lambda ports: sorted(set(ports)))]
Env = Annotated[dict[str, str], BeforeValidator(_env), AfterValidator(_env_keys)]
WorkersForm = BeforeValidator(_workers)
FlashBootForm = BeforeValidator(_flashboot)
Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(whole_or_not)]


def cpu_to_api(words: Sequence[str]) -> list[dict[str, Any]]:
    """Write canonical CPU words as the API's `cpu`."""
    return [{"id": flavor, "vcpuCount": int(count)} for flavor, _, count in (word.rpartition("-") for word in words)]


def cpu_from_api(sizes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Read the API's `cpu` as canonical words."""
    return sorted(f"{size['id']}-{size['vcpuCount']}" for size in sizes)


def data_centers_to_api(words: Sequence[str]) -> list[str]:
    """Write data centers; the API's word for `any` is none."""
    return [] if ANY in words else list(words)


def data_centers_from_api(ids: Sequence[str]) -> list[str]:
    """Read data centers as canonical words."""
    return sorted(ids) or [ANY]


def disk_limit_gb(words: Sequence[str]) -> int | None:
    """Return the container disk that the smallest of these CPU sizes may have; None where a limit is not known."""
    limits = []
    for flavor, _, count in (word.rpartition("-") for word in words):
        known = FLAVORS.get(flavor)
        if known is None or known.disk_gb_per_vcpu is None:
            return None
        limits.append(int(count) * known.disk_gb_per_vcpu)
    return min(limits, default=None)
