"""Random lives of whole stacks, with faults: state and account agree after each step, and nothing is left to do that was done.

The steps of a life are drawn from its seed before any is taken, so a life is repeated by its number alone, and is shortened by leaving
steps out. (A state machine of hypothesis would draw each step from the state: that shrinks as well, but costs more than the steps do.)
Calls are made without a socket, on a clock of their own. Lives have seeds that follow each other, so one is repeated alone by taking
its seed for the run's.
"""

from __future__ import annotations

import asyncio
import copy
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runpod_emulator.faults import Fault

from .canaries import Canaries
from .inprocess import Account
from .programs import PROGRAMS
from .report import Result, Run
from .stack import Killed, Stack, Stopped, kind_of
from .workspace import KINDS, PATHS

_MOST_STEPS: Final = 14
_SETTLED_SECONDS: Final = 180.0
NAMES: Final = ("Registry-a", "NetworkVolume-a", "PodTemplate-a", "Endpoint-a", "Endpoint-b")
DRIFTS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "Registry": ({"name": "theirs"},),
    "NetworkVolume": ({"name": "theirs"}, {"size": 4096}),
    "PodTemplate": (
        *({"name": "theirs"}, {"image": "them/z:9"}, {"disk": 5}, {"env": {"X": "theirs"}}, {"env": {}}, {"public": True}),
        *({"args": "theirs"}, {"ports": ["1/tcp"]}, {"category": "CPU"}),
    ),
    "Endpoint": (
        *({"name": "theirs"}, {"workers": {"max": 7}}, {"workers": {"min": 1, "max": 9}}, {"timeout": 9000}, {"image": "them/z:9"}),
        *({"disk": 5}, {"env": {"X": "theirs"}}, {"env": {}}, {"flashboot": "OFF"}, {"args": "theirs"}, {"ports": ["1/tcp"]}),
        *({"dataCenterIds": []}, {"networkVolumes": []}, {"registry": None}),
    ),
}
"""What somebody may do by hand to an object."""
_LATE: Final[tuple[dict[str, Any], ...]] = ({"status": 504}, {})
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"action": "reset-before"},
    {"action": "commit-then-drop"},
    {"action": "truncate"},
    {"action": "wrong-json"},
    {"action": "wrong-json", "body": "<html>"},
    *({"action": "status", "status": status} for status in (408, 500, 502, 503, 504)),
    *({"action": "commit-then-status", "status": status} for status in (500, 502, 503, 504)),
    *({"action": "commit-late", "seconds": seconds, **how} for seconds in (0, 1, 30, 59) for how in _LATE),
    *({"action": "status", "status": 429, "retryAfter": after} for after in (None, 0, 3, 120)),
)


_AT_THE_END: Final[dict[str, dict[str, Any]]] = {
    "Registry": {key: PROGRAMS["Registry"][key][0] for key in ("username", "password")},
    "NetworkVolume": {"deletionProtection": False, "size": 4096},
}
"""What a program has to say before its stack can be destroyed."""


@dataclass(frozen=True)
class Step:
    """One thing that happens: `what` of `name`, with `how`."""

    what: str
    name: str = ""
    how: Any = None


def drawn(seed: int) -> list[Step]:
    """Draw a life."""
    chance = random.Random(seed)
    names = [name for name in NAMES if chance.random() < 0.5] or [chance.choice(NAMES)]
    steps = [Step("fault", how=_fault(chance))] if chance.random() < 0.3 else []
    steps += [step for name in names for step in (Step("add", name), *(_edit(chance, name) for _ in range(chance.randrange(5))))]
    for _ in range(chance.randrange(4, _MOST_STEPS)):
        name = chance.choice(names)
        what = chance.choice(("edit", "edit", "up", "up", "up", "refresh", "refresh", "drift", "fault", "fault", "other"))
        if what == "other":
            what = chance.choice(("remove", "add", "import", "import", "vanish", "replace", "kill", "kill"))
        if what == "edit":
            steps += [_edit(chance, name) for _ in range(chance.randrange(1, 4))]
        elif what == "drift":
            steps.append(Step(what, name, chance.choice(DRIFTS[kind_of(name)])))
        elif what == "fault":
            steps.append(Step(what, how=_fault(chance)))
            if chance.random() < 0.7:  # else it hits whatever comes next
                steps += [_edit(chance, name), Step(chance.choice(("up", "up", "replace", "refresh")), name)]
        elif what == "kill":
            steps += [Step(what, how=chance.choice((0, 0, 1))), Step(chance.choice(("up", "replace")), name)]
        else:
            steps.append(Step(what, name))
    return [*steps, Step("up")]


def _edit(chance: random.Random, name: str) -> Step:
    choices = PROGRAMS[kind_of(name)]
    key = chance.choice(sorted(choices))
    return Step("edit", name, (key, chance.choice(choices[key]) if chance.random() < 0.8 else None))


