"""The catalog: cards, CPU flavors, data centers, and how much of each is in stock where.

A card's or flavor's `stock` maps a data center to a level; `*` is the level of every data center that is not named.
"""

from collections.abc import Iterable

from runpod_emulator import queries
from runpod_emulator.problems import Problem, bad_request, not_found
from runpod_emulator.rules import CUDA, VOLUME_TYPES
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, World

LEVELS = ("NONE", "LOW", "MEDIUM", "HIGH")
REGIONS = "NORTH_AMERICA SOUTH_AMERICA EUROPE ASIA MIDDLE_EAST AFRICA OCEANIA ANTARCTICA UNKNOWN".split()
COMPLIANCE = (
    "GDPR ISO_IEC_27001 ISO_14001 PCI_DSS HITRUST SOC_1_TYPE_2 SOC_2_TYPE_2 SOC_3_TYPE_2 ITAR FISMA_HIGH HIPAA RENEWABLE".split()
)

# id, short name, pool, GB of memory, serverless USD per hour
_CARDS: tuple[tuple[str, str, str | None, int, float | None], ...] = (
    ("NVIDIA RTX A4000", "RTX A4000", "AMPERE_16", 16, 0.58),
    ("NVIDIA RTX A4500", "RTX A4500", "AMPERE_16", 20, 0.58),
    ("NVIDIA RTX 4000 Ada Generation", "RTX 4000 Ada", "AMPERE_16", 20, 0.58),
    ("NVIDIA RTX 2000 Ada Generation", "RTX 2000 Ada", "AMPERE_16", 16, 0.58),
    ("NVIDIA RTX A5000", "RTX A5000", "AMPERE_24", 24, 0.69),
    ("NVIDIA L4", "L4", "AMPERE_24", 24, 0.69),
    ("NVIDIA GeForce RTX 3090", "RTX 3090", "AMPERE_24", 24, 0.69),
    ("NVIDIA A40", "A40", "AMPERE_48", 48, 1.22),
    ("NVIDIA RTX A6000", "RTX A6000", "AMPERE_48", 48, 1.22),
    ("NVIDIA A100 80GB PCIe", "A100 PCIe", "AMPERE_80", 80, 2.72),
    ("NVIDIA A100-SXM4-80GB", "A100 SXM", "AMPERE_80", 80, 2.72),
    ("NVIDIA GeForce RTX 4090", "RTX 4090", "ADA_24", 24, 1.1),
    ("NVIDIA GeForce RTX 5090", "RTX 5090", "ADA_32_PRO", 32, 1.58),
    ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada", "ADA_48_PRO", 48, 1.9),
    ("NVIDIA L40", "L40", "ADA_48_PRO", 48, 1.9),
    ("NVIDIA L40S", "L40S", "ADA_48_PRO", 48, 1.9),
    ("NVIDIA H100 80GB HBM3", "H100 SXM", "ADA_80_PRO", 80, 4.18),
    ("NVIDIA H100 PCIe", "H100 PCIe", "ADA_80_PRO", 80, 4.18),
    ("NVIDIA H100 NVL", "H100 NVL", "ADA_80_PRO", 94, 4.18),
    ("NVIDIA H200", "H200 SXM", "HOPPER_141", 141, 5.58),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000", "BLACKWELL_96", 96, 4.0),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000 WK", "BLACKWELL_96", 96, 4.0),
    ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000 MaxQ", "BLACKWELL_96", 96, 4.0),
    ("NVIDIA B200", "B200", "BLACKWELL_180", 180, 8.64),
    ("NVIDIA GeForce RTX 3070", "RTX 3070", None, 8, None),
    ("NVIDIA GeForce RTX 4070 Ti", "RTX 4070 Ti", None, 12, None),
    ("Tesla V100-PCIE-16GB", "Tesla V100", None, 16, None),
    ("AMD Instinct MI300X OAM", "MI300X", None, 192, None),
)
_SCARCE = {
    "NVIDIA B200": {"US-CA-2": "LOW", "US-NE-1": "MEDIUM", "*": "NONE"},
    "NVIDIA H200": {"EUR-NO-1": "LOW", "EU-RO-1": "NONE", "*": "MEDIUM"},
    "NVIDIA RTX 2000 Ada Generation": {"EU-RO-1": "HIGH", "EUR-IS-1": "LOW", "*": "NONE"},
}
# id, name, group, GB of memory a vCPU, container disk GB a vCPU, extra data centers
_FLAVORS: tuple[tuple[str, str, str, float, int | None, tuple[str, ...]], ...] = (
    ("cpu3g", "General Purpose", "Gen 3", 4, 10, ()),
    ("cpu3c", "Compute-Optimized", "Gen 3", 2, 10, ()),
    ("cpu5c", "Compute-Optimized", "Gen 5", 2, 15, ()),
    ("cpu5g", "General Purpose", "Gen 5", 4, None, ("US-MD-1",)),
)
# id, name, country, network volume types with the default one first
_DATA_CENTERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("US-CA-2", "US California 2", "US", ("STANDARD",)),
    ("US-IL-1", "US Illinois 1", "US", ("STANDARD",)),
    ("US-KS-2", "US Kansas 2", "US", ("STANDARD", "HIGH_PERFORMANCE")),
    ("US-MO-1", "US Missouri 1", "US", ("STANDARD",)),
    ("US-MO-2", "US Missouri 2", "US", ("STANDARD",)),
    ("US-NC-2", "US North Carolina 2", "US", ("STANDARD",)),
    ("US-NE-1", "US Nebraska 1", "US", ("STANDARD",)),
    ("US-WA-1", "US Washington 1", "US", ("HIGH_PERFORMANCE",)),
    ("EU-CZ-1", "EU Czechia 1", "CZ", ("STANDARD",)),
    ("EU-RO-1", "EU Romania 1", "RO", ("STANDARD", "HIGH_PERFORMANCE")),
    ("EUR-NO-1", "Europe Norway 1", "NO", ("STANDARD",)),
    ("US-GA-2", "US Georgia 2", "US", ()),
    ("US-MD-1", "US Maryland 1", "US", ()),
    ("US-NC-1", "US North Carolina 1", "US", ()),
    ("US-TX-3", "US Texas 3", "US", ()),
    ("EUR-IS-1", "Europe Iceland 1", "IS", ()),
)


