"""What the engine asks of any plugin before it speaks of resources: encoding, schema, version, cancelling, size, recovery."""

from __future__ import annotations

import asyncio
import time

import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2

from plugin.support import (
    KEY,
    TOKEN,
    URN,
    FakeCore,
    FakeEngine,
    P,
    ask,
    fail,
    listening,
    plain,
    refused,
    run,
    secret,
    serving,
    struct,
)
from runpod_serverless_provider.core import failures, verbs


def test_the_handshake_accepts_what_is_implemented():
    """The engine switches its own safety net off for it."""
    answer = ask(None, "Handshake", P.ProviderHandshakeRequest(), configured=False)
    assert answer.accept_secrets and answer.accept_resources and answer.accept_outputs
    assert answer.supports_autonaming_configuration and not answer.accepts_byte_string


def test_configure_promises_the_same_as_the_handshake():
    """Engines without a handshake read it there."""
    answer = ask(None, "Configure", P.ConfigureRequest(args=struct({"apiKey": KEY})), configured=False)
    assert answer.acceptSecrets and answer.acceptResources and answer.acceptOutputs
    assert answer.supports_autonaming_configuration and answer.supportsPreview


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("GetSchema", P.GetSchemaRequest()),
        ("GetPluginInfo", Empty()),
        ("GetMapping", P.GetMappingRequest(key="terraform")),
        ("GetMappings", P.GetMappingsRequest(key="terraform")),
        ("Cancel", Empty()),
        ("Attach", plugin_pb2.PluginAttach(address="127.0.0.1:9")),
        ("Handshake", P.ProviderHandshakeRequest(engine_address="127.0.0.1:9", root_directory="/a", program_directory="/b")),
    ],
)
def test_the_plugin_answers_unconfigured(rpc, request_):
    """Schema, version and the like need no key."""
    assert ask(None, rpc, request_, configured=False) is not None


def test_schema_and_version_are_what_was_given():
    """The version is semver, which the engine parses."""
    assert ask(None, "GetSchema", P.GetSchemaRequest(version=0), configured=False).schema == '{"name":"x"}'
    assert ask(None, "GetPluginInfo", Empty(), configured=False).version == "1.2.3"


def test_mappings_are_empty_answers():
    """Converters ask every provider; an error would stop them."""
    answer = ask(None, "GetMapping", P.GetMappingRequest(key="terraform"), configured=False)
    assert answer.provider == "" and answer.data == b""
    assert not ask(None, "GetMappings", P.GetMappingsRequest(key="terraform"), configured=False).providers


@pytest.mark.parametrize(
    ("rpc", "request_", "code", "text"),
    [
        ("GetSchema", P.GetSchemaRequest(version=1), "INVALID_ARGUMENT", "schema version 1 is not supported"),
        ("GetSchema", P.GetSchemaRequest(subpackage_name="a"), "INVALID_ARGUMENT", "no subpackages"),
        ("GetSchema", P.GetSchemaRequest(subpackage_version="1"), "INVALID_ARGUMENT", "no subpackages"),
        ("Parameterize", P.ParameterizeRequest(), "UNIMPLEMENTED", "not a parameterized provider"),
        ("Construct", P.ConstructRequest(), "UNIMPLEMENTED", "no component resources"),
        ("Call", P.CallRequest(), "UNIMPLEMENTED", "no methods"),
    ],
)
def test_what_is_not_offered_is_refused_by_type(rpc, request_, code, text):
    """Plain messages, typed codes."""
    problem = fail(None, rpc, request_, configured=False)
    assert problem.code().name == code and text in problem.details()


@pytest.mark.parametrize("rpc", ["Check", "Diff", "Create", "Update", "Read", "Delete"])
def test_a_resource_needs_a_configured_provider(rpc):
    """The message says where a key is looked for."""
    request = {"Check": P.CheckRequest, "Diff": P.DiffRequest, "Create": P.CreateRequest}.get(rpc) or {
        "Update": P.UpdateRequest,
        "Read": P.ReadRequest,
        "Delete": P.DeleteRequest,
    }[rpc]
    problem = fail(None, rpc, request(urn=URN), configured=False)
    assert problem.code().name == "FAILED_PRECONDITION" and "RUNPOD_API_KEY" in problem.details()


