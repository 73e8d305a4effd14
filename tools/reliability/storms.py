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
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio
import httpx

from .canaries import API_KEY
from .report import Result, Run
from .service import Service, serving
from .workspace import KINDS, LEAST, Workspace, stated, workspace

_MOST_AMPLIFICATION: Final = 1.2
_QUOTA: Final = 60
_THIEF: Final = "another client of the account"
_ON_THE_WAY_SECONDS: Final = 0.5
"""What arrives so soon after a 429 was sent before it was read: on a machine with other work to do this takes its time."""
_CLOCK_SECONDS: Final = 0.05
_LEAST_REFUSALS: Final = 3
"""So many requests of ours meet a 429 in any case; whatever got by without one was in no storm."""
_POLL_SECONDS: Final = 0.05


def measure(run: Run) -> Iterable[Result]:
    """Bring stacks up through storms: one of many resources, then several at once; and ask for many things in an outage."""
    logs: list[Sequence[Mapping[str, Any]]] = []
    with workspace(run, "storms") as place:
        yield from _one_process(run, place, logs)
    with workspace(run, "storms-several") as place:
        yield _several_processes(run, place, logs)
    early = tuple(text for log in logs for text in too_early(log))
    yield Result("Retry-After", "no request before its end", sum(map(_refused, logs)), early, run.seed, f"{len(logs)} processes")
    for outage in _OUTAGES:
        with workspace(run, f"outage-{outage.what}") as place:
            yield asyncio.run(_in_outage(run, place, outage))


def _program(count: int, prefix: str = "") -> dict[str, Any]:
    kinds = [*KINDS, "Endpoint"]
    return {f"{prefix}r{number}": stated(kinds[number % len(kinds)]) for number in range(count)}


def _limit(place: Workspace, window_seconds: int) -> None:
    place.emulator.set(quota=_QUOTA, minute_seconds=window_seconds, hour_quota=1_000_000, day_quota=1_000_000)


def _refused(sent: Sequence[Mapping[str, Any]]) -> int:
    return sum(entry["status"] == 429 for entry in sent)


def _refuse_first(place: Workspace) -> None:
    """Let the first POSTs meet a 429, whoever sends them."""
    place.emulator.fault("status", "POST", status=429, retryAfter=1, times=_LEAST_REFUSALS)


