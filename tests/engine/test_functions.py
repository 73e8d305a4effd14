"""Functions and lists on the real engine: look-ups by id and name, questions to the catalog, and never a request that changes anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine.harness import Stack
from engine.programs import endpoint, sent
from plugin.support import P, run, serving
from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.verbs import Settings
from runpod_serverless_provider.core.version import plugin_version
from runpod_serverless_provider.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from runpod_emulator.running import Running

PACKAGE: Final = "runpod-serverless"
PLUGIN: Final = str(Path(sys.executable).with_name(f"pulumi-resource-{PACKAGE}"))
CANARY: Final = "sesame-open-thyself"

CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "endpoint": ("getEndpoint", {"id": "api"}),
    "endpointByName": ("getEndpoint", {"name": "the-api"}),
    "volume": ("getNetworkVolume", {"name": "models"}),
    "template": ("getPodTemplate", {"name": "common"}),
    "registry": ("getRegistry", {"id": "registry"}),
    "endpoints": ("getEndpoints", {}),
    "volumes": ("getNetworkVolumes", {}),
    "templates": ("getPodTemplates", {}),
    "registries": ("getRegistries", {}),
    "gpuTypes": ("getGpuTypes", {"pool": "AMPERE_80"}),
    "scarceGpuTypes": ("getGpuTypes", {"datacenter": "eu-ro-1", "pool": "HOPPER_141"}),
    "cpuTypes": ("getCpuTypes", {"datacenter": "US-MD-1"}),
    "dataCenters": ("getDataCenters", {"region": "EUROPE", "networkVolumeType": "HIGH_PERFORMANCE"}),
    "workers": ("getEndpointWorkers", {"endpointId": "api"}),
    "publicTemplates": ("getPublicTemplates", {"serverless": True}),
}
"""Each function at least once."""

GETS: Final = {
    "GET /serverless/{id}": 1,
    "GET /serverless": 1,
    "GET /network-volumes": 1,
    "GET /templates": 1,
    "GET /registries/{id}": 1,
    "GET /registries": 1,
    "GET /catalog/gpus": 1,
    "GET /catalog/cpus": 1,
    "GET /catalog/datacenters": 1,
    "GET /serverless/{id}/workers": 1,
    "GET /catalog/templates": 1,
}


def _furnish(emulator: Running) -> None:
    emulator.seed(
        endpoints=[
            {"id": "api", "name": "the-api", "env": {"TOKEN": CANARY}, "workers": {"min": 1, "max": 2}},
            *({"id": f"twin{number}", "name": "twin"} for number in (1, 2)),
        ],
        networkVolumes=[{"id": "volume", "name": "models", "size": 33}],
        templates=[
            {"id": "template", "name": "common", "env": {"TOKEN": CANARY}, "args": "--fast"},
            {"id": "pods", "name": "for-pods", "serverless": False},
        ],
        registries=[{"id": "registry", "name": "mine"}],
    )


def _invoke(function: str, **arguments: Any) -> dict[str, Any]:
    return {"fn::invoke": {"function": f"{PACKAGE}:{function}", "arguments": arguments}}


def _names(items: list[dict[str, Any]], key: str = "name") -> list[str]:
    return [item[key] for item in items]


def _check_answers(found: dict[str, Any]) -> None:
    """Hold what the functions answered against the account."""
    assert found["endpoint"] == found["endpointByName"]
    assert found["endpoint"]["requestUrls"]["run"].endswith("/api/run")
    assert {name: found["endpoint"][name] for name in ("name", "workers", "gpu", "env", "flashboot")} == {
        "name": "the-api",
        "workers": {"min": 1, "max": 2},
        "gpu": ["ADA_24"],
        "env": {"TOKEN": CANARY},
        "flashboot": "OFF",
    }
    assert {name: found["volume"][name] for name in ("id", "size", "datacenter")} == {
        "id": "volume",
        "size": 33,
        "datacenter": "EU-RO-1",
    }
    assert found["template"]["settings"]["env"] == found["template"]["env"] == {"TOKEN": CANARY}
    assert found["template"]["settings"]["args"] == "--fast"
    assert {"id": "registry", "name": "mine"}.items() <= found["registry"].items()
    assert _names(found["endpoints"]["endpoints"], "id") == ["api", "twin1", "twin2"]
    assert not any(item.get("env") for item in found["endpoints"]["endpoints"])
    assert _names(found["volumes"]["networkVolumes"]) == ["models"]
    assert _names(found["templates"]["podTemplates"]) == ["common"]  # neither those of endpoints nor those for pods
    assert _names(found["registries"]["registries"]) == ["mine"]
    assert _names(found["gpuTypes"]["gpuTypes"], "id") == ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"]
    assert found["gpuTypes"]["gpuTypes"][0]["pricePerHour"] == 2.72
    assert found["scarceGpuTypes"]["gpuTypes"] == []  # there is none in that data center
    assert _names(found["cpuTypes"]["cpuTypes"], "id") == ["cpu5g"]
    assert _names(found["dataCenters"]["dataCenters"], "id") == ["EU-RO-1"]
    assert _names(found["workers"]["workers"], "status") == ["INITIALIZING"]
    assert all(item["serverless"] for item in found["publicTemplates"]["publicTemplates"])
    assert "vllm0worker" in _names(found["publicTemplates"]["publicTemplates"], "id")


def test_every_function_answers_in_yaml(stack: Stack, emulator: Running) -> None:
    """Each asks at most once a process, whatever is called how often, and nothing is changed."""
    _furnish(emulator)
    variables = {name: _invoke(function, **arguments) for name, (function, arguments) in CALLS.items()}
    stack.write({}, variables=variables, outputs={name: f"${{{name}}}" for name in CALLS})
    emulator.clear_requests()
    stack.up()
    assert Counter(sent(emulator)) == GETS
    assert CANARY not in json.dumps(stack.state()) + json.dumps(stack.outputs())
    _check_answers(stack.outputs("--show-secrets"))


def test_every_function_answers_in_python(stack: Stack, emulator: Running) -> None:
    """The generated SDK has each of them in both forms, and types their answers."""
    import pulumi

    import pulumi_runpod_serverless as runpod

    _furnish(emulator)
    snake = {"endpointId": "endpoint_id", "networkVolumeType": "network_volume_type"}
    python = {name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name, _ in CALLS.values()}

    def program() -> None:
        for name, (function, arguments) in CALLS.items():
            call: Callable[..., Any] = getattr(runpod, f"{python[function]}_output")
            pulumi.export(name, call(**{snake.get(key, key): value for key, value in arguments.items()}))
        plain = runpod.get_endpoint(name="the-api")
        pulumi.export("run", plain.request_urls.run if plain.request_urls else None)

    built = stack.inline(program)
    emulator.clear_requests()
    built.up()
    counted = Counter(sent(emulator))
    assert set(counted) == set(GETS)  # the preview and the update are two processes
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}
    outputs = built.outputs()
    assert outputs["endpoint"].secret
    assert outputs["template"].secret
    assert not outputs["endpoints"].secret
    assert outputs["run"].value.endswith("/api/run")
    assert CANARY not in json.dumps(stack.state())
    found = {name: _camel(output.value) for name, output in outputs.items()}
    _check_answers(found)


def _camel(value: Any) -> Any:
    """Give a typed result of the SDK the names of the schema."""
    if isinstance(value, dict):
        return {_camel_name(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest) if name.islower() else name


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("getEndpoint", {"name": "the-app"}, "there is no endpoint named 'the-app'; did you mean 'the-api'?"),
        (
            "getEndpoint",
            {"name": "twin"},
            "the name 'twin' is that of several ('twin1', 'twin2'); give the id of the endpoint that is meant",
        ),
        ("getEndpoint", {"id": "nowhere"}, "there is no endpoint with the id 'nowhere'"),
        ("getEndpoint", {}, "give exactly one of id and name, to say which endpoint is meant"),
        ("getEndpoint", {"id": "api", "name": "the-api"}, "give exactly one of id and name, to say which endpoint is meant"),
        ("getEndpoint", {"id": "api/workers"}, "must be an id as Runpod gives it"),
        ("getPodTemplate", {"name": "for-pods"}, "there is no template named 'for-pods'"),
        ("getNetworkVolume", {"name": "model"}, "there is no network volume named 'model'; did you mean 'models'?"),
        ("getRegistry", {"nome": "mine"}, "there is no such property; did you mean 'name'?"),
        ("getEndpointWorkers", {"endpointId": "nowhere"}, "there is no endpoint with the id 'nowhere'"),
        ("getGpuTypes", {"gpuCount": 0}, "must be at least 1, not 0"),
        ("getGpuTypes", {"minCudaVersion": "twelve"}, "must be a CUDA version like '12.8'"),
        ("getGpuTypes", {"pool": "AMPER_80"}, "Runpod has no serverless pool 'AMPER_80'; did you mean 'AMPERE_80'"),
        ("getPodTemplate", {"id": "pods"}, "'pods' is a template for pods, of which no endpoint can be made"),
        ("getDataCenters", {"networkVolumeType": "FAST"}, "must be one of 'STANDARD' or 'HIGH_PERFORMANCE', not 'FAST'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_call_says_once_what_is_wrong(
    shared: tuple[Stack, Running], function: str, arguments: dict[str, Any], said: str
) -> None:
    """What is not there names what is near, what is not clear lists the ids, and a wrong argument is named."""
    stack, emulator = shared
    emulator.reset()
    _furnish(emulator)
    stack.write({}, variables={"found": _invoke(function, **arguments)}, outputs={"found": "${found}"})
    errors = "\n".join(stack.preview(exit_code=None).said("error"))
    assert errors.count(said) == 1
    assert "Traceback" not in errors
    assert {entry["method"] for entry in emulator.requests()} <= {"GET"}


def test_a_look_up_waits_for_what_is_created_in_the_same_run(stack: Stack, emulator: Running) -> None:
    """In a preview, where there is no id yet, it is unknown; in the update the list is taken again, and secrets stay secret."""
    stack.write(
        {"api": endpoint(env={"TOKEN": {"fn::secret": CANARY}})},
        variables={"before": _invoke("getEndpoints"), "found": _invoke("getEndpoint", id="${api.id}")},
        outputs={"run": "${found.requestUrls.run}", "env": "${found.env}"},
    )
    assert stack.preview().summary == {"create": 2}
    stack.up()
    # An answer is one output to Pulumi's SDKs, so a secret part makes it secret as a whole.
    assert stack.outputs() == {"run": "[secret]", "env": "[secret]"}
    assert stack.outputs("--show-secrets")["run"].endswith("/run")
    assert CANARY not in json.dumps(stack.state())


def test_an_answer_feeds_a_resource(stack: Stack, emulator: Running) -> None:
    """An endpoint that mounts a volume which is looked up by its name."""
    _furnish(emulator)
    emulator.set(worker_quota=100)
    stack.write({"caller": endpoint(volume="${models.id}")}, variables={"models": _invoke("getNetworkVolume", name="models")})
    stack.up()
    (made,) = (item for item in emulator.state()["endpoints"] if item["name"].startswith("caller"))
    assert made["networkVolumes"] == ["volume"]
    stack.expect_no_changes()


def _do(stack: Stack, *arguments: str, exit_code: int = 0) -> Any:
    done = stack.pulumi("do", "--package", PLUGIN, *arguments, exit_code=exit_code)
    return json.loads(done.stdout) if exit_code == 0 else done.stderr


def test_the_cli_lists_and_asks_without_a_program(stack: Stack, emulator: Running) -> None:
    """`pulumi do` finds the plugin by its path, or by name and version once `install-plugin` ran; a look-up that fails, fails."""
    _furnish(emulator)
    stack.write()
    lists = {
        "Endpoint": [("api", "the-api"), ("twin1", "twin"), ("twin2", "twin")],
        "NetworkVolume": [("volume", "models")],
        "PodTemplate": [("template", "common")],
        "Registry": [("registry", "mine")],
    }
    for kind, listed in lists.items():
        assert [(item["id"], item["name"]) for item in _do(stack, f"{PACKAGE}:index:{kind}", "list")] == listed
    answer = _do(stack, f"{PACKAGE}:index:getEndpoint", "--name", "the-api")
    assert (answer["id"], answer["env"]) == ("api", "[secret]")
    assert "there is no endpoint named 'the-app'" in _do(stack, f"{PACKAGE}:index:getEndpoint", "--name", "the-app", exit_code=1)
    installer = Path(sys.executable).with_name(PACKAGE)
    subprocess.run([installer, "install-plugin"], env=stack.environment, capture_output=True, check=True)
    listed = stack.pulumi("do", "--package", f"{PACKAGE}@{plugin_version()}", f"{PACKAGE}:index:Registry", "list")
    assert json.loads(listed.stdout) == [{"id": "registry", "name": "mine"}]
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}


@pytest.mark.parametrize(
    ("kind", "seeded"),
    [("Endpoint", "endpoints"), ("NetworkVolume", "networkVolumes"), ("PodTemplate", "templates"), ("Registry", "registries")],
)
def test_a_list_comes_in_the_pages_that_are_asked_for(emulator: Running, kind: str, seeded: str) -> None:
    """Over the wire, from the real core: at most `limit` in all, at most `page_size` at once, and one request for all pages."""
    emulator.seed(**{seeded: [{"id": f"id{number}", "name": f"name{number}"} for number in range(5)]})
    emulator.clear_requests()

    async def pages(stub: Any, **bounds: int) -> list[list[str]]:
        found, token = [], ""
        while True:
            query = P.ListRequest(token=f"{PACKAGE}:index:{kind}", continuation_token=token, **bounds)
            answers = [answer async for answer in stub.List(query)]
            found.append([answer.result.id for answer in answers if answer.HasField("result")])
            token = next((answer.continuation.continuation_token for answer in answers if answer.HasField("continuation")), "")
            if not token:
                return found

    async def scenario() -> None:
        client = Client(base_url=f"{emulator.url}/v2", api_key="key", user_agent="tests/1")
        async with serving(Provider(RESOURCES, client, Settings())) as served:
            assert await pages(served.stub) == [["id0", "id1", "id2", "id3", "id4"]]
            assert await pages(served.stub, page_size=2) == [["id0", "id1"], ["id2", "id3"], ["id4"]]
            assert await pages(served.stub, page_size=5) == [["id0", "id1", "id2", "id3", "id4"]]
            assert await pages(served.stub, limit=3) == [["id0", "id1", "id2"]]
        await client.aclose()

    run(scenario())
    assert [entry["method"] for entry in emulator.requests()] == ["GET"]
