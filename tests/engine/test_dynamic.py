"""The dynamic door on the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from engine.harness import KEY, Stack
from engine.programs import sent

if TYPE_CHECKING:
    from pulumi import automation

    from runpod_emulator.running import Running

CANARY = "canary-91c"


def _changes(result: automation.UpResult | automation.RefreshResult | automation.DestroyResult) -> dict[str, int]:
    return {op: count for op, count in (result.summary.resource_changes or {}).items() if op != "same"}


def test_a_stack_lives_its_life(stack: Stack, emulator: Running) -> None:
    """It comes up, updates, replaces, takes drift in and repairs it, and goes; each with the requests that the native door sends."""
    given: dict[str, Any] = {"workers": 1, "env": {"A": "b"}}

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint, NetworkVolume

        volume = NetworkVolume("volume", size=20, deletion_protection=False)
        endpoint = Endpoint("llm", image="me/worker:1", volume=[volume], **given)
        pulumi.export("url", endpoint.request_urls.run)
        pulumi.export("workers", endpoint.workers)

    inline = stack.inline(program)

    def did(work: Callable[[], Any]) -> tuple[dict[str, int], list[str], Any]:
        emulator.clear_requests()
        result = work()
        return _changes(result), [line for line in sent(emulator) if not line.startswith("GET /catalog")], result

    changes, requests, created = did(inline.up)
    assert changes == {"create": 3}
    assert requests == ["POST /network-volumes", "POST /serverless"]
    assert did(inline.up)[:2] == ({}, [])
    given["workers"] = 2
    changes, requests, updated = did(inline.up)
    assert (changes, requests) == ({"update": 1}, ["PATCH /serverless/{id}"])
    assert updated.outputs["workers"].value == {"min": 0, "max": 2}
    given["gpu"] = "ADA_24"
    emulator.clear_requests()
    assert dict(inline.preview().change_summary) == {"replace": 1, "same": 2}
    assert not [line for line in sent(emulator) if not line.startswith("GET /")]
    changes, requests, replaced = did(inline.up)
    assert changes == {"replace": 1}
    assert [line for line in requests if not line.startswith("GET")] == ["POST /serverless", "DELETE /serverless/{id}"]
    assert replaced.outputs["url"].value != created.outputs["url"].value
    (endpoint,) = emulator.state()["endpoints"]
    emulator.mutate("endpoints", endpoint["id"], workers={"min": 0, "max": 4, "idleTimeout": 60})
    changes, requests, _ = did(inline.refresh)
    assert changes == {"update": 1}
    assert sorted(requests) == ["GET /network-volumes", "GET /serverless"]
    assert did(inline.up)[:2] == ({"update": 1}, ["PATCH /serverless/{id}"])
    assert did(inline.destroy)[0] == {"delete": 3}
    assert not emulator.state()["endpoints"] and not emulator.state()["networkVolumes"]


def test_the_state_tells_no_secret_no_key_and_no_code(stack: Stack, emulator: Running) -> None:
    """In clear; and the provider in it is a reference of a few bytes, which the engine keeps as a secret."""

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint, PodTemplate, Registry

        hidden = pulumi.Output.secret(f"{CANARY}/worker:1")
        template = PodTemplate("template", image=hidden, env=[{"key": "T", "value": pulumi.Output.secret(CANARY)}])
        Registry("registry", username=pulumi.Output.secret(CANARY), password=CANARY)
        Endpoint("whole", template=template.settings, env=pulumi.Output.secret({"A": CANARY}))
        Endpoint("part", image=hidden, env={"A": pulumi.Output.secret(CANARY), "B": "open"})
        Endpoint(
            "nested",
            template={"image": hidden, "env": {"A": pulumi.Output.secret(CANARY)}, "args": pulumi.Output.secret(CANARY)},
            system_dependencies=["git", pulumi.Output.secret(CANARY)],
        )
        pulumi.export("settings", template.settings)

    inline = stack.inline(program)
    for step in (inline.preview, inline.up, inline.refresh, inline.up):
        result: Any = step()
        assert CANARY not in result.stdout + result.stderr
        state = json.dumps(stack.state())
        assert CANARY not in state and KEY not in state and "def " not in state
    shown = stack.state("--show-secrets")
    assert KEY not in json.dumps(shown)
    blobs = [
        resource[bag]["__provider"] for resource in shown for bag in ("inputs", "outputs") if "__provider" in resource.get(bag, {})
    ]
    assert len(blobs) == 10
    assert all(len(json.loads(blob["plaintext"])) <= 300 for blob in blobs)
    (part,) = (resource for resource in stack.state() if resource["urn"].endswith("::part"))
    assert part["inputs"]["env"]["B"] == "open"


def test_the_key_and_the_settings_may_stand_in_the_stacks_configuration(stack: Stack, emulator: Running) -> None:
    """The dynamic door reads the native door's names; the engine keeps a secret of the configuration as a secret."""
    emulator.set(accepted_keys=["rpa_configured"])
    stack.environment.pop("RUNPOD_API_KEY")

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        pulumi.export("datacenter", Endpoint("llm", image="me/worker:1").datacenter)

    inline = stack.inline(program)
    from pulumi import automation

    with pytest.raises(
        automation.CommandError, match=r"(?s)missing required configuration key runpod-serverless:apiKey.*Set it with"
    ):
        inline.up()
    inline.set_config("runpod-serverless:apiKey", automation.ConfigValue("rpa_configured", secret=True))
    inline.set_config("runpod-serverless:defaultDatacenter", automation.ConfigValue("US-KS-2"))
    assert inline.up().outputs["datacenter"].value == ["US-KS-2"]
    assert "rpa_configured" not in json.dumps(stack.state())
    inline.destroy()


