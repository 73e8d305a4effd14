"""How the CLI is run and its events are read, with a program in its place that prints what a test wants."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from drift.events import ENDPOINT, SUMMARY, VOLUME, done, error, run, state, urn
from runpod_serverless_provider.core.values import UNKNOWN
from runpod_serverless_provider.drift import Account, DriftError, Up, Worker, find_drift
from runpod_serverless_provider.drift.engine import Cli, Recorded, StackName, Step, parts_of
from runpod_serverless_provider.signatures import SECRET, SIGNATURE_KEY

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the CLI's place is taken by a script for a POSIX shell")


def _cli(directory: Path, script: str) -> Path:
    path = directory / "pulumi"
    path.write_text(f"#!{sys.executable}\nimport sys\narguments = sys.argv[1:]\n{script}\nprint({SUMMARY!r})\n")
    path.chmod(0o755)
    return path


LISTED = 'if "ls" in arguments: print(\'[{"name": "org/shop/dev", "current": true}]\'); sys.exit()\n'


def test_the_cli_is_run_so_that_it_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """It gets no terminal and no colours, and only commands that change nothing."""
    seen = tmp_path / "seen"
    script = f"import os\nopen({str(seen)!r}, 'a').write(' '.join(arguments) + os.environ['PULUMI_SKIP_UPDATE_CHECK'] + '\\n')\n"
    find_drift(tmp_path, pulumi=str(_cli(tmp_path, script + LISTED)))
    common = "--non-interactive --color=never"
    assert seen.read_text().splitlines() == [
        f"{common} stack ls --json --fully-qualify-stack-namestrue",
        f"{common} refresh --preview-only --json --stack org/shop/devtrue",
        f"{common} preview --json --stack org/shop/devtrue",
    ]


def test_a_relative_path_to_the_cli_is_one_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not from the project, where there may be another."""
    (tmp_path / "project").mkdir()
    _cli(tmp_path, LISTED)
    monkeypatch.chdir(tmp_path)
    assert find_drift("project", pulumi="./pulumi").stacks[0].label == "shop/dev"


def test_progress_counts_what_is_done(tmp_path: Path) -> None:
    """Each stack is told once, with how many are."""
    listed = '[{"name": "a/b/c", "current": false}, {"name": "a/b/d", "current": false}]'
    script = f"if 'ls' in arguments: print({listed!r}); sys.exit()"
    told: list[tuple[str, int, int]] = []
    find_drift(
        tmp_path,
        pulumi=str(_cli(tmp_path, script)),
        all_stacks=True,
        on_progress=lambda stack, done, count: told.append((stack.stack, done, count)),
    )
    assert sorted(counts for _, *counts in told) == [[1, 2], [2, 2]]
    assert {name for name, *_ in told} == {"c", "d"}


def test_without_a_stack_there_is_nothing_to_select_from(tmp_path: Path) -> None:
    """The advice does not list none."""
    with pytest.raises(DriftError, match=r"^no stack is selected: name one with --stack, or take --all$"):
        find_drift(tmp_path, pulumi=str(_cli(tmp_path, "print('[]'); sys.exit()")))


def test_a_failure_without_events_is_told_in_the_cli_s_words(tmp_path: Path) -> None:
    """From standard error, else from standard output, else by the exit code alone."""
    for script, said in (
        ("sys.stderr.write('error: no\\n\\nway\\n'); sys.exit(255)", "no\nway"),
        ("print('not an event'); print('5'); sys.exit(1)", "not an event\n5"),
        ("sys.exit(9)", "pulumi ended with exit code 9"),
    ):
        (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, LISTED + script))).stacks
        assert (found.error, found.exit_code) == (said, 2)


def test_silence_is_not_taken_for_a_stack_without_drift(tmp_path: Path) -> None:
    """A CLI that prints its events in another form would say nothing that is understood."""
    (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, LISTED + "print('{}'); sys.exit()"))).stacks
    assert (found.error, found.exit_code) == ("pulumi ended without the summary of its events: upgrade the Pulumi CLI", 2)


def test_a_search_of_no_stack_at_a_time_is_refused(tmp_path: Path) -> None:
    """It would never end."""
    with pytest.raises(DriftError, match="at least 1, not 0"):
        find_drift(tmp_path, parallel=0)


def test_a_configured_value_is_decrypted_without_its_line_s_end(tmp_path: Path) -> None:
    """And is None where there is none."""
    cli = Cli(str(_cli(tmp_path, "print('value') if arguments[4] == 'key' else 0; sys.exit(arguments[4] != 'key')")), tmp_path)
    assert asyncio.run(cli.configured("dev", "key")) == "value"
    assert asyncio.run(cli.configured("dev", "other")) is None


def test_a_state_that_cannot_be_exported_hides_nothing(tmp_path: Path) -> None:
    """Then no resource is taken for one that is only read."""
    cli = Cli(str(_cli(tmp_path, "sys.exit(1)")), tmp_path)
    assert asyncio.run(cli.recorded("dev")) == {}


