"""Check and Diff, over the wire."""

from __future__ import annotations

import pytest

from plugin.support import KEY, TOKEN, URN, FakeCore, P, ask, fail, plain, secret, struct
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.core.failures import Failure
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire

MODES = P.CheckRequest.AutonamingOptions


def as_given(found=()):
    """Answer a check with the given inputs and these failures."""

    async def check(request):
        return verbs.Checked(inputs=request.news, failures=tuple(found))

    return FakeCore(check=check)


def check(core, news, olds=None, **fields):
    """Check one resource."""
    return ask(core, "Check", P.CheckRequest(urn=URN, news=struct(news), olds=struct(olds or {}), **fields))


# -- Check


def test_the_core_gets_all_that_a_check_depends_on():
    """Prior inputs, seed, name, and what is secret."""
    core = as_given()
    check(core, {"env": {"A": secret("x")}, "n": wire.UNKNOWN_STRING}, {"name": "old"}, randomSeed=b"seed")
    (request,) = core.requests
    assert (request.token, request.name, request.olds) == (TOKEN, "llm", {"name": "old"})
    assert request.news == {"env": {"A": "x"}, "n": UNKNOWN} and request.secrets == {("env", "A")}
    assert (request.random_seed, request.autonaming, request.proposed_name) == (b"seed", None, "")


def test_on_create_there_are_no_olds_and_perhaps_no_seed():
    """`pulumi do` and imports send none."""
    core = as_given()
    ask(core, "Check", P.CheckRequest(urn=URN))
    assert core.requests[0].olds == {} and core.requests[0].news == {} and core.requests[0].random_seed == b""


@pytest.mark.parametrize(
    ("mode", "autonaming"),
    [
        (MODES.PROPOSE, verbs.Autonaming.PROPOSE),
        (MODES.ENFORCE, verbs.Autonaming.ENFORCE),
        (MODES.DISABLE, verbs.Autonaming.DISABLE),
        (77, verbs.Autonaming.PROPOSE),
    ],
)
def test_the_naming_mode_reaches_the_core(mode, autonaming):
    """A mode of a later engine is taken for a proposal."""
    core = as_given()
    check(core, {}, autonaming=MODES(proposed_name="llm-dev", mode=mode))
    assert (core.requests[0].autonaming, core.requests[0].proposed_name) == (autonaming, "llm-dev")


def test_inputs_come_back_in_the_users_own_form():
    """Order, nesting, unknowns, secrets and keys that we do not know: inputs are what a diff shows."""
    news = {
        "list": ["b", "a", secret("c"), wire.UNKNOWN_STRING, None],
        "map": {"z": 1, "a": {"null": None, "empty": {}, "none": []}},
        "number": 0.5,
        "flag": False,
        "unknown": secret(wire.UNKNOWN_STRING),
        "__defaults": ["name"],
        "laterField": "x",
    }
    answer = check(as_given(), news)
    assert plain(answer.inputs) == news and not answer.failures


def test_secrets_of_the_schema_and_of_the_user_come_back_as_secrets():
    """The engine copies none by itself any more."""
    answer = check(as_given(), {"token": "t", "env": secret({"A": "x"}), "open": "y"})
    assert plain(answer.inputs) == {"token": secret("t"), "env": secret({"A": "x"}), "open": "y"}


def test_a_default_kept_from_a_secret_stays_secret():
    """A property that the program states itself is as secret as it says."""
    core = FakeCore(check=verbs.Checked(inputs={"image": "i", "env": {"A": "x"}}))
    answer = check(core, {"env": {"A": "x"}}, {"image": secret("i"), "env": {"A": secret("x")}})
    assert plain(answer.inputs) == {"image": secret("i"), "env": {"A": "x"}}


def test_failures_name_a_property_only_where_the_cli_may_print_its_value():
    """The top-level name of what was given; nothing for secrets, for what holds one, for what is absent, or for no property at all."""
    news = {"workers": {"max": 1}, "env": {"A": secret("hunter2")}, "token": "t0ken", "list": [1]}
    found = (
        Failure(("workers", "max"), "too big"),
        Failure(("list", 0), "bad"),
        Failure(("env", "A"), "not 'hunter2'"),
        Failure(("env", "B"), "missing"),
        Failure(("token",), "not t0ken"),
        Failure(("gpu",), "needed"),
        Failure((), f"odd {KEY}"),
    )
    answer = check(as_given(found), news)
    assert [(failure.property, failure.reason) for failure in answer.failures] == [
        ("workers", "workers.max: too big"),
        ("list", "list[0]: bad"),
        ("", "env.A: not '[secret]'"),
        ("", "env.B: missing"),
        ("", "token: not [secret]"),
        ("", "gpu: needed"),
        ("", "odd [secret]"),
    ]


def test_a_core_that_raises_its_failures_is_answered_the_same():
    """They are an answer, not an error."""
    core = FakeCore(check=failures.CheckFailed([Failure(("a",), "bad")]))
    answer = check(core, {"a": 1})
    assert [(failure.property, failure.reason) for failure in answer.failures] == [("a", "a: bad")]
    assert plain(answer.inputs) == {"a": 1}


def test_a_whole_secret_hides_every_property():
    """A secret at the root covers all."""
    assert wire.is_secret_within("a", frozenset({()}))


# -- Diff


