"""Secrets that the API, or a canonical form, puts in another place: nothing of them leaves in clear."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.support import URN, FakeCore, P, ask, plain, secret, struct
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.plugin import wire

SHORT, LONG = "ab", "hunter2-long"


def created(properties, outputs, secrets=()):
    """Create from `properties` and give what becomes of `outputs`."""
    core = FakeCore(create=verbs.Created("e1", outputs, frozenset(secrets)))
    return plain(ask(core, "Create", P.CreateRequest(urn=URN, properties=struct(properties))).properties)


def test_secrets_are_known_by_schema_by_input_and_by_the_core():
    """Each is enough, and each makes its whole property secret: SDKs lift a nested secret anyway, and the YAML host loses it."""
    outputs = {"env": {"A": "x", "B": "y"}, "token": "t", "extra": {"deep": ["e"]}, "open": 1}
    assert created({"env": {"A": secret("x")}}, outputs, [("extra", "deep")]) == {
        "env": secret({"A": "x", "B": "y"}),
        "token": secret("t"),
        "extra": secret({"deep": ["e"]}),
        "open": 1,
    }


@pytest.mark.parametrize("text", [SHORT, LONG])
def test_a_secret_that_moved_under_its_own_name_is_found_whatever_its_length(text):
    """`template.env.TOKEN` comes back as `env.TOKEN`."""
    properties = {"template": {"env": {"TOKEN": secret(text)}}}
    outputs = {"env": {"TOKEN": text}, "other": {"NAME": SHORT}, "template": {"env": {"TOKEN": text}}}
    assert created(properties, outputs) == {
        "env": secret({"TOKEN": text}),
        "other": {"NAME": SHORT},
        "template": secret({"env": {"TOKEN": text}}),
    }


def test_a_long_secret_is_found_under_any_name():
    """In a list, a map, or alone."""
    outputs = {"copy": LONG, "list": ["x", LONG], "map": {"k": LONG}, "part": f"{LONG}!"}
    assert created({"env": {"A": secret(LONG)}}, outputs) == {
        "copy": secret(LONG),
        "list": secret(["x", LONG]),
        "map": secret({"k": LONG}),
        "part": f"{LONG}!",
    }


def test_a_short_secret_does_not_hide_all_that_happens_to_equal_it():
    """A password `A100` must not make the GPU a secret."""
    assert created({"env": {"A": secret("A100")}}, {"gpu": "A100", "env": {"A": "A100"}}) == {
        "gpu": "A100",
        "env": secret({"A": "A100"}),
    }


def test_a_secret_inside_of_a_wholly_secret_map_is_traced_too():
    """The whole map was secret; its keys are the names."""
    assert created({"env": secret({"A": SHORT})}, {"env": {"A": SHORT}, "shown": {"A": SHORT}}) == {
        "env": secret({"A": SHORT}),
        "shown": secret({"A": SHORT}),
    }


def test_a_secret_item_makes_its_list_secret():
    """A canonical list has another order: the place says nothing."""
    assert created({"ids": ["b", secret("a")]}, {"ids": ["a", "b"]}) == {"ids": secret(["a", "b"])}
    assert created({"env": [{"key": "K", "value": secret("v")}]}, {"env": {"K": "v"}}) == {"env": secret({"K": "v"})}


def test_check_keeps_a_secret_item_in_its_place():
    """Inputs are in the user's own order."""

    async def check(request):
        return verbs.Checked(request.news)

    news = {"ids": ["b", secret("a")]}
    assert plain(ask(FakeCore(check=check), "Check", P.CheckRequest(urn=URN, news=struct(news))).inputs) == news


def test_a_secret_path_into_another_shape_seals_the_deepest_thing_there():
    """A shorthand that became an object, an object that became a word."""
    for path, outputs, written in [
        (("workers",), {"workers": {"min": 0, "max": 5}}, {"workers": secret({"min": 0, "max": 5})}),
        (("gpu", 0), {"gpu": {"a": 1}}, {"gpu": secret({"a": 1})}),
        (("gpu", "a", "b"), {"gpu": {"a": "word", "c": 1}}, {"gpu": {"a": secret("word"), "c": 1}}),
        (("gpu", "a", 3), {"gpu": {"a": [1]}}, {"gpu": {"a": secret([1])}}),
        (("gpu", "a"), {"gpu": {"b": 1}}, {"gpu": {"b": 1}}),
        (("gone", "a"), {"gpu": 1}, {"gpu": 1}),
        ((), {"a": 1, "b": None}, {"a": secret(1)}),
    ]:
        assert plain(wire.encode(outputs, frozenset({path}), allow_unknown=False)) == written


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4), st.data())
def test_whatever_is_marked_secret_leaves_wrapped(values, data):
    """For all shapes and all sets of paths: nothing at or below a secret path stands outside of a wrapping."""
    canary = "CANARY-0123456789"
    paths = [()]

    def walk(value, path):
        paths.append(path)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            walk(item, (*path, key))

    for key, value in values.items():
        walk(value, (key,))
    chosen = data.draw(st.sets(st.sampled_from(paths), max_size=3))

    def planted(value, path):
        if isinstance(value, dict):
            return {key: planted(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [planted(item, (*path, index)) for index, item in enumerate(value)]
        covered = any(path[:length] in chosen for length in range(len(path) + 1))
        return canary if covered and isinstance(value, str) else value

    written = plain(wire.encode(planted(values, ()), frozenset(chosen), allow_unknown=False))

    def bare(value):
        if isinstance(value, dict):
            if value.get(wire.SIGNATURE_KEY) == wire.SECRET:
                return
            for item in value.values():
                bare(item)
        elif isinstance(value, list):
            for item in value:
                bare(item)
        else:
            assert value != canary

    bare(written)
    decoded, secrets = wire.decode(struct(written))
    assert plain(wire.encode(decoded, secrets, allow_unknown=False)) == written


def test_tracing_finds_every_long_secret_in_every_place():
    """By value alone."""
    for depth in range(1, 4):
        for path in itertools.product(("a", 0), repeat=depth):
            value = LONG
            for part in reversed(path):
                value = {part: value} if isinstance(part, str) else [value]
            values = {"root": value}
            assert wire.trace(values, [(("env", "X"), LONG)]) == {("root", *path)}
    assert wire.trace({"a": LONG}, []) == frozenset()
