"""What a program registers through the dynamic door, and what of it stays the same for ever."""

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
import pickletools
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import dill
import pulumi
import pytest
from pulumi.dynamic.dynamic import serialize_provider

import pulumi_runpod_serverless as native
from parity.doors import DynamicDoor, Life, behind, blob_of, plain
from parity.test_parity import FULL, named
from pulumi_runpod_serverless import dynamic
from pulumi_runpod_serverless.dynamic import NAME_KEY, PROVIDER_KEY, SECRETS_KEY, STACK_KEY, _camel, partial, provider
from pulumi_runpod_serverless.dynamic.adapter import FAILED_KEY
from runpod_serverless_provider.resources import RESOURCES
from unit.core.test_creation import KINDS as LOSABLE
from unit.core.test_creation import LOST
from unit.support import PACKAGE

KINDS: Final = ("Endpoint", "NetworkVolume", "PodTemplate", "Registry")
TOKENS: Final = [PACKAGE + kind for kind in KINDS]

# The blob of an endpoint as it stands in states: by protocol 4, which this version writes; by the protocols that other Pythons write by
# themselves, the last of them as 3.14 does; and by Pulumi's own way through dill.
RECORDED: Final = {
    "protocol 4": (
        "gASVcgAAAAAAAACMKXB1bHVtaV9ydW5wb2Rfc2VydmVybGVzcy5keW5hbWljLnByb3ZpZGVylIwOUnVucG9kUHJvdmlkZXKUk5QpgZR9lIwFdG9rZW6UjCBydW5wb2Qt"
        "c2VydmVybGVzczppbmRleDpFbmRwb2ludJRzYi4="
    ),
    "protocol 2": (
        "gAJjcHVsdW1pX3J1bnBvZF9zZXJ2ZXJsZXNzLmR5bmFtaWMucHJvdmlkZXIKUnVucG9kUHJvdmlkZXIKcQApgXEBfXECWAUAAAB0b2tlbnEDWCAA"
        "AABydW5wb2Qtc2VydmVybGVzczppbmRleDpFbmRwb2ludHEEc2Iu"
    ),
    "protocol 5": (
        "gAWVcgAAAAAAAACMKXB1bHVtaV9ydW5wb2Rfc2VydmVybGVzcy5keW5hbWljLnByb3ZpZGVylIwOUnVucG9kUHJvdmlkZXKUk5QpgZR9lIwFdG9r"
        "ZW6UjCBydW5wb2Qtc2VydmVybGVzczppbmRleDpFbmRwb2ludJRzYi4="
    ),
    "dill": (
        "gASVcgAAAAAAAACMKXB1bHVtaV9ydW5wb2Rfc2VydmVybGVzcy5keW5hbWljLnByb3ZpZGVylIwOUnVucG9kUHJvdmlkZXKUk5QpgZR9lIwFdG9r"
        "ZW6UjCBydW5wb2Qtc2VydmVybGVzczppbmRleDpFbmRwb2ludJRzYi4="
    ),
}


@pytest.mark.parametrize("token", TOKENS)
def test_the_pickled_provider_is_small_and_refers_to_a_class(token: str) -> None:
    """It holds two names and the token: no code, no key, no client."""
    blob = base64.b64decode(blob_of(token))
    assert len(blob_of(token)) <= 300
    texts = [argument for _, argument, _ in pickletools.genops(blob) if isinstance(argument, str)]
    assert texts == ["pulumi_runpod_serverless.dynamic.provider", "RunpodProvider", "token", token]


def test_the_names_in_every_state_are_a_promise() -> None:
    """Whoever renames any of these loses all resources of all users."""
    assert (provider.RunpodProvider.__module__, provider.RunpodProvider.__qualname__) == (
        "pulumi_runpod_serverless.dynamic.provider",
        "RunpodProvider",
    )
    assert {kind: getattr(dynamic, kind)._resource_type_name for kind in dynamic.__all__} == {
        "Endpoint": "dynamic/runpod-serverless:Endpoint",
        "NetworkVolume": "dynamic/runpod-serverless:NetworkVolume",
        "PodTemplate": "dynamic/runpod-serverless:PodTemplate",
        "Registry": "dynamic/runpod-serverless:Registry",
    }
    assert (PROVIDER_KEY, NAME_KEY, STACK_KEY, SECRETS_KEY) == ("__provider", "__name", "__stack", "__secrets")
    assert {getattr(dynamic, kind).__module__ for kind in dynamic.__all__} == {"pulumi_runpod_serverless.dynamic"}


def test_every_resource_is_behind_this_door() -> None:
    """A further one is offered here too."""
    assert sorted(dynamic.__all__) == sorted(resource.name for resource in RESOURCES)


@pytest.mark.parametrize("recorded", RECORDED)
def test_recorded_blobs_are_still_this_provider(recorded: str) -> None:
    """Whatever Python and whichever pickler wrote them."""
    found = dill.loads(base64.b64decode(RECORDED[recorded]))
    assert type(found) is provider.RunpodProvider
    assert vars(found) == {"token": f"{PACKAGE}Endpoint"}


