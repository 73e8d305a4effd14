"""What is replaced in texts that leave the process, and what is left readable."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.redaction import RedactingFormatter, Redactor, secret_leaves, secret_texts


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('a"b\nc', "[secret]"),
        ('"a\\"b\\nc"', '"[secret]"'),
        ("key=a%22b%0Ac;", "key=[secret];"),
        ("secret-long and secret", "[secret] and [secret]"),
        ("xy 'xy' \"xy\" `xy` xyz", "xy '[secret]' \"[secret]\" `[secret]` xyz"),
        ("padded", "[secret]"),
        ("nothing", "nothing"),
    ],
)
def test_a_secret_is_found_in_each_of_its_spellings(text, redacted):
    """As it is, escaped, in a URL, without the space around it; a short one only in quotes."""
    assert Redactor(['a"b\nc', "secret", "xy", "secret-long", " padded ", ""])(text) == redacted


def test_a_redactor_without_secrets_changes_nothing_and_tells_nothing():
    """It may be logged."""
    assert Redactor()("x") == "x" and Redactor([""])("x") == "x"
    assert repr(Redactor(["hunter2"])) == "Redactor(1 texts)"


def test_secrets_that_come_later_count_from_then_on():
    """A request is decoded piece by piece."""
    redact = Redactor(["first-secret"])
    redact.add(["other-secret"])
    redact.add(["other-secret"])
    assert redact("first-secret other-secret") == "[secret] [secret]"


@given(st.text(min_size=4, max_size=20), st.text(max_size=10), st.text(max_size=10))
def test_no_long_secret_survives_in_any_form(text, before, after):
    """Over all texts, half surrogates included; a placeholder is never searched again."""
    redact = Redactor([text])
    for form in (text, json.dumps(text), repr(text), quote(text, safe="", errors="replace")):
        redacted = redact(f"{before}{form}{after}")
        assert text not in redacted.replace("[secret]", "") or text in before + after or text.strip() == ""


def test_secret_leaves_are_those_at_or_below_a_secret_path():
    """Numbers count by their digits; what is true, null or empty is no secret worth hiding."""
    values = {
        "a": {"x": "s1", "n": 5, "f": 0.5, "t": True, "none": None, "empty": "", "l": ["s2"]},
        "b": "open",
        "c": ["s3", "open"],
    }
    secrets = frozenset({("a",), ("c", 0)})
    assert secret_leaves(values, secrets) == {
        (("a", "x"), "s1"),
        (("a", "n"), "5"),
        (("a", "f"), "0.5"),
        (("a", "l", 0), "s2"),
        (("c", 0), "s3"),
    }
    assert secret_texts(values, secrets) == {"s1", "5", "0.5", "s2", "s3"}
    assert secret_leaves(values, frozenset()) == frozenset()
    assert secret_texts(values, frozenset({()})) == {"s1", "5", "0.5", "s2", "s3", "open"}
    assert secret_texts(values, frozenset({("b", "c"), ("d",), ("c", 9)})) == frozenset()


def test_log_records_are_redacted_with_their_tracebacks():
    """The engine shows them where a plugin crashes."""
    formatter = RedactingFormatter("%(message)s", Redactor(["hunter2"]))
    try:
        raise ValueError("boom hunter2")
    except ValueError as problem:
        record = logging.LogRecord(
            "n", logging.ERROR, "f", 1, "with %s", ("hunter2",), (type(problem), problem, problem.__traceback__)
        )
    text = formatter.format(record)
    assert "with [secret]" in text and "ValueError: boom [secret]" in text and "hunter2" not in text.replace('"boom hunter2"', "")
