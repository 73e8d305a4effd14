"""Where the emulator keeps its documents: in memory, and in a SQLite file when it has one. Knows no rules."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

KINDS = ("endpoints", "templates", "networkVolumes", "registries", "delegations", "jobs", "gpus", "cpus", "dataCenters", "meta")
_FORMAT = 1  # of the documents in a file; another one is refused


class UnusableFileError(Exception):
    """The state file cannot be used; the message says why."""


def _opened(path: Path) -> sqlite3.Connection:
    try:
        file = sqlite3.connect(path, timeout=0.2, check_same_thread=False, isolation_level=None)
        try:
            _prepare(file, path)
        except BaseException:
            file.close()
            raise
    except sqlite3.OperationalError as error:
        reason = "another emulator uses it" if "locked" in str(error) else str(error)
        raise UnusableFileError(f"the state file {str(path)!r} cannot be opened: {reason}") from None
    except sqlite3.DatabaseError as error:
        raise UnusableFileError(f"the state file {str(path)!r} cannot be read: {error}") from None
    return file


def _prepare(file: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is ours before anything is written to it."""
    file.execute("PRAGMA locking_mode = EXCLUSIVE")
    [written] = file.execute("PRAGMA user_version").fetchone()
    [tables] = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and written != _FORMAT:
        raise UnusableFileError(f"the state file {str(path)!r} was not written by this version of the emulator; name another file")
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")  # a crash of this process loses nothing
    file.execute(
        "CREATE TABLE IF NOT EXISTS documents (position INTEGER PRIMARY KEY, kind TEXT, id TEXT, doc TEXT, UNIQUE (kind, id))"
    )
    file.execute(f"PRAGMA user_version = {_FORMAT}")


class Store:
    """Documents by kind and id, in order of creation. With a path, they survive the process."""

    def __init__(self, path: Path | None = None) -> None:
        self._kinds: dict[str, dict[str, Doc]] = {kind: {} for kind in KINDS}
        self._file = None if path is None else _opened(path)
        if self._file is not None:
            for kind, identifier, doc in self._file.execute("SELECT kind, id, doc FROM documents ORDER BY position"):
                self._kinds[kind][identifier] = json.loads(doc)

    def all(self, kind: str) -> list[Doc]:
        """Return the documents of a kind, oldest first."""
        return list(self._kinds[kind].values())

    def get(self, kind: str, identifier: str) -> Doc | None:
        """Return one document, or None."""
        return self._kinds[kind].get(identifier)

    def put(self, kind: str, identifier: str, doc: Doc) -> None:
        """Create or replace one document."""
        self._kinds[kind][identifier] = doc
        if self._file is not None:
            self._file.execute(
                "INSERT INTO documents (kind, id, doc) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET doc = excluded.doc",
                (kind, identifier, json.dumps(doc)),
            )

    def remove(self, kind: str, identifier: str) -> bool:
        """Remove one document; say whether it was there."""
        found = self._kinds[kind].pop(identifier, None) is not None
        if self._file is not None:
            self._file.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, identifier))
        return found

    def clear(self) -> None:
        """Remove everything."""
        for documents in self._kinds.values():
            documents.clear()
        if self._file is not None:
            self._file.execute("DELETE FROM documents")

    def new_id(self, kind: str, length: int = 10) -> str:
        """Return the next id: the same sequence in every fresh store, so that a test can be repeated."""
        meta = self.get("meta", "serial") or {"serial": 0}
        serial = meta["serial"] + 1
        self.put("meta", "serial", {"serial": serial})
        number = int.from_bytes(hashlib.sha256(f"{kind}/{serial}".encode()).digest()[:16], "big")
        letters = ""
        while len(letters) < length:
            number, rest = divmod(number, 36)
            letters += "0123456789abcdefghijklmnopqrstuvwxyz"[rest]
        return letters

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
