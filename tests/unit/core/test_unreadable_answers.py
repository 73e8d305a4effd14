"""Answers of the API that are not what its document says: they are called that, an id is never lost for one, and nothing is made up."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import CreatedButFailed, OutcomeUnknown, ProviderFailure, Unreadable
from unit.support import PACKAGE, Life, World

PROGRAM: Final = {"image": "me/x:1", "gpu": "ADA_24"}
SAID: Final = r"^Runpod's answer about the endpoint '\w+' cannot be read \(\w+ at \w+\.py:\d+\); look for a newer version$"


@pytest.mark.parametrize("answer", [{"gpu": ["ADA_24"]}, {"scaling": "fast"}, {"dataCenterIds": 7}], ids=str)
def test_a_refresh_says_that_it_cannot_read_the_answer(world: World, endpoint: Life, answer: dict[str, Any]) -> None:
    """And so does an import; the state stays."""
    endpoint.up(PROGRAM)
    world.fault(method="GET", path="/v2/serverless*", action="wrong-json", body={"endpoints": [{"id": endpoint.id, **answer}]})
    with pytest.raises(Unreadable, match=SAID):
        endpoint.read()
    world.fault(method="GET", path="/v2/serverless*", action="wrong-json", body={"id": endpoint.id, **answer})
    with pytest.raises(Unreadable, match=SAID):
        endpoint.take_over(endpoint.id)


def test_an_update_says_that_it_cannot_read_the_answer(world: World, endpoint: Life) -> None:
    """The PATCH was carried out; a refresh tells."""
    endpoint.up(PROGRAM)
    world.fault(method="PATCH", action="add-fields", fields={"scaling": "fast"})
    with pytest.raises(Unreadable, match=SAID):
        endpoint.up({**PROGRAM, "workers": 3})
    assert endpoint.refresh() == {"workers.max": "update"} and endpoint.up({**PROGRAM, "workers": 3}) == {}


@pytest.mark.parametrize("answer", [{"unexpected": True}, {"id": "another"}], ids=str)
def test_an_answer_about_something_else_is_none(world: World, endpoint: Life, answer: Any) -> None:
    """What it does not tell is not gone."""
    endpoint.up(PROGRAM)
    for request, path in (("PATCH", "*"), ("GET", "/v2/serverless/*")):
        world.fault(method=request, path=path, action="wrong-json", body=answer)
    with pytest.raises(Unreadable, match=SAID):
        endpoint.up({**PROGRAM, "workers": 3})
    with pytest.raises(Unreadable, match=SAID):
        endpoint.take_over(endpoint.id)


def test_an_update_that_has_to_read_what_its_creation_did_not_tell_says_so(world: World, endpoint: Life) -> None:
    """A creation whose answer was no endpoint left outputs open."""
    endpoint.up(PROGRAM)
    del endpoint.outputs["requestUrls"]
    world.fault(method="GET", path="/v2/serverless/*", action="add-fields", fields={"scaling": "fast"})
    with pytest.raises(Unreadable, match=SAID):
        endpoint.update(endpoint.inputs)


def test_a_volume_to_take_over_that_cannot_be_read_is_left_alone(world: World, volume: Life) -> None:
    """Nothing is created in its stead."""
    listed = {"networkVolumes": [{"id": "v", "name": "n", "dataCenter": "EU-RO-1", "size": 100, "type": "STANDARD"}]}
    world.fault(method="GET", action="wrong-json", body=listed)
    world.provider._resources[volume.token].observe = lambda *_: {}["odd"]  # type: ignore[method-assign]
    try:
        with pytest.raises(Unreadable, match="answer about the network volume 'v' cannot be read"):
            volume.up({"name": "n", "adoptExisting": True})
    finally:
        del world.provider._resources[volume.token].observe
    assert world.writes == []


@pytest.mark.parametrize("items", [["odd"], [{"name": "no id"}], "none"], ids=str)
def test_a_list_of_something_else_is_no_list(world: World, endpoint: Life, items: Any) -> None:
    """Nothing is taken out of the state for it."""
    endpoint.up(PROGRAM)
    world.fault(method="GET", path="/v2/serverless", action="wrong-json", body={"endpoints": items})
    with pytest.raises(
        ProviderFailure, match=r"at /serverless has no 'endpoints', or of another form|to GET /serverless has no 'id'"
    ):
        endpoint.read()


def test_a_function_says_that_it_cannot_read_the_answer(world: World) -> None:
    """That is not the same as a function that there is not."""
    card = {"id": "x", "name": "x", "manufacturer": "NVIDIA", "memory": 24, "dataCenters": 7}
    world.fault(method="GET", path="/v2/catalog/gpus", action="wrong-json", body={"gpus": [card]})
    with pytest.raises(Unreadable, match=r"^Runpod's answer about this cannot be read \(TypeError"):
        world.run(world.provider.invoke(verbs.Invoke(PACKAGE + "getGpuTypes", {})))


def test_a_catalog_that_cannot_be_read_is_one_that_is_out_of_reach(world: World, endpoint: Life) -> None:
    """It costs a warning, and the names that this version knows serve."""
    world.fault(method="GET", path="/v2/catalog/gpus", action="wrong-json", body={"gpus": [{"id": "x", "dataCenters": 7}]})
    endpoint.up(PROGRAM)
    assert "catalog could not be read, so names are not checked: Runpod's answer about its catalog cannot" in world.notes.everything


def test_what_a_lost_creation_may_have_made_is_doubt_where_it_cannot_be_read(world: World, endpoint: Life) -> None:
    """Its id is told."""
    world.fault(method="POST", action="commit-then-drop")
    listed = {"endpoints": [{"id": "e7", "name": "n", "dataCenterIds": 7}]}
    world.fault(method="GET", path="/v2/serverless", action="wrong-json", body=listed, times=2)
    with pytest.raises(OutcomeUnknown, match="'e7'"):
        endpoint.up({**PROGRAM, "name": "n"})


def test_a_time_of_creation_that_is_none_leaves_doubt(world: World, endpoint: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came while we waited may be another's."""
    other = Life(world, "Endpoint", "other")
    other.up({**PROGRAM, "name": "other"})
    late = {**world.live("endpoints", other.id), "id": "late1", "name": "n", "createdAt": "yesterday"}

    async def pause(seconds: float) -> None:
        world.app.world.store.put("endpoints", "late1", late)

    monkeypatch.setattr(world.api, "pause", pause)
    world.fault(method="POST", action="status", status=504)
    with pytest.raises(OutcomeUnknown, match="'late1'"):
        endpoint.up({**PROGRAM, "name": "n"})


def test_an_id_that_makes_no_path_is_kept_all_the_same(world: World, endpoint: Life) -> None:
    """Nobody can ask for its workers, but it is paid for."""
    world.fault(method="POST", action="add-fields", fields={"id": "a b"})
    with pytest.raises(CreatedButFailed, match=r"whether it is ready is not known: .* no path of the API") as caught:
        endpoint.up({**PROGRAM, "workers": {"min": 1, "max": 1}, "waitForReady": 60})
    assert caught.value.id == "a b"


def test_workers_that_cannot_be_read_keep_the_id(world: World, endpoint: Life) -> None:
    """As do those that are not ready in time."""
    world.fault(method="GET", path="*/workers", action="wrong-json", body={"workers": [7]})
    with pytest.raises(
        CreatedButFailed, match="whether it is ready is not known: Runpod's answer about its workers cannot be read"
    ):
        endpoint.up({**PROGRAM, "workers": {"min": 1, "max": 1}, "waitForReady": 60})
