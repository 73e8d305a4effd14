"""One table of lifecycles, three drivers: the core, gRPC and `pulumi.dynamic` plan, answer and ask Runpod alike.

What may differ stands in test_differences.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from parity.doors import DOORS, Life, Plan, behind, holds_secret, refusal, requests, secret
from runpod_serverless_provider.core.naming import is_generated
from runpod_serverless_provider.signatures import UNKNOWN_SENTINELS, UNKNOWN_STRING
from unit.resources.test_recreate_table import CASES, REGISTRIES, SAME, STRATEGIES, VOLUMES, Case

Story = Callable[[Life], list[Any]]


def told(kind: str, door_kind: str, seeds: Mapping[str, Any], story: Story) -> list[Any]:
    """Lead a resource through a story behind one door, and give what there is to see after each step."""
    with behind(door_kind) as door:
        door.world.seed(**copy.deepcopy(dict(seeds)))
        door.world.forget()
        return story(Life(door, kind))


def alike(kind: str, seeds: Mapping[str, Any], story: Story) -> list[Any]:
    """Lead a resource through a story behind each door; all see the same."""
    stories = {door: told(kind, door, seeds, story) for door in DOORS}
    for steps in zip(*stories.values(), strict=True):
        assert dict(zip(DOORS, steps, strict=True)) == dict.fromkeys(DOORS, steps[0])
    return stories["core"]


def seen(life: Life, plan: Plan) -> tuple[Any, ...]:
    """Give what a step showed: the plan, the outputs, which of them are secret, and the requests."""
    asked = requests(life.door.world)
    life.door.world.forget()
    return plan, life.id, life.shown, life.hidden, asked


def named(program: Mapping[str, Any]) -> dict[str, Any]:
    """Name what a program leaves to be named: generated names are random."""
    return copy.deepcopy({"name": "n", **program})


def whole_life(before: Mapping[str, Any], after: Mapping[str, Any]) -> Story:
    """Up, up with a change, up again, refresh, up, destroy."""

    def story(life: Life) -> list[Any]:
        steps = [seen(life, life.up(named(before)))]
        steps += [seen(life, life.up(named(program))) for program in (after, after)]
        steps.append(seen(life, life.refresh()))
        steps.append(seen(life, life.up(named(after))))
        return [*steps, (life.destroy(), requests(life.door.world))]

    return story


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_change_of_each_property(case: Case, strategy: str) -> None:
    """The table of what recreates, under both strategies: equal plans, outputs, secrets and requests."""
    by = {"updateStrategy": strategy} if case.kind == "Endpoint" and case.path != "updateStrategy" else {}
    steps = alike(case.kind, case.seeds, whole_life({**case.before, **by}, {**case.after, **by}))
    op = {"replace": "replace", "update": "update", "state": "update"}[case.does(strategy)]
    assert [step[0].op for step in steps[:-1]] == ["create", op, "same", "same", "same"]


@pytest.mark.parametrize(("one", "other"), SAME, ids=str)
def test_another_order_or_spelling(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Nothing to do behind any door."""

    def story(life: Life) -> list[Any]:
        life.up(named(one))
        life.door.world.forget()
        plans = [life.up(named(other)), life.up(named(one)), life.refresh(), life.up(named(other))]
        return [*plans, requests(life.door.world)]

    *plans, _ = alike("Endpoint", VOLUMES, story)
    assert {plan.op for plan in plans} == {"same"}


FULL: Final = {
    "Endpoint": {
        "image": "me/worker:1",
        "gpu": "ADA_24",
        "env": {"A": "text-of-a", "B": "text-of-b"},
        "template": {"env": [{"key": "T", "value": "text-of-t"}], "args": "--serve", "containerDiskInGb": 70},
        "workers": {"min": 0, "max": 2},
        "dependencies": ["torch"],
    },
    "NetworkVolume": {"size": 20, "deletionProtection": False},
    "PodTemplate": {"image": "me/worker:1", "env": [{"key": "T", "value": "text-of-t"}], "args": "--serve"},
    "Registry": {"username": "user-name", "password": "pass-word"},
}
SECRETS: Final = [
    (kind, name, shape)
    for kind, program in FULL.items()
    for name, value in program.items()
    for shape in (("whole", "part") if isinstance(value, dict | list) else ("whole",))
]


