"""Rows of unknown outcome that somebody settles by hand: with a prediction that is theirs, or with none."""

from __future__ import annotations

from replicate_kit.batch.ledgers import Key
from replicate_kit.errors import JournalError
from replicate_kit_postgres.connecting import Connection
from replicate_kit_postgres.rows import Row
from replicate_kit_postgres.tables import Tables
from replicate_kit_postgres.writing import read_rows, write_rows

__all__ = ["settle"]

_SHOWN = 5
_FIND = (
    "SELECT key, sample FROM {items} WHERE left(encode(key, 'hex'), %s) = %s ORDER BY key, sample LIMIT 10000"
)


def settle(
    db: Connection, tables: Tables, digits: str, sample: int | None, id: str | None, *, check: bool
) -> int:
    """Give a row its prediction, or let it be created again where there is none; give the row's number.

    What an earlier, certain prediction of it has cost stays known. What nobody could find is forgotten: whoever
    settles the row knows better.
    """
    found = [Key(*each) for each in db.execute(tables.sql(_FIND), [len(digits), digits.lower()], binary=True)]
    rows = read_rows(db, tables, found, [] if id is None else [id])
    row = _meant([rows.known[each] for each in found if each in rows.known], digits, sample)
    assert row.number is not None
    if row.state != "intent":
        rows.free(row)
        row.state, row.before = "intent", None
    if id is None:
        row.state, row.before = "canceled", None
        rows.keep(row)
    elif not rows.give(row, id):
        raise JournalError(
            f"The prediction {id} belongs to {_named(rows.owners[id])} already. Pass another one."
        )
    elif check:
        # The next run compares it with the row before it relies on it: an id is easily that of another prediction.
        row.status = "adopted"
    write_rows(db, tables, rows)
    return row.number


def _meant(found: list[Row], digits: str, sample: int | None) -> Row:
    """The one row that is meant. Raises `JournalError` where none is, or several are."""
    keys = sorted({each.key.digest.hex() for each in found})
    if not keys:
        raise JournalError(
            f"The journal has no row whose key begins with {digits!r}. `entries(url, ['unknown'])` gives the keys."
        )
    if len(keys) > 1:
        more = ", …" if len(keys) > _SHOWN else ""
        raise JournalError(
            f"{len(keys)} keys begin with {digits!r}: {', '.join(keys[:_SHOWN])}{more}. Pass more digits."
        )
    if sample is not None:
        found = [each for each in found if each.key.sample == sample]
        if not found:
            raise JournalError(f"The row has no sample {sample}. Samples of equal rows are counted from 0.")
    settled = [each for each in found if _is_unsettled(each)]
    if len(settled) > 1:
        numbers = ", ".join(str(each.key.sample) for each in settled)
        raise JournalError(f"There are equal rows to settle, the samples {numbers}. Pass sample= as well.")
    if not settled:
        states = ", ".join(sorted({f"'{each.state}'" for each in found}))
        raise JournalError(
            f"The row {keys[0]} is in the state {states}: there is nothing to settle. Only rows in the states "
            "'unknown' and 'intent' can be settled."
        )
    return settled[0]


def _is_unsettled(row: Row) -> bool:
    """Whether it is not known what became of a row, or it was settled and no run has looked at that yet."""
    return row.state in ("unknown", "intent") or (row.state, row.status) == ("created", "adopted")


def _named(key: Key) -> str:
    """Name a row."""
    return f"the row {key.digest.hex()}" + (f" (sample {key.sample})" if key.sample else "")
