"""Workers and releases on the clock: starting, rolling over, what Runpod lowers by itself, and what workers write."""

import json
import time
from typing import Any

import pytest

from emulator.bodies import cpu_body

DAY = 86_400
TWO = {"min": 2, "max": 2}


def statuses(api: Any, identifier: str) -> list[str]:
    """Return the status of each worker."""
    return [worker["status"] for worker in api.get(f"/v2/serverless/{identifier}/workers")["workers"]]


def versions(api: Any, identifier: str) -> list[int]:
    """Return the version of each worker."""
    return [worker["version"] for worker in api.get(f"/v2/serverless/{identifier}/workers")["workers"]]


def test_an_endpoint_without_a_minimum_has_no_workers(api):
    """Nobody sends it a job here."""
    listed = api.get(f"/v2/serverless/{api.create()['id']}/workers")
    assert listed == {
        "endpointVersion": 1,
        "summary": {"running": 0, "idle": 0, "initializing": 0, "throttled": 0, "unhealthy": 0, "total": 0},
        "workers": [],
    }


def test_workers_start_within_half_a_minute_to_one_and_a_half(api):
    """Until then they are placed and not running."""
    path = f"/v2/serverless/{api.create(workers=TWO, gpu={'pools': ['ADA_24'], 'count': 2})['id']}/workers"
    listed = api.get(path)
    assert listed["summary"] == {"running": 0, "idle": 0, "initializing": 2, "throttled": 0, "unhealthy": 0, "total": 2}
    [first, second] = listed["workers"]
    assert first["id"] != second["id"]
    assert (first["uptimeSeconds"], first["startedAt"], first["gpuCount"]) == (None, None, 2)
    assert (first["gpuTypeId"], first["dataCenterId"]) == ("NVIDIA GeForce RTX 4090", "US-CA-2")
    api.wait(29)
    assert api.get(path)["summary"]["initializing"] == 2
    api.wait(61)
    [worker, _] = api.get(path)["workers"]
    assert (worker["status"], worker["isStale"], worker["version"], worker["image"]) == ("IDLE", False, 1, "me/w:1")
    assert 0 <= worker["uptimeSeconds"] <= 60
    assert worker["startedAt"] > "2026-06-01T12:00:30Z"


def test_workers_of_a_cpu_endpoint_have_no_card(api):
    """Their data center is one that the endpoint names."""
    made = api.post("/v2/serverless", cpu_body(workers={"min": 1, "max": 1}, dataCenterIds=["US-KS-2", "EU-RO-1"]))
    [worker] = api.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    assert (worker["gpuTypeId"], worker["gpuCount"], worker["dataCenterId"]) == (None, 0, "EU-RO-1")


def test_workers_without_stock_are_throttled(api):
    """They come up once the catalog has the card again."""
    made = api.create(gpu={"pools": ["BLACKWELL_180"]}, dataCenterIds=["EU-RO-1"], workers={"min": 1, "max": 1})
    api.wait(90)
    [worker] = api.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    assert (worker["status"], worker["gpuTypeId"], worker["gpuCount"]) == ("THROTTLED", None, 0)
    api.control("seed", {"catalog": {"gpus": [{"id": "NVIDIA B200", "stock": {"*": "LOW"}}]}})
    assert statuses(api, made["id"]) == ["IDLE"]


def test_workers_can_be_made_unhealthy(api):
    """A crash loop is a thing to be shown."""
    made = api.create(workers={"min": 1, "max": 1})
    api.control(f"resources/endpoints/{made['id']}", {"_isUnhealthy": True}, "PATCH")
    assert statuses(api, made["id"]) == ["INITIALIZING"]
    api.wait(90)
    assert statuses(api, made["id"]) == ["UNHEALTHY"]


