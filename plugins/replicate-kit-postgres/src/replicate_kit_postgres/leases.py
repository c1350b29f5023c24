"""A run lives as long as its lease, which it renews; what counts between runs is the server's clock.

A lease that has run out is never renewed: others may have taken rows over by then. Whoever does that marks the run as
over in the same transaction, so that a server whose clock goes back revives nobody. What a run writes is committed
together with a look at its lease, under a lock that whoever wants to mark it waits for. The number of the run stands in
its rows: that is the token by which the writes of one that is over are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from replicate_kit.batch.ledgers import elapsed
from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address
from replicate_kit_postgres.connecting import ANSWER, Connection, Database, Fence
from replicate_kit_postgres.tables import SETTINGS, Tables

__all__ = ["Lease", "LeaseOver", "end_lease", "fence", "lives", "register"]

_SHARE = 9  # of a lease: it is renewed so often within its time
_RETRY = 1.0  # seconds until a renewal that failed is tried again


def lives(table: str) -> str:
    """The condition that a run lives, by the name of the table that it is in."""
    return f"(NOT {table}.over AND {table}.lease_until > clock_timestamp())"


_REGISTER = (
    "INSERT INTO {runs} (id, lease_until, began_at, seen_at) VALUES (%s, clock_timestamp() + %s * interval '1 second', "
    "clock_timestamp(), clock_timestamp()) ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until "
    "RETURNING number"
)
_RENEW = (
    "UPDATE {runs} AS r SET lease_until = clock_timestamp() + %s * interval '1 second', seen_at = clock_timestamp() "
    f"WHERE number = %s AND {lives('r')}"
)
_CHECK = f"SELECT {SETTINGS} FROM {{runs}} AS r WHERE number = %s AND {lives('r')} FOR SHARE"
_END = "UPDATE {runs} SET over = true, seen_at = clock_timestamp() WHERE number = %s"


class LeaseOver(JournalError):
    """The lease of a run has run out, or was ended: it writes nothing more."""


def register(db: Connection, tables: Tables, id: str, lease: float) -> int:
    """Have a run live from now on; give its number."""
    row = db.execute(tables.sql(_REGISTER), [id, lease]).fetchone()
    assert row is not None
    return int(row[0])


def fence(tables: Tables, number: int, url: str) -> Fence:
    """What has to hold for a transaction that writes: the run lives, and nobody ends its lease before that is over."""
    return Fence(tables.sql(_CHECK), [number], partial(over, url))


def end_lease(db: Connection, tables: Tables, number: int) -> None:
    """Let others see that the run has ended."""
    db.execute(f"SELECT {SETTINGS}")
    db.execute(tables.sql(_END), [number])


def over(url: str) -> LeaseOver:
    """Say what has happened, and what to do."""
    return LeaseOver(
        f"This run was not heard of by the journal {url!r} for as long as its lease lasts (the server could not be "
        "reached, or this process was stopped), so that other runs may have taken its rows. Run it again: it goes on "
        "with what is recorded. A longer lease can be passed in the URL, such as lease=300."
    )


class Lease:
    """Renews the lease of a run, on a thread and a connection of its own. `on_over` is told when it was lost."""

    def __init__(
        self,
        address: Address,
        tables: Tables,
        number: int,
        until: float,
        on_over: Callable[[LeaseOver], None],
    ) -> None:
        self.until = until
        """Until when the run is certainly taken to be alive, on the clock of `elapsed`."""
        self._address, self._tables, self._number, self._on_over = address, tables, number, on_over
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="replicate-kit-lease", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Renew it no more."""
        self._ended.set()

    def join(self) -> None:
        """Wait until a renewal that is under way is through."""
        self._thread.join()

    def _renew(self) -> None:
        lease = self._address.lease
        pause = lease / _SHARE
        database = Database(self._address, answer=min(ANSWER, lease / 4))
        while not self._ended.wait(pause):
            try:
                # What counts is when we asked: the server may have heard it as early as that.
                asked = elapsed()
                renewed = database.transact(self._renewed)
            except JournalError:
                renewed = elapsed() < self.until
                pause = min(_RETRY, lease / _SHARE)
            else:
                if renewed:
                    self.until, pause = asked + lease, lease / _SHARE
            if not renewed:
                self._on_over(over(self._address.url))
                break
        database.close()

    def _renewed(self, db: Connection) -> bool:
        db.execute(f"SELECT {SETTINGS}")
        done = db.execute(self._tables.sql(_RENEW), [self._address.lease, self._number])
        return done.rowcount > 0
