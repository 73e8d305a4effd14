"""Bodies to and from bytes."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.api import bodies

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_an_integral_double_is_written_as_an_integer():
    """The API refuses `5.0` where it wants an integer; real fractions stay."""
    body = {"workers": {"min": 0.0, "max": 5.0}, "scaling": {"queueDelay": 0.5}, "flags": [True, 1.0], "pair": (2.0,), "none": None}
    assert (
        bodies.encode(body) == b'{"workers":{"min":0,"max":5},"scaling":{"queueDelay":0.5},"flags":[true,1],"pair":[2],"none":null}'
    )


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_body_arrives_as_it_was_meant(body):
    """Only the spelling of numbers changes."""
    assert json.loads(bodies.encode(body)) == body


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json_is_not_sent(number):
    """A server would read it in its own way, or not at all."""
    with pytest.raises(ValueError, match="Out of range"):
        bodies.encode({"a": number})


def test_what_json_cannot_hold_is_not_sent():
    """An UNKNOWN, bytes or a model in a body is our mistake."""
    for value in (b"bytes", object(), {1, 2}):
        with pytest.raises(TypeError):
            bodies.encode({"a": value})


@pytest.mark.parametrize("content", [b'{"a": [1]}', b"[]", b'\n [{"id": "x"}]'])
def test_objects_and_lists_are_answers(content):
    """As they were written."""
    assert bodies.decode(content) == json.loads(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the answer has no body"),
        (b" \n", "the answer has no body"),
        (b'{"a": ', "the answer is not JSON"),
        (b"<html>", "the answer is not JSON"),
        (b"\xff\xfe\xfa", "the answer is not JSON"),
        (b'{"a": NaN}', "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b'"ok"', "the answer is neither a JSON object nor a list"),
        (b"null", "the answer is neither a JSON object nor a list"),
    ],
)
def test_anything_else_is_not_usable(content, reason):
    """No operation of the API answers with a bare value, and the text of a success may hold secrets: it is not quoted."""
    with pytest.raises(bodies.NotUsable, match=f"^{reason}$"):
        bodies.decode(content)


@given(st.binary(max_size=60))
def test_no_body_crashes(content):
    """It comes from outside."""
    with contextlib.suppress(bodies.NotUsable):
        assert isinstance(bodies.decode(content), dict | list)
