"""What is read of a journal: entries of rows, whose predictions are, what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from replicate_kit.batch.ledgers import Entry, Key, Owner, Price, Spending, Spent
from replicate_kit_postgres.connecting import Connection
from replicate_kit_postgres.leases import lives
from replicate_kit_postgres.tables import Tables

__all__ = ["Reader", "entry_columns", "entry_of", "priced"]

_LARGEST = 4096  # rows in one answer
_NEWEST = 2000  # rows that are looked through for the predictions of late
_SHOWN = 3  # predictions that tell an account
_LONGEST = 86_400.0  # seconds; no prediction runs for more than a day
_HASHED = "left(i.input, 7) = 'sha256:'"  # see `replicate_kit.batch.ledgers.is_hash`

_ASKED = "unnest(%b::bytea[], %s::integer[]) WITH ORDINALITY AS a (key, sample, ordinal)"


def entry_columns(*, outputs: bool = True) -> str:
    """The columns of items (`i`) and the run that wrote to them last (`r`) that `entry_of` takes; one parameter.

    That is the number of the run that asks.
    """
    return (
        "i.key, i.sample, i.state, CASE WHEN i.state NOT IN ('intent', 'created') THEN 'nobody' "
        f"WHEN i.run = %s THEN 'ours' WHEN r.number IS NOT NULL AND {lives('r')} THEN 'theirs' ELSE 'nobody' END, "
        f"i.before, i.prediction_id, i.status, {'i.output' if outputs else 'NULL::text'}, i.stored, i.stored_in, "
        "i.error, i.seconds, i.cost, i.finished_at, COALESCE(i.fingerprint, ''::bytea), COALESCE(i.sent_at, 0), "
        "COALESCE(i.settled_at, 0), i.clock, r.account"
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """Make an entry of `entry_columns`."""
    return Entry._make((Key(row[0], row[1]), *row[2:]))


def _find(*, outputs: bool) -> str:
    return (
        f"SELECT a.ordinal, {entry_columns(outputs=outputs)} FROM {_ASKED} JOIN {{items}} AS i USING (key, sample) "
        "LEFT JOIN {runs} AS r ON r.number = i.run"
    )


_FIND = {True: _find(outputs=True), False: _find(outputs=False)}
_OWNERS = (
    "SELECT p.id, p.key, p.sample, COALESCE(i.model = %s, false), "
    f"CASE WHEN NOT {_HASHED} THEN i.input END, i.fingerprint FROM {{predictions}} AS p "
    "LEFT JOIN {items} AS i USING (key, sample) WHERE p.id = ANY(%s)"
)
# 120 of the 130 seconds are what two clocks may differ by that were never compared.
_RECENT = (
    f"SELECT prediction_id FROM (SELECT * FROM {{items}} ORDER BY number DESC LIMIT {_NEWEST}) AS i WHERE model = %s "
    "AND prediction_id IS NOT NULL AND state <> 'intent' "
    "AND sent_at >= %s - CASE clock WHEN 'server' THEN 10 ELSE 130 END ORDER BY sent_at"
)
_SEEN = (
    f"SELECT shown FROM {{runs}} WHERE account = %s AND shown IS NOT NULL ORDER BY number DESC LIMIT {_SHOWN}"
)
# A prediction that never began is not billed, and a row that was refused has none. What may have been created and
# cannot be found counts, as it does in the run that gave it up. What is under way is counted apart.
_ENDED = (
    "SELECT prediction_id, seconds, cost FROM {items} WHERE status IS DISTINCT FROM 'aborted' AND state <> 'created' "
    "AND (prediction_id IS NOT NULL OR status = 'unknown') "
    "AND (CASE WHEN prediction_id IS NULL THEN sender ELSE payer END = ANY(%s)) IS NOT TRUE "
    "UNION ALL SELECT prediction_id, seconds, cost FROM {attempts} WHERE status IS DISTINCT FROM 'aborted' "
    "AND (payer = ANY(%s)) IS NOT TRUE"
)
_SECONDS = f"CASE WHEN seconds BETWEEN 0 AND {_LONGEST} THEN seconds ELSE %s END"
_USED = "COALESCE((SELECT (p.used->>%s)::float8 FROM {predictions} AS p WHERE p.id = e.prediction_id), %s)::float8"
_UNDER_WAY = (
    "SELECT count(*) FROM {items} WHERE state IN ('intent', 'created') "
    "AND (CASE state WHEN 'intent' THEN sender ELSE payer END = ANY(%s)) IS NOT TRUE"
)
_NUMBERS = "SELECT number FROM {runs} WHERE id = ANY(%s)"


def priced(price: Price) -> tuple[str, list[Any]]:
    """What a prediction of `e`, of items or attempts, has cost by a price, and the values of that."""
    values: list[Any] = [float(price.each or 0), float(price.second or 0), float(price.most_seconds)]
    for name, unit in price.units.items():
        values += [unit, name, price.mosts[name]]
    units = f" + %s::float8 * {_USED}" * len(price.units)
    return f"%s::float8 + %s::float8 * {_SECONDS}{units}", values


class Reader:
    """Reads for one run."""

    def __init__(self, tables: Tables, number: int) -> None:
        self._tables, self._number = tables, number

    def _all(self, db: Connection, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return db.execute(self._tables.sql(statement), values, binary=True).fetchall()

    def find(self, db: Connection, keys: Sequence[Key], *, outputs: bool = True) -> list[Entry | None]:
        """Read what is known of rows, and who has them."""
        found: list[Entry | None] = [None] * len(keys)
        for start in range(0, len(keys), _LARGEST):
            part = keys[start : start + _LARGEST]
            asked = [each.digest for each in part], [each.sample for each in part]
            for ordinal, *row in self._all(db, _FIND[outputs], self._number, *asked):
                found[start + ordinal - 1] = entry_of(row)
        return found

    def version_of(self, db: Connection, reference: str) -> str | None:
        """The version that a reference was held to."""
        found = self._all(db, "SELECT version FROM {pins} WHERE reference = %s", reference)
        return str(found[0][0]) if found else None

    def spending(self, db: Connection, price: Price, *, besides: Sequence[str] = ()) -> Spending:
        """Add up what all runs have spent, or all but some."""
        numbers = [number for (number,) in self._all(db, _NUMBERS, list(besides))]
        cost, values = priced(price)
        used = [value for metric in price.mosts.items() for value in metric]
        sums = (
            f"sum({_SECONDS}), sum(CASE WHEN cost >= 0 THEN cost ELSE {cost} END)"
            + f", sum({_USED})" * len(price.mosts)
        )
        statement = f"SELECT count(*), {sums} FROM ({_ENDED}) AS e"
        ((count, *found),) = self._all(
            db, statement, float(price.most_seconds), *values, *used, numbers, numbers
        )
        seconds, money, *metrics = (each or 0.0 for each in found)
        ((under_way,),) = self._all(db, _UNDER_WAY, numbers)
        spent = Spent(count, seconds, money, dict(zip(price.mosts, metrics, strict=True)))
        return Spending(spent, under_way)

    def kept_inputs(self, db: Connection) -> int:
        """Count rows whose inputs are there."""
        return int(self._all(db, f"SELECT count(*) FROM {{items}} AS i WHERE NOT {_HASHED}")[0][0])

    def shown_to(self, db: Connection, account: str) -> list[str]:
        """Name predictions that an account was shown."""
        return [id for (id,) in self._all(db, _SEEN, account)]

    def owners(self, db: Connection, ids: Sequence[str], model: str) -> Mapping[str, Owner]:
        """Say whose predictions these are."""
        return {
            id: Owner(Key(key, sample), is_of_model, input, fingerprint or None)
            for id, key, sample, is_of_model, input, fingerprint in self._all(db, _OWNERS, model, list(ids))
        }

    def recent(self, db: Connection, model: str, since: float) -> list[str]:
        """Name the predictions of the newest rows that may have been created since then, the oldest first."""
        return [id for (id,) in self._all(db, _RECENT, model, since)]
