"""Create exactly one remote object, although the API has no idempotency keys and answers get lost.

A POST whose outcome is not known is never simply sent again: what it may have made is looked for first, and once more after a time in
which the server may still carry it out. Only what is surely absent is created anew, and what is surely ours is taken for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .failures import ApiProblem, OutcomeUnknown, ProviderFailure
from .listings import Listings
from .model import Leaves
from .ports import Voice
from .resource import Resource
from .session import Session

_MOST_POSTS: Final = 3


@dataclass(frozen=True)
class Order:
    """What is to be created: the body, what it means, and whether its name was generated, so that nobody else has it."""

    resource: Resource
    body: Mapping[str, Any]
    planned: Leaves
    resolved: Mapping[str, Any]
    is_name_generated: bool
    import_line: str
    voice: Voice
    is_refusal: Callable[[ApiProblem], bool]
    """Is this a refusal that the resource knows? The API may answer one with a status that leaves doubt."""

    @property
    def name(self) -> Any:
        """The name, by which a lost creation is looked for."""
        return self.planned.get(("name",))


class Creations:
    """The creations of one process; no object is the answer to two of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._claimed: set[str] = set()

    async def create(self, order: Order) -> Mapping[str, Any]:
        """POST until there is surely one object, and return it.

        Raises ApiProblem and ApiUnreachable, after which there is none, and OutcomeUnknown for what stays open.
        """
        attempt = 0
        while True:
            attempt += 1
            before = frozenset(self._session.part(Listings).seen(order.resource.path))
            try:
                found: Mapping[str, Any] | None = await self._session.api.request(
                    "POST", order.resource.path, body=order.body, voice=order.voice
                )
                if not (isinstance(found, Mapping) and found.get("id")):
                    raise OutcomeUnknown("POST", order.resource.path, "the answer names no id")
            except OutcomeUnknown as doubt:
                looked_up = await self._settle(order, doubt, before)
                if looked_up is None and attempt == _MOST_POSTS:
                    raise doubt.advised(_advice(order, ())) from None
                found = looked_up
            finally:
                self._session.part(Listings).forget(order.resource.path)
            if found is not None:
                self._claimed.add(str(found["id"]))
                return found

    async def _settle(self, order: Order, doubt: OutcomeUnknown, before: frozenset[str]) -> Mapping[str, Any] | None:
        """Find what the POST made, or make sure that it made nothing."""
        found = await self._look(order, doubt, before)
        refusal = ApiProblem("POST", order.resource.path, doubt.status or 0, detail=doubt.cause)
        if found is None and doubt.status is not None and order.is_refusal(refusal):
            raise refusal
        if found is None and self._session.api.is_stopped:
            raise doubt.advised(_advice(order, ()))
        if found is None:
            when = f"in {self._session.api.settle_seconds:.0f} s"
            await order.voice.status(f"{doubt.cause}; looking {when} whether Runpod created {order.name!r} all the same")
            await self._session.api.pause(self._session.api.settle_seconds)
            found = await self._look(order, doubt, before)
        return found

    async def _look(self, order: Order, doubt: OutcomeUnknown, before: frozenset[str]) -> Mapping[str, Any] | None:
        resource = order.resource
        self._session.part(Listings).forget(resource.path)
        try:
            listed = await self._session.part(Listings).get(resource.path, resource.list_key, order.voice)
        except ProviderFailure as problem:
            doubt.cause += f", and looking for it failed: {problem}"
            raise doubt.advised(_advice(order, ())) from None
        named = [item for item in listed if item.get("name") == order.name and str(item.get("id")) not in self._claimed]
        if not named:
            return None
        ours = [item for item in named if self._is_ours(order, item, doubt, before)]
        if len(ours) == 1 and (order.is_name_generated or len(named) == 1):
            return ours[0]
        raise doubt.advised(_advice(order, [str(item["id"]) for item in named]))

    def _is_ours(self, order: Order, item: Mapping[str, Any], doubt: OutcomeUnknown, before: frozenset[str]) -> bool:
        if order.is_name_generated:
            return True
        observed = order.resource.observe(item, order.planned, order.resolved, self._session)
        if any(observed.get(path) != value for path, value in order.planned.items()):
            return False
        if "createdAt" in item:
            return _is_not_before(str(item["createdAt"]), doubt.server_date)
        return bool(before) and str(item["id"]) not in before


def _is_not_before(created_at: str, server_date: str | None) -> bool:
    """Compare two times of the server's own clock, in whole seconds."""
    if server_date is None:
        return False
    try:
        made = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
        return made.timestamp() // 1 >= parsedate_to_datetime(server_date).timestamp() // 1
    except ValueError:
        return False


def _advice(order: Order, ids: list[str] | tuple[()]) -> str:
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
