"""Lines of a worker's log, as far as they may be shown."""

from __future__ import annotations

import base64

import pytest

from runpod_serverless_provider.resources.worker_logs import shown

PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("line", "secret", "said"),
    [
        ("token is hunter22", "hunter22", "token is [secret]"),
        ("TOKEN=HUNTER22,", "hunter22", "TOKEN=[secret],"),
        ("url=https://u:p%40ss%2Fword@h/", "p@ss/word", "url=https://u:[secret]@h/"),
        ('{"key": "a\\"b\\nc"}', 'a"b\nc', '{"key": "[secret]"}'),
        (f"Basic {base64.b64encode(b'hunter22').decode()}", "hunter22", "Basic [secret]"),
        ("MIIEvQIBADANBgkq", PEM, "[secret]"),
        ("  hkiG9w0BAQEFAASC  ", PEM, "[secret]"),
        ("pin 123 entered", "123", "[secret]"),
        ("took 1234 ms", "123", "took 1234 ms"),
        ("a\tb  c d", "b  c", "a [secret] d"),
        ("hun\x1b[1mter22 in bold", "hunter22", "[secret] in bold"),
        ("hunter\x0022", "hunter 22", "[secret]"),
        ("x" * 296 + "hunter22", "hunter22", "x" * 296 + "[se…"),
        ("nothing", "", "nothing"),
    ],
)
def test_no_secret_is_shown(line: str, secret: str, said: str) -> None:
    """Neither whole nor escaped, nor one line of it, nor what a cut or a control character leaves."""
    assert shown([line], [secret]) == [said]


def test_what_would_not_print_is_not_shown() -> None:
    """A log is anybody's text; it must not move a cursor or make a line of its own."""
    assert shown(["\x1b[31mred\x1b[0m\x1b]0;title\x07 \r\n two"], []) == ["red ]0;title two"]


def test_a_long_line_is_cut() -> None:
    """It says that it was."""
    (line,) = shown(["y" * 1000], [])
    assert len(line) == 300 and line.endswith("y…")
