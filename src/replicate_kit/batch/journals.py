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
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast, get_args

from replicate_kit._formats.arguments import unix_time
from replicate_kit._formats.wording import did_you_mean, listed, with_safe_repr
from replicate_kit.batch._ledger.copying import copy_journal
from replicate_kit.batch._ledger.costs import CostGroup, Costs, add_up, checked_groups
from replicate_kit.batch._ledger.entries import Retry, Retryable, State
from replicate_kit.batch._ledger.hashing import input_hash, is_hash
from replicate_kit.batch._ledger.places import JournalPath, folders
from replicate_kit.batch._ledger.protocol import Administrator, Record
from replicate_kit.batch._ledger.settling import checked_id, checked_key
from replicate_kit.batch._ledger.stores import is_url, journal_text, shown, store_of
from replicate_kit.batch._money.amounts import amount, whole
from replicate_kit.errors import ConfigError, JournalError

__all__ = [
    "COLUMNS",
    "CostGroup",
    "Costs",
    "JournalInfo",
    "State",
    "copy",
    "costs",
    "describe",
    "entries",
    "hash_inputs",
    "journals",
    "prune",
    "remove",
    "retry",
    "settle",
]

COLUMNS = (
    *("model", "input", "state", "status", "output", "files", "error", "prediction_id", "attempts"),
    *("seconds", "cost", "sent_at", "finished_at", "stored_in", "key", "sample", "input_hash", "label"),
)
"""The keys of an entry, in order."""

_OPEN = ("intent", "created")
_REDONE = get_args(Retry)


@with_safe_repr
@dataclass(frozen=True)
class JournalInfo:
    """What a journal holds: its models, how many rows are in which state, and the labels of its runs.

    `path` is a text where it is the URL of a journal that is no file; without its password. `size` is in bytes,
    `changed_at` a Unix timestamp in seconds, `cost` what its rows cost where prices were given. `in_use` tells that a
    run has it open.
    """

    path: Path | str
    models: tuple[str, ...]
    states: Mapping[str, int]
    cost: float | None
    size: int
    changed_at: float
    in_use: bool
    labels: tuple[str, ...] = ()


def journals() -> list[JournalInfo]:
    """Describe the journals that nobody named; the newest first.

    They are in the user's cache folder, or in a temporary folder where that could not be written.
    """
    found = [_described(path) for folder in folders() for path in folder.glob("*.sqlite")]
    return sorted((each for each in found if each), key=lambda each: -each.changed_at)


def describe(path: JournalPath) -> JournalInfo:
    """Say what a journal holds. Raises `JournalError` if it is none."""
    with _administered(path) as administrator:
        found = administrator.summary()
    text = journal_text(path)
    return JournalInfo(shown(text) if is_url(text) else Path(text), *found)


def entries(path: JournalPath, states: State | Collection[State] | None = None) -> Iterator[dict[str, Any]]:
    """Give the rows of a journal as flat dicts with the keys of `COLUMNS`, fit for CSV and Parquet.

    `label` is that of the run that paid, or None.

    `input`, structured outputs and lists of files are JSON texts; times are Unix timestamps in seconds. `input` is None
    where a run with journal_inputs="hash" wrote the row; `input_hash`, SHA-256 of the canonical input, is always there.
    Rows with equal inputs that were not to share a prediction have the same `key`, and are told apart by `sample`.
    """
    known = _known(states)
    with _administered(path) as administrator:
        for record in administrator.records(known):
            yield _flat(record)


def costs(
    path: JournalPath,
    *,
    by: CostGroup | Collection[CostGroup] = ("label", "model", "day"),
    since: datetime | date | str | None = None,
    until: datetime | date | str | None = None,
) -> list[Costs]:
    """Add up what was spent, tries that failed included, by labels, models and days; `by=()` gives one sum of all.

    A prediction has the label of the run that sent its create, and the day (UTC) on which it ended, or was created
    where it has not ended. `since` and `until` limit that time: aware datetimes, days of UTC, or texts in ISO 8601; a
    day that is `until` is counted, a moment is not. What has no time in the journal is left out then. What `prune` has
    forgotten is not there.

    Raises `ConfigError` for another group, `InputError` for what is no moment, and `JournalError` for what is no
    journal.

    >>> from replicate_kit import Client
    >>> rows = [{"prompt": "sea"}, {"prompt": "hill"}]
    >>> results = list(Client(backend="mock").map("demo/poet", rows, journal="p.sqlite", price=0.25, label="nightly"))
    >>> [(each.group, each.predictions, each.cost) for each in costs("p.sqlite", by="label")]
    [({'label': 'nightly'}, 2, 0.5)]
    """
    groups, first, last = checked_groups(by), unix_time("since", since), unix_time("until", until, ends=True)
    with _administered(path) as administrator:
        return add_up(administrator.payments(), groups, first, last)


