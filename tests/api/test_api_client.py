"""The client: what it sends, what it sends again, how long it waits, and what it says in the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import traceback

import httpx
import pytest

from api.support import BASE, KEY, Notes, Script, Time, answer, client_of, run
from runpod_serverless_provider.api import policy
from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.core.failures import (
    ApiProblem,
    ApiUnreachable,
    NotConfigured,
    OutcomeUnknown,
    ProviderFailure,
    Refused,
)

METHODS = ("GET", "POST", "PATCH", "DELETE")
LOST = httpx.ReadError("reset by peer")
REFUSED_CONNECTION = httpx.ConnectError("connection refused")


def asked(transport, method="GET", path="/serverless", *, time=None, voice=None, **options):
    """Send one request and give its answer."""
    return run(client_of(transport, time, **options).request(method, path, body=body_for(method), voice=voice))


def failed(transport, method="GET", path="/serverless", **options):
    """Send one request that must fail, and give its failure."""
    with pytest.raises(ProviderFailure) as caught:
        asked(transport, method, path, **options)
    return caught.value


def body_for(method):
    """Give a body to a method that has one."""
    return {"name": "a"} if method in ("POST", "PATCH") else None


# -- what is sent


def test_a_request_carries_the_key_and_a_json_body():
    """Below the base URL, with integers as integers."""
    server = Script(answer(201, {"id": "x"}))
    made = run(client_of(server).request("POST", "/serverless", body={"workers": {"max": 3.0}}, query={"a": "b c"}))
    (request,) = server.requests
    assert made == {"id": "x"}
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v2/serverless?a=b+c")
    assert request.content == b'{"workers":{"max":3}}'
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "tests/1"
    assert "application/problem+json" in request.headers["accept"]


def test_a_request_without_a_body_has_no_content_type():
    """A DELETE with one is refused by some gateways."""
    server = Script(httpx.Response(204))
    assert asked(server, "DELETE", "/serverless/x") is None
    assert "content-type" not in server.requests[0].headers and server.requests[0].content == b""


def test_a_list_and_an_empty_success_are_answers():
    """204 says nothing, and a DELETE's words are not looked at."""
    assert asked(Script(answer(200, [{"id": "x"}]))) == [{"id": "x"}]
    assert asked(Script(httpx.Response(204)), "PATCH") is None
    assert asked(Script(httpx.Response(200, text="deleted")), "DELETE") is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "serverless",
        "/",
        "/serverless/",
        "/serverless//x",
        "/serverless/.",
        "/serverless/../templates",
        "/serverless/%2e%2e/x",
        "/serverless/a%2Fb",
        "/serverless/x?y=1",
        "/serverless/x#y",
        "/serverless/x y",
        "/serverless/x\\y",
        "/serverless/x\n",
        "/serverless/é",
        "/serverless/" + "x" * 2000,
    ],
)
def test_an_id_that_would_make_it_another_request_is_refused(path):
    """An empty id of a DELETE must not become one of the collection; nothing is sent."""
    server = Script(answer())
    problem = failed(server, "DELETE", path)
    assert isinstance(problem, Refused) and "is no path of the API" in str(problem) and not server.requests
    assert "is not a Runpod id" in str(problem)


# -- retries


