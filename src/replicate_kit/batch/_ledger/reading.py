"""What is read of a journal: entries of rows, who has them, and whose a prediction is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from replicate_kit.batch._ledger.entries import Entry, Holder, Key, Owner, State
from replicate_kit.batch._ledger.hashing import HASHED

__all__ = [
    "Reader",
    "entry_columns",
    "entry_of",
    "is_owned",
    "owner_of",
    "owners_of",
    "recent_predictions",
    "shown_predictions",
    "telling_predictions",
]

Connection = sqlite3.Connection

_NEWEST = 2000  # rows that are looked through for the predictions of late
_SHOWN = 3  # predictions that tell an account
_LARGEST = 256  # rows in one query
_OPEN = ("intent", "created")
_made = Entry._make

# States and fields stand in many entries: one text of each in memory is enough, and takes no time to compare.
_STATES: dict[str, State] = {each: each for each in get_args(State)}

_OWNED = (
    "SELECT 1 FROM items WHERE prediction_id = ? UNION ALL SELECT 1 FROM attempts WHERE prediction_id = ?"
)
_OWNER = (
    "SELECT key, sample FROM items WHERE prediction_id = ? "
    "UNION ALL SELECT key, sample FROM attempts WHERE prediction_id = ?"
)
_OWNERS = (
    "WITH asked AS (SELECT value FROM json_each(:ids)), owned AS ("
    "SELECT prediction_id, key, sample, model, input, fingerprint FROM items WHERE prediction_id IN asked "
    "UNION ALL SELECT a.prediction_id, a.key, a.sample, i.model, i.input, i.fingerprint FROM attempts AS a "
    "LEFT JOIN items AS i ON i.rowid = (SELECT MIN(rowid) FROM items WHERE key = a.key) "
    "WHERE a.prediction_id IN asked) "
    "SELECT prediction_id, key, sample, model IS :model, "
    "CASE WHEN substr(input, 1, length(:hashed)) = :hashed THEN NULL ELSE input END, fingerprint FROM owned"
)
# 120 of the 130 seconds are what two clocks may differ by that were never compared (`_UNCOMPARED` of `clocks`).
_RECENT = (
    "SELECT prediction_id FROM (SELECT * FROM items ORDER BY rowid DESC LIMIT ?) WHERE model = ? AND "
    "prediction_id IS NOT NULL AND state != 'intent' AND sent_at >= ? - iif(clock = 'server', 10, 130) "
    "ORDER BY sent_at"
)
# Of rows that are open and of those that have ended, and one of each token. What somebody settled by hand may be wrong.
_NEWEST_OF = (
    "SELECT prediction_id FROM (SELECT prediction_id FROM items WHERE prediction_id IS NOT NULL "
    "AND status IS NOT 'adopted' AND state {} ('created', 'unknown') ORDER BY sent_at DESC LIMIT :few)"
)
_TELLING = (
    f"{_NEWEST_OF.format('NOT IN')} UNION {_NEWEST_OF.format('IN')} "
    "UNION SELECT MAX(prediction_id) FROM accounts WHERE prediction_id IS NOT NULL GROUP BY token"
)
_SEEN = "SELECT prediction_id FROM accounts WHERE token = ? AND prediction_id IS NOT NULL ORDER BY rowid DESC LIMIT ?"


def entry_columns() -> str:
    """The columns of items (`i`) and accounts (`a`) that `entry_of` makes an entry of."""
    return f"{_of_item(outputs=True)}, a.token"


def _of_item(*, outputs: bool) -> str:
    """Those of items alone."""
    return (
        "i.state, i.run, CASE i.state WHEN 'intent' THEN i.before END, i.prediction_id, i.status, "
        f"{'i.output' if outputs else 'NULL'}, i.stored, i.stored_in, i.error, i.seconds, i.cost, i.finished_at, "
        "COALESCE(i.fingerprint, x''), COALESCE(i.sent_at, 0.0), COALESCE(i.settled_at, 0.0), i.clock"
    )


def entry_of(key: Key, row: Sequence[Any], holder: Callable[[str], Holder]) -> Entry:
    """Make an entry of a row with `entry_columns`; `holder` says who a run is."""
    state = _STATES[row[0]]
    return Entry._make((key, state, holder(row[1]) if state in _OPEN else "nobody", *row[2:]))


class Reader:
    """Reads entries for one run. `alive` asks whether another run still lives."""

    def __init__(self, run: str, alive: Callable[[str], bool]) -> None:
        self._run, self._alive = run, alive
        self._dead: set[str] = set()

    def find(self, db: Connection, keys: Sequence[Key], *, outputs: bool = True) -> list[Entry | None]:
        """Read what is known of rows; without `outputs` no more than that takes."""
        # The first run with a journal asks about all of its rows, of which none is there.
        if not keys or db.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None:
            return [None] * len(keys)
        if outputs:
            return self._read(db, keys, _WITH_OUTPUTS)
        found: list[Entry | None] = [None] * len(keys)
        for start, rows in _rows(db, keys, _OF_ENDED):
            for row in rows:
                position, state, id, status = start + row[0], _STATES[row[1]], row[2], row[3]
                found[position] = _made(
                    (keys[position], state, "nobody", None, id, status, None, *row[4:], *_NO_CREATE)
                )
        unended = [position for position, each in enumerate(found) if each is not None and each.is_open]
        for position, entry in zip(
            unended, self._read(db, [keys[each] for each in unended], _WITHOUT_OUTPUTS), strict=True
        ):
            found[position] = entry
        return found

    def _read(self, db: Connection, keys: Sequence[Key], columns: str) -> list[Entry | None]:
        """Read columns `_of_item`, and whose the rows are."""
        found: list[Entry | None] = [None] * len(keys)
        holders, accounts = _Holders(self), _Accounts(db)
        for start, rows in _rows(db, keys, columns):
            for row in rows:
                # As `entry_of` does. To call that for each of very many would take as long as to read them.
                position, state = start + row[0], _STATES[row[1]]
                holder = holders[row[2]] if state in _OPEN else "nobody"
                found[position] = _made((keys[position], state, holder, *row[3:], accounts[row[2]]))
        return found

    def holder(self, run: str) -> Holder:
        """Say who has what a run has left open: ask the operating system, and once for a run that is dead."""
        # No id of a run is used again, so that a dead run stays dead. A living one may die at any time: we ask about it
        # again.
        if run == self._run:
            return "ours"
        if run in self._dead:
            return "nobody"
        if self._alive(run):
            return "theirs"
        self._dead.add(run)
        return "nobody"


class _Holders(dict[str, Holder]):
    """Who runs are, each asked about once: the rows of one look are many, and of few runs."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader

    def __missing__(self, run: str) -> Holder:
        self[run] = self._reader.holder(run)
        return self[run]


