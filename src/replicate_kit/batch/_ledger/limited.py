"""A ledger that a run can rely on: each verb answers in time, and whatever it raises says what to do next."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from replicate_kit._runtime.foreign_code import described
from replicate_kit.batch._ledger.protocol import Ledger, SharedLedger
from replicate_kit.errors import JournalError, ReplicateError

__all__ = ["limited"]

_LONGEST = 90.0  # seconds that a verb may take; SQLite waits a minute for another program that has the file
_VERBS = frozenset(
    name
    for name, verb in {**vars(Ledger), **vars(SharedLedger)}.items()
    if inspect.iscoroutinefunction(verb) and not name.startswith("_")
)
_AGAIN = "Run it again when that is mended: what was paid for is in it, or is found at the API."


def limited(ledger: Ledger) -> Ledger:
    """Give a ledger whose verbs raise `JournalError` for whatever this one's raise, and when they take too long."""
    return cast("Ledger", _Limited(ledger))


class _Limited:
    """Calls the verbs of a ledger. All else is the ledger's own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        return partial(self._called, found) if name in _VERBS else found

    async def _called(self, verb: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """Call a verb."""
        try:
            async with asyncio.timeout(_LONGEST):
                return await verb(*args, **options)
        except ReplicateError:
            raise
        except TimeoutError as error:
            said = (
                f"has not answered for {_LONGEST:g} seconds. See whether it can be reached, and whether another "
                "program has it to itself, such as a copy."
            )
            raise JournalError(f"The journal {self._ledger.url!r} {said} {_AGAIN}") from error
        except Exception as error:
            said = f"cannot be used: {described(error)}."
            raise JournalError(f"The journal {self._ledger.url!r} {said} {_AGAIN}") from error
