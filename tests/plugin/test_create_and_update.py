"""Create and Update, over the wire: requests, previews, and failures that keep a resource."""

from __future__ import annotations

import pytest

from plugin.support import KEY, TOKEN, URN, FakeCore, P, ask, detail, fail, plain, secret, struct
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire

UNKNOWN_TEXT = wire.UNKNOWN_STRING


def create(core, properties=None, **fields):
    """Create one resource."""
    return ask(core, "Create", P.CreateRequest(urn=URN, properties=struct(properties or {}), **fields))


def update(core, news=None, **fields):
    """Update one resource."""
    return ask(core, "Update", P.UpdateRequest(urn=URN, id="e1", news=struct(news or {}), **fields))


def request_of(rpc, **fields):
    """Build either request with the same planned inputs."""
    planned = struct(fields.pop("planned", {}))
    if rpc == "Create":
        return P.CreateRequest(urn=URN, properties=planned, **fields)
    return P.UpdateRequest(urn=URN, id="e1", news=planned, **fields)


def core_that(answer):
    """Answer creates and updates alike."""
    return FakeCore(create=answer, update=answer)


# -- Create


def test_the_core_gets_what_a_create_needs():
    """Inputs, secrets, time-out, and whether it is a preview."""
    core = FakeCore(create=verbs.Created("e1", {"a": 1, "b": [2.5, True, None]}))
    answer = create(core, {"env": {"A": secret("x")}, "n": 5}, timeout=90.0)
    (request,) = core.requests
    assert (request.token, request.urn, request.preview, request.timeout_seconds) == (TOKEN, URN, False, 90.0)
    assert request.inputs == {"env": {"A": "x"}, "n": 5} and type(request.inputs["n"]) is int
    assert request.secrets == {("env", "A")}
    assert answer.id == "e1" and plain(answer.properties) == {"a": 1, "b": [2.5, True, None]}


def test_a_preview_has_no_id_and_may_have_unknowns():
    """Also in what is secret, and inside of lists."""
    core = FakeCore(create=verbs.Created("", {"a": UNKNOWN, "list": [UNKNOWN, 1], "token": UNKNOWN}))
    answer = create(core, {"a": UNKNOWN_TEXT}, preview=True)
    assert core.requests[0].preview and core.requests[0].inputs == {"a": UNKNOWN}
    assert answer.id == ""
    assert plain(answer.properties) == {"a": UNKNOWN_TEXT, "list": [UNKNOWN_TEXT, 1], "token": secret(UNKNOWN_TEXT)}


@pytest.mark.parametrize("rpc", ["Create", "Update"])
def test_unknowns_outside_of_a_preview_are_refused_before_anything_is_touched(rpc):
    """They are a fault of the caller, and would become a request."""
    core = core_that(verbs.Created("i", {}))
    problem = fail(core, rpc, request_of(rpc, planned={"a": 1, "b": [{"c": UNKNOWN_TEXT}], "d": UNKNOWN_TEXT}))
    assert problem.code().name == "INVALID_ARGUMENT" and not core.requests
    assert "b is not known, although this is no preview" in problem.details() and "d is not known" in problem.details()


def test_no_unknown_and_no_nan_leaves_outside_of_a_preview():
    """By then the request has been carried out: an error would lose the resource."""
    outputs = {"a": UNKNOWN, "b": [UNKNOWN, 1], "c": float("nan"), "d": {"e": float("inf")}, "f": 2**60}
    answer = create(FakeCore(create=verbs.Created("e1", outputs)))
    assert answer.id == "e1" and plain(answer.properties) == {"b": [None, 1], "d": {"e": None}, "f": str(2**60)}


def test_outputs_that_cannot_be_written_keep_the_id():
    """Whatever went wrong, the resource exists."""

    class Odd:
        def __str__(self):
            raise RuntimeError("hunter2")

    problem = fail(FakeCore(create=verbs.Created("e1", {"a": Odd()})), "Create", P.CreateRequest(urn=URN))
    failed = detail(problem, P.ErrorResourceInitFailed())
    assert failed.id == "e1" and "could not be written (RuntimeError)" in failed.reasons[0] and "hunter2" not in str(problem)
    preview = fail(FakeCore(create=verbs.Created("", {"a": Odd()})), "Create", P.CreateRequest(urn=URN, preview=True))
    assert preview.code().name == "INTERNAL"


