"""The functions: a look-up and a list for each resource, and questions to the catalog. Every one sends GETs only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from ..core.failures import ApiProblem, CheckFailed, Failure, Incomplete, NotFound
from ..core.function import Answer, Arguments, Function, Get, GetAll, Identifier
from ..core.listings import Listings
from ..core.model import At, Outputs
from ..core.ports import Voice
from ..core.resource import Resource
from ..core.session import Session
from ..core.validation import did_you_mean
from ..core.values import get_in
from . import forms
from .catalog import ANY, SERVERLESS_STOCK, Catalog

_GPUS: Final = "/catalog/gpus"
_CPUS: Final = "/catalog/cpus"
_DATA_CENTERS: Final = "/catalog/datacenters"
_TEMPLATES: Final = "/catalog/templates"
_Region = Literal["NORTH_AMERICA", "SOUTH_AMERICA", "EUROPE", "ASIA", "MIDDLE_EAST", "AFRICA", "OCEANIA", "ANTARCTICA", "UNKNOWN"]


def _power_of_two(count: int) -> int:
    if count & (count - 1):
        raise ValueError("must be a power of two, not {value}")
    return count


class Place(Outputs):
    """A data center, and how much of something it has."""

    id: str
    """Data center."""
    availability: str
    """`LOW`, `MEDIUM` or `HIGH`."""


class GpuTypeDetails(Outputs):
    """A GPU type of the catalog."""

    id: str
    """What `gpu` takes."""
    name: str
    """Short name."""
    pool: str | None = None
    """Serverless pool (GPU group); none where no endpoint can run on the card."""
    manufacturer: str
    """`NVIDIA` or `AMD`."""
    memory_in_gb: Annotated[int, At("memory")]
    """Memory of one card in GB."""
    price_per_hour: Annotated[float | None, At("price", "serverless")] = None
    """Serverless list price of one card in USD per hour."""
    availability: str
    """Serverless stock over all data centers: `NONE`, `LOW`, `MEDIUM` or `HIGH`."""
    data_centers: list[Place]
    """Where it is in stock."""


class GpuTypes(Outputs):
    """GPU types."""

    gpu_types: list[GpuTypeDetails]
    """The types found, in the catalog's order."""


class GpuTypesArguments(Arguments):
    """Which GPU types are wanted."""

    pool: str | None = None
    """Only cards of this serverless pool (GPU group)."""
    datacenter: forms.DataCenterWord | None = None
    """Only cards that this data center has in stock."""
    gpu_count: Annotated[int, Field(ge=1)] | None = None
    """Stock for this many cards in one worker. Default: 1."""
    min_cuda_version: forms.CudaVersion | None = None
    """Stock on hosts of at least this CUDA version (`major.minor`)."""
    only_available: bool | None = None
    """Leave out cards without stock. Default: `false`."""


class GetGpuTypes(Function):
    """GPU types of the catalog with their serverless price and stock (`listGpuTypes`)."""

    arguments = GpuTypesArguments
    answers = GpuTypes

    async def call(self, session: Session, arguments: GpuTypesArguments, voice: Voice) -> Answer:
        """Ask for the serverless stock, and filter."""
        query = dict(SERVERLESS_STOCK)
        query |= {} if arguments.gpu_count is None else {"count": str(arguments.gpu_count)}
        query |= {} if arguments.min_cuda_version is None else {"minCudaVersion": arguments.min_cuda_version}
        listed = await _list(session, _GPUS, "gpus", voice, query)
        found = [_stocked(GpuTypeDetails, item, _GPUS) for item in listed]
        pools = dict.fromkeys(item["pool"] for item in found if "pool" in item)
        failures = [*_unknown("pool", "serverless pool", arguments.pool, pools)]
        await _refuse(failures, arguments.datacenter, session, voice)
        kept = [item for item in found if arguments.pool in (None, item.get("pool")) and _is_wanted(item, arguments)]
        return Answer({"gpuTypes": kept})


