"""Functions: questions that a program asks the API. None of them changes anything."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from .failures import ApiProblem, CheckFailed, Failure, Incomplete, NotFound
from .listings import Listings
from .model import Outputs, WriteOnly
from .ports import Voice
from .resource import PACKAGE, Resource
from .session import Session
from .validation import did_you_mean
from .values import Path

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("must be an id as Runpod gives it, which has letters, digits, '-' and '_' only, not {value}")
    return text


Identifier = Annotated[str, AfterValidator(_id)]
"""The id of something in the account."""


class Arguments(BaseModel):
    """The base of argument models: strict, closed, camelCase outside. Descriptions are the attributes' docstrings."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, use_attribute_docstrings=True, frozen=True)


@dataclass(frozen=True)
class Answer:
    """What a function found, and the secret paths in it."""

    values: Mapping[str, Any]
    secrets: frozenset[Path] = frozenset()


class Function(ABC):
    """One function. `answers` is the model of its result, or the resource whose properties it returns."""

    arguments: ClassVar[type[Arguments]]
    answers: type[Outputs] | Resource

    @property
    def name(self) -> str:
        """Return the name as programs call it: that of the class."""
        return type(self).__name__[0].lower() + type(self).__name__[1:]

    @property
    def description(self) -> str:
        """Return what the schema says of it."""
        return type(self).__doc__ or ""

    @property
    def token(self) -> str:
        """Return the function's token."""
        return f"{PACKAGE}:index:{self.name}"

    @abstractmethod
    async def call(self, session: Session, arguments: Any, voice: Voice) -> Answer:
        """Answer. `arguments` is a validated `self.arguments`. Raises CheckFailed where they contradict each other, and NotFound."""


class ByIdOrName(Arguments):
    """Which one is meant."""

    id: Identifier | None = None
    """Its id. Give this or `name`."""
    name: str | None = None
    """Its name, which must be the name of exactly one."""


class Get(Function):
    """Look up one resource by id or name."""

    arguments = ByIdOrName

    def __init__(self, resource: Resource) -> None:
        self.answers = self._resource = resource

    @property
    def name(self) -> str:
        """Return the name: `getEndpoint`."""
        return f"get{self._resource.name}"

    @property
    def description(self) -> str:
        """Return what the schema says of it."""
        resource = self._resource
        said = f"Look up one {resource.noun} by its id or its name. It is neither changed nor brought under management."
        unsaid = {item.name for item in resource.facts if item.marker(WriteOnly)}
        hidden = " or ".join(f"`{name}`" for name in resource.may_be_secret if name not in unsaid)
        if hidden:
            said += f" Pulumi takes all of the answer for secret where it has {hidden}; `{resource.name}.get` marks only these."
        return said

    async def call(self, session: Session, arguments: ByIdOrName, voice: Voice) -> Answer:
        """Read by id; a name is searched in the list."""
        resource = self._resource
        if (arguments.id is None) == (arguments.name is None):
            raise CheckFailed([Failure((), f"give exactly one of id and name, to say which {resource.noun} is meant")])
        if arguments.id is not None:
            try:
                found = await session.part(Listings).one(resource.path, arguments.id, voice)
                if not found.get("id"):
                    raise Incomplete(f"{resource.path}/{arguments.id}", "id")
            except ApiProblem as problem:
                if problem.status == 404:
                    raise NotFound(f"there is no {resource.noun} with the id {arguments.id!r}") from None
                raise problem.explained(f"looking up the {resource.noun} {arguments.id!r}") from None
        else:
            listed = await listed_of(resource, session, voice)
            hits = [item for item in listed if item.get("name") == arguments.name]
            if not hits:
                hint = did_you_mean(str(arguments.name), [str(item.get("name", "")) for item in listed])
                raise NotFound(f"there is no {resource.noun} named {arguments.name!r}{hint}")
            if len(hits) > 1:
                ids = ", ".join(repr(item["id"]) for item in hits)
                said = f"the name {arguments.name!r} is that of several ({ids}); give the id of the {resource.noun} that is meant"
                raise NotFound(said)
            found = hits[0]
        if what := resource.hidden_as(found):
            raise NotFound(f"{found['id']!r} is {what}")
        return Answer(*await described(resource, found, session, voice))


class NoArguments(Arguments):
    """There is nothing to say."""


class GetAll(Function):
    """List the resources of one kind."""

    arguments = NoArguments

    def __init__(self, resource: Resource) -> None:
        self.answers = self.resource = resource
        self.key = resource.plural[0].lower() + resource.plural[1:]

    @property
    def name(self) -> str:
        """Return the name: `getEndpoints`."""
        return f"get{self.resource.plural}"

    @property
    def description(self) -> str:
        """Return what the schema says of it."""
        return f"List every {self.resource.noun} of the account."

    async def call(self, session: Session, arguments: NoArguments, voice: Voice) -> Answer:
        """Take one list. What may be secret is left out, as it would make the whole list secret."""
        items = []
        for found in await listed_of(self.resource, session, voice):
            values, _ = await described(self.resource, found, session, voice)
            items.append({name: value for name, value in values.items() if name not in self.resource.may_be_secret})
        return Answer({self.key: items})


async def listed_of(resource: Resource, session: Session, voice: Voice) -> list[Mapping[str, Any]]:
    """List the API's objects that count as resources of this kind."""
    try:
        found = await session.part(Listings).get(resource.path, resource.list_key, voice)
    except ApiProblem as problem:
        raise problem.explained(f"listing each {resource.noun}") from None
    return [item for item in found if not resource.hidden_as(item)]


async def described(
    resource: Resource, found: Mapping[str, Any], session: Session, voice: Voice
) -> tuple[dict[str, Any], frozenset[Path]]:
    """Return an object of the API with the names of the resource's properties, and the secret paths in it."""
    outputs, secrets = await resource.seen(found, session, voice)
    present = {path for path in secrets if path[0] in outputs}
    return {"id": found["id"], **outputs}, frozenset(present)