def _cuda_of(identifier: str) -> list[str]:
    if identifier.startswith("AMD"):
        return []
    is_blackwell = any(mark in identifier for mark in ("Blackwell", "B200", "5090"))
    return ["12.8", "12.9", "13.0"] if is_blackwell else ["12.4", "12.6", "12.8", "12.9"]


def new_gpu(doc: Doc) -> Doc:
    """Fill what a seeded card leaves out."""
    price = {"secure": 0.5, "community": 0.4, **({"serverless": 1.0} if doc.get("pool") else {})}
    return {
        "name": doc["id"].removeprefix("NVIDIA "),
        "pool": None,
        "manufacturer": "AMD" if doc["id"].startswith("AMD") else "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": True,
        "price": price,
        "maxCount": {"secure": 8, "community": 4},
        "cudaVersions": _cuda_of(doc["id"]),
        "stock": {"*": "HIGH"},
        **doc,
    }


def new_cpu(doc: Doc) -> Doc:
    """Fill what a seeded CPU flavor leaves out."""
    return {
        "name": "Compute-Optimized",
        "group": "Gen 5",
        "vcpu": {"min": 2, "max": 32},
        "ramGbPerVcpu": 2,
        "price": {"securePerVcpu": 0.04, "serverlessPerVcpu": 0.03},
        "diskGbPerVcpu": None,
        "stock": {"EU-RO-1": "HIGH", "*": "NONE"},
        **doc,
    }


def new_data_center(doc: Doc) -> Doc:
    """Fill what a seeded data center leaves out."""
    first, _, rest = doc["id"].partition("-")
    is_american = first in ("US", "CA")
    return {
        "name": doc["id"],
        "country": first if is_american else rest.partition("-")[0],
        "region": "NORTH_AMERICA" if is_american else {"AP": "ASIA", "OC": "OCEANIA"}.get(first, "EUROPE"),
        "globalNetwork": True,
        "networkVolumeTypes": ["STANDARD"],
        "compliance": ["SOC_2_TYPE_2", "ISO_IEC_27001"] if is_american else ["GDPR", "ISO_IEC_27001"],
        **doc,
    }


FILL = {"gpus": new_gpu, "cpus": new_cpu, "dataCenters": new_data_center}


