"""The property encoding, both ways."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct

from plugin.support import secret, struct
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.plugin import wire
from runpod_serverless_provider.plugin.wire import Malformed, decode, encode


def plain(message):
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message)


@pytest.mark.parametrize("sentinel", sorted(wire.UNKNOWN_SENTINELS))
def test_every_sentinel_is_unknown_anywhere(sentinel):
    """SDKs mostly send the string sentinel, whatever the type."""
    values, _ = decode(struct({"a": sentinel, "b": [sentinel], "c": {"d": secret(sentinel)}}))
    assert values == {"a": UNKNOWN, "b": [UNKNOWN], "c": {"d": UNKNOWN}}


def test_nested_secrets_are_paths_beside_plain_values():
    """The core compares plain values only."""
    values, secrets = decode(struct({"env": secret({"A": secret("x"), "n": 3}), "list": [1, secret(2.5)]}))
    assert values == {"env": {"A": "x", "n": 3}, "list": [1, 2.5]}
    assert secrets == {("env",), ("env", "A"), ("list", 1)}
    assert isinstance(values["env"]["n"], int)


def test_output_values_references_assets_and_bytes_become_plain():
    """Whatever else the engine may send has a plain form."""
    sign = wire.SIGNATURE_KEY
    values, secrets = decode(
        struct(
            {
                "out": {sign: wire.OUTPUT_VALUE, "value": "v", "secret": True, "dependencies": []},
                "later": {sign: wire.OUTPUT_VALUE},
                "ref": {sign: wire.RESOURCE_REFERENCE, "urn": "u", "id": "abc"},
                "new": {sign: wire.RESOURCE_REFERENCE, "urn": "u", "id": ""},
                "component": {sign: wire.RESOURCE_REFERENCE, "urn": "u"},
                "asset": {sign: wire.ASSET, "text": "hello"},
                "bytes": {sign: wire.BYTE_STRING, "value": "AAA="},
                "gone": None,
                "kept": {"inner": None},
            }
        )
    )
    assert values == {
        "out": "v",
        "later": UNKNOWN,
        "ref": "abc",
        "new": UNKNOWN,
        "component": "u",
        "asset": {"text": "hello"},
        "bytes": "AAA=",
        "kept": {"inner": None},
    }
    assert secrets == {("out",)}


@pytest.mark.parametrize("bad", [{wire.SIGNATURE_KEY: wire.SECRET}, {wire.SIGNATURE_KEY: "what"}, {wire.SIGNATURE_KEY: 3}])
def test_broken_signatures_are_malformed(bad):
    """A typed failure, not a crash."""
    with pytest.raises(Malformed, match="^a: "):
        decode(struct({"a": bad}))


def test_kindless_and_infinite_values_are_malformed():
    """Neither has a meaning."""
    kindless, infinite = Struct(), Struct()
    kindless.fields["a"].Clear()
    infinite.fields["a"].number_value = float("inf")
    for message in (kindless, infinite):
        with pytest.raises(Malformed):
            decode(message)


def test_a_deep_value_is_malformed():
    """Depth is bounded before Python's stack is."""
    message = Struct()
    inner = message
    for _ in range(300):
        inner.fields["a"].struct_value.SetInParent()
        inner = inner.fields["a"].struct_value
    with pytest.raises(Malformed, match="deep"):
        decode(message)


def test_round_trip_keeps_values_and_secrets():
    """What came in goes out."""
    sent = {"a": secret({"x": [1, True, "s", None]}), "b": [secret("q"), 0.5], "__c": {}, "u": wire.UNKNOWN_STRING}
    values, secrets = decode(struct(sent))
    assert plain(encode(values, secrets, allow_unknown=True)) == sent


def test_a_secret_path_of_another_shape_secures_its_deepest_ancestor():
    """A list of inputs that comes back as a map must not leak."""
    written = plain(encode({"env": {"A": "x"}, "b": 1}, frozenset({("env", 0, "value"), ("absent", "x")}), allow_unknown=False))
    assert written == {"env": secret({"A": "x"}), "b": 1}


def test_schema_secrets_are_wrapped_and_unknown_ones_too():
    """A secret may wrap an unknown."""
    written = plain(encode({"token": UNKNOWN}, schema_secrets=frozenset({("token",)}), allow_unknown=True))
    assert written == {"token": secret(wire.UNKNOWN_STRING)}


def test_unknowns_and_nan_are_left_out_where_not_allowed():
    """By then the request has been carried out; an error would lose the resource."""
    written = plain(encode({"a": UNKNOWN, "b": [UNKNOWN, 1], "c": float("nan"), "d": 2**60}, allow_unknown=False))
    assert written == {"b": [None, 1], "d": str(2**60)}
