"""The two ways of asking beside `request`: the API that takes jobs, and streams of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.support import BASE, KEY, Script, Time, answer, client_of, run
from runpod_serverless_provider.core.failures import ApiProblem, ApiUnreachable, NotConfigured, Refused

JOBS = "https://jobs.example/v2"
HEALTH = {"jobs": {"inQueue": 0}}
LIMITS = {"RateLimit": '"minute";r=0;t=60', "RateLimit-Policy": '"minute";q=60;w=60'}


def asked(server: httpx.AsyncBaseTransport, path: str = "/ep0/health", seconds: float = 5, **options: object) -> object:
    """Ask the API that takes jobs once."""
    return run(client_of(server, jobs_url=JOBS, **options).ask_jobs(path, timeout_seconds=seconds))


def test_jobs_are_asked_below_their_own_base() -> None:
    """With the key of the account."""
    server = Script(answer(200, HEALTH))
    assert asked(server) == HEALTH
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("GET", f"{JOBS}/ep0/health")
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 302])
def test_what_answers_no_is_not_asked_again(status: int) -> None:
    """Who asks, asks again; the address is named whole, as it is not the REST API's."""
    server = Script(answer(status, {"detail": "no"}))
    with pytest.raises(ApiProblem, match=f"answered {status} to GET {JOBS}/ep0/health: ") as caught:
        asked(server)
    assert caught.value.status == status and len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx.ConnectError("refused"), f"no connection to {JOBS}: refused"),
        (httpx.ReadError("reset"), "the connection broke before the answer was complete: reset"),
    ],
)
def test_what_does_not_answer_is_not_asked_again(reply: Exception, said: str) -> None:
    """And nothing was changed by it."""
    server = Script(reply)
    with pytest.raises(ApiUnreachable) as caught:
        asked(server)
    assert str(caught.value) == f"Runpod could not be reached for GET {JOBS}/ep0/health: {said}"
    assert len(server.requests) == 1


def test_an_answer_that_is_no_json_is_a_problem() -> None:
    """It says what came instead."""
    with pytest.raises(ApiProblem, match="the answer is not JSON"):
        asked(Script(httpx.Response(200, text="<html>", headers={"content-type": "text/html"})))


def test_jobs_are_not_waited_for_longer_than_asked() -> None:
    """The bound is the caller's."""

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    with pytest.raises(ApiUnreachable, match=r"no answer within 0\.05 s"):
        asked(Script(never), seconds=0.05)


def test_jobs_know_no_limit_of_the_rest_api() -> None:
    """They are asked while everybody else waits, and what they say of limits is theirs."""
    server, time = Script(answer(200, {}), answer(200, HEALTH, **LIMITS), answer(200, {})), Time()

    async def ask() -> None:
        client = client_of(server, time, jobs_url=JOBS)
        await client.request("GET", "/serverless")
        await client.ask_jobs("/ep0/health", timeout_seconds=5)
        await client.request("GET", "/serverless")

    run(ask())
    assert time.slept == [] and len(server.requests) == 3


@pytest.mark.parametrize("path", ["/../health", "//health", "/a?b/health", "health"])
def test_an_id_cannot_lead_elsewhere(path: str) -> None:
    """It would be another request."""
    server = Script(answer(200, HEALTH))
    with pytest.raises(Refused):
        asked(server, path)
    assert server.requests == []


def test_the_key_goes_nowhere_in_clear() -> None:
    """The API that takes jobs gets it too."""
    with pytest.raises(NotConfigured, match="the base URL of the API that takes jobs would send the API key unencrypted"):
        client_of(Script(answer()), jobs_url="http://jobs.example")


# -- streams


class Stream(httpx.AsyncByteStream):
    """A body that comes in pieces; None is a pause for ever, an exception a break."""

    def __init__(self, *pieces: str | Exception | None) -> None:
        self.pieces = pieces
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if piece is None:
                await asyncio.sleep(3600)
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece.encode()

    async def aclose(self) -> None:
        self.is_closed = True


def event(line: str) -> str:
    """Write an event as the API does."""
    return f"id: 2026-06-01T12:00:00Z/1\ndata: {json.dumps({'line': line})}\n\n"


def heard(stream: Stream | httpx.Response, most: int = 10, seconds: float = 5, **options: object) -> tuple[list[object], Script]:
    """Listen to a stream once."""
    response = stream if isinstance(stream, httpx.Response) else httpx.Response(200, stream=stream)
    server = Script(response)
    client = client_of(server, **options)
    work = client.events("/serverless/ep0/workers/w/logs", query={"tail": "2"}, most=most, timeout_seconds=seconds)
    return run(work), server


def test_events_are_read_until_the_stream_ends() -> None:
    """Also those that come in pieces; what is no object or list is left out."""
    stream = Stream(event("one")[:20], event("one")[20:] + ": comment\ndata: 5\ndata: {broken\n\n", event("two"))
    found, server = heard(stream)
    assert found == [{"line": "one"}, {"line": "two"}]
    (request,) = server.requests
    assert str(request.url) == f"{BASE}/v2/serverless/ep0/workers/w/logs?tail=2"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert stream.is_closed


def test_a_stream_that_does_not_end_is_left() -> None:
    """After so many events, or after the time; what came is kept."""
    endless = Stream(event("one"), event("two"), None)
    assert heard(endless, most=2, seconds=3600)[0] == [{"line": "one"}, {"line": "two"}]
    assert endless.is_closed
    slow = Stream(event("one"), None)
    assert heard(slow, seconds=0.05)[0] == [{"line": "one"}]
    assert slow.is_closed


def test_a_stream_that_breaks_tells_nothing() -> None:
    """It is not known what is missing."""
    with pytest.raises(ApiUnreachable, match="reset by peer"):
        heard(Stream(event("one"), httpx.ReadError("reset by peer")))


def test_a_refused_stream_is_a_problem() -> None:
    """In the API's own words, and sent once."""
    with pytest.raises(ApiProblem, match="answered 404 to GET /serverless/ep0/workers/w/logs: worker not found"):
        heard(answer(404, {"detail": "worker not found"}))


def test_a_stream_counts_as_one_request() -> None:
    """Its answer tells what is left, and where nothing is left it waits like any other."""
    server, time = Script(answer(200, {}, **LIMITS), httpx.Response(200, stream=Stream(event("one")))), Time()

    async def ask() -> list[object]:
        client = client_of(server, time)
        await client.request("GET", "/serverless")
        return await client.events("/x", query={}, most=1, timeout_seconds=5)

    assert run(ask()) == [{"line": "one"}]
    assert time.slept and time.slept[0] >= 60


def test_the_path_of_a_stream_cannot_lead_elsewhere_either() -> None:
    """A worker's id is Runpod's, but not trusted."""
    client = client_of(Script(answer()))
    with pytest.raises(Refused):
        run(client.events("/serverless/ep0/workers/../logs", query={}, most=1, timeout_seconds=1))
