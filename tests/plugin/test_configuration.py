"""Where configuration comes from, what is refused, and what is never said."""

from __future__ import annotations

import pytest
from runpod_serverless_provider.core.failures import CheckFailed
from runpod_serverless_provider.plugin.configuration import API_URL, MissingKey, check, resolve
from runpod_serverless_provider.plugin.redaction import Redactor
from runpod_serverless_provider.core.version import to_semver


def in_file(home, text):
    (home / ".runpod").mkdir()
    (home / ".runpod" / "config.toml").write_text(text)
    return home


def test_the_key_is_looked_for_in_order(tmp_path):
    """Configuration, environment, file."""
    home = in_file(tmp_path, "[default]\napi_key = 'fromfile'\n")
    environment = {"RUNPOD_API_KEY": "fromenv\n"}
    assert resolve({"apiKey": '"fromconfig"'}, environment, home).api_key == "fromconfig"
    assert resolve({}, environment, home).api_key == "fromenv"
    assert resolve({}, {}, home).api_key == "fromfile"
    assert "fromfile" not in repr(resolve({}, {}, home))


def test_no_key_and_a_broken_file_is_a_missing_key(tmp_path):
    """What cannot be read does not crash."""
    with pytest.raises(MissingKey, match="--secret"):
        resolve({}, {}, in_file(tmp_path, "apikey = = 'x'"))


@pytest.mark.parametrize(
    ("values", "environment", "url"),
    [
        ({}, {}, API_URL),
        ({}, {"RUNPOD_API_URL": "http://localhost:1"}, "http://localhost:1/v2"),
        ({}, {"RUNPOD_API_URL": "http://localhost:1/v2/"}, "http://localhost:1/v2"),
        ({"baseUrl": "http://gateway/runpod/"}, {"RUNPOD_API_URL": "http://x"}, "http://gateway/runpod"),
        ({"baseUrl": "http://gateway"}, {}, "http://gateway/v2"),
    ],
)
def test_the_api_is_found(tmp_path, values, environment, url):
    """With and without the version."""
    assert resolve({"apiKey": "k", **values}, environment, tmp_path).base_url == url


def test_a_bad_url_in_the_environment_is_named(tmp_path):
    """By the variable, not by a property."""
    with pytest.raises(CheckFailed, match="RUNPOD_API_URL"):
        resolve({"apiKey": "k"}, {"RUNPOD_API_URL": "localhost"}, tmp_path)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://u:p@x", "http://x?y=1", "http://x:99999", "http://[", "x"])
def test_base_urls_are_checked(url):
    """Anything but a plain http(s) URL is refused."""
    assert [failure.path for failure in check({"baseUrl": url})] == [("baseUrl",)]


def test_what_the_engine_adds_is_accepted():
    """`version` is in every CheckConfig."""
    assert check({"version": "1.0.0", "__internal": {}, "pluginDownloadURL": "x"}) == ()


@pytest.mark.parametrize(
    ("pep", "semver"),
    [
        ("1.2.0", "1.2.0"),
        ("1.2", "1.2.0"),
        ("1.2.0b1", "1.2.0-beta.1"),
        ("1.0rc2.dev3", "1.0.0-rc.2.dev.3"),
        ("1.0.post1", "1.0.0+post.1"),
        ("?", "0.0.0+unknown"),
    ],
)
def test_versions_become_semver(pep, semver):
    """The engine parses nothing else."""
    assert to_semver(pep) == semver


def test_redaction_knows_escaped_forms_and_spares_placeholders():
    """One pass, longest first."""
    redact = Redactor(['a"b\nc', "secret", "xy", "secret-long"])
    assert redact("a\"b\nc | a\\\"b\\nc | secret-long | xy 'xy'") == "[secret] | [secret] | [secret] | xy '[secret]'"
