"""The cheap part of the lifecycle, through the real engine: on a real account and, beside it, on the emulator.

Everything is named with one prefix and swept at the end, also after a failure. It costs next to nothing: CPU endpoints of which no worker
starts, as nobody sends a request, and the smallest volume for some minutes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from engine.harness import Stack, environment_in
from live.account import Account
from live.comparison import Record, anonymous

COMMON_PREFIX: Final = "pulumi-live-"
PACKAGE: Final = "runpod-serverless:index:"
IMAGE: Final = "python:3.12-slim"
CPU: Final = [{"id": "cpu3c", "vcpuCount": 2}]
SECRET: Final = "nobody-logs-in-with-this"
REPLACED: Final = ["create-replacement", "replace", "delete-replaced"]


def new_prefix() -> str:
    """Give a prefix that no other run has."""
    return f"{COMMON_PREFIX}{secrets.token_hex(4)}-"


@dataclass(frozen=True)
class Step:
    """One change of the program, and what the engine must do for it; what is not named stays."""

    name: str
    resources: Mapping[str, Any]
    operations: Mapping[str, list[str]]


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"type": PACKAGE + kind, "properties": properties}


def steps(prefix: str) -> list[Step]:
    """State the lifecycle. At most four endpoints of one worker exist at once, as a new account has a quota of five."""

    def program(
        queue: Mapping[str, Any] | None = None, balancer: Mapping[str, Any] | None = None, size: int = 10
    ) -> dict[str, Any]:
        return {
            "volume": _resource("NetworkVolume", name=f"{prefix}volume", size=size, deletionProtection=False),
            "registry": _resource("Registry", name=f"{prefix}registry", username="nobody", password=SECRET),
            "template": _resource("PodTemplate", name=f"{prefix}template", image=IMAGE, containerDiskInGb=5, env={"LEVEL": "info"}),
            "queue": _resource(
                "Endpoint",
                name=f"{prefix}queue",
                template="${template.settings}",
                cpu="cpu3c-2-4",
                volume="${volume}",
                **(queue or {}),
            ),
            "requests": _resource(
                "Endpoint",
                name=f"{prefix}requests",
                templateId="${template}",
                cpu=["cpu3c-2-4", "cpu5c-2-4"],
                scalerType="REQUEST_COUNT",
                scalerValue=3,
                datacenter="any",
            ),
            "balancer": _resource(
                "Endpoint",
                name=f"{prefix}balancer",
                type="LOAD_BALANCER",
                cpu="cpu3c-2-4",
                updateStrategy="inPlace",
                **{"image": IMAGE, "env": {"PORT": "8000"}, "template": {"ports": ["8000/http"]}, **(balancer or {})},
            ),
        }

    changed = {"idleTimeout": 120, "executionTimeoutMs": 600_000, "scalerValue": 2.5, "env": {"LEVEL": "debug", "MORE": "1"}}
    started = {"image": "python:3.13-slim", "template": {"ports": ["8000/http"], "args": "python3 -m http.server 8000"}}
    names = list(program())
    return [
        Step("created", program(), {name: ["create"] for name in names}),
        Step("updated", program(queue=changed, size=11), {"volume": ["update"], "queue": ["update"]}),
        Step("back to the defaults", program(size=11), {"queue": ["update"]}),
        Step("replaced", program(queue={"flashboot": False}, size=11), {"queue": REPLACED}),
        Step("in place", program(queue={"flashboot": False}, balancer=started, size=11), {"balancer": ["update"]}),
    ]


Probe = tuple[str, str, str, Mapping[str, Any] | None]


def probes(prefix: str) -> list[Probe]:
    """Requests that show what the API does by itself: name, method, path and body.

    `{id}` is the id of the last thing that was made, `{own}` that of the last endpoint's own template.
    """
    delay = {"type": "QUEUE_DELAY", "queueDelay": 4}
    endpoint = {"name": f"{prefix}probe", "type": "QUEUE", "image": IMAGE, "cpu": CPU, "scaling": delay}
    template = {"name": f"{prefix}probe-template", "image": IMAGE, "serverless": True}
    wrong: dict[str, dict[str, Any]] = {
        "gpu beside cpu": {"gpu": {"pools": ["ADA_24"]}},
        "1 vCPU": {"cpu": [{"id": "cpu3c", "vcpuCount": 1}]},
        "3 vCPUs": {"cpu": [{"id": "cpu3c", "vcpuCount": 3}]},
        "an unknown flavor": {"cpu": [{"id": "cpu0x", "vcpuCount": 2}]},
        "more disk than the size may have": {"disk": 21},
        "an unknown data center": {"dataCenterIds": ["XX-YY-1"]},
        "an unknown volume": {"networkVolumes": ["nowhere"]},
        "unknown registry credentials": {"registry": "nowhere"},
        "min above max": {"workers": {"min": 2, "max": 1}},
        "more workers than the quota": {"workers": {"min": 0, "max": 1000}},
        "a timeout of 1 ms": {"timeout": 1},
        "an idle time-out of 0": {"workers": {"idleTimeout": 0}},
        "an unknown key": {"flashBoot": "OFF"},
        "a balancer with a queue delay": {"type": "LOAD_BALANCER"},
    }
    return [
        ("the server's own defaults of an endpoint", "POST", "/serverless", endpoint),
        ("an empty PATCH", "PATCH", "/serverless/{id}", {}),
        ("a timeout of 0", "PATCH", "/serverless/{id}", {"timeout": 0}),
        ("args and ports taken away", "PATCH", "/serverless/{id}", {"args": "", "ports": [], "env": {}, "registry": None}),
        ("another type", "PATCH", "/serverless/{id}", {"type": "LOAD_BALANCER"}),
        ("from cpu to gpu", "PATCH", "/serverless/{id}", {"gpu": {"pools": ["ADA_24"]}}),
        ("the deletion of an endpoint's own template", "DELETE", "/templates/{own}", None),
        ("the deletion of an endpoint", "DELETE", "/serverless/{id}", None),
        ("its deletion once more", "DELETE", "/serverless/{id}", None),
        ("the own template of a deleted endpoint", "GET", "/templates/{own}", None),
        ("the server's own defaults of a template", "POST", "/templates", template),
        ("a template of the same name", "POST", "/templates", template),
        ("the deletion of a template", "DELETE", "/templates/{id}", None),
        ("a template with unknown registry credentials", "POST", "/templates", {**template, "registry": "nowhere"}),
        ("the deletion of that template", "DELETE", "/templates/{id}", None),
        ("a volume of 9 GB", "POST", "/network-volumes", {"name": f"{prefix}probe-volume", "size": 9, "dataCenter": "EU-RO-1"}),
        *((f"an endpoint with {name}", "POST", "/serverless", {**endpoint, **change}) for name, change in wrong.items()),
    ]


class Run:
    """One run of the suite on one account."""

    def __init__(self, account: Account, stack: Stack, prefix: str) -> None:
        self.record = Record()
        self._account = account
        self._stack = stack
        self._prefix = prefix
        self._names = {prefix: "<prefix>"}

    def all(self) -> None:
        """Do everything that does not depend on what failed before."""
        if self._attempt("the lifecycle", self._lifecycle):
            self._attempt("the import", self._import)
        self._attempt("destroy", self._stack.destroy)
        self._attempt("the probes", self._probe)

    def _attempt(self, what: str, work: Callable[[], object]) -> bool:
        """Note a failure and go on: the rest is worth knowing, and the sweep comes in any case."""
        try:
            work()
        except (Exception, pytest.fail.Exception) as problem:  # noqa: BLE001 - the latter is what a failed command of the CLI raises
            self.record.problems.append(f"{what} failed: {str(problem)[:2000]}")
            return False
        return True

    def _lifecycle(self) -> None:
        for number, step in enumerate(steps(self._prefix)):
            self._stack.write(step.resources)
            done = self._stack.up()
            self._expect(step, {name: done.ops(name) for name in step.resources})
            self._look(step.name)
            if number == 0:
                again = self._stack.up()
                self._expect(Step("up again", step.resources, {}), {name: again.ops(name) for name in step.resources})
            if self._stack.preview("--refresh", "--expect-no-changes", exit_code=None).exit_code:
                drift = {found.name: dict(found.changes) for found in self._stack.preview("--refresh").steps if found.op != "same"}
                self.record.problems.append(f"{step.name}: not stable, a preview with --refresh finds {drift}")

    def _expect(self, step: Step, operations: Mapping[str, list[str]]) -> None:
        expected = {name: step.operations.get(name, ["same"]) for name in operations}
        wrong = {name: done for name, done in operations.items() if done != expected[name]}
        if wrong:
            self.record.problems.append(
                f"{step.name}: the engine did {wrong}, and not { ({name: expected[name] for name in wrong}) }"
            )

    def _look(self, step: str) -> None:
        """Note what the account has now, with names in the place of ids."""
        owned = self._account.owned(self._prefix)
        for items in owned.values():
            self._names |= {item["id"]: f"<{item['name'].removeprefix(self._prefix)}>" for item in items}
        answers = {f"{kind}.{item['name'].removeprefix(self._prefix)}": item for kind, items in owned.items() for item in items}
        self.record.note(step, {anonymous(name, self._names): anonymous(item, self._names) for name, item in answers.items()})

    def _import(self) -> None:
        """Take everything over in a second project, whose state is then thrown away."""
        owned = self._account.owned(self._prefix)
        kinds = {"endpoints": "Endpoint", "templates": "PodTemplate", "networkVolumes": "NetworkVolume", "registries": "Registry"}
        home = self._stack.directory.with_name("imported")
        (home / "backend").mkdir(parents=True)
        other = Stack(
            home / "project", {**self._stack.environment, "PULUMI_BACKEND_URL": f"file://{(home / 'backend').as_posix()}"}
        )
        other.write()
        found = [
            {"type": PACKAGE + kinds[kind], "name": f"{kind}-{item['name'].removeprefix(self._prefix)}", "id": item["id"]}
            for kind, items in owned.items()
            for item in items
            if "__template__" not in item["name"]
        ]
        (other.directory / "bulk.json").write_text(json.dumps({"resources": found}))
        other.pulumi("import", "--yes", "--skip-preview", "--protect=false", "--file=bulk.json", "--out=imported.yaml")
        other.write(yaml.safe_load((other.directory / "imported.yaml").read_text())["resources"])
        planned = {step.name: dict(step.changes) for step in other.preview().steps if step.op != "same"}
        if planned:
            self.record.problems.append(f"what was imported is not stable, a preview finds {planned}")

    def _probe(self) -> None:
        made, own = "none", "none"
        for name, method, path, body in probes(self._prefix):
            answer = self._account.ask(method, path.format(id=made, own=own), body)
            if method == "POST" and answer.status == 201:
                made = answer.content["id"]
                self._names[made] = "<made>"
                own = self._own_template() if path == "/serverless" else own
                self._names[own] = "<own>"
            self.record.note("probes", {name: anonymous(answer.shown, self._names)})
            if answer.status == 201 and name.startswith("an endpoint with"):
                self._account.ask("DELETE", f"/serverless/{made}")

    def _own_template(self) -> str:
        templates = self._account.owned(self._prefix)["templates"]
        return next((item["id"] for item in templates if item["name"].startswith(f"{self._prefix}probe__template__")), "none")


def run(url: str, key: str, prefix: str, directory: Path, engine_directory: Path) -> Record:
    """Run the suite on one account and sweep it; what would not go is the first of the problems."""
    directory.mkdir(parents=True)
    environment = {**environment_in(directory, engine_directory, url), "RUNPOD_API_KEY": key}
    with Account(url, key) as account:
        running = Run(account, Stack(directory / "project", environment), prefix)
        try:
            running.all()
        finally:
            left = account.sweep(prefix)
        running.record.problems[:0] = [f"still there, delete it by hand: {line}" for line in left]
    return running.record
