"""Shows a stack's whole life: the real engine, this provider, and the emulator in place of Runpod.

Each claim that it prints is checked first; where one does not hold, the exit code is 1. Nothing outside of a temporary directory is read
or written, but for the engine in `.engine`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from runpod_emulator.running import Running

ROOT: Final = Path(__file__).resolve().parent.parent
STACK: Final = "dev"
TIMEOUT_SECONDS: Final = 120
OLD_TOKEN: Final = "hf_the-old-token"
NEW_TOKEN: Final = "hf_the-new-token"
PROGRAM: Final = """\
name: demo
runtime: yaml
config:
  hfToken: {type: string, secret: true}
  deletionProtection: {type: boolean, default: true}
resources:
  models:
    type: runpod-serverless:NetworkVolume
    properties:
      size: 50
      deletionProtection: ${deletionProtection}
  chat:
    type: runpod-serverless:Endpoint
    properties:
      image: runpod/worker-v1-vllm:v2.11.0
      gpu: ADA_24
      workers: {min: 1, max: 1}
      volume: ${models}
      env:
        MODEL_NAME: Qwen/Qwen2.5-1.5B-Instruct
        HF_TOKEN: ${hfToken}
  thumbnails:
    type: runpod-serverless:Endpoint
    properties:
      image: example/thumbnails:1.4
      cpu: cpu3c-2-4
outputs:
  chatUrl: ${chat.requestUrls.run}
"""

IS_TERMINAL: Final = sys.stdout.isatty() and "NO_COLOR" not in os.environ
_NOISE: Final = re.compile(
    r"^\s*$|^Diagnostics|^Duration|^ *@ |ing(?: \w+)? \(0s\)|Endpoint \w+  \S|pulumi:pulumi:Stack|\[urn=|--outputs:--"
    r"|The resources in the stack have|pulumi stack rm"
)
_REPEATED: Final = re.compile(r"(?<=\]); .*|(?<=failed\*\*) error: .*")
"""What a line of the tree says that the diagnostics say again."""
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")


class DemoError(Exception):
    """Says which claim did not hold."""


def paint(text: str, code: str) -> str:
    """Colour a text on a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if IS_TERMINAL else text


def say(text: str = "") -> None:
    """Print a line at once, so that it stands before what a program prints."""
    print(text, flush=True)


def check(holds: bool, claim: str) -> None:
    """Print a claim that holds; raise DemoError for one that does not."""
    if not holds:
        raise DemoError(claim)
    say(f"  {paint('✓', '32')} {claim}")


