"""What is made of the engine's events: properties, secrets, what `up` would do, and code that is not deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from drift.events import COMPUTED, DYNAMIC, ENDPOINT, SECRET, VOLUME, done, error, planned, run, state, urn
from runpod_serverless_provider.drift import PropertyDrift, ResourceDrift, Undeployed, Up
from runpod_serverless_provider.drift.comparing import (
    Plan,
    drifted,
    kind_of,
    needs_export,
    needs_keys,
    plans,
    undeployed,
    with_plan,
)
from runpod_serverless_provider.drift.engine import Recorded, Run, Step

RECORDED: Final = Path(__file__).parent / "recorded"


def _found(*lines: str, recorded: Mapping[str, Recorded] = {}) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Give what differs: by resource, by path, the two values."""
    return {
        drift.name: {item.path: (item.in_state, item.at_runpod) for item in drift.properties}
        for drift, _ in drifted(run(*lines), recorded)
    }


def _one(refreshed: Run) -> tuple[ResourceDrift, Step]:
    (found,) = drifted(refreshed, {})
    return found


def _planned(refreshed: Run, previewed: Run) -> tuple[ResourceDrift, Undeployed | None]:
    drift, step = _one(refreshed)
    plan = plans(previewed).get(drift.urn)
    return with_plan(drift, plan), None if plan is None else undeployed(plan, drift.urn, drift, step)


def _ups(drift: ResourceDrift) -> dict[str, Up | None]:
    return {item.path: item.up for item in drift.properties}


def test_what_is_the_same_is_no_drift() -> None:
    """A resource that the engine calls the same says nothing, whatever its diff."""
    assert _found(done("same", old=state({"name": "a"}), new=state({"name": "b"}), changes={})) == {}


def test_a_value_that_differs_is_shown_in_the_api_s_words() -> None:
    """A spelling of the program's own is not compared with another of Runpod's: both are canonical."""
    found = _found(
        done("update", old=state({"flashboot": True}), new=state({"flashboot": "OFF"}), changes={"flashboot": "update-replace"})
    )
    assert found == {"api": {"flashboot": ("FLASHBOOT", "OFF")}}


def test_a_short_form_is_opened_to_the_property_that_differs() -> None:
    """`workers: 3` holds two properties, and only one of them was changed."""
    found = _found(
        done("update", old=state({"workers": 3}), new=state({"workers": {"min": 0, "max": 2}}), changes={"workers": "update"})
    )
    assert found == {"api": {"workers.max": (3, 2)}}


def test_a_secret_is_never_shown() -> None:
    """What is secret on either side is secret on both; absence is shown, for it tells no value."""
    old = state({"env": {"A": SECRET, "B": SECRET, "C": "plain"}})
    new = state({"env": {"A": SECRET, "C": SECRET, "D": SECRET}})
    changes = {"env.A": "update", "env.B": "delete", "env.C": "update", "env.D": "add"}
    assert _found(done("update", old=old, new=new, changes=changes))["api"] == {
        "env.A": ("[secret]", "[secret]"),
        "env.B": ("[secret]", None),
        "env.C": ("[secret]", "[secret]"),
        "env.D": (None, "[secret]"),
    }


def test_a_variable_that_the_program_does_not_know_is_secret() -> None:
    """Nobody told whether it is one, neither at an endpoint, nor in its template, nor for the dynamic door."""
    native = done(
        "update", old=state({"env": {"A": "1"}}), new=state({"env": {"A": "1", "NEW": "hunter2"}}), changes={"env.NEW": "add"}
    )
    assert _found(native) == {"api": {"env.NEW": (None, "[secret]")}}
    old, new = state({"template": {"env": {"A": "1"}}}), state({"template": {"env": {"A": "1", "NEW": "hunter2"}}})
    assert _found(done("update", "api", DYNAMIC, old=old, new=new)) == {"api": {"template.env.NEW": (None, "[secret]")}}


def test_a_secret_as_a_whole_still_names_what_differs_within() -> None:
    """The engine's diff tells the path even where neither side may be seen."""
    old, new = state({"env": SECRET}), state({"env": SECRET})
    assert _found(done("update", old=old, new=new, changes={"env.A": "update"})) == {"api": {"env.A": ("[secret]", "[secret]")}}


