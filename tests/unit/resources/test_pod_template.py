"""Pod templates: container settings under a name, and what endpoints take of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import pytest

from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem
from runpod_serverless_provider.core.values import UNKNOWN
from unit.support import Life, World


@pytest.fixture
def template(world: World) -> Life:
    """Give a template that is not created yet."""
    return Life(world, "PodTemplate", "t")


def test_all_defaults(world: World, template: Life) -> None:
    """Flash's own has a disk and an image only; it is always for endpoints."""
    template.up({})
    assert world.body("POST") == {
        "name": "t-19b2585",
        "category": "NVIDIA",
        "image": "runpod/flash:py3.12-latest",
        "disk": 64,
        "public": False,
        "serverless": True,
    }
    assert template.outputs["settings"] == {}
    assert template.up({}) == {} and template.refresh() == {} and template.plan({}) == {}


SETTINGS: Final[dict[str, Any]] = {
    "image": "me/x:1",
    "containerDiskInGb": 20,
    "env": {"A": "1"},
    "args": "serve",
    "ports": ["8000/http"],
    "registryAuthId": "reg0",
}


def test_settings_are_what_the_program_set(world: World, template: Life, endpoint: Life) -> None:
    """And an endpoint takes them as its `template`."""
    world.seed(registries=[{"id": "reg0"}])
    listed = {**SETTINGS, "env": [{"key": "A", "value": "1"}], "name": "n"}
    template.up(listed)
    assert template.outputs["settings"] == SETTINGS
    assert template.preview({**listed, "args": "x"})["settings"] == {**SETTINGS, "args": "x"}
    endpoint.up({"template": template.outputs["settings"], "gpu": "ADA_24"})
    body = world.bodies("POST")[-1]
    assert (body["image"], body["disk"], body["env"], body["args"], body["ports"], body["registry"]) == (
        "me/x:1",
        20,
        {"A": "1"},
        "serve",
        ["8000/http"],
        "reg0",
    )
    assert endpoint.plan({"template": {**SETTINGS, "image": "me/x:2"}, "gpu": "ADA_24"}) == {"template.image": "update_replace"}
    assert endpoint.plan({"template": {**SETTINGS, "env": {"A": "2"}}, "gpu": "ADA_24"}) == {"template.env.A": "update"}


def test_everything_is_cleared_in_place(world: World, template: Life) -> None:
    """A change never replaces: the API would refuse to delete what is in use."""
    world.seed(registries=[{"id": "reg0"}])
    template.up({**SETTINGS, "allowedCudaVersions": ["12.8", "12.6"], "name": "n"})
    assert template.refresh() == {}
    world.forget()
    plan = template.up({"name": "n", "category": "CPU"})
    assert not any(kind.endswith("replace") for kind in plan.values())
    assert world.body("PATCH") == {
        "category": "CPU",
        "image": "runpod/flash-cpu:py3.12-latest",
        "disk": 64,
        "env": {},
        "args": "",
        "ports": [],
        "registry": None,
        "allowedCudaVersions": [],
    }
    assert template.refresh() == {} and template.up({"name": "n", "category": "CPU"}) == {}


def test_another_category_brings_its_own_managed_image(world: World, template: Life) -> None:
    """The default follows what it derives from, and an image that the program names does not."""
    template.up({"name": "n"})
    world.forget()
    assert template.up({"name": "n", "category": "CPU"}) == {"category": "update", "image": "update"}
    assert world.body("PATCH") == {"category": "CPU", "image": "runpod/flash-cpu:py3.12-latest"}
    assert template.refresh() == {} and template.up({"name": "n", "category": "CPU"}) == {}
    template.up({"name": "n", "category": "CPU", "image": "me/x"})
    assert template.up({"name": "n", "category": "NVIDIA", "image": "me/x"}) == {"category": "update"}


def test_an_image_that_no_default_brings_is_asked_for(template: Life) -> None:
    """There is no managed worker for AMD."""
    assert template.failures({"category": "AMD"}) == ["image: is required for category AMD, for which there is no managed image"]
    assert template.failures({"category": "AMD", "image": "me/x"}) == []
    assert template.failures({"category": UNKNOWN}) == []


def test_drift_of_env(world: World, template: Life) -> None:
    """A key too many counts where the program sets any."""
    template.up({"env": {"A": "1"}, "name": "n"})
    world.drift("templates", template.id, env={"A": "1", "Z": "x"})
    assert template.refresh() == {"env.Z": "delete"}
    assert ("env", "Z") in template.secrets
    template.up({"env": {"A": "1"}, "name": "n"})
    assert world.live("templates", template.id)["env"] == {"A": "1"}
    template.up({"name": "n"})
    world.drift("templates", template.id, env={"Z": "x"})
    assert template.refresh() == {}


