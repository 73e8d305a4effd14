"""The endpoint's rules, one refusal and one acceptance each."""

from typing import Any

import pytest

from emulator.bodies import cpu_body, gpu_body

LB: dict[str, Any] = {"type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "requestCount": 4}}
QUEUE_RC: dict[str, Any] = {"scaling": {"type": "REQUEST_COUNT", "requestCount": 4}}


def error(problem: Any) -> str:
    """Return the failures of a 422 in one text."""
    return " ".join(problem["errors"])


def test_what_a_create_leaves_out_takes_the_servers_defaults(api):
    """The server's defaults are those of the document, not those of the provider."""
    made = api.create("workers")
    assert made["workers"] == {"min": 0, "max": 3, "idleTimeout": 10}
    assert (made["timeout"], made["flashboot"], made["disk"], made["dataCenterIds"]) == (300_000, "OFF", 20, [])
    assert (made["args"], made["ports"], made["env"], made["registry"], made["networkVolumes"]) == ("", [], {}, None, [])
    assert made["gpu"] == {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None}
    assert made["createdAt"] == "2026-06-01T12:00:00Z"
    assert "cpu" not in made and "templateId" not in made
    assert api.get(f"/v2/serverless/{made['id']}") == made
    assert api.get("/v2/serverless") == {"endpoints": [made]}


def test_a_queue_endpoint_has_the_eight_job_urls(api):
    """The URLs stand on the job base."""
    made = api.create()
    assert made["requestUrls"]["runSync"] == f"https://api.runpod.ai/v2/{made['id']}/runsync"
    assert len(made["requestUrls"]) == 8


def test_a_load_balancer_has_two_urls_and_the_platforms_ports(api):
    """PORT and PORT_HEALTH are injected unless given, also where a PATCH replaces env."""
    made = api.create(**LB, env={"PORT": "8000", "HEALTH_CHECK_PATH": "/up"})
    assert made["requestUrls"] == {
        "base": f"https://{made['id']}.api.runpod.ai",
        "health": f"https://{made['id']}.api.runpod.ai/up",
    }
    assert made["env"] == {"PORT": "8000", "PORT_HEALTH": "80", "HEALTH_CHECK_PATH": "/up"}
    assert api.patch(f"/v2/serverless/{made['id']}", {"env": {"A": "1"}})["env"] == {"PORT": "80", "PORT_HEALTH": "80", "A": "1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bogus": 1}, "$: additional properties 'bogus' not allowed"),
        ({"gpu": {"pools": ["ADA_24"], "bogus": 1}}, "$.gpu: additional properties 'bogus' not allowed"),
        ({"name": ""}, "$.name: minLength: got 0, want 1"),
        ({"name": None}, "$.name: got null, want string"),
        ({"type": "FAST"}, "$.type: value must be one of 'QUEUE', 'LOAD_BALANCER'"),
        ({"disk": 0}, "$.disk: minimum: got 0, want 1"),
        ({"disk": True}, "$.disk: got boolean, want integer"),
        ({"disk": 64.0}, "$.disk: got number, want integer"),
        ({"env": {"A": 1}}, "$.env.A: got integer, want string"),
        ({"env": []}, "$.env: got array, want object"),
        ({"ports": "80/http"}, "$.ports: got string, want array"),
        ({"gpu": {"count": 1}}, "$.gpu: missing property 'pools'"),
        ({"gpu": {"pools": []}}, "$.gpu.pools: minItems: got 0, want 1"),
        ({"gpu": {"pools": ["ADA_24"], "minCudaVersion": "12"}}, "does not match pattern"),
        ({"gpu": {"pools": ["ADA_24"], "minCudaVersion": ""}}, "does not match pattern"),
        ({"gpu": {"pools": ["AMPERE_80"], "excludedTypes": ["-x"]}}, "does not match pattern"),
        ({"gpu": {"pools": ["AMPERE_80"], "excludedTypes": ["x", "x"]}}, "are equal"),
        ({"workers": {"idleTimeout": 0}}, "$.workers.idleTimeout: minimum: got 0, want 1"),
        ({"workers": {"idleTimeout": 3601}}, "$.workers.idleTimeout: maximum: got 3601, want 3600"),
        ({"workers": 3}, "$.workers: got integer, want object"),
        ({"scaling": {"queueDelay": 4}}, "$.scaling: missing property 'type'"),
        ({"scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.4}}, "$.scaling.queueDelay: minimum: got 0.4, want 0.5"),
        ({"scaling": {"type": "QUEUE_DELAY", "requestCount": 4}}, "$.scaling: missing property 'queueDelay'"),
        ({"scaling": {"type": "REQUEST_COUNT", "requestCount": 0}}, "$.scaling.requestCount: minimum: got 0, want 1"),
        ({"scaling": {"type": "MAGIC"}}, "$.scaling.type: value must be one of"),
        ({"type": "LOAD_BALANCER"}, "$.scaling.type: value must be 'REQUEST_COUNT'"),
        ({**QUEUE_RC, "workers": {"max": 1, "idleTimeout": 5}}, "$.workers.idleTimeout: not applicable"),
        ({"flashboot": True}, "$.flashboot: got boolean, want string"),
        ({"templateId": ""}, "$.templateId: minLength"),
    ],
)
def test_a_body_outside_the_schema_is_unprocessable(api, change, message):
    """Each breach of the documented shape is a 422 that names its path."""
    problem = api.post("/v2/serverless", gpu_body(**change), 422)
    assert problem["title"] == "Unprocessable Entity"
    assert message in error(problem)
    assert api.get("/v2/serverless")["endpoints"] == []


