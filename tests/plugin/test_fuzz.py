"""Whatever comes over the wire: no crash, no untyped failure, no hang, and the next request is answered.

Behind the door is a core that gives back what it is asked, so that whatever was decoded is encoded again; `tools/reliability/fuzz.py` draws
the same requests for the real one.
"""

from __future__ import annotations

import asyncio
import random

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Value
from tools.reliability.canaries import found_in
from tools.reliability.drawing import RPCS, Dice

from plugin.support import KEY, URN, FakeCore, P, plain, run, serving
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import Failure
from runpod_serverless_provider.core.values import leaves
from runpod_serverless_provider.plugin.wire import Malformed, decode, encode

SEED = 20261124
TYPED = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED")


async def failure_of(call) -> grpc.aio.AioRpcError | None:
    """Await an RPC, and give its failure, if it is one."""
    try:
        await call
    except grpc.aio.AioRpcError as problem:
        return problem
    return None


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
    dice, told = Dice(random.Random(SEED)), list[str]()
    for _ in range(5000):
        drawn = dice.struct(4)
        try:
            values, secrets = decode(drawn)
        except Malformed as problem:
            told.append(str(problem))
            continue
        written = encode(values, secrets, allow_unknown=True)
        again, same_secrets = decode(written)
        assert plain(encode(again, same_secrets, allow_unknown=True)) == plain(written)
        assert all(any(path[:length] in secrets for length in range(len(path) + 1)) for path in same_secrets)
        encode(values, secrets, allow_unknown=False)
    assert told and not found_in("".join(told))


def test_every_request_is_answered_with_an_answer_or_a_typed_failure():
    """UNKNOWN and INTERNAL would make the CLI call the state corrupt; a key or a secret is in no failure."""

    async def one(served, dice, rpc):
        failed = await failure_of(getattr(served.stub, rpc)(dice.request(rpc), timeout=10))
        assert failed is None or failed.code().name in TYPED, (rpc, failed)
        assert failed is None or not (KEY in failed.details() or found_in(failed.details())), (rpc, failed)
        return failed is None

    async def scenario():
        dice, answered = Dice(random.Random(SEED)), 0
        async with serving(echo()) as served:
            for _ in range(200):
                batch = [dice.chance.choice([rpc for rpc in RPCS if rpc != "List"]) for _ in range(8)]
                answered += sum(await asyncio.gather(*(one(served, dice, rpc) for rpc in batch)))
            await served.stub.Cancel(Empty(), timeout=5)
        return answered

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
