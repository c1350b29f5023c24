"""Looks after a journal in an SQLite file: what it holds, what of it may go, what is to be paid again."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicate_kit.batch._ledger import settling
from replicate_kit.batch._ledger.contents import Content
from replicate_kit.batch._ledger.database import explained
from replicate_kit.batch._ledger.entries import Key, State
from replicate_kit.batch._ledger.hashing import HASHED, input_hash, redacted
from replicate_kit.batch._ledger.locks import in_use, is_alive
from replicate_kit.batch._ledger.paying import LABEL, LABEL_OF_INTENT, PAYMENTS, forget_gone
from replicate_kit.batch._ledger.places import drop
from replicate_kit.batch._ledger.protocol import Payment, Record, Summary
from replicate_kit.batch._ledger.reading import Reader, entry_columns, entry_of, is_owned, telling_predictions
from replicate_kit.batch._ledger.spending import fill_costs, forget_used
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch._ledger.transfer import holds_anything, read_contents, write_contents
from replicate_kit.batch._money.pricing import Price
from replicate_kit.errors import JournalError

__all__ = ["SqliteAdministrator"]

_RECORDS = (
    f"SELECT CASE WHEN i.state = 'intent' THEN {LABEL_OF_INTENT} "
    f"WHEN i.prediction_id NOTNULL OR i.status = 'unknown' THEN {LABEL.format('i')} END, "
    f"i.key, i.sample, i.model, i.input, i.attempts, {entry_columns()} FROM items AS i "
    "LEFT JOIN accounts AS a ON a.run = i.run"
)
_CHOSEN = "(? IS NULL OR state IN (SELECT value FROM json_each(?)))"
_COST = "SELECT SUM(cost) FROM (SELECT cost FROM items UNION ALL SELECT cost FROM attempts)"


class SqliteAdministrator:
    """Has a journal open that exists. Raises `JournalError` for a file that is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = Reader("", self._may_live)
        with self._explaining():
            self._db = open_journal(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def summary(self) -> Summary:
        """Say what it holds."""
        with self._explaining():
            states = self._db.execute("SELECT state, COUNT(*) FROM items GROUP BY state ORDER BY state")
            labels = self._db.execute("SELECT DISTINCT label FROM labels ORDER BY label")
            models = self._db.execute("SELECT DISTINCT model FROM items ORDER BY model")
            cost = self._db.execute(_COST).fetchone()[0]
            found = self.path.stat()
            return Summary(
                tuple(model for (model,) in models),
                dict(states.fetchall()),
                cost,
                found.st_size,
                found.st_mtime,
                self._may_be_used(),
                tuple(label for (label,) in labels),
            )

    def records(self, states: Collection[State] | None = None, /) -> Iterator[Record]:
        """Give its rows, in the order in which they came."""
        packed = _packed(states)
        with self._explaining():
            yield from self._records(f"WHERE {_CHOSEN} ORDER BY i.rowid", packed, packed)

    def fill_costs(self, price: Price, /) -> int:
        """Give predictions that ended without a cost the one that this price says; give their number."""
        with self._explaining(), self._changing_alone():
            return fill_costs(self._db, price)

    def has(self, digest: bytes, /) -> bool:
        """Whether there is any sample of a row."""
        with self._explaining():
            return self._db.execute("SELECT 1 FROM items WHERE key = ?", (digest,)).fetchone() is not None

    def owns(self, id: str, /) -> bool:
        """Whether a prediction belongs to a row, as its present or an earlier one."""
        with self._explaining():
            return is_owned(self._db, id)

    def telling(self) -> list[str]:
        """Name a few predictions by which a service can be told from others."""
        with self._explaining():
            return telling_predictions(self._db)

    def payments(self) -> Iterator[Payment]:
        """Give all predictions that were paid for, or may have been."""
        with self._explaining():
            yield from map(Payment._make, self._db.execute(PAYMENTS))

    def prune(self, before: float, states: Collection[State] | None = None, /) -> int:
        """Forget rows that ended by then, and give the room back to the disk."""
        packed = _packed(states)
        with self._explaining():
            with self._changing_alone():
                gone = self._db.execute(
                    "DELETE FROM items WHERE state NOT IN ('intent', 'created') AND COALESCE(finished_at, 0) <= ? "
                    f"AND {_CHOSEN}",
                    (before, packed, packed),
                ).rowcount
                self._db.execute(
                    "DELETE FROM attempts WHERE NOT EXISTS (SELECT 1 FROM items AS i WHERE i.key = attempts.key "
                    "AND i.sample = attempts.sample)"
                )
                self._db.execute(
                    "DELETE FROM names WHERE NOT EXISTS (SELECT 1 FROM items AS i WHERE i.key = names.key "
                    "AND i.sample = names.sample)"
                )
                forget_gone(self._db)
                forget_used(self._db)
            self._db.execute("VACUUM")
        return gone

    def hash_inputs(self) -> int:
        """Replace inputs by their hashes, in errors too, and leave no trace of them in the file."""
        self._db.create_function("input_hash", 1, input_hash, deterministic=True)
        self._db.create_function("redacted", 2, redacted, deterministic=True)
        with self._explaining():
            with self._changing_alone():
                self._db.execute(
                    "UPDATE attempts SET error = "
                    "redacted(error, (SELECT input FROM items WHERE key = attempts.key LIMIT 1))"
                )
                changed = self._db.execute(
                    "UPDATE items SET error = redacted(error, input), input = input_hash(input) "
                    "WHERE substr(input, 1, length(?)) != ?",
                    (HASHED, HASHED),
                ).rowcount
            self._db.execute("VACUUM")  # what SQLite has only marked as free would stay in the file
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return changed

    def retry(self, states: Collection[State], /) -> int:
        """Let the next run pay again for rows in these states."""
        with self._explaining():
            return self._db.execute(
                "UPDATE items SET state = 'canceled' WHERE state IN (SELECT value FROM json_each(?))",
                (_packed(states),),
            ).rowcount

    def settle(self, key: str, /, *, sample: int | None, prediction_id: str | None, check: bool) -> Record:
        """Give a row that is unknown its prediction, or let it be created again."""
        # A run that begins now reads what is settled, or waits for it.
        with self._explaining(), self._changing_alone():
            row = settling.find(self._db, key, sample)
            settling.settle(self._db, row, prediction_id, check=check)
            return next(self._records("WHERE i.rowid = ?", row.rowid))

    def contents(self) -> Generator[Content, None, None]:
        """Give all that it holds; no run writes to it meanwhile."""
        with self._explaining(), self._changing_alone():
            yield from read_contents(self._db)

    def take(self, contents: Iterator[Content], /) -> None:
        """Write down all that another journal gives, in one transaction."""
        with self._explaining():
            self._check_empty()  # before we wait for others: the other journal may be this one
            with self._changing_alone():
                self._check_empty()
                write_contents(self._db, contents)

    def _check_empty(self) -> None:
        if holds_anything(self._db):
            raise JournalError(
                f"The journal {self.path} is not empty, so nothing was copied to it. Name one that is not there yet."
            )

    def remove(self) -> None:
        """Remove the file, and what SQLite keeps beside it."""
        # A run that opens it meanwhile waits for this transaction, and then finds that its file is not there.
        with self._explaining(), self._changing_alone():
            drop(self.path)
        self.close()
        if sys.platform == "win32":  # which removes nothing that is open
            drop(self.path)

    def _records(self, which: str, *values: Any) -> Iterator[Record]:
        """Read rows."""
        for label, digest, sample, model, input, attempts, *row in self._db.execute(
            f"{_RECORDS} {which}", values
        ):
            entry = entry_of(Key(digest, sample), row, self._reader.holder)
            yield Record(model, input, attempts, entry, label)

    def _may_live(self, run: str) -> bool:
        """Whether a run lives, or may."""
        try:
            return is_alive(self.path, run)
        except JournalError:
            return True

    def _may_be_used(self) -> bool:
        """Whether a run uses the journal, or may: where nothing tells, nobody should take it for free."""
        try:
            return in_use(self.path)
        except JournalError:
            return True

    @contextmanager
    def _changing_alone(self) -> Iterator[None]:
        """Change the journal wholly or not at all, and not while a run stands on what is there."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if in_use(self.path):  # in here: a run that begins now waits for this
                raise JournalError(f"A run uses the journal {self.path}. Stop it first.")
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say what can be done about a file that fails."""
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, self.path) from error


def _packed(states: Collection[State] | None) -> str | None:
    """Pack names for SQLite."""
    return None if states is None else json.dumps(list(states))
