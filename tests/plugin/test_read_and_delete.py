"""Read (import, get, refresh) and Delete, over the wire."""

from __future__ import annotations

import pytest

from plugin.support import TOKEN, URN, FakeCore, P, ask, detail, fail, plain, secret, struct
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.plugin import wire


def read(core, **fields):
    """Read one resource."""
    return ask(core, "Read", P.ReadRequest(urn=URN, id="e1", **fields))


def test_a_gone_resource_is_a_bare_answer():
    """A touched `properties` would make a phantom."""
    answer = read(FakeCore(read=None))
    assert answer == P.ReadResponse() and not answer.HasField("properties") and not answer.HasField("inputs")


def test_an_import_has_properties_and_inputs_even_where_they_are_empty():
    """Without properties the engine takes it for deleted, without inputs for a type that cannot be imported."""
    core = FakeCore(read=verbs.Observed("e1", {}, {}))
    answer = read(core)
    assert answer.HasField("properties") and answer.HasField("inputs") and answer.id == "e1"
    (request,) = core.requests
    assert (request.token, request.urn, request.id) == (TOKEN, URN, "e1")
    assert (request.inputs, request.outputs, request.secrets) == ({}, {}, frozenset())


def test_an_import_keeps_secret_what_the_core_calls_so():
    """No input says it; every value of an environment may be one."""
    found = verbs.Observed("e1", {"env": {"A": "x"}, "n": 1}, {"env": {"A": "x"}, "token": "t"}, frozenset({("env", "A")}))
    answer = read(FakeCore(read=found))
    assert plain(answer.inputs) == {"env": {"A": secret("x")}, "n": 1}
    assert plain(answer.properties) == {"env": secret({"A": "x"}), "token": secret("t")}


def test_a_refresh_keeps_secret_what_was_so_in_inputs_or_outputs():
    """The API returns everything in clear; inputs are as secret as they were, in the same places, and outputs as a whole."""

    async def observe(request):
        return verbs.Observed("e1", {"env": {"A": "x", "B": "y"}}, {"env": {"A": "x", "B": "y"}, "made": "m"}, request.secrets)

    core = FakeCore(read=observe)
    answer = read(core, inputs=struct({"env": {"A": secret("x"), "B": "y"}}), properties=struct({"made": secret("m")}))
    assert plain(answer.inputs) == {"env": {"A": secret("x"), "B": "y"}}
    assert plain(answer.properties) == {"env": secret({"A": "x", "B": "y"}), "made": secret("m")}
    (request,) = core.requests
    assert request.secrets == {("env", "A")}
    assert (request.inputs, request.outputs) == ({"env": {"A": "x", "B": "y"}}, {"made": "m"})


def test_a_get_without_inputs_keeps_secret_what_was_so_in_its_outputs():
    """There is nothing else that could say it."""

    async def observe(request):
        return verbs.Observed("e1", {"a": 1}, {"a": 1}, request.secrets)

    core = FakeCore(read=observe)
    answer = read(core, properties=struct({"a": secret(1)}))
    assert core.requests[0].secrets == {("a",)}
    assert plain(answer.inputs) == plain(answer.properties) == {"a": secret(1)}


def test_the_id_is_that_of_the_request_unless_the_core_knows_better():
    """Only a read may change it."""
    assert read(FakeCore(read=verbs.Observed("", {}, {}))).id == "e1"
    assert read(FakeCore(read=verbs.Observed("e2", {}, {}))).id == "e2"


def test_no_unknown_leaves_a_read():
    """The engine would refuse the whole answer."""
    from runpod_serverless_provider.core.values import UNKNOWN

    answer = read(FakeCore(read=verbs.Observed("e1", {"a": UNKNOWN}, {"a": UNKNOWN, "b": [UNKNOWN]})))
    assert plain(answer.inputs) == {} and plain(answer.properties) == {"b": [None]}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_what_cannot_be_read_is_an_error_and_never_gone(status):
    """An empty answer would drop a live resource from the state."""
    problem = fail(FakeCore(read=failures.ApiProblem("GET", "/x", status)), "Read", P.ReadRequest(urn=URN, id="e1"))
    assert f"Runpod answered {status}" in problem.details()


@pytest.mark.parametrize(
    ("own", "inputs"),
    [({"env": {"A": "x", "B": "y"}}, {"env": {"A": secret("x"), "B": "y"}}), ({}, {"env": {"A": secret("x")}})],
)
def test_an_unhealthy_resource_is_kept_with_its_reasons(own, inputs):
    """With the observed inputs, as secret as they were, or those of the state where the core gives none."""
    secrets = frozenset({("env", "A")})
    problem = failures.CreatedButFailed("e1", {"b": 2}, ("workers are unhealthy",), inputs=own, secrets=secrets)
    outputs = struct({"env": secret({"A": "x", "B": "y"})})
    request = P.ReadRequest(urn=URN, id="e1", inputs=struct({"env": {"A": secret("x")}}), properties=outputs)
    failed = detail(fail(FakeCore(read=problem), "Read", request), P.ErrorResourceInitFailed())
    assert (failed.id, list(failed.reasons)) == ("e1", ["workers are unhealthy"])
    assert plain(failed.properties) == {"b": 2} and plain(failed.inputs) == inputs


def test_a_delete_gives_the_core_the_whole_prior_state():
    """Outputs, old inputs, time-out."""
    core = FakeCore(delete=None)
    request = P.DeleteRequest(urn=URN, id="e1", properties=struct({"a": secret(1)}), old_inputs=struct({"b": 2}), timeout=7.0)
    ask(core, "Delete", request)
    (seen,) = core.requests
    assert (seen.token, seen.urn, seen.id, seen.timeout_seconds) == (TOKEN, URN, "e1", 7.0)
    assert (seen.outputs, seen.old_inputs) == ({"a": 1}, {"b": 2})


def test_a_refused_delete_keeps_the_resource_and_its_secrets():
    """It stays in the state, and is tried again."""
    core = FakeCore(delete=failures.Refused("protected 'x'"))
    problem = fail(core, "Delete", P.DeleteRequest(urn=URN, id="e1", old_inputs=struct({"a": secret("x")})))
    assert problem.code().name == "FAILED_PRECONDITION" and problem.details() == f"{TOKEN} 'llm': protected '[secret]'"


def test_a_malformed_state_is_an_invalid_argument():
    """In either verb."""
    bad = struct({"a": {wire.SIGNATURE_KEY: "what"}})
    assert fail(FakeCore(), "Read", P.ReadRequest(urn=URN, properties=bad)).code().name == "INVALID_ARGUMENT"
    assert fail(FakeCore(), "Delete", P.DeleteRequest(urn=URN, properties=bad)).code().name == "INVALID_ARGUMENT"
