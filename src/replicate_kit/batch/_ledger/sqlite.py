"""A ledger in an SQLite file on a local disk: what `journal=` is, unless it is the URL of another kind."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from replicate_kit._formats.paths import local_text
from replicate_kit._formats.patterns import pattern
from replicate_kit.batch._ledger.archive import SqliteAdministrator
from replicate_kit.batch._ledger.database import Database
from replicate_kit.batch._ledger.entries import Entry, Event, Intent, Key, Name, Owner, Run
from replicate_kit.batch._ledger.guard import Guard, JournalLost, Sample
from replicate_kit.batch._ledger.hashing import count_kept
from replicate_kit.batch._ledger.locks import RunLock, is_alive, living_runs
from replicate_kit.batch._ledger.places import journal_file
from replicate_kit.batch._ledger.protocol import Shared, Spending
from replicate_kit.batch._ledger.reading import Reader, owners_of, recent_predictions, shown_predictions
from replicate_kit.batch._ledger.recording import Writer, take_names
from replicate_kit.batch._ledger.shared import change_shared
from replicate_kit.batch._ledger.spending import read_spending
from replicate_kit.batch._ledger.tables import open_journal
from replicate_kit.batch._money.pricing import Price
from replicate_kit.errors import JournalError

__all__ = ["SqliteLedger", "SqliteStore"]

T = TypeVar("T")

_PASSWORD = pattern(r"(?i)password\s*=|pwd\s*=")  # as in what other programs take for a database


class SqliteStore:
    """Journals in files: the URL of one is its path."""

    def ledger(self, url: str, /) -> SqliteLedger:
        """Make the ledger of a run; its file is made when it is opened.

        Raises `ConfigError` for what is no path, and `JournalError` for a path where no journal can be.
        """
        return SqliteLedger(journal_file(url).path)

    def administrator(self, url: str, /, *, make: bool = False) -> SqliteAdministrator:
        """Open a journal that exists, or make one."""
        if make:
            return SqliteAdministrator(journal_file(url).path)
        path = Path(local_text(url, "journal"))
        if not path.is_file():
            said = "of that name" if _PASSWORD.search(str(path)) else repr(os.fspath(url))
            raise JournalError(f"There is no journal {said}. Pass the file or the URL that journal= named.")
        return SqliteAdministrator(path)


class SqliteLedger:
    """A journal, as one run uses it.

    Verbs that are called in one round of the event loop are committed together. `path` is the file: where one that was
    lost has been copied, that of the copy.
    """

    shares_creates = False  # mostly one run uses a file, and it shall not ask for each half second

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lease_until = math.inf  # the operating system lets go of the lock when the process ends
        self.lost: JournalError | None = None
        self._lock: RunLock | None = None
        self._sample = Sample()
        self._run: Run | None = None

    @property
    def url(self) -> str:
        """What to pass as `journal=` to go on with it."""
        return str(self.path)

    # It is opened and closed.

    async def open(self, run_id: str, /) -> None:
        """Open the file for a run, or make one."""
        if self._lock is not None:
            return
        # Before the journal is opened: from the first row on that names this run, others must find that it lives.
        self._lock = RunLock(self.path, run_id)
        self._guard = Guard(self.path, self._lock, self._sample)
        self._database = Database(open_journal, self.path, self._guard)
        self._reader = Reader(run_id, partial(is_alive, self.path))
        self._living = partial(living_runs, self.path)
        try:
            await self._noticing(self._database.open())
        except BaseException:
            if self.lost is None:  # else it can still be copied
                await self.close()
            raise

    async def close(self) -> None:
        """Commit what was asked for, close the file, and let go of the lock."""
        if self._lock is None:
            return
        # In this order: as long as something is written, the run has to count as living.
        try:
            await self._database.aclose()
        finally:
            self._lock.release()

    async def rescue(self) -> str:
        """Copy what is open to another file, beside the old one if that can be; the run goes on with what is open."""
        if not (isinstance(self.lost, JournalLost) and self.lost.copyable):
            return ""
        try:
            self.path = await self._database.do(self._copy)
        except JournalError as error:
            return (
                f"What it had could not be copied ({error}). Put the journal back from a copy of yours before you run "
                "this again: what it does not know is paid for again."
            )
        return f"All that it had was copied to {str(self.path)!r}."

    def _copy(self, db: sqlite3.Connection) -> Path:
        # SQLite copies no database that has a transaction under way.
        db.execute("COMMIT")
        try:
            return self._guard.rescue(db)
        finally:
            db.execute("BEGIN")

    # What plans need.

    async def version_of(self, reference: str, /) -> str | None:
        """The version that a reference was held to."""
        return await self._do(lambda db: _version_of(db, reference))

    async def find(self, keys: Sequence[Key], /, *, outputs: bool = True) -> Sequence[Entry | None]:
        """Read what is known of rows. It does not look whether files that were stored are still there."""
        return await self._do(lambda db: self._reader.find(db, keys, outputs=outputs))

    async def spending(self, price: Price, /) -> Spending:
        """Add up what was spent."""
        return await self._do(lambda db: read_spending(db, price))

    async def kept_inputs(self) -> int:
        """Count rows whose inputs are there."""
        return await self._do(count_kept)

    async def shown_to(self, account: str, /) -> Sequence[str]:
        """Name predictions that an account was shown."""
        return await self._do(lambda db: shown_predictions(db, account))

    # What a run does.

    async def begin(self, run: Run, /) -> None:
        """Write down that it is run. From now on a journal that is lost fails no verb: the run stops in order."""
        await self._do(lambda db: _begin(db, run))
        self._run, self._writer = run, Writer(run, self._reader, self._sample.add)
        self._database.on_lost = self._note

    async def claim(self, intents: Sequence[Intent], /) -> Sequence[Entry | None]:
        """Take rows for creates that are about to be sent."""
        return await self._do(lambda db: self._writer.claim(db, intents))

    async def take_over(self, keys: Sequence[Key], /) -> Sequence[Entry | None]:
        """Take what dead runs have left open."""
        return await self._do(lambda db: self._writer.take_over(db, keys))

    async def record(self, events: Sequence[Event], /) -> Sequence[bool]:
        """Write down what happened."""
        return await self._do(lambda db: self._writer.record(db, events))

    async def owners(self, ids: Sequence[str], /) -> Mapping[str, Owner]:
        """Say which of these predictions belong to rows."""
        return await self._do(lambda db: owners_of(db, ids, self._model))

    async def recent(self, since: float, /) -> Sequence[str]:
        """Name predictions of this model that may be so young."""
        return await self._do(lambda db: recent_predictions(db, self._model, since))

    async def take_names(self, names: Sequence[Name], /) -> Sequence[bool]:
        """Take names of files for rows."""
        return await self._do(lambda db: take_names(db, names))

    # What runs share.

    async def share(self, change: Callable[[Shared], str], /) -> None:
        """Change what all runs on the file share."""
        living = self._living
        await self._do(lambda db: change_shared(db, living, change))

    async def spending_besides(self, price: Price, runs: Collection[str], /) -> Spending:
        """Add up what was spent by all others."""
        return await self._do(lambda db: read_spending(db, price, runs))

    @property
    def _model(self) -> str:
        """The model of the run, once it has begun."""
        return "" if self._run is None else self._run.model

    async def _do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in the next transaction. Until the run has begun, raise that the journal was lost."""
        if self._run is None and self.lost is not None:
            raise self.lost
        return await self._noticing(self._database.do(operation))

    async def _noticing(self, doing: Awaitable[T]) -> T:
        """Wait for something, and take note of a journal that was found to be lost."""
        try:
            return await doing
        finally:
            self.lost = self._database.lost

    def _note(self, lost: JournalError) -> None:
        """Take note that the journal was lost, before anybody who asked comes back."""
        self.lost = lost


def _version_of(db: sqlite3.Connection, reference: str) -> str | None:
    found = db.execute("SELECT version FROM pins WHERE reference = ?", (reference,)).fetchone()
    return None if found is None else str(found[0])


def _begin(db: sqlite3.Connection, run: Run) -> None:
    """Write down a run, its account and the version that its reference is held to."""
    now = time.time()
    db.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)", (run.id, run.model, run.rows, now))
    if run.account is not None:
        db.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)", (run.id, run.account, run.shown))
    if run.label is not None:
        db.execute("INSERT OR IGNORE INTO labels VALUES (?, ?)", (run.id, run.label))
    if run.pin is not None:
        db.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?)", (*run.pin, now))
