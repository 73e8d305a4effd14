"""A state that another version recorded stays as it is; a default is chosen once, and again only when what it derives from changes."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest

from runpod_serverless_provider.core.checking import DEFAULTS_KEY, GENERATED_KEY
from runpod_serverless_provider.core.naming import is_generated
from unit.support import Life, World

OLD_DEFAULTS: Final = {
    "type": "QUEUE",
    "gpu": ["any"],
    "gpuCount": 2,
    "datacenter": ["US-KS-2"],
    "workers": {"min": 0, "max": 3},
    "scalerType": "QUEUE_DELAY",
    "scalerValue": 7,
    "idleTimeout": 5,
    "executionTimeoutMs": 300_000,
    "flashboot": "OFF",
    "template": {"containerDiskInGb": 20},
    "pythonVersion": "3.11",
    "image": "runpod/flash:py3.11-2025.1",
    "minCudaVersion": "12.1",
    "updateStrategy": "replace",
    "drainSeconds": 30,
    "accelerateDownloads": False,
}
DEFAULTED: Final = [name for name in OLD_DEFAULTS if name != "template"] + ["template.containerDiskInGb", "name"]


def _recorded(world: World, *, endpoint: Life, **inputs: Any) -> None:
    """Put an endpoint there that a build with other defaults and another list of pools made."""
    whole = {"name": "x-0000000", **copy.deepcopy(OLD_DEFAULTS), **inputs}
    (endpoint.id,) = world.seed(
        endpoints=[
            {
                "name": whole["name"],
                "type": whole["type"],
                "image": whole["image"],
                "gpu": {"pools": ["ADA_24", "AMPERE_80"], "excludedTypes": [], "count": 2, "minCudaVersion": "12.1"},
                "dataCenterIds": whole["datacenter"],
                "workers": {**whole["workers"], "idleTimeout": 5},
                "scaling": {"type": "QUEUE_DELAY", "queueDelay": 7},
                "timeout": 300_000,
                "flashboot": "OFF",
                "disk": 20,
                "env": whole.get("env", {}),
            }
        ]
    )["endpoints"]
    endpoint.inputs = {
        **whole,
        DEFAULTS_KEY: sorted(name for name in DEFAULTED if name not in inputs),
        "__version": "0.0.1",
        "retired": {"option": True},
    }
    beyond = {"gpuPools": ["ADA_24", "AMPERE_80"], "excludedGpuTypes": [], "requestUrls": {"run": "u"}, "createdAt": "2025"}
    endpoint.outputs = {**copy.deepcopy(whole), **beyond, "__version": "0.0.1", "retiredOutput": 1}
    world.restart()
    world.forget()


def test_a_state_of_another_version_is_no_change(world: World, endpoint: Life) -> None:
    """Other defaults, another managed image, other pools, a property that is no more, and internals of who knows whom."""
    _recorded(world, endpoint=endpoint)
    assert endpoint.plan({}) == {}
    assert world.sent == []
    checked = endpoint.checked({})
    assert {name: checked[name] for name in OLD_DEFAULTS} == OLD_DEFAULTS
    assert set(checked[DEFAULTS_KEY]) == set(DEFAULTED)


def test_it_stays_so_for_good(world: World, endpoint: Life) -> None:
    """After an `up` without changes, a refresh, and again."""
    _recorded(world, endpoint=endpoint)
    assert endpoint.up({}) == {}
    assert endpoint.refresh() == {}
    assert endpoint.up({}) == {}
    assert world.sent == ["GET /serverless"]


def test_a_change_takes_only_itself_along(world: World, endpoint: Life) -> None:
    """The old defaults are restated where the API wants a group whole."""
    _recorded(world, endpoint=endpoint)
    assert endpoint.up({"workers": 9}) == {"workers": "update"}
    assert world.body("PATCH") == {"workers": {"min": 0, "max": 9, "idleTimeout": 5}}
    world.forget()
    assert endpoint.up({"workers": 9, "gpuCount": 1, "updateStrategy": "inPlace"}) == {
        "gpuCount": "update",
        "updateStrategy": "update",
    }
    gpu = {"pools": ["ADA_24", "AMPERE_80"], "count": 1, "minCudaVersion": "12.1"}
    assert world.body("PATCH") == {"gpu": gpu}


def test_a_refresh_of_it_shows_only_what_somebody_changed(world: World, endpoint: Life) -> None:
    """And that returns to today's default, as nothing says any more that the default of then was wanted."""
    _recorded(world, endpoint=endpoint)
    world.drift("endpoints", endpoint.id, timeout=9000)
    assert endpoint.refresh() == {"executionTimeoutMs": "update"}
    assert endpoint.up({}) == {"executionTimeoutMs": "update"}
    assert world.body("PATCH") == {"timeout": 0}


