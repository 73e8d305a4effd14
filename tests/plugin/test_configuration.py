"""The provider's own configuration: what is accepted, what it becomes, and what is never said."""

from __future__ import annotations

import json
import sys

import pytest

from plugin.support import KEY, in_file
from runpod_serverless_provider import configuration, schema
from runpod_serverless_provider.configuration import MissingKey, check, difference, resolve, version_remark
from runpod_serverless_provider.core import resource
from runpod_serverless_provider.core.failures import CheckFailed, NotConfigured
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.core.verbs import Kind, Settings


def test_the_package_is_named_as_the_core_names_it():
    """Said twice, so that the door starts without the models; held together here."""
    assert configuration.PACKAGE == resource.PACKAGE


def test_everything_missing_is_completed(tmp_path):
    """The key from the file, the addresses and the settings from what is built in."""
    found = resolve({}, {}, in_file(tmp_path, f"apikey = '{KEY}'"))
    assert (found.api_key, found.base_url, found.jobs_url) == (KEY, "https://api.runpod.io/v2", "https://api.runpod.ai/v2")
    assert found.settings == Settings() and found.notes == ()
    assert KEY not in repr(found)


def test_everything_given_is_taken_from_text_or_json_text(tmp_path):
    """SDKs encode what is no string, and some encode strings too; the environment comes second."""
    values = {
        "apiKey": f'"{KEY}"',
        "baseUrl": '"https://a.example"',
        "endpointBaseUrl": "https://b.example",
        "defaultDatacenter": '"US-KS-2"',
        "defaultUpdateStrategy": "inPlace",
    }
    environment = {"RUNPOD_API_KEY": "x", "RUNPOD_API_URL": "x", "RUNPOD_ENDPOINT_BASE_URL": "x"}
    found = resolve(values, environment, tmp_path)
    assert (found.api_key, found.base_url, found.jobs_url) == (KEY, "https://a.example/v2", "https://b.example/v2")
    assert found.settings == Settings("US-KS-2", "inPlace")


@pytest.mark.parametrize("text", ['"half', '"' + "[" * 100_000, "[1]", '"\\ud800'])
def test_text_that_only_looks_like_json_is_text(tmp_path, text):
    """It is taken, or found wrong, as it was written."""
    assert not any("JSON" in failure.reason for failure in check({"defaultDatacenter": text}))
    assert resolve({"apiKey": KEY, "defaultDatacenter": text}, {}, tmp_path).settings.default_datacenter == text


def test_no_key_is_a_missing_key_with_what_to_do(tmp_path):
    """A file that cannot be read is no crash."""
    with pytest.raises(
        MissingKey, match=r"pulumi config set --secret runpod-serverless:apiKey.*RUNPOD_API_KEY.*config\.toml"
    ) as caught:
        resolve({}, {}, in_file(tmp_path, "apikey = = 'x'"))
    assert isinstance(caught.value, NotConfigured)


def test_what_is_wrong_with_a_stored_configuration_fails_again_at_configure(tmp_path):
    """A refresh configures the provider from the state, without a check; a key we do not know is no reason to fail there."""
    with pytest.raises(CheckFailed, match="defaultUpdateStrategy: must be one of 'replace', 'inPlace', not 'inplace'"):
        resolve({"apiKey": KEY, "defaultUpdateStrategy": "inplace"}, {}, tmp_path)
    assert resolve({"apiKey": KEY, "later": "x"}, {}, tmp_path).api_key == KEY


def test_what_is_not_known_counts_as_not_set(tmp_path):
    """The engine does not configure a provider with unknown values; a test or a later engine may."""
    assert resolve({"apiKey": KEY, "baseUrl": UNKNOWN}, {}, tmp_path).base_url == "https://api.runpod.io/v2"


