"""What somebody holds is never taken nor deleted: replacements after interruptions and failures, and one stack in two backends.

Each life leads a stack through an `up`, a `--replace`, a taint and one of both again. Each of these may be interrupted, or the creation
of a sibling be refused; then the next one follows at once, or after another `up`. In the end a change replaces some by deleting first.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .kills import LATEST_ANSWER_SECONDS, LONGEST_LIFE_SECONDS, be_late, strike, until_a_random_moment
from .processes import MARK, seconds_until_gone
from .report import Result, Run
from .trials import Attempt, led
from .workspace import KINDS, PATHS, Done, Project, Workspace, stated

_INTERRUPTIONS: Final = ("^C once", "^C twice", "kill -9 of the CLI")
_ORDERLY: Final = "orderly"
_REFUSED: Final = "a sibling is refused"
_LOST: Final = "a sibling is answered 500"
"""Takes minutes: each POST is looked after for as long as the server may take to carry it out."""


@dataclass(frozen=True)
class Step:
    """One command: `up`, with `--replace` of all, or after all were tainted.

    `how` is an interruption, a sibling's failure, or orderly. `is_mended`: does another `up` follow before the next step?
    """

    verb: str
    how: str
    is_mended: bool

    def __str__(self) -> str:
        return f"{self.verb} ({self.how}){', up' if self.is_mended else ''}"


@dataclass
class Trial(Attempt):
    """The life of one stack: its steps, how many of them were taken, and what was wrong after each."""

    names: Mapping[str, str | None]
    steps: Sequence[Step]
    taken: list[Step] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What a failure calls it."""
        return f"life {self.number}"


def drawn(run: Run, number: int) -> Trial:
    """Draw a life. Two templates of one name cannot be, so theirs is always generated.

    Each other one begins with what is hardest: an interrupted `up`, and at once a replacement that does not come to its deletions.
    """
    chance = run.random("adoptions", number)
    names = {kind: "fixed" if kind != "PodTemplate" and chance.random() < 0.5 else None for kind in KINDS}
    verbs = ("up", "replace", "taint", chance.choice(("replace", "taint")))
    failures = (_REFUSED, *([_LOST] if run.is_full and chance.random() < 0.1 else []))
    hows = chance.choices((_ORDERLY, *_INTERRUPTIONS, chance.choice(failures)), (3, 2, 2, 2, 3), k=len(verbs))
    steps = [Step(verb, how, how != _ORDERLY and chance.random() < 0.3) for verb, how in zip(verbs, hows, strict=True)]
    if number % 2 == 0:
        steps[:2] = [Step("up", chance.choice(_INTERRUPTIONS), is_mended=False), Step("replace", _REFUSED, is_mended=True)]
    return Trial(number, names, steps)


def measure(run: Run) -> Iterable[Result]:
    """Lead all lives, some at once, each with an account of its own; then the two backends."""
    trials = [drawn(run, number) for number in range(run.scaled(1, 60))]
    with led(run, "adoptions", trials, _live) as places:
        failures = [
            f"{trial.title}, {', '.join(map(str, trial.steps))}: {'; '.join(trial.missed)}; {run.repeat('adoptions')}"
            for trial in trials
            if trial.missed
        ]
        taken = Counter(step.how for trial in trials for step in trial.taken)
        detail = ", ".join(f"{count} {how}" for how, count in sorted(taken.items()))
        target = "nothing live is deleted, 0 unowned, 0 duplicated"
        yield Result("up --replace and taint after interruptions", target, taken.total(), tuple(failures), run.seed, detail)
        yield _two_backends(run, places[0])


