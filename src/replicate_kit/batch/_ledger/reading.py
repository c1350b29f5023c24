"""What is read of a journal: entries of rows, who has them, and whose a prediction is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
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
]

Connection = sqlite3.Connection

_NEWEST = 2000  # rows that are looked through for the predictions of late
_SHOWN = 3  # predictions that tell an account
_LARGEST = 256  # rows in one query
_OPEN = ("intent", "created")

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
_SEEN = "SELECT prediction_id FROM accounts WHERE token = ? AND prediction_id IS NOT NULL ORDER BY rowid DESC LIMIT ?"


def entry_columns(*, outputs: bool = True) -> str:
    """The columns of items (`i`) and accounts (`a`) that `entry_of` makes an entry of."""
    return (
        "i.state, i.run, CASE i.state WHEN 'intent' THEN i.before END, i.prediction_id, i.status, "
        f"{'i.output' if outputs else 'NULL'}, i.stored, i.stored_in, i.error, i.seconds, i.cost, i.finished_at, "
        "COALESCE(i.fingerprint, x''), COALESCE(i.sent_at, 0.0), COALESCE(i.settled_at, 0.0), i.clock, a.token"
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
        """Read what is known of rows."""
        found: list[Entry | None] = [None] * len(keys)
        # The first run with a journal asks about all of its rows, of which none is there.
        if not keys or db.execute("SELECT 1 FROM items LIMIT 1").fetchone() is None:
            return found
        holders = _Holders(self)
        for start in range(0, len(keys), _LARGEST):
            part = keys[start : start + _LARGEST]
            size = 1 << (len(part) - 1).bit_length()  # few sizes: SQLite prepares a query for each
            values = [each for key in part for each in key] + [None] * (2 * (size - len(part)))
            for row in db.execute(_query(size, outputs), values):
                found[start + row[0]] = entry_of(part[row[0]], row[1:], holders.__getitem__)
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


_QUERIES: dict[tuple[int, bool], str] = {}


def _query(size: int, outputs: bool) -> str:
    """The query for so many rows; it tells which one each is."""
    query = _QUERIES.get((size, outputs))
    if query is None:
        asked = ", ".join(f"({position}, ?, ?)" for position in range(size))
        # By key and sample, one by one: of equal rows that share a key there may be very many.
        query = _QUERIES[size, outputs] = (
            f"WITH asked (position, key, sample) AS (VALUES {asked}) "
            f"SELECT asked.position, {entry_columns(outputs=outputs)} FROM asked "
            "CROSS JOIN items AS i ON i.key = asked.key AND i.sample = asked.sample "
            "LEFT JOIN accounts AS a ON a.run = i.run"
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
