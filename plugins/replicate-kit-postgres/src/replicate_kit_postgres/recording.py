"""What a run writes: the rows that it takes, and what happens to them. Each function is within one transaction.

Most rows go the same way, many of them at a time: one statement writes them, and says which it has written. What it has
left out is read, and the rules of `rows` decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from replicate_kit.batch import ledgers as door
from replicate_kit.batch.ledgers import Created, Ended, Entry, Event, Intent, Key, Name, Saved
from replicate_kit_postgres.connecting import Connection
from replicate_kit_postgres.leases import fence, lives
from replicate_kit_postgres.reading import Reader
from replicate_kit_postgres.rows import Rules
from replicate_kit_postgres.tables import Tables
from replicate_kit_postgres.writing import USE, read_rows, split, write_rows

__all__ = ["Writer"]

_LARGE = (
    100_000  # characters of outputs that are not sent twice: it is asked before which statement is theirs
)

_BEGIN = (
    "UPDATE {runs} SET model = %s, rows = %s, label = COALESCE(label, %s), account = COALESCE(account, %s), "
    "shown = COALESCE(shown, %s) WHERE number = %s"
)
_PIN = (
    "INSERT INTO {pins} VALUES (%s, %s, clock_timestamp()) "
    "ON CONFLICT (reference) DO UPDATE SET version = excluded.version, pinned_at = excluded.pinned_at"
)
_SHOW = "UPDATE {runs} SET shown = %s WHERE number = %s AND account IS NOT NULL AND shown IS NULL"
# The inner select numbers rows in the order in which they come, the outer one writes them in the order of their keys,
# as all runs do: of two that want the same rows, neither has one that the other waits for.
_CLAIM = (
    "INSERT INTO {items} (number, key, sample, state, run, sender, model, input, fingerprint, sent_at, settled_at, "
    "clock) SELECT number, key, sample, 'intent', %s, %s, %s, input, fingerprint, sent_at, settled_at, clock FROM ("
    "SELECT nextval(pg_get_serial_sequence('{items}', 'number')) AS number, a.* FROM unnest(%b::bytea[], "
    "%s::integer[], %s::text[], %b::bytea[], %s::float8[], %s::float8[], %s::text[]) "
    "AS a (key, sample, input, fingerprint, sent_at, settled_at, clock)) AS n ORDER BY key, sample "
    "ON CONFLICT (key, sample) DO NOTHING RETURNING key, sample"
)
_OVER = (
    "UPDATE {runs} AS r SET over = true WHERE NOT "
    f"{lives('r')} AND NOT over AND number IN (SELECT i.run FROM {{items}} AS i JOIN unnest(%b::bytea[], "
    "%s::integer[]) AS a (key, sample) USING (key, sample) WHERE i.state IN ('intent', 'created'))"
)
_TAKE = (
    "UPDATE {items} AS i SET run = %s FROM unnest(%b::bytea[], %s::integer[]) AS a (key, sample), {runs} AS r "
    "WHERE (i.key, i.sample) = (a.key, a.sample) AND i.state IN ('intent', 'created') AND r.number = i.run AND r.over"
)
_MINE = "(i.key, i.sample) = (a.key, a.sample) AND i.run = %s"
# The run's lease is locked: nobody takes a row of its own between the parts of a statement.
_CREATE = (
    "WITH asked AS (SELECT * FROM unnest(%b::bytea[], %s::integer[], %s::text[]) AS t (key, sample, id)), "
    f"mine AS (SELECT a.* FROM asked AS a, {{items}} AS i WHERE {_MINE} AND i.state = 'intent' AND i.before IS NULL), "
    "owned AS (INSERT INTO {predictions} SELECT id, key, sample FROM mine ORDER BY id ON CONFLICT DO NOTHING "
    "RETURNING id, key, sample) UPDATE {items} AS i SET state = 'created', prediction_id = a.id, payer = i.sender, "
    "attempts = i.attempts + 1 FROM owned AS a WHERE (i.key, i.sample) = (a.key, a.sample) RETURNING i.key, i.sample"
)
_RESULTS = (
    "unnest(%b::bytea[], %s::integer[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], "
    "%s::float8[], %s::float8[]) AS {0} (key, sample, id, state, status, output, error, seconds, cost, finished_at)"
)
_RESULT = (
    "state = a.state, status = a.status, output = a.output, error = a.error, seconds = COALESCE(i.seconds, a.seconds), "
    "cost = COALESCE(i.cost, a.cost), finished_at = a.finished_at"
)
_WITH_ID = (
    "SELECT i.key, i.sample FROM {items} AS i, unnest(%b::bytea[], %s::integer[]) AS a (key, sample) "
    f"WHERE {_MINE} AND i.state = 'created'"
)
_END_CREATED = (
    f"UPDATE {{items}} AS i SET {_RESULT} FROM {_RESULTS.replace('{0}', 'a')} WHERE {_MINE} "
    "AND i.state = 'created' AND i.prediction_id = a.id RETURNING i.key, i.sample"
)
_END_INTENTS = (
    f"WITH asked AS (SELECT * FROM {_RESULTS.replace('{0}', 't')}), "
    f"mine AS (SELECT a.* FROM asked AS a, {{items}} AS i WHERE {_MINE} AND i.state = 'intent' AND i.before IS NULL "
    "AND a.id IS NOT NULL), "
    "owned AS (INSERT INTO {predictions} SELECT id, key, sample FROM mine ORDER BY id ON CONFLICT DO NOTHING "
    f"RETURNING id) UPDATE {{items}} AS i SET {_RESULT}, prediction_id = a.id, payer = i.sender, "
    "attempts = i.attempts + 1 FROM mine AS a JOIN owned USING (id) WHERE (i.key, i.sample) = (a.key, a.sample) "
    "RETURNING i.key, i.sample"
)
_SAVE = (
    "UPDATE {items} AS i SET state = 'saved', status = 'succeeded', run = %s, stored = a.stored, "
    "stored_in = a.stored_in, error = NULL FROM unnest(%b::bytea[], %s::integer[], %s::text[], %s::text[]) "
    "AS a (key, sample, stored, stored_in) WHERE (i.key, i.sample) = (a.key, a.sample) "
    "AND i.state IN ('finished', 'saved', 'expired') RETURNING i.key, i.sample"
)
_TAKE_NAMES = (
    "INSERT INTO {names} SELECT folder, name, key, sample FROM unnest(%s::text[], %s::text[], %b::bytea[], "
    "%s::integer[]) WITH ORDINALITY AS a (folder, name, key, sample, ordinal) ORDER BY folder, name, ordinal "
    "ON CONFLICT DO NOTHING"
)
_SHARED = "SELECT shared FROM {meta} FOR UPDATE"
_NOW = (
    "SELECT extract(epoch FROM clock_timestamp())::float8, "
    f"ARRAY(SELECT id FROM {{runs}} AS r WHERE {lives('r')})"
)
_SHARE = "UPDATE {meta} SET shared = %s"
_NAMED = (
    "SELECT folder, name, key, sample FROM {names} JOIN unnest(%s::text[], %s::text[]) AS a (folder, name) "
    "USING (folder, name)"
)


class Writer:
    """Writes for one run. What a run that is over writes is undone by `fence`."""

    def __init__(self, tables: Tables, number: int, run: door.Run, reader: Reader, url: str) -> None:
        self.fence = fence(tables, number, url)
        """What each transaction has to be done with."""
        self._tables, self._number, self._run, self._reader = tables, number, run, reader
        self._rules = Rules(number, run)
        self._fast: dict[type[Any], Callable[[Connection, Any], set[Key]]] = {
            Created: self._all_created,
            Ended: self._all_ended,
            Saved: self._all_saved,
        }

    def _keys(self, db: Connection, statement: str, *values: Any) -> set[Key]:
        """The keys of rows that a statement has written."""
        return set(map(Key._make, db.execute(self._tables.sql(statement), values, binary=True)))

    def begin(self, db: Connection) -> None:
        """Write down the run, its account and the version that its reference is held to."""
        run, sql = self._run, self._tables.sql
        db.execute(sql(_BEGIN), [run.model, run.rows, run.label, run.account, run.shown, self._number])
        if run.pin is not None:
            db.execute(sql(_PIN), run.pin)

    def claim(self, db: Connection, intents: Sequence[Intent]) -> list[Entry | None]:
        """Note intents to create, for rows that are not known or are paid for again; say what the others are."""
        done: set[Key] = set()
        keys = [each.key for each in intents]
        if len(set(keys)) == len(keys):
            inputs = [self._rules.kept(each.input) for each in intents]
            columns = ([each[ordinal] for each in intents] for ordinal in range(2, 6))
            whose = self._number, self._number, self._run.model
            done = self._keys(db, _CLAIM, *whose, *split(keys), inputs, *columns)
        answers: list[Entry | None] = [None] * len(intents)
        rest = [ordinal for ordinal, each in enumerate(intents) if each.key not in done]
        if rest:
            rows = read_rows(db, self._tables, [keys[ordinal] for ordinal in rest], [])
            others = [ordinal for ordinal in rest if not self._rules.claimed(rows, intents[ordinal])]
            write_rows(db, self._tables, rows)
            found = self._reader.find(db, [keys[ordinal] for ordinal in others])
            for ordinal, entry in zip(others, found, strict=True):
                answers[ordinal] = entry
        return answers

    def take_over(self, db: Connection, keys: Sequence[Key]) -> list[Entry | None]:
        """Take what dead runs have left open: those are over from now on, whatever they think."""
        asked = split(sorted(set(keys)))
        db.execute(self._tables.sql(_OVER), asked)
        db.execute(self._tables.sql(_TAKE), [self._number, *asked])
        return self._reader.find(db, keys)

    def record(self, db: Connection, events: Sequence[Event]) -> list[bool]:
        """Write down what happened, in this order; False for each event that its row does not allow."""
        return [answer for part in _parts(events) for answer in self._recorded(db, part)]

    def _recorded(self, db: Connection, events: list[Event]) -> list[bool]:
        """Write down events of different rows and predictions: in which order is all the same."""
        done: set[Key] = set()
        for kind, write in self._fast.items():
            if alike := [each for each in events if type(each) is kind]:
                done |= write(db, alike)
        if ids := [id for each in events if each.key in done and (id := _id_of(each))]:
            # What its account was shown first: the run is known by that.
            db.execute(self._tables.sql(_SHOW), [ids[0], self._number])
        rest = [each for each in events if each.key not in done]
        if not rest:
            self._note_used(db, events)
            return [True] * len(events)
        ids = [id for each in rest if (id := _id_of(each))]
        rows = read_rows(db, self._tables, [each.key for each in rest], ids)
        answers = {each.key: self._rules.happened(each, rows) for each in rest}
        write_rows(db, self._tables, rows)
        if rows.named:
            db.execute(self._tables.sql(_SHOW), [next(iter(rows.named)), self._number])
        self._note_used(db, [each for each in events if answers.get(each.key, True)])
        return [answers.get(each.key, True) for each in events]

    def _note_used(self, db: Connection, events: list[Event]) -> None:
        """Write down what predictions used of metrics, where that is not known yet."""
        ended = [each for each in events if isinstance(each, Ended) and each.used]
        if ended:
            used = [json.dumps(each.used) for each in ended]
            db.execute(self._tables.sql(USE), [[each.prediction_id for each in ended], used])

    def _all_created(self, db: Connection, events: list[Created]) -> set[Key]:
        """Write down the ids of creates of rows that were not known before."""
        keys = split([each.key for each in events])
        return self._keys(db, _CREATE, *keys, [each.prediction_id for each in events], self._number)

    def _all_ended(self, db: Connection, events: list[Ended]) -> set[Key]:
        """Write down outcomes of creates of this run: of rows that have an id, or never had one."""
        first = events
        if sum(len(each.output or "") for each in events) > _LARGE:
            keys = split([each.key for each in events])
            created = self._keys(db, _WITH_ID, *keys, self._number)
            first = [each for each in events if each.key in created]
        done = self._keys(db, _END_CREATED, *_results(first), self._number) if first else set[Key]()
        if rest := [each for each in events if each.key not in done and each.prediction_id is not None]:
            done |= self._keys(db, _END_INTENTS, *_results(rest), self._number)
        return done

    def _all_saved(self, db: Connection, events: list[Saved]) -> set[Key]:
        """Write down where files are."""
        stored = [each.stored for each in events], [each.stored_in for each in events]
        return self._keys(db, _SAVE, self._number, *split([each.key for each in events]), *stored)

    def share(self, db: Connection, change: Callable[[door.Shared], str]) -> None:
        """Change what all runs share, as the only one meanwhile."""
        # The time is asked for when the others are through: the statement that waits for them has it from before.
        shared = db.execute(self._tables.sql(_SHARED))
        ((now, living),) = db.execute(self._tables.sql(_NOW)).fetchall()
        ((text,),) = shared.fetchall()
        db.execute(self._tables.sql(_SHARE), [change(door.Shared(text, now, frozenset(living)))])

    def take_names(self, db: Connection, names: Sequence[Name]) -> list[bool]:
        """Take names of files for rows; False where another row has one."""
        asked = [each.folder for each in names], [each.name for each in names]
        db.execute(self._tables.sql(_TAKE_NAMES), [*asked, *split([each.key for each in names])])
        found = db.execute(self._tables.sql(_NAMED), asked, binary=True).fetchall()
        owners = {(folder, name): Key(key, sample) for folder, name, key, sample in found}
        return [owners[each.folder, each.name] == each.key for each in names]


def _results(events: list[Ended]) -> list[list[Any]]:
    """The columns of outcomes."""
    return [
        *split([each.key for each in events]),
        *([each[ordinal] for each in events] for ordinal in range(1, 9)),
    ]


def _id_of(event: Event) -> str | None:
    """The prediction that an event gives to a row, if it does."""
    return event.prediction_id if isinstance(event, Created | Ended) else None


def _parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Divide events so that no row and no prediction comes twice in a part."""
    part: list[Event] = []
    seen: set[Key | str] = set()
    for each in events:
        now = {each.key, _id_of(each)} - {None}
        if seen & now:
            yield part
            part, seen = [], set()
        part.append(each)
        seen |= now  # type: ignore[arg-type]
    if part:
        yield part
