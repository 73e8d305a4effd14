"""A refresh takes one list a kind."""

from __future__ import annotations

import asyncio

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, ProviderFailure
from unit.support import Life

ENDPOINT = {"image": "me/x:1", "gpu": "ADA_24"}


def lives(world, count):
    """Bring up some endpoints and volumes, and begin a new process."""
    found = []
    for index in range(count):
        for kind, program in (("Endpoint", ENDPOINT), ("NetworkVolume", {"size": 20})):
            life = Life(world, kind, f"{kind.lower()}{index}")
            life.up(program)
            found.append(life)
    world.restart()
    world.forget()
    return found


def test_a_refresh_of_many_is_one_list_a_kind(world):
    """However many there are."""
    for life in lives(world, 5):
        assert life.refresh() == {}
    assert sorted(world.sent) == ["GET /network-volumes", "GET /serverless"]


def test_a_refresh_of_many_is_one_list_where_lists_are_slow_too(world):
    """A list may take longer than a refresh accepts its age, and wait for the rate limit first."""
    many = [life for life in lives(world, 5) if life.kind == "NetworkVolume"]
    request = world.api.request

    async def slow(*arguments, **options):
        await asyncio.sleep(0)
        world._now += 26
        return await request(*arguments, **options)

    async def refresh():
        await asyncio.gather(
            *(world.provider.read(verbs.Read(life.token, life.urn, life.id, life.inputs, life.outputs)) for life in many)
        )

    world.api.request = slow
    world.run(refresh())
    assert world.sent == ["GET /network-volumes"]


def test_what_a_list_lacks_is_asked_for_by_its_id(world):
    """A list that lags drops nothing from the state; what is gone is gone."""
    first, _, second, _ = lives(world, 2)
    world.fault(method="GET", path="/v2/serverless", action="omit-from-list", id=first.id)
    world.control(f"resources/endpoints/{second.id}", None, "DELETE")
    assert first.refresh() == {}
    assert second.read() is None
    assert world.sent == ["GET /serverless", f"GET /serverless/{first.id}", f"GET /serverless/{second.id}"]


def test_a_write_of_ours_is_never_followed_by_a_stale_read(world):
    """It drops the list of its kind."""
    life, *_ = lives(world, 1)
    life.refresh()
    life.up({**ENDPOINT, "workers": 2})
    assert life.refresh() == {}
    assert world.sent == ["GET /serverless", f"PATCH /serverless/{life.id}", "GET /serverless"]


def test_an_endpoint_and_its_own_template_are_one_object(world):
    """A write to either drops the lists of both."""
    life, *_ = lives(world, 1)
    life.up({**ENDPOINT, "env": {"A": "0"}})
    bound = Life(world, "PodTemplate", "bound")
    bound.take_over(world.live("endpoints", life.id)["_template"]["id"])
    bound.inputs = bound.checked(bound.inputs)
    bound.refresh()
    life.up({**ENDPOINT, "env": {"A": "1"}})
    found = bound.read()
    assert found is not None and found.outputs["env"] == {"A": "1"}
    life.refresh()
    bound.refresh()
    bound.up({**bound.inputs, "env": {"A": "2"}})
    found = life.read()
    assert found is not None and found.outputs["env"] == {"A": "2"}


def test_a_list_in_pages_is_an_error(world):
    """An unread page could hold live resources."""
    life, *_ = lives(world, 1)
    world.fault(method="GET", path="/v2/serverless", action="add-fields", fields={"nextPageToken": "x"})
    with pytest.raises(ProviderFailure, match="nextPageToken"):
        life.read()


def test_a_list_that_is_refused_keeps_the_state(world):
    """An expired key must not look like a deletion."""
    life, *_ = lives(world, 1)
    world.fault(method="GET", path="/v2/serverless", action="status", status=401)
    with pytest.raises(ApiProblem, match="API key"):
        life.read()


def test_an_import_reads_by_id(world):
    """It must not depend on a list."""
    life, *_ = lives(world, 1)
    Life(world, "NetworkVolume").take_over(world.all("networkVolumes")[0]["id"])
    assert world.sent == [f"GET /network-volumes/{world.all('networkVolumes')[0]['id']}"]
    assert life.id
