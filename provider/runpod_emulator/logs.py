"""What a worker says: lines worked out from the clock, and the stream of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from runpod_emulator import queries
from runpod_emulator.clock import iso
from runpod_emulator.problems import unprocessable
from runpod_emulator.store import Doc
from runpod_emulator.world import World

SOURCES = ("container", "system")
DEFAULT_TAIL = 100
LONGEST_TAIL = 5000
_SICK_SECONDS = 30
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Line:
    """One line of a worker's log."""

    number: int
    at: float
    source: str
    text: str

    @property
    def event_id(self) -> str:
        """Return where a reader can go on after this line."""
        return f"{iso(self.at)}/{self.number:012d}"

    def event(self) -> bytes:
        """Write the line as a server-sent event."""
        content = {"ts": iso(self.at), "source": self.source, "line": self.text}
        return f"id: {self.event_id}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


@dataclass(frozen=True)
class Start:
    """Where a stream begins: after a cursor, else at a moment, else with the last lines."""

    tail: int
    since: float | None = None
    after: tuple[float, int] | None = None


def cursor(value: str) -> tuple[float, int]:
    """Read a `Last-Event-ID`: the id of an event of ours, or any timestamp; refuse another with 422."""
    stamp, _, number = value.partition("/")
    if number and not (number.isascii() and number.isdecimal() and len(number) <= 18):
        raise unprocessable(f"header.Last-Event-ID: '{value}' is not a valid date-time")
    return queries.moment(stamp, "header.Last-Event-ID"), int(number or 0)


def written(endpoint: Doc, worker: Doc, now: float) -> list[Line]:
    """Return all lines that a worker has written until now."""
    created, ready = worker["createdAt"], worker["readyAt"]
    image = worker["image"]
    moments = [
        (created, "system", f"create container {image}"),
        (created + 1, "system", f"{image} Pulling"),
        (ready - 3, "system", f"{image} Pull complete"),
        (ready - 2, "system", f"start container for {image}: begin"),
        (ready, "container", "Worker ready."),
        *((ready, "container", text) for text in endpoint.get("_says", ())),  # what the controls put into its mouth
    ]
    if endpoint["_isUnhealthy"]:
        rounds = range(1, max(0, int((now - ready) // _SICK_SECONDS)) + 1)
        moments += [(ready + _SICK_SECONDS * number, "container", "Health check failed.") for number in rounds]
    return [Line(number, *moment) for number, moment in enumerate(moments, 1) if moment[0] <= now]


def _begin(lines: list[Line], start: Start) -> list[Line]:
    if start.after is not None:
        moment, number = start.after
        if number:
            return [line for line in lines if line.number > number]
        return [line for line in lines if int(line.at) > int(moment)]
    if start.since is not None:
        return [line for line in lines if line.at >= start.since]
    return lines[len(lines) - start.tail :] if start.tail < len(lines) else lines


async def follow(
    world: World, lines_now: Callable[[], list[Line] | None], source: str | None, start: Start
) -> AsyncIterator[bytes]:
    """Yield the lines there are, then each new one until the worker is gone or nobody is to be kept waiting any longer."""

    def wanted() -> list[Line] | None:
        lines = lines_now()
        return None if lines is None else [line for line in lines if source in (None, line.source)]

    hold_seconds, opened = world.settings.log_hold_seconds, time.monotonic()
    lines = wanted() or []
    last = lines[-1].number if lines else 0
    for line in _begin(lines, start):
        yield line.event()
    while not world.is_closing and (hold_seconds is None or time.monotonic() - opened < hold_seconds):
        await asyncio.sleep(_POLL_SECONDS)
        found = wanted()
        if found is None:
            return
        for line in found:
            if line.number > last:
                last = line.number
                yield line.event()
