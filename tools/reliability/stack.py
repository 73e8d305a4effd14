"""One stack, led as the engine leads it: a preview and an `up` with processes of their own, refreshes, imports, and what is pending.

Every answer is judged, and no call that only asks may write. What a user would be told is kept in `said`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict

from runpod_serverless_provider.core.checking import without_internals
from runpod_serverless_provider.plugin.server import Server
from runpod_serverless_provider.proto import Struct, provider_pb2
from runpod_serverless_provider.signatures import SIGNATURE_KEY, UNKNOWN_STRING

from .inprocess import Account, Failed, ask
from .judging import kept_of, wrong_failure, wrong_reply
from .programs import Ref
from .workspace import KINDS, PACKAGE

P: Final = provider_pb2
_ASKING: Final = frozenset({"Check", "Diff", "Read"})
Program = dict[str, Any]


class Stopped(Exception):
    """An operation ended early, as the engine's does: by a failure, or by a check that failed."""


class Killed(Stopped):
    """The run was killed."""


@dataclass
class Kept:
    """A resource in the state. `is_unfinished` is what the engine remembers of a creation that did not finish."""

    name: str
    id: str
    inputs: Struct
    outputs: Struct
    is_unfinished: bool = False


def kind_of(name: str) -> str:
    """Give the resource type: a name begins with it."""
    return name.partition("-")[0]


