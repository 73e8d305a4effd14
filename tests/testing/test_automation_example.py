"""The example of the Automation API, with ten tenants on an emulator."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pulumi import automation
from pulumi.automation._cmd import CommandResult
from rich.console import Console

from engine.harness import ROOT
from pulumi_runpod_serverless.testing import InlinePrograms, LocalRunpod

FILE = ROOT / "examples" / "automation" / "tenants.py"
NAMES = [f"tenant{number}" for number in range(10)]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Load the example as a module, in a directory of the test's own; what its failing programs leave open is closed."""
    programs = InlinePrograms()
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("tenants", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tenants", module)
    spec.loader.exec_module(module)
    program = module.Tenant.program
    monkeypatch.setattr(module.Tenant, "program", lambda tenant: programs.made_of(lambda: program(tenant))())
    yield module
    programs.close()


class Meeting:
    """Tells how many programs run at once: the first ones wait until so many have begun."""

    def __init__(self, size: int) -> None:
        self.size, self.most = size, 0
        self._here = self._begun = 0
        self._change = threading.Condition()

    def around(self, program: Callable[[Any], None]) -> Callable[[Any], None]:
        """Let a program take part."""

        def met(tenant: Any) -> None:
            with self._change:
                self._here, self._begun = self._here + 1, self._begun + 1
                self.most = max(self.most, self._here)
                self._change.notify_all()
                assert self._change.wait_for(lambda: self._begun >= self.size, timeout=120)
            try:
                program(tenant)
            finally:
                with self._change:
                    self._here -= 1

        return met


def _console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=160)


def _printed(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_ten_tenants_come_up_at_once_and_go(runpod: LocalRunpod, example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a volume and an endpoint of its own, the bar counts them, and a preview before has done nothing."""
    tenants = [example.Tenant(name) for name in NAMES]
    previewed = example.for_all(example.preview, tenants[:2], _console())
    assert [outcome.changes for outcome in previewed] == [{"create": 3}] * 2
    assert not runpod.emulator.state()["networkVolumes"]
    console = _console()
    meeting = Meeting(example.AT_ONCE)
    monkeypatch.setattr(example.Tenant, "program", meeting.around(example.Tenant.program))
    outcomes = example.for_all(example.up, tenants, console)
    assert meeting.most == example.AT_ONCE > 1
    assert [str(outcome.problems) for outcome in outcomes] == ["[]"] * 10
    assert "10/10" in _printed(console) and "up tenant" in _printed(console)
    made = {endpoint["id"] for endpoint in runpod.emulator.state()["endpoints"]}
    assert len(made) == 10
    assert {outcome.outputs["url"] for outcome in outcomes} == {f"{runpod.emulator.url}/v2/{id}/runsync" for id in made}
    assert len({outcome.outputs["volume"] for outcome in outcomes}) == 10
    example.for_all(example.destroy, tenants, _console())
    assert not runpod.emulator.state()["endpoints"] and not runpod.emulator.state()["networkVolumes"]


def test_one_tenant_that_fails_stops_no_other(runpod: LocalRunpod, example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The others come up; what is said names the tenant, the resource and the cause."""
    runpod.emulator.set(worker_quota=20)
    tenants = [example.Tenant(name, workers=50 if name == "tenant4" else 1) for name in NAMES]
    outcomes = example.for_all(example.up, tenants, _console())
    (failed,) = (outcome for outcome in outcomes if outcome.problems)
    assert failed.tenant.name == "tenant4"
    (problem,) = failed.problems
    assert problem.startswith("llm: ") and "worker" in problem and "quota (20)" in problem
    assert str(failed).startswith("tenant4: llm: ")
    assert len(runpod.emulator.state()["endpoints"]) == 9
    assert all(outcome.outputs["url"] for outcome in outcomes if outcome is not failed)


def test_it_runs_from_the_command_line(runpod: LocalRunpod, tmp_path: Path) -> None:
    """Its exit code says whether all went well, and it finds its stacks again."""
    for verb, code in (("up", 0), ("destroy", 0)):
        done = subprocess.run([sys.executable, FILE, verb, "acme"], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert f"{verb} acme: " in done.stdout
        if verb == "up":
            previewed, came_up = done.stdout.index("preview acme: 3 create"), done.stdout.index("up acme: 3 create")
            assert previewed < came_up
    assert not runpod.emulator.state()["endpoints"]
    runpod.emulator.fault("status", method="POST", path="/v2/network-volumes", status=402, detail="the balance is too low")
    done = subprocess.run([sys.executable, FILE, "up", "acme"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "failed  acme: models: " in done.stdout and "the balance is too low" in done.stdout
    assert os.environ["RUNPOD_API_KEY"] not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: verb, TENANT"),
        (["up"], "the following arguments are required: TENANT"),
        (["sideways", "acme"], "invalid choice: 'sideways'"),
        (["up", "../acme"], "'../acme' is no name for a stack"),
        (["up", ""], "'' is no name for a stack"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(
    example: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """With the usage, and before anything is made."""
    with pytest.raises(SystemExit) as ended:
        example.main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("usage: ") and said in printed.err
    assert not example.STACKS.exists()


@pytest.mark.parametrize(
    ("stdout", "stderr"), [("", "error: no login\n"), ("error: no login\n", ""), ("Updating\n\nno login", "\n")]
)
def test_a_failure_of_no_resource_is_the_last_word_of_the_cli(runpod: LocalRunpod, example: Any, stdout: str, stderr: str) -> None:
    """Without the names of where it was printed."""

    def fail(*_: object) -> None:
        raise automation.CommandError(CommandResult(stdout, stderr, 255))

    (outcome,) = example.for_all(fail, [example.Tenant("acme")], _console())
    assert outcome.problems == ["no login"]
