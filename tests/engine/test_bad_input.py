"""What the user got wrong is said before any POST, by the path of each property and with what would be right."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pytest
from pulumi import automation

from engine.harness import Outcome, Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, secret, sent, volume

if TYPE_CHECKING:
    from runpod_emulator.running import Running

Wrong = tuple[dict[str, Any], dict[str, str]]
"""A resource, and words of what must be said by the path that the words must follow."""

CASES: Final[dict[str, Wrong]] = {
    "numbers out of bounds": (
        endpoint(
            workers={"min": 3, "max": 2},
            idleTimeout=0,
            scalerValue=0.25,
            executionTimeoutMs=1,
            gpuCount=0,
            template={"containerDiskInGb": 0},
        ),
        {
            "workers": "min (3) must not exceed max (2)",
            "idleTimeout": "must be at least 1, not 0",
            "scalerValue": "at least 0.5, not 0.25",
            "executionTimeoutMs": "0 (no limit) or 5000 to 604800000",
            "gpuCount": "must be at least 1, not 0",
            "template.containerDiskInGb": "must be at least 1, not 0",
        },
    ),
    "more numbers out of bounds": (
        endpoint(workers=-1, idleTimeout=3601, scalerType="REQUEST_COUNT", scalerValue=2.5),
        {
            "workers": "at least 0, not -1",
            "idleTimeout": "must be at most 3600, not 3601",
            "scalerValue": "a whole number from 1, not 2.5",
        },
    ),
    "words that mean nothing": (
        endpoint(image=None, minCudaVersion="twelve", pythonVersion="3.9", scalerType="FAST", flashboot="ON", env={"": "x"}),
        {
            "minCudaVersion": "'12.8'",
            "pythonVersion": "'3.10', '3.11', '3.12' or '3.13'",
            "scalerType": "'QUEUE_DELAY' or 'REQUEST_COUNT'",
            "flashboot": "'FLASHBOOT'",
            "env": "must not be empty",
        },
    ),
    "things that exclude each other": (
        endpoint(minCudaVersion="12.4", allowedCudaVersions=["12.8"], pythonVersion="3.11"),
        {"minCudaVersion": "excludes allowedCudaVersions", "pythonVersion": "means nothing beside image"},
    ),
    "gpu and cpu": (endpoint(gpu="ADA_24", cpu="cpu3c-2-4"), {"cpu": "excludes gpu"}),
    "an idle time-out that does not apply": (
        endpoint(scalerType="REQUEST_COUNT", idleTimeout=60),
        {"idleTimeout": "does not apply to a QUEUE endpoint that scales on REQUEST_COUNT"},
    ),
    "a load balancer without a queue": (
        endpoint(type="LOAD_BALANCER", scalerType="QUEUE_DELAY"),
        {"scalerType": "scales on REQUEST_COUNT only"},
    ),
    "one vCPU": (endpoint(cpu="cpu3c-1-2"), {"cpu": "cpu3c-2-4, cpu3c-4-8, cpu3c-8-16"}),
    "no CPU size": (endpoint(cpu="cpu5c_4_8"), {"cpu": "did you mean 'cpu5c-4-8'"}),
    "too large a disk": (
        endpoint(cpu=["cpu3c-2-4", "cpu5c-4-8"], template={"containerDiskInGb": 21}),
        {"template.containerDiskInGb": "21 GB is more than the 20 GB"},
    ),
    "a key twice": (
        endpoint(template={"env": [{"key": "A", "value": "1"}, {"key": "A", "value": "2"}]}),
        {"template.env": "has the key of an item before it"},
    ),
    "what the catalog does not have": (
        endpoint(gpu=["NVIDIA RTX 4090", "ADA_24"], datacenter="EU-RO-9", volume="nowhere"),
        {
            "gpu": "did you mean 'NVIDIA GeForce RTX 4090'",
            "datacenter": "did you mean 'EU-RO-1'",
            "volume": "no network volume 'nowhere'",
        },
    ),
    "a CPU flavor that does not exist": (endpoint(cpu="cpu3x-2-4"), {"cpu": "did you mean 'cpu3g' or 'cpu3c'"}),
    "a CPU where there is none": (endpoint(cpu="cpu3c-2-4", datacenter="US-CA-2"), {"datacenter": "offers cpu3c in EU-RO-1"}),
    "volumes in the wrong place": (
        endpoint(volume=["first", "second", "elsewhere"], datacenter="EU-RO-1"),
        {"volume": "at most one network volume a data center"},
    ),
    "too small a volume": (volume(size=9), {"size": "must be at least 10, not 9"}),
    "too large a volume": (
        volume(size=4097, type="FAST"),
        {"size": "must be at most 4096, not 4097", "type": "'HIGH_PERFORMANCE'"},
    ),
    "a name that two volumes have": (volume(name="twin", adoptExisting=True), {"adoptExisting": "2 volumes in EU-RO-1"}),
    "adoption without a name": (volume(adoptExisting=True), {"adoptExisting": "give a name"}),
    "a volume nowhere": (volume(datacenter="EU-RO-11"), {"datacenter": "did you mean 'EU-RO-1'"}),
}


def _is_said(messages: list[str], path: str, words: str) -> bool:
    """Is there a message that begins with the path, after what the engine puts before, and holds the words?"""
    starts = (f"has a problem: {path}: ", f"- {path}: ", f"': {path}: ")
    return any(words in line for message in messages for line in message.splitlines() if any(start in line for start in starts))


@pytest.mark.parametrize("what", CASES)
def test_bad_input_is_said_with_its_path(stack: Stack, emulator: Running, what: str) -> None:
    """All that is wrong with a resource is said at once, in the preview."""
    resource, expected = CASES[what]
    emulator.seed(
        networkVolumes=[
            *({"id": name, "name": name} for name in ("first", "second")),
            {"id": "elsewhere", "dataCenter": "US-CA-2"},
            *({"name": "twin"} for _ in range(2)),
        ]
    )
    stack.write({"api": resource})
    refused = stack.preview(exit_code=1)
    messages = refused.said("error")
    assert [path for path, words in expected.items() if not _is_said(messages, path, words)] == [], messages
    assert {request.split()[0] for request in sent(emulator)} <= {"GET"}


def _refused(stack: Stack, token: str, properties: Callable[[], dict[str, Any]]) -> list[str]:
    """Give the lines of a failed preview of an untyped program, which no language's types hold back."""
    said = io.StringIO()

    def program() -> None:
        pulumi.CustomResource(token, "api", properties())

    inline = stack.inline(program)
    with pytest.raises(automation.CommandError):
        inline.preview(on_output=said.write, on_error=said.write)
    return said.getvalue().splitlines()


