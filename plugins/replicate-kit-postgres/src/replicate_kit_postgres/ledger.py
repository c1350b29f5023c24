"""A journal in PostgreSQL, as one run uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from replicate_kit.batch.ledgers import (
    Entry,
    Event,
    Intent,
    Key,
    Name,
    Owner,
    Price,
    Run,
    Shared,
    Spending,
    elapsed,
)
from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address
from replicate_kit_postgres.connecting import ANSWER, PATIENCE, Connection, Database, Fence
from replicate_kit_postgres.leases import Lease, LeaseOver, end_lease, register
from replicate_kit_postgres.reading import Reader
from replicate_kit_postgres.recording import Writer
from replicate_kit_postgres.tables import Tables, lock, make
from replicate_kit_postgres.worker import Worker

__all__ = ["PostgresLedger"]

T = TypeVar("T")

_CLOSING = 3.0  # seconds that a run waits for what is under way, and for the note that it has ended


class PostgresLedger:
    """The ledger of one run. Its verbs wait for each other, on one thread with one connection.

    That thread is not the event loop's: a lease is renewed while the loop is busy with something else.
    """

    shares_creates = True

    def __init__(self, address: Address) -> None:
        self.address = address
        self.url = address.url
        self.lost: JournalError | None = None
        self._database = Database(address, answer=ANSWER)
        self._thread: Worker | None = None
        self._lease: Lease | None = None
        self._model = ""
        self._writer: Writer | None = None

    @property
    def lease_until(self) -> float:
        """Until when others take the run to be alive, at least; it is renewed as long as the server can be reached."""
        return 0.0 if self._lease is None else self._lease.until

    # It is opened and closed.

    async def open(self, run_id: str, /) -> None:
        """Make the tables where there are none, and let the run be alive."""
        if self._lease is not None:
            return
        self._thread = Worker("replicate-kit-postgres")
        try:
            await self._on_thread(partial(self._open, run_id))
        except BaseException:
            await self.close()
            raise

    def _open(self, run_id: str) -> None:
        # Whoever changes the whole journal is waited for. A server that is not there from the beginning is not.
        self._tables, self._number, until = self._database.transact(partial(self._begun, run_id), slow=True)
        self._database.patience = PATIENCE
        self._reader = Reader(self._tables, self._number)
        self._lease = Lease(self.address, self._tables, self._number, until, self._note)

    def _begun(self, run_id: str, db: Connection) -> tuple[Tables, int, float]:
        """Be in the journal before anything names this run; say until when it lives, at least."""
        tables = lock(db, self.address)
        make(db, self.address, tables)
        asked = elapsed()  # others were waited for before that
        return tables, register(db, tables, run_id, self.address.lease), asked + self.address.lease

    def _note(self, over: LeaseOver) -> None:
        """Take note that the lease was lost."""
        self.lost = self.lost or over
        self._database.give_up()

    async def close(self) -> None:
        """Finish what was asked for, and let others see that the run has ended.

        A server that hangs is not waited for: others see it when the lease is over, which nobody renews then.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._database.give_up()
        if self._lease is not None:
            self._lease.end()
        closed = asyncio.wrap_future(thread.call(self._close))
        thread.end()
        await asyncio.wait([closed], timeout=_CLOSING)
        if closed.done():
            closed.result()

    def _close(self) -> None:
        lease, self._writer = self._lease, None
        try:
            if lease is not None:
                lease.end()
                lease.join()
                with suppress(JournalError):  # then they see it when its lease is over
                    self._database.transact(lambda db: end_lease(db, self._tables, self._number))
        finally:
            self._database.close()

    async def rescue(self) -> str:
        """Say that nothing has to be copied: what was recorded is on the server."""
        return "" if self.lost is None else "All that was recorded is in it."

    # What plans need.

    async def version_of(self, reference: str, /) -> str | None:
        """The version that a reference was held to."""
        return await self._do(lambda db: self._reader.version_of(db, reference))

    async def find(self, keys: Sequence[Key], /, *, outputs: bool = True) -> Sequence[Entry | None]:
        """Read what is known of rows."""
        return await self._do(lambda db: self._reader.find(db, keys, outputs=outputs))

    async def spending(self, price: Price, /) -> Spending:
        """Add up what all runs have spent."""
        return await self._do(lambda db: self._reader.spending(db, price), slow=True)

    async def kept_inputs(self) -> int:
        """Count rows whose inputs are there."""
        return await self._do(lambda db: self._reader.kept_inputs(db), slow=True)

    async def shown_to(self, account: str, /) -> Sequence[str]:
        """Name predictions that an account was shown."""
        return await self._do(lambda db: self._reader.shown_to(db, account))

    # What a run does.

    async def begin(self, run: Run, /) -> None:
        """Write down that it is run."""
        self._check_open()
        writer = Writer(self._tables, self._number, run, self._reader, self.url)
        await self._do(writer.begin, writer.fence)
        self._writer, self._model = writer, run.model

    async def claim(self, intents: Sequence[Intent], /) -> Sequence[Entry | None]:
        """Take rows for creates that are about to be sent."""
        return await self._write(lambda writer, db: writer.claim(db, intents))

    async def take_over(self, keys: Sequence[Key], /) -> Sequence[Entry | None]:
        """Take what dead runs have left open."""
        return await self._write(lambda writer, db: writer.take_over(db, keys))

    async def record(self, events: Sequence[Event], /) -> Sequence[bool]:
        """Write down what happened."""
        return await self._write(lambda writer, db: writer.record(db, events))

    async def owners(self, ids: Sequence[str], /) -> Mapping[str, Owner]:
        """Say which of these predictions belong to rows."""
        return await self._do(lambda db: self._reader.owners(db, ids, self._model))

    async def recent(self, since: float, /) -> Sequence[str]:
        """Name predictions of this model that may be so young."""
        return await self._do(lambda db: self._reader.recent(db, self._model, since))

    async def take_names(self, names: Sequence[Name], /) -> Sequence[bool]:
        """Take names of files for rows."""
        return await self._write(lambda writer, db: writer.take_names(db, names))

    # What all runs share.

    async def share(self, change: Callable[[Shared], str], /) -> None:
        """Change what all runs share."""
        return await self._write(lambda writer, db: writer.share(db, change))

    async def spending_besides(self, price: Price, runs: Collection[str], /) -> Spending:
        """Add up what all other runs have spent."""
        return await self._do(lambda db: self._reader.spending(db, price, besides=list(runs)))

    async def _write(self, steps: Callable[[Writer, Connection], T]) -> T:
        """Write in a transaction, once the run has begun."""
        writer = self._writer
        if writer is None:
            raise JournalError(f"The journal {self.url!r} is not open, or no run has begun with it.")
        return await self._do(lambda db: steps(writer, db), writer.fence)

    async def _do(
        self, steps: Callable[[Connection], T], fence: Fence | None = None, *, slow: bool = False
    ) -> T:
        """Do something in a transaction of its own, unless the run is over."""
        if self.lost is not None:
            raise self.lost
        try:
            return await self._on_thread(lambda: self._database.transact(steps, fence, slow=slow))
        except LeaseOver as over:
            self._note(over)
            raise
        except JournalError:
            if (
                self.lost is not None
            ):  # the lease ran out while the server was waited for: there is more to say
                raise self.lost from None
            raise

    async def _on_thread(self, call: Callable[[], T]) -> T:
        """Call something on the thread of the connection."""
        return await asyncio.wrap_future(self._check_open().call(call))

    def _check_open(self) -> Worker:
        if self._thread is None:
            raise JournalError(f"The journal {self.url!r} is not open.")
        return self._thread
