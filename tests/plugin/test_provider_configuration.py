"""CheckConfig, DiffConfig and Configure, over the wire."""

from __future__ import annotations

import pytest

from plugin.support import (
    KEY,
    PROVIDER_URN,
    URN,
    FakeCore,
    P,
    ask,
    detail,
    fail,
    in_file,
    plain,
    refused,
    run,
    secret,
    serving,
    struct,
)
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.plugin import wire

UNKNOWN = wire.UNKNOWN_STRING


def check(news, **options):
    """Check one configuration of an unconfigured provider."""
    return ask(None, "CheckConfig", P.CheckRequest(urn=PROVIDER_URN, news=struct(news)), configured=False, **options)


def configure(args, **options):
    """Configure a provider, and give what it connected with."""

    async def scenario():
        async with serving(configured=False, **options) as served:
            await served.stub.Configure(P.ConfigureRequest(args=struct(args)))
            return served.connected[-1], served.engine.logged

    return run(scenario())


def test_the_key_comes_back_as_a_secret_and_nothing_is_added():
    """What is added from the environment would stand in the state in plain text."""
    environment = {"RUNPOD_API_KEY": "rpa_OTHER", "RUNPOD_API_URL": "http://localhost:1"}
    answer = check({"version": "1.2.3", "apiKey": KEY}, environment=environment)
    assert plain(answer.inputs) == {"version": "1.2.3", "apiKey": secret(KEY)} and not answer.failures
    assert plain(check({}, environment=environment).inputs) == {}


def test_what_the_user_wrote_comes_back_as_it_was_written():
    """JSON text stays JSON text, unknown stays unknown, the engine's own keys stay: anything else would be drift, or fatal."""
    news = {
        "version": "9.9.9-alpha.1+x",
        "pluginDownloadURL": "github://api.github.com/x",
        "__internal": {"a": 1},
        "baseUrl": '"https://a.example"',
        "defaultDatacenter": UNKNOWN,
        "endpointBaseUrl": secret("https://b.example"),
    }
    assert plain(check({**news, "apiKey": secret(KEY)}).inputs) == {**news, "apiKey": secret(KEY)}
    assert plain(check({"apiKey": UNKNOWN}).inputs) == {"apiKey": secret(UNKNOWN)}


def test_mistakes_are_found_at_once_and_the_key_is_not_printed():
    """The CLI prints the value of a property that a failure names."""
    news = {"apikey": "x", "apiKey": "bad key!", "baseUrl": "ftp://x", "defaultUpdateStrategy": "inplace"}
    answer = check(news)
    texts = {failure.reason.split(":")[0]: failure for failure in answer.failures}
    assert set(texts) == set(news)
    assert "did you mean 'apiKey'" in texts["apikey"].reason
    assert texts["apiKey"].property == "" and "bad key!" not in str(answer)
    assert texts["baseUrl"].property == "baseUrl"


def test_a_value_that_is_a_secret_is_not_named_either():
    """The user marked it; the path stands in the reason."""
    (failure,) = check({"baseUrl": secret("ftp://hunter2.example")}).failures
    assert failure.property == "" and failure.reason.startswith("baseUrl: must be") and "hunter2" not in failure.reason


@pytest.mark.parametrize(("asked", "remarks"), [("1.2.3", 0), ("1.2.4", 1), ("1.2.2", 1), (None, 0)])
def test_another_version_of_the_sdk_is_warned_of(asked, remarks):
    """The engine takes whatever plugin is on PATH, and says nothing of a newer one."""

    async def scenario():
        async with serving(configured=False) as served:
            news = struct({} if asked is None else {"version": asked})
            await served.stub.CheckConfig(P.CheckRequest(urn=PROVIDER_URN, news=news))
            return served.engine.logged

    logged = run(scenario())
    assert len(logged) == remarks
    assert all(line.severity == 2 and line.urn == PROVIDER_URN and not line.ephemeral for line in logged)
    assert all(f"asks for pulumi-runpod-serverless {asked}" in line.message and "is 1.2.3" in line.message for line in logged)


def test_a_changed_configuration_is_an_update_and_never_a_replacement():
    """A replaced provider would replace all it manages; an unknown value may be a change."""
    request = P.DiffRequest(
        old_inputs=struct({"apiKey": "a"}), news=struct({"apiKey": secret("b"), "baseUrl": UNKNOWN}), olds=struct({"apiKey": "b"})
    )
    answer = ask(None, "DiffConfig", request, configured=False)
    assert answer.changes == P.DiffResponse.DIFF_SOME and set(answer.diffs) == {"apiKey", "baseUrl"}
    assert not answer.replaces and not answer.deleteBeforeReplace and answer.hasDetailedDiff
    assert {path: entry.kind for path, entry in answer.detailedDiff.items()} == {
        "apiKey": P.PropertyDiff.UPDATE,
        "baseUrl": P.PropertyDiff.ADD,
    }


@pytest.mark.parametrize("field", ["old_inputs", "olds"])
def test_the_same_configuration_is_no_change(field):
    """Secret or not, JSON text or not; old engines send no old inputs."""
    request = P.DiffRequest(news=struct({"apiKey": secret("a"), "x": "5"}), **{field: struct({"apiKey": "a", "x": 5})})
    assert ask(None, "DiffConfig", request, configured=False).changes == P.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(("pattern", "changes"), [("apiKey", "DIFF_NONE"), ("*", "DIFF_NONE"), ("baseUrl", "DIFF_SOME")])
