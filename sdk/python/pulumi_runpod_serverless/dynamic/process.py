"""What the dynamic resources of one process share. The engine starts that process, as `python -m pulumi.dynamic`."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import re
import sys
import threading
from collections.abc import Coroutine
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from pulumi.dynamic import Config

from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.configuration import PACKAGE, resolve
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.settings import CONFIGURATION
from runpod_serverless_provider.core.version import DISTRIBUTION, plugin_version
from runpod_serverless_provider.engine import Engine, EngineVoice
from runpod_serverless_provider.journal import open_journal
from runpod_serverless_provider.lifetime import SIGNAL_GRACE_SECONDS, Cancels, Lifetime
from runpod_serverless_provider.resources import RESOURCES

from .closing import InPlace, heed_cancel

_POLL_SECONDS: Final = 0.5
_THREADS: Final = 64
IMPORTS: Final = "What is imported belongs to the native plugin; docs/dynamic.md shows how it comes back to this door."
"""What an advice to import has to say besides."""

_Answer = TypeVar("_Answer")


class Process:
    """An event loop in a thread of its own, and a core that is connected on first use."""

    def __init__(self, engine_address: str | None = None) -> None:
        self.engine = Engine(engine_address)
        self.api_keys: set[str] = set()
        self._configured: dict[str, Any] = {}
        self._core: Provider | None = None
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._sees_cancels = False
        self._cancels = Cancels()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=DISTRIBUTION, daemon=True).start()
        if engine_address:
            asyncio.run_coroutine_threadsafe(self._end_with_engine(), self._loop)
            atexit.register(self._ended)

    def configure(self, config: Config) -> None:
        """Take the stack's configuration, let more be done at once than the four threads that there are, and look out for the end."""
        found = {item.name: config.get(f"{PACKAGE}:{item.name}") for item in CONFIGURATION}
        self._configured = {name: value for name, value in found.items() if value is not None}
        widen(threading.current_thread())
        self._sees_cancels = self._sees_cancels or heed_cancel(self._cancelled)

    @property
    def core(self) -> Provider:
        """Connect, with the key of this moment. Raises ProviderFailure where there is none."""
        with self._lock:
            if self._core is None:
                resolved = resolve(self._configured, os.environ, Path.home())
                self.api_keys.add(resolved.api_key)
                agent = f"{DISTRIBUTION}/{plugin_version()} (dynamic)"
                self._client = Client(
                    base_url=resolved.base_url, jobs_url=resolved.jobs_url, api_key=resolved.api_key, user_agent=agent
                )
                journal = open_journal(resolved, EngineVoice(self.engine, "", str), self.engine.run)
                self._core = Provider(RESOURCES, self._client, resolved.settings, journal=journal)
            return self._core

    def run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Wait for `work`."""
        return asyncio.run_coroutine_threadsafe(self._noted(work), self._loop).result()

    async def _noted(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            return await work
        finally:
            self._under_way.discard(task)

    def _cancelled(self) -> None:
        self._cancels.came(is_at_rest=not self._under_way)
        if self._core is not None and self._cancels.are_orderly:
            self.run(self._core.tell_abandoned(EngineVoice(self.engine, "", lambda text: f"{text}. {IMPORTS}")))
        if os.name == "nt":  # whose signal leaves no time for more
            self._ended()

    def _ended(self) -> None:
        """End by the engine's SIGINT."""
        with contextlib.suppress(TimeoutError, futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(self._noted(self._closed()), self._loop).result(SIGNAL_GRACE_SECONDS)

    async def _closed(self) -> None:
        """Count as stored what the engine has stored. Where Cancels are not seen, nothing tells: later calls will, by the ids they name."""
        if self._core is not None and self._cancels.are_orderly:
            asyncio.get_running_loop().set_default_executor(InPlace())
            await self._core.ended()

    async def _end_with_engine(self) -> None:
        """Outlive neither the engine, which nothing else here looks at, nor the main thread: create nothing more, and finish the rest."""
        lifetime = Lifetime(self.engine, poll_seconds=_POLL_SECONDS, parent=_parent)
        await lifetime.wait(watch_engine=True)
        if self._client is not None:
            self._client.stop()
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=lifetime.grace_seconds)
        if not threading.main_thread().is_alive():
            await self._closed()
        os._exit(0)


def _parent() -> int:
    return os.getppid() if threading.main_thread().is_alive() else 0


def widen(worker: threading.Thread) -> None:
    """Give the pool that `worker` belongs to more threads.

    Pulumi's side serves all calls with four: while four creates wait for a rate limit, it could not even take the engine's Cancel, and
    the engine would call that a crash. Nothing public leads to the pool; where it cannot be found, there are four.
    """
    for pool in gc.get_objects():
        if type(pool) is ThreadPoolExecutor and worker in getattr(pool, "_threads", ()):
            pool._max_workers = _THREADS


_CURRENT: Process | None = None
_STARTING: Final = threading.Lock()


def current() -> Process:
    """Return this process; the engine's address is its last argument."""
    global _CURRENT
    with _STARTING:
        if _CURRENT is None:
            last = sys.argv[-1]
            _CURRENT = Process(last if re.fullmatch(r"[\w.\-]+:\d+", last) else None)
        return _CURRENT
