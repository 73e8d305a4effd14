"""Small valid bodies that the tests vary."""

from typing import Any


def gpu_body(*without: str, **changes: Any) -> dict[str, Any]:
    """Return a small valid endpoint."""
    body = {
        "name": "e",
        "type": "QUEUE",
        "image": "me/w:1",
        "gpu": {"pools": ["ADA_24"]},
        "workers": {"max": 1},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
        **changes,
    }
    return {name: value for name, value in body.items() if name not in without}


def cpu_body(*without: str, **changes: Any) -> dict[str, Any]:
    """Return a small valid CPU endpoint."""
    return gpu_body("gpu", *without, **{"cpu": [{"id": "cpu3c", "vcpuCount": 2}], **changes})
