"""What a run writes to a journal: the rows that it takes, and what happens to them.

Each function is one step of a transaction, run by `Database`. An intent is committed before its create is sent, so that
whatever may have been paid for is known, even after a crash at any moment. A row that is tried again keeps its earlier
outcome until the new prediction has an id, or an outcome of its own.

Most rows go the same way, many of them at a time: one statement writes them all, and leaves out those that are not as
usual. If it has left any out, each is written by itself. As every event may be repeated, that harms none of the others.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from replicate_kit.batch._ledger.entries import (
    Canceling,
    Confirmed,
    Created,
    Disowned,
    Ended,
    Entry,
    Event,
    Expired,
    Intent,
    Key,
    Name,
    Refused,
    Run,
    Saved,
    Unsaved,
    Withdrawn,
)
from replicate_kit.batch._ledger.hashing import input_hash
from replicate_kit.batch._ledger.paying import forget_creator, keep_senders, note_creators
from replicate_kit.batch._ledger.reading import Reader
from replicate_kit.batch._ledger.rows import THIS, Row, give, put_aside, row_of
from replicate_kit.batch._ledger.spending import note_used

__all__ = ["Writer", "take_names"]

Connection = sqlite3.Connection

_INSERT = (
    "INSERT INTO items (key, sample, state, run, model, input, fingerprint, sent_at, settled_at, clock) "
    "VALUES (?, ?, 'intent', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, sample) "
)
_CLAIM_NEW = f"{_INSERT} DO NOTHING"
_CLAIM = (
    f"{_INSERT} DO UPDATE SET before = state, state = 'intent', run = excluded.run, sent_at = excluded.sent_at, "
    "settled_at = excluded.settled_at, clock = excluded.clock, fingerprint = excluded.fingerprint, "
    "input = excluded.input"
)
_OF_ANOTHER = "EXISTS (SELECT 1 FROM attempts AS a WHERE a.prediction_id = ?)"
# OR IGNORE: a prediction that another row has is refused by the unique index.
_CREATE_NEW = (
    "UPDATE OR IGNORE items SET state = 'created', prediction_id = ?, attempts = attempts + 1 "
    f"{THIS} AND run = ? AND state = 'intent' AND before IS NULL AND NOT {_OF_ANOTHER}"
)
_RESULT = (
    "state = ?, status = ?, output = ?, error = ?, seconds = COALESCE(seconds, ?), cost = COALESCE(cost, ?), "
    "finished_at = ?"
)
_END_CREATED = f"UPDATE items SET {_RESULT} {THIS} AND run = ? AND state = 'created' AND prediction_id = ?"
_END_INTENT = (
    f"UPDATE OR IGNORE items SET {_RESULT}, prediction_id = ?, attempts = attempts + (? IS NOT NULL) "
    f"{THIS} AND run = ? AND state = 'intent' AND before IS NULL AND NOT {_OF_ANOTHER}"
)
_END_AGAIN = f"UPDATE items SET {_RESULT}, run = ? {THIS}"
_STORED = "AND state IN ('finished', 'saved', 'expired')"
_HAS_OUTPUT = "AND state IN ('finished', 'saved')"
_SAVE = (
    "UPDATE items SET state = 'saved', status = 'succeeded', run = ?, stored = ?, stored_in = ?, error = NULL "
    f"{THIS} {_STORED}"
)
_REJECT = (
    "INSERT INTO items (key, sample, model, input, state, run, status, error, finished_at) "
    "VALUES (?, ?, ?, ?, ?, ?, 'rejected', ?, ?) ON CONFLICT (key, sample) DO UPDATE SET state = excluded.state, "
    "run = excluded.run, input = excluded.input, status = excluded.status, output = NULL, error = excluded.error, "
    "finished_at = excluded.finished_at"
)


class Writer:
    """Writes for one run. `done` is told of each row that has an outcome."""

    def __init__(self, run: Run, reader: Reader, done: Callable[[Key], None] = lambda key: None) -> None:
        self._run, self._reader, self._done = run, reader, done
        self._id = run.id
        self._one: dict[type[Any], Callable[[Connection, Any], bool]] = {
            Created: self._created,
            Withdrawn: self._withdrawn,
            Refused: self._refused,
            Ended: self._ended,
            Canceling: self._canceling,
            Confirmed: self._confirmed,
            Disowned: self._disowned,
            Saved: self._saved,
            Unsaved: self._unsaved,
            Expired: self._expired,
        }
        self._all: dict[type[Any], Callable[[Connection, Any], bool]] = {
            Created: self._all_created,
            Ended: self._all_ended,
            Saved: self._all_saved,
        }

    # Rows are taken.

    def claim(self, db: Connection, intents: Sequence[Intent]) -> list[Entry | None]:
        """Note intents to create, for rows that are not known or are paid for again; say what the others are."""
        if not self._run.keeps_inputs:
            intents = [each._replace(input=input_hash(each.input)) for each in intents]
        run, model = self._id, self._run.model
        values = [
            (digest, sample, run, model, input, fingerprint, sent_at, settled_at, clock)
            for (digest, sample), input, fingerprint, sent_at, settled_at, clock in intents
        ]
        if db.executemany(_CLAIM_NEW, values).rowcount == len(intents):
            return [None] * len(intents)
        return [self._claimed(db, *pair) for pair in zip(intents, values, strict=True)]

    def _claimed(self, db: Connection, intent: Intent, values: tuple[Any, ...]) -> Entry | None:
        """Note one, if the row is not this run's with just that intent already."""
        row = row_of(db, intent.key)
        if row is not None and (row.state, row.run, row.sent_at) == ("intent", self._id, intent.sent_at):
            return None
        if row is None or (row.state in self._run.redo and not row.is_open):
            db.execute(_CLAIM, values)
            return None
        return self._reader.find(db, [intent.key])[0]

    def take_over(self, db: Connection, keys: Sequence[Key]) -> list[Entry | None]:
        """Take what dead runs have left open."""
        # In the transaction of the look: of two runs that find what a dead one left, one takes the row over, and the
        # other sees that a living run has it.
        found = self._reader.find(db, keys)
        left = [each.key for each in found if each is not None and each.is_open and each.holder == "nobody"]
        if not left:
            return found
        keep_senders(db, left)
        db.executemany(f"UPDATE items SET run = ? {THIS}", [(self._id, *key) for key in left])
        return self._reader.find(db, keys)

    # Something happens to rows.

    def record(self, db: Connection, events: Sequence[Event]) -> list[bool]:
        """Write down what happened, in this order; False for each event that the row does not allow."""
        results: list[bool] = []
        for kind, group in groupby(events, type):
            alike = list(group)
            at_once = self._all.get(kind)
            if at_once is not None and at_once(db, alike):
                results += [True] * len(alike)
            else:
                results += [self._one[kind](db, each) for each in alike]
        note_used(db, (each for each, done in zip(events, results, strict=True) if done))
        return results

    def _all_created(self, db: Connection, events: list[Created]) -> bool:
        """Write down the ids of creates of rows that were not known before; tell whether all of them were such."""
        run = self._id
        values = [(id, digest, sample, run, id) for (digest, sample), id in events]
        changed = db.executemany(_CREATE_NEW, values).rowcount
        if changed:
            self._shown(db, events[0].prediction_id)
            note_creators(db, events)
        return changed == len(events)

    def _created(self, db: Connection, event: Created) -> bool:
        row = row_of(db, event.key)
        if row is None or row.run != self._id:
            return False
        if row.state != "intent":
            return row.prediction_id == event.prediction_id
        if not give(db, event.key, event.prediction_id):
            return False
        self._shown(db, event.prediction_id)
        return True

    def _shown(self, db: Connection, id: str) -> None:
        """Note the first prediction that the account of this run was shown: it is known by that."""
        seen = "UPDATE accounts SET prediction_id = ? WHERE run = ? AND prediction_id IS NULL"
        db.execute(seen, (id, self._id))

    def _withdrawn(self, db: Connection, event: Withdrawn) -> bool:
        row = row_of(db, event.key)
        if row is None or not row.is_open:
            return True
        # If another run has taken the row over, its intent may be that of a create that was sent.
        if row.state != "intent" or row.run != self._id:
            return False
        self._withdraw(db, event.key, row)
        return True

    def _withdraw(self, db: Connection, key: Key, row: Row) -> None:
        """Forget an intent."""
        db.execute(
            f"DELETE FROM items {THIS}" if row.before is None else f"UPDATE items SET state = before {THIS}",
            key,
        )

    def _refused(self, db: Connection, event: Refused) -> bool:
        row = row_of(db, event.key)
        if row is not None and row.state == "intent" and row.run == self._id:
            self._withdraw(db, event.key, row)
            row = row_of(db, event.key)
        error = event.error
        if row is not None and row.state not in self._run.redo:
            return (row.state, row.run, row.status, row.error) == (event.state, self._id, "rejected", error)
        # A row that is left to the next run must not make that pay again for what has failed, without being asked.
        stay = ("unknown", "expired", "failed") if event.state == "canceled" else ("unknown", "expired")
        if row is not None and row.state in stay:
            return self._changed(db, event.key, "error = ?", error)
        put_aside(db, event.key)
        input = event.input if self._run.keeps_inputs else input_hash(event.input)
        values = (*event.key, self._run.model, input, event.state, self._id, error, time.time())
        db.execute(_REJECT, values)
        return True

    def _all_ended(self, db: Connection, events: list[Ended]) -> bool:
        """Write down outcomes of creates of this run, if all are such: of rows that have an id, or never had one."""
        run = self._id
        created, intents = [], []
        for (digest, sample), id, *result, _ in events:
            created.append((*result, digest, sample, run, id))
            intents.append((*result, id, id, digest, sample, run, id))
        # What had no intent any more has an id. Most runs have rows of one kind alone.
        changed = db.executemany(_END_CREATED, created).rowcount
        if changed < len(events):
            new = db.executemany(_END_INTENT, intents).rowcount
            changed += new
            if new:
                note_creators(db, ((each.key, each.prediction_id) for each in events))
            if new and (id := next((each.prediction_id for each in events if each.prediction_id), None)):
                self._shown(db, id)
        if changed < len(events):
            return False
        for each in events:
            self._done(each.key)
        return True

    def _ended(self, db: Connection, event: Ended) -> bool:
        row, id = row_of(db, event.key), event.prediction_id
        if row is None:
            return False
        if row.is_open and row.run != self._id:
            return False
        result = (*event[2:5], event.error, *event[6:9])
        if row.state == "intent":
            if id is None:
                put_aside(db, event.key)
            elif give(db, event.key, id):
                self._shown(db, id)
            else:
                return False
        elif row.prediction_id != id or (id is None and (row.run, row.state) != (self._id, event.state)):
            return False
        db.execute(_END_AGAIN, (*result, self._id, *event.key))
        if id is None:
            note_creators(db, [(event.key, None)])
        self._done(event.key)
        return True

    def _canceling(self, db: Connection, event: Canceling) -> bool:
        # What was adopted and is not confirmed yet is not canceled: the next run confirms it.
        which = "AND run = ? AND state = 'created' AND status IS NOT 'adopted'"
        done = db.execute(f"UPDATE items SET status = 'canceling' {THIS} {which}", (*event.key, self._id))
        return done.rowcount > 0

    def _confirmed(self, db: Connection, event: Confirmed) -> bool:
        which = "AND run = ? AND state = 'created' AND prediction_id = ?"
        done = db.execute(
            f"UPDATE items SET status = NULLIF(status, 'adopted') {THIS} {which}",
            (*event.key, self._id, event.prediction_id),
        )
        return done.rowcount > 0

    def _disowned(self, db: Connection, event: Disowned) -> bool:
        row, error = row_of(db, event.key), event.error
        if row is None or row.run != self._id:
            return False
        if (row.state, row.status, row.prediction_id) == ("created", "adopted", event.prediction_id):
            forget_creator(db, event.prediction_id)
            return self._changed(
                db,
                event.key,
                "state = 'unknown', status = 'unknown', error = ?, finished_at = ?, prediction_id = NULL, "
                "attempts = attempts - 1",
                error,
                event.at,
            )
        return (row.state, row.prediction_id, row.error) == ("unknown", None, error)

    def _all_saved(self, db: Connection, events: list[Saved]) -> bool:
        """Write down where files are."""
        run = self._id
        values = [(run, stored, where, digest, sample) for (digest, sample), stored, where in events]
        return db.executemany(_SAVE, values).rowcount == len(events)

    def _saved(self, db: Connection, event: Saved) -> bool:
        return self._all_saved(db, [event])

    def _unsaved(self, db: Connection, event: Unsaved) -> bool:
        return self._changed(db, event.key, "error = ?", event.error, which=_HAS_OUTPUT)

    def _expired(self, db: Connection, event: Expired) -> bool:
        change = "state = 'expired', status = 'expired', error = ?"
        return self._changed(db, event.key, change, event.error, which=_STORED)

    def _changed(self, db: Connection, key: Key, change: str, *values: Any, which: str = "") -> bool:
        """Change a row, which is this run's then; tell whether it was there."""
        done = db.execute(f"UPDATE items SET run = ?, {change} {THIS} {which}", (self._id, *values, *key))
        return done.rowcount > 0


def take_names(db: Connection, names: Sequence[Name]) -> list[bool]:
    """Take names of files for rows; False where another row has one, of this run or an earlier one."""
    values = [(folder, name, *key) for folder, name, key in names]
    if db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)", values).rowcount == len(names):
        return [True] * len(names)
    owner = "SELECT key, sample FROM names WHERE folder = ? AND name = ?"
    return [db.execute(owner, (folder, name)).fetchone() == key for folder, name, key in names]
