"""Create is exactly once: a matrix of faults over the resources and over the ways to name them; then state against remote.

Most of it runs through the gRPC service in this process. A sample runs through the CLI, where several creations of a kind share a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .report import Result, Run
from .service import Made, Properties, Service, serving
from .workspace import KINDS, LEAST, PATHS, Workspace, stated, workspace

_LATE_SECONDS: Final = 5.0
_QUICK_LATE_SECONDS: Final = 0.5
_PROCESSES: Final = 6
_TOGETHER: Final = 96
"""So many creations are under way at once: most of them wait."""
GENERATED: Final = "generated name"
FIXED: Final = "fixed name"
PROPOSED: Final = "name of the project's autonaming"
"""Verbatim: the resource's name in the program, so that the name is a default, and yet somebody else may have it."""
NAMINGS: Final = (GENERATED, FIXED, PROPOSED)


_GATEWAY_WORDS: Final = (
    (504, "upstream in data center EU-RO-1 timed out"),
    (502, "worker quota service timed out"),
)
"""What a gateway may say of what stands behind it, in words that the API has for refusals."""


def faults(late_seconds: float) -> dict[str, Mapping[str, Any]]:
    """Give each way in which a POST may go wrong, as the emulator's controls order it."""
    return {
        "reset before send": {"action": "reset-before"},
        "reset after commit": {"action": "commit-then-drop"},
        **{f"{status} after commit": {"action": "commit-then-status", "status": status} for status in (500, 502, 503, 504)},
        "503 before commit": {"action": "status", "status": 503},
        "time-out after commit": {"action": "commit-then-drop", "hold": True},
        "commit after the client gave up": {"action": "commit-late", "hold": True, "seconds": late_seconds},
        "504, and commit later": {"action": "commit-late", "status": 504, "seconds": late_seconds},
        **{
            f"{status} ({detail}), and commit later": {
                "action": "commit-late",
                "status": status,
                "seconds": late_seconds,
                "detail": detail,
            }
            for status, detail in _GATEWAY_WORDS
        },
        "truncated JSON": {"action": "truncate"},
        "wrong JSON": {"action": "wrong-json"},
        "no JSON": {"action": "wrong-json", "body": "<html>"},
        "429": {"action": "status", "status": 429, "retryAfter": 1},
    }


@dataclass
class Trial:
    """One creation. `faults` hit its POSTs in turn; `decoy` is the id of another object of its name and settings, which was there."""

    kind: str
    faults: tuple[str, ...]
    naming: str
    number: int
    seed: int
    name: str = ""
    decoy: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    made: Made = field(default_factory=Made)

    @property
    def urn(self) -> str:
        """The resource, as the engine calls it."""
        return f"urn:pulumi:dev::matrix::runpod-serverless:index:{self.kind}::{self.label}"

    @property
    def label(self) -> str:
        """Its name in the program."""
        return f"r{self.seed}-{self.number}"

    def __str__(self) -> str:
        return f"{self.kind}, {self.naming}{', with a namesake' if self.decoy else ''}, {' then '.join(self.faults)}"

    def verdict(self, present: set[str]) -> str:
        """Say what is wrong, given the ids of all objects of this name; empty where nothing is."""
        own = present - {self.decoy}
        known = {self.made.id} - {""}
        if self.decoy and self.decoy in known:
            return f"took {self.decoy} for its own, which was there before"
        if len(own) > 1:
            return f"{len(own)} objects: {sorted(own)}; in the state {sorted(known)}"
        if known - own:
            return f"the state knows {sorted(known)}, which is not there"
        if own - known and not (self.naming != GENERATED and explains(self.made.said, own)):
            return f"{sorted(own)} is in no state; said was {self.made.said!r}"
        return ""


def explains(said: str, ids: set[str]) -> bool:
    """Say whether a failure names all these ids, and how to take one over."""
    return "pulumi import " in said and all(id in said for id in ids)


def matrix(run: Run, seed: int, names: Iterable[str]) -> list[Trial]:
    """Plan one batch: every fault on every resource, named in each way; a quarter of the creations meets a second fault."""
    names = list(names)
    chance = run.at(seed).random("creations")
    trials = []
    for number, (kind, fault, naming) in enumerate(itertools.product(KINDS, names, NAMINGS)):
        second = (chance.choice(names),) if chance.random() < 0.25 else ()
        trials.append(Trial(kind, (fault, *second), naming, number, seed))
    chance.shuffle(trials)
    return trials