@pytest.mark.parametrize(
    ("values", "path", "reason"),
    [
        ({"apikey": "x"}, "apikey", "did you mean 'apiKey'?"),
        ({"api_key": "x"}, "api_key", "did you mean 'apiKey'?"),
        ({"baseURL": "x"}, "baseURL", "did you mean 'baseUrl'?"),
        ({"defaultDataCenter": "x"}, "defaultDataCenter", "did you mean 'defaultDatacenter'?"),
        ({"zzz": "x"}, "zzz", "known keys are apiKey, baseUrl, endpointBaseUrl, defaultDatacenter, defaultUpdateStrategy"),
        ({"apiKey": 5}, "apiKey", "must be a string"),
        ({"apiKey": ["x"]}, "apiKey", "must be a string"),
        ({"apiKey": " "}, "apiKey", "is empty"),
        ({"apiKey": "a b"}, "apiKey", "cannot be part of an API key"),
        ({"baseUrl": "http://h.example"}, "baseUrl", "unencrypted"),
        ({"baseUrl": "ftp://h.example"}, "baseUrl", "must be an http"),
        (
            {"endpointBaseUrl": "h.example"},
            "endpointBaseUrl",
            "must be an http:// or https:// URL, such as 'https://api.runpod.ai/v2'",
        ),
        ({"defaultDatacenter": ""}, "defaultDatacenter", "is empty"),
        ({"defaultUpdateStrategy": "inplace"}, "defaultUpdateStrategy", "must be one of 'replace', 'inPlace', not 'inplace'"),
    ],
)
def test_each_mistake_is_found_on_its_key(values, path, reason):
    """With what to do."""
    (failure,) = check(values)
    assert failure.path == (path,) and reason in failure.reason


def test_all_mistakes_are_found_at_once():
    """One run, all failures."""
    assert len(check({"a": 1, "apiKey": 5, "baseUrl": "x", "defaultUpdateStrategy": "y"})) == 4


def test_what_the_engine_adds_and_what_is_not_known_yet_is_accepted():
    """`version` is in every CheckConfig; older states carry more."""
    assert check({"version": "1.0.0", "__internal": {}, "pluginDownloadURL": "x", "pluginChecksums": {}}) == ()
    assert check({"apiKey": UNKNOWN, "baseUrl": [UNKNOWN], "defaultDatacenter": None}) == ()


def test_the_strategies_are_those_of_the_schema():
    """Said twice, as the door loads the resources late; held together here."""
    enum = json.loads(schema.load())["types"]["runpod-serverless:index:UpdateStrategy"]["enum"]
    assert set(configuration._STRATEGIES) == {member["value"] for member in enum}


@pytest.mark.parametrize(
    ("prior", "planned", "kinds"),
    [
        ({}, {}, {}),
        ({"apiKey": "a"}, {"apiKey": "a"}, {}),
        ({"retries": "5"}, {"retries": 5}, {}),
        ({"retries": '"5"'}, {"retries": "5"}, {"retries": Kind.UPDATE}),
        ({"defaultDatacenter": "NaN"}, {"defaultDatacenter": "NaN"}, {}),
        ({"a": "[" * 100_000}, {"a": "x"}, {"a": Kind.UPDATE}),
        ({"apiKey": "a"}, {"apiKey": "b"}, {"apiKey": Kind.UPDATE}),
        ({}, {"baseUrl": "x"}, {"baseUrl": Kind.ADD}),
        ({"baseUrl": "x"}, {}, {"baseUrl": Kind.DELETE}),
        ({"baseUrl": "x"}, {"baseUrl": None}, {"baseUrl": Kind.DELETE}),
        ({"apiKey": "a"}, {"apiKey": UNKNOWN}, {"apiKey": Kind.UPDATE}),
        ({"apiKey": UNKNOWN}, {"apiKey": UNKNOWN}, {"apiKey": Kind.UPDATE}),
        ({"apiKey": UNKNOWN}, {"apiKey": "a"}, {"apiKey": Kind.UPDATE}),
    ],
)
def test_a_change_of_configuration_is_an_update_and_never_more(prior, planned, kinds):
    """A replaced provider would replace every resource it manages."""
    assert {change.path[0]: change.kind for change in difference(prior, planned)} == kinds


@pytest.mark.parametrize(
    ("requested", "actual"), [("1.2.0", "1.2.0"), ("1.2.0", "1.2.0+post.1"), (None, "1.2.0"), (UNKNOWN, "1.2.0")]
)
def test_the_same_version_is_no_remark(requested, actual):
    """A build is no version; a program without an SDK asks for none."""
    assert version_remark(requested, actual) is None


@pytest.mark.parametrize(("requested", "actual"), [("1.3.0", "1.2.0"), ("1.2.0", "1.3.0"), ("1.2.0", "1.2.0-beta.1")])
def test_another_version_is_named_with_what_to_do(requested, actual):
    """Both versions, where the plugin is, and both ways to renew it."""
    remark = version_remark(requested, actual)
    assert remark is not None and sys.prefix in remark
    assert (
        f"asks for pulumi-runpod-serverless {requested}, the version of its SDK, but the plugin that serves it is {actual}"
        in remark
    )
    assert "pip install --upgrade pulumi-runpod-serverless" in remark and "runpod-serverless install-plugin" in remark
