"""The live suite itself, with a second emulator in the place of Runpod: it takes all steps, compares, sweeps, and starts only on demand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from engine.harness import ROOT
from live.account import PATHS, Account
from live.comparison import Difference, Record, differences, write
from live.suite import Step, new_prefix, probes, run, steps
from runpod_emulator.running import Running
from runpod_serverless_provider.api import access


def test_two_accounts_that_answer_alike_have_no_differences(tmp_path: Path, engine_directory: Path, emulator: Running) -> None:
    """Every step and every probe is taken on both, what others own stays, and a report is written that holds no key."""
    emulator.seed(
        endpoints=[{"id": "others", "name": "somebody-elses", "workers": {"max": 0}}], registries=[{"id": "r", "name": "theirs"}]
    )
    prefix = new_prefix()
    emulator.set(job_base_url=access.JOBS_URL)
    with Running(job_base_url=access.JOBS_URL) as second:
        real = run(emulator.url, "rpa_canary", prefix, tmp_path / "real", engine_directory)
        beside = run(second.url, "rpa_canary", prefix, tmp_path / "emulator", engine_directory)
    assert (real.problems, beside.problems) == ([], [])
    assert list(real.steps) == [*(step.name for step in steps(prefix)), "probes"]
    assert set(real.steps["probes"]) == {name for name, *_ in probes(prefix)}
    assert real.steps["created"]["endpoints.queue"]["timeout"] == 0
    assert real.steps["probes"]["the server's own defaults of an endpoint"]["answer"]["disk"] == 20
    assert differences(real, beside) == []
    report = write(tmp_path / "report", real, beside)
    assert "0 differences" in report.read_text()
    written = report.read_text() + report.with_suffix(".json").read_text()
    assert "rpa_canary" not in written
    assert prefix not in written
    state = emulator.state()
    assert [item["id"] for kind in PATHS for item in state[kind]] == ["others", "r"]
    assert not report.is_relative_to(ROOT)


def test_a_run_that_fails_is_swept_and_still_compared(tmp_path: Path, engine_directory: Path, emulator: Running) -> None:
    """What went wrong is told, the steps before it are compared, and nothing is left on the account, whatever the engine leaves there."""
    emulator.fault("status", "PATCH", "/v2/serverless/*", status=500, times=None)
    emulator.fault("status", "DELETE", "/v2/registries/*", status=400)
    emulator.fault("status", "DELETE", "/v2/network-volumes/*", status=400)
    emulator.set(job_base_url="https://jobs.example/v2")
    prefix = new_prefix()
    real = run(emulator.url, "key", prefix, tmp_path / "real", engine_directory)
    assert any(problem.startswith("the lifecycle failed") for problem in real.problems)
    assert any(problem.startswith("destroy failed") for problem in real.problems)
    assert list(real.steps) == ["created", "probes"]
    assert not any(emulator.state()[kind] for kind in PATHS)
    beside = Record({"created": {"endpoints.queue": {"requestUrls": {"run": "https://api.runpod.ai/v2/<queue>/run"}}}})
    found = [item for item in differences(real, beside) if item.path.endswith("requestUrls.run")]
    assert found[0] == Difference(
        "created", "endpoints.queue.requestUrls.run", "https://jobs.example/v2/<queue>/run", "https://api.runpod.ai/v2/<queue>/run"
    )
    report = json.loads(write(tmp_path / "report", real, beside).with_suffix(".json").read_text())
    assert report["real"]["problems"] == real.problems


def test_what_cannot_be_deleted_is_named(emulator: Running) -> None:
    """With its id, so that somebody can delete it by hand."""
    emulator.seed(templates=[{"id": "held", "name": "mine-held", "_inUseBy": "pod 'x'"}, {"id": "free", "name": "mine-free"}])
    with Account(emulator.url, "key") as account:
        (left,) = account.sweep("mine-")
    assert left.startswith("/templates/held 'mine-held' (its deletion was answered with 400")
    assert [item["id"] for item in emulator.state()["templates"]] == ["held"]


ONE_OF_EACH = {
    "endpoints": [{"id": "e", "name": "mine-e"}],
    "templates": [{"id": "t", "name": "mine-t"}],
    "networkVolumes": [{"id": "v", "name": "mine-v"}],
    "registries": [{"id": "r", "name": "mine-r"}],
}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("kind", ["serverless", "templates", "network-volumes", "registries"])
def test_a_sweep_outlives_a_connection_that_breaks(emulator: Running, kind: str, method: str) -> None:
    """What only reads or deletes is tried again."""
    emulator.seed(**ONE_OF_EACH)
    emulator.fault("reset-before", method, f"/v2/{kind}*")
    pauses: list[float] = []
    with Account(emulator.url, "key", pauses.append) as account:
        assert account.sweep("mine-") == []
    assert pauses == [0.5]
    assert not any(emulator.state()[name] for name in PATHS)


def test_what_cannot_be_swept_keeps_nothing_else(emulator: Running) -> None:
    """Neither an item whose deletion is never answered nor a kind that cannot be listed; both are told."""
    emulator.seed(**ONE_OF_EACH)
    emulator.fault("reset-before", "DELETE", "/v2/serverless/*", times=None)
    emulator.fault("status", "GET", "/v2/templates", status=403, times=None)
    with Account(emulator.url, "key", lambda seconds: None) as account:
        endpoint, templates = account.sweep("mine-")
    assert endpoint.startswith("/serverless/e 'mine-e' (its deletion was not answered: ")
    assert templates.startswith("/templates/… (what is there could not be listed: GET /templates answered 403")
    assert {name: len(emulator.state()[name]) for name in PATHS} == {
        "endpoints": 1,
        "templates": 1,
        "networkVolumes": 0,
        "registries": 0,
    }


def test_a_creation_is_not_tried_again(emulator: Running) -> None:
    """Where the connection breaks, it may have been carried out."""
    emulator.fault("commit-then-drop", "POST", "/v2/templates")
    with Account(emulator.url, "key") as account, pytest.raises(httpx.TransportError):
        account.ask("POST", "/templates", {"name": "x", "image": "y"})
    assert len(emulator.state()["templates"]) == 1


def test_the_rate_limit_is_waited_for(emulator: Running) -> None:
    """And what only reads is tried again where the server fails; a creation is not."""
    emulator.set(quota=2, minute_seconds=1)
    with Account(emulator.url, "key") as account:
        assert [account.ask("GET", "/templates").status for _ in range(4)] == [200] * 4
        emulator.set(quota=None)
        emulator.fault("status", "*", "/v2/templates", status=503, times=1)
        assert account.ask("GET", "/templates").status == 200
        emulator.fault("status", "*", "/v2/templates", status=503, times=1)
        assert account.ask("POST", "/templates", {"name": "x", "image": "y"}).status == 503


def test_no_step_needs_more_workers_than_a_new_account_has() -> None:
    """While one endpoint is replaced, its successor counts too."""
    for step in steps("x-"):
        endpoints = [item for item in step.resources.values() if item["type"].endswith(":Endpoint")]
        assert len(endpoints) + sum(done[0] == "create-replacement" for done in step.operations.values()) <= 5
    assert isinstance(steps("x-")[0], Step)


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [({}, 0, "RUNPOD_LIVE_TEST is not 1"), ({"RUNPOD_LIVE_TEST": "1"}, 2, "no API key")],
    ids=["not asked for", "without a key"],
)
def test_it_starts_only_on_demand(tmp_path: Path, environment: dict[str, str], code: int, said: str) -> None:
    """Without the switch nothing is run, which is no failure; with it, a missing key is one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")}
    command = [sys.executable, str(ROOT / "tools" / "live.py")]
    done = subprocess.run(
        command,
        env={**inherited, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)
