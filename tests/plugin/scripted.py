"""The plugin's process with a core that needs no network: `python scripted.py FOLDER [the engine's arguments]`.

A create takes as long as its input `seconds` says, and leaves the file FOLDER/created when it is done. An input `noise` is printed to
stdout on every level there is. That the engine ended the run in order leaves the file FOLDER/orderly.
"""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.plugin import main, wiring

FOLDER = Path(sys.argv[1])


class Core:
    """Creates slowly, and loudly."""

    def secret_paths(self, token: str) -> frozenset[Any]:
        return frozenset()

    def replied(self, id: str) -> None:
        """Keep nothing."""

    async def tell_abandoned(self, voice: Any) -> None:
        """Tell nothing."""

    async def ended(self) -> None:
        (FOLDER / "orderly").touch()

    async def create(self, request: verbs.Create) -> verbs.Created:
        (FOLDER / "begun").touch()
        if "noise" in request.inputs:
            print("printed")
            sys.stdout.write("written\n")
            warnings.warn("warned", stacklevel=1)
            await asyncio.create_subprocess_shell("echo from a child")
            os.write(1, b"to the descriptor\n")
        await asyncio.sleep(request.inputs.get("seconds", 0))
        (FOLDER / "created").touch()
        return verbs.Created("e1", {})


async def connect(self: wiring.Wiring, configuration: Any) -> Core:
    """Stand in for `Wiring.connect`."""
    return Core()


wiring.Wiring.connect = connect  # type: ignore[assignment, method-assign]
sys.exit(main.main(sys.argv[2:]))
