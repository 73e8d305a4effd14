"""The command `runpod-emulator`: serves the app on the loopback interface and prints its URL first."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn

from runpod_emulator.app import create_app
from runpod_emulator.store import UnusableFileError
from runpod_emulator.world import World

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that tells its streams when it is time to end."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self._world = world

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of everybody."""
        self._world.is_closing = True
        await super().shutdown(sockets)


def _fail(reason: str) -> NoReturn:
    typer.echo(f"runpod-emulator: {reason}", err=True)
    raise typer.Exit(1)


def _quota(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number of requests a minute nor 'none'", param_hint="--quota")
    return int(text)


def _listener(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it every answer takes 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        _fail(f"port {port} on {HOST} cannot be used: {error.strerror}")
    listener.listen(128)
    return listener


def _stop_with_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65_535)] = 0,
    state: Annotated[Path | None, typer.Option(help="SQLite file that keeps the state; memory without it.")] = None,
    quota: Annotated[str, typer.Option(help="Requests a minute for the account, or 'none'.")] = "60",
    worker_quota: Annotated[int, typer.Option(help="Sum of workers.max that the account may reach.", min=0)] = 5,
    job_base_url: Annotated[str | None, typer.Option(help="Base of the request URLs; this server's own /v2 without it.")] = None,
    stop_when_parent_exits: Annotated[bool, typer.Option("--stop-when-parent-exits", help="End with the parent process.")] = False,
) -> None:
    """Run a local Runpod REST API v2: it and the API that takes jobs under /v2, a page that shows the account at /."""
    limit = _quota(quota)
    listener = _listener(port)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    try:
        app = create_app(state=state, quota=limit, worker_quota=worker_quota, job_base_url=job_base_url or f"{url}/v2")
    except UnusableFileError as error:
        _fail(str(error))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,  # longer than clients keep an idle connection, so that we never hang up on a request
    )
    server = _Server(config, app.world)
    for number in (signal.SIGINT, signal.SIGTERM):  # before uvicorn listens, and after, when it raises the signal once more
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    if stop_when_parent_exits:
        _stop_with_parent(server)
    typer.echo(url)
    if sys.stderr.isatty():  # for a person; a program reads one line
        typer.echo(f"export RUNPOD_API_URL={url} RUNPOD_ENDPOINT_BASE_URL={url}/v2 RUNPOD_API_KEY=anything", err=True)
    server.run(sockets=[listener])
    app.world.store.close()


def main() -> None:
    """Run the command."""
    typer.run(serve)
