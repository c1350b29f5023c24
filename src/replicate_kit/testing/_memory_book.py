"""What the ledgers of one name in memory share, and who looks after it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from replicate_kit.batch.ledgers import (
    Content,
    EarlierTry,
    Entry,
    Holder,
    KeptRow,
    Key,
    Name,
    PastRun,
    Payment,
    Pin,
    Price,
    Record,
    State,
    Summary,
    Used,
    input_hash,
    is_hash,
    redacted,
)
from replicate_kit.errors import JournalError

__all__ = ["Book", "MemoryAdministrator", "Row"]

_FEW = 3  # predictions that tell a service
_LONGEST = 86_400.0  # seconds; no prediction runs for more than a day
_OPEN_OR_FREE = ("aborted", "unknown", "adopted", "canceling", None)


@dataclass
class Row:
    """A row, and what only the ledger sees of it: the run that wrote to it last, its model and its input.

    `sender` is the run that has sent its latest create.
    """

    entry: Entry
    run: str
    model: str
    input: str
    attempts: int = 0
    sender: str | None = None


@dataclass
class Book:
    """Rows in the order in which they came, the earlier predictions of rows, and who owns each prediction of both.

    `runs` are those that have begun, by their ids; `creators` has the run that has created each prediction, by None
    that of a create that cannot be found; `used` is what predictions used of metrics. `shared` is what runs share.
    Whoever reads or writes has `lock`.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    earlier: list[Entry] = field(default_factory=list)
    owners: dict[str, Key] = field(default_factory=dict)
    names: dict[tuple[str, str], Key] = field(default_factory=dict)
    pins: dict[str, Pin] = field(default_factory=dict)
    runs: dict[str, PastRun] = field(default_factory=dict)
    creators: dict[tuple[Key, str | None], str | None] = field(default_factory=dict)
    used: dict[str, Mapping[str, float]] = field(default_factory=dict)
    shared: str | None = None
    alive: set[str] = field(default_factory=set)
    changed_at: float = field(default_factory=time.time)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def shown(self, row: Row | None, run: str = "") -> Entry | None:
        """What a run is shown of a row."""
        if row is None:
            return None
        holder: Holder = "nobody"
        if row.entry.is_open:
            holder = "ours" if row.run == run else "theirs" if row.run in self.alive else "nobody"
        writer = self.runs.get(row.run)
        return row.entry._replace(holder=holder, account=writer and writer.account)

    def creator_of(self, entry: Entry) -> str | None:
        """The run that has created the prediction of a row, or an earlier one."""
        return self.creators.get((entry.key, entry.prediction_id))

    def label_of(self, run: str | None) -> str | None:
        """The label of a run, if it has one."""
        return self.runs[run].label if run in self.runs else None

    def give(self, row: Row, prediction_id: str, status: str | None = None) -> bool:
        """Give an intent its prediction; False if that belongs to a row."""
        if prediction_id in self.owners:
            return False
        self.put_aside(row)
        self.owners[prediction_id] = row.entry.key
        self.creators[row.entry.key, prediction_id] = row.sender
        row.entry = row.entry._replace(state="created", prediction_id=prediction_id, status=status)
        row.attempts += 1
        return True

    def put_aside(self, row: Row) -> None:
        """Put aside what is known of an earlier prediction: it has cost, or may have."""
        old = row.entry
        if old.is_known:
            self.earlier.append(old)
        sent_at, settled_at, clock = old.sent_at, old.settled_at, old.clock
        row.entry = Entry(old.key, old.state, fingerprint=old.fingerprint)
        row.entry = row.entry._replace(sent_at=sent_at, settled_at=settled_at, clock=clock)

    def free(self, row: Row) -> None:
        """Take its prediction from a row, and with it all that is known of that."""
        if row.entry.prediction_id is not None:
            del self.owners[row.entry.prediction_id]
            self.creators.pop((row.entry.key, row.entry.prediction_id), None)
            row.attempts -= 1
        row.entry = row.entry._replace(prediction_id=None, status=None)
        self.put_aside(row)