def _live(place: Workspace, trial: Trial) -> None:
    """Take the steps, up to the first after which something is wrong."""
    chance = place.run.random("adoptions", trial.number, "moments")
    project = place.project(f"life{trial.number}")
    program = _program(trial.names)
    project.write(program)
    for step in trial.steps:
        before = {one["urn"]: one["id"] for one in project.state() if not one.get("delete")}
        done = _taken(place, project, program, step, f"life{trial.number}", chance)
        is_first_trouble = all(earlier.how == _ORDERLY for earlier in trial.taken)
        trial.taken.append(step)
        after = project.state()
        wrong = list(broken(after, place.remote()))
        if step.how == _ORDERLY and is_first_trouble:
            wrong += _undone(step, before, after, done)
        elif step.is_mended and not wrong:
            done = project.up(must_succeed=False)
            state, there = project.state(), place.remote()
            wrong += broken(state, there)
            if any(untold(state, there, done)):  # what a provider works on that lives yet is not left behind
                seconds_until_gone(f"life{trial.number}", LONGEST_LIFE_SECONDS)
                done = project.up(must_succeed=False)
                state, there = project.state(), place.remote()
            wrong += untold(state, there, done)
        if wrong:
            trial.wrong += [f"after {step}: {text}" for text in wrong] + [done.tail]
            return
    last = trial.steps[-1]
    is_again = last.verb == "replace" and last.how != _ORDERLY  # a plain `up` has no reason to create anything
    done = project.up(*(_replacing(project) if is_again else ()), must_succeed=False)
    if done.exit_code:
        wrong = list(broken(project.state(), place.remote()))
        done = project.up(*(_replacing(project) if is_again else ()), must_succeed=False)
        trial.wrong += [f"after the last up but one: {text}" for text in wrong]
    trial.wrong += [f"at the end: {text}" for text in _unfinished(project.state(), place.remote(), done)]
    if not trial.wrong:
        trial.wrong += [f"after a replacement that deletes first: {text}" for text in _deleted_first(place, project, trial.names)]


def _deleted_first(place: Workspace, project: Project, names: Mapping[str, str | None]) -> Iterator[str]:
    """Replace, by options, for a change that is an update to the provider: nothing spares what was taken over in this life."""
    before = set(project.ids())
    options = {"replaceOnChanges": ["env"], "deleteBeforeReplace": True}
    changed = {kind.lower(): stated(kind, options, name=names[kind], env={"A": "2"}) for kind in ("Endpoint", "PodTemplate")}
    project.write({**_program(names), **changed})
    done = project.up(must_succeed=False)
    yield from _unfinished(project.state(), place.remote(), done)
    if len(before & set(project.ids())) != len(KINDS) - len(changed):
        yield "not all are replaced"


def _program(names: Mapping[str, str | None]) -> dict[str, Any]:
    return {kind.lower(): stated(kind, name=name) for kind, name in names.items()}


def _replacing(project: Project) -> list[str]:
    return [f"--replace={urn}" for urn in sorted({one["urn"] for one in project.state()})]


def _taken(place: Workspace, project: Project, program: Mapping[str, Any], step: Step, mark: str, chance: random.Random) -> Done:
    """Run the command of a step."""
    if step.verb == "taint":
        for urn in sorted({one["urn"] for one in project.state()}):
            project.pulumi("state", "taint", urn, "--yes")  # not where an older one waits for its deletion: that is ambiguous
    flags = _replacing(project) if step.verb == "replace" else []
    place.emulator.clear_requests()
    if step.how in (_REFUSED, _LOST):
        _fail_a_sibling(place, project, program, 400 if step.how == _REFUSED else 500, chance)
    be_late(place, chance, len(KINDS))
    process = project.start("up", "--yes", "--skip-preview", *flags, **{MARK: mark})
    if step.how in _INTERRUPTIONS:
        until_a_random_moment(place, chance, process)
        strike(step.how, mark, process, chance.uniform(0.05, 1.0))
    done = project.ended(process)
    place.emulator.clear_faults()
    project.write(program)
    if step.how in _INTERRUPTIONS:
        time.sleep(chance.choice((0.0, LATEST_ANSWER_SECONDS)))  # before or after the server does what it was told
        project.cancel()
    return done


def _fail_a_sibling(place: Workspace, project: Project, program: Mapping[str, Any], status: int, chance: random.Random) -> None:
    """Let one of the resources fail if it is created, or another one, which follows one of them and is in no state."""
    kind = chance.choice(list(KINDS))
    if chance.random() < 0.5:
        place.emulator.fault("status", "POST", PATHS[kind], status=status, times=None)
    else:
        sibling = stated(kind, {"dependsOn": [f"${{{chance.choice(list(program))}}}"]}, name="sibling")
        project.write({**program, "sibling": sibling})
        place.emulator.fault("status", "POST", PATHS[kind], name="sibling", status=status, times=None)


