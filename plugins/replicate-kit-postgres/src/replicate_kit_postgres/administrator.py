"""Looks after a journal: what it holds, what of it may go, what is to be paid again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from replicate_kit.batch.ledgers import Content, Payment, Price, Record, State, Summary, input_hash, redacted
from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address
from replicate_kit_postgres.connecting import Connection, Database
from replicate_kit_postgres.leases import lives
from replicate_kit_postgres.reading import entry_columns, entry_of, priced
from replicate_kit_postgres.settling import settle
from replicate_kit_postgres.tables import SETTINGS, Tables, find, lock, make
from replicate_kit_postgres.transfer import holds_anything, read_contents, write_contents

__all__ = ["PostgresAdministrator"]

T = TypeVar("T")

_PAGE = 1000  # rows that are in memory at once

_IN_USE = f"SELECT EXISTS (SELECT 1 FROM {{runs}} AS r WHERE {lives('r')})"
_STATES = "SELECT state, count(*) FROM {items} GROUP BY state ORDER BY state"
_LABELS = 'SELECT DISTINCT label COLLATE "C" FROM {runs} WHERE label IS NOT NULL ORDER BY 1'
_MODELS = 'SELECT DISTINCT model COLLATE "C" FROM {items} ORDER BY 1'
_COST = "SELECT sum(cost)::float8 FROM (SELECT cost FROM {items} UNION ALL SELECT cost FROM {attempts}) AS c"
_CHANGED_AT = (
    "SELECT extract(epoch FROM greatest(changed_at, (SELECT max(seen_at) FROM {runs})))::float8 FROM {meta}"
)
_RECORDS = (
    "SELECT i.number, i.model, i.input, i.attempts, p.label, "
    f"{entry_columns()} FROM {{items}} AS i LEFT JOIN {{runs}} AS r ON r.number = i.run "
    "LEFT JOIN {runs} AS p ON p.number = CASE WHEN i.state = 'intent' THEN i.sender "
    "WHEN i.prediction_id IS NOT NULL OR i.status = 'unknown' THEN i.payer END "
    "WHERE i.number > %s AND (%s::text[] IS NULL OR i.state = ANY(%s::text[])) ORDER BY i.number LIMIT %s"
)
# An intent may stand over an earlier prediction: those are two payments.
_PAYMENTS = (
    "SELECT i.number, i.model, p.label, CASE WHEN i.state <> 'created' THEN i.status END, i.cost, "
    "CASE i.state WHEN 'created' THEN i.sent_at ELSE i.finished_at END FROM {items} AS i "
    "LEFT JOIN {runs} AS p ON p.number = i.payer "
    "WHERE i.number > %s AND (i.prediction_id IS NOT NULL OR i.status = 'unknown') ORDER BY i.number LIMIT %s",
    "SELECT i.number, i.model, p.label, NULL::text, NULL::float8, i.sent_at FROM {items} AS i "
    "LEFT JOIN {runs} AS p ON p.number = i.sender "
    "WHERE i.number > %s AND i.state = 'intent' ORDER BY i.number LIMIT %s",
    "SELECT t.number, i.model, p.label, t.status, t.cost, t.ended_at FROM {attempts} AS t "
    "JOIN {items} AS i USING (key, sample) LEFT JOIN {runs} AS p ON p.number = t.payer "
    "WHERE t.number > %s ORDER BY t.number LIMIT %s",
)
_UNPRICED = "status NOT IN ('aborted', 'unknown', 'adopted', 'canceling')"
_FILL = (
    "UPDATE {{{0}}} AS e SET cost = {1} "
    f"WHERE cost IS NULL AND prediction_id IS NOT NULL AND {_UNPRICED}"
)
# Of rows that are open and of those that have ended, and one of each account. What is adopted may be wrong.
_NEWEST = (
    "(SELECT prediction_id FROM {{items}} WHERE prediction_id IS NOT NULL AND status IS DISTINCT FROM 'adopted' "
    "AND state {0} ('created', 'unknown') ORDER BY sent_at DESC NULLS LAST LIMIT 3)"
)
_TELLING = (
    f"{_NEWEST.format('NOT IN')} UNION {_NEWEST.format('IN')} "
    "UNION SELECT max(shown) FROM {runs} WHERE shown IS NOT NULL GROUP BY account"
)
# A run waits till all has been read, however long the other journal takes to write it down.
_PATIENT = "SELECT set_config('idle_in_transaction_session_timeout', '0', true)"
_PRUNE = (
    "DELETE FROM {items} WHERE state NOT IN ('intent', 'created') AND COALESCE(finished_at, 0) <= %s "
    "AND (%s::text[] IS NULL OR state = ANY(%s::text[]))"
)
_ORPHANS = (
    "DELETE FROM {{{0}}} AS o WHERE NOT EXISTS "
    "(SELECT 1 FROM {{items}} AS i WHERE (i.key, i.sample) = (o.key, o.sample))"
)
_RETRY = "UPDATE {items} SET state = 'canceled' WHERE state = ANY(%s::text[]) AND state NOT IN ('intent', 'created')"
_TO_HASH = (
    "SELECT number, error, input FROM {items} AS i "
    "WHERE number > %s AND NOT left(input, 7) = 'sha256:' ORDER BY number LIMIT %s"
)
_ATTEMPTS_TO_HASH = (
    "SELECT t.number, t.error, i.input FROM {attempts} AS t JOIN {items} AS i USING (key, sample) "
    "WHERE t.number > %s AND NOT left(i.input, 7) = 'sha256:' ORDER BY t.number LIMIT %s"
)
_HASH = (
    "UPDATE {items} AS i SET error = a.error, input = a.input FROM unnest(%s::bigint[], %s::text[], %s::text[]) "
    "AS a (number, error, input) WHERE i.number = a.number"
)
_OWNED = (
    "SELECT bool_and(pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE')) FROM pg_class AS c, "
    "pg_database AS d WHERE d.datname = current_database() AND c.oid = ANY(%s::regclass[])"
)
_NUMBER = re.compile(
    r"\d+"
)  # of dead rows that cannot be removed yet, in whichever language the server says it
_HASH_ATTEMPTS = (
    "UPDATE {attempts} AS t SET error = a.error FROM unnest(%s::bigint[], %s::text[]) AS a (number, error) "
    "WHERE t.number = a.number"
)


class PostgresAdministrator:
    """Has a journal open that exists. Raises `JournalError` where there is none."""

    def __init__(self, address: Address, *, make: bool = False) -> None:
        self._address, self._database = address, Database(address)
        try:
            self._tables = self._database.transact(self._made if make else self._found)
        except BaseException:
            self.close()
            raise

    def _found(self, db: Connection) -> Tables:
        tables = find(db, self._address)
        if tables is None:
            raise JournalError(
                f"There is no journal {self._address.url!r}: the database has no tables {self._address.prefix}_…. Pass "
                "the URL that journal= named, with its prefix= and schema=."
            )
        return tables

    def _made(self, db: Connection) -> Tables:
        """The tables, made where they are not there; only then others are waited for."""
        tables = find(db, self._address)
        if tables is None:
            tables = lock(db, self._address)
            make(db, self._address, tables)
        return tables

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def summary(self) -> Summary:
        """Say what it holds."""
        return self._database.transact(self._summed)

    def _summed(self, db: Connection) -> Summary:
        tables = self._found(db)

        def one(statement: str) -> Any:
            row = db.execute(tables.sql(statement)).fetchone()
            return None if row is None else row[0]

        size = "+".join(f"pg_total_relation_size('{each}')" for each in tables.all)
        return Summary(
            models=tuple(model for (model,) in db.execute(tables.sql(_MODELS))),
            states=dict(db.execute(tables.sql(_STATES)).fetchall()),
            cost=one(_COST),
            size=one(f"SELECT {size}"),
            changed_at=one(_CHANGED_AT),
            in_use=one(_IN_USE),
            labels=tuple(label for (label,) in db.execute(tables.sql(_LABELS))),
        )

    def records(self, states: Collection[State] | None = None, /) -> Iterator[Record]:
        """Give its rows, in the order in which they came."""
        chosen = _packed(states)
        for model, input, attempts, label, *entry in self._paged(_RECORDS, chosen, chosen, asks=0):
            yield Record(model, input, attempts, entry_of(entry), label)

    def payments(self) -> Iterator[Payment]:
        """Give all predictions that were paid for, or may have been."""
        for statement in _PAYMENTS:
            yield from map(Payment._make, self._paged(statement))

    def _paged(self, statement: str, *values: Any, asks: int | None = None) -> Iterator[Sequence[Any]]:
        """Read page by page, each in a transaction of its own: whoever takes the rows may take his time."""
        number, first = 0, [] if asks is None else [asks]
        while True:
            asked = [*first, number, *values, _PAGE]
            page = self._database.transact(partial(self._page, statement, asked))
            for _, *row in page:
                yield row
            if len(page) < _PAGE:
                return
            number = page[-1][0]

    def _page(self, statement: str, values: list[Any], db: Connection) -> list[tuple[Any, ...]]:
        return db.execute(self._tables.sql(statement), values, binary=True).fetchall()

    def prune(self, before: float, states: Collection[State] | None = None, /) -> int:
        """Forget rows that ended by then, with their names and predictions."""
        return self._alone(partial(self._pruned, before, _packed(states)))

    def _pruned(self, before: float, states: list[str] | None, db: Connection) -> int:
        gone = db.execute(self._tables.sql(_PRUNE), [before, states, states]).rowcount
        for table in ("attempts", "predictions", "names"):
            db.execute(self._tables.sql(_ORPHANS.format(table)))
        return gone

    def hash_inputs(self) -> int:
        """Replace inputs by their hashes, in errors too, and write the tables anew: they hold no trace of them then."""
        self._database.transact(self._check_owned)
        count, left = self._alone(self._hashed), 0
        for table in ("items", "attempts"):
            said = self._database.alone(self._tables.sql(f"VACUUM (FULL, VERBOSE) {{{table}}}").decode())
            left += sum(int(found[0]) for each in said if (found := _NUMBER.search(each)))
        if left:
            raise JournalError(
                f"The inputs of the journal {self._address.url!r} are hashed, but {left} old versions of rows stay in "
                "its tables, as another transaction may still read them: a session of this database that is in a "
                "transaction, such as a backup, or a replica or slot that is behind. Hash them again when it has ended."
            )
        return count

    def _check_owned(self, db: Connection) -> None:
        """See that the tables can be written anew: PostgreSQL only warns where they cannot."""
        owned = db.execute(_OWNED, [list(self._found(db).all)]).fetchone()
        if owned is None or not owned[0]:
            raise JournalError(
                f"The tables of the journal {self._address.url!r} can be written anew by their owner only, and without "
                "that inputs stay in them. Nothing was hashed. Pass a URL with the user that has made them."
            )

    def _hashed(self, db: Connection) -> int:
        number = count = 0
        while page := self._page(_ATTEMPTS_TO_HASH, [number, _PAGE], db):
            number = page[-1][0]
            errors = [redacted(error, input) for _, error, input in page]
            db.execute(self._tables.sql(_HASH_ATTEMPTS), [[each[0] for each in page], errors])
        number = 0
        while page := self._page(_TO_HASH, [number, _PAGE], db):
            number, count = page[-1][0], count + len(page)
            errors = [redacted(error, input) for _, error, input in page]
            hashes = [input_hash(input) for *_, input in page]
            db.execute(self._tables.sql(_HASH), [[each[0] for each in page], errors, hashes])
        return count

    def retry(self, states: Collection[State], /) -> int:
        """Let the next run pay again; what is under way stays as it is."""
        return self._database.transact(partial(self._retried, list(states)))

    def _retried(self, states: list[str], db: Connection) -> int:
        db.execute(f"SELECT {SETTINGS}")
        self._changed(db)
        return db.execute(self._tables.sql(_RETRY), [states]).rowcount

    def settle(self, key: str, /, *, sample: int | None, prediction_id: str | None, check: bool) -> Record:
        """Give a row that is unknown its prediction, or let it be created again."""
        number = self._alone(lambda db: settle(db, self._tables, key, sample, prediction_id, check=check))
        ((_, model, input, attempts, label, *entry),) = self._database.transact(
            partial(self._page, _RECORDS, [0, number - 1, None, None, 1])
        )
        return Record(model, input, attempts, entry_of(entry), label)

    def fill_costs(self, price: Price, /) -> int:
        """Give predictions that ended without a cost the one that this price says; give their number."""
        return self._alone(partial(self._filled, price)) if price.known else 0

    def _filled(self, price: Price, db: Connection) -> int:
        cost, values = priced(price)
        statements = [self._tables.sql(_FILL.format(each, cost)) for each in ("items", "attempts")]
        return sum(db.execute(each, values).rowcount for each in statements)

    def has(self, digest: bytes, /) -> bool:
        """Whether there is any sample of a row."""
        return self._is_there("SELECT 1 FROM {items} WHERE key = %b LIMIT 1", digest)

    def owns(self, id: str, /) -> bool:
        """Whether a prediction belongs to a row."""
        return self._is_there("SELECT 1 FROM {predictions} WHERE id = %s", id)

    def _is_there(self, statement: str, value: Any) -> bool:
        return bool(self._database.transact(partial(self._page, statement, [value])))

    def telling(self) -> list[str]:
        """Name a few predictions by which a service can be told from others."""
        return [id for (id,) in self._database.transact(partial(self._page, _TELLING, []))]

    def contents(self) -> Generator[Content, None, None]:
        """Give all that it holds; no run begins meanwhile."""
        with self._database.once() as db:
            self._check_unused(db)
            db.execute(_PATIENT)
            yield from read_contents(db, self._tables)

    def take(self, contents: Iterator[Content], /) -> None:
        """Write down all that another journal gives, in one transaction."""
        self._database.transact(
            self._check_empty
        )  # before we wait for others: the other journal may be this one
        with self._database.once() as db:
            self._check_unused(db)
            self._check_empty(db)
            db.execute(_PATIENT)
            write_contents(db, self._tables, contents)
            self._changed(db)

    def _check_empty(self, db: Connection) -> None:
        if holds_anything(db, self._found(db)):
            raise JournalError(
                f"The journal {self._address.url!r} is not empty, so nothing was copied to it. Pass another prefix= in "
                "its URL, such as prefix=copied."
            )

    def remove(self) -> None:
        """Drop the tables. The schema stays."""
        self._alone(self._removed)

    def _removed(self, db: Connection) -> None:
        db.execute(f"DROP TABLE {', '.join(self._tables.all)}".encode())

    def _alone(self, steps: Callable[[Connection], T]) -> T:
        """Change the journal in a transaction that no run begins in; refused while one uses it."""
        return self._database.transact(partial(self._unused, steps))

    def _unused(self, steps: Callable[[Connection], T], db: Connection) -> T:
        self._check_unused(db)
        self._changed(db)
        return steps(db)

    def _check_unused(self, db: Connection) -> None:
        """Have it to ourselves till the end of the transaction. Raises `JournalError` while a run uses it."""
        lock(db, self._address)
        self._found(db)
        in_use = db.execute(self._tables.sql(_IN_USE)).fetchone()
        if in_use is None or in_use[0]:
            raise JournalError(
                f"A run uses the journal {self._address.url!r}. Stop it first; one that was killed is over when its "
                f"lease is, after {self._address.lease:g} seconds at most."
            )

    def _changed(self, db: Connection) -> None:
        """Note when it was changed."""
        db.execute(self._tables.sql("UPDATE {meta} SET changed_at = clock_timestamp()"))


def _packed(states: Collection[State] | None) -> list[str] | None:
    """Names of states, as a parameter."""
    return None if states is None else list(states)
