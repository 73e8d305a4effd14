"""The documented shape of every request body. What the document says only in prose is checked beside the resource."""

from collections.abc import Mapping
from types import MappingProxyType

from runpod_emulator.shapes import Array, Flag, Mapped, Nullable, Number, Object, OneOf, Shape, Text, Whole

CUDA = r"^\d+\.\d+$"
ENDPOINT_TYPES = ("QUEUE", "LOAD_BALANCER")
FLASHBOOT = ("OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT")
CATEGORIES = ("CPU", "NVIDIA", "AMD")
VOLUME_TYPES = ("STANDARD", "HIGH_PERFORMANCE")

CONTAINER: Mapping[str, Shape] = MappingProxyType(
    {
        "args": Text(),
        "disk": Whole(minimum=1),
        "env": Mapped(Text()),
        "image": Text(),
        "ports": Array(Text()),
        "registry": Nullable(Text()),
    }
)

REQUEST_COUNT = Object(
    {"type": Text(choices=("REQUEST_COUNT",)), "requestCount": Whole(minimum=1)}, required=("type", "requestCount")
)
QUEUE_DELAY = Object({"type": Text(choices=("QUEUE_DELAY",)), "queueDelay": Number(minimum=0.5)}, required=("type", "queueDelay"))
SCALING = OneOf("type", {"QUEUE_DELAY": QUEUE_DELAY, "REQUEST_COUNT": REQUEST_COUNT})
WORKERS = Object({"min": Whole(minimum=0), "max": Whole(minimum=0), "idleTimeout": Whole(minimum=1, maximum=3600)})
CPU = Array(
    Object({"id": Text(min_length=1), "vcpuCount": Whole(minimum=2)}, required=("id", "vcpuCount")), min_items=1, are_unique=True
)

_GPU: Mapping[str, Shape] = {
    "pools": Array(Text(), min_items=1),
    "excludedTypes": Array(Text(pattern=r"^\s*[^-\s]"), are_unique=True),
    "count": Whole(minimum=1),
    "allowedCudaVersions": Array(Text(pattern=CUDA)),
}
_ENDPOINT: Mapping[str, Shape] = {
    **CONTAINER,
    "name": Text(min_length=1),
    "cpu": CPU,
    "dataCenterIds": Array(Text()),
    "flashboot": Text(choices=FLASHBOOT),
    "networkVolumes": Array(Text()),
    "scaling": SCALING,
    "timeout": Whole(),
    "workers": WORKERS,
}
CREATE_ENDPOINT = Object(
    {
        **_ENDPOINT,
        "type": Text(choices=ENDPOINT_TYPES),
        "templateId": Text(min_length=1),
        "gpu": Object({**_GPU, "minCudaVersion": Text(pattern=CUDA)}, required=("pools",)),
    },
    required=("name", "type", "scaling"),
)
UPDATE_ENDPOINT = Object(
    {
        **_ENDPOINT,
        "templateId": Text(),
        "gpu": Object({**_GPU, "minCudaVersion": Text(pattern=r"^$|^\d+\.\d+$")}, companions={"excludedTypes": "pools"}),
    }
)

_TEMPLATE: Mapping[str, Shape] = {
    **CONTAINER,
    "name": Text(min_length=1),
    "allowedCudaVersions": Array(Text(pattern=CUDA)),
    "category": Text(choices=CATEGORIES),
    "mounts": Object({"persistent": Object({"size": Whole(minimum=10), "path": Text()}, required=("size", "path"))}),
    "public": Flag(),
    "serverless": Flag(),
    "startJupyter": Flag(),
    "startSsh": Flag(),
}
CREATE_TEMPLATE = Object(_TEMPLATE, required=("name", "image"))
UPDATE_TEMPLATE = Object(_TEMPLATE)

CREATE_VOLUME = Object(
    {
        "name": Text(min_length=1),
        "size": Whole(minimum=10, maximum=4096),
        "dataCenter": Text(min_length=1),
        "type": Text(choices=VOLUME_TYPES),
    },
    required=("name", "size", "dataCenter"),
)
UPDATE_VOLUME = Object({"name": Text(min_length=1), "size": Whole(minimum=10, maximum=4096)}, min_properties=1)

CREATE_REGISTRY = Object(
    {"name": Text(min_length=1), "username": Text(min_length=1), "password": Text(min_length=1)},
    required=("name", "username", "password"),
)

CREATE_DELEGATION = Object({"resource": Text(), "name": Nullable(Text())}, required=("resource",))
