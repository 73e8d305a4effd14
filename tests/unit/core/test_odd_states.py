"""States that another version wrote, or somebody's editor, and inputs that no Check has seen: nothing is taken for what it is not."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.checking import DEFAULTS_KEY
from runpod_serverless_provider.core.failures import CheckFailed
from runpod_serverless_provider.core.provider import _steps
from runpod_serverless_provider.core.resource import Task
from runpod_serverless_provider.core.session import Session
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.core.verbs import Settings
from runpod_serverless_provider.resources import RESOURCES
from unit.support import Life, World

UNCHECKED: Final = "has no value, which it would have if these inputs had been checked"
ODD: Final = (None, 7, "odd", ["odd"], [7], [{}], {}, {"odd": ["odd"]}, True)


def create(life: Life, inputs: dict[str, Any], **request: Any) -> Any:
    """Send a create of these very inputs."""
    return life.world.run(life.world.provider.create(verbs.Create(life.token, life.urn, inputs, **request)))


@pytest.mark.parametrize("is_preview", [True, False])
@pytest.mark.parametrize("kind", ["Endpoint", "NetworkVolume", "PodTemplate", "Registry"])
def test_inputs_without_what_check_gives_are_refused(world: World, kind: str, is_preview: bool) -> None:
    """They would become a request that nobody means."""
    with pytest.raises(CheckFailed, match=f"name: {UNCHECKED}"):
        create(Life(world, kind), {}, preview=is_preview)
    assert world.sent == []


def test_inputs_that_check_would_refuse_are_refused(world: World, endpoint: Life) -> None:
    """In create and update, each property once, and a secret is not shown."""
    checked = endpoint.checked({"image": "me/x:1", "cpu": "cpu3c-2-4"})
    with pytest.raises(CheckFailed, match=r"^cpu\[0\]: \[secret\] is not a CPU size"):
        create(endpoint, {**checked, "cpu": "CANARY"}, secrets=frozenset({("cpu",)}))
    endpoint.up({"image": "me/x:1", "workers": 2})
    world.forget()
    with pytest.raises(CheckFailed, match=r"^workers: must be a whole number, or an object .min, max., not 'many'$"):
        endpoint.update({**endpoint.inputs, "workers": "many"})
    assert world.sent == []


def test_a_default_of_an_older_version_is_no_reason_to_refuse(world: World, endpoint: Life) -> None:
    """Unless it would have to be translated for the API."""
    inputs = endpoint.checked({})
    create(endpoint, {**inputs, "pythonVersion": "3.9", "image": "runpod/flash:py3.9-latest"})
    retired = {**inputs, "gpu": [{"retired": "shape"}]}
    assert create(endpoint, retired, preview=True).outputs["gpuPools"] is UNKNOWN
    with pytest.raises(CheckFailed, match=r"^datacenter\[0\]: must be a string"):
        create(endpoint, {**inputs, "datacenter": [7]})


@pytest.mark.parametrize("kind", ["Endpoint", "NetworkVolume", "PodTemplate", "Registry"])
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_any_prior_state_is_read_planned_and_changed(world: World, kind: str, odd: Any) -> None:
    """What cannot be read of inputs and outputs counts as not there; only the user's inputs are refused."""
    program = {"Registry": {"username": "u", "password": "p"}, "NetworkVolume": {"deletionProtection": False}}.get(kind, {})
    life = Life(world, kind)
    life.up(program)
    inputs, outputs = life.inputs, life.outputs
    for name in sorted({*outputs, *inputs}):
        life.outputs = {**outputs, name: odd}
        assert life.read() is not None
        if not any(kind.endswith("replace") for kind in life.plan(program).values()):
            life.update(inputs)
        life.outputs, life.inputs = outputs, {**inputs, name: odd}
        assert life.read() is not None
        life.check(program)
        life.check({**program, name: odd})  # what is as it was may stay
        life._difference(life.inputs, inputs)
        life.inputs = inputs
    life.outputs = dict.fromkeys(outputs, odd)
    life.delete()


def test_a_property_as_it_was_may_stay_and_is_sent(world: World, endpoint: Life) -> None:
    """Another version took it; what is of another form than what is sent has to be said anew."""
    endpoint.up({"image": "me/x:1", "idleTimeout": 60})
    endpoint.inputs["idleTimeout"] = endpoint.outputs["idleTimeout"] = 5000
    news = endpoint.checked({"image": "me/x:1", "idleTimeout": 5000, "name": "n"})
    endpoint.update(news)
    assert world.body("PATCH") == {"name": "n"}
    endpoint.inputs["env"] = news["env"] = 7
    with pytest.raises(CheckFailed, match=r"^env: must be a map"):
        endpoint.update(news)


def test_defaults_that_are_no_list_of_paths_count_as_none(world: World, endpoint: Life) -> None:
    """A refresh leaves what is one of the rest."""
    endpoint.up({"image": "me/x:1"})
    endpoint.inputs[DEFAULTS_KEY] = ["idleTimeout", 7, {}]
    observed = endpoint.read()
    assert observed is not None and observed.inputs[DEFAULTS_KEY] == ["idleTimeout"]
    endpoint.inputs[DEFAULTS_KEY] = "idleTimeout"
    assert endpoint.plan({"image": "me/x:1"}) == {}


def test_what_somebody_adds_after_an_import_is_not_the_program_s(world: World) -> None:
    """The state has no defaults yet; its outputs show these, and not what nobody stated and may be a secret."""
    template = Life(world, "PodTemplate")
    template.up({"name": "base", "image": "me/x:1"})
    imported = Life(world, "PodTemplate", "imported")
    imported.take_over(template.id)
    before = imported.outputs
    world.drift("templates", template.id, env={"TOKEN": "CANARY"}, args="theirs")
    assert imported.refresh() == {} and imported.outputs == before


def test_a_patch_leaves_out_what_it_cannot_say(endpoint: Life) -> None:
    """Without a selection of cards there is no `gpu` that a CUDA floor could be put into, and without workers there are none to send."""
    program = {"image": "me/x:1", "gpu": "ADA_24", "updateStrategy": "inPlace"}
    endpoint.up(program)
    (resource,) = (resource for resource in RESOURCES if resource.name == "Endpoint")
    session = Session(endpoint.world.api, Settings())
    for change in ({"minCudaVersion": "12.8"}, {"allowedCudaVersions": ["12.8"]}, {"scalerType": "REQUEST_COUNT"}):
        planned, steps = _steps(resource, endpoint.inputs, endpoint.outputs, endpoint.checked({**program, **change}), ())
        known = {path: value for path, value in planned.items() if path[0] not in ("workers", "idleTimeout")}
        task = Task(session, endpoint.world.notes, known, {}, tuple(steps))
        assert {"gpu", "workers"}.isdisjoint(resource.patch(task, {}))
