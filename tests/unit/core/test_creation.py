"""One object for each creation, whatever becomes of the answers."""

from __future__ import annotations

import asyncio

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, OutcomeUnknown, Refused
from unit.support import Life

KINDS = {
    "Endpoint": ("endpoints", "/v2/serverless", {"image": "me/x:1", "gpu": "ADA_24"}),
    "NetworkVolume": ("networkVolumes", "/v2/network-volumes", {"size": 20}),
    "PodTemplate": ("templates", "/v2/templates", {"image": "me/x:1"}),
    "Registry": ("registries", "/v2/registries", {"username": "u", "password": "p-canary"}),
}
LOST = {
    "hung up before": {"action": "reset-before"},
    "hung up after": {"action": "commit-then-drop"},
    "cut off": {"action": "truncate"},
    "no JSON": {"action": "wrong-json", "body": "<html>"},
    "JSON without an id": {"action": "wrong-json"},
    **{f"{status} without effect": {"action": "status", "status": status} for status in (500, 502, 503, 504)},
    **{f"{status}, carried out late": {"action": "commit-late", "status": status, "seconds": 0} for status in (500, 504)},
}


def create(world, kind, program):
    """Bring one resource up."""
    life = Life(world, kind)
    life.up(program)
    return life


def stop_at_the_look(world, monkeypatch):
    """Cancel the run when it looks for what its POST has made."""
    ask = world.api.request

    async def stopping(method, path, **options):
        if (method, path) == ("GET", "/serverless"):
            world.api.stop()
        return await ask(method, path, **options)

    monkeypatch.setattr(world.api, "request", stopping)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", LOST)
def test_a_generated_name_finds_what_a_lost_answer_made(world, kind, fault):
    """There is one object, and it is the one in the state."""
    where, path, inputs = KINDS[kind]
    world.fault(method="POST", path=path, **LOST[fault])
    made = create(world, kind, inputs)
    assert [item["id"] for item in world.all(where) if "_source" not in item or item["_source"] is None] == [made.id]


def test_what_is_absent_twice_is_posted_again_and_no_more_than_three_times(world):
    """An outage ends in an explanation that says where to look."""
    world.fault(method="POST", path="/v2/serverless", action="status", status=503, times=None)
    with pytest.raises(OutcomeUnknown, match=r"Look in the Runpod console .*pulumi import runpod-serverless:index:Endpoint"):
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST", "GET", "GET"] * 3
    assert world.all("endpoints") == []


def test_the_wait_for_a_late_answer_is_told(world):
    """It takes longer than a request waits for its answer."""
    world.fault(method="POST", path="/v2/serverless", action="status", status=504)
    create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert any("looking in 65 s" in text for text in world.notes.statuses)


def test_a_fixed_name_of_an_endpoint_is_found_by_its_time(world):
    """What the server made no earlier than the POST, with this name and these settings, is the answer."""
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    made = create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    assert [item["id"] for item in world.all("endpoints")] == [made.id]


@pytest.mark.parametrize(
    "there",
    [
        {"image": "somebody/else:1"},
        {"image": "me/x:1", "createdAt": "2020-01-01T00:00:00Z"},
        {"image": "me/x:1", "createdAt": "yesterday"},
    ],
)
def test_another_endpoint_of_the_same_name_is_never_taken(world, there):
    """The failure names it, and how it would be imported."""
    other = create(world, "Endpoint", {"name": "mine", "gpu": "ADA_24", "image": "me/x:1"})
    world.drift("endpoints", other.id, **there)
    world.restart()
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    with pytest.raises(OutcomeUnknown, match=rf"may have been there before.*pulumi import .* {other.id}"):
        create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    assert len(world.all("endpoints")) == 1


def test_two_of_the_same_name_are_doubt(world):
    """Nothing is adopted where two could be meant."""
    create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    world.restart()
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    with pytest.raises(OutcomeUnknown, match="ID`"):
        create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})


def test_an_own_object_is_not_the_answer_to_a_second_creation(world):
    """What this process has created before is claimed."""
    first = create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    second = create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    assert first.id != second.id
    assert len(world.all("endpoints")) == 2


