"""How the plugin's processes end: with their engine, and never in the middle of a request that costs money."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pulumi
import pytest
from pulumi import automation

import pulumi_runpod_serverless as runpod
from engine.harness import Stack
from engine.programs import ENDPOINT, endpoint, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running

PROGRAM: Final = b"pulumi-resource-runpod-serverless"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def _plugins(stack: Stack) -> list[int]:
    """Give the processes of plugins that this stack's commands have started; a zombie is none."""
    home = os.fsencode(stack.environment["PULUMI_HOME"])
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if PROGRAM in (process / "cmdline").read_bytes() and b"PULUMI_HOME=" + home in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _wait(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.05)


@contextlib.contextmanager
def _under_way(
    stack: Stack, emulator: Running, *, requests: int = 1, request: str = "POST /serverless"
) -> Iterator[subprocess.Popen[str]]:
    """Run `up` until its first endpoints are being created, or what else `request` says, and give the CLI's process."""
    stack.pulumi("stack", "select", "--create", "dev")
    command = ["pulumi", "--non-interactive", "--color=never", "up", "--yes", "--skip-preview"]
    with subprocess.Popen(
        command,
        cwd=stack.directory,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _wait(lambda: sent(emulator).count(request) >= requests, 60)
            yield process
        finally:
            process.kill()


def _recorded(stack: Stack) -> list[str]:
    return sorted(resource["id"] for resource in stack.state() if resource["type"] == ENDPOINT)


def _existing(emulator: Running) -> list[str]:
    return sorted(item["id"] for item in emulator.state()["endpoints"])


def _kill_while_it_creates(stack: Stack, emulator: Running, *, seconds: float, program: Mapping[str, object] | None = None) -> None:
    """Kill an `up`, of one endpoint unless `program` is given, whose plugin then still waits, for so long, for the answer to its POST."""
    stack.write(program or {"api": endpoint()})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=seconds)
    with _under_way(stack, emulator) as process:
        process.kill()
        process.wait()


def test_no_plugin_outlives_its_command(stack: Stack, emulator: Running) -> None:
    """Whether a command succeeds or fails, its plugins are gone when it ends."""
    stack.write({"api": endpoint()})
    stack.up()
    assert _plugins(stack) == []
    stack.write({"api": endpoint(workers=9)})
    stack.up(exit_code=1)
    assert _plugins(stack) == []


def test_a_killed_engine_takes_the_plugin_along(stack: Stack, emulator: Running) -> None:
    """The plugin finishes the request that is under way, and then ends by itself; the next run has what it created."""
    stack.write({"api": endpoint()})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=2)
    with _under_way(stack, emulator) as process:
        assert _plugins(stack) != []
        process.kill()
        process.wait()
    _wait(lambda: _existing(emulator), 10)
    _wait(lambda: not _plugins(stack), 20)
    _next_run_owns_all(stack, emulator)


def test_a_run_follows_at_once_upon_a_killed_one(stack: Stack, emulator: Running) -> None:
    """It waits for the orphaned plugin, which is still creating."""
    _kill_while_it_creates(stack, emulator, seconds=3)
    _next_run_owns_all(stack, emulator)


def test_what_a_killed_plugin_created_is_owned_by_the_next_run(stack: Stack, emulator: Running) -> None:
    """No answer told its id, but its name is known."""
    stack.write({"api": endpoint()})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=3)
    with _under_way(stack, emulator) as process:
        for plugin in _plugins(stack):
            os.kill(plugin, signal.SIGKILL)
        process.communicate(timeout=60)
    _wait(lambda: _existing(emulator), 10)
    _next_run_owns_all(stack, emulator)


def test_a_second_interrupt_loses_nothing(stack: Stack, emulator: Running) -> None:
    """The engine gives up its state then; the next run has what was created."""
    stack.write({"api": endpoint()})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=3)
    with _under_way(stack, emulator) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    _wait(lambda: _existing(emulator), 10)
    _wait(lambda: not _plugins(stack), 20)
    _next_run_owns_all(stack, emulator)


