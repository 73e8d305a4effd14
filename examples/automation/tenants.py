"""One stack for each tenant, built in code and driven by the Automation API: an endpoint, and a volume for its models.

python tenants.py up acme globex        preview all, then bring all up at once
python tenants.py destroy acme globex
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi import automation
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pulumi_runpod_serverless import Endpoint, NetworkVolume

PROJECT = "tenants"
STACKS = Path(".tenants")
"""Where the settings of each stack are kept from one run to the next."""
AT_ONCE = 4
"""Stacks that are worked on at the same time; each is a Pulumi CLI of its own, and all share Runpod's 60 requests a minute."""


@dataclass(frozen=True)
class Tenant:
    """What is different from tenant to tenant."""

    name: str
    workers: int = 1
    volume_gb: int = 20
    image: str = "runpod/worker-v1-vllm:v2.11.0"

    def program(self) -> None:
        """Declare the tenant's stack."""
        volume = NetworkVolume("models", size=self.volume_gb, deletion_protection=False)
        endpoint = Endpoint("llm", image=self.image, gpu="ADA_24", volume=volume, workers=self.workers)
        pulumi.export("url", endpoint.request_urls.run_sync)
        pulumi.export("volume", volume.id)


@dataclass
class Outcome:
    """How it went for one tenant. `problems` name the resource and the cause of each failure."""

    tenant: Tenant
    changes: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = "; ".join(self.problems) or ", ".join(f"{count} {op}" for op, count in self.changes.items())
        return f"{self.tenant.name}: {said} {self.outputs.get('url', '')}".rstrip()


Work = Callable[[automation.Stack, Outcome, Callable[[automation.EngineEvent], None]], None]


def preview(stack: automation.Stack, outcome: Outcome, heard: Callable[[automation.EngineEvent], None]) -> None:
    """Learn what `up` would do."""
    outcome.changes = _counted(stack.preview(on_event=heard).change_summary)


def up(stack: automation.Stack, outcome: Outcome, heard: Callable[[automation.EngineEvent], None]) -> None:
    """Bring a stack up, and read its outputs."""
    result = stack.up(on_event=heard)
    outcome.changes = _counted(result.summary.resource_changes)
    outcome.outputs = {name: output.value for name, output in result.outputs.items()}


def destroy(stack: automation.Stack, outcome: Outcome, heard: Callable[[automation.EngineEvent], None]) -> None:
    """Delete all that a stack has."""
    outcome.changes = _counted(stack.destroy(on_event=heard).summary.resource_changes)


def _counted(changes: Mapping[automation.OpType, int] | None) -> dict[str, int]:
    return {str(op): count for op, count in (changes or {}).items()}


def for_all(work: Work, tenants: Iterable[Tenant], console: Console) -> list[Outcome]:
    """Do something for all tenants at once, under a progress bar. One tenant's failure is in its outcome, and stops no other."""
    tenants = list(tenants)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(AT_ONCE) as pool:
        bar = progress.add_task(work.__name__, total=len(tenants))

        def one(tenant: Tenant) -> Outcome:
            outcome = _for_one(work, tenant, lambda text: progress.update(bar, description=f"{work.__name__} {text}"))
            progress.advance(bar)
            return outcome

        outcomes = list(pool.map(one, tenants))
        progress.update(bar, description=work.__name__)
    return outcomes


def _for_one(work: Work, tenant: Tenant, show: Callable[[str], None]) -> Outcome:
    outcome = Outcome(tenant)

    def heard(event: automation.EngineEvent) -> None:
        """Show what is begun, and keep what is said of failures: the text of the exception is all that the CLI printed."""
        if event.resource_pre_event:
            show(f"{tenant.name}: {_name(event.resource_pre_event.metadata.urn)}")
        said = event.diagnostic_event
        if said and said.severity == "error" and said.urn:
            outcome.problems.append(f"{_name(said.urn)}: {said.message.strip()}")

    try:
        work(_stack(tenant), outcome, heard)
    except automation.CommandError as problem:
        if not outcome.problems:
            outcome.problems.append(_last_line(problem))
    return outcome


def _last_line(problem: automation.CommandError) -> str:
    """Find the CLI's last word in all that it printed, without the names of where it was printed."""
    lines = (re.sub(r"^((stdout|stderr|error):\s*)+", "", line.strip()) for line in str(problem).splitlines())
    return [line for line in lines if line][-1]


def _stack(tenant: Tenant) -> automation.Stack:
    directory = STACKS / tenant.name
    directory.mkdir(parents=True, exist_ok=True)
    options = automation.LocalWorkspaceOptions(work_dir=str(directory.resolve()))
    return automation.create_or_select_stack(tenant.name, PROJECT, tenant.program, opts=options)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


STEPS: dict[str, list[Work]] = {"up": [preview, up], "destroy": [destroy]}


def main(arguments: Sequence[str] | None = None, make: Callable[[str], Tenant] = Tenant) -> int:
    """Run from the command line; the exit code is 1 where something failed."""
    parser = argparse.ArgumentParser(description="One stack for each tenant: an endpoint, and a volume for its models.")
    parser.add_argument("verb", choices=STEPS)
    parser.add_argument("tenants", nargs="+", type=_tenant_name, metavar="TENANT")
    given = parser.parse_args(arguments)
    console = Console()
    tenants = [make(name) for name in dict.fromkeys(given.tenants)]
    outcomes: list[Outcome] = []
    for work in STEPS[given.verb]:
        outcomes = for_all(work, tenants, console)
        for outcome in outcomes:
            console.print(f"{'failed ' if outcome.problems else work.__name__} {outcome}", soft_wrap=True, markup=False)
    return int(any(outcome.problems for outcome in outcomes))


def _tenant_name(text: str) -> str:
    """Take a name that may be a stack's, and a directory's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name for a stack: give letters, digits, '-' and '_'")
    return text


if __name__ == "__main__":
    sys.exit(main())
