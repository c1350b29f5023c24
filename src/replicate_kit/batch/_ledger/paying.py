"""Which run has created a prediction: the one that has sent its create, whichever run writes to its row later.

A journal notes that once any of its runs has a label, or shares a budget; until then, there is nothing to tell apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.shared import SHARES

__all__ = [
    "CREATOR",
    "LABEL",
    "LABEL_OF_INTENT",
    "PAYMENTS",
    "SENDER",
    "forget_creator",
    "forget_gone",
    "keep_senders",
    "note_creators",
]

Connection = sqlite3.Connection

_IS_NOTED = f"SELECT 1 FROM labels UNION ALL {SHARES} LIMIT 1"
# A run that takes a row over writes its own id there. The time of the create tells that nobody has sent another since.
SENDER = (
    "COALESCE((SELECT s.run FROM senders AS s WHERE s.key = i.key AND s.sample = i.sample AND s.sent_at = i.sent_at), "
    "i.run)"
)
"""The run that has sent the create that is under way of a row of items (`i`)."""
CREATOR = (
    "(SELECT c.run FROM creators AS c WHERE c.prediction_id = COALESCE({0}.prediction_id, '') AND c.key = {0}.key "
    "AND c.sample = {0}.sample)"
)
"""The run that has created a prediction, by the name of the table that has it, of items or attempts; NULL where that is
not noted."""
LABEL_OF_INTENT = f"(SELECT label FROM labels WHERE run = {SENDER})"
LABEL = f"(SELECT label FROM labels WHERE run = {CREATOR})"
"""Their labels."""
PAYMENTS = (
    f"SELECT i.model, {LABEL.format('i')}, iif(i.state = 'created', NULL, i.status), i.cost, "
    "iif(i.state = 'created', i.sent_at, i.finished_at) FROM items AS i "
    "WHERE i.prediction_id NOTNULL OR i.status = 'unknown' "
    f"UNION ALL SELECT i.model, {LABEL_OF_INTENT}, NULL, NULL, i.sent_at FROM items AS i WHERE i.state = 'intent' "
    f"UNION ALL SELECT (SELECT i.model FROM items AS i WHERE i.key = a.key LIMIT 1), {LABEL.format('a')}, a.status, "
    "a.cost, a.ended_at FROM attempts AS a"
)
"""What `Payment` is made of. An intent may stand over an earlier prediction: those are two."""
_THIS = "i.key = ? AND i.sample = ? AND i.prediction_id IS ?"
# The first one is right: what has an id is paid for. A create that cannot be found has none, and may be sent again.
_NAMED = (
    f"INSERT OR IGNORE INTO creators SELECT i.prediction_id, i.key, i.sample, {SENDER} FROM items AS i "
    f"WHERE {_THIS} AND i.prediction_id IS NOT NULL"
)
_UNNAMED = (
    f"INSERT OR REPLACE INTO creators SELECT '', i.key, i.sample, {SENDER} FROM items AS i "
    f"WHERE {_THIS} AND i.state = 'unknown'"
)
_KEEP = (
    "INSERT INTO senders SELECT key, sample, sent_at, run FROM items WHERE key = ? AND sample = ? AND sent_at NOTNULL "
    "ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at, run = excluded.run WHERE sent_at != excluded.sent_at"
)


def note_creators(db: Connection, predictions: Iterable[tuple[Key, str | None]]) -> None:
    """Note whose predictions rows have now; None is a create of unknown outcome, which has no id."""
    if db.execute(_IS_NOTED).fetchone() is None:
        return
    values = [(*key, id) for key, id in predictions]
    db.executemany(_NAMED, (each for each in values if each[2] is not None))
    db.executemany(_UNNAMED, (each for each in values if each[2] is None))


def keep_senders(db: Connection, keys: Iterable[Key]) -> None:
    """Note who has sent the creates of rows that are about to be taken over."""
    if db.execute(_IS_NOTED).fetchone() is not None:
        db.executemany(_KEEP, keys)


def forget_creator(db: Connection, id: str) -> None:
    """Forget whose a prediction was that a row had wrongly."""
    db.execute("DELETE FROM creators WHERE prediction_id = ?", (id,))


def forget_gone(db: Connection) -> None:
    """Forget what is noted of rows that are gone."""
    for table in ("creators", "senders"):
        db.execute(
            f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM items AS i WHERE i.key = {table}.key "
            f"AND i.sample = {table}.sample)"
        )
