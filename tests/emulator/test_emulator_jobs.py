"""The API that takes jobs: queues, the simulated workers that empty them, and what an endpoint's end does to them."""

import pytest

from emulator.bodies import gpu_body
from emulator.conftest import Api, in_process

ALWAYS = {"min": 1, "max": 1}
SLOWEST_START = 90


def ready(api: Api, **changes: object) -> str:
    """Create an endpoint with one worker that is ready, and return its id."""
    identifier: str = api.create(**{"workers": ALWAYS, **changes})["id"]
    api.wait(SLOWEST_START)
    return identifier


def submit(api: Api, endpoint: str, seconds: float = 10, **body: object) -> str:
    """Submit a job of so many seconds, and return its id."""
    api.control("settings", {"jobSeconds": seconds})
    submitted = api.post(f"/v2/{endpoint}/run", {"input": {"prompt": "x"}, **body}, 200)
    assert submitted["status"] == "IN_QUEUE"
    identifier: str = submitted["id"]
    return identifier


def status(api: Api, endpoint: str, job: str) -> str:
    """Return how a job is doing."""
    found: str = api.get(f"/v2/{endpoint}/status/{job}")["status"]
    return found


def jobs(api: Api, endpoint: str) -> dict[str, int]:
    """Return the counts that are not 0."""
    return {name: count for name, count in api.get(f"/v2/{endpoint}/health")["jobs"].items() if count}


def test_a_job_runs_as_long_as_it_was_told_to(api):
    """A free worker takes it at once; its output is none of a function."""
    endpoint = ready(api)
    job = submit(api, endpoint, seconds=10)
    assert status(api, endpoint, job) == "IN_PROGRESS"
    [worker] = api.get(f"/v2/serverless/{endpoint}/workers")["workers"]
    assert worker["status"] == "RUNNING"
    api.wait(9)
    assert jobs(api, endpoint) == {"inProgress": 1}
    api.wait(1)
    assert api.get(f"/v2/{endpoint}/status/{job}") == {
        "id": job,
        "status": "COMPLETED",
        "delayTime": 0,
        "executionTime": 10_000,
        "workerId": worker["id"],
        "output": {"simulated": True},
    }
    assert api.get(f"/v2/{endpoint}/health") == {
        "jobs": {"completed": 1, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0},
        "workers": {"idle": 1, "initializing": 0, "ready": 1, "running": 0, "throttled": 0, "unhealthy": 0},
    }


def test_jobs_wait_for_each_other(api):
    """One worker does them in their order, however far the clock jumps."""
    endpoint = ready(api)
    first, second, third = (submit(api, endpoint, seconds=10) for _ in range(3))
    assert jobs(api, endpoint) == {"inProgress": 1, "inQueue": 2}
    api.wait(15)
    assert [status(api, endpoint, job) for job in (first, second, third)] == ["COMPLETED", "IN_PROGRESS", "IN_QUEUE"]
    api.wait(15)
    assert api.get(f"/v2/{endpoint}/status/{third}")["delayTime"] == 20_000
    assert jobs(api, endpoint) == {"completed": 3}


def test_workers_come_with_jobs_and_go_without(api):
    """As many as there are jobs and the limit allows; they stay for the idle time-out after their last one."""
    endpoint = api.create(workers={"min": 0, "max": 2, "idleTimeout": 300})["id"]
    for _ in range(3):
        submit(api, endpoint, seconds=10)
    workers = f"/v2/serverless/{endpoint}/workers"
    assert api.get(workers)["summary"]["initializing"] == 2
    api.wait(SLOWEST_START + 20)
    assert jobs(api, endpoint) == {"completed": 3}
    assert api.get(workers)["summary"]["total"] == 2
    api.wait(300)
    assert api.get(workers)["summary"]["total"] == 0


def test_a_worker_that_nobody_needs_any_more_never_starts(api):
    """Its job was cancelled before it was ready."""
    endpoint = api.create(workers={"min": 0, "max": 1})["id"]
    job = submit(api, endpoint)
    assert api.call("POST", f"/v2/{endpoint}/cancel/{job}", status=200) == {"id": job, "status": "CANCELLED"}
    assert api.get(f"/v2/serverless/{endpoint}/workers")["workers"] == []


@pytest.mark.parametrize("policy", [{}, {"policy": {"executionTimeout": 6000, "ttl": 86_400_000}}])
def test_a_job_over_its_time_ends_as_timed_out(api, policy):
    """The endpoint's limit counts unless the job brings its own."""
    endpoint = ready(api, timeout=5000)
    job = submit(api, endpoint, seconds=60, **policy)
    api.wait(5)
    assert status(api, endpoint, job) == ("IN_PROGRESS" if policy else "TIMED_OUT")
    api.wait(1)
    shown = api.get(f"/v2/{endpoint}/status/{job}")
    assert (shown["status"], "output" in shown) == ("TIMED_OUT", False)
    assert shown["executionTime"] == (6000 if policy else 5000)
    assert jobs(api, endpoint) == {"failed": 1}


