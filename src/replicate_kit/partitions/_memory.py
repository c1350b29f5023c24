"""The journal of a job that was given none: in memory, as long as the job is there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakValueDictionary, finalize

from replicate_kit._formats.wording import counted
from replicate_kit._runtime.tracebacks import callers_line
from replicate_kit.batch import Result
from replicate_kit.batch.ledgers import Key
from replicate_kit.client import Client

__all__ = ["Memory"]


class Memory:
    """Keeps the journal of a job in memory, as long as a job has it: another one may have been given its URL.

    It knows which rows it has paid for, and says so, once, where another one that is there has paid for them before.
    """

    def __init__(self, url: str) -> None:
        from replicate_kit.testing.memory_ledger import store

        finalize(self, store.forget, url)
        self._url, self._store, self._built_at = url, store, callers_line()
        self._paid = set[tuple[Hashable, Key]]()
        self._again, self._other, self._told = 0, self._built_at, False

    @classmethod
    def of(cls, url: str, *, begin: bool) -> Memory | None:
        """Begin a journal, or share one that a job has begun; None for journals that stay."""
        return _MEMORIES.setdefault(url, cls(url)) if begin else _MEMORIES.get(url)

    @contextmanager
    def noting(self, model: str, client: Client) -> Iterator[Callable[[Result], None]]:
        """Note what a part pays for by its results, and warn of what had been paid for once it is done."""
        ids = set[str]()

        def note(result: Result) -> None:
            if result.prediction_id is not None and not result.cached:
                ids.add(result.prediction_id)

        try:
            yield note
        finally:
            self._note(ids, client)
        self._warn(model)

    def _note(self, ids: Collection[str], client: Client) -> None:
        """Note the predictions that a part has paid for."""
        payer = _payer(client)
        new = {(payer, key) for key in self._store.keys(self._url, ids)}
        # Of two parts that end at the same time, one is the second.
        with _LOCK:
            new -= self._paid
            self._paid |= new
            # Others may begin meanwhile, and the dictionary itself cannot be gone through while it grows.
            for other in filter(None, [reference() for reference in _MEMORIES.valuerefs()]):
                if other is not self and (again := new & other._paid):
                    self._again += len(again)
                    self._other = other._built_at
                    new -= again

    def _warn(self, model: str) -> None:
        """Say, once, that rows were paid for which another one has paid for."""
        with _LOCK:
            count = 0 if self._told else self._again
            self._told = self._told or bool(count)
        if count:
            other = "{}:{}".format(*self._other)
            # Parts run on threads of an engine, which have no line of the user's.
            warnings.warn_explicit(
                f"What was built on this line has paid for {counted(count, 'row')} of {model} so far that what "
                f"was built at {other} had paid for: without journal= each of them remembers its own rows alone. Pass "
                "the same journal= to both, such as journal='rows.sqlite', or build it once and use it twice.",
                UserWarning,
                *self._built_at,
            )


def _payer(client: Client) -> Hashable:
    """What tells who pays: the same row is another one with another service or token."""
    backend = client._given["backend"]
    return (
        backend if isinstance(backend, str) else id(backend),
        client.session.base_url,
        client.config.api_token,
    )


_LOCK = Lock()
_MEMORIES: WeakValueDictionary[str, Memory] = WeakValueDictionary()
