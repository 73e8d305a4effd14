"""The processes of one command, found by a variable in their environment: the engine puts its plugins into groups of their own."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

MARK: Final = "RELIABILITY_TRIAL"
_PLUGIN: Final = b"pulumi-resource-runpod-serverless"
_LOOK_SECONDS: Final = 0.05


def plugins(trial: str) -> list[int]:
    """Give the running plugins of the commands that were started with `MARK` set to `trial`; a zombie is none. Linux only."""
    found = []
    marked = f"{MARK}={trial}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if _PLUGIN in (process / "cmdline").read_bytes() and marked in (process / "environ").read_bytes() + b"\0":
                found.append(int(process.name))
    return found


def seconds_until_gone(trial: str, most_seconds: float) -> float | None:
    """Wait until no plugin of a trial is left, and say how long that took; None where one lives on after `most_seconds`."""
    began = time.monotonic()
    while plugins(trial):
        if time.monotonic() - began > most_seconds:
            return None
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def kill(pids: list[int], number: int) -> int:
    """Send a signal to each process that is still there, and say how many that were."""
    count = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            count += 1
    return count
