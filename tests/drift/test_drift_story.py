"""One stack to which everything happens that a search can tell apart: causes, secrets, code that waits, and what is no drift at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import pytest

from drift.support import command, identifiers, paths, resource, search, search_one
from engine.harness import Stack
from engine.programs import ENDPOINT, endpoint, secret, volume
from runpod_serverless_provider.drift import SECRET, CauseKind, PropertyDrift, Report, StackReport, Undeployed, Up
from runpod_serverless_provider.drift.formats import Format, write

if TYPE_CHECKING:
    from runpod_emulator.running import Running

CANARIES: Final = {name: f"canary-{name}-4711" for name in ("program", "whole", "rotated", "added", "template", "password")}
DAY_SECONDS: Final = 86_400


def _program(**more: Any) -> dict[str, Any]:
    return {
        "idle": endpoint(name="idle", workers=5),
        "ill": endpoint(name="ill", workers={"min": 1, "max": 4}),
        "lost": endpoint(name="lost"),
        "variables": endpoint(name="variables", env={"TOKEN": secret(CANARIES["program"]), "LEVEL": "info"}),
        "sealed": endpoint(name="sealed", env=secret({"KEY": CANARIES["whole"]})),
        "settings": {
            "type": "runpod-serverless:index:PodTemplate",
            "properties": {"name": "settings", "image": "me/worker:1", "env": {"LEVEL": "info"}},
        },
        "login": {
            "type": "runpod-serverless:index:Registry",
            "properties": {"name": "login", "username": "me", "password": secret(CANARIES["password"])},
        },
        "models": volume(name="models", size=20),
        "ignored": endpoint({"ignoreChanges": ["idleTimeout"]}, name="ignored"),
        **more,
    }


def _meddle(emulator: Running, ids: dict[str, str]) -> None:
    emulator.mutate("endpoints", ids["ill"], _isUnhealthy=True)
    emulator.delete("endpoints", ids["lost"])
    variables = {"TOKEN": CANARIES["rotated"], "LEVEL": "debug", "NEW": CANARIES["added"], "PORT": "80"}
    emulator.mutate("endpoints", ids["variables"], env=variables)
    emulator.mutate("endpoints", ids["sealed"], env={"KEY": CANARIES["rotated"], "NEW": CANARIES["added"]})
    emulator.mutate("templates", ids["settings"], env={"LEVEL": "info", "NEW": CANARIES["template"]})
    emulator.mutate("networkVolumes", ids["models"], size=40)
    emulator.mutate("endpoints", ids["ignored"], workers={"idleTimeout": 5})
    emulator.mutate("endpoints", ids["seen"], name="renamed by its owner")
    emulator.advance(4 * DAY_SECONDS)


@pytest.fixture(scope="module")
def story(shared: tuple[Stack, Running]) -> dict[str, Any]:
    """Bring the stack up, let things happen, and search: the program as deployed, then one with changes, then after the repair."""
    stack, emulator = shared
    (seen,) = emulator.seed(endpoints=[{"id": "seen", "name": "somebody's"}])["endpoints"]
    read = {"seen": {"type": ENDPOINT, "get": {"id": seen}}}
    stack.write(_program(**read))
    stack.up()
    told: dict[str, Any] = {"stack": stack, "clean": search_one(stack)}
    emulator.clear_requests()
    stack.write(_program(**read, extra=endpoint(name="extra"), idle=endpoint(name="idle", workers=5, image="me/worker:2")))
    told["merged"], told["requests"] = search_one(stack), emulator.requests()
    stack.write(_program(**read))
    _meddle(emulator, {**identifiers(stack), "seen": seen})
    told["drifted"] = search_one(stack)
    told["commands"] = {form: command(stack, "--format", form.value) for form in Format}
    # The volume grew, and to say so is the program's part: nothing makes it smaller.
    mended = {**_program(**read), "models": volume(name="models", size=40), "idle": endpoint(name="idle", workers=7, scalerValue=2)}
    del mended["ill"]
    stack.write(mended)
    told["both"] = search_one(stack)
    stack.up("--refresh")
    told["repaired"] = search_one(stack)
    return told


def _causes(found: StackReport, name: str) -> dict[CauseKind, str]:
    return {cause.kind: cause.text for cause in resource(found, name).causes}


def test_what_is_as_deployed_is_clean(story: dict[str, Any]) -> None:
    """Also with a resource that the program only reads, and one of which a property is ignored."""
    assert story["clean"] == StackReport("dev", "harness")
    assert story["repaired"] == StackReport("dev", "harness")


def test_code_that_is_merged_and_not_deployed_is_no_drift(story: dict[str, Any]) -> None:
    """It is listed as what it is, and the exit code says clean; to plan it costs no request but those for what is new."""
    merged = story["merged"]
    assert (merged.resources, merged.exit_code) == ((), 0)
    assert [(item.name, item.up, item.properties) for item in merged.undeployed] == [
        ("extra", Up.CREATE, ()),
        ("idle", Up.RECREATE, ("image",)),
    ]
    assert {entry["method"] for entry in story["requests"]} == {"GET"}
    reads = [entry for entry in story["requests"] if entry["route"].startswith("/v2/serverless")]
    assert len(reads) <= 7  # one refresh, not two


def test_exactly_what_happened_is_found(story: dict[str, Any]) -> None:
    """Neither the platform's `PORT`, nor what the program ignores or only reads, nor what nobody touched."""
    assert paths(story["drifted"]) == {
        "idle": ["workers.max"],
        "ill": ["workers.max"],
        "lost": [],
        "variables": ["env.LEVEL", "env.NEW", "env.TOKEN"],
        "sealed": ["env.KEY", "env.NEW"],
        "settings": ["env.NEW"],
        "models": ["size"],
    }
    assert story["drifted"].exit_code == 7
    assert story["drifted"].undeployed == ()


