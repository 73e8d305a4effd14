"""Resources that others made come under management as they are: what is written for them plans no change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.harness import Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, sent

if TYPE_CHECKING:
    from runpod_emulator.running import Running

FOREIGN = {
    "gpus": [{"id": f"NVIDIA X{number}", "pool": "X_POOL"} for number in (1, 2, 3)],
    "cpus": [
        {"id": "cpu9z", "ramGbPerVcpu": 8, "stock": {"AP-JP-1": "HIGH", "*": "NONE"}},
        {"id": "cpu3c", "ramGbPerVcpu": 3},
    ],
    "dataCenters": [{"id": "AP-JP-1"}],
}
"""What this version does not ship, and a CPU flavor with another memory than the shipped one."""

EXISTING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a volume elsewhere": (VOLUME, "networkVolumes", {"dataCenter": "AP-JP-1", "size": 33, "type": "HIGH_PERFORMANCE"}),
    "a volume with all defaults": (VOLUME, "networkVolumes", {}),
    "an endpoint with the server's defaults": (ENDPOINT, "endpoints", {"gpu": {"pools": ["ADA_24"]}}),
    "an endpoint by exclusions": (
        ENDPOINT,
        "endpoints",
        {"gpu": {"pools": ["AMPERE_24", "ADA_24"], "excludedTypes": ["NVIDIA L4"], "count": 2, "minCudaVersion": "12.4"}},
    ),
    "an endpoint on cards that we do not ship": (
        ENDPOINT,
        "endpoints",
        {
            "gpu": {"pools": ["X_POOL"], "excludedTypes": ["NVIDIA X2"], "allowedCudaVersions": ["12.8", "12.4"]},
            "dataCenterIds": ["AP-JP-1"],
        },
    ),
    "an endpoint on a CPU flavor that we do not ship": (
        ENDPOINT,
        "endpoints",
        {"cpu": [{"id": "cpu9z", "vcpuCount": 4}], "dataCenterIds": ["AP-JP-1"], "disk": 300},
    ),
    "an endpoint on sizes with another memory": (
        ENDPOINT,
        "endpoints",
        {"cpu": [{"id": "cpu5c", "vcpuCount": 2}, {"id": "cpu3c", "vcpuCount": 4}], "dataCenterIds": ["EU-RO-1"]},
    ),
    "a load balancer": (
        ENDPOINT,
        "endpoints",
        {
            "type": "LOAD_BALANCER",
            "scaling": {"type": "REQUEST_COUNT", "requestCount": 7},
            "ports": ["8000/http", "22/tcp"],
            "env": {"PORT": "8000", "PORT_HEALTH": "8001", "TOKEN": "x"},
        },
    ),
    "a queue that scales on requests": (
        ENDPOINT,
        "endpoints",
        {"scaling": {"type": "REQUEST_COUNT", "requestCount": 2}, "timeout": 0},
    ),
    "an endpoint with everything": (
        ENDPOINT,
        "endpoints",
        {
            "image": "me/private:1",
            "registry": "registry-1",
            "args": "--fast",
            "env": {"A": "1", "B.C": "2"},
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 2.5},
            "workers": {"min": 1, "max": 2, "idleTimeout": 7},
            "flashboot": "PRIORITY_FLASHBOOT",
            "networkVolumes": ["mounted"],
            "timeout": 9000,
        },
    ),
    "Flash's own worker": (ENDPOINT, "endpoints", {"image": "runpod/flash:py3.12-latest", "gpu": {"pools": ["ADA_24"]}}),
}


def _seed(emulator: Running) -> dict[str, tuple[str, str]]:
    """Make what exists; give token and id by logical name."""
    emulator.seed(catalog=FOREIGN, networkVolumes=[{"id": "mounted", "name": "mounted"}])
    found = {}
    for index, (token, kind, doc) in enumerate(EXISTING.values()):
        emulator.seed(**{kind: [{"id": f"existing{index}", "name": f"existing-{index}", **doc}]})
        found[f"r{index}"] = (token, f"existing{index}")
    return found


def _plan(stack: Stack) -> dict[str, dict[str, str]]:
    """Give what a preview would change, by what each resource is."""
    names = {f"r{index}": what for index, what in enumerate(EXISTING)}
    return {names.get(step.name, step.name): dict(step.changes) for step in stack.preview().steps if step.op != "same"}


def test_the_program_that_import_writes_changes_nothing(stack: Stack, emulator: Running) -> None:
    """One bulk import of everything, the written program put into place: nothing to do, now and after a refresh."""
    resources = [{"type": token, "name": name, "id": identifier} for name, (token, identifier) in _seed(emulator).items()]
    stack.write()
    (stack.directory / "bulk.json").write_text(json.dumps({"resources": resources}))
    stack.pulumi("import", "--yes", "--skip-preview", "--protect=false", "--file=bulk.json", "--out=imported.yaml")
    written = yaml.safe_load((stack.directory / "imported.yaml").read_text())
    everything = written["resources"][f"r{list(EXISTING).index('an endpoint with everything')}"]
    assert everything["properties"]["env"] == {"A": {"fn::secret": "1"}, "B.C": {"fn::secret": "2"}}
    stack.write(written["resources"])
    emulator.clear_requests()
    assert _plan(stack) == {}
    assert set(stack.up().summary) == {"same"}
    assert sent(emulator) == []
    stack.expect_no_changes()


def test_the_import_option_changes_nothing(stack: Stack, emulator: Running) -> None:
    """A program that states what exists takes it over with the option `import`, and then manages it."""
    emulator.seed(endpoints=[{"id": "existing", "name": "api", "gpu": {"pools": ["ADA_24"]}, "dataCenterIds": ["US-CA-2"]}])
    stated = {
        "name": "api",
        "image": "runpod/seeded:1",
        "gpu": "ADA_24",
        "datacenter": "US-CA-2",
        "flashboot": False,
        "workers": 3,
        "idleTimeout": 10,
        "executionTimeoutMs": 300_000,
        "template": {"containerDiskInGb": 20},
    }
    stack.write({"api": endpoint({"import": "existing"}, **stated)})
    stack.up()
    stack.write({"api": endpoint(**stated)})
    assert _plan(stack) == {}
    stack.write({"api": endpoint(**{**stated, "workers": 2})})
    stack.up()
    assert emulator.state()["endpoints"][0]["workers"]["max"] == 2


def test_an_imported_resource_alone_previews_without_a_change(stack: Stack, emulator: Running) -> None:
    """`pulumi import` of one resource with its printed program; a volume comes protected, as every volume does."""
    emulator.seed(networkVolumes=[{"id": "existing", "name": "models", "size": 33}])
    stack.write()
    program = stack.adopt(VOLUME, "models", "existing")
    stack.write(yaml.safe_load(program)["resources"])
    assert _plan(stack) == {}
    assert "protected" in stack.destroy(exit_code=None).said("error")[0]


@pytest.mark.parametrize("token", [ENDPOINT, VOLUME])
def test_an_id_that_does_not_exist_is_named(stack: Stack, emulator: Running, token: str) -> None:
    """The engine says that there is no such resource, and puts nothing into the state."""
    stack.write()
    done = stack.pulumi("import", "--yes", "--skip-preview", token, "api", "nowhere", exit_code=None)
    assert done.returncode != 0
    assert "'nowhere' does not exist" in done.stdout
    assert token not in {resource["type"] for resource in stack.state()}


def test_an_existing_resource_is_looked_up(stack: Stack, emulator: Running) -> None:
    """`get` reads without managing: outputs are there, nothing is changed, and `destroy` leaves it alone."""
    emulator.seed(endpoints=[{"id": "existing", "name": "api", "env": {"A": "1"}}], networkVolumes=[{"id": "models", "size": 33}])
    stack.write(
        {"api": {"type": ENDPOINT, "get": {"id": "existing"}}, "models": {"type": VOLUME, "get": {"id": "models"}}},
        outputs={
            "run": "${api.requestUrls.run}",
            "most": "${api.workers.max}",
            "gpu": "${api.gpu}",
            "size": "${models.size}",
            "env": "${api.env.A}",
        },
    )
    assert stack.up().ops("api") == ["read"]
    assert stack.outputs()["env"] == "[secret]"
    outputs = stack.outputs("--show-secrets")
    assert outputs.pop("run").endswith("/existing/run")
    assert outputs == {"most": 3, "gpu": ["ADA_24"], "size": 33, "env": "1"}
    stack.destroy()
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}
    stack.write({"api": {"type": ENDPOINT, "get": {"id": "nowhere"}}})
    assert "'nowhere' does not exist" in stack.preview(exit_code=None).said("error")[0]


def test_what_no_program_could_set_is_imported_without_a_word(stack: Stack, emulator: Running) -> None:
    """The CLI takes a failure of what was just read for a bug of the provider, and the endpoint runs all the same."""
    emulator.seed(endpoints=[{"id": "old1", "name": "old"}])
    emulator.mutate("endpoints", "old1", timeout=1000, env={"A=B": "c"})
    stack.write()
    options = ("--yes", "--skip-preview", "--protect=false", "--generate-code=false")
    done = stack.pulumi("import", *options, ENDPOINT, "old", "old1")
    assert "failed to validate" not in done.stdout + done.stderr and "bug" not in done.stdout + done.stderr
    (inputs,) = (resource["inputs"] for resource in stack.state("--show-secrets") if resource["type"] == ENDPOINT)
    assert inputs["executionTimeoutMs"] == 1000
    refused = stack.pulumi("import", *options, ENDPOINT, "other", "my endpoint", exit_code=1)
    assert "'my endpoint' is not a Runpod id" in refused.stdout + refused.stderr