def test_of_a_state_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """Secrets are decrypted for the keys of maps alone, and their values are let go."""
    outputs = {"env": {"A": "1"}, "inherited": {SIGNATURE_KEY: SECRET, "plaintext": '{"T": "canary"}'}, "id": "x"}
    exported = {
        "deployment": {
            "resources": [
                {"urn": "u", "outputs": outputs, "ignoreChanges": ["workers"]},
                {"urn": "u", "delete": True},
                {"urn": "read", "external": True},
            ]
        }
    }
    script = f"print({json.dumps(exported)!r})\nsys.exit('--show-secrets' in arguments and arguments[-2:] != ['--stack', 'dev'])"
    cli = Cli(str(_cli(tmp_path, script)), tmp_path)
    assert asyncio.run(cli.recorded("dev")) == {"u": Recorded(ignored=("workers",)), "read": Recorded(is_external=True)}
    found = asyncio.run(cli.recorded("dev", with_keys=True))
    assert found["u"].keys == {"env": frozenset("A"), "inherited": frozenset("T")}
    assert "canary" not in repr(found)


def _wait_for(mark: Path) -> None:
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.05)


def test_a_search_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    """The CLI is told to end, and waited for; and one that ended meanwhile is no trouble."""
    mark = tmp_path / "mark"
    script = (
        f"import pathlib, signal, time\nsignal.signal(15, lambda *_: (pathlib.Path({str(mark)!r}).write_text('ended'), sys.exit()))"
    )
    cli = Cli(str(_cli(tmp_path, f"{script}\npathlib.Path({str(mark)!r}).write_text('begun')\ntime.sleep(60)")), tmp_path)

    async def give_up() -> None:
        task = asyncio.create_task(cli.refresh("dev"))
        await asyncio.to_thread(_wait_for, mark)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert mark.read_text() == "ended"


def test_events_are_read_and_everything_else_is_left() -> None:
    """Values that the engine does not tell are UNKNOWN, other objects are as they are."""
    found = run(
        '{"preludeEvent": {"config": {"a:b": "c"}}}',
        "7",
        '{"cancelEvent": {}}',
        '{"diagnosticEvent": {"severity": "warning", "message": "careful"}}',
        '{"diagnosticEvent": {"severity": "error", "message": "passing", "ephemeral": true}}',
        error("no\n", urn("api")),
        done("update", old=state({"list": [{"x": "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7"}]}), new=None, changes={"a": "update"}),
        exit_code=1,
    )
    assert found.configuration == {"a:b": "c"}
    assert found.complaints == ((urn("api"), "no"),)
    assert found.error == "no"
    (step,) = found.done
    assert (step.name, step.old["inputs"], step.new) == ("api", {"list": [{"x": UNKNOWN}]}, {})


def test_errors_are_said_once_and_without_the_engine_s_frame() -> None:
    """A key that is refused for thirty resources fills no screen."""
    several = [error(f"Preview failed: reading {number}", urn(str(number))) for number in (1, 1, 2, 3, 4, 5)]
    found = run(*several, error("preview failed"), exit_code=255)
    assert found.error == "reading 1\nreading 2\nreading 3\nand 2 more"
    assert run(error("preview failed"), exit_code=255, stderr="error: why\n").error == "why"


def test_a_program_that_fails_without_an_error_is_told_by_what_it_wrote(tmp_path: Path) -> None:
    """So do YAML programs: the reason stands line by line among the information. Where there is an error, that is the reason."""
    lines = [
        json.dumps({"diagnosticEvent": {"severity": "info#err", "message": f"{text}\n\n"}}) for text in ("Error: a", "  on line 1")
    ]
    passing = json.dumps({"diagnosticEvent": {"severity": "info#err", "message": "passing", "ephemeral": True}})
    assert run(*lines, passing, exit_code=1).error == "Error: a\n  on line 1"
    assert run(*lines, error("why"), exit_code=1).error == "why"
    assert run(*lines).error == ""
    (tmp_path / "preview").write_text("\n".join(lines))
    script = f"if arguments[2] == 'preview': print(open({str(tmp_path / 'preview')!r}).read()); sys.exit(1)"
    (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, LISTED + script))).stacks
    assert (found.error, found.up_unknown) == ("", "Error: a\n  on line 1")


def test_names_are_taken_apart() -> None:
    """Of stacks, in each way to write them; of URNs, with parents and with colons in a name."""
    assert [(name.project, name.stack) for name in map(StackName, ("org/shop/dev", "org/dev", "dev"))] == [
        ("shop", "dev"),
        ("", "dev"),
        ("", "dev"),
    ]
    assert parts_of(f"urn:pulumi:dev::shop::my:Component${ENDPOINT}::a::b") == (ENDPOINT, "a::b")
    assert parts_of("") == ("", "")
    assert Step("same", urn("api"), ENDPOINT).name == "api"


