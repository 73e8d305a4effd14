"""When the process ends, with clocks that run fast."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import threading

import grpc.aio
import pytest

from plugin.support import run
from runpod_serverless_provider.engine import Engine
from runpod_serverless_provider.lifetime import Lifetime


class Health:
    """An engine whose health is scripted: True, False, or an exception."""

    def __init__(self, *answers):
        self.answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.asked = 0

    async def is_alive(self):
        self.asked += 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ended(lifetime, *, watch_engine=True, within=2.0):
    """Say whether the lifetime ends by itself."""

    async def scenario():
        try:
            await asyncio.wait_for(lifetime.wait(watch_engine=watch_engine), within)
        except asyncio.TimeoutError:
            return False
        return True

    return run(scenario())


def test_an_engine_that_is_gone_twice_ends_it_with_time_to_finish():
    """One miss may be a hiccup; nobody waits for an orphan, so it may finish what costs money when torn."""
    engine = Health(True, False, True, False, False)
    lifetime = Lifetime(engine, poll_seconds=0.01)
    assert ended(lifetime) and engine.asked == 5 and lifetime.grace_seconds > 60 and not lifetime.is_asked


def test_a_check_that_breaks_is_no_miss():
    """A broken check must not end a working provider."""
    assert not ended(Lifetime(Health(RuntimeError("x")), poll_seconds=0.01), within=0.3)


def test_another_parent_ends_it():
    """An orphan holds keys for nobody."""
    parents = iter([7, 7, 1])
    lifetime = Lifetime(Health(True), poll_seconds=0.01, parent=lambda: next(parents, 1))
    assert ended(lifetime) and lifetime.grace_seconds > 60


def test_an_attached_provider_outlives_its_engines():
    """It was started by hand, to be debugged."""
    parents = itertools.count()
    assert not ended(Lifetime(Health(False), poll_seconds=0.01, parent=lambda: next(parents)), watch_engine=False, within=0.2)


def test_an_end_that_was_asked_for_comes_at_once():
    """It does not wait for the next look."""
    lifetime = Lifetime(Health(True), poll_seconds=60)

    async def scenario():
        waiting = asyncio.ensure_future(lifetime.wait(watch_engine=True))
        await asyncio.sleep(0.01)
        lifetime.end("test", 3)
        await asyncio.wait_for(waiting, 1)
        return lifetime.grace_seconds

    assert run(scenario()) == 3


def test_a_signal_hurries_an_orphan():
    """An orphan may take its time, but not when it is asked to stop; the other way round gives no more time."""

    async def scenario():
        lifetime = Lifetime(Health(True))
        lifetime.end("the engine is gone", 120)
        assert not lifetime.hurried.is_set()
        lifetime.end("SIGTERM", 4)
        lifetime.end("the engine is gone", 120)
        return lifetime.hurried.is_set(), lifetime.grace_seconds

    assert run(scenario()) == (True, 4)


def test_an_idle_process_notices_the_end_of_a_real_engine():
    """And one without a health service is alive: it answers that there is none."""

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

    run(scenario())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("has_loop_signals", [True, False])
def test_both_signals_end_it_with_less_time_than_the_engine_gives(monkeypatch, has_loop_signals):
    """Also where the event loop offers no signals, as on Windows."""

    async def scenario():
        loop = asyncio.get_running_loop()
        if not has_loop_signals:

            def refuse(*arguments):
                raise NotImplementedError

            monkeypatch.setattr(loop, "add_signal_handler", refuse)
        lifetime = Lifetime(Health(True), poll_seconds=0.05)
        lifetime.heed_signals()
        waiting = asyncio.ensure_future(lifetime.wait(watch_engine=True))
        await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(waiting, 2)
        assert lifetime.is_asked
        return lifetime.grace_seconds

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert run(scenario()) < 5
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_thread_that_may_set_no_signals_goes_on_without(caplog):
    """A test, or a host that embeds the provider."""

    async def scenario():
        Lifetime(Health(True)).heed_signals()

    with caplog.at_level(logging.DEBUG):
        thread = threading.Thread(target=lambda: asyncio.run(scenario()))
        thread.start()
        thread.join()
    assert [record.message for record in caplog.records if "not heeded" in record.message] == [
        "SIGINT is not heeded",
        "SIGTERM is not heeded",
    ]
