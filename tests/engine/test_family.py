"""Templates and registry credentials on the real engine, and what they do to the endpoints that take them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from engine.harness import Outcome, Stack
from engine.programs import ENDPOINT, VOLUME, endpoint, secret, sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runpod_emulator.running import Running

TEMPLATE: Final = "runpod-serverless:index:PodTemplate"
REGISTRY: Final = "runpod-serverless:index:Registry"
CANARY: Final = "sesame-open-thyself"


def template(options: Mapping[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """State a template with an image."""
    return {"type": TEMPLATE, "properties": {"image": "me/worker:1", **properties}, **({"options": options} if options else {})}


def registry(**properties: Any) -> dict[str, Any]:
    """State credentials."""
    return {"type": REGISTRY, "properties": {"username": "me", "password": secret(CANARY), **properties}}


def follower(**properties: Any) -> dict[str, Any]:
    """State an endpoint that takes the settings of the template `t`."""
    return endpoint(**{"image": None, "template": "${t.settings}", **properties})


def _urn(stack: Stack, token: str) -> str:
    (found,) = (str(resource["urn"]) for resource in stack.state() if resource["type"] == token)
    return found


def _only(emulator: Running, kind: str) -> dict[str, Any]:
    (found,) = emulator.state()[kind]
    return dict(found)


def _is_empty(emulator: Running) -> bool:
    state = emulator.state()
    return not any(state[kind] for kind in ("endpoints", "boundTemplates", "templates", "networkVolumes", "registries"))


def _planned(outcome: Outcome) -> dict[str, tuple[str, dict[str, str]]]:
    """Give what is planned for each resource that does not stay: `update` or `replace`, and where."""
    return {step.name: (step.op, dict(step.changes)) for step in outcome.steps if step.op in ("update", "replace")}


def test_the_family_comes_up_stays_and_goes_away(stack: Stack, emulator: Running) -> None:
    """After `up`, neither another `up` nor a refresh finds anything to do, and `destroy` leaves nothing behind."""
    stack.write(
        {
            "r": registry(),
            "least": {"type": TEMPLATE},
            "t": template(
                category="AMD",
                containerDiskInGb=20,
                env=[{"key": "MODEL", "value": "llama"}, {"key": "TOKEN", "value": secret(CANARY)}],
                args="--fast",
                ports=["8000/http", "22/tcp"],
                registryAuthId="${r}",
                public=True,
                allowedCudaVersions=["12.8", "12.4"],
            ),
            "merging": follower(),
            "copying": endpoint(image=None, templateId="${t}"),
        }
    )
    assert stack.up().summary == {"create": 6}
    assert CANARY not in json.dumps(stack.state())
    credentials = _only(emulator, "registries")["id"]
    for live in emulator.state()["endpoints"]:
        assert (live["image"], live["args"], live["registry"]) == ("me/worker:1", "--fast", credentials)
        assert live["env"] == {"MODEL": "llama", "TOKEN": CANARY}
    assert stack.up().summary == {"same": 6}
    assert stack.refresh().summary == {"same": 6}
    stack.expect_no_changes()
    assert stack.destroy().summary == {"delete": 6}
    assert _is_empty(emulator)


def test_a_template_is_updated_in_place_and_repaired(stack: Stack, emulator: Running) -> None:
    """Every property of it is one PATCH away, and what somebody changed there is found."""
    stack.write({"t": template(env={"A": "1", "B": "2"}, args="--fast")})
    stack.up()
    before = _only(emulator, "templates")
    stack.write({"t": template(image="me/worker:2", env={"A": "2"}, containerDiskInGb=30)})
    assert _planned(stack.preview()) == {
        "t": ("update", {"image": "update", "env.A": "update", "env.B": "delete", "args": "delete", "containerDiskInGb": "update"})
    }
    emulator.clear_requests()
    stack.up()
    assert sent(emulator) == ["PATCH /templates/{id}"]
    after = _only(emulator, "templates")
    assert after == {**before, "image": "me/worker:2", "env": {"A": "2"}, "args": "", "disk": 30}
    emulator.mutate("templates", before["id"], image="me/other", env={"A": "2", "FOREIGN": "x"})
    assert _planned(stack.preview("--refresh")) == {"t": ("update", {"image": "update", "env.FOREIGN": "delete"})}
    stack.up("--refresh")
    assert _only(emulator, "templates") == after


def test_editing_a_value_updates_each_endpoint_with_one_patch(stack: Stack, emulator: Running) -> None:
    """The preview names the paths and never a value, although the engine shows the whole of `template` as secret."""

    def program(value: str) -> dict[str, Any]:
        env = {"LEVEL": value, "TOKEN": secret(CANARY)}
        return {"t": template(env=env), "a": follower(), "b": follower(cpu="cpu3c-2-4"), "c": follower(updateStrategy="inPlace")}

    stack.write(program("before"))
    stack.up()
    stack.write(program("after-the-edit"))
    planned = stack.preview()
    change = ("update", {"template.env.LEVEL": "update"})
    assert _planned(planned) == {"t": ("update", {"env.LEVEL": "update"}), "a": change, "b": change, "c": change}
    told = [message for message in planned.said("info") if "template.env.LEVEL" in message]
    assert len(told) == 3
    assert not any("after-the-edit" in message or CANARY in message for message in told)
    emulator.clear_requests()
    stack.up()
    assert Counter(sent(emulator)) == {"PATCH /templates/{id}": 1, "PATCH /serverless/{id}": 3}
    assert [entry["body"] for entry in emulator.requests()] == [{"env": {"LEVEL": "after-the-edit", "TOKEN": CANARY}}] * 4
    stack.expect_no_changes()


def test_each_endpoint_says_what_an_edited_template_does_to_it(stack: Stack, emulator: Running) -> None:
    """Another image replaces, rolls out in place, or, where the endpoint names its own, changes nothing of it."""

    def program(image: str) -> dict[str, Any]:
        own = {"image": "me/own:1", "env": {"A": "own"}}
        return {
            "t": template(image=image, env={"A": image}),
            "replaced": follower(),
            "rolled": follower(updateStrategy="inPlace"),
            "own": follower(**own),
        }

    stack.write(program("me/worker:1"))
    stack.up()
    stack.write(program("me/worker:2"))
    planned = stack.preview()
    assert _planned(planned)["replaced"] == ("replace", {"template.image": "update-replace", "template.env.A": "update"})
    assert (
        _planned(planned)["rolled"]
        == _planned(planned)["own"]
        == ("update", {"template.image": "update", "template.env.A": "update"})
    )
    assert [message for message in planned.said("info") if message.startswith("a change of template.image recreates the endpoint")]
    emulator.clear_requests()
    stack.up()
    expected = {"GET /catalog/gpus": 1, "POST /serverless": 1, "DELETE /serverless/{id}": 1}
    assert Counter(sent(emulator)) == {**expected, "PATCH /templates/{id}": 1, "PATCH /serverless/{id}": 1}
    stack.expect_no_changes()


def test_replacing_a_template_never_takes_an_endpoint_before_its_successor(stack: Stack, emulator: Running) -> None:
    """It has no reason of its own to go, and when it is told to, all that depends on it goes after what follows it is there."""
    stack.write({"t": template(), "copying": endpoint(image=None, templateId="${t}"), "merging": follower()})
    stack.up()
    old = {item["name"].rpartition("-")[0]: item["id"] for item in emulator.state()["endpoints"]}
    emulator.clear_requests()
    replaced = stack.up("--replace", _urn(stack, TEMPLATE))
    assert replaced.ops("t") == replaced.ops("copying") == ["create-replacement", "replace", "delete-replaced"]
    assert replaced.ops("merging") == ["same"]
    assert sent(emulator) == [
        "POST /templates",
        "GET /catalog/gpus",
        "POST /serverless",
        "DELETE /serverless/{id}",
        "DELETE /templates/{id}",
    ]
    assert old["merging"] in {item["id"] for item in emulator.state()["endpoints"]}
    stack.expect_no_changes()


def test_a_template_whose_name_is_taken_is_explained(stack: Stack, emulator: Running) -> None:
    """Names are unique, so that a template of a fixed name cannot be replaced either; no endpoint has gone by then."""
    program = {"t": template(name="shared"), "copying": endpoint(image=None, templateId="${t}")}
    stack.write(program)
    stack.up()
    before = emulator.state()["endpoints"]
    for failing in (
        stack.up("--replace", _urn(stack, TEMPLATE), exit_code=None),
        _up_with(stack, program, twin=template(name="shared")),
    ):
        message = failing.said("error")[0]
        assert "creating the template 'shared' failed" in message
        assert "unique in an account: choose another than 'shared', or leave it out" in message
    assert emulator.state()["endpoints"] == before


def _up_with(stack: Stack, program: dict[str, Any], **more: Any) -> Outcome:
    stack.write({**program, **more})
    return stack.up(exit_code=None)


@pytest.mark.parametrize(
    ("part", "expected"),
    [("env", {"template.env.A": "update"}), ("registry_auth_id", {"template.registryAuthId": "add-replace"})],
)
def test_an_unknown_part_of_the_settings_previews_by_its_own_marker(
    stack: Stack, emulator: Running, part: str, expected: dict[str, str]
) -> None:
    """What only `up` will know takes no other part along: an unknown value updates, unknown credentials replace.

    A Python program that passes the parts one by one keeps the others known. SDKs take an object that is passed as a whole for unknown as
    a whole, and the YAML language does that with every part of it.
    """
    from pulumi import automation

    import pulumi_runpod_serverless as runpod

    def state(fresh: bool) -> None:
        identifier = runpod.Registry("fresh", username="me", password=CANARY).id if fresh else None
        env = {"A": identifier if fresh and part == "env" else "1", "B": "2"}
        more = {part: identifier} if fresh and part != "env" else {}
        settings = runpod.PodTemplate("t", image="me/worker:1", args="--fast", env=env, **more).settings
        passed = {name: getattr(settings, name) for name in ("image", "args", *more)}
        runpod.Endpoint("api", template={**passed, "env": {key: settings.env[key] for key in env}})

    program = stack.inline(lambda: state(fresh=False))
    program.up()
    program.workspace.program = lambda: state(fresh=True)
    events: list[automation.EngineEvent] = []
    program.preview(on_event=events.append)
    plans = [event.resource_pre_event.metadata for event in events if event.resource_pre_event]
    plan = {
        path: change.diff_kind.value
        for found in plans
        if found.urn.endswith("::api")
        for path, change in (found.detailed_diff or {}).items()
    }
    assert plan == expected
    assert not [event for event in events if event.diagnostic_event and "may replace" in event.diagnostic_event.message]
    program.up()
    program.preview(expect_no_changes=True)


def test_yaml_reads_a_part_of_the_settings(stack: Stack, emulator: Running) -> None:
    """Down to one variable: what is read has one form, although a program may write a map or a list."""
    listed = template(env=[{"key": "A", "value": "1"}, {"key": "B", "value": "2"}])
    stack.write(
        {"t": listed, "api": follower(template={"image": "${t.settings.image}", "env": {"C": "${t.settings.env.A}"}})},
        outputs={"b": "${api.template.env.C}", "own": "${t.env.B}"},
    )
    stack.up()
    made = _only(emulator, "endpoints")
    assert (made["image"], made["env"]) == ("me/worker:1", {"C": "1"})
    assert stack.outputs() == {"b": "1", "own": "2"}
    stack.expect_no_changes()


@pytest.mark.parametrize("way", ["looked up", "in a part"])
def test_settings_that_are_wholly_unknown_update_with_a_warning(stack: Stack, emulator: Running, way: str) -> None:
    """Nobody can say yet what is in them, whether all of it is unknown or a part; the warning says that they may replace."""
    looked_up = {
        "fn::invoke": {"function": "runpod-serverless:getPodTemplate", "arguments": {"id": "${fresh.id}"}, "return": "settings"}
    }
    stack.write({"t": template(env={"A": "1"}), "api": follower()})
    stack.up()
    if way == "looked up":
        changed = {"t": template(env={"A": "1"}), "fresh": template(env={"A": "2"}), "api": follower(template=looked_up)}
    else:
        changed = {"t": template(env={"A": "${fresh.id}"}), "fresh": registry(), "api": follower()}
    stack.write(changed)
    planned = stack.preview()
    assert _planned(planned)["api"] == ("update", {"template": "update"})
    (warning,) = planned.said("warning")
    assert warning.startswith("template is known only during `pulumi up`; what it then holds may replace the endpoint")
    stack.up()
    assert _only(emulator, "endpoints")["env"]["A"] != "1"
    stack.expect_no_changes()


def test_a_rotated_password_replaces_the_credentials_and_is_never_shown(stack: Stack, emulator: Running) -> None:
    """The endpoint gets the id of the new ones before the old go; neither password is in the state, in what is printed, or in the logs."""

    def program(password: str) -> dict[str, Any]:
        return {
            "r": registry(password=password),  # secret by the schema, not by the program
            "api": endpoint(template={"registryAuthId": "${r}"}, updateStrategy="inPlace"),
        }

    loudly = ("--logtostderr", "-v=9", "--diff")
    stack.write(program(CANARY))
    said = [stack.pulumi("up", "--yes", *loudly)]
    old = _only(emulator, "registries")["id"]
    stack.write(program(f"{CANARY}-again"))
    assert _planned(stack.preview())["r"] == ("replace", {"password": "update-replace"})
    emulator.clear_requests()
    said.append(stack.pulumi("up", "--yes", "--skip-preview", *loudly))
    assert sent(emulator) == ["POST /registries", "PATCH /serverless/{id}", "DELETE /registries/{id}"]
    assert _only(emulator, "endpoints")["registry"] == _only(emulator, "registries")["id"] != old
    said.append(stack.pulumi("refresh", "--yes", *loudly))
    emulator.fault("status", "POST", "/v2/registries", status=400, times=1)
    stack.write(program(f"{CANARY}-once-more"))
    said.append(stack.pulumi("up", "--yes", *loudly, exit_code=1))
    lines = [line for done in said for line in (done.stdout + done.stderr).splitlines()]
    assert len(lines) > 1000
    # From -v=9 on the engine itself writes each RPC in clear, secrets too; no provider can help that, and the README says so.
    assert [line for line in lines if CANARY in line and "arshaling property for RPC" not in line] == []
    assert CANARY not in json.dumps(stack.state())


def test_every_change_of_credentials_replaces_them(stack: Stack, emulator: Running) -> None:
    """The API cannot change any of them."""
    stack.write({name: registry(name=f"first-{name}") for name in ("name", "username", "password", "none")})
    stack.up()
    stack.write(
        {
            "name": registry(name="second"),
            "username": registry(name="first-username", username="you"),
            "password": registry(name="first-password", password=secret("other")),
            "none": registry(name="first-none"),
        }
    )
    replaced = {name: ("replace", {name: "update-replace"}) for name in ("name", "username", "password")}
    assert _planned(stack.preview()) == replaced


def test_all_four_resources_can_be_imported(stack: Stack, emulator: Running) -> None:
    """What `pulumi import` writes plans nothing; credentials come without what the API never tells, and to add that is no replacement."""
    emulator.seed(
        registries=[{"id": "registry", "name": "mine"}],
        networkVolumes=[{"id": "volume", "name": "models"}],
        templates=[
            {
                "id": "template",
                "name": "common",
                "env": {"TOKEN": CANARY},
                "args": "--fast",
                "registry": "registry",
                "category": "CPU",
            }
        ],
        endpoints=[{"id": "endpoint", "name": "api", "networkVolumes": ["volume"], "dataCenterIds": ["EU-RO-1"]}],
    )
    kinds = {"endpoint": ENDPOINT, "volume": VOLUME, "template": TEMPLATE, "registry": REGISTRY}
    stack.write()
    bulk = {"resources": [{"type": token, "name": name, "id": name} for name, token in kinds.items()]}
    (stack.directory / "bulk.json").write_text(json.dumps(bulk))
    done = stack.pulumi("import", "--yes", "--skip-preview", "--protect=false", "--file=bulk.json", "--out=imported.yaml")
    assert CANARY not in done.stdout + json.dumps(stack.state())
    written = yaml.safe_load((stack.directory / "imported.yaml").read_text())["resources"]
    assert written["registry"].get("properties", {}) == {"name": "mine"}
    stack.write(written)
    assert stack.preview().summary == {"same": 5}
    written["registry"]["properties"] |= {"username": "me", "password": secret(CANARY)}
    stack.write(written)
    emulator.clear_requests()
    told = stack.up()
    assert (told.step("registry").op, sent(emulator)) == ("update", [])
    stack.expect_no_changes()
    written["registry"]["properties"]["username"] = "you"
    stack.write(written)
    assert _planned(stack.preview())["registry"] == ("replace", {"username": "update-replace"})


def _with_own_template(stack: Stack, emulator: Running, *, dependent: bool) -> tuple[dict[str, Any], str]:
    """Bring up an endpoint and import its own template; return the program and the template's name."""
    stack.write({"api": endpoint(name="api")})
    stack.up()
    own = _only(emulator, "boundTemplates")
    written = yaml.safe_load(stack.adopt(TEMPLATE, "own", own["id"]))["resources"]
    program = {"api": endpoint({"dependsOn": ["${own}"]} if dependent else None, name="api"), **written}
    stack.write(program)
    assert set(stack.up().summary) == {"same"}
    return program, str(own["name"])


