"""What Runpod offers: the live catalog where it can be read, and the shipped names where it cannot."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import CheckFailed, ProviderFailure
from runpod_serverless_provider.resources import forms
from runpod_serverless_provider.resources.catalog import SHIPPED_GPUS, Gpus, select, words_for
from unit.support import Life, World

GPUS: Final = Gpus({"A": ("a1", "a2", "a3"), "B": ("b1",), "C": ("c1", "c2")}, frozenset({"loner"}))

SELECTIONS: Final = [
    # words, pools, exclusions, and the words that say it again
    (["any"], ["A", "B", "C"], [], ["any"]),
    (["A"], ["A"], [], ["A"]),
    (["a1"], ["A"], ["a2", "a3"], ["a1"]),
    (["a3", "a1"], ["A"], ["a2"], ["a1", "a3"]),
    (["a1", "a2", "a3"], ["A"], [], ["A"]),
    (["A", "a1"], ["A"], [], ["A"]),
    (["b1"], ["B"], [], ["B"]),
    (["c2", "A", "b1"], ["A", "B", "C"], ["c1"], ["A", "B", "c2"]),
    (["A", "B", "C"], ["A", "B", "C"], [], ["any"]),
]


@pytest.mark.parametrize(("words", "pools", "excluded", "again"), SELECTIONS)
def test_words_are_a_selection_and_back(words: list[str], pools: list[str], excluded: list[str], again: list[str]) -> None:
    """In the catalog's order; what selects the same is said in the shortest way."""
    assert select(words, GPUS) == (pools, excluded)
    assert words_for(pools, excluded, GPUS) == again
    assert select(again, GPUS) == (pools, excluded)


def test_a_selection_that_the_catalog_does_not_know_is_said_by_its_pools() -> None:
    """As far as it goes."""
    assert words_for(["Z", "A"], ["a1", "z1"], GPUS) == ["Z", "a2", "a3"]
    assert words_for(["A"], ["a1", "a2", "a3"], GPUS) == ["A"]


