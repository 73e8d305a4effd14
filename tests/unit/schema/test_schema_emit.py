"""The schema is what the models say, whole, described, and without a word about what is secret in the clear."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import pytest

from runpod_serverless_provider import schema as schema_module
from runpod_serverless_provider.core.function import Answer, Function, NoArguments
from runpod_serverless_provider.core.model import (
    AutoNamed,
    Default,
    Facts,
    Outputs,
    Recreates,
    Secret,
    StateOnly,
    Updates,
    output_facts,
)
from runpod_serverless_provider.core.resource import Resource
from runpod_serverless_provider.core.settings import CONFIGURATION
from runpod_serverless_provider.core.values import render_path
from runpod_serverless_provider.resources import FUNCTIONS, RESOURCES
from runpod_serverless_provider.resources.endpoint import PodTemplateSettings
from runpod_serverless_provider.schema import __main__ as command
from runpod_serverless_provider.schema.emit import emit, member_name
from runpod_serverless_provider.schema.types import literal_values, type_of

ROOT: Final = Path(__file__).resolve().parents[3]
GENSDK: Final = ROOT / ".engine" / "bin" / "gensdk"
COMMITTED: Final[dict[str, Any]] = json.loads(schema_module.load())
FIELDS: Final = [(resource, item) for resource in RESOURCES for item in resource.facts]
EACH_FIELD: Final = pytest.mark.parametrize(
    ("resource", "item"), [pytest.param(one, item, id=f"{one.name}.{render_path(item.path)}") for one, item in FIELDS]
)


def _spec(resource: Resource, item: Facts) -> dict[str, Any]:
    """Find the input property in the committed schema, also within an object."""
    if len(item.path) == 1:
        return COMMITTED["resources"][resource.token]["inputProperties"][item.name]
    (outer,) = [one for one in resource.facts if one.path == item.path[:-1]]
    assert outer.nested is not None
    return COMMITTED["types"][f"runpod-serverless:index:{outer.nested.__name__}"]["properties"][item.name]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


def test_the_committed_schema_is_what_the_models_say() -> None:
    """`make schema` writes it."""
    assert emit(RESOURCES, FUNCTIONS) == COMMITTED


def test_it_is_loaded_from_the_wheel_or_from_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An editable installation has none beside the module."""
    monkeypatch.setattr(schema_module, "_PACKAGED", tmp_path / "schema.json")
    assert schema_module.load() == (ROOT / "schema.json").read_text(encoding="utf-8")
    (tmp_path / "schema.json").write_text("packaged", encoding="utf-8")
    assert schema_module.load() == "packaged"


@EACH_FIELD
def test_a_property_says_what_it_is_its_default_and_what_a_change_does(resource: Resource, item: Facts) -> None:
    """In whole sentences."""
    said = _spec(resource, item)["description"]
    assert re.match(r"[A-Z`0-9].*[.?]", said), said
    default = item.marker(Default)
    is_named = item.marker(AutoNamed) is not None
    assert ("Default" in said) == (default is not None or is_named or "Default" in (item.info.description or ""))
    if default is not None:
        assert f"Default: {default.text}." in said
    if item.nested is not None:
        return
    if isinstance(item.effect, Recreates):
        assert f"A change recreates the {resource.noun} because {item.effect.because}" in said
        assert ("also with `updateStrategy: inPlace`" in said) == (resource.name == "Endpoint" and not item.effect.is_patchable)
    elif isinstance(item.effect, StateOnly):
        assert said.endswith("A change updates the state only, without a request.")
    else:
        assert isinstance(item.effect, Updates)
        assert f"A change updates the {resource.noun}" in said


UNITS: Final = r"GB|[Ss]econds|[Mm]illiseconds|GPUs|[Ww]orkers|\{min, max\}"


@EACH_FIELD
def test_a_number_has_a_unit(resource: Resource, item: Facts) -> None:
    """In its description."""
    kind = type_of(item.info.annotation)
    if kind.get("type") in ("integer", "number"):
        assert re.search(UNITS, _spec(resource, item)["description"])


@EACH_FIELD
def test_what_recreates_says_so(resource: Resource, item: Facts) -> None:
    """For tools that read the schema."""
    assert _spec(resource, item).get("willReplaceOnChanges", False) == isinstance(item.effect, Recreates)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_secret_flags_are_those_of_the_markers(resource: Resource) -> None:
    """On inputs and outputs alike, and on nothing else."""
    marked = {item.name for item in (*resource.facts, *output_facts(resource.outputs)) if item.marker(Secret) is not None}
    spec = COMMITTED["resources"][resource.token]
    for group in ("inputProperties", "properties"):
        assert {name for name, each in spec[group].items() if each.get("secret")} == marked & set(spec[group])
    assert marked == {"Endpoint": {"inheritedEnv"}, "Registry": {"password"}}.get(resource.name, set())


