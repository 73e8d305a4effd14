"""Find what a killed run created for a resource and could not report, so that it is neither paid for unseen nor created twice.

The journal tells which creations nobody has confirmed. What one of them made is taken over where it is surely this resource's: same
backend, same URN, same inputs, and its writer dead. In doubt the run fails and says what is there; nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .failures import ApiProblem, ProviderFailure, Refused
from .listings import Listings
from .model import Leaves
from .ports import SEALED, Intent, Journal, Unfinished, Voice
from .resource import Resource
from .session import Session
from .values import render_path

_LOOK_SECONDS: Final = 1.0
_NONE_OF_BEFORE: Final = -1.0
_CLOCKS_DIFFER_SECONDS: Final = 5.0
"""By so much the clocks of a gateway and of the database behind it may differ."""


@dataclass(frozen=True)
class Order:
    """What is to be created: the body, what it means, and whether its name was generated, so that nobody else has it.

    `is_name_defaulted` says that the program gave no name; the one that Pulumi proposes may be somebody else's as well.
    """

    resource: Resource
    urn: str
    body: Mapping[str, Any]
    planned: Leaves
    resolved: Mapping[str, Any]
    is_name_generated: bool
    is_name_defaulted: bool
    is_name_secret: bool
    voice: Voice

    @property
    def name(self) -> Any:
        """The name, by which a lost creation is looked for."""
        return self.planned.get(("name",))

    @property
    def import_line(self) -> str:
        """The command that takes an object into the state, without the id."""
        if "$" in self.urn:  # `pulumi import` would put it beside its parent
            return f"pulumi refresh --import-pending-creates '{self.urn}'"
        return f"pulumi import {self.resource.token} {self.urn.rpartition('::')[2] or 'NAME'}"

    @property
    def essence(self) -> str:
        """What the inputs mean; a generated name is another in each run."""
        meant = {
            render_path(path): value for path, value in self.planned.items() if not (self.is_name_defaulted and path == ("name",))
        }
        return json.dumps([self.resource.token, meant], sort_keys=True, default=str)

    def intent(self, journal: Journal, before: frozenset[str] | None) -> Intent:
        """Return what the journal keeps of it."""
        name = _sealed(journal, self.name) if self.is_name_secret else str(self.name)
        return Intent(self.urn, self.resource.path, name, self.is_name_generated, journal.digest(self.essence), before)


def _sealed(journal: Journal, name: object) -> str:
    """Return what stands for a secret name."""
    return SEALED + journal.digest(str(name))


def is_ours(
    order: Order, item: Mapping[str, Any], server_date: str | None, before: frozenset[str] | None, session: Session
) -> bool:
    """Say whether `item` is surely what a POST of this order made: equal, and made since.

    That is told by its time of creation, where it has one, against the server's own clock, and by a list from before.
    """
    try:
        observed = order.resource.observe(item, order.planned, order.resolved, session)
    except Exception:  # noqa: BLE001 - what cannot be read cannot be known for ours
        return False
    if any(observed.get(path) != value for path, value in order.planned.items()):
        return False
    if was_there(item, server_date, before):
        return False
    return _is_since(item["createdAt"], server_date) is True if "createdAt" in item else before is not None


def was_there(item: Mapping[str, Any], server_date: str | None, before: frozenset[str] | None) -> bool:
    """Say whether `item` surely was there before a POST, so that it is not what that made."""
    return str(item["id"]) in (before or ()) or _is_since(item.get("createdAt"), server_date) is False


def _is_since(created_at: Any, server_date: str | None) -> bool | None:
    """Compare two times of the server's own clock, in whole seconds; None where that cannot be told, as when they are too close."""
    if server_date is None:
        return None
    try:
        made = datetime.fromisoformat(str(created_at).replace("Z", "+00:00"))
        age = parsedate_to_datetime(server_date).timestamp() // 1 - made.timestamp() // 1
    except ValueError:
        return None
    return True if age <= 0 else False if age > _CLOCKS_DIFFER_SECONDS else None