def _fault(chance: random.Random) -> dict[str, Any]:
    method = chance.choice(("POST", "POST", "PATCH", "DELETE", "GET", "*"))
    if method == "GET" and chance.random() < 0.3:
        return {"action": "omit-from-list", "method": "GET", "path": chance.choice(list(PATHS.values()))}
    times = chance.choice((1, 1, 1, 2, 3, 6))
    return {**chance.choice(FAULTS), "method": method, "times": times, "skip": chance.choice((0, 0, 1, 2))}


class Life:
    """One life under way."""

    def __init__(self, account: Account, look: Callable[[], None]) -> None:
        self.account = account
        self.stack = Stack(account)
        self._look = look
        self.vanished: set[str] = set()
        self.told: set[str] = set()
        self.has_fault = False

    async def take(self, step: Step) -> None:
        """Take one step."""
        stack = self.stack
        if step.what == "add":
            least = {"Registry": ("username", "password")}.get(kind_of(step.name), ())
            stack.program.setdefault(step.name, {key: PROGRAMS[kind_of(step.name)][key][0] for key in least})
            stack.program = {name: stack.program[name] for name in NAMES if name in stack.program}
        elif step.what == "remove":
            stack.program.pop(step.name, None)
        elif step.what == "edit" and step.name in stack.program:
            key, value = step.how
            stack.program[step.name].pop(key, None)
            if value is not None:
                stack.program[step.name][key] = copy.deepcopy(value)
        elif step.what in ("drift", "vanish") and step.name in stack.state:
            await self._by_hand(step)
        elif step.what == "kill":
            stack.kill_after = step.how
        elif step.what == "fault":
            self.has_fault = True
            self.account.app.faults.add(Fault(**step.how))
        elif step.what in ("up", "replace", "refresh") or (
            step.what == "import" and step.name in stack.state and not stack.pending  # to whose ids nothing should refer any more
        ):
            await self._operate(step)

    async def _by_hand(self, step: Step) -> None:
        kept = self.stack.state[step.name]
        if not self.stack.is_there(kept):
            return
        self.stack.drifted.add(step.name)
        path = f"resources/{KINDS[kind_of(step.name)]}/{kept.id}"
        if step.what == "vanish":
            self.vanished.add(kept.id)
            await self.account.control("DELETE", path)
        else:
            live = await self.account.control("GET", path)
            added = (
                {"env": {**live["env"], **step.how["env"]}} if step.how.get("env") else {}
            )  # nobody loses what a template brought
            await self.account.control("PATCH", path, {**step.how, **added})
        await self.account.time.passing(60)

    async def _operate(self, step: Step) -> None:
        stack = self.stack
        stack.said.clear()
        try:
            if step.what == "refresh":
                await stack.refresh()
            elif step.what == "import":
                await stack.import_again(step.name)
            else:
                await stack.up(frozenset({step.name} if step.what == "replace" else ()))
            self._look()  # before the next process finds the journal, and tidies it
            is_done = True
        except Killed:
            self._look()
            is_done = await self._after_kill(step)
        except Stopped as stopped:
            is_done = False
            self._lift(str(stopped))
            if not self.has_fault:
                self._expect_reason(str(stopped))
        await self.account.time.passing(_SETTLED_SECONDS)
        self.account.app.faults.clear()
        had_fault, self.has_fault = self.has_fault, False
        await self._account_for(may_be_gone=had_fault and not is_done)
        if is_done and step.what != "refresh":
            try:
                await stack.settled([step.name] if step.what == "import" else list(stack.state))
            except Stopped as stopped:
                stack.wrong.append(f"{stopped} after {step.what}" + (" with a fault" if had_fault else ""))

    async def _after_kill(self, step: Step) -> bool:
        """Run the same again, and then, should that be refused, without the replacement: what the killed run made is taken over."""
        self.account.app.faults.clear()
        await self.account.time.passing(_SETTLED_SECONDS)
        for replaced in [{step.name}, set[str]()] if step.what == "replace" else [set[str]()]:
            try:
                await self.stack.up(frozenset(replaced))
                return True
            except Stopped as stopped:
                self._lift(str(stopped))
                self._expect_reason(str(stopped))
        return False

    def _lift(self, said: str) -> None:
        """Take a volume out of the state that was replaced on request although it is protected; what is pending cannot be changed."""
        if "is protected from deletion" in said:
            self.told |= {kept.id for kept in self.stack.pending}
            self.stack.pending.clear()

    def _expect_reason(self, said: str) -> None:
        """Hold a failure without a fault against what a user can act on."""
        is_of_vanished = any(text.format(id) in said for id in self.vanished for text in REFUSALS_OF_VANISHED)
        if not said.startswith("Check: ") and not is_of_vanished and not any(text in said for text in REFUSALS):
            self.stack.wrong.append(f"failed without a fault: {said}")

    def _remote(self) -> dict[str, str]:
        return {one["id"]: one["name"] for kind in KINDS.values() for one in self.account.objects(kind)}

    async def _account_for(self, *, may_be_gone: bool) -> None:
        """Each object is in the state, or waits for its deletion, or somebody was told of it, and cleans up."""
        stack, remote, said = self.stack, self._remote(), " ".join(self.stack.said)
        known = {kept.id for kept in (*stack.state.values(), *stack.pending)}
        for id in remote.keys() - known - self.told:
            if id in stack.released or id in said or ("Look in the Runpod console" in said and repr(remote[id]) in said):
                self.told.add(id)
            else:
                stack.wrong.append(f"{id} ({remote[id]}) is in the account, but in no state")
        for kind in KINDS.values():
            for one in self.account.objects(kind):
                if one["id"] in self.told:
                    await self.account.control("DELETE", f"resources/{kind}/{one['id']}")
        for kept in stack.state.values():
            if may_be_gone and kept.id not in remote:  # a delete whose answer was lost
                self.vanished.add(kept.id)
            if kept.id not in remote and kept.id not in self.vanished:
                stack.wrong.append(f"{kept.name} ({kept.id}) is in the state, but gone from the account")

    async def end(self) -> None:
        """Destroy the stack; nothing may be left but what somebody was told of."""
        stack = self.stack
        self.account.app.faults.clear()
        stack.kill_after = None
        try:
            await stack.refresh()
            stack.program = {name: copy.deepcopy(stack.accepted[name]) for name in NAMES if name in stack.state}
            for name in stack.program:
                stack.program[name] |= _AT_THE_END.get(kind_of(name), {})
            await stack.up()
            stack.program = {}
            await stack.up()
        except Stopped as stopped:
            stack.wrong.append(f"could not be destroyed: {stopped}")
        if left := {id: name for id, name in self._remote().items() if id not in stack.released}:
            stack.wrong.append(f"left after its end: {left}")