def broken(state: Sequence[Mapping[str, Any]], there: Iterable[str]) -> Iterator[str]:
    """Say what never may be of a state and the ids `there` in the account, however a command ended.

    What a replacement took over in place of itself is live and waits for its deletion, until an `up` finds that there is nothing to delete.
    """
    there = set(there)
    for one in state:
        if one.get("id") and one["id"] not in there and not one.get("delete"):
            yield f"the state holds {one['id']} of {_name(one)} as live, which is gone"
    holders = _holders(state)
    yield from (f"{' and '.join(names)} have one id, {id}" for id, names in holders.items() if len(set(names)) > 1)
    twice = _holders(one for one in state if not one.get("delete"))
    yield from (f"the state holds {id} twice as live" for id, names in twice.items() if len(names) > len(set(names)))


def untold(state: Sequence[Mapping[str, Any]], there: Mapping[str, str], done: Done) -> Iterator[str]:
    """Say which objects a plain `up` left beside the state without a word: a replacement by option is not its business."""
    known = _holders(state)
    if not done.exit_code:
        yield from (
            f"{id} is in no state, and the up tells nothing of it" for id in there if id not in known and id not in done.said
        )


def _undone(step: Step, before: Mapping[str, str], after: Sequence[Mapping[str, Any]], done: Done) -> Iterator[str]:
    """Say what an orderly command left undone; after trouble the provider may refuse a replacement, or say that there was none."""
    if done.exit_code:
        yield f"{step.verb} fails"
    if step.verb != "up" and (kept := {one["id"] for one in after} & set(before.values())):
        yield f"{sorted(kept)} is not replaced"


def _unfinished(state: Sequence[Mapping[str, Any]], there: Mapping[str, str], done: Done) -> Iterator[str]:
    """Say what the last `up` left: each resource has one object, and each object is one resource's."""
    known = _holders(state)
    yield from broken(state, there)
    yield from (f"the state still holds {id} twice, for {names[0]}" for id, names in known.items() if len(names) > 1)
    if done.exit_code:
        yield f"two runs of up fail: {done.tail}"
    if unowned := {id: name for id, name in there.items() if id not in known}:
        yield f"unowned: {unowned}"
    if len(there) > len(KINDS):
        yield f"duplicated: {len(there)} objects for {len(KINDS)} resources"
    if len(state) != len(KINDS) and not done.exit_code:
        yield f"{len(state)} in the state for {len(KINDS)} resources"


def _holders(state: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Give the names of what holds each id."""
    found: dict[str, list[str]] = {}
    for one in state:
        if one.get("id"):
            found.setdefault(one["id"], []).append(_name(one))
    return found


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


def _two_backends(run: Run, place: Workspace) -> Result:
    """Bring up the same stack in another backend, with answers that are late: nobody's live resource is taken."""
    wrong: list[str] = []
    repetitions = run.scaled(1, 10)
    for number in range(repetitions):
        place.emulator.reset()
        place.emulator.set(worker_quota=1_000_000)
        chance = run.random("backends", number)
        first, second = (_in_backend(place, place.directory / f"backend-{number}-{letter}") for letter in "ab")
        program = _program(drawn(run, number).names)
        for project in (first, second):
            project.write(program)
        first.up()
        lives = set(first.ids())
        place.emulator.fault(chance.choice(("commit-then-delay", "delay")), "POST", seconds=0.5, times=2)
        done = second.up(must_succeed=False)
        if taken := lives & set(second.ids()):
            wrong.append(f"the other backend took {sorted(taken)}")
        if done.exit_code and "pulumi import " not in done.said:
            wrong.append(f"the other backend fails without a way out: {done.tail}")
        if lives - set(place.remote()):
            wrong.append(f"{sorted(lives - set(place.remote()))} is gone")
    failures = tuple(f"{text}; {run.repeat('adoptions')}" for text in wrong)
    return Result("the same stack in two backends", "0 adoptions of a live resource", repetitions, failures, run.seed)


def _in_backend(place: Workspace, backend: Path) -> Project:
    backend.mkdir()
    return place.project(f"{backend.name}/shop", PULUMI_BACKEND_URL=f"file://{backend.as_posix()}")