def test_a_misspelt_property_is_guessed(stack: Stack, emulator: Running) -> None:
    """What no type checker caught is refused by the provider, with the nearest property, also inside of an object."""
    lines = _refused(stack, ENDPOINT, lambda: {"gpuCont": 2, "workers": {"max": 1, "mim": 0}, "template": {"prots": ["80/http"]}})
    assert _is_said(lines, "gpuCont", "did you mean 'gpuCount'")
    assert _is_said(lines, "workers.mim", "did you mean 'min'")
    assert _is_said(lines, "template.prots", "did you mean 'ports'")
    assert _is_said(_refused(stack, VOLUME, lambda: {"sise": 10}), "sise", "did you mean 'size'")


def test_a_value_of_the_wrong_kind_says_what_is_wanted(stack: Stack, emulator: Running) -> None:
    """Kinds are checked at their own path, and a secret in a property that fails is not shown."""

    def wrong() -> dict[str, Any]:
        hidden = pulumi.Output.secret("hunter2-canary")
        return {"gpuCount": "two", "env": {"A": 5, "B": hidden}, "idleTimeout": 1.5, "image": ["x"]}

    lines = _refused(stack, ENDPOINT, wrong)
    assert _is_said(lines, "gpuCount", "must be a whole number, not 'two'")
    assert _is_said(lines, "env.A", "must be a string, not 5")
    assert _is_said(lines, "idleTimeout", "must be a whole number")
    assert _is_said(lines, "image", "must be a string")
    assert "canary" not in "\n".join(lines)
    assert sent(emulator) == []


def _without_key(stack: Stack) -> Outcome:
    stack.write({"api": endpoint()})
    return stack.preview(exit_code=None)


def test_a_missing_key_says_where_to_put_it(stack: Stack, emulator: Running) -> None:
    """Without a key nothing begins, and the message gives each place that is looked at."""
    del stack.environment["RUNPOD_API_KEY"]
    refused = _without_key(stack)
    assert refused.exit_code != 0
    text = "\n".join(refused.said("error"))
    for place in ("runpod-serverless:apiKey", "RUNPOD_API_KEY", "~/.runpod/config.toml"):
        assert place in text
    assert emulator.requests() == []


def test_a_wrong_key_says_where_it_came_from(stack: Stack, emulator: Running) -> None:
    """A key that Runpod refuses is not shown; the message says where keys are taken from, in order."""
    stack.environment["RUNPOD_API_KEY"] = "wrong-key-canary"
    refused = _without_key(stack)
    (message, *_) = refused.said("error")
    assert "401" in message
    assert message.index("runpod-serverless:apiKey") < message.index("RUNPOD_API_KEY") < message.index("~/.runpod/config.toml")
    assert "canary" not in refused.stdout


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("apikey", "rpa_x", "did you mean 'apiKey'"),
        ("defaultUpdateStrategy", "rolling", "'replace', 'inPlace'"),
        ("baseUrl", "not an address", "baseUrl: "),
    ],
)
def test_bad_configuration_of_the_provider_is_said(stack: Stack, emulator: Running, key: str, value: str, words: str) -> None:
    """The provider's own configuration is checked, too, before anything else."""
    stack.write({"api": endpoint()})
    stack.configure(f"runpod-serverless:{key}", value)
    assert any(words in message for message in stack.preview(exit_code=1).said("error"))
    assert emulator.requests() == []


def test_a_key_that_is_secret_is_not_shown_by_what_is_wrong_with_it(stack: Stack, emulator: Running) -> None:
    """A key that cannot be one is refused without a word of it."""
    del stack.environment["RUNPOD_API_KEY"]
    provider = {"type": "pulumi:providers:runpod-serverless", "properties": {"apiKey": secret("two words\ncanary")}}
    stack.write({"runpod": provider, "api": endpoint({"provider": "${runpod}"})})
    refused = stack.preview(exit_code=1)
    assert any("apiKey: " in message for message in refused.said("error"))
    assert "canary" not in refused.stdout
