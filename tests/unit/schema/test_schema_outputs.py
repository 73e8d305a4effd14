"""What the schema says is always there is there: SDKs give programs no way to ask whether it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from unit.support import PACKAGE, Life, World

SCHEMA: Final = json.loads((Path(__file__).resolve().parents[3] / "schema.json").read_text(encoding="utf-8"))
LEAST: Final[dict[str, list[dict[str, Any]]]] = {
    "Endpoint": [{}, {"cpu": "cpu3c-2-4"}, {"type": "LOAD_BALANCER"}, {"scalerType": "REQUEST_COUNT"}, {"templateId": "t0"}],
    "NetworkVolume": [{}],
    "PodTemplate": [{}, {"category": "AMD", "image": "me/x"}],
    "Registry": [{"username": "u", "password": "p"}],
}
KINDS: Final = {"Endpoint": "endpoints", "NetworkVolume": "networkVolumes", "PodTemplate": "templates", "Registry": "registries"}


@pytest.mark.parametrize(
    ("kind", "program"), [(kind, program) for kind, programs in LEAST.items() for program in programs], ids=str
)
def test_required_outputs_are_always_there(world: World, kind: str, program: dict[str, Any]) -> None:
    """After a create, a refresh, an import, and in a preview, where they may be unknown."""
    world.seed(templates=[{"id": "t0", "name": "t0"}])
    required = set(SCHEMA["resources"][PACKAGE + kind]["required"])
    life = Life(world, kind)
    assert required <= set(life.preview(program))
    life.up(program)
    assert required <= set(life.outputs)
    life.refresh()
    assert required <= set(life.outputs)
    life.take_over(life.id)
    assert required <= set(life.outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_required_answers_are_always_there(world: World, kind: str) -> None:
    """Also for what others made, with nothing said."""
    (identifier,) = world.seed(**{KINDS[kind]: [{"id": "x0", "name": "x"}]})[KINDS[kind]]
    spec = SCHEMA["functions"][f"{PACKAGE}get{kind}"]["outputs"]
    request = verbs.Invoke(f"{PACKAGE}get{kind}", {"id": identifier}, voice=world.notes)
    values = world.run(world.provider.invoke(request)).values
    assert set(spec["required"]) <= set(values) <= set(spec["properties"])
    assert not {"password", "username", "updateStrategy", "deletionProtection"} & set(spec["properties"])