def furnish(world: World) -> None:
    """Fill an empty catalog."""
    if world.store.all("dataCenters"):
        return
    for identifier, name, country, types in _DATA_CENTERS:
        doc = {"id": identifier, "name": name, "country": country, "networkVolumeTypes": list(types)}
        world.store.put("dataCenters", identifier, new_data_center({**doc, "globalNetwork": identifier != "US-GA-2"}))
    for identifier, name, pool, memory, price in _CARDS:
        prices = {"secure": round((price or 0.4) * 0.62, 2), "community": round((price or 0.4) * 0.5, 2)}
        card: Doc = {"id": identifier, "name": name, "pool": pool, "memory": memory}
        card["price"] = prices if price is None else {**prices, "serverless": price}
        card["stock"] = dict(_SCARCE.get(identifier, {"*": "HIGH" if memory <= 48 else "MEDIUM"}))
        world.store.put("gpus", identifier, new_gpu(card))
    for identifier, name, group, memory_per_vcpu, disk, extra in _FLAVORS:
        flavor: Doc = {"id": identifier, "name": name, "group": group, "ramGbPerVcpu": memory_per_vcpu, "diskGbPerVcpu": disk}
        flavor["stock"] = {**dict.fromkeys(("EU-RO-1", *extra), "HIGH"), "*": "NONE"}
        world.store.put("cpus", identifier, new_cpu(flavor))


def data_center(world: World, identifier: str) -> Doc:
    """Return a data center, or refuse with 400 and the valid ones."""
    found = world.store.get("dataCenters", identifier)
    if found is None:
        valid = ", ".join(doc["id"] for doc in world.store.all("dataCenters"))
        raise bad_request(f"unknown data center '{identifier}', valid data centers are: {valid}")
    return found


def pools(world: World) -> dict[str, list[str]]:
    """Return the ids of the cards in each serverless pool."""
    members: dict[str, list[str]] = {}
    for card in world.store.all("gpus"):
        if card["pool"] is not None:
            members.setdefault(card["pool"], []).append(card["id"])
    return members


def level(doc: Doc, data_center_id: str) -> str:
    """Return the stock of a card or flavor in a data center."""
    stock = doc["stock"]
    found: str = stock.get(data_center_id, stock.get("*", "NONE"))
    return found


def is_offered(world: World, doc: Doc, data_center_ids: Iterable[str]) -> bool:
    """Say whether any of the data centers (of all, when none is named) has the card or flavor in stock."""
    names = list(data_center_ids) or [doc["id"] for doc in world.store.all("dataCenters")]
    return any(level(doc, name) != "NONE" for name in names)


def _products(call: Call, known: tuple[str, ...], only_with_it: tuple[str, ...]) -> list[str]:
    """Return the products whose availability is wanted, none where it is not; refuse what depends on it with 400."""
    is_wanted = bool(queries.texts(call, "include", choices=("AVAILABILITY",), max_items=1))
    products = queries.texts(call, "product", choices=known) or []
    if is_wanted and not products:
        raise bad_request("include=AVAILABILITY requires product")
    if not is_wanted:
        for name in ("product", *only_with_it):
            if name in call.query:
                raise bad_request(f"{name} is valid only with include=AVAILABILITY")
    return products


def _availability(world: World, doc: Doc, *, is_possible: bool, countries: list[str] | None) -> Doc:
    places = [
        {"id": center["id"], "name": center["name"], "availability": level(doc, center["id"])}
        for center in world.store.all("dataCenters")
        if is_possible and level(doc, center["id"]) != "NONE" and (not countries or center["country"] in countries)
    ]
    best = max((LEVELS.index(place["availability"]) for place in places), default=0)
    return {"availability": LEVELS[best], **({"dataCenters": places} if places else {})}


def _number(text: str) -> tuple[int, str]:
    digits = text.lstrip("0")
    return len(digits), digits  # compares as the number does, however long it is


def _version(text: str) -> list[tuple[int, str]]:
    return [_number(part) for part in text.split(".")]


