"""The texts of failures: what was attempted, what came back, what to do."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core.failures import (
    ApiProblem,
    ApiUnreachable,
    CheckFailed,
    CreatedButFailed,
    Failure,
    OutcomeUnknown,
    ProviderFailure,
    worded,
)


def _problem(**facts: Any) -> ApiProblem:
    return ApiProblem("POST", "/serverless", **{"status": 400, **facts})


TEXTS: Final = [
    (_problem(), "Runpod answered 400 to POST /serverless: no explanation"),
    (_problem(title="Bad Request"), "Runpod answered 400 to POST /serverless: Bad Request"),
    (_problem(title="Bad Request", detail="it is bad"), "Runpod answered 400 to POST /serverless: it is bad"),
    (_problem(detail="it is bad", errors=("a: x", "b: y")), "Runpod answered 400 to POST /serverless: it is bad (a: x; b: y)"),
    (_problem(detail="it is bad", request_id="r-1"), "Runpod answered 400 to POST /serverless, request r-1: it is bad"),
    (
        _problem(detail="it is bad").explained("creating the endpoint 'x'"),
        "creating the endpoint 'x' failed: Runpod answered 400 to POST /serverless: it is bad",
    ),
    (
        _problem(detail="it is bad").explained("creating it", "Do better."),
        "creating it failed: Runpod answered 400 to POST /serverless: it is bad. Do better.",
    ),
    (
        _problem(detail="It is bad.").explained("creating it", "Do better."),
        "creating it failed: Runpod answered 400 to POST /serverless: It is bad. Do better.",
    ),
    (ApiUnreachable("GET", "/x", "no route"), "Runpod could not be reached for GET /x: no route"),
    (OutcomeUnknown("POST", "/x", "no answer"), "it is not known whether POST /x took effect: no answer"),
    (
        OutcomeUnknown("POST", "/x", "no answer").advised("Look there."),
        "it is not known whether POST /x took effect: no answer. Look there.",
    ),
    (CreatedButFailed("id0", {}, ("one", "two")), "one; two"),
    (CheckFailed([Failure(("a", 0), "is bad"), Failure((), "all is bad")]), "a[0]: is bad; all is bad"),
]


@pytest.mark.parametrize(("failure", "text"), TEXTS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_text_of_a_failure(failure: ProviderFailure, text: str) -> None:
    """It can be acted on alone, and no sentence ends twice."""
    assert str(failure) == text


@pytest.mark.parametrize(("status", "word"), [(401, "RUNPOD_API_KEY"), (403, "read and write access")])
def test_some_statuses_say_by_themselves_what_to_do(status: int, word: str) -> None:
    """Unless the resource knows better."""
    assert word in str(_problem(status=status).explained("x"))
    assert word not in str(_problem(status=status).explained("x", "Wait."))


def test_only_what_was_there_can_be_gone() -> None:
    """Of what has an id, that is, and not of what is to be created, nor of a list."""
    for method in ("GET", "PATCH", "DELETE"):
        assert "gone from Runpod; run `pulumi refresh`" in str(ApiProblem(method, "/serverless/x", 404).explained("x"))
        assert "gone" not in str(ApiProblem(method, "/serverless", 404).explained("x"))
    assert "gone" not in str(ApiProblem("POST", "/serverless", 404).explained("x"))
    assert "gone" not in str(ApiProblem("POST", "/serverless/x", 404).explained("x"))


def test_all_failures_are_of_one_family() -> None:
    """Doors catch one class."""
    assert all(isinstance(failure, ProviderFailure) for failure, _ in TEXTS)


def test_what_nobody_expected_is_named_by_its_place_and_never_quoted() -> None:
    """Its text may hold part of a secret."""
    said = worded(ValueError("hunter2"))
    assert said == "internal error (ValueError); this is a bug in pulumi-runpod-serverless, please report it"
    try:
        int("hunter2")
    except ValueError as problem:
        said = worded(problem)
    assert "ValueError at test_core_failures.py:" in said and "hunter2" not in said


def test_many_failures_are_a_list() -> None:
    """One line each."""
    assert worded(CheckFailed([Failure(("gpu",), "is bad"), Failure((), "so is all")])) == "\n  - gpu: is bad\n  - so is all"
    assert worded(CheckFailed([])) == "the inputs are not valid"
    assert worded(ProviderFailure()) == "ProviderFailure"
