"""What is wrong with inputs gives one clear message, which begins with the property's path, before anything is created."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, CheckFailed
from runpod_serverless_provider.core.values import Path, render_path
from unit.support import Life, World

# the program, and the message from its path to the words that must be in it
WRONG: Final[list[tuple[dict[str, Any], str, tuple[str, ...]]]] = [
    ({"gpu": "ADA_24", "cpu": "cpu3c-2-4"}, "cpu", ("excludes gpu",)),
    ({"cpu": "cpu3c-2-4", "gpuCount": 2}, "gpuCount", ("applies to GPUs only",)),
    ({"cpu": "cpu3c-2-4", "minCudaVersion": "12.8"}, "minCudaVersion", ("applies to GPUs only",)),
    ({"cpu": "cpu3c-2-4", "allowedCudaVersions": ["12.8"]}, "allowedCudaVersions", ("applies to GPUs only",)),
    ({"cpu": "cpu3c-1-2"}, "cpu", ("'cpu3c-1-2'", "1 vCPU", "cpu3c-2-4, cpu3c-4-8, cpu3c-8-16")),
    ({"cpu": ["cpu3c-2-4", "cpu5c-6-12"]}, "cpu[1]", ("'cpu5c-6-12'", "powers of two from 2", "cpu5c-2-4")),
    ({"cpu": "cpu9x-1-2"}, "cpu", ("1 vCPU", "cpu3g-2-8")),
    ({"cpu": "cpu5c"}, "cpu", ("'cpu5c'", "did you mean 'cpu5c-2-4'")),
    ({"cpu": "xxx"}, "cpu", ("'xxx' is not a CPU size like 'cpu5c-4-8'", "sizes are, for example")),
    ({"cpu": []}, "cpu", ("must not be an empty list",)),
    ({"gpu": []}, "gpu", ("must not be an empty list",)),
    ({"gpu": ["any", "ADA_24"]}, "gpu", ("'any' stands for all",)),
    ({"gpu": " "}, "gpu", ("must not be empty",)),
    ({"gpu": 4090}, "gpu", ("must be a string, not 4090",)),
    ({"gpuCount": 0}, "gpuCount", ("must be at least 1, not 0",)),
    ({"gpuCount": 1.5}, "gpuCount", ("must be a whole number, not 1.5",)),
    ({"workers": {"min": 3, "max": 2}}, "workers", ("min (3) must not exceed max (2)",)),
    ({"workers": -1}, "workers", ("must be at least 0, not -1",)),
    ({"workers": {"min": -1, "max": 2}}, "workers.min", ("must be at least 0, not -1",)),
    ({"workers": {"min": 1}}, "workers.max", ("is required",)),
    ({"workers": "5"}, "workers", ("must be a whole number, or an object {min, max}, not '5'",)),
    ({"workers": True}, "workers", ("must be a whole number, or an object {min, max}, not true",)),
    ({"template": "tpl"}, "template", ("must be an object, not 'tpl'; the id of a template goes into templateId",)),
    ({"template": {"env": "A=1"}}, "template.env", ("must be a map, or a list of {key, value}, not 'A=1'",)),
    ({"template": {"env": [{"key": "A", "value": False}]}}, "template.env", ("must be a string, not false; put it in quotes",)),
    ({"idleTimeout": 0}, "idleTimeout", ("must be at least 1, not 0",)),
    ({"idleTimeout": 3601}, "idleTimeout", ("must be at most 3600, not 3601",)),
    (
        {"idleTimeout": 60, "scalerType": "REQUEST_COUNT"},
        "idleTimeout",
        ("QUEUE endpoint that scales on REQUEST_COUNT", "leave it out"),
    ),
    ({"type": "LOAD_BALANCER", "scalerType": "QUEUE_DELAY"}, "scalerType", ("REQUEST_COUNT only",)),
    ({"type": "BOTH"}, "type", ("must be one of 'QUEUE' or 'LOAD_BALANCER', not 'BOTH'",)),
    ({"scalerValue": 0}, "scalerValue", ("at least 0.5, not 0",)),
    ({"scalerValue": 0.25}, "scalerValue", ("at least 0.5, not 0.25",)),
    ({"scalerValue": 2.5, "scalerType": "REQUEST_COUNT"}, "scalerValue", ("a whole number from 1, not 2.5",)),
    ({"scalerValue": 0, "type": "LOAD_BALANCER"}, "scalerValue", ("a whole number from 1, not 0",)),
    ({"scalerValue": True}, "scalerValue", ("must be a number, not true",)),
    ({"scalerValue": float("inf")}, "scalerValue", ("must be a number, not inf",)),
    ({"scalerValue": "4"}, "scalerValue", ("must be a number, not '4'",)),
    ({"executionTimeoutMs": 1}, "executionTimeoutMs", ("0 (no limit) or 5000 to 604800000 milliseconds, not 1",)),
    ({"executionTimeoutMs": 604_800_001}, "executionTimeoutMs", ("not 604800001",)),
    ({"executionTimeoutMs": -1}, "executionTimeoutMs", ("not -1",)),
    ({"template": {"containerDiskInGb": 0}}, "template.containerDiskInGb", ("must be at least 1, not 0",)),
    ({"cpu": "cpu3c-2-4", "template": {"containerDiskInGb": 21}}, "template.containerDiskInGb", ("21 GB", "20 GB")),
    ({"template": "x"}, "template", ("must be an object, not 'x'",)),
    ({"template": {"ports": ["8000"]}}, "template.ports[0]", ("'8000/http' or '22/tcp', not '8000'",)),
    ({"template": {"ports": ["70000/tcp"]}}, "template.ports[0]", ("not '70000/tcp'",)),
    ({"template": {"ports": "80/http"}}, "template.ports", ("must be a list, not '80/http'",)),
    ({"template": {"disk": 3}}, "template.disk", ("there is no such property; did you mean 'containerDiskInGb'?",)),
    ({"template": {"env": [{"key": "A"}]}}, "template.env", ("item 0 must be an object with exactly `key` and `value`",)),
    ({"template": {"env": [{"key": 1, "value": "x"}]}}, "template.env", ("the key of item 0 must be a string",)),
    ({"template": {"env": [{"key": {"a": "b"}, "value": "x"}]}}, "template.env", ("the key of item 0 must be a string",)),
    (
        {"template": {"env": [{"key": "A", "value": "x"}, {"key": "A", "value": "y"}]}},
        "template.env",
        ("item 1 has the key of an item before it; keep one",),
    ),
    ({"template": {"env": {"A": None}}}, "template.env.A", ("must be a string",)),
    ({"env": {"": "x"}}, "env", ("the key '' is not the name of an environment variable",)),
    ({"env": {"A=B": "x"}}, "env", ("the key 'A=B'",)),
    ({"env": {"A": 1}}, "env.A", ("must be a string, not 1; put it in quotes",)),
    ({"env": {"A": True}}, "env.A", ("must be a string, not true; put it in quotes",)),
    ({"env": {"A": None}}, "env.A", ("must be a string, not null",)),
    ({"env": {"A": ["x", {"b": None}]}}, "env.A", ("must be a string, not ['x', {'b': null}]",)),
    ({"env": {"A.B": {}}}, 'env["A.B"]', ("must be a string",)),
    ({"env": "A=1"}, "env", ("must be a map, not 'A=1'",)),
    ({"minCudaVersion": "twelve"}, "minCudaVersion", ("like '12.8'", "not 'twelve'")),
    ({"minCudaVersion": 12.8}, "minCudaVersion", ("must be a string, not 12.8",)),
    ({"minCudaVersion": "12.8\n"}, "minCudaVersion", ("not '12.8\\n'",)),
    ({"allowedCudaVersions": []}, "allowedCudaVersions", ("must not be an empty list",)),
    ({"allowedCudaVersions": ["12.8", "13"]}, "allowedCudaVersions[1]", ("not '13'",)),
    ({"minCudaVersion": "12.4", "allowedCudaVersions": ["12.8"]}, "minCudaVersion", ("excludes allowedCudaVersions",)),
    ({"pythonVersion": "3.9"}, "pythonVersion", ("must be one of '3.10', '3.11', '3.12' or '3.13', not '3.9'",)),
    ({"pythonVersion": "3.12", "image": "me/x"}, "pythonVersion", ("it means nothing beside image",)),
    ({"pythonVersion": "3.12", "template": {"image": "me/x"}}, "pythonVersion", ("it means nothing beside template.image",)),
    ({"pythonVersion": "3.12", "image": "me/x", "templateId": "t"}, "pythonVersion", ("beside image and templateId",)),
    ({"pythonVersion": "3.12", "templateId": "t"}, "pythonVersion", ("it means nothing beside templateId",)),
    ({"flashboot": "YES"}, "flashboot", ("must be true, false, 'OFF', 'FLASHBOOT' or 'PRIORITY_FLASHBOOT', not 'YES'",)),
    ({"flashboot": 1}, "flashboot", ("must be true, false, 'OFF'", "not 1")),
    ({"updateStrategy": "inplace"}, "updateStrategy", ("must be one of 'replace' or 'inPlace'",)),
    ({"wrokers": 1}, "wrokers", ("there is no such property; did you mean 'workers'?",)),
    ({"gpus": "ADA_24"}, "gpus", ("did you mean 'gpu'?",)),
    ({"zzz": 1}, "zzz", ("there is no such property",)),
    ({"image": ""}, "image", ("must not be empty",)),
    ({"name": ""}, "name", ("must not be empty",)),
    ({"volume": []}, "volume", ("must not be an empty list",)),
    ({"volume": ["v", 3]}, "volume[1]", ("must be a string, not 3",)),
    ({"datacenter": ["any", "EU-RO-1"]}, "datacenter", ("'any' stands for all",)),
    ({"accelerateDownloads": "yes"}, "accelerateDownloads", ("must be true or false, not 'yes'",)),
    ({"dependencies": "torch"}, "dependencies", ("must be a list, not 'torch'",)),
]


@pytest.mark.parametrize(("program", "path", "words"), WRONG, ids=lambda value: str(value)[:60] if isinstance(value, dict) else "")
def test_one_clear_message(world: World, endpoint: Life, program: dict[str, Any], path: str, words: tuple[str, ...]) -> None:
    """Exactly one, begun with the path, and no request is sent."""
    (said,) = endpoint.failures(program)
    assert said.startswith(f"{path}: ")
    assert all(word in said for word in words), said
    assert world.sent == []


@pytest.mark.parametrize("program", [program for program, _, _ in WRONG], ids=lambda value: str(value)[:60])
def test_secret_values_are_not_in_messages(endpoint: Life, program: dict[str, Any]) -> None:
    """No text that a program marks as secret stands in what is said of it."""
    canary = "CANARY"

    def marked(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: marked(item) for key, item in value.items()}
        if isinstance(value, list):
            return [marked(item) for item in value]
        return canary if isinstance(value, str) else value

    secrets = frozenset({(name,) for name in program})
    assert canary not in "".join(endpoint.failures({name: marked(value) for name, value in program.items()}, secrets=secrets))


@pytest.mark.parametrize("secret", [("env", "A"), ("env",), ("template", "env", "B"), ("template",)])
def test_a_secret_beside_what_is_wrong_stays_hidden(endpoint: Life, secret: Path) -> None:
    """Above, at and below a secret path no value is shown."""
    program = {"env": {"A": {"x": "CANARY"}}, "template": {"env": {"B": ["CANARY"]}}}
    said = endpoint.failures(program, secrets=frozenset({secret}))
    assert len(said) == 2
    assert sum("CANARY" in text for text in said) == 1


@pytest.mark.parametrize("outer", [(), ("template",)])
def test_a_key_of_a_list_must_not_be_secret(endpoint: Life, outer: Path) -> None:
    """A refresh stores the list as a map, in which no key can be sealed; a secret value, or a secret list, is sealed as ever."""
    env: Any = {"env": [{"key": "A", "value": "x"}, {"key": "CANARY", "value": "y"}]}
    program = {outer[0]: env} if outer else env
    at = (*outer, "env", 1)
    said = f"{render_path((*at, 'key'))}: must not be secret: keys are stored and shown in clear; seal the value"
    assert endpoint.failures(program, secrets=frozenset({(*at, "key"), (*outer, "env", 0, "value")})) == [said]
    assert endpoint.failures(program, secrets=frozenset({(*at, "value"), (*outer, "env")})) == []


@pytest.mark.parametrize("outer", [(), ("template",)])
def test_a_variable_of_a_map_may_be_called_key(endpoint: Life, outer: Path) -> None:
    """It is no part of a pair."""
    env: Any = {"env": {"key": "CANARY"}}
    program = {outer[0]: env} if outer else env
    assert endpoint.failures(program, secrets=frozenset({(*outer, "env", "key")})) == []


def test_a_secret_property_that_there_is_not_may_be_called_key(endpoint: Life) -> None:
    """It is refused like any other."""
    for secret in (("key",), ()):  # also where everything is secret
        (said,) = endpoint.failures({"key": "CANARY"}, secrets=frozenset({secret}))
        assert said.startswith("key: ") and "CANARY" not in said


def test_all_failures_come_at_once(endpoint: Life) -> None:
    """What is wrong by itself and what is wrong together."""
    said = endpoint.failures(
        {
            "wrokers": 1,
            "idleTimeout": 0,
            "gpuCount": 0,
            "env": {"A": 1, "B": 2},
            "minCudaVersion": "12.8",
            "allowedCudaVersions": ["12.8"],
            "executionTimeoutMs": 1,
            "pythonVersion": "3.12",
            "image": "me/x",
        }
    )
    assert [text.partition(":")[0] for text in said] == [
        *("gpuCount", "idleTimeout", "env.A", "env.B", "wrokers"),
        *("minCudaVersion", "executionTimeoutMs", "pythonVersion"),
    ]


QUIET: Final = [
    ({"type": "X", "scalerType": "QUEUE_DELAY", "idleTimeout": 9}, ["type"]),
    ({"cpu": "cpu3c-1-2", "gpu": "ADA_24", "gpuCount": 2}, ["cpu", "cpu", "gpuCount"]),
    ({"gpu": 1, "cpu": "cpu3c-2-4"}, ["gpu", "cpu"]),
    ({"minCudaVersion": "twelve", "allowedCudaVersions": ["12.8"]}, ["minCudaVersion", "minCudaVersion"]),
    ({"cpu": "bad", "template": {"containerDiskInGb": 500}}, ["cpu"]),
    ({"image": 1, "pythonVersion": "3.12"}, ["image"]),
    ({"scalerType": "X", "scalerValue": 0.1}, ["scalerType"]),
    ({"workers": {"min": 5, "max": -1}}, ["workers.max"]),
    ({"template": {"image": ""}, "pythonVersion": "3.12"}, ["template.image"]),
]


@pytest.mark.parametrize(("program", "paths"), QUIET, ids=str)
def test_a_failure_brings_no_others(endpoint: Life, program: dict[str, Any], paths: list[str]) -> None:
    """What is wrong counts as unknown for the other rules, but for those of what excludes each other."""
    assert [text.partition(":")[0] for text in endpoint.failures(program)] == paths


UNKNOWN_NAMES: Final = [
    ({"gpu": "NVIDIA A100"}, "gpu", ("'NVIDIA A100'", "did you mean 'NVIDIA A100 80GB PCIe' or 'NVIDIA A100-SXM4-80GB'")),
    ({"gpu": ["ADA_24", "RTX 4090"]}, "gpu", ("'RTX 4090'", "'NVIDIA GeForce RTX 4090'")),
    ({"gpu": "ampere-80"}, "gpu", ("did you mean 'AMPERE_80'",)),
    ({"gpu": "qqq"}, "gpu", ("'qqq'", "GPU groups are any, AMPERE_16")),
    ({"gpu": "NVIDIA GeForce RTX 3070"}, "gpu", ("is in no serverless pool",)),
    ({"cpu": "cpu7c-2-4"}, "cpu", ("no CPU flavor 'cpu7c'", "'cpu5c'")),
    ({"cpu": "qqq-2-4"}, "cpu", ("no CPU flavor 'qqq'; flavors are cpu3g, cpu3c, cpu5c, cpu5g",)),
    ({"cpu": "cpu3c-64-128"}, "cpu", ("cpu3c comes with 2 to 32 vCPUs, not 64",)),
    ({"cpu": "cpu3c-2-4", "datacenter": "US-KS-2"}, "datacenter", ("cpu3c in EU-RO-1, not in US-KS-2",)),
    ({"cpu": ["cpu3c-2-4", "cpu3c-4-8"], "datacenter": "US-KS-2"}, "datacenter", ("cpu3c in EU-RO-1, not in US-KS-2",)),
    ({"datacenter": "EU-RO-9"}, "datacenter", ("'EU-RO-9'", "'EU-RO-1'")),
    ({"datacenter": ["EU-RO-1", "us_ks_9"]}, "datacenter", ("'US-KS-9'", "'US-KS-2'")),
    ({"volume": "vol0none"}, "volume", ("no network volume 'vol0none'",)),
    ({"volume": ["vol0a", "vol0b"], "datacenter": "any"}, "volume", ("'vol0a' and 'vol0b' are both in US-KS-2", "at most one")),
    (
        {"volume": "vol0a"},
        "volume",
        ("'vol0a' is in US-KS-2, where this endpoint does not run (EU-RO-1 by default)", "set datacenter to 'US-KS-2'"),
    ),
    (
        {"volume": "vol0a", "datacenter": "EU-RO-1"},
        "volume",
        ("'vol0a' is in US-KS-2, where this endpoint does not run (EU-RO-1)", "add 'US-KS-2' to datacenter"),
    ),
]
VOLUMES: Final = {"networkVolumes": [{"id": "vol0a", "dataCenter": "US-KS-2"}, {"id": "vol0b", "dataCenter": "US-KS-2"}]}


@pytest.mark.parametrize("is_preview", [True, False], ids=["preview", "up"])
@pytest.mark.parametrize(
    ("program", "path", "words"), UNKNOWN_NAMES, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_names_that_runpod_does_not_have(
    world: World, endpoint: Life, program: dict[str, Any], path: str, words: tuple[str, ...], is_preview: bool
) -> None:
    """The catalog and the account's volumes decide before the POST, also in a preview, with the nearest names."""
    world.seed(**VOLUMES)
    with pytest.raises(CheckFailed) as caught:
        endpoint.preview(program) if is_preview else endpoint.up(program)
    (said,) = [failure.text for failure in caught.value.failures]
    assert said.startswith(f"{path}: ")
    assert all(word in said for word in words), said
    assert world.writes == []


