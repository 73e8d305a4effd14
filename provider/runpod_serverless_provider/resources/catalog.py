"""What Runpod offers: the names shipped with this version, and the live catalog, which decides where an endpoint is created.

Shipped names are the enums of the schema and the fallback where the catalog cannot be reached; they are never a reason to refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ..core.failures import ApiProblem, Failure, ProviderFailure, Unreadable
from ..core.listings import Listings
from ..core.ports import Voice
from ..core.session import Session
from ..core.validation import did_you_mean

ANY: Final = "any"
POOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "AMPERE_16": ("NVIDIA RTX A4000", "NVIDIA RTX A4500", "NVIDIA RTX 4000 Ada Generation", "NVIDIA RTX 2000 Ada Generation"),
    "AMPERE_24": ("NVIDIA RTX A5000", "NVIDIA L4", "NVIDIA GeForce RTX 3090"),
    "AMPERE_48": ("NVIDIA A40", "NVIDIA RTX A6000"),
    "AMPERE_80": ("NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"),
    "ADA_24": ("NVIDIA GeForce RTX 4090",),
    "ADA_32_PRO": ("NVIDIA GeForce RTX 5090",),
    "ADA_48_PRO": ("NVIDIA RTX 6000 Ada Generation", "NVIDIA L40", "NVIDIA L40S"),
    "ADA_80_PRO": ("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"),
    "HOPPER_141": ("NVIDIA H200",),
    "BLACKWELL_96": (
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    ),
    "BLACKWELL_180": ("NVIDIA B200",),
}
GPU_TYPES: Final = tuple(card for cards in POOLS.values() for card in cards)


@dataclass(frozen=True)
class Flavor:
    """A CPU flavor's facts: GB of memory and, where a limit is known, of container disk for each vCPU."""

    ram_gb_per_vcpu: int
    disk_gb_per_vcpu: int | None


FLAVORS: Final[Mapping[str, Flavor]] = {"cpu3g": Flavor(4, 10), "cpu3c": Flavor(2, 10), "cpu5c": Flavor(2, 15)}
VCPU_COUNTS: Final = (2, 4, 8)
CPU_SIZES: Final = tuple(
    f"{name}-{count}-{count * flavor.ram_gb_per_vcpu}" for name, flavor in FLAVORS.items() for count in VCPU_COUNTS
)
CPU_DATA_CENTERS: Final = ("EU-RO-1",)
DATA_CENTERS: Final = (
    *(
        "US-CA-2",
        "US-GA-2",
        "US-IL-1",
        "US-KS-2",
        "US-MD-1",
        "US-MO-1",
        "US-MO-2",
        "US-NC-1",
        "US-NC-2",
        "US-NE-1",
        "US-TX-3",
        "US-WA-1",
    ),
    *("EU-CZ-1", "EU-RO-1", "EUR-IS-1", "EUR-NO-1"),
)
DEFAULT_DATA_CENTER: Final = "EU-RO-1"

SERVERLESS_STOCK: Final = {"include": "AVAILABILITY", "product": "SERVERLESS"}
_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class Gpus:
    """Cards by serverless pool, in the catalog's order, the cards in no pool, and the data centers that have any card."""

    pools: Mapping[str, tuple[str, ...]]
    others: frozenset[str] = frozenset()
    data_centers: frozenset[str] = frozenset()
    is_live: bool = True

    @property
    def cards(self) -> tuple[str, ...]:
        """All cards of all pools."""
        return tuple(card for cards in self.pools.values() for card in cards)

    def pool_of(self, card: str) -> str | None:
        """Return the pool of a card."""
        return next((pool for pool, cards in self.pools.items() if card in cards), None)


@dataclass(frozen=True)
class Cpus:
    """For each CPU flavor the data centers that have it in stock, and the numbers of vCPUs that it comes in."""

    data_centers: Mapping[str, tuple[str, ...]]
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    is_live: bool = True


SHIPPED_GPUS: Final = Gpus(POOLS, is_live=False)
SHIPPED_CPUS: Final = Cpus(dict.fromkeys(FLAVORS, CPU_DATA_CENTERS), is_live=False)