def test_a_difference_beside_the_inputs_is_looked_for_in_the_outputs() -> None:
    """What the state's outputs say counts where its inputs agree with Runpod."""
    old, new = state({"name": "a"}, {"name": "b"}), state({"name": "a"}, {"name": "a"})
    assert _found(done("update", old=old, new=new, changes={"name": "update"})) == {"api": {"name": ("b", "a")}}


def test_a_path_that_stands_nowhere_is_still_named() -> None:
    """What the engine calls different is never kept back."""
    assert _found(done("update", old=state({}), new=state({}), changes={"size": "update"})) == {"api": {"size": (None, None)}}


def test_a_resource_that_is_gone_has_no_properties() -> None:
    """It is one difference and not thirty."""
    drift, _ = _one(run(done("delete", old=state({"name": "a"}))))
    assert (drift.is_gone, drift.id, drift.properties) == (True, "id-1", ())


def test_what_a_later_up_deletes_anyhow_is_no_drift() -> None:
    """A resource that was replaced and not yet deleted may well be gone."""
    assert _found(done("delete", old=state({"name": "a"}, delete=True))) == {}


def test_what_a_program_only_reads_is_no_drift() -> None:
    """The engine has nobody compare such a resource, so that the state must be asked."""
    line = done("update", old=state({}, {"name": "a"}), new=state({}, {"name": "b"}))
    assert needs_export(run(line))
    assert not needs_export(run(done("update", old=state({}), new=state({}), changes={"name": "update"})))
    assert _found(line, recorded={urn("api"): Recorded(is_external=True)}) == {}


def test_the_stack_itself_is_no_resource() -> None:
    """Its outputs change with those of its resources."""
    assert _found(done("update", "dev", "pulumi:pulumi:Stack", old=state({}), new=state({}), changes={"a": "update"})) == {}


def test_resources_of_others_are_compared_as_they_are() -> None:
    """Drift of another provider's resource is drift, too; what begins with two underscores is the engine's."""
    found = _found(
        done("update", "bucket", "aws:s3:Bucket", old=state({"tags": {"a": "1"}, "__x": 1}), new=state({"tags": {"a": "2"}}))
    )
    assert found == {"bucket": {"tags.a": ("1", "2")}}
    assert kind_of("aws:s3:Bucket") is None


def test_the_dynamic_door_tells_no_paths_so_all_values_are_compared() -> None:
    """The pickled provider and what else the door keeps for itself are not."""
    old = state({"name": "a", "workers": {"min": 0, "max": 3}, "__provider": SECRET, "__inputs": "x"})
    new = state({"name": "a", "workers": {"min": 0, "max": 2}, "__provider": "other", "__inputs": "y"})
    assert _found(done("update", "api", DYNAMIC, old=old, new=new)) == {"api": {"workers.max": (3, 2)}}


def test_a_hidden_difference_of_the_dynamic_door_is_said_of_all_secrets() -> None:
    """Where nothing that can be seen explains the engine's word, one of the secrets must differ."""
    old = state({"name": "a", "env": SECRET, "__inputs": SECRET})
    assert _found(done("update", "api", DYNAMIC, old=old, new=old)) == {"api": {"env": ("[secret]", "[secret]")}}


def test_a_secret_that_the_dynamic_door_seals_as_a_whole_is_no_difference_by_itself() -> None:
    """Its state has the secret within, and what it reads is secret by the top-level name."""
    old = state({"env": {"A": "1", "B": SECRET}, "workers": {"min": 0, "max": 3}})
    new = state({"env": SECRET, "workers": {"min": 0, "max": 2}})
    assert _found(done("update", "api", DYNAMIC, old=old, new=new)) == {"api": {"workers.max": (3, 2)}}
    only = state({"env": SECRET, "workers": {"min": 0, "max": 3}}, old["outputs"] if old else None)
    assert _found(done("update", "api", DYNAMIC, old=old, new=only)) == {"api": {"env": ("[secret]", "[secret]")}}


