"""Network volumes: hard to lose, taken over on request, and only ever larger."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, CheckFailed, Refused
from unit.support import Life, World

WAY_OUT: Final = (
    "First set deletionProtection to false and run `pulumi up` (it changes only the state and sends no request); then make this change "
    "in a second `pulumi up`."
)
FREE: Final = {"deletionProtection": False}


def test_all_defaults(world: World, volume: Life) -> None:
    """They are stated; the storage tier is the data center's."""
    volume.up({})
    assert world.sent == ["POST /network-volumes"]
    assert world.body("POST") == {"name": "v-19b2585", "size": 100, "dataCenter": "EU-RO-1"}
    assert volume.outputs == {
        "name": "v-19b2585",
        "size": 100,
        "datacenter": "EU-RO-1",
        "type": "STANDARD",
        "adoptExisting": False,
        "deletionProtection": True,
        "adopted": False,
        "mountPath": "/runpod-volume/",
    }
    assert volume.up({}) == {} and volume.refresh() == {} and volume.plan({}) == {}


def test_every_property(world: World, volume: Life) -> None:
    """A data center is written in any case, and with underscores."""
    program = {"name": "n", "size": 4096, "datacenter": "us_ks_2", "type": "HIGH_PERFORMANCE", **FREE}
    volume.up(program)
    assert world.body("POST") == {"name": "n", "size": 4096, "dataCenter": "US-KS-2", "type": "HIGH_PERFORMANCE"}
    assert volume.refresh() == {} and volume.plan({**program, "datacenter": "US-KS-2"}) == {}


WRONG: Final = [
    ({"size": 9}, "size: must be at least 10, not 9"),
    ({"size": 4097}, "size: must be at most 4096, not 4097"),
    ({"size": 10.5}, "size: must be a whole number, not 10.5"),
    ({"size": True}, "size: must be a whole number, not true"),
    ({"type": "FAST"}, "type: must be one of 'STANDARD' or 'HIGH_PERFORMANCE', not 'FAST'"),
    ({"datacenter": ["EU-RO-1"]}, "datacenter: must be a string, not ['EU-RO-1']"),
    ({"dataCenter": "EU-RO-1"}, "dataCenter: there is no such property; did you mean 'datacenter'?"),
    ({"name": "  "}, "name: must not be empty"),
    ({"adoptExisting": True}, "adoptExisting: looks for a volume by its name; give a name"),
    ({"deletionProtection": "no"}, "deletionProtection: must be true or false, not 'no'"),
]


@pytest.mark.parametrize(("program", "said"), WRONG, ids=str)
def test_one_clear_message(world: World, volume: Life, program: dict[str, Any], said: str) -> None:
    """Before any request."""
    assert volume.failures(program) == [said]
    assert world.sent == []


def test_a_data_center_that_runpod_does_not_have(world: World, volume: Life) -> None:
    """The catalog decides, with the nearest names; one that is new passes."""
    for act in (volume.preview, volume.up):
        with pytest.raises(CheckFailed) as caught:
            act({"datacenter": "EU-RO-7"})
        assert str(caught.value).startswith("datacenter: Runpod has no data center 'EU-RO-7'; did you mean 'EU-RO-1'")
    assert world.sent == ["GET /catalog/datacenters"]
    world.seed(catalog={"dataCenters": [{"id": "EU-RO-7"}]})
    world.restart()
    volume.up({"datacenter": "EU-RO-7"})


def test_a_tier_that_the_data_center_lacks(volume: Life) -> None:
    """The API says which it has, and we which property."""
    with pytest.raises(ApiProblem, match=r"HIGH_PERFORMANCE .*supports: STANDARD\. Change `datacenter` or `type`"):
        volume.up({"datacenter": "US-CA-2", "type": "HIGH_PERFORMANCE"})