@pytest.mark.parametrize("missing", ["name", "type", "scaling", "image"])
def test_a_required_property_that_is_missing_is_unprocessable(api, missing):
    """`image` is required as long as no template brings it."""
    assert api.post("/v2/serverless", gpu_body(missing), 422)["errors"] == [f"$: missing property '{missing}'"]


def test_a_decimal_point_in_an_integer_is_seen_in_the_raw_body(api):
    """64.0 equals 64 in JSON Schema, and not for the API."""
    body = '{"name":"e","type":"QUEUE","image":"i","gpu":{"pools":["ADA_24"]},"disk":%s,"scaling":{"type":"QUEUE_DELAY","queueDelay":4.5}}'
    assert api.raw("POST", "/v2/serverless", body % "64.0").status_code == 422
    assert api.raw("POST", "/v2/serverless", body % "64").status_code == 201


@pytest.mark.parametrize("content", ["{", "", '{"name": NaN}'])
def test_a_body_that_is_not_json_is_a_bad_request(api, content):
    """Nothing is guessed from a broken body."""
    assert api.raw("POST", "/v2/serverless", content).status_code == 400


def test_a_body_of_another_type_is_refused(api):
    """Only JSON is spoken."""
    assert api.send("POST", "/v2/serverless", data={"name": "e"}).status_code == 415


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (gpu_body("gpu"), "exactly one of gpu and cpu"),
        (gpu_body(cpu=[{"id": "cpu3c", "vcpuCount": 2}]), "exactly one of gpu and cpu"),
        (gpu_body(gpu={"pools": ["ADA_99"]}), "unknown gpu pool 'ADA_99'"),
        (gpu_body(gpu={"pools": ["ADA_24"], "excludedTypes": ["NVIDIA A40"]}), "'NVIDIA A40' is not a GPU type"),
        (gpu_body(gpu={"pools": ["ADA_24"], "excludedTypes": ["NVIDIA GeForce RTX 4090"]}), "leaves no GPU type"),
        (gpu_body(gpu={"pools": ["ADA_24"], "allowedCudaVersions": ["12.8"], "minCudaVersion": "12.4"}), "mutually exclusive"),
        (gpu_body(workers={"min": 2, "max": 1}), "must not exceed workers.max"),
        (gpu_body(workers={"max": 6}), "must not exceed your workers quota (5)"),
        (gpu_body(timeout=4999), "timeout must be 0 or between"),
        (gpu_body(timeout=604_800_001), "timeout must be 0 or between"),
        (gpu_body(dataCenterIds=["EU-XX-9"]), "unknown data center 'EU-XX-9', valid data centers are: US-CA-2"),
        (gpu_body(networkVolumes=["nope"]), "network volume 'nope' not found"),
        (gpu_body(image=""), "image is required"),
        (cpu_body(cpu=[{"id": "cpu3c", "vcpuCount": 6}]), "power of two"),
        (cpu_body(cpu=[{"id": "cpu3c", "vcpuCount": 64}]), "it must be 2 to 32"),
        (cpu_body(cpu=[{"id": "cpu9", "vcpuCount": 2}]), "unknown cpu flavor 'cpu9'"),
        (cpu_body(dataCenterIds=["US-KS-2"]), "There are no longer any instances available"),
        (cpu_body(disk=21), "Container disk size 21GB exceeds the maximum allowed for CPU instances"),
        (cpu_body(cpu=[{"id": "cpu5c", "vcpuCount": 2}, {"id": "cpu5c", "vcpuCount": 8}], disk=31), "(30GB for the smallest"),
    ],
)
def test_a_rule_that_the_document_states_in_prose_is_a_bad_request(api, body, message):
    """These bodies have the right shape and break a rule."""
    problem = api.post("/v2/serverless", body, 400)
    assert problem["title"] == "Bad Request" and message in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        gpu_body(gpu={"pools": ["AMPERE_80"], "excludedTypes": [" NVIDIA A100-SXM4-80GB"]}),
        gpu_body(gpu={"pools": ["ADA_24"], "allowedCudaVersions": [], "minCudaVersion": "12.4"}),
        gpu_body(gpu={"pools": ["ADA_24", "ADA_24"]}, ports=["80/http", "80/http"], dataCenterIds=["EU-RO-1", "EU-RO-1"]),
        gpu_body(timeout=0),
        gpu_body(timeout=5000),
        gpu_body(timeout=604_800_000),
        gpu_body(dataCenterIds=["EU-RO-1"], workers={"max": 5}),
        gpu_body(**QUEUE_RC),
        gpu_body(scaling={"type": "QUEUE_DELAY", "queueDelay": 0.5}),
        cpu_body(disk=20, dataCenterIds=["US-KS-2", "EU-RO-1"]),
        cpu_body(cpu=[{"id": "cpu5c", "vcpuCount": 2}], disk=30),
        cpu_body(cpu=[{"id": "cpu5g", "vcpuCount": 2}], disk=500, dataCenterIds=["US-MD-1"]),
    ],
)
def test_a_body_at_the_edge_of_a_rule_is_accepted(api, body):
    """The rules refuse what they name and nothing beside it."""
    api.post("/v2/serverless", body)