def test_what_became_secret_as_a_whole_differs() -> None:
    """The program called nothing in it a secret, so what is in it now is not the program's alone."""
    old, new = state({"env": {"A": "1"}}), state({"env": SECRET})
    assert _found(done("update", "api", DYNAMIC, old=old, new=new)) == {"api": {"env": ("[secret]", "[secret]")}}


def test_a_path_into_what_is_secret_on_one_side_as_a_whole() -> None:
    """It is named, and neither value is taken for absent."""
    old, new = state({"env": {"A": SECRET, "B": "1"}}), state({"env": SECRET})
    assert _found(done("update", old=old, new=new, changes={"env.A": "update"})) == {"api": {"env.A": ("[secret]", "[secret]")}}


def test_computed_outputs_of_the_dynamic_door_are_no_drift() -> None:
    """A new time stamp is no property of the program's."""
    old, new = state({"name": "a"}, {"name": "a", "createdAt": "1"}), state({"name": "a"}, {"name": "a", "createdAt": "2"})
    assert _found(done("update", "api", DYNAMIC, old=old, new=new)) == {}


LOWERED = done(
    "update",
    old=state({"workers": {"min": 0, "max": 3}}),
    new=state({"workers": {"min": 0, "max": 2}}),
    changes={"workers.max": ""},
)


@pytest.mark.parametrize(
    ("op", "up"),
    [
        ("same", Up.NOTHING),
        ("update", Up.UPDATE),
        ("delete", Up.DELETE),
        ("create-replacement", Up.RECREATE),
        ("delete-replaced", Up.RECREATE),
        ("replace", Up.RECREATE),
        ("import", Up.IMPORT),
    ],
)
def test_what_up_would_do_is_the_engine_s_operation(op: str, up: Up) -> None:
    """Each of the three steps of a replacement means the same."""
    kind = "update-replace" if up is Up.RECREATE else "update"
    plan = planned(
        op,
        old=state({"workers": {"min": 0, "max": 2}}),
        new=state({"workers": {"min": 0, "max": 3}}),
        changes={"workers.max": kind} if up in (Up.UPDATE, Up.RECREATE) else None,
    )
    drift, _ = _planned(run(LOWERED), run(plan))
    assert (drift.up, _ups(drift)) == (up, {"workers.max": up})


def test_of_the_steps_of_a_replacement_one_tells_the_diff() -> None:
    """Whichever it is; the others add nothing, and take nothing away."""
    told = planned("replace", old=state({"name": "a"}), new=state({"name": "b"}), changes={"name": "update-replace"})
    bare = planned("delete-replaced", old=state({"name": "a"}))
    for lines in ((told, bare), (bare, told)):
        plan = plans(run(*lines))[urn("api")]
        assert (plan.up, [change.path for change in plan.changes]) == (Up.RECREATE, [("name",)])


def test_a_refresh_within_a_preview_is_no_plan() -> None:
    """`preview --refresh` prints both."""
    assert plans(run(planned("refresh", old=state({}), new=state({})))) == {}


def test_a_property_that_does_not_recreate_says_so_beside_one_that_does() -> None:
    """The whole is recreated, and the row of each property says whether that is for its sake."""
    old, new = {"name": "b", "flashboot": "OFF"}, {"name": "a", "flashboot": True}
    changes = {"name": "update", "flashboot": "update-replace"}
    refreshed = run(done("update", old=state(new), new=state(old), changes=changes))
    drift, _ = _planned(refreshed, run(planned("create-replacement", old=state(old), new=state(new), changes=changes)))
    assert (drift.up, _ups(drift)) == (Up.RECREATE, {"name": Up.UPDATE, "flashboot": Up.RECREATE})


def _recorded(name: str) -> Run:
    """Read what the engine printed of two endpoints of the dynamic door, whose `flashboot` was changed; `auto` has no name of its own."""
    return run(*(RECORDED / f"dynamic_{name}.jsonl").read_text().splitlines())


