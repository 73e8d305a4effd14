"""The command `runpod-emulator`: serves the app on the loopback interface and prints its URL first."""

import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from runpod_emulator.app import create_app


def _quota(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number of requests a minute nor 'none'")
    return int(text)


def _stop_with_parent(server: uvicorn.Server) -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    state: Annotated[Path | None, typer.Option(help="SQLite file that keeps the state; memory without it.")] = None,
    quota: Annotated[str, typer.Option(help="Requests a minute for each key, or 'none'.")] = "60",
    worker_quota: Annotated[int, typer.Option(help="Sum of workers.max that the account may reach.")] = 5,
    job_base_url: Annotated[str, typer.Option(help="Base of the request URLs.")] = "https://api.runpod.ai/v2",
    stop_when_parent_exits: Annotated[bool, typer.Option("--stop-when-parent-exits", help="End with the parent process.")] = False,
) -> None:
    """Run a local Runpod REST API v2."""
    app = create_app(state=state, quota=_quota(quota), worker_quota=worker_quota, job_base_url=job_base_url)
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it every answer takes 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal once more when it has ended
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
    server = uvicorn.Server(config)
    if stop_when_parent_exits:
        _stop_with_parent(server)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])
    app.world.store.close()


def main() -> None:
    """Run the command."""
    typer.run(serve)