def test_without_a_limit_a_job_runs_to_its_end(api):
    """0 is none."""
    endpoint = ready(api, timeout=0)
    job = submit(api, endpoint, seconds=86_400)
    api.wait(86_400)
    assert status(api, endpoint, job) == "COMPLETED"


def test_a_timed_out_job_can_be_retried(api):
    """It waits again under its own id; one that is done cannot be."""
    endpoint = ready(api, timeout=5000)
    job = submit(api, endpoint, seconds=60)
    api.wait(5)
    api.control("settings", {"jobSeconds": 1})
    assert api.call("POST", f"/v2/{endpoint}/retry/{job}", status=200) == {"id": job, "status": "IN_QUEUE"}
    api.wait(1)
    assert status(api, endpoint, job) == "COMPLETED"
    assert jobs(api, endpoint) == {"completed": 1, "failed": 1, "retried": 1}
    refused = api.call("POST", f"/v2/{endpoint}/retry/{job}", status=400)["detail"]
    assert refused == "job is COMPLETED, only FAILED and TIMED_OUT ones can be retried"


def test_a_running_job_that_is_cancelled_frees_its_worker(api):
    """The next one begins; to cancel what has ended changes nothing."""
    endpoint = ready(api)
    first, second = submit(api, endpoint), submit(api, endpoint)
    api.wait(4)
    api.call("POST", f"/v2/{endpoint}/cancel/{first}", status=200)
    assert [status(api, endpoint, job) for job in (first, second)] == ["CANCELLED", "IN_PROGRESS"]
    api.wait(10)
    assert api.call("POST", f"/v2/{endpoint}/cancel/{second}", status=200)["status"] == "COMPLETED"


def test_purging_leaves_what_runs(api):
    """Only the queue is emptied."""
    endpoint = ready(api)
    running, waiting = submit(api, endpoint), submit(api, endpoint)
    assert api.call("POST", f"/v2/{endpoint}/purge-queue", status=200) == {"removed": 1, "status": "completed"}
    assert [status(api, endpoint, job) for job in (running, waiting)] == ["IN_PROGRESS", "CANCELLED"]


@pytest.mark.parametrize("way", ["api", "control"])
def test_deleting_the_endpoint_cancels_its_jobs(api, way):
    """Its paths are gone with it; the account's history has them."""
    endpoint = ready(api)
    other = api.create()["id"]
    submit(api, endpoint), submit(api, endpoint), submit(api, other)
    if way == "api":
        api.delete(f"/v2/serverless/{endpoint}")
    else:
        api.control(f"resources/endpoints/{endpoint}", method="DELETE")
    assert api.get(f"/v2/{endpoint}/health", 404)["detail"] == "endpoint not found"
    assert [job["status"] for job in api.control("state", method="GET")["jobs"]] == ["CANCELLED", "CANCELLED", "IN_QUEUE"]


def test_without_stock_or_health_jobs_wait(api):
    """They begin when there is a worker again, not before."""
    endpoint = ready(api)
    api.control("seed", {"catalog": {"gpus": [{"id": "NVIDIA GeForce RTX 4090", "stock": {"*": "NONE"}}]}})
    job = submit(api, endpoint, seconds=10)
    api.wait(100)
    assert status(api, endpoint, job) == "IN_QUEUE"
    api.control("seed", {"catalog": {"gpus": [{"id": "NVIDIA GeForce RTX 4090", "stock": {"*": "HIGH"}}]}})
    assert status(api, endpoint, job) == "IN_PROGRESS"
    api.wait(10)
    assert api.get(f"/v2/{endpoint}/status/{job}")["delayTime"] == 100_000
    api.control(f"resources/endpoints/{endpoint}", {"_isUnhealthy": True}, "PATCH")
    assert status(api, endpoint, submit(api, endpoint)) == "IN_QUEUE"


def test_a_roll_over_lets_a_job_end(api):
    """A stale worker is replaced when its job is done; the next job waits for the new one."""
    endpoint = ready(api)
    job = submit(api, endpoint, seconds=100)
    api.patch(f"/v2/serverless/{endpoint}", {"image": "me/w:2"})
    later = submit(api, endpoint, seconds=1)
    api.wait(99)
    [worker] = api.get(f"/v2/serverless/{endpoint}/workers")["workers"]
    assert (worker["status"], worker["isStale"]) == ("RUNNING", True)
    api.wait(1)
    assert status(api, endpoint, job) == "COMPLETED"
    [worker] = api.get(f"/v2/serverless/{endpoint}/workers")["workers"]
    assert (worker["status"], worker["isStale"]) == ("INITIALIZING", False)
    assert status(api, endpoint, later) == "IN_QUEUE"
    api.wait(SLOWEST_START + 1)
    assert status(api, endpoint, later) == "COMPLETED"