@pytest.mark.parametrize("rpc", ["Check", "Diff", "Create", "Update", "Read", "Delete"])
def test_an_unknown_type_fails_before_anything_is_touched(rpc):
    """No verb of the core is reached."""
    core = FakeCore()
    kinds = {"Check": P.CheckRequest, "Diff": P.DiffRequest, "Create": P.CreateRequest, "Update": P.UpdateRequest}
    kinds |= {"Read": P.ReadRequest, "Delete": P.DeleteRequest}
    problem = fail(core, rpc, kinds[rpc](urn="urn:pulumi:d::p::x:y:Z::n"))
    assert problem.code().name == "INVALID_ARGUMENT" and not core.requests
    assert problem.details() == "x:y:Z 'n':\n  - runpod-serverless has no resource type 'x:y:Z'"


def test_type_and_name_come_from_the_request_or_from_the_urn():
    """Old engines send the URN alone; a child's URN holds its parents' types."""
    core = FakeCore(delete=failures.Refused("no"))
    urn = f"urn:pulumi:dev::shop::my:Component${TOKEN}::llm"
    assert fail(core, "Delete", P.DeleteRequest(urn=urn)).details() == f"{TOKEN} 'llm': no"
    named = P.DeleteRequest(urn="urn:pulumi:dev::shop::a:b:C::other", type=TOKEN, name="mine")
    assert fail(core, "Delete", named).details() == f"{TOKEN} 'mine': no"
    assert fail(core, "Delete", P.DeleteRequest(urn="nonsense", type=TOKEN)).details() == f"{TOKEN} '': no"
    odd = f"urn:pulumi:dev::shop::{TOKEN}::a::b"
    assert fail(core, "Delete", P.DeleteRequest(urn=odd)).details() == f"{TOKEN} 'a::b': no"


# -- size, cancelling, recovery


def test_large_inputs_and_outputs_pass():
    """The default of gRPC, 4 MiB, would refuse them."""
    text = "x" * (10 * 1024 * 1024)
    core = FakeCore(create=verbs.Created("i", {"text": text}))
    answer = ask(core, "Create", P.CreateRequest(urn=URN, properties=struct({"text": text})))
    assert len(answer.properties.fields["text"].string_value) == len(text)


def test_cancel_is_answered_at_once_while_much_is_under_way():
    """The engine calls a slow one "always a bug in the provider"."""

    async def slow(request):
        for _ in range(8):
            await request.voice.status("still waiting")
            await asyncio.sleep(0.05)
        return verbs.Created("i", dict(request.inputs))

    async def scenario():
        async with serving(FakeCore(create=slow)) as served:
            properties = struct({"env": {f"KEY_{number}": secret("v" * 50) for number in range(100)}})
            calls = [served.stub.Create(P.CreateRequest(urn=f"{URN}-{number}", properties=properties)) for number in range(64)]
            await asyncio.sleep(0.1)
            took = []
            for _ in range(20):
                began = time.monotonic()
                await served.stub.Cancel(Empty())
                took.append(time.monotonic() - began)
            answers = await asyncio.gather(*calls)
            return sorted(took), {answer.id for answer in answers}

    took, ids = run(scenario())
    assert took[10] < 0.1 and took[-1] < 2.0 and ids == {"i"}


def test_one_crash_leaves_the_others_alone():
    """One bad resource must not take the stack with it."""

    async def create(request):
        if request.inputs["n"] % 2:
            raise RuntimeError("boom")
        await asyncio.sleep(0.01)
        return verbs.Created(str(request.inputs["n"]), {})

    async def scenario():
        async with serving(FakeCore(create=create)) as served:
            calls = [served.stub.Create(P.CreateRequest(urn=URN, properties=struct({"n": number}))) for number in range(20)]
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = run(scenario())
    assert [answer.id for answer in answers[::2]] == [str(number) for number in range(0, 20, 2)]
    assert {answer.code().name for answer in answers[1::2]} == {"INTERNAL"}


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
            late = await refused(served.stub.Create(P.CreateRequest(urn=URN)))
            assert await served.server.drain(5)
            return late

    late = run(scenario())
    assert done == [URN]
    assert late.code().name == "UNAVAILABLE" and "the provider is ending" in late.details()


@pytest.mark.parametrize("how", ["Cancel", "drain"])
def test_nothing_new_is_created_once_the_run_is_cancelled_or_its_engine_gone(how):
    """A create that still waits for the rate limit would make a resource that no state knows."""

    async def scenario():
        async with serving(configured=False) as served:
            before = served.stops
            if how == "Cancel":
                await served.stub.Cancel(Empty())
            else:
                await served.server.drain(0)
            return before, served.stops

    assert run(scenario()) == (0, 1)