def _next_run_owns_all(stack: Stack, emulator: Running) -> None:
    """Run `up` after a killed one: there is one endpoint, and it is in the state."""
    stack.pulumi("cancel", "--yes")
    stack.up()
    assert _recorded(stack) == _existing(emulator)
    assert len(_existing(emulator)) == 1
    stack.expect_no_changes()


def test_what_a_killed_run_created_is_told_where_the_program_has_it_no_more(stack: Stack, emulator: Running) -> None:
    """It costs money, and no plan shows it; one warning may be overlooked."""
    _kill_while_it_creates(stack, emulator, seconds=2)
    _wait(lambda: not _plugins(stack), 20)
    (lost,) = _existing(emulator)
    stack.pulumi("cancel", "--yes")
    said = f"created the endpoint '{lost}' for urn:pulumi:dev::"
    for image in ("me/x:1", "me/x:2"):
        stack.write({"other": endpoint(image=image)})
        assert any(said in one.message for one in stack.up().diagnostics if one.severity == "warning")


def _interrupted(stack: Stack, emulator: Running) -> str:
    """Interrupt an `up` when its endpoint `api` is there, so that it is not sure what the state holds, and give that one's URN."""
    stack.write({"api": endpoint(), "slow": endpoint(name="slow")})
    emulator.fault("delay", "POST", "/v2/serverless", name="slow", seconds=2)
    with _under_way(stack, emulator, requests=2) as process:
        _wait(lambda: len(_existing(emulator)) == 1, 20)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    (api,) = [one for one in stack.state() if one["urn"].endswith("::api")]
    return str(api["urn"])


def _put_off(stack: Stack, emulator: Running) -> str:
    """Let `--replace` take the live endpoint over in place of itself, and fail elsewhere: the state has it as live, and to be deleted."""
    urn = _interrupted(stack, emulator)
    stack.write({"api": endpoint(), "slow": endpoint(name="slow"), "bad": endpoint(name="bad")})
    emulator.fault("status", "POST", "/v2/serverless", name="bad", status=400, detail="no")
    stack.up("--replace", urn, exit_code=1)
    assert sorted(one.get("delete", False) for one in stack.state() if one["urn"] == urn) == [False, True]
    return urn


def test_a_replacement_that_fails_elsewhere_after_an_interrupt_deletes_nothing_live(stack: Stack, emulator: Running) -> None:
    """Its delete is put off to the next run, which spares the live endpoint, and has all there is."""
    _put_off(stack, emulator)
    stack.up()
    assert _recorded(stack) == _existing(emulator)
    assert len(_existing(emulator)) == 3


@pytest.mark.parametrize("is_put_off", [True, False])
def test_a_resource_that_has_another_provider_by_now_is_deleted_by_none(
    stack: Stack, emulator: Running, *, is_put_off: bool
) -> None:
    """The delete is asked of the process of the old provider, which is told nothing of the live one."""
    urn = (_put_off if is_put_off else _interrupted)(stack, emulator)
    provider = {"type": "pulumi:providers:runpod-serverless"}
    stack.write({"own": provider, "api": endpoint({"provider": "${own}"}), "slow": endpoint(name="slow")})
    done = stack.up(*([] if is_put_off else ["--replace", urn]))
    assert any("has taken it over in place of itself" in text for text in done.said("warning"))
    assert _recorded(stack) == _existing(emulator)
    assert len(_existing(emulator)) == 2
    stack.destroy()
    assert _existing(emulator) == []