def test_the_blob_is_the_same_from_every_python() -> None:
    """Its protocol is named, and Pulumi's own pickler is not asked, which takes the default of each."""
    registered = _registered(lambda: dynamic.Endpoint("x", image="me/worker:1"))
    assert registered["x"].inputs[PROVIDER_KEY] == RECORDED["protocol 4"] == blob_of(f"{PACKAGE}Endpoint")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["another protocol", "dill", "of a package that is gone", "of another path"])
def test_another_blob_alone_is_no_change(kind: str, other: str) -> None:
    """Not by Diff, nor for what is read and deleted after it."""
    blobs = {
        "another protocol": blob_of(PACKAGE + kind, 5),
        "dill": serialize_provider(provider.RunpodProvider(PACKAGE + kind)),
        "of a package that is gone": base64.b64encode(b"cgone.package\nProvider\n.").decode(),
        "of another path": base64.b64encode(b"cpulumi_runpod_serverless.dynamic\nRunpodProvider\n.").decode(),
    }
    with behind("dynamic") as door:
        assert isinstance(door, DynamicDoor)
        life = Life(door, kind)
        life.up(named(FULL[kind]))
        life.outputs[PROVIDER_KEY] = life.inputs[PROVIDER_KEY] = blobs[other]
        door.world.forget()
        assert life.up(named(FULL[kind])).op == "same"
        assert door.world.sent == []
        if other in ("another protocol", "dill"):
            assert life.refresh().op == "same"
            assert life.destroy() == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["__name", "__secrets", "__inputs", "__whatever"])
def test_what_is_ours_is_never_compared(kind: str, key: str) -> None:
    """A renamed resource, a value that became secret, another default kept: none is a change of the resource.

    What counts as stated is one of a template's `settings`, which tell only that.
    """
    with behind("dynamic") as door:
        life = Life(door, kind)
        life.up(named(FULL[kind]))
        news = life.checked(named(FULL[kind]))
        inner = plain(news["__inputs"])
        news[key] = {"__inputs": {**inner, "__defaults": []}, "__secrets": [["name"]]}.get(key, "other")
        assert life.diff(news).op == ("update" if (kind, key) == ("PodTemplate", "__inputs") else "same")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", LOST)
def test_what_a_lost_answer_made_is_the_one_in_the_state(kind: str, fault: str) -> None:
    """A dynamic provider's failure would lose it; so there is none, and no second one is made."""
    where, path, inputs = LOSABLE[kind]
    with behind("dynamic") as door:
        life = Life(door, kind)
        door.world.fault(method="POST", path=path, **LOST[fault])
        life.up(dict(inputs))
        assert [item["id"] for item in door.world.all(where) if not item.get("_source")] == [life.id]
        assert life.up(dict(inputs)).op == "same"


def test_what_the_engine_cannot_be_told_is_a_warning_and_the_next_up_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a Pulumi to come hides its RPC: nothing is lost, and no change is sent twice."""
    monkeypatch.setattr(partial, "_context", lambda: None)
    program = named({**FULL["Endpoint"], "workers": {"min": 1, "max": 1}, "waitForReady": 1, "updateStrategy": "inPlace"})
    with behind("dynamic") as door:
        life = Life(door, "Endpoint")
        life.up(program)
        assert life.unfinished == () and "0/1 workers on version 1 after 1 s" in life.outputs[FAILED_KEY][0]
        assert life.id == door.world.all("endpoints")[0]["id"]
        life.refresh()
        assert life.outputs[FAILED_KEY] == ["0/1 workers on version 1 (1 still starting); the next `pulumi up` waits on"]
        door.world.app.world.clock.advance(300)
        assert life.up(program).op == "update"
        assert FAILED_KEY not in life.outputs
        assert life.up(program).op == "same"
        program["env"] = {"A": "other"}
        door.world.forget()
        assert life.up(program).op == "update"
        assert "version 2" in life.outputs[FAILED_KEY][0] and plain(life.outputs["env"]) == {"A": "other"}
        assert life.up(program).op == "update"
        assert [line.split()[0] for line in door.world.writes] == ["PATCH"]
        door.world.app.world.clock.advance(300)
        assert [life.up(program).op, life.up(program).op] == ["update", "same"]


def test_a_key_is_looked_up_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program's environment has does not travel."""
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_of_the_program")
    registered = _registered(lambda: dynamic.Registry("x", username="u", password="p"))["x"].inputs
    assert "rpa_of_the_program" not in str(registered) and b"rpa_" not in base64.b64decode(registered[PROVIDER_KEY])


# -- what a program registers