def test_what_nobody_foresaw_is_the_error_of_one_stack(tmp_path: Path) -> None:
    """The others are compared, and of the error only its kind is said, as nobody knows what it repeats."""
    listed = '[{"name": "a/b/c", "current": false}, {"name": "a/b/d", "current": false}]'
    lowered = done("update", old=state({"workers": 3}), new=state({"workers": 2}), changes={"workers": "update"})
    script = (
        f"if 'ls' in arguments: print({listed!r}); sys.exit()\n"
        f"if arguments[2] == 'refresh' and arguments[-1] == 'a/b/c': print({lowered!r})\n"
    )

    async def list_workers(account: Account, id: str) -> Sequence[Worker]:
        raise ValueError("canary")

    report = find_drift(tmp_path, pulumi=str(_cli(tmp_path, script)), all_stacks=True, list_workers=list_workers)
    assert [(found.label, found.exit_code) for found in report.stacks] == [("b/c", 2), ("b/d", 0)]
    assert report.stacks[0].error.startswith("the search failed (ValueError); this is a bug in pulumi-runpod-serverless")


def test_a_cli_that_goes_away_is_the_error_of_a_stack(tmp_path: Path) -> None:
    """The search had begun."""
    script = f"import os\nif 'ls' in arguments: os.remove({str(tmp_path / 'pulumi')!r})\n"
    (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, script + LISTED))).stacks
    assert "cannot be started" in found.error


MEETING: Final = """
import pathlib, time
if 'ls' in arguments: print('[{names}]'); sys.exit()
place, name = pathlib.Path({place!r}), arguments[-1].replace('/', '-')
(place / 'here' / name).touch()
counts = [len(list((place / 'here').iterdir()))]
(place / 'begun' / name).touch()  # nobody leaves before so many have come, of which the last has counted by now
while len(list((place / 'begun').iterdir())) < {wanted}: time.sleep(0.01)
time.sleep(0.2)
counts.append(len(list((place / 'here').iterdir())))
(place / 'seen' / name).write_text(str(max(counts)))
(place / 'here' / name).unlink()
"""


@pytest.mark.parametrize("parallel", [1, 3])
def test_as_many_stacks_are_searched_at_a_time_as_asked_for(tmp_path: Path, parallel: int) -> None:
    """Never more CLIs run at once, and so many do."""
    for name in ("here", "begun", "seen"):
        (tmp_path / name).mkdir()
    names = ", ".join(f'{{"name": "a/b/s{number}", "current": false}}' for number in range(6))
    script = MEETING.format(names=names, place=str(tmp_path), wanted=parallel)
    report = find_drift(tmp_path, pulumi=str(_cli(tmp_path, script)), all_stacks=True, with_program=False, parallel=parallel)
    assert [found.exit_code for found in report.stacks] == [0] * 6
    seen = [int(path.read_text()) for path in (tmp_path / "seen").iterdir()]
    assert (len(seen), max(seen)) == (6, parallel)


def test_what_a_preview_that_failed_does_not_tell_has_its_reason(tmp_path: Path) -> None:
    """What `up` would fail with is said at its resource, and of the others only that nobody knows."""
    (tmp_path / "refresh").write_text(
        "\n".join(
            [
                '{"preludeEvent": {"config": {"runpod-serverless:apiKey": "[secret]"}}}',
                done("update", "models", VOLUME, old=state({"size": 20}), new=state({"size": 40}), changes={"size": "update"}),
                done("update", old=state({"workers": 3}), new=state({"workers": 2}), changes={"workers": "update"}),
            ]
        )
    )
    (tmp_path / "preview").write_text(error("size: it cannot shrink", urn("models", VOLUME)))
    script = (
        "if 'config' in arguments: print('rpa_key'); sys.exit()\n"
        f"verb = arguments[2]\nprint(open({str(tmp_path)!r} + '/' + verb).read())\nif verb == 'preview': sys.exit(1)"
    )
    asked: list[tuple[str | None, str]] = []

    async def list_workers(account: Account, id: str) -> Sequence[Worker]:
        asked.append((await account.decrypt("runpod-serverless:apiKey"), id))
        return [Worker("w", "IDLE")]

    (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, LISTED + script)), list_workers=list_workers).stacks
    assert [(item.name, item.up) for item in found.resources] == [("api", None), ("models", Up.FAIL)]
    assert found.up_unknown == "the preview ended with the failure of models"
    assert asked == [("rpa_key", "id-1")]
    assert found.resources[0].causes[0].text.endswith("None of its workers is unhealthy now")
    (tmp_path / "refresh").write_text(
        done("update", "models", VOLUME, old=state({"size": 20}), new=state({"size": 40}), changes={"size": "update"})
    )
    (found,) = find_drift(tmp_path, pulumi=str(_cli(tmp_path, LISTED + script))).stacks
    assert found.up_unknown == ""