def test_a_template_that_was_made_one_for_pods_is_drift(world: World, template: Life) -> None:
    """It is always one for endpoints, and the next update makes it one again."""
    template.up({"name": "n"})
    world.drift("templates", template.id, serverless=False)
    assert template.refresh() == {"serverless": "update"}
    world.forget()
    assert template.up({"name": "n"}) == {"serverless": "update"}
    assert world.body("PATCH") == {"serverless": True}
    assert template.refresh() == {} and template.up({"name": "n"}) == {}
    (said,) = template.failures({"name": "n", "serverless": False})
    assert said == "serverless: is always true: this resource is for templates of endpoints; leave it out"


def test_taking_over_a_template_for_pods_warns(world: World, template: Life) -> None:
    """A program states what it will be, and the plan shows that it is not that yet."""
    world.seed(templates=[{"id": "tmpl0", "name": "pods", "image": "me/x", "serverless": False}])
    stated = template.take_over("tmpl0")
    assert stated == {"name": "pods", "image": "me/x", "containerDiskInGb": 20}
    (said,) = world.notes.warnings
    assert said.startswith("'pods' is a template for pods, of which no endpoint can be made; the next `pulumi up` makes it one")
    assert template.plan(stated) == {"serverless": "add"}
    template.up(stated)
    assert world.live("templates", "tmpl0")["serverless"] is True


def test_a_template_of_somebody_else_cannot_be_changed(world: World, template: Life) -> None:
    """The API answers as if it were gone, although it shows it; one that is gone is told as such."""
    stated = template.take_over("vllm0worker")
    assert template.plan(stated) == {}
    with pytest.raises(ApiProblem) as caught:
        template.up({**stated, "args": "--other"})
    assert "It is there, so it is somebody else's: only its owner can change this template." in str(caught.value)
    assert "`pulumi state delete`" in str(caught.value)
    world.restart()
    mine = Life(world, "PodTemplate", "mine")
    mine.up({"name": "n"})
    world.control(f"resources/templates/{mine.id}", None, "DELETE")
    with pytest.raises(ApiProblem, match="It is gone from Runpod"):
        mine.up({"name": "n", "args": "--other"})


def test_secrets_are_secret_in_settings_too(template: Life) -> None:
    """There is no way around."""
    template.up({"env": {"A": "1"}, "image": "me/x"}, secrets=frozenset({("env", "A"), ("image",)}))
    assert template.secrets >= {("env", "A"), ("settings", "env", "A"), ("image",), ("settings", "image")}


def test_an_import_states_the_live_values_without_the_defaults(world: World, template: Life) -> None:
    """Every variable is secret."""
    world.seed(
        templates=[{"id": "tmpl0", "name": "n", "image": "me/x", "env": {"A": "1"}, "disk": 64, "ports": ["2/tcp", "1/tcp"]}]
    )
    stated = {"name": "n", "image": "me/x", "env": {"A": "1"}, "ports": ["1/tcp", "2/tcp"]}
    assert template.take_over("tmpl0") == stated
    assert ("env", "A") in template.secrets
    assert template.plan(stated) == {} and template.refresh() == {} and template.up(stated) == {}


REFUSALS: Final = [
    ("template names must be unique: 'n' is already in use", "Template names are unique in an account: choose another than 'n'"),
    ("template is in use by a pod and cannot be deleted", "Delete the pods that were made from it"),
    ("the moon is full", None),
]


@pytest.mark.parametrize(("detail", "advice"), REFUSALS)
def test_a_refusal_says_what_to_do(world: World, template: Life, detail: str, advice: str | None) -> None:
    """For its name, and for its use."""
    world.fault(action="status", status=400, method="POST", detail=detail)
    with pytest.raises(ApiProblem) as caught:
        template.up({"name": "n"})
    assert str(caught.value).startswith("creating the template 'n' failed: Runpod answered 400 to POST /templates: ")
    assert advice in str(caught.value) if advice else str(caught.value).endswith("the moon is full")


def test_a_template_in_use_is_not_deleted(world: World, template: Life) -> None:
    """The API refuses, and we say by what."""
    template.up({"name": "n"})
    world.drift("templates", template.id, _inUseBy="pod x")
    with pytest.raises(ApiProblem, match=r"deleting the template .* in use by pod x .* Delete the pods"):
        template.delete()


def test_the_own_template_of_an_endpoint_goes_with_it(world: World, endpoint: Life, template: Life) -> None:
    """Where a stack manages both, the endpoint's delete says so, and the template's own finds it gone."""
    endpoint.up({"name": "llm", "image": "me/x"})
    bound = world.live("endpoints", endpoint.id)["_template"]["id"]
    template.take_over(bound)
    with pytest.raises(ApiProblem, match="own template of the endpoint 'llm' and goes with that: delete the endpoint"):
        template.delete()
    endpoint.delete()
    (said,) = [text for text in world.notes.warnings if "takes its own template" in text]
    assert "'llm'" in said
    template.delete()
    assert template.read() is None