def test_another_refusal_is_given_as_it_is(world: World, volume: Life) -> None:
    """Nothing is made up."""
    world.fault(method="POST", action="status", status=402, detail="the balance is too low")
    with pytest.raises(ApiProblem) as caught:
        volume.up({"name": "n"})
    said = "creating the network volume 'n' failed: Runpod answered 402 to POST /network-volumes: the balance is too low"
    assert str(caught.value) == said


# -- growing


def test_it_grows_and_is_renamed_in_place(world: World, volume: Life) -> None:
    """One PATCH of what changes."""
    volume.up({"name": "a"})
    world.forget()
    assert volume.up({"name": "a", "size": 200}) == {"size": "update"}
    assert volume.up({"name": "b", "size": 200}) == {"name": "update"}
    assert volume.up({"name": "c", "size": 300}) == {"name": "update", "size": "update"}
    assert world.bodies("PATCH") == [{"size": 200}, {"name": "b"}, {"name": "c", "size": 300}]


def test_it_never_shrinks(world: World, volume: Life) -> None:
    """Both sizes are in the text."""
    volume.up({"size": 200})
    world.forget()
    said = "size: a network volume cannot shrink: it has 200 GB, and 100 GB are asked for; set size to 200 or more"
    assert volume.failures({"size": 100}) == [said]
    assert volume.failures({}) == [said]
    assert world.sent == []


def test_a_volume_that_somebody_grew_is_told_by_its_size(world: World, volume: Life) -> None:
    """The program follows it, as nothing makes it smaller."""
    volume.up({"size": 50})
    world.drift("networkVolumes", volume.id, size=80)
    assert volume.refresh() == {"size": "update"}
    assert volume.failures({"size": 50})[0].startswith(
        "size: a network volume cannot shrink: it has 80 GB, and 50 GB are asked for"
    )
    assert volume.up({"size": 80}) == {}


def test_a_name_that_somebody_changed_is_repaired(world: World, volume: Life) -> None:
    """By a PATCH of the name alone; a tier that no program states is the data center's."""
    volume.up({"name": "a", "size": 20})
    world.drift("networkVolumes", volume.id, name="b", type="HIGH_PERFORMANCE")
    assert volume.refresh() == {"name": "update"}
    assert volume.outputs["type"] == "HIGH_PERFORMANCE"
    world.forget()
    volume.up({"name": "a", "size": 20})
    assert world.body("PATCH") == {"name": "a"}


# -- protection


def test_a_protected_volume_is_not_deleted(world: World, volume: Life) -> None:
    """The refusal comes before any request, and gives both steps."""
    volume.up({"name": "weights"})
    world.forget()
    with pytest.raises(Refused) as caught:
        volume.delete()
    assert str(caught.value) == (
        f"the network volume 'weights' is protected from deletion. First set deletionProtection to false and run `pulumi up --target "
        f"'{volume.urn}'` (it changes only the state and sends no request); then repeat what was refused."
    )
    assert world.sent == []


def test_a_door_that_knows_no_urn_gives_none(world: World, volume: Life) -> None:
    """What it has instead would be no target of any command."""
    volume.up({})
    request = verbs.Delete(volume.token, volume.urn, volume.id, volume.outputs, volume.inputs)
    with pytest.raises(Refused, match=r"run `pulumi up` \(it changes"):
        world.run(world.provider.delete(request))


def test_a_replacement_that_the_engine_forces_is_refused_in_check(world: World, volume: Life) -> None:
    """Check is asked a second time then, without olds; the answer is as for a change that replaces, and counts once."""
    volume.up({"name": "n"})
    world.forget()
    changed = {"name": "n", "size": 200, **FREE}
    assert volume.failures(changed) == []
    reason = "an option such as `replaceOnChanges`, or another provider, replaces the volume and deletes its data"
    assert volume.failures(changed, olds={}) == [f"{reason}, which deletionProtection forbids. {WAY_OUT}"]
    assert volume.failures(changed, olds={}) == []
    volume.up(changed)
    assert volume.failures(changed) == volume.failures(changed, olds={}) == []
    assert world.writes == [f"PATCH /network-volumes/{volume.id}"]