def test_an_endpoint_and_its_own_template_go_together(stack: Stack, emulator: Running) -> None:
    """The template goes with its endpoint, and its own delete then finds it gone, which is success."""
    _with_own_template(stack, emulator, dependent=True)
    emulator.clear_requests()
    assert stack.destroy().summary == {"delete": 3}
    assert sent(emulator) == ["DELETE /serverless/{id}", "DELETE /templates/{id}"]
    assert _is_empty(emulator)


@pytest.mark.parametrize("late", ["serverless", "templates"])
def test_nothing_has_to_order_an_endpoint_and_its_own_template(stack: Stack, emulator: Running, late: str) -> None:
    """Whichever delete the API takes first: the template's waits for the endpoint's, which takes it along."""
    _with_own_template(stack, emulator, dependent=False)
    emulator.fault("delay", "DELETE", f"/v2/{late}/*", seconds=2)
    emulator.clear_requests()
    assert stack.destroy().summary == {"delete": 3}
    statuses = {entry["path"].split("/")[2]: entry["status"] for entry in emulator.requests() if entry["method"] == "DELETE"}
    assert statuses == {"serverless": 204, "templates": 404 if late == "templates" else 400}
    assert _is_empty(emulator)


def test_a_template_for_pods_becomes_one_for_endpoints(stack: Stack, emulator: Running) -> None:
    """The import warns, the program that it writes plans just that, and `up` does it with one PATCH."""
    emulator.seed(templates=[{"id": "pods", "name": "pods", "serverless": False}])
    stack.write()
    options = ("--yes", "--skip-preview", "--protect=false", "--out=imported.yaml", "--json")
    done = stack.pulumi("import", *options, TEMPLATE, "own", "pods")
    assert "'pods' is a template for pods" in done.stdout
    stack.write(yaml.safe_load((stack.directory / "imported.yaml").read_text())["resources"])
    assert _planned(stack.preview())["own"] == ("update", {"serverless": "add"})
    emulator.clear_requests()
    stack.up()
    assert [(entry["method"], entry["body"]) for entry in emulator.requests()] == [("PATCH", {"serverless": True})]
    stack.expect_no_changes()


