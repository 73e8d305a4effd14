"""Whatever comes over the wire: no crash, no untyped failure, no hang, and the next request is answered.

The seed is fixed, so that a failure comes again; set RUNPOD_FUZZ_SEED and RUNPOD_FUZZ_SECONDS to look further.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import NullValue, Struct, Value
from pulumi.runtime.proto import plugin_pb2

from plugin.support import KEY, TOKEN, URN, FakeCore, P, plain, run, serving
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import Failure
from runpod_serverless_provider.core.values import leaves
from runpod_serverless_provider.plugin import wire
from runpod_serverless_provider.plugin.wire import Malformed, decode, encode
from runpod_serverless_provider.redaction import is_covered

SEED = int(os.environ.get("RUNPOD_FUZZ_SEED", "20261124"))
SECONDS = float(os.environ.get("RUNPOD_FUZZ_SECONDS", "6"))
CANARY = "CANARY-hunter2-0123456789"

SIGNATURES = (wire.SECRET, wire.ASSET, wire.ARCHIVE, wire.RESOURCE_REFERENCE, wire.OUTPUT_VALUE, wire.BYTE_STRING, "unheard-of", "")
ODD_KEYS = ("", "a.b", 'q"', "back\\", "ünï")
KEYS = ("value", "secret", "urn", "id", "dependencies", "token", "env", "workers", "__defaults", *ODD_KEYS, wire.SIGNATURE_KEY)
KINDS = ("null", "bool", "number", "string", "string", "list", "struct", "struct", "none")
STRINGS = ("", "x", "5", "true", CANARY, "\x00\x1b", "\U0001f680", '"json"', "[1]", URN, KEY, *sorted(wire.UNKNOWN_SENTINELS))
NUMBERS = (0.0, -1.0, 0.5, 5.0, 1e300, 2.0**53 + 2, -0.0, float("nan"), float("inf"), float("-inf"))
TYPED = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED")


async def failure_of(call) -> grpc.aio.AioRpcError | None:
    """Await an RPC, and give its failure, if it is one."""
    try:
        await call
    except grpc.aio.AioRpcError as problem:
        return problem
    return None


class Dice:
    """Draws messages: mostly valid, sometimes not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int) -> Value:
        """Draw any value, signatures and sentinels included."""
        kind = self.random.choice(KINDS if depth else ("string", "number"))
        if kind == "null":
            return Value(null_value=NullValue.NULL_VALUE)
        if kind == "bool":
            return Value(bool_value=self.random.random() < 0.5)
        if kind == "number":
            return Value(number_value=self.random.choice(NUMBERS[:-3] if self.random.random() < 0.95 else NUMBERS))
        if kind == "string":
            return Value(string_value=self.random.choice(STRINGS))
        value = Value()
        if kind == "list":
            value.list_value.values.extend(self.value(depth - 1) for _ in range(self.random.randrange(4)))
            value.list_value.SetInParent()
        elif kind == "struct":
            value.struct_value.CopyFrom(self.struct(depth - 1))
        elif self.random.random() < 0.9:
            value.null_value = NullValue.NULL_VALUE
        return value

    def struct(self, depth: int) -> Struct:
        """Draw a struct; a third of them carry a signature."""
        struct = Struct()
        if self.random.random() < 0.33:
            known = SIGNATURES[:6] if self.random.random() < 0.95 else SIGNATURES
            struct.fields[wire.SIGNATURE_KEY].string_value = self.random.choice(known)
            if self.random.random() < 0.9:
                struct.fields["value"].CopyFrom(self.value(depth))
            if self.random.random() < 0.5:
                struct.fields["id"].CopyFrom(self.value(0))
            if self.random.random() < 0.5:
                struct.fields["secret"].bool_value = self.random.random() < 0.5
        for _ in range(self.random.randrange(4)):
            struct.fields[self.random.choice(KEYS[:-1] if self.random.random() < 0.97 else KEYS)].CopyFrom(self.value(depth))
        return struct

    def properties(self) -> Struct:
        """Draw properties as a request holds them."""
        struct = Struct()
        for _ in range(self.random.randrange(5)):
            struct.fields[self.random.choice(KEYS[:-1])].CopyFrom(self.value(self.random.randrange(5)))
        return self.struct(4) if self.random.random() < 0.1 else struct

    def text(self) -> str:
        """Draw a name, a type or a token."""
        return self.random.choice((*STRINGS, TOKEN, TOKEN, TOKEN))

    def request(self, rpc: str) -> object:
        """Draw a request; most are about the one resource type that there is."""
        urn = URN if self.random.random() < 0.9 else self.text()
        struct, flag, number = self.properties, lambda: self.random.random() < 0.5, lambda: self.random.choice(NUMBERS)
        paths = [self.text() for _ in range(self.random.randrange(3))]
        seed = b"x" * self.random.randrange(40)
        naming = P.CheckRequest.AutonamingOptions(proposed_name=self.text(), mode=self.random.randrange(5))
        drawn = {
            "CheckConfig": lambda: P.CheckRequest(urn=urn, news=struct(), olds=struct()),
            "DiffConfig": lambda: P.DiffRequest(urn=urn, news=struct(), olds=struct(), old_inputs=struct(), ignoreChanges=paths),
            "Check": lambda: P.CheckRequest(urn=urn, news=struct(), olds=struct(), randomSeed=seed, autonaming=naming),
            "Diff": lambda: P.DiffRequest(
                urn=urn, id=self.text(), news=struct(), olds=struct(), old_inputs=struct(), ignoreChanges=paths
            ),
            "Create": lambda: P.CreateRequest(urn=urn, properties=struct(), preview=flag(), timeout=number()),
            "Update": lambda: P.UpdateRequest(
                urn=urn, id=self.text(), news=struct(), olds=struct(), old_inputs=struct(), preview=flag()
            ),
            "Read": lambda: P.ReadRequest(urn=urn, id=self.text(), properties=struct(), inputs=struct()),
            "Delete": lambda: P.DeleteRequest(urn=urn, id=self.text(), properties=struct(), old_inputs=struct(), timeout=number()),
            "Invoke": lambda: P.InvokeRequest(tok=self.text(), args=struct()),
            "Configure": lambda: P.ConfigureRequest(args=struct() if flag() else None, variables={self.text(): self.text()}),
            "GetSchema": lambda: P.GetSchemaRequest(version=self.random.randrange(-1, 2), subpackage_name=self.text()),
            "GetMapping": lambda: P.GetMappingRequest(key=self.text()),
            "GetMappings": lambda: P.GetMappingsRequest(key=self.text()),
            "Parameterize": P.ParameterizeRequest,
            "Construct": lambda: P.ConstructRequest(type=self.text(), inputs=struct()),
            "Call": lambda: P.CallRequest(tok=self.text(), args=struct()),
            "Handshake": P.ProviderHandshakeRequest,
            "Attach": plugin_pb2.PluginAttach,
            "GetPluginInfo": Empty,
            "Cancel": Empty,
        }
        return drawn[rpc]()


