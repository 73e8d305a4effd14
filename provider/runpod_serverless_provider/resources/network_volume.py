"""Network volumes: storage in one data center, which outlives endpoints and is hard to replace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ..core.failures import ApiProblem, CheckFailed, Failure, ProviderFailure, Refused
from ..core.listings import Listings
from ..core.model import At, AutoNamed, Default, EnumName, Inputs, Leaves, Outputs, Recreates, Spelled, StateOnly, Updates
from ..core.plan import Step
from ..core.resource import Departure, Resource, Task
from ..core.session import Session
from ..core.values import UNKNOWN
from . import forms
from .catalog import DEFAULT_DATA_CENTER, Catalog
from .enums import one_of, word_of
from .known_volumes import PATH, KnownVolumes

MOUNT_PATH: Final = "/runpod-volume/"


class NetworkVolumeInputs(Inputs):
    """What a program says of a network volume."""

    name: Annotated[forms.Text | None, AutoNamed(), Updates()] = None
    """Name in the Runpod console; need not be unique."""
    size: Annotated[
        int | None, Updates("growing only"), Default(lambda lookup: 100, "100", is_certain=True), Field(ge=10, le=4096)
    ] = None
    """Size in GB, 10 to 4096. It can grow, never shrink."""
    datacenter: Annotated[
        forms.DataCenterWord | None,
        At("dataCenter"),
        Spelled(one_of(*word_of("DataCenter"))),
        Recreates("a volume cannot move, so its data is lost", is_patchable=False),
        Default(lambda lookup: DEFAULT_DATA_CENTER, "`EU-RO-1`", is_certain=True),
    ] = None
    """Data center that the volume is in. Endpoints that mount it run there."""
    type: Annotated[
        Literal["STANDARD", "HIGH_PERFORMANCE"] | None,
        EnumName("VolumeType", "Storage tiers of network volumes."),
        Recreates("a volume cannot change its storage, so its data is lost", is_patchable=False),
    ] = None
    """Storage tier. Default: the data center's own."""
    adopt_existing: Annotated[bool | None, StateOnly(), Default(lambda lookup: False, "`false`", is_certain=True)] = None
    """Take over the volume of this `name` in this data center if there is exactly one, as Flash does. An adopted volume is never deleted
    by this provider."""
    deletion_protection: Annotated[bool | None, StateOnly(), Default(lambda lookup: True, "`true`", is_certain=True)] = None
    """Refuse to delete or replace the volume. To lift it takes a `pulumi up` of its own."""


class NetworkVolumeOutputs(Outputs):
    """What a network volume has beyond its inputs."""

    adopted: Annotated[bool, StateOnly()]
    """Was the volume taken over rather than created?"""
    mount_path: Annotated[str, StateOnly()]
    """Where workers find the volume: `/runpod-volume/`."""


