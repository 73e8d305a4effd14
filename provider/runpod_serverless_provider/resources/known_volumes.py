"""Which data center each network volume is in, as far as this process has learned it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.failures import Failure, ProviderFailure
from ..core.listings import Listings
from ..core.ports import Voice
from ..core.session import Session
from ..core.values import UNKNOWN
from .catalog import ANY

PATH = "/network-volumes"


class KnownVolumes:
    """Learns from volumes that pass by and, for the others, from one list a process."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._data_centers: dict[str, str] = {}
        self._is_listed = False
        self._lock = asyncio.Lock()

    def note(self, id: str, data_center: Any) -> None:
        """Remember a volume."""
        if id and isinstance(data_center, str):
            self._data_centers[id] = data_center

    def data_centers(self, ids: Iterable[str]) -> list[str] | None:
        """Return the data centers of `ids`, or None where one of them is not known."""
        found = [self._data_centers.get(id) for id in ids]
        return None if None in found else [center for center in found if center is not None]

    async def listing(self, voice: Voice) -> list[Mapping[str, Any]]:
        """List all volumes (`listNetworkVolumes`) and remember them."""
        found = await self._session.part(Listings).get(PATH, "networkVolumes", voice)
        for volume in found:
            self.note(volume["id"], volume.get("dataCenter"))
        return found

    async def learn(self, ids: Iterable[str], voice: Voice) -> list[str]:
        """Make sure that `ids` are known, with at most one list a process; return those that the account does not have."""
        async with self._lock:
            missing = [id for id in ids if id not in self._data_centers]
            if missing and not self._is_listed:
                try:
                    await self.listing(voice)
                except ProviderFailure as problem:
                    await voice.warn(f"the network volumes could not be listed, so their data centers are not checked: {problem}")
                    return []
                self._is_listed = True
            return [id for id in missing if id not in self._data_centers]

    def misplaced(self, ids: Iterable[str], data_centers: Any, *, is_default: bool = False) -> list[Failure]:
        """Say which of the known volumes share a data center, or are in none of the endpoint's, which may be by default."""
        failures = []
        seen: dict[str, str] = {}
        for id in ids:
            center = self._data_centers.get(id)
            if center is None:
                continue
            if center in seen:
                both = f"{seen[center]!r} and {id!r} are both in {center}"
                failures.append(Failure(("volume",), f"{both}; an endpoint takes at most one network volume a data center"))
            seen[center] = id
            if data_centers is not UNKNOWN and data_centers and ANY not in data_centers and center not in data_centers:
                where = f"{id!r} is in {center}, where this endpoint does not run ({', '.join(data_centers)}{' by default' * is_default})"
                escape = f"set datacenter to {center!r}" if is_default else f"add {center!r} to datacenter"
                failures.append(Failure(("volume",), f"{where}; {escape}, or take a volume of its data center"))
        return failures
