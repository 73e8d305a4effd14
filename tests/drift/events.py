"""Events as the engine prints them, for tests that need no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from runpod_serverless_provider.drift.engine import Run, parse

SECRET: Final = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
COMPUTED: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
ENDPOINT: Final = "runpod-serverless:index:Endpoint"
DYNAMIC: Final = "pulumi-python:dynamic/runpod-serverless:Endpoint"
VOLUME: Final = "runpod-serverless:index:NetworkVolume"


def urn(name: str, token: str = ENDPOINT) -> str:
    """Make an URN."""
    return f"urn:pulumi:dev::project::{token}::{name}"


def state(inputs: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any] | None:
    """Make one side of a step; None where there is nothing."""
    if inputs is None:
        return None
    return {"id": "id-1", "inputs": dict(inputs), "outputs": dict(inputs if outputs is None else outputs), **more}


def step(
    kind: str,
    op: str,
    name: str = "api",
    token: str = ENDPOINT,
    *,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    changes: Mapping[str, str] | None = None,
    **more: Any,
) -> str:
    """Write a `resOutputsEvent` or a `resourcePreEvent`."""
    detailed = None if changes is None else {path: {"diffKind": change, "inputDiff": True} for path, change in changes.items()}
    given = {"op": op, "urn": urn(name, token), "type": token, "old": old, "new": new, "detailedDiff": detailed, **more}
    return json.dumps({kind: {"metadata": given}})


def done(op: str, *arguments: Any, **more: Any) -> str:
    """Write the result of a refresh."""
    return step("resOutputsEvent", op, *arguments, **more)


def planned(op: str, *arguments: Any, **more: Any) -> str:
    """Write a step of a preview."""
    return step("resourcePreEvent", op, *arguments, **more)


def error(message: str, about: str = "") -> str:
    """Write an error."""
    return json.dumps({"diagnosticEvent": {"severity": "error", "message": f"{message}\n", "urn": about}})


SUMMARY: Final = json.dumps({"summaryEvent": {"resourceChanges": {}}})


def run(*lines: str, exit_code: int = 0, stderr: str = "") -> Run:
    """Read lines as the output of one command."""
    return parse(exit_code, "\n".join([*lines, SUMMARY]), stderr)
