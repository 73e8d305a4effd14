"""Markers on fields, and models as leaves."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from runpod_serverless_provider.core.model import (
    At,
    Inputs,
    Recreates,
    StateOnly,
    Updates,
    below,
    facts,
    facts_at,
    leaves_of,
    lenient,
    nest,
    nested_model,
    open_leaf,
)
from runpod_serverless_provider.core.values import UNKNOWN


class Inner(Inputs):
    """An object."""

    size: Annotated[int, Updates()]
    tags: Annotated[dict[str, str] | None, At("labels", clear={}), Updates("soon")] = None


class Outer(Inputs):
    """A resource's inputs."""

    name_of_it: Annotated[str, Recreates("it is what it is")]
    inner: Annotated[Inner | None, Updates()] = None
    words: Annotated[list[str] | None, StateOnly()] = None


def test_facts_know_their_path_and_markers() -> None:
    """Outer before inner, in camelCase, with the place in the API."""
    assert [item.path for item in facts(Outer)] == [("nameOfIt",), ("inner",), ("inner", "size"), ("inner", "tags"), ("words",)]
    name, inner, _, tags, words = facts(Outer)
    assert (name.name, name.at.path, name.is_sent) == ("nameOfIt", ("nameOfIt",), True)
    assert (inner.nested, inner.is_sent, words.is_sent) == (Inner, False, False)
    assert (tags.at.path, tags.at.is_clearable, name.at.is_clearable) == (("labels",), True, False)
    assert tags.marker(Updates) == Updates("soon") and tags.marker(StateOnly) is None


def test_a_field_without_an_effect_is_refused() -> None:
    """Whoever adds a field says what a change of it does."""

    class Forgotten(Inputs):
        size: int

    with pytest.raises(TypeError, match=r"Forgotten\.size does not say what a change of it does"):
        facts(Forgotten)


def test_a_key_of_a_map_counts_as_its_map() -> None:
    """And what no field declares is an error of ours."""
    assert facts_at(Outer, ("inner", "tags", "a")).path == ("inner", "tags")
    with pytest.raises(KeyError):
        facts_at(Outer, ("nowhere", "x"))


def test_the_object_that_an_annotation_stands_for() -> None:
    """Also through None, and none where there is none."""
    assert nested_model(Inner) is nested_model(Inner | None) is Inner
    assert nested_model(int | None) is nested_model(list[Inner]) is None


def test_a_model_becomes_leaves_and_back() -> None:
    """Maps are opened, lists are not, None is absence, and an empty map leaves nothing."""
    values = {"nameOfIt": "n", "inner": {"size": 1, "tags": {"a": "b"}}, "words": ["x"]}
    flat = leaves_of(Outer.model_validate(values))
    assert flat == {("nameOfIt",): "n", ("inner", "size"): 1, ("inner", "tags", "a"): "b", ("words",): ["x"]}
    assert nest(flat) == values
    assert below(flat, ("inner", "tags")) == {("inner", "tags", "a"): "b"}
    assert leaves_of(Outer.model_validate({"nameOfIt": "n", "inner": {"size": 1, "tags": {}}})) == {
        ("nameOfIt",): "n",
        ("inner", "size"): 1,
    }
    assert open_leaf(("a", "b"), {"c": {"d": 1}, "e": None}) == {("a", "b", "c", "d"): 1}


def test_unknowns_stand_where_they_are() -> None:
    """A whole object, a field, a key; a list that holds one is unknown as a whole."""
    given: dict[str, Any] = {
        "nameOfIt": UNKNOWN,
        "inner": {"size": UNKNOWN, "tags": {"a": UNKNOWN, "b": "c"}},
        "words": ["x", UNKNOWN],
    }
    assert leaves_of(Outer.model_validate(given)) == {
        ("nameOfIt",): UNKNOWN,
        ("inner", "size"): UNKNOWN,
        ("inner", "tags", "a"): UNKNOWN,
        ("inner", "tags", "b"): "c",
        ("words",): UNKNOWN,
    }
    assert leaves_of(Outer.model_validate({"nameOfIt": "n", "inner": UNKNOWN, "words": [UNKNOWN]})) == {
        ("nameOfIt",): "n",
        ("inner",): UNKNOWN,
        ("words",): UNKNOWN,
    }


def test_a_lenient_model_requires_nothing() -> None:
    """And is as strict as before in all else."""
    assert leaves_of(lenient(Outer).model_validate({"words": ["x"]})) == {("words",): ["x"]}
    with pytest.raises(ValueError, match="nameOfIt"):
        lenient(Outer).model_validate({"nameOfIt": 1})
