"""Every RPC, over the real wire."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from plugin.support import KEY, TOKEN, URN, FakeCore, detail, refused, secret, serving, struct
from runpod_serverless_provider.core import failures, verbs
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire

P = provider_pb2


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 20))


async def ask(core, rpc, request, **options):
    async with serving(core, **options) as served:
        return await getattr(served.stub, rpc)(request)


async def fail(core, rpc, request, **options):
    async with serving(core, **options) as served:
        return await refused(getattr(served.stub, rpc)(request))


def test_the_handshake_accepts_what_is_implemented():
    """The engine switches its own safety net off for it."""
    answer = run(ask(None, "Handshake", P.ProviderHandshakeRequest(), configured=False))
    assert answer.accept_secrets and answer.accept_resources and answer.accept_outputs and answer.supports_autonaming_configuration
    assert not answer.accepts_byte_string


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("GetSchema", P.GetSchemaRequest()),
        ("GetPluginInfo", Empty()),
        ("GetMapping", P.GetMappingRequest(key="terraform")),
        ("GetMappings", P.GetMappingsRequest(key="terraform")),
        ("Cancel", Empty()),
        ("Attach", plugin_pb2.PluginAttach(address="127.0.0.1:9")),
    ],
)
def test_the_plugin_answers_unconfigured(rpc, request_):
    """Schema, version and the like need no key."""
    assert run(ask(None, rpc, request_, configured=False)) is not None


@pytest.mark.parametrize(
    ("rpc", "request_", "code"),
    [
        ("GetSchema", P.GetSchemaRequest(version=1), "INVALID_ARGUMENT"),
        ("GetSchema", P.GetSchemaRequest(subpackage_name="a"), "INVALID_ARGUMENT"),
        ("Parameterize", P.ParameterizeRequest(), "UNIMPLEMENTED"),
        ("Construct", P.ConstructRequest(), "UNIMPLEMENTED"),
        ("Call", P.CallRequest(), "UNIMPLEMENTED"),
        ("Invoke", P.InvokeRequest(tok="x:y:z"), "INVALID_ARGUMENT"),
        ("Check", P.CheckRequest(urn=URN), "FAILED_PRECONDITION"),
    ],
)
def test_what_is_not_offered_is_refused_by_type(rpc, request_, code):
    """Plain messages, typed codes."""
    assert run(fail(None, rpc, request_, configured=False)).code().name == code


def test_listing_is_not_offered_yet():
    """List is a stream, so it fails on its first message."""

    async def scenario():
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in served.stub.List(P.ListRequest(token=TOKEN)):
                    pass
            return caught.value.code().name

    assert run(scenario()) == "UNIMPLEMENTED"


def test_check_config_seals_the_key_and_adds_nothing():
    """A key from the environment would be stored in plain text."""
    news = struct({"version": "1.2.3", "apiKey": KEY})
    answer = run(ask(None, "CheckConfig", P.CheckRequest(news=news), configured=False, environment={"RUNPOD_API_URL": "http://x"}))
    assert MessageToDict(answer.inputs) == {"version": "1.2.3", "apiKey": secret(KEY)}


def test_check_config_finds_mistakes_without_printing_the_key():
    """A misspelled key gets a hint; the key's value appears nowhere."""
    news = struct({"apikey": "x", "apiKey": "bad key!", "baseUrl": "ftp://x", "defaultUpdateStrategy": "inplace"})
    answer = run(ask(None, "CheckConfig", P.CheckRequest(news=news), configured=False))
    texts = {failure.reason.split(":")[0]: failure for failure in answer.failures}
    assert set(texts) == {"apikey", "apiKey", "baseUrl", "defaultUpdateStrategy"}
    assert "did you mean 'apiKey'" in texts["apikey"].reason
    assert texts["apiKey"].property == "" and "bad key!" not in str(answer)


def test_diff_config_never_replaces():
    """A replaced provider would replace all it manages."""
    request = P.DiffRequest(
        old_inputs=struct({"apiKey": "a"}), news=struct({"apiKey": secret("b"), "baseUrl": wire.UNKNOWN_STRING})
    )
    answer = run(ask(None, "DiffConfig", request, configured=False))
    assert answer.changes == P.DiffResponse.DIFF_SOME and not answer.replaces and set(answer.diffs) == {"apiKey", "baseUrl"}
    same = P.DiffRequest(old_inputs=struct({"apiKey": "a"}), news=struct({"apiKey": secret("a")}))
    assert run(ask(None, "DiffConfig", same, configured=False)).changes == P.DiffResponse.DIFF_NONE


def test_configure_without_a_key_names_it():
    """The CLI words its hint from the details."""
    problem = run(fail(None, "Configure", P.ConfigureRequest(args=struct({})), configured=False))
    (key,) = detail(problem, P.ConfigureErrorMissingKeys()).missingKeys
    assert key.name == "runpod-serverless:apiKey"
    assert "--secret" in key.description and "RUNPOD_API_KEY" in key.description