def test_each_cause_that_can_be_known_is_named(story: dict[str, Any]) -> None:
    """Idle for three days; unhealthy again and again, with the worker; deleted; added by hand."""
    drifted = story["drifted"]
    idle, ill = (_causes(drifted, name)[CauseKind.WORKERS_LOWERED] for name in ("idle", "ill"))
    assert "without a request for 3 days" in idle
    assert "It has no worker now" in idle
    assert "Its only worker is unhealthy now (" in ill
    assert "each start is billed" in ill
    assert "Runpod has no endpoint" in _causes(drifted, "lost")[CauseKind.DELETED]
    for name in ("variables", "settings"):
        assert _causes(drifted, name)[CauseKind.ENV_ADDED].endswith("added by hand: NEW")
    assert _causes(drifted, "models") == {}


def test_what_up_would_do_is_told_where_the_preview_came_so_far(story: dict[str, Any]) -> None:
    """A volume that grew cannot shrink: `up` would fail, and says so; the rest of the column may then be empty, with the reason."""
    models = resource(story["drifted"], "models")
    assert models.up is Up.FAIL
    assert models.remark.startswith("size: a network volume cannot shrink: it has 40 GB")
    others = {item.name: item.up for item in story["drifted"].resources if item.name != "models"}
    wanted = {name: Up.CREATE if name == "lost" else Up.UPDATE for name in others}
    assert {name: up for name, up in others.items() if up is not None}.items() <= wanted.items()
    if None in others.values():
        assert story["drifted"].up_unknown == "the preview ended with the failure of models"


def test_drift_and_code_are_told_apart_in_one_resource(story: dict[str, Any]) -> None:
    """What drifted, what waits, a property that did both, and a resource that goes."""
    both = story["both"]
    idle = resource(both, "idle")
    assert (idle.up, idle.properties) == (Up.UPDATE, (PropertyDrift("workers.max", 5, 2, up=Up.UPDATE),))
    assert resource(both, "ill").up is Up.DELETE
    models = resource(both, "models")
    assert (models.up, models.properties) == (Up.NOTHING, (PropertyDrift("size", 20, 40, up=Up.NOTHING),))
    urn = "urn:pulumi:dev::harness::runpod-serverless:index:Endpoint::{}"
    assert both.undeployed == (
        Undeployed(urn.format("idle"), ENDPOINT, "idle", Up.UPDATE, ("scalerValue", "workers.max")),
        Undeployed(urn.format("ill"), ENDPOINT, "ill", Up.DELETE),
    )
    assert {name: resource(both, name).up for name in ("variables", "sealed", "settings", "lost")} == {
        "variables": Up.UPDATE,
        "sealed": Up.UPDATE,
        "settings": Up.UPDATE,
        "lost": Up.CREATE,
    }


def test_a_secret_is_told_as_such(story: dict[str, Any]) -> None:
    """Also one that was rotated at Runpod, and what somebody added, which may be one."""
    found = {item.path: item for item in resource(story["both"], "variables").properties}
    assert found == {
        "env.LEVEL": PropertyDrift("env.LEVEL", "info", "debug", up=Up.UPDATE),
        "env.NEW": PropertyDrift("env.NEW", None, SECRET, is_secret=True, up=Up.UPDATE),
        "env.TOKEN": PropertyDrift("env.TOKEN", SECRET, SECRET, is_secret=True, up=Up.UPDATE),
    }


@pytest.mark.parametrize("form", Format, ids=lambda form: form.value)
def test_no_secret_is_printed(story: dict[str, Any], form: Format) -> None:
    """In no format, neither on standard output nor on standard error; and the exit code is drift's."""
    done = story["commands"][form]
    assert done.returncode == 7, done.stderr
    file = io.StringIO()
    write(Report((story["drifted"], story["both"])), form, file, {})
    for text in (done.stdout, done.stderr, file.getvalue(), repr(story["drifted"])):
        assert [name for name, canary in CANARIES.items() if canary in text] == []
    assert "workers.max" in done.stdout


def test_a_key_that_is_refused_is_an_error_and_no_drift(story: dict[str, Any]) -> None:
    """Resources that could not be read are not gone."""
    stack: Stack = story["stack"]
    (found,) = search(_with(stack, RUNPOD_API_KEY="bad_key_of_nobody")).stacks
    assert (found.resources, found.exit_code) == ((), 2)
    assert "401" in found.error


def _with(stack: Stack, **variables: str) -> Stack:
    changed = Stack(stack.directory, {**stack.environment, **variables})
    changed._is_selected = True
    return changed
