"""Messages to the user, and the engine's health."""

from __future__ import annotations

import asyncio
import time

import grpc.aio
import pytest

from plugin.support import KEY, URN, FakeCore, FakeEngine, P, listening, run, secret, serving, struct
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.engine import Engine, EngineVoice
from runpod_serverless_provider.redaction import Redactor

DEBUG, INFO, WARNING = 0, 1, 2


def talk(*lines, **options):
    """Say each line (a method's name and a text) to an engine, and give what it heard."""

    async def scenario():
        heard = FakeEngine()
        async with listening(heard) as address:
            engine = Engine(address, **options)
            for method, text in lines:
                await getattr(EngineVoice(engine, URN, Redactor([KEY])), method)(text)
            await engine.close()
        return [(line.severity, line.message, line.ephemeral, line.urn) for line in heard.logged]

    return run(scenario())


def test_each_kind_of_message_has_its_severity():
    """Never an error, which would fail the run; only a status passes."""
    said = talk(("status", "s"), ("debug", "d"), ("inform", "i"), ("warn", "w"))
    assert said == [(INFO, "s", True, URN), (DEBUG, "d", False, URN), (INFO, "i", False, URN), (WARNING, "w", False, URN)]


def test_no_message_holds_a_secret_or_more_than_fits():
    """Whatever was said."""
    lines = talk(*((method, f"a {KEY} " + "x" * 100_000) for method in ("status", "debug", "inform", "warn")))
    assert len(lines) == 4 and all(line[1].startswith("a [secret] xx") and len(line[1]) == 64 * 1024 for line in lines)


def test_status_lines_come_once_a_second_for_each_resource():
    """The engine redraws its display for each; warnings come always."""

    async def scenario():
        heard, now = FakeEngine(), [100.0]
        async with listening(heard) as address:
            engine = Engine(address, clock=lambda: now[0])
            one, other = EngineVoice(engine, "a", Redactor()), EngineVoice(engine, "b", Redactor())
            for at in (100.0, 100.5, 100.9, 101.0, 101.5, 103.0):
                now[0] = at
                await one.status(f"a {at}")
                await one.warn("w")
            await other.status("b")
            await engine.close()
        return [line.message for line in heard.logged if line.ephemeral], sum(not line.ephemeral for line in heard.logged)

    assert run(scenario()) == (["a 100.0", "a 101.0", "a 103.0", "b"], 6)


def test_the_voice_of_a_verb_knows_the_secrets_of_its_request():
    """Those of the configuration too."""

    async def speak(request):
        for _ in range(3):
            await request.voice.status(f"waiting with {KEY}")
        await request.voice.warn("careful with hunter2")
        return verbs.Created("i", {})

    async def scenario():
        async with serving(FakeCore(create=speak)) as served:
            await served.stub.Create(P.CreateRequest(urn=URN, properties=struct({"a": secret("hunter2")})))
            return [(line.message, line.ephemeral, line.urn) for line in served.engine.logged]

    assert run(scenario()) == [("waiting with [secret]", True, URN), ("careful with [secret]", False, URN)]


def test_without_an_engine_nothing_is_said_and_nothing_breaks():
    """Attach mode before an engine came, and after it went."""

    async def scenario():
        silent = Engine()
        await silent.log(INFO, "x", URN)
        assert silent.address == "" and await silent.is_alive()
        await silent.close()
        gone = Engine("127.0.0.1:1")
        await gone.log(INFO, "x", URN)
        assert not await gone.is_alive()
        await gone.connect("")
        await gone.connect("127.0.0.1:1")
        assert gone.address == "127.0.0.1:1"
        await gone.connect("127.0.0.1:2")
        assert gone.address == "127.0.0.1:2"
        await gone.close()

    run(scenario())


def test_a_slow_engine_does_not_hold_the_work():
    """A message waits two seconds at most."""

    async def scenario():
        async with listening(FakeEngine(delay_seconds=30)) as address:
            engine = Engine(address)
            began = time.monotonic()
            await engine.log(INFO, "x", URN)
            await engine.close()
            return time.monotonic() - began

    assert 1.5 < run(scenario()) < 4


def test_a_message_that_cannot_be_written_is_dropped():
    """Half a surrogate pair has no encoding."""

    async def scenario():
        heard = FakeEngine()
        async with listening(heard) as address:
            engine = Engine(address)
            await engine.log(INFO, "half \ud800 pair", URN)
            await engine.log(INFO, "whole", URN)
            await engine.close()
        return [line.message for line in heard.logged]

    assert run(scenario())[-1] == "whole"


@pytest.mark.parametrize("is_slow", [False, True])
def test_any_answer_of_the_engine_is_life(is_slow):
    """It has no health service of ours to offer, or sits in a debugger."""

    class Service(grpc.GenericRpcHandler):
        def service(self, details):
            async def check(request, context):
                await asyncio.sleep(10 if is_slow else 0)
                return b""

            return grpc.unary_unary_rpc_method_handler(check) if details.method == "/grpc.health.v1.Health/Check" else None

    async def scenario():
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Service(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        engine = Engine(f"127.0.0.1:{port}")
        alive = await engine.is_alive()
        await server.stop(0)
        gone = await engine.is_alive()
        await engine.close()
        return alive, gone

    assert run(scenario()) == (True, False)
