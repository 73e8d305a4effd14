"""The harness itself, on programs that need no provider."""

from __future__ import annotations

import pulumi
import pytest

from engine.harness import Stack


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
