"""The command `runpod-emulator`, and the helper that runs it for tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from emulator.conftest import KEY
from runpod_emulator.running import Running
from runpod_emulator.world import Settings

COMMAND = [sys.executable, "-m", "runpod_emulator"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False, env=wide)


def test_help_names_every_option():
    """A newcomer finds out alone."""
    shown = run("--help")
    assert shown.returncode == 0
    for word in ("--port", "--state", "--quota", "--worker-quota", "--job-base-url", "--stop-when-parent-exits", "Runpod REST API"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    "arguments", [("--quota", "many"), ("--quota", "-1"), ("--worker-quota", "-1"), ("--port", "65536"), ("--bogus",)]
)
def test_an_option_that_makes_no_sense_is_refused(arguments):
    """With the usual code of wrong usage, and nothing on standard output."""
    shown = run(*arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert arguments[0] in shown.stderr


def test_the_url_comes_first_and_nothing_after_it():
    """What starts it reads one line."""
    process = subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{url}/v2/serverless", headers=KEY, trust_env=False).headers["RateLimit"].startswith('"minute";r=59')
    process.terminate()
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_a_person_is_told_how_to_use_it():
    """At a terminal, the line to paste stands on standard error; both addresses lead here."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with os.fdopen(ours) as terminal:
            said = terminal.readline().strip()
        assert said == f"export RUNPOD_API_URL={url} RUNPOD_ENDPOINT_BASE_URL={url}/v2 RUNPOD_API_KEY=anything"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_request_urls_lead_to_itself(server):
    """Unless another base is asked for, what an endpoint's outputs say is served here."""
    made = server.create()
    assert made["requestUrls"]["health"] == f"{server.running.url}/v2/{made['id']}/health"
    assert server.client.get(made["requestUrls"]["health"]).json()["jobs"]["inQueue"] == 0


def test_a_port_that_is_taken_is_named():
    """No traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        shown = run("--port", port)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == f"runpod-emulator: port {port} on 127.0.0.1 cannot be used: Address already in use\n"


def test_a_state_file_that_cannot_be_used_is_named(tmp_path):
    """No traceback."""
    shown = run("--state", str(tmp_path / "nowhere" / "state.db"))
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("runpod-emulator: the state file '")


def test_only_the_loopback_interface_is_listened_on(server):
    """Another address of this very machine does not answer."""
    port = int(server.running.url.rpartition(":")[2])
    with socket.socket() as caller:
        caller.settimeout(2)
        assert caller.connect_ex(("127.0.0.2", port)) != 0


def test_an_answer_takes_no_round_trip_more_than_it_needs(server):
    """Nagle's algorithm would hold each small answer back for 40 ms."""
    server.get("/v2/network-volumes")
    started = time.perf_counter()
    for _ in range(50):
        server.get("/v2/network-volumes")
    assert time.perf_counter() - started < 50 * 0.02


def test_the_state_outlives_the_process(tmp_path):
    """Also one that was killed."""
    state = tmp_path / "state.db"
    with Running(state=state) as running:
        running.seed(networkVolumes=[{"id": "v"}])
        os.kill(running.process_id, 9)
    with Running(state=state) as running:
        assert [volume["id"] for volume in running.state()["networkVolumes"]] == ["v"]


def test_options_reach_the_emulator(tmp_path):
    """Those of the helper are those of the command."""
    with Running(quota=7, worker_quota=9, job_base_url="http://127.0.0.1:1/v2", state=tmp_path / "s.db") as running:
        settings = running.state()["settings"]
    assert (settings["quota"], settings["worker_quota"], settings["job_base_url"]) == (7, 9, "http://127.0.0.1:1/v2")
    assert (tmp_path / "s.db").exists()


def test_it_ends_with_its_parent(tmp_path):
    """A test run that is killed leaves no server behind."""
    code = (
        "import sys, os; from runpod_emulator.running import Running\n"
        "running = Running().__enter__(); print(running.url, flush=True); os.kill(os.getpid(), 9)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    limit = time.monotonic() + 10
    while True:
        try:
            httpx.get(f"{shown.stdout.strip()}/_emulator/time", timeout=1, trust_env=False)
        except httpx.ConnectError:
            break
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_start_that_fails_says_why():
    """The process's own words are in the exception."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"the emulator did not start, exit code 1: runpod-emulator: port {port}"):
            Running(port=port).__enter__()


def test_a_failure_during_the_run_is_shown_at_the_end(capsys):
    """A traceback of the server would be lost otherwise."""
    with Running() as running:
        running.seed(networkVolumes=[{"id": "v"}])
        running.mutate("networkVolumes", "v", size={1: 2})
        running.seed(endpoints=[{"id": "e"}])
        running.mutate("endpoints", "e", workers=None)
        with httpx.Client(base_url=running.url, headers=KEY, trust_env=False) as client:
            assert client.get("/v2/serverless/e").status_code == 500
    assert "Traceback" in capsys.readouterr().err


def test_it_can_be_run_where_the_package_is_not_installed(tmp_path, monkeypatch):
    """A test that has the sources on its path hands them on."""
    sources = Path(sys.modules["runpod_emulator"].__path__[0]).parent
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    code = f"import sys; sys.path.insert(0, {str(sources)!r})\n"
    code += "from runpod_emulator.running import Running\nwith Running() as running: print(running.url)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert shown.stdout.startswith("http://127.0.0.1:"), shown.stderr


def test_the_helper_reaches_every_control(server):
    """Its words are shorter than the control API's."""
    running = server.running
    assert running.seed(endpoints=[{"id": "e"}]) == {"endpoints": ["e"]}
    assert running.mutate("endpoints", "e", name="f")["name"] == "f"
    running.fault("status", "GET", "*", status=500)
    assert server.client.get("/v2/serverless").status_code == 500
    running.fault("status", times=None)
    running.clear_faults()
    server.get("/v2/serverless")
    assert [request["status"] for request in running.requests()] == [500, 200]
    assert running.counters() == {"GET /v2/serverless": 2}
    running.clear_requests()
    assert running.requests() == []
    running.advance(10)
    running.delete("endpoints", "e")
    assert running.state()["endpoints"] == []
    running.set(quota=3, minute_seconds=6)
    assert server.client.get("/v2/serverless").headers["RateLimit-Policy"].startswith('"minute";q=3;w=6')
    running.reset()
    assert running.state()["settings"]["quota"] is None
    with pytest.raises(RuntimeError, match="POST /_emulator/seed answered 422"):
        running.seed(nothing=[])


def test_the_helper_knows_every_setting(server):
    """A setting that is added is reachable at once."""
    settings = {name: value for name, value in vars(Settings()).items() if value is not None}
    server.running.set(**settings)
    server.running.set(accepted_keys=["k"], log_hold_seconds=0.5)
    assert server.running.state()["settings"] == {**vars(Settings()), "accepted_keys": ["k"], "log_hold_seconds": 0.5}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_moment_of_the_start_ends_it(number):
    """Who starts it may stop it at once."""
    process = subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline()
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
