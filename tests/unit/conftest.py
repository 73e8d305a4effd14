"""A world for each test: a provider on an emulator of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unit.support import Life, World, world_of


@pytest.fixture
def world() -> Iterator[World]:
    """Give a provider on a fresh emulator; at the end its requests are held against the API's document."""
    with world_of() as found:
        yield found


@pytest.fixture
def endpoint(world: World) -> Life:
    """Give an endpoint that is not created yet."""
    return Life(world, "Endpoint")


@pytest.fixture
def volume(world: World) -> Life:
    """Give a network volume that is not created yet."""
    return Life(world, "NetworkVolume", "v")
