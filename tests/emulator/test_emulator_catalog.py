"""The catalog and its filters."""

import pytest

from emulator.bodies import cpu_body

GPUS = "/v2/catalog/gpus"
CPUS = "/v2/catalog/cpus"
CENTERS = "/v2/catalog/datacenters"
STOCK = "include=AVAILABILITY&product=SERVERLESS"
B200 = "NVIDIA%20B200"


def test_the_catalog_is_plain_unless_more_is_asked_for(api):
    """Availability is included only on request."""
    for path, key in ((GPUS, "gpus"), (CPUS, "cpus"), (CENTERS, "dataCenters")):
        for item in api.get(path)[key]:
            assert not {"availability", "dataCenters", "cudaVersions", "gpuAvailability", "cpuAvailability", "stock"} & item.keys()
            one = api.send("GET", f"{path}/{item['id']}")
            assert one.json() == item


def test_only_a_card_of_a_pool_has_a_serverless_price(api):
    """A card without a pool cannot back an endpoint."""
    for card in api.get(GPUS)["gpus"]:
        assert ("serverless" in card["price"]) == (card["pool"] is not None)


@pytest.mark.parametrize("path", [f"{GPUS}/nope", f"{CPUS}/nope", f"{CENTERS}/nope"])
def test_an_unknown_entry_is_not_found(api, path):
    """Ids are exact."""
    api.get(path, 404)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (GPUS, "include=AVAILABILITY"),
        (GPUS, "product=POD"),
        (GPUS, "count=2"),
        (GPUS, "cloud=SECURE"),
        (GPUS, "countryCodes=FR"),
        (GPUS, "cudaVersions=12.8"),
        (GPUS, "minCudaVersion=12"),
        (GPUS, f"{STOCK}&cudaVersions=12.8&minCudaVersion=12"),
        (CPUS, "include=AVAILABILITY"),
        (CPUS, "product=POD"),
        (CPUS, "vcpuCount=4"),
        (CPUS, f"{STOCK}&vcpuCount=6"),
    ],
)
def test_a_filter_without_what_it_belongs_to_is_a_bad_request(api, path, query):
    """Availability needs a product, and every other filter needs availability."""
    api.get(f"{path}?{query}", 400)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (GPUS, "include=STOCK"),
        (GPUS, "include=AVAILABILITY,AVAILABILITY&product=POD"),
        (GPUS, "include=AVAILABILITY&product=SERVERLESS,BATCH"),
        (GPUS, f"{STOCK}&count=0"),
        (GPUS, f"{STOCK}&count=1.0"),
        (GPUS, f"{STOCK}&count={'9' * 30}"),
        (GPUS, f"{STOCK}&cloud=PRIVATE"),
        (GPUS, f"{STOCK}&cloud="),
        (GPUS, f"{STOCK}&countryCodes=fr"),
        (GPUS, f"{STOCK}&countryCodes=FR,,DE"),
        (GPUS, f"{STOCK}&cudaVersions=12"),
        (GPUS, f"{STOCK}&minCudaVersion=12.x"),
        (GPUS, f"{STOCK}&minCudaVersion=12,13"),
        (CPUS, "include=AVAILABILITY&product=CLUSTER"),
        (CPUS, f"{STOCK}&vcpuCount=1"),
        (CENTERS, "include=AVAILABILITY"),
        (CENTERS, "regions=MOON"),
        (CENTERS, "networkVolumeTypes=TAPE"),
        (CENTERS, "compliance=NONE"),
        (CENTERS, "globalNetwork=yes"),
    ],
)
def test_a_malformed_parameter_is_unprocessable(api, path, query):
    """The refusal names the parameter."""
    assert api.get(f"{path}?{query}", 422)["errors"][0].startswith("query.")


def test_stock_is_shown_where_it_is(api):
    """Overall it is the best of the data centers, and only those that have any are listed."""
    card = api.get(f"{GPUS}/{B200}?{STOCK}")
    assert card["availability"] == "MEDIUM"
    assert {place["id"]: place["availability"] for place in card["dataCenters"]} == {"US-CA-2": "LOW", "US-NE-1": "MEDIUM"}
    assert card["cudaVersions"] == [{"version": version, "available": True} for version in ("12.8", "12.9", "13.0")]


def test_what_is_nowhere_has_no_places(api):
    """Availability is NONE then, and the property of the places is left out."""
    for query in (f"{STOCK}&count=9", f"{STOCK}&cudaVersions=11.8"):
        card = api.get(f"{GPUS}/{B200}?{query}")
        assert card["availability"] == "NONE" and "dataCenters" not in card
    assert api.get(f"{GPUS}/{B200}?{STOCK}&cloud=COMMUNITY&count=4")["availability"] == "MEDIUM"
    assert api.get(f"{GPUS}/{B200}?{STOCK}&cloud=COMMUNITY&count=5")["availability"] == "NONE"


def test_a_card_without_a_pool_is_never_there_for_serverless(api):
    """It is there for pods."""
    path = f"{GPUS}/AMD%20Instinct%20MI300X%20OAM"
    assert api.get(f"{path}?{STOCK}")["availability"] == "NONE"
    shown = api.get(f"{path}?include=AVAILABILITY&product=POD,SERVERLESS")
    assert shown["availability"] != "NONE" and "cudaVersions" not in shown


