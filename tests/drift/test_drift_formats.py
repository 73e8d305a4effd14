"""How the report is written: word for word in each format, and what no value can do to any of them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from drift.sample import FILES, GOLDEN, REPORT, written
from runpod_serverless_provider.drift import PropertyDrift, Report, ResourceDrift, StackReport, Up
from runpod_serverless_provider.drift.formats import Format, as_json, markdown, write, write_table
from runpod_serverless_provider.drift.progress import shown


@pytest.mark.parametrize("form", Format, ids=lambda form: form.value)
def test_a_format_is_word_for_word_as_it_was(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users and their pipelines read it. Where a change is meant, `PYTHONPATH=tests python -m drift.sample` writes the files anew."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert written(form) == (GOLDEN / FILES[form]).read_text(encoding="utf-8")


def _on_a_terminal(report: Report, width: int = 100) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=width, highlight=False)
    write_table(report, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_terminal_shows_in_red_what_is_recreated() -> None:
    """The one word that costs a URL stands out; and nothing of what a value holds is obeyed."""
    shown = _on_a_terminal(REPORT)
    assert "\x1b[1;31mrecreate" in shown
    assert "\x1b[33mupdate" in shown
    assert "\x1b[31mred\x1b" not in shown
    assert "\\x1b[31mred" in shown


def test_a_narrow_terminal_loses_no_row() -> None:
    """Values are wrapped, and words below the table are indented on every line."""
    shown = re.sub(r"\x1b\[[\d;]*m", "", _on_a_terminal(REPORT, width=80))
    assert "workers.max" in shown
    assert "recreate" in shown
    assert all(line.startswith(" ") for line in shown.splitlines() if "GB are asked for" in line)


def test_json_tells_all_and_can_be_read_back() -> None:
    """Values are as they are, in full; only secrets are not told."""
    read = json.loads(written(Format.JSON))
    assert read == as_json(REPORT)
    properties = {item["path"]: item for item in read["stacks"][0]["resources"][0]["properties"]}
    assert properties["env.ADDED"] == {
        "path": "env.ADDED",
        "inState": None,
        "atRunpod": "[secret]",
        "isSecret": True,
        "up": "update",
    }
    assert properties["gpu"]["atRunpod"] == ["ADA_24", "NVIDIA A40"]
    assert len(properties["template.args"]["inState"]) == 108


def _report(value: object, name: str = "api") -> Report:
    properties = (PropertyDrift("name", "a", value, up=Up.UPDATE),)
    return Report(
        (StackReport("dev", "p", (ResourceDrift("urn", "runpod-serverless:index:Endpoint", name, "1", properties=properties),)),)
    )


@pytest.mark.parametrize(
    "value", ["a|b", "`", "``a`", "a\nb", "| --- |", "<img src=x>", "\u202eabc", "a\\|b", "", 0, False, {"a": 1}]
)
def test_no_value_leaves_its_cell(value: object) -> None:
    """A row of Markdown stays one row of five cells, whatever stands at Runpod."""
    lines = markdown(_report(value)).splitlines()
    (row,) = (line for line in lines if line.startswith("| `api`"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert row.isprintable()


def test_a_summary_is_written_where_github_says(tmp_path: Path) -> None:
    """Beside what an earlier step wrote, and the annotations go to the log."""
    place, log = tmp_path / "summary.md", io.StringIO()
    place.write_text("before\n")
    write(REPORT, Format.GITHUB, log, {"GITHUB_STEP_SUMMARY": str(place)})
    assert place.read_text() == "before\n" + written(Format.MARKDOWN)
    assert log.getvalue() == written(Format.GITHUB)


def test_an_annotation_is_one_line_whatever_an_error_says() -> None:
    """A message cannot begin a command of its own."""
    report = Report((StackReport("a,b:c", "p", error="100 %\r\n::set-env name=X::y"),))
    log = io.StringIO()
    write(report, Format.GITHUB, log, {})
    assert log.getvalue().splitlines()[0] == (
        "::error title=p/a%2Cb%3Ac%3A could not be compared::100 %25%0D%0A::set-env name=X::y"
    )


def test_what_is_clean_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty stacks without drift fill no page."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    report = Report(tuple(StackReport(f"s{number}", "p") for number in range(50)))
    file = io.StringIO()
    write(report, Format.TABLE, file)
    assert file.getvalue() == "50 stacks: no drift\n"
    assert markdown(report) == "## Drift: 50 stacks: no drift\n"
    assert markdown(Report(())) == "## Drift: 0 stacks: no drift\n"


@pytest.mark.parametrize(
    ("stacks", "code"),
    [
        ([], 0),
        ([StackReport("a", "p")], 0),
        ([StackReport("a", "p", up_unknown="no program")], 0),
        ([StackReport("a", "p"), *_report("b").stacks], 7),
        ([*_report("b").stacks, StackReport("a", "p", error="no")], 2),
    ],
)
def test_the_exit_code_is_the_worst_of_all(stacks: list[StackReport], code: int) -> None:
    """An error hides what could not be compared, so it comes before drift; a program that cannot run is neither."""
    assert Report(tuple(stacks)).exit_code == code


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_one_for_each_stack_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is not filled with frames, and what a stack is called cannot be taken for markup."""
    monkeypatch.setenv("TERM", "xterm")
    log, terminal = io.StringIO(), _Terminal()
    for file in (log, terminal):
        with shown(file) as on_progress:
            on_progress(StackReport("[bold]", "p"), 1, 2)
            on_progress(_report("b").stacks[0], 2, 2)
    assert log.getvalue() == "[1/2] p/[bold]: no drift\n[2/2] p/dev: 1 resource differs from the state\n"
    assert "comparing with Runpod: 2 of 2 stacks; p/dev: 1 resource differs from the state" in terminal.getvalue()
