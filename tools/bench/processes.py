"""How much memory the plugin's processes take, from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROGRAM: Final = b"pulumi-resource-runpod-serverless"
_LOOK_SECONDS: Final = 0.05


@dataclass
class Peak:
    """The most that one process has taken so far."""

    megabytes: float = 0.0


@contextlib.contextmanager
def peak_memory(pulumi_home: str) -> Iterator[Peak]:
    """Watch the plugins that commands with this `PULUMI_HOME` start, while the block runs.

    Raises RuntimeError at its end where none was seen, as on any system but Linux.
    """
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    peak.megabytes = max(peak.megabytes, _high_water(process, b"PULUMI_HOME=" + os.fsencode(pulumi_home)))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield peak
    finally:
        ended.set()
        watching.join()
    if not peak.megabytes:
        raise RuntimeError("no plugin was seen, so that there is no peak of its memory")


def _high_water(process: Path, variable: bytes) -> float:
    if _PROGRAM not in (process / "cmdline").read_bytes() or variable not in (process / "environ").read_bytes().split(b"\0"):
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    return int(found[1]) / 1024 if found else 0.0
