"""A language host for Python projects, which only the official release of Pulumi has: it runs the `__main__.py` of one project.

The engine starts it as `pulumi-language-python` and reads the port from its first line.
"""

from __future__ import annotations

import runpy
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc


class Host(LanguageServer):
    """Runs the program of the project that the engine names, as the Automation API runs a function."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def Run(self, request: Any, context: Any) -> Any:
        directory = Path(request.info.program_directory)
        sys.path.insert(0, str(directory))
        self.program = lambda: runpy.run_path(str(directory / "__main__.py"), run_name="__main__")
        return super().Run(request, context)


def main() -> None:
    """Serve until the engine interrupts."""
    is_over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    server = grpc.server(ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    is_over.wait()
    server.stop(None)


if __name__ == "__main__":
    main()