def _gpu_view(world: World, call: Call, *, in_list: bool) -> list[Doc]:
    filters = ("count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion")
    products = _products(call, ("POD", "CLUSTER", "SERVERLESS"), filters)
    count = queries.whole(call, "count", 1) or 1
    cloud = (queries.text(call, "cloud", choices=("SECURE", "COMMUNITY")) or "SECURE").lower()
    countries = queries.texts(call, "countryCodes", pattern="^[A-Z]{2}$")
    exact = queries.texts(call, "cudaVersions", pattern=CUDA)
    floor = queries.text(call, "minCudaVersion", pattern=r"^\d+(\.\d+)?$")
    if exact is not None and floor is not None:
        raise bad_request("cudaVersions and minCudaVersion are mutually exclusive")
    cards = []
    for card in world.store.all("gpus"):
        shown = {name: value for name, value in card.items() if name not in ("stock", "cudaVersions")}
        if products:
            versions = [
                version
                for version in card["cudaVersions"]
                if (not exact or version in exact) and (floor is None or _version(version) >= _version(floor))
            ]
            is_possible = (
                any(product != "SERVERLESS" or card["pool"] is not None for product in products)
                and card[cloud]
                and count <= card["maxCount"][cloud]
                and (bool(versions) or not (exact or floor))
            )
            shown.update(_availability(world, card, is_possible=is_possible, countries=countries))
            if in_list and countries and "dataCenters" not in shown:
                continue
            if versions:
                has_stock = shown["availability"] != "NONE"
                shown["cudaVersions"] = [{"version": version, "available": has_stock} for version in versions]
        cards.append(shown)
    return cards


def _cpu_view(world: World, call: Call) -> list[Doc]:
    products = _products(call, ("POD", "SERVERLESS"), ("vcpuCount",))
    count = queries.whole(call, "vcpuCount", 2)
    if count is not None and count & (count - 1):
        raise bad_request("vcpuCount must be a power of two")
    flavors = []
    for flavor in world.store.all("cpus"):
        shown = {name: value for name, value in flavor.items() if name not in ("stock", "diskGbPerVcpu")}
        if products:
            is_possible = count is None or flavor["vcpu"]["min"] <= count <= flavor["vcpu"]["max"]
            shown.update(_availability(world, flavor, is_possible=is_possible, countries=None))
        flavors.append(shown)
    return flavors


_EXPANSIONS = {"GPU_AVAILABILITY": ("gpus", "gpuAvailability"), "CPU_AVAILABILITY": ("cpus", "cpuAvailability")}


def _data_center_view(world: World, call: Call) -> list[Doc]:
    include = queries.texts(call, "include", choices=tuple(_EXPANSIONS)) or []
    centers = []
    for center in world.store.all("dataCenters"):
        shown = {name: value for name, value in center.items() if name != "country"}
        for kind, name in (_EXPANSIONS[expansion] for expansion in include):
            offers = [
                {"id": doc["id"], "name": doc["name"], "availability": level(doc, center["id"])}
                for doc in world.store.all(kind)
                if level(doc, center["id"]) != "NONE"
            ]
            if offers:
                shown[name] = offers
        centers.append(shown)
    return centers


def _one(docs: list[Doc], call: Call, what: str) -> Reply:
    for doc in docs:
        if doc["id"] == call.params["id"]:
            return 200, doc
    raise not_found(what)


def gpus(world: World, call: Call) -> Reply:
    """`listGpuTypes`."""
    return 200, {"gpus": _gpu_view(world, call, in_list=True)}


def gpu(world: World, call: Call) -> Reply:
    """`getGpuType`."""
    return _one(_gpu_view(world, call, in_list=False), call, "gpu type")


def cpus(world: World, call: Call) -> Reply:
    """`listCpuTypes`."""
    return 200, {"cpus": _cpu_view(world, call)}


def cpu(world: World, call: Call) -> Reply:
    """`getCpuType`."""
    return _one(_cpu_view(world, call), call, "cpu type")


def data_centers(world: World, call: Call) -> Reply:
    """`listDataCenters`."""
    regions = queries.texts(call, "regions", choices=REGIONS)
    types = queries.texts(call, "networkVolumeTypes", choices=VOLUME_TYPES) or []
    compliance = queries.texts(call, "compliance", choices=COMPLIANCE) or []
    is_global = queries.flag(call, "globalNetwork")
    return 200, {
        "dataCenters": [
            center
            for center in _data_center_view(world, call)
            if (not regions or center["region"] in regions)
            and set(types) <= set(center["networkVolumeTypes"])
            and set(compliance) <= set(center["compliance"])
            and (is_global is None or center["globalNetwork"] == is_global)
        ]
    }


def one_data_center(world: World, call: Call) -> Reply:
    """`getDataCenter`."""
    return _one(_data_center_view(world, call), call, "data center")


def remove(world: World, kind: str, identifier: str) -> None:
    """Take an entry out of the catalog, or refuse with 404."""
    if not world.store.remove(kind, identifier):
        raise Problem(404, f"{kind} has no {identifier!r}")