@pytest.mark.parametrize(
    ("old", "program"),
    [
        ({"flashboot": True}, {"flashboot": "FLASHBOOT"}),
        ({"gpu": "any"}, {"gpu": ["ANY"]}),
        ({"datacenter": "eu_ro_1"}, {"datacenter": ["EU-RO-1"]}),
        ({"workers": 3}, {"workers": {"min": 0, "max": 3}}),
        ({"template": {"env": [{"key": "A", "value": "1"}]}}, {"template": {"env": {"A": "1"}}}),
        ({"scalerValue": 4.0}, {"scalerValue": 4}),
    ],
    ids=str,
)
def test_another_form_in_the_state_is_no_change(world: World, endpoint: Life, old: dict[str, Any], program: dict[str, Any]) -> None:
    """Inputs are recorded in the form in which a program wrote them."""
    endpoint.up(old)
    endpoint.outputs |= {name: value for name, value in copy.deepcopy(old).items() if name != "template"}
    assert endpoint.plan(program) == {}


def test_a_default_that_is_no_longer_valid_is_kept(world: World, endpoint: Life) -> None:
    """A Python version that Flash has dropped stays until the program changes what it chooses."""
    _recorded(world, endpoint=endpoint)
    gone = {"pythonVersion": "3.9", "image": "runpod/flash:py3.9-latest", "gpu": {"retired": "shape"}}
    endpoint.inputs |= gone
    endpoint.outputs |= gone
    assert endpoint.plan({}) == {}
    assert endpoint.plan({"workers": 2}) == {"workers": "update"}


def test_a_property_of_this_version_is_no_change(world: World, endpoint: Life, volume: Life) -> None:
    """A state of a version without it, where it changes nothing in the API."""
    for life, names in ((endpoint, ("accelerateDownloads", "updateStrategy")), (volume, ("adoptExisting",))):
        life.up({})
        for name in names:
            del life.inputs[name]
            life.inputs[DEFAULTS_KEY].remove(name)
            del life.outputs[name]
        assert life.up({}) == {}


def test_without_a_record_of_defaults_what_is_live_is_no_change(world: World, endpoint: Life) -> None:
    """As after an import: the state has the live values in the outputs only."""
    endpoint.up({})
    endpoint.inputs = {"name": endpoint.inputs["name"]}
    assert endpoint.plan({"name": endpoint.inputs["name"]}) == {}


