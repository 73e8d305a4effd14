"""A resource that is defined here and nowhere else: schema, table, check, plan, life, look-up and list follow from its models."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

import pytest
from pydantic import Field

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, CreatedButFailed, NoSuchType, NotFound
from runpod_serverless_provider.core.function import Get, GetAll
from runpod_serverless_provider.core.model import (
    At,
    AutoNamed,
    Default,
    DerivedFrom,
    EnumName,
    Inputs,
    Outputs,
    Recreates,
    Secret,
    StateOnly,
    Updates,
    WriteOnly,
)
from runpod_serverless_provider.core.ports import Silent
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.resource import Resource
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.schema.emit import emit
from runpod_serverless_provider.schema.tables import table
from unit.support import Life, World, shown, texts


class Case(Inputs):
    """What a toy comes in."""

    width_mm: Annotated[int, At("box", "width"), Updates(), Field(ge=1)]
    """Width in millimetres."""
    lining: Annotated[str | None, At("box", "lining", clear=""), Updates()] = None
    """Lining."""
    depth_mm: Annotated[
        int | None, At("box", "depth"), Recreates("a box has one depth"), Default(lambda lookup: 10, "10", ("kind",))
    ] = None
    """Depth in millimetres."""


class ToyInputs(Inputs):
    """What a program says of a toy."""

    name: Annotated[str | None, AutoNamed(12), Updates()] = None
    """Name."""
    kind: Annotated[
        Literal["BALL", "CAR"],
        EnumName("ToyKind", "What a toy is."),
        Recreates("a ball is no car", is_patchable=False),
    ]
    """Kind of toy."""
    wheels: Annotated[
        int | None,
        At("parts", "wheels"),
        Recreates("wheels are mounted at the factory"),
        Default(lambda lookup: 4 if lookup("kind") == "CAR" else None, "4 for a car", ("kind",)),
    ] = None
    """Number of wheels."""
    case: Annotated[Case | None, Updates("its parts say what a change does")] = None
    """What it comes in."""
    key: Annotated[str | None, Secret(), WriteOnly(), Updates("the old one opens nothing")] = None
    """Key that winds it up."""
    labels: Annotated[dict[str, str] | None, At("labels", clear={}), Updates()] = None
    """Labels."""
    note: Annotated[str | None, StateOnly(), Default(lambda lookup: "new", "`new`")] = None
    """For the owner."""


class ToyOutputs(Outputs):
    """What a toy has beyond its inputs."""

    serial: Annotated[str, At("serial")]
    """Serial number."""
    sound: Annotated[str | None, At("sound"), DerivedFrom("labels")] = None
    """What it says."""


class Toy(Resource):
    """Toys (`createToy`)."""

    name = "Toy"
    noun = "toy"
    plural = "Toys"
    path = "/toys"
    list_key = "toys"
    inputs = ToyInputs
    outputs = ToyOutputs
    stables = ("serial",)


class Shop:
    """The least API that has toys."""

    settle_seconds = 0.0

    def __init__(self) -> None:
        self.toys: dict[str, dict[str, Any]] = {}
        self.sent: list[tuple[str, str, Any]] = []
        self.hidden: tuple[str, ...] = ("key",)

    async def settle(self) -> None:
        """There is nothing to wait for."""

    async def request(self, method: str, path: str, *, body: Any = None, query: Any = None, voice: Any = None, **_: Any) -> Any:
        self.sent.append((method, path, json.loads(json.dumps(body))))
        _, _, id = path.removeprefix("/").partition("/")
        if method == "POST":
            id = f"toy{len(self.toys)}"
            self.toys[id] = {"id": id, "serial": f"S-{id}", "sound": "squeak", **body}
        elif method == "GET" and not id:
            return {"toys": [self._seen(one) for one in self.toys.values()]}
        elif id not in self.toys:
            raise ApiProblem(method, path, 404, "Not Found")
        elif method == "PATCH":
            self.toys[id].update(body)
        elif method == "DELETE":
            del self.toys[id]
            return None
        return self._seen(self.toys[id])

    def _seen(self, toy: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in toy.items() if name not in self.hidden}


@pytest.fixture
def shop() -> Shop:
    """Give an empty shop."""
    return Shop()


@pytest.fixture
def toy(world: World, shop: Shop) -> Life:
    """Give a toy that is not made yet."""
    resource = Toy()
    world.provider = Provider((resource,), shop, verbs.Settings(), (Get(resource), GetAll(resource)))
    return Life(world, "Toy")


PROGRAM: Final[dict[str, Any]] = {"kind": "CAR", "case": {"widthMm": 5}, "key": "k", "labels": {"a": "1"}}


def test_its_schema_follows() -> None:
    """With types, enums, defaults, units and effects; and so does its table."""
    schema = emit((Toy(),), (Get(Toy()), GetAll(Toy())))
    spec = schema["resources"]["runpod-serverless:index:Toy"]
    assert spec["requiredInputs"] == ["kind"]
    assert set(spec["inputProperties"]) == {"name", "kind", "wheels", "case", "key", "labels", "note"}
    assert spec["inputProperties"]["key"]["secret"] is True and "secret" not in spec["inputProperties"]["labels"]
    assert spec["inputProperties"]["wheels"] == {
        "type": "integer",
        "description": (
            "Number of wheels. Default: 4 for a car. A change recreates the toy because wheels are mounted at the factory."
        ),
        "willReplaceOnChanges": True,
    }
    assert spec["required"] == ["kind", "name", "serial"]
    types = schema["types"]
    assert [member["value"] for member in types["runpod-serverless:index:ToyKind"]["enum"]] == ["BALL", "CAR"]
    assert types["runpod-serverless:index:Case"]["required"] == ["widthMm"]
    assert types["runpod-serverless:index:ToyDetails"]["properties"]["id"]["description"] == "Id of the toy."
    assert set(schema["functions"]) == {"runpod-serverless:index:getToy", "runpod-serverless:index:getToys"}
    assert "| `wheels` | integer | 4 for a car | **recreates** | Number of wheels. |" in table("toy", (Toy(),))


def test_its_check_follows(toy: Life) -> None:
    """Required properties, bounds, defaults, a name no longer than it may be, and what is told only once."""
    assert toy.failures({}) == ["kind: is required", "key: is required to create a toy"]
    assert toy.failures({**PROGRAM, "case": {"widthMm": 0}}) == ["case.widthMm: must be at least 1, not 0"]
    assert toy.failures({**PROGRAM, "kind": "DOLL", "wheels": 0.5}) == [
        "kind: must be one of 'BALL' or 'CAR', not 'DOLL'",
        "wheels: must be a whole number, not 0.5",
    ]
    assert toy.failures({**PROGRAM, "key": 7}) == ["key: must be a string, not [secret]"]
    checked = toy.checked(PROGRAM)
    assert checked["wheels"] == 4 and checked["case"] == {"widthMm": 5, "depthMm": 10} and checked["note"] == "new"
    assert "wheels" not in toy.checked({**PROGRAM, "kind": "BALL"})
    assert len(Life(toy.world, "Toy", "a-very-long-name").checked(PROGRAM)["name"]) == 12
    assert toy.checked({**PROGRAM, "kind": UNKNOWN})["wheels"] is UNKNOWN


def test_its_life_follows(world: World, shop: Shop, toy: Life) -> None:
    """Create, no change, update, refresh, replace, delete, each with the requests that it needs."""
    toy.up(PROGRAM)
    body = {"name": "x-19b2585", "kind": "CAR", "key": "k", "labels": {"a": "1"}, "parts": {"wheels": 4}}
    assert shop.sent == [("POST", "/toys", {**body, "box": {"width": 5, "depth": 10}})]
    assert (toy.id, toy.outputs["serial"], toy.outputs["case"]) == ("toy0", "S-toy0", {"widthMm": 5, "depthMm": 10})
    assert ("key",) in toy.secrets
    assert toy.up(PROGRAM) == {}
    shop.sent.clear()
    assert toy.up({**PROGRAM, "labels": {}, "case": {"widthMm": 6, "lining": "silk"}, "note": "old"}) == {
        "labels.a": "delete",
        "case.widthMm": "update",
        "case.lining": "add",
        "note": "update",
    }
    assert shop.sent == [("PATCH", "/toys/toy0", {"labels": {}, "box": {"width": 6, "depth": 10, "lining": "silk"}})]
    assert toy.up({**PROGRAM, "labels": {}, "case": {"widthMm": 6}, "note": "old"}) == {"case.lining": "delete"}
    assert shop.sent[-1] == ("PATCH", "/toys/toy0", {"box": {"width": 6, "depth": 10, "lining": ""}})
    shop.toys["toy0"]["box"]["width"] = 99
    assert toy.refresh() == {"case.widthMm": "update"}
    shop.sent.clear()
    plan = toy.up({**PROGRAM, "wheels": 3})
    assert plan == {"wheels": "update_replace", "case.widthMm": "update", "labels.a": "add", "note": "update"}
    assert [(method, path) for method, path, _ in shop.sent] == [("POST", "/toys"), ("DELETE", "/toys/toy0")]
    toy.delete()
    assert shop.toys == {}
    assert toy.read() is None


def test_its_preview_follows(toy: Life) -> None:
    """What the API decides is unknown; what stays is known; what derives from a change is not."""
    predicted = toy.preview(PROGRAM)
    assert (predicted["serial"], predicted["sound"], predicted["wheels"]) == (UNKNOWN, UNKNOWN, 4)
    toy.up(PROGRAM)
    assert toy.preview({**PROGRAM, "note": "x"})["sound"] == "squeak"
    predicted = toy.preview({**PROGRAM, "labels": {"a": "2"}})
    assert (predicted["serial"], predicted["sound"]) == ("S-toy0", UNKNOWN)
    assert toy.difference({**PROGRAM, "labels": {"a": "2"}}).stables == ("serial",)
    assert toy.difference({**PROGRAM, "wheels": 8}).stables == ()


def test_its_import_follows(toy: Life, shop: Shop) -> None:
    """Without what the API never tells, which is no change when a program then states it."""
    toy.up({**PROGRAM, "name": "n"})
    imported = Life(toy.world, "Toy", "y")
    stated = imported.take_over(toy.id)
    assert stated == {"name": "n", "kind": "CAR", "case": {"widthMm": 5}, "labels": {"a": "1"}}
    assert imported.plan(stated) == {}
    assert imported.refresh() == {}
    shop.sent.clear()
    assert imported.up({**stated, "key": "k"}) == {"key": "add"}
    assert shop.sent == []
    assert imported.up({**stated, "key": "k2"}) == {"key": "update"}
    assert shop.sent == [("PATCH", "/toys/toy0", {"key": "k2"})]


def test_its_look_up_and_list_follow(toy: Life, shop: Shop) -> None:
    """By id, by name, and all."""
    toy.up({**PROGRAM, "name": "n"})
    provider, call = toy.world.provider, toy.world.run

    def ask(function: str, **arguments: Any) -> verbs.Invoked:
        invoked: verbs.Invoked = call(
            provider.invoke(verbs.Invoke(f"runpod-serverless:index:{function}", arguments, voice=Silent()))
        )
        return invoked

    whole = {"id": "toy0", "name": "n", "kind": "CAR", "wheels": 4, "serial": "S-toy0", "sound": "squeak"}
    whole |= {"case": {"widthMm": 5, "depthMm": 10}, "labels": {"a": "1"}}
    assert ask("getToy", id="toy0").values == ask("getToy", name="n").values == whole
    assert ask("getToys").values == {"toys": [whole]}
    for unknown, said in (({"id": "toy9"}, "there is no toy with the id 'toy9'"), ({"name": "m"}, "there is no toy named 'm'")):
        with pytest.raises(NotFound, match=said):
            ask("getToy", **unknown)
    assert texts(ask("getToy").failures) == ["give exactly one of id and name, to say which toy is meant"]
    assert texts(ask("getToy", nome="n").failures) == ["nome: there is no such property; did you mean 'name'?"]
    shop.toys["toy1"] = {**shop.toys["toy0"], "id": "toy1"}
    toy.world.provider = provider = Provider((Toy(),), shop, verbs.Settings(), (Get(Toy()),))
    with pytest.raises(NotFound, match=re.escape("'n' is that of several ('toy0', 'toy1'); give the id of the toy that is meant")):
        ask("getToy", name="n")
    assert [(one.id, one.name) for one in call(provider.list_all(verbs.List(toy.token)))] == [("toy0", "n"), ("toy1", "n")]


def test_an_answer_that_cannot_be_read_keeps_the_id(toy: Life, shop: Shop) -> None:
    """The engine stores what is known, and the next update reads it again."""
    shop.hidden = ("key", "serial")
    with pytest.raises(CreatedButFailed) as caught:
        toy.up(PROGRAM)
    assert caught.value.id == "toy0"
    assert caught.value.reasons == ("the answer to its creation does not tell serial; the next `pulumi up` reads it again",)
    toy.id, toy.inputs, toy.outputs = "toy0", toy.checked(PROGRAM), dict(caught.value.outputs)
    shop.hidden = ("key",)
    shop.sent.clear()
    toy.update(toy.inputs)
    assert toy.outputs["serial"] == "S-toy0"
    assert [(method, path) for method, path, _ in shop.sent] == [("GET", "/toys/toy0")]


def test_an_answer_of_another_shape_keeps_the_id(toy: Life, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after the POST."""

    def fail(*arguments: Any) -> Any:
        raise ValueError("no toy")

    monkeypatch.setattr(Toy, "computed", fail)
    with pytest.raises(CreatedButFailed, match=r"could not be read \(ValueError\)") as caught:
        toy.up(PROGRAM)
    assert (caught.value.id, caught.value.outputs["kind"]) == ("toy0", "CAR")


def test_a_refusal_that_it_knows_nothing_of_is_given_as_it_is(toy: Life, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was attempted."""

    async def refuse(method: str, path: str, **options: Any) -> Any:
        raise ApiProblem(method, path, 400, detail="no toys today")

    monkeypatch.setattr(shop, "request", refuse)
    with pytest.raises(ApiProblem) as caught:
        toy.up(PROGRAM)
    assert str(caught.value) == "creating the toy 'x-19b2585' failed: Runpod answered 400 to POST /toys: no toys today"


def test_a_type_that_nobody_has_is_told_apart(toy: Life) -> None:
    """The doors word it."""
    with pytest.raises(NoSuchType):
        Life(toy.world, "Doll").check({})


def test_its_plan_says_what_a_secret_hides(toy: Life) -> None:
    """The engine then shows the whole property as secret."""
    toy.up(PROGRAM)
    toy.world.notes.infos.clear()
    plan = shown(toy.difference({**PROGRAM, "labels": {"a": "2"}}, secrets=frozenset({("labels",)})))
    assert plan == {"labels.a": "update"}
    assert toy.world.notes.infos == ["the plan shows [secret] for a change of labels.a"]