@pytest.mark.parametrize(
    "program",
    [
        {"cpu": "canary-2-4"},
        {"gpu": "canary"},
        {"datacenter": "canary"},
        {"volume": "canary"},
        {"cpu": "cpu3c-2-4", "datacenter": "any"},
    ],
    ids=str,
)
def test_names_that_are_secret_are_not_quoted_in_parts(world: World, endpoint: Life, program: dict[str, Any]) -> None:
    """Of a size only the flavor would stand in the message, where no door would know it again."""
    program = {"image": "me/x", **program}
    if "any" in program.values():
        program = {**program, "datacenter": "US-KS-2"}
    inputs = endpoint.checked(program, secrets=frozenset({("cpu",)}))
    for secrets in (frozenset({(name,)}) for name in ("cpu", "gpu", "datacenter", "volume")):
        request = verbs.Create(endpoint.token, endpoint.urn, inputs, secrets, preview=True, voice=world.notes)
        with pytest.raises(CheckFailed) as caught:
            world.run(world.provider.create(request))
        (failure,) = caught.value.failures
        assert (
            failure.reason == "does not fit what Runpod has; no value is shown, as one of gpu, cpu, volume and datacenter is secret"
        )
    assert "canary" not in world.notes.everything


@pytest.mark.parametrize("program", [{"gpu": "ADA_24"}, {"cpu": "cpu3c-2-4"}], ids=str)
@pytest.mark.parametrize(("name", "is_stated"), [("NOWHERE-9", True), ("NOWHERE-9", False)])
def test_a_data_center_that_the_configuration_brings_is_told_by_its_key(
    world: World, endpoint: Life, program: dict[str, Any], name: str, is_stated: bool
) -> None:
    """The program has no property to look for."""
    world.restart(default_datacenter=name)
    with pytest.raises(CheckFailed) as caught:
        endpoint.preview({"image": "me/x", **program, **({"datacenter": name} if is_stated else {})})
    key = "(no datacenter is given, so the configuration `runpod-serverless:defaultDatacenter` counts)"
    for failure in caught.value.failures:
        assert failure.path == ("datacenter",) and (key in failure.reason) != is_stated


