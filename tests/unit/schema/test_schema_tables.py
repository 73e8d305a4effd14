"""The README's tables."""

from __future__ import annotations

from typing import Final

import pytest

from runpod_serverless_provider.core.settings import CONFIGURATION
from runpod_serverless_provider.resources import RESOURCES
from runpod_serverless_provider.schema.tables import table

ROWS: Final = {
    "endpoint": [
        "| `gpu` | `GpuGroup` \\| `GpuType` \\| list | `any`, unless `cpu` is given | **recreates** |",
        "| `type` | `EndpointType` | `QUEUE` | **recreates**, also `inPlace` |",
        "| `workers` | integer \\| `Workers` | `{min: 0, max: 1}` | by field |",
        "| `workers.min` | integer | – | updates |",
        "| `env` | map of string | – | updates |",
        "| `template.ports` | list of string | – | **recreates** |",
        "| `updateStrategy` | `UpdateStrategy` | the provider's `defaultUpdateStrategy`, else `replace` | updates the state |",
        "| `name` | string | auto-named | updates |",
        "| `dependencies` | list of string | – | updates the state |",
    ],
    "networkvolume": [
        "| `size` | integer | 100 | updates | Size in GB, 10 to 4096. |",
        "| `datacenter` | `DataCenter` | `EU-RO-1` | **recreates** |",
        "| `deletionProtection` | boolean | `true` | updates the state |",
    ],
}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_each_property_has_a_row(resource: object) -> None:
    """In order, each with a type, what a change does, and a sentence."""
    lines = table(resource.name.lower(), RESOURCES).splitlines()[2:]  # type: ignore[attr-defined]
    paths = [".".join(map(str, item.path)) for item in resource.facts]  # type: ignore[attr-defined]
    assert [line.split("`")[1] for line in lines] == sorted(paths, key=lambda path: path.split("."))
    assert all(line.count(" | ") >= 4 and line.rstrip(" |").endswith((".", "?")) for line in lines)


@pytest.mark.parametrize("name", ROWS)
def test_rows_say_what_the_models_say(name: str) -> None:
    """Types as a user may write them, defaults in words, and effects."""
    text = table(name, RESOURCES)
    for row in ROWS[name]:
        assert row in text


def test_the_configuration_has_a_table() -> None:
    """Of every property."""
    lines = table("configuration", RESOURCES).splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == [item.name for item in CONFIGURATION]


def test_there_is_no_table_of_nothing() -> None:
    """A misspelt name fails the generation."""
    with pytest.raises(KeyError):
        table("endpint", RESOURCES)
