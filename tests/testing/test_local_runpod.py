"""`pulumi_runpod_serverless.testing`: a user's own tests run on this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from pulumi import automation
from pulumi.runtime.proto import engine_pb2

from pulumi_runpod_serverless.testing import KEY, InlinePrograms, LocalRunpod, local_runpod
from runpod_emulator.running import Running


def test_the_environment_leads_nowhere_else_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever account of Runpod or Pulumi there is, nothing in the block can reach it."""
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_real")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-real")
    before = dict(os.environ)
    with local_runpod() as runpod:
        inside = {name: value for name, value in os.environ.items() if name.startswith(("PULUMI_", "RUNPOD_"))}
        assert inside == {name: value for name, value in runpod.variables.items() if name != "PATH"}
        assert os.environ["RUNPOD_API_KEY"] == KEY
        assert os.environ["RUNPOD_API_URL"] == runpod.emulator.url
        assert os.environ["PULUMI_BACKEND_URL"].startswith("file://")
        directory = runpod.directory
    assert dict(os.environ) == before
    assert not directory.exists()
    assert runpod.emulator.exit_code is not None


def test_a_program_comes_up_against_the_emulator(runpod: LocalRunpod) -> None:
    """Through either door, with a configuration; and what it exports leads to the emulator, too."""

    def program() -> None:
        from pulumi_runpod_serverless import Endpoint
        from pulumi_runpod_serverless.dynamic import NetworkVolume

        volume = NetworkVolume("volume", deletion_protection=False)
        endpoint = Endpoint("llm", image="me/worker:1", volume=volume.id)
        pulumi.export("url", endpoint.request_urls.run)
        pulumi.export("datacenter", endpoint.datacenter)

    stack = runpod.stack(program, config={"runpod-serverless:endpointBaseUrl": f"{runpod.emulator.url}/v2"})
    up = stack.up()
    (endpoint,) = runpod.emulator.state()["endpoints"]
    assert up.outputs["url"].value == f"{runpod.emulator.url}/v2/{endpoint['id']}/run"
    assert runpod.stack(program).outputs()["url"].value == up.outputs["url"].value
    stack.destroy()


@pytest.mark.parametrize(("code", "is_lost"), [(grpc.StatusCode.UNAVAILABLE, True), (grpc.StatusCode.INTERNAL, False)])
def test_a_program_whose_engine_is_gone_before_its_last_message_has_not_failed(code: grpc.StatusCode, is_lost: bool) -> None:
    """The Automation API sends a debug message after it has let the engine go."""

    class Refused(grpc.RpcError, grpc.Call):
        code = lambda self: code  # noqa: E731

    class Engine:
        def Log(self, request: object) -> None:
            raise Refused

    async def run() -> str:
        pulumi.runtime.settings.SETTINGS.engine = Engine()
        result = InlinePrograms().made_of(lambda: "result")()
        with contextlib.nullcontext() if is_lost else pytest.raises(Refused):
            pulumi.log.debug("the last words")
        return result

    assert contextvars.copy_context().run(asyncio.run, run()) == "result"


def test_an_engine_on_the_port_of_one_that_is_gone_is_reached_at_once() -> None:
    """For a second, gRPC lets all channels of a process know that a port refused one of them."""
    InlinePrograms()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    def engine() -> Any:
        return contextvars.copy_context().run(lambda: pulumi.runtime.Settings("project", "stack", engine=address).engine)

    gone = engine()
    with pytest.raises(grpc.RpcError, match="Connection refused"):
        gone.Log(engine_pb2.LogRequest())
    server = grpc.server(ThreadPoolExecutor(1))
    assert address.endswith(f":{server.add_insecure_port(address)}")
    server.start()
    with pytest.raises(grpc.RpcError, match="Method not found"):
        engine().Log(engine_pb2.LogRequest())
    server.stop(None).wait()


@pytest.mark.parametrize("is_left_open", [True, False])
def test_a_loop_is_closed_by_its_own_thread_or_where_that_leaves_it_open(is_left_open: bool) -> None:
    """Two that close it at once break it."""
    programs, loop = InlinePrograms(), asyncio.new_event_loop()

    async def run() -> None:
        pulumi.runtime.settings.SETTINGS.engine = type("Engine", (), {"Log": None})()
        programs.made_of(lambda: None)()

    contextvars.copy_context().run(loop.run_until_complete, run())
    closes: list[bool] = []
    close = loop.close

    def closed() -> None:
        closes.append(threading.current_thread() is threading.main_thread())
        close()

    loop.close = closed  # type: ignore[method-assign]
    own = threading.Timer(0.2, loop.close)
    if not is_left_open:
        own.start()
    programs.close()
    assert loop.is_closed() and closes == [is_left_open]


def test_a_secret_of_the_configuration_is_one(runpod: LocalRunpod) -> None:
    """Beside values that are none."""
    config = {
        "runpod-serverless:apiKey": automation.ConfigValue("canary-1", secret=True),
        "runpod-serverless:defaultDatacenter": "US-KS-2",
    }
    stack = runpod.stack(lambda: None, config=config)
    found = stack.get_all_config()
    assert {key: (found[key].value, found[key].secret) for key in config} == {
        "runpod-serverless:apiKey": ("canary-1", True),
        "runpod-serverless:defaultDatacenter": ("US-KS-2", False),
    }
    files = [path for path in runpod.directory.rglob("*") if path.is_file()]
    assert any(path.name.startswith("Pulumi.") for path in files)
    assert not any(b"canary-1" in path.read_bytes() for path in files)


def test_a_given_emulator_keeps_its_settings(tmp_path: Path) -> None:
    """Only one of its own has no worker quota to speak of."""
    with Running(worker_quota=5) as emulator, local_runpod(tmp_path, emulator=emulator):
        assert emulator.control("GET", "settings")["workerQuota"] == 5
    with local_runpod() as own:
        assert own.emulator.control("GET", "settings")["workerQuota"] == 1000


def test_each_test_has_an_account_of_its_own(runpod: LocalRunpod) -> None:
    """What the test before made is gone."""
    assert runpod.emulator.state()["endpoints"] == [] == runpod.emulator.requests()


def test_without_the_cli_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="Pulumi CLI is not on PATH"), local_runpod():
        pass


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is not in every installation."""
    monkeypatch.setitem(sys.modules, "runpod_emulator.running", None)
    with pytest.raises(RuntimeError, match=r"pip install 'pulumi-runpod-serverless\[emulator\]'"), local_runpod():
        pass


USERS_TEST = """
def test_one(runpod):
    assert runpod.emulator.seed(endpoints=[{}])

def test_two(runpod):
    assert runpod.emulator.state()["endpoints"] == []
"""


@pytest.mark.parametrize(
    "conftest",
    ['pytest_plugins = ["pulumi_runpod_serverless.testing"]', "from pulumi_runpod_serverless.testing import runpod"],
    ids=["as a plugin", "imported"],
)
def test_a_users_pytest_gets_the_fixture(tmp_path: Path, conftest: str) -> None:
    """Both ways; one emulator serves all tests, and nothing is left running or warned of."""
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_mine.py").write_text(USERS_TEST)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        "-c",
        os.devnull,
    ]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_of_it_is_loaded_by_a_program_that_does_not_test() -> None:
    """There is no entry point of pytest, and the package does not import it."""
    program = "import sys, pulumi_runpod_serverless.dynamic; print('pytest' in sys.modules, 'runpod_emulator' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