def test_a_data_center_that_is_the_default_is_told_so(world: World, endpoint: Life) -> None:
    """A flavor may be elsewhere only."""
    world.seed(catalog={"cpus": [{"id": "cpu9x", "stock": {"EU-PL-1": "HIGH"}}], "dataCenters": [{"id": "EU-PL-1"}]})
    with pytest.raises(CheckFailed, match=r"not in EU-RO-1; .* \(no datacenter is given, so the default counts\)"):
        endpoint.preview({"image": "me/x", "cpu": "cpu9x-2-4"})
    volume = Life(world, "NetworkVolume", "v")
    volume.up({"datacenter": "US-KS-2"})
    with pytest.raises(CheckFailed) as caught:  # what a volume brings is neither
        endpoint.preview({"image": "me/x", "cpu": "cpu9x-2-4", "volume": volume.id})
    assert str(caught.value).endswith("not in US-KS-2; change datacenter, or the CPU size")


def test_all_names_are_checked_at_once(endpoint: Life) -> None:
    """A wrong card, a wrong data center and a wrong volume."""
    with pytest.raises(CheckFailed) as caught:
        endpoint.preview({"gpu": "qqq", "datacenter": "EU-RO-9", "volume": "vol0none"})
    assert [failure.path for failure in caught.value.failures] == [("gpu",), ("datacenter",), ("volume",)]