def _hiding(value: Any) -> Any:
    """Make one value within a map or list secret."""
    if isinstance(value, dict):
        key = "value" if "value" in value else next(iter(value))  # the key of a pair must not be secret
        return {**value, key: secret(value[key])}
    return [secret(value[0]), *value[1:]] if not isinstance(value[0], dict) else [_hiding(value[0]), *value[1:]]


@pytest.mark.parametrize(("kind", "name", "shape"), SECRETS)
def test_a_secret_input_makes_the_same_outputs_secret(kind: str, name: str, shape: str) -> None:
    """Also those that repeat it under another name."""
    program = FULL[kind]
    hiding = {**program, name: secret(program[name]) if shape == "whole" else _hiding(program[name])}
    steps = alike(kind, {}, whole_life(hiding, hiding))
    assert all(name in step[3] for step in steps[:-1])


BAD: Final = [
    ("Endpoint", {"gpuCount": 0, "workers": -1}),
    ("Endpoint", {"gpu": "ADA_24", "cpu": "cpu3c-2-4"}),
    ("Endpoint", {"image": secret("not an image"), "gpu": secret("ADA_24"), "gpuCount": secret(0)}),
    ("Endpoint", {"env": {"": secret("x")}, "template": {"env": [{"key": "A"}, {"key": "A", "value": secret("y")}]}}),
    ("Endpoint", {"colour": "red", "GPU": "ADA_24"}),
    ("NetworkVolume", {"size": 5}),
    ("PodTemplate", {"category": "AMD"}),
    ("Registry", {"username": "u"}),
]


@pytest.mark.parametrize(("kind", "program"), BAD)
def test_bad_inputs_fail_alike(kind: str, program: dict[str, Any]) -> None:
    """With the same texts on the same paths, and no request."""

    def story(life: Life) -> list[Any]:
        _, failures = life.check(named(program))
        return [sorted(text for _, text in failures), requests(life.door.world)]

    texts, asked = alike(kind, {}, story)
    assert texts and asked == []


@pytest.mark.parametrize(("kind", "program"), [*BAD, ("Registry", {"username": "u", "password": ""})])
def test_a_failure_names_only_what_may_be_shown(kind: str, program: dict[str, Any]) -> None:
    """The CLI prints the value of a named property, so that both doors name none with a secret in it, nor one that was not given."""

    def story(life: Life) -> list[Any]:
        return sorted(life.check(named(program))[1])

    failures = told(kind, "dynamic", {}, story)
    assert failures == told(kind, "grpc", {}, story)
    shown = {name for name, _ in failures if name}
    assert shown <= program.keys() and not any(holds_secret(program[name]) for name in shown) and "password" not in shown
    hidden = {text.partition(":")[0].partition(".")[0].partition("[")[0] for name, text in failures if not name}
    assert all(name not in program or name == "password" or holds_secret(program[name]) for name in hidden)


DRIFT: Final = [
    ("Endpoint", "endpoints", {"gpu": "ADA_24", "image": "me/worker:1"}, {"workers": {"min": 0, "max": 3}}),
    ("Endpoint", "endpoints", {"gpu": "ADA_24", "image": "me/worker:1"}, {"gpu": {"pools": ["AMPERE_80"], "count": 1}}),
    ("Endpoint", "endpoints", {"image": "me/worker:1", "env": {"A": secret("1")}}, {"env": {"A": "1", "HAND": "made"}}),
    ("Endpoint", "endpoints", {"image": "me/worker:1", "updateStrategy": "inPlace"}, {"image": "me/worker:2"}),
    ("NetworkVolume", "networkVolumes", {"size": 20}, {"name": "renamed"}),
    ("PodTemplate", "templates", {"image": "me/worker:1", "env": {"A": "1"}}, {"env": {"A": "2"}, "image": "me/other:1"}),
    ("Registry", "registries", {"username": "u", "password": "p"}, {"name": "other"}),
]


@pytest.mark.parametrize(("kind", "collection", "program", "changes"), DRIFT)
def test_drift_is_seen_and_repaired_alike(kind: str, collection: str, program: Any, changes: Any) -> None:
    """What somebody changed by hand shows in the refresh, and the next up does the same about it."""

    def story(life: Life) -> list[Any]:
        steps = [seen(life, life.up(named(program)))]
        life.door.world.drift(collection, life.id, **changes)
        steps.append(seen(life, life.refresh()))
        steps.append(seen(life, life.up(named(program))))
        steps.append(seen(life, life.up(named(program))))
        return steps

    steps = alike(kind, {}, story)
    assert [step[0].op for step in steps][1] in ("update", "replace")
    assert steps[-1][0].op == "same"


