"""Create exactly one remote object, although the API has no idempotency keys and answers get lost.

A POST whose outcome is not known is never simply sent again: what it may have made is looked for first, and once more after a time in
which the server may still carry it out. Only what is surely absent is created anew, and what is surely ours is taken for the answer.
Before a POST leaves, the journal notes it, so that a later process finds what a killed one made; see `leftovers`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .checking import mark_of
from .failures import ApiProblem, ApiUnreachable, OutcomeUnknown, ProviderFailure, Refused
from .leftovers import Leftovers, Order, is_ours
from .listings import Listings
from .ports import Unfinished, Voice
from .resource import Resource
from .session import Session

_MOST_POSTS: Final = 3
_FORGET_SECONDS: Final = 3.0
"""So long an engine that ends its run may wait to hear of what earlier ones left."""


@dataclass(frozen=True)
class Made:
    """The API's object, and whether it was there, so that it may differ from what is planned.

    `is_own` says that this process created it when it was asked before, else an earlier run did.
    """

    found: Mapping[str, Any]
    is_taken_over: bool
    is_own: bool = False


class Creations:
    """The creations of one process; no object is the answer to two of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._claimed: set[str] = set()
        self._named: set[str] = set()
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._leftovers = Leftovers(session, self._claimed)

    async def named(self, urn: str, id: str, outputs: Mapping[str, Any]) -> None:
        """Note that a state holds `id`: what the engine names, for whatever resource, is never taken for what a killed run left."""
        self._named.add(id)
        name, mark = outputs.get("name"), mark_of(outputs)
        await self._session.journal.named(urn, id, name if isinstance(name, str) else None)
        if mark is not None:
            await self._session.journal.stored(urn, id, mark)

    async def forgets(self, resource: Resource, entry: Unfinished, voice: Voice) -> bool:
        """Forget what an earlier run left where it is surely gone, and say so. What cannot be told in a moment stays."""
        try:
            is_gone = await asyncio.wait_for(
                self._leftovers.is_gone(resource, entry, self._named | self._claimed, voice), _FORGET_SECONDS
            )
        except (ProviderFailure, asyncio.TimeoutError):
            return False
        if is_gone:
            await self._session.journal.forget(entry.number)
        return is_gone

    async def create(self, order: Order, is_refusal: Callable[[ApiProblem], bool]) -> Made:
        """Take over what a killed run created for this very resource, else POST until there is surely one object.

        `is_refusal` knows refusals of the resource that the API may answer with a status that leaves doubt. Raises ApiProblem,
        ApiUnreachable and Refused, after which there is none, and OutcomeUnknown for what stays open.
        """
        if order.is_name_generated:
            return await self._create(order, is_refusal)
        # What two resources with one name and equal settings create cannot be told apart: one after the other.
        async with self._turns.setdefault((order.resource.path, str(order.name)), asyncio.Lock()):
            return await self._create(order, is_refusal)

    async def _create(self, order: Order, is_refusal: Callable[[ApiProblem], bool]) -> Made:
        left = await self._leftovers.find(order, self._named)
        found = left.found or await self._post(order, is_refusal)
        id = str(found["id"])
        if id in self._claimed and not left.is_own:
            noun = order.resource.noun
            raise Refused(
                f"Runpod answered with the {noun} {id!r}, which another resource of this run has; nothing else was created"
            )
        self._claimed.add(id)
        if left.superseded is not None:
            await self._leftovers.discard(order, left.superseded)
        for number in left.numbers:
            await self._session.journal.forget(number)
        return Made(found, is_taken_over=left.found is not None, is_own=left.is_own)

    async def _post(self, order: Order, is_refusal: Callable[[ApiProblem], bool]) -> Mapping[str, Any]:
        resource, journal, number = order.resource, self._session.journal, uuid.uuid4().hex
        intent = order.intent(journal, await self._baseline(order))

        async def before_sending(server_date: str | None) -> None:
            await journal.send(number, intent, server_date)

        attempt = 0
        while True:
            attempt += 1
            try:
                found: Mapping[str, Any] | None = await self._session.api.request(
                    "POST", resource.path, body=order.body, voice=order.voice, before_sending=before_sending
                )
                if not (isinstance(found, Mapping) and found.get("id")):
                    raise OutcomeUnknown("POST", resource.path, "the answer names no id")
            except OutcomeUnknown as doubt:
                found = await self._settle(order, doubt, intent.before, is_refusal, number)
                if found is None and attempt == _MOST_POSTS:
                    raise doubt.advised(_advice(order, ())) from None
            except (ApiProblem, ApiUnreachable, Refused):
                await journal.forget(number)
                raise
            finally:
                self._session.part(Listings).forget(resource.path)
            if found is not None:
                await journal.created(number, str(found["id"]))
                return found

    async def _baseline(self, order: Order) -> frozenset[str] | None:
        """Return the ids that are there already, where only they could tell a lost creation from what others made: 1 list a process."""
        listings, resource = self._session.part(Listings), order.resource
        if listings.seen(resource.path) is None and not (order.is_name_generated or resource.tells_creation_time):
            await listings.get(resource.path, resource.list_key, order.voice)
        return listings.seen(resource.path)

    async def _settle(
        self,
        order: Order,
        doubt: OutcomeUnknown,
        before: frozenset[str] | None,
        is_refusal: Callable[[ApiProblem], bool],
        number: str,
    ) -> Mapping[str, Any] | None:
        """Find what the POST made, or make sure that it made nothing."""
        api = self._session.api
        found, named = await self._look(order, doubt, before)
        refusal = ApiProblem("POST", order.resource.path, doubt.status or 0, detail=doubt.cause)
        if not named and doubt.status is not None and is_refusal(refusal):
            await self._session.journal.forget(number)
            raise refusal
        if found is None and not api.is_stopped:
            when = f"in {api.settle_seconds:.0f} s"
            await order.voice.status(f"{doubt.cause}; looking {when} whether Runpod created {order.name!r} all the same")
            await api.pause(api.settle_seconds)
            found, named = await self._look(order, doubt, before)
        if found is None and (named or api.is_stopped):
            raise doubt.advised(_advice(order, named))
        return found

    async def _look(
        self, order: Order, doubt: OutcomeUnknown, before: frozenset[str] | None
    ) -> tuple[Mapping[str, Any] | None, list[str]]:
        """Return what surely is the POST's, if it is there, and the ids of all that have its name."""
        resource = order.resource
        try:
            listed = await self._session.part(Listings).anew(resource.path, resource.list_key, order.voice, outlasts_stop=True)
        except ProviderFailure as problem:
            doubt.cause += f", and looking for it failed: {problem}"
            raise doubt.advised(_advice(order, ())) from None
        others = self._claimed | self._named
        named = [item for item in listed if item.get("name") == order.name and str(item["id"]) not in others]
        if order.is_name_generated:
            ours = named
        else:
            ours = [item for item in named if is_ours(order, item, doubt.server_date, before, self._session)]
        ids = [str(item["id"]) for item in named]
        if ours and len(named) > 1:
            raise doubt.advised(_advice(order, ids))
        return (ours[0] if ours else None), ids


def _advice(order: Order, ids: Sequence[str]) -> str:
    noun = order.resource.noun
    if ids:
        found = ", ".join(map(repr, ids))
        return (
            f"The {noun} {order.name!r} is there ({found}), but may have been there before. If it is this one, take it over with "
            f"`{order.import_line} {ids[0] if len(ids) == 1 else 'ID'}`; else choose another name, or leave it out to have one generated."
        )
    return (
        f"Look in the Runpod console whether the {noun} {order.name!r} is there. If it is, take it over with `{order.import_line} ID`; "
        "if it is not, run `pulumi up` again."
    )