@pytest.mark.parametrize("strategy", ["replace", "inPlace"])
def test_a_change_to_a_name_that_runpod_does_not_have_fails_before_the_patch(world: World, endpoint: Life, strategy: str) -> None:
    """As for a create."""
    program = {"image": "me/x", "gpu": "ADA_24", "updateStrategy": strategy}
    endpoint.up(program)
    for change in ({"gpu": "ADA_25"}, {"datacenter": "EU-RO-9"}, {"volume": "vol0none"}):
        world.forget()
        with pytest.raises(CheckFailed):
            endpoint.preview({**program, **change})
        with pytest.raises(CheckFailed):
            endpoint.up({**program, **change})
        assert world.writes == []


def test_a_card_a_flavor_and_a_data_center_of_tomorrow_pass(world: World, endpoint: Life) -> None:
    """Shipped names are never a reason to refuse what the catalog has."""
    world.seed(
        catalog={
            "gpus": [{"id": "NVIDIA R200", "pool": "RUBIN_288"}],
            "cpus": [{"id": "cpu9x", "stock": {"EU-PL-1": "HIGH"}}],
            "dataCenters": [{"id": "EU-PL-1"}],
        }
    )
    program = {"gpu": ["NVIDIA R200", "ADA_24"], "datacenter": "EU-PL-1", "image": "me/x"}
    endpoint.up(program)
    assert world.body("POST")["gpu"]["pools"] == ["ADA_24", "RUBIN_288"]
    assert endpoint.refresh() == {} and endpoint.plan(program) == {}
    Life(world, "Endpoint", "y").up({"cpu": "cpu9x-4-8", "datacenter": "EU-PL-1", "image": "me/x"})