class Demo:
    """One project with one stack on a file backend, and the emulator that it is deployed to."""

    def __init__(self, directory: Path, engine: Path, emulator: Running) -> None:
        self.emulator = emulator
        self.project = directory / "project"
        self.project.mkdir()
        self.program = ""
        self.printed = ""
        self.took_seconds: list[float] = []
        self._engine = engine
        self._events = directory / "events.json"
        self._section = 0
        self.environment = _environment(directory, engine, emulator.url)

    def section(self, title: str) -> None:
        """Begin a step of the story."""
        self._section += 1
        say(f"\n{paint(f'{self._section}. {title}', '1;36')}")

    def state_program(self, text: str) -> None:
        """Write the program, and show what changed in it."""
        before, after = self.program.splitlines(), text.splitlines()
        changed = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] in ("+ ", "- ")]
        for line in changed if self.program else after:
            say(f"    {paint(line, {'+': '32', '-': '31'}.get(line[0], '2') if self.program else '2')}")
        self.program = text
        (self.project / "Pulumi.yaml").write_text(text, encoding="utf-8")

    def pulumi(self, *arguments: str, exit_code: int = 0, shown: str = "") -> list[tuple[str, str]]:
        """Run the CLI, show what it prints, and return what the engine did: operations and resource names, in order."""
        say(f"  {paint('$ pulumi ' + (shown or shlex.join(arguments)), '1')}")
        self._events.unlink(missing_ok=True)
        self.emulator.clear_requests()
        options = ["--non-interactive", f"--color={'always' if IS_TERMINAL else 'never'}"]
        options += [f"--event-log={self._events}"] if arguments[0] in ("up", "preview", "destroy") else []
        command: list[str | Path] = [self._engine / "pulumi", *arguments, *options]
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        self.took_seconds.append(time.monotonic() - began)
        self.printed += done.stdout
        for line in done.stdout.splitlines():
            plain = _ESCAPES.sub("", line)
            short = _REPEATED.search(plain)
            if not _NOISE.search(plain):
                say(f"    {paint(plain[: short.start()], '2') if short else line}")
        if done.returncode != exit_code and not (exit_code and done.returncode):
            raise DemoError(
                f"`pulumi {' '.join(arguments)}` exits with {exit_code} (it was {done.returncode}; it printed {done.stdout!r})"
            )
        return _operations(self._events)

    def show_requests(self, *methods: str) -> list[str]:
        """Show what the emulator logged of the last command, and return it as `POST /v2/serverless`."""
        found = [entry for entry in self.emulator.requests() if entry["method"] in methods]
        say("  the emulator's request log:")
        for entry in found:
            body = f"  {json.dumps(_masked(entry['body']))}" if entry["body"] else ""
            say(
                f"    {entry['method']:6} {entry['path']} {entry['status']}{paint(body if len(body) < 200 else body[:197] + '…', '2')}"
            )
        return [f"{entry['method']} {entry['path']}" for entry in found]

    def endpoint(self, name: str) -> dict[str, Any]:
        """Return an endpoint as the emulator has it, by the beginning of its name."""
        (found,) = (item for item in self.emulator.state()["endpoints"] if item["name"].startswith(f"{name}-"))
        return dict(found)

    def workers(self, identifier: str) -> Counter[int]:
        """Count an endpoint's workers by version."""
        (found,) = (item for item in self.emulator.control("GET", "overview")["endpoints"] if item["id"] == identifier)
        return Counter(worker["version"] for worker in found["workers"])


def _environment(directory: Path, engine: Path, url: str) -> dict[str, str]:
    """Make the environment of a machine where nobody is logged in and no virtual environment is activated."""
    home, backend = directory / "home", directory / "backend"
    home.mkdir()
    backend.mkdir()
    own = Path(sys.executable).parent
    path = [str(engine), *(part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != own)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "RUNPOD_"))}
    return {
        **inherited,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": os.pathsep.join(path),
        "PULUMI_BACKEND_URL": f"file://{backend.as_posix()}",
        "PULUMI_CONFIG_PASSPHRASE": "demo",
        "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "RUNPOD_API_KEY": "rpa_demo",
        "RUNPOD_API_URL": url,
        "RUNPOD_ENDPOINT_BASE_URL": f"{url}/v2",
    }


def _operations(events: Path) -> list[tuple[str, str]]:
    found = []
    for line in events.read_text(encoding="utf-8").splitlines() if events.exists() else ():
        metadata = json.loads(line).get("resourcePreEvent", {}).get("metadata", {})
        if metadata.get("type", "").startswith("runpod-serverless:") and metadata["op"] not in ("same", "refresh"):
            found.append((metadata["op"], metadata["urn"].rpartition("::")[2]))
    return found


def _masked(body: Any) -> Any:
    """Hide the token, as anybody who prints a body should."""
    text = json.dumps(body)
    for token in (OLD_TOKEN, NEW_TOKEN):
        text = text.replace(token, "[secret]")
    return json.loads(text)