def test_two_of_one_name_and_equal_settings_never_get_one_object(world):
    """One POST is lost, and the other's answer is late: what the one finds is the other's."""
    world.fault(method="POST", path="/v2/network-volumes", action="reset-before")
    world.fault(method="POST", path="/v2/network-volumes", action="commit-then-delay", seconds=0.3)
    lives = [Life(world, "NetworkVolume", name) for name in "ab"]
    requests = [verbs.Create(life.token, life.urn, life.checked({"size": 20, "name": "mine"}), voice=world.notes) for life in lives]

    async def both():
        return await asyncio.gather(*map(world.provider.create, requests))

    made = [created.id for created in world.run(both())]
    assert len(set(made)) == 2 and sorted(made) == sorted(item["id"] for item in world.all("networkVolumes"))


def test_an_answer_that_names_what_another_resource_has_is_no_answer(world):
    """One object is never two resources."""
    first = create(world, "Endpoint", {"image": "me/x:1"})
    world.fault(method="POST", path="/v2/serverless", action="wrong-json", body={"id": first.id})
    with pytest.raises(Refused, match=f"answered with the endpoint '{first.id}', which another resource of this run has"):
        Life(world, "Endpoint", "b").up({"image": "me/x:1"})


@pytest.mark.parametrize("kind", ["NetworkVolume", "Registry"])
def test_a_fixed_name_without_a_time_is_found_against_a_list_from_before(world, kind):
    """The API does not tell when it made such an object, so one list a process tells what was there."""
    where, path, inputs = KINDS[kind]
    for name in ("first", "second"):
        world.fault(method="POST", path=path, action="commit-then-drop")
        made = create(world, kind, {**inputs, "name": name})
        assert [item["id"] for item in world.all(where) if item["name"] == name] == [made.id]
    listed, posted = f"GET {path}", f"POST {path}"
    sent = [f"{request.method} {request.path}" for request in world.exchanges if request.path == path]
    assert sent == [listed, posted, listed, posted, listed]


@pytest.mark.parametrize("kind", ["Endpoint", "NetworkVolume", "Registry"])
def test_what_comes_late_beside_a_namesake_is_named(world, monkeypatch, kind):
    """What was there before is no reason to look once only: the explanation has to name what is to be taken over."""
    where, path, inputs = KINDS[kind]
    other = create(world, kind, {**inputs, "name": "mine"})
    world.restart()
    world.app.world.clock.advance(2)
    world.fault(method="POST", path=path, action="commit-late", status=504, seconds=0.1)
    monkeypatch.setattr(world.api, "pause", lambda seconds: asyncio.sleep(0.3))
    with pytest.raises(OutcomeUnknown) as caught:
        create(world, kind, {**inputs, "name": "mine"})
    (made,) = {item["id"] for item in world.all(where)} - {other.id}
    assert repr(made) in str(caught.value) and repr(other.id) in str(caught.value)


def test_a_volume_that_was_there_before_is_not_the_answer(world):
    """Names of volumes are not unique."""
    world.seed(networkVolumes=[{"name": "cache", "size": 20, "dataCenter": "EU-RO-1", "type": "STANDARD"}])
    world.fault(method="POST", path="/v2/network-volumes", action="reset-before")
    with pytest.raises(OutcomeUnknown, match="may have been there before"):
        create(world, "NetworkVolume", {"name": "cache", "size": 20})
    assert len(world.all("networkVolumes")) == 1


def test_a_look_up_that_fails_leaves_the_doubt(world):
    """Both causes are told."""
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    world.fault(method="GET", path="/v2/serverless", action="status", status=403, detail="no lists for you")
    with pytest.raises(OutcomeUnknown, match=r"looking for it failed: .*no lists for you"):
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})


def test_a_refusal_is_final(world):
    """A 4xx has made nothing, so nothing is looked for."""
    world.fault(method="POST", path="/v2/serverless", action="status", status=400, detail="no")
    with pytest.raises(ApiProblem):
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST"]


