"""The command `runpod-serverless`: what a user does once on a machine, or by hand beside the engine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from .core.version import plugin_version
from .drift import DriftError, find_drift, formats, progress
from .drift.report import ERROR
from .drift.search import PARALLEL

PACKAGE: Final = "runpod-serverless"
OLDEST_CLI: Final = (3, 243, 0)

# The engine starts plugins in the program's directory: a `schema.py` there must not be taken for a module of ours or of the library.
_START: Final = (
    "import sys; sys.path[:] = filter(None, sys.path); from runpod_serverless_provider.plugin.main import main; sys.exit(main())"
)


class _Unfit(Exception):
    """There is no CLI that can be used; says what to do."""


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(plugin_version())
        raise typer.Exit


@app.callback()
def runpod_serverless(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Help with Runpod serverless stacks around the Pulumi engine."""


@app.command()
def install_plugin(
    pulumi: Annotated[Path | None, typer.Option(help="The pulumi CLI to install for; the one on PATH without it.")] = None,
) -> None:
    """Put this version's plugin into the engine's cache (under PULUMI_HOME), so that it is found without an activated environment.

    What is put there starts this environment's Python: keep the environment, and repeat this after an upgrade.
    """
    try:
        cli = _find_cli(pulumi)
    except _Unfit as problem:
        _fail(str(problem))
    version = plugin_version()
    with tempfile.TemporaryDirectory() as folder:
        _write_launcher(Path(folder))
        command = [cli, "plugin", "install", "resource", PACKAGE, version, "--file", folder, "--reinstall"]
        outcome = _run(command)
    if outcome.returncode:
        _fail(f"{cli} could not install the plugin (exit code {outcome.returncode}): {(outcome.stderr or outcome.stdout).strip()}")
    typer.echo(f"{PACKAGE} {version} is installed for {cli}; it runs {sys.executable}")


@app.command()
def drift(
    stack: Annotated[
        list[str] | None, typer.Option(help="A stack; may be given several times. Without it, the selected one.")
    ] = None,
    all_stacks: Annotated[bool, typer.Option("--all", help="All stacks of the project.")] = False,
    cwd: Annotated[Path, typer.Option(help="The project's directory.", exists=True, file_okay=False)] = Path(),
    form: Annotated[formats.Format, typer.Option("--format", help="How to print the report.")] = formats.Format.TABLE,
    program: Annotated[bool, typer.Option(help="Also run the program, as a preview, to tell what `up` would do.")] = True,
    parallel: Annotated[int, typer.Option(help="How many stacks to compare at a time.", min=1)] = PARALLEL,
    pulumi: Annotated[Path | None, typer.Option(help="The pulumi CLI to run; the one on PATH without it.")] = None,
) -> None:
    """Compare the state of stacks with Runpod, and change nothing.

    Exits with 0 where nothing differs, 7 where something does, and 2 where a stack could not be compared.
    """
    try:
        cli = _find_cli(pulumi)
        with progress.shown(sys.stderr) as on_progress:
            report = find_drift(
                cwd,
                stacks=stack or (),
                all_stacks=all_stacks,
                with_program=program,
                parallel=parallel,
                pulumi=cli,
                on_progress=on_progress,
            )
    except (_Unfit, DriftError) as problem:
        _fail(str(problem), exit_code=ERROR)
    formats.write(report, form, sys.stdout)
    raise typer.Exit(report.exit_code)


def _find_cli(named: Path | None) -> str:
    """Return the CLI's path. Raises _Unfit."""
    found = shutil.which(named or "pulumi")
    if found is None:
        missing = f"{str(named)!r} is no program" if named else "there is no pulumi on PATH"
        raise _Unfit(f"{missing}: install the Pulumi CLI {_text(OLDEST_CLI)} or later, or name it with --pulumi")
    try:
        answer = _run([found, "version"])
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise _Unfit(f"{found} does not tell its version ({problem}): name another CLI with --pulumi") from None
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise _Unfit(f"{found} does not tell its version, but {answer.stdout.strip()!r}: name another CLI with --pulumi")
    if tuple(map(int, match.groups())) < OLDEST_CLI:
        raise _Unfit(
            f"{found} is version {answer.stdout.strip()}, and {_text(OLDEST_CLI)} or later is needed: upgrade the Pulumi CLI"
        )
    return found


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def _write_launcher(folder: Path) -> None:
    """Write an executable rather than a PulumiPlugin.yaml: the engine kills the latter's process without a signal first."""
    name = f"pulumi-resource-{PACKAGE}"
    if os.name == "nt":
        (folder / f"{name}.cmd").write_text(f'@"{sys.executable}" -c "{_START}" %*\r\n')
        return
    launcher = folder / name
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(_START)} "$@"\n')
    launcher.chmod(0o755)


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _fail(message: str, *, exit_code: int = 1) -> NoReturn:
    typer.echo(f"runpod-serverless: {message}", err=True)
    raise typer.Exit(exit_code)


def main() -> None:
    """Run from the command line."""
    app(prog_name="runpod-serverless")
