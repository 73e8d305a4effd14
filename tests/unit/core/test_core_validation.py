"""Wording of bad inputs, and tolerance of old ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import pytest
from pydantic import BaseModel, ConfigDict, Field

from runpod_serverless_provider.core.model import Inputs, Updates
from runpod_serverless_provider.core.validation import did_you_mean, nearest, shown_unless, tolerant, validate
from runpod_serverless_provider.core.values import UNKNOWN, Path
from unit.support import texts


class Inner(Inputs):
    """An object."""

    size: Annotated[int, Updates(), Field(ge=1)]


class Model(Inputs):
    """Some inputs."""

    name: Annotated[str, Updates(), Field(min_length=1)]
    inner: Annotated[Inner | None, Updates()] = None
    wait: Annotated[timedelta | None, Updates()] = None
    flag: Annotated[bool | None, Updates()] = None
    tags: Annotated[dict[str, str] | None, Updates()] = None


NEAR: Final = [
    ("a100", ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB", "NVIDIA L4"], ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"]),
    ("eu_ro_1", ["EU-CZ-1", "EU-RO-1", "elsewhere"], ["EU-RO-1", "EU-CZ-1"]),
    ("l4", ["NVIDIA L4"], []),
    ("zzz", ["abc"], []),
    ("wrokers", ["workers", "name"], ["workers"]),
]


@pytest.mark.parametrize(("word", "known", "expected"), NEAR)
def test_the_nearest_words(word: str, known: list[str], expected: list[str]) -> None:
    """Those that hold it come first; spelling is no matter."""
    assert nearest(word, known) == expected


def test_no_more_than_asked_for() -> None:
    """And nothing is said where nothing is near."""
    assert nearest("size", ["sizes", "sized", "resize", "size1"], 2) == ["sizes", "sized"]
    assert did_you_mean("sise", ["size"]) == "; did you mean 'size'?"
    assert did_you_mean("zzz", ["size"]) == ""


WORDS: Final = [
    ({}, "name: is required"),
    ({"name": ""}, "name: must not be empty"),
    ({"name": 1}, "name: must be a string, not 1; put it in quotes"),
    ({"name": "n", "inner": {"size": 0}}, "inner.size: must be at least 1, not 0"),
    ({"name": "n", "inner": {"sise": 1, "size": 1}}, "inner.sise: there is no such property; did you mean 'size'?"),
    ({"name": "n", "inner": {}}, "inner.size: is required"),
    ({"name": "n", "inner": 3}, "inner: must be an object, not 3"),
    ({"name": "n", "flag": 1}, "flag: must be true or false, not 1"),
    ({"name": "n", "tags": {1: 2}}, "tags[1]: must be a string, not 1; put it in quotes"),
    ({"name": "n", "wait": "soon"}, "wait: Input should be a valid timedelta (got 'soon')"),
]


@pytest.mark.parametrize(("values", "said"), WORDS, ids=lambda value: str(value))
def test_what_is_wrong_is_said_so_that_one_can_act(values: dict[str, Any], said: str) -> None:
    """In words of ours; what has none is said in pydantic's."""
    model, failures = validate(Model, values, shown_unless(frozenset()))
    assert model is None
    assert texts(tuple(failures)) == [said]


def test_a_path_within_what_is_no_object_has_no_siblings() -> None:
    """A misspelt key deep in a plain model is named without a hint."""

    class Plain(BaseModel):
        model_config = ConfigDict(extra="forbid")
        name: str = ""

    class Holder(BaseModel):
        plain: Plain

    _, failures = validate(Holder, {"plain": {"nome": 1}}, shown_unless(frozenset()))
    assert texts(tuple(failures)) == ["plain.nome: there is no such property"]


SHOWN: Final[list[tuple[Path, str]]] = [
    (("open",), "'x'"),
    (("env", "A"), "'x'"),
    (("env",), "[secret]"),
    (("env", "B"), "[secret]"),
    (("env", "B", 0), "[secret]"),
]


@pytest.mark.parametrize(("path", "text"), SHOWN)
def test_values_on_above_or_below_a_secret_path_are_not_shown(path: Path, text: str) -> None:
    """Only beside it they are."""
    assert shown_unless(frozenset({("env", "B")}))(path, "x") == text


TOLERATED: Final = [
    ({"name": "n"}, {("name",): "n"}),
    ({"inner": {"size": 2}}, {("inner", "size"): 2}),
    ({"name": 1, "inner": {"size": 2}}, {("name",): 1, ("inner", "size"): 2}),
    ({"inner": {"sise": 2}, "flag": True}, {("inner",): {"sise": 2}, ("flag",): True}),
    ({"inner": "x", "name": [], "flag": 3}, {("inner",): "x", ("name",): [], ("flag",): 3}),
    ({"name": UNKNOWN}, {("name",): UNKNOWN}),
    ({}, {}),
]


@pytest.mark.parametrize(("values", "leaves"), TOLERATED, ids=str)
def test_what_does_not_validate_stands_for_itself(values: dict[str, Any], leaves: dict[Path, Any]) -> None:
    """The rest is canonical, and nothing is required."""
    assert tolerant(Model, values) == leaves
