"""A thousand endpoints are no burden: benchmarks of the provider are run against this.

The bounds are ten times what a request takes on a slow machine, and a hundredth of what it took with copies of everything.
"""

import time
from collections.abc import Callable

import pytest

from emulator.bodies import gpu_body


@pytest.fixture
def crowd(api):
    """Return an account with a thousand endpoints and as many bound templates."""
    api.control("settings", {"workerQuota": 1_000_000})
    api.control("seed", {"endpoints": [{"workers": {"max": 1}}] * 1000})
    return api


def milliseconds(action: Callable[[], object], repeats: int = 20) -> float:
    """Return the time of the fastest of some repetitions."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def test_a_list_of_a_thousand_is_quick(crowd):
    """It is the one request of a refresh."""
    assert len(crowd.get("/v2/serverless")["endpoints"]) == 1000
    assert milliseconds(lambda: crowd.send("GET", "/v2/serverless")) < 150
    assert milliseconds(lambda: crowd.send("GET", "/v2/templates")) < 100


def test_one_among_a_thousand_is_quick(crowd):
    """The worker quota is summed over all of them at each create."""
    made = crowd.create()
    path = f"/v2/serverless/{made['id']}"
    assert milliseconds(lambda: crowd.send("POST", "/v2/serverless", json=gpu_body())) < 15
    assert milliseconds(lambda: crowd.send("GET", path)) < 10
    assert milliseconds(lambda: crowd.send("PATCH", path, json={"workers": {"max": 2}})) < 15
    [template] = [found["id"] for found in crowd.get("/v2/templates")["templates"] if found["name"].startswith("e__")][:1]
    assert milliseconds(lambda: crowd.send("GET", f"/v2/templates/{template}")) < 10


def test_a_quota_that_is_full_is_told_quickly(crowd):
    """Then every endpoint is looked at."""
    crowd.control("settings", {"workerQuota": 1})
    assert milliseconds(lambda: crowd.post("/v2/serverless", gpu_body(), 400)) < 50
