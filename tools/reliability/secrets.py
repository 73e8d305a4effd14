"""No secret in clear: the API key, the values of `env`, a registry's password; in state, output, logs and journals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .canaries import API_KEY, ENV_VALUE, PASSWORD
from .report import Result, Run
from .workspace import KINDS, PATHS, Project, Workspace, stated, workspace

LOUD: Final = ("--logtostderr", "--logflow", "-v=9")
DRIFTED: Final = f"{ENV_VALUE} of somebody else"


def measure(run: Run) -> Iterable[Result]:
    """Lead one loud life, and judge it with all that the measurements before this one printed and stored."""
    with workspace(run, "secrets") as place:
        _live(place)
        run.canaries.look("the emulator's user agents", *{entry["userAgent"] for entry in place.emulator.requests()})
    yield Result(
        "secrets in clear",
        "0 hits",
        run.canaries.texts,
        tuple(run.canaries.hits),
        run.seed,
        f"{run.canaries.characters / 1e6:,.1f} million characters of state, output, logs and journals",
    )


def _live(place: Workspace) -> None:
    """Create, drift, fail and destroy with the most talkative options."""
    project = place.project("loud")
    resources = {kind.lower(): stated(kind) for kind in KINDS}
    project.write(resources, outputs={"endpoint": "${endpoint}", "registry": "${registry}"})
    project.pulumi("preview", "--diff", must_succeed=True)
    project.up("--diff", *LOUD)
    endpoint = place.emulator.state()["endpoints"][0]
    if endpoint["env"] != {"TOKEN": ENV_VALUE}:
        raise RuntimeError("the canary did not reach the API, so that nothing was tried")
    place.emulator.mutate("endpoints", endpoint["id"], env={"TOKEN": DRIFTED})
    project.pulumi("refresh", "--yes", "--diff", must_succeed=True)
    project.pulumi("preview", "--json", must_succeed=True)
    _fail(place, project)
    project.write(resources)
    project.up("--diff", "--debug")
    project.pulumi("stack", "export", must_succeed=True)
    project.pulumi("destroy", "--yes", must_succeed=True)


def _fail(place: Workspace, project: Project) -> None:
    """Let the API repeat what it was sent in an error, and in an answer that makes no sense."""
    echoes = {"Endpoint": f"bad env {ENV_VALUE!r} with Bearer {API_KEY}", "Registry": f"bad {PASSWORD} with Bearer {API_KEY}"}
    for number in range(2):
        for kind, echo in echoes.items():
            fault = ({"action": "status", "status": 400, "detail": echo}, {"action": "wrong-json", "body": echo})[number]
            for method in ("POST", "GET"):
                place.emulator.fault(method=method, path=PATHS[kind], **fault)
        project.write({f"bad{kind}{number}".lower(): stated(kind) for kind in echoes})
        project.up(*LOUD, must_succeed=False)
        place.emulator.clear_faults()
