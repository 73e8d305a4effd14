"""Searches on the real engine: one stack and fifty, causes, secrets, what is no drift, and what a search leaves alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drift.support import command, identifiers, search, search_one
from engine.harness import STACK, Stack
from engine.programs import endpoint, volume
from runpod_serverless_provider.drift import DriftError, Up, find_drift

if TYPE_CHECKING:
    from runpod_emulator.running import Running


def _digests(*directories: Path) -> dict[str, str]:
    files = (path for directory in directories for path in directory.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _copies(stack: Stack, emulator: Running, count: int) -> list[str]:
    """Give a project more stacks like the one it has, each with an endpoint of its own; all are as Runpod has them."""
    backend = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi" / "stacks" / "harness"
    text, (original,) = (backend / f"{STACK}.json").read_text(), emulator.state()["stored"]["endpoints"]
    names = [f"copy-{number}" for number in range(count)]
    for name in names:
        twin = {key: value for key, value in original.items() if not key.startswith("_")}
        emulator.seed(endpoints=[{**twin, "id": name, "createdAt": original["createdAt"]}])
        copied = text.replace(f"urn:pulumi:{STACK}::", f"urn:pulumi:{name}::").replace(original["id"], name)
        (backend / f"{name}.json").write_text(copied.replace(f"harness-{STACK}", f"harness-{name}"))
        shutil.copy(stack.directory / f"Pulumi.{STACK}.yaml", stack.directory / f"Pulumi.{name}.yaml")
    return names


def test_fifty_stacks_are_searched_with_one_command(stack: Stack, emulator: Running) -> None:
    """Those that drifted are named, and what goes wrong with one is said of that one; nothing is written."""
    stack.write({"api": endpoint(name="api", workers=3)})
    stack.up()
    names = _copies(stack, emulator, 49)
    emulator.mutate("endpoints", "copy-7", workers={"max": 2})
    emulator.delete("endpoints", "copy-48")
    (stack.directory / "Pulumi.copy-9.yaml").write_text("encryptionsalt: none\n")
    backend = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
    before = _digests(backend, stack.directory)
    emulator.clear_requests()
    done = command(stack, "--all", "--format", "json", "--no-program")
    assert done.returncode == 2, done.stderr
    report = json.loads(done.stdout)
    by_name = {item["stack"]: item for item in report["stacks"]}
    assert set(by_name) == {STACK, *names}
    assert {name for name, item in by_name.items() if item["resources"]} == {"copy-7", "copy-48"}
    assert {name for name, item in by_name.items() if item["error"]} == {"copy-9"}
    assert "secrets manager" in by_name["copy-9"]["error"]
    assert by_name["copy-48"]["resources"][0]["isGone"] is True
    assert "[50/50] harness/" in done.stderr
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}
    some = search(stack, stacks=["copy-1", "copy-7", "copy-48"])
    assert [[item.up for item in found.resources] for found in some.stacks] == [[], [Up.UPDATE], [Up.CREATE]]
    assert _digests(backend, stack.directory) == before


def test_a_rate_limit_slows_a_search_down_and_fails_nothing(stack: Stack, emulator: Running) -> None:
    """Stacks that are searched at a time share the account's requests: they wait for one another's window."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    _copies(stack, emulator, 5)
    emulator.set(quota=2, minute_seconds=2)
    emulator.clear_requests()
    found = search(stack, all_stacks=True, with_program=False)
    assert [item.exit_code for item in found.stacks] == [0] * 6
    statuses = [entry["status"] for entry in emulator.requests()]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) == 6


def test_a_stack_that_is_asked_for_twice_is_searched_once(stack: Stack, emulator: Running) -> None:
    """And the short name of a stack is as good as the full one."""
    stack.write({})
    stack.pulumi("stack", "ls")
    found = search(stack, stacks=[STACK, f"organization/harness/{STACK}"])
    assert [(item.project, item.stack, item.exit_code) for item in found.stacks] == [("harness", STACK, 0)]