@pytest.mark.parametrize("method", METHODS)
def test_a_request_that_did_not_reach_the_server_is_sent_again(method):
    """No connection, no effect: also for a POST."""
    server, notes, time = Script(REFUSED_CONNECTION, httpx.ConnectTimeout("slow"), answer()), Notes(), Time()
    asked(server, method, time=time, voice=notes)
    assert len(server.requests) == 3 and time.slept == [0.5, 1.0]
    assert notes.lines == [
        f"no connection to {BASE}/v2: connection refused; trying {method} /serverless again in 0.5 s (2 of 5)",
        f"no connection to {BASE}/v2 within 10 s; trying {method} /serverless again in 1.0 s (3 of 5)",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_server_out_of_reach_is_unreachable(method):
    """After five attempts, without doubt about an effect."""
    server = Script(REFUSED_CONNECTION)
    problem = failed(server, method)
    assert isinstance(problem, ApiUnreachable) and len(server.requests) == 5
    assert str(problem) == f"Runpod could not be reached for {method} /serverless: no connection to {BASE}/v2: connection refused"


DOUBTS = {
    "lost": LOST,
    "timeout": httpx.ReadTimeout("slow"),
    "cut": httpx.RemoteProtocolError("peer closed connection"),
    "write": httpx.WriteError("broken pipe"),
    "garbled": httpx.Response(200, text="<html>", headers={"content-type": "text/html"}),
    "no body": httpx.Response(201),
    **{str(status): answer(status) for status in (408, 500, 501, 502, 503, 504, 522)},
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_post_is_never_repeated_after_doubt(doubt):
    """One request, one failure that says so: repeating it could pay twice."""
    server = Script(DOUBTS[doubt])
    problem = failed(server, "POST")
    assert isinstance(problem, OutcomeUnknown) and len(server.requests) == 1
    assert str(problem).startswith("it is not known whether POST /serverless took effect: ")


def test_a_post_is_not_repeated_after_doubt_that_follows_failed_connections():
    """The doubt is what counts, not how it began."""
    server = Script(REFUSED_CONNECTION, REFUSED_CONNECTION, LOST, answer())
    assert isinstance(failed(server, "POST"), OutcomeUnknown) and len(server.requests) == 3


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("doubt", [name for name in DOUBTS if name not in ("garbled", "no body")])
def test_the_other_methods_are_repeated_after_doubt(method, doubt):
    """They say what shall be."""
    server = Script(DOUBTS[doubt], answer(200, {"id": "x"}))
    assert asked(server, method) == (None if method == "DELETE" else {"id": "x"}) and len(server.requests) == 2


@pytest.mark.parametrize(
    ("method", "replies", "kind", "text"),
    [
        ("GET", (LOST,), ApiUnreachable, "the connection broke before the answer was complete: reset by peer"),
        ("GET", (httpx.ReadTimeout(""),), ApiUnreachable, "no answer within 60 s"),
        ("GET", (answer(503, {"detail": "busy"}),), ApiProblem, "Runpod answered 503 to GET /serverless: busy"),
        ("GET", (httpx.Response(200, text="{"),), ApiProblem, "Runpod answered 200, but the answer is not JSON (text/plain"),
        ("PATCH", (answer(502, {"detail": "busy"}),), ApiProblem, "Runpod answered 502 to PATCH /serverless: busy"),
        ("PATCH", (LOST,), OutcomeUnknown, "took effect: the connection broke"),
        (
            "PATCH",
            (httpx.Response(200, content=b""),),
            OutcomeUnknown,
            "Runpod answered 200, but the answer has no body (no content type)",
        ),
        ("PATCH", (answer(502), REFUSED_CONNECTION), OutcomeUnknown, "took effect: Runpod answered 502: Bad Gateway"),
        ("DELETE", (LOST, LOST, REFUSED_CONNECTION), OutcomeUnknown, "took effect: the connection broke"),
        ("DELETE", (answer(599),), ApiProblem, "Runpod answered 599 to DELETE /serverless: no explanation"),
        ("POST", (answer(599),), OutcomeUnknown, "took effect: Runpod answered 599: no explanation"),
    ],
)
def test_what_never_succeeds_fails_with_what_is_known(method, replies, kind, text):
    """After five attempts, or one of a POST."""
    server = Script(*replies)
    problem = failed(server, method)
    assert type(problem) is kind and text in str(problem)
    assert len(server.requests) == (1 if method == "POST" else 5)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422])
@pytest.mark.parametrize("method", METHODS)
def test_a_refusal_is_final(method, status):
    """It is not sent again, and comes as the API words it."""
    server = Script(
        answer(status, {"title": "T", "status": status, "detail": "because", "errors": ["$.a: bad"]}, x_request_id="r1")
    )
    problem = failed(server, method, "/serverless/x")
    assert isinstance(problem, ApiProblem) and len(server.requests) == 1
    assert str(problem) == f"Runpod answered {status} to {method} /serverless/x, request r1: because ($.a: bad)"
    assert problem.status == status


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", METHODS)
def test_a_redirect_is_not_followed(method, status):
    """The key would go with it, or a POST become a GET; the message names where it points and the setting to check."""
    server = Script(answer(status, location="https://elsewhere.example/v2/serverless"))
    problem = failed(server, method)
    assert isinstance(problem, ApiProblem) and len(server.requests) == 1
    assert "'https://elsewhere.example/v2/serverless', which is not followed; check baseUrl" in str(problem)


def test_a_delete_that_finds_nothing_after_a_doubtful_one_has_succeeded():
    """It was the first that removed it."""
    for doubt in (LOST, answer(504), httpx.ReadTimeout("slow")):
        assert asked(Script(doubt, answer(404)), "DELETE", "/serverless/x") is None


def test_a_delete_that_finds_nothing_at_once_says_so():
    """The caller decides what that means."""
    for before in ((), (REFUSED_CONNECTION,), (answer(429),)):
        problem = failed(Script(*before, answer(404)), "DELETE", "/serverless/x")
        assert isinstance(problem, ApiProblem) and problem.status == 404


