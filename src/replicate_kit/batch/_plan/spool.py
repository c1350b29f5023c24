"""What one run keeps of its rows until they are given: rows, their order, results. Nothing that another run needs.

It is an SQLite file that goes when the run ends, however that ends. Nothing in it is needed after a crash, so that its
writes need not reach the disk, and take microseconds: they are made on the run's own thread, all but those that go over
all rows at once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch._ledger.entries import Entry, Key
from replicate_kit.batch._ledger.space import can_be_written, is_of_space
from replicate_kit.errors import JournalError

if TYPE_CHECKING:
    from replicate_kit.batch._plan.files import NotedFile
    from replicate_kit.batch._plan.preparing import Prepared

__all__ = ["Item", "Row", "Spool", "Standing", "spool_folder"]

# `first` is where an equal row came first, whose item the row shares.
# `ready` is 0 while a row has no result, 1 where the ledger had it before the run (and has it: it is not copied), 2
# where the run has paid for it, 3 where the run has brought to its end what was paid for before.
_TABLES = """
CREATE TABLE rows (pos INTEGER PRIMARY KEY, first INTEGER NOT NULL, digest BLOB, sample INTEGER NOT NULL DEFAULT 0,
    input TEXT NOT NULL, problem TEXT);
CREATE TABLE files (hash TEXT PRIMARY KEY, path BLOB, content BLOB, name TEXT, upload INTEGER);
CREATE TABLE items (
    pos INTEGER PRIMARY KEY, digest BLOB NOT NULL, sample INTEGER NOT NULL, copies INTEGER NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, left INTEGER NOT NULL DEFAULT 0,
    state TEXT, prediction_id TEXT, status TEXT, output TEXT, stored TEXT, stored_in TEXT, error TEXT, seconds REAL,
    cost REAL
);
"""
_ITEMS = (
    "SELECT w.since, w.pos, w.digest, w.sample, r.input, w.copies FROM items AS w JOIN rows AS r ON r.pos = w.pos "
    "WHERE w.ready = 0 AND "
)
# What is paid for comes oldest first, since outputs expire; the rest in the order of the rows.
_KNOWN = _ITEMS + "w.known = 1 AND (w.since, w.pos) > (:since, :pos) ORDER BY w.since, w.pos LIMIT :most"
_FRESH = _ITEMS + "w.known = 0 AND w.pos > :pos ORDER BY w.pos LIMIT :most"
_ROWS = (
    "SELECT r.pos, r.input, r.problem, w.ready, r.digest, r.sample, r.first FROM rows AS r "
    "LEFT JOIN items AS w ON w.pos = r.first "
)
_RESULTS = (
    "SELECT pos, state, prediction_id, status, output, stored, stored_in, error, seconds, cost FROM items "
    "WHERE ready > 1 AND "
)
_STAND = "UPDATE items SET ready = ?, known = ?, since = ?, failed = ?, left = ?, state = ? WHERE "
_CHUNK = 200
_PROBE = 1 << 20  # bytes; SQLite asks for less at a time
_KNOWN_BEFORE, _PAID_HERE, _ENDED_HERE = 1, 2, 3  # values of `ready`


class Item(NamedTuple):
    """A distinct row: its key, the position where it came first, its canonical input, and how often it comes."""

    key: Key
    pos: int
    input: str
    copies: int = 1


class Standing(NamedTuple):
    """How a distinct row stood in the ledger when the run was planned.

    `ready` says that its result is there; where it is not, `since` is the Unix time of what is known. `known` says that
    it is not paid for again, `left` that a prediction of it was under way. `state` is "gone" where files that were
    stored are not there any more.
    """

    ready: bool
    known: bool
    since: float
    failed: bool
    left: bool
    state: str


class Row(NamedTuple):
    """A row on its way to whoever takes the results. `entry` is what became of it; None while that is not known."""

    pos: int
    input: str
    problem: str | None
    ready: int
    entry: Entry | None
    key: Key | None

    @property
    def is_in_ledger(self) -> bool:
        """Whether the ledger had its result before the run, and has to be asked for it."""
        return self.ready == _KNOWN_BEFORE

    @property
    def is_paid_here(self) -> bool:
        """Whether this run has paid for it."""
        return self.ready == _PAID_HERE

    @property
    def has_failed(self) -> bool:
        """Whether there is an error that was written down; that an output cannot be decoded never is."""
        return self.problem is not None or (self.entry is not None and self.entry.error is not None)

    @property
    def is_done(self) -> bool:
        """Whether there is a result to give."""
        return self.problem is not None or self.ready > 0


class Spool:
    """The rows of one run, in a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: list[tuple[Any, ...]] = []
        with self._explained():
            self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        """Make a file that nobody else can open, and that the system takes away with the process."""
        if (
            sys.platform == "win32"
        ):  # which keeps the name of a file that is open: SQLite has such files itself
            return _prepared("")
        path = self.folder / f".replicate-kit-rows-{uuid.uuid4().hex}"
        # Before SQLite opens it, which would make it as the umask says: rows may hold secrets.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            database = _prepared(path)
        except BaseException:
            path.unlink()
            raise
        try:
            path.unlink()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let the rows go."""
        self._db.close()

    # Planning.

    def add(self, rows: Sequence[Prepared], files: Sequence[NotedFile]) -> None:
        """Take rows, and the files that they name."""
        with self._together():
            self._db.executemany(
                "INSERT INTO rows (first, pos, digest, input, problem) VALUES (?, ?, ?, ?, ?)",
                [(row[0], *row) for row in rows],
            )
            if files:
                self._db.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?)", files)

    def take(self, rows: Sequence[tuple[Key, str]]) -> None:
        """Take rows of a ledger with their canonical inputs: which of equal ones each is is known already."""
        with self._together():
            self._db.executemany(
                "INSERT INTO rows (pos, first, digest, sample, input) VALUES (?, ?, ?, ?, ?)",
                [(pos, pos, *key, input) for pos, (key, input) in enumerate(rows)],
            )
        self.fold(dedupe=None)

    def fold(self, *, dedupe: bool | None) -> None:
        """Make one item of equal rows, or one of each; None: they are told apart already. Goes over all rows."""
        with self._together():
            self._db.execute("CREATE INDEX rows_by_key ON rows (digest, sample, pos)")
            if dedupe:
                self._db.execute(
                    "CREATE TABLE equal AS SELECT digest, MIN(pos) AS first, COUNT(*) AS copies FROM rows "
                    "WHERE digest IS NOT NULL GROUP BY digest HAVING copies > 1"
                )
                self._db.execute(
                    "UPDATE rows AS r SET first = e.first FROM equal AS e WHERE e.digest = r.digest"
                )
            elif dedupe is False:
                self._db.execute(
                    "UPDATE rows AS r SET sample = n.nth FROM (SELECT pos, row_number() OVER (PARTITION BY digest "
                    "ORDER BY pos) - 1 AS nth FROM rows WHERE digest IS NOT NULL) AS n WHERE n.pos = r.pos"
                )
            self._db.execute(
                "INSERT INTO items (pos, digest, sample, copies) SELECT pos, digest, sample, 1 FROM rows "
                "WHERE digest IS NOT NULL AND first = pos ORDER BY pos"
            )
            if dedupe:
                self._db.execute(
                    "UPDATE items AS w SET copies = e.copies FROM equal AS e WHERE e.first = w.pos"
                )
                self._db.execute("DROP TABLE equal")
            self._db.execute("CREATE INDEX items_by_age ON items (since, pos) WHERE ready = 0 AND known = 1")

    def keys(self, most: int) -> Iterator[list[tuple[int, int, Key]]]:
        """Give the positions, the copies and the keys of all items, so many at a time."""
        after = -1
        query = "SELECT pos, copies, digest, sample FROM items WHERE pos > ? ORDER BY pos LIMIT ?"
        while rows := self._fetched(query, (after, most)):
            yield [(pos, copies, Key(digest, sample)) for pos, copies, digest, sample in rows]
            after = rows[-1][0]

    def items(self, *, known: bool) -> Iterator[Item]:
        """Give the items without a result: those that the ledger knows, oldest first, or the others.

        They are read a chunk at a time: what gets a result meanwhile is left out.
        """
        query = _KNOWN if known else _FRESH
        after: dict[str, Any] = {"since": -1.0, "pos": -1, "most": _CHUNK}
        while rows := self._fetched(query, after):
            for _, pos, digest, sample, input, copies in rows:
                yield Item(Key(digest, sample), pos, input, copies)
            after |= {"since": rows[-1][0], "pos": rows[-1][1]}

    def stand(self, standings: Mapping[Standing, list[int]]) -> None:
        """Note how items stood in the ledger, by their positions in order; those that stood alike are noted at once."""
        with self._together():
            for how, positions in standings.items():
                first, last = positions[0], positions[-1]
                if last - first + 1 == len(positions):
                    self._db.execute(_STAND + "pos BETWEEN ? AND ?", (*how, first, last))
                else:
                    among = "pos IN (SELECT value FROM json_each(?))"
                    self._db.execute(_STAND + among, (*how, json.dumps(positions)))

    def left_open(self, pos: int) -> bool:
        """Whether a prediction of an item was under way when the run was planned."""
        return bool(self._one("SELECT left FROM items WHERE pos = ?", pos)[0])

    def counts(self) -> tuple[int, int]:
        """Count the rows, and those that cannot be sent."""
        rows, invalid = self._one("SELECT COUNT(*), COUNT(problem) FROM rows")
        return int(rows), int(invalid)

    def problems(self, most: int) -> list[tuple[int, str]]:
        """The first rows that cannot be sent, and why."""
        query = "SELECT pos, problem FROM rows WHERE problem IS NOT NULL ORDER BY pos LIMIT ?"
        return self._fetched(query, (most,))

    def uploads(self, mark: str) -> int:
        """The bytes of files that rows to be paid name under `mark`."""
        # Inputs are looked through only if there is any file.
        found = self._one(
            "SELECT COALESCE(SUM(upload), 0) FROM files WHERE hash IN (SELECT named.value FROM items AS w "
            "JOIN rows AS r ON r.pos = w.pos, json_tree(r.input) AS named WHERE NOT w.known AND named.key = ?)",
            mark,
        )
        return int(found[0])

    def file(self, hash: str) -> tuple[bytes | None, bytes | None, str]:
        """Where the content of a file is: its path or its bytes, and its name."""
        found: tuple[bytes | None, bytes | None, str] = self._one(
            "SELECT path, content, name FROM files WHERE hash = ?", hash
        )
        return found

    # Results.

    def put(self, item: Item, entry: Entry, *, paid_here: bool) -> None:
        """Note what became of an item; it is written together with others, before anything is read."""
        self._results.append((_PAID_HERE if paid_here else _ENDED_HERE, *entry[1:2], *entry[4:12], item.pos))

    def rows(self, first: int, most: int, *, done: bool) -> list[Row]:
        """Read rows from a position on: with `done` as far as they have a result, and the first that has none."""
        self._flush()
        found: list[tuple[Any, ...]] = []
        with self._explained():
            for each in self._db.execute(_ROWS + "WHERE r.pos >= ? ORDER BY r.pos LIMIT ?", (first, most)):
                found.append(each)
                if done and not each[3] and each[2] is None:  # neither a result nor a problem
                    break
        return self._filled(found)

    def rows_of(self, key: Key) -> list[Row]:
        """Read all rows of an item."""
        return self._selected("WHERE r.digest = ? AND r.sample = ?", *key)

    def row(self, pos: int) -> Row:
        """Read one row."""
        (found,) = self._selected("WHERE r.pos = ?", pos)
        return found

    def given_before(self, first: int, most: int) -> list[Row]:
        """Read rows whose result was known before the run, or that cannot be sent."""
        return self._selected(
            "WHERE r.pos >= ? AND (r.problem IS NOT NULL OR w.ready = 1) ORDER BY r.pos LIMIT ?", first, most
        )

    def left_out(self, first: int, most: int) -> list[Row]:
        """Read rows that have no result."""
        return self._selected(
            "WHERE r.pos >= ? AND r.problem IS NULL AND w.ready = 0 ORDER BY r.pos LIMIT ?", first, most
        )

    def done(self, first: int, most: int) -> list[Row]:
        """Read rows that have a result."""
        return self._selected(
            "WHERE r.pos >= ? AND (r.problem IS NOT NULL OR w.ready > 0) ORDER BY r.pos LIMIT ?", first, most
        )

    def failed_before(self) -> Row | None:
        """The first row that had an error before the run."""
        found = self._selected("WHERE w.ready = 1 AND w.failed = 1 ORDER BY r.pos LIMIT 1")
        return found[0] if found else None

    def known_before(self, first: int, most: int) -> list[Row]:
        """Read rows whose result was known before the run."""
        return self._selected("WHERE r.pos >= ? AND w.ready = 1 ORDER BY r.pos LIMIT ?", first, most)

    def input_of(self, digest: bytes) -> str | None:
        """The canonical input of a row of this run; None where it has none."""
        found = self._fetched("SELECT input FROM rows WHERE digest = ? LIMIT 1", (digest,))
        return str(found[0][0]) if found else None

    def stored(self, stored_in: str) -> list[str]:
        """What is noted of the files of items that are stored there, for those that this run has brought to an end."""
        self._flush()
        query = "SELECT stored FROM items WHERE state = 'saved' AND stored_in = ? AND ready > 1 ORDER BY pos"
        return [row[0] for row in self._fetched(query, (stored_in,))]

    def at_stake(self) -> bool:
        """Whether items may be paid for whose output another run may still get."""
        self._flush()
        found = self._fetched(
            "SELECT 1 FROM items WHERE (ready = 0 AND left = 1) OR (ready > 0 AND (state = 'unknown' OR "
            "(state = 'finished' AND (error IS NOT NULL OR failed = 1)))) LIMIT 1",
            (),
        )
        return bool(found)

    # How it is read and written.

    def _selected(self, which: str, *values: Any) -> list[Row]:
        """Read rows with what became of them."""
        self._flush()
        return self._filled(self._fetched(_ROWS + which, values))

    def _filled(self, rows: list[tuple[Any, ...]]) -> list[Row]:
        """Make rows of what was read, with what this run has made of them."""
        items = {each[6] for each in rows if each[3] and each[3] > _KNOWN_BEFORE}
        if len(items) == 1:  # as where results are given as they finish
            found = self._fetched(_RESULTS + "pos = ?", tuple(items))
        else:
            among = "pos IN (SELECT value FROM json_each(?))"
            found = self._fetched(_RESULTS + among, (json.dumps(list(items)),)) if items else []
        results = {each[0]: each[1:] for each in found}
        return [
            _row(pos, input, problem, ready, digest, sample, results.get(first))
            for pos, input, problem, ready, digest, sample, first in rows
        ]

    def _flush(self) -> None:
        """Write results that wait."""
        results, self._results = self._results, []
        if results:
            with self._together():
                self._db.executemany(
                    "UPDATE items SET ready = ?, state = ?, prediction_id = ?, status = ?, output = ?, stored = ?, "
                    "stored_in = ?, error = ?, seconds = ?, cost = ? WHERE pos = ?",
                    results,
                )

    def _fetched(self, query: str, values: Any) -> list[tuple[Any, ...]]:
        """Read what a query gives."""
        with self._explained():
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        """Read the one row that a query gives."""
        return self._fetched(query, values)[0]

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Write several things as one."""
        with self._explained():
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say where the rows wait, and what to do, when the file cannot be used."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            full = is_of_space(error) or not can_be_written(self.folder, _PROBE)
            raise JournalError(
                f"The rows of this run wait in a temporary file in {str(self.folder)!r}, which cannot "
                + (
                    f"grow: {error}. The disk is full, or a limit for files is reached (ulimit -f, quotas). Free some "
                    "space there"
                    if full
                    else f"be used: {error}. See that files can be written there"
                )
                + ", or name another folder in the environment variable REPLICATE_KIT_SPOOL, and run it again: what "
                "was paid for is in the journal, or is found at the API."
            ) from error


def _prepared(path: Path | str) -> sqlite3.Connection:
    """Connect to a new database, which is used by one thread at a time, and make its tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for statement in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            connection.execute(f"PRAGMA {statement}")
        connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def spool_folder(journal: Path | None) -> Path:
    """The folder for the rows of a run: the one that the environment names, else that of its journal's file.

    Without such a file, and on Windows, it is the system's for temporary files, which is often in memory.
    """
    named = os.environ.get("REPLICATE_KIT_SPOOL")
    if sys.platform == "win32":
        return Path(tempfile.gettempdir()).absolute()
    if named:
        return Path(named).absolute()
    return Path(tempfile.gettempdir()).absolute() if journal is None else journal.parent


def _row(
    pos: int,
    input: str,
    problem: str | None,
    ready: int | None,
    digest: bytes | None,
    sample: int,
    result: tuple[Any, ...] | None,
) -> Row:
    """Make a row of what was read."""
    if digest is None:
        return Row(pos, input, problem, 0, None, None)
    key = Key(digest, sample)
    entry = None if result is None else Entry(key, result[0], "nobody", None, *result[1:])
    return Row(pos, input, problem, ready or 0, entry, key)