def test_excluded_types_are_trimmed(api):
    """Surrounding whitespace means the same card."""
    made = api.create(gpu={"pools": ["AMPERE_80"], "excludedTypes": [" NVIDIA A100-SXM4-80GB "]})
    assert made["gpu"]["excludedTypes"] == ["NVIDIA A100-SXM4-80GB"]


def test_a_cpu_endpoint_shows_its_memory_and_no_gpu(api):
    """Memory comes from the catalog's multiplier."""
    made = api.post("/v2/serverless", cpu_body(cpu=[{"id": "cpu3g", "vcpuCount": 2}, {"id": "cpu5c", "vcpuCount": 4}]))
    assert made["cpu"] == [{"id": "cpu3g", "vcpuCount": 2, "memory": 8}, {"id": "cpu5c", "vcpuCount": 4, "memory": 8}]
    assert "gpu" not in made


def test_the_idle_timeout_follows_the_scaler(api):
    """It is gone for QUEUE with REQUEST_COUNT, and is 10 again after the way back."""
    made = api.create(workers={"max": 1, "idleTimeout": 60})
    path = f"/v2/serverless/{made['id']}"
    assert api.patch(path, QUEUE_RC)["workers"] == {"min": 0, "max": 1}
    api.patch(path, {"workers": {"idleTimeout": 5}}, 422)
    assert api.patch(path, {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 2}})["workers"]["idleTimeout"] == 10
    balancer = api.create(**LB, workers={"max": 1, "idleTimeout": 7})
    assert balancer["workers"]["idleTimeout"] == 7
    api.patch(f"/v2/serverless/{balancer['id']}", {"scaling": {"type": "QUEUE_DELAY", "queueDelay": 2}}, 422)


def test_a_volume_must_be_in_one_of_the_endpoints_data_centers(api):
    """At most one volume a data center, and none outside the endpoint's."""
    first, second = (
        api.post("/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": center})["id"] for center in ("EU-RO-1", "US-KS-2")
    )
    twin = api.post("/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1"})["id"]
    made = api.create(networkVolumes=[first, second], dataCenterIds=["EU-RO-1", "US-KS-2"])
    path = f"/v2/serverless/{made['id']}"
    assert "not in dataCenterIds" in api.patch(path, {"dataCenterIds": ["EU-RO-1"]}, 400)["detail"]
    assert "at most one network volume" in api.patch(path, {"networkVolumes": [first, twin]}, 400)["detail"]
    assert api.patch(path, {"networkVolumes": []})["networkVolumes"] == []
    api.create(networkVolumes=[first])


