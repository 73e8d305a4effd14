"""Templates: presets that an endpoint copies once. Public ones can be read by everybody; an endpoint's own one is bound to it."""

import re
from collections.abc import Iterator

from runpod_emulator import queries, rules
from runpod_emulator.problems import bad_request, not_found, unprocessable
from runpod_emulator.store import Doc
from runpod_emulator.world import Call, Reply, World

CONTAINER_FIELDS = ("image", "args", "disk", "ports", "env", "registry")
FIELDS = (
    *("id", "name", *CONTAINER_FIELDS, "mounts", "serverless", "public"),
    *("category", "startSsh", "startJupyter", "allowedCudaVersions"),
)
SOURCES = ("official", "verified", "community")
_LONGEST_LIST = 100
_PORT = re.compile(r"([0-9]{1,5})/(?:http|tcp|udp)")
_LARGEST_PORT = 65_535
# of other users, so never the account's to change; `_source` is the part of the public catalog that shows it
PUBLIC: tuple[Doc, ...] = (
    {
        "id": "30zmvf89kd",
        "name": "PyTorch 2.8",
        "image": "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
        "disk": 50,
        "ports": ["8888/http", "22/tcp"],
        "serverless": False,
        "_source": "official",
    },
    {
        "id": "vllm0worker",
        "name": "vLLM worker",
        "image": "runpod/worker-vllm:stable-cuda12.1.0",
        "disk": 60,
        "env": {"MODEL_NAME": "facebook/opt-125m"},
        "serverless": True,
        "allowedCudaVersions": ["12.8"],
        "_source": "official",
    },
    {
        "id": "whisper0worker",
        "name": "Whisper worker",
        "image": "verified/whisper-worker:3",
        "disk": 30,
        "serverless": True,
        "_source": "verified",
    },
    {
        "id": "notebook0community",
        "name": "A notebook",
        "image": "somebody/notebook:latest",
        "category": "CPU",
        "serverless": False,
        "_source": "community",
    },
)


def server_defaults() -> Doc:
    """Return what the server takes for container settings that nobody gives."""
    return {"args": "", "disk": 20, "ports": [], "env": {}, "registry": None}


def check_ports(body: Doc) -> None:
    """Refuse a port that is not written as port/protocol."""
    for port in body.get("ports", ()):
        found = _PORT.fullmatch(port)
        if found is None or not 1 <= int(found[1]) <= _LARGEST_PORT:
            raise bad_request(f"ports: '{port}' is not a port and a protocol, such as 8000/http or 22/tcp")


def new_template(body: Doc) -> Doc:
    """Fill a template with the server's defaults."""
    return {
        **server_defaults(),
        "mounts": {},
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
        "_source": None,
        "_inUseBy": None,
        **body,
    }


def furnish(world: World) -> None:
    """Put the public templates where they are missing."""
    for doc in PUBLIC:
        if world.store.get("templates", doc["id"]) is None:
            world.store.put("templates", doc["id"], new_template({**doc, "public": True}))


def owned(world: World) -> list[Doc]:
    """Return the account's own templates, without the bound ones."""
    return [template for template in world.store.all("templates") if template["_source"] is None]


def _bound(endpoint: Doc) -> Doc:
    return new_template(
        {
            **{name: endpoint[name] for name in CONTAINER_FIELDS},
            "id": endpoint["_template"]["id"],
            "name": endpoint["_template"]["name"],
            "serverless": True,
            "category": "CPU" if "cpu" in endpoint else "NVIDIA",
            "startSsh": False,
            "startJupyter": False,
            "_boundTo": endpoint["id"],
        }
    )


def bound(world: World) -> list[Doc]:
    """Return the hidden template of each endpoint; it always shows that endpoint's container settings."""
    return [_bound(endpoint) for endpoint in world.store.all("endpoints")]


def render(template: Doc) -> Doc:
    """Return the template as the API shows it; nobody sees another user's registry."""
    shown = {name: template[name] for name in FIELDS}
    if template["_source"] is not None:
        shown["registry"] = None
    return shown


def _find(world: World, identifier: str, *, is_own: bool) -> Doc:
    template = world.store.get("templates", identifier)
    if template is not None and (template["_source"] is None or not is_own):
        return template
    for endpoint in world.store.all("endpoints"):
        if endpoint["_template"]["id"] == identifier:
            return _bound(endpoint)
    raise not_found("template")


def for_endpoint(world: World, identifier: str) -> Doc:
    """Return the template that an endpoint asks to copy: 404 where it is unknown, 422 where it is for pods."""
    template = _find(world, identifier, is_own=False)
    if not template["serverless"]:
        raise unprocessable(f"$.templateId: template '{identifier}' is not a serverless template")
    return template if template["_source"] is None else {**template, "registry": None}


def _names(world: World) -> Iterator[tuple[str, str]]:
    yield from ((template["name"], template["id"]) for template in owned(world))
    yield from ((endpoint["_template"]["name"], endpoint["_template"]["id"]) for endpoint in world.store.all("endpoints"))


def _check_name(world: World, name: str, identifier: str | None) -> None:
    if any(other == name and owner != identifier for other, owner in _names(world)):
        raise bad_request(f"template name must be unique: '{name}' is already in use")


def listing(world: World, call: Call) -> Reply:
    """`listTemplates`: the bound ones are in the list."""
    return 200, {"templates": [render(template) for template in [*owned(world), *bound(world)]]}


def public(world: World, call: Call) -> Reply:
    """`listPublicTemplates`."""
    source = queries.text(call, "source", choices=SOURCES) or "official"
    found = [render(template) for template in world.store.all("templates") if template["_source"] == source]
    return 200, {"templates": found[:_LONGEST_LIST]}


def read(world: World, call: Call) -> Reply:
    """`getTemplate`."""
    return 200, render(_find(world, call.params["id"], is_own=False))


def create(world: World, call: Call) -> Reply:
    """`createTemplate`."""
    body = call.body(rules.CREATE_TEMPLATE)
    check_ports(body)
    _check_name(world, body["name"], None)
    template = new_template({"id": world.store.new_id("templates"), **body})
    world.store.put("templates", template["id"], template)
    return 201, render(template)


def update(world: World, call: Call) -> Reply:
    """`updateTemplate`: what was made from the template before does not change."""
    from runpod_emulator import endpoints  # a bound template is part of its endpoint, which copies templates

    body = call.body(rules.UPDATE_TEMPLATE)
    check_ports(body)
    template = _find(world, call.params["id"], is_own=True)
    if "name" in body:
        _check_name(world, body["name"], template["id"])
    if not body.get("mounts", True):
        del body["mounts"]
    if "_boundTo" in template:
        foreign = [name for name in body if name not in (*CONTAINER_FIELDS, "name")]
        if foreign:
            raise bad_request(f"template is bound to serverless endpoint {template['_boundTo']}: {foreign[0]} cannot be changed")
        endpoints.patch_bound_template(world, template["_boundTo"], body)
        return 200, render(_find(world, template["id"], is_own=True))
    template = {**template, **body}
    world.store.put("templates", template["id"], template)
    return 200, render(template)


def delete(world: World, call: Call) -> Reply:
    """`deleteTemplate`."""
    template = _find(world, call.params["id"], is_own=True)
    if "_boundTo" in template:
        raise bad_request(f"template is bound to serverless endpoint {template['_boundTo']} and cannot be deleted")
    if template["_inUseBy"]:
        raise bad_request(f"template is in use by {template['_inUseBy']} and cannot be deleted")
    world.store.remove("templates", template["id"])
    return 204, None
