"""Invoke and List, over the wire."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from plugin.support import KEY, TOKEN, FakeCore, P, ask, fail, plain, run, secret, serving, struct
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire

FUNCTION = "runpod-serverless:index:getEndpoint"


def listed(core, **fields):
    """List one type, and give the whole stream."""

    async def scenario():
        async with serving(core) as served:
            return [MessageToDict(answer) async for answer in served.stub.List(P.ListRequest(token=TOKEN, **fields))]

    return run(scenario())


def found(count):
    """Let this many resources exist."""
    return FakeCore(list_all=[verbs.Listed(f"id{number}", f"name{number}") for number in range(count)])


def test_a_function_gets_its_arguments_and_answers_with_its_secrets_wrapped():
    """A secret part makes its property secret, as in outputs."""
    core = FakeCore(invoke=verbs.Invoked({"env": {"A": "x"}, "n": 1, "u": UNKNOWN}, frozenset({("env", "A")})))
    answer = ask(core, "Invoke", P.InvokeRequest(tok=FUNCTION, args=struct({"id": secret("e1")})))
    assert (core.requests[0].token, core.requests[0].arguments) == (FUNCTION, {"id": "e1"})
    assert plain(getattr(answer, "return")) == {"env": secret({"A": "x"}), "n": 1} and not answer.failures


def test_wrong_arguments_are_failures_of_the_call():
    """Named only where their value is no secret."""
    wrong = (failures.Failure(("id",), "not 'hunter2'"), failures.Failure(("name",), "too long"))
    core = FakeCore(invoke=verbs.Invoked({}, failures=wrong))
    answer = ask(core, "Invoke", P.InvokeRequest(tok=FUNCTION, args=struct({"id": secret("hunter2"), "name": "x"})))
    assert [(failure.property, failure.reason) for failure in answer.failures] == [
        ("", "id: not '[secret]'"),
        ("name", "name: too long"),
    ]


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (failures.NoSuchFunction(FUNCTION), "INVALID_ARGUMENT", f"runpod-serverless has no function {FUNCTION!r}"),
        (KeyError("region"), "INTERNAL", "internal error (KeyError"),
        (failures.ApiProblem("GET", "/x", 404), "NOT_FOUND", "Runpod answered 404"),
        (RuntimeError(KEY), "INTERNAL", "RuntimeError"),
    ],
)
def test_a_failed_function_has_its_code(problem, code, text):
    """As any other RPC."""
    caught = fail(FakeCore(invoke=problem), "Invoke", P.InvokeRequest(tok=FUNCTION))
    assert caught.code().name == code and text in caught.details() and KEY not in caught.details()


@pytest.mark.parametrize(
    ("count", "fields", "shown", "token"),
    [
        (0, {}, 0, None),
        (5, {}, 5, None),
        (5, {"limit": 2}, 2, None),
        (5, {"limit": 9}, 5, None),
        (5, {"limit": -1}, 5, None),
        (5, {"page_size": 2}, 2, "2"),
        (5, {"page_size": 5}, 5, None),
        (5, {"page_size": 2, "limit": 4}, 2, "2"),
        (5, {"page_size": 2, "continuation_token": "4"}, 1, None),
        (5, {"continuation_token": "9"}, 0, None),
    ],
)
def test_a_list_is_a_stream_of_ids_and_names_that_may_be_continued(count, fields, shown, token):
    """Within the limit of the caller and the size of a page."""
    answers = listed(found(count), **fields)
    results = [answer["result"] for answer in answers if "result" in answer]
    start = int(fields.get("continuation_token", "0"))
    assert results == [{"id": f"id{number}", "name": f"name{number}"} for number in range(start, start + shown)]
    tokens = [answer["continuation"]["continuationToken"] for answer in answers if "continuation" in answer]
    assert tokens == ([token] if token else [])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"query": struct({"name": "x"})}, "nothing narrows a list of 'runpod-serverless:index:Endpoint', so it takes no 'name'"),
        ({"query": struct({"name": wire.UNKNOWN_STRING})}, "so it takes no 'name'"),
        ({"continuation_token": "nonsense"}, "'nonsense' continues no list of this provider"),
        ({"continuation_token": "-1"}, "'-1' continues no list of this provider"),
    ],
)
def test_what_a_list_cannot_take_is_refused(fields, said):
    """Ignored, it would give what nobody asked for, or begin anew without an end."""
    core = found(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        listed(core, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT and said in caught.value.details()
    assert not core.requests


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (failures.NoSuchType("x"), "INVALID_ARGUMENT"),
        (KeyError("x"), "INTERNAL"),
        (failures.ApiUnreachable("GET", "/x", "c"), "UNAVAILABLE"),
    ],
)
def test_a_failed_list_fails_on_its_first_message(problem, code):
    """With a typed code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        listed(FakeCore(list_all=problem))
    assert caught.value.code().name == code
