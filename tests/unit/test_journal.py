"""The journal outlives the process, whatever ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runpod_serverless_provider import journal as module
from runpod_serverless_provider.configuration import resolve
from runpod_serverless_provider.core.ports import Intent
from runpod_serverless_provider.journal import SqliteJournal, open_journal
from unit.support import Notes

URN = "urn:pulumi:dev::app::runpod-serverless:index:Endpoint::x"
INTENT = Intent(URN, "/serverless", "x-1234567", True, "digest")

WRITER = f"""
import asyncio, sys
from pathlib import Path
from runpod_serverless_provider.core.ports import Intent, Silent
from runpod_serverless_provider.journal import SqliteJournal

async def main():
    journal = SqliteJournal(Path(sys.argv[1]), backend="b", base_url="u", api_key="k", voice=Silent())
    for number in range(int(sys.argv[2])):
        await journal.send(f"{{sys.argv[3]}}-{{number}}", Intent({URN!r}, "/serverless", "x", True, "d"), None)
    if sys.argv[4:]:
        await journal.created(f"{{sys.argv[3]}}-0", sys.argv[4])
        await journal.ended()
    print("written", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def opened(directory, *, backend="b", base_url="u", api_key="k", notes=None, wall_clock=lambda: 1000.0):
    """Open a journal as a process of its own would."""
    return SqliteJournal(
        directory, backend=backend, base_url=base_url, api_key=api_key, voice=notes or Notes(), wall_clock=wall_clock
    )


def written(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that writes, and return it when it has."""
    command = [sys.executable, "-c", WRITER, str(directory), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill it outright."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_killed_process_leaves_what_it_has_sent(tmp_path):
    """While it lives, others see that."""

    async def scenario():
        journal = opened(tmp_path)
        process = written(tmp_path, "1", "a", "e1")
        (living,) = await journal.unfinished(URN)
        assert living.is_under_way and living.id == "e1" and not await journal.take(living.number, "e1")
        end(process)
        (left,) = await journal.unfinished(URN)
        assert not left.is_under_way and left.intent == Intent(URN, "/serverless", "x", True, "d")
        assert await journal.take(left.number, "e1")
        (own,) = await journal.unfinished(URN)
        assert own.is_own and not own.is_under_way
        await journal.aclose()
        other = opened(tmp_path)
        (left,) = await other.unfinished(URN)
        assert left.id == "e1"
        await other.aclose()

    asyncio.run(scenario())


def test_who_asks_whether_a_writer_lives_is_not_taken_for_it(tmp_path):
    """Resources of one run ask at the same time, and so do runs that share a home."""

    async def scenario():
        end(written(tmp_path, "1", "a"))
        (life,) = tmp_path.glob("*.life")
        asking = sqlite3.connect(life, isolation_level=None)
        asking.execute("begin")
        asking.execute("select * from sqlite_master").fetchall()
        journal = opened(tmp_path)
        (left,) = await journal.unfinished(URN)
        assert not left.is_under_way and await journal.take(left.number, "e1")
        asking.close()
        await journal.aclose()

    asyncio.run(scenario())


def test_a_process_that_begins_is_not_cleared_away(tmp_path):
    """Its file is there for a moment before it is locked; others wait for the end of that."""

    async def scenario():
        first = opened(tmp_path)
        await first.send("a", INTENT, None)
        beginning = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        beginning.execute("begin immediate")
        (tmp_path / "beginning.life").touch()
        later = opened(tmp_path)
        sending = asyncio.ensure_future(later.send("b", INTENT, None))
        await asyncio.sleep(0.2)
        assert (tmp_path / "beginning.life").exists()
        life = sqlite3.connect(tmp_path / "beginning.life", isolation_level=None)
        life.execute("begin exclusive")
        beginning.execute("commit")
        await sending
        assert (tmp_path / "beginning.life").exists()
        for connection in (beginning, life):
            connection.close()
        for journal in (first, later):
            await journal.aclose()

    asyncio.run(scenario())


def test_two_processes_that_make_the_file_at_once_lose_nothing(tmp_path):
    """The one that waits finds what the other has noted meanwhile."""

    async def scenario():
        making = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        making.execute("pragma journal_mode = wal")
        making.execute("begin immediate")
        for statement in module._TABLES:
            making.execute(statement)
        later = opened(tmp_path)
        making.execute(
            f"insert into creations values ('1', '{later._scope}', 'k', '{URN}', 'w', '/p', 'n', 1, 'd', null, null, 1, null)"
        )
        sending = asyncio.ensure_future(later.send("2", INTENT, None))
        await asyncio.sleep(0.2)
        making.execute("commit")
        making.close()
        await sending
        assert [entry.number for entry in await later.unfinished(URN)] == ["1", "2"]
        await later.aclose()

    asyncio.run(scenario())


def test_what_was_noted_comes_back(tmp_path):
    """All that tells later whether an object is the one."""

    async def scenario():
        journal = opened(tmp_path)
        intent = Intent(URN, "/network-volumes", "mine", False, journal.digest("essence"), frozenset({"v1", "v2"}))
        await journal.send("1", intent, "Mon, 01 Jun 2026 12:00:00 GMT")
        await journal.aclose()
        later = opened(tmp_path, wall_clock=lambda: 1012.5)
        (left,) = await later.unfinished(URN)
        assert left.intent == intent and left.server_date == "Mon, 01 Jun 2026 12:00:00 GMT"
        assert left.age_seconds == 12.5 and left.id is None and later.digest("essence") == intent.digest
        await later.aclose()

    asyncio.run(scenario())


def test_processes_write_at_once(tmp_path):
    """Nothing is lost between them, and each POST's row is there before `send` returns."""
    processes = [written(tmp_path, "30", name) for name in "abcd"]
    for process in processes:
        end(process)

    async def scenario():
        journal = opened(tmp_path)
        left = await journal.unfinished(URN)
        assert {entry.number for entry in left} == {f"{name}-{number}" for name in "abcd" for number in range(30)}
        for entry in left:
            await journal.forget(entry.number)
        assert await journal.unfinished(URN) == []
        await journal.aclose()
        later = opened(tmp_path)
        await later.send("mine", INTENT, None)  # a writer clears away what the dead have left of themselves
        await later.aclose()

    asyncio.run(scenario())
    assert list(tmp_path.glob("*.life")) == []


def test_only_what_is_needed_is_touched(tmp_path):
    """A run that creates nothing leaves no file, and does not open one."""

    async def scenario():
        journal = opened(tmp_path / "deep" / "journal")
        assert await journal.unfinished(URN) == []
        await journal.named(URN, "e1", "x")
        journal.replied("e1")
        await journal.forget("1")
        await journal.ended()
        await journal.aclose()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_reads_it(tmp_path):
    """And it holds neither key nor inputs."""

    async def scenario():
        journal = opened(tmp_path / "journal", api_key="key-canary")
        await journal.send("1", Intent(URN, "/serverless", "x", True, journal.digest("value-canary")), None)
        await journal.aclose()

    asyncio.run(scenario())
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    files = list((tmp_path / "journal").iterdir())
    assert files and all(file.stat().st_mode & 0o077 == 0 for file in files if file.name == "journal.db")
    assert all(b"canary" not in file.read_bytes() for file in files)


def test_digests_of_others_say_nothing(tmp_path):
    """Equal inputs have equal digests for who has the key."""
    mine, same, other = (opened(tmp_path, api_key=key) for key in ("k", "k", "l"))
    assert mine.digest("a") == same.digest("a") != mine.digest("b")
    assert mine.digest("a") != other.digest("a")


@pytest.mark.parametrize("place", ["backend", "base_url"])
def test_backends_and_accounts_are_kept_apart(tmp_path, place):
    """An equal URN there is another resource."""

    async def scenario():
        journal = opened(tmp_path)
        await journal.send("1", INTENT, None)
        await journal.created("1", "e1")
        await journal.aclose()
        other = opened(tmp_path, **{place: "other"})
        assert await other.unfinished(URN) == []
        await other.named(URN, "e1", None)
        await other.aclose()
        same = opened(tmp_path)
        assert len(await same.unfinished(URN)) == 1
        await same.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("damage", ["no database", "a folder", "read only", "newer"])
def test_a_journal_that_cannot_be_kept_stops_nothing(tmp_path, damage, monkeypatch):
    """The user is told once what that means."""
    home = tmp_path / "journal"
    home.mkdir()
    if damage == "no database":
        (home / "journal.db").write_bytes(b"this is no database at all" * 100)
    elif damage == "a folder":
        (home / "journal.db").mkdir()
    elif damage == "newer":
        with sqlite3.connect(home / "journal.db") as file:
            file.execute(f"pragma user_version = {module.FORMAT + 1}")
        file.close()
    else:
        home = Path(os.devnull) / "journal"
    notes = Notes()

    async def scenario():
        journal = opened(home, notes=notes)
        await journal.send("1", INTENT, None)
        await journal.created("1", "e1")
        journal.replied("e1")
        await journal.ended()
        assert await journal.unfinished(URN) == [] and not await journal.take("1", "e1")
        await journal.named(URN, "e1", None)
        await journal.aclose()

    asyncio.run(scenario())
    (said,) = notes.warnings
    assert said.startswith(f"no journal can be kept in {home} (") and said.endswith("The directory is set by PULUMI_HOME")


def test_a_thread_that_cannot_start_leaves_nobody_waiting(tmp_path, monkeypatch):
    """Limits of the system may forbid it, for a moment."""
    notes = Notes()

    async def refuse(*arguments):
        raise RuntimeError("can't start new thread")

    async def scenario():
        journal = opened(tmp_path, notes=notes)
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "to_thread", refuse)
            await asyncio.wait_for(journal.send("1", INTENT, None), 10)
        await asyncio.wait_for(journal.send("2", INTENT, None), 10)
        await journal.aclose()

    asyncio.run(scenario())
    assert ["can't start new thread" in text for text in notes.warnings] == [True]


def test_a_batch_that_fails_leaves_nothing_half_done(tmp_path):
    """What goes to the disk together is there together, or not at all."""

    async def scenario():
        journal = opened(tmp_path)
        await journal.send("1", INTENT, None)
        with pytest.raises(sqlite3.Error):
            journal._commit([("delete from creations", ()), ("no SQL", ())])
        await journal.aclose()
        other = opened(tmp_path)
        assert len(await other.unfinished(URN)) == 1
        await other.aclose()

    asyncio.run(scenario())


def test_a_caller_that_gives_up_harms_no_other(tmp_path):
    """A cancelled RPC leaves the batch whole."""

    async def scenario():
        journal = opened(tmp_path)
        one, two = (asyncio.ensure_future(journal.send(number, INTENT, None)) for number in "12")
        await asyncio.sleep(0)
        one.cancel()
        await two
        await journal.aclose()
        other = opened(tmp_path)
        assert {entry.number for entry in await other.unfinished(URN)} >= {"2"}
        await other.aclose()

    asyncio.run(scenario())


def test_the_process_has_its_journal_in_the_home_of_pulumi(tmp_path):
    """The plugin inherits the environment of the CLI."""
    environment = {"PULUMI_HOME": str(tmp_path), "PULUMI_BACKEND_URL": "file:///state"}

    async def scenario():
        journal = open_journal(resolve({"apiKey": "k"}, environment, tmp_path), Notes())
        assert journal.knows_owner
        await journal.send("1", INTENT, None)
        await journal.aclose()

    asyncio.run(scenario())
    assert [file.name for file in (tmp_path / "runpod-serverless").iterdir()] == ["journal.db"]
