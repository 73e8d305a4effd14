"""The process: arguments, streams, and the order of start and end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from ..core.version import plugin_version

PROGRAM: Final = "pulumi-resource-runpod-serverless"


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The Pulumi resource provider for Runpod serverless. The Pulumi CLI starts it; there is no need to run it by hand.",
        allow_abbrev=False,
    )
    parser.add_argument("engine", nargs="?", help="address of the engine; without it, wait for an engine to attach")
    parser.add_argument("--logtostderr", action="store_true", help="accepted for the engine; logs always go to stderr")
    parser.add_argument("-v", dest="verbosity", metavar="N", default="0", help="log more from 1 on, and all from 9 on")
    parser.add_argument("--tracing", metavar="URL", help="accepted for the engine; not used")
    parser.add_argument("--version", action="version", version=version)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the engine is gone or a signal comes. The only line on stdout is the port."""
    version = plugin_version()
    arguments, _ = _parser(version).parse_known_args(argv)  # flags of a later engine are no reason to fail
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # its command line; it costs 5 MB where click and rich are there
    announce = _claim_stdout()
    try:
        return asyncio.run(_serve(arguments.engine, version, announce, _verbosity(arguments.verbosity)))
    except KeyboardInterrupt:
        return 130


def _verbosity(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _claim_stdout() -> int:
    """Keep stdout for the port and send everything else that is printed, by whatever library, to stderr."""
    sys.stdout.flush()
    port_stream = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return port_stream


def _configure_logging(verbosity: int, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    level = logging.DEBUG if verbosity >= 9 else logging.INFO if verbosity >= 1 else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpcore", "grpc"):  # their debug records hold requests whole
        logging.getLogger(chatty).setLevel(max(level, logging.INFO))
    logging.captureWarnings(True)


async def _serve(engine_address: str | None, version: str, port_stream: int, verbosity: int) -> int:
    import grpc.aio

    from ..engine import Engine, EngineVoice
    from ..lifetime import Lifetime
    from ..proto import provider_pb2_grpc
    from ..redaction import RedactingFormatter
    from .server import GRPC_OPTIONS, Server
    from .wiring import Wiring

    engine = Engine(engine_address)
    wiring = Wiring(version, EngineVoice(engine, "", str), engine)
    servicer = Server(connect=wiring.connect, schema=wiring.schema, version=version, engine=engine, stop=wiring.stop)
    _configure_logging(verbosity, RedactingFormatter("%(levelname)s %(name)s: %(message)s", servicer.redact))
    lifetime = Lifetime(engine)
    lifetime.heed_signals()
    server = grpc.aio.server(options=GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    os.write(port_stream, f"{port}\n".encode())  # only now: the engine connects at once
    try:
        await lifetime.wait(watch_engine=engine_address is not None)
        if lifetime.is_asked:
            await servicer.closed()
        draining = asyncio.ensure_future(servicer.drain(lifetime.grace_seconds))
        hurried = asyncio.ensure_future(lifetime.hurried.wait())
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await asyncio.wait({draining}, timeout=lifetime.grace_seconds)
    finally:
        await server.stop(grace=0.3)
        await engine.close()
        await wiring.aclose()
    return 0
