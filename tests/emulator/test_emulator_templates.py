"""Templates, the account's own, bound and public."""

from typing import Any

import pytest

FULL: dict[str, Any] = {
    "name": "t",
    "image": "me/t:1",
    "args": "a",
    "disk": 33,
    "ports": ["8888/http", "22/tcp", "53/udp"],
    "env": {"A": "1"},
    "registry": None,
    "mounts": {"persistent": {"size": 10, "path": "/workspace"}},
    "serverless": True,
    "public": False,
    "category": "CPU",
    "startSsh": False,
    "startJupyter": False,
    "allowedCudaVersions": ["12.8"],
}


def test_what_a_create_leaves_out_takes_the_servers_defaults(api):
    """The two flags for pods are on, as for a template made in the console."""
    made = api.post("/v2/templates", {"name": "t", "image": "i"})
    assert made == {
        "id": made["id"],
        "name": "t",
        "image": "i",
        "args": "",
        "disk": 20,
        "mounts": {},
        "ports": [],
        "env": {},
        "registry": None,
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
    }
    assert api.get(f"/v2/templates/{made['id']}") == made
    assert api.get("/v2/templates") == {"templates": [made]}


def test_a_template_keeps_every_field(api):
    """Nothing is normalised."""
    made = api.post("/v2/templates", FULL)
    assert {name: made[name] for name in FULL} == FULL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "$.name: minLength"),
        ({"bogus": 1}, "additional properties 'bogus'"),
        ({"isServerless": True}, "additional properties 'isServerless'"),
        ({"env": [{"key": "A", "value": "1"}]}, "$.env: got array, want object"),
        ({"disk": 20.0}, "$.disk: got number, want integer"),
        ({"category": "INTEL"}, "$.category: value must be one of 'CPU', 'NVIDIA', 'AMD'"),
        ({"public": "no"}, "$.public: got string, want boolean"),
        ({"allowedCudaVersions": ["12"]}, "does not match pattern"),
        ({"allowedCudaVersions": ["12.8\n"]}, "does not match pattern"),
        ({"mounts": {"network": []}}, "$.mounts: additional properties 'network'"),
        ({"mounts": {"persistent": {"size": 10}}}, "$.mounts.persistent: missing property 'path'"),
        ({"mounts": {"persistent": {"size": 9, "path": "/w"}}}, "$.mounts.persistent.size: minimum: got 9, want 10"),
    ],
)
def test_a_body_outside_the_schema_is_unprocessable(api, change, message):
    """The same holds for a create and an update, also of a template that does not exist."""
    assert message in api.post("/v2/templates", {**FULL, **change}, 422)["errors"][0]
    assert message in api.patch("/v2/templates/nope", change, 422)["errors"][0]
    assert api.get("/v2/templates") == {"templates": []}


@pytest.mark.parametrize("missing", ["name", "image"])
def test_a_required_property_that_is_missing_is_unprocessable(api, missing):
    """A template needs a name and an image."""
    body = {name: value for name, value in FULL.items() if name != missing}
    assert api.post("/v2/templates", body, 422)["errors"] == [f"$: missing property '{missing}'"]


@pytest.mark.parametrize("port", ["8000", "http", "0/http", "65536/tcp", "80/sctp", "80/http/tcp", " 80/http"])
def test_a_port_that_is_not_port_and_protocol_is_a_bad_request(api, port):
    """The document gives the form in words."""
    assert repr(port) in api.post("/v2/templates", {**FULL, "ports": [port]}, 400)["detail"]
    made = api.template(ports=["65535/http"])
    api.patch(f"/v2/templates/{made['id']}", {"ports": [port]}, 400)


def test_a_name_is_unique_in_the_account(api):
    """Another user's public template does not count, and a template may keep its own name."""
    made = api.template(name="t")
    assert "'t' is already in use" in api.post("/v2/templates", FULL, 400)["detail"]
    other = api.template(name="PyTorch 2.8")
    api.patch(f"/v2/templates/{other['id']}", {"name": "t"}, 400)
    api.patch(f"/v2/templates/{made['id']}", {"name": "t"})
    bound = api.create(name="mine")
    [name] = [template["name"] for template in api.get("/v2/templates")["templates"] if template["name"].startswith("mine")]
    api.patch(f"/v2/templates/{made['id']}", {"name": name}, 400)
    api.delete(f"/v2/serverless/{bound['id']}")
    api.patch(f"/v2/templates/{made['id']}", {"name": name})


def test_a_patch_changes_only_what_it_names(api):
    """Env is replaced whole, an empty list clears, an empty `mounts` leaves the mount, an empty body everything."""
    made = api.post("/v2/templates", FULL)
    path = f"/v2/templates/{made['id']}"
    assert api.patch(path, {}) == made
    assert api.patch(path, {"mounts": {}}) == made
    changed = api.patch(path, {"env": {"B": "2"}, "allowedCudaVersions": [], "args": "", "serverless": False})
    assert changed == {**made, "env": {"B": "2"}, "allowedCudaVersions": [], "args": "", "serverless": False}
    assert api.get(path) == changed


def test_a_template_in_use_by_a_pod_cannot_be_deleted(api):
    """Pods are outside of the emulator, so it is told of one."""
    [used] = api.control("seed", {"templates": [{"name": "t", "_inUseBy": "pod pod_abc"}]})["templates"]
    assert "in use by pod pod_abc" in api.delete(f"/v2/templates/{used}", 400)["detail"]
    free = api.template(name="free")["id"]
    api.delete(f"/v2/templates/{free}")
    api.get(f"/v2/templates/{free}", 404)
    api.delete(f"/v2/templates/{free}", 404)


def test_a_public_template_can_be_read_and_not_changed(api):
    """It is not in the account's list either."""
    assert api.get("/v2/templates/30zmvf89kd")["name"] == "PyTorch 2.8"
    api.patch("/v2/templates/30zmvf89kd", {"name": "mine"}, 404)
    api.delete("/v2/templates/30zmvf89kd", 404)
    assert api.get("/v2/templates") == {"templates": []}


def test_a_public_template_shows_nobodys_registry(api):
    """Neither in the catalog, nor by id, nor through an endpoint made from it."""
    [identifier] = api.control("seed", {"templates": [{"name": "t", "_source": "community", "registry": "theirs"}]})["templates"]
    assert api.get(f"/v2/templates/{identifier}")["registry"] is None
    assert [template["registry"] for template in api.get("/v2/catalog/templates?source=community")["templates"]] == [None, None]
    assert api.create("image", templateId=identifier)["registry"] is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["PyTorch 2.8", "vLLM worker"]),
        ("?source=official", ["PyTorch 2.8", "vLLM worker"]),
        ("?source=verified", ["Whisper worker"]),
        ("?source=community", ["A notebook"]),
    ],
)
def test_the_public_catalog_has_three_parts(api, query, names):
    """The account's own public templates are in none of them."""
    api.template(public=True)
    found = api.get(f"/v2/catalog/templates{query}")["templates"]
    assert [template["name"] for template in found] == names
    assert all(template["public"] for template in found)


@pytest.mark.parametrize("source", ["mine", "", "OFFICIAL"])
def test_another_part_of_the_public_catalog_is_unprocessable(api, source):
    """The document lists the three."""
    assert "query.source" in api.get(f"/v2/catalog/templates?source={source}", 422)["errors"][0]


def test_the_public_catalog_ends_at_a_hundred(api):
    """There is no second page."""
    api.control("seed", {"templates": [{"name": f"t{index}", "_source": "verified"} for index in range(120)]})
    assert len(api.get("/v2/catalog/templates?source=verified")["templates"]) == 100