WRONG: Final = [
    (["loner"], "'loner' is in no serverless pool, so no endpoint can run on it"),
    (["aa1"], "Runpod has no GPU type or group 'aa1'; did you mean 'a1'"),
    (["zzz"], "Runpod has no GPU type or group 'zzz'; GPU groups are any, A, B, C"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_words_that_mean_nothing(words: list[str], said: str) -> None:
    """With the nearest ones."""
    (failure,) = select(words, GPUS)
    assert failure.path == ("gpu",) and failure.reason.startswith(said)


def test_all_words_that_mean_nothing_are_told() -> None:
    """At once."""
    assert len(select(["zzz", "loner", "A"], GPUS)) == 2


def test_without_the_live_catalog_an_unknown_card_waits() -> None:
    """Nobody can say its pool, so nothing is claimed about it."""
    (failure,) = select(["NVIDIA R200"], SHIPPED_GPUS)
    assert failure.reason == "'NVIDIA R200' is not a GPU that this version knows, and the catalog is out of reach; try later"


FAULTS: Final = [
    {"action": "status", "status": 500},
    {"action": "status", "status": 404},
    {"action": "reset-before"},
    {"action": "wrong-json"},
    {"action": "wrong-json", "body": []},
    {"action": "add-fields", "fields": {"nextPageToken": "x"}},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("program", [{"gpu": "NVIDIA L4"}, {"cpu": "cpu3c-2-4"}, {"cpu": "cpu9x-2-4"}], ids=str)
def test_where_the_catalog_is_out_of_reach_shipped_names_serve(world: World, endpoint: Life, fault: Any, program: Any) -> None:
    """One warning says so, and the API decides; a flavor of tomorrow passes."""
    world.seed(catalog={"cpus": [{"id": "cpu9x"}]})
    world.fault(path="/v2/catalog/*", times=None, **fault)
    for name in ("one", "two"):
        Life(world, "Endpoint", name).up({"image": "me/x", **program})
    warnings = [text for text in world.notes.warnings if "catalog could not be read, so names are not checked" in text]
    assert len(warnings) == 1
    if "gpu" in program:
        gpu = world.bodies("POST")[0]["gpu"]
        assert gpu["excludedTypes"] == ["NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090"]


@pytest.mark.parametrize(
    ("program", "path"),
    [
        ({"cpu": "cpu3c-16-32"}, None),
        ({"gpu": "NVIDIA R200"}, "gpu"),
    ],
    ids=str,
)
def test_what_is_known_without_the_catalog_is_checked(world: World, endpoint: Life, program: Any, path: str | None) -> None:
    """What pool a card is in has to be known; the sizes of a flavor have not."""
    world.fault(path="/v2/catalog/*", times=None, action="status", status=500)
    if path is None:
        endpoint.up({"image": "me/x", **program})
        return
    with pytest.raises(CheckFailed) as caught:
        endpoint.up({"image": "me/x", **program})
    assert caught.value.failures[0].path == (path,)


def test_where_a_flavor_is_offered_is_only_doubted_without_the_catalog(world: World, endpoint: Life) -> None:
    """What this version knows of it is old, so the API decides."""
    world.fault(path="/v2/catalog/*", times=None, action="status", status=500)
    program = {"image": "me/x", "cpu": "cpu3c-2-4", "datacenter": "US-KS-2"}
    endpoint.preview(program)
    doubt = "as far as this version knows, Runpod offers cpu3c in EU-RO-1, not in US-KS-2; change datacenter, or the CPU size"
    assert world.notes.warnings[1:] == [doubt]
    inputs = endpoint.checked(program)
    request = verbs.Create(endpoint.token, endpoint.urn, inputs, frozenset({("cpu",)}), preview=True, voice=world.notes)
    world.run(world.provider.create(request))  # a secret size is doubted in silence
    assert world.notes.warnings[1:] == [doubt]
    with pytest.raises(ProviderFailure, match="There are no longer any instances"):
        endpoint.up(program)
    assert world.writes == ["POST /serverless"]


def test_a_data_center_cannot_be_checked_without_the_catalog(world: World, endpoint: Life) -> None:
    """So the API decides."""
    world.fault(path="/v2/catalog/*", times=None, action="status", status=500)
    with pytest.raises(ProviderFailure, match="unknown data center 'EU-XX-9'"):
        endpoint.up({"image": "me/x", "datacenter": "EU-XX-9"})


def test_the_catalog_is_asked_once_a_process(world: World) -> None:
    """For each kind that is needed, and for data centers only where a name is not shipped."""
    for name, program in (
        ("a", {"gpu": "ADA_24"}),
        ("b", {"cpu": "cpu3c-2-4"}),
        ("c", {"gpu": "NVIDIA L4", "datacenter": "US-KS-2"}),
        ("d", {"cpu": "cpu5c-2-4"}),
        ("e", {"datacenter": "any"}),
    ):
        Life(world, "Endpoint", name).preview({"image": "me/x", **program})
    assert world.sent == ["GET /catalog/gpus", "GET /catalog/cpus"]
    assert {exchange.query for exchange in world.recent} == {"include=AVAILABILITY&product=SERVERLESS"}


def test_several_that_ask_at_once_share_the_answers(world: World) -> None:
    """One GET of the catalog and one list of volumes serve all endpoints of a stack."""
    (volume,) = world.seed(networkVolumes=[{"name": "v"}])["networkVolumes"]
    lives = [Life(world, "Endpoint", f"e{index}") for index in range(5)]
    programs = [{"image": "me/x", "gpu": "NVIDIA L4", "volume": volume}, {"image": "me/x", "cpu": "cpu3c-2-4", "volume": volume}]
    requests = [
        verbs.Create(life.token, life.urn, life.checked(programs[index % 2]), preview=True, voice=world.notes)
        for index, life in enumerate(lives)
    ]

    async def all_at_once() -> None:
        await asyncio.gather(*(world.provider.create(request) for request in requests))

    world.run(all_at_once())
    assert sorted(world.sent) == ["GET /catalog/cpus", "GET /catalog/gpus", "GET /network-volumes"]


def test_a_flavor_without_stock_is_left_to_the_api(world: World, endpoint: Life) -> None:
    """Where it is offered cannot be told then."""
    world.seed(catalog={"cpus": [{"id": "cpu3c", "stock": {"*": "NONE"}}]})
    with pytest.raises(ProviderFailure, match="There are no longer any instances"):
        endpoint.up({"image": "me/x", "cpu": "cpu3c-2-4"})


SIZES: Final = [
    (["cpu3c-2"], 20),
    (["cpu5c-8", "cpu3g-2"], 20),
    (["cpu5c-8"], 120),
    (["cpu5g-2"], None),
    (["cpu5g-2", "cpu3c-2"], None),
    ([], None),
]


@pytest.mark.parametrize(("words", "limit"), SIZES)
def test_the_disk_limit_of_sizes(words: list[str], limit: int | None) -> None:
    """The smallest decides, and one whose limit is not known says nothing."""
    assert forms.disk_limit_gb(words) == limit


def test_sizes_and_data_centers_to_the_api_and_back() -> None:
    """A size is flavor and vCPUs; no data center is any."""
    sizes = [{"id": "cpu5c", "vcpuCount": 4}, {"id": "my-cpu", "vcpuCount": 2}]
    assert forms.cpu_to_api(["cpu5c-4", "my-cpu-2"]) == sizes
    assert forms.cpu_from_api([{**size, "memory": 9} for size in sizes]) == ["cpu5c-4", "my-cpu-2"]
    assert forms.data_centers_to_api(["any"]) == [] and forms.data_centers_from_api([]) == ["any"]
    assert forms.data_centers_from_api(["B", "A"]) == ["A", "B"]
