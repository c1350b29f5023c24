"""Rows of unknown outcome that somebody settles by hand: with a prediction that is theirs, or with none."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, NamedTuple

from replicate_kit.batch._ledger.entries import Key
from replicate_kit.batch._ledger.reading import owner_of
from replicate_kit.batch._ledger.rows import give
from replicate_kit.errors import ConfigError, JournalError

__all__ = ["Row", "checked_id", "checked_key", "find", "settle"]

# The API's ids are 26 letters and digits; those of gateways may have marks in them, as UUIDs have.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_KEY = re.compile(r"[0-9a-f]{1,32}")
_SHOWN = 5


class Row(NamedTuple):
    """A row of a journal: the key in hexadecimal digits, which of several equal rows it is, and how it stands."""

    rowid: int
    key: str
    sample: int
    state: str
    status: str | None

    @property
    def is_open(self) -> bool:
        """Whether it may be settled: its fate is unknown, or it was settled and no run has looked at that yet."""
        return self.state in ("unknown", "intent") or (self.state, self.status) == ("created", "adopted")


def checked_id(id: Any) -> str:
    """Refuse what can be no id of a prediction, such as the URL of one."""
    if isinstance(id, str) and _ID.fullmatch(id):
        return id
    raise ConfigError(
        f"prediction_id={id!r} is not the id of a prediction. Pass the id alone, such as "
        "'gm3qorzdhgbfurvjtvhg6dckhu': it is the last part of the prediction's URL."
    )


def checked_key(key: Any) -> str:
    """Refuse what can be no key of a row."""
    if isinstance(key, str) and _KEY.fullmatch(key.lower()):
        return key.lower()
    raise ConfigError(
        f"key={key!r} is not a row's key. Pass the 'key' of one of `entries(path, ['unknown'])`, or its first digits."
    )


def find(db: sqlite3.Connection, key: str, sample: int | None) -> Row:
    """Find the row to settle by the first digits of its key, and which of several equal rows it is."""
    found = [
        Row(*each)
        for each in db.execute(
            "SELECT rowid, lower(hex(key)), sample, state, status FROM items "
            "WHERE substr(lower(hex(key)), 1, ?) = ? ORDER BY key, sample",
            (len(key), key),
        )
    ]
    keys = sorted({each.key for each in found})
    if not keys:
        raise JournalError(
            f"The journal has no row whose key begins with {key!r}. `entries(path, ['unknown'])` gives the keys."
        )
    if len(keys) > 1:
        more = ", …" if len(keys) > _SHOWN else ""
        raise JournalError(
            f"{len(keys)} keys begin with {key!r}: {', '.join(keys[:_SHOWN])}{more}. Pass more digits."
        )
    return _sample(found, sample)


def _sample(rows: list[Row], sample: int | None) -> Row:
    """Take the one that is meant of equal rows: where nothing is said, the only one that may be settled."""
    if sample is not None:
        rows = [each for each in rows if each.sample == sample]
        if not rows:
            raise JournalError(f"The row has no sample {sample}. Samples of equal rows are counted from 0.")
    settled = [each for each in rows if each.is_open]
    if len(settled) > 1:
        numbers = ", ".join(str(each.sample) for each in settled)
        raise JournalError(f"There are equal rows to settle, the samples {numbers}. Pass sample= as well.")
    if not settled:
        states = ", ".join(sorted({f"'{each.state}'" for each in rows}))
        raise JournalError(
            f"The row {rows[0].key} is in the state {states}: there is nothing to settle. Only rows in the states "
            "'unknown' and 'intent' can be settled."
        )
    return settled[0]


def settle(db: sqlite3.Connection, row: Row, id: str | None, *, check: bool) -> None:
    """Give a row its prediction, or let it be created again where there is none.

    What an earlier, certain prediction of it has cost stays known. What nobody could find is forgotten: whoever
    settles the row knows better.
    """
    if row.state != "intent":
        db.execute(
            "UPDATE items SET state = 'intent', before = NULL, attempts = attempts - (prediction_id IS NOT NULL), "
            "prediction_id = NULL, status = NULL, output = NULL, error = NULL, seconds = NULL, cost = NULL, "
            "finished_at = NULL WHERE rowid = ?",
            (row.rowid,),
        )
    if id is None:
        db.execute("UPDATE items SET state = 'canceled' WHERE rowid = ?", (row.rowid,))
        return
    if not give(db, Key(bytes.fromhex(row.key), row.sample), id):
        raise JournalError(f"The prediction {id} belongs to {_owner(db, id)} already. Pass another one.")
    # 'adopted' has the next run compare it with the row before it relies on it: an id is easily that of another
    # prediction.
    if check:
        db.execute("UPDATE items SET status = 'adopted' WHERE rowid = ?", (row.rowid,))


def _owner(db: sqlite3.Connection, id: str) -> str:
    """Name the row that has a prediction."""
    key = owner_of(db, id)
    return f"the row {key.digest.hex()}" + (f" (sample {key.sample})" if key.sample else "")
