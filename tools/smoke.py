"""Installs the wheel in an environment that has nothing else, and runs what a user runs first.

Development dependencies hide a missing runtime dependency, and the source tree hides a file that the wheel lacks. The dynamic door
promises to need nothing but the wheel and the CLI: its quickstart lives a whole life here, on the emulator that the wheel brings.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

PROBE: Final = """
import json, subprocess, sys
import grpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
import pulumi_runpod_serverless as sdk

plugin = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
try:
    stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{int(plugin.stdout.readline())}"))
    schema = json.loads(stub.GetSchema(provider_pb2.GetSchemaRequest(), timeout=30).schema)
    wanted = sdk._utilities.get_version()
    assert schema["version"] == wanted, f"the SDK asks for {wanted}, the plugin is {schema['version']}"
    print(f"{schema['name']} {wanted} serves {len(schema.get('resources', {}))} resources")
finally:
    plugin.terminate()
    plugin.wait(10)
"""

DYNAMIC: Final = """
import sys
from pathlib import Path
import pulumi_runpod_serverless.testing

source = Path(sys.argv[1]).read_text()
changes = {}

def program():
    text = source
    for old, new in changes.items():
        assert old in source, old
        text = text.replace(old, new)
    exec(compile(text, "__main__.py", "exec"), {"__name__": "__main__"})

def did(result):
    return {op: count for op, count in (result.summary.resource_changes or {}).items() if op != "same"}

with pulumi_runpod_serverless.testing.local_runpod() as runpod:
    stack = runpod.stack(program)
    assert did(stack.up()) == {"create": 3}
    changes["workers=1"] = "workers=2"
    assert did(stack.up()) == {"update": 1}
    changes["ADA_24"] = "AMPERE_80"
    assert did(stack.up()) == {"replace": 1}
    assert did(stack.refresh()) == {}
    assert did(stack.up()) == {}
    assert did(stack.destroy()) == {"delete": 3}
    assert runpod.emulator.state()["endpoints"] == [] == runpod.emulator.state()["networkVolumes"]
    agents = {entry["userAgent"] for entry in runpod.emulator.requests()}
    assert all(agent.endswith("(dynamic)") for agent in agents), agents
print("the dynamic quickstart goes up, updates, replaces, refreshes and is destroyed")
"""


class SmokeError(Exception):
    """Says which step failed, and what it printed."""


def run(*command: str | Path, cwd: Path = ROOT, path: Path | None = None) -> str:
    """Run one step without this environment's variables, with `path` before PATH, and give what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}
    if path is not None:
        environment["PATH"] = os.pathsep.join([str(path), environment["PATH"]])
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SmokeError(f"{Path(command[0]).name} {command[1]} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


def quickstart() -> str:
    """Give the program of the dynamic door's quickstart, as its page has it."""
    page = (ROOT / "docs" / "dynamic.md").read_text(encoding="utf-8")
    return page.partition("## Quickstart")[2].partition("```python\n")[2].partition("```")[0]


def main() -> int:
    """Run from the command line."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", scratch)
        (wheel,) = scratch.glob("*.whl")
        # Hashes would be demanded of the wheel too, and it has none yet.
        pins = re.findall(r"^(\w.*?)(?: \\)?$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        (scratch / "pins.txt").write_text("\n".join(pins))
        venv.create(scratch / "venv", with_pip=True)
        programs = scratch / "venv" / ("Scripts" if os.name == "nt" else "bin")
        pip: list[str | Path] = [
            programs / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
            scratch / "pins.txt",
        ]
        run(*pip, wheel)
        for program in ("pulumi-resource-runpod-serverless", "runpod-serverless"):
            run(programs / program, "--version", cwd=scratch)
            run(programs / program, "--help", cwd=scratch)
        served = run(programs / "python", "-c", PROBE, programs / "pulumi-resource-runpod-serverless", cwd=scratch)
        run(*pip, f"{wheel}[emulator]")
        run(programs / "runpod-emulator", "--help", cwd=scratch)
        (scratch / "program.py").write_text(quickstart())
        engine = Path(run(sys.executable, ROOT / "tools" / "engine.py", "--where").splitlines()[-1])
        lived = run(programs / "python", "-c", DYNAMIC, scratch / "program.py", cwd=scratch, path=engine)
    print(f"smoke: {wheel.name} works: {served}; {lived}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SmokeError as problem:
        print(f"smoke: {problem}", file=sys.stderr)
        sys.exit(1)