def test_workers_follow_the_minimum_at_once(api):
    """Raising starts some, lowering ends some, and neither makes a release."""
    path = f"/v2/serverless/{api.create(workers={'min': 1, 'max': 3})['id']}"
    [first] = api.get(f"{path}/workers")["workers"]
    api.patch(path, {"workers": {"min": 3}})
    assert len(api.get(f"{path}/workers")["workers"]) == 3
    api.patch(path, {"workers": {"min": 1}})
    assert api.get(f"{path}/workers")["workers"] == [first]
    assert api.get(f"{path}/releases")["endpointVersion"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": "me/w:2"}, "template.imageName"),
        ({"args": "--x"}, "template.dockerArgs"),
        ({"disk": 21}, "template.containerDiskInGb"),
        ({"ports": ["80/http"]}, "template.ports"),
        ({"env": {"A": "2"}}, "template.env"),
        ({"registry": "r"}, "template.containerRegistryAuthId"),
        ({"gpu": {"pools": ["AMPERE_80"]}}, "gpuIds"),
        ({"gpu": {"count": 2}}, "gpuCount"),
        ({"gpu": {"allowedCudaVersions": ["12.8"]}}, "allowedCudaVersions"),
        ({"gpu": {"minCudaVersion": "12.8"}}, "minCudaVersion"),
        ({"dataCenterIds": ["EU-RO-1"]}, "locations"),
        ({"flashboot": "FLASHBOOT"}, "flashBootType"),
    ],
)
def test_a_change_of_container_or_hardware_makes_a_release(api, change, field):
    """Its difference names the field as the console does."""
    path = f"/v2/serverless/{api.create()['id']}"
    api.patch(path, change)
    newest, first = api.get(f"{path}/releases")["releases"]
    assert (newest["version"], first["version"]) == (2, 1)
    assert [entry["field"] for entry in newest["diff"]] == [field]
    assert (newest["source"], newest["buildId"], newest["createdByUserId"]) == ("MANUAL", None, None)


def test_a_change_of_sizes_or_volumes_makes_a_release(api):
    """They are named as the console does, too."""
    path = f"/v2/serverless/{api.post('/v2/serverless', cpu_body(dataCenterIds=['EU-RO-1']))['id']}"
    volume = api.volume()["id"]
    api.patch(path, {"cpu": [{"id": "cpu3c", "vcpuCount": 4}], "networkVolumes": [volume]})
    assert api.get(f"{path}/releases")["releases"][0]["diff"] == [
        {"field": "instanceIds", "old": "cpu3c-2", "new": "cpu3c-4"},
        {"field": "networkVolumeIds", "old": [], "new": [volume]},
    ]


@pytest.mark.parametrize("change", [{"name": "f"}, {"timeout": 5000}, {"workers": {"max": 2}}, {"image": "me/w:1"}, {}])
def test_a_change_of_scaling_makes_no_release(api, change):
    """Neither does a change to the same."""
    path = f"/v2/serverless/{api.create()['id']}"
    api.patch(path, change)
    assert len(api.get(f"{path}/releases")["releases"]) == 1


def test_a_release_shows_what_changed_beside_it(api):
    """A PATCH of both is one release with both in its difference."""
    path = f"/v2/serverless/{api.create()['id']}"
    api.patch(path, {"image": "me/w:2", "workers": {"max": 3}})
    assert api.get(f"{path}/releases")["releases"][0]["diff"] == [
        {"field": "template.imageName", "old": "me/w:1", "new": "me/w:2"},
        {"field": "workers.max", "old": 1, "new": 3},
    ]


def test_a_release_rolls_out_one_worker_after_the_other(api):
    """The next stale worker goes once its predecessor's successor is ready."""
    made = api.create(workers=TWO)
    api.wait(90)
    path = f"/v2/serverless/{made['id']}"
    api.patch(path, {"image": "me/w:2"})
    assert versions(api, made["id"]) == [2, 1]
    assert statuses(api, made["id"]) == ["INITIALIZING", "IDLE"]
    assert [worker["isStale"] for worker in api.get(f"{path}/workers")["workers"]] == [False, True]
    assert api.get(f"{path}/releases")["rollout"] == {
        "inProgress": True,
        "workersOnLatest": 1,
        "workersTotal": 2,
        "percentOnLatest": 50,
    }
    api.wait(90)
    assert versions(api, made["id"]) == [2, 2]
    api.wait(90)
    assert statuses(api, made["id"]) == ["IDLE", "IDLE"]
    releases = api.get(f"{path}/releases")
    assert releases["rollout"] == {"inProgress": False, "workersOnLatest": 2, "workersTotal": 2, "percentOnLatest": 100}
    assert [release["workerCount"] for release in releases["releases"]] == [2, 0]
    assert api.get(f"{path}/workers")["workers"][0]["image"] == "me/w:2"