# -- Update


def test_the_core_gets_what_an_update_needs():
    """Prior outputs and inputs, the plan, secrets of both, what is ignored, time-out."""
    core = FakeCore(update=verbs.Updated({"a": 3}))
    answer = update(
        core,
        {"a": 3, "env": {"A": secret("x")}},
        olds=struct({"a": 1, "made": secret("y")}),
        old_inputs=struct({"a": 2}),
        ignoreChanges=["name"],
        timeout=5.0,
        preview=True,
    )
    (request,) = core.requests
    assert (request.token, request.urn, request.id, request.preview) == (TOKEN, URN, "e1", True)
    assert (request.outputs, request.old_inputs, request.news) == ({"a": 1, "made": "y"}, {"a": 2}, {"a": 3, "env": {"A": "x"}})
    assert request.secrets == {("env", "A"), ("made",)}
    assert (request.ignore_changes, request.timeout_seconds) == (("name",), 5.0)
    assert plain(answer.properties) == {"a": 3}


def test_a_previewed_update_may_have_unknowns():
    """What it may change is not known yet."""
    core = FakeCore(update=verbs.Updated({"a": UNKNOWN, "b": 1}))
    answer = update(core, {"a": UNKNOWN_TEXT}, preview=True)
    assert plain(answer.properties) == {"a": UNKNOWN_TEXT, "b": 1}


def test_what_was_secret_in_the_outputs_stays_so_after_an_update():
    """Nothing in the new inputs says so any more."""
    core = FakeCore(update=verbs.Updated({"made": "y", "env": {"B": "z"}}))
    answer = update(core, {"env": {"B": "z"}}, olds=struct({"made": secret("y"), "env": {"A": secret("x"), "B": "z"}}))
    assert plain(answer.properties) == {"made": secret("y"), "env": secret({"B": "z"})}


# -- failures that keep the resource


@pytest.mark.parametrize("rpc", ["Create", "Update"])
def test_a_created_but_failed_resource_keeps_its_id(rpc):
    """Its properties are known, its secrets wrapped, its reasons clean, and the rich status agrees with the plain one."""
    problem = failures.CreatedButFailed(
        "e1",
        {"token": "t0ps", "a": UNKNOWN, "env": {"A": "x", "B": "y"}, "made": "m", "is": True},
        (f"no capacity for {KEY}", "", "and not 'x'"),
        secrets=frozenset({("made",)}),
    )
    caught = fail(core_that(problem), rpc, request_of(rpc, planned={"env": {"A": secret("x")}, "is": secret(True)}))
    failed = detail(caught, P.ErrorResourceInitFailed())
    assert caught.code().name == "UNKNOWN"
    assert failed.id == "e1" and list(failed.reasons) == ["no capacity for [secret]", "and not '[secret]'"]
    assert plain(failed.properties) == {
        "token": secret("t0ps"),
        "env": secret({"A": "x", "B": "y"}),
        "made": secret("m"),
        "is": secret(True),  # what the call says is secret, where no text gives it away
    }
    assert not failed.HasField("inputs")
    assert caught.details() == f"{TOKEN} 'llm': no capacity for [secret]; and not '[secret]'"


def test_a_failure_without_reasons_has_one():
    """The engine shows them instead of the message."""
    caught = fail(core_that(failures.CreatedButFailed("e1", {}, ())), "Create", request_of("Create"))
    assert list(detail(caught, P.ErrorResourceInitFailed()).reasons) == ["its creation did not finish"]


def test_partial_properties_that_cannot_be_written_do_not_cost_the_id():
    """Without it the resource runs on, paid for and unmanaged."""

    class Odd:
        def __str__(self):
            raise RuntimeError

    caught = fail(core_that(failures.CreatedButFailed("e1", {"a": Odd()}, ("r",))), "Create", request_of("Create"))
    failed = detail(caught, P.ErrorResourceInitFailed())
    assert failed.id == "e1" and plain(failed.properties) == {}