KNOWN = [
    ("There are no longer any instances available with the requested specifications.", "name more GPU groups"),
    ("Max workers across all endpoints must not exceed your workers quota (5).", "counts against the account's worker quota"),
    ("Serverless endpoints cannot use pod templates. Please use a serverless template.", ""),
    ("You must have at least $0.01 in your account balance to create an endpoint.", ""),
]


@pytest.mark.parametrize(("detail", "advice"), KNOWN)
def test_a_refusal_that_runpod_words_so_is_one_although_it_answers_500(world, detail, advice):
    """It is told after one look, with what to do."""
    world.fault(method="POST", path="/v2/serverless", action="status", status=500, detail=detail)
    with pytest.raises(ApiProblem) as caught:
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert detail in str(caught.value) and advice in str(caught.value)
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST", "GET"]


SOUNDS_LIKE_ONE = [
    ("NetworkVolume", 504, "upstream in data center EU-RO-1 timed out"),
    ("NetworkVolume", 500, "data center EU-RO-1 does not answer"),
    ("Endpoint", 503, "worker quota service timed out"),
    ("Endpoint", 500, "the quota of a worker is not known"),
    ("PodTemplate", 502, "the connection was already in use"),
    ("PodTemplate", 500, "no unique upstream"),
    *(("Endpoint", status, KNOWN[0][0]) for status in (408, 502, 503, 504)),
]


@pytest.mark.parametrize(("kind", "status", "detail"), SOUNDS_LIKE_ONE)
def test_what_only_sounds_like_a_refusal_leaves_doubt(world, monkeypatch, kind, status, detail):
    """A gateway gives up, and the server goes on: what it makes a moment later is the answer, and nothing is sent twice."""
    where, path, inputs = KINDS[kind]
    monkeypatch.setattr(world.api, "pause", lambda seconds: asyncio.sleep(0.3))
    world.fault(method="POST", path=path, action="commit-late", status=status, detail=detail, seconds=0.1)
    made = create(world, kind, inputs)
    assert [item["id"] for item in world.all(where) if item.get("_source") is None] == [made.id]
    assert [request.method for request in world.exchanges if request.path == path] == ["POST", "GET", "GET"]


def test_who_is_asked_to_stop_waits_no_longer(world, monkeypatch):
    """The doubt is told at once, for nobody would wait for its end."""
    stop_at_the_look(world, monkeypatch)
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    with pytest.raises(OutcomeUnknown, match="Look in the Runpod console"):
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST", "GET"]


def test_what_a_lost_answer_made_is_found_after_a_stop(world, monkeypatch):
    """A POST that was sent is followed to its end, although the look-up has to be tried again."""

    async def waiting(seconds):
        for _ in range(10):
            await asyncio.sleep(0)

    monkeypatch.setattr(world, "_sleep", waiting)
    world.restart()
    stop_at_the_look(world, monkeypatch)
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    world.fault(method="GET", path="/v2/serverless", action="status", status=503)
    made = create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert [item["id"] for item in world.all("endpoints")] == [made.id]
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST", "GET", "GET"]


def test_who_is_asked_to_stop_while_waiting_knows_no_absence(world, monkeypatch):
    """The server may still carry the POST out, so that it is not said that there is nothing."""

    async def interrupted(seconds):
        world.api.stop()

    monkeypatch.setattr(world.api, "pause", interrupted)
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    with pytest.raises(OutcomeUnknown, match="Look in the Runpod console"):
        create(world, "Endpoint", {"image": "me/x:1", "gpu": "ADA_24"})
    assert [request.method for request in world.exchanges if request.path == "/v2/serverless"] == ["POST", "GET", "GET"]


def test_without_the_servers_clock_a_fixed_name_is_doubt(world, monkeypatch):
    """What is there may have been there before the POST."""
    ask = world.api.request

    async def losing(method, path, **options):
        answer = await ask(method, path, **options)
        if method == "POST":
            raise OutcomeUnknown(method, path, "lost")
        return answer

    monkeypatch.setattr(world.api, "request", losing)
    with pytest.raises(OutcomeUnknown, match="may have been there before"):
        create(world, "Endpoint", {"name": "mine", "image": "me/x:1", "gpu": "ADA_24"})
    assert len(world.all("endpoints")) == 1