def test_ignored_changes_are_none(pattern, changes):
    """By name, or all."""
    request = P.DiffRequest(old_inputs=struct({"apiKey": "a"}), news=struct({"apiKey": "b"}), ignoreChanges=[pattern])
    answer = ask(None, "DiffConfig", request, configured=False)
    assert answer.changes == getattr(P.DiffResponse, changes)


def test_configure_resolves_what_the_state_does_not_hold(tmp_path):
    """It may come without a check: refresh and destroy load the provider from the state."""
    home = in_file(tmp_path, "apikey = 'rpa_FROMFILE'")
    found, _ = configure({"version": "1.2.3"}, environment={"RUNPOD_API_URL": "http://localhost:1"}, home=home)
    assert (found.api_key, found.base_url) == ("rpa_FROMFILE", "http://localhost:1/v2")
    found, _ = configure({"apiKey": secret(KEY), "defaultDatacenter": "US-KS-2"}, home=home)
    assert (found.api_key, found.settings) == (KEY, verbs.Settings(default_datacenter="US-KS-2"))


def test_the_search_for_a_key_is_told_only_to_who_debugs(tmp_path):
    """A broken file of another tool is no warning."""
    home = in_file(tmp_path, "apikey = 'two words'\n[default]\napi_key = 'rpa_FROMFILE'")
    found, logged = configure({}, home=home)
    assert found.api_key == "rpa_FROMFILE"
    assert [(line.severity, "apikey in" in line.message) for line in logged] == [(0, True)]


def test_configure_reads_variables_where_an_old_engine_sends_no_args():
    """They are the same values in plain text."""

    async def scenario():
        async with serving(configured=False) as served:
            variables = {"runpod-serverless:config:apiKey": KEY, "runpod-serverless:config:defaultUpdateStrategy": "inPlace"}
            await served.stub.Configure(P.ConfigureRequest(variables=variables))
            return served.connected[-1]

    found = run(scenario())
    assert found.api_key == KEY and found.settings.default_update_strategy == "inPlace"


def test_a_missing_key_is_told_in_the_form_that_the_cli_words_itself():
    """With where to get one, and that it is a secret."""
    problem = fail(None, "Configure", P.ConfigureRequest(args=struct({})), configured=False)
    (key,) = detail(problem, P.ConfigureErrorMissingKeys()).missingKeys
    assert problem.code().name == "INVALID_ARGUMENT" and problem.details().startswith("missing required configuration key")
    assert key.name == "runpod-serverless:apiKey"
    assert "--secret" in key.description and "RUNPOD_API_KEY" in key.description and "config.toml" in key.description


@pytest.mark.parametrize(
    ("args", "environment", "text"),
    [
        ({"apiKey": KEY, "baseUrl": "ftp://x"}, {}, "baseUrl: must be an http"),
        ({"apiKey": "hunter2 hunter2"}, {}, "apiKey: holds characters"),
        ({}, {"RUNPOD_API_KEY": "hunter2 hunter2"}, "the environment variable RUNPOD_API_KEY holds characters"),
        ({"apiKey": KEY}, {"RUNPOD_API_URL": "x"}, "the environment variable RUNPOD_API_URL must be an http"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_what_is_wrong(args, environment, text):
    """Also where it comes from the environment; a key is not shown."""
    problem = fail(None, "Configure", P.ConfigureRequest(args=struct(args)), configured=False, environment=environment)
    assert problem.code().name == "INVALID_ARGUMENT" and text in problem.details() and "hunter2" not in problem.details()


def test_a_second_configure_counts_from_then_on_and_both_keys_stay_hidden():
    """An attached provider is configured again and again."""

    async def scenario():
        core = FakeCore(delete=failures.Refused(f"{KEY} and rpa_SECONDKEY"))
        async with serving(core) as served:
            await served.stub.Configure(P.ConfigureRequest(args=struct({"apiKey": "rpa_SECONDKEY"})))
            problem = await refused(served.stub.Delete(P.DeleteRequest(urn=URN)))
            return [found.api_key for found in served.connected], problem.details(), served.server.redact(f"{KEY} rpa_SECONDKEY")

    keys, told, logged = run(scenario())
    assert keys == [KEY, "rpa_SECONDKEY"]
    assert told.endswith("[secret] and [secret]") and logged == "[secret] [secret]"


@pytest.mark.parametrize("rpc", ["CheckConfig", "DiffConfig", "Configure"])
def test_a_malformed_configuration_is_an_invalid_argument(rpc):
    """Typed, and without its content."""
    bad = struct({"apiKey": {wire.SIGNATURE_KEY: "what", "value": "hunter2"}})
    request = {
        "CheckConfig": P.CheckRequest(news=bad),
        "DiffConfig": P.DiffRequest(news=bad),
        "Configure": P.ConfigureRequest(args=bad),
    }
    problem = fail(None, rpc, request[rpc], configured=False)
    assert problem.code().name == "INVALID_ARGUMENT" and "hunter2" not in problem.details()