REFUSALS: Final[tuple[str, ...]] = (
    "the next `pulumi up` waits on",
    "is protected from deletion",
    "does not support HIGH_PERFORMANCE network volumes",
    "template name must be unique",
    "exceeds the maximum allowed for CPU instances",
    "network volume size cannot be reduced",  # somebody else made it larger, and the state does not know
    "It is gone from Runpod; run `pulumi refresh`",
    "change datacenter, or the CPU size",
    "for this resource, with other inputs than now; nothing was sent",  # what a killed run made of an id that is another one now
)
"""What may be said without a fault: the program asks for what cannot be."""
REFUSALS_OF_VANISHED: Final = (
    "network volume '{}' not found",
    "template not found. templateId: '{}' is no template of this account",
)
"""What may be said of an id that is gone while the state still has it: nobody refreshed."""


async def _live(steps: Sequence[Step], directory: Path, canaries: Canaries) -> list[str]:
    """Lead a life, and say what was wrong: a secret in its journal, or in what was said, is that too."""
    account, hits = Account(directory), len(canaries.hits)
    life = Life(account, lambda: canaries.look_into("journal of a life", [directory]))
    try:
        for step in steps:
            await life.take(step)
            if wrong := [*life.stack.wrong, *canaries.hits[hits:]]:
                return [f"after {step}: {text}" for text in wrong]
        await life.end()
        canaries.look("what a life was told", *account.engine.said)
        return [*life.stack.wrong, *canaries.hits[hits:]]
    except Exception as problem:  # noqa: BLE001 - a life that breaks is a failure like another
        return [f"{type(problem).__name__}: {problem}"]
    finally:
        await account.aclose()


def lead(steps: Sequence[Step], canaries: Canaries | None = None) -> list[str]:
    """Lead a life in a loop of its own; what it kept and said is shown to `canaries`."""
    with tempfile.TemporaryDirectory(prefix="life-") as directory:
        return asyncio.run(_live(steps, Path(directory), canaries or Canaries()))


def shortened(steps: Sequence[Step]) -> list[Step]:
    """Leave out every step without which the life still goes wrong."""
    left, at = list(steps), 0
    while at < len(left):
        shorter = [*left[:at], *left[at + 1 :]]
        if lead(shorter):
            left = shorter
        else:
            at += 1
    return left


def _failures(run: Run, count: int) -> Iterator[str]:
    for seed in range(run.seed, run.seed + count):
        steps = drawn(seed)
        if lead(steps, run.canaries):
            shortest = shortened(steps)
            told = "; ".join(lead(shortest))
            yield f"{told}; steps: {shortest}; repeat: python -m tools.reliability --quick --only lifecycles --seed {seed}"


def measure(run: Run) -> Iterable[Result]:
    """Lead many lives."""
    count = run.scaled(100, 5000)
    failures = tuple(_failures(run, count))
    yield Result("random lives of stacks, with faults", "state = account, and nothing left to do", count, failures, run.seed)
