"""What the examples cannot do without: the configuration that a user would set, with values that only the emulator takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NEEDED: Final[Mapping[str, Mapping[str, str]]] = {
    "vllm": {"image": "ghcr.io/me/vllm:1", "registryUser": "me", "registryPassword": "a-password", "hfToken": "hf_first"}
}
"""By example."""
SECRETS: Final = ("registryPassword", "hfToken")
"""Which of these are set as secrets."""


def configuration(example: str) -> dict[str, str]:
    """Return what an example needs in order to come up and, its protection lifted, to go away."""
    return {"deletionProtection": "false", **NEEDED.get(example, {})}