def test_a_roll_out_that_nobody_watched_is_over(api):
    """Looking once, much later, shows the same as watching."""
    made = api.create(workers=TWO)
    api.patch(f"/v2/serverless/{made['id']}", {"image": "me/w:2"})
    api.patch(f"/v2/serverless/{made['id']}", {"image": "me/w:3"})
    api.wait(3600)
    assert versions(api, made["id"]) == [3, 3]


def test_an_idle_endpoint_is_lowered_after_three_and_after_seven_days(api):
    """First to two workers, then to none, and it stays there until somebody raises it."""
    path = f"/v2/serverless/{api.create(workers={'min': 3, 'max': 4})['id']}"
    api.wait(3 * DAY - 1)
    assert api.get(path)["workers"] == {"min": 3, "max": 4, "idleTimeout": 10}
    api.wait(1)
    assert api.get(path)["workers"] == {"min": 2, "max": 2, "idleTimeout": 10}
    api.wait(4 * DAY - 1)
    assert api.get(path)["workers"]["max"] == 2
    api.wait(1)
    assert api.get(path)["workers"] == {"min": 0, "max": 0, "idleTimeout": 10}
    assert api.get(f"{path}/workers")["workers"] == []
    api.patch(path, {"workers": {"max": 1}})
    api.wait(DAY)
    assert api.get("/v2/serverless")["endpoints"][0]["workers"]["max"] == 1


def test_what_is_lowered_frees_the_quota(api):
    """The sum counts what the endpoints have now."""
    api.create(workers={"max": 5})
    assert api.call("POST", "/v2/serverless", cpu_body())["status"] == 400
    api.wait(3 * DAY)
    api.create(workers={"max": 3})


def test_a_change_keeps_an_endpoint_awake(api):
    """The days count from it; an empty PATCH is none."""
    path = f"/v2/serverless/{api.create(workers={'max': 4})['id']}"
    api.wait(2 * DAY)
    api.patch(path, {"env": {"A": "1"}})
    api.wait(2 * DAY)
    assert api.get(path)["workers"]["max"] == 4
    api.patch(path, {})
    api.wait(DAY)
    assert api.get(path)["workers"]["max"] == 2


