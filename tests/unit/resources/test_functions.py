"""Look-ups, lists, and questions to the catalog: GETs only, each at most once a process."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, Incomplete, NoSuchFunction, NotFound, ProviderFailure
from runpod_serverless_provider.resources import FUNCTIONS, RESOURCES
from unit.support import PACKAGE, Life, World, texts


def invoked(world: World, function: str, **arguments: Any) -> verbs.Invoked:
    """Call one function."""
    request = verbs.Invoke(PACKAGE + function, arguments, voice=world.notes)
    answer: verbs.Invoked = world.run(world.provider.invoke(request))
    return answer


def asked(world: World, function: str, **arguments: Any) -> Any:
    """Give its answer, which is there."""
    answer = invoked(world, function, **arguments)
    assert answer.failures == ()
    return answer.values


def test_each_resource_has_a_look_up_and_a_list() -> None:
    """And the catalog its questions."""
    for resource in RESOURCES:
        assert {f"get{resource.name}", f"get{resource.plural}"} <= {function.name for function in FUNCTIONS}
    assert len(FUNCTIONS) == 2 * len(RESOURCES) + 5


def test_a_function_that_nobody_has_is_told_apart(world: World) -> None:
    """From every failure of one that there is; the doors word it."""
    with pytest.raises(NoSuchFunction):
        invoked(world, "getNothing")


def test_an_endpoint_is_looked_up_by_id_or_name(world: World, endpoint: Life) -> None:
    """With the properties of the resource; every variable is secret."""
    endpoint.up({"name": "llm", "image": "me/x", "gpu": "NVIDIA L4", "env": {"A": "1"}, "workers": 3})
    world.forget()
    by_id, by_name = invoked(world, "getEndpoint", id=endpoint.id), invoked(world, "getEndpoint", name="llm")
    assert by_id == by_name
    assert by_id.values["id"] == endpoint.id
    assert by_id.values["requestUrls"] == endpoint.outputs["requestUrls"]
    assert (by_id.values["gpu"], by_id.values["workers"], by_id.values["image"]) == (["NVIDIA L4"], {"min": 0, "max": 3}, "me/x")
    assert by_id.secrets == {("env", "A")}
    assert world.writes == []


def test_a_list_leaves_out_what_may_be_secret(world: World, endpoint: Life) -> None:
    """It would make the whole list secret."""
    endpoint.up({"name": "llm", "image": "me/x", "gpu": "NVIDIA L4", "env": {"A": "1"}})
    (found,) = asked(world, "getEndpoints")["endpoints"]
    assert found["id"] == endpoint.id and "env" not in found
    assert invoked(world, "getEndpoints").secrets == frozenset()
    assert asked(world, "getNetworkVolumes") == {"networkVolumes": []}
    assert asked(world, "getRegistries") == {"registries": []}


def test_a_look_up_knows_load_balancers_and_cpus(world: World, endpoint: Life) -> None:
    """Without the platform's own variables among the program's."""
    endpoint.up({"name": "api", "type": "LOAD_BALANCER", "image": "me/x", "cpu": "cpu3c-2-4"})
    answer = invoked(world, "getEndpoint", id=endpoint.id)
    assert answer.values["cpu"] == ["cpu3c-2"] and "env" not in answer.values
    assert answer.values["inheritedEnv"] == {"PORT": "80", "PORT_HEALTH": "80"}
    assert answer.secrets == {("inheritedEnv",)}


def test_templates_of_endpoints_and_of_pods_are_not_listed(world: World, endpoint: Life) -> None:
    """The first go with their endpoints, the second are no resource of ours."""
    endpoint.up({"image": "me/x"})
    world.seed(templates=[{"id": "tmpl0", "name": "mine"}, {"id": "tmpl1", "name": "pods", "serverless": False}])
    assert [one["id"] for one in asked(world, "getPodTemplates")["podTemplates"]] == ["tmpl0"]
    listed = world.run(world.provider.list_all(verbs.List(f"{PACKAGE}PodTemplate", voice=world.notes)))
    assert listed == [verbs.Listed("tmpl0", "mine")]


WRONG: Final = [
    ("getEndpoint", {}, "give exactly one of id and name"),
    ("getEndpoint", {"id": "a", "name": "b"}, "give exactly one of id and name"),
    ("getEndpoint", {"id": "../volumes"}, "id: must be an id as Runpod gives it"),
    ("getEndpoint", {"ids": "a"}, "ids: there is no such property; did you mean 'id'?"),
    ("getEndpointWorkers", {}, "endpointId: is required"),
    ("getGpuTypes", {"gpuCount": 0}, "gpuCount: must be at least 1, not 0"),
    ("getGpuTypes", {"minCudaVersion": "x"}, "minCudaVersion: must be a CUDA version like '12.8'"),
    ("getCpuTypes", {"vcpuCount": 1}, "vcpuCount: must be at least 2, not 1"),
    ("getCpuTypes", {"vcpuCount": 3}, "vcpuCount: must be a power of two, not 3"),
    ("getDataCenters", {"region": "Europe"}, "region: must be one of 'NORTH_AMERICA', 'SOUTH_AMERICA', 'EUROPE'"),
    ("getDataCenters", {"networkVolumeType": "FAST"}, "networkVolumeType: must be one of 'STANDARD' or 'HIGH_PERFORMANCE'"),
    ("getPublicTemplates", {"source": "mine"}, "source: must be one of 'official', 'verified' or 'community', not 'mine'"),
]


@pytest.mark.parametrize(("function", "arguments", "said"), WRONG, ids=str)
def test_wrong_arguments_are_failures(world: World, function: str, arguments: dict[str, Any], said: str) -> None:
    """Before any request."""
    (failure,) = texts(invoked(world, function, **arguments).failures)
    assert failure.startswith(said)
    assert world.sent == []


MISSPELT: Final = [
    ("getGpuTypes", {"pool": "AMPER_80"}, "pool: Runpod has no serverless pool 'AMPER_80'; did you mean 'AMPERE_80'"),
    ("getGpuTypes", {"pool": "???"}, "pool: Runpod has no serverless pool '???'; there are "),
    ("getGpuTypes", {"datacenter": "EU-RO-9"}, "datacenter: Runpod has no data center 'EU-RO-9'; did you mean 'EU-RO-1'"),
    ("getCpuTypes", {"datacenter": "EU-RO-9"}, "datacenter: Runpod has no data center 'EU-RO-9'; did you mean 'EU-RO-1'"),
    ("getDataCenters", {"gpuType": "A100"}, "gpuType: Runpod has no GPU type 'A100'; did you mean 'NVIDIA A100"),
    ("getDataCenters", {"cpuFlavor": "cpu3d"}, "cpuFlavor: Runpod has no CPU flavor 'cpu3d'; did you mean 'cpu3"),
]


@pytest.mark.parametrize(("function", "arguments", "said"), MISSPELT, ids=str)
def test_a_name_that_means_nothing_is_a_failure(world: World, function: str, arguments: dict[str, Any], said: str) -> None:
    """An empty answer would look like one of no stock."""
    (failure,) = texts(invoked(world, function, **arguments).failures)
    assert failure.startswith(said)


def test_a_name_that_is_nowhere_in_stock_finds_nothing(world: World) -> None:
    """That is no failure: the catalog has it. Where the catalog is out of reach, nobody can tell."""
    empty = {"id": "EU-RO-1", "name": "x", "region": "EUROPE", "networkVolumeTypes": [], "compliance": [], "globalNetwork": False}
    world.fault(action="wrong-json", path="/v2/catalog/datacenters", body={"dataCenters": [empty]})
    for filters in ({"gpuType": "NVIDIA B200"}, {"gpuType": "NVIDIA GeForce RTX 3070"}, {"cpuFlavor": "cpu3c"}):
        assert asked(world, "getDataCenters", **filters)["dataCenters"] == []
    assert [one["cpuFlavors"] for one in asked(world, "getDataCenters")["dataCenters"]] == [[]]
    assert len(asked(world, "getGpuTypes", datacenter="any")["gpuTypes"]) == len(asked(world, "getGpuTypes")["gpuTypes"])
    world.restart()
    world.fault(action="status", status=404, path="/v2/catalog/[gc]pus", times=None)
    assert asked(world, "getDataCenters", gpuType="NVIDIA B300", cpuFlavor="cpu9z")["dataCenters"] == []


MALFORMED: Final = [
    ("getEndpoint", {"id": "x"}, {}, "GET /serverless/x has no 'id'"),
    ("getEndpoints", {}, {"endpoints": [{"name": "x"}]}, "GET /serverless has no 'id'"),
    ("getEndpointWorkers", {"endpointId": "x"}, {"nope": []}, "GET /serverless/x/workers has no 'workers'"),
    ("getGpuTypes", {}, {"gpus": [{"id": "x"}]}, "GET /catalog/gpus has no 'name'"),
    ("getCpuTypes", {}, {"cpus": [{"id": "x", "name": "x", "group": "y"}]}, "GET /catalog/cpus has no 'vcpu.min'"),
    ("getDataCenters", {}, {"dataCenters": [{"id": "x", "name": "x"}]}, "GET /catalog/datacenters has no 'region'"),
    ("getPublicTemplates", {"serverless": True}, {"templates": [{"id": "x"}]}, "GET /catalog/templates has no 'name'"),
]


@pytest.mark.parametrize(("function", "arguments", "body", "said"), MALFORMED, ids=str)
def test_an_answer_that_lacks_what_each_has_is_told(
    world: World, function: str, arguments: dict[str, Any], body: Any, said: str
) -> None:
    """It is the answer that is wrong, and neither the program nor this provider."""
    world.seed(endpoints=[{"id": "x", "name": "x"}])
    world.fault(action="wrong-json", body=body)
    with pytest.raises(Incomplete, match=f"Runpod's answer to {said}, which this version needs"):
        invoked(world, function, **arguments)


def test_a_template_without_a_name_is_no_match(world: World) -> None:
    """Only its id is needed."""
    world.fault(action="wrong-json", body={"templates": [{"id": "x", "serverless": True}]})
    with pytest.raises(NotFound, match="there is no template named 'y'"):
        invoked(world, "getPodTemplate", name="y")


def test_a_template_that_no_program_manages_says_what_it_is(world: World, endpoint: Life) -> None:
    """Looked up by its id, as no list shows it."""
    endpoint.up({"name": "llm", "image": "me/x"})
    world.seed(templates=[{"id": "pods", "name": "pods", "serverless": False}])
    own = world.live("endpoints", endpoint.id)["_template"]["id"]
    for id, what in (
        (own, "the own template of the endpoint 'llm'; look that up with getEndpoint"),
        ("pods", "a template for pods"),
    ):
        with pytest.raises(NotFound, match=f"'{id}' is {what}"):
            invoked(world, "getPodTemplate", id=id)


ABSENT: Final = [
    ("getEndpoint", {"id": "nope"}, "there is no endpoint with the id 'nope'"),
    ("getEndpoint", {"name": "lln"}, "there is no endpoint named 'lln'; did you mean 'llm'?"),
    ("getNetworkVolume", {"name": "twice"}, r"the name 'twice' is that of several \('vol0a', 'vol0b'\)"),
    ("getEndpointWorkers", {"endpointId": "nope"}, "there is no endpoint with the id 'nope'"),
]


@pytest.mark.parametrize(("function", "arguments", "said"), ABSENT, ids=str)
def test_what_is_not_there_is_told(world: World, endpoint: Life, function: str, arguments: dict[str, Any], said: str) -> None:
    """Or what is there more than once."""
    endpoint.up({"name": "llm", "image": "me/x"})
    world.seed(networkVolumes=[{"id": "vol0a", "name": "twice"}, {"id": "vol0b", "name": "twice"}])
    with pytest.raises(NotFound, match=said):
        invoked(world, function, **arguments)


QUESTIONS: Final = [
    ("getEndpoint", {"id": "x"}),
    ("getEndpoint", {"name": "x"}),
    ("getNetworkVolumes", {}),
    ("getEndpointWorkers", {"endpointId": "x"}),
    ("getGpuTypes", {}),
    ("getCpuTypes", {}),
    ("getDataCenters", {}),
    ("getPublicTemplates", {}),
]


@pytest.mark.parametrize(("function", "arguments"), QUESTIONS)
def test_a_question_that_is_refused_says_what_it_was(world: World, function: str, arguments: dict[str, Any]) -> None:
    """And what to do."""
    world.fault(action="status", status=401, times=None)
    with pytest.raises(ApiProblem, match=r"(looking up|listing|reading) .* failed: Runpod answered 401 .* RUNPOD_API_KEY"):
        invoked(world, function, **arguments)


def test_gpu_types_come_with_price_and_stock(world: World) -> None:
    """As the catalog has them; filters combine."""
    found = {one["id"]: one for one in asked(world, "getGpuTypes")["gpuTypes"]}
    card = found["NVIDIA A100 80GB PCIe"]
    assert {name: card[name] for name in ("name", "pool", "manufacturer", "memoryInGb", "pricePerHour", "availability")} == {
        "name": "A100 PCIe",
        "pool": "AMPERE_80",
        "manufacturer": "NVIDIA",
        "memoryInGb": 80,
        "pricePerHour": 2.72,
        "availability": "MEDIUM",
    }
    assert {"id": "EU-RO-1", "availability": "MEDIUM"} in card["dataCenters"]
    assert "pool" not in found["NVIDIA GeForce RTX 3070"] and found["NVIDIA GeForce RTX 3070"]["availability"] == "NONE"
    (b200,) = asked(world, "getGpuTypes", pool="BLACKWELL_180")["gpuTypes"]
    assert b200["id"] == "NVIDIA B200"
    assert asked(world, "getGpuTypes", pool="BLACKWELL_180", datacenter="eu_ro_1")["gpuTypes"] == []
    assert len(asked(world, "getGpuTypes", pool="BLACKWELL_180", datacenter="US-CA-2")["gpuTypes"]) == 1
    available = asked(world, "getGpuTypes", onlyAvailable=True)["gpuTypes"]
    assert 0 < len(available) < len(found)
    assert world.sent == ["GET /catalog/gpus"]
    asked(world, "getGpuTypes", gpuCount=4, minCudaVersion="12.8")
    assert world.recent[-1].query == "include=AVAILABILITY&product=SERVERLESS&count=4&minCudaVersion=12.8"


def test_cpu_types_come_with_price_and_stock(world: World) -> None:
    """As the catalog has them."""
    found = {one["id"]: one for one in asked(world, "getCpuTypes")["cpuTypes"]}
    assert found["cpu3c"]["memoryInGbPerVcpu"] == 2 and found["cpu3c"]["minVcpuCount"] == 2
    assert [one["id"] for one in asked(world, "getCpuTypes", datacenter="US-MD-1", onlyAvailable=True)["cpuTypes"]] == ["cpu5g"]
    asked(world, "getCpuTypes", vcpuCount=64)
    assert world.recent[-1].query == "include=AVAILABILITY&product=SERVERLESS&vcpuCount=64"


def test_data_centers_come_with_what_they_have(world: World) -> None:
    """Storage, compliance, and hardware in stock."""
    found = {one["id"]: one for one in asked(world, "getDataCenters")["dataCenters"]}
    assert found["EU-RO-1"]["region"] == "EUROPE" and "cpu3c" in found["EU-RO-1"]["cpuFlavors"]
    assert "NVIDIA B200" in found["US-CA-2"]["gpuTypes"] and "NVIDIA B200" not in found["EU-RO-1"]["gpuTypes"]
    ids = [
        one["id"] for one in asked(world, "getDataCenters", region="EUROPE", networkVolumeType="HIGH_PERFORMANCE")["dataCenters"]
    ]
    assert ids == ["EU-RO-1"]
    assert [one["id"] for one in asked(world, "getDataCenters", cpuFlavor="cpu5g")["dataCenters"]] == ["EU-RO-1", "US-MD-1"]
    assert [one["id"] for one in asked(world, "getDataCenters", gpuType="NVIDIA B200")["dataCenters"]] == ["US-CA-2", "US-NE-1"]
    assert world.sent == ["GET /catalog/datacenters"]


def test_workers_are_asked_for_each_time(world: World, endpoint: Life) -> None:
    """They come and go."""
    endpoint.up({"image": "me/x", "gpu": "NVIDIA L4", "workers": {"min": 1, "max": 1}})
    world.forget()
    for _ in range(2):
        answer = asked(world, "getEndpointWorkers", endpointId=endpoint.id)
        assert answer["endpointVersion"] >= 1
        assert answer["workers"][0]["status"] == "INITIALIZING" and answer["workers"][0]["isStale"] is False
    assert world.sent == [f"GET /serverless/{endpoint.id}/workers"] * 2
    world.fault(action="wrong-json", body={"workers": []})
    assert asked(world, "getEndpointWorkers", endpointId=endpoint.id) == {"workers": []}


def test_public_templates_are_filtered(world: World) -> None:
    """By whose they are and what they are for."""
    official = asked(world, "getPublicTemplates")["publicTemplates"]
    assert {one["id"] for one in official} == {"30zmvf89kd", "vllm0worker"}
    assert [one["id"] for one in asked(world, "getPublicTemplates", serverless=True)["publicTemplates"]] == ["vllm0worker"]
    (verified,) = asked(world, "getPublicTemplates", source="verified")["publicTemplates"]
    assert verified == {
        "id": "whisper0worker",
        "name": "Whisper worker",
        "image": "verified/whisper-worker:3",
        "serverless": True,
        "category": "NVIDIA",
        "containerDiskInGb": 30,
    }


def test_a_list_in_pages_is_not_taken_for_the_whole(world: World) -> None:
    """Absence from it would be no proof."""
    world.fault(action="add-fields", fields={"nextCursor": "x"}, path="/v2/network-volumes")
    with pytest.raises(ProviderFailure, match=r"the list at /network-volumes comes in pages \('nextCursor'\)"):
        invoked(world, "getNetworkVolumes")


def test_a_list_that_a_write_overtakes_is_asked_for_again(world: World, volume: Life) -> None:
    """It may not have what was written."""
    world.fault(action="delay", seconds=0.01, path="/v2/network-volumes", method="GET")
    request = verbs.Invoke(f"{PACKAGE}getNetworkVolumes", {}, voice=world.notes)
    create = verbs.Create(volume.token, volume.urn, volume.checked({}), voice=world.notes)

    async def both() -> Any:
        return await asyncio.gather(world.provider.invoke(request), world.provider.create(create))

    world.run(both())
    assert len(asked(world, "getNetworkVolumes")["networkVolumes"]) == 1
    assert world.sent.count("GET /network-volumes") == 2


def test_a_write_drops_the_lists_of_its_kind(world: World, volume: Life) -> None:
    """And no others."""
    asked(world, "getNetworkVolumes")
    asked(world, "getEndpoints")
    volume.up({"name": "v"})
    assert len(asked(world, "getNetworkVolumes")["networkVolumes"]) == 1
    asked(world, "getEndpoints")
    assert world.sent.count("GET /network-volumes") == 2 and world.sent.count("GET /serverless") == 1