def test_check_reports_failures_with_full_paths_and_hides_secret_properties():
    """The CLI prints the value of a named property."""
    found = (failures.Failure(("workers", "max"), "too big"), failures.Failure(("env", "A"), "not 'hunter2'"))
    core = FakeCore(check=verbs.Checked(inputs={"workers": {"max": 1}, "env": {"A": "hunter2"}, "token": "t0ken"}, failures=found))
    news = struct({"workers": {"max": 1}, "env": {"A": secret("hunter2")}, "token": "t0ken"})
    answer = run(ask(core, "Check", P.CheckRequest(urn=URN, news=news, randomSeed=b"x")))
    assert [(f.property, f.reason) for f in answer.failures] == [
        ("workers", "workers.max: too big"),
        ("", "env.A: not '[secret]'"),
    ]
    assert MessageToDict(answer.inputs) == {"workers": {"max": 1}, "env": {"A": secret("hunter2")}, "token": secret("t0ken")}
    assert core.requests[0].name == "llm" and core.requests[0].token == TOKEN and core.requests[0].autonaming is None


def test_diff_fills_every_field():
    """Top-level names and detailed paths agree."""
    changes = (
        verbs.Change(("env", "A.B"), verbs.Kind.ADD),
        verbs.Change(("gpu",), verbs.Kind.UPDATE_REPLACE, in_inputs=False),
        verbs.Change(("env", "C"), verbs.Kind.DELETE),
    )
    core = FakeCore(diff=verbs.Difference(changes, delete_before_replace=True, stables=("id",)))
    answer = run(ask(core, "Diff", P.DiffRequest(urn=URN, news=struct({"env": wire.UNKNOWN_STRING}), ignoreChanges=["x"])))
    assert list(answer.diffs) == ["env", "gpu"] and list(answer.replaces) == ["gpu"] and list(answer.stables) == ["id"]
    assert set(answer.detailedDiff) == {'env["A.B"]', "gpu", "env.C"} and answer.hasDetailedDiff and answer.deleteBeforeReplace
    assert answer.detailedDiff["env.C"].inputDiff and not answer.detailedDiff["gpu"].inputDiff
    assert core.requests[0].news == {"env": UNKNOWN} and core.requests[0].ignore_changes == ("x",)


def test_no_changes_is_said_explicitly():
    """DIFF_UNKNOWN would make the engine compare by itself."""
    assert run(ask(FakeCore(diff=verbs.Difference()), "Diff", P.DiffRequest(urn=URN))).changes == P.DiffResponse.DIFF_NONE


def test_created_outputs_keep_secrets_even_where_the_api_moved_them():
    """By schema, by input, by result, and by value."""
    outputs = {"env": [{"v": "hunter2-long"}], "copy": "hunter2-long", "token": "t", "extra": "e", "plain": 1}
    core = FakeCore(create=verbs.Created("id1", outputs, frozenset({("extra",)})))
    answer = run(ask(core, "Create", P.CreateRequest(urn=URN, properties=struct({"env": {"A": secret("hunter2-long")}}))))
    assert answer.id == "id1"
    assert MessageToDict(answer.properties) == {
        "env": secret([{"v": "hunter2-long"}]),
        "copy": secret("hunter2-long"),
        "token": secret("t"),
        "extra": secret("e"),
        "plain": 1,
    }


def test_unknowns_pass_in_a_preview_only():
    """Outside of one they are a fault of the caller."""
    core = FakeCore(create=verbs.Created("", {"a": UNKNOWN}))
    properties = struct({"a": wire.UNKNOWN_STRING})
    answer = run(ask(core, "Create", P.CreateRequest(urn=URN, properties=properties, preview=True)))
    assert MessageToDict(answer.properties) == {"a": wire.UNKNOWN_STRING}
    assert run(fail(core, "Create", P.CreateRequest(urn=URN, properties=properties))).code().name == "INVALID_ARGUMENT"
    assert len(core.requests) == 1


@pytest.mark.parametrize("rpc", ["Create", "Update"])
def test_a_created_but_failed_resource_keeps_its_id(rpc):
    """Its properties are known, its secrets wrapped, its reasons clean."""
    problem = failures.CreatedButFailed("id1", {"token": "t0ps", "a": UNKNOWN}, (f"no capacity for {KEY}",))
    request = P.CreateRequest(urn=URN) if rpc == "Create" else P.UpdateRequest(urn=URN, id="id1")
    failed = detail(run(fail(FakeCore(create=problem, update=problem), rpc, request)), P.ErrorResourceInitFailed())
    assert failed.id == "id1" and list(failed.reasons) == ["no capacity for [secret]"]
    assert MessageToDict(failed.properties) == {"token": secret("t0ps")}


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (failures.CheckFailed([failures.Failure(("a",), "bad"), failures.Failure(("b",), "worse")]), "INVALID_ARGUMENT"),
        (failures.Refused("no"), "FAILED_PRECONDITION"),
        (failures.NotConfigured("no"), "FAILED_PRECONDITION"),
        (failures.ApiProblem("GET", "/x", 401), "UNAUTHENTICATED"),
        (failures.ApiProblem("GET", "/x", 403), "PERMISSION_DENIED"),
        (failures.ApiProblem("GET", "/x", 404), "NOT_FOUND"),
        (failures.ApiProblem("GET", "/x", 422), "FAILED_PRECONDITION"),
        (failures.ApiProblem("GET", "/x", 429), "RESOURCE_EXHAUSTED"),
        (failures.ApiProblem("GET", "/x", 503), "UNAVAILABLE"),
        (failures.ApiUnreachable("GET", "/x", "down"), "UNAVAILABLE"),
        (failures.OutcomeUnknown("POST", "/x", "cut"), "UNAVAILABLE"),
        (ValueError(f"boom {KEY}"), "INTERNAL"),
    ],
)
def test_every_failure_has_its_code_and_names_the_resource(problem, code):
    """And none holds the key."""
    caught = run(fail(FakeCore(delete=problem), "Delete", P.DeleteRequest(urn=URN, id="i")))
    assert caught.code().name == code
    assert caught.details().startswith(f"{TOKEN} 'llm': ") and KEY not in caught.details()
    if code == "INTERNAL":
        assert "ValueError" in caught.details() and "please report" in caught.details()
    if isinstance(problem, failures.CheckFailed):
        assert caught.details().endswith("\n  - a: bad\n  - b: worse")