def diff(core, **fields):
    """Diff one resource."""
    return ask(core, "Diff", P.DiffRequest(urn=URN, **fields))


def test_the_core_gets_the_prior_state_and_the_plan():
    """Outputs, old inputs, new inputs with unknowns, what is ignored, and who it is about."""
    core = FakeCore(diff=verbs.Difference())
    diff(
        core,
        id="e1",
        olds=struct({"a": 1}),
        old_inputs=struct({"a": secret(2)}),
        news=struct({"a": secret(3), "u": wire.UNKNOWN_STRING}),
        ignoreChanges=["env", 'env["A"]'],
    )
    (request,) = core.requests
    assert (request.token, request.id, request.urn) == (TOKEN, "e1", URN)
    assert (request.outputs, request.old_inputs, request.news) == ({"a": 1}, {"a": 2}, {"a": 3, "u": UNKNOWN})
    assert request.secrets == {("a",)} and request.ignore_changes == ("env", 'env["A"]')


def test_a_plan_fills_every_field_of_the_answer():
    """Top-level names and detailed paths agree, and each path tells where its old value stands."""
    changes = (
        verbs.Change(("env", "A.B"), verbs.Kind.ADD),
        verbs.Change(("gpu",), verbs.Kind.UPDATE_REPLACE, in_inputs=False),
        verbs.Change(("env", "C"), verbs.Kind.DELETE),
        verbs.Change(("volume", 0), verbs.Kind.ADD_REPLACE),
        verbs.Change(("cpu",), verbs.Kind.DELETE_REPLACE),
        verbs.Change(("workers", "max"), verbs.Kind.UPDATE),
    )
    answer = diff(FakeCore(diff=verbs.Difference(changes, delete_before_replace=True, stables=("id",))))
    assert answer.changes == P.DiffResponse.DIFF_SOME and answer.hasDetailedDiff and answer.deleteBeforeReplace
    assert list(answer.diffs) == ["env", "gpu", "volume", "cpu", "workers"]
    assert list(answer.replaces) == ["gpu", "volume", "cpu"] and list(answer.stables) == ["id"]
    kinds = P.PropertyDiff
    assert {path: (entry.kind, entry.inputDiff) for path, entry in answer.detailedDiff.items()} == {
        'env["A.B"]': (kinds.ADD, True),
        "gpu": (kinds.UPDATE_REPLACE, False),
        "env.C": (kinds.DELETE, True),
        "volume[0]": (kinds.ADD_REPLACE, True),
        "cpu": (kinds.DELETE_REPLACE, True),
        "workers.max": (kinds.UPDATE, True),
    }


def test_no_change_is_said_explicitly():
    """An unknown answer would make the engine compare by itself, and lose what replaces."""
    answer = diff(FakeCore(diff=verbs.Difference()))
    assert answer.changes == P.DiffResponse.DIFF_NONE and answer.hasDetailedDiff
    assert not answer.diffs and not answer.replaces and not answer.detailedDiff


def test_a_change_without_a_path_is_a_change():
    """An engine that heard of none would skip the update."""
    answer = diff(FakeCore(diff=verbs.Difference((verbs.Change((), verbs.Kind.UPDATE),))))
    assert answer.changes == P.DiffResponse.DIFF_SOME and not answer.diffs and not answer.detailedDiff


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("env", "A"), "env.A"),
        (("env", ""), 'env[""]'),
        (("env", "1A"), 'env["1A"]'),
        (("env", "a b"), 'env["a b"]'),
        (("env", 'a"b'), 'env["a\\"b"]'),
        (("env", "A]"), 'env["A]"]'),
        (("env", "A\\"), "env"),
        (("env", "A\\", 0), "env"),
    ],
)
def test_paths_are_written_as_the_engine_reads_them(path, text):
    """One that it cannot read stops the whole run; a key without a spelling is left to its parent."""
    answer = diff(FakeCore(diff=verbs.Difference((verbs.Change(path, verbs.Kind.UPDATE),))))
    assert list(answer.detailedDiff) == [text] and list(answer.diffs) == ["env"]


def test_of_two_changes_on_one_path_the_replacement_counts():
    """Whatever their order."""
    changes = (verbs.Change(("env", "A\\"), verbs.Kind.UPDATE_REPLACE), verbs.Change(("env", "B\\"), verbs.Kind.UPDATE))
    for order in (changes, changes[::-1]):
        assert diff(FakeCore(diff=verbs.Difference(order))).detailedDiff["env"].kind == P.PropertyDiff.UPDATE_REPLACE


def test_a_prior_state_of_odd_shape_is_no_error():
    """An older version may have written it: whatever is valid on the wire reaches the core."""
    core = FakeCore(diff=verbs.Difference())
    diff(core, olds=struct({"workers": "three", "env": [1], "x": None}), old_inputs=struct({"gpu": {"a": 1}}))
    assert core.requests[0].outputs == {"workers": "three", "env": [1]} and core.requests[0].old_inputs == {"gpu": {"a": 1}}


def test_a_failed_plan_has_its_code():
    """A refusal to plan is no bug."""
    problem = fail(FakeCore(diff=failures.Refused("protected")), "Diff", P.DiffRequest(urn=URN))
    assert problem.code().name == "FAILED_PRECONDITION" and problem.details() == f"{TOKEN} 'llm': protected"