class MemoryAdministrator:
    """Looks after a book."""

    def __init__(self, books: dict[str, Book], name: str) -> None:
        self._books, self._name, self._book = books, name, books[name]

    def close(self) -> None:
        """Let go of it: there is nothing to do."""

    def summary(self) -> Summary:
        """Say what it holds."""
        book = self._book
        with book.lock:
            rows = list(book.rows.values())
            costs = [each.cost for each in (*(row.entry for row in rows), *book.earlier)]
            known = [each for each in costs if each is not None]
            return Summary(
                models=tuple(sorted({row.model for row in rows})),
                states=dict(sorted(Counter(row.entry.state for row in rows).items())),
                cost=sum(known) if known else None,
                size=sum(len(row.input) + len(row.entry.output or "") for row in rows),
                changed_at=book.changed_at,
                in_use=bool(book.alive),
                labels=tuple(sorted({each.label for each in book.runs.values() if each.label is not None})),
            )

    def records(self, states: Collection[State] | None = None, /) -> Iterator[Record]:
        """Give its rows, as they are now."""
        with self._book.lock:
            rows = [each for each in self._book.rows.values() if states is None or each.entry.state in states]
            return iter([self._record(each) for each in rows])

    def payments(self) -> Iterator[Payment]:
        """Give all predictions that were paid for, or may have been."""
        book, found = self._book, list[Payment]()
        with book.lock:
            for entry in (*(row.entry for row in book.rows.values()), *book.earlier):
                row, is_created = book.rows[entry.key], entry.state == "created"
                if entry.is_known:
                    label = book.label_of(book.creator_of(entry))
                    status, at = (None, entry.sent_at) if is_created else (entry.status, entry.finished_at)
                    found.append(Payment(row.model, label, status, entry.cost, at))
            for row in book.rows.values():
                if row.entry.state == "intent":
                    found.append(Payment(row.model, book.label_of(row.sender), None, None, row.entry.sent_at))
        return iter(found)

    def prune(self, before: float, states: Collection[State] | None = None, /) -> int:
        """Forget rows, with their names and their earlier predictions."""
        with self._unused() as book:
            rows = {
                key: row
                for key, row in book.rows.items()
                if row.entry.is_open
                or (row.entry.finished_at or 0.0) > before
                or (states is not None and row.entry.state not in states)
            }
            count, book.rows = len(book.rows) - len(rows), rows
            book.earlier = [each for each in book.earlier if each.key in rows]
            book.owners = {id: key for id, key in book.owners.items() if key in rows}
            book.creators = {which: run for which, run in book.creators.items() if which[0] in rows}
            book.used = {id: used for id, used in book.used.items() if id in book.owners}
            book.names = {name: key for name, key in book.names.items() if key in rows}
        return count

    def hash_inputs(self) -> int:
        """Replace inputs by hashes, and take what errors quote of them out."""
        with self._unused() as book:
            inputs = {key: row.input for key, row in book.rows.items() if not is_hash(row.input)}
            book.earlier = [
                each._replace(error=redacted(each.error, inputs.get(each.key))) for each in book.earlier
            ]
            for key, input in inputs.items():
                row = book.rows[key]
                row.entry = row.entry._replace(error=redacted(row.entry.error, input))
                row.input = input_hash(input)
        return len(inputs)

    def retry(self, states: Collection[State], /) -> int:
        """Let the next run pay again; what is under way stays as it is."""
        with self._book.lock:
            rows = [each for each in self._book.rows.values() if each.entry.state in states]
            chosen = [each for each in rows if not each.entry.is_open]
            for row in chosen:
                row.entry = row.entry._replace(state="canceled")
            self._book.changed_at = time.time()
        return len(chosen)

    def settle(self, key: str, /, *, sample: int | None, prediction_id: str | None, check: bool) -> Record:
        """Give a row its prediction, "adopted" if the next run is to check that, or let it be created again."""
        with self._unused() as book:
            row = self._to_settle(key, sample)
            owner = book.owners.get(prediction_id) if prediction_id is not None else None
            if owner is not None and (owner != row.entry.key or row.entry.state == "intent"):
                raise JournalError(
                    f"The prediction {prediction_id} belongs to the row {owner.digest.hex()} (sample {owner.sample}) "
                    "already. Pass another one."
                )
            # An earlier, certain prediction stays known. What nobody could find is forgotten: whoever settles the row
            # knows better.
            if row.entry.state != "intent":
                book.free(row)
            if prediction_id is None:
                row.entry = row.entry._replace(state="canceled", before=None)
            else:
                book.give(row, prediction_id, "adopted" if check else None)
            return self._record(row)

    def fill_costs(self, price: Price, /) -> int:
        """Give predictions that ended without a cost the one that this price says."""
        if not price.known:
            return 0
        with self._unused() as book:
            rows = [row for row in book.rows.values() if _is_unpriced(row.entry)]
            for row in rows:
                row.entry = _priced(row.entry, price, book)
            count = len(rows) + sum(map(_is_unpriced, book.earlier))
            book.earlier = [
                _priced(each, price, book) if _is_unpriced(each) else each for each in book.earlier
            ]
        return count

    def has(self, digest: bytes, /) -> bool:
        """Whether there is any sample of a row."""
        with self._book.lock:
            return any(key.digest == digest for key in self._book.rows)

    def owns(self, id: str, /) -> bool:
        """Whether a prediction belongs to a row."""
        with self._book.lock:
            return id in self._book.owners

    def telling(self) -> list[str]:
        """Name the latest predictions of rows, and one of each account."""
        with self._book.lock:
            rows = [row.entry for row in self._book.rows.values() if row.entry.status != "adopted"]
            shown = {run.account: run.shown for run in self._book.runs.values() if run.account}
        rows.sort(key=lambda entry: -entry.sent_at)
        ids: dict[bool, list[str]] = {True: [], False: []}
        for each in rows:
            if each.prediction_id is not None:
                ids[each.state in ("created", "unknown")].append(each.prediction_id)
        return sorted({*ids[True][:_FEW], *ids[False][:_FEW], *filter(None, shown.values())})

    def contents(self) -> Generator[Content, None, None]:
        """Give all that it holds, as it is now."""
        with self._unused() as book:
            found: list[Content] = [*book.runs.values(), *book.pins.values()]
            found += map(self._kept, book.rows.values())
            found += map(self._earlier, book.earlier)
            found += map(Used._make, book.used.items())
            found += (Name(*name, key) for name, key in book.names.items())
        yield from found

    def _kept(self, row: Row) -> KeptRow:
        """A row, as it is copied."""
        entry = self._book.shown(row) or row.entry
        sender = self._book.label_of(row.sender) if entry.state == "intent" else None
        return KeptRow(entry, row.model, row.input, row.attempts, row.run, sender, self._payer(entry))

    def _earlier(self, entry: Entry) -> EarlierTry:
        """An earlier prediction, as it is copied."""
        cost = entry.status, entry.error, entry.seconds, entry.cost, entry.finished_at
        payer = self._book.label_of(self._book.creator_of(entry))
        return EarlierTry(entry.key, entry.prediction_id, *cost, payer)

    def take(self, contents: Iterator[Content], /) -> None:
        """Write down all that another ledger gives."""
        self._check_empty()
        new = Book()
        for each in contents:
            _put(new, each)
        with self._unused() as book:
            self._check_empty()
            for name in ("rows", "earlier", "owners", "names", "pins", "runs", "creators", "used"):
                setattr(book, name, getattr(new, name))

    def _check_empty(self) -> None:
        if self._book.runs or self._book.rows or self._book.names:
            raise JournalError(
                f"The ledger memory://{self._name} is not empty. Pass one that is not there yet."
            )

    def remove(self) -> None:
        """Take the book away; the next ledger of its name begins another."""
        with self._unused():
            self._books.pop(self._name, None)

    @contextmanager
    def _unused(self) -> Iterator[Book]:
        """The book, which no run uses."""
        with self._book.lock:
            if self._book.alive:
                raise JournalError(f"A run uses the ledger memory://{self._name}. Stop it first.")
            yield self._book
            self._book.changed_at = time.time()

    def _record(self, row: Row) -> Record:
        """Show a row."""
        entry = self._book.shown(row) or row.entry
        label = self._book.label_of(row.sender) if entry.state == "intent" else self._payer(entry)
        return Record(row.model, row.input, row.attempts, entry, label)

    def _payer(self, entry: Entry) -> str | None:
        """The label of its prediction: what is noted of a create that is known to be absent by now is none."""
        return self._book.label_of(self._book.creator_of(entry)) if entry.is_known else None

    def _to_settle(self, digits: str, sample: int | None) -> Row:
        """Find the one row that is meant."""
        meant = [key for key in self._book.rows if key.digest.hex().startswith(digits.lower())]
        if not meant:
            raise JournalError(f"The ledger has no row whose key begins with {digits!r}.")
        if len({key.digest for key in meant}) > 1:
            raise JournalError(f"Several keys begin with {digits!r}. Pass more digits.")
        rows = [self._book.rows[key] for key in meant if sample is None or key.sample == sample]
        found = [each for each in rows if _is_unsettled(each.entry)]
        if not found:
            raise JournalError(f"The row {meant[0].digest.hex()} has nothing to settle, or no such sample.")
        if len(found) > 1:
            raise JournalError(f"There are equal rows to settle, {len(found)} samples. Pass sample= as well.")
        return found[0]


