"""Trials that run some at once, each with an account of its own, and of which each has to come to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from .report import Run
from .workspace import Workspace, workspace

TOGETHER: Final = 2


@dataclass
class Attempt:
    """What was `wrong` in a trial; nothing is known of one that did not run to its end."""

    number: int
    wrong: list[str] = field(default_factory=list, kw_only=True)
    is_ended: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        """What a failure calls it."""
        return f"trial {self.number}"

    @property
    def missed(self) -> list[str]:
        """Why it missed its target, if it did."""
        return self.wrong or ([] if self.is_ended else ["did not run to its end"])


_Attempt = TypeVar("_Attempt", bound=Attempt)


@contextmanager
def led(run: Run, name: str, trials: Sequence[_Attempt], lead: Callable[[Workspace, _Attempt], None]) -> Iterator[list[Workspace]]:
    """Lead all trials; give the places where that happened. One that breaks is a missed target, and the others go on."""

    def lead_all(place: Workspace, chosen: Sequence[_Attempt]) -> None:
        for trial in chosen:
            try:
                place.emulator.reset()
                place.emulator.set(worker_quota=1_000_000)
                lead(place, trial)
                trial.is_ended = True
            except Exception as problem:  # noqa: BLE001 - whatever it is, the scorecard has to show it
                trial.wrong.append(f"it broke: {type(problem).__name__}: {problem}")
            if trial.wrong:
                print(f"  {name}, {trial.title}: {'; '.join(trial.wrong)}", file=sys.stderr, flush=True)

    with ExitStack() as stack:
        places = [stack.enter_context(workspace(run, f"{name}{number}")) for number in range(TOGETHER)]
        with ThreadPoolExecutor(TOGETHER) as pool:
            leading = [pool.submit(lead_all, place, trials[number::TOGETHER]) for number, place in enumerate(places)]
        for done in leading:
            done.result()
        yield places