RPCS = (
    "CheckConfig DiffConfig Check Check Diff Diff Create Create Update Update Read Read Delete Invoke Configure "
    "GetSchema GetMapping GetMappings Parameterize Construct Call Handshake Attach GetPluginInfo Cancel"
).split()


def echo() -> FakeCore:
    """Answer every verb with what it was asked, so that whatever was decoded is encoded again."""

    async def check(request):
        found = tuple(Failure(path, f"odd {leaf!r}") for path, leaf in leaves(request.news))
        return verbs.Checked(request.news, found)

    async def diff(request):
        kinds = list(verbs.Kind)
        return verbs.Difference(
            tuple(verbs.Change(path, kinds[at % len(kinds)]) for at, (path, _) in enumerate(leaves(request.news)))
        )

    async def create(request):
        return verbs.Created("e1", request.inputs, request.secrets)

    async def update(request):
        return verbs.Updated({**request.outputs, **request.news}, request.secrets)

    async def read(request):
        return verbs.Observed(request.id, request.inputs, request.outputs, request.secrets) if request.id else None

    async def delete(request):
        await request.voice.status(repr(request.outputs))

    async def invoke(request):
        return verbs.Invoked(request.arguments)

    return FakeCore(check=check, diff=diff, create=create, update=update, read=read, delete=delete, invoke=invoke)


def test_decoding_never_fails_but_with_malformed():
    """And what was decoded can be written and read again, with the same secrets."""
    dice, until, count = Dice(SEED), time.monotonic() + SECONDS / 2, 0
    told: list[str] = []
    while time.monotonic() < until and count < 20_000:
        count += 1
        drawn = dice.properties()
        try:
            values, secrets = decode(drawn)
        except Malformed as problem:
            told.append(str(problem))
            continue
        written = encode(values, secrets, allow_unknown=True)
        again, same_secrets = decode(written)
        assert plain(encode(again, same_secrets, allow_unknown=True)) == plain(written)
        assert all(is_covered(path, secrets) for path in same_secrets)
        encode(values, secrets, allow_unknown=False)
    assert count > 300 and CANARY not in "".join(told)


def test_every_request_is_answered_in_time_with_an_answer_or_a_typed_failure():
    """UNKNOWN and INTERNAL would make the CLI call the state corrupt; a key or a secret is in no failure."""

    async def one(served, dice, rpc):
        began = time.monotonic()
        failed = await failure_of(getattr(served.stub, rpc)(dice.request(rpc), timeout=10))
        assert time.monotonic() - began < 5, rpc
        assert failed is None or failed.code().name in TYPED, (rpc, failed)
        assert failed is None or KEY not in failed.details(), (rpc, failed)

    async def scenario():
        dice, until, count = Dice(SEED), time.monotonic() + SECONDS, 0
        async with serving(echo()) as served:
            while time.monotonic() < until and count < 6000:
                batch = [dice.random.choice(RPCS) for _ in range(8)]
                await asyncio.gather(*(one(served, dice, rpc) for rpc in batch))
                count += len(batch)
            await served.stub.Cancel(Empty(), timeout=5)
            return count

    assert run(scenario()) > 100


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x05abc"])
@pytest.mark.parametrize("rpc", ["Check", "Create", "Configure"])
def test_bytes_that_are_no_message_fail_and_the_next_request_is_answered(rpc, content):
    """They fail in gRPC itself, before anything of ours."""

    async def scenario():
        async with serving(echo()) as served:
            raw = served.channel.unary_unary(f"/pulumirpc.ResourceProvider/{rpc}")
            with pytest.raises(grpc.aio.AioRpcError):
                await raw(content, timeout=5)
            await served.stub.Cancel(Empty(), timeout=5)

    run(scenario())


@pytest.mark.parametrize("depth", [30, 60, 2000])
def test_properties_of_any_depth_are_answered_or_refused(depth):
    """Neither our stack nor that of the protobuf library breaks."""

    async def scenario():
        nested = Value(string_value="x")
        for _ in range(depth):
            outer = Value()
            outer.struct_value.fields["a"].CopyFrom(nested)
            nested = outer
        async with serving(echo()) as served:
            request = P.CheckRequest(urn=URN)
            request.news.fields["a"].CopyFrom(nested)
            failed = await failure_of(served.stub.Check(request, timeout=10))
            assert failed is None or depth > 30, failed
            await served.stub.Cancel(Empty(), timeout=5)

    run(scenario())