def test_the_worker_quota_counts_all_endpoints(api):
    """It is refused only where an endpoint asks for more than it had."""
    made = api.create(workers={"max": 3})
    assert "Other endpoints use 3, this one asks for 3." in api.post("/v2/serverless", gpu_body(workers={"max": 3}), 400)["detail"]
    api.create(workers={"max": 2})
    path = f"/v2/serverless/{made['id']}"
    api.patch(path, {"workers": {"max": 4}}, 400)
    api.control("settings", {"workerQuota": 1})
    api.patch(path, {"workers": {"max": 2}})
    api.patch(path, {"env": {"A": "1"}})


def test_a_patch_changes_only_what_it_names(api):
    """Env is replaced whole, workers are merged, an empty body changes nothing."""
    made = api.create(env={"A": "1", "B": "2"}, args="x", registry="r", workers={"max": 2, "idleTimeout": 7})
    path = f"/v2/serverless/{made['id']}"
    assert api.patch(path, {}) == made
    assert api.patch(path, {"env": {"C": "3"}}) == {**made, "env": {"C": "3"}}
    cleared = api.patch(path, {"env": {}, "args": "", "registry": None, "workers": {"max": 3}, "name": "f"})
    assert cleared == {**made, "env": {}, "args": "", "registry": None, "name": "f"} | {
        "workers": {"min": 0, "max": 3, "idleTimeout": 7}
    }
    api.patch(path, {"workers": {"min": 4}}, 400)
    api.patch(path, {"type": "LOAD_BALANCER"}, 422)
    api.patch(path, {"scaling": {"queueDelay": 3}}, 422)


def test_pools_without_exclusions_clear_them(api):
    """Pools and exclusions are one selection; the rest of gpu is merged."""
    selection = {"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"]}
    path = f"/v2/serverless/{api.create(gpu={**selection, 'count': 2})['id']}"
    assert api.patch(path, {"gpu": {"minCudaVersion": "12.4"}})["gpu"] == {
        **selection,
        "count": 2,
        "allowedCudaVersions": [],
        "minCudaVersion": "12.4",
    }
    assert "excludedTypes" not in api.patch(path, {"gpu": {"pools": ["AMPERE_80"]}})["gpu"]
    assert error(api.patch(path, {"gpu": {"excludedTypes": []}}, 422)).startswith("$.gpu: property 'pools' is required")


def test_setting_one_cuda_constraint_does_not_clear_the_other(api):
    """Both at once is a bad request, also after the merge."""
    path = f"/v2/serverless/{api.create(gpu={'pools': ['ADA_24'], 'minCudaVersion': '12.4'})['id']}"
    api.patch(path, {"gpu": {"allowedCudaVersions": ["12.8"]}}, 400)
    changed = api.patch(path, {"gpu": {"allowedCudaVersions": ["12.8"], "minCudaVersion": ""}})
    assert (changed["gpu"]["allowedCudaVersions"], changed["gpu"]["minCudaVersion"]) == (["12.8"], None)
    api.patch(path, {"gpu": {"minCudaVersion": "12.4"}}, 400)
    api.patch(path, {"gpu": {"minCudaVersion": "12.4", "allowedCudaVersions": []}})


def test_the_compute_family_is_immutable(api):
    """Neither gpu on CPU, nor cpu on GPU, nor both."""
    gpu, cpu = api.create()["id"], api.post("/v2/serverless", cpu_body())["id"]
    sizes = [{"id": "cpu3c", "vcpuCount": 4}]
    api.patch(f"/v2/serverless/{gpu}", {"cpu": sizes}, 400)
    api.patch(f"/v2/serverless/{cpu}", {"gpu": {"pools": ["ADA_24"]}}, 400)
    api.patch(f"/v2/serverless/{cpu}", {"gpu": {"pools": ["ADA_24"]}, "cpu": sizes}, 400)
    assert api.patch(f"/v2/serverless/{cpu}", {"cpu": sizes, "disk": 40})["cpu"] == [{**sizes[0], "memory": 8}]
    api.patch(f"/v2/serverless/{cpu}", {"disk": 41}, 400)