def test_the_dynamic_door_tells_by_name_what_recreates() -> None:
    """It has no paths, but the names of what replaces; and the name that a replacement is given is no code that waits."""
    planned_steps = plans(_recorded("preview"))
    for drift, step in drifted(_recorded("refresh"), {}):
        found = with_plan(drift, planned_steps[drift.urn])
        assert (found.up, _ups(found)) == (Up.RECREATE, {"flashboot": Up.RECREATE})
        assert undeployed(planned_steps[drift.urn], drift.urn, drift, step) is None


def test_a_replacement_without_drift_does_not_name_the_name_that_it_gets() -> None:
    """It is new with each replacement; what the program says itself is named."""
    for urn_of, plan in plans(_recorded("preview")).items():
        found = undeployed(plan, urn_of, None, None)
        assert found is not None and (found.up, found.properties) == (Up.RECREATE, ("flashboot",))
    native = planned(
        "replace",
        old=state({"name": "theirs", "image": "a"}),
        new=state({"name": "chosen", "image": "b", "__defaults": ["name"]}),
        changes={"name": "update", "image": "update-replace"},
    )
    assert undeployed(plans(run(native))[urn("api")], urn("api"), None, None) == Undeployed(
        urn("api"), ENDPOINT, "api", Up.RECREATE, ("image",)
    )
    stated = native.replace('["name"]', "[]")
    found = undeployed(plans(run(stated))[urn("api")], urn("api"), None, None)
    assert found is not None and found.properties == ("name", "image")


def test_of_a_replacement_that_deletes_first_the_creation_tells_what_changes() -> None:
    """The dynamic door's deletion has nothing after it, which is no change of all properties."""
    old, new = {"name": "a", "flashboot": "OFF"}, {"name": "a", "flashboot": "FLASHBOOT"}
    lines = (
        planned("delete-replaced", "api", DYNAMIC, old=state(old)),
        planned("replace", "api", DYNAMIC, old=state(old), new=state(new)),
    )
    assert [change.path for change in plans(run(*lines))[urn("api", DYNAMIC)].changes] == [("flashboot",)]


def test_a_secret_for_which_the_dynamic_door_replaces_is_the_reason() -> None:
    """Nothing of it is seen, but its name."""
    old = {"env": SECRET, "template": {"args": "a"}}
    plan = planned("replace", "api", DYNAMIC, old=state(old), new=state(old), keys=["env"])
    (change,) = plans(run(plan))[urn("api", DYNAMIC)].changes
    assert (change.path, change.replaces) == (("env",), True)


def test_other_providers_may_tell_what_differs_by_name() -> None:
    """Those of older make do, and name what replaces apart."""
    old, new = state({"name": "b", "kind": "x", "tags": "1"}), state({"name": "a", "kind": "y", "tags": "2"})
    plan = planned("replace", "x", "a:b:C", old=old, new=new, diffs=["name", "kind"], keys=["kind"])
    found = plans(run(plan))[urn("x", "a:b:C")].changes
    assert {change.path: change.replaces for change in found} == {("kind",): True, ("name",): False}


def test_what_the_program_ignores_is_no_drift() -> None:
    """The dynamic door is not told, so that the state must be asked; a resource in which nothing else differs is as it should be."""
    old = state({"workers": {"min": 0, "max": 3}, "executionTimeoutMs": 0, "env": {"A": "1"}})
    new = state({"workers": {"min": 0, "max": 2}, "executionTimeoutMs": 7, "env": {"A": "2"}})
    line = done("update", "api", DYNAMIC, old=old, new=new)
    assert needs_export(run(line))
    ignoring = {
        ignored: _found(line, recorded={urn("api", DYNAMIC): Recorded(ignored=ignored)})
        for ignored in (("workers", 'env["A"]'), ("workers.max",), ("workers", "env", "executionTimeoutMs"))
    }
    assert [[*found.get("api", {})] for found in ignoring.values()] == [
        ["executionTimeoutMs"],
        ["env.A", "executionTimeoutMs"],
        [],
    ]
    assert ignoring[("workers", "env", "executionTimeoutMs")] == {}


