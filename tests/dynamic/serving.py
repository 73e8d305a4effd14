"""The process of the dynamic provider, as the engine starts it, with an engine that only lives and logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from parity.doors import KEY, plain, registered, struct
from unit.support import PACKAGE

P: Final = provider_pb2
HEEDING: Final = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Undoes what a shell does to a job in the background, which ignores SIGINT, as does all that it starts."""
LAUNCHER: Final = (sys.executable, "-u", "-c", f"{HEEDING}import pulumi.dynamic.__main__")


class QuietEngine(engine_pb2_grpc.EngineServicer):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[Any] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Log(self, request: Any, context: Any) -> Empty:
        self.logged.append(request)
        return Empty()

    def die(self) -> None:
        """Vanish, as an engine does that is killed."""
        self._server.stop(0).wait()


class Served:
    """A running dynamic provider."""

    def __init__(self, process: subprocess.Popen[bytes], stub: Any, engine: QuietEngine) -> None:
        self.process, self.stub, self.engine = process, stub, engine

    def create(self, name: str, kind: str = "Endpoint", **inputs: Any) -> Any:
        """Begin to create; the answer is a future."""
        news = struct(plain(registered(PACKAGE + kind, name, {**inputs, "name": name})))
        checked = self.stub.Check(P.CheckRequest(news=news))
        assert not checked.failures
        return self.stub.Create.future(P.CreateRequest(properties=checked.inputs), timeout=60)


@contextmanager
def served(url: str, launcher: tuple[str, ...] = LAUNCHER) -> Iterator[Served]:
    """Start the process for an API at `url`."""
    engine = QuietEngine()
    environment = {**os.environ, "RUNPOD_API_KEY": KEY, "RUNPOD_API_URL": url}
    process = subprocess.Popen([*launcher, engine.address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(P.ConfigureRequest(args=struct({})))
            yield Served(process, stub, engine)
    finally:
        engine.die()
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
