"""Error answers, whatever their form, and the cleaning of foreign text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.api.problems import clean, parse_problem

KEY = "rpa_T0PSECRET+KEY=="


def parse(content, status=422, headers=None, path="/serverless"):
    """Read one answer to a POST."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_problem("POST", path, status, headers or {}, text, KEY)


def test_problem_json_is_read_whole():
    """Title, detail, each error, and the id to quote to Runpod's support."""
    problem = parse(
        {"title": "Unprocessable Entity", "status": 422, "detail": "Request validation failed.", "errors": ["$.name: too long"]},
        headers={"x-request-id": "req-1"},
    )
    assert str(problem) == ("Runpod answered 422 to POST /serverless, request req-1: Request validation failed. ($.name: too long)")
    assert (problem.status, problem.title, problem.errors) == (422, "Unprocessable Entity", ("$.name: too long",))


def test_a_gateway_s_ray_id_serves_where_there_is_no_request_id():
    """An answer from before the API has no other."""
    assert parse({}, headers={"cf-ray": "abc-FRA"}).request_id == "abc-FRA"
    assert parse({}).request_id is None


@pytest.mark.parametrize(
    ("errors", "texts"),
    [
        ([{"location": "body.name", "message": "too long"}], ("body.name: too long",)),
        ([{"path": "gpu", "detail": "unknown"}, {"field": "a"}, {"reason": "r"}], ("gpu: unknown", "a", "r")),
        ([5, None, "", {}, ["x"], "kept"], ("kept",)),
        ({"a": "b"}, ()),
        ([f"e{number}" for number in range(50)], tuple(f"e{number}" for number in range(20))),
    ],
)
def test_errors_of_other_shapes_are_read_too(errors, texts):
    """As the document promises strings, and as such lists look elsewhere; never more than one can read."""
    assert parse({"errors": errors}).errors == texts


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ({"detail": "d", "message": "m"}, "d"),
        ({"detail": " ", "message": "m"}, "m"),
        ({"error": "e"}, "e"),
        ({"detail": {"nested": 1}}, ""),
        ("just text", "just text"),
        ([1, 2], ""),
        (7, ""),
        (b"", ""),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><head><title>502 Bad Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"<title> </title><style>a{}</style><script>var x = 1;</script><p>Down for <b>repair</b>", "Down for repair"),
        (b"a < b", "a"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b"[" * 100_000, "[" * 199 + "…"),
    ],
)
def test_an_answer_of_any_form_gives_a_short_text(content, detail):
    """JSON of another shape, HTML of a gateway, plain text, nothing."""
    assert parse(content, status=502).detail == detail


def test_a_problem_without_a_word_has_its_status_phrase():
    """And an unheard-of status has nothing, without a crash."""
    assert str(parse(b"", status=503)) == "Runpod answered 503 to POST /serverless: Service Unavailable"
    assert str(parse(b"", status=599)) == "Runpod answered 599 to POST /serverless: no explanation"


def test_the_key_is_in_no_part_of_a_problem():
    """A server that echoes it must not put it on the screen, in whatever spelling."""
    escaped, quoted = json.dumps(KEY)[1:-1], "rpa_T0PSECRET%2BKEY%3D%3D"
    problem = parse(
        {"title": KEY, "detail": f"key {KEY}", "errors": [f"{quoted} is bad", {"location": KEY, "message": escaped}]},
        headers={"x-request-id": KEY},
        path=f"/serverless/{KEY}",
    )
    for text in (str(problem), repr(problem)):
        assert KEY not in text and quoted not in text and "[secret]" in text


def test_foreign_text_is_one_short_line():
    """A control character could rewrite the terminal."""
    assert clean("a\x1b[31m\r\n\tb\u202ec", KEY) == "a [31m b c"
    assert clean("x" * 2000, KEY) == "x" * 999 + "…"
    assert clean("an a is an a", "a") == "an a is an a"


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_error_answer_crashes(content, status):
    """It comes from outside."""
    assert KEY not in str(parse(content, status=status))
