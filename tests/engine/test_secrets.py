"""Secrets are nowhere in clear: not in what the commands print, not in logs, not in errors, and not in any file of the backend."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest

from engine.harness import Stack
from engine.programs import ENDPOINT, endpoint, secret

if TYPE_CHECKING:
    from runpod_emulator.running import Running

KEY: Final = "rpa_CANARY/KEY+0123456789"
VALUE: Final = 'hunter2/with+special&"chars"=ü'
TEMPLATE_VALUE: Final = "templ@te canary 77"
DRIFTED: Final = "somebody's own canary 88"
SHORT: Final = "~Q^"
CANARIES: Final = (KEY, VALUE, TEMPLATE_VALUE, DRIFTED, SHORT)
OF_THE_ENGINE: Final = "arshaling property for RPC"
"""What a line of the engine's own log says that writes a value: `-v=9` shows what passes between the engine and all programs."""


def _leaks(text: str, canaries: Iterable[str] = CANARIES) -> list[str]:
    """Give the canaries that stand in a text in any form: as they are, quoted, for URLs or, where they are long enough, in base64."""
    found = []
    for canary in canaries:
        forms = {canary, json.dumps(canary)[1:-1], json.dumps(canary, ensure_ascii=False)[1:-1], repr(canary)[1:-1]}
        forms |= {quote(canary, safe=""), quote(canary)}
        if len(canary) > len(SHORT):
            forms.add(base64.b64encode(canary.encode()).decode().rstrip("=")[:-1])
        found += [f"{form} in: {text[max(0, at - 200) : at + 100]}" for form in forms if (at := text.find(form)) >= 0]
    return found


def _program(**properties: Any) -> dict[str, Any]:
    return {
        "api": endpoint(
            name="api", env={"VALUE": "${value}", "SHORT": "${short}"}, template={"env": {"T": "${template}"}}, **properties
        )
    }


def _configured(stack: Stack) -> None:
    for name, text in {"value": VALUE, "short": SHORT, "template": TEMPLATE_VALUE}.items():
        stack.configure(name, text, secret=True)


LOUD: Final = ("--logtostderr", "--logflow", "-v=9")
CONFIG: Final = {name: {"type": "string"} for name in ("value", "short", "template")}


def _said(stack: Stack, *arguments: str, exit_code: int | None = 0) -> str:
    done = stack.pulumi(*arguments, exit_code=exit_code)
    lines = [line for line in done.stderr.splitlines() if OF_THE_ENGINE not in line]
    return "\n".join([done.stdout, *lines])


def _stored(tmp_path: Path) -> str:
    return "\n".join(
        path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".yaml", ".bak")
    )


def test_no_command_prints_a_secret_and_no_file_holds_one(stack: Stack, emulator: Running, tmp_path: Path) -> None:
    """With the most talkative options, through a whole life, also when somebody changed a secret value behind the stack's back."""
    stack.environment["RUNPOD_API_KEY"] = KEY
    stack.write(_program(), config=CONFIG, outputs={"env": "${api.env}", "api": "${api}"})
    _configured(stack)
    said = [
        _said(stack, "preview", "--diff"),
        _said(stack, "preview", "--json"),
        _said(stack, "up", "--yes", "--diff", *LOUD),
    ]
    (live,) = emulator.state()["endpoints"]
    assert live["env"] == {"VALUE": VALUE, "SHORT": SHORT, "T": TEMPLATE_VALUE}
    emulator.mutate("endpoints", live["id"], env={"VALUE": DRIFTED, "SHORT": SHORT, "T": TEMPLATE_VALUE})
    stack.write(_program(workers=2), config=CONFIG, outputs={"env": "${api.env}", "api": "${api}"})
    said += [
        _said(stack, "refresh", "--yes", "--diff"),
        _said(stack, "stack", "export"),
        _said(stack, "preview", "--diff", "--json"),
        _said(stack, "up", "--yes", "--diff", "--debug"),
        _said(stack, "stack", "--show-urns"),
        _said(stack, "destroy", "--yes", "--json"),
    ]
    assert [leak for text in said for leak in _leaks(text)] == []
    assert "runpod_serverless_provider" in said[2]  # the plugin's own log is among it
    assert _leaks(_stored(tmp_path)) == []


