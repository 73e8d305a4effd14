"""The process itself: its port line, its silence, its end. And what happens within it, where a test can look."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2_grpc

from plugin.support import KEY, TOKEN, P, run, struct
from runpod_serverless_provider.configuration import resolve
from runpod_serverless_provider.core.failures import ApiUnreachable, ProviderFailure, Refused
from runpod_serverless_provider.core.version import plugin_version
from runpod_serverless_provider.plugin import main as main_module
from runpod_serverless_provider.plugin.wiring import Wiring

COMMAND = [sys.executable, "-m", "runpod_serverless_provider.plugin"]
SCRIPTED = [sys.executable, str(Path(__file__).with_name("scripted.py"))]
NO_ENGINE = "127.0.0.1:1"
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@contextlib.contextmanager
def started(*command, **options):
    """Start a process, and leave none behind."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def spoken_to(process):
    """Read the port line, and speak to that port."""
    port = process.stdout.readline()
    assert re.fullmatch(r"\d+\n", port)
    with grpc.insecure_channel(f"127.0.0.1:{port.strip()}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)


def is_running(pid):
    """Say whether there is such a process; a zombie is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def seconds_until(condition, limit):
    """Wait until `condition` holds, and say how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"not within {limit} s"
        time.sleep(0.05)
    return time.monotonic() - began


# -- the start


@pytest.mark.parametrize(
    "arguments",
    [
        ["--logtostderr", "-v=9", "--tracing", "http://127.0.0.1:1", NO_ENGINE],
        ["--tracing", "http://127.0.0.1:1"],
        [NO_ENGINE, "--later-flag"],
        [],
    ],
)
def test_the_first_line_is_the_port_and_it_answers_at_once(arguments):
    """With all flags of the engine, `--tracing` and its value included, and those of a later one."""
    with started(*COMMAND, *arguments) as process, spoken_to(process) as stub:
        assert stub.Handshake(P.ProviderHandshakeRequest(engine_address=NO_ENGINE), timeout=10).accept_secrets
        assert stub.GetPluginInfo(Empty(), timeout=10).version == plugin_version()


@pytest.mark.parametrize(
    ("arguments", "engine"),
    [
        (["--logtostderr", "-v=9", "--tracing", "URL", "E"], "E"),
        (["--tracing", "URL", "E"], "E"),
        (["--tracing=URL", "E"], "E"),
        (["-v=3", "E"], "E"),
        (["E", "--later", "--trac=x"], "E"),
        (["--logtostderr"], None),
    ],
)
def test_the_engines_address_is_the_one_that_is_no_flags_value(arguments, engine):
    """Taking the tracing URL for it has been a bug elsewhere."""
    assert main_module._parser("1").parse_known_args(arguments)[0].engine == engine


def test_the_schema_is_served_without_a_key_and_without_a_network():
    """`pulumi package get-schema` needs neither."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD")}
    with (
        started(*COMMAND, NO_ENGINE, env={**environment, "HTTPS_PROXY": "http://127.0.0.1:1"}) as process,
        spoken_to(process) as stub,
    ):
        assert TOKEN in stub.GetSchema(P.GetSchemaRequest(), timeout=10).schema


def _checked_at_depth(levels):
    news = Struct()
    inner = news
    for _ in range(levels):
        inner.fields["odd"].struct_value.SetInParent()
        inner = inner.fields["odd"].struct_value
    with started(*COMMAND, NO_ENGINE) as process, spoken_to(process) as stub:
        stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})), timeout=10)
        return stub.Check(P.CheckRequest(urn=f"urn:pulumi:dev::p::{TOKEN}::x", news=news), timeout=10)


def test_a_deep_value_is_answered_by_a_process_that_never_imports_pulumi():
    """Protobuf by itself reads no more than 100 levels, and fails before anybody can say why."""
    assert "odd" in _checked_at_depth(150).failures[0].reason
    with pytest.raises(grpc.RpcError) as caught:
        _checked_at_depth(250)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT and "levels deep" in caught.value.details()


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_are_for_humans(flag):
    """They print and end."""
    answer = subprocess.run([*COMMAND, flag], capture_output=True, text=True, check=True)
    assert answer.stdout and (flag == "--help" or answer.stdout.strip() == plugin_version())


def test_what_only_some_processes_need_is_not_imported_at_the_start():
    """Models, the HTTP client and the parser of headers come with Configure, or with the first request."""
    program = (
        "import sys; from runpod_serverless_provider import lifetime; "
        "from runpod_serverless_provider.plugin import main, server, wiring; "
        "print(*sorted({'httpx', 'pydantic', 'typer', 'runpod_serverless_provider.resources'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "\n"


def test_pulumi_is_never_imported():
    """Neither at the start nor with Configure: it would take longer than all the rest."""
    program = (
        "import sys; from runpod_serverless_provider import journal, lifetime, resources; "
        "from runpod_serverless_provider.api import client; from runpod_serverless_provider.core import provider; "
        "from runpod_serverless_provider.plugin import main, server, wiring; print('pulumi' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_a_process_that_imports_pulumi_as_well_has_the_same_messages(order, implementation):
    """In either order, and with each implementation of protobuf that may be installed."""
    imports = [
        "from pulumi.runtime.proto import provider_pb2 as a",
        "from runpod_serverless_provider.proto import provider_pb2 as b",
    ]
    same = "a.DiffRequest is b.DiffRequest and a.CheckRequest.AutonamingOptions is b.CheckRequest.AutonamingOptions"
    program = "; ".join([*imports[::order], f"print({same})"])
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


# -- silence


@posix_only
def test_nothing_but_the_port_ever_comes_on_stdout(tmp_path):
    """The engine takes the first line for the port, and users see none of it: prints, warnings and children go to stderr."""
    with started(*SCRIPTED, str(tmp_path), NO_ENGINE) as process:
        with spoken_to(process) as stub:
            stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})), timeout=10)
            stub.Create(P.CreateRequest(urn="u", type=TOKEN, properties=struct({"noise": True})), timeout=10)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert out == "" and process.returncode == 0
    for text in ("printed", "written", "warned", "from a child", "to the descriptor"):
        assert text in err
    assert KEY not in err


# -- the end


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_idle_process_in_time(number):
    """The engine kills after five seconds."""
    with started(*COMMAND) as process:
        process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=4.5)
        assert process.returncode == 0 and out == ""


@posix_only
@pytest.mark.parametrize(("seconds", "is_done"), [(2, True), (30, False)])
def test_a_signal_lets_what_is_under_way_finish_within_what_the_engine_gives(tmp_path, seconds, is_done):
    """A POST that is torn is a resource without an id; but the engine kills after five seconds anyway."""
    with started(*SCRIPTED, str(tmp_path), NO_ENGINE) as process, spoken_to(process) as stub:
        stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})), timeout=10)
        call = stub.Create.future(P.CreateRequest(urn="u", type=TOKEN, properties=struct({"seconds": seconds})))
        seconds_until((tmp_path / "begun").exists, 10)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(timeout=10)
        assert time.monotonic() - began < 5.0
        assert (tmp_path / "created").exists() is is_done
        assert not is_done or call.result(timeout=1).id == "e1"


@posix_only
@pytest.mark.parametrize(("cancels", "is_orderly"), [(1, True), (2, False)])
def test_the_signal_that_follows_the_only_cancel_is_the_end_of_the_run(tmp_path, cancels, is_orderly):
    """What was created is in the state then, and needs no journal any more."""
    with started(*SCRIPTED, str(tmp_path), NO_ENGINE) as process, spoken_to(process) as stub:
        stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})), timeout=10)
        stub.Create(P.CreateRequest(urn="u", type=TOKEN, properties=struct({})), timeout=10)
        for _ in range(cancels):
            stub.Cancel(Empty(), timeout=10)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
    assert (tmp_path / "orderly").exists() is is_orderly


@contextlib.contextmanager
def an_engine_that_starts(*command):
    """Start an engine of sorts: a process that starts the plugin and passes on its port and pid; killed, it takes nothing with it."""
    program = (
        "import subprocess, sys, time\n"
        "plugin = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)\n"
        "print(plugin.stdout.readline(), end='', flush=True)\n"
        "print(plugin.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with started(sys.executable, "-c", program, *command) as engine:
        pid = 0
        try:
            with spoken_to(engine) as stub:
                pid = int(engine.stdout.readline())
                yield engine, pid, stub
        finally:
            if pid and is_running(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_whose_engine_was_killed_ends_within_five_seconds():
    """It holds a key, and nobody would ever stop it."""
    with an_engine_that_starts(*COMMAND, NO_ENGINE) as (engine, pid, stub):
        stub.Handshake(P.ProviderHandshakeRequest(), timeout=10)
        engine.kill()
        engine.wait()
        assert is_running(pid)
        assert seconds_until(lambda: not is_running(pid), 10) < 5.0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_whose_engine_was_killed_finishes_what_is_under_way_first(tmp_path):
    """The resource then exists as a whole, where a later run can find it."""
    with an_engine_that_starts(*SCRIPTED, str(tmp_path), NO_ENGINE) as (engine, pid, stub):
        stub.Configure(P.ConfigureRequest(args=struct({"apiKey": KEY})), timeout=10)
        call = stub.Create.future(P.CreateRequest(urn="u", type=TOKEN, properties=struct({"seconds": 7})))
        seconds_until((tmp_path / "begun").exists, 10)
        call.cancel()
        engine.kill()
        engine.wait()
        seconds_until(lambda: not is_running(pid), 20)
        assert (tmp_path / "created").exists()


def test_a_process_that_waits_for_an_engine_to_attach_stays():
    """It was started by hand, with PULUMI_DEBUG_PROVIDERS in mind."""
    with started(*COMMAND) as process:
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)


# -- within


def serve_until_it_is_told(monkeypatch, *arguments, stop):
    """Run `main` in this process, call `stop` once the port is there, and give the exit code and the port line."""
    read_end, write_end = os.pipe()
    line = []

    def watch():
        line.append(os.read(read_end, 100))
        stop()

    monkeypatch.setattr(main_module, "_claim_stdout", lambda: write_end)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return main_module.main(list(arguments)), line
    finally:
        watcher.join()
        os.close(read_end)
        os.close(write_end)
        root.handlers[:], root.level = handlers, level
        logging.captureWarnings(False)
        for number, handler in before.items():
            signal.signal(number, handler)


@posix_only
def test_main_serves_until_a_signal_and_returns_zero(monkeypatch):
    """From the first line to the last, in this process."""
    code, (line,) = serve_until_it_is_told(monkeypatch, NO_ENGINE, "-v=1", stop=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert code == 0 and re.fullmatch(rb"\d+\n", line)


@posix_only
def test_an_orphan_that_gets_a_signal_has_only_its_time(monkeypatch):
    """It was draining without haste; what does not end then is left."""
    from runpod_serverless_provider.lifetime import Lifetime
    from runpod_serverless_provider.plugin.server import Server

    async def endless(self, grace_seconds):
        await asyncio.sleep(60)

    async def wait(self, *, watch_engine):
        self.end("the engine is gone", 120)
        self.end("SIGTERM", 0.05)

    monkeypatch.setattr(Server, "drain", endless)
    monkeypatch.setattr(Lifetime, "wait", wait)
    code, _ = serve_until_it_is_told(monkeypatch, NO_ENGINE, stop=lambda: None)
    assert code == 0


def test_an_interrupt_before_anything_listens_is_an_exit_code(monkeypatch):
    """No traceback for a key that was pressed."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "_claim_stdout", lambda: 1)
    monkeypatch.setattr(main_module, "_serve", interrupted)
    assert main_module.main([]) == 130


def test_stdout_is_claimed_for_the_port_alone(monkeypatch):
    """What else is written there goes to stderr, from Python or not."""
    moved = []
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(main_module.os, "dup", lambda descriptor: 100 + descriptor)
    monkeypatch.setattr(main_module.os, "dup2", lambda source, target: moved.append((source, target)))
    assert main_module._claim_stdout() == 101 and moved == [(2, 1)] and sys.stdout is sys.stderr


def test_the_package_runs_as_a_module(monkeypatch):
    """`python -m` needs no script on PATH."""
    monkeypatch.setattr(main_module, "main", lambda: 7)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("runpod_serverless_provider.plugin", run_name="__main__")
    assert caught.value.code == 7
    runpy.run_module("runpod_serverless_provider.plugin", run_name="imported")


@pytest.mark.parametrize(("text", "verbosity"), [("0", 0), ("9", 9), ("x", 0)])
def test_a_verbosity_that_is_no_number_is_none(text, verbosity):
    """A log level is no reason to fail."""
    assert main_module._verbosity(text) == verbosity


def test_the_wiring_connects_the_real_core_and_closes_its_connections(tmp_path):
    """The one place that joins the door to the rest."""

    async def scenario():
        wiring = Wiring("1.2.3")
        wiring.stop()
        core = await wiring.connect(resolve({"apiKey": KEY}, {}, tmp_path))
        secrets = core.secret_paths(TOKEN)
        schema = wiring.schema()
        await wiring.aclose()
        return secrets, schema

    secrets, schema = run(scenario())
    assert isinstance(secrets, frozenset) and TOKEN in schema


def test_a_stop_holds_for_the_run_it_was_meant_for(tmp_path):
    """An attached provider is configured anew by the next engine, and then creates again."""

    async def scenario():
        wiring = Wiring("1.2.3")
        told = []
        for base_url in ("http://127.0.0.1:1", "http://127.0.0.1:1"):
            await wiring.connect(resolve({"apiKey": KEY, "baseUrl": base_url}, {}, tmp_path))
            client = wiring._client
            if not told:
                wiring.stop()
            client._sleep = lambda seconds: asyncio.sleep(0)
            try:
                await client.request("POST", "/serverless", body={})
            except ProviderFailure as problem:
                told.append(type(problem))
        await wiring.aclose()
        return told

    assert run(scenario()) == [Refused, ApiUnreachable]
