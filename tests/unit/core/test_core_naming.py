"""Names that the program does not give, in every mode of Pulumi's autonaming."""

from __future__ import annotations

from typing import Any, Final

import pytest

from runpod_serverless_provider.core.failures import Failure
from runpod_serverless_provider.core.naming import choose_name, is_generated
from runpod_serverless_provider.core.verbs import Autonaming, Check

LONG: Final = "a" * 300
NAMES: Final = [
    ({}, "x-19b2585"),
    ({"random_seed": b"other"}, "x-d9298a1"),
    ({"name": LONG}, f"{LONG[:183]}-19b2585"),
    ({"autonaming": Autonaming.PROPOSE, "proposed_name": "p-x"}, "p-x"),
    ({"autonaming": Autonaming.PROPOSE, "proposed_name": LONG}, LONG[:191]),
    ({"autonaming": Autonaming.ENFORCE, "proposed_name": "p-x"}, "p-x"),
    ({"autonaming": Autonaming.ENFORCE, "proposed_name": LONG}, f"the name '{LONG}' that autonaming asks for is longer than 191"),
    ({"autonaming": Autonaming.DISABLE}, "is required, for this stack's autonaming is disabled; give a name"),
]


def _request(**changes: Any) -> Check:
    return Check(**{"token": "t", "name": "x", "olds": {}, "news": {}, "random_seed": b"seed", **changes})


@pytest.mark.parametrize(("request_of", "expected"), NAMES, ids=lambda value: str(value)[:40])
def test_the_mode_decides(request_of: dict[str, Any], expected: str) -> None:
    """A name is the logical one and seven digits of the seed, unless the project says otherwise; none is longer than the API takes."""
    chosen = choose_name(_request(**request_of), "name", 191)
    if isinstance(chosen, Failure):
        assert chosen == Failure(("name",), expected)
    else:
        assert chosen == expected
        assert len(chosen) <= 191


@pytest.mark.parametrize(
    ("logical", "name"), [("x", "x-1"), ("x", "y-19b2585"), ("x", "x-19B2585"), ("x.", "xy-19b2585"), ("x", None)]
)
def test_a_generated_name_is_known_again(logical: str, name: object) -> None:
    """And no other is taken for one, also where the resource's own name is cut."""
    for chosen in (_request(name=logical), _request(name=LONG)):
        assert is_generated(choose_name(chosen, "name", 191), chosen.name, 191)
    assert not is_generated(name, logical, 191)


def test_without_a_seed_names_differ() -> None:
    """Where the engine gives none."""
    one, other = (choose_name(_request(random_seed=b""), "name", 191) for _ in range(2))
    assert one != other


def test_where_autonaming_is_disabled_check_asks_for_a_name(endpoint: Any, volume: Any) -> None:
    """Of each resource."""
    for life in (endpoint, volume):
        said = "name: is required, for this stack's autonaming is disabled; give a name"
        assert life.failures({}, autonaming=Autonaming.DISABLE) == [said]
        assert life.failures({"name": "n"}, autonaming=Autonaming.DISABLE) == []