def _own_template(world: World, endpoint: Life, template: Life) -> verbs.Delete:
    """Bring up an endpoint, manage its own template too, and return the request that deletes the latter."""
    endpoint.up({"name": "llm", "image": "me/x"})
    template.take_over(world.live("endpoints", endpoint.id)["_template"]["id"])
    world.forget()
    return verbs.Delete(template.token, template.urn, template.id, template.outputs, template.inputs, voice=world.notes)


def test_an_own_template_waits_for_the_delete_of_its_endpoint(world: World, endpoint: Life, template: Life) -> None:
    """The API refuses its delete until the endpoint's, which this process has under way, is done."""
    request = _own_template(world, endpoint, template)
    deleting = verbs.Delete(endpoint.token, endpoint.urn, endpoint.id, endpoint.outputs, endpoint.inputs, voice=world.notes)
    world.fault(action="delay", method="DELETE", path="/v2/serverless/*", seconds=0.2)

    async def both() -> None:
        owner = asyncio.ensure_future(world.provider.delete(deleting))
        await world.provider.delete(request)
        await owner

    world.run(both())
    assert sorted(line.rpartition("/")[0] for line in world.sent) == ["DELETE /serverless", "DELETE /templates", "GET /templates"]
    assert "waiting for the delete of the endpoint 'llm'" in world.notes.statuses[-1]


def test_an_own_template_waits_for_an_endpoint_that_somebody_else_deletes(world: World, endpoint: Life, template: Life) -> None:
    """What the API answers meanwhile decides, and an error among the answers does not."""
    request = _own_template(world, endpoint, template)
    world.fault(action="status", method="DELETE", path="/v2/templates/*", status=400, detail="template is in use")
    world.fault(action="status", method="GET", path="/v2/templates/*", status=403)
    world.control(f"resources/endpoints/{endpoint.id}", None, "DELETE")
    world.run(world.provider.delete(request))
    assert [line.split()[0] for line in world.sent] == ["DELETE", "GET", "GET"]


def test_an_own_template_whose_endpoint_stays_is_refused_after_a_while(world: World, endpoint: Life, template: Life) -> None:
    """And at once where the process is to end."""
    request = _own_template(world, endpoint, template)
    for polls in (4, 0):
        with pytest.raises(ApiProblem, match="goes with that: delete the endpoint"):
            world.run(world.provider.delete(request))
        assert [line.split()[0] for line in world.sent] == ["DELETE", *["GET"] * polls]
        world.forget()
        cast("Client", world.api).stop()


def test_credentials_come_and_go(world: World) -> None:
    """They cannot be read back nor changed, and a password is secret whatever the program says."""
    registry = Life(world, "Registry", "r")
    program = {"username": "u", "password": "p", "name": "n"}
    registry.up(program)
    assert world.body("POST") == program
    assert ("password",) in registry.secrets
    assert registry.refresh() == {} and registry.up(program) == {}
    assert registry.plan({**program, "password": "q"}) == {"password": "update_replace"}
    said = ["username: is required to create a registry", "password: is required to create a registry"]
    assert Life(world, "Registry", "s").failures({"name": "n"}) == said
    imported = Life(world, "Registry", "i")
    assert imported.take_over(registry.id) == {"name": "n"}
    assert imported.plan({"name": "n"}) == {}
    world.forget()
    assert imported.up(program) == {"username": "add", "password": "add"}
    assert world.sent == []
    registry.delete()
    assert imported.read() is None


def test_a_default_that_the_program_now_states_is_a_change_of_the_settings(world: World) -> None:
    """It is none of the template, so no request is sent; without it, endpoints would learn of it from a refresh."""
    template = Life(world, "PodTemplate")
    template.up({"image": "me/x:1"})
    world.forget()
    for program, settings in (({"containerDiskInGb": 64}, {"image": "me/x:1", "containerDiskInGb": 64}), ({}, {"image": "me/x:1"})):
        assert template.up({"image": "me/x:1", **program}) == {"containerDiskInGb": "update"}
        assert template.outputs["settings"] == settings
        assert template.plan({"image": "me/x:1", **program}) == {}
    assert world.sent == []
    assert template.refresh() == {} and template.outputs["settings"] == {"image": "me/x:1"}


def test_what_somebody_made_of_a_default_is_in_the_settings_at_once(world: World) -> None:
    """The first refresh tells what the second one does."""
    template = Life(world, "PodTemplate")
    template.up({})
    world.drift("templates", template.id, image="them/z:9")
    for drift in ({"image": "update"}, {}):
        assert template.refresh() == drift
        assert template.outputs["settings"] == {"image": "them/z:9"}
        world._now += 60
