"""Plain values and paths into them."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runpod_serverless_provider.core import values
from runpod_serverless_provider.core.values import UNKNOWN, Path


def test_there_is_one_unknown() -> None:
    """It is the same after a copy, and says what it is."""
    assert copy.copy(UNKNOWN) is copy.deepcopy({"a": [UNKNOWN]})["a"][0] is UNKNOWN
    assert repr(UNKNOWN) == "UNKNOWN"


@pytest.mark.parametrize("value", [UNKNOWN, {"a": UNKNOWN}, [1, [UNKNOWN]], ({"a": (UNKNOWN,)},)], ids=repr)
def test_an_unknown_is_found_at_any_depth(value: Any) -> None:
    """In maps, lists and tuples."""
    assert values.contains_unknown(value)


@pytest.mark.parametrize("value", [None, 1, "UNKNOWN", {}, [], {"a": [1, {"b": None}]}], ids=repr)
def test_what_holds_no_unknown(value: Any) -> None:
    """Nothing is taken for one."""
    assert not values.contains_unknown(value)


RENDERED: Final[list[tuple[Path, str]]] = [
    (("workers", "max"), "workers.max"),
    (("volume", 0), "volume[0]"),
    (("env", "A.B"), 'env["A.B"]'),
    (("env", 'a"b\\c'), 'env["a\\"b\\\\c"]'),
    (("env", "", "x"), 'env[""].x'),
    (("1st",), '["1st"]'),
    ((), ""),
]


@pytest.mark.parametrize(("path", "text"), RENDERED)
def test_a_path_is_written_as_the_engine_reads_it(path: Path, text: str) -> None:
    """Odd keys are quoted."""
    assert values.render_path(path) == text
    assert values.parse_pattern(text) == path


@settings(max_examples=200, derandomize=True, database=None)
@given(st.lists(st.text(max_size=5) | st.integers(0, 99), min_size=1, max_size=4).filter(lambda parts: isinstance(parts[0], str)))
def test_a_written_path_reads_back(parts: list[str | int]) -> None:
    """Whatever the keys are."""
    path = tuple(parts)
    if all(part != "*" for part in path):
        assert values.parse_pattern(values.render_path(path)) == path


MATCHES: Final = [
    (("a", "b"), "a", True),
    (("a",), "a", True),
    (("a",), "a.b", False),
    (("a", 0, "x"), "a[*].x", True),
    (("a", 0, "x"), "a[0]", True),
    (("a", 1), "a[0]", False),
    (("a", "b"), "*", True),
    (("ab",), "a", False),
    (("env", "A.B"), 'env["A.B"]', True),
]


@pytest.mark.parametrize(("path", "pattern", "expected"), MATCHES)
def test_a_pattern_holds_for_what_lies_below_it(path: Path, pattern: str, expected: bool) -> None:
    """And `*` stands for one part."""
    assert values.is_at_or_below(path, values.parse_pattern(pattern)) is expected


TREE: Final = {"a": {"b": [1, {"c": None}]}, "u": UNKNOWN, "e": {}, "l": []}
FOUND: Final[list[tuple[Path, Any]]] = [
    ((), TREE),
    (("a", "b", 0), 1),
    (("a", "b", 5), None),
    (("a", "b", "x"), None),
    (("a", 0), None),
    (("a", "b", 1, "c"), None),
    (("u",), UNKNOWN),
    (("u", "x", 0), UNKNOWN),
    (("nowhere", "x"), None),
]


@pytest.mark.parametrize(("path", "value"), FOUND)
def test_what_stands_at_a_path(path: Path, value: Any) -> None:
    """Below an unknown all is unknown; beside everything is nothing."""
    assert values.get_in(TREE, path) == value


CUT: Final[list[tuple[Path, Path]]] = [
    (("a", "b", 0), ("a", "b", 0)),
    (("a", "b", 9), ("a", "b")),
    (("a", "x", "y"), ("a",)),
    (("a", "b", 1, "c"), ("a", "b", 1, "c")),
    (("a", "b", 1, "d"), ("a", "b", 1)),
    (("nowhere", "x"), ("nowhere",)),
]


@pytest.mark.parametrize(("path", "cut"), CUT)
def test_a_path_is_cut_to_what_is_there(path: Path, cut: Path) -> None:
    """But its first part stays; a null is there, too."""
    assert values.resolvable(path, {}, TREE) == cut


def test_leaves_come_with_their_paths() -> None:
    """An empty map or list is one."""
    assert dict(values.leaves(TREE)) == {("a", "b", 0): 1, ("a", "b", 1, "c"): None, ("u",): UNKNOWN, ("e",): {}, ("l",): []}
    assert (
        values.is_within(("a", "b"), ("a",)) and not values.is_within(("a",), ("a",)) and not values.is_within(("ab", "c"), ("a",))
    )


def test_each_leaf_is_changed_in_a_copy() -> None:
    """Maps and lists stay what they are."""
    assert values.map_values({"a": [1, {"b": 2}], "c": (3,)}, lambda leaf: leaf * 10) == {"a": [10, {"b": 20}], "c": [30]}