def come_up(demo: Demo) -> None:
    """Create a volume and two endpoints."""
    demo.section("A stack comes up: a volume, a GPU endpoint that mounts it, a CPU endpoint")
    demo.state_program(PROGRAM)
    demo.pulumi("stack", "init", STACK)
    demo.pulumi("config", "set", "--secret", "hfToken", OLD_TOKEN, shown="config set --secret hfToken …")
    done = demo.pulumi("up", "--yes", "--skip-preview")
    state = demo.emulator.state()
    check(
        sorted(done) == [("create", "chat"), ("create", "models"), ("create", "thumbnails")],
        "the engine created three resources (the fourth that it counts is the stack)",
    )
    check((len(state["networkVolumes"]), len(state["endpoints"])) == (1, 2), "the emulator has one volume and two endpoints")
    check(demo.endpoint("chat")["networkVolumes"] == [state["networkVolumes"][0]["id"]], "the GPU endpoint mounts the volume")
    done = demo.pulumi("up", "--yes", "--skip-preview")
    check(not done and not demo.emulator.requests(), "a second `up` changes nothing, and sends no request at all")


def update(demo: Demo) -> None:
    """Scale, and rotate a secret."""
    demo.section("More workers, and a rotated token: an update")
    before = demo.endpoint("chat")
    demo.state_program(demo.program.replace("{min: 1, max: 1}", "{min: 2, max: 2}"))
    demo.pulumi("config", "set", "--secret", "hfToken", NEW_TOKEN, shown="config set --secret hfToken …")
    done = demo.pulumi("up", "--yes", "--skip-preview", "--diff")
    sent = demo.show_requests("POST", "PATCH", "DELETE")
    after = demo.endpoint("chat")
    check(done == [("update", "chat")] and sent == [f"PATCH /v2/serverless/{before['id']}"], "one update, which is one PATCH")
    check(after["id"] == before["id"], "the endpoint keeps its id and its URLs")
    check((after["workers"]["max"], after["env"]["HF_TOKEN"]) == (2, NEW_TOKEN), "workers and token arrived")
    state = "".join(path.read_text(encoding="utf-8") for path in demo.project.parent.glob("backend/**/*.json"))
    is_hidden = not any(token in text for token in (OLD_TOKEN, NEW_TOKEN) for text in (demo.printed, state))
    check(is_hidden and "chat" in state, "neither token stands in the state or in what the CLI printed")


def replace(demo: Demo) -> None:
    """Change the hardware."""
    demo.section("Another GPU: the endpoint is recreated, and the new one comes before the old one goes")
    before = demo.endpoint("chat")
    demo.state_program(demo.program.replace("gpu: ADA_24", "gpu: NVIDIA A100 80GB PCIe"))
    demo.pulumi("preview", "--diff")
    check(demo.endpoint("chat")["id"] == before["id"], "the preview says what it costs, and does nothing")
    done = demo.pulumi("up", "--yes", "--skip-preview")
    sent = demo.show_requests("POST", "PATCH", "DELETE")
    after = demo.endpoint("chat")
    wanted = ["create-replacement", "replace", "delete-replaced"]
    check(done[-3:] == [(op, "chat") for op in wanted], f"the engine's steps were {', '.join(wanted)}")
    check(
        sent == ["POST /v2/serverless", f"DELETE /v2/serverless/{before['id']}"],
        "it created the new endpoint, then deleted the old",
    )
    check(after["id"] != before["id"], f"the id changed from {before['id']} to {after['id']}, and the stack's output with it")


def roll_out(demo: Demo) -> None:
    """Change the hardware in place."""
    demo.section("The same change under `updateStrategy: inPlace`: an update that rolls out")
    before = demo.endpoint("chat")
    demo.emulator.advance(300)  # the workers of the new endpoint are up
    demo.state_program(demo.program.replace("gpu: NVIDIA A100 80GB PCIe", "gpu: BLACKWELL_96\n      updateStrategy: inPlace"))
    done = demo.pulumi("up", "--yes", "--skip-preview", "--diff")
    sent = demo.show_requests("POST", "PATCH", "DELETE")
    check(done == [("update", "chat")] and sent == [f"PATCH /v2/serverless/{before['id']}"], "one update, which is one PATCH")
    check(demo.endpoint("chat")["id"] == before["id"], "the endpoint keeps its id and its URLs")
    say("  its workers, while the emulator's clock is moved on:")
    seen = []
    for seconds in range(0, 241, 30):
        seen.append(demo.workers(before["id"]))
        bars = "   ".join(f"version {version} {paint('■' * count, '33') or '–'}" for version, count in sorted(seen[-1].items()))
        say(f"    +{seconds:3} s   {bars}")
        if list(seen[-1]) == [2]:
            break
        demo.emulator.advance(30)
    check(any(set(counts) == {1, 2} for counts in seen), "both versions served for a while")
    check(seen[0][1] > 0 and seen[-1] == {2: 2}, "in the end all workers are of the new version")