def test_an_endpoint_that_takes_a_managed_template_along_says_so(stack: Stack, emulator: Running) -> None:
    """The delete warns by the template's name; a refresh then finds it gone."""
    program, name = _with_own_template(stack, emulator, dependent=False)
    stack.write({"own": program["own"]})
    (warning,) = stack.up().said("warning")
    assert f"the endpoint 'api' takes its own template {name!r} along" in warning
    assert stack.refresh().summary == {"delete": 1, "same": 1}


def test_a_template_in_use_says_by_what(stack: Stack, emulator: Running) -> None:
    """By its endpoint, whose own template it is, or by a pod; nothing is deleted."""
    program, _ = _with_own_template(stack, emulator, dependent=False)
    emulator.seed(templates=[{"id": "used", "name": "used", "_inUseBy": "pod 'trainer'"}])
    written = yaml.safe_load(stack.adopt(TEMPLATE, "used", "used"))["resources"]
    stack.write({**program, **written})
    stack.up()
    stack.write({"api": program["api"]})
    told = "\n".join(stack.up("--continue-on-error", exit_code=None).said("error"))
    assert "It is the own template of the endpoint 'api' and goes with that: delete the endpoint, and run this again." in told
    assert "pod 'trainer'" in told
    assert "Delete the pods that were made from it" in told
    assert {item["id"] for item in emulator.state()["templates"]} == {"used"}