class CpuTypeDetails(Outputs):
    """A CPU flavor of the catalog."""

    id: str
    """Flavor, with which the sizes that `cpu` takes begin."""
    name: str
    """Name."""
    group: str
    """Generation."""
    min_vcpu_count: Annotated[int, At("vcpu", "min")]
    """vCPUs at least."""
    max_vcpu_count: Annotated[int, At("vcpu", "max")]
    """vCPUs at most."""
    memory_in_gb_per_vcpu: Annotated[float, At("ramGbPerVcpu")]
    """Memory in GB for each vCPU."""
    price_per_vcpu_hour: Annotated[float, At("price", "serverlessPerVcpu")]
    """Serverless list price of one vCPU in USD per hour."""
    availability: str
    """Serverless stock over all data centers: `NONE`, `LOW`, `MEDIUM` or `HIGH`."""
    data_centers: list[Place]
    """Where it is in stock."""


class CpuTypes(Outputs):
    """CPU flavors."""

    cpu_types: list[CpuTypeDetails]
    """The flavors found, in the catalog's order."""


class CpuTypesArguments(Arguments):
    """Which CPU flavors are wanted."""

    datacenter: forms.DataCenterWord | None = None
    """Only flavors that this data center has in stock."""
    vcpu_count: Annotated[int, Field(ge=2), AfterValidator(_power_of_two)] | None = None
    """Stock for workers with this many vCPUs, a power of two."""
    only_available: bool | None = None
    """Leave out flavors without stock. Default: `false`."""


class GetCpuTypes(Function):
    """CPU flavors of the catalog with their serverless price and stock (`listCpuTypes`)."""

    arguments = CpuTypesArguments
    answers = CpuTypes

    async def call(self, session: Session, arguments: CpuTypesArguments, voice: Voice) -> Answer:
        """Ask for the serverless stock, and filter."""
        query = dict(SERVERLESS_STOCK)
        query |= {} if arguments.vcpu_count is None else {"vcpuCount": str(arguments.vcpu_count)}
        found = [_stocked(CpuTypeDetails, item, _CPUS) for item in await _list(session, _CPUS, "cpus", voice, query)]
        await _refuse([], arguments.datacenter, session, voice)
        return Answer({"cpuTypes": [item for item in found if _is_wanted(item, arguments)]})


class DataCenterDetails(Outputs):
    """A data center of the catalog."""

    id: str
    """What `datacenter` takes."""
    name: str
    """Name."""
    region: str
    """Region, such as `EUROPE`."""
    network_volume_types: list[str]
    """Storage tiers of network volumes that it offers; none where it has no network volumes."""
    compliance: list[str]
    """Compliance programmes."""
    global_network: bool
    """Has it Runpod's global network?"""
    gpu_types: Annotated[list[str], At("gpuAvailability")]
    """GPU types that it has in stock."""
    cpu_flavors: Annotated[list[str], At("cpuAvailability")]
    """CPU flavors that it has in stock."""


class DataCenters(Outputs):
    """Data centers."""

    data_centers: list[DataCenterDetails]
    """Those found, in the catalog's order."""


class DataCentersArguments(Arguments):
    """Which data centers are wanted. Filters combine."""

    region: _Region | None = None
    """Only those of this region, such as `NORTH_AMERICA`."""
    network_volume_type: Literal["STANDARD", "HIGH_PERFORMANCE"] | None = None
    """Only those that offer network volumes of this storage tier."""
    gpu_type: str | None = None
    """Only those that have this GPU type in stock."""
    cpu_flavor: str | None = None
    """Only those that have this CPU flavor in stock."""