def test_what_was_replaced_all_the_same_says_what_is_where(world: World, volume: Life) -> None:
    """`--replace` and a taint name nothing before the new volume is there; also in later runs, where the old one waits for its deletion."""
    volume.up({"name": "n"})
    old = copy.copy(volume)
    volume.id, volume.inputs, volume.outputs = "", {}, {}
    volume.up({"name": "n"})
    for _ in range(2):
        world.forget()
        with pytest.raises(Refused) as caught:
            old.delete()
        assert str(caught.value) == (
            f"the network volume 'n' is protected from deletion, so {old.id!r} stays with all of its data, although {volume.id!r} has "
            f"replaced it in the state. Until {old.id!r} is out of the state every `pulumi up` ends here: run `pulumi state delete "
            f"'{volume.urn}'` in a terminal and choose \"{old.id}\" (Pending Deletion), which deletes nothing at Runpod. Then mount it "
            "by its id, import it under another name, or delete it in the Runpod console."
        )
        assert world.sent == []
        world.restart()
        volume.plan({"name": "n"})
    world.restart()
    volume.refresh()
    old.refresh()  # which reads both, and so tells nothing
    with pytest.raises(Refused, match="repeat what was refused"):
        volume.delete()


def test_one_that_takes_over_itself_is_not_deleted(world: World, volume: Life) -> None:
    """A replacement that finds by its name the very volume that it is to replace has replaced nothing."""
    program = {"name": "n", "adoptExisting": True, **FREE}
    volume.up(program)
    old = copy.copy(volume)
    volume.id, volume.inputs, volume.outputs = "", {}, {}
    world.forget()
    volume.up(program)
    old.delete()
    assert volume.id == old.id and world.writes == []
    assert world.notes.warnings == [
        f"the network volume {old.id!r} stays: a run has taken it over in place of itself, and it was not replaced"
    ]


def test_without_a_record_a_volume_is_protected(world: World, volume: Life) -> None:
    """An import that no `up` has followed, or the state of who knows whom."""
    (id,) = world.seed(networkVolumes=[{"name": "n"}])["networkVolumes"]
    assert volume.take_over(id) == {"name": "n", "type": "STANDARD"}
    with pytest.raises(Refused):
        volume.delete()
    volume.inputs = {}
    with pytest.raises(Refused):
        volume.delete()
    assert world.writes == []


@pytest.mark.parametrize("lifted", [{}, FREE], ids=["", "lifted in the same step"])
@pytest.mark.parametrize("change", [{"datacenter": "US-KS-2"}, {"type": "HIGH_PERFORMANCE"}], ids=str)
def test_a_protected_volume_is_not_replaced(world: World, volume: Life, change: dict[str, Any], lifted: dict[str, Any]) -> None:
    """Check refuses, so that the preview shows it, whatever the new inputs say of the protection."""
    volume.up({"name": "n"})
    world.forget()
    (path,) = change
    said = f"{path}: a change replaces the volume and deletes its data, which deletionProtection forbids. {WAY_OUT}"
    assert volume.failures({"name": "n", **change, **lifted}) == [said]
    assert world.sent == []


def test_lifting_the_protection_sends_nothing(world: World, volume: Life) -> None:
    """It is of the state; then the volume may go."""
    volume.up({})
    world.forget()
    assert volume.up(FREE) == {"deletionProtection": "update"}
    assert world.sent == []
    assert volume.up({**FREE, "datacenter": "US-KS-2"}) == {"datacenter": "update_replace"}
    assert [line.split()[0] for line in world.writes] == ["POST", "DELETE"]
    volume.delete()
    assert world.all("networkVolumes") == []


