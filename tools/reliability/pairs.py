"""Two creations in one process that must not be mixed up: the same one called again after it failed, and two of one name at once.

The engine calls a Create again where a program's error hook says so: for the same URN, with the same inputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

from .creations import FIXED, GENERATED, NAMINGS, Trial, explains, faults, prepare
from .report import Result, Run
from .service import Made, Service, serving
from .workspace import KINDS, PATHS, Workspace, workspace

_TIMEOUT_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.02
_UNREADABLE: Final[Mapping[str, Mapping[str, Any]]] = {"Endpoint": {"env": 7}, "PodTemplate": {"env": 7}}
"""What makes an answer one that cannot be read, and yet names the id. The answers of the other kinds have nothing of that sort."""
UNREADABLE: Final = "an answer that cannot be read"
THRICE: Final = "three resets before send"
LISTLESS: Final = "no list to find it in"
"""Only after the POST: some creations list before they send."""
FIRSTS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    UNREADABLE: ({"action": "add-fields"},),
    THRICE: ({"action": "reset-before", "times": 3},),
    f"time-out after commit, {LISTLESS}": ({"action": "commit-then-drop", "hold": True},),
    f"commit after the client gave up, {LISTLESS}": ({"action": "commit-late", "hold": True, "seconds": _LATE_SECONDS},),
}
"""How the first call fails: with the id of what it made, or with an outcome that is not known."""
LOSSES: Final = ("reset before send", "reset after commit", "503 before commit", "502 after commit", "truncated JSON", "wrong JSON")


def measure(run: Run) -> Iterable[Result]:
    """Run both parts, batch by batch, each with an account of its own."""
    with workspace(run, "pairs") as place:
        yield asyncio.run(_called_again(run, place))
        yield asyncio.run(_of_one_name(run, place))


@contextlib.asynccontextmanager
async def _fresh(place: Workspace) -> AsyncIterator[Service]:
    place.emulator.reset()
    place.emulator.set(worker_quota=1_000_000)
    timings: Any = {"request_timeout_seconds": _TIMEOUT_SECONDS, "settle_margin_seconds": _LATE_SECONDS}
    async with serving(place.emulator.url, place.directory, **timings) as service:
        yield service


# -- the same one again


async def _called_again(run: Run, place: Workspace) -> Result:
    count, failures = 0, list[str]()
    for seed in range(run.seed, run.seed + run.scaled(1, 30)):
        chance = run.at(seed).random("called again")
        async with _fresh(place) as service:
            for how in FIRSTS:
                kinds = [kind for kind in KINDS if how != UNREADABLE or kind in _UNREADABLE]
                trials = [Trial(kind, (how,), chance.choice(NAMINGS), count + at, seed) for at, kind in enumerate(kinds)]
                firsts = await asyncio.gather(*(_twice(place, service, chance, trial) for trial in trials))
                place.emulator.clear_faults()
                present = place.remote()
                for trial, first in zip(trials, firsts, strict=True):
                    wrong = wrong_again(trial, first, {id for id, name in present.items() if name == trial.name})
                    failures += [f"{trial}: {wrong}; {run.repeat('pairs', seed)}"] if wrong else []
                    run.canaries.look("pairs", first.said, trial.made.said)
                count += len(trials)
    return Result("creations called again in the same process", "1 object, known, else explained", count, tuple(failures), run.seed)


async def _twice(place: Workspace, service: Service, chance: random.Random, trial: Trial) -> Made:
    """Create, and create again; give what the first call came to, and keep the second in the trial."""
    await prepare(service, chance, trial)
    pause_seconds = chance.choice((0.0, chance.uniform(0.0, 2 * _LATE_SECONDS)))
    (how,) = trial.faults
    for fault in FIRSTS[how]:
        details: dict[str, Any] = {**fault, **({"fields": _UNREADABLE[trial.kind]} if how == UNREADABLE else {})}
        place.emulator.fault(method="POST", path=PATHS[trial.kind], name=trial.name, **details)
    creating = asyncio.ensure_future(service.create(trial.kind, trial.urn, trial.inputs))
    if how.endswith(LISTLESS):
        await _sent(place, trial, creating)
        place.emulator.fault("status", "GET", PATHS[trial.kind], status=403)
    first = await creating
    await asyncio.sleep(pause_seconds)
    trial.made = await service.create(trial.kind, trial.urn, trial.inputs)
    await asyncio.sleep(_TIMEOUT_SECONDS + _LATE_SECONDS)  # what the server was told, it does
    return first


async def _sent(place: Workspace, trial: Trial, creating: asyncio.Future[Made]) -> None:
    """Wait until the emulator has seen the POST."""
    for _ in range(round(_TIMEOUT_SECONDS / _LOOK_SECONDS)):
        posts = [entry["body"] for entry in place.emulator.requests() if entry["method"] == "POST"]
        if creating.done() or any(body["name"] == trial.name for body in posts):
            return
        await asyncio.sleep(_LOOK_SECONDS)


def wrong_again(trial: Trial, first: Made, present: set[str]) -> str:
    """Say what is wrong with a second call, given what the first came to and the ids of all objects of this name."""
    if not first.said:
        return "the first call did not fail"
    if first.id and trial.made.id != first.id:
        return f"the first call said {first.id}, the second {trial.made.id!r} and {trial.made.said!r}; there are {sorted(present)}"
    is_explained = trial.naming != GENERATED and present and explains(trial.made.said, present)
    if not trial.made.id and not is_explained:
        return f"the second call fails as well: {trial.made.said!r}; there are {sorted(present)}"
    return trial.verdict(present)


# -- two of one name


async def _of_one_name(run: Run, place: Workspace) -> Result:
    """Of two POSTs with one name, the first that arrives is lost, and the other's answer comes while the lost one is looked for."""
    count, failures = 0, list[str]()
    known = faults(_LATE_SECONDS)
    for seed in range(run.seed, run.seed + run.scaled(1, 30)):
        chance = run.at(seed).random("of one name")
        pairs = [
            tuple(Trial(kind, (loss,), FIXED, 2 * number, seed) for _ in range(2))
            for number, (kind, loss) in enumerate((kind, loss) for kind in KINDS for loss in LOSSES)
        ]
        async with _fresh(place) as service:
            for pair in pairs:
                for trial in pair:
                    await prepare(service, chance, trial)
                late = {"action": "commit-then-delay", "seconds": chance.uniform(0.1, 0.9) * _TIMEOUT_SECONDS}
                for fault in (known[pair[0].faults[0]], late):
                    place.emulator.fault(method="POST", path=PATHS[pair[0].kind], name=pair[0].name, **fault)
            await asyncio.gather(
                *(_created(service, f"{trial.urn}-{at}", trial) for pair in pairs for at, trial in enumerate(pair))
            )
            await asyncio.sleep(_LATE_SECONDS)
        present = place.remote()
        for pair in pairs:
            made = [trial.made for trial in pair]
            wrong = wrong_pair(made, {id for id, name in present.items() if name == pair[0].name})
            failures += [f"{pair[0]}, and another one: {wrong}; {run.repeat('pairs', seed)}"] if wrong else []
            run.canaries.look("pairs", *(one.said for one in made))
        count += len(pairs)
    return Result("two creations of one name at once", "never one id for both, else explained", count, tuple(failures), run.seed)


async def _created(service: Service, urn: str, trial: Trial) -> None:
    trial.made = await service.create(trial.kind, urn, trial.inputs)


def wrong_pair(made: Sequence[Made], present: set[str]) -> str:
    """Say what is wrong with two creations, given the ids of all objects of their name; empty where nothing is."""
    ids = [one.id for one in made if one.id]
    unowned = present - set(ids)
    if len(set(ids)) < len(ids):
        return f"both are {ids[0]}; there are {sorted(present)}"
    if len(present) > len(made):
        return f"{len(present)} objects: {sorted(present)}; in the state {sorted(ids)}"
    if gone := set(ids) - present:
        return f"the state knows {sorted(gone)}, which is not there"
    if unowned and not any(not one.id and explains(one.said, unowned) for one in made):
        return f"{sorted(unowned)} is in no state; said was {[one.said for one in made]}"
    return ""
