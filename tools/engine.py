"""Provides the Pulumi engine that tests and the demo run on: the one on PATH, one built from `engine/`, or the official release.

What is built or downloaded lands in `.engine/bin` of the project and nowhere else. Only the standard library is needed, except for
the download, which is the `pulumi` package's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MODULE: Final = ROOT / "tools" / "engine"
HOME: Final = ROOT / ".engine"
BIN: Final = HOME / "bin"
STAMP: Final = HOME / "stamp"

OLDEST_VERSION: Final = (3, 243, 0)
"""List, and Cancel when the engine closes, both need it."""

PACKAGES: Final = {
    "pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "pulumi-language-yaml": "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
    "gensdk": "./cmd/gensdk",
}
ENGINE: Final = ("pulumi", "pulumi-language-yaml")
SUFFIX: Final = ".exe" if os.name == "nt" else ""

# The engine names the environment of a project; else it is the Python that somebody names, or the first on PATH.
DYNAMIC_LAUNCHER: Final = """#!/bin/sh
if [ -n "${PULUMI_RUNTIME_VIRTUALENV:-}" ]; then
    exec "$PULUMI_RUNTIME_VIRTUALENV/bin/python" -u -m pulumi.dynamic "$@"
fi
exec "${PULUMI_PYTHON_CMD:-python3}" -u -m pulumi.dynamic "$@"
"""
DYNAMIC_LAUNCHER_CMD: Final = "@python -u -m pulumi.dynamic %*\r\n"


class EngineError(Exception):
    """Says why there is no engine, and what to do."""


def ensure_engine() -> Path:
    """Give the directory that holds `pulumi` and `pulumi-language-yaml`, after building or downloading them where that is needed.

    Where there is Go, `.engine/bin/gensdk` is built too. Raises EngineError.
    """
    with locked():
        return _ensure_engine()


def _ensure_engine() -> Path:
    ambient = ambient_engine()
    has_go = shutil.which("go") is not None
    wanted = [name for name in PACKAGES if ambient is None or name not in ENGINE]
    if ambient is not None:
        say(f"pulumi {version_text(ambient / f'pulumi{SUFFIX}')} on PATH serves ({ambient})")
    if has_go:
        build(wanted)
        if ambient is None:
            launch_dynamic()
    elif ambient is None and not is_downloaded():
        download()
    elif ambient is None:
        say("the downloaded release is up to date")
    return ambient or BIN


@contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time look and build; the others find what it made."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "lock").open("a") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # it gives up after ten seconds
                    say("waiting for another process that provides the engine")
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another process that provides the engine")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ambient_engine() -> Path | None:
    """Find the directory of a `pulumi` on PATH that is recent enough and has the YAML language host beside it."""
    found = shutil.which("pulumi")
    if found is None or Path(found).resolve().parent == BIN:  # what was built here may be out of date
        return None
    for directory in (Path(found).parent, Path(found).resolve().parent):  # a package manager may link only the CLI
        if all((directory / f"{name}{SUFFIX}").exists() for name in ENGINE):
            return directory if version_of(Path(found)) >= OLDEST_VERSION else None
    return None


def version_text(pulumi: Path) -> str:
    """Ask a CLI for its version; empty where it gives none."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run([pulumi, "version"], capture_output=True, text=True, timeout=60, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def version_of(pulumi: Path) -> tuple[int, ...]:
    """Give a CLI's version as numbers; `()`, older than all, where it has none."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version_text(pulumi))
    return tuple(map(int, match.groups())) if match else ()


def build(names: list[str]) -> None:
    """Build these programs into `.engine/bin`, unless they were built from the same sources before."""
    stamp = f"built {fingerprint()}"
    is_current = STAMP.exists() and STAMP.read_text() == stamp
    names = [name for name in names if not (is_current and (BIN / f"{name}{SUFFIX}").exists())]
    if not names:
        say("everything built is up to date")
        return
    version = pinned_version()
    say(f"building {', '.join(names)} (pulumi {version}; the first time takes some minutes)")
    BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="build-") as scratch:
        linker_flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}"
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags, "-o", scratch + os.sep]
        if subprocess.run([*command, *(PACKAGES[name] for name in names)], cwd=MODULE, check=False).returncode:
            raise EngineError("go build failed (its output is above); a recent pulumi on PATH needs no go")
        if not is_current:  # whatever else is there comes from other sources
            STAMP.unlink(missing_ok=True)
            for stale in BIN.iterdir():
                stale.unlink() if not stale.is_dir() else shutil.rmtree(stale)
        for name in names:
            Path(scratch, f"{name}{SUFFIX}").replace(BIN / f"{name}{SUFFIX}")
    STAMP.write_text(stamp)
    say(f"built into {BIN.relative_to(ROOT)}")


def launch_dynamic() -> None:
    """Put the launcher of Python's dynamic providers beside the engine, as the official release has it."""
    launcher = BIN / ("pulumi-resource-pulumi-python.cmd" if os.name == "nt" else "pulumi-resource-pulumi-python")
    text = DYNAMIC_LAUNCHER_CMD if os.name == "nt" else DYNAMIC_LAUNCHER
    if not launcher.exists() or launcher.read_text() != text:
        launcher.write_text(text, newline="")
        launcher.chmod(0o755)


def fingerprint() -> str:
    """Digest what a build depends on: the module's files and this machine's platform."""
    digest = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    for path in [MODULE / "go.mod", MODULE / "go.sum", *sorted(MODULE.glob("cmd/**/*.go"))]:
        digest.update(f"\0{path.relative_to(MODULE).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def pinned_version() -> str:
    """Read the engine's version from go.mod. Without it the CLI has no version, and the Automation API refuses it."""
    match = re.search(r"github\.com/pulumi/pulumi/pkg/v3 (v\S+)", (MODULE / "go.mod").read_text())
    if match is None:
        raise EngineError(f"{MODULE / 'go.mod'} does not require github.com/pulumi/pulumi/pkg/v3")
    return match[1]


def is_downloaded() -> bool:
    """Say whether the official release is in `.engine/bin` and recent enough."""
    return all((BIN / f"{name}{SUFFIX}").exists() for name in ENGINE) and version_of(BIN / f"pulumi{SUFFIX}") >= OLDEST_VERSION


def download() -> None:
    """Fetch the official release whose version is that of the installed `pulumi` package."""
    say("no pulumi on PATH and no go to build one: downloading the official release")
    try:
        from pulumi.automation import PulumiCommand
    except ImportError as problem:
        raise EngineError("downloading needs the pulumi package: run `make engine`") from problem
    try:
        PulumiCommand.install(root=str(HOME))
    except Exception as problem:
        raise EngineError(f"the download failed: {problem}; install pulumi or go, and run `make engine` again") from problem
    STAMP.unlink(missing_ok=True)
    say(f"downloaded into {BIN.relative_to(ROOT)}")


def say(step: str) -> None:
    """Print one step; stdout stays free for `--where`."""
    print(f"engine: {step}", file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Provide the Pulumi engine for tests and the demo.")
    parser.add_argument("--where", action="store_true", help="print the directory of the engine on stdout")
    arguments = parser.parse_args()
    try:
        directory = ensure_engine()
    except EngineError as problem:
        say(str(problem))
        return 1
    if arguments.where:
        print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