def test_a_key_in_plain_configuration_is_secret_in_the_state(stack: Stack, emulator: Running) -> None:
    """The provider marks its key, whatever the program says; a key from the environment is not stored at all."""
    stack.write({"api": endpoint()})
    stack.up()
    (provider,) = (resource for resource in stack.state() if resource["type"].startswith("pulumi:providers:"))
    assert "apiKey" not in json.dumps(provider)
    del stack.environment["RUNPOD_API_KEY"]
    stack.configure("runpod-serverless:apiKey", KEY)
    assert _leaks(_said(stack, "up", "--yes", "--diff", *LOUD)) == []
    assert _leaks(_said(stack, "stack", "export")) == []
    (provider,) = (resource for resource in stack.state("--show-secrets") if resource["type"].startswith("pulumi:providers:"))
    assert "CANARY" in json.dumps(provider["inputs"]["apiKey"])


def test_an_imported_env_is_secret_in_the_state(stack: Stack, emulator: Running) -> None:
    """Nobody can know which values are secret, so that all of them are; with `--generate-code=false` nothing prints them."""
    emulator.seed(endpoints=[{"id": "existing", "name": "api", "env": {"VALUE": VALUE, "SHORT": SHORT, "PORT": "80"}}])
    stack.write()
    said = _said(stack, "import", "--yes", "--skip-preview", "--generate-code=false", ENDPOINT, "api", "existing")
    said += _said(stack, "stack", "export")
    said += _said(stack, "refresh", "--yes", "--diff")
    said += _said(stack, "stack", "export")
    assert _leaks(said) == []


BROKEN: Final[dict[str, dict[str, Any]]] = {
    "a CPU size": {"cpu": secret("cpu-~Q^-canary 88")},
    "a GPU": {"gpu": secret(["NVIDIA canary 88"])},
    "a data center": {"datacenter": secret("canary 88")},
    "a blank image": {"image": secret("  "), "env": {"A": secret("canary 88")}},
    "a key beside a secret": {"env": {"A=B": secret("canary 88")}},
    "a whole map": {"env": secret({"A=B": "canary 88", "C": SHORT})},
    "a template": {"template": secret({"args": "canary 88", "containerDiskInGb": 0})},
    "ports": {"template": {"ports": secret(["canary 88/udp"])}},
    "a volume": {"volume": secret("canary 88")},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_failure_does_not_show_a_secret_value(stack: Stack, emulator: Running, what: str) -> None:
    """The message names the property and hides its value, for the CLI prints the value of each property that a failure names."""
    stack.write({"api": endpoint(**BROKEN[what])})
    failed = stack.preview(exit_code=1)
    assert failed.said("error")
    assert _leaks(failed.stdout + failed.stderr, ("canary 88", "CANARY 88", SHORT)) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 400, "detail": f"bad env {VALUE!r}, {TEMPLATE_VALUE} and '{SHORT}' with Bearer {KEY}"},
        {"action": "add-fields", "fields": {"gpu": [VALUE], "env": [TEMPLATE_VALUE]}},
        {"action": "wrong-json", "body": f"{VALUE} {KEY}"},
    ],
    ids=["refused", "unreadable", "senseless"],
)
def test_an_error_does_not_repeat_what_the_api_echoes(
    stack: Stack, emulator: Running, tmp_path: Path, fault: dict[str, Any]
) -> None:
    """Refusals, and exceptions about answers that make no sense, go out without the secrets of the call and the key."""
    stack.environment["RUNPOD_API_KEY"] = KEY
    stack.write(_program(), config=CONFIG)
    _configured(stack)
    emulator.fault(method="POST", path="/v2/serverless", **fault)
    emulator.fault(method="GET", path="/v2/serverless", times=None, **fault)  # where the provider looks for what was lost
    failed = stack.up(*LOUD, exit_code=None)
    assert failed.exit_code != 0
    lines = [line for line in failed.stderr.splitlines() if OF_THE_ENGINE not in line]
    assert _leaks(failed.stdout + "\n".join(lines)) == []
    assert _leaks(_stored(tmp_path)) == []