def test_retry_after_of_a_failing_server_is_honoured():
    """Seconds, a date by the server's own clock, and some minutes."""
    time = Time()
    date, later = "Mon, 01 Jun 2026 15:00:00 GMT", "Mon, 01 Jun 2026 15:00:20 GMT"
    asked(
        Script(answer(503, retry_after="7"), answer(503, retry_after=later, date=date), answer(503, retry_after="600"), answer()),
        time=time,
    )
    assert time.slept == [7.0, 20.0, 600.0]


@pytest.mark.parametrize(
    ("answers", "slept"),
    [
        ([answer(503, retry_after="3600")], []),
        ([answer(503, retry_after="500")] * 2, [500.0]),
        ([answer(429, retry_after="500"), answer(503, retry_after="500")], [500.0]),
        ([answer(503, retry_after="500"), answer(429, retry_after="500")], [500.0]),
    ],
)
def test_patience_bounds_whatever_a_request_is_asked_to_wait(answers, slept):
    """It fails with the last answer, and says when the next try would have been; nothing is sent before its time."""
    time, server = Time(), Script(*answers)
    problem = failed(server, "DELETE", "/serverless/x", time=time, random=lambda: 0.0)
    assert isinstance(problem, ApiProblem) and problem.status in (429, 503)
    assert time.slept == slept and len(server.requests) == len(answers)
    assert "; the next try would be in " in str(problem) and "no request is kept waiting longer than 900 s" in str(problem)


def test_how_often_it_tries_can_be_said():
    """Once means no retries."""
    server = Script(LOST)
    failed(server, max_attempts=1)
    assert len(server.requests) == 1


def test_an_attempt_is_bounded_as_a_whole():
    """A server that sends a byte now and then would hold it for ever: each read is in time, the answer is not."""

    async def dripping(request):
        await asyncio.sleep(30)

    problem = failed(Script(dripping), "PATCH", request_timeout_seconds=0.01, max_attempts=2)
    assert isinstance(problem, OutcomeUnknown) and str(problem).endswith("no answer within 0.01 s")


# -- what is known of an unknown outcome


def test_an_unknown_outcome_knows_the_servers_time_before_the_send():
    """What was created before it is not ours."""

    async def scenario():
        noon, later = "Mon, 01 Jun 2026 12:00:00 GMT", "Mon, 01 Jun 2026 12:00:09 GMT"
        server = Script(answer(200, date=noon), answer(200, date="soon"), answer(503, date=later), LOST)
        client = client_of(server)
        await client.request("GET", "/serverless")
        await client.request("GET", "/serverless")
        outcomes = []
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as caught:
                await client.request("POST", "/serverless", body={})
            outcomes.append((caught.value.status, caught.value.server_date))
        return outcomes == [(503, noon), (None, later)]

    assert run(scenario())
    unknown = failed(Script(LOST), "POST")
    assert unknown.server_date is None


def test_settling_takes_longer_than_any_request_may():
    """After it, a request whose answer was lost has had its effect, or never will."""

    async def scenario():
        time = Time()
        client = client_of(Script(answer()), time, request_timeout_seconds=0.5, settle_margin_seconds=2.0)
        await client.pause(client.settle_seconds)
        return time.slept, client.settle_seconds

    slept, seconds = run(scenario())
    assert slept == [seconds] == [2.5]


def test_a_pause_ends_when_the_client_is_stopped():
    """Nobody who only waits holds up the end."""

    async def scenario():
        client = client_of(Script(answer()), Time())
        client._sleep = asyncio.sleep
        waiting = asyncio.ensure_future(client.pause(3600))
        await asyncio.sleep(0)
        client.stop()
        await asyncio.wait_for(waiting, 5)
        return client.is_stopped

    assert run(scenario())


# -- rate limits


@pytest.mark.parametrize("method", METHODS)
def test_a_429_is_waited_out_and_told(method):
    """It had no effect, so a POST is sent again too; the status line says how long and why."""
    time, notes = Time(), Notes()
    limited = answer(429, retry_after="12", ratelimit='"minute";r=0;t=12, "hour";r=2800;t=1812')
    server = Script(limited, answer())
    asked(server, method, time=time, voice=notes)
    assert len(server.requests) == 2 and time.slept == [pytest.approx(12.6)]  # and a twentieth of spreading
    assert notes.lines == ["waiting 12 s for Runpod's rate limit (minute window)"]


def test_a_429_without_a_word_is_waited_out_ever_longer():
    """Also one that asks for no wait at all."""
    time = Time()
    server = Script(*[answer(429, retry_after="0")] * 4, answer())
    asked(server, time=time, random=lambda: 0.5)
    assert time.slept == [1.125, 1.125, 1.125, 2.125]