class _Mocks(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.seen[args.name] = args
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        return {}


def _registered(program: Callable[[], Any]) -> dict[str, Any]:
    """Run a program against mocks, and give what it registers."""
    mocks = _Mocks()

    async def run() -> None:
        pulumi.runtime.set_mocks(mocks, preview=False)
        program()
        await pulumi.runtime.stack.wait_for_rpcs()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Pulumi's mocks leave an event loop open in each thread
        try:
            asyncio.run(run())
        finally:
            pulumi.runtime.settings.reset_options()
        gc.collect()
    return {name: SimpleNamespace(typ=seen.typ, inputs=plain(seen.inputs)) for name, seen in mocks.seen.items()}


def test_a_resource_is_registered_as_native_but_for_what_is_ours() -> None:
    """The same names and values, under a type of its own, without the plugin's version."""

    def program(kinds: Any) -> None:
        kinds.Endpoint(
            "x",
            image="me/worker:1",
            min_cuda_version="12.8",
            template=native.PodTemplateSettingsArgs(container_disk_in_gb=70, registry_auth_id="r"),
            workers={"min": 0, "max": 2},
        )

    theirs, ours = (_registered(lambda kinds=kinds: program(kinds))["x"] for kinds in (native, dynamic))
    assert ours.typ == "pulumi-python:dynamic/runpod-serverless:Endpoint"
    assert {name for name in ours.inputs if name not in theirs.inputs} == {PROVIDER_KEY, NAME_KEY, STACK_KEY, SECRETS_KEY}
    assert {name: ours.inputs[name] for name in theirs.inputs} == theirs.inputs
    assert ours.inputs[NAME_KEY] == "x" and ours.inputs[STACK_KEY] == "stack::project" and ours.inputs[SECRETS_KEY] == []


def test_the_provider_is_told_what_is_secret() -> None:
    """The whole input, or the keys of an object or a map that are; in the names that the API of the provider has."""

    def program() -> None:
        hidden = pulumi.Output.secret("s")
        dynamic.Endpoint(
            "x",
            image=hidden,
            env={"MY_KEY": hidden, "OPEN": "o"},
            gpu=["ADA_24", hidden],
            min_cuda_version=hidden,
            template=native.PodTemplateSettingsArgs(registry_auth_id=hidden, args="open", env={"A": hidden}),
            workers={"max": pulumi.Output.secret(2)},
            dependencies=pulumi.Output.from_input(["open"]),
        )
        dynamic.Registry("r", username="u", password="p")

    registered = _registered(program)
    told = {tuple(path) for path in registered["x"].inputs[SECRETS_KEY]}
    # A key is told in both spellings where they differ: a map's are the program's own.
    assert told == {
        ("image",),
        ("env", "MY_KEY"),
        ("env", "MYKEY"),
        ("gpu",),
        ("minCudaVersion",),
        ("template", "registry_auth_id"),
        ("template", "registryAuthId"),
        ("template", "env"),
        ("workers", "max"),
    }
    assert registered["r"].inputs[SECRETS_KEY] == [["password"]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_is_translated_as_the_sdk_does(kind: str) -> None:
    """From the SDK's spelling to the schema's."""
    (resource,) = (resource for resource in RESOURCES if resource.name == kind)
    spelled = set(inspect.signature(getattr(native, f"{kind}Args").__init__).parameters) - {"__self__"}
    assert {_camel(name) for name in spelled} == {info.alias for info in resource.inputs.model_fields.values()}


@pytest.mark.parametrize("options", [{"id": "e0"}, {"import_": "e0"}], ids=str)
def test_existing_resources_are_refused_with_a_way_out(options: dict[str, str]) -> None:
    """Before anything is registered."""
    with pytest.raises(TypeError, match=r"dynamic\.Endpoint has no options `id` and `import_`"):
        _registered(lambda: dynamic.Endpoint("x", opts=pulumi.ResourceOptions(**options)))


@pytest.fixture(scope="module")
def snippet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a program whose right lines a type checker takes, and whose wrong lines it does not."""
    file = tmp_path_factory.mktemp("typed") / "program.py"
    lines = ["import pulumi", "import pulumi_runpod_serverless as native", "from pulumi_runpod_serverless import dynamic", ""]
    for door in ("native", "dynamic"):
        lines += [
            f"{door}_volume = {door}.NetworkVolume('v', size=20, datacenter=native.DataCenter.EU_RO_1)",
            f"{door}_endpoint = {door}.Endpoint('e', image='me/worker:1', gpu=['ADA_24', 'ANY'], volume=[{door}_volume], workers=3)",
            f"{door}.Endpoint('f', native.EndpointArgs(workers=native.WorkersArgs(max=3)), pulumi.ResourceOptions(protect=True))",
            f"{door}_url: pulumi.Output[str] = {door}_endpoint.request_urls.apply(lambda urls: urls.run or '')",
            f"{door}.Endpoint('h', gpu_count='many')  # type: ignore[call-overload]",
            f"{door}.Endpoint('h', colour='red')  # type: ignore[call-overload]",
            "",
        ]
    file.write_text("\n".join(lines))
    return file


def test_programs_are_typed_as_with_the_native_resources(snippet: Path) -> None:
    """The same lines are right and wrong behind both doors."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={snippet.parent / 'cache'}", snippet]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=snippet.parent)
    assert done.returncode == 0, done.stdout
