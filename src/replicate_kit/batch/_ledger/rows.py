"""Steps of which what a run writes to a row of a journal consists, and what somebody who settles it by hand writes."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.paying import note_creators
from replicate_kit.batch._ledger.reading import is_owned

__all__ = ["THIS", "Row", "give", "put_aside", "row_of"]

Connection = sqlite3.Connection

THIS = "WHERE key = ? AND sample = ?"
"""The row of a key."""

# A row in 'created' or 'finished' still has the prediction of which all of this is known. An intent over nothing
# (`before IS NULL`) has nothing to put aside.
_EARLIER = f"{THIS} AND state NOT IN ('created', 'finished') AND NOT (state = 'intent' AND before IS NULL)"


class Row(NamedTuple):
    """What decides whether an event is of a row as it is now."""

    state: str
    run: str
    before: str | None
    prediction_id: str | None
    status: str | None
    error: str | None
    sent_at: float | None

    @property
    def is_open(self) -> bool:
        """Whether a prediction is under way, or may be."""
        return self.state in ("intent", "created")


def give(db: Connection, key: Key, id: str) -> bool:
    """Give the intent of a row its prediction; False if a row has that already."""
    # We look and write in one transaction, so that of two rows one gets the prediction, in whichever processes they
    # are. The unique index alone would refuse the second, and with it all other operations of its group.
    if is_owned(db, id):
        return False
    put_aside(db, key)
    db.execute(
        f"UPDATE items SET state = 'created', prediction_id = ?, attempts = attempts + 1 {THIS}", (id, *key)
    )
    note_creators(db, [(key, id)])
    return True


def put_aside(db: Connection, key: Key) -> None:
    """Put aside what is known of an earlier prediction, unless it is the one that the row still has.

    One that may have been created is put aside without an id: it may have cost.
    """
    db.execute(
        "INSERT OR REPLACE INTO attempts SELECT prediction_id, key, sample, status, error, seconds, cost, "
        f"finished_at FROM items {_EARLIER} AND (prediction_id IS NOT NULL OR status = 'unknown')",
        key,
    )
    db.execute(
        "UPDATE items SET prediction_id = NULL, status = NULL, output = NULL, stored = NULL, stored_in = NULL, "
        f"error = NULL, seconds = NULL, cost = NULL, finished_at = NULL {_EARLIER}",
        key,
    )


def row_of(db: Connection, key: Key) -> Row | None:
    """Read what decides about events."""
    found = db.execute(
        f"SELECT state, run, before, prediction_id, status, error, sent_at FROM items {THIS}", key
    ).fetchone()
    return None if found is None else Row(*found)
