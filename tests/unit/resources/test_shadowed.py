"""What stands in `template` under a property of the endpoint's own: it is kept in the state, and means nothing to the API."""

from __future__ import annotations

from typing import Any, Final

import pytest

from unit.support import Life, World

OWN: Final = {"gpu": "ADA_24", "image": "me/own:1", "env": {"A": "own"}}


@pytest.mark.parametrize("strategy", ["replace", "inPlace"])
@pytest.mark.parametrize(
    ("before", "after", "plan"),
    [
        ({"image": "me/x:1"}, {"image": "me/x:2"}, {"template.image": "update"}),
        ({"args": "x"}, {"args": "x", "image": "me/x:2"}, {"template.image": "add"}),
        ({"args": "x", "image": "me/x:2"}, {"args": "x"}, {"template.image": "delete"}),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}, {"template.env.A": "update"}),
    ],
)
def test_a_change_of_what_is_hidden_is_of_the_state_alone(
    world: World, endpoint: Life, strategy: str, before: Any, after: Any, plan: dict[str, str]
) -> None:
    """It replaces nothing, sends nothing, and is no drift afterwards."""
    endpoint.up({**OWN, "updateStrategy": strategy, "template": before})
    live, id_before = world.live("endpoints", endpoint.id), endpoint.id
    program = {**OWN, "updateStrategy": strategy, "template": after}
    world.forget()
    assert endpoint.up(program) == plan
    assert (world.sent, endpoint.id, world.live("endpoints", endpoint.id)) == ([], id_before, live)
    assert endpoint.up(program) == endpoint.refresh() == {}
    assert endpoint.plan(program) == {}


def test_what_comes_to_light_counts(world: World, endpoint: Life) -> None:
    """Where the endpoint's own property goes, that of the template is what changes it."""
    endpoint.up({**OWN, "template": {"image": "me/x:1", "env": {"A": "1"}}})
    plan = endpoint.up({"gpu": "ADA_24", "template": {"image": "me/x:2", "env": {"A": "1"}}})
    assert plan == {"image": "delete_replace", "template.image": "update_replace", "env.A": "delete"}
    assert (world.live("endpoints", endpoint.id)["image"], world.live("endpoints", endpoint.id)["env"]) == ("me/x:2", {"A": "1"})