@pytest.mark.parametrize("kind", FULL)
def test_what_was_deleted_outside_is_gone_alike(kind: str) -> None:
    """The refresh drops it, and the next up creates it."""

    def story(life: Life) -> list[Any]:
        steps = [seen(life, life.up(named(FULL[kind])))]
        life.door.world.control(f"resources/{COLLECTIONS[kind]}/{life.id}", None, "DELETE")
        steps.append(seen(life, life.refresh()))
        return [*steps, seen(life, life.up(named(FULL[kind])))]

    assert [step[0].op for step in alike(kind, {}, story)] == ["create", "delete", "create"]


COLLECTIONS: Final = {
    "Endpoint": "endpoints",
    "NetworkVolume": "networkVolumes",
    "PodTemplate": "templates",
    "Registry": "registries",
}

FAULTS: Final = [
    ("POST", {"action": "status", "status": 400, "detail": "There are no longer any instances available"}),
    ("POST", {"action": "status", "status": 401}),
    ("POST", {"action": "status", "status": 503, "times": None}),
    ("POST", {"action": "commit-then-drop"}),
    ("POST", {"action": "truncate"}),
    ("PATCH", {"action": "status", "status": 422, "detail": "no"}),
    ("PATCH", {"action": "commit-then-drop"}),
    ("GET", {"action": "status", "status": 403, "times": None}),
    ("GET", {"action": "status", "status": 500, "times": None}),
    ("DELETE", {"action": "status", "status": 400, "detail": "not now"}),
    ("DELETE", {"action": "status", "status": 404}),
]


@pytest.mark.parametrize(("method", "fault"), FAULTS)
def test_a_failure_reads_alike(method: str, fault: Mapping[str, Any]) -> None:
    """With the same requests, and the same state after it."""

    def story(life: Life) -> list[Any]:
        steps: list[Any] = []
        programs = [
            named({"image": "me/worker:1", "gpu": "ADA_24"}),
            named({"image": "me/worker:1", "gpu": "ADA_24", "workers": 3}),
        ]
        verbs: dict[str, Callable[[], Any]] = {
            "POST": lambda: life.up(programs[0]),
            "PATCH": lambda: life.up(programs[1]),
            "GET": life.refresh,
            "DELETE": lambda: life.door.delete(life.token, life.name, life.id, life.outputs, life.inputs),
        }
        for verb, work in verbs.items():
            if verb == method:
                life.door.world.fault(method=method, **fault)
                text = refusal(work)
                # Where this door cannot follow the advice, it says what to do after that.
                steps.append(text.partition(" What is imported belongs to")[0])
                life.door.world.control("faults", None, "DELETE")
            work()
            steps.append((life.id, life.shown, requests(life.door.world)))
        return steps

    alike("Endpoint", {}, story)


UNKNOWN: Final = [
    ("Endpoint", {"gpu": "ADA_24", "image": "me/worker:1"}, {"image": "me/worker:1", "gpu": UNKNOWN_STRING}),
    (
        "Endpoint",
        {"gpu": "ADA_24", "image": "me/worker:1"},
        {"image": "me/worker:1", "gpu": "ADA_24", "env": {"A": UNKNOWN_STRING}},
    ),
    ("Endpoint", {"gpu": "ADA_24", "image": "me/worker:1"}, {"image": "me/worker:1", "gpu": "ADA_24", "template": UNKNOWN_STRING}),
    ("Endpoint", {"gpu": "ADA_24", "image": "me/worker:1"}, {"image": UNKNOWN_STRING, "gpu": "ADA_24"}),
    ("Endpoint", {"cpu": "cpu3c-2-4", "image": "me/worker:1"}, {"cpu": [UNKNOWN_STRING], "image": "me/worker:1"}),
    ("NetworkVolume", {"size": 20}, {"size": UNKNOWN_STRING}),
    ("PodTemplate", {"image": "me/worker:1"}, {"image": "me/worker:1", "ports": UNKNOWN_STRING}),
    ("Registry", {"username": "u", "password": "p"}, {"username": "u", "password": UNKNOWN_STRING}),
]