@pytest.mark.parametrize("is_replacement", [True, False])
def test_a_worker_quota_that_is_exceeded_says_what_to_change(world: World, endpoint: Life, is_replacement: bool) -> None:
    """A replacement counts twice for a moment: the message gives both numbers, and three ways out."""
    world.control("settings", {"workerQuota": 5})
    if is_replacement:
        endpoint.up({"image": "me/x", "gpu": "ADA_24", "workers": 3})
    with pytest.raises(ApiProblem) as caught:
        endpoint.up({"image": "me/x", "gpu": "AMPERE_80", "workers": 4 if is_replacement else 6})
    said = str(caught.value)
    assert said.startswith("creating the endpoint 'x-19b2585' failed: Runpod answered 400 to POST /serverless")
    assert "workers quota (5)" in said
    if is_replacement:
        assert "old max 3 + new max 4 = 7" in said
        assert all(word in said for word in ("`deleteBeforeReplace: true`", "lower workers.max", "`updateStrategy: inPlace`"))
        assert world.live("endpoints", endpoint.id or world.all("endpoints")[0]["id"])["workers"]["max"] == 3
    else:
        assert "workers.max (6) counts against the account's worker quota" in said


def test_an_update_beyond_the_worker_quota_says_what_to_change(world: World, endpoint: Life) -> None:
    """Nothing is replaced there, so nothing is said of it."""
    world.control("settings", {"workerQuota": 5})
    endpoint.up({"image": "me/x", "gpu": "ADA_24", "workers": 3})
    with pytest.raises(ApiProblem, match=r"updating the endpoint .* workers\.max \(6\) counts against"):
        endpoint.up({"image": "me/x", "gpu": "ADA_24", "workers": 6})