def test_a_very_long_reason_still_arrives():
    """The plain message is cut, as a header must stay small; the reasons are whole."""
    caught = fail(core_that(failures.CreatedButFailed("e1", {}, ("x" * 20_000,))), "Create", request_of("Create"))
    assert len(caught.details()) == 8000 and caught.details().endswith(" …")
    assert len(detail(caught, P.ErrorResourceInitFailed()).reasons[0]) == 20_000


# -- failures


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (failures.CheckFailed([failures.Failure(("a",), "bad"), failures.Failure(("b",), "worse")]), "INVALID_ARGUMENT"),
        (failures.Refused("no"), "FAILED_PRECONDITION"),
        (failures.NotConfigured("no"), "FAILED_PRECONDITION"),
        (failures.ApiProblem("GET", "/x", 400), "FAILED_PRECONDITION"),
        (failures.ApiProblem("GET", "/x", 401), "UNAUTHENTICATED"),
        (failures.ApiProblem("GET", "/x", 403), "PERMISSION_DENIED"),
        (failures.ApiProblem("GET", "/x", 404), "NOT_FOUND"),
        (failures.ApiProblem("GET", "/x", 422), "FAILED_PRECONDITION"),
        (failures.ApiProblem("GET", "/x", 429), "RESOURCE_EXHAUSTED"),
        (failures.ApiProblem("GET", "/x", 503), "UNAVAILABLE"),
        (failures.ApiUnreachable("GET", "/x", "down"), "UNAVAILABLE"),
        (failures.OutcomeUnknown("POST", "/x", "cut"), "UNAVAILABLE"),
        (failures.ProviderFailure("new kind"), "FAILED_PRECONDITION"),
        (failures.ProviderFailure(), "FAILED_PRECONDITION"),
        (failures.CheckFailed([]), "INVALID_ARGUMENT"),
        (ValueError(f"boom {KEY}"), "INTERNAL"),
    ],
)
@pytest.mark.parametrize("rpc", ["Create", "Update"])
def test_every_failure_has_its_code_and_names_the_resource(rpc, problem, code):
    """Only a bug makes the CLI call the state corrupt; none holds the key."""
    caught = fail(core_that(problem), rpc, request_of(rpc))
    assert caught.code().name == code
    prefix = f"{TOKEN} 'llm':"
    assert caught.details().startswith(prefix) and len(caught.details()) > len(prefix) and KEY not in caught.details()
    if code == "INTERNAL":
        assert "ValueError at support.py:" in caught.details() and "please report" in caught.details()
    if isinstance(problem, failures.CheckFailed) and problem.failures:
        assert caught.details().endswith("\n  - a: bad\n  - b: worse")


def test_secrets_of_the_request_are_redacted_from_its_errors():
    """Wherever its inputs held them; short ones only in quotes. Outputs are secret as a whole, so that they say nothing of a part."""
    core = core_that(failures.Refused("no hunter2, oldpass, 12345 or mysecret in 'ab', but about"))
    request = P.UpdateRequest(
        urn=URN,
        news=struct({"x": secret({"y": "hunter2", "n": 12345}), "z": secret("ab")}),
        olds=struct({"env": secret({"A": "about"})}),
        old_inputs=struct({"token": "mysecret", "o": secret("oldpass")}),
    )
    caught = fail(core, "Update", request)
    assert caught.details().endswith("no [secret], [secret], [secret] or [secret] in '[secret]', but about")


def test_a_malformed_request_is_an_invalid_argument():
    """It fails typed, with the path and without the value."""
    bad = struct({"a": {"b": [{wire.SIGNATURE_KEY: wire.SECRET}]}})
    caught = fail(FakeCore(), "Create", P.CreateRequest(urn=URN, properties=bad))
    assert caught.code().name == "INVALID_ARGUMENT" and caught.details() == f"{TOKEN} 'llm': a.b[0]: a secret without a value"


def test_a_failure_of_the_wording_itself_is_still_a_status():
    """The last line of defence: two faults at once."""

    class Worse(failures.Refused):
        def __str__(self):
            raise RuntimeError("hunter2")

    caught = fail(core_that(Worse()), "Create", request_of("Create"))
    assert (
        caught.code().name == "INTERNAL" and "(Worse, then RuntimeError)" in caught.details() and "hunter2" not in caught.details()
    )
