"""Interruption at random moments of `up`: kill -9 of the CLI and of the provider, ^C once and twice.

After each, `pulumi cancel`, and another `up`: then the account holds what the state knows, and the state what the program says. The
answers of the emulator are late, before or after it has done its work, so that most moments fall into a creation.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .processes import MARK, kill, plugins, seconds_until_gone
from .report import Result, Run
from .trials import Attempt, led
from .workspace import KINDS, Project, Workspace, stated

LATEST_ANSWER_SECONDS: Final = 1.0
_IDLE_BOUND_SECONDS: Final = 5.0
LONGEST_LIFE_SECONDS: Final = 65.0
"""The request time-out of a real plugin, and five seconds."""
_SLACK_SECONDS: Final = 1.0
MODES: Final = {
    "kill -9 of the CLI": (2, 100),
    "kill -9 of the provider": (2, 100),
    "^C once": (1, 100),
    "^C twice": (1, 100),
}
"""What is done, and how often in the quick and in the full form."""


@dataclass
class Trial(Attempt):
    """One interrupted `up`, and what came of it."""

    mode: str
    is_idle: bool = True
    is_exited_prematurely: bool = False
    lived_seconds: float = 0.0
    leftover: str = ""

    @property
    def title(self) -> str:
        """What a failure calls it."""
        return f"{self.mode}, trial {self.number}"

    @property
    def name(self) -> str:
        """A word for its project, and for the mark of its processes."""
        return f"{list(MODES).index(self.mode)}-{self.number}"


def measure(run: Run) -> Iterable[Result]:
    """Run all trials, some at once, each with an account of its own."""
    trials = [Trial(number, mode) for mode, counts in MODES.items() for number in range(run.scaled(*counts))]
    with led(run, "kills", trials, _interrupt):
        yield from _results(run, trials)


def _results(run: Run, trials: list[Trial]) -> Iterator[Result]:
    targets = {
        "kill -9 of the CLI": "0 unowned, 0 duplicated after the next up",
        "kill -9 of the provider": "0 unowned, 0 duplicated after the next up",
        "^C once": "what exists is in the state",
        "^C twice": "0 unowned after the next up",
    }
    for mode in MODES:
        chosen = [trial for trial in trials if trial.mode == mode]
        failures = [f"trial {one.number}: {'; '.join(one.missed)}; {run.repeat('kills')}" for one in chosen if one.missed]
        ended = [trial for trial in chosen if trial.is_ended]
        hit = sum(not trial.is_idle for trial in ended)
        yield Result(mode, targets[mode], len(ended), tuple(failures), run.seed, f"{hit} while a request was under way")
    trials = [trial for trial in trials if trial.is_ended]
    told = [trial for trial in trials if trial.mode != "kill -9 of the provider"]
    exited = [f"{trial.title}; {run.repeat('kills')}" for trial in told if trial.is_exited_prematurely]
    yield Result('"exited prematurely"', "never said", len(told), tuple(exited), run.seed)
    left = [f"{trial.title}: {trial.leftover}; {run.repeat('kills')}" for trial in trials if trial.leftover]
    longest = max((trial.lived_seconds for trial in trials), default=0.0)
    target = f"gone in {_IDLE_BOUND_SECONDS:g} s when idle, else in {LONGEST_LIFE_SECONDS:g} s"
    yield Result("provider processes after their engine", target, len(trials), tuple(left), run.seed, f"{longest:.1f} s at most")


def _interrupt(place: Workspace, trial: Trial) -> None:
    chance = place.run.random("kills", trial.mode, trial.number)
    project = place.project(trial.name)
    resources = {kind.lower(): stated(kind) for kind in KINDS}
    resources["dependent"] = stated("Endpoint", env={"API": "${endpoint.id}"})
    project.write(resources)
    be_late(place, chance, 2 * len(resources))
    process = project.start("up", "--yes", "--skip-preview", **{MARK: trial.name})
    until_a_random_moment(place, chance, process)
    trial.is_idle = not any(entry["status"] is None for entry in place.emulator.requests())
    strike(trial.mode, trial.name, process, chance.uniform(0.05, 1.0))
    done = project.ended(process)
    trial.is_exited_prematurely = "exited prematurely" in done.said
    bound = (_IDLE_BOUND_SECONDS if trial.is_idle and trial.mode == "kill -9 of the CLI" else LONGEST_LIFE_SECONDS) + _SLACK_SECONDS
    lived = seconds_until_gone(trial.name, bound)
    trial.lived_seconds = bound if lived is None else lived
    if lived is None:
        trial.leftover = f"{plugins(trial.name)} after {bound:g} s"
    place.emulator.clear_faults()
    time.sleep(LATEST_ANSWER_SECONDS if "kill" in trial.mode else 0)  # what the server was told, it does
    if trial.mode == "^C once":
        known, there = project.ids(), sorted(place.remote())
        if known != there:
            trial.wrong.append(f"after ^C {sorted(set(there) - set(known))} is in no state: {done.tail}")
    _recover(place, project, trial, len(resources))


def be_late(place: Workspace, chance: random.Random, count: int) -> None:
    """Have the next `count` POSTs answered late, before or after the emulator has done its work."""
    for _ in range(count):
        action = chance.choice(("delay", "commit-then-delay"))
        place.emulator.fault(action, "POST", seconds=chance.uniform(0.0, LATEST_ANSWER_SECONDS))


def until_a_random_moment(place: Workspace, chance: random.Random, process: subprocess.Popen[str]) -> None:
    """Wait, mostly into a creation."""
    if chance.random() < 0.8:  # most of the time before the first creation is the CLI's own
        while process.poll() is None and not any(entry["method"] == "POST" for entry in place.emulator.requests()):
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 1.5 * LATEST_ANSWER_SECONDS))
    else:
        time.sleep(chance.uniform(0.0, 4.0))


def strike(mode: str, mark: str, process: subprocess.Popen[str], pause_seconds: float) -> None:
    """Interrupt a command, whose plugin is found by `mark`, as `mode` says; `pause_seconds` lie between two ^C."""
    if mode == "kill -9 of the CLI":
        kill([process.pid], signal.SIGKILL)
    elif mode == "kill -9 of the provider":
        kill(plugins(mark), signal.SIGKILL)
    else:
        for number in range(2 if mode == "^C twice" else 1):
            time.sleep(pause_seconds if number else 0)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does


def _recover(place: Workspace, project: Project, trial: Trial, count: int) -> None:
    """Do what a user does next, and compare."""
    project.cancel()
    done = project.up(must_succeed=False)
    known, there = project.ids(), place.remote()
    unowned = {id: name for id, name in there.items() if id not in known}
    if done.exit_code:
        trial.wrong.append(f"the next up fails: {done.tail}")
    if unowned:
        trial.wrong.append(f"unowned: {unowned}")
    if len(there) > count:
        trial.wrong.append(f"duplicated: {len(there)} objects for {count} resources")
    if set(known) - set(there):
        trial.wrong.append(f"the state knows {sorted(set(known) - set(there))}, which is not there")
    if len(known) != count and not done.exit_code:
        trial.wrong.append(f"{len(known)} in the state for {count} resources")
