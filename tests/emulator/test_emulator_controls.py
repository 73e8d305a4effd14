"""The controls under `/_emulator/`, which nothing counts, logs or refuses a key for."""

import pytest

from emulator.bodies import cpu_body, gpu_body
from emulator.conftest import in_process


def test_controls_need_no_key_and_are_not_counted():
    """They are no part of the API."""
    with in_process(quota=1) as api:
        api.http.headers.pop("Authorization")
        for path in ("state", "counters", "requests", "faults", "settings", "time", "overview"):
            response = api.send("GET", f"/_emulator/{path}")
            assert response.status_code == 200 and "RateLimit" not in response.headers
        assert api.control("requests", method="GET") == {"requests": []}
        api.http.headers["Authorization"] = "Bearer key"
        api.get("/v2/serverless")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", 404), ("PUT", "state", 405), ("DELETE", "time", 405)])
def test_a_control_that_is_not_there_is_refused(api, method, path, status):
    """In the API's form."""
    assert api.send(method, f"/_emulator/{path}").json()["status"] == status


def test_a_seed_needs_nothing_but_what_matters(api):
    """The rest is plausible, and the ids come back by kind."""
    ids = api.control(
        "seed",
        {
            "endpoints": [{}, {"cpu": [{"id": "cpu3c", "vcpuCount": 2}]}],
            "networkVolumes": [{}],
            "registries": [{}],
            "templates": [{}],
        },
    )
    assert {kind: len(found) for kind, found in ids.items()} == {
        "endpoints": 2,
        "templates": 1,
        "networkVolumes": 1,
        "registries": 1,
    }
    for kind, path in (("endpoints", "serverless"), ("templates", "templates"), ("networkVolumes", "network-volumes")):
        for identifier in ids[kind]:
            assert api.get(f"/v2/{path}/{identifier}")["name"] == f"seeded-{kind}"


def test_a_seed_passes_every_rule_by(api):
    """The ids are the seed's, and the quota is not asked."""
    api.control(
        "seed", {"endpoints": [{"id": "mine", "workers": {"min": 9, "max": 99}}], "networkVolumes": [{"id": "v", "size": 1}]}
    )
    assert api.get("/v2/serverless/mine")["workers"] == {"min": 9, "max": 99, "idleTimeout": 10}
    assert len(api.get("/v2/serverless/mine/workers")["workers"]) == 9
    assert api.get("/v2/network-volumes/v")["size"] == 1
    api.post("/v2/serverless", gpu_body(), 400)


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ({"endpoint": []}, "additional properties 'endpoint'"),
        ({"endpoints": {}}, "$.endpoints: got object, want array"),
        ({"endpoints": ["x"]}, "$.endpoints[0]: got string, want object"),
        ({"endpoints": [{"gpu": {}}]}, "$.endpoints: an item cannot be used: KeyError('pools')"),
        ({"catalog": {"gpus": [{}]}}, "$.catalog.gpus[0]: missing property 'id'"),
        ({"catalog": {"disks": []}}, "additional properties 'disks'"),
    ],
)
def test_a_seed_that_makes_no_sense_is_unprocessable(api, seed, message):
    """A misspelt kind would otherwise be an empty account."""
    assert message in api.refused_control("seed", seed)["errors"][0]


def test_an_unknown_entry_cannot_be_removed_from_the_catalog(api):
    """A misspelt card would otherwise still be there."""
    response = api.send("POST", "/_emulator/seed", json={"catalog": {"remove": {"gpus": ["nope"]}}})
    assert (response.status_code, response.json()["detail"]) == (404, "gpus has no 'nope'")


def test_time_moves_on_and_never_back(api):
    """By simulated seconds, fractions allowed."""
    assert api.control("time", method="GET") == {"now": 1_780_315_200.0, "offsetSeconds": 0}
    api.wait(1.5)
    assert api.control("time", {"advanceSeconds": 60}) == {"now": 1_780_315_261.5, "offsetSeconds": 61.5}
    assert api.create()["createdAt"] == "2026-06-01T12:01:01Z"
    for body in ({"advanceSeconds": -1}, {"advanceSeconds": "1"}, {}, {"seconds": 1}):
        api.refused_control("time", body)


def test_settings_are_shown_and_changed(api):
    """One by one; what is not named stays."""
    shown = api.control("settings", method="GET")
    assert shown == {
        "quota": None,
        "hourQuota": 3000,
        "dayQuota": 50_000,
        "minuteSeconds": 60,
        "hourSeconds": 3600,
        "daySeconds": 86_400,
        "workerQuota": 5,
        "jobBaseUrl": "https://api.runpod.ai/v2",
        "acceptedKeys": None,
        "logHoldSeconds": None,
        "jobSeconds": 5.0,
    }
    assert api.control("settings", {"quota": 9}) == {**shown, "quota": 9}
    changed = api.control("settings", {"workerQuota": 50, "jobBaseUrl": "http://127.0.0.1:9/v2/"})
    assert changed == {**shown, "quota": 9, "workerQuota": 50, "jobBaseUrl": "http://127.0.0.1:9/v2/"}
    assert api.create(workers={"max": 50})["requestUrls"]["run"].startswith("http://127.0.0.1:9/v2/")
    balancer = {"type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "requestCount": 1}, "workers": {"max": 0}}
    made = api.create(**balancer, env={"HEALTH_CHECK_PATH": "a b/ü?x=1"})
    assert made["requestUrls"]["base"] == f"http://127.0.0.1:9/lb/{made['id']}"
    assert made["requestUrls"]["health"] == f"http://127.0.0.1:9/lb/{made['id']}/a%20b/%C3%BC?x=1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quotas": 1}, "additional properties 'quotas'"),
        ({"quota": "60"}, "$.quota: got string, want integer"),
        ({"hourQuota": None}, "$.hourQuota: got null, want integer"),
        ({"minuteSeconds": 0}, "$.minuteSeconds: minimum"),
        ({"acceptedKeys": "key"}, "$.acceptedKeys: got string, want array"),
        ({"logHoldSeconds": -1}, "$.logHoldSeconds: minimum"),
    ],
)
def test_a_setting_that_makes_no_sense_is_unprocessable(api, change, message):
    """And nothing is changed."""
    before = api.control("settings", method="GET")
    assert message in api.refused_control("settings", {"workerQuota": 1, **change})["errors"][0]
    assert api.control("settings", method="GET") == before