class NetworkVolume(Resource):
    """Network volumes (`createNetworkVolume`, `getNetworkVolume`, `updateNetworkVolume`, `deleteNetworkVolume`)."""

    name = "NetworkVolume"
    noun = "network volume"
    path = PATH
    list_key = "networkVolumes"
    plural = "NetworkVolumes"
    inputs = NetworkVolumeInputs
    outputs = NetworkVolumeOutputs
    stables = ("adopted", "mountPath")
    always_shown = ("type",)

    def rules(self, planned: Leaves, defaulted: frozenset[str], session: Session) -> Iterator[Failure]:
        """Adoption goes by name, so it needs one."""
        if planned.get(("adoptExisting",)) is True and "name" in defaulted:
            yield Failure(("adoptExisting",), "looks for a volume by its name; give a name")

    def transitions(self, prior: Leaves, planned: Leaves, steps: Iterable[Step]) -> Iterator[Failure]:
        """Refuse to shrink, and to replace what is protected."""
        old, new = prior.get(("size",)), planned.get(("size",))
        if isinstance(old, int) and isinstance(new, int) and new < old:
            yield Failure(
                ("size",), f"a network volume cannot shrink: it has {old} GB, and {new} GB are asked for; set size to {old} or more"
            )
        if prior.get(("deletionProtection",)) is not False:
            for step in steps:
                if step.replaces and step.new is not UNKNOWN:
                    yield Failure(step.path, f"a change {_forbidden(prior)}")

    def replacement(self, prior: Leaves) -> Iterator[Failure]:
        """Refuse what resource options and the like make of a change, before the new volume is created."""
        if prior.get(("deletionProtection",)) is not False:
            yield Failure((), f"an option such as `replaceOnChanges`, or another provider, {_forbidden(prior)}")

    def noted(self, id: str, properties: Mapping[str, Any], session: Session) -> None:
        """Remember where the volume is, for endpoints that mount it."""
        session.part(KnownVolumes).note(id, properties.get("datacenter"))

    async def resolve(self, task: Task) -> dict[str, Any]:
        """Check the data center of a new volume where it is not one that this version knows."""
        if task.steps is not None:
            return {}
        center = task.planned.get(("datacenter",))
        named = [center] if isinstance(center, str) else []
        failures = await task.session.part(Catalog).data_center_failures(named, task.voice)
        if failures:
            raise CheckFailed(failures)
        return {"adopted": False, "mountPath": MOUNT_PATH}

    async def adopt(self, task: Task, replaced: str | None) -> Mapping[str, Any] | None:
        """Find the volume to take over. Raises CheckFailed where that is not clear, or its facts do not fit."""
        planned = task.planned
        if planned.get(("adoptExisting",)) is not True:
            return None
        name, center = planned[("name",)], planned[("datacenter",)]
        listed = await task.session.part(KnownVolumes).listing(task.voice)
        there = [volume for volume in listed if volume.get("name") == name and volume.get("dataCenter") == center]
        found = [volume for volume in there if volume["id"] != replaced]
        if not found:
            return None
        if len(found) > 1:
            ids = ", ".join(repr(volume["id"]) for volume in found)
            said = f"{len(found)} volumes in {center} are named {name!r} ({ids}); `pulumi import` the one that is meant"
            raise CheckFailed([Failure(("adoptExisting",), said)])
        (volume,) = found
        subject, failures = f"the volume {volume['id']!r} to adopt", []
        if volume["size"] > planned[("size",)]:
            said = f"{subject} has {volume['size']} GB and cannot shrink; set size to {volume['size']}"
            failures.append(Failure(("size",), said))
        if planned.get(("type",), volume["type"]) != volume["type"]:
            said = f"{subject} is {volume['type']}, which cannot change; set type to that, or leave it out"
            failures.append(Failure(("type",), said))
        if failures:
            raise CheckFailed(failures)
        await task.voice.inform(f"takes over the volume {volume['id']!r}, which this provider will never delete")
        return {**volume, "adopted": True, "mountPath": MOUNT_PATH}

    def computed(self, found: Mapping[str, Any], planned: Leaves, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Keep whether it was adopted; an imported one was not."""
        return {"adopted": bool(outputs.get("adopted")), "mountPath": MOUNT_PATH}

    async def forewarn(self, id: str, task: Task) -> None:
        """Say what is lost, and which endpoints use the volume."""
        if task.outputs.get("adopted"):
            await task.voice.inform(f"the volume {id!r} was taken over, so its replacement leaves it as it is")
            return
        try:
            endpoints = await task.session.part(Listings).get("/serverless", "endpoints", task.voice)
            # Not by their names: to other resources, those may be secret.
            users = [repr(endpoint["id"]) for endpoint in endpoints if id in endpoint.get("networkVolumes", ())]
            used = f"it is mounted by the endpoint {' and '.join(users)}" if users else "no endpoint mounts it"
        except ProviderFailure:
            used = "which endpoints mount it could not be found out"
        await task.voice.warn(f"replacing the volume {id!r} deletes it and all of its data; {used}")

    def keeps(self, departure: Departure) -> bool:
        """Leave an adopted volume alone; refuse to delete a protected one."""
        if departure.outputs.get("adopted"):
            return True
        if departure.prior.get(("deletionProtection",)) is not False:
            raise Refused(_refusal(departure))
        return False

    def advice(self, problem: ApiProblem, task: Task, replacement: Task | None) -> str:
        """Point at the property that a refusal is about."""
        if "data center" in problem.detail.lower():
            return "Change `datacenter` or `type`; the catalog's data centers list the network volume types of each."
        return ""


def _forbidden(prior: Leaves) -> str:
    """Say what replacing means. Whether the volume was taken over, which leaves it alone, the inputs do not tell for sure."""
    loss = " and, unless it was taken over, deletes its data" if prior.get(("adoptExisting",)) is True else " and deletes its data"
    return f"replaces the volume{loss}, which deletionProtection forbids. {_way_out('make this change in a second `pulumi up`')}"


def _refusal(departure: Departure) -> str:
    """Word the way out. Of `pulumi up --replace` and a taint nothing tells before the new volume is there, and in the state."""
    said = f"the network volume {departure.prior.get(('name',), '')!r} is protected from deletion"
    if departure.successor is None:
        target = f" --target '{departure.target}'" if departure.target else ""
        return f"{said}. {_way_out('repeat what was refused', target)}"
    old, new = departure.id, departure.successor
    command = f"`pulumi state delete '{departure.target}'` in a terminal and choose \"{old}\" (Pending Deletion)"
    return (
        f"{said}, so {old!r} stays with all of its data, although {new!r} has replaced it in the state. Until {old!r} is out of the "
        f"state every `pulumi up` ends here: run {command}, which deletes nothing at Runpod. Then mount it by its id, import it under "
        "another name, or delete it in the Runpod console."
    )


def _way_out(rest: str, target: str = "") -> str:
    lift = f"First set deletionProtection to false and run `pulumi up{target}` (it changes only the state and sends no request)"
    return f"{lift}; then {rest}."