def test_what_the_engine_skips_is_not_deleted(stack: Stack, emulator: Running) -> None:
    """With `--continue-on-error` it carries out a delete that was put off, although the replacement that it planned did not come."""
    urn = _put_off(stack, emulator)
    emulator.fault("status", "POST", "/v2/serverless", name="bad", status=400, detail="no", times=None)

    def program() -> None:
        runpod.Endpoint("slow", name="slow", image="me/worker:1")
        bad = runpod.Endpoint("bad", name="bad", image="me/worker:1")
        runpod.Endpoint("api", image="me/worker:2", opts=pulumi.ResourceOptions(depends_on=[bad]))

    with pytest.raises(automation.CommandError):
        stack.inline(program).up(continue_on_error=True)
    (api,) = [one for one in stack.state() if one["urn"] == urn]
    assert _recorded(stack) == _existing(emulator)
    assert api["id"] in _existing(emulator)


def test_what_was_taken_over_is_deleted_with_what_it_depends_on(stack: Stack, emulator: Running) -> None:
    """The engine deletes a dependent before it registers it, if an option makes it a replacement; to the provider it is an update."""

    def program(size: int) -> dict[str, object]:
        return {
            "data": volume({"deleteBeforeReplace": True, "replaceOnChanges": ["size"]}, size=size),
            "api": endpoint({"replaceOnChanges": ["env"]}, env={"DATA": "${data.id}"}),
        }

    _kill_while_it_creates(stack, emulator, seconds=2, program=program(20))
    _wait(lambda: not _plugins(stack), 20)
    _next_run_owns_all(stack, emulator)
    (before,) = _existing(emulator)
    stack.write(program(30))
    stack.up()
    assert _recorded(stack) == _existing(emulator) != [before]


def test_a_forced_replacement_creates_anew(stack: Stack, emulator: Running) -> None:
    """It goes straight to a create, as if there were nothing; the live endpoint is not what a killed run has left."""
    stack.write({"api": endpoint()})
    stack.up()
    (before,) = _existing(emulator)
    (resource,) = [item for item in stack.state() if item["type"] == ENDPOINT]
    stack.up("--replace", resource["urn"])
    (after,) = _existing(emulator)
    stack.pulumi("state", "taint", resource["urn"], "--yes")
    stack.up()
    (last,) = _existing(emulator)
    assert len({before, after, last}) == 3


def test_an_interrupt_waits_for_what_is_under_way(stack: Stack, emulator: Running) -> None:
    """After ^C the endpoint that was being created is in the state, and nothing that had not begun is."""
    stack.write({"api": endpoint(), "later": endpoint(env={"API": "${api.id}"})})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=2)
    with _under_way(stack, emulator) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "exited prematurely" not in said
    assert _recorded(stack) == _existing(emulator) != []
    _wait(lambda: not _plugins(stack), 10)
    assert stack.up().summary == {"create": 1, "same": 2}


def test_an_interrupt_under_load_loses_nothing(stack: Stack, emulator: Running) -> None:
    """With many creations at once, each that reached the API is in the state, and the plugin is never reported as broken."""
    emulator.set(worker_quota=1000)
    stack.write({f"api{number}": endpoint() for number in range(40)})
    emulator.fault("delay", "POST", "/v2/serverless", seconds=0.5, times=None)
    with _under_way(stack, emulator, requests=5) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert "exited prematurely" not in said
    assert _recorded(stack) == _existing(emulator)
    assert len(_existing(emulator)) >= 5
    _wait(lambda: not _plugins(stack), 10)


def test_an_interrupt_ends_the_wait_for_a_rate_limit(stack: Stack, emulator: Running) -> None:
    """An update that was refused for now is given up, not sent after the cancel; the next run makes it."""
    stack.write({"api": endpoint()})
    stack.up()
    stack.write({"api": endpoint(env={"A": "1"})})
    emulator.fault("status", "PATCH", "*", status=429, retryAfter=600)
    with _under_way(stack, emulator, request="PATCH /serverless/{id}") as process:
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert "was not carried out, as the run was cancelled; nothing was changed by it" in said
    assert sent(emulator).count("PATCH /serverless/{id}") == 1
    _wait(lambda: not _plugins(stack), 10)
    assert stack.up().summary == {"same": 1, "update": 1}
