"""Registry credentials and ECR delegations."""

import pytest

CREDENTIALS = {"name": "r", "username": "u", "password": "p"}


def test_credentials_are_never_shown(api):
    """Only id and name come back."""
    made = api.post("/v2/registries", CREDENTIALS)
    assert made == {"id": made["id"], "name": "r"}
    assert api.get(f"/v2/registries/{made['id']}") == made
    assert api.get("/v2/registries") == {"registries": [made]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "$.name: minLength"),
        ({"username": ""}, "$.username: minLength"),
        ({"password": ""}, "$.password: minLength"),
        ({"password": None}, "$.password: got null, want string"),
        ({"url": "x"}, "additional properties 'url'"),
    ],
)
def test_a_body_outside_the_schema_is_unprocessable(api, change, message):
    """A refusal does not repeat the password."""
    problem = api.post("/v2/registries", {**CREDENTIALS, "password": "canary", **change}, 422)
    assert message in problem["errors"][0]
    assert "canary" not in str(problem)


@pytest.mark.parametrize("missing", list(CREDENTIALS))
def test_a_required_property_that_is_missing_is_unprocessable(api, missing):
    """All three are required."""
    body = {name: value for name, value in CREDENTIALS.items() if name != missing}
    assert api.post("/v2/registries", body, 422)["errors"] == [f"$: missing property '{missing}'"]


def test_a_registry_cannot_be_patched(api):
    """The document has no such operation."""
    path = f"/v2/registries/{api.post('/v2/registries', CREDENTIALS)['id']}"
    response = api.send("PATCH", path, json={"password": "new"})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, DELETE")


def test_deleting_a_registry_silently_clears_every_reference(api):
    """Templates and endpoints lose it, and no new release is made."""
    registry = api.post("/v2/registries", CREDENTIALS)["id"]
    template = api.template(registry=registry)
    made = api.create(registry=registry, workers={"min": 1, "max": 1})
    untouched = api.create(registry="other", workers={"max": 1})
    api.delete(f"/v2/registries/{registry}")
    assert api.get(f"/v2/templates/{template['id']}")["registry"] is None
    assert api.get(f"/v2/serverless/{made['id']}") == {**made, "registry": None}
    assert api.get(f"/v2/serverless/{untouched['id']}")["registry"] == "other"
    assert api.get(f"/v2/serverless/{made['id']}/releases")["endpointVersion"] == 1
    api.get(f"/v2/registries/{registry}", 404)
    api.delete(f"/v2/registries/{registry}", 404)


def test_a_registry_in_use_by_a_pod_cannot_be_deleted(api):
    """Pods are outside of the emulator, so it is told of one."""
    [used] = api.control("seed", {"registries": [{**CREDENTIALS, "_inUseBy": "pod pod_abc"}]})["registries"]
    assert "in use by pod pod_abc" in api.delete(f"/v2/registries/{used}", 400)["detail"]


def test_a_delegation_is_read_from_its_resource_name(api):
    """Region, account and repository stand in the ARN."""
    resource = "arn:aws:ecr:us-east-2:418399314813:repository/runpod/deployment"
    made = api.post("/v2/registries/delegations", {"resource": resource})
    assert (made["awsRegion"], made["awsUser"], made["repository"]) == ("us-east-2", "418399314813", "runpod/deployment")
    assert (made["tag"], made["name"], made["createdAt"]) == ("latest", None, "2026-06-01T12:00:00Z")
    assert api.post("/v2/registries/delegations", {"resource": f"{resource}:v2", "name": "n"})["tag"] == "v2"
    assert api.get("/v2/registries/delegations")["delegations"][0] == made
    api.delete(f"/v2/registries/delegations/{made['id']}")
    api.delete(f"/v2/registries/delegations/{made['id']}", 404)


@pytest.mark.parametrize(("body", "status"), [({}, 422), ({"resource": "x"}, 400), ({"resource": "x", "tag": "y"}, 422)])
def test_a_delegation_needs_a_resource_name(api, body, status):
    """Its shape is the document's, its form is Amazon's."""
    api.post("/v2/registries/delegations", body, status)