def test_protecting_again_holds_at_once(world: World, volume: Life) -> None:
    """The prior state decides, in both directions."""
    volume.up(FREE)
    volume.up({})
    with pytest.raises(Refused):
        volume.delete()


def test_it_may_grow_while_the_protection_is_lifted(world: World, volume: Life) -> None:
    """Nothing is lost by that."""
    volume.up({})
    assert volume.up({**FREE, "size": 200}) == {"size": "update", "deletionProtection": "update"}


def test_an_imported_volume_is_not_replaced_by_accident(world: World, volume: Life) -> None:
    """Its data center may be the default one, which the import does not state."""
    (id,) = world.seed(networkVolumes=[{"name": "n"}])["networkVolumes"]
    inputs = volume.take_over(id)
    assert volume.failures({**inputs, "datacenter": "US-KS-2"})[0].startswith("datacenter: a change replaces the volume")
    assert volume.failures({**inputs, "type": "HIGH_PERFORMANCE", **FREE}) != []
    assert volume.up({**inputs, **FREE}) == {"deletionProtection": "add"}
    assert volume.plan({**inputs, **FREE, "datacenter": "US-KS-2"}) == {"datacenter": "update_replace"}


IMPORTS: Final = [
    ({"name": "n"}, {"type": "STANDARD"}),
    ({"name": "n", "size": 10}, {"size": 10, "type": "STANDARD"}),
    ({"name": "n", "dataCenter": "EU-PL-1", "type": "HIGH_PERFORMANCE"}, {"datacenter": "EU-PL-1", "type": "HIGH_PERFORMANCE"}),
]


@pytest.mark.parametrize(("live", "stated"), IMPORTS, ids=str)
def test_an_import_states_the_live_values_without_the_defaults(world: World, volume: Life, live: Any, stated: Any) -> None:
    """With the tier, for the data center's own is not known here; then nothing is left to do."""
    (id,) = world.seed(networkVolumes=[live])["networkVolumes"]
    program = {"name": "n", **stated}
    assert volume.take_over(id) == program
    assert volume.outputs["adopted"] is False
    assert volume.plan(program) == {}
    assert volume.refresh() == {}
    assert volume.up(program) == {}
    assert volume.refresh() == {}


def test_a_tier_that_is_no_longer_stated_is_the_data_center_s(world: World, volume: Life) -> None:
    """Nothing says that it should be another, so nothing is replaced nor sent."""
    volume.up({"type": "STANDARD"})
    world.forget()
    assert volume.up({}) == {"type": "delete"}
    assert world.sent == []
    assert volume.outputs["type"] == "STANDARD"


# -- adoption


def _seeded(world: World, *volumes: dict[str, Any]) -> list[str]:
    ids: list[str] = world.seed(networkVolumes=[{"name": "cache", **each} for each in volumes])["networkVolumes"]
    return ids


ADOPT: Final = {"name": "cache", "adoptExisting": True}


def test_none_of_the_name_is_created(world: World, volume: Life) -> None:
    """The same name elsewhere, or another name here, is another volume."""
    _seeded(world, {"dataCenter": "US-KS-2"}, {"name": "other"})
    volume.up({**ADOPT, **FREE})
    assert world.sent == ["GET /network-volumes", "POST /network-volumes"]
    assert volume.outputs["adopted"] is False
    volume.delete()
    assert len(world.all("networkVolumes")) == 2


def test_the_only_one_of_the_name_is_taken_over(world: World, volume: Life) -> None:
    """One list, no write; the state says so, and so does the preview."""
    (id,) = _seeded(world, {})
    assert volume.preview(ADOPT)["adopted"] is True
    assert volume.preview(ADOPT)["type"] == "STANDARD"
    world.notes.infos.clear()
    world.restart()
    world.forget()
    volume.up(ADOPT)
    assert (volume.id, volume.outputs["adopted"]) == (id, True)
    assert world.sent == ["GET /network-volumes"]
    assert world.notes.infos == [f"takes over the volume {id!r}, which this provider will never delete"]
    assert volume.up(ADOPT) == {} and volume.refresh() == {} and volume.plan(ADOPT) == {}