def test_a_resource_can_be_changed_behind_everyones_back(api):
    """Workers and gpu are reached into, other values are replaced, no rule is asked, no release made."""
    made = api.create(env={"A": "1"}, workers={"max": 2})
    path = f"resources/endpoints/{made['id']}"
    api.control(path, {"workers": {"max": 9}, "gpu": {"count": 4}, "env": {"B": "2"}}, "PATCH")
    shown = api.get(f"/v2/serverless/{made['id']}")
    assert shown["workers"] == {"min": 0, "max": 9, "idleTimeout": 10}
    assert shown["gpu"] == {**made["gpu"], "count": 4} and shown["env"] == {"B": "2"}
    assert api.get(f"/v2/serverless/{made['id']}/releases")["endpointVersion"] == 1
    assert api.control(path, method="GET")["env"] == {"B": "2"}
    api.control(path, method="DELETE")
    api.get(f"/v2/serverless/{made['id']}", 404)


def test_a_catalog_entry_can_be_changed_behind_everyones_back(api):
    """Its id may hold spaces."""
    api.control("resources/gpus/NVIDIA L4", {"stock": {"*": "NONE"}}, "PATCH")
    assert api.get("/v2/catalog/gpus/NVIDIA%20L4?include=AVAILABILITY&product=POD")["availability"] == "NONE"


@pytest.mark.parametrize("path", ["resources/pods/x", "resources/endpoints/x", "resources/meta/serial"])
def test_a_resource_that_is_not_there_cannot_be_changed(api, path):
    """Nor one of a kind that is none."""
    for method in ("GET", "PATCH", "DELETE"):
        assert api.send(method, f"/_emulator/{path}", json={}).status_code == 404


def test_the_state_is_everything(api):
    """As the API shows it, and as it is stored; a bound template names its endpoint."""
    volume, template, made = api.volume(), api.template(), api.create()
    registry = api.post("/v2/registries", {"name": "r", "username": "u", "password": "p"})
    state = api.control("state", method="GET")
    assert (state["endpoints"], state["templates"], state["networkVolumes"], state["registries"]) == (
        [made],
        [template],
        [volume],
        [registry],
    )
    assert state["boundTemplates"][0]["boundTo"] == made["id"]
    assert state["stored"]["registries"][0]["password"] == "p"
    assert state["settings"]["worker_quota"] == 5 and state["now"] == 1_780_315_200.0


def test_a_reset_begins_anew(api):
    """Resources, catalog, settings, time, log, limits, faults, and the ids that come next."""
    first = api.create()
    api.volume()
    api.control("seed", {"catalog": {"remove": {"gpus": ["NVIDIA L4"]}}})
    api.control("settings", {"quota": 1, "workerQuota": 0, "acceptedKeys": ["key"]})
    api.control("faults", {"action": "status", "times": None})
    api.wait(60)
    api.get("/v2/serverless", 503)
    api.control("reset")
    assert api.control("requests", method="GET") == {"requests": []}
    assert api.control("faults", method="GET") == {"faults": []}
    assert api.control("time", method="GET")["offsetSeconds"] == 0
    assert api.get("/v2/network-volumes") == {"networkVolumes": []}
    assert api.get("/v2/catalog/gpus/NVIDIA%20L4")["pool"] == "AMPERE_24"
    assert api.create()["id"] == first["id"]
    assert len(api.get("/v2/catalog/templates")["templates"]) == 2


def test_a_reset_returns_to_the_settings_of_the_start():
    """Not to the defaults."""
    with in_process(quota=7, worker_quota=3) as api:
        api.control("settings", {"quota": None, "workerQuota": 99})
        api.control("reset")
        settings = api.control("settings", method="GET")
        assert (settings["quota"], settings["workerQuota"]) == (7, 3)


def test_the_overview_shows_the_account(api):
    """Values of env are not in it, nor are credentials."""
    volume = api.volume()["id"]
    made = api.create(env={"TOKEN": "canary"}, networkVolumes=[volume], workers={"min": 1, "max": 2})
    api.post("/v2/serverless", cpu_body(disk=99), 400)
    api.post("/v2/registries", {"name": "r", "username": "canary", "password": "canary"})
    shown = api.control("overview", method="GET")
    [endpoint] = shown["endpoints"]
    assert (endpoint["id"], endpoint["version"], endpoint["workers"][0]["status"]) == (made["id"], 1, "INITIALIZING")
    assert shown["networkVolumes"][0]["mounts"] == 1
    assert shown["templates"][0]["boundTo"] == "e"
    assert shown["workerQuota"] == {"used": 2, "quota": 5}
    assert shown["budget"] == []
    assert [request["status"] for request in shown["requests"]] == [201, 400, 201, 201]
    assert shown["requests"][2]["fields"] == ["name", "type", "image", "gpu", "workers", "scaling", "env", "networkVolumes"]
    assert "canary" not in str(shown)