@pytest.mark.parametrize("sentinel", sorted(UNKNOWN_SENTINELS))
@pytest.mark.parametrize(("kind", "before", "after"), UNKNOWN)
def test_what_is_not_known_yet_is_planned_alike(kind: str, before: Any, after: Any, sentinel: str) -> None:
    """Whichever of the engine's markers stands for it, and without a request that changes anything."""

    def story(life: Life) -> list[Any]:
        life.up(named(before))
        life.door.world.forget()
        given = json.loads(json.dumps(named(after)).replace(UNKNOWN_STRING, sentinel))
        return [life.plan(given), life.door.world.writes]

    assert alike(kind, {}, story)[1] == []


def test_a_removed_property_returns_to_its_default_alike() -> None:
    """And defaults that nobody touched keep their values."""
    before = {"gpu": "ADA_24", "image": "me/worker:1", "workers": 3, "template": {"containerDiskInGb": 90}, "scalerValue": 2}
    alike("Endpoint", REGISTRIES, whole_life(before, {"gpu": "ADA_24", "image": "me/worker:1"}))


@pytest.mark.parametrize("kind", FULL)
def test_a_generated_name_stays(kind: str) -> None:
    """It is made of the resource's name, and no later step changes it."""

    def story(life: Life) -> list[Any]:
        life.up(copy.deepcopy(FULL[kind]))
        first = life.shown["name"]
        assert first.startswith("x-") and len(first) == 9
        plans = [life.up(copy.deepcopy(FULL[kind])), life.refresh(), life.up(copy.deepcopy(FULL[kind]))]
        assert life.shown["name"] == first
        return plans

    assert {plan.op for plan in alike(kind, {}, story)} == {"same"}


@pytest.mark.parametrize("kind", FULL)
def test_a_generated_name_that_somebody_changed_is_restored_alike(kind: str) -> None:
    """Two refreshes do not forget it; only a resource that cannot be renamed gets another one."""

    def story(life: Life) -> list[Any]:
        life.up(copy.deepcopy(FULL[kind]))
        first, id = life.shown["name"], life.id
        life.door.world.drift(COLLECTIONS[kind], life.id, name="theirs")
        plans = [life.refresh(), life.refresh(), life.up(copy.deepcopy(FULL[kind]))]
        assert life.shown["name"] == first if life.id == id else is_generated(life.shown["name"], "x", 191)
        return [*plans, life.up(copy.deepcopy(FULL[kind])), life.refresh()]

    again = "replace" if kind == "Registry" else "update"
    assert [plan.op for plan in alike(kind, {}, story)] == [again, "same", again, "same", "same"]


def test_what_is_not_ready_in_time_is_kept_alike() -> None:
    """The run fails, the state has what is there, and the next `up` waits on without changing anything; for an update, too."""
    program = {**FULL["Endpoint"], "name": "n", "workers": {"min": 1, "max": 2}, "waitForReady": 1}
    changed = {**program, "updateStrategy": "inPlace", "env": {"A": "other"}}

    def story(life: Life) -> list[Any]:
        steps: list[Any] = []

        def up(given: dict[str, Any]) -> None:
            steps.append((*seen(life, life.up(copy.deepcopy(given))), life.unfinished))

        up(program)
        up(program)
        life.door.world.app.world.clock.advance(300)
        up(program)
        up(program)
        up(changed)
        up(changed)
        life.door.world.app.world.clock.advance(300)
        up(changed)
        up(changed)
        return steps

    steps = alike("Endpoint", {}, story)
    assert [step[0].op for step in steps] == ["create", "update", "update", "same", "update", "update", "update", "same"]
    assert [bool(step[-1]) for step in steps] == [True, True, False, False, True, True, False, False]
    written = [[method for method, *_ in step[4] if method != "GET"] for step in steps]
    assert written == [["POST"], [], [], [], ["PATCH"], [], [], []]


def test_a_creation_whose_answer_makes_no_sense_is_kept_alike() -> None:
    """The next `up` reads it again."""

    def story(life: Life) -> list[Any]:
        life.door.world.fault(method="POST", path="/v2/serverless", action="add-fields", fields={"createdAt": None})
        steps: list[Any] = []
        for _ in range(3):
            plan = life.up(named(FULL["Endpoint"]))
            steps.append((*seen(life, plan), life.unfinished))
        return steps

    steps = alike("Endpoint", {}, story)
    assert [step[0].op for step in steps] == ["create", "update", "same"]
    assert [bool(step[-1]) for step in steps] == [True, False, False]