@dataclass(frozen=True)
class Left:
    """What an earlier creation of this resource made: this run's own now.

    `is_own` says that this process sent it, whose caller asks again. `numbers` are the journal's for what is superseded once there is
    another object; `superseded` is one that cannot become what is planned, and has to go then.
    """

    found: Mapping[str, Any] | None = None
    is_own: bool = False
    superseded: str | None = None
    numbers: tuple[str, ...] = ()


class Leftovers:
    """Finds what earlier creations left; `claimed` are the ids that this process has created or taken over."""

    def __init__(self, session: Session, claimed: set[str]) -> None:
        self._session = session
        self._claimed = claimed

    async def find(self, order: Order, named: Container[str]) -> Left:
        """Return what an earlier run made for this very resource, or this process did when it was asked before.

        `named` are the ids that the engine has named: what is in a state. Raises Refused where there is one that may not be taken over.
        Nothing is forgotten here: what seems to be gone counts as gone once something else is there.
        """
        journal = self._session.journal
        left, gone = [], []
        for entry in await self._ended(order):
            items = await self._locate(order, entry, named)
            if items:
                left.append((entry, items))
            elif entry.has_this_key:
                gone.append(entry.number)
        if not left:
            return Left(numbers=tuple(gone))
        entry, items = left[0]
        ids = [str(item["id"]) for _, found in left for item in found]
        if len(ids) > 1:
            raise _refused(order, ids, "and only one of them can be taken over")
        if not entry.is_own:
            if not journal.knows_owner or _is_stateless(order):
                raise _refused(order, ids, "and it cannot be told whether another stack holds it")
            if not entry.has_this_key:
                raise _refused(order, ids, "with another API key, so that its inputs cannot be compared")
        if entry.intent.digest != journal.digest(order.essence):
            raise _refused(order, ids, "with other inputs than now")
        if not entry.is_own and not await journal.take(entry.number, ids[0]):
            raise _refused(order, ids, "and another run is taking it over right now")
        if str(items[0].get("name")) != str(order.name) and not order.resource.is_patchable:
            return Left(superseded=ids[0], numbers=(*gone, entry.number))
        return Left(items[0], is_own=entry.is_own, numbers=tuple(gone))

    async def _ended(self, order: Order) -> list[Unfinished]:
        """Return what is unfinished, once no other process still works on it: it lives on for a while after its engine was killed."""
        waited, api = 0.0, self._session.api
        while True:
            found = await self._session.journal.unfinished(order.urn)
            entries = [entry for entry in found if entry.is_own or entry.id not in self._claimed]
            if not any(entry.is_under_way for entry in entries):
                return entries
            if api.is_stopped or waited > 2 * api.settle_seconds:
                said = f"another run is still creating the {order.resource.noun} of this very resource, so nothing was sent"
                raise Refused(f"{said}; wait for its end, and run `pulumi up` again")
            await order.voice.status(f"waiting for an earlier run, which is still creating this {order.resource.noun}")
            await api.pause(_LOOK_SECONDS)
            waited += _LOOK_SECONDS

    async def _locate(self, order: Order, entry: Unfinished, named: Container[str]) -> list[Mapping[str, Any]]:
        """Return what the creation may have made; the server may carry it out for a time after its POST."""
        if entry.id is not None:
            return [] if entry.id in named else await self._one(order.resource, entry.id, order.voice)
        api = self._session.api
        found = await self._look(order, entry, named)
        rest = api.settle_seconds + _LOOK_SECONDS - entry.age_seconds
        if not found and rest > 0:
            said = f"an earlier run was killed while it created this {order.resource.noun}"
            await order.voice.status(f"{said}; looking in {rest:.0f} s whether Runpod created it all the same")
            await api.pause(rest)
            if api.is_stopped:
                raise Refused(f"{said}, and whether there is one now is not known yet; nothing was sent")
            found = await self._look(order, entry, named)
        return found

    async def is_gone(self, resource: Resource, entry: Unfinished, named: Container[str], voice: Voice) -> bool:
        """Say whether a creation surely made nothing, or what it made is no longer there, or is in a state under one of the ids `named`.

        One list that lacks it is not enough. Raises ProviderFailure where nobody knows.
        """
        is_young = entry.age_seconds <= self._session.api.settle_seconds + _LOOK_SECONDS  # it may come yet, or not be shown yet
        if is_young or not entry.has_this_key:  # another key may be another account's
            return False
        if any(self._may_be(entry, item, named) for item in await self._listed(resource, voice)):
            return False
        if entry.id is not None:
            return not await self._one(resource, entry.id, voice)
        return not any(self._may_be(entry, item, named) for item in await self._listed(resource, voice))

    def _may_be(self, entry: Unfinished, item: Mapping[str, Any], named: Container[str]) -> bool:
        """Say whether what is listed may be what a creation made: by its id, or else by its name and age."""
        if entry.id is not None:
            return bool(item["id"] == entry.id)
        if not self._has_name(entry, item) or str(item["id"]) in named:
            return False
        return entry.intent.is_name_generated or not was_there(item, entry.server_date, entry.intent.before)

    async def _one(self, resource: Resource, id: str, voice: Voice) -> list[Mapping[str, Any]]:
        """Read an object that was there. One 404 does not make it gone: the list has to lack it, too."""
        try:
            return [await self._session.api.request("GET", f"{resource.path}/{id}", voice=voice)]
        except ApiProblem as problem:
            if problem.status != 404:
                raise problem.explained(f"reading the {resource.noun} {id!r}, which an earlier run created") from None
        return [item for item in await self._listed(resource, voice) if item.get("id") == id]

    async def _listed(self, resource: Resource, voice: Voice) -> Sequence[Mapping[str, Any]]:
        """Return what a list says that is asked for from now on."""
        return await self._session.part(Listings).get(resource.path, resource.list_key, voice, max_age_seconds=_NONE_OF_BEFORE)

    async def _look(self, order: Order, entry: Unfinished, named: Container[str]) -> list[Mapping[str, Any]]:
        """Return the objects of that name: the only one, where it is surely what the creation made.

        What is in the state, or was there before the creation, is no reason for doubt.
        """
        listed = await self._listed(order.resource, order.voice)
        found = [item for item in listed if str(item["id"]) not in self._claimed and self._may_be(entry, item, named)]
        if not entry.intent.is_name_generated and not all(
            is_ours(order, item, entry.server_date, entry.intent.before, self._session) for item in found
        ):
            raise _refused(order, [str(item["id"]) for item in found], "or found it there")
        return found

    def _has_name(self, entry: Unfinished, item: Mapping[str, Any]) -> bool:
        name, noted = item.get("name"), entry.intent.name
        return name == noted or (noted.startswith(SEALED) and _sealed(self._session.journal, name) == noted)

    async def discard(self, order: Order, id: str) -> None:
        """Delete what no PATCH could give its new name, once its successor is there."""
        try:
            await self._session.api.request("DELETE", f"{order.resource.path}/{id}", voice=order.voice)
        except ProviderFailure as problem:
            if not (isinstance(problem, ApiProblem) and problem.status == 404):
                said = f"the {order.resource.noun} {id!r}, which an earlier run created for this resource, could not be deleted"
                await order.voice.warn(f"{said} ({problem}); delete it in the Runpod console")
        finally:
            self._session.part(Listings).forget(order.resource.path)


def _is_stateless(order: Order) -> bool:
    """Say whether this is a one-off command (`pulumi do`), in which every resource of a type has the same URN."""
    return order.urn == f"urn:pulumi:dev::default::{order.resource.token}::{order.resource.name}"


def _refused(order: Order, ids: list[str], why: str) -> Refused:
    noun, found = order.resource.noun, ", ".join(map(repr, ids))
    one = ids[0] if len(ids) == 1 else "ID"
    commands = dict.fromkeys((f"`{order.import_line} {one}`", f"`pulumi refresh --import-pending-creates '{order.urn}' {one}`"))
    return Refused(
        f"an earlier run that did not end in order created the {noun} {found} for this resource, {why}; nothing was sent. If the stack "
        "holds it (`pulumi stack --show-ids`), run `pulumi refresh`. If not, and the stack has no other one for this resource, take it "
        f"over with {', or with '.join(commands)}; else delete it in the Runpod console. Then run `pulumi up` again."
    )
