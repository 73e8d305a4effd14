"""Each fault that can be ordered, in this process and over a socket."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from emulator.bodies import gpu_body
from runpod_emulator.door import ConnectionDropped

PATH = "/v2/serverless"


def order(api: Any, action: str, **details: Any) -> None:
    """Order a fault of the next POST."""
    api.control("faults", {"action": action, "method": "POST", "path": PATH, **details})


def count(api: Any) -> int:
    """Return how many endpoints there are."""
    return len(api.control("state", method="GET")["endpoints"])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_is_answered_instead(api, status):
    """Nothing was done, and the next request is served."""
    order(api, "status", status=status, retryAfter=7, detail="out of order")
    response = api.send("POST", PATH, json=gpu_body())
    assert (response.status_code, response.headers["Retry-After"]) == (status, "7")
    assert response.json()["detail"] == "out of order"
    assert count(api) == 0
    api.create()


def test_a_status_without_details_is_a_503(api):
    """Nor does it say when to come back."""
    order(api, "status")
    response = api.send("POST", PATH, json=gpu_body())
    assert response.status_code == 503 and "Retry-After" not in response.headers


def test_a_fault_can_be_meant_for_one_name(api):
    """Requests for others pass it, and it stays open for the one."""
    order(api, "status", name="mine")
    assert api.send("POST", PATH, json=gpu_body(name="another")).status_code == 201
    assert api.send("GET", PATH).status_code == 200
    assert api.send("POST", PATH, json=gpu_body(name="mine")).status_code == 503
    assert api.send("POST", PATH, json=gpu_body(name="mine")).status_code == 201


def test_the_work_can_be_done_before_a_status_is_answered(api):
    """What a gateway does that loses the answer."""
    order(api, "commit-then-status")
    assert api.send("POST", PATH, json=gpu_body()).status_code == 502
    order(api, "commit-then-status", status=504)
    assert api.send("POST", PATH, json=gpu_body()).status_code == 504
    assert count(api) == 2


@pytest.mark.parametrize(("action", "made"), [("reset-before", 0), ("commit-then-drop", 1)])
def test_the_connection_can_be_dropped(api, action, made):
    """Before the work or after it."""
    order(api, action)
    with pytest.raises(ConnectionDropped):
        api.send("POST", PATH, json=gpu_body())
    assert count(api) == made
    [entry] = api.control("requests", method="GET")["requests"]
    assert (entry["status"], entry["tookMs"], entry["fault"]) == (None, None, action)


def test_an_answer_can_be_late(api):
    """The work is done then, too."""
    order(api, "delay", seconds=0.2)
    started = time.monotonic()
    api.create()
    assert time.monotonic() - started >= 0.2


def test_an_answer_can_be_late_to_work_that_is_done(api):
    """Who dies meanwhile leaves behind what he made."""
    order(api, "commit-then-delay", seconds=30)

    async def impatient() -> None:
        await asyncio.wait_for(api.http.post(PATH, json=gpu_body()), 0.1)

    with pytest.raises(asyncio.TimeoutError):
        api.loop.run_until_complete(impatient())
    assert count(api) == 1
    order(api, "commit-then-delay", seconds=0.1)
    api.create()
    assert count(api) == 2


def test_the_work_can_be_done_after_the_answer(api):
    """With a status, or with a dropped connection."""
    order(api, "commit-late", seconds=0.05, status=504)
    assert api.send("POST", PATH, json=gpu_body()).status_code == 504
    order(api, "commit-late", seconds=0.05)
    with pytest.raises(ConnectionDropped):
        api.send("POST", PATH, json=gpu_body())
    assert count(api) == 0
    api.loop.run_until_complete(asyncio.sleep(0.2))
    assert count(api) == 2


def test_a_reset_takes_back_work_that_is_not_done_yet(api):
    """The next test begins with nothing, and nothing appears in it."""
    order(api, "commit-late", seconds=0.05, status=504)
    api.send("POST", PATH, json=gpu_body())
    api.control("reset")
    api.loop.run_until_complete(asyncio.sleep(0.15))
    assert count(api) == 0


@pytest.mark.parametrize(
    ("body", "text"), [(None, '{"unexpected":true}'), ("<html>", "<html>"), ({"id": 7}, '{"id":7}'), ([], "[]")]
)
def test_the_answer_can_be_something_else(api, body, text):
    """The work is done."""
    order(api, "wrong-json", body=body)
    response = api.send("POST", PATH, json=gpu_body())
    assert (response.status_code, response.text, response.headers["content-type"]) == (201, text, "application/json")
    assert count(api) == 1


def test_fields_can_be_added(api):
    """A later version of the API may have more."""
    order(api, "add-fields", fields={"nextCursor": "x"})
    assert api.create()["nextCursor"] == "x"
    api.control("faults", {"action": "add-fields", "fields": {"nextCursor": "x"}})
    assert api.get(PATH)["nextCursor"] == "x"


def test_a_list_can_leave_out_an_item_or_all(api):
    """What is there by id is not in the list; lists inside of an item stay."""
    first, second = (api.create(dataCenterIds=["EU-RO-1"]) for _ in range(2))
    api.control("faults", {"action": "omit-from-list", "id": first["id"]})
    assert api.get(PATH) == {"endpoints": [second]}
    api.control("faults", {"action": "omit-from-list"})
    assert api.get(PATH) == {"endpoints": []}
    api.control("faults", {"action": "omit-from-list"})
    assert api.get(f"{PATH}/{first['id']}") == first
    assert api.get(PATH) == {"endpoints": [first, second]}


@pytest.mark.parametrize("action", ["add-fields", "omit-from-list"])
def test_an_answer_without_a_body_stays_one(api, action):
    """A 204 has nothing to distort."""
    made = api.create()
    api.control("faults", {"action": action, "fields": {"a": 1}})
    api.delete(f"{PATH}/{made['id']}")


def test_a_fault_hits_what_it_names(api):
    """Method and path are matched, some requests can be let pass, and some or all be hit."""
    api.control("faults", {"action": "status", "method": "GET", "path": f"{PATH}/*", "skip": 1, "times": 2})
    path = f"{PATH}/{api.create()['id']}"
    api.get(PATH)
    assert [api.send("GET", path).status_code for _ in range(4)] == [200, 503, 503, 200]
    api.control("faults", {"action": "status", "times": None})
    assert [api.send("GET", PATH).status_code for _ in range(4)] == [503] * 4
    assert api.control("faults", method="GET")["faults"][0]["action"] == "status"
    api.control("faults", method="DELETE")
    api.get(PATH)


def test_faults_are_used_in_the_order_they_came(api):
    """One request takes one fault."""
    order(api, "status", status=500)
    order(api, "status", status=502)
    assert [api.send("POST", PATH, json=gpu_body()).status_code for _ in range(3)] == [500, 502, 201]


def test_a_faulty_request_counts_and_reports_like_another(api):
    """The limits are before it."""
    api.control("settings", {"quota": 2})
    order(api, "status", status=500)
    response = api.send("POST", PATH, json=gpu_body())
    assert response.headers["RateLimit"].startswith('"minute";r=1')
    api.create()
    api.get(PATH, 429)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "missing property 'action'"),
        ({"action": "explode"}, "$.action: value must be one of 'status', 'reset-before'"),
        ({"action": "status", "status": 99}, "$.status: minimum"),
        ({"action": "status", "times": 0}, "$.times: minimum"),
        ({"action": "status", "tiems": 1}, "additional properties 'tiems'"),
    ],
)
def test_an_order_that_makes_no_sense_is_unprocessable(api, fault, message):
    """A test that misspells its fault would otherwise pass for nothing."""
    assert message in api.refused_control("faults", fault)["errors"][0]


@pytest.mark.parametrize(
    ("action", "error", "made"),
    [
        ("reset-before", (httpx.ReadError, httpx.RemoteProtocolError), 0),
        ("commit-then-drop", (httpx.ReadError, httpx.RemoteProtocolError), 1),
        ("truncate", (httpx.RemoteProtocolError,), 1),
    ],
)
def test_a_socket_sees_the_connection_break(server, action, error, made):
    """An answer that ends early announced more than came; the next request is served."""
    server.running.fault(action, "POST", PATH)
    with pytest.raises(error):
        server.client.post(PATH, json=gpu_body())
    assert len(server.get(PATH)["endpoints"]) == made
    server.create()


def test_a_truncated_answer_is_half_of_the_whole(server):
    """The bytes that came are the first ones."""
    whole = json.dumps(server.create(), separators=(",", ":")).encode()
    server.running.fault("truncate")
    received = bytearray()

    def read() -> None:
        with server.client.stream("GET", f"{PATH}/{json.loads(whole)['id']}") as response:
            assert int(response.headers["content-length"]) == len(whole)
            for chunk in response.iter_bytes():
                received.extend(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert received == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("action", "made_before"), [("commit-late", 0), ("commit-then-drop", 1)], ids=["work after the caller left", "work before"]
)
def test_the_caller_can_be_kept_until_it_gives_up(server, action, made_before):
    """Its time-out says nothing about what was done."""
    server.running.fault(action, "POST", PATH, hold=True, seconds=0.3)
    with pytest.raises(httpx.ReadTimeout):
        server.client.post(PATH, json=gpu_body(), timeout=0.3)
    assert len(server.get(PATH)["endpoints"]) == made_before
    eventually(lambda: len(server.get(PATH)["endpoints"]) == 1)


def test_a_caller_that_hangs_up_early_is_no_failure(server, capsys):
    """Half a request leaves no trace."""
    host, port = server.running.url.removeprefix("http://").split(":")

    async def send_half() -> None:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v2/serverless HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    asyncio.run(send_half())
    assert server.get(PATH) == {"endpoints": []}
    server.running.__exit__(None, None, None)
    assert capsys.readouterr().err == ""


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait a little for what happens in the background."""
    limit = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.02)
