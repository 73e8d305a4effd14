"""Joins this door to the API client, the core and the resources. The only place of the plugin that knows them, and it loads them late."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from ..configuration import Configuration
from ..core.ports import Silent, Voice

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..api.client import Client, Timings
    from ..engine import Engine
    from ..journal import SqliteJournal
    from .server import Core


class Wiring:
    """Makes cores from configurations and closes their connections at the end. `engine` is whom they serve; `timings` are for tests."""

    def __init__(self, version: str, voice: Voice | None = None, engine: Engine | None = None, **timings: Unpack[Timings]) -> None:
        self._voice = voice or Silent()
        self._user_agent = f"pulumi-runpod-serverless/{version}"
        self._engine = engine
        self._timings = timings
        self._connections = AsyncExitStack()
        self._client: Client | None = None
        self._journal: SqliteJournal | None = None

    async def connect(self, configuration: Configuration) -> Core:
        """Make the core; what it needs is imported only now, as most plugin processes only give their schema."""
        from ..api.client import Client
        from ..core.provider import Provider
        from ..journal import open_journal
        from ..resources import FUNCTIONS, RESOURCES

        # The ones before, if any, served another run.
        if self._journal is not None:
            await self._journal.aclose()
        self._client = client = Client(
            base_url=configuration.base_url,
            jobs_url=configuration.jobs_url,
            api_key=configuration.api_key,
            user_agent=self._user_agent,
            **self._timings,
        )
        self._journal = journal = open_journal(configuration, self._voice, self._engine.run if self._engine else "")
        self._connections.push_async_callback(client.aclose)
        self._connections.push_async_callback(journal.aclose)
        return Provider(RESOURCES, client, configuration.settings, FUNCTIONS, journal=journal)

    @staticmethod
    def schema() -> str:
        """Load the committed schema."""
        from .. import schema

        return schema.load()

    def stop(self) -> None:
        """Create nothing more: the run that asked for it is cancelled, or its engine gone."""
        if self._client is not None:
            self._client.stop()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()
