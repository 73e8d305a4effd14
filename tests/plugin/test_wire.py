"""The property encoding, both ways."""

from __future__ import annotations

import enum

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from plugin.support import plain, secret, struct
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire
from runpod_serverless_provider.plugin.wire import Malformed, decode, encode

SIGN = wire.SIGNATURE_KEY


@pytest.mark.parametrize("sentinel", sorted(wire.UNKNOWN_SENTINELS))
def test_every_sentinel_is_unknown_anywhere(sentinel):
    """SDKs mostly send the string sentinel, whatever the type."""
    values, secrets = decode(struct({"a": sentinel, "b": [sentinel], "c": {"d": secret(sentinel)}}))
    assert values == {"a": UNKNOWN, "b": [UNKNOWN], "c": {"d": UNKNOWN}} and secrets == {("c", "d")}


def test_nothing_is_nothing():
    """An absent struct, and one without fields."""
    assert decode(None) == decode(Struct()) == ({}, frozenset())


def test_nested_secrets_are_paths_beside_plain_values():
    """The core compares plain values only."""
    values, secrets = decode(struct({"env": secret({"A": secret("x"), "n": 3}), "list": [1, secret(2.5)]}))
    assert values == {"env": {"A": "x", "n": 3}, "list": [1, 2.5]}
    assert secrets == {("env",), ("env", "A"), ("list", 1)}
    assert isinstance(values["env"]["n"], int)


def test_output_values_references_assets_and_bytes_become_plain():
    """Whatever else the engine may send has a plain form."""
    values, secrets = decode(
        struct(
            {
                "out": {SIGN: wire.OUTPUT_VALUE, "value": "v", "secret": True, "dependencies": []},
                "open": {SIGN: wire.OUTPUT_VALUE, "value": {"a": 1}, "secret": False},
                "later": {SIGN: wire.OUTPUT_VALUE},
                "hidden": {SIGN: wire.OUTPUT_VALUE, "secret": True},
                "ref": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": "abc", "packageVersion": "1"},
                "list": [{SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": "def"}],
                "new": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": ""},
                "null": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": None},
                "unknown": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": wire.UNKNOWN_STRING},
                "secret": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u", "id": secret("ghi")},
                "component": {SIGN: wire.RESOURCE_REFERENCE, "urn": "u"},
                "asset": {SIGN: wire.ASSET, "text": "hello"},
                "archive": {SIGN: wire.ARCHIVE, "assets": {"a": {SIGN: wire.ASSET, "hash": "h"}}},
                "bytes": {SIGN: wire.BYTE_STRING, "value": "AAA="},
                "no bytes": {SIGN: wire.BYTE_STRING},
                "gone": None,
                "kept": {"inner": None},
            }
        )
    )
    assert values == {
        "out": "v",
        "open": {"a": 1},
        "later": UNKNOWN,
        "hidden": UNKNOWN,
        "ref": "abc",
        "list": ["def"],
        "new": UNKNOWN,
        "null": UNKNOWN,
        "unknown": UNKNOWN,
        "secret": "ghi",
        "component": "u",
        "asset": {"text": "hello"},
        "archive": {"assets": {"a": {"hash": "h"}}},
        "bytes": "AAA=",
        "no bytes": "",
        "kept": {"inner": None},
    }
    assert secrets == {("out",), ("hidden",), ("secret",)}


@pytest.mark.parametrize("bad", [{SIGN: wire.SECRET}, {SIGN: "what"}, {SIGN: 3}, {SIGN: None}, {SIGN: wire.RESOURCE_REFERENCE}])
def test_broken_signatures_are_malformed(bad):
    """A typed failure with the path, and without the value."""
    with pytest.raises(Malformed, match=r"^a\[0\]: "):
        decode(struct({"a": [bad]}))


@pytest.mark.parametrize("root", [{SIGN: wire.SECRET, "value": "x"}, {SIGN: wire.BYTE_STRING, "value": ""}])
def test_a_root_that_is_no_map_is_malformed(root):
    """Properties are one, or the secret of one."""
    with pytest.raises(Malformed, match="not a map"):
        decode(struct(root))
    assert decode(struct(secret({"a": 1}))) == ({"a": 1}, frozenset({()}))


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_is_malformed(number):
    """Nothing could be compared with it."""
    message = Struct()
    message.fields["a"].number_value = number
    with pytest.raises(Malformed, match=r"^a: not a finite number"):
        decode(message)


def test_a_value_without_a_kind_is_malformed():
    """A later engine may have a kind that we do not know."""
    message = Struct()
    message.fields["a"].Clear()
    with pytest.raises(Malformed, match=r"^a: a value without a kind"):
        decode(message)


@pytest.mark.parametrize("depth", [300, 3000])
def test_a_deep_value_is_malformed(depth):
    """Depth is bounded before Python's stack is."""
    message = Struct()
    inner = message
    for _ in range(depth):
        inner.fields["a"].struct_value.SetInParent()
        inner = inner.fields["a"].struct_value
    with pytest.raises(Malformed, match="deep"):
        decode(message)


@pytest.mark.parametrize(("number", "kind"), [(5.0, int), (-3.0, int), (0.5, float), (2.0**53, int), (2.0**60, float)])
def test_integral_doubles_become_integers_while_they_are_exact(number, kind):
    """The wire has only doubles."""
    values, _ = decode(struct({"a": number}))
    assert values["a"] == number and type(values["a"]) is kind


def test_round_trip_keeps_values_and_secrets():
    """What came in goes out."""
    sent = {"a": secret({"x": [1, True, "s", None]}), "b": [secret("q"), 0.5], "__c": {}, "u": wire.UNKNOWN_STRING, "l": []}
    values, secrets = decode(struct(sent))
    assert plain(encode(values, secrets, allow_unknown=True)) == sent


def test_a_secret_null_is_no_secret():
    """A wrapping must have a value, or the engine refuses the answer."""
    assert plain(encode({"a": None, "b": {"c": None}}, frozenset({("a",), ("b", "c")}), allow_unknown=True)) == {"b": {"c": None}}


def test_schema_secrets_are_wrapped_and_unknown_ones_too():
    """A secret may wrap an unknown."""
    written = plain(encode({"token": UNKNOWN}, schema_secrets=frozenset({("token",)}), allow_unknown=True))
    assert written == {"token": secret(wire.UNKNOWN_STRING)}


def test_values_that_are_no_json_are_written_as_what_they_mean():
    """An enum's value, a tuple as a list, the text of anything else; an identifier beyond what a double holds as text."""

    class Word(enum.Enum):
        A = "a-word"

    class Number(enum.IntEnum):
        A = 5

    written = plain(
        encode({"w": Word.A, "n": Number.A, "t": (1, 2), "p": 2 + 3j, "big": 2**53 + 1, "map": {8: True}}, allow_unknown=False)
    )
    assert written == {"w": "a-word", "n": 5, "t": [1, 2], "p": "(2+3j)", "big": str(2**53 + 1), "map": {"8": True}}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(st.text(max_size=5), JSON.filter(lambda value: value is not None), max_size=5))
def test_every_json_value_survives_the_round_trip(values):
    """Top-level nulls aside, which count as absent."""
    decoded, secrets = decode(encode(values, allow_unknown=False))
    assert decoded == values and not secrets
