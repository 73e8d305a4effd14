"""Searches stacks for drift, several at a time: state against Runpod, then, where there is something to ask, the program against both."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..core.version import DISTRIBUTION
from .causes import Account, ListWorkers, causes_of
from .comparing import Plan, drifted, needs_export, needs_keys, plans, undeployed, with_plan
from .engine import Cli, DriftError, Run, StackName, Step, parts_of
from .report import Report, ResourceDrift, StackReport, Up
from .wiring import Runpod

_LOG: Final = logging.getLogger(__name__)
PARALLEL: Final = 4
"""Stacks at a time. Each takes a process of the CLI and one of the plugin, and all share the account's 60 requests a minute."""

Progress = Callable[[StackReport, int, int], None]
"""Called for each stack that is done, with how many are done, of how many."""


def find_drift(
    cwd: str | os.PathLike[str] = ".",
    *,
    stacks: Sequence[str] = (),
    all_stacks: bool = False,
    with_program: bool = True,
    parallel: int = PARALLEL,
    pulumi: str = "pulumi",
    environment: Mapping[str, str] | None = None,
    list_workers: ListWorkers | None = None,
    on_progress: Progress | None = None,
) -> Report:
    """Compare the states of stacks of the project in `cwd` with Runpod, and write nothing.

    Without `stacks` and `all_stacks` it is the selected stack. `with_program` also runs each program, as a preview, which tells what `up`
    would do. `pulumi` is the CLI, `environment` what it is started with (default: this process's), `list_workers` another way to list
    workers. Raises DriftError where the search cannot begin; what goes wrong with one stack is in its report. Not for use within a
    running event loop: call it in a thread there.
    """
    if parallel < 1:
        raise DriftError(f"parallel is the number of stacks that are compared at a time, at least 1, not {parallel}")
    cli = Cli(pulumi, Path(cwd), environment)
    return asyncio.run(_search(cli, stacks, all_stacks, with_program, parallel, environment, list_workers, on_progress))


async def _search(
    cli: Cli,
    stacks: Sequence[str],
    all_stacks: bool,
    with_program: bool,
    parallel: int,
    environment: Mapping[str, str] | None,
    list_workers: ListWorkers | None,
    on_progress: Progress | None,
) -> Report:
    names = _chosen(await cli.stacks(), stacks, all_stacks)
    places, done = asyncio.Semaphore(parallel), 0

    async def one(name: StackName) -> StackReport:
        nonlocal done
        async with places:
            found = await _search_surely(cli, name, with_program, list_workers or runpod.workers)
        done += 1
        if on_progress is not None:
            on_progress(found, done, len(names))
        return found

    async with Runpod(environment) as runpod:
        return Report(tuple(await asyncio.gather(*(one(name) for name in names))))


def _chosen(known: Sequence[StackName], wanted: Sequence[str], all_stacks: bool) -> list[StackName]:
    if all_stacks and wanted:
        raise DriftError("give names of stacks or ask for all, not both")
    if all_stacks:
        return list(known)
    if wanted:
        found = (next((name for name in known if word in (name.full, name.stack)), StackName(word)) for word in wanted)
        return list(dict.fromkeys(found))
    selected = [name for name in known if name.is_selected]
    if not selected:
        there = f" (there are {', '.join(name.stack for name in known)})" if known else ""
        raise DriftError(f"no stack is selected: name one with --stack{there}, or take --all")
    return selected


async def _search_surely(cli: Cli, name: StackName, with_program: bool, list_workers: ListWorkers) -> StackReport:
    """Let what nobody foresaw be the error of the one stack that it befell."""
    try:
        return await _search_one(cli, name, with_program, list_workers)
    except Exception as problem:  # noqa: BLE001 - the other stacks are compared
        if isinstance(problem, DriftError):
            return StackReport(name.stack, name.project, error=str(problem))
        _LOG.debug("the search of %s failed", name.full, exc_info=True)
        # Only the kind: what an unforeseen error repeats may be a secret.
        said = f"the search failed ({type(problem).__name__}); this is a bug in {DISTRIBUTION}, please report it"
        return StackReport(name.stack, name.project, error=said)


async def _search_one(cli: Cli, name: StackName, with_program: bool, list_workers: ListWorkers) -> StackReport:
    refreshed = await cli.refresh(name.full)
    is_of_keys = needs_keys(refreshed)
    recorded = await cli.recorded(name.full, with_keys=is_of_keys) if is_of_keys or needs_export(refreshed) else {}
    found = sorted(drifted(refreshed, recorded), key=lambda pair: pair[0].urn)
    report = StackReport(name.stack, name.project, tuple(drift for drift, _ in found), error=refreshed.error)
    if not with_program:
        report = replace(report, up_unknown="the program was not asked")
    elif not refreshed.error:
        # Where nothing drifted, the state says what exists, and the plan costs no request.
        report = _with_plans(report, found, await cli.preview(name.full, with_refresh=bool(found)))

    async def decrypt(key: str) -> str | None:
        return await cli.configured(name.full, key)

    account = Account(refreshed.configuration, decrypt)
    resources = [replace(item, causes=await causes_of(item, account, list_workers)) for item in report.resources]
    return replace(report, resources=tuple(resources))


def _with_plans(report: StackReport, found: Sequence[tuple[ResourceDrift, Step]], previewed: Run) -> StackReport:
    planned = plans(previewed)
    drifts = {drift.urn: (drift, step) for drift, step in found}
    is_whole = not previewed.error
    resources = [with_plan(drift, planned.get(urn)) if is_whole or urn in planned else drift for urn, (drift, _) in drifts.items()]
    ahead = [undeployed(planned[urn], urn, *drifts.get(urn, (None, None))) for urn in sorted(planned)]
    return replace(
        report,
        resources=tuple(resources),
        undeployed=tuple(item for item in ahead if item is not None),
        up_unknown="" if is_whole else _unknown(previewed, planned, drifts),
    )


def _unknown(previewed: Run, planned: Mapping[str, Plan], drifts: Iterable[str]) -> str:
    """Say why the preview did not tell all; what is wrong with a resource is said there."""
    failed = [urn for urn, plan in planned.items() if plan.up is Up.FAIL]
    general = [message for urn, message in previewed.complaints if urn not in failed]
    if general or not failed:
        return "\n".join(general) or previewed.error
    if all(urn in planned for urn in drifts):
        return ""
    return f"the preview ended with the failure of {', '.join(parts_of(urn)[1] for urn in failed)}"