NAMED: Final = {
    "Endpoint": ("endpoints", {"image": "me/worker:1"}),
    "NetworkVolume": ("networkVolumes", {"size": 20}),
    "PodTemplate": ("templates", {"image": "me/worker:1"}),
    "Registry": ("registries", {"username": "u", "password": "p"}),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_generated_name_that_somebody_changed_is_restored(world: World, kind: str) -> None:
    """However often it was looked at since, as the state keeps it; where no update can, another one is generated."""
    where, program = NAMED[kind]
    life = Life(world, kind, "x")
    life.up(program)
    name, id = life.outputs["name"], life.id
    world.drift(where, life.id, name="theirs")
    assert life.refresh() == {"name": "update_replace" if kind == "Registry" else "update"}
    world.drift(where, life.id, name="theirs again")
    assert list(life.refresh()) == ["name"]
    assert life.refresh() == {}
    assert list(life.up(program)) == ["name"]
    assert life.outputs["name"] == life.inputs["name"] == world.live(where, life.id)["name"]
    assert (life.id == id) == (kind != "Registry")
    assert life.outputs["name"] == name if life.id == id else is_generated(life.outputs["name"], "x", 191)
    assert GENERATED_KEY not in life.inputs and "name" in life.inputs[DEFAULTS_KEY]
    assert life.up(program) == {} == life.refresh()


def test_a_generated_name_that_was_put_back_is_as_if_nothing_had_been(world: World, endpoint: Life) -> None:
    """The state, too."""
    endpoint.up({})
    before = copy.deepcopy(endpoint.inputs)
    world.drift("endpoints", endpoint.id, name="theirs")
    endpoint.refresh()
    assert endpoint.inputs != before
    world.drift("endpoints", endpoint.id, name=before["name"])
    assert endpoint.refresh() == {"name": "update"}
    assert endpoint.inputs == before


def test_a_name_that_the_program_takes_over_is_no_change(world: World, endpoint: Life) -> None:
    """Nor is the generated one restored later; and one that the program gave before is another matter."""
    endpoint.up({})
    world.drift("endpoints", endpoint.id, name="theirs")
    endpoint.refresh()
    assert endpoint.up({"name": "theirs"}) == {}
    assert GENERATED_KEY not in endpoint.inputs
    world.drift("endpoints", endpoint.id, name="others")
    endpoint.refresh()
    assert endpoint.up({"name": "theirs"}) == {"name": "update"}


def test_a_name_whose_change_is_ignored_stays(world: World, endpoint: Life) -> None:
    """The engine then gives Check the name that was found."""
    endpoint.up({}, ("name",))
    world.drift("endpoints", endpoint.id, name="theirs")
    endpoint.refresh()
    assert endpoint.up({}, ("name",)) == {}
    assert world.live("endpoints", endpoint.id)["name"] == "theirs"


DERIVED: Final = [
    # what the program now says, and what the defaults are then
    ({"type": "LOAD_BALANCER"}, {"scalerType": "REQUEST_COUNT", "image": "runpod/flash-lb:py3.11-latest", "idleTimeout": 60}),
    ({"scalerType": "REQUEST_COUNT"}, {"idleTimeout": None, "image": "runpod/flash:py3.11-2025.1"}),
    ({"cpu": "cpu3c-2-4"}, {"gpu": None, "gpuCount": None, "minCudaVersion": None, "image": "runpod/flash-cpu:py3.11-latest"}),
    ({"cpu": "cpu5c-8-16"}, {"template": {"containerDiskInGb": 64}}),
    ({"pythonVersion": "3.13"}, {"image": "runpod/flash:py3.13-latest", "minCudaVersion": "12.8"}),
    ({"image": "me/x"}, {"pythonVersion": None, "minCudaVersion": None, "gpuCount": 2}),
    ({"template": {"image": "me/x"}}, {"image": None, "pythonVersion": None, "minCudaVersion": None}),
    ({"templateId": "t"}, {"image": None, "pythonVersion": None, "minCudaVersion": None, "template": None}),
    ({"allowedCudaVersions": ["12.8"]}, {"minCudaVersion": None, "image": "runpod/flash:py3.11-2025.1"}),
    ({"workers": 9, "env": {"A": "1"}, "template": {"args": "x"}}, {"image": "runpod/flash:py3.11-2025.1", "idleTimeout": 5}),
]


@pytest.mark.parametrize(("program", "expected"), DERIVED, ids=str)
def test_a_default_is_chosen_again_when_what_it_derives_from_changes(
    world: World, endpoint: Life, program: dict[str, Any], expected: dict[str, Any]
) -> None:
    """And only then; the others keep the value of then."""
    _recorded(world, endpoint=endpoint)
    checked = endpoint.checked(program)
    assert {name: checked.get(name) for name in expected} == expected


def test_a_property_that_the_program_removes_takes_todays_default(world: World, endpoint: Life) -> None:
    """It was the program's, so no default was kept."""
    _recorded(world, endpoint=endpoint, idleTimeout=300, image="me/x", pythonVersion=None, minCudaVersion=None)
    checked = endpoint.checked({})
    assert (checked["idleTimeout"], checked["pythonVersion"], checked["image"], checked["minCudaVersion"]) == (
        60,
        "3.12",
        "runpod/flash:py3.12-latest",
        "12.8",
    )
    assert checked["executionTimeoutMs"] == 300_000


def test_the_provider_s_data_center_serves_new_endpoints_only(world: World, endpoint: Life) -> None:
    """A change of the configuration moves nobody."""
    endpoint.up({})
    world.restart(default_datacenter="us_ks_2")
    assert endpoint.plan({}) == {}
    other = Life(world, "Endpoint", "y")
    other.up({})
    assert other.outputs["datacenter"] == ["US-KS-2"]


def test_the_provider_s_update_strategy_serves_all_endpoints(world: World, endpoint: Life) -> None:
    """It is of the state only, so it follows the configuration at once; an endpoint's own wins."""
    endpoint.up({})
    world.restart(default_update_strategy="inPlace")
    world.forget()
    assert endpoint.up({}) == {"updateStrategy": "update"}
    assert world.sent == []
    assert endpoint.plan({"updateStrategy": "replace"}) == {"updateStrategy": "update"}
    assert endpoint.plan({"gpu": "ADA_24"}) == {"gpu": "update"}


def test_the_strategy_of_now_decides(world: World, endpoint: Life) -> None:
    """The one that comes with the change, not the one before it."""
    endpoint.up({"image": "me/x", "updateStrategy": "inPlace"})
    assert endpoint.plan({"image": "me/y"}) == {"image": "update_replace", "updateStrategy": "update"}
    endpoint.up({"image": "me/x"})
    assert endpoint.plan({"image": "me/y", "updateStrategy": "inPlace"}) == {"image": "update", "updateStrategy": "update"}


def test_an_endpoint_follows_its_volumes(world: World, endpoint: Life, volume: Life) -> None:
    """Its default data center is theirs, and stays so where a process has not seen them."""
    volume.up({"datacenter": "US-KS-2"})
    endpoint.up({"volume": volume.id, "image": "me/x"})
    assert endpoint.outputs["datacenter"] == ["US-KS-2"]
    assert world.sent == ["POST /network-volumes", "GET /catalog/gpus", "POST /serverless"]
    world.restart()
    assert endpoint.plan({"volume": volume.id, "image": "me/x"}) == {}
    other = Life(world, "NetworkVolume", "w")
    other.up({"datacenter": "US-WA-1"})
    volume.up({"datacenter": "US-KS-2", "size": 200})
    assert endpoint.plan({"volume": [volume.id, other.id], "image": "me/x"}) == {
        "volume": "update_replace",
        "datacenter": "update_replace",
    }
    assert endpoint.checked({"volume": [volume.id, other.id], "image": "me/x"})["datacenter"] == ["US-KS-2", "US-WA-1"]


IGNORED: Final = [
    (("workers",), {"workers": 3}),
    (("workers.max",), {"workers": {"min": 0, "max": 3}}),
    (("gpu",), {"gpu": "AMPERE_80"}),
    (("env",), {"env": {"A": "2", "B": "1"}}),
    (("env.A",), {"env": {"A": "2"}}),
    (('env["A"]',), {"env": {"A": "2"}}),
    (("template",), {"template": {"containerDiskInGb": 99}}),
    (("template.containerDiskInGb",), {"template": {"containerDiskInGb": 99}}),
    (("template.*",), {"template": {"containerDiskInGb": 99}}),
    (("image", "gpuCount"), {"image": "me/y", "gpuCount": 2}),
]


@pytest.mark.parametrize(("patterns", "change"), IGNORED, ids=str)
def test_ignored_changes_are_none(world: World, endpoint: Life, patterns: tuple[str, ...], change: dict[str, Any]) -> None:
    """Neither those of the program nor those that somebody made, be the old values put back by the engine or not."""
    program = {"image": "me/x", "gpu": "ADA_24", "workers": {"min": 0, "max": 1}, "env": {"A": "1"}}
    endpoint.up(program)
    assert endpoint.plan({**program, **change}) != {}
    assert endpoint.up({**program, **change}, ignore=patterns) == {}
    news = endpoint.checked({**program, **change})
    assert endpoint._difference(endpoint.inputs, news, patterns).changes == ()


def test_ignored_drift_stays(world: World, endpoint: Life) -> None:
    """It is taken into the state by a refresh, and a change beside it restates it as it is."""
    program = {"image": "me/x", "gpu": "ADA_24"}
    endpoint.up(program)
    world.drift("endpoints", endpoint.id, workers={"max": 3})
    endpoint.refresh()
    assert endpoint.up(program, ignore=("workers",)) == {}
    world.forget()
    endpoint.up({**program, "idleTimeout": 90}, ignore=("workers",))
    assert world.body("PATCH") == {"workers": {"min": 0, "max": 3, "idleTimeout": 90}}


def test_an_ignored_change_beside_another_is_not_sent(world: World, endpoint: Life) -> None:
    """Only the other one is."""
    program = {"image": "me/x", "gpu": "ADA_24", "env": {"A": "1"}}
    endpoint.up(program)
    world.forget()
    assert endpoint.up({**program, "env": {"A": "2"}, "name": "n"}, ignore=("env.A",)) == {"name": "update"}
    assert world.body("PATCH") == {"name": "n"}


def test_an_auto_named_resource_keeps_its_name(world: World, endpoint: Life) -> None:
    """Also where another seed would choose another, and where the program had given one before."""
    endpoint.up({})
    assert endpoint.checked({}, random_seed=b"other")["name"] == endpoint.outputs["name"]
    endpoint.up({"name": "mine"})
    assert endpoint.up({}) == {}
    assert endpoint.outputs["name"] == "mine"
