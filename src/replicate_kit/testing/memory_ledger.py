"""A ledger in memory: for tests, and as the shortest example of one. What it holds is gone with the process.

`memory://poems` is a book that all ledgers of that name in this process share, in whichever threads their runs are.

>>> import asyncio
>>> from replicate_kit.batch.ledgers import Created, Intent, Key, Run
>>> from replicate_kit.testing.memory_ledger import MemoryStore
>>> async def pay(ledger):
...     await ledger.open("run 1")
...     await ledger.begin(Run("run 1", model="acme/poet"))
...     key = Key(b"sea")
...     claimed = await ledger.claim([Intent(key, '{"prompt":"sea"}', b"", 0.0, 60.0)])
...     await ledger.record([Created(key, "gm3qorzdhgbfurvjtvhg6dckhu")])
...     await ledger.close()
...     return claimed
>>> asyncio.run(pay(MemoryStore().ledger("memory://poems")))
[None]
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import singledispatchmethod
from itertools import islice

from replicate_kit.batch import ledgers as door
from replicate_kit.batch.ledgers import Entry, Key, Owner, Spending, Spent
from replicate_kit.errors import ConfigError, JournalError
from replicate_kit.testing._memory_book import Book, MemoryAdministrator, Row

__all__ = ["MemoryLedger", "MemoryStore", "store"]

_NEWEST = 2000  # rows of which the predictions are named: `recent` must not go through all of a large book
_MARGIN = {"server": 10.0, "ours": 130.0}  # seconds by which an intent may be older than its create
_SHOWN = 3  # predictions by which an account is known
_LONGEST = 86_400.0  # seconds; no prediction runs for more than a day


class MemoryLedger:
    """The ledger of one run. The run lives until `close`, or until `kill`: as if its process had died."""

    lease_until = math.inf
    shares_creates = True
    lost: JournalError | None = None

    def __init__(self, books: dict[str, Book], name: str) -> None:
        self._books, self._name = books, name
        self.url = f"memory://{name}"
        self._book: Book | None = None
        self._run = door.Run("", "")

    @contextmanager
    def _using(self) -> Iterator[Book]:
        """The book, for this run alone."""
        with (self._book or Book()).lock:
            if self._book is None or self._run.id not in self._book.alive:
                raise JournalError(f"The ledger memory://{self._name} is not open.")
            yield self._book

    async def open(self, run_id: str, /) -> None:
        """Begin the book if nobody has, and be alive."""
        self._book = self._books.setdefault(self._name, Book())
        self._run = self._run._replace(id=run_id)
        with self._book.lock:
            self._book.alive.add(run_id)

    def kill(self) -> None:
        """Die: the run is not alive any more, and has told nobody. For tests."""
        if self._book is not None:
            with self._book.lock:
                self._book.alive.discard(self._run.id)

    async def close(self) -> None:
        """Let others see that the run has ended."""
        self.kill()

    async def rescue(self) -> str:
        """Say that there is nothing to copy."""
        return "There is no copy: a ledger in memory is gone with its process."

    async def version_of(self, reference: str, /) -> str | None:
        """Say what a reference was held to."""
        with self._using() as book:
            pin = book.pins.get(reference)
        return pin and pin.version

    async def find(self, keys: Sequence[Key], /, *, outputs: bool = True) -> Sequence[Entry | None]:
        """Read rows."""
        with self._using() as book:
            found = [book.shown(book.rows.get(key), self._run.id) for key in keys]
        return found if outputs else [each and each._replace(output=None) for each in found]

    async def spending(self, price: door.Price, /) -> Spending:
        """Add up what has ended; what is under way is counted apart."""
        return await self.spending_besides(price, ())

    async def spending_besides(self, price: door.Price, runs: Collection[str], /) -> Spending:
        """Add up as well, without what these runs have created."""
        spent = Spent()
        with self._using() as book:
            rows = list(book.rows.values())
            ended = [row.entry for row in rows if row.entry.state != "created"] + book.earlier
            ended = [each for each in ended if book.creator_of(each) not in runs]
            is_intent = [(row, row.entry.state == "intent") for row in rows if row.entry.is_open]
            creators = [row.sender if intent else book.creator_of(row.entry) for row, intent in is_intent]
        for each in ended:
            if each.is_billed:
                seconds = each.seconds
                if seconds is None or not 0 <= seconds <= _LONGEST:
                    seconds = price.most_seconds
                known = each.cost is not None and each.cost >= 0
                used = price.used(book.used.get(each.prediction_id or "", {}))
                spent = spent.plus(1, seconds, (each.cost if known else price.of(seconds, used)) or 0.0, used)
        return Spending(spent, sum(each not in runs for each in creators))

    async def share(self, change: Callable[[door.Shared], str], /) -> None:
        """Change what all runs share."""
        with self._using() as book:
            book.shared = change(door.Shared(book.shared, time.time(), frozenset(book.alive)))

    async def kept_inputs(self) -> int:
        """Count rows with inputs."""
        with self._using() as book:
            return sum(not door.is_hash(row.input) for row in book.rows.values())

    async def shown_to(self, account: str, /) -> Sequence[str]:
        """Name what its latest runs were shown."""
        with self._using() as book:
            latest = reversed(book.runs.values())
            return list(islice((run.shown for run in latest if run.account == account and run.shown), _SHOWN))

    async def begin(self, run: door.Run, /) -> None:
        """Note the run and its pin."""
        now = time.time()
        with self._using() as book:
            self._run = run._replace(id=self._run.id)
            old = book.runs.get(self._run.id)
            shown = (old and old.shown) or run.shown
            book.runs[self._run.id] = door.PastRun(
                self._run.id, run.model, run.rows, now, run.account, shown, run.label
            )
            if run.pin is not None:
                book.pins[run.pin[0]] = door.Pin(*run.pin, now)
            book.changed_at = now

    async def claim(self, intents: Sequence[door.Intent], /) -> Sequence[Entry | None]:
        """Take rows, in one step: of two runs that want one, the second sees that the first has it."""
        with self._using() as book:
            book.changed_at = time.time()
            return [self._claimed(book, each) for each in intents]

    def _claimed(self, book: Book, intent: door.Intent) -> Entry | None:
        """Take a row if it is free."""
        key, input, *sent = intent
        row = book.rows.get(key)
        if row is None:
            row = book.rows[key] = Row(Entry(key, "intent"), self._run.id, self._run.model, "")
        elif not row.entry.is_open and row.entry.state in self._run.redo:
            row.entry = row.entry._replace(state="intent", before=row.entry.state)
        elif row.entry.state == "intent" and row.run == self._run.id and _sent(row.entry) == sent:
            return None
        else:
            return book.shown(row, self._run.id)
        fingerprint, sent_at, settled_at, clock = intent[2:]
        row.entry = row.entry._replace(
            fingerprint=fingerprint, sent_at=sent_at, settled_at=settled_at, clock=clock
        )
        row.run, row.input, row.sender = self._run.id, self._kept(input), self._run.id
        return None

    def _kept(self, input: str) -> str:
        """What the book holds of an input."""
        return input if self._run.keeps_inputs else door.input_hash(input)

    async def take_over(self, keys: Sequence[Key], /) -> Sequence[Entry | None]:
        """Take what nobody has any more."""
        with self._using() as book:
            for row in filter(None, map(book.rows.get, keys)):
                if row.entry.is_open and row.run not in book.alive:
                    row.run = self._run.id
            return [book.shown(book.rows.get(key), self._run.id) for key in keys]

    async def record(self, events: Sequence[door.Event], /) -> Sequence[bool]:
        """Write down what happened; what is refused stops nothing after it."""
        with self._using() as book:
            book.changed_at = time.time()
            return [self._happened(each, book) for each in events]

    def _open(self, book: Book, key: Key, state: str) -> Row | None:
        """The row, if this run has it in this state."""
        row = book.rows.get(key)
        return row if row and row.entry.state == state and row.run == self._run.id else None

    def _change(self, row: Row | None, states: Collection[str], **changes: object) -> bool:
        """Write to a row that has ended, if it is in one of these states."""
        if row is None or row.entry.state not in states:
            return False
        row.entry = row.entry._replace(**changes)  # type: ignore[arg-type]
        row.run = self._run.id
        return True

    @singledispatchmethod
    def _happened(self, event: door.Event, book: Book) -> bool:
        raise TypeError(f"{event!r} is no event of a ledger.")

    @_happened.register
    def _(self, event: door.Created, book: Book) -> bool:
        row = book.rows.get(event.key)
        if row is None or row.run != self._run.id:
            return False
        if row.entry.state != "intent":
            return row.entry.prediction_id == event.prediction_id
        return self._given(book, row, event.prediction_id)

    def _given(self, book: Book, row: Row, id: str) -> bool:
        """Give an intent its prediction; the first one of a run is what its account is known by."""
        run, given = book.runs.get(self._run.id), book.give(row, id)
        if given and run is not None and run.account is not None and run.shown is None:
            book.runs[run.id] = run._replace(shown=id)
        return given

    @_happened.register
    def _(self, event: door.Withdrawn, book: Book) -> bool:
        row = self._open(book, event.key, "intent")
        if row is None:
            return event.key not in book.rows or not book.rows[event.key].entry.is_open
        if row.entry.before is None:
            del book.rows[event.key]
        else:
            row.entry = row.entry._replace(state=row.entry.before, before=None)
        return True

    @_happened.register
    def _(self, event: door.Refused, book: Book) -> bool:
        key, input, state, error = event
        kept = self._kept(input)
        new = Entry(key, state, status="rejected", error=error, finished_at=time.time())
        row = book.rows.get(key)
        if row and row.run == self._run.id and _said(row.entry) == _said(new):
            return True  # this very event came before
        self._happened(door.Withdrawn(key), book)
        row = book.rows.get(key)
        if row is None:
            book.rows[key] = Row(new, self._run.id, self._run.model, kept)
            return True
        if row.entry.is_open or row.entry.state not in self._run.redo:
            return False
        # Left to the next run, it must not make that pay again for what has failed without being asked.
        if row.entry.state in ("unknown", "expired") or (row.entry.state, state) == ("failed", "canceled"):
            return self._change(row, (row.entry.state,), error=error)
        book.put_aside(row)
        row.input = kept
        return self._change(
            row, (row.entry.state,), state=state, status="rejected", error=error, finished_at=new.finished_at
        )

    @_happened.register
    def _(self, event: door.Ended, book: Book) -> bool:
        row, id = book.rows.get(event.key), event.prediction_id
        if row is None or (row.entry.is_open and row.run != self._run.id):
            return False
        if id is None:
            unnamed = row.entry.state == "unknown" and row.entry.prediction_id is None
            nameless = unnamed and row.run == self._run.id
            if event.state != "unknown" or not (row.entry.state == "intent" or nameless):
                return False
            if row.entry.state == "intent":
                book.put_aside(row)
                book.creators[event.key, None] = row.sender
        elif row.entry.state == "intent":
            if not self._given(book, row, id):
                return False
        elif row.entry.prediction_id != id:
            return False
        old, error = row.entry, event.error
        cost = {
            "seconds": event.seconds if old.seconds is None else old.seconds,
            "cost": event.cost if old.cost is None else old.cost,
        }
        now = event._replace(error=error)._asdict() | cost
        del now["used"]
        if event.used and id is not None:
            book.used.setdefault(id, event.used)
        return self._change(row, (old.state,), **now)

    @_happened.register
    def _(self, event: door.Canceling, book: Book) -> bool:
        row = self._open(book, event.key, "created")
        if row is None or row.entry.status == "adopted":
            return False
        return self._change(row, ("created",), status="canceling")

    @_happened.register
    def _(self, event: door.Confirmed, book: Book) -> bool:
        row = self._open(book, event.key, "created")
        if row is None or row.entry.prediction_id != event.prediction_id:
            return False
        status = None if row.entry.status == "adopted" else row.entry.status
        return self._change(row, ("created",), status=status)

    @_happened.register
    def _(self, event: door.Disowned, book: Book) -> bool:
        key, id, error, at = event
        row, new = book.rows.get(key), {"state": "unknown", "status": "unknown", "prediction_id": None}
        new |= {"error": error}
        if row is None or row.run != self._run.id:
            return False
        if (row.entry.status, row.entry.prediction_id) != ("adopted", id):
            return new.items() <= row.entry._asdict().items()  # this very event came before
        book.free(row)
        return self._change(row, ("created",), finished_at=at, **new)

    @_happened.register
    def _(self, event: door.Saved, book: Book) -> bool:
        key, stored, stored_in = event
        new = {"state": "saved", "stored": stored, "stored_in": stored_in, "error": None}
        row = book.rows.get(key)
        back = {"status": "succeeded"} if row and row.entry.state == "expired" else {}
        return self._change(row, ("finished", "saved", "expired"), **new, **back)

    @_happened.register
    def _(self, event: door.Unsaved, book: Book) -> bool:
        error = event.error
        return self._change(book.rows.get(event.key), ("finished", "saved"), error=error)

    @_happened.register
    def _(self, event: door.Expired, book: Book) -> bool:
        new = {"state": "expired", "status": "expired", "error": event.error}
        return self._change(book.rows.get(event.key), ("finished", "saved", "expired"), **new)

    async def owners(self, ids: Sequence[str], /) -> Mapping[str, Owner]:
        """Say whose predictions these are."""
        with self._using() as book:
            return {id: self._owner(book, book.owners[id]) for id in ids if id in book.owners}

    def _owner(self, book: Book, key: Key) -> Owner:
        """Show the owner of a prediction."""
        row = book.rows[key]
        input = None if door.is_hash(row.input) else row.input
        return Owner(key, row.model == self._run.model, input, row.entry.fingerprint or None)

    async def recent(self, since: float, /) -> Sequence[str]:
        """Name predictions of the newest rows."""
        with self._using() as book:
            found = [
                (row.entry.sent_at, row.entry.prediction_id)
                for row in islice(reversed(book.rows.values()), _NEWEST)
                if row.entry.prediction_id is not None
                and row.entry.state != "intent"
                and row.model == self._run.model
                and row.entry.sent_at >= since - _MARGIN[row.entry.clock]
            ]
        return [id for _, id in sorted(found)]

    async def take_names(self, names: Sequence[door.Name], /) -> Sequence[bool]:
        """Take names; the first row that asks for one has it."""
        with self._using() as book:
            return [book.names.setdefault((folder, name), key) == key for folder, name, key in names]


def _sent(entry: Entry) -> list[object]:
    """What tells one create from another."""
    return [entry.fingerprint, entry.sent_at, entry.settled_at, entry.clock]


def _said(entry: Entry) -> tuple[object, ...]:
    """What a refusal has written."""
    return entry.state, entry.status, entry.error


class MemoryStore:
    """Makes ledgers for URLs as `memory://poems`. Each store has books of its own; `store` is that of the scheme."""

    shared = False

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}

    def ledger(self, url: str, /) -> MemoryLedger:
        """Make the ledger of a run; the book begins when it is opened."""
        return MemoryLedger(self._books, _name(url))

    def administrator(self, url: str, /, *, make: bool = False) -> MemoryAdministrator:
        """Look after a book that somebody has begun, or begin one."""
        name = _name(url)
        if make:
            self._books.setdefault(name, Book())
        if name not in self._books:
            raise JournalError(f"There is no ledger {url} in this process.")
        return MemoryAdministrator(self._books, name)

    def keys(self, url: str, ids: Collection[str], /) -> set[Key]:
        """Say whose these predictions are, of those that the book has."""
        book = self._books.get(_name(url)) or Book()
        with book.lock:
            return {book.owners[id] for id in ids if id in book.owners}

    def forget(self, url: str, /) -> None:
        """Let a book go, when the runs that use it have ended."""
        self._books.pop(_name(url), None)


def _name(url: str) -> str:
    """The name of a book."""
    scheme, _, name = url.partition("://")
    if scheme != "memory" or not name:
        raise ConfigError(
            f"{url!r} is no ledger in memory. Pass a URL with a name, such as 'memory://poems'."
        )
    return name


store = MemoryStore()
"""What the entry point `memory` gives: the books of this process."""
