"""The dynamic provider's process: it takes the engine's Cancel whatever is under way, says what it does, and ends with its engine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from dynamic.serving import LAUNCHER, served
from parity.doors import KEY, secret

if TYPE_CHECKING:
    from runpod_emulator.running import Running

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
