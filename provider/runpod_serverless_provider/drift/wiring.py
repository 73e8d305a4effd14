"""Joins the search for drift to the API client. The only place here that knows it, and it loads it late: few searches need it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from ..core.failures import ProviderFailure
from ..core.resource import PACKAGE
from ..core.settings import CONFIGURATION
from ..core.version import DISTRIBUTION, plugin_version
from .causes import Account, Worker, WorkersUnknown

_MASK: Final = "[secret]"
"""What the engine shows of a secret value of the configuration."""


class Runpod:
    """Lists workers with the key that a stack's provider would take. A context manager that closes its connections."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._clients: dict[tuple[str, str], Any] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._open.aclose()

    async def workers(self, account: Account, id: str) -> list[Worker]:
        """List an endpoint's workers with 1 GET. Raises WorkersUnknown."""
        try:
            client = await self._client(account)
            found = await client.request("GET", f"/serverless/{id}/workers")
        except ProviderFailure as problem:
            raise WorkersUnknown(str(problem)) from None
        try:
            return [Worker(str(worker["id"]), str(worker["status"])) for worker in found["workers"]]
        except (KeyError, TypeError):
            raise WorkersUnknown("Runpod's answer is not a list of workers") from None

    async def _client(self, account: Account) -> Any:
        from ..api.client import Client
        from ..configuration import resolve

        values = {}
        for item in CONFIGURATION:
            key = f"{PACKAGE}:{item.name}"
            value = account.values.get(key)
            values[item.name] = await account.decrypt(key) if value == _MASK else value
        home = Path(self._environment.get("HOME") or Path.home())
        found = resolve({name: value for name, value in values.items() if value is not None}, self._environment, home)
        place = (found.base_url, found.api_key)
        if place not in self._clients:
            client = Client(base_url=found.base_url, api_key=found.api_key, user_agent=f"{DISTRIBUTION}/{plugin_version()} (drift)")
            self._open.push_async_callback(client.aclose)
            self._clients[place] = client
        return self._clients[place]