def test_a_worker_at_work_outlives_a_lower_limit(api):
    """It goes when its job is done, without waiting for another."""
    endpoint = ready(api)
    job = submit(api, endpoint, seconds=100)
    api.patch(f"/v2/serverless/{endpoint}", {"workers": {"min": 0, "max": 0}})
    assert api.get(f"/v2/serverless/{endpoint}/workers")["summary"]["running"] == 1
    api.wait(100)
    assert status(api, endpoint, job) == "COMPLETED"
    assert api.get(f"/v2/serverless/{endpoint}/workers")["workers"] == []


def test_a_request_keeps_runpod_from_lowering_the_workers(api):
    """The three days begin anew."""
    endpoint = api.create(workers={"min": 0, "max": 5})["id"]
    api.wait(2 * 86_400)
    submit(api, endpoint)
    api.wait(2 * 86_400)
    assert api.get(f"/v2/serverless/{endpoint}")["workers"]["max"] == 5


def test_a_result_is_kept_for_half_an_hour(api):
    """As the documentation says."""
    endpoint = ready(api)
    job = submit(api, endpoint, seconds=0)
    assert status(api, endpoint, job) == "COMPLETED"
    api.wait(30 * 60 - 1)
    assert status(api, endpoint, job) == "COMPLETED"
    api.wait(1)
    assert api.get(f"/v2/{endpoint}/status/{job}", 404)["detail"] == "job not found"


def test_a_job_belongs_to_its_endpoint(api):
    """Another one does not know it."""
    job = submit(api, ready(api))
    api.get(f"/v2/{api.create()['id']}/status/{job}", 404)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("{}", 400),
        ('{"input": "text"}', 400),
        ('{"input": {}, "policy": {"executionTimeout": 4999}}', 400),
        ("nonsense", 400),
        ('{"input": {"x": "' + "x" * 10 * 1024 * 1024 + '"}}', 413),
        ('{"input": {}, "webhook": "https://example.com", "s3Config": {}}', 200),
    ],
    ids=["no input", "a text", "a short limit", "no JSON", "too large", "more"],
)
def test_what_a_job_may_be(api, content, status):
    """An object as its input; refused ones are not queued."""
    endpoint = ready(api)
    assert api.raw("POST", f"/v2/{endpoint}/run", content).status_code == status
    assert jobs(api, endpoint) == ({"inProgress": 1} if status == 200 else {})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "run"),
        ("GET", "status/j"),
        ("POST", "cancel/j"),
        ("POST", "retry/j"),
        ("POST", "purge-queue"),
        ("GET", "health"),
    ],
)
def test_nobody_gets_in_without_a_key_or_an_endpoint(api, method, path):
    """Nor where it is a load balancer, which takes no jobs."""
    assert api.send(method, f"/v2/nowhere/{path}", json={}, headers={"Authorization": ""}).status_code == 401
    assert api.call(method, f"/v2/nowhere/{path}", {"input": {}}, status=404)["detail"] == "endpoint not found"
    balancer = api.post("/v2/serverless", gpu_body(type="LOAD_BALANCER", scaling={"type": "REQUEST_COUNT", "requestCount": 1}))
    refused = api.call(method, f"/v2/{balancer['id']}/{path}", {"input": {}}, status=400)
    assert refused["detail"] == "the endpoint is a load balancer, which takes no jobs"


def test_jobs_do_not_count_against_the_rest_apis_limit():
    """They have limits of their own at Runpod, which are not simulated; the log has the requests all the same."""
    with in_process(quota=2) as api:
        endpoint = api.create()["id"]
        for _ in range(3):
            assert "RateLimit" not in api.send("GET", f"/v2/{endpoint}/health").headers
        assert api.send("GET", "/v2/serverless").headers["RateLimit"].startswith('"minute";r=0')
        assert api.control("counters", method="GET")["GET /v2/{endpointId}/health"] == 3


def test_a_path_of_the_rest_api_wins(api):
    """`/v2/serverless/health` is the endpoint `health`, and a method that it has not is refused."""
    assert api.get("/v2/serverless/health", 404)["detail"] == "endpoint not found"
    assert api.call("POST", "/v2/serverless/run", {}, status=405)["status"] == 405


def test_faults_reach_jobs_too(api):
    """They are ordered by path, as everywhere."""
    endpoint = ready(api)
    api.control("faults", {"action": "status", "status": 503, "path": "/v2/*/health"})
    api.get(f"/v2/{endpoint}/health", 503)
    api.get(f"/v2/{endpoint}/health")


def test_jobs_outlive_the_process(tmp_path):
    """A state file keeps the queue."""
    with in_process(state=tmp_path / "state.db") as api:
        endpoint = ready(api)
        job = submit(api, endpoint, seconds=10)
    with in_process(state=tmp_path / "state.db") as api:
        assert jobs(api, endpoint) == {"inProgress": 1}
        api.wait(10)
        assert status(api, endpoint, job) == "COMPLETED"