def test_a_429_also_holds_what_is_only_being_noted():
    """Before a POST leaves, it is noted on a disk that may be slow."""

    async def scenario():
        time, sent_at, is_limited = Time(), [], asyncio.Event()

        async def note(_):
            await is_limited.wait()

        def reply(request):
            sent_at.append((request.method, time.now - 1000.0))
            return answer(429, retry_after="30") if len(sent_at) == 1 else answer(200, {"id": "x"})

        client = client_of(Script(reply), time)
        posting = asyncio.ensure_future(client.request("POST", "/serverless", body={"name": "a"}, before_sending=note))
        await asyncio.sleep(0.01)
        getting = asyncio.ensure_future(client.request("GET", "/serverless"))
        await asyncio.sleep(0.01)
        is_limited.set()
        await asyncio.gather(posting, getting)
        return sent_at

    (first, *later) = run(scenario())
    assert first == ("GET", 0.0) and sorted(method for method, _ in later) == ["GET", "POST"]
    assert all(seconds >= 30.0 for _, seconds in later)


def test_429s_do_not_use_up_the_attempts():
    """Never fail an update because of a rate limit."""
    server = Script(*[answer(429, retry_after="1")] * 20, LOST, LOST, LOST, LOST, answer())
    asked(server)
    assert len(server.requests) == 25


def test_a_429_holds_the_other_requests_too():
    """One account, one limit."""

    async def scenario():
        time, sent = Time(), []

        def serve(request):
            sent.append((request.url.path, time.now - 1000.0))
            return answer(429, retry_after="30") if len(sent) == 1 else answer()

        client = client_of(Script(serve), time, random=lambda: 0.0)
        first = asyncio.ensure_future(client.request("GET", "/a"))
        await asyncio.sleep(0.005)
        await asyncio.gather(first, client.request("GET", "/b"))
        return sent

    assert sorted(run(scenario())) == [("/v2/a", 0.0), ("/v2/a", 30.0), ("/v2/b", 30.0)]


@pytest.mark.parametrize(
    ("headers", "named"),
    [({"retry_after": "3600"}, "3600 s"), ({"ratelimit": '"day";r=0;t=80000'}, "80000 s")],
)
def test_a_window_that_lasts_beyond_patience_fails_at_once_and_says_when(headers, named):
    """Nobody sits an hour before a progress line."""
    time = Time()
    server = Script(answer(429, {"detail": "rate limit exceeded for the hour window"}, **headers))
    problem = failed(server, time=time)
    assert isinstance(problem, ApiProblem) and problem.status == 429 and not time.slept
    assert "rate limit exceeded for the hour window; the next try would be in " + named in str(problem)
    assert "no request is kept waiting longer than 900 s" in str(problem)


def test_patience_bounds_all_429s_of_a_request_together():
    """A server that always says `try again in 100 s` is not obeyed for ever."""
    time = Time()
    server = Script(answer(429, retry_after="100"))
    problem = failed(server, time=time, patience_seconds=350.0, random=lambda: 0.0)
    assert problem.status == 429 and time.slept == [100.0, 100.0, 100.0]


def test_requests_slow_down_before_a_429():
    """The last answer said that nothing is left."""
    time, notes = Time(), Notes()

    async def scenario():
        client = client_of(Script(answer(200, ratelimit='"minute";r=0;t=40')), time, random=lambda: 0.0)
        await client.request("GET", "/a", voice=notes)
        await client.request("GET", "/b", voice=notes)

    run(scenario())
    assert time.slept == [40.0] and notes.lines == ["waiting 40 s for Runpod's rate limit (minute window)"]


def test_a_request_that_was_not_sent_spends_nothing_and_a_lost_one_does():
    """The budget counts what the server may have counted."""

    async def scenario(failure):
        time = Time()
        server = Script(answer(200, ratelimit='"minute";r=1;t=40'), failure, answer())
        client = client_of(server, time, random=lambda: 0.0, max_attempts=1)
        await client.request("GET", "/a")
        with pytest.raises(ApiUnreachable):
            await client.request("GET", "/b")
        await client.request("GET", "/c")
        return time.slept

    assert run(scenario(REFUSED_CONNECTION)) == []
    assert run(scenario(LOST)) == [40.0]


def test_a_cancelled_request_gives_its_place_back():
    """It counts as spent, but no longer as under way."""

    async def scenario():
        time = Time()

        async def never(request):
            await asyncio.sleep(60)

        client = client_of(Script(answer(200, ratelimit='"minute";r=2;t=40'), never, answer()), time)
        await client.request("GET", "/a")
        stuck = asyncio.ensure_future(client.request("GET", "/b"))
        await asyncio.sleep(0.01)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        await client.request("GET", "/c")
        return time.slept

    assert run(scenario()) == []