def test_a_lack_of_capacity_says_what_to_change(world: World, endpoint: Life) -> None:
    """The API's own words name nothing that helps."""
    detail = "There are no longer any instances available with the requested specifications. Please refresh and try again."
    world.fault(action="status", method="POST", status=400, detail=detail)
    with pytest.raises(ApiProblem, match=r"No worker with these specifications .* `gpu` .* `datacenter`"):
        endpoint.up({"image": "me/x", "gpu": "ADA_24"})


def test_a_template_that_nobody_has_is_told_by_its_property(world: World, endpoint: Life) -> None:
    """The API says that a template is missing, which is nothing that was there before; another 404 of a create tells nothing."""
    with pytest.raises(ApiProblem) as caught:
        endpoint.up({"templateId": "nope", "name": "n"})
    said = "creating the endpoint 'n' failed: Runpod answered 404 to POST /serverless: template not found"
    assert str(caught.value) == f"{said}. templateId: 'nope' is no template of this account, nor a public one."
    world.fault(action="status", method="POST", status=404, detail="no such moon", times=2)
    for program in ({"templateId": "nope"}, {"image": "me/x"}):
        with pytest.raises(ApiProblem) as caught:
            endpoint.up({**program, "name": "n"})
        assert str(caught.value).endswith("404 to POST /serverless: no such moon")