def test_secrets_of_the_request_are_redacted_from_its_errors():
    """Short ones only in quotes."""
    core = FakeCore(create=failures.Refused("no hunter2 in 'ab', but about"))
    properties = struct({"x": secret({"y": "hunter2"}), "z": secret("ab")})
    caught = run(fail(core, "Create", P.CreateRequest(urn=URN, properties=properties)))
    assert caught.details().endswith("no [secret] in '[secret]', but about")


def test_a_gone_resource_is_a_bare_answer():
    """A touched `properties` would make a phantom."""
    answer = run(ask(FakeCore(read=None), "Read", P.ReadRequest(urn=URN, id="i")))
    assert answer == P.ReadResponse() and not answer.HasField("properties") and not answer.HasField("inputs")


def test_an_import_sets_inputs_even_when_empty_and_a_refresh_keeps_secrets():
    """Both maps are sealed by the union of what was secret."""
    core = FakeCore(read=verbs.Observed("i", {}, {}))
    answer = run(ask(core, "Read", P.ReadRequest(urn=URN, id="i")))
    assert answer.HasField("properties") and answer.HasField("inputs") and answer.id == "i"
    core = FakeCore(read=verbs.Observed("i", {"a": 1, "b": 2}, {"a": 1, "b": 2}))
    request = P.ReadRequest(urn=URN, id="i", inputs=struct({"a": secret(1)}), properties=struct({"b": secret(2)}))
    answer = run(ask(core, "Read", request))
    assert MessageToDict(answer.inputs) == MessageToDict(answer.properties) == {"a": secret(1), "b": secret(2)}


def test_a_malformed_struct_is_an_invalid_argument():
    """It fails typed, and the next RPC works."""
    bad = struct({"a": {wire.SIGNATURE_KEY: wire.SECRET}})
    assert run(fail(FakeCore(), "Create", P.CreateRequest(urn=URN, properties=bad))).code().name == "INVALID_ARGUMENT"


def test_an_unknown_type_fails_before_anything_is_touched():
    """No verb of the core is reached."""
    core = FakeCore(create=verbs.Created("i", {}))
    caught = run(fail(core, "Create", P.CreateRequest(urn="urn:pulumi:d::p::x:y:Z::n")))
    assert caught.code().name == "INVALID_ARGUMENT" and "x:y:Z" in caught.details() and not core.requests


def test_a_cancelled_create_is_carried_to_its_end():
    """The engine's death must not tear a POST from its id; draining waits for it and takes on nothing new."""
    done: list[str] = []

    async def slow(request):
        await asyncio.sleep(0.4)
        done.append(request.urn)
        return verbs.Created("i", {})

    async def scenario():
        async with serving(FakeCore(create=slow)) as served:
            call = served.stub.Create(P.CreateRequest(urn=URN))
            await asyncio.sleep(0.15)
            await served.stub.Cancel(Empty())
            await served.stub.Cancel(Empty())
            call.cancel()
            await asyncio.sleep(0.05)
            assert not done
            assert await served.server.drain(5)
            assert (await refused(served.stub.Create(P.CreateRequest(urn=URN)))).code().name == "UNAVAILABLE"

    run(scenario())
    assert done == [URN]


def test_the_voice_is_redacted_and_rate_limited():
    """One status line a second, warnings always."""

    async def talk(request):
        for _ in range(3):
            await request.voice.status(f"waiting with {KEY}")
        await request.voice.warn("careful with hunter2")
        return verbs.Created("i", {})

    async def scenario():
        async with serving(FakeCore(create=talk)) as served:
            await served.stub.Create(P.CreateRequest(urn=URN, properties=struct({"a": secret("hunter2")})))
            return [(line.message, line.ephemeral, line.urn) for line in served.engine.logged]

    assert run(scenario()) == [("waiting with [secret]", True, URN), ("careful with [secret]", False, URN)]