class GetDataCenters(Function):
    """Data centers of the catalog with what each has in stock (`listDataCenters`)."""

    arguments = DataCentersArguments
    answers = DataCenters

    async def call(self, session: Session, arguments: DataCentersArguments, voice: Voice) -> Answer:
        """Take the whole list with its stock, and filter."""
        query = {"include": "GPU_AVAILABILITY,CPU_AVAILABILITY"}
        listed = await _list(session, _DATA_CENTERS, "dataCenters", voice, query)
        found = []
        for item in listed:
            offers = {name: item.get(name) or [] for name in ("gpuAvailability", "cpuAvailability")}
            center = _shown(DataCenterDetails, {**item, **offers}, _DATA_CENTERS)
            for name in ("gpuTypes", "cpuFlavors"):
                center[name] = [offer["id"] for offer in center[name] if offer.get("availability") != "NONE"]
            found.append(center)
        await self._check(arguments, found, session, voice)
        wanted = (
            ("gpuTypes", arguments.gpu_type),
            ("cpuFlavors", arguments.cpu_flavor),
            ("networkVolumeTypes", arguments.network_volume_type),
        )
        kept = [
            center
            for center in found
            if arguments.region in (None, center["region"])
            and all(value is None or value in center[name] for name, value in wanted)
        ]
        return Answer({"dataCenters": kept})

    async def _check(
        self, arguments: DataCentersArguments, found: Iterable[Mapping[str, Any]], session: Session, voice: Voice
    ) -> None:
        """Refuse names that mean nothing; the catalog's own lists are asked for those that no data center has in stock."""
        catalog, stocked = session.part(Catalog), list(found)
        failures: list[Failure] = []
        if arguments.gpu_type is not None and not any(arguments.gpu_type in center["gpuTypes"] for center in stocked):
            gpus = await catalog.gpus(voice)
            cards = (*gpus.cards, *sorted(gpus.others)) if gpus.is_live else (arguments.gpu_type,)
            failures += _unknown("gpuType", "GPU type", arguments.gpu_type, cards)
        if arguments.cpu_flavor is not None and not any(arguments.cpu_flavor in center["cpuFlavors"] for center in stocked):
            cpus = await catalog.cpus(voice)
            flavors = cpus.data_centers if cpus.is_live else (arguments.cpu_flavor,)
            failures += _unknown("cpuFlavor", "CPU flavor", arguments.cpu_flavor, flavors)
        if failures:
            raise CheckFailed(failures)


class WorkerDetails(Outputs):
    """A worker of an endpoint."""

    id: str
    """Worker."""
    status: str
    """`RUNNING`, `IDLE`, `INITIALIZING`, `THROTTLED` (waits for capacity) or `UNHEALTHY`."""
    version: int | None = None
    """Release that it runs."""
    is_stale: bool
    """Does it run an older release than the endpoint's newest?"""
    image: str | None = None
    """Container image that it runs."""
    gpu_type: Annotated[str | None, At("gpuTypeId")] = None
    """Card that it was placed on."""
    datacenter: Annotated[str | None, At("dataCenterId")] = None
    """Data center that it was placed in."""
    uptime_seconds: int | None = None
    """Seconds since it started."""


class EndpointWorkers(Outputs):
    """The workers of an endpoint now."""

    endpoint_version: int | None = None
    """The endpoint's newest release."""
    workers: list[WorkerDetails]
    """The active ones."""


class EndpointWorkersArguments(Arguments):
    """Whose workers are wanted."""

    endpoint_id: Identifier
    """Id of the endpoint."""


class GetEndpointWorkers(Function):
    """The active workers of an endpoint, where each runs, and which release (`listEndpointWorkers`)."""

    arguments = EndpointWorkersArguments
    answers = EndpointWorkers

    async def call(self, session: Session, arguments: EndpointWorkersArguments, voice: Voice) -> Answer:
        """Ask afresh each time: workers come and go."""
        path = f"/serverless/{arguments.endpoint_id}/workers"
        try:
            found = await session.api.request("GET", path, voice=voice)
        except ApiProblem as problem:
            if problem.status == 404:
                raise NotFound(f"there is no endpoint with the id {arguments.endpoint_id!r}") from None
            raise problem.explained(f"listing the workers of the endpoint {arguments.endpoint_id!r}") from None
        if not isinstance(found.get("workers"), list):
            raise Incomplete(path, "workers")
        workers = [_shown(WorkerDetails, worker, path) for worker in found["workers"]]
        version = found.get("endpointVersion")
        return Answer({"workers": workers, **({} if version is None else {"endpointVersion": version})})