@pytest.mark.parametrize("detail", ["the moon is full", "the volume quota is used up", "a worker is no image"])
def test_any_other_refusal_is_given_as_it_is(world: World, endpoint: Life, detail: str) -> None:
    """Nothing is made up."""
    world.fault(action="status", method="POST", status=400, detail=detail)
    with pytest.raises(ApiProblem) as caught:
        endpoint.up({"image": "me/x", "gpu": "ADA_24", "name": "n"})
    assert str(caught.value) == f"creating the endpoint 'n' failed: Runpod answered 400 to POST /serverless: {detail}"


@pytest.mark.parametrize("milliseconds", [0, 5000, 604_800_000])
def test_the_bounds_of_a_time_out_pass(endpoint: Life, milliseconds: int) -> None:
    """None, five seconds, seven days."""
    assert endpoint.failures({"executionTimeoutMs": milliseconds}) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_says_where_keys_come_from(world: World, endpoint: Life, status: int) -> None:
    """At the first request, which is the catalog's."""
    world.fault(action="status", status=status, times=None)
    with pytest.raises(ApiProblem) as caught:
        endpoint.up({"image": "me/x", "gpu": "ADA_24"})
    said = str(caught.value)
    assert said.startswith(f"reading Runpod's catalog failed: Runpod answered {status}")
    wanted = (
        ("runpod-serverless:apiKey", "RUNPOD_API_KEY", "~/.runpod/config.toml") if status == 401 else ("read and write access",)
    )
    assert all(word in said for word in wanted)
