"""Looking after journals: what they hold, what of it may go, what is to be paid again, what became of the unknown.

>>> from replicate_kit import Client
>>> from replicate_kit.batch.journals import describe, entries
>>> results = list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal="poems.sqlite"))
>>> describe("poems.sqlite").states
{'finished': 1}
>>> [entry["status"] for entry in entries("poems.sqlite")]
['succeeded']
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from replicate_kit._formats.paths import local_text
from replicate_kit._formats.wording import did_you_mean, listed, with_safe_repr
from replicate_kit.batch._ledger import settling
from replicate_kit.batch._ledger.database import explained
from replicate_kit.batch._ledger.hashing import HASHED, input_hash, is_hash, redacted
from replicate_kit.batch._ledger.locks import in_use
from replicate_kit.batch._ledger.places import JournalPath, drop, folders
from replicate_kit.batch._ledger.settling import checked_id, checked_key, find
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch._money.amounts import amount, whole
from replicate_kit.batch._plan.options import Retry, Retryable
from replicate_kit.errors import ConfigError, JournalError

__all__ = [
    "COLUMNS",
    "JournalInfo",
    "State",
    "describe",
    "entries",
    "hash_inputs",
    "journals",
    "prune",
    "remove",
    "retry",
    "settle",
]

State = Literal["intent", "created", "finished", "saved", "failed", "canceled", "unknown", "expired"]

COLUMNS = (
    *("model", "input", "state", "status", "output", "files", "error", "prediction_id", "attempts"),
    *("seconds", "cost", "sent_at", "finished_at", "stored_in", "key", "sample", "input_hash"),
)
"""The keys of an entry, in order."""

_OPEN = ("intent", "created")
_REDONE = get_args(Retry)


@with_safe_repr
@dataclass(frozen=True)
class JournalInfo:
    """What a journal holds: its models, and how many rows are in which state.

    `size` is in bytes, `changed_at` a Unix timestamp in seconds, `cost` what its rows cost where prices were
    given. `in_use` tells that a run has it open.
    """

    path: Path
    models: tuple[str, ...]
    states: Mapping[str, int]
    cost: float | None
    size: int
    changed_at: float
    in_use: bool


def journals() -> list[JournalInfo]:
    """Describe the journals that nobody named; the newest first.

    They are in the user's cache folder, or in a temporary folder where that could not be written.
    """
    found = [_described(path) for folder in folders() for path in folder.glob("*.sqlite")]
    return sorted((each for each in found if each), key=lambda each: -each.changed_at)


def describe(path: JournalPath) -> JournalInfo:
    """Say what a journal holds. Raises `JournalError` if it is none."""
    with _opened(path) as db:
        states = dict(db.execute("SELECT state, COUNT(*) FROM items GROUP BY state ORDER BY state"))
        models = tuple(row[0] for row in db.execute("SELECT DISTINCT model FROM items ORDER BY model"))
        spent = "SELECT SUM(cost) FROM (SELECT cost FROM items UNION ALL SELECT cost FROM attempts)"
        cost = db.execute(spent).fetchone()[0]
    stat = Path(path).stat()
    try:
        used = in_use(Path(path))
    except JournalError:  # nothing tells: whoever asks should not take it for free
        used = True
    return JournalInfo(Path(path), models, states, cost, stat.st_size, stat.st_mtime, used)


def entries(path: JournalPath, states: State | Collection[State] | None = None) -> Iterator[dict[str, Any]]:
    """Give the rows of a journal as flat dicts with the keys of `COLUMNS`, fit for CSV and Parquet.

    `input`, structured outputs and lists of files are JSON texts; times are Unix timestamps in seconds. `input` is None
    where a run with journal_inputs="hash" wrote the row; `input_hash`, SHA-256 of the canonical input, is always there.
    Rows with equal inputs that were not to share a prediction have the same `key`, and are told apart by `sample`.
    """
    packed = _packed(_known(states))
    with _opened(path) as db:
        where = "WHERE ? IS NULL OR state IN (SELECT value FROM json_each(?)) ORDER BY rowid"
        yield from _entries(db, where, (packed, packed))


def prune(
    path: JournalPath, *, older_than: float = 0.0, states: State | Collection[State] | None = None
) -> int:
    """Forget rows that have ended more than `older_than` seconds ago, of these states or all; give their number.

    What is forgotten is paid again if it is run again. Rows whose predictions may be under way stay. Raises
    `JournalError` while a run uses the journal, since its results wait there to be taken.
    """
    known = _known(states)
    if known is not None and set(known) & set(_OPEN):
        raise ConfigError(
            "Rows in the states 'intent' and 'created' may be paid for: run them to their end first."
        )
    age = amount("older_than", older_than, ", in seconds")
    with _opened(path) as db:
        with _changing(db):
            _check_unused(path)  # in here: a run that begins now waits for it
            gone = db.execute(
                "DELETE FROM items WHERE state NOT IN ('intent', 'created') AND COALESCE(finished_at, 0) <= ? AND "
                "(? IS NULL OR state IN (SELECT value FROM json_each(?)))",
                (time.time() - age, _packed(known), _packed(known)),
            ).rowcount
            db.execute(
                "DELETE FROM attempts WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = attempts.key)"
            )
            db.execute(
                "DELETE FROM names WHERE NOT EXISTS (SELECT 1 FROM items AS i WHERE i.key = names.key "
                "AND i.sample = names.sample)"
            )
        db.execute("VACUUM")
    return int(gone)


def hash_inputs(path: JournalPath) -> int:
    """Replace the inputs that a journal keeps by their hashes, for good; give the number of its rows that had any.

    Rows are found by their keys as before, so that nothing is paid twice. Outputs stay, and the names of files that
    were saved. Raises `JournalError` while a run uses the journal.

    >>> from replicate_kit import Client
    >>> results = list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal="poems.sqlite"))
    >>> hash_inputs("poems.sqlite")
    1
    >>> from replicate_kit.batch.journals import entries
    >>> [entry["input"] for entry in entries("poems.sqlite")]
    [None]
    """
    with _opened(path) as db:
        db.create_function("input_hash", 1, input_hash, deterministic=True)
        db.create_function("redacted", 2, redacted, deterministic=True)
        with _changing(db):
            _check_unused(path)  # in here: a run that begins now waits for it
            db.execute(
                "UPDATE attempts SET error = "
                "redacted(error, (SELECT input FROM items WHERE key = attempts.key LIMIT 1))"
            )
            changed = db.execute(
                "UPDATE items SET error = redacted(error, input), input = input_hash(input) "
                "WHERE substr(input, 1, length(?)) != ?",
                (HASHED, HASHED),
            ).rowcount
        db.execute("VACUUM")  # what SQLite has only marked as free would stay in the file
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return int(changed)


def retry(path: JournalPath, states: Retryable = ("failed",)) -> int:
    """Let the next run pay again for rows that ended in these states; give their number."""
    chosen = listed(cast("Iterable[str]", states))
    if wrong := set(chosen) - set(_REDONE):
        raise ConfigError(
            f"There is nothing to retry in {sorted(wrong)}. States to retry: {', '.join(_REDONE)}."
        )
    with _opened(path) as db:
        return db.execute(
            "UPDATE items SET state = 'canceled' WHERE state IN (SELECT value FROM json_each(?))",
            (_packed(chosen),),
        ).rowcount


def settle(
    path: JournalPath,
    key: str,
    *,
    prediction_id: str | None = None,
    absent: bool = False,
    sample: int | None = None,
    check: bool = True,
) -> dict[str, Any]:
    """Say what became of a row that is unknown, or whose create was never answered; give it as `entries` does.

    Pass its `prediction_id`: the next run then waits for that prediction and gives its output, free, once it has seen
    that it is of the row's model and input (`check=False` takes your word for it). If it is not, the row is unknown
    again. Or pass `absent=True`, if you know that there is none: the next run then creates it, as if it had never been
    sent. `key` is that of an entry, or its first digits; `sample` tells rows with equal inputs apart.

    Raises `ConfigError` for what can be no key or id, and `JournalError` for a row that is not there or needs no
    settling, for a prediction that another row has, and while a run uses the journal.

    >>> from replicate_kit import Client
    >>> from replicate_kit.batch.journals import entries
    >>> results = list(Client(backend="mock").map("demo/poet", [{"prompt": "sea"}], journal="poems.sqlite"))
    >>> for row in entries("poems.sqlite", ["unknown"]):  # to pay for what is certainly not there
    ...     row = settle("poems.sqlite", row["key"], sample=row["sample"], absent=True)
    """
    if absent not in (True, False) or (prediction_id is None) is not absent:
        raise ConfigError(
            "Pass either prediction_id= with the id of the row's prediction, or absent=True if there is none."
        )
    id, key = None if prediction_id is None else checked_id(prediction_id), checked_key(key)
    number = None if sample is None else whole("sample", sample, 0)
    with _opened(path) as db, _changing(db):
        _check_unused(path)  # in here: a run that begins now reads what is settled, or waits for it
        row = find(db, key, number)
        settling.settle(db, row, id, check=check)
        return next(_entries(db, "WHERE rowid = ?", (row.rowid,)))


def remove(path: JournalPath) -> None:
    """Remove a journal. Raises `JournalError` while a run uses it, and for a file that is none."""
    _check_unused(path)
    with _opened(path):  # what is no journal is somebody's file
        pass
    drop(Path(path))


def _check_unused(path: JournalPath) -> None:
    """Refuse to take away what a run stands on."""
    if in_use(Path(path)):
        raise JournalError(f"A run uses the journal {os.fspath(path)}. Stop it first.")


@contextmanager
def _changing(db: sqlite3.Connection) -> Iterator[None]:
    """Change a journal wholly or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _known(states: Collection[str] | None) -> list[str] | None:
    """Take the names of states, or one. Raises `ConfigError` for one that no row can be in."""
    if states is None:
        return None
    names = listed(states)
    if wrong := [each for each in names if each not in get_args(State)]:
        raise ConfigError(
            f"{wrong[0]!r} is no state of a row.{did_you_mean(wrong[0], get_args(State))} The states are: "
            f"{', '.join(get_args(State))}."
        )
    return names


