"""Network volumes."""

import pytest


def test_a_volume_takes_the_data_centers_first_type(api):
    """A data center's default type is the first that it lists."""
    made = api.volume(name="v", size=10, dataCenter="US-KS-2")
    assert made == {"id": made["id"], "name": "v", "size": 10, "dataCenter": "US-KS-2", "type": "STANDARD"}
    assert api.volume(dataCenter="US-WA-1")["type"] == "HIGH_PERFORMANCE"
    assert api.volume(dataCenter="US-KS-2", type="HIGH_PERFORMANCE")["type"] == "HIGH_PERFORMANCE"
    assert api.get(f"/v2/network-volumes/{made['id']}") == made
    assert api.get("/v2/network-volumes")["networkVolumes"][0] == made


def test_names_are_not_unique(api):
    """Two volumes of one name in one data center are two volumes."""
    assert api.volume()["id"] != api.volume()["id"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 9}, "$.size: minimum: got 9, want 10"),
        ({"size": 4097}, "$.size: maximum: got 4097, want 4096"),
        ({"size": 100.0}, "$.size: got number, want integer"),
        ({"size": "100"}, "$.size: got string, want integer"),
        ({"name": ""}, "$.name: minLength"),
        ({"dataCenterId": "EU-RO-1"}, "additional properties 'dataCenterId'"),
    ],
)
def test_a_body_outside_the_schema_is_unprocessable(api, change, message):
    """The same holds for a create and an update."""
    path = f"/v2/network-volumes/{api.volume()['id']}"
    body = {"name": "v", "size": 10, "dataCenter": "EU-RO-1", **change}
    assert message in api.post("/v2/network-volumes", body, 422)["errors"][0]
    assert message in api.patch(path, change, 422)["errors"][0]


@pytest.mark.parametrize("missing", ["name", "size", "dataCenter"])
def test_a_required_property_that_is_missing_is_unprocessable(api, missing):
    """Only the type can be left out."""
    body = {name: value for name, value in {"name": "v", "size": 10, "dataCenter": "EU-RO-1"}.items() if name != missing}
    assert api.post("/v2/network-volumes", body, 422)["errors"] == [f"$: missing property '{missing}'"]


def test_an_empty_update_is_unprocessable(api):
    """The document wants at least one field."""
    path = f"/v2/network-volumes/{api.volume()['id']}"
    assert "minProperties" in api.patch(path, {}, 422)["errors"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataCenter": "EU-XX-9"}, "unknown data center 'EU-XX-9', valid data centers are: US-CA-2"),
        ({"dataCenter": "US-GA-2"}, "data center US-GA-2 does not support network volumes"),
        ({"dataCenter": "EU-CZ-1", "type": "HIGH_PERFORMANCE"}, "it supports: STANDARD"),
    ],
)
def test_a_data_center_that_has_no_such_volumes_is_a_bad_request(api, change, message):
    """The refusal names what there is."""
    assert message in api.post("/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1", **change}, 400)["detail"]


def test_a_volume_grows_and_never_shrinks(api):
    """The same size again is no reduction."""
    path = f"/v2/network-volumes/{api.volume(size=100)['id']}"
    assert api.patch(path, {"size": 100})["size"] == 100
    assert api.patch(path, {"size": 200, "name": "w"}) == {**api.get(path), "size": 200, "name": "w"}
    detail = api.patch(path, {"size": 199}, 400)["detail"]
    assert detail == "network volume size cannot be reduced: current size is 200 GB, requested 199 GB"


@pytest.mark.parametrize("change", [{"dataCenter": "US-KS-2"}, {"type": "STANDARD"}])
def test_data_center_and_type_are_immutable(api, change):
    """They are no fields of an update."""
    api.patch(f"/v2/network-volumes/{api.volume()['id']}", change, 422)


def test_a_deleted_volume_is_gone(api):
    """Every verb on it is a 404."""
    path = f"/v2/network-volumes/{api.volume()['id']}"
    api.delete(path)
    assert api.get(path, 404)["detail"] == "network volume not found"
    api.patch(path, {"size": 10}, 404)
    api.delete(path, 404)


def test_a_volume_in_use_can_be_deleted(api):
    """The document states no protection, so the endpoint is left with a volume that is not there."""
    volume = api.volume()["id"]
    made = api.create(networkVolumes=[volume])
    api.delete(f"/v2/network-volumes/{volume}")
    assert api.get(f"/v2/serverless/{made['id']}")["networkVolumes"] == [volume]