def copy(source: JournalPath, target: JournalPath) -> int:
    """Copy a journal to one that is empty or not there, such as from a file to a database; give the number of its rows.

    All that it knows is copied: a run with the copy pays for nothing that the journal has. All of it is copied or,
    where anything fails, nothing. Neither may be in use: a run that begins with either meanwhile waits,
    for a minute and a half at most. Use one of the
    two from then on, since neither sees what the other pays for.

    Raises `JournalError` while a run uses either, where there is no journal, and for a target that holds anything.

    >>> from replicate_kit import Client
    >>> client, rows = Client(backend="mock"), [{"prompt": "sea"}]
    >>> results = list(client.map("demo/poet", rows, journal="poems.sqlite"))
    >>> copy("poems.sqlite", "copied.sqlite")
    1
    >>> [result.cached for result in client.map("demo/poet", rows, journal="copied.sqlite")]
    [True]
    """
    return copy_journal(source, target)


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
    with _administered(path) as administrator:
        return administrator.prune(time.time() - age, known)


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
    with _administered(path) as administrator:
        return administrator.hash_inputs()


def retry(path: JournalPath, states: Retryable = ("failed",)) -> int:
    """Let the next run pay again for rows that ended in these states; give their number."""
    chosen = listed(cast("Iterable[str]", states))
    if wrong := set(chosen) - set(_REDONE):
        raise ConfigError(
            f"There is nothing to retry in {sorted(wrong)}. States to retry: {', '.join(_REDONE)}."
        )
    with _administered(path) as administrator:
        return administrator.retry(cast("list[State]", chosen))


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
    with _administered(path) as administrator:
        return _flat(administrator.settle(key, sample=number, prediction_id=id, check=check))


def remove(path: JournalPath) -> None:
    """Remove a journal. Raises `JournalError` while a run uses it, and for a file that is none."""
    with _administered(path) as administrator:
        administrator.remove()


def _known(states: Collection[str] | None) -> list[State] | None:
    """Take the names of states, or one. Raises `ConfigError` for one that no row can be in."""
    if states is None:
        return None
    names = listed(states)
    if wrong := [each for each in names if each not in get_args(State)]:
        raise ConfigError(
            f"{wrong[0]!r} is no state of a row.{did_you_mean(wrong[0], get_args(State))} The states are: "
            f"{', '.join(get_args(State))}."
        )
    return cast("list[State]", names)


@contextmanager
def _administered(path: JournalPath) -> Iterator[Administrator]:
    """Open a journal that exists, wherever it is."""
    administrator = store_of(path).administrator(journal_text(path))
    try:
        yield administrator
    finally:
        administrator.close()


def _described(path: Path) -> JournalInfo | None:
    """Describe a journal, if it can be read and is still there."""
    try:
        return describe(path)
    except (JournalError, OSError):
        return None


def _flat(record: Record) -> dict[str, Any]:
    """Make flat values of a row."""
    entry, input = record.entry, record.input
    kept = json.loads(entry.stored) if entry.stored else None
    value = kept["output"] if kept else json.loads(entry.output) if entry.output else None
    files = _json(kept["files"]) if kept else None
    message = json.loads(entry.error)["message"] if entry.error else None
    flat = value if value is None or isinstance(value, str | int | float) else _json(value)
    values = (
        *(record.model, None if is_hash(input) else input, entry.state, entry.status, flat, files, message),
        *(entry.prediction_id, record.attempts, entry.seconds, entry.cost, entry.sent_at or None),
        *(entry.finished_at, entry.stored_in, entry.key.digest.hex(), entry.key.sample, input_hash(input)),
        record.label,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _json(value: Any) -> str:
    """Write JSON as people read it."""
    return json.dumps(value, ensure_ascii=False)
