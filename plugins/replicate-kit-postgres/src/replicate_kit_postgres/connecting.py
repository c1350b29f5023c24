"""A connection to a database: opened when it is needed, again where it was lost, one transaction at a time.

A server that restarts or cannot be reached is waited for. What was asked of it may have been done when its answer was
lost: it is done again, as every verb of a ledger may be. An earlier attempt that is still under way at the server does
not come after the later one: its commit is sent only once its statements are answered, and then it has locks that the
later one waits for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeAlias, TypeVar

import psycopg
from psycopg import errors

from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address
from replicate_kit_postgres.watching import Watch

__all__ = ["ANSWER", "PATIENCE", "Connection", "Database", "Fence"]

T = TypeVar("T")
Connection: TypeAlias = psycopg.Connection[Any]

_OLDEST = 130_000  # the version of PostgreSQL, as libpq has it
_TRIES = 6
# Another process was faster: the same transaction again sees what it has written. Or a limit of the server came before
# ours, or somebody has canceled what waits.
_AGAIN = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.UniqueViolation,
    errors.QueryCanceled,
    errors.LockNotAvailable,
)

PATIENCE = 50.0
"""Seconds for which a run waits for a server that is away.

With an attempt before that and one after it, and ten seconds to connect, that fits in the 90 that a verb is given.
"""

ANSWER = 12.0
"""Seconds of silence after which a connection is given up.

A process that is stopped within a transaction holds others up for ten: see `SETTINGS` in `tables`.
"""

# Whatever the default of the database is: each statement sees what others have committed by then.
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
# A connection that fails has no code of its error.
_REFUSED = re.compile(r"password|authentication failed", re.IGNORECASE)
_STATUS = psycopg.pq.TransactionStatus
_PAUSE = 0.5  # seconds between two attempts to reach a server


class Fence(NamedTuple):
    """A statement that finds something, or a transaction is undone and the error raised."""

    statement: bytes
    values: Sequence[Any]
    error: Callable[[], Exception]


class _Replica(errors.ReadOnlySqlTransaction):
    """The server is one to which nothing can be written: from the beginning, or while another takes its place."""


class _Heard(psycopg.Connection[Any]):
    """A connection that tells its watch of every piece that goes to and fro."""

    watch: Watch | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait for an answer: all that psycopg does goes through here, except to connect."""
        watched = gen if self.watch is None else _telling(gen, self.watch)
        return super().wait(watched, *args, **options)


