"""A language host that runs plugins which are folders; only the official release of Pulumi has one for Python.

The engine starts it as `pulumi-language-python` and reads the port from its first line. Like the real one it runs `python FOLDER …`, but in
this very environment: what the real one would install is told on its standard error.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_POLL_SECONDS = 1.0


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers what the engine asks about a plugin."""

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        requirements = Path(request.directory, "requirements.txt").read_text().split()
        print(f"install {requirements} in {request.directory}", file=sys.stderr, flush=True)
        yield language_pb2.InstallDependenciesResponse()

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        command = [sys.executable, request.info.program_directory, *request.args]
        environment = dict(item.split("=", 1) for item in request.env)
        with subprocess.Popen(command, cwd=request.pwd or None, env=environment, stdout=subprocess.PIPE) as plugin:
            context.add_callback(plugin.kill)  # what the real one does, too: such a plugin gets no signal first
            assert plugin.stdout is not None
            while chunk := plugin.stdout.read1():
                yield language_pb2.RunPluginResponse(stdout=chunk)
        yield language_pb2.RunPluginResponse(exitcode=plugin.returncode)


def main() -> None:
    """Serve until the engine interrupts, or is gone."""
    is_over, engine = threading.Event(), os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    server = grpc.server(ThreadPoolExecutor(8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    while not is_over.wait(_POLL_SECONDS) and os.getppid() == engine:
        pass
    server.stop(None)


if __name__ == "__main__":
    main()
