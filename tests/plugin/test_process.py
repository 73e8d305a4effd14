"""The process itself: its port line, its silence, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import grpc
import grpc.aio
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from runpod_serverless_provider.plugin.lifetime import Lifetime
from runpod_serverless_provider.plugin.voice import Engine

COMMAND = [sys.executable, "-m", "runpod_serverless_provider.plugin"]


@contextlib.contextmanager
def started(*arguments):
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_first_line_is_the_port_and_it_answers_at_once():
    """With all flags of the engine, `--tracing` and its value included."""
    with started("--logtostderr", "-v=9", "--tracing", "http://127.0.0.1:1", "127.0.0.1:1") as process:
        port = process.stdout.readline()
        assert port.strip().isdecimal()
        with grpc.insecure_channel(f"127.0.0.1:{port.strip()}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            assert stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"), timeout=5).accept_secrets


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_time_and_stdout_stays_silent(number):
    """The engine kills after five seconds."""
    with started() as process:
        process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=4.5)
        assert process.returncode == 0 and out == ""


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_are_for_humans(flag):
    """They print and end."""
    answer = subprocess.run([*COMMAND, flag], capture_output=True, text=True, check=True)
    assert answer.stdout


def test_a_lost_engine_ends_it_and_an_engine_without_health_service_does_not():
    """UNIMPLEMENTED is life."""

    async def scenario():
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        engine = Engine(f"127.0.0.1:{port}")
        waiting = asyncio.ensure_future(Lifetime(engine, poll_seconds=0.05).wait(watch_engine=True))
        await asyncio.sleep(0.4)
        assert not waiting.done()
        await server.stop(0)
        await asyncio.wait_for(waiting, 10)
        await engine.close()

    asyncio.run(scenario())


def test_another_parent_ends_it_but_not_when_attached():
    """An orphan holds keys for nobody; an attached provider outlives engines by design."""

    async def scenario():
        parents = iter([7, 7, 1])
        lifetime = Lifetime(Engine(), poll_seconds=0.01, parent=lambda: next(parents, 1))
        await asyncio.wait_for(lifetime.wait(watch_engine=True), 2)
        assert lifetime.grace_seconds > 5
        attached = Lifetime(Engine(), poll_seconds=0.01, parent=lambda: int(time.monotonic() * 1e6))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(attached.wait(watch_engine=False), 0.2)

    asyncio.run(scenario())


def test_a_signal_hurries_an_orphan():
    """An orphan may take its time, but not when it is asked to stop; the other way round gives no more time."""

    async def scenario():
        lifetime = Lifetime(Engine())
        lifetime.end("the engine is gone", 120)
        lifetime.end("SIGTERM", 4)
        lifetime.end("the engine is gone", 120)
        return lifetime.hurried.is_set(), lifetime.grace_seconds

    assert asyncio.run(scenario()) == (True, 4)
