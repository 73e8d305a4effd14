"""Container registry credentials: written once, never shown, never patched."""

from runpod_emulator import rules
from runpod_emulator.problems import bad_request, not_found
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, World


def render(registry: Doc) -> Doc:
    """Return the credential as the API shows it: without its user and password."""
    return {"id": registry["id"], "name": registry["name"]}


def find(world: World, identifier: str) -> Doc:
    """Return the stored credential, or refuse with 404."""
    registry = world.store.get("registries", identifier)
    if registry is None:
        raise not_found("registry")
    return registry


def listing(world: World, call: Call) -> Reply:
    """`listRegistries`."""
    return 200, {"registries": [render(registry) for registry in world.store.all("registries")]}


def read(world: World, call: Call) -> Reply:
    """`getRegistry`."""
    return 200, render(find(world, call.params["id"]))


def create(world: World, call: Call) -> Reply:
    """`createRegistry`."""
    registry = {"id": world.store.new_id("registries"), **call.body(rules.CREATE_REGISTRY)}
    world.store.put("registries", registry["id"], registry)
    return 201, render(registry)


def delete(world: World, call: Call) -> Reply:
    """`deleteRegistry`: templates, an endpoint's own among them, silently lose the reference; a pod keeps the credential alive."""
    registry = find(world, call.params["id"])
    if registry.get("_inUseBy"):
        raise bad_request(f"registry credential is in use by {registry['_inUseBy']} and cannot be deleted")
    identifier = registry["id"]
    for kind in ("templates", "endpoints"):
        for doc in world.store.all(kind):
            if doc["registry"] == identifier:
                world.store.put(kind, doc["id"], {**doc, "registry": None})
    world.store.remove("registries", identifier)
    return 204, None