def test_the_key_of_the_configuration_is_secret() -> None:
    """The only one that is."""
    for group in (COMMITTED["config"]["variables"], COMMITTED["provider"]["inputProperties"]):
        assert [name for name, each in group.items() if each.get("secret")] == ["apiKey"]
        assert list(group) == [item.name for item in CONFIGURATION]
        assert all(each["description"].endswith(".") and "Default: " in each["description"] for each in group.values())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_input_is_an_output_and_none_is_an_id(resource: Resource) -> None:
    """`pulumi import` reads programs off the outputs; the engine has the id for itself."""
    spec = COMMITTED["resources"][resource.token]
    assert set(spec["inputProperties"]) <= set(spec["properties"])
    assert not {"id", "urn"} & set(spec["properties"])
    assert set(spec.get("required", ())) <= set(spec["properties"])
    assert all(each.get("description") for group in ("inputProperties", "properties") for each in spec[group].values())


def test_every_reference_leads_somewhere() -> None:
    """To a type or a resource of this package."""
    references = {node["$ref"] for node in _nodes(COMMITTED) if "$ref" in node}
    known = {f"#/types/{name}" for name in COMMITTED["types"]} | {f"#/resources/{name}" for name in COMMITTED["resources"]}
    assert references <= known
    used = {reference for reference in references if reference.startswith("#/types/")}
    assert {f"#/types/{name}" for name in COMMITTED["types"]} == used


def test_every_member_of_an_enum_has_a_name_of_its_own() -> None:
    """In lower case, which the generators turn into their own."""
    for name, spec in COMMITTED["types"].items():
        members = spec.get("enum", ())
        assert len({member["name"] for member in members}) == len(members), name
        assert all(re.fullmatch(r"[a-z0-9_]+", member["name"]) for member in members)
        assert spec["description"]


NAMES: Final = [
    ("EU-RO-1", "eu_ro_1"),
    ("NVIDIA A100 80GB PCIe", "nvidia_a100_80gb_pcie"),
    ("NVIDIA A100-SXM4-80GB", "nvidia_a100_sxm4_80gb"),
    ("cpu5c-4-8", "cpu5c_4_8"),
    ("inPlace", "in_place"),
    ("QUEUE_DELAY", "queue_delay"),
    ("any", "any"),
]


@pytest.mark.parametrize(("value", "name"), NAMES)
def test_a_member_is_named_after_its_value(value: str, name: str) -> None:
    """So that its name can be guessed."""
    assert member_name(value) == name


def test_every_function_is_described() -> None:
    """With its arguments and its answer."""
    for function in FUNCTIONS:
        spec = COMMITTED["functions"][function.token]
        assert spec["description"].endswith(".")
        assert all(each["description"] for each in spec["inputs"].get("properties", {}).values())
        assert all(each["description"] for each in spec["outputs"]["properties"].values())


def test_an_answer_may_hold_what_a_program_may_write() -> None:
    """Each model on the way is a type of the schema, once."""

    class Found(Outputs):
        """What was found."""

        settings: Annotated[PodTemplateSettings, Updates()]
        """Settings."""

    class Ask(Function):
        """Ask."""

        arguments = NoArguments
        answers = Found

        async def call(self, session: Any, arguments: Any, voice: Any) -> Answer:
            return Answer({})

    added = set(emit((), (Ask(),))["types"]) - set(emit((), ())["types"])
    assert added == {"runpod-serverless:index:ResolvedPodTemplateSettings"}


def test_what_is_read_has_one_form() -> None:
    """No output is a union, so that a program may go on into it; what a program may write keeps each of its forms."""
    types = COMMITTED["types"]
    outputs = [spec["properties"] for spec in COMMITTED["resources"].values()]
    outputs += [spec["outputs"] for spec in COMMITTED["functions"].values()]
    read: list[str] = []
    while names := {node["$ref"].removeprefix("#/types/") for node in _nodes(outputs) if "$ref" in node} - set(read):
        read += names
        outputs += [types[name] for name in names if name in types]
    assert not [node for node in _nodes(outputs) if "oneOf" in node]
    assert types["runpod-serverless:index:ResolvedPodTemplateSettings"]["properties"]["env"]["type"] == "object"
    assert "oneOf" in types["runpod-serverless:index:PodTemplateSettings"]["properties"]["env"]


def test_a_type_that_no_schema_can_say_is_refused() -> None:
    """When the schema is written, not when somebody uses it."""
    with pytest.raises(TypeError, match="no schema type for"):
        type_of(set[str])
    assert literal_values(int) == ()


def test_the_engine_reads_it_without_a_word() -> None:
    """Its own schema package binds the schema."""
    if not GENSDK.exists():
        pytest.skip("there is no engine: run `make engine`")
    done = subprocess.run([GENSDK, "-check", ROOT / "schema.json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    name = "runpod_serverless_provider.schema.__main__"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "argv", ["schema", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    assert ended.value.code == 0


def test_it_is_written_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a file, and the tables to the output."""
    _run(monkeypatch, "--write", str(tmp_path / "schema.json"))
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == (ROOT / "schema.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""
    _run(monkeypatch, "--table", "endpoint")
    assert callable(command.main)  # imported, it writes nothing
    assert capsys.readouterr().out.startswith("| property | type | default | a change | what it is |\n| --- |")