@pytest.mark.parametrize(
    ("query", "versions"),
    [
        ("cudaVersions=12.8,12.6", ["12.6", "12.8"]),
        ("minCudaVersion=12.8", ["12.8", "12.9"]),
        ("minCudaVersion=12", ["12.4", "12.6", "12.8", "12.9"]),
        ("minCudaVersion=12.10", []),
        (f"minCudaVersion={'0' * 5000}12.9", ["12.9"]),
    ],
)
def test_cuda_filters_narrow_the_versions(api, query, versions):
    """A floor is compared as numbers: 12.10 is above 12.9."""
    card = api.get(f"{GPUS}/NVIDIA%20L4?{STOCK}&{query}")
    assert [entry["version"] for entry in card.get("cudaVersions", [])] == versions


def test_a_country_filter_drops_cards_from_the_list_and_not_by_id(api):
    """A 404 keeps its meaning: there is no such card."""
    found = api.get(f"{GPUS}?{STOCK}&countryCodes=IS,RO")["gpus"]
    ids = {card["id"] for card in found}
    assert "NVIDIA B200" not in ids and "NVIDIA L4" in ids
    assert {place["id"] for card in found for place in card["dataCenters"]} <= {"EU-RO-1", "EUR-IS-1"}
    assert api.get(f"{GPUS}/{B200}?{STOCK}&countryCodes=IS")["availability"] == "NONE"


def test_cpu_flavors_are_where_they_are(api):
    """A count that a flavor does not reach makes it unavailable."""
    flavors = {flavor["id"]: flavor for flavor in api.get(f"{CPUS}?{STOCK}&vcpuCount=32")["cpus"]}
    assert [place["id"] for place in flavors["cpu3c"]["dataCenters"]] == ["EU-RO-1"]
    assert [place["id"] for place in flavors["cpu5g"]["dataCenters"]] == ["EU-RO-1", "US-MD-1"]
    assert api.get(f"{CPUS}/cpu3c?{STOCK}&vcpuCount=64")["availability"] == "NONE"


def test_data_center_filters_combine(api):
    """Regions are alternatives; types and certificates must all be there; the families are all required."""

    def ids(query: str) -> list[str]:
        return [center["id"] for center in api.get(f"{CENTERS}?{query}")["dataCenters"]]

    assert ids("regions=EUROPE,ASIA") == ["EU-CZ-1", "EU-RO-1", "EUR-NO-1", "EUR-IS-1"]
    assert ids("networkVolumeTypes=STANDARD,HIGH_PERFORMANCE") == ["US-KS-2", "EU-RO-1"]
    assert ids("compliance=GDPR,ISO_IEC_27001&networkVolumeTypes=HIGH_PERFORMANCE") == ["EU-RO-1"]
    assert ids("globalNetwork=false") == ["US-GA-2"]
    assert len(ids("globalNetwork=true")) == 15
    assert ids("regions=AFRICA") == []
    assert len(ids("regions=")) == 16


def test_a_data_center_shows_what_it_has(api):
    """A list without an item is left out."""
    center = api.get(f"{CENTERS}/EU-RO-1?include=GPU_AVAILABILITY,CPU_AVAILABILITY")
    assert {"id": "NVIDIA L4", "name": "L4", "availability": "HIGH"} in center["gpuAvailability"]
    assert [flavor["id"] for flavor in center["cpuAvailability"]] == ["cpu3g", "cpu3c", "cpu5c", "cpu5g"]
    assert "cpuAvailability" not in api.get(f"{CENTERS}/US-KS-2?include=CPU_AVAILABILITY")


def test_a_catalog_can_be_changed(api):
    """A seeded entry is filled with plausible facts, a known one is changed, another goes."""
    api.control(
        "seed",
        {
            "catalog": {
                "dataCenters": [{"id": "AP-JP-1"}, {"id": "CA-MTL-1"}, {"id": "MARS"}],
                "gpus": [{"id": "NVIDIA X1", "pool": "X_24"}, {"id": "NVIDIA L4", "stock": {"*": "NONE"}}],
                "cpus": [{"id": "cpu9x", "ramGbPerVcpu": 3}, {"id": "cpu3c", "ramGbPerVcpu": 2.5}],
                "remove": {"gpus": ["NVIDIA B200"]},
            }
        },
    )
    assert api.get(f"{CENTERS}/AP-JP-1")["region"] == "ASIA"
    assert api.get(f"{CENTERS}/CA-MTL-1")["region"] == "NORTH_AMERICA"
    assert api.get(f"{CENTERS}/MARS")["name"] == "MARS"
    assert api.get(f"{GPUS}/NVIDIA%20X1")["price"]["serverless"] == 1.0
    assert api.get(f"{GPUS}/NVIDIA%20L4?{STOCK}")["availability"] == "NONE"
    assert api.get(f"{GPUS}/NVIDIA%20L4")["pool"] == "AMPERE_24"
    api.get(f"{GPUS}/{B200}", 404)
    assert api.create(gpu={"pools": ["X_24"]})["gpu"]["pools"] == ["X_24"]
    made = api.post("/v2/serverless", cpu_body(cpu=[{"id": "cpu3c", "vcpuCount": 2}], disk=20, dataCenterIds=["EU-RO-1"]))
    assert made["cpu"] == [{"id": "cpu3c", "vcpuCount": 2, "memory": 5}]
    api.post("/v2/serverless", cpu_body(cpu=[{"id": "cpu9x", "vcpuCount": 2}], disk=900, dataCenterIds=["EU-RO-1"]))
