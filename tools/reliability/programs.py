"""What programs may say of each resource: for each property values that are right, and some that are nearly so.

Written in the engine's own form, plain JSON in which a secret is an object with a signature; a `Ref` stands for another resource's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runpod_serverless_provider.signatures import SECRET, SIGNATURE_KEY

from .canaries import ENV_VALUE, PASSWORD


@dataclass(frozen=True)
class Ref:
    """The id of another resource of this kind."""

    kind: str


def sealed(value: Any) -> dict[str, Any]:
    """Mark a value as the engine marks secrets."""
    return {SIGNATURE_KEY: SECRET, "value": value}


_ENVIRONMENTS: Final = (
    {"A": "1"},
    {"A": "2", "B.C": "", "ünï": "ü"},
    {"TOKEN": sealed(ENV_VALUE), "A": "1"},
    {"PORT": "8000", "PORT_HEALTH": "8001", "HEALTH_CHECK_PATH": "/h"},
    sealed({"TOKEN": ENV_VALUE}),
)
_LISTED: Final = ([{"key": "A", "value": "3"}, {"key": "B", "value": sealed(ENV_VALUE)}],)
_CONTAINER: Final[Mapping[str, tuple[Any, ...]]] = {
    "containerDiskInGb": (1, 10, 20, 64),
    "env": (*_ENVIRONMENTS, *_LISTED),
    "args": ("", "--fast", "--mode 'x y'"),
    "ports": (["8000/http"], ["22/tcp", "8000/http", "22/tcp"], []),
    "registryAuthId": (Ref("Registry"),),
    "image": ("me/x:1", "me/y:2"),
}
PROGRAMS: Final[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {
    "Registry": {
        "name": ("mine", "ours"),
        "username": ("me", "you"),
        "password": (sealed(PASSWORD), sealed(PASSWORD + "2")),
    },
    "NetworkVolume": {
        "name": ("cache", "models"),
        "size": (10, 50, 100, 200, 4096),
        "datacenter": ("EU-RO-1", "us_ks_2", "US-CA-2"),
        "type": ("STANDARD", "HIGH_PERFORMANCE"),
        "adoptExisting": (True, False),
        "deletionProtection": (True, False),
    },
    "PodTemplate": {
        "name": ("base", "other"),
        "category": ("NVIDIA", "AMD", "CPU"),
        **_CONTAINER,
        "public": (True, False),
        "allowedCudaVersions": (["12.8"], ["12.4", "12.8"]),
    },
    "Endpoint": {
        "name": ("chat", "thumbs"),
        "type": ("QUEUE", "LOAD_BALANCER"),
        "cpu": ("cpu5c-4-8", ["cpu3c-2-4", "cpu3g-8-32"], "cpu3c-8-16"),
        "gpu": ("any", "ADA_24", ["AMPERE_80", "NVIDIA GeForce RTX 4090"], ["NVIDIA L4", "NVIDIA A40"]),
        "gpuCount": (1, 2, 8),
        "volume": (Ref("NetworkVolume"), [Ref("NetworkVolume")]),
        "datacenter": ("EU-RO-1", ["eu_ro_1", "US-KS-2"], "any", ["US-KS-2", "US-CA-2", "EU-RO-1"]),
        "workers": (0, 1, 3, {"min": 1, "max": 2}, {"max": 4}, {"min": 0, "max": 5}),
        "scalerType": ("QUEUE_DELAY", "REQUEST_COUNT"),
        "scalerValue": (1, 4, 2.5, 0.5),
        "idleTimeout": (1, 60, 3600),
        "executionTimeoutMs": (0, 5000, 600_000),
        "flashboot": (True, False, "PRIORITY_FLASHBOOT", "OFF"),
        "templateId": (Ref("PodTemplate"), "vllm0worker"),
        "template": (
            *({name: value} for name, values in _CONTAINER.items() for value in values),
            {"image": "me/z:1", "env": {"A": "4"}, "ports": ["80/http"], "containerDiskInGb": 20},
            sealed({"args": ENV_VALUE}),
        ),
        "pythonVersion": ("3.10", "3.13"),
        "image": ("me/x:1", "me/y:2", "runpod/flash:py3.11-latest"),
        "allowedCudaVersions": (["12.8"], ["12.8", "12.4"]),
        "minCudaVersion": ("12.4", "12.8"),
        "env": _ENVIRONMENTS,
        "updateStrategy": ("replace", "inPlace"),
        "waitForReady": (1, 300),
        "dependencies": (["torch"], []),
        "systemDependencies": (["ffmpeg"],),
        "accelerateDownloads": (True, False),
    },
}
"""The kinds in the order in which they depend on each other."""
