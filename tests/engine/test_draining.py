"""Jobs that are waited for before the engine deletes their endpoint."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from engine.harness import KEY, Stack
from engine.programs import endpoint, sent

if TYPE_CHECKING:
    from runpod_emulator.running import Running

PROGRAM: dict[str, Any] = {"name": "api", "workers": {"min": 1, "max": 1}, "drainSeconds": 120}


def _busy(stack: Stack, emulator: Running, seconds: float = 100, **changes: Any) -> str:
    """Bring up an endpoint with a running and a waiting job, and return its id."""
    stack.write({"api": endpoint(**{**PROGRAM, **changes})})
    stack.up()
    return _submit(emulator, seconds)


def _submit(emulator: Running, seconds: float) -> str:
    emulator.advance(100)
    emulator.set(job_seconds=seconds)
    (live,) = emulator.state()["endpoints"]
    for _ in range(2):
        sent = httpx.post(
            live["requestUrls"]["run"], json={"input": {}}, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        )
        assert sent.is_success
    emulator.clear_requests()
    return str(live["id"])


@contextlib.contextmanager
def _done_once_asked(emulator: Running) -> Iterator[None]:
    """Let the jobs be done as soon as somebody has counted them."""

    def finish() -> None:
        _until_asked(emulator)
        emulator.advance(1000)

    thread = threading.Thread(target=finish)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _until_asked(emulator: Running) -> None:
    limit = time.monotonic() + 60
    while "GET /{endpointId}/health" not in sent(emulator):
        assert time.monotonic() < limit
        time.sleep(0.05)


def _jobs(emulator: Running) -> list[str]:
    return [job["status"] for job in emulator.state()["jobs"]]


def test_destroy_waits_for_the_jobs(stack: Stack, emulator: Running) -> None:
    """It says how many there are and how long at most; then it asks once more, and deletes."""
    _busy(stack, emulator)
    with _done_once_asked(emulator):
        outcome = stack.destroy()
    assert "1 queued, 1 running jobs; deleting in at most 120 s" in outcome.stdout
    assert _jobs(emulator) == ["COMPLETED", "COMPLETED"]
    assert outcome.said("warning") == []
    assert sent(emulator)[-2:] == ["GET /{endpointId}/health", "DELETE /serverless/{id}"]
    assert emulator.state()["endpoints"] == []


def test_a_replacement_waits_for_the_jobs_of_the_old_one(stack: Stack, emulator: Running) -> None:
    """The preview says so, and the new endpoint is there meanwhile."""
    old = _busy(stack, emulator)
    stack.write({"api": endpoint(**PROGRAM, gpu="ADA_24")})
    (said,) = stack.preview().said("info")
    assert f"when {old!r} is deleted, after 120 s (`drainSeconds`) at most, its queued and running jobs are cancelled" in said
    assert sent(emulator) == ["GET /catalog/gpus"]
    with _done_once_asked(emulator):
        outcome = stack.up()
    assert outcome.ops("api")[-1] == "delete-replaced"
    assert _jobs(emulator) == ["COMPLETED", "COMPLETED"]
    (live,) = emulator.state()["endpoints"]
    assert live["id"] != old


def test_what_is_left_after_the_time_goes_with_a_warning(stack: Stack, emulator: Running) -> None:
    """The shorter of the two bounds counts."""
    stack.write({"api": endpoint({"customTimeouts": {"delete": "1s"}}, **PROGRAM)})
    stack.up()
    _submit(emulator, 10_000)
    (warning,) = stack.destroy().said("warning")
    assert (
        "the endpoint 'api' is deleted after 1 s (`drainSeconds`) all the same: 1 queued, 1 running jobs. What is left is"
        in warning
    )
    assert _jobs(emulator) == ["CANCELLED", "CANCELLED"]


def test_jobs_that_cannot_be_counted_are_given_the_time(stack: Stack, emulator: Running) -> None:
    """The warning says which address did not tell."""
    id = _busy(stack, emulator, drainSeconds=3)
    emulator.fault("status", "GET", f"/v2/{id}/health", status=403, detail="no such right", times=None)
    (warning,) = stack.destroy().said("warning")
    assert f"its jobs cannot be counted (Runpod answered 403 to GET {emulator.url}/v2/{id}/health: no such right)" in warning
    assert sent(emulator).count("GET /{endpointId}/health") > 1


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_wait_deletes_nothing(stack: Stack, emulator: Running) -> None:
    """The endpoint and its jobs stay, in Runpod and in the state, and the next run waits on."""
    id = _busy(stack, emulator, seconds=10_000)
    command = ["pulumi", "--non-interactive", "--color=never", "destroy", "--yes", "--skip-preview"]
    with subprocess.Popen(
        command, cwd=stack.directory, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        _until_asked(emulator)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "the endpoint 'api' was not deleted, as the run was cancelled: 1 queued, 1 running jobs; the next run waits on" in said
    assert "DELETE /serverless/{id}" not in sent(emulator)
    assert [item["id"] for item in emulator.state()["endpoints"]] == [id]
    assert id in {resource.get("id") for resource in stack.state()}
    assert _jobs(emulator) == ["IN_PROGRESS", "IN_QUEUE"]
    emulator.advance(20_000)
    stack.destroy()
    assert _jobs(emulator) == ["COMPLETED", "COMPLETED"]
    assert emulator.state()["endpoints"] == []


def test_the_dynamic_door_waits_too(stack: Stack, emulator: Running) -> None:
    """With the same question."""

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        Endpoint("api", name="api", image="me/worker:1", workers={"min": 1, "max": 1}, drain_seconds=120)

    inline = stack.inline(program)
    inline.up()
    _submit(emulator, 100)
    with _done_once_asked(emulator):
        inline.destroy()
    assert _jobs(emulator) == ["COMPLETED", "COMPLETED"]
    assert sent(emulator)[-2:] == ["GET /{endpointId}/health", "DELETE /serverless/{id}"]