def test_a_variable_that_a_template_brought_stands_in_the_state() -> None:
    """It is another one now, or gone; only one that the state knows nowhere was added."""
    brought = {"inheritedEnv": SECRET}
    old = state({"env": {"A": "1"}}, {"env": {"A": "1"}, **brought})
    changed = {"env.T": "add", "env.U": "add", "env.N": "add"}
    line = done("update", old=old, new=state({"env": {"A": "1", "T": SECRET, "U": "", "N": SECRET}}, brought), changes=changed)
    assert needs_keys(run(line))
    known = {urn("api"): Recorded(keys={"inheritedEnv": frozenset("TU")})}
    assert _found(line, recorded=known) == {
        "api": {"env.N": (None, "[secret]"), "env.T": ("[secret]", "[secret]"), "env.U": ("[secret]", None)}
    }
    whole = done("update", "api", DYNAMIC, old=state({}, brought), new=state({"env": SECRET}, {"env": SECRET, **brought}))
    assert _found(whole, recorded={urn("api", DYNAMIC): Recorded(keys={"inheritedEnv": frozenset("T")})}) == {
        "api": {"env": ("[secret]", "[secret]")}
    }


@pytest.mark.parametrize(
    ("op", "before", "after"),
    [
        ("update", {"env": {"A": "1"}}, {"env": {"A": "1", "N": SECRET}}),
        ("update", {"env": {"A": "1"}, "inheritedEnv": SECRET}, {"env": {"A": "2"}, "inheritedEnv": SECRET}),
        ("same", {"inheritedEnv": SECRET}, {"inheritedEnv": SECRET}),
        ("delete", {"inheritedEnv": SECRET}, None),
    ],
)
def test_secrets_are_decrypted_only_for_the_sake_of_such_variables(op: str, before: Any, after: Any) -> None:
    """Where no template brought any, or none is new, their names are of no use."""
    changes = {"env": "update"} if op == "update" else None
    assert not needs_keys(run(done(op, old=state(before), new=state(after), changes=changes)))


def test_what_the_program_says_as_runpod_does_is_left_alone() -> None:
    """Drift that was merged into the program needs no `up`."""
    drift, ahead = _planned(run(LOWERED), run(planned("same", old=state({}), new=state({}))))
    assert (drift.up, ahead) == (Up.NOTHING, None)
    assert with_plan(drift, None).up is Up.NOTHING


def test_what_is_gone_comes_again() -> None:
    """Its creation is repair, and no code that was not deployed."""
    drift, ahead = _planned(run(done("delete", old=state({"name": "a"}))), run(planned("create", new=state({"name": "a"}))))
    assert (drift.up, ahead) == (Up.CREATE, None)


def test_a_refusal_is_said_where_it_belongs() -> None:
    """What `up` would fail with is the resource's, without what the engine puts before it."""
    refreshed = run(done("update", "models", VOLUME, old=state({"size": 20}), new=state({"size": 40}), changes={"size": "update"}))
    message = f"{VOLUME} resource 'models': property size value {{20}} has a problem: size: a network volume cannot shrink"
    drift, ahead = _planned(refreshed, run(error(message, urn("models", VOLUME)), exit_code=1))
    assert (drift.up, drift.remark, ahead) == (Up.FAIL, "size: a network volume cannot shrink", None)


def test_all_refusals_of_one_resource_are_said_once_each() -> None:
    """The user mends them in one go."""
    said = [error(f"{VOLUME} resource 'models' has a problem: {reason}", urn("models", VOLUME)) for reason in ("a", "b", "a")]
    assert plans(run(*said, exit_code=1))[urn("models", VOLUME)].remark == "a; b; a"


def test_a_refusal_of_the_dynamic_door_is_said_without_its_trace() -> None:
    """Its provider raises, and the engine shows where."""
    message = "Traceback (most recent call last):\n  File x\nmodule.RunpodError: NetworkVolume 'models': size: it cannot shrink"
    plan = plans(run(error(message, urn("models", DYNAMIC)), exit_code=1))[urn("models", DYNAMIC)]
    assert (plan.up, plan.remark) == (Up.FAIL, "NetworkVolume 'models': size: it cannot shrink")


def test_an_error_of_the_program_is_no_resource_s() -> None:
    """The engine says it of the stack."""
    assert plans(run(error("Traceback", urn("dev", "pulumi:pulumi:Stack")), exit_code=1)) == {}


