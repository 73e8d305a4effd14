"""Network volumes: storage in one data center that can grow and never shrink."""

from runpod_emulator import catalog, rules
from runpod_emulator.problems import bad_request, not_found
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, World

FIELDS = ("id", "name", "size", "dataCenter", "type")


def render(volume: Doc) -> Doc:
    """Return the volume as the API shows it."""
    return {name: volume[name] for name in FIELDS}


def find(world: World, identifier: str) -> Doc:
    """Return the stored volume, or refuse with 404."""
    volume = world.store.get("networkVolumes", identifier)
    if volume is None:
        raise not_found("network volume")
    return volume


def listing(world: World, call: Call) -> Reply:
    """`listNetworkVolumes`."""
    return 200, {"networkVolumes": [render(volume) for volume in world.store.all("networkVolumes")]}


def read(world: World, call: Call) -> Reply:
    """`getNetworkVolume`."""
    return 200, render(find(world, call.params["id"]))


def create(world: World, call: Call) -> Reply:
    """`createNetworkVolume`."""
    body = call.body(rules.CREATE_VOLUME)
    data_center = catalog.data_center(world, body["dataCenter"])
    offered = data_center["networkVolumeTypes"]
    if not offered:
        raise bad_request(f"data center {body['dataCenter']} does not support network volumes")
    if body.get("type", offered[0]) not in offered:
        raise bad_request(
            f"data center {body['dataCenter']} does not support {body['type']} network volumes, it supports: {', '.join(offered)}"
        )
    volume = {"id": world.store.new_id("networkVolumes"), "type": offered[0], **body}
    world.store.put("networkVolumes", volume["id"], volume)
    return 201, render(volume)


def update(world: World, call: Call) -> Reply:
    """`updateNetworkVolume`."""
    body = call.body(rules.UPDATE_VOLUME)
    volume = find(world, call.params["id"])
    if body.get("size", volume["size"]) < volume["size"]:
        raise bad_request(
            f"network volume size cannot be reduced: current size is {volume['size']} GB, requested {body['size']} GB"
        )
    volume = {**volume, **body}
    world.store.put("networkVolumes", volume["id"], volume)
    return 200, render(volume)


def delete(world: World, call: Call) -> Reply:
    """`deleteNetworkVolume`."""
    world.store.remove("networkVolumes", find(world, call.params["id"])["id"])
    return 204, None