class Stack:
    """A stack on an account. `wrong` are broken promises, with what happened before."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.program: dict[str, Program] = {}
        self.accepted: dict[str, Program] = {}
        self.state: dict[str, Kept] = {}
        self.pending: list[Kept] = []
        self.wrong: list[str] = []
        self.said: list[str] = []
        self.drifted: set[str] = set()
        self.released: set[str] = set()
        """Ids of volumes that were adopted, and so outlive their delete."""
        self.kill_after: int | None = None
        """So many creations from now the run is killed, before the engine has stored the answer."""
        self._server: Server | None = None
        self._serial = 0

    # -- calls

    async def restart(self, *, is_killed: bool = False) -> None:
        """Begin another process of the provider."""
        self._server = await self.account.process(is_killed=is_killed)
        await ask(self._server, "Configure", P.ConfigureRequest(args=Struct()))

    def _writes(self) -> int:
        return sum(count for line, count in self.account.app.journal.counters().items() if not line.startswith("GET "))

    async def call(self, rpc: str, request: Any) -> Any:
        """Call one RPC, and judge its outcome. Raises Stopped for a failure."""
        if self._server is None:
            await self.restart()
        assert self._server is not None
        is_asking = rpc in _ASKING or getattr(request, "preview", False)
        writes, subject = self._writes(), f"{rpc} of {request.urn.rpartition('::')[2]}"
        try:
            reply = await ask(self._server, rpc, request)
        except Failed as failed:
            self.wrong += [f"{subject}: {text}" for text in wrong_failure(failed, request)]
            self.said.append(failed.text)
            if is_asking and self._writes() != writes:
                self.wrong.append(f"{subject} wrote to the account")
            raise Stopped(f"{rpc}: {failed}") from failed
        if is_asking and self._writes() != writes:
            self.wrong.append(f"{subject} wrote to the account")
        may_be_unknown = rpc == "Check" or getattr(request, "preview", False)
        self.wrong += [f"{subject}: {text}" for text in wrong_reply(reply, request, may_be_unknown=may_be_unknown)]
        return reply

    def _about(self, name: str) -> dict[str, Any]:
        token = PACKAGE + kind_of(name)
        return {"urn": f"urn:pulumi:test::lifecycles::{token}::{name}", "type": token, "name": name}

    def stated(self, name: str, ids: Mapping[str, str]) -> Struct:
        """Give what the program says, with the ids of other resources."""

        def resolved(value: Any) -> Any:
            if isinstance(value, Ref):
                return ids[value.kind]
            if isinstance(value, Mapping):
                return {key: resolved(item) for key, item in value.items() if _is_there(item, ids)}
            return [resolved(item) for item in value if _is_there(item, ids)] if isinstance(value, list) else value

        properties = resolved(self.program[name])
        return ParseDict(
            {key: value for key, value in properties.items() if value != [] or self.program[name][key] == []}, Struct()
        )

    async def check(self, name: str, olds: Struct, news: Struct) -> Struct:
        """Check, and check what was checked. Raises Stopped for inputs that are refused."""
        self._serial += 1
        seed = f"{name}/{self._serial}".encode()
        checked = await self.call("Check", P.CheckRequest(**self._about(name), olds=olds, news=news, randomSeed=seed))
        if checked.failures:
            text = "; ".join(failure.reason for failure in checked.failures)
            self.said.append(text)
            raise Stopped(f"Check: {text}")
        again = await self.call("Check", P.CheckRequest(**self._about(name), olds=checked.inputs, news=news, randomSeed=b"other"))
        if again.failures or again.inputs != checked.inputs:
            self.wrong.append(f"Check of {name} is not stable: {_differences(checked.inputs, again.inputs)} {list(again.failures)}")
        inputs: Struct = checked.inputs
        return inputs

    async def diff(self, kept: Kept, news: Struct) -> Any:
        """Plan a change from what is kept."""
        request = P.DiffRequest(**self._about(kept.name), id=kept.id, olds=kept.outputs, old_inputs=kept.inputs, news=news)
        return await self.call("Diff", request)

    async def read(self, kept: Kept, *, is_import: bool = False) -> Any:
        """Read what is kept."""
        prior: dict[str, Any] = {} if is_import else {"properties": kept.outputs, "inputs": kept.inputs}
        return await self.call("Read", P.ReadRequest(**self._about(kept.name), id=kept.id, **prior))

    # -- operations

    def _ids(self) -> dict[str, str]:
        return {kind_of(name): kept.id for name, kept in self.state.items() if name in self.program}

    async def up(self, replaced: frozenset[str] = frozenset()) -> None:
        """Preview, and bring everything to what the program says. Raises Stopped where that ends early."""
        await self._preview(replaced)
        await self.restart()
        for name in self.program:
            try:
                await self._bring(name, is_forced=name in replaced)
            except Killed:
                raise
            except Stopped:
                self._fall_back(name)
                raise
            self.accepted[name] = copy.deepcopy(self.program[name])
        for name in reversed([name for name in self.state if name not in self.program]):
            await self._delete(self.state[name])
            del self.state[name]
        await self._finish_deletions()

    def _fall_back(self, name: str) -> None:
        """Let the program say again what it last said with success."""
        if name in self.accepted:
            self.program[name] = copy.deepcopy(self.accepted[name])
        else:
            del self.program[name]

    async def _finish_deletions(self) -> None:
        for kept in reversed(list(self.pending)):
            await self._delete(kept)
            self.pending.remove(kept)

    async def _preview(self, replaced: frozenset[str]) -> None:
        ids = self._ids()
        for name in self.program:
            try:
                is_new = await self._foresee(name, ids, is_forced=name in replaced)
            except Stopped:
                self._fall_back(name)
                raise
            if is_new:
                ids[kind_of(name)] = UNKNOWN_STRING

    async def _foresee(self, name: str, ids: Mapping[str, str], *, is_forced: bool) -> bool:
        """Preview one resource; say whether it will have another id."""
        news, kept = self.stated(name, ids), self.state.get(name)
        inputs = await self.check(name, kept.inputs if kept else Struct(), news)
        plan = await self.diff(kept, inputs) if kept and not is_forced else None
        if kept is None or is_forced or (plan and plan.replaces):
            inputs = await self.check(name, Struct(), news) if kept else inputs
            await self.call("Create", P.CreateRequest(**self._about(name), properties=inputs, preview=True))
            return True
        if plan and plan.changes == P.DiffResponse.DIFF_SOME:
            await self.call("Update", self._update(kept, inputs, preview=True))
        return False

    def _update(self, kept: Kept, news: Struct, *, preview: bool = False) -> Any:
        prior: dict[str, Any] = {"id": kept.id, "olds": kept.outputs, "old_inputs": kept.inputs}
        return P.UpdateRequest(**self._about(kept.name), **prior, news=news, preview=preview)

    async def _bring(self, name: str, *, is_forced: bool) -> None:
        news, kept = self.stated(name, self._ids()), self.state.get(name)
        inputs = await self.check(name, kept.inputs if kept else Struct(), news)
        if kept is None:
            await self._create(name, inputs)
            return
        plan = None if is_forced else await self.diff(kept, inputs)
        if plan is None or plan.replaces:
            inputs = await self.check(name, Struct(), news)
            await self._create(name, inputs)
            self.pending.append(kept)
        elif plan.changes == P.DiffResponse.DIFF_SOME or kept.is_unfinished:
            await self._change(kept, inputs)
        else:
            kept.inputs = inputs

    async def _create(self, name: str, inputs: Struct) -> None:
        request = P.CreateRequest(**self._about(name), properties=inputs)
        foreseen = await self.call("Create", P.CreateRequest(**self._about(name), properties=inputs, preview=True))
        try:
            made = await self.call("Create", request)
        except Stopped as stopped:
            failed = stopped.__cause__
            kept = kept_of(failed) if isinstance(failed, Failed) else None
            if kept is not None:
                if name in self.state:
                    self.pending.append(self.state[name])
                self.state[name] = Kept(name, kept.id, inputs, kept.properties, is_unfinished=True)
                self.drifted.discard(name)
                self.accepted[name] = copy.deepcopy(self.program[name])
            raise
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                self.kill_after = None
                await self.restart(is_killed=True)
                raise Killed(f"killed before the id of {name} was stored")
        self._compare(name, foreseen.properties, made.properties)
        self.state[name] = Kept(name, made.id, inputs, made.properties)
        self.drifted.discard(name)

    async def _change(self, kept: Kept, inputs: Struct) -> None:
        foreseen = await self.call("Update", self._update(kept, inputs, preview=True))
        try:
            made = await self.call("Update", self._update(kept, inputs))
        except Stopped as stopped:
            failed = stopped.__cause__
            partly = kept_of(failed) if isinstance(failed, Failed) else None
            if partly is not None:
                kept.inputs, kept.outputs, kept.is_unfinished = inputs, partly.properties, True
            else:
                self.drifted.add(kept.name)  # the change may have arrived
            raise
        if kept.name not in self.drifted and not kept.is_unfinished:
            self._compare(kept.name, foreseen.properties, made.properties)
        kept.inputs, kept.outputs, kept.is_unfinished = inputs, made.properties, False

    def _compare(self, name: str, foreseen: Struct, made: Struct) -> None:
        """Hold what a preview said against what came."""
        before, after = (without_internals(MessageToDict(outputs)) for outputs in (foreseen, made))
        for key, value in before.items():
            if value != after.get(key) and not _holds_unknown(value):
                self.wrong.append(f"the preview of {name} foresaw {key} = {value!r}, but it is {after.get(key)!r}")
        if absent := sorted(set(after) - set(before)):
            self.wrong.append(f"the preview of {name} did not foresee {absent}")

    async def _delete(self, kept: Kept) -> None:
        request = P.DeleteRequest(**self._about(kept.name), id=kept.id, properties=kept.outputs, old_inputs=kept.inputs)
        await self.call("Delete", request)
        if MessageToDict(kept.outputs).get("adopted"):
            self.released.add(kept.id)

    async def refresh(self) -> None:
        """Take what is there into the state, also what a wait is still owed for. Raises Stopped where that ends early."""
        await self.restart()
        for name, kept in list(self.state.items()):
            partly = None
            try:
                found = await self.read(kept)
            except Stopped as stopped:
                failed = stopped.__cause__
                partly = kept_of(failed) if isinstance(failed, Failed) else None
                if partly is None:
                    raise
                found = partly
            if not found.id:
                if self.is_there(kept):
                    self.wrong.append(f"a refresh dropped {name}, which is there")
                del self.state[name]
                continue
            if name not in self.drifted and not kept.is_unfinished:
                self._expect_same(f"a refresh of {name} without drift", kept, found)
            before = kept.inputs
            kept.inputs, kept.outputs, kept.is_unfinished = found.inputs, found.properties, partly is not None
            self.drifted.discard(name)
            await self.diff(kept, before)
            if (plan := await self.diff(kept, kept.inputs)).changes != P.DiffResponse.DIFF_NONE:
                self.wrong.append(f"what a refresh of {name} read is a change of itself: {sorted(plan.detailedDiff)}")

    async def import_again(self, name: str) -> None:
        """Forget a resource and import it by its id; the program then states what was read. Raises Stopped where that ends early."""
        await self.restart()
        forgotten = self.state[name]
        found = await self.read(forgotten, is_import=True)
        if not found.id:
            if self.is_there(forgotten):
                self.wrong.append(f"an import did not find {name}, which is there")
            return
        kept = Kept(name, found.id, found.inputs, found.properties)
        inputs = await self.check(name, kept.inputs, kept.inputs)
        if (plan := await self.diff(kept, inputs)).changes != P.DiffResponse.DIFF_NONE:
            self.wrong.append(f"what an import of {name} stated is a change: {sorted(plan.detailedDiff)}")
        self.state[name] = kept
        others = {other.id: Ref(kind_of(other.name)) for other in self.state.values()}
        self.program[name] = _referring(MessageToDict(kept.inputs), others)
        self.accepted[name] = copy.deepcopy(self.program[name])
        self.drifted.discard(name)

    # -- what must hold

    def is_there(self, kept: Kept) -> bool:
        """Say whether the account has it."""
        return any(one["id"] == kept.id for one in self.account.objects(KINDS[kind_of(kept.name)]))

    async def settled(self, names: Iterable[str]) -> None:
        """Expect that nothing is left to do: of each resource, what is read is what is kept, and the program is no change."""
        await self.restart()
        for name, kept in self.state.items():
            if name not in names or name in self.drifted or kept.is_unfinished or name not in self.program:
                continue
            found = await self.read(kept)
            if not found.id:
                self.wrong.append(f"{name} is gone after an `up`")
                continue
            self._expect_same(f"{name} after an `up`", kept, found)
            for prior in (kept, Kept(name, kept.id, found.inputs, found.properties)):
                inputs = await self.check(name, prior.inputs, self.stated(name, self._ids()))
                plan = await self.diff(prior, inputs)
                if plan.changes != P.DiffResponse.DIFF_NONE:
                    self.wrong.append(f"{name} has changes after an `up`: {sorted(plan.detailedDiff)}")

    def _expect_same(self, subject: str, kept: Kept, found: Any) -> None:
        """Hold what was read against what is kept; a read may call more secret than a program did."""
        for part, old, new in (("inputs", kept.inputs, found.inputs), ("outputs", kept.outputs, found.properties)):
            if _opened(MessageToDict(old)) != _opened(MessageToDict(new)):
                self.wrong.append(f"{subject}: other {part}: {_differences(old, new)}")


def _referring(value: Any, others: Mapping[str, Ref]) -> Any:
    """Put references in the place of ids, as who imports into a program does."""
    if isinstance(value, Mapping):
        return {key: _referring(item, others) for key, item in value.items()}
    if isinstance(value, list):
        return [_referring(item, others) for item in value]
    return others.get(value, value) if isinstance(value, str) else value


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _opened(value["value"]) if SIGNATURE_KEY in value else {key: _opened(item) for key, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value


def _is_there(value: Any, ids: Mapping[str, str]) -> bool:
    return not isinstance(value, Ref) or value.kind in ids


def _holds_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_unknown, value.values()))
    return any(map(_holds_unknown, value)) if isinstance(value, list) else value == UNKNOWN_STRING


def _differences(old: Struct, new: Struct) -> str:
    one, two = MessageToDict(old), MessageToDict(new)
    return "; ".join(f"{key}: {one.get(key)!r} → {two.get(key)!r}" for key in sorted({*one, *two}) if one.get(key) != two.get(key))
