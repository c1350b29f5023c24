"""A connection to a database: opened when it is needed, again where it was lost, one transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar

import psycopg
from psycopg import errors

from replicate_kit.errors import JournalError
from replicate_kit_postgres.addresses import Address

__all__ = ["Connection", "Database", "Fence"]

T = TypeVar("T")
Connection: TypeAlias = psycopg.Connection[Any]

_OLDEST = 130_000  # the version of PostgreSQL, as libpq has it
_TRIES = 6
# Another process was faster: the same transaction again sees what it has written.
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)
_AT_ONCE = 2  # how often a verb is tried over a new connection


class Fence(NamedTuple):
    """A statement that finds something, or a transaction is undone and the error raised."""

    statement: bytes
    values: Sequence[Any]
    error: Callable[[], Exception]


class Database:
    """Transactions on one thread. They are done again where others were in the way, or the connection was lost.

    Nothing depends on the session: behind PgBouncer, each transaction may have another one.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: Connection | None = None

    def transact(self, steps: Callable[[Connection], T], fence: Fence | None = None) -> T:
        """Do steps in a transaction, which is on the server's disk when this comes back. They may be done twice."""
        with self.explaining():
            return self._again(steps, fence)

    def alone(self, statement: str) -> None:
        """Do what PostgreSQL does outside of transactions only."""
        with self.explaining():
            self._connected().execute(statement.encode())

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """A transaction that cannot be done twice: what it writes comes from somewhere, or what it reads goes there."""
        with self.explaining():
            db = self._connected()
            with db.transaction():
                yield db

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say what can be done about what the database says."""
        try:
            yield
        except psycopg.Error as error:
            raise JournalError(
                f"The journal {self.address.url!r} cannot be used: {_said(error)}{_advice(error)}"
            ) from error

    def _again(self, steps: Callable[[Connection], T], fence: Fence | None) -> T:
        lost = tries = 0
        while True:
            tries += 1
            try:
                return _once(self._connected(), steps, fence)
            except _AGAIN:
                if tries >= _TRIES:
                    raise
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.broken:
                    raise
                self.close()
                lost += 1
                if lost >= _AT_ONCE:
                    raise

    def _connected(self) -> Connection:
        """The connection, opened and looked at if there is none."""
        if self._connection is None or self._connection.closed:
            # PgBouncer gives the next transaction to another session, which knows no statement of ours.
            db = psycopg.connect(**self.address.parameters, autocommit=True, prepare_threshold=None)
            try:
                # Whatever the default of the database is: each statement sees what others have committed by then.
                db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                self._look(db)
            except BaseException:
                db.close()
                raise
            self._connection = db
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
            raise JournalError(
                f"The server of journal={self.address.url!r} is a replica, to which nothing can be written. Pass the "
                "URL of the primary server, or add target_session_attrs=read-write to it."
            )


def _once(db: Connection, steps: Callable[[Connection], T], fence: Fence | None) -> T:
    """Do steps in a transaction.

    With a fence, statements are sent together until an answer is read: each wait is a way to and fro.
    """
    if fence is None:
        with db.transaction():
            return steps(db)
    with db.pipeline(), db.transaction():
        fenced = db.execute(fence.statement, fence.values)
        done = steps(db)
        if fenced.fetchone() is None:
            raise fence.error()
        return done


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
            "?schema=."
        )
    if isinstance(error, psycopg.OperationalError):
        return " See that the server runs and that the URL is right. What was recorded is safe: run it again then."
    return ""
