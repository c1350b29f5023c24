"""The door to a ledger: what a run asks of it, what an administrator asks, and who makes it for a URL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

from replicate_kit.batch._ledger.contents import Content
from replicate_kit.batch._ledger.entries import Entry, Event, Intent, Key, Name, Owner, Run, State
from replicate_kit.batch._money.pricing import Price, Spent
from replicate_kit.errors import JournalError

__all__ = [
    "Administrator",
    "Ledger",
    "LedgerStore",
    "Payment",
    "Record",
    "Shared",
    "SharedLedger",
    "Spending",
    "Summary",
    "shares",
]


class Spending(NamedTuple):
    """What a ledger has spent: what has ended, and how many of its rows are under way, or may be."""

    spent: Spent
    under_way: int


@runtime_checkable
class Ledger(Protocol):
    """Remembers, for one run, what was intended, created, finished and saved.

    What a verb gives is durable when it comes back. The same call again gives the same answer, so that an answer that
    was lost can be asked for again. A verb that cannot be done raises `JournalError`, and has then done nothing, or all
    of it. Verbs may be called while others are under way, all of them from one event loop of asyncio. A run calls
    `open`, then what plans need (`version_of`, `find`, `spending`, `kept_inputs`, `shown_to`); `begin` before anything
    is paid; and `close` in the end.
    """

    lease_until: float
    """Until when other runs certainly take this one to be alive, on the clock of `replicate_kit.batch.ledgers.elapsed`.

    Infinity where that ends with the process. What lives by a lease renews it. A run sends a create only while that is
    further away than sending may take, and looks last before it is sent: others may take over what was claimed then."""

    @property
    def url(self) -> str:
        """What to pass as `journal=` to go on with it; another one once a lost ledger was rescued."""
        ...

    lost: JournalError | None
    """Why what is written reaches nobody any more, such as a file that was deleted while it was open; else None.
    A run asks after each verb, and then creates nothing more."""

    async def open(self, run_id: str, /) -> None:
        """Open it for a run, which others see to be alive from now on.

        Raises `JournalError` for a store that cannot keep its promise, or is of another version.
        """
        ...

    async def version_of(self, reference: str, /) -> str | None:
        """The version that a reference without one was held to, if there was one."""
        ...

    async def find(self, keys: Sequence[Key], /, *, outputs: bool = True) -> Sequence[Entry | None]:
        """Read what is known of rows. Changes nothing.

        Without `outputs` the entries have no `output`. Those of rows of which nothing is under way may then lack what
        is noted of a create, too: `fingerprint`, `sent_at`, `settled_at`, `clock`, `account`.
        """
        ...

    async def spending(self, price: Price, /) -> Spending:
        """Add up what all runs have spent, by this price where the ledger knows none."""
        ...

    async def kept_inputs(self) -> int:
        """Count the rows whose inputs it holds, and not their hashes alone."""
        ...

    async def shown_to(self, account: str, /) -> Sequence[str]:
        """Name the latest predictions that an account was shown, a few at most, the latest first."""
        ...

    async def begin(self, run: Run, /) -> None:
        """Write down that a plan is run, and the version that its reference is held to."""
        ...

    async def claim(self, intents: Sequence[Intent], /) -> Sequence[Entry | None]:
        """Take rows for creates that are about to be sent: None for one that is this run's now, else what it is.

        A row is taken where it is not known, or in a state that this run pays for again. What is known of an earlier
        prediction stays until the new one has an id. An intent of this run with the same fingerprint and times is the
        same call again: None. Any other intent of this run is given as it is, since a create was sent for it.
        """
        ...

    async def take_over(self, keys: Sequence[Key], /) -> Sequence[Entry | None]:
        """Take what dead runs have left open; give the entries as they are now, whoever has them."""
        ...

    async def record(self, events: Sequence[Event], /) -> Sequence[bool]:
        """Write down what happened, in this order. False for what is refused: see each event."""
        ...

    async def owners(self, ids: Sequence[str], /) -> Mapping[str, Owner]:
        """Say which of these predictions belong to rows, as their present or an earlier one."""
        ...

    async def recent(self, since: float, /) -> Sequence[str]:
        """Name predictions of this model that may have been created since a Unix time by the server, oldest first.

        Of the newest rows only: this is asked again and again, and must not go through all of a large ledger.
        """
        ...

    async def take_names(self, names: Sequence[Name], /) -> Sequence[bool]:
        """Take names of files for rows; False where another row has that name in that folder."""
        ...

    async def rescue(self) -> str:
        """Copy what can still be read of one that was lost; say in a sentence where to, or why not."""
        ...

    async def close(self) -> None:
        """Finish what was asked for, and let others see that the run has ended."""
        ...


class Shared(NamedTuple):
    """What the runs on a ledger share, as one of them finds it: the text that the last one has left, None at first.

    `now` is a Unix time by the ledger's own clock, `living` the ids of the runs that are alive, this one among them.
    """

    text: str | None
    now: float
    living: frozenset[str]


@runtime_checkable
class SharedLedger(Ledger, Protocol):
    """A ledger whose runs can also share a budget, and the rate of creates."""

    shares_creates: bool
    """Whether all its runs share the rate of creates; else only those that share a budget do."""

    async def share(self, change: Callable[[Shared], str], /) -> None:
        """Let this run alone change what all share: `change` gives the new text, which is durable afterwards.

        It is quick, asks for nothing, and may be called again where others were in the way, also in another thread. A
        run that counts as over changes nothing: `JournalError`.
        """
        ...

    async def spending_besides(self, price: Price, runs: Collection[str], /) -> Spending:
        """Add up as `spending` does, without what these runs have created: whoever has taken that over.

        They have called `share` before they claimed anything.
        """
        ...


def shares(ledger: Ledger) -> TypeGuard[SharedLedger]:
    """Whether the runs on a ledger share limits."""
    return hasattr(ledger, "share")


class Record(NamedTuple):
    """A row, as an administrator sees it; `input` is JSON, or a hash of it with "sha256:" before it.

    `label` is that of the run that has sent the create of its prediction, whoever took that over or adopted it; of an
    intent, that of the run that has sent this.
    """

    model: str
    input: str
    attempts: int
    entry: Entry
    label: str | None = None


class Payment(NamedTuple):
    """A prediction that was paid for, or may have been: of a row now, or an earlier one of it.

    `status` is None while it is under way, or may be, and "unknown" where it cannot be found. `at` is the Unix time of
    its end, or of its create where it has not ended. What is None is not known.
    """

    model: str
    label: str | None
    status: str | None
    cost: float | None
    at: float | None


class Summary(NamedTuple):
    """What a ledger holds. `cost` is None where no price is known, `size` is in bytes, `changed_at` a Unix time.

    `labels` are those of all runs that have one.
    """

    models: tuple[str, ...]
    states: Mapping[str, int]
    cost: float | None
    size: int
    changed_at: float
    in_use: bool
    labels: tuple[str, ...] = ()


class Administrator(Protocol):
    """Looks after a ledger. Each method is called on the caller's thread, and raises `JournalError`."""

    def summary(self) -> Summary:
        """Say what it holds."""
        ...

    def records(self, states: Collection[State] | None = None, /) -> Iterator[Record]:
        """Give its rows, in the order in which they came."""
        ...

    def payments(self) -> Iterator[Payment]:
        """Give all predictions that were paid for or may have been, in any order; what was refused has none."""
        ...

    def prune(self, before: float, states: Collection[State] | None = None, /) -> int:
        """Forget rows that ended before a Unix time; refused while a run uses it."""
        ...

    def hash_inputs(self) -> int:
        """Replace inputs by their hashes; refused while a run uses it."""
        ...

    def retry(self, states: Collection[State], /) -> int:
        """Let the next run pay again for rows in these states."""
        ...

    def settle(self, key: str, /, *, sample: int | None, prediction_id: str | None, check: bool) -> Record:
        """Give a row that is unknown its prediction, or let it be created again; refused while a run uses it.

        `key` are the first hexadecimal digits of its digest.
        """
        ...

    def fill_costs(self, price: Price, /) -> int:
        """Give predictions that ended without a cost the one that this price says; give their number.

        Earlier ones of rows, too. Refused while a run uses it.
        """
        ...

    def has(self, digest: bytes, /) -> bool:
        """Whether there is any sample of a row, by the digest of its key."""
        ...

    def owns(self, id: str, /) -> bool:
        """Whether a prediction belongs to a row, as its present or an earlier one."""
        ...

    def telling(self) -> Sequence[str]:
        """Name a few predictions by which a service can be told from others: the latest, and what accounts were shown.

        Of rows that have ended and of those that have not; none that is adopted, which may be wrong.
        """
        ...

    def contents(self) -> Generator[Content, None, None]:
        """Give all that it holds, of each kind in the order in which it came; refused while a run uses it.

        No run begins until all is given, or the iterator is closed. Runs come before rows, rows before earlier tries.
        """
        ...

    def take(self, contents: Iterator[Content], /) -> None:
        """Write down what another ledger gives: all of it or, where anything fails, nothing.

        Refused where it holds anything, and while a run uses it. Not all of it is in memory at once.
        """
        ...

    def remove(self) -> None:
        """Take it away; refused while a run uses it."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@runtime_checkable
class LedgerStore(Protocol):
    """Where ledgers are: what an entry point of the group `replicate_kit.ledgers` gives, by the scheme of a URL.

    A store whose ledgers no other process reaches has the attribute `shared`, which is False.
    """

    def ledger(self, url: str, /) -> Ledger:
        """Make the ledger of a run. Raises `ConfigError` for a URL that is none; nothing is opened yet."""
        ...

    def administrator(self, url: str, /, *, make: bool = False) -> Administrator:
        """Open a ledger that exists. Where there is none, `make` an empty one, or raise `JournalError`."""
        ...
