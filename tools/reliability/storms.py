"""Rate limits and outages: everything gets through a storm of 429s, politely, and an outage is not made worse by retries.

The amplification is how many requests the API saw for each one that was needed: one POST a resource, and one look at each catalog.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from runpod_serverless_provider.api.retries import CAPACITY, RETRY_COST

from .canaries import API_KEY
from .report import Result, Run
from .service import serving
from .workspace import KINDS, LEAST, Workspace, stated, workspace

_MOST_AMPLIFICATION: Final = 1.2
_QUOTA: Final = 60
_THIEF: Final = "another client of the account"
_ON_THE_WAY_SECONDS: Final = 0.5
"""What arrives so soon after a 429 was sent before it was read: on a machine with other work to do this takes its time."""
_CLOCK_SECONDS: Final = 0.05


def measure(run: Run) -> Iterable[Result]:
    """Bring stacks up through storms: one of many resources, then several at once; and delete many resources in an outage."""
    with workspace(run, "storms") as place:
        yield from _one_process(run, place)
    with workspace(run, "storms-several") as place:
        yield from _several_processes(run, place)
    with workspace(run, "outage") as place:
        yield asyncio.run(_outage(run, place))


def _program(count: int, prefix: str = "") -> dict[str, Any]:
    kinds = [*KINDS, "Endpoint"]
    return {f"{prefix}r{number}": stated(kinds[number % len(kinds)]) for number in range(count)}


def _limit(place: Workspace, window_seconds: int) -> None:
    place.emulator.set(quota=_QUOTA, minute_seconds=window_seconds, hour_quota=1_000_000, day_quota=1_000_000)


def _one_process(run: Run, place: Workspace) -> Iterator[Result]:
    count, repetitions = run.scaled((100, 1), (200, 5))
    failed, greedy, early, amplifications = [], [], [], []
    refused = 0
    for number in range(repetitions):
        project = place.project(f"storm{number}")
        project.write(_program(count))
        project.command()
        _limit(place, run.scaled(3, 6))
        place.emulator.clear_requests()
        with _storm(place, run.random("storm", number), run.scaled(3, 6)):
            done = project.up("--parallel", "64", must_succeed=False)
        place.emulator.set(quota=None)
        sent = [entry for entry in place.emulator.requests() if entry["userAgent"] != _THIEF]
        there = len(place.remote())
        if done.exit_code or there != count or len(project.ids()) != count:
            failed.append(f"{there} of {count} are there, exit code {done.exit_code}: {done.tail}; {run.repeat('storms')}")
        amplification = _amplification(sent, count)
        amplifications.append(amplification)
        if amplification > _MOST_AMPLIFICATION:
            greedy.append(f"{amplification:.2f}×: {_counted(sent)}; {run.repeat('storms')}")
        refused += sum(entry["status"] == 429 for entry in sent)
        early += [f"{text}; {run.repeat('storms')}" for text in too_early(sent)]
        place.emulator.reset()
        place.emulator.set(worker_quota=1_000_000)
    shown = f"{max(amplifications):.2f}× at most, {refused} answers of 429"
    yield Result(
        f"{count} resources at --parallel 64 through 429 storms", "100 % success", count * repetitions, tuple(failed), run.seed
    )
    yield Result("amplification in 429 storms", f"≤ {_MOST_AMPLIFICATION}×", repetitions, tuple(greedy), run.seed, shown)
    yield Result("Retry-After", "no request before its end", refused, tuple(early), run.seed)


def _several_processes(run: Run, place: Workspace) -> Iterator[Result]:
    """Let several stacks of one account come up at once: each process learns of the others from the headers alone."""
    each, projects = run.scaled(25, 50), [place.project(f"several{number}") for number in range(3)]
    for project in projects:
        project.write(_program(each, project.directory.name))
        project.command()
    _limit(place, run.scaled(3, 6))
    place.emulator.clear_requests()
    running = [project.start("up", "--yes", "--skip-preview", "--parallel", "32") for project in projects]
    ended = [project.ended(process) for project, process in zip(projects, running, strict=True)]
    place.emulator.set(quota=None)
    sent, there = place.emulator.requests(), len(place.remote())
    amplification = _amplification(sent, each * len(projects))
    wrong = [done.tail for done in ended if done.exit_code]
    wrong += [f"{there} of {each * len(projects)} are there"] if there != each * len(projects) else []
    wrong += [f"{amplification:.2f}×: {_counted(sent)}"] if amplification > _MOST_AMPLIFICATION else []
    yield Result(
        "three processes of one account at once",
        f"100 % success, amplification ≤ {_MOST_AMPLIFICATION}×",
        each * len(projects),
        tuple(f"{text}; {run.repeat('storms')}" for text in wrong),
        run.seed,
        f"{amplification:.2f}×",
    )


@contextlib.contextmanager
def _storm(place: Workspace, chance: random.Random, window_seconds: int) -> Iterator[None]:
    """Take the quota away, or refuse everything for a while, again and again at random moments, more than once in most windows."""
    is_over = threading.Event()

    def rage() -> None:
        headers = {"authorization": f"Bearer {API_KEY}", "user-agent": _THIEF}
        with httpx.Client(base_url=place.emulator.url, headers=headers, trust_env=False) as thief:
            while not is_over.wait(chance.uniform(0.1, 0.7) * window_seconds):
                if chance.random() < 0.5:
                    while thief.get("/v2/registries/delegations").status_code != 429 and not is_over.is_set():
                        pass
                else:
                    place.emulator.fault("status", status=429, retryAfter=chance.choice((1, 2)), times=None)
                    is_over.wait(chance.uniform(0.2, 1.5))
                    place.emulator.clear_faults()

    thread = threading.Thread(target=rage)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _amplification(sent: Sequence[Mapping[str, Any]], resources: int) -> float:
    catalogs = {entry["route"] for entry in sent if "/catalog/" in entry["route"]}
    return len(sent) / (resources + len(catalogs))


def _counted(sent: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return dict(Counter(f"{entry['method']} {entry['route']} {entry['status']}" for entry in sent))


def too_early(sent: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Find requests of one process that came after a 429, and before the end of its Retry-After."""
    for entry in sent:
        if entry["status"] != 429:
            continue
        answered = entry["at"] + entry["tookMs"] / 1000
        until = answered + int(entry["retryAfter"])
        for later in sent:
            if answered + _ON_THE_WAY_SECONDS < later["at"] < until - _CLOCK_SECONDS:
                yield f"{later['method']} {later['path']} came {until - later['at']:.2f} s before the end of {entry['retryAfter']} s"


async def _outage(run: Run, place: Workspace) -> Result:
    """Delete 200 resources while the API answers nothing but 503."""
    count, kind = 200, "Registry"
    most = count + CAPACITY // RETRY_COST
    async with serving(place.emulator.url, place.directory) as service:
        place.emulator.fault("status", status=503, times=None)
        urns = [f"urn:pulumi:dev::outage::runpod-serverless:index:{kind}::r{number}" for number in range(count)]
        began = time.monotonic()
        inputs = {**LEAST[kind], "name": "r", "password": "of the outage"}
        said = await asyncio.gather(*(service.delete(kind, urn, f"id{number}", inputs) for number, urn in enumerate(urns)))
        took = time.monotonic() - began
    seen = len(place.emulator.requests())
    wrong = [f"{seen} requests; {run.repeat('storms')}"] if seen > most else []
    wrong += [f"{said.count('')} deletions succeeded in an outage"] if "" in said else []
    return Result(
        "requests in an outage", f"≤ {most} for {count} deletions", count, tuple(wrong), run.seed, f"{seen}, in {took:.0f} s"
    )