def test_the_selected_stack_is_searched_where_none_is_named(stack: Stack, emulator: Running) -> None:
    """And where none is selected, it is said which there are."""
    stack.write({})
    stack.pulumi("stack", "init", "other")
    assert [item.stack for item in search(stack).stacks] == ["other"]
    stack.pulumi("stack", "unselect")
    with pytest.raises(DriftError, match=rf"name one with --stack \(there are {STACK}, other\), or take --all"):
        search(stack)


def test_an_unknown_stack_is_an_error_of_its_own(stack: Stack, emulator: Running) -> None:
    """The others are searched."""
    stack.write({})
    stack.pulumi("stack", "ls")
    found = search(stack, stacks=["nobody", STACK])
    assert [(item.label, item.exit_code) for item in found.stacks] == [("nobody", 2), (f"harness/{STACK}", 0)]
    assert "nobody" in found.stacks[0].error


def test_a_search_that_cannot_begin_says_why(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """No project, no CLI, contradicting wishes; the command exits with 2 and prints nothing to standard output."""
    stack.write({})
    stack.pulumi("stack", "ls")
    with pytest.raises(DriftError, match="cannot list the stacks"):
        find_drift(tmp_path / "home", environment=stack.environment, all_stacks=False)
    with pytest.raises(DriftError, match="cannot be started"):
        search(stack, pulumi=str(tmp_path / "pulumi"))
    with pytest.raises(DriftError, match="not both"):
        search(stack, stacks=[STACK], all_stacks=True)
    for arguments in (("--stack", STACK, "--all"), ("--pulumi", "no-such-program"), ("--parallel", "0"), ("--format", "xml")):
        done = command(stack, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr


def test_a_program_that_cannot_run_leaves_the_column_empty_with_the_reason(stack: Stack, emulator: Running) -> None:
    """State and Runpod are compared all the same; that the program did not run is no error, and no drift."""
    stack.write({"api": endpoint(name="api"), "models": volume(name="models", size=20)})
    stack.up()
    (stack.directory / "Pulumi.yaml").write_text("name: harness\nruntime: python\n")
    (stack.directory / "__main__.py").write_text("")
    done = command(stack)
    assert done.returncode == 0
    assert "What `up` would do is not known: " in done.stdout
    assert "pulumi-language-python" in done.stdout
    emulator.mutate("networkVolumes", identifiers(stack)["models"], name="theirs")
    (found,) = search(stack).stacks
    assert [(item.name, item.up) for item in found.resources] == [("models", None)]
    assert "pulumi-language-python" in found.up_unknown
    assert found.exit_code == 7


def test_a_program_that_fails_leaves_the_column_empty_with_the_reason(stack: Stack, emulator: Running) -> None:
    """Of a YAML program, the engine has it among the information."""
    stack.write({"api": endpoint(name="api", workers=3)})
    stack.up()
    stack.write({"api": endpoint(name="api", workers=3, colour="red")})
    (found,) = search(stack).stacks
    assert (found.exit_code, found.error) == (0, "")
    assert found.up_unknown.startswith("Error: Property colour does not exist on 'runpod-serverless:index:Endpoint'")


def test_workers_that_make_no_sense_are_said_to_be_unknown(stack: Stack, emulator: Running) -> None:
    """The drift is known without them, and the exit code is that of drift."""
    stack.write({"api": endpoint(name="api", workers=3)})
    stack.up()
    emulator.mutate("endpoints", identifiers(stack)["api"], workers={"max": 2})
    emulator.fault("add-fields", method="GET", path="/v2/serverless/*/workers", fields={"workers": None})
    done = command(stack)
    assert done.returncode == 7, done.stderr
    assert "The workers could not be listed: Runpod's answer is not a list of workers" in done.stdout.replace("\n ", "")


def test_workers_that_are_still_waited_for_are_no_drift(stack: Stack, emulator: Running) -> None:
    """The next `up` waits on; Runpod has what the state says."""
    stack.write({"api": endpoint(workers={"min": 2, "max": 2}, waitForReady=1)})
    assert stack.up(exit_code=None).exit_code != 0
    assert search_one(stack).resources == ()
    emulator.advance(100)
    assert search_one(stack).resources == ()