def test_what_is_not_ready_fails_the_run_and_stays_in_the_state(stack: Stack, emulator: Running) -> None:
    """A creation and an update: the state has what Runpod has, with its secrets, and the next run waits on without changing anything."""
    given = {"LEVEL": "info"}

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        Endpoint(
            "llm",
            image="me/worker:1",
            workers={"min": 1, "max": 1},
            wait_for_ready=1,
            env={**given, "TOKEN": pulumi.Output.secret(CANARY)},
        )

    inline = stack.inline(program)
    from pulumi import automation

    def fails() -> list[str]:
        emulator.clear_requests()
        with pytest.raises(automation.CommandError, match=r"0/1 workers on version \d after 1 s") as raised:
            inline.up()
        assert "Traceback" not in str(raised.value) and CANARY not in str(raised.value)
        return [line for line in sent(emulator) if not line.startswith("GET")]

    assert fails() == ["POST /serverless"]
    (kept,) = (resource for resource in stack.state() if resource["urn"].endswith("::llm"))
    assert kept["id"] == emulator.state()["endpoints"][0]["id"]
    assert len(kept["initErrors"]) == 1 and kept["outputs"]["requestUrls"]
    assert CANARY not in json.dumps(kept)
    assert fails() == []
    emulator.advance(300)
    assert _changes(inline.up()) == {"update": 1}
    assert _changes(inline.up()) == {}
    given["LEVEL"] = "debug"
    assert fails() == ["PATCH /serverless/{id}"]
    assert fails() == []
    emulator.advance(300)
    assert _changes(inline.up()) == {"update": 1}
    assert _changes(inline.up()) == {}
    inline.destroy()


def test_a_failing_check_shows_no_secret(stack: Stack, emulator: Running) -> None:
    """The engine prints the value of a property that a failure names, so one with a secret in it is not named."""

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        hidden = pulumi.Output.secret
        Endpoint("llm", image=hidden(f"{CANARY} is no image"), env={"": hidden(CANARY)}, gpu_count=0)

    inline = stack.inline(program)
    from pulumi import automation

    with pytest.raises(automation.CommandError, match="gpuCount: must be at least 1, not 0") as raised:
        inline.up()
    assert "property gpuCount value {0}" in str(raised.value)
    assert "env: the key ''" in str(raised.value)
    assert CANARY not in str(raised.value)


def test_the_engines_options_work(stack: Stack, emulator: Running) -> None:
    """Ignored changes stay ignored, protection holds, and a replacement may delete first."""
    given: dict[str, Any] = {"workers": 1, "image": "me/worker:1"}
    options = {"ignore_changes": ["workers"], "delete_before_replace": True}

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        Endpoint("llm", opts=pulumi.ResourceOptions(**options), **given)

    inline = stack.inline(program)
    inline.up()
    given["workers"] = 5
    assert _changes(inline.up()) == {}
    given["image"] = "me/worker:2"
    emulator.clear_requests()
    inline.up()
    assert [line for line in sent(emulator) if not line.startswith("GET")] == ["DELETE /serverless/{id}", "POST /serverless"]