def _ahead(plan: str, *, refreshed: str = LOWERED) -> Undeployed | None:
    return _planned(run(refreshed), run(plan))[1]


def test_code_that_is_not_deployed_is_told_from_repair() -> None:
    """Of one plan, what brings back the state is repair, and the rest is code that waits."""
    old, new = {"workers": {"min": 0, "max": 2}, "name": "a"}, {"workers": {"min": 0, "max": 3}, "name": "b"}
    found = _ahead(planned("update", old=state(old), new=state(new), changes={"workers.max": "update", "name": "update"}))
    assert found == Undeployed(urn("api"), ENDPOINT, "api", Up.UPDATE, ("name",))


def test_code_that_recreates_is_said_so_beside_drift_that_does_not() -> None:
    """And the other way round: what recreates for the sake of the drift is not the code's doing."""
    old, new = {"workers": {"min": 0, "max": 2}, "image": "a"}, {"workers": {"min": 0, "max": 3}, "image": "b"}
    changes = {"workers.max": "update", "image": "update-replace"}
    found = _ahead(planned("replace", old=state(old), new=state(new), changes=changes))
    assert found is not None
    assert (found.up, found.properties) == (Up.RECREATE, ("image",))


def test_a_property_may_have_drifted_and_wait_for_deployment() -> None:
    """Neither the state's value nor Runpod's is the program's."""
    plan = planned(
        "update",
        old=state({"workers": {"min": 0, "max": 2}}),
        new=state({"workers": {"min": 0, "max": 5}}),
        changes={"workers.max": "update"},
    )
    found = _ahead(plan)
    assert found is not None
    assert found.properties == ("workers.max",)


def test_another_spelling_of_what_was_is_repair() -> None:
    """The program may say 3 where the state says it at length."""
    assert (
        _ahead(
            planned(
                "update", old=state({"workers": {"min": 0, "max": 2}}), new=state({"workers": 3}), changes={"workers": "update"}
            )
        )
        is None
    )


def test_a_value_that_is_known_later_counts_as_repair() -> None:
    """What `up` will learn cannot be compared, and to claim anything would be a guess."""
    refreshed = done("update", old=state({"image": "a"}), new=state({"image": "b"}), changes={"image": "update"})
    plan = planned("update", old=state({"image": "b"}), new=state({"image": COMPUTED}), changes={"image": "update"})
    assert _ahead(plan, refreshed=refreshed) is None


def test_a_resource_that_the_code_no_longer_has_is_not_deployed() -> None:
    """It drifted, and it goes."""
    found = _ahead(planned("delete", old=state({"workers": 2})))
    assert found == Undeployed(urn("api"), ENDPOINT, "api", Up.DELETE)


@pytest.mark.parametrize(("up", "properties"), [(Up.UPDATE, ("name",)), (Up.CREATE, ()), (Up.FAIL, ())])
def test_without_drift_all_of_a_plan_is_code(up: Up, properties: tuple[str, ...]) -> None:
    """A new resource, a change, and one that would fail."""
    lines = {
        Up.UPDATE: planned("update", old=state({"name": "a"}), new=state({"name": "b"}), changes={"name": "update"}),
        Up.CREATE: planned("create", new=state({"name": "a"})),
        Up.FAIL: error("name: is empty", urn("api")),
    }
    plan = plans(run(lines[up]))[urn("api")]
    remark = "name: is empty" if up is Up.FAIL else ""
    assert undeployed(plan, urn("api"), None, None) == Undeployed(urn("api"), ENDPOINT, "api", up, properties, remark)


def test_a_plan_of_nothing_is_nothing_to_deploy() -> None:
    """Nor is one for a resource that only drifted."""
    assert undeployed(Plan(Up.NOTHING), urn("api"), None, None) is None


def test_a_list_with_a_secret_is_secret() -> None:
    """Of other providers' resources the elements are compared one by one."""
    old, new = state({"list": ["a", SECRET]}), state({"list": ["b", SECRET]})
    found = [drift for drift, _ in drifted(run(done("update", "x", "a:b:C", old=old, new=new)), {})]
    assert found[0].properties == (PropertyDrift("list[0]", "a", "b"),)
