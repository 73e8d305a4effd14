"""What every request passes: the key, the rate limit, the log; and what is said to a request that cannot be read."""

import math

import http_sf
import pytest

from emulator.bodies import gpu_body
from emulator.conftest import NOON, in_process


def members(value: str) -> dict[str, dict[str, int]]:
    """Read a rate-limit field as the structured field that it is."""
    return {window: dict(given) for window, given in http_sf.parse(value.encode(), tltype="list")}


@pytest.mark.parametrize("header", [None, "", "key", "Basic key", "Bearer", "Bearer "])
def test_a_request_without_a_bearer_token_is_unauthorized(api, header):
    """The words are those of the document."""
    api.http.headers.pop("Authorization")
    response = api.send("GET", "/v2/serverless", headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {"title": "Unauthorized", "status": 401, "detail": "missing bearer token"}


@pytest.mark.parametrize(
    ("key", "status"), [("rpa_x", 200), ("bad_x", 401), ("wrong", 401), ("forbidden_x", 403), ("", 401), ("b", 200)]
)
def test_a_key_tells_by_its_name_what_it_may(api, key, status):
    """So that a test can have a wrong one."""
    assert api.send("GET", "/v2/serverless", headers={"Authorization": f"Bearer {key}"}).status_code == status
    assert api.send("GET", "/v2/nowhere", headers={"Authorization": f"Bearer {key}"}).status_code == (
        status if status > 200 else 404
    )


def test_the_accepted_keys_can_be_named(api):
    """Then no other is one."""
    api.control("settings", {"acceptedKeys": ["bad_but_mine"]})
    assert api.get("/v2/serverless", 401)["detail"] == "invalid api key"
    assert api.send("GET", "/v2/serverless", headers={"Authorization": "bearer bad_but_mine"}).status_code == 200


def test_a_refused_request_changes_nothing(api):
    """Neither with a wrong key nor with one that may not."""
    for key in ("bad", "forbidden"):
        api.send("POST", "/v2/serverless", json=gpu_body(), headers={"Authorization": f"Bearer {key}"})
    assert api.get("/v2/serverless") == {"endpoints": []}


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/serverless/", "/v2/pods", "/v2/serverless/x/y", "/v3/serverless", "/nowhere"])
def test_a_path_that_is_not_there_is_not_found(api, path):
    """In the API's form."""
    problem = api.get(path, 404)
    assert (problem["title"], problem["status"]) == ("Not Found", 404)


def test_a_method_that_is_not_there_is_not_allowed(api):
    """The refusal names those that are, and HEAD is none of them."""
    response = api.send("PUT", "/v2/serverless", json={})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, POST")
    assert response.json()["detail"] == "The requested method is not allowed for this path."
    assert api.send("HEAD", "/v2/serverless").status_code == 405


@pytest.mark.parametrize(
    "content",
    [
        *('{"name":', "[" * 100_000, '{"name": "\\ud800"}', '{"disk": Infinity}', f'{{"disk": 1{"0" * 5000}}}', "nonsense"),
        *(b"\xff\xfe", b'\xef\xbb\xbf{"name": "e"}', '{"name": "e"}'.encode("utf-16")),
    ],
    ids=["cut", "deep", "half a pair", "Infinity", "long", "words", "bytes", "mark", "UTF-16"],
)
def test_a_body_that_is_not_json_in_utf_8_is_a_bad_request(api, content):
    """Nothing that a body can hold makes the server fail."""
    response = api.raw("POST", "/v2/serverless", content)
    assert response.status_code == 400, response.text
    assert response.json()["detail"].startswith("request body is not valid JSON")


@pytest.mark.parametrize("content", ["null", "[]", '"x"', "1"])
def test_a_body_that_is_no_object_is_unprocessable(api, content):
    """It is JSON, and not what the document wants."""
    assert api.raw("POST", "/v2/serverless", content).json()["errors"][0].endswith("want object")


def test_a_number_that_nobody_can_hold_is_unprocessable(api):
    """An integer has 64 bits, and no number is infinite."""
    huge = '{"name":"e","type":"QUEUE","image":"i","gpu":{"pools":["ADA_24"]},"scaling":{"type":"QUEUE_DELAY","queueDelay":%s},"disk":%s}'
    assert api.raw("POST", "/v2/serverless", huge % ("4", 2**63)).status_code == 422
    assert api.raw("POST", "/v2/serverless", huge % ("1e400", 1)).status_code == 422
    assert api.raw("POST", "/v2/serverless", huge % ("4e0", "1e2")).status_code == 422
    api.control("settings", {"workerQuota": 9})
    assert api.raw("POST", "/v2/serverless", huge % ("4e0", 2**63 - 1)).status_code == 201


def test_a_media_type_may_have_parameters(api):
    """Only the type itself counts."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert api.send("POST", "/v2/serverless", content="{}", headers=headers).status_code == 422
    assert api.send("PATCH", "/v2/serverless/x", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_every_answer_has_the_simulated_date(api):
    """A client can tell the server's time."""
    api.wait(3600)
    assert api.send("GET", "/v2/serverless").headers["date"] == "Mon, 01 Jun 2026 13:00:00 GMT"


def test_the_limits_are_reported_before_they_are_reached():
    """Both fields come with every answer to an authenticated request, also with a refusal."""
    with in_process(quota=60) as api:
        response = api.send("GET", "/v2/serverless")
        assert members(response.headers["RateLimit-Policy"]) == {
            "minute": {"q": 60, "w": 60},
            "hour": {"q": 3000, "w": 3600},
            "day": {"q": 50_000, "w": 86_400},
        }
        assert members(response.headers["RateLimit"]) == {
            "minute": {"r": 59, "t": 60},
            "hour": {"r": 2999, "t": 3600},
            "day": {"r": 49_999, "t": 86_400},
        }
        for method, path, key, status in (
            ("GET", "/v2/serverless/x", "key", 404),
            ("PUT", "/v2/serverless", "key", 405),
            ("GET", "/v2/nowhere", "key", 404),
            ("GET", "/v2/serverless", "forbidden", 403),
        ):
            response = api.send(method, path, headers={"Authorization": f"Bearer {key}"})
            assert response.status_code == status
            assert "RateLimit" in response.headers and "RateLimit-Policy" in response.headers
        assert members(response.headers["RateLimit"])["minute"]["r"] == 55


def test_an_unauthenticated_request_neither_counts_nor_reports():
    """The limits are those of a user, and nobody is none."""
    with in_process(quota=1) as api:
        response = api.send("GET", "/v2/serverless", headers={"Authorization": "Bearer bad"})
        assert response.status_code == 401 and "RateLimit" not in response.headers
        api.get("/v2/serverless")


def test_without_a_quota_nothing_is_reported(api):
    """The document leaves the fields out for callers that are exempt."""
    response = api.send("GET", "/v2/serverless")
    assert "RateLimit" not in response.headers and "RateLimit-Policy" not in response.headers


def test_a_request_beyond_the_quota_is_refused_and_told_when_to_come_back():
    """It changes nothing, counts for nothing, and all keys of the account are one caller."""
    with in_process(quota=2) as api:
        api.create()
        api.wait(48)
        api.send("GET", "/v2/serverless", headers={"Authorization": "Bearer another"})
        response = api.send("POST", "/v2/serverless", json=gpu_body())
        assert response.status_code == 429
        assert response.json()["detail"] == "rate limit exceeded for the minute window"
        assert response.headers["Retry-After"] == "12"
        assert members(response.headers["RateLimit"])["minute"] == {"r": 0, "t": 12}
        assert members(response.headers["RateLimit"])["hour"]["r"] == 2998
        api.wait(11)
        api.get("/v2/serverless", 429)
        api.wait(1)
        assert len(api.get("/v2/serverless")["endpoints"]) == 1


def test_the_window_that_lasts_longest_says_when_to_come_back():
    """Waiting for the minute would be in vain while the hour is used up."""
    with in_process(quota=1) as api:
        api.control("settings", {"hourQuota": 1})
        api.get("/v2/serverless")
        response = api.send("GET", "/v2/serverless")
        assert response.json()["detail"] == "rate limit exceeded for the hour window"
        assert response.headers["Retry-After"] == "3600"


def test_the_windows_can_be_short():
    """So that a benchmark need not wait a minute."""
    with in_process(quota=60) as api:
        api.control("settings", {"minuteSeconds": 6, "hourSeconds": 360, "daySeconds": 8640})
        response = api.send("GET", "/v2/serverless")
        assert {name: member["w"] for name, member in members(response.headers["RateLimit-Policy"]).items()} == {
            "minute": 6,
            "hour": 360,
            "day": 8640,
        }
        for _ in range(59):
            api.get("/v2/serverless")
        api.get("/v2/serverless", 429)
        api.wait(6)
        api.get("/v2/serverless")


def test_a_reset_is_never_nearer_than_a_second():
    """The header fields count whole seconds, rounded up."""
    now = [NOON]
    with in_process(quota=1, clock=None) as api:
        api.app.world.clock._source = lambda: now[0]
        api.get("/v2/serverless")
        now[0] = math.nextafter(NOON + 60, 0)
        response = api.send("GET", "/v2/serverless")
        assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
        assert [entry["retryAfter"] for entry in api.control("requests", method="GET")["requests"][-2:]] == [None, "1"]
        now[0] = NOON + 60
        api.get("/v2/serverless")


def test_the_log_holds_what_was_sent(api):
    """Path, route, query, raw body, status and time of every request; the controls are not in it."""
    body = '{"name" : "e", "size": 10.0}'
    api.raw("POST", "/v2/network-volumes", body)
    api.wait(1.5)
    api.send("GET", "/v2/catalog/gpus/NVIDIA%20L4?x=1", headers={"User-Agent": "me/1"})
    first, second = api.control("requests", method="GET")["requests"]
    assert (first["seq"], first["method"], first["path"], first["route"]) == (
        1,
        "POST",
        "/v2/network-volumes",
        "/v2/network-volumes",
    )
    assert (first["text"], first["body"], first["status"], first["fault"]) == (body, {"name": "e", "size": 10.0}, 422, None)
    assert first["tookMs"] > 0
    assert (second["path"], second["route"]) == ("/v2/catalog/gpus/NVIDIA L4", "/v2/catalog/gpus/{id}")
    assert (second["query"], second["text"], second["body"], second["userAgent"]) == ("x=1", "", None, "me/1")
    assert (second["at"], second["time"]) == (NOON + 1.5, "2026-06-01T12:00:01Z")
    assert api.control("counters", method="GET") == {"POST /v2/network-volumes": 1, "GET /v2/catalog/gpus/{id}": 1}
    api.control("requests", method="DELETE")
    assert api.control("requests", method="GET") == {"requests": []}
    assert api.control("counters", method="GET") == {}


def test_a_failure_of_the_emulator_itself_is_a_500_that_says_so(api, monkeypatch, caplog):
    """Nobody is left with a hanging connection, and the traceback is in the log."""
    monkeypatch.setattr(api.app.world.store, "all", lambda kind: 1 / 0)
    response = api.send("GET", "/v2/network-volumes")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "the emulator failed: ZeroDivisionError" in response.json()["detail"]
    assert "ZeroDivisionError" in caplog.text