def test_a_preview_shows_what_a_template_does_to_its_endpoints(stack: Stack, emulator: Running) -> None:
    """A template's settings follow from its arguments, so that an image's change is seen to replace the endpoint that uses it."""
    given = {"image": "me/worker:1"}

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint, PodTemplate

        Endpoint("llm", template=PodTemplate("template", env={"A": pulumi.Output.secret(CANARY)}, **given).settings)

    inline = stack.inline(program)
    inline.up()
    given["image"] = "me/worker:2"
    preview = inline.preview()
    assert dict(preview.change_summary) == {"same": 1, "update": 1, "replace": 1}
    assert CANARY not in preview.stdout and CANARY not in json.dumps(stack.state())


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_the_provider_ends_with_an_engine_that_is_killed(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """What it was creating is created, and no process is left."""
    emulator.fault("delay", method="POST", seconds=4)
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\n"
        "from engine.harness import Stack\n"
        "from pathlib import Path\n"
        "def program():\n"
        "    from pulumi_runpod_serverless.dynamic import Endpoint\n"
        "    Endpoint('llm', image='me/worker:1')\n"
        "import os\n"
        "Stack(Path(sys.argv[1]), os.environ).inline(program).up()\n"
    )
    tests = str(Path(__file__).resolve().parents[1])
    mark = f"{time.time_ns()}"
    environment = {**stack.environment, "PYTHONPATH": tests, "MARK_OF_TEST": mark}
    driver = subprocess.Popen(
        [sys.executable, str(script), str(stack.directory)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _until(lambda: [one for one in emulator.requests() if one["method"] == "POST"])
        marked = _processes(mark)
        (engine,) = (process for process, command in marked.items() if "up" in command and command[0].endswith("pulumi"))
        providers = [process for process, command in marked.items() if "pulumi.dynamic" in command]
        assert providers
        os.kill(engine, signal.SIGKILL)
        _until(lambda: not set(providers) & set(_processes(mark)))
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait(10)
    assert len(emulator.state()["endpoints"]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_what_a_killed_engine_was_told_and_has_not_stored_is_owned_by_the_next_run(stack: Stack, emulator: Running) -> None:
    """It stores a resource once the hooks after its creation are done; the process that had created it is idle then."""
    hooked, go_on = threading.Event(), threading.Event()

    def wait(_: pulumi.ResourceHookArgs) -> None:
        hooked.set()
        go_on.wait()

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        after = [pulumi.ResourceHook("wait", wait)] if not hooked.is_set() else []
        Endpoint("llm", image="me/worker:1", opts=pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(after_create=after)))

    from pulumi import automation

    mark = f"{time.time_ns()}"
    stack.environment["MARK_OF_TEST"] = mark
    inline = stack.inline(program)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(inline.up)
        try:
            _until(hooked.is_set)
            (engine,) = (
                process for process, command in _processes(mark).items() if "up" in command and command[0].endswith("pulumi")
            )
            os.kill(engine, signal.SIGKILL)
        finally:
            go_on.set()
        with pytest.raises(automation.CommandError):
            run.result(60)
    stack.pulumi("cancel", "--yes")
    inline.up()
    (endpoint,) = emulator.state()["endpoints"]
    assert [resource["id"] for resource in stack.state() if resource["urn"].endswith("::llm")] == [endpoint["id"]]


def test_a_forced_replacement_after_a_run_that_ended_in_order_creates_anew(stack: Stack, emulator: Running) -> None:
    """The engine names nothing before it creates, so only the end of the run before tells that its endpoint is no leftover."""

    def program() -> None:
        from pulumi_runpod_serverless.dynamic import Endpoint

        Endpoint("llm", image="me/worker:1")

    inline = stack.inline(program)
    inline.up()
    (first,) = emulator.state()["endpoints"]
    (urn,) = (resource["urn"] for resource in stack.state() if resource["urn"].endswith("::llm"))
    assert _changes(inline.up(replace=[urn])) == {"replace": 1}
    (second,) = emulator.state()["endpoints"]
    assert first["id"] != second["id"]


def _processes(mark: str) -> dict[int, list[str]]:
    """Find the processes with a mark in their environment."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK_OF_TEST={mark}".encode() in (directory / "environ").read_bytes():
                found[int(directory.name)] = (directory / "cmdline").read_text().split("\0")
        except OSError:
            continue
    return found


def _until(is_so: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)