def calm(sent: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say so where less was refused than is ordered in any case."""
    return [] if _refused(sent) >= _LEAST_REFUSALS else [f"{_refused(sent)} requests were refused: there was no storm"]


def _one_process(run: Run, place: Workspace, logs: list[Sequence[Mapping[str, Any]]]) -> Iterator[Result]:
    """Bring up one stack after another, and add what each sent to `logs`."""
    count, repetitions = run.scaled((100, 1), (200, 5))
    failed, greedy, amplifications = [], [], []
    refused = 0
    for number in range(repetitions):
        project = place.project(f"storm{number}")
        project.write(_program(count))
        project.command()
        _limit(place, run.scaled(3, 6))
        place.emulator.clear_requests()
        with storm(place, run.random("storm", number), run.scaled(3, 6)):
            done = project.up("--parallel", "64", must_succeed=False)
        place.emulator.set(quota=None)
        sent = [entry for entry in place.emulator.requests() if entry["userAgent"] != _THIEF]
        there = len(place.remote())
        if done.exit_code or there != count or len(project.ids()) != count:
            failed.append(f"{there} of {count} are there, exit code {done.exit_code}: {done.tail}")
        failed += calm(sent)
        amplification = _amplification(sent, count)
        amplifications.append(amplification)
        if amplification > _MOST_AMPLIFICATION:
            greedy.append(f"{amplification:.2f}×: {_counted(sent)}")
        refused += _refused(sent)
        logs.append(sent)
        place.emulator.reset()
        place.emulator.set(worker_quota=1_000_000)
    shown = f"{max(amplifications):.2f}× at most, {refused} answers of 429"
    yield Result(
        f"{count} resources at --parallel 64 through 429 storms", "100 % success", count * repetitions, tuple(failed), run.seed
    )
    yield Result("amplification in 429 storms", f"≤ {_MOST_AMPLIFICATION}×", repetitions, tuple(greedy), run.seed, shown)


def _several_processes(run: Run, place: Workspace, logs: list[Sequence[Mapping[str, Any]]]) -> Result:
    """Let several stacks of one account come up at once: each process learns of the others from the headers alone.

    Adds to `logs` what each created; whose a look at a catalog was, the log does not tell.
    """
    each, projects = run.scaled(25, 50), [place.project(f"several{number}") for number in range(3)]
    for project in projects:
        project.write(_program(each, project.directory.name))
        project.command()
    _limit(place, run.scaled(3, 6))
    place.emulator.clear_requests()
    _refuse_first(place)
    running = [project.start("up", "--yes", "--skip-preview", "--parallel", "32") for project in projects]
    ended = [project.ended(process) for project, process in zip(projects, running, strict=True)]
    place.emulator.set(quota=None)
    sent, there = place.emulator.requests(), len(place.remote())
    amplification = _amplification(sent, each * len(projects))
    logs += [[entry for entry in sent if is_of(project.directory.name, entry)] for project in projects]
    wrong = [*calm(sent), *(done.tail for done in ended if done.exit_code)]
    wrong += [f"{there} of {each * len(projects)} are there"] if there != each * len(projects) else []
    wrong += [f"{amplification:.2f}×: {_counted(sent)}"] if amplification > _MOST_AMPLIFICATION else []
    return Result(
        "three processes of one account at once",
        f"100 % success, amplification ≤ {_MOST_AMPLIFICATION}×",
        each * len(projects),
        tuple(wrong),
        run.seed,
        f"{amplification:.2f}×, {_refused(sent)} answers of 429",
    )


@contextlib.contextmanager
def storm(place: Workspace, chance: random.Random, window_seconds: int) -> Iterator[None]:
    """Take the quota away, or refuse everything for a while, again and again at random moments, more than once in most windows.

    It begins with the first POSTs, which are refused. Raises whatever ended it before its time.
    """
    is_over = threading.Event()
    problems: list[Exception] = []
    _refuse_first(place)

    def rage() -> None:
        while place.emulator.control("GET", "faults")["faults"] and not is_over.wait(_POLL_SECONDS):
            pass
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

    def watched() -> None:
        try:
            rage()
        except Exception as problem:  # noqa: BLE001 - raised where the storm was ordered
            problems.append(problem)

    thread = threading.Thread(target=watched)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if problems:
        raise RuntimeError("the storm broke off") from problems[0]


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


def is_of(stack: str, entry: Mapping[str, Any]) -> bool:
    """Is this the creation of a resource whose name in the program begins with `stack`?"""
    return entry["method"] == "POST" and str((entry["body"] or {}).get("name", "")).startswith(f"{stack}r")


@dataclass(frozen=True)
class Outage:
    """What is asked for at once while the API answers nothing but 503, and the most requests that the API may see of it.

    A request may be tried again, and all of a process together a hundred times in vain. `ask` gives why it failed, or nothing.
    """

    what: str
    kind: str
    count: int
    most: int
    ask: Callable[[Service, str, str, Mapping[str, Any]], Awaitable[str]]


async def _create(service: Service, urn: str, _: str, inputs: Mapping[str, Any]) -> str:
    return (await service.create("NetworkVolume", urn, inputs)).said


async def _refresh(service: Service, urn: str, id: str, inputs: Mapping[str, Any]) -> str:
    try:
        await service.refreshed("NetworkVolume", urn, id, inputs)
    except grpc.aio.AioRpcError as problem:
        return problem.details() or str(problem.code())
    return ""


async def _delete(service: Service, urn: str, id: str, inputs: Mapping[str, Any]) -> str:
    return await service.delete("Registry", urn, id, inputs)


_OUTAGES: Final = (
    Outage("deletions", "Registry", 200, 300, _delete),
    # One POST each, which is never sent again in doubt. The looks after what it made are lists, which all can share.
    Outage("creations", "NetworkVolume", 100, 150, _create),
    # One list for all, five times; and once more for who came late.
    Outage("reads of a refresh", "NetworkVolume", 100, 10, _refresh),
)


async def _in_outage(run: Run, place: Workspace, outage: Outage) -> Result:
    """Ask for everything at once, and count what the API sees of it."""
    async with serving(place.emulator.url, place.directory) as service:
        urns = [f"urn:pulumi:dev::outage::runpod-serverless:index:{outage.kind}::r{number}" for number in range(outage.count)]
        chance = run.random("outage", outage.what)
        inputs = [await service.check(outage.kind, urn, LEAST[outage.kind], chance.randbytes(32)) for urn in urns]
        place.emulator.clear_requests()
        place.emulator.fault("status", status=503, times=None)
        began = time.monotonic()
        asked = zip(urns, inputs, strict=True)
        said = await asyncio.gather(*(outage.ask(service, urn, f"id{number}", each) for number, (urn, each) in enumerate(asked)))
        took = time.monotonic() - began
    sent = place.emulator.requests()
    wrong = [f"{len(sent)} requests: {_counted(sent)}"] if len(sent) > outage.most else []
    wrong += [f"{said.count('')} {outage.what} succeeded in an outage"] if "" in said else []
    wrong += [] if sent else ["nothing reached the API"]
    target = f"≤ {outage.most} for {outage.count} {outage.what}"
    return Result(
        f"requests in an outage, {outage.what}", target, outage.count, tuple(wrong), run.seed, f"{len(sent)}, in {took:.0f} s"
    )
