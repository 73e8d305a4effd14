"""Writes all that is generated: schema.json from the models, the Python SDK from schema.json, the tables of README.md from the models.

With `--check` nothing is written: what differs is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = ROOT / "schema.json"
README: Final = ROOT / "README.md"
SDK: Final = ROOT / "sdk" / "python" / "pulumi_runpod_serverless"
GENSDK: Final = ROOT / ".engine" / "bin" / ("gensdk.exe" if os.name == "nt" else "gensdk")

OVERLAY: Final = ("dynamic", "testing", "jobs")
"""Hand-written modules or packages beside the generated ones; the generator never touches them."""
ONE_OR_MANY: Final = re.compile(rb"(    def \w+\(self\) -> )pulumi\.Input\[Optional\[Union\[.*\bSequence\[.*(?=:\n)")
"""The getter of an argument that takes one item or a list of them."""
OBJECT: Final = re.compile(rb"(?<=: pulumi\.Input\[Optional\[)(?:Union\['(\w+)Args', '\1ArgsDict'|'(\w+)Args')(?=\]*\] = None,\n)")
"""The type of an argument of a constructor that takes an object, up to the brackets that end it."""
RESOLVED: Final = re.compile(rb"^class Resolved(\w+)\(", re.MULTILINE)
"""The type of an output with the canonical form of such an object."""
TABLE: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

Files: TypeAlias = dict[Path, bytes | None]
"""What should be at each path; None for nothing."""


class GenerateError(Exception):
    """Says what could not be generated, and what to do."""


def schema() -> Files:
    """Emit the schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "schema.json")
        run([sys.executable, "-m", "runpod_serverless_provider.schema", "--write", str(path)])
        return {SCHEMA: path.read_bytes()}


def sdk(schema_text: bytes) -> Files:
    """Generate the SDK's modules. The project files that come with them would compete with our own, and are left out."""
    if not GENSDK.exists():
        raise GenerateError("there is no .engine/bin/gensdk: install go and run `make engine`")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "schema.json")
        path.write_bytes(schema_text)
        run([str(GENSDK), str(path), "python", folder])
        made = Path(folder, SDK.name)
        resolved = set(RESOLVED.findall((made / "outputs.py").read_bytes()))
        files: Files = {
            SDK / found.relative_to(made): acceptable(usable(found.read_bytes()), resolved)
            for found in made.rglob("*")
            if found.is_file()
        }
    del files[SDK / "README.md"]
    for found in SDK.rglob("*"):
        is_ours = found.relative_to(SDK).parts[0].removesuffix(".py") in OVERLAY
        if found.is_file() and "__pycache__" not in found.parts and not is_ours:
            files.setdefault(found, None)
    return files


def usable(source: bytes) -> bytes:
    """Hide unions with a list from the Pulumi runtime, which fails on a list there (pulumi/pulumi#6950).

    It takes an argument's type from its getter; constructors, which programs and type checkers look at, keep the whole type.
    """
    return ONE_OR_MANY.sub(rb"\1Any", source)


def acceptable(source: bytes, resolved: Collection[bytes]) -> bytes:
    """Let constructors take what an output holds (a template's `settings`), as the provider does; type checkers know it by another name."""

    def widen(match: re.Match[bytes]) -> bytes:
        name = match[1] or match[2]
        if name not in resolved:
            return match[0]
        types = match[0].removeprefix(b"Union[")
        end = b"" if match[1] else b"]"  # the whole match leaves the bracket of its own union
        return b"Union[" + types + b", 'outputs.Resolved" + name + b"'" + end

    return OBJECT.sub(widen, source)


def readme() -> Files:
    """Fill each `<!-- table: NAME -->` … `<!-- end of table -->` of the README."""
    text = README.read_text(encoding="utf-8")

    def fill(match: re.Match[str]) -> str:
        table = run([sys.executable, "-m", "runpod_serverless_provider.schema", "--table", match[2]])
        return f"{match[1]}{table.strip()}\n{match[3]}"

    return {README: TABLE.sub(fill, text).encode()}


def run(command: list[str]) -> str:
    """Run a generator and give what it prints."""
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise GenerateError(f"{' '.join(command)} failed:\n{outcome.stdout}{outcome.stderr}")
    return outcome.stdout


def different(files: Files) -> list[Path]:
    """Find the paths at which something else is than should be."""
    return sorted(path for path, content in files.items() if (path.read_bytes() if path.exists() else None) != content)


def write(path: Path, content: bytes | None) -> None:
    """Put `content` at `path`."""
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write what is generated, or check that it is up to date.")
    parser.add_argument("what", nargs="*", choices=[[], "schema", "sdk", "readme"], help="only these; all without it")
    parser.add_argument("--check", action="store_true", help="write nothing and fail where something differs")
    arguments = parser.parse_args()
    wanted = arguments.what or ["schema", "sdk", "readme"]
    files: Files = {}
    try:
        if "schema" in wanted:
            files |= schema()
        if "sdk" in wanted:
            files |= sdk(files.get(SCHEMA) or SCHEMA.read_bytes())
        if "readme" in wanted:
            files |= readme()
    except GenerateError as problem:
        print(f"generate: {problem}", file=sys.stderr)
        return 1
    changed = different(files)
    for path in changed:
        if not arguments.check:
            write(path, files[path])
        print(f"generate: {path.relative_to(ROOT)} {'is out of date' if arguments.check else 'written'}")
    if changed and arguments.check:
        print("generate: run `make schema sdk readme` and commit what it writes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
