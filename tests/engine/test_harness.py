"""The harness itself, on programs that need no provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pulumi
import pytest

from engine.harness import Stack
from engine.watched import PROVIDER
from unit.contract import ABSENT, document

if TYPE_CHECKING:
    from engine.watched import Watched


def test_a_program_comes_up_and_goes_away(stack: Stack) -> None:
    """The verbs report the engine's steps, and outputs come back as values."""
    stack.write(config={"word": {"type": "string", "default": "hello"}}, outputs={"greeting": "${word}", "count": 3})
    assert stack.preview().ops("harness-dev") == ["create"]
    assert stack.up().summary == {"create": 1}
    assert stack.outputs() == {"greeting": "hello", "count": 3}
    stack.expect_no_changes()
    stack.refresh()
    assert [resource["type"] for resource in stack.state()] == ["pulumi:pulumi:Stack"]
    assert stack.destroy().ops("harness-dev") == ["delete"]


def test_configuration_can_be_secret(stack: Stack) -> None:
    """A secret is shown only to who asks for it."""
    stack.write(config={"word": {"type": "string"}}, outputs={"word": "${word}"})
    stack.configure("word", "quiet", secret=True)
    stack.up()
    assert stack.outputs() == {"word": "[secret]"}
    assert stack.outputs("--show-secrets") == {"word": "quiet"}


def test_a_changed_plan_has_its_own_exit_code(stack: Stack) -> None:
    """A preview that must find nothing, and finds something, exits with 7."""
    stack.write(outputs={"count": 3})
    assert stack.preview("--expect-no-changes", exit_code=None).exit_code == 7


def test_a_failed_command_shows_what_the_engine_said(stack: Stack) -> None:
    """An unexpected exit code fails the test, and its message holds the diagnostics; an expected one gives them as a list."""
    stack.write(outputs={"count": "${missing}"})
    with pytest.raises(pytest.fail.Exception, match="missing"):
        stack.up()
    assert any("missing" in message for message in stack.up(exit_code=None).said("error"))


def test_a_python_program_runs_in_this_process(stack: Stack) -> None:
    """Programs for the Automation API need no language host."""
    inline = stack.inline(lambda: pulumi.export("answer", 42))
    assert inline.up().outputs["answer"].value == 42
    inline.destroy()


def test_what_the_document_forbids_is_found(running_emulator: Watched) -> None:
    """Also where the log was cleared since; what others than the provider send is theirs."""
    if document() is None:
        pytest.skip(ABSENT)
    running_emulator.violations()
    with httpx.Client(base_url=f"{running_emulator.url}/v2", headers={"authorization": "Bearer k"}, trust_env=False) as client:
        ours = {"user-agent": f"{PROVIDER}1"}
        for headers in (ours, {}):
            client.post("/serverless", json={"moon": 1}, headers=headers)
        client.get("/serverless/e1/workers/w1/logs", params={"moon": 1}, headers=ours)
        client.get("/serverless/e1/workers", headers=ours)
    running_emulator.clear_requests()
    running_emulator.reset()
    wrong = running_emulator.violations()
    assert [request.split()[:2] for request in wrong] == [["POST", "/v2/serverless"], ["GET", "/v2/serverless/e1/workers/w1/logs"]]
    assert running_emulator.violations() == {}


def test_a_command_that_only_looks_may_change_nothing(running_emulator: Watched) -> None:
    """Also where the log was cleared since; what others than the provider do is theirs, and so is what came before."""
    running_emulator.violations()
    with httpx.Client(base_url=f"{running_emulator.url}/v2", headers={"authorization": "Bearer k"}, trust_env=False) as client:
        ours = {"user-agent": f"{PROVIDER}1"}
        client.delete("/templates/before", headers=ours)
        with running_emulator.looked_at("pulumi preview"):
            client.get("/serverless", headers=ours)
            client.delete("/templates/seen", headers=ours)
            running_emulator.clear_requests()
            client.delete("/templates/theirs")
    assert running_emulator.violations() == {"DELETE /v2/templates/seen": ["pulumi preview must only look"]}
    assert running_emulator.violations() == {}