def repair(demo: Demo) -> None:
    """Find and undo a change made elsewhere."""
    demo.section("Somebody changes the endpoint in the console: it is found and repaired")
    chat = demo.endpoint("chat")
    demo.emulator.mutate("endpoints", chat["id"], workers={"max": 4}, flashboot="OFF")
    say("  (workers.max is 4 now, and flashboot is off)")
    demo.pulumi("preview", "--refresh", "--expect-no-changes", "--diff", exit_code=1)
    check(
        demo.endpoint("chat")["workers"]["max"] == 4, "the preview, which is what CI runs, exits with an error and touches nothing"
    )
    done = demo.pulumi("up", "--refresh", "--yes", "--skip-preview", "--diff")
    sent = demo.show_requests("POST", "PATCH", "DELETE")
    after = demo.endpoint("chat")
    check(
        done == [("update", "chat")] and sent == [f"PATCH /v2/serverless/{chat['id']}"], "`up --refresh` repairs it with one PATCH"
    )
    check((after["workers"]["max"], after["flashboot"]) == (2, "FLASHBOOT"), "both are what the program says again")


def go_away(demo: Demo) -> None:
    """Delete everything, past the volume's protection."""
    demo.section("The end: the volume is protected, so it takes an `up` of its own to let it go")
    demo.pulumi("destroy", "--yes", "--skip-preview", exit_code=1)
    state = demo.emulator.state()
    check(
        (len(state["networkVolumes"]), len(state["endpoints"])) == (1, 0),
        "the endpoints are gone, and the protected volume refused to go",
    )
    demo.pulumi("config", "set", "deletionProtection", "false")
    done = demo.pulumi("up", "--yes", "--skip-preview", "--target", "**::models", "--diff", "--suppress-outputs")
    check(
        done == [("update", "models")] and not demo.emulator.requests(),
        "an `up` lifts the protection in the state, without a request",
    )
    demo.pulumi("destroy", "--yes", "--skip-preview")
    state = demo.emulator.state()
    left = {kind: state[kind] for kind in ("endpoints", "networkVolumes", "templates", "boundTemplates", "registries")}
    check(not any(left.values()), "nothing is left on the emulator: no endpoint, no volume, no template")


STORY: Final[tuple[Callable[[Demo], None], ...]] = (come_up, update, replace, roll_out, repair, go_away)


def main() -> int:
    """Run from the command line."""
    provided = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine.py"), "--where"], stdout=subprocess.PIPE, text=True, check=False
    )
    if provided.returncode:
        return provided.returncode
    engine = Path(provided.stdout.strip())
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="runpod-demo-") as folder, Running(quota=60) as emulator:
            demo = Demo(Path(folder), engine, emulator)
            say(f"The emulator plays Runpod at {emulator.url}. No account is needed, and nothing costs anything.")
            own = Path(sys.executable).parent
            install = [str(own / "runpod-serverless"), "install-plugin", "--pulumi", str(engine / "pulumi")]
            say(f"  {paint('$ runpod-serverless install-plugin', '1')}")
            subprocess.run(install, env=demo.environment, stdout=subprocess.DEVNULL, check=True)
            for step in STORY:
                step(demo)
    except (DemoError, subprocess.SubprocessError) as problem:
        say(f"\n{paint('✗', '31')} this does not hold: {problem}")
        return 1
    say(f"\n{paint('All of it held', '1;32')}, in {time.monotonic() - began:.0f} seconds.")
    say("Read next: README.md (a quickstart for a real account, every parameter), examples/, docs/architecture.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