def test_a_request_cancelled_before_it_had_a_connection_spends_nothing():
    """It stood in the line before the pool."""

    async def scenario():
        time, gate = Time(), asyncio.Event()

        async def slow(request):
            await gate.wait()
            return answer(200, ratelimit='"minute";r=1;t=40')

        server = Script(answer(200, ratelimit='"minute";r=3;t=40'), slow, answer())
        client = client_of(server, time, max_connections=1)
        await client.request("GET", "/a")
        under_way = asyncio.ensure_future(client.request("GET", "/b"))
        await asyncio.sleep(0.01)
        in_line = asyncio.ensure_future(client.request("GET", "/c"))
        await asyncio.sleep(0.01)
        in_line.cancel()
        await asyncio.wait([in_line])
        gate.set()
        await under_way
        await client.request("GET", "/d")
        return time.slept, [path for _, path in server.sent]

    assert run(scenario()) == ([], ["/v2/a", "/v2/b", "/v2/d"])


def test_those_in_line_for_a_connection_heed_what_was_learned_meanwhile():
    """One was left when they came, and none when their turn came."""

    async def scenario():
        time, notes = Time(), Notes()
        server = Script(answer(200, ratelimit='"minute";r=0;t=40'), answer())
        client = client_of(server, time, max_connections=1, random=lambda: 0.0)
        await asyncio.gather(*(client.request("GET", "/a", voice=notes) for _ in range(2)))
        return time.slept, len(server.requests), notes.lines

    assert run(scenario()) == ([40.0], 2, ["waiting 40 s for Runpod's rate limit (minute window)"])


def test_few_requests_pass_until_an_answer_has_told_the_limits():
    """The process of the preview may just have spent them; a failed connection tells nothing."""

    async def scenario(first):
        crowds = []  # how many were under way when each began
        under_way = 0

        async def serve(request):
            nonlocal under_way
            under_way += 1
            crowds.append(under_way)
            reply = first if len(crowds) <= 4 else answer()
            await asyncio.sleep(0.02)
            under_way -= 1
            if isinstance(reply, Exception):
                raise reply
            return reply

        client = client_of(Script(serve), max_attempts=1)
        await asyncio.gather(*(client.request("GET", "/a") for _ in range(24)), return_exceptions=True)
        return crowds

    crowds = run(scenario(answer()))
    assert max(crowds[:4]) == 4 and max(crowds) > 10
    crowds = run(scenario(REFUSED_CONNECTION))
    assert max(crowds[:8]) == 4 and max(crowds) > 4


def test_no_more_requests_are_under_way_than_there_are_connections():
    """The rest waits before the pool, where it does not count into an attempt's time-out."""

    async def scenario():
        under_way, most = 0, 0

        async def slow(request):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.03)
            under_way -= 1
            return answer()

        client = client_of(Script(slow), max_connections=3, request_timeout_seconds=0.08)
        await asyncio.gather(*(client.request("GET", "/a") for _ in range(12)))
        return most

    assert run(scenario()) == 3


# -- an end that is asked for


