"""What the API was asked already: kept until it is too old, or until something of that kind is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runpod_serverless_provider.core.failures import ApiUnreachable, ProviderFailure
from runpod_serverless_provider.core.listings import Listings
from runpod_serverless_provider.core.ports import Silent
from runpod_serverless_provider.core.session import Session
from runpod_serverless_provider.core.verbs import Settings


class Shelf:
    """An API with toys, whose answers can be put off, and a clock."""

    def __init__(self) -> None:
        self.answer: Any = {"toys": [{"id": "t1"}]}
        self.asked: list[str] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.now = 0.0

    async def request(self, method: str, path: str, **options: Any) -> Any:
        self.asked.append(path)
        if self.before_answer is not None:
            await self.before_answer()
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def shelf() -> Shelf:
    """Give an API that holds one toy."""
    return Shelf()


@pytest.fixture
def listings(shelf: Shelf) -> Listings:
    """Give what asks it."""
    return Session(shelf, Settings(), lambda: shelf.now).part(Listings)  # type: ignore[arg-type]


def take(listings: Listings, **options: Any) -> Any:
    """List the toys."""
    return listings.get("/toys", "toys", Silent(), **options)


def test_many_who_ask_at_once_share_one_answer(shelf: Shelf, listings: Listings) -> None:
    """Lists and single objects alike; another query is another question."""

    async def scenario() -> None:
        found = await asyncio.gather(*(take(listings) for _ in range(5)))
        assert found == [[{"id": "t1"}]] * 5
        await take(listings, query={"kind": "CAR"})
        shelf.answer = {"id": "t1"}
        assert await asyncio.gather(*(listings.one("/toys", "t1", Silent()) for _ in range(3))) == [{"id": "t1"}] * 3
        await listings.one("/toys", "t2", Silent())

    asyncio.run(scenario())
    assert shelf.asked == ["/toys", "/toys", "/toys/t1", "/toys/t2"]


def test_what_is_too_old_for_one_who_asks_is_asked_again(shelf: Shelf, listings: Listings) -> None:
    """Others, who do not mind its age, take what is there."""

    async def scenario() -> None:
        await take(listings, max_age_seconds=5)
        shelf.now = 5
        await take(listings, max_age_seconds=5)
        shelf.now = 6
        await take(listings)
        assert len(shelf.asked) == 1
        await take(listings, max_age_seconds=5)
        assert len(shelf.asked) == 2

    asyncio.run(scenario())


def test_those_who_wait_for_a_slow_list_share_the_next(shelf: Shelf, listings: Listings) -> None:
    """However long it takes: what is asked for after they came is young enough, and its age counts from its answer."""

    async def slow() -> None:
        await asyncio.sleep(0)
        shelf.now += 11

    async def scenario() -> None:
        await take(listings)
        shelf.now, shelf.before_answer = 20, slow
        await asyncio.gather(*(take(listings, max_age_seconds=10) for _ in range(5)))
        assert len(shelf.asked) == 2
        shelf.now += 10
        await take(listings, max_age_seconds=10)
        assert len(shelf.asked) == 2
        shelf.now += 1
        await take(listings, max_age_seconds=10)
        assert len(shelf.asked) == 3

    asyncio.run(scenario())


def test_those_who_wait_take_nothing_from_before_a_write(shelf: Shelf, listings: Listings) -> None:
    """What it overtook answers only the one who asked."""

    async def overtaken() -> None:
        shelf.before_answer = None
        listings.forget("/toys")
        shelf.answer = {"toys": []}

    async def scenario() -> None:
        shelf.before_answer = overtaken
        await asyncio.gather(*(take(listings, max_age_seconds=10) for _ in range(5)))
        assert await take(listings) == []

    asyncio.run(scenario())
    assert len(shelf.asked) == 2


def test_a_write_drops_what_it_outdates(shelf: Shelf, listings: Listings) -> None:
    """Of its kind only; and what it overtook on the way is answered but not kept."""

    async def write() -> None:
        listings.forget("/toys")

    async def scenario() -> None:
        await take(listings)
        await listings.get("/toysets", "toys", Silent())
        listings.forget("/toys")
        shelf.before_answer = write
        assert await take(listings) == [{"id": "t1"}]
        shelf.before_answer = None
        await take(listings)
        await take(listings)
        await listings.get("/toysets", "toys", Silent())

    asyncio.run(scenario())
    assert shelf.asked == ["/toys", "/toysets", "/toys", "/toys"]


def test_those_who_wait_share_a_failure_too(shelf: Shelf, listings: Listings) -> None:
    """In an outage each list is tried several times: once for all, and once more for who came while it was."""
    shelf.answer = ApiUnreachable("GET", "/toys", "no connection")

    async def scenario() -> None:
        failures = await asyncio.gather(*(take(listings) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(failure, ApiUnreachable) for failure in failures)

    asyncio.run(scenario())
    assert len(shelf.asked) == 2


def test_a_failure_is_not_kept(shelf: Shelf, listings: Listings) -> None:
    """The next who asks tries again."""
    answer, shelf.answer = shelf.answer, ApiUnreachable("GET", "/toys", "no connection")

    async def scenario() -> None:
        with pytest.raises(ApiUnreachable):
            await take(listings)
        shelf.answer = answer
        assert await take(listings) == [{"id": "t1"}]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"toys": [], "nextToken": "x"}, r"comes in pages \('nextToken'\)"),
        ({"toys": [], "hasMore": False}, "comes in pages"),
        ({"games": []}, "has no 'toys'"),
        ({"toys": {"t1": {}}}, "has no 'toys'"),
        (None, "has no 'toys'"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(shelf: Shelf, listings: Listings, answer: Any, said: str) -> None:
    """Half of a list could hide what exists."""
    shelf.answer = answer
    with pytest.raises(ProviderFailure, match=said):
        asyncio.run(take(listings))


def test_the_ids_that_were_seen_are_remembered(shelf: Shelf, listings: Listings) -> None:
    """Over all lists of a kind in this process."""
    assert listings.seen("/toys") is None
    asyncio.run(take(listings))
    shelf.answer = {"toys": [{"id": "t2"}]}
    listings.forget("/toys")
    asyncio.run(take(listings))
    assert listings.seen("/toys") == {"t1", "t2"}
    assert listings.seen("/games") is None