def measure(run: Run) -> Iterable[Result]:
    """Run the matrix batch by batch, each with an account of its own, and the sample through the CLI."""
    late_seconds = run.scaled(_QUICK_LATE_SECONDS, _LATE_SECONDS)
    trials: list[Trial] = []
    wrong: dict[str, list[str]] = {naming: [] for naming in NAMINGS}
    with workspace(run, "creations") as place:
        for seed in range(run.seed, run.seed + run.scaled(1, 20)):
            batch = matrix(run, seed, faults(late_seconds))
            asyncio.run(_create_all(place, run.at(seed).random("timing"), batch, late_seconds, run.scaled(1.0, 2.0)))
            present = place.remote()
            for trial in batch:
                said = trial.verdict({id for id, name in present.items() if name == trial.name})
                if said:
                    wrong[trial.naming].append(f"{trial}: {said}; {run.repeat('creations', trial.seed)}")
            strangers = set(present.values()) - {trial.name for trial in batch}
            wrong[GENERATED] += [f"objects of no trial: {sorted(strangers)}"] if strangers else []
            run.canaries.look("creations", *(trial.made.said for trial in batch))
            trials += batch
            place.emulator.reset()
            place.emulator.set(worker_quota=1_000_000)
    yield _result(run, "creations with generated names", "0 duplicates, remote = state", trials, wrong, GENERATED)
    yield _result(run, "creations with fixed names", "0 duplicates, else explained", trials, wrong, FIXED)
    yield _result(run, "creations with names of the project's autonaming", "0 duplicates, else explained", trials, wrong, PROPOSED)
    yield _by_cli(run)


def _result(run: Run, metric: str, target: str, trials: list[Trial], wrong: Mapping[str, list[str]], naming: str) -> Result:
    chosen = [trial for trial in trials if trial.naming == naming]
    counted = Counter(bool(trial.made.id) for trial in chosen)
    detail = f"{counted[True]} created, {counted[False]} failed with an explanation"
    return Result(metric, target, len(chosen), tuple(wrong[naming]), run.seed, detail)


async def _create_all(
    place: Workspace, chance: random.Random, trials: list[Trial], late_seconds: float, timeout_seconds: float
) -> None:
    """Order the faults, create all at once, and let the server finish what it does late."""
    async with contextlib.AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(
                serving(
                    place.emulator.url, place.directory, request_timeout_seconds=timeout_seconds, settle_margin_seconds=late_seconds
                )
            )
            for _ in range(_PROCESSES + 1)
        ]
        stranger = services.pop()
        known = faults(late_seconds)
        for trial in trials:
            await prepare(stranger, chance, trial)
            if trial.naming != GENERATED and chance.random() < 0.5:
                trial.decoy = (await stranger.create(trial.kind, f"{trial.urn}-decoy", trial.inputs)).id
            for fault in trial.faults:
                place.emulator.fault(method="POST", path=PATHS[trial.kind], name=trial.name, **known[fault])
        place.emulator.advance(2)  # an endpoint's time of creation counts in seconds
        slots = asyncio.Semaphore(_TOGETHER)

        async def create(trial: Trial, service: Service) -> None:
            async with slots:
                trial.made = await service.create(trial.kind, trial.urn, trial.inputs)

        await asyncio.gather(*map(create, trials, itertools.cycle(services)))
    await asyncio.sleep(late_seconds + 0.5)


async def prepare(service: Service, chance: random.Random, trial: Trial) -> None:
    """Check the inputs."""
    fixed: Properties = {"name": f"fixed-{trial.label}"} if trial.naming == FIXED else {}
    proposed, must_be_proposed = trial.label if trial.naming == PROPOSED else "", chance.random() < 0.5
    given = {**LEAST[trial.kind], **fixed}
    trial.inputs = await service.check(
        trial.kind, trial.urn, given, chance.randbytes(32), proposed=proposed, must_be_proposed=must_be_proposed
    )
    trial.name = trial.inputs["name"]


def _by_cli(run: Run) -> Result:
    """Bring stacks up through faults, and once more without; what is there then is what the state knows, and what the program states."""
    quick = ("reset after commit", "502 after commit", "truncated JSON", "wrong JSON", "429")
    count, wrong = 0, []
    with workspace(run, "creations-cli") as place:
        for number in range(run.scaled(1, 6)):
            project = place.project(f"matrix{number}")
            resources = {f"{kind}{copy}".lower(): stated(kind) for kind in KINDS for copy in range(run.scaled(3, 8))}
            project.write(resources)
            chance = run.random("creations-cli", number)
            ordered = list(_ordered(chance, quick, run.scaled(2, 6)))
            for kind, fault in ordered:
                place.emulator.fault(method="POST", path=PATHS[kind], skip=chance.randrange(3), **faults(0)[fault])
            project.up(must_succeed=False)
            place.emulator.clear_faults()
            last = project.up(must_succeed=False)
            known, there = project.ids(), sorted(place.remote())
            if known != there or len(there) != len(resources):
                wrong.append(
                    f"after {ordered}: {len(resources)} stated, {len(known)} in the state, {len(there)} there, strangers "
                    f"{sorted(set(there) - set(known))}; {last.tail}; {run.repeat('creations')}"
                )
            count += len(resources)
            place.emulator.reset()
            place.emulator.set(worker_quota=1_000_000)
    return Result("creations through the CLI", "remote = state = program after the next up", count, tuple(wrong), run.seed)


def _ordered(chance: random.Random, names: Iterable[str], each: int) -> Iterator[tuple[str, str]]:
    names = list(names)
    for kind in KINDS:
        for _ in range(each):
            yield kind, chance.choice(names)