ENDED = {
    "GET": "was given up, as the run was cancelled",
    "POST": "was not sent, as the run was cancelled; nothing was created by it",
    "PATCH": "was not carried out, as the run was cancelled; nothing was changed by it",
    "DELETE": "was not carried out, as the run was cancelled; nothing was deleted by it",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reply", [answer(429, retry_after="600"), answer(200, ratelimit='"minute";r=0;t=600'), REFUSED_CONNECTION])
def test_what_has_had_no_effect_waits_no_longer_once_the_client_is_stopped(method, reply):
    """Whoever asked for it is gone: nobody waits for its end, and what a POST creates would be paid for and known to nobody."""

    async def scenario():
        server, time = Script(reply, REFUSED_CONNECTION), Time()
        time.sleep = lambda seconds: asyncio.sleep(60)
        client = client_of(server, time)
        if not isinstance(reply, Exception) and reply.status_code == 200:
            await client.request("GET", "/serverless")
        waiting = asyncio.ensure_future(client.request(method, "/serverless/x", body=body_for(method)))
        await asyncio.sleep(0.02)
        assert len(server.requests) == 1 and not waiting.done()
        client.stop()
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(waiting, 1)
        assert str(caught.value) == f"{method} /serverless/x {ENDED[method]}"
        return len(server.requests)

    assert run(scenario()) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_stop_also_ends_a_wait_that_begins_after_it(method):
    """The answer to what was under way is a 429; a POST would not even have been sent."""

    async def scenario():
        time = Time()
        time.sleep = lambda seconds: asyncio.sleep(60)

        async def stopping(request):
            client.stop()
            return answer(429, retry_after="45")

        server = Script(stopping)
        client = client_of(server, time)
        with pytest.raises(Refused, match="as the run was cancelled"):
            await asyncio.wait_for(client.request(method, "/serverless/x", body=body_for(method)), 1)
        with pytest.raises(Refused):
            await asyncio.wait_for(client.request(method, "/serverless/x", body=body_for(method)), 1)
        return len(server.requests)

    assert run(scenario()) == 1


def test_no_post_begins_after_a_stop():
    """Even where nothing is to be waited for."""

    async def scenario():
        server = Script(answer())
        client = client_of(server)
        client.stop()
        with pytest.raises(Refused, match="POST /serverless was not sent, as the run was cancelled; nothing was created by it"):
            await client.request("POST", "/serverless", body={})
        return len(server.requests)

    assert run(scenario()) == 0


def test_a_log_that_waits_is_not_asked_for_once_the_client_is_stopped():
    """Nobody would read it."""

    async def scenario():
        server, time = Script(answer(200, ratelimit='"minute";r=0;t=600'), answer()), Time()
        time.sleep = lambda seconds: asyncio.sleep(60)
        client = client_of(server, time)
        await client.request("GET", "/serverless")
        waiting = asyncio.ensure_future(client.events("/serverless/x/logs", query={}, most=1, timeout_seconds=1.0))
        await asyncio.sleep(0.02)
        client.stop()
        with pytest.raises(Refused, match="GET /serverless/x/logs was given up, as the run was cancelled"):
            await asyncio.wait_for(waiting, 1)
        return len(server.requests)

    assert run(scenario()) == 1


@pytest.mark.parametrize("method", METHODS)
def test_what_stands_in_line_for_a_connection_is_not_sent_either(method):
    """Its turn comes too late; what was sent is finished."""

    async def scenario():
        gate = asyncio.Event()

        async def slow(request):
            await gate.wait()
            return answer(201, {"id": "x"})

        server = Script(slow)
        client = client_of(server, max_connections=1)
        first = asyncio.ensure_future(client.request(method, "/serverless/x", body=body_for(method)))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(client.request(method, "/serverless/x", body=body_for(method)))
        await asyncio.sleep(0.01)
        client.stop()
        gate.set()
        with pytest.raises(Refused):
            await second
        await first
        return len(server.requests)

    assert run(scenario()) == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_may_have_had_its_effect_is_finished_after_a_stop(method):
    """A resource is brought to what was planned, or removed; nothing new comes of it."""

    async def scenario():
        server = Script(LOST, answer(429, retry_after="5"), REFUSED_CONNECTION, answer(200, {"id": "x"}))
        client = client_of(server)
        client.stop()
        await client.request(method, "/serverless/x", body=body_for(method))
        return len(server.requests)

    assert run(scenario()) == 4


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("replies", [[answer(503, retry_after="300")], [LOST, answer(429, retry_after="300")]])
def test_nothing_waits_long_after_a_stop(monkeypatch, method, replies):
    """A user who has sent ^C waits no quarter of an hour, and Runpod hears from us no sooner than it asked for."""
    monkeypatch.setattr(policy, "MAX_DELAY_SECONDS", 0.1)

    async def scenario():
        server, time = Script(*replies, answer(200, {"id": "x"})), Time()
        time.sleep = lambda seconds: asyncio.sleep(60 if seconds >= 300 else 0)
        client = client_of(server, time)
        options = {"outlasts_stop": True} if method == "GET" else {"body": body_for(method)}
        waiting = asyncio.ensure_future(client.request(method, "/serverless/x", **options))
        await asyncio.sleep(0.05)
        client.stop()
        with pytest.raises((Refused, ApiProblem, OutcomeUnknown)) as caught:
            await asyncio.wait_for(waiting, 1)
        return str(caught.value), len(server.requests)

    said, count = run(scenario())
    assert count == len(replies)
    assert said.endswith(
        "was given up, as the run was cancelled" if method == "GET" else "; it is not tried again, as the run was cancelled"
    )


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_has_to_wait_for_nothing_is_sent_after_a_stop(method):
    """It holds up nobody."""

    async def scenario():
        server = Script(answer(200, {"id": "x"}))
        client = client_of(server)
        client.stop()
        await client.request(method, "/serverless/x", body=body_for(method))
        return len(server.requests)

    assert run(scenario()) == 1


def test_a_read_is_not_tried_again_after_a_stop():
    """It changes nothing, so that no doubt has to be followed."""

    async def scenario():
        server, time = Script(LOST, answer()), Time()
        time.sleep = lambda seconds: asyncio.sleep(60)
        client = client_of(server, time)
        client.stop()
        with pytest.raises(Refused, match="GET /serverless was given up, as the run was cancelled"):
            await asyncio.wait_for(client.request("GET", "/serverless"), 1)
        return len(server.requests)

    assert run(scenario()) == 1


def test_a_read_that_tells_what_became_of_a_post_outlasts_a_stop():
    """Whatever it has to wait for: a line, a lost answer, a rate limit."""

    async def scenario():
        gate = asyncio.Event()

        async def slow(request):
            await gate.wait()
            return answer(201, {"id": "x"})

        server = Script(slow, LOST, answer(429, retry_after="45"), answer(200, {"endpoints": []}))
        client = client_of(server, max_connections=1)
        first = asyncio.ensure_future(client.request("POST", "/serverless", body={}))
        await asyncio.sleep(0.01)
        look = asyncio.ensure_future(client.request("GET", "/serverless", outlasts_stop=True))
        await asyncio.sleep(0.01)
        client.stop()
        gate.set()
        return await first, await look, len(server.requests)

    assert run(scenario()) == ({"id": "x"}, {"endpoints": []}, 4)


def test_a_cancelled_post_leaves_no_wait_behind():
    """Neither its own nor the one for the stop."""

    async def scenario():
        time = Time()
        time.sleep = lambda seconds: asyncio.sleep(60)
        client = client_of(Script(answer(429, retry_after="600")), time)
        waiting = asyncio.ensure_future(client.request("POST", "/serverless", body={}))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(scenario()) <= 2  # this one, and the one that bounds it


# -- secrets


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "reply",
    [
        answer(401, {"title": KEY, "detail": f"key {KEY} is bad", "errors": [KEY]}, x_request_id=KEY),
        answer(302, location=f"https://elsewhere.example/?key={KEY}"),
        answer(503, {"detail": KEY}),
        httpx.Response(429, text=f"<title>{KEY}</title>", headers={"retry-after": "9999"}),
        httpx.ConnectError(f"cannot connect with {KEY}"),
        httpx.ReadError(f"lost {KEY}"),
    ],
)
def test_the_key_is_in_no_failure_and_no_status_line(method, reply):
    """Whatever the server or the network echoes."""
    notes, client = Notes(), client_of(Script(reply))
    with pytest.raises(ProviderFailure) as caught:
        run(client.request(method, f"/serverless/{KEY}", body=body_for(method), voice=notes))
    texts = [str(caught.value), repr(caught.value), repr(client), *notes.lines, "".join(traceback.format_exception(caught.value))]
    shown = "\n".join(text.replace(f"/serverless/{KEY}", "") for text in texts)
    assert KEY not in shown


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_success_that_cannot_be_read_is_not_quoted(method):
    """A cut answer begins with whatever it holds: an environment variable's value, say."""
    cut = '{"env": {"TOKEN": "hunter2'
    problem = failed(Script(httpx.Response(200, text=cut, headers={"content-type": f"text/{KEY}"})), method)
    assert "the answer is not JSON (text/[secret])" in str(problem)
    assert "hunter2" not in "".join(traceback.format_exception(problem)) + repr(problem)