@pytest.mark.parametrize(
    ("cancels_before", "cancels_after", "is_orderly"),
    [(0, 1, True), (1, 1, False), (0, 2, False), (1, 0, False), (0, 0, False)],
    ids=["closed", "interrupted while it creates", "interrupted at rest", "killed after an interrupt", "killed"],
)
def test_only_one_cancel_at_rest_is_a_sign_that_the_engine_has_stored_its_replies(cancels_before, cancels_after, is_orderly):
    """An engine that is interrupted twice throws away what it has been told and not yet stored."""

    async def create(request):
        await asyncio.sleep(0.1)
        return verbs.Created("i", {})

    async def scenario():
        core = FakeCore(create=create)
        async with serving(core) as served:
            call = served.stub.Create(P.CreateRequest(urn=URN))
            await asyncio.sleep(0.05)
            for _ in range(cancels_before):
                await served.stub.Cancel(Empty())
            await call
            for _ in range(cancels_after):
                await served.stub.Cancel(Empty())
            await served.server.closed()
        return core.replies

    assert run(scenario()) == ["i", *(["end"] * is_orderly)]


def test_an_attached_provider_ends_one_run_before_the_next():
    """The next engine configures it anew; nothing else tells it that the one before has gone."""

    async def scenario():
        core = FakeCore()
        async with serving(core) as served:
            await served.stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})))
        return core.replies

    assert run(scenario()) == ["end"]


def test_the_close_tells_what_was_abandoned():
    """While the engine still listens, and once."""

    async def scenario():
        async with serving(FakeCore()) as served:
            await served.stub.Cancel(Empty())
            await served.stub.Cancel(Empty())
            return [message.message for message in served.engine.logged]

    assert run(scenario()) == ["abandoned"]


def test_a_mutation_that_fails_after_its_caller_is_gone_disturbs_nobody():
    """Its failure is noted, not lost in a warning of the event loop."""

    async def slow(request):
        await asyncio.sleep(0.1)
        raise failures.Refused("too late")

    async def scenario():
        async with serving(FakeCore(delete=slow)) as served:
            call = served.stub.Delete(P.DeleteRequest(urn=URN))
            await asyncio.sleep(0.05)
            call.cancel()
            return await served.server.drain(5)

    assert run(scenario())


def test_draining_ends_at_its_grace():
    """Nothing may hold the process beyond what the engine allows."""

    async def endless(request):
        await asyncio.sleep(60)

    async def scenario():
        async with serving(FakeCore(delete=endless)) as served:
            call = asyncio.ensure_future(refused(served.stub.Delete(P.DeleteRequest(urn=URN))))
            await asyncio.sleep(0.05)
            drained = await served.server.drain(0.05)
            call.cancel()
            return drained

    assert run(scenario()) is False


# -- the way back to the engine


@pytest.mark.parametrize("rpc", ["Handshake", "Attach"])
def test_messages_go_to_the_engine_that_spoke_last(rpc):
    """Its address may be another than that of the command line; an attached provider serves one engine after another."""

    async def talk(request):
        await request.voice.warn("here")
        return verbs.Created("i", {})

    async def scenario():
        second = FakeEngine()
        async with listening(second) as address, serving(FakeCore(create=talk)) as served:
            await served.stub.Create(P.CreateRequest(urn=URN))
            if rpc == "Handshake":
                await served.stub.Handshake(P.ProviderHandshakeRequest(engine_address=address))
                await served.stub.Handshake(P.ProviderHandshakeRequest())
            else:
                await served.stub.Attach(plugin_pb2.PluginAttach(address=address))
            assert served.link.address == address
            await served.stub.Create(P.CreateRequest(urn=URN))
            return len(served.engine.logged), len(second.logged)

    assert run(scenario()) == (1, 1)


def test_a_request_survives_that_its_secret_is_its_whole_message():
    """Redaction is the last step, and it cannot fail."""
    properties = struct({"a": secret(""), "b": secret(" "), "c": secret("x"), "d": secret(True), "e": secret(5)})
    problem = fail(FakeCore(create=failures.Refused("x")), "Create", P.CreateRequest(urn=URN, properties=properties))
    assert problem.details() == f"{TOKEN} 'llm': x"
    assert plain(struct({"a": None})) == {"a": None}