def test_one_that_is_smaller_grows_at_once(world: World, volume: Life) -> None:
    """By one PATCH of its size."""
    _seeded(world, {"size": 20})
    volume.up({**ADOPT, "size": 50})
    assert world.writes == [f"PATCH /network-volumes/{volume.id}"]
    assert world.body("PATCH") == {"size": 50}
    assert (volume.outputs["size"], volume.outputs["adopted"]) == (50, True)
    volume.up({**ADOPT, "size": 60})
    assert (volume.outputs["size"], volume.outputs["adopted"]) == (60, True)


def test_what_does_not_fit_is_told_at_once(world: World, volume: Life) -> None:
    """Both: a larger one cannot shrink, and a tier cannot change."""
    (id,) = _seeded(world, {"size": 200})
    with pytest.raises(CheckFailed) as caught:
        volume.preview({**ADOPT, "type": "HIGH_PERFORMANCE"})
    assert [failure.text for failure in caught.value.failures] == [
        f"size: the volume {id!r} to adopt has 200 GB and cannot shrink; set size to 200",
        f"type: the volume {id!r} to adopt is STANDARD, which cannot change; set type to that, or leave it out",
    ]
    volume.up({**ADOPT, "size": 200, "type": "STANDARD"})
    assert volume.id == id
    assert world.writes == []


def test_several_of_the_name_are_ambiguous(world: World, volume: Life) -> None:
    """The ids are listed, in the preview too."""
    ids = _seeded(world, {}, {})
    for act in (volume.preview, volume.up):
        with pytest.raises(CheckFailed) as caught:
            act(ADOPT)
        both = ", ".join(map(repr, ids))
        said = f"adoptExisting: 2 volumes in EU-RO-1 are named 'cache' ({both}); `pulumi import` the one that is meant"
        assert str(caught.value) == said
    assert world.writes == []


def test_what_was_taken_over_is_never_deleted(world: World, volume: Life) -> None:
    """Protected or not, and also where it is replaced."""
    (id,) = _seeded(world, {})
    volume.up({**ADOPT, **FREE})
    world.forget()
    assert volume.up({**ADOPT, **FREE, "datacenter": "US-KS-2"}) == {"datacenter": "update_replace"}
    assert world.writes == ["POST /network-volumes"]
    assert world.notes.infos[-1] == f"the volume {id!r} was taken over, so its replacement leaves it as it is"
    assert world.notes.warnings == []
    assert {each["id"] for each in world.all("networkVolumes")} == {id, volume.id}
    protected = Life(world, "NetworkVolume", "w")
    protected.up(ADOPT)
    (said,) = protected.failures({**ADOPT, "datacenter": "US-IL-1"})
    assert said.startswith("datacenter: a change replaces the volume and, unless it was taken over, deletes its data, which")
    world.forget()
    protected.delete()
    assert world.sent == []


@pytest.mark.parametrize("is_adopted", [False, True])
def test_what_is_replaced_is_not_taken_over_for_its_successor(world: World, volume: Life, is_adopted: bool) -> None:
    """It has the name and the data center, too, but not the type that is asked for now."""
    if is_adopted:
        _seeded(world, {})
    program = {**ADOPT, **FREE, "type": "STANDARD"}
    volume.up(program)
    first = volume.id
    world.restart()
    assert volume.up({**program, "type": "HIGH_PERFORMANCE"}) == {"type": "update_replace"}
    assert volume.id != first and volume.outputs["adopted"] is False
    assert {each["id"] for each in world.all("networkVolumes")} == {volume.id, *([first] if is_adopted else [])}


def test_a_taken_over_one_is_so_after_a_refresh(world: World, volume: Life) -> None:
    """Or else its end would be another."""
    _seeded(world, {})
    volume.up(ADOPT)
    volume.refresh()
    assert volume.outputs["adopted"] is True


