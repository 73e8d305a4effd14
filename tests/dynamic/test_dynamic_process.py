"""The dynamic provider's process: it takes the engine's Cancel whatever is under way, says what it does, and ends with its engine."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from dynamic.serving import HEEDING, LAUNCHER, served
from parity.doors import KEY, secret

if TYPE_CHECKING:
    from runpod_emulator.running import Running

Noted = Callable[[], list[str | None]]
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and shells are POSIX's")


def until(is_so: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_cancel_is_answered_while_more_is_under_way_than_pulumi_has_threads(emulator: Running) -> None:
    """Six creates wait for Runpod; four would already hold all of the four threads."""
    emulator.set(worker_quota=6)
    emulator.fault("delay", method="POST", seconds=6, times=None)
    with served(emulator.url) as provider:
        creates = [provider.create(f"r{number}", image="me/worker:1") for number in range(6)]
        until(lambda: len([one for one in emulator.requests() if one["method"] == "POST"]) == 6)
        began = time.monotonic()
        provider.stub.Cancel(Empty(), timeout=5)
        assert time.monotonic() - began < 2
        assert len({create.result().id for create in creates}) == 6


def test_messages_are_the_engines_log_and_name_their_resource(emulator: Running) -> None:
    """A warning is one, and it holds no secret."""
    with served(emulator.url) as provider:
        provider.create("plain").result()
        until(lambda: provider.engine.logged)
        (said,) = provider.engine.logged
    assert said.severity == 2
    assert said.message.startswith("Endpoint 'plain': no image is given")


SHELL = ("/bin/sh", "-c", f'"{sys.executable}" -u -m pulumi.dynamic "$@"; exit 0', "pulumi-resource-pulumi-python")


@posix_only
@pytest.mark.parametrize("launcher", [LAUNCHER, SHELL], ids=["executed", "below a shell"])
def test_the_process_ends_with_its_engine(emulator: Running, launcher: tuple[str, ...]) -> None:
    """Also where the launcher of Pulumi's release stands between the two: only the engine's silence tells then."""
    with served(emulator.url, launcher) as provider:
        provider.create("r", image="me/worker:1").result()
        assert provider.process.poll() is None
        provider.engine.die()
        provider.process.wait(20)


@posix_only
def test_an_orphan_finishes_what_costs_money_when_torn(emulator: Running) -> None:
    """The POST under way is carried through."""
    emulator.fault("delay", method="POST", seconds=5)
    with served(emulator.url) as provider:
        creating = provider.create("r", image="me/worker:1")
        until(lambda: [one for one in emulator.requests() if one["method"] == "POST"])
        provider.engine.die()
        provider.process.wait(20)
        del creating  # a call that nobody holds is cancelled
    assert len(emulator.state()["endpoints"]) == 1


def test_an_error_never_shows_a_key_or_a_secret(emulator: Running) -> None:
    """Even where Runpod repeats them."""
    emulator.fault("status", method="POST", status=400, detail=f"{KEY} may not use CANARY-9 with you")
    with served(emulator.url) as provider:
        create = provider.create("r", image="me/worker:1", env={"A": secret("CANARY-9")})
        with pytest.raises(grpc.RpcError) as raised:
            create.result()
    assert "[secret] may not use [secret] with you" in raised.value.details()


@pytest.fixture
def noted() -> Noted:
    """Give the ids of the creations that this test's journal holds."""

    def ids() -> list[str | None]:
        with contextlib.closing(sqlite3.connect(Path(os.environ["PULUMI_HOME"], "runpod-serverless", "journal.db"))) as file:
            return [id for (id,) in file.execute("select id from creations")]

    return ids


@posix_only
@pytest.mark.parametrize("cancels", [0, 1, 2])
def test_what_was_created_counts_as_stored_at_an_end_in_order_alone(emulator: Running, noted: Noted, cancels: int) -> None:
    """That is one Cancel and a SIGINT; without the one it was no engine, and with another the run was interrupted."""
    with served(emulator.url) as provider:
        created = provider.create("r", image="me/worker:1").result()
        until(lambda: noted() == [created.id])
        for _ in range(cancels):
            provider.stub.Cancel(Empty(), timeout=5)
        assert noted() == [created.id]
        provider.process.send_signal(signal.SIGINT)
        provider.process.wait(20)
    assert noted() == ([] if cancels == 1 else [created.id])


HIDING: Final = (
    f"{HEEDING}from pulumi_runpod_serverless.dynamic import closing\n"
    "closing._servicer = lambda: None\n"
    "import pulumi.dynamic.__main__"
)


@posix_only
def test_where_cancels_are_hidden_no_end_is_one_in_order(emulator: Running, noted: Noted) -> None:
    """By a Pulumi that is built otherwise: what the engine has stored, later calls tell."""
    with served(emulator.url, (sys.executable, "-u", "-c", HIDING)) as provider:
        created = provider.create("r", image="me/worker:1").result()
        until(lambda: noted() == [created.id])
        provider.stub.Cancel(Empty(), timeout=5)
        provider.process.send_signal(signal.SIGINT)
        provider.process.wait(20)
    assert noted() == [created.id]


@posix_only
def test_what_has_failed_after_its_creation_counts_as_stored_too(emulator: Running, noted: Noted) -> None:
    """The engine is told its id with the failure."""
    emulator.set(worker_quota=5)
    with served(emulator.url) as provider:
        failing = provider.create("r", image="me/worker:1", workers={"min": 1, "max": 1}, waitForReady=1)
        assert failing.exception() is not None
        until(lambda: len(noted()) == 1)
        provider.stub.Cancel(Empty(), timeout=5)
        provider.process.send_signal(signal.SIGINT)
        provider.process.wait(20)
    assert len(emulator.state()["endpoints"]) == 1 and noted() == []


@posix_only
def test_a_cancel_with_a_call_open_is_no_end_in_order(emulator: Running, noted: Noted) -> None:
    """The engine was interrupted, and may not wait for the answer."""
    emulator.fault("delay", method="POST", name="slow", seconds=2)
    with served(emulator.url) as provider:
        created = provider.create("r", image="me/worker:1").result()
        slow = provider.create("slow", image="me/worker:1")
        until(lambda: len([one for one in emulator.requests() if one["method"] == "POST"]) == 2)
        provider.stub.Cancel(Empty(), timeout=5)
        ids = {created.id, slow.result().id}
        until(lambda: set(noted()) == ids)
        provider.process.send_signal(signal.SIGINT)
        provider.process.wait(20)
    assert set(noted()) == ids


@posix_only
def test_a_killed_provider_leaves_a_note(emulator: Running, noted: Noted) -> None:
    """Whether the state has what the engine was told, nobody knows then."""
    with served(emulator.url) as provider:
        created = provider.create("r", image="me/worker:1").result()
        until(lambda: noted() == [created.id])
        provider.process.kill()
        provider.process.wait(20)
    assert noted() == [created.id]
    with served(emulator.url) as provider:
        provider.create("another", image="me/worker:1").result()
        provider.stub.Cancel(Empty(), timeout=10)
        (told,) = [one.message for one in provider.engine.logged if "did not end in order" in one.message]
    assert f"created the endpoint '{created.id}' for" in told and "docs/dynamic.md shows how it comes back" in told
