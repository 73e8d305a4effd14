"""A resource moves from one door to the other, as an alias lets it: nothing is recreated, and nothing is asked.

The engine then calls the new door with what the old one has stored. The same on the real engine: tests/engine/test_moving.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from parity.doors import Life, entered, holds_secret, requests, secret
from parity.test_parity import FULL, named
from pulumi_runpod_serverless.dynamic import NAME_KEY, PROVIDER_KEY, SECRETS_KEY, STACK_KEY
from runpod_serverless_provider.core.checking import DEFAULTS_KEY, INPUTS_KEY
from unit.resources.test_recreate_table import CASES, Case
from unit.support import World, world_of

WAYS: Final = [("grpc", "dynamic"), ("dynamic", "grpc")]


@contextmanager
def both(way: tuple[str, str], kind: str) -> Iterator[tuple[World, Life, Any]]:
    """Give a resource behind the first door, and the other."""
    with world_of() as world, entered(way[0], world) as first, entered(way[1], world) as second:
        yield world, Life(first, kind), second


@pytest.mark.parametrize("way", WAYS, ids=" to ".join)
@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "nameless"])
def test_moving_asks_nothing_and_changes_nothing(way: tuple[str, str], kind: str, is_named: bool) -> None:
    """Nor does it the next time, nor back again; and what moved is refreshed and deleted by its new door."""
    program = named(FULL[kind]) if is_named else copy.deepcopy(FULL[kind])
    with both(way, kind) as (world, life, second):
        first = life.door
        life.up(program)
        id, shown = life.id, life.shown
        world.forget()
        for door in (second, first, second):
            life.door = door
            assert life.up(program).op in ("same", "update")
            assert life.up(program).op == "same"
        assert requests(world) == []
        assert (life.id, life.shown) == (id, shown)
        assert life.refresh().op == "same"
        assert life.up(program).op == "same"
        assert (life.id, life.shown) == (id, shown)
        assert life.destroy() == ""
        assert [request[0] for request in requests(world)] == ["GET", "DELETE"]


@pytest.mark.parametrize("kind", FULL)
def test_what_the_dynamic_door_kept_for_itself_goes_with_the_next_refresh(kind: str) -> None:
    """Where a move has written nothing, it is among the outputs until then, and its secrets are still some."""
    with both(("dynamic", "grpc"), kind) as (_, life, second):
        life.up(named(FULL[kind]))
        life.door = second
        assert life.up(named(FULL[kind])).op == "same"
        left = {name for name in life.outputs if name.startswith("__")}
        assert left == {INPUTS_KEY, NAME_KEY, PROVIDER_KEY, SECRETS_KEY, STACK_KEY}
        assert holds_secret(life.outputs[INPUTS_KEY]) and holds_secret(life.outputs[PROVIDER_KEY])
        assert life.refresh().op == "same"
        assert not {name for name in life.outputs if name.startswith("__")}
        assert {name for name in life.inputs if name.startswith("__")} == {DEFAULTS_KEY}


@pytest.mark.parametrize("way", WAYS, ids=" to ".join)
@pytest.mark.parametrize("kind", FULL)
def test_it_may_be_destroyed_straight_after_the_move(way: tuple[str, str], kind: str) -> None:
    """Without a refresh, and without another up."""
    with both(way, kind) as (world, life, second):
        life.up(named(FULL[kind]))
        life.door = second
        life.up(named(FULL[kind]))
        world.forget()
        assert life.destroy() == ""
        assert [request[0] for request in requests(world)] == ["DELETE"]


@pytest.mark.parametrize("way", WAYS, ids=" to ".join)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_move_together_with_a_change_is_the_change(case: Case, way: tuple[str, str]) -> None:
    """The plan and the requests are those of the change alone."""
    found = []
    for target in (way[1], None):
        with both(way, case.kind) as (world, life, second):
            world.seed(**copy.deepcopy(case.seeds))
            life.up(named(case.before))
            world.forget()
            life.door = second if target else life.door
            plan = life.up(named(case.after))
            found.append((plan, life.shown, requests(world)))
            assert life.up(named(case.after)).op == "same"
    assert found[0] == found[1]


@pytest.mark.parametrize("way", WAYS, ids=" to ".join)
def test_a_move_keeps_drift_in_sight(way: tuple[str, str]) -> None:
    """What a refresh took into the state before the move is repaired after it."""
    program = named({"image": "me/worker:1", "gpu": "ADA_24"})
    with both(way, "Endpoint") as (world, life, second):
        life.up(program)
        world.drift("endpoints", life.id, workers={"min": 0, "max": 3, "idleTimeout": 60})
        life.refresh()
        world.forget()
        life.door = second
        assert life.up(program).op == "update"
        assert [request[0] for request in requests(world)] == ["PATCH"]
        assert life.up(program).op == "same"


@pytest.mark.parametrize("way", WAYS, ids=" to ".join)
def test_a_move_keeps_secrets(way: tuple[str, str]) -> None:
    """Whatever held one holds one still."""
    program = named({"image": secret("me/worker:1"), "env": {"A": secret("text-of-a"), "B": "text-of-b"}})
    with both(way, "Endpoint") as (_, life, second):
        life.up(program)
        hidden = life.hidden
        life.door = second
        life.up(program)
        assert life.hidden == hidden >= {"image", "env"}
        life.refresh()
        assert life.hidden == hidden