# -- replacing


def test_replacing_says_what_is_lost_and_who_mounts_it(world: World, volume: Life, endpoint: Life) -> None:
    """By its id: the name may be a secret of the program, which the volume's RPC is not told."""
    volume.up(FREE)
    volume.plan({**FREE, "datacenter": "US-KS-2"})
    assert world.notes.warnings == [f"replacing the volume {volume.id!r} deletes it and all of its data; no endpoint mounts it"]
    endpoint.up({"name": "llm", "image": "me/x", "volume": volume.id})
    volume.plan({**FREE, "datacenter": "US-KS-2"})
    assert world.notes.warnings[1].endswith(f"all of its data; it is mounted by the endpoint {endpoint.id!r}")


def test_replacing_is_planned_also_where_the_endpoints_cannot_be_listed(world: World, volume: Life) -> None:
    """The warning says so."""
    volume.up(FREE)
    world.fault(action="status", status=500, path="/v2/serverless", times=None)
    assert volume.plan({**FREE, "datacenter": "US-KS-2"}) == {"datacenter": "update_replace"}
    assert world.notes.warnings[0].endswith("which endpoints mount it could not be found out")


# -- for endpoints


def test_an_endpoint_asks_for_volumes_once_a_process(world: World, endpoint: Life) -> None:
    """A list where one is not known here, and none where it is."""
    one, two = _seeded(world, {}, {"dataCenter": "US-KS-2"})
    endpoint.up({"image": "me/x", "volume": one})
    assert world.sent == ["GET /catalog/gpus", "GET /network-volumes", "POST /serverless"]
    world.forget()
    Life(world, "Endpoint", "y").up({"image": "me/x", "volume": [two], "datacenter": "US-KS-2"})
    assert world.sent == ["POST /serverless"]


def test_a_volume_whose_place_is_not_known_is_not_remembered(world: World, endpoint: Life, volume: Life) -> None:
    """A state of who knows whom may lack it; it is looked up when it matters."""
    volume.up({"datacenter": "US-KS-2"})
    world.restart()
    del volume.outputs["datacenter"]
    volume.plan({"datacenter": "US-KS-2"})
    assert endpoint.failures({"volume": volume.id}) == []
    with pytest.raises(CheckFailed, match="is in US-KS-2"):
        endpoint.preview({"volume": volume.id, "image": "me/x"})


def test_volumes_that_cannot_be_listed_are_not_checked(world: World, endpoint: Life) -> None:
    """A warning says so, and the API decides."""
    (id,) = _seeded(world, {})
    world.fault(action="status", status=500, path="/v2/network-volumes", times=None)
    endpoint.up({"image": "me/x", "volume": id})
    assert world.notes.warnings[0].startswith("the network volumes could not be listed, so their data centers are not checked")


def test_check_applies_the_rule_to_volumes_that_it_has_seen(world: World, endpoint: Life, volume: Life) -> None:
    """Before any request."""
    volume.up({"datacenter": "US-KS-2"})
    other = Life(world, "NetworkVolume", "w")
    other.up({"datacenter": "US-KS-2"})
    world.forget()
    (said,) = endpoint.failures({"volume": volume.id, "datacenter": "EU-RO-1"})
    assert said == (
        f"volume: {volume.id!r} is in US-KS-2, where this endpoint does not run (EU-RO-1); add 'US-KS-2' to datacenter, or take a "
        "volume of its data center"
    )
    (said,) = endpoint.failures({"volume": [volume.id, other.id]})
    first, second = sorted([volume.id, other.id])
    both = f"{first!r} and {second!r} are both in US-KS-2"
    assert said == f"volume: {both}; an endpoint takes at most one network volume a data center"
    assert endpoint.failures({"volume": [volume.id, "vol0elsewhere"], "datacenter": "any"}) == []
    assert world.sent == []