def _is_unsettled(entry: Entry) -> bool:
    """Whether it is not known what became of a row, or it was settled and no run has looked at that yet."""
    return entry.state in ("unknown", "intent") or (entry.state, entry.status) == ("created", "adopted")


def _is_unpriced(entry: Entry) -> bool:
    """Whether a prediction has ended, and its cost is not known."""
    return entry.cost is None and entry.prediction_id is not None and entry.status not in _OPEN_OR_FREE


def _priced(entry: Entry, price: Price, book: Book) -> Entry:
    """The same with the cost that a price says."""
    seconds = entry.seconds
    if seconds is None or not 0 <= seconds <= _LONGEST:
        seconds = price.most_seconds
    used = price.used(book.used.get(entry.prediction_id or "", {}))
    return entry._replace(cost=price.of(seconds, used))


def _put(book: Book, content: Content) -> None:
    """Put something of another ledger into a book."""
    match content:
        case PastRun():
            book.runs[content.id] = content
        case Pin():
            book.pins[content.reference] = content
        case Used():
            book.used[content.prediction_id] = content.metrics
        case Name():
            book.names[content.folder, content.name] = content.key
        case KeptRow():
            entry, model, input, attempts, run, sender, payer = content
            book.rows[entry.key] = Row(entry, run, model, input, attempts, _run_of(book, sender))
            _put_creator(book, entry.key, entry.prediction_id, payer)
        case EarlierTry():
            key, id, status, error, seconds, cost, ended_at, payer = content
            earlier = Entry(key, "canceled", prediction_id=id, status=status, error=error, seconds=seconds)
            book.earlier.append(earlier._replace(cost=cost, finished_at=ended_at))
            _put_creator(book, key, id, payer)


def _put_creator(book: Book, key: Key, id: str | None, label: str | None) -> None:
    """Note whose a prediction is."""
    if id is not None:
        book.owners[id] = key
    if id is not None or label is not None:
        book.creators[key, id] = _run_of(book, label)


def _run_of(book: Book, label: str | None) -> str | None:
    """A run with a label, whichever."""
    return next((run.id for run in book.runs.values() if run.label == label), None) if label else None