def _telling(steps: Generator[Any, Any, T], watch: Watch) -> Generator[Any, Any, T]:
    """Go on with steps when the socket is ready, and tell so; psycopg looks with nothing ready now and then, too."""
    try:
        waits_for = next(steps)
        while True:
            if ready := (yield waits_for):
                watch.heard()
            waits_for = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class Database:
    """Transactions on one thread. They are done again where others were in the way, or the connection was lost.

    Nothing depends on the session: behind PgBouncer, each transaction may have another one.
    """

    def __init__(self, address: Address, answer: float | None = None) -> None:
        self.address = address
        self.patience = 0.0
        """Seconds for which a server that is away is waited for."""
        self._answer = answer
        self._connection: Connection | None = None
        self._watch: Watch | None = None
        self._away: float | None = None  # since when, by `time.monotonic()`
        self._waits_no_more = threading.Event()

    def transact(
        self, steps: Callable[[Connection], T], fence: Fence | None = None, *, slow: bool = False
    ) -> T:
        """Do steps in a transaction, which is on the server's disk when this comes back. They may be done twice.

        What is `slow`, as it goes through the whole journal, may take its time.
        """
        with self.explaining():
            return self._again(steps, fence, slow=slow)

    def give_up(self) -> None:
        """Wait no more for a server that is away, now and later; any thread may say so."""
        self._waits_no_more.set()

    def alone(self, statement: str) -> list[str]:
        """Do what PostgreSQL does outside of transactions only; give the details of what it remarks."""
        said: list[str] = []

        def note(remark: errors.Diagnostic) -> None:
            said.append(remark.message_detail or "")  # a remark is gone afterwards

        with self.explaining():
            db = self._connected()
            db.add_notice_handler(note)
            try:
                db.execute(statement.encode())
            finally:
                db.remove_notice_handler(note)
        return said

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """A transaction that cannot be done twice: what it writes comes from somewhere, or what it reads goes there."""
        with self.explaining():
            db = self._connected()
            with db.transaction():
                yield db

    def close(self) -> None:
        """Let go of the connection."""
        if self._watch is not None:
            self._watch.end()
            self._watch = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say what can be done about what the database says."""
        try:
            yield
        except _Replica as error:
            raise JournalError(str(error)) from error
        except psycopg.Error as error:
            raise JournalError(
                f"The journal {self.address.url!r} cannot be used: {_said(error)}{_advice(error)}"
            ) from error

    def _again(self, steps: Callable[[Connection], T], fence: Fence | None, *, slow: bool) -> T:
        tries = 0
        while True:
            try:
                db = self._connected()
                with nullcontext() if slow or self._watch is None else self._watch.waiting():
                    done = _once(db, steps, fence)
            except _AGAIN:
                tries += 1
                if tries >= _TRIES:
                    raise
            except psycopg.Error as error:
                if not self._waited(error):
                    raise
            else:
                self._away = None
                return done

    def _waited(self, error: psycopg.Error) -> bool:
        """Whether an attempt that has failed is worth another one, now that some time has passed."""
        had_connection = self._connection is not None
        is_lost = self._connection.closed if self._connection else isinstance(error, psycopg.OperationalError)
        # As after a failover: the name may lead to another server when it is asked again.
        is_lost = is_lost or isinstance(error, errors.ReadOnlySqlTransaction)
        if not is_lost:
            return False
        self.close()
        now = time.monotonic()
        if self._away is None:
            self._away = now
            if had_connection:  # it may have been cut while nobody used it, and the server be there
                return True
        return now < self._away + self.patience and not self._waits_no_more.wait(_PAUSE)

    def _connected(self) -> Connection:
        """The connection, opened and looked at if there is none."""
        if self._connection is None or self._connection.closed:
            # PgBouncer gives the next transaction to another session, which knows no statement of ours.
            db = _Heard.connect(**self.address.parameters, autocommit=True, prepare_threshold=None)
            db.watch = watch = None if self._answer is None else Watch(db.fileno(), self._answer)
            try:
                db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                with nullcontext() if watch is None else watch.waiting():
                    self._look(db)
            except BaseException:
                if watch is not None:
                    watch.end()
                db.close()
                raise
            self._connection, self._watch = db, watch
        return self._connection

    def _look(self, db: Connection) -> None:
        """See that the server can keep a promise."""
        if db.info.server_version < _OLDEST:
            raise JournalError(
                f"The server of journal={self.address.url!r} is PostgreSQL {db.info.server_version // 10_000}. Version "
                f"{_OLDEST // 10_000} is the oldest that works: update it, or pass the URL of another server."
            )
        row = db.execute("SELECT current_setting('server_encoding'), pg_is_in_recovery()").fetchone()
        assert row is not None
        encoding, is_replica = row
        if encoding != "UTF8":
            raise JournalError(
                f"The database of journal={self.address.url!r} holds texts as {encoding}, in which inputs and outputs "
                "may be lost. Pass one with the encoding UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)."
            )
        if is_replica:
            raise _Replica(
                f"The server of journal={self.address.url!r} is a replica, to which nothing can be written. Pass the "
                "URL of the primary server, or add target_session_attrs=read-write to it."
            )


def _once(db: Connection, steps: Callable[[Connection], T], fence: Fence | None) -> T:
    """Do steps in a transaction.

    With a fence, statements are sent together until an answer is read: each wait is a way to and fro. After one that
    fails, the server passes over the others, the commit too.
    """
    if fence is None:
        with db.transaction():
            return steps(db)
    try:
        return _fenced(db, steps, fence)
    finally:
        if db.info.transaction_status not in (_STATUS.IDLE, _STATUS.UNKNOWN):
            try:
                db.execute(b"ROLLBACK")
            except psycopg.Error:  # its server has gone in the middle, which the connection may not know yet
                db.close()


def _fenced(db: Connection, steps: Callable[[Connection], T], fence: Fence) -> T:
    """Do steps in a transaction that is undone after an error.

    By hand: where the connection is lost, `db.transaction` would log that it could not end its pipelines either.
    """
    failures: list[Exception] = []
    done: list[T] = []
    try:
        with db.pipeline():
            try:
                db.execute(_BEGIN)
                fenced = db.execute(fence.statement, fence.values)
                done.append(steps(db))
                if fenced.fetchone() is None:
                    raise fence.error()
                db.execute(b"COMMIT")
            except Exception as error:
                failures.append(error)
    except psycopg.Error as error:
        failures.append(error)
    if failures:
        raise failures[0]
    return done[0]


def _said(error: psycopg.Error) -> str:
    """What a database has said, in one line."""
    return (
        " ".join((error.diag.message_primary or str(error) or type(error).__name__).split()).rstrip(".") + "."
    )


def _advice(error: psycopg.Error) -> str:
    """What to do next."""
    if isinstance(error, errors.InsufficientPrivilege):
        return (
            " The user of the URL needs the right to make tables in that schema, or in one that you pass with "
            "?schema=; for tables that others have made, rights on them and on their sequences (GRANT SELECT, INSERT, "
            "UPDATE, DELETE ON ALL TABLES IN SCHEMA …, GRANT USAGE ON ALL SEQUENCES IN SCHEMA …)."
        )
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return (
            " Its tables were dropped or changed, or those of that prefix belong to something else. Pass another "
            "prefix= in the URL, or restore them from a backup."
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return (
            " Pass the URL of a server that can be written to. What was recorded is safe: run it again then."
        )
    if isinstance(error, psycopg.OperationalError) and _REFUSED.search(str(error)):
        return " Set PGPASSWORD, or write a ~/.pgpass, for the user in the URL, and see that it may log in."
    if isinstance(error, psycopg.OperationalError):
        return " See that the server runs and that the URL is right. What was recorded is safe: run it again then."
    return ""