def _packed(states: Collection[str] | None) -> str | None:
    """Pack names for SQLite."""
    return None if states is None else json.dumps(list(states))


@contextmanager
def _opened(path: JournalPath) -> Iterator[sqlite3.Connection]:
    """Open a journal that exists."""
    path = local_text(path, "journal")
    if not Path(path).is_file():
        raise JournalError(f"There is no journal {os.fspath(path)!r}. Pass the file that journal= named.")
    try:
        with closing(open_journal(Path(path))) as connection:
            yield connection
    except sqlite3.Error as error:
        raise explained(error, Path(path)) from error


def _described(path: Path) -> JournalInfo | None:
    """Describe a journal, if it can be read and is still there."""
    try:
        return describe(path)
    except (JournalError, OSError):
        return None


def _entries(db: sqlite3.Connection, which: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """Read rows."""
    rows = db.execute(
        "SELECT model, input, state, status, output, stored, error, prediction_id, attempts, seconds, cost, sent_at, "
        f"finished_at, stored_in, lower(hex(key)), sample FROM items {which}",
        values,
    )
    for row in rows:
        yield _entry(row)


def _entry(row: tuple[Any, ...]) -> dict[str, Any]:
    """Make flat values of a row."""
    model, input, state, status, output, stored, error, *rest = row
    kept = json.loads(stored) if stored else None
    value = kept["output"] if kept else json.loads(output) if output else None
    files = _json(kept["files"]) if kept else None
    message = json.loads(error)["message"] if error else None
    flat = value if value is None or isinstance(value, str | int | float) else _json(value)
    known = None if is_hash(input) else input
    values = (model, known, state, status, flat, files, message, *rest, input_hash(input))
    return dict(zip(COLUMNS, values, strict=True))


def _json(value: Any) -> str:
    """Write JSON as people read it."""
    return json.dumps(value, ensure_ascii=False)
