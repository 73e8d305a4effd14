"""The journal of creations: what a killed process leaves behind is found by the next one. A SQLite file under Pulumi's home.

A row is written, and on the disk, before its POST leaves. It goes once a state is known to hold what was created. The file holds
names, ids and URNs, and for the inputs and for secret names digests that say nothing without the API key.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from .configuration import PACKAGE, Configuration
from .core.ports import Intent, Unfinished, Voice

FORMAT: Final = 4
"""`user_version` of the file."""
_BUSY_SECONDS: Final = 10.0
_LAST_CREATIONS: Final = 3
"""The format of now has the creations of this one."""
_TABLES: Final = (
    "drop table if exists takeovers",
    """
    create table if not exists creations (
        number text primary key, scope text not null, key text not null, urn text not null, writer text not null, path text not null,
        name text not null, is_name_generated integer not null, digest text not null, before text, server_date text,
        sent_at real not null, id text
    ) strict
    """,
    "create index if not exists creations_by_urn on creations (scope, urn)",
    """
    create table marks (
        scope text not null, urn text not null, id text not null, mark text not null, run text not null, is_stored integer not null,
        primary key (scope, urn, id, mark)
    ) strict
    """,
    f"pragma user_version = {FORMAT}",
)

_Statement = tuple[str, tuple[Any, ...]]


class SqliteJournal:
    """Implements `core.ports.Journal` in `directory`, for one backend (None where it is not known) and one account.

    Safe for concurrent processes. That it cannot be kept is said once to `voice`, and stops nothing. `wall_clock` counts seconds. `run`
    is the same for all processes of one run. Belongs to one event loop.
    """

    def __init__(
        self,
        directory: Path,
        *,
        backend: str | None,
        base_url: str,
        api_key: str,
        voice: Voice,
        run: str = "",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.knows_owner = backend is not None
        self._directory = directory
        self._scope = hashlib.sha256(f"{backend}\n{base_url}".encode()).hexdigest()
        self._key = api_key.encode()
        self._key_digest = self.digest("")
        self._voice = voice
        self._wall_clock = wall_clock
        self._writer = uuid.uuid4().hex
        self._run = run or self._writer
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._life: sqlite3.Connection | None = None
        self._is_useless = False
        self._open: dict[tuple[str, str | None], str] | None = None
        self._marks: dict[tuple[str, str], str] = {}
        self._told: dict[tuple[str, str], str] = {}
        self._own: dict[str, str] = {}
        self._replied: set[str] = set()
        self._waiting: list[tuple[_Statement, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    # -- core.ports.Journal

    def digest(self, text: str) -> str:
        """Return what stands for `text`."""
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()

    async def unfinished(self, urn: str) -> list[Unfinished]:
        """Return what is open for `urn`, oldest first."""
        return await self._search("urn = ?1", urn)

    async def abandoned(self, stack: str) -> list[Unfinished]:
        """Return what ended processes left open for resources whose URN begins with `stack`."""
        found = await self._search("substr(urn, 1, length(?1)) = ?1", stack)
        return [entry for entry in found if not (entry.is_own or entry.is_under_way)]

    async def _search(self, condition: str, value: str) -> list[Unfinished]:
        columns = "number, urn, path, name, is_name_generated, digest, before, server_date, sent_at, id, writer, key"
        asked = f"select {columns} from creations where {condition} and scope = ?2 order by sent_at, rowid"
        rows = await self._ask(asked, value, self._scope)
        return await self._safely(lambda: self._unfinished(rows), is_quick=True) or []

    async def _ask(self, sql: str, *values: Any) -> list[Any]:
        """Read what is in the file, if there is one."""
        if self._file is None and not self._path.exists():
            return []
        if self._reader is None and not self._is_useless:  # a reader never waits for who writes
            self._reader = await self._safely(self._open_reader)
        return await self._safely(lambda: self._read(sql, values), is_quick=True) or []

    async def send(self, number: str, intent: Intent, server_date: str | None) -> None:
        """Note that a POST leaves."""
        before = None if intent.before is None else json.dumps(sorted(intent.before))
        row = (
            number,
            self._scope,
            self._key_digest,
            intent.urn,
            self._writer,
            intent.path,
            intent.name,
            intent.is_name_generated,
            intent.digest,
            before,
        )
        await self._write(
            f"insert or replace into creations values ({', '.join('?' * 13)})", *row, server_date, self._wall_clock(), None
        )
        self._own[number] = ""

    async def created(self, number: str, id: str) -> None:
        """Note what the answer named. Nobody waits for the disk: without the id, the object is found by its name."""
        self._enqueue("update creations set id = ? where number = ?", id, number)
        self._own[number] = id

    async def take(self, number: str, id: str) -> bool:
        """Make an unfinished creation this process's own."""
        if not await self._safely(lambda: self._take(number, id)):
            return False
        self._own[number] = id
        return True

    async def mark(self, urn: str, id: str) -> str:
        """Return a mark for what is taken over: microseconds, so that it is greater also than one of another machine."""
        newest = max(await self.newest_mark(urn, id) or "0", self._marks.get((urn, id), "0"))
        mark = f"{max(int(self._wall_clock() * 1e6), int(newest) + 1):016}"
        self._marks[urn, id] = mark
        await self._write("insert into marks values (?, ?, ?, ?, ?, false)", self._scope, urn, id, mark, self._run)
        return mark

    async def newest_mark(self, urn: str, id: str) -> str | None:
        """Return the mark of the last takeover."""
        found = await self._ask("select max(mark) from marks where scope = ? and urn = ? and id = ?", self._scope, urn, id)
        return found[0][0] if found else None

    async def stored(self, urn: str, id: str, mark: str) -> None:
        """Note that a state has an entry with this mark, also where another journal made it, or it was for another URN."""
        self._marks[urn, id] = max(self._marks.get((urn, id), ""), mark)
        key = (self._scope, urn, id, mark)
        if not await self._ask("select 1 from marks where scope = ? and urn = ? and id = ? and mark = ? and is_stored", *key):
            self._enqueue("insert or ignore into marks values (?, ?, ?, ?, ?, true)", *key, self._run)
            await self._write("update marks set is_stored = true where scope = ? and id = ? and mark = ?", self._scope, id, mark)

    async def claim(self, urn: str) -> None:
        """Note that this run decides about what was taken over."""
        if await self._ask("select 1 from marks where scope = ? and urn = ? limit 1", self._scope, urn):
            await self._write("update marks set run = ? where scope = ? and urn = ?", self._run, self._scope, urn)

    async def is_stale(self, urn: str, id: str, mark: str | None, *, is_planned: bool = False, is_new: bool = False) -> bool:
        """Say whether a greater mark is known to this process, or is of this run or in a state."""
        if self._marks.get((urn, id), "") > (mark or ""):
            return True
        if is_planned:
            return False
        asked = "select 1 from marks where scope = ? and urn = ? and id = ? and mark > ? and (is_stored or run = ? or ?)"
        return bool(await self._ask(asked, self._scope, urn, id, mark or "", self._run, is_new))

    async def unmark(self, urn: str, id: str) -> None:
        """Forget the takeovers of what is gone."""
        self._marks.pop((urn, id), None)
        self._told.pop((urn, id), None)
        if await self.newest_mark(urn, id):
            await self._write("delete from marks where scope = ? and urn = ? and id = ?", self._scope, urn, id)

    async def forget(self, number: str) -> None:
        """Drop a creation."""
        if self._file is not None:
            await self._drop(number)

    async def named(self, urn: str, id: str, name: str | None) -> None:
        """Drop a creation whose id the engine names, or whose generated name."""
        if self._open is None:
            self._open = await self._safely(self._list) or {} if self._path.exists() else {}
        own = [number for number, made in self._own.items() if made == id]
        for number in {*own, *(self._open.pop(key, None) for key in (("id", id), ("name", name)))} - {None}:
            await self.forget(str(number))

    def replied(self, id: str) -> None:
        """Note that the engine was told the id."""
        self._replied.update(number for number, made in self._own.items() if made == id)
        self._told.update({key: mark for key, mark in self._marks.items() if key[1] == id})

    async def ended(self) -> None:
        """Drop the creations that the engine was told, and so has stored."""
        for number in list(self._replied):
            self._drop(number)
        await asyncio.gather(*(self.stored(urn, id, mark) for (urn, id), mark in self._told.items()))
        if self._writing is not None:
            await self._writing

    async def aclose(self) -> None:
        """Let go of the file, and of what says that this process lives."""
        if self._writing is not None:
            await self._writing
        await asyncio.to_thread(self._close)

    # -- writing: what comes together goes to the disk together

    def _drop(self, number: str) -> asyncio.Future[None]:
        self._own.pop(number, None)
        self._replied.discard(number)
        return self._enqueue("delete from creations where number = ?", number)

    async def _write(self, sql: str, *values: Any) -> None:
        await self._enqueue(sql, *values)

    def _enqueue(self, sql: str, *values: Any) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(((sql, values), done))
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_all())
        return done

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            statements = [statement for statement, _ in batch]
            await self._safely(lambda statements=statements: self._commit(statements))  # type: ignore[misc]
            for _, done in batch:
                if not done.cancelled():
                    done.set_result(None)
        self._writing = None

    # -- the file; all below runs in threads, one at a time

    @property
    def _path(self) -> Path:
        return self._directory / "journal.db"

    async def _safely(self, work: Callable[[], Any], *, is_quick: bool = False) -> Any:
        """Run `work`, in a thread unless it `is_quick`; a journal that fails is not used again, and the user is told once."""

        def locked() -> Any:
            with self._lock:
                return work()

        if self._is_useless:
            return None
        try:
            return work() if is_quick else await asyncio.to_thread(locked)
        except Exception as problem:  # noqa: BLE001 - a disk that is full, a thread that cannot start: nothing of it may stop a run
            if not self._is_useless:
                self._is_useless = True
                await self._voice.warn(
                    f"no journal can be kept in {self._directory} ({problem}): if this run is killed while it creates something, no later "
                    "run will find it. The directory is set by PULUMI_HOME"
                )
            return None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    def _open_reader(self) -> sqlite3.Connection:
        self._connected()  # which brings the file to its form
        return self._connect()

    def _connected(self) -> sqlite3.Connection:
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._connect()
            try:
                self._path.chmod(0o600)
                (version,) = file.execute("pragma user_version").fetchone()
                if version > FORMAT:
                    raise ValueError(f"{self._path.name} is of a newer version of this provider")
                file.execute("pragma journal_mode = wal")
                file.execute("pragma synchronous = full")
                if version < FORMAT:
                    self._format(file)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def _format(self, file: sqlite3.Connection) -> None:
        """Bring the file to its form, unless another process has just done that, and noted something already."""
        with _transaction(file):
            (version,) = file.execute("pragma user_version").fetchone()
            if version < _LAST_CREATIONS:
                file.execute("drop table if exists creations")
            if version < FORMAT:
                for statement in _TABLES:
                    file.execute(statement)

    @contextlib.contextmanager
    def _living(self) -> Iterator[sqlite3.Connection]:
        """Write as a process that counts as living."""
        file = self._connected()
        with _transaction(file):
            if self._life is None:
                self._live()
            yield file

    def _commit(self, statements: Iterable[_Statement]) -> None:
        with self._living() as file:
            for sql, values in statements:
                file.execute(sql, values)

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        assert self._reader is not None
        return self._reader.execute(sql, values).fetchall()

    def _unfinished(self, rows: list[Any]) -> list[Unfinished]:
        now = self._wall_clock()
        return [
            Unfinished(
                number=row[0],
                intent=Intent(
                    row[1], row[2], row[3], bool(row[4]), row[5], None if row[6] is None else frozenset(json.loads(row[6]))
                ),
                server_date=row[7],
                age_seconds=max(0.0, now - row[8]),
                id=row[9] or self._own.get(row[0]) or None,  # which may be on its way to the disk
                is_under_way=row[10] != self._writer and self._is_alive(row[10]),
                is_own=row[10] == self._writer,
                has_this_key=row[11] == self._key_digest,
            )
            for row in rows
        ]

    def _take(self, number: str, id: str) -> bool:
        with self._living() as file:
            found = file.execute("select writer from creations where number = ?", (number,)).fetchone()
            if found is None or (found[0] != self._writer and self._is_alive(found[0])):
                return False
            file.execute("update creations set writer = ?, id = ? where number = ?", (self._writer, id, number))
            return True

    def _list(self) -> dict[tuple[str, str | None], str]:
        asked = (
            "select iif(id is null, 'name', 'id'), coalesce(id, name), number from creations "
            "where scope = ? and (id is not null or is_name_generated)"
        )
        return {(kind, known): number for kind, known, number in self._connected().execute(asked, (self._scope,))}

    # -- who lives: each writer holds a lock on a file of its own, which the system lets go of when the process ends, however it does

    def _life_of(self, writer: str) -> Path:
        return self._directory / f"{writer}.life"

    def _live(self) -> None:
        """Count as living. Within a transaction, so that nobody clears away a file that is about to be locked."""
        self._life = _locked(self._life_of(self._writer))
        (rows,) = self._connected().execute("select json_group_array(distinct writer) from creations").fetchone()
        needed = set(json.loads(rows))
        for file in self._directory.glob("*.life"):  # of the dead that left nothing
            if file.stem not in needed and file.stem != self._writer and not self._is_alive(file.stem):
                file.unlink(missing_ok=True)

    def _is_alive(self, writer: str) -> bool:
        if not self._life_of(writer).exists():
            return False
        with contextlib.closing(sqlite3.connect(self._life_of(writer), timeout=0, check_same_thread=False)) as life:
            try:  # by a shared lock: two that ask are no sign of life to each other
                life.execute("select * from sqlite_master").fetchall()
            except sqlite3.OperationalError:
                return True
        return False

    def _close(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._life is not None:
                self._life.close()
                self._life = None
                self._life_of(self._writer).unlink(missing_ok=True)
            for connection in (self._reader, self._file):
                if connection is not None:
                    connection.close()
            self._reader = self._file = None


def open_journal(configuration: Configuration, voice: Voice, run: str = "") -> SqliteJournal:
    """Return the journal of this process; `run` is what its run is known by."""
    return SqliteJournal(
        configuration.pulumi_home / PACKAGE,
        backend=configuration.backend,
        base_url=configuration.base_url,
        api_key=configuration.api_key,
        voice=voice,
        run=run,
    )


@contextlib.contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing, and after what others are writing."""
    file.execute("begin immediate")
    try:
        yield
        file.execute("commit")
    except BaseException:
        file.execute("rollback")
        raise


def _locked(file: Path) -> sqlite3.Connection:
    """Lock a file as a database that nobody else may open; raises sqlite3.OperationalError where somebody has."""
    connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("pragma journal_mode = off")  # there is nothing to roll back
        connection.execute("begin exclusive")
    except BaseException:
        connection.close()
        raise
    return connection