def events(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the events of a stream: id and data."""
    found = []
    for block in text.strip().split("\n\n") if text.strip() else ():
        identifier, content = block.split("\n")
        found.append((identifier.removeprefix("id: "), json.loads(content.removeprefix("data: "))))
    return found


@pytest.fixture
def logs(api):
    """Return a way to read the log of a worker that has come up, without waiting for more."""
    api.control("settings", {"logHoldSeconds": 0})
    made = api.create(workers={"min": 1, "max": 1})
    [worker] = api.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    path = f"/v2/serverless/{made['id']}/workers/{worker['id']}/logs"

    def read(query: str = "", status: int = 200, **headers: str) -> Any:
        response = api.send("GET", f"{path}?{query}", headers=headers)
        assert response.status_code == status, response.text
        return events(response.text) if status == 200 else response.json()

    return read


def test_a_worker_writes_while_it_comes_up(api, logs):
    """Each line has its moment, its source and an id to go on from."""
    assert [content["line"] for _, content in logs()] == ["create container me/w:1"]
    api.wait(90)
    lines = logs()
    assert lines[0] == (
        "2026-06-01T12:00:00Z/000000000001",
        {"ts": "2026-06-01T12:00:00Z", "source": "system", "line": "create container me/w:1"},
    )
    assert lines[-1][1]["line"] == "Worker ready."
    assert len(lines) == 5


def test_a_log_can_be_narrowed(api, logs):
    """By source, by the number of lines, by a moment, by the last event seen; the last of these wins."""
    api.wait(90)
    lines = logs()
    assert logs("source=container") == lines[-1:]
    assert logs("source=system") == lines[:-1]
    assert logs("tail=2") == lines[-2:]
    assert logs("tail=0") == []
    assert logs("source=system&tail=1") == [lines[-2]]
    assert logs("since=2026-06-01T14:00:01%2B02:00&tail=0") == lines[1:]
    assert logs("since=2026-06-01T12:00:00.5Z") == lines[1:]
    assert logs("tail=0&since=2026-06-01T12:00:00Z", **{"Last-Event-ID": lines[2][0]}) == lines[3:]
    assert logs(**{"Last-Event-ID": lines[0][1]["ts"]}) == lines[1:]


@pytest.mark.parametrize(
    "query",
    ["source=stderr", "tail=-1", "tail=5001", "tail=x", "since=yesterday", "since=2026-02-30T00:00:00Z", "since=2026-06-01"],
)
def test_a_malformed_parameter_of_a_log_is_unprocessable(logs, query):
    """The refusal names it."""
    assert logs(query, 422)["errors"][0].startswith(f"query.{query.split('=')[0]}")


@pytest.mark.parametrize("cursor", ["x", "2026-06-01T12:00:00Z/x", "/1"])
def test_a_malformed_cursor_is_unprocessable(logs, cursor):
    """It is a timestamp, or an id that the stream gave."""
    assert logs("", 422, **{"Last-Event-ID": cursor})["errors"][0].startswith("header.Last-Event-ID")


def test_the_log_of_an_unknown_worker_is_not_found(api):
    """So is that of a worker of another endpoint."""
    first, second = (api.create(workers={"min": 1, "max": 1})["id"] for _ in range(2))
    [worker] = api.get(f"/v2/serverless/{second}/workers")["workers"]
    api.get(f"/v2/serverless/{first}/workers/{worker['id']}/logs", 404)
    api.get(f"/v2/serverless/nope/workers/{worker['id']}/logs", 404)


def test_an_unhealthy_worker_goes_on_writing(api):
    """A line each half a minute."""
    api.control("settings", {"logHoldSeconds": 0})
    made = api.create(workers={"min": 1, "max": 1})
    api.control(f"resources/endpoints/{made['id']}", {"_isUnhealthy": True}, "PATCH")
    [worker] = api.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    path = f"/v2/serverless/{made['id']}/workers/{worker['id']}/logs"
    api.wait(90 + DAY)
    assert len(events(api.send("GET", path).text)) == 100
    assert len(events(api.send("GET", f"{path}?tail=5000").text)) >= DAY // 30


def test_a_log_is_followed_while_somebody_listens(server):
    """New lines come as the clock reaches them, and the stream ends with its worker."""
    made = server.create(workers={"min": 1, "max": 1})
    [worker] = server.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    path = f"/v2/serverless/{made['id']}/workers/{worker['id']}/logs"
    with server.client.stream("GET", f"{path}?tail=0&source=container") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-cache", "no")
        lines = response.iter_lines()
        server.running.advance(120)
        assert next(lines).startswith("id: 2")
        assert json.loads(next(lines).removeprefix("data: "))["line"] == "Worker ready."
        server.delete(f"/v2/serverless/{made['id']}")
        assert list(lines) == [""]


def test_a_listener_who_goes_is_forgotten(server):
    """The server ends promptly with or without streams."""
    made = server.create(workers={"min": 1, "max": 1})
    [worker] = server.get(f"/v2/serverless/{made['id']}/workers")["workers"]
    path = f"/v2/serverless/{made['id']}/workers/{worker['id']}/logs"
    with server.client.stream("GET", path) as response:
        next(response.iter_lines())
    with server.client.stream("GET", path) as response:
        next(response.iter_lines())
        started = time.monotonic()
        server.running.__exit__(None, None, None)
        assert time.monotonic() - started < 3
    assert server.running.exit_code == 0
