"""What the core gives to doors beyond the verbs."""

from __future__ import annotations

from unit.support import PACKAGE, Life, World

ENDPOINT = f"{PACKAGE}Endpoint"


def test_a_door_learns_what_is_secret_by_itself(world: World) -> None:
    """Whatever the program says."""
    provider = world.provider
    assert provider.secret_paths(ENDPOINT) == {("inheritedEnv",)}
    assert provider.secret_paths(f"{PACKAGE}Registry") == {("password",)}


def test_a_door_may_have_inputs_in_their_canonical_form(world: World, endpoint: Life) -> None:
    """One spelling, one order."""
    checked = endpoint.checked({"gpu": "ADA_24", "workers": 3, "flashboot": True})
    canonical = world.provider.canonical(ENDPOINT, checked)
    assert (canonical["gpu"], canonical["workers"], canonical["flashboot"]) == (["ADA_24"], {"min": 0, "max": 3}, "FLASHBOOT")


def test_a_door_without_old_inputs_takes_them_from_the_outputs(world: World, endpoint: Life) -> None:
    """But for what is shown although nobody stated it."""
    endpoint.up({"image": "me/x", "gpu": "ADA_24"})
    stated = world.provider.as_inputs(ENDPOINT, endpoint.outputs, {"image": "me/x"})
    assert stated["image"] == "me/x" and "requestUrls" not in stated
    assert "image" not in world.provider.as_inputs(ENDPOINT, endpoint.outputs, {"gpu": "ADA_24"})


def test_a_door_may_have_what_follows_from_inputs(world: World) -> None:
    """And what of it is secret for the sake of an input."""
    template = Life(world, "PodTemplate")
    checked = template.checked({"image": "me/x", "env": {"A": "b"}})
    assert world.provider.following(template.token, checked) == {"settings": {"image": "me/x", "env": {"A": "b"}}}
    assert ("settings", "env") in world.provider.secret_paths(template.token, frozenset({("env",)}))