class PublicTemplateDetails(Outputs):
    """A public template."""

    id: str
    """What an endpoint's `templateId` takes, where it is a serverless template."""
    name: str
    """Name."""
    image: str
    """Container image."""
    serverless: bool
    """Is it for endpoints, or for pods?"""
    category: str
    """`NVIDIA`, `AMD` or `CPU`."""
    container_disk_in_gb: Annotated[int, At("disk")]
    """Container disk in GB."""


class PublicTemplates(Outputs):
    """Public templates."""

    public_templates: list[PublicTemplateDetails]
    """At most 100, as the API gives no more."""


class PublicTemplatesArguments(Arguments):
    """Which public templates are wanted."""

    source: Literal["official", "verified", "community"] | None = None
    """Whose they are. Default: `official`."""
    serverless: bool | None = None
    """Only those for endpoints (`true`) or for pods (`false`)."""


class GetPublicTemplates(Function):
    """Templates that Runpod and its users publish (`listPublicTemplates`)."""

    arguments = PublicTemplatesArguments
    answers = PublicTemplates

    async def call(self, session: Session, arguments: PublicTemplatesArguments, voice: Voice) -> Answer:
        """Take one slice of the list, and filter."""
        query = {"source": arguments.source or "official"}
        listed = await _list(session, _TEMPLATES, "templates", voice, query)
        found = [_shown(PublicTemplateDetails, item, _TEMPLATES) for item in listed]
        return Answer({"publicTemplates": [item for item in found if arguments.serverless in (None, item["serverless"])]})


async def _list(session: Session, path: str, key: str, voice: Voice, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    try:
        return await session.part(Listings).get(path, key, voice, query)
    except ApiProblem as problem:
        raise problem.explained("reading Runpod's catalog") from None


def _shown(model: type[Outputs], item: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Give an object of the API's answer at `path` the names of `model`. Raises Incomplete where it lacks what each has."""
    shown = {}
    for attribute, info in model.model_fields.items():
        name = info.alias or attribute
        at = next((marker for marker in info.metadata if isinstance(marker, At)), At(name))
        value = get_in(item, at.path)
        if value is not None:
            shown[name] = value
        elif info.is_required():
            raise Incomplete(path, ".".join(at.path))
    return shown


def _stocked(model: type[Outputs], item: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Give a card or a flavor the names of `model`; one that is nowhere in stock is told without its stock."""
    shown = _shown(model, {"availability": "NONE", **item, "dataCenters": item.get("dataCenters") or []}, path)
    return {**shown, "dataCenters": [_shown(Place, place, path) for place in shown["dataCenters"]]}


def _is_wanted(item: Mapping[str, Any], arguments: GpuTypesArguments | CpuTypesArguments) -> bool:
    is_there = arguments.datacenter in (None, ANY) or any(place["id"] == arguments.datacenter for place in item["dataCenters"])
    return is_there and not (arguments.only_available and item["availability"] == "NONE")


def _unknown(argument: str, noun: str, name: str | None, known: Iterable[str]) -> Iterator[Failure]:
    """Say of a name that is not known that nothing is found by it: an empty answer would look like one of no stock."""
    known = list(known)
    if name is not None and name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        yield Failure((argument,), f"Runpod has no {noun} {name!r}{hint}")


async def _refuse(failures: list[Failure], datacenter: str | None, session: Session, voice: Voice) -> None:
    """Raise CheckFailed for what is wrong, a data center that there is not among it."""
    centers = [] if datacenter is None else [datacenter]
    failures = [*failures, *await session.part(Catalog).data_center_failures(centers, voice)]
    if failures:
        raise CheckFailed(failures)


CATALOG: Final = (GetGpuTypes(), GetCpuTypes(), GetDataCenters(), GetEndpointWorkers(), GetPublicTemplates())


def functions_for(resources: Iterable[Resource]) -> tuple[Function, ...]:
    """Return all functions: two for each resource, and those of the catalog."""
    return (*(function for resource in resources for function in (Get(resource), GetAll(resource))), *CATALOG)