# -- set-up


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://api.runpod.io", "https://api.runpod.io/v2"),
        ("https://api.runpod.io/", "https://api.runpod.io/v2"),
        ("https://api.runpod.io/v2/", "https://api.runpod.io/v2"),
        (" https://gateway.example/runpod \n", "https://gateway.example/runpod/v2"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v2"),
        ("http://[::1]:8080/v2", "http://[::1]:8080/v2"),
    ],
)
def test_the_base_url_has_one_form(given, base):
    """With the version and without a trailing slash."""
    assert client_of(Script(answer()), base_url=given).base_url == base


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "http://api.runpod.io"}, "would send the API key unencrypted"),
        ({"base_url": "https://me:hunter2@api.runpod.io"}, "user name or a password"),
        ({"base_url": "localhost:80"}, "must be an http"),
        ({"api_key": ""}, "the API key is empty"),
        ({"api_key": "two words"}, "characters that cannot be part of an API key"),
    ],
)
def test_a_url_or_key_that_cannot_be_used_is_refused_without_being_shown(options, text):
    """Before any request."""
    with pytest.raises(NotConfigured, match=text) as caught:
        client_of(Script(answer()), **options)
    assert "hunter2" not in str(caught.value) and "two words" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"), [("ALL_PROXY", "socks9://nowhere"), ("SSL_CERT_FILE", "/nonexistent/certificates.pem")]
)
def test_an_environment_without_a_connection_is_named(monkeypatch, variable, value):
    """A wrong proxy or certificate file is the user's to mend, not a bug of ours."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(NotConfigured, match=variable):
        run(client_of(None).request("GET", "/serverless"))


def test_a_host_that_is_no_host_is_unreachable():
    """Some names are refused only when they are looked up."""
    problem = failed(None, base_url="https://xn--\u2010.example")
    assert isinstance(problem, ApiUnreachable)


def test_the_client_of_this_machine_heeds_no_proxy(monkeypatch):
    """An emulator is not to be sought through a company's proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def scenario():
        async with Listener(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as listener:
            client = Client(base_url=listener.url, api_key=KEY, user_agent="tests/1")
            await client.request("GET", "/serverless")
            await client.aclose()

    run(scenario())


# -- connections, over real sockets


class Listener:
    """A server that answers every request with the same bytes, after a delay, and may then hang up."""

    def __init__(self, reply: bytes, *, delay: float = 0.0, hangs_up: bool = False) -> None:
        self.reply, self.delay, self.hangs_up = reply, delay, hangs_up
        self.opened = self.open = 0
        self.was_asked = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.was_asked.set()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(reader.read(), self.delay)
                    break  # the caller hung up meanwhile
                writer.write(self.reply)
                await writer.drain()
                if self.hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open -= 1


def http(status: str, body: bytes, length: int | None = None) -> bytes:
    """Write an answer; its announced length may be wrong."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("reply", "options", "kind"),
    [
        (http("503 Service Unavailable", b"{}"), {}, ApiProblem),
        (http("422 Unprocessable Entity", b"{}"), {}, ApiProblem),
        (http("200 OK", b"<html>"), {}, ApiProblem),
        (http("200 OK", b'{"a": ', 99), {"hangs_up": True}, ApiUnreachable),
        (b"", {"hangs_up": True}, ApiUnreachable),
        (b"SSH-2.0-OpenSSH\r\n", {"hangs_up": True}, ApiUnreachable),
        (b"", {"delay": 0.5}, ApiUnreachable),
    ],
)
def test_no_connection_leaks_after_failed_retries(reply, options, kind):
    """Many requests that fail hold no connection afterwards, and closing leaves none."""

    async def scenario():
        async with Listener(reply, **options) as listener:
            client = client_of(None, base_url=listener.url, request_timeout_seconds=0.1, max_connections=4, max_attempts=3)
            ends = await asyncio.gather(*(client.request("GET", "/a") for _ in range(10)), return_exceptions=True)
            assert {type(end) for end in ends} == {kind}, ends
            assert listener.open <= 4
            await client.aclose()
            await client.aclose()
            for _ in range(50):
                if not listener.open:
                    break
                await asyncio.sleep(0.01)
            return listener.open

    assert run(scenario()) == 0
    gc.collect()  # an unclosed socket would warn here, and warnings are errors


def test_connections_are_kept_alive():
    """One handshake for many requests; a closed client opens a new one when it is asked again."""

    async def scenario():
        async with Listener(http("200 OK", b"{}")) as listener:
            client = client_of(None, base_url=listener.url)
            for _ in range(5):
                await client.request("GET", "/a")
            first = listener.opened
            await client.aclose()
            await client.request("GET", "/a")
            await client.aclose()
            return first, listener.opened

    assert run(scenario()) == (1, 2)


def test_a_cancelled_request_closes_its_connection():
    """A half-read answer must not be the beginning of the next one."""

    async def scenario():
        async with Listener(http("200 OK", b"{}"), delay=5.0) as listener:
            client = client_of(None, base_url=listener.url)
            stuck = asyncio.ensure_future(client.request("GET", "/a"))
            await listener.was_asked.wait()
            stuck.cancel()
            await asyncio.wait([stuck])
            listener.delay = 0.0
            answered = await client.request("GET", "/a")
            await client.aclose()
            return answered, listener.opened

    assert run(scenario()) == ({}, 2)


def test_a_client_is_made_outside_of_any_loop_and_belongs_to_the_first():
    """The door makes it where it configures itself."""
    client = client_of(Script(answer(200, {"a": 1})))
    assert run(client.request("GET", "/a")) == {"a": 1}
    assert json.dumps(repr(client)).count(KEY) == 0


def test_an_answer_that_takes_long_is_told_of_every_few_seconds():
    """Bounded by the time-out of the request; nothing is said of one that comes soon."""
    notes, told = Notes(), asyncio.Event()

    class Impatient(Notes):
        async def status(self, text: str) -> None:
            await super().status(text)
            if len(self.lines) == 3:
                told.set()

    async def slowly(request):
        await told.wait()
        return answer()

    impatient = Impatient()
    run(client_of(Script(slowly), notice_seconds=0.01).request("POST", "/serverless", body={}, voice=impatient))
    assert impatient.lines == ["waiting for Runpod's answer to POST /serverless (0 s)"] * 3
    run(client_of(Script(answer())).request("POST", "/serverless", body={}, voice=notes))
    assert notes.lines == []
