"""The client against the emulator: the API's own answers, limits and faults, without a socket."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.support import Notes, Time, client_of, run
from runpod_emulator import Clock, create_app
from runpod_serverless_provider.core.failures import ApiProblem, OutcomeUnknown

VOLUME = {"name": "weights", "size": 10, "dataCenter": "EU-RO-1"}


class World:
    """An emulator on the test's clock, with a client of its own for the controls."""

    def __init__(self, *, quota: int | None = None) -> None:
        self.time, self.notes = Time(), Notes()
        self.app = create_app(clock=Clock(self.time.wall_clock), quota=quota, drop_error=lambda: httpx.ReadError("hung up"))
        self.client = client_of(httpx.ASGITransport(self.app), self.time)

    async def fault(self, **order: object) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://x") as http:
            assert (await http.post("/_emulator/faults", json=order)).is_success

    @property
    def requests(self) -> int:
        return len(self.app.journal.entries)


def test_a_volume_comes_and_goes():
    """The operations of a life, and the problem of a second death."""

    async def scenario():
        client = World().client
        made = await client.request("POST", "/network-volumes", body={**VOLUME, "size": 10.0})
        path = f"/network-volumes/{made['id']}"
        assert (await client.request("PATCH", path, body={"size": 20}))["size"] == 20
        assert (await client.request("GET", path))["size"] == 20
        assert await client.request("DELETE", path) is None
        with pytest.raises(ApiProblem) as caught:
            await client.request("DELETE", path)
        return caught.value

    problem = run(scenario())
    assert problem.status == 404 and problem.title == "Not Found"


def test_a_refused_body_comes_back_with_each_error():
    """Problem+json, whole."""
    with pytest.raises(ApiProblem) as caught:
        run(World().client.request("POST", "/network-volumes", body={"bogus": 1}))
    assert caught.value.status == 422 and "bogus" in "; ".join(caught.value.errors)


@pytest.mark.parametrize("action", ["commit-then-drop", "truncate"])
def test_a_post_whose_answer_is_lost_exists_once(action):
    """It is not sent again, and its outcome is called unknown."""

    async def scenario():
        world = World()
        await world.fault(action=action, method="POST")
        with pytest.raises(OutcomeUnknown):
            await world.client.request("POST", "/network-volumes", body=VOLUME)
        return len((await world.client.request("GET", "/network-volumes"))["networkVolumes"])

    assert run(scenario()) == 1


def test_a_delete_whose_answer_is_lost_succeeds():
    """The second attempt finds nothing, and that is what was wanted."""

    async def scenario():
        world = World()
        made = await world.client.request("POST", "/network-volumes", body=VOLUME)
        await world.fault(action="commit-then-drop", method="DELETE")
        await world.client.request("DELETE", f"/network-volumes/{made['id']}")
        return (await world.client.request("GET", "/network-volumes"))["networkVolumes"]

    assert run(scenario()) == []


def test_a_patch_whose_answer_is_lost_is_sent_again():
    """By value: the second one changes nothing more."""

    async def scenario():
        world = World()
        made = await world.client.request("POST", "/network-volumes", body=VOLUME)
        await world.fault(action="commit-then-drop", method="PATCH")
        return await world.client.request("PATCH", f"/network-volumes/{made['id']}", body={"size": 30})

    assert run(scenario())["size"] == 30


def test_two_hundred_requests_pass_a_limit_of_sixty_a_minute():
    """All succeed, the limit is waited for, and few are sent in vain."""

    async def scenario():
        world = World(quota=60)
        await asyncio.gather(*(world.client.request("GET", "/network-volumes", voice=world.notes) for _ in range(200)))
        return world.requests, world.time.now - 1000.0, set(world.notes.lines)

    requests, seconds, lines = run(scenario())
    assert 200 <= requests <= 240 and 180 <= seconds <= 250
    assert all("for Runpod's rate limit (minute window)" in line for line in lines) and lines