class _Accounts(dict[str, str | None]):
    """The accounts of runs, each looked up once: that is faster than a join, as rows are of few runs."""

    def __init__(self, db: Connection) -> None:
        super().__init__()
        self._db = db

    def __missing__(self, run: str) -> str | None:
        found = self._db.execute("SELECT token FROM accounts WHERE run = ?", (run,)).fetchone()
        self[run] = None if found is None else found[0]
        return self[run]


# What `_of_item` has, but for what is noted of a create until it has ended.
_OF_ENDED = (
    "i.state, i.prediction_id, i.status, i.stored, i.stored_in, i.error, i.seconds, i.cost, i.finished_at"
)
_NO_CREATE = Entry(Key(b""), "finished")[13:]
_WITH_OUTPUTS, _WITHOUT_OUTPUTS = _of_item(outputs=True), _of_item(outputs=False)
_QUERIES: dict[tuple[int, str], str] = {}


def _rows(db: Connection, keys: Sequence[Key], columns: str) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Read columns of the rows that there are, part by part: where its keys begin, and rows with the place of each."""
    for start in range(0, len(keys), _LARGEST):
        part = keys[start : start + _LARGEST]
        size = 1 << (len(part) - 1).bit_length()  # few sizes: SQLite prepares a query for each
        values = [each for key in part for each in key] + [None] * (2 * (size - len(part)))
        yield start, db.execute(_query(size, columns), values).fetchall()


def _query(size: int, columns: str) -> str:
    """The query for so many rows; it tells which one each is."""
    query = _QUERIES.get((size, columns))
    if query is None:
        asked = ", ".join(f"({position}, ?, ?)" for position in range(size))
        # By key and sample, one by one: of equal rows that share a key there may be very many.
        query = _QUERIES[size, columns] = (
            f"WITH asked (position, key, sample) AS (VALUES {asked}) "
            f"SELECT asked.position, {columns} FROM asked "
            "CROSS JOIN items AS i ON i.key = asked.key AND i.sample = asked.sample"
        )
    return query


def is_owned(db: Connection, id: str) -> bool:
    """Whether a prediction belongs to a row, as its present or an earlier one."""
    return db.execute(_OWNED, (id, id)).fetchone() is not None


def owner_of(db: Connection, id: str) -> Key:
    """The row that a prediction belongs to."""
    return Key(*db.execute(_OWNER, (id, id)).fetchone())


def owners_of(db: Connection, ids: Iterable[str], model: str) -> Mapping[str, Owner]:
    """Say which predictions belong to rows, and what was sent for them."""
    found = db.execute(_OWNERS, {"ids": json.dumps(list(ids)), "model": model, "hashed": HASHED})
    return {id: Owner(Key(key, sample), bool(ours), *rest) for id, key, sample, ours, *rest in found}


def recent_predictions(db: Connection, model: str, since: float) -> list[str]:
    """The predictions of the newest rows that may have been created since then, the oldest first.

    A create that was noted by our own clock may be younger than that says by as much as two clocks may differ.
    """
    return [id for (id,) in db.execute(_RECENT, (_NEWEST, model, since))]


def shown_predictions(db: Connection, account: str) -> list[str]:
    """The latest predictions that were shown to an account."""
    return [id for (id,) in db.execute(_SEEN, (account, _SHOWN))]


def telling_predictions(db: Connection) -> list[str]:
    """A few predictions of a journal, of which a service that knows none is not the one that ran them."""
    return [id for (id,) in db.execute(_TELLING, {"few": _SHOWN})]
