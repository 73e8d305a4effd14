"""Where the key and the addresses come from, and what they must look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.api import access
from runpod_serverless_provider.core.failures import CheckFailed


def in_file(home, content):
    """Write the file that Runpod's own tools write."""
    (home / ".runpod").mkdir()
    (home / ".runpod" / "config.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return home


# -- the key


def test_the_key_is_looked_for_in_order(tmp_path):
    """Configuration, environment, file."""
    home = in_file(tmp_path, "apikey = 'fromfile'\n")
    environment = {"RUNPOD_API_KEY": "fromenv\n"}
    assert access.find_api_key("fromconfig\n", environment, home) == ("fromconfig", ())
    assert access.find_api_key(None, environment, home) == ("fromenv", ())
    assert access.find_api_key(None, {"RUNPOD_API_KEY": " "}, home) == ("fromfile", ())


@pytest.mark.parametrize(
    "content",
    ["apikey = 'k'", "api_key = 'k'", "apiKey = ' k '", "[default]\napi_key = 'k'", "apikey = ''\n[default]\napikey = 'k'"],
)
def test_the_key_is_found_where_either_of_runpods_tools_keeps_it(tmp_path, content):
    """At the top, or in the default profile."""
    assert access.find_api_key(None, {}, in_file(tmp_path, content))[0] == "k"


def test_no_file_is_no_key_and_no_remark(tmp_path):
    """Most machines have none."""
    assert access.find_api_key(None, {}, tmp_path) == (None, ())


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("apikey = = 'hunter2'", "was not read: TOMLDecodeError"),
        (b"apikey = '\xff'", "was not read: UnicodeDecodeError"),
        ("a = " + "[" * 50_000, "was not read: "),
        ("apikey = 'two words'", "apikey in {path} is no API key"),
        ("default = 'x'", None),
        ("apikey = 5", None),
    ],
)
def test_a_file_that_cannot_be_used_is_remarked_on_without_its_content(tmp_path, content, note):
    """It is another tool's file."""
    key, notes = access.find_api_key(None, {}, in_file(tmp_path, content))
    assert key is None and len(notes) == (note is not None)
    assert all(note.format(path=tmp_path / ".runpod" / "config.toml") in text for text in notes)
    assert "hunter2" not in str(notes) and "two words" not in str(notes)


def test_a_file_that_may_not_be_read_is_remarked_on(tmp_path):
    """A folder in its place stands for a permission that is missing."""
    (tmp_path / ".runpod" / "config.toml").mkdir(parents=True)
    key, (note,) = access.find_api_key(None, {}, tmp_path)
    assert key is None and "config.toml was not read: " in note


def test_a_bad_key_in_the_environment_is_named_by_its_variable(tmp_path):
    """And not shown."""
    with pytest.raises(CheckFailed, match="the environment variable RUNPOD_API_KEY holds characters") as caught:
        access.find_api_key(None, {"RUNPOD_API_KEY": "two words"}, tmp_path)
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize("text", ["rpa_ABC", " rpa_ABC\n", "a.b-c_d+e/f="])
def test_a_key_may_have_space_around_it(text):
    """It was pasted, or read from a file."""
    assert access.key_reason(text) is None


@pytest.mark.parametrize("text", ["", " \n", "a b", "a\nb", "clé", "a\x00b"])
def test_what_no_header_can_carry_is_no_key(text):
    """It would break the request, or become another header."""
    assert access.key_reason(text)


# -- the addresses


@pytest.mark.parametrize(
    "url",
    ["https://api.runpod.io", "https://h.example:8443/a/b/", "http://localhost:80", "http://[::1]:5/v2", "http://a.localhost"],
)
def test_a_plain_url_is_usable(url):
    """Encrypted, or on this machine."""
    assert access.api_url_reason(url) is None and access.url_reason(f" {url}\n") is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must be an http"),
        ("api.runpod.io", "must be an http"),
        ("localhost:80", "must be an http"),
        ("ftp://h.example", "must be an http"),
        ("https://", "must be an http"),
        ("https://:80", "must be an http"),
        ("https://h.example:0", "must be an http"),
        ("https://h.example/a b", "must be an http"),
        ("https://h.example/\x1b", "must be an http"),
        ("https://h.example:99999", "is not a URL"),
        ("https://h.example:port", "is not a URL"),
        ("https://[", "is not a URL"),
        ("https://me:hunter2@h.example", "must not hold a user name"),
        ("https://@h.example", "must not hold a user name"),
        ("https://h.example?key=hunter2", "must not hold a query"),
        ("https://h.example/#hunter2", "must not hold a query"),
        ("http://h.example", "unencrypted"),
        ("http://10.0.0.1", "unencrypted"),
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url, reason):
    """It may hold a password."""
    said = access.api_url_reason(url)
    assert said and reason in said and "hunter2" not in said


@given(st.text(max_size=40))
def test_no_url_crashes(text):
    """It comes from the user."""
    if access.api_url_reason("https://" + text) is None:
        assert access.api_url("https://" + text).endswith("/v2")
        assert access.api_url(access.api_url("https://" + text)) == access.api_url("https://" + text)


@pytest.mark.parametrize(
    ("configured", "variable", "url"),
    [
        (None, None, "https://api.runpod.io/v2"),
        (None, " ", "https://api.runpod.io/v2"),
        (None, "http://localhost:1", "http://localhost:1/v2"),
        (None, "http://localhost:1/v2/\n", "http://localhost:1/v2"),
        ("https://gateway.example/runpod/", "http://localhost:1", "https://gateway.example/runpod/v2"),
    ],
)
def test_the_api_is_found_with_or_without_its_version(configured, variable, url):
    """Configuration, environment, Runpod."""
    environment = {} if variable is None else {"RUNPOD_API_URL": variable}
    assert access.find_api_url(configured, environment) == url


@pytest.mark.parametrize(
    ("configured", "variable", "url"),
    [
        (None, None, "https://api.runpod.ai/v2"),
        (None, "https://jobs.example", "https://jobs.example/v2"),
        (None, "http://localhost:2/v3/", "http://localhost:2/v3"),
        ("https://jobs.example/a/", "http://localhost:1", "https://jobs.example/a"),
    ],
)
def test_the_jobs_api_is_found_and_a_path_of_its_own_is_kept(configured, variable, url):
    """As the Runpod SDK takes it."""
    environment = {} if variable is None else {"RUNPOD_ENDPOINT_BASE_URL": variable}
    assert access.find_jobs_url(configured, environment) == url


@pytest.mark.parametrize(
    ("find", "variable", "value"),
    [
        (access.find_api_url, "RUNPOD_API_URL", "localhost"),
        (access.find_api_url, "RUNPOD_API_URL", "http://h.example"),
        (access.find_jobs_url, "RUNPOD_ENDPOINT_BASE_URL", "localhost"),
        (access.find_jobs_url, "RUNPOD_ENDPOINT_BASE_URL", "http://h.example"),
    ],
)
def test_a_bad_url_in_the_environment_is_named_by_its_variable(find, variable, value):
    """There is no property to name."""
    with pytest.raises(CheckFailed, match=f"the environment variable {variable} "):
        find(None, {variable: value})