class Catalog:
    """The live catalog, at most one GET for each kind in a process. Out of reach, it warns once and the shipped names serve."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kinds: dict[str, Any] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def known_gpus(self) -> Gpus:
        """The live cards where they were loaded before, else the shipped ones."""
        known: Gpus = self._kinds.get("gpus", SHIPPED_GPUS)
        return known

    async def gpus(self, voice: Voice) -> Gpus:
        """Load the cards (`listGpuTypes`)."""
        return await self._once("gpus", self._load_gpus, SHIPPED_GPUS, voice)

    async def cpus(self, voice: Voice) -> Cpus:
        """Load the CPU flavors (`listCpuTypes`)."""
        return await self._once("cpus", self._load_cpus, SHIPPED_CPUS, voice)

    async def data_center_failures(self, names: Iterable[str], voice: Voice, seen: frozenset[str] = frozenset()) -> list[Failure]:
        """Say which names are neither shipped, nor in `seen`, nor in the catalog (`listDataCenters`), which is asked only for these."""
        foreign = [name for name in names if name not in (*DATA_CENTERS, ANY) and name not in seen]
        known = await self._once("datacenters", self._load_data_centers, None, voice) if foreign else None
        missing = [] if known is None else [name for name in foreign if name not in known]
        return [
            Failure(("datacenter",), f"Runpod has no data center {name!r}{did_you_mean(name, known or ())}") for name in missing
        ]

    async def _once(self, kind: str, load: Callable[[Voice], Awaitable[_Loaded]], fallback: _Loaded, voice: Voice) -> _Loaded:
        async with self._locks.setdefault(kind, asyncio.Lock()):
            if kind not in self._kinds:
                try:
                    with Unreadable.of("its catalog"):
                        self._kinds[kind] = await load(voice)
                except ProviderFailure as problem:
                    if isinstance(problem, ApiProblem) and problem.status in (401, 403):
                        raise problem.explained("reading Runpod's catalog") from None
                    await voice.warn(f"Runpod's catalog could not be read, so names are not checked: {problem}")
                    self._kinds[kind] = fallback
        loaded: _Loaded = self._kinds[kind]
        return loaded

    async def _load_gpus(self, voice: Voice) -> Gpus:
        found = await self._session.part(Listings).get("/catalog/gpus", "gpus", voice, SERVERLESS_STOCK)
        pools: dict[str, list[str]] = {}
        for card in found:
            if card.get("pool"):
                pools.setdefault(card["pool"], []).append(card["id"])
        return Gpus(
            {pool: tuple(cards) for pool, cards in pools.items()},
            frozenset(card["id"] for card in found if not card.get("pool")),
            frozenset(place["id"] for card in found for place in card.get("dataCenters") or ()),
        )

    async def _load_cpus(self, voice: Voice) -> Cpus:
        found = await self._session.part(Listings).get("/catalog/cpus", "cpus", voice, SERVERLESS_STOCK)
        return Cpus(
            {flavor["id"]: tuple(place["id"] for place in flavor.get("dataCenters") or ()) for flavor in found},
            {flavor["id"]: (flavor["vcpu"]["min"], flavor["vcpu"]["max"]) for flavor in found if flavor.get("vcpu")},
        )

    async def _load_data_centers(self, voice: Voice) -> tuple[str, ...] | None:
        found = await self._session.part(Listings).get("/catalog/datacenters", "dataCenters", voice)
        return tuple(center["id"] for center in found)


def select(words: Iterable[str], gpus: Gpus) -> tuple[list[str], list[str]] | list[Failure]:
    """Expand canonical `gpu` words to pools and the cards excluded from them, or say which words mean nothing.

    A card selects its pool and excludes the pool's other cards; a pool that is named itself keeps all of them.
    """
    words = list(words)
    named = set(gpus.pools) if ANY in words else {word for word in words if word in gpus.pools}
    cards = {word for word in words if word not in named and word != ANY}
    by_pool: dict[str, set[str]] = {}
    failures = []
    for card in sorted(cards):
        pool = gpus.pool_of(card)
        if pool is not None:
            by_pool.setdefault(pool, set()).add(card)
        elif card in gpus.others:
            failures.append(Failure(("gpu",), f"{card!r} is in no serverless pool, so no endpoint can run on it"))
        elif gpus.is_live:
            hint = did_you_mean(card, [*gpus.pools, *gpus.cards]) or f"; GPU groups are {', '.join((ANY, *gpus.pools))}"
            failures.append(Failure(("gpu",), f"Runpod has no GPU type or group {card!r}{hint}"))
        else:
            failures.append(
                Failure(("gpu",), f"{card!r} is not a GPU that this version knows, and the catalog is out of reach; try later")
            )
    if failures:
        return failures
    selected = [pool for pool in gpus.pools if pool in named or pool in by_pool]
    excluded = [card for pool in selected if pool not in named for card in gpus.pools[pool] if card not in by_pool[pool]]
    return selected, excluded


def words_for(pools: Iterable[str], excluded: Iterable[str], gpus: Gpus) -> list[str]:
    """Say a selection in `gpu` words: the reverse of `select`, as far as the cards of a pool are known."""
    pools, left_out = list(pools), set(excluded)
    if not left_out and set(pools) == set(gpus.pools):
        return [ANY]
    words: set[str] = set()
    for pool in pools:
        cards = gpus.pools.get(pool, ())
        kept = [card for card in cards if card not in left_out]
        words.update(kept if 0 < len(kept) < len(cards) else [pool])
    return sorted(words)