def test_an_endpoint_copies_its_template_once(api):
    """Body fields win, env is merged by key, and a later edit changes nothing."""
    settings = {"image": "me/t:1", "disk": 33, "args": "a", "ports": ["1/http"], "env": {"A": "1", "B": "2"}, "registry": "r"}
    template = api.post("/v2/templates", {"name": "t", "serverless": True, "allowedCudaVersions": ["12.8"], **settings})["id"]
    made = api.create("image", templateId=template, env={"B": "body"}, args="mine")
    expected = {**settings, "env": {"A": "1", "B": "body"}, "args": "mine"}
    assert {name: made[name] for name in expected} == expected
    assert made["gpu"]["allowedCudaVersions"] == ["12.8"]
    assert "templateId" not in made
    api.patch(f"/v2/templates/{template}", {"image": "me/t:2"})
    assert api.get(f"/v2/serverless/{made['id']}") == made
    api.delete(f"/v2/templates/{template}")


def test_a_templates_cuda_set_is_not_seeded_beside_a_floor_or_on_cpu(api):
    """Seeding would turn a valid request into a refusal."""
    template = api.post("/v2/templates", {"name": "t", "image": "i", "serverless": True, "allowedCudaVersions": ["12.8"]})["id"]
    floor = api.create("image", templateId=template, gpu={"pools": ["ADA_24"], "minCudaVersion": "12.4"})
    assert floor["gpu"]["allowedCudaVersions"] == []
    explicit = api.create("image", templateId=template, gpu={"pools": ["ADA_24"], "allowedCudaVersions": []})
    assert explicit["gpu"]["allowedCudaVersions"] == []
    api.post("/v2/serverless", cpu_body("image", templateId=template))


def test_a_template_must_exist_and_be_for_serverless(api):
    """Unknown is 404, a pod template is 422, a public one serves."""
    pod = api.post("/v2/templates", {"name": "t", "image": "i"})["id"]
    api.post("/v2/serverless", gpu_body("image", templateId="nope"), 404)
    api.post("/v2/serverless", gpu_body("image", templateId=pod), 422)
    assert api.create("image", templateId="vllm0worker")["image"].startswith("runpod/worker-vllm")


def test_a_patch_can_apply_a_template(api):
    """Its settings count as part of the body, so they replace env."""
    template = api.post("/v2/templates", {"name": "t", "image": "me/t:1", "serverless": True, "env": {"A": "1"}})["id"]
    made = api.create(env={"OLD": "1"})
    changed = api.patch(f"/v2/serverless/{made['id']}", {"templateId": template, "env": {"B": "2"}})
    assert (changed["image"], changed["env"]) == ("me/t:1", {"A": "1", "B": "2"})


def test_an_endpoint_owns_a_hidden_template(api):
    """It is listed, cannot be deleted, and goes with the endpoint."""
    made = api.create(name="mine", env={"A": "1"})
    [bound] = api.get("/v2/templates")["templates"]
    assert bound["name"].startswith("mine__template__") and bound["env"] == {"A": "1"}
    assert "bound to serverless endpoint" in api.delete(f"/v2/templates/{bound['id']}", 400)["detail"]
    api.patch(f"/v2/templates/{bound['id']}", {"image": "me/w:2", "name": "other"})
    assert api.get(f"/v2/serverless/{made['id']}")["image"] == "me/w:2"
    assert api.get(f"/v2/templates/{bound['id']}")["name"] == "other"
    api.patch(f"/v2/templates/{bound['id']}", {"serverless": False}, 400)
    api.delete(f"/v2/serverless/{made['id']}")
    api.get(f"/v2/templates/{bound['id']}", 404)
    assert api.get("/v2/templates") == {"templates": []}


def test_a_deleted_endpoint_is_gone(api):
    """Every verb on it is a 404 in the API's form."""
    path = f"/v2/serverless/{api.create()['id']}"
    api.delete(path)
    assert api.get(path, 404) == {"title": "Not Found", "status": 404, "detail": "endpoint not found"}
    api.delete(path, 404)
    api.patch(path, {"name": "x"}, 404)
    api.get(f"{path}/workers", 404)
    api.get(f"{path}/releases", 404)
