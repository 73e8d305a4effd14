"""What the READMEs of the examples tell, beside that each comes up and goes away."""

from __future__ import annotations

import json
import runpy
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from tools.examples import NEEDED, SECRETS

from engine.harness import ROOT, Outcome, Stack
from engine.programs import sent

if TYPE_CHECKING:
    from pulumi import automation

    from runpod_emulator.running import Running

EXAMPLES = ROOT / "examples"


def _yaml(stack: Stack, example: str) -> Stack:
    shutil.copy(EXAMPLES / example / "Pulumi.yaml", stack.directory)
    return stack


def _python(stack: Stack, example: str) -> automation.Stack:
    return stack.inline(lambda: runpy.run_path(str(EXAMPLES / example / "__main__.py"), run_name="__main__") and None)


def _set(program: automation.Stack, **config: str) -> None:
    from pulumi import automation

    program.set_all_config({name: automation.ConfigValue(value, secret=name in SECRETS) for name, value in config.items()})


def _live(emulator: Running) -> dict[str, dict[str, Any]]:
    """Give the endpoints by logical name."""
    return {item["name"].rpartition("-")[0]: item for item in emulator.state()["endpoints"]}


def _ops(outcome: Outcome) -> dict[str, str]:
    return {step.name: step.op for step in outcome.steps if step.op in ("update", "replace")}


def test_vllm_is_reached_as_openai_is(stack: Stack, emulator: Running) -> None:
    """The URL is what an OpenAI client takes, the image is pulled with the credentials, and another token keeps the endpoint."""
    program = _python(stack, "vllm")
    _set(program, **NEEDED["vllm"])
    outputs = program.up().outputs
    (live,) = emulator.state()["endpoints"]
    assert outputs["openaiUrl"].value == f"{emulator.url}/v2/{live['id']}/openai/v1"
    assert live["registry"] == emulator.state()["registries"][0]["id"]
    assert live["networkVolumes"] == [emulator.state()["networkVolumes"][0]["id"]]
    assert set(live["gpu"]["pools"]) == {"ADA_80_PRO", "AMPERE_80"}
    _set(program, **{**NEEDED["vllm"], "hfToken": "hf_second"})
    emulator.clear_requests()
    assert program.up().outputs["endpointId"].value == live["id"]
    assert sent(emulator) == ["PATCH /serverless/{id}"]
    assert emulator.state()["endpoints"][0]["env"]["HF_TOKEN"] == "hf_second"
    state = json.dumps(stack.state())
    assert "hf_second" not in state
    assert "a-password" not in state


def test_an_api_on_cpus_is_scaled_without_another_url(stack: Stack, emulator: Running) -> None:
    """Its ports are in the environment, and another limit of workers is an update."""
    _yaml(stack, "cpu-api").up()
    (live,) = emulator.state()["endpoints"]
    assert (live["type"], live["env"]["PORT"], live["env"]["PORT_HEALTH"]) == ("LOAD_BALANCER", "8000", "8001")
    url = stack.outputs()["url"]
    assert live["id"] in url
    stack.configure("workers", "5")
    assert _ops(stack.up()) == {"api": "update"}
    assert stack.outputs()["url"] == url
    assert emulator.state()["endpoints"][0]["workers"]["max"] == 5


def test_an_edited_template_shows_what_it_does_to_each_endpoint(stack: Stack, emulator: Running) -> None:
    """The table in the README, row by row."""
    _yaml(stack, "template").up()
    before = _live(emulator)
    stack.configure("logLevel", "debug")
    assert _ops(stack.preview()) == {"common": "update", "large": "update", "small": "update", "batch": "update"}
    emulator.clear_requests()
    stack.up()
    assert Counter(sent(emulator)) == {"PATCH /templates/{id}": 1, "PATCH /serverless/{id}": 3}
    assert {live["env"]["LOG_LEVEL"] for live in _live(emulator).values()} == {"debug"}
    stack.configure("image", "ghcr.io/somebody/worker:2")
    assert _ops(stack.preview()) == {"common": "update", "large": "replace", "small": "update", "batch": "update"}
    emulator.clear_requests()
    stack.up()
    assert [entry["method"] for entry in emulator.requests() if entry["path"].endswith(before["batch"]["id"])] == []
    after = _live(emulator)
    assert [name for name in before if before[name]["id"] != after[name]["id"]] == ["large"]
    assert [after[name]["image"].rpartition("/")[2] for name in ("large", "small", "batch")] == ["worker:2", "worker:2", "batch:1"]


def test_an_image_a_day_keeps_the_url(stack: Stack, emulator: Running) -> None:
    """Each day is one PATCH, which Runpod rolls out."""
    program = _python(stack, "rolling")
    first = program.up().outputs
    for release in ("2026-06-02", "2026-06-03"):
        _set(program, release=release)
        emulator.clear_requests()
        outputs = program.up().outputs
        assert sent(emulator) == ["PATCH /serverless/{id}"]
        assert {name: output.value for name, output in outputs.items()} == {name: output.value for name, output in first.items()}
        (live,) = emulator.state()["endpoints"]
        assert live["image"].endswith(f":{release}")
        assert live["env"] == {"RELEASE": release}
