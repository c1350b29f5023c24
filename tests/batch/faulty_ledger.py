"""A ledger that fails as storage far away does: before it acts, after it has acted, by never answering, or late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal, get_args

from replicate_kit.batch.ledgers import Ledger
from replicate_kit.errors import JournalError

__all__ = ["VERBS", "Choice", "FaultyLedger", "LedgerFault", "at_random", "scripted"]

LedgerFault = Literal["refused", "answer lost", "hangs", "hangs after", "late"]
"""`JournalError` before it acts, or after; no answer till the call is cancelled, before or after; or a late one."""

Choice = Callable[[str, int], LedgerFault | None]
"""What happens to a call: told its verb, and the number of calls of that verb so far, this one included."""

VERBS = (
    *(
        "open",
        "version_of",
        "find",
        "spending",
        "kept_inputs",
        "shown_to",
        "begin",
        "claim",
        "take_over",
        "record",
    ),
    *("owners", "recent", "take_names", "rescue", "close"),
)


def scripted(script: Mapping[tuple[str, int], LedgerFault]) -> Choice:
    """Faults of calls that are named: `{("claim", 2): "answer lost"}` is that of the second claim."""
    return lambda verb, number: script.get((verb, number))


def at_random(
    seed: int,
    probability: float = 0.2,
    faults: Collection[LedgerFault] = get_args(LedgerFault),
    verbs: Collection[str] = ("find", "claim", "take_over", "record", "owners", "recent", "take_names"),
) -> Choice:
    """Faults of some calls of these verbs; the same seed gives the same ones for calls in the same order."""
    chance, kinds = random.Random(seed), sorted(faults)

    def choose(verb: str, number: int) -> LedgerFault | None:
        return chance.choice(kinds) if verb in verbs and chance.random() < probability else None

    return choose


class FaultyLedger:
    """A ledger around another one. `happened` are the calls, with their faults; `hanging` says how many hang now.

    `heal` ends all faults to come; what hangs goes on hanging.
    """

    def __init__(self, ledger: Ledger, choose: Choice, *, delay: float = 0.05) -> None:
        self.ledger, self.choose, self.delay = ledger, choose, delay
        self.calls: Counter[str] = Counter()
        self.happened: list[tuple[str, LedgerFault | None]] = []
        self.hanging = 0

    @property
    def url(self) -> str:
        return self.ledger.url

    @property
    def lost(self) -> JournalError | None:
        return self.ledger.lost

    @property
    def lease_until(self) -> float:
        return self.ledger.lease_until

    def heal(self) -> None:
        """Let no more faults happen."""
        self.choose = scripted({})

    async def _call(self, verb: str, *args: Any, **options: Any) -> Any:
        self.calls[verb] += 1
        fault = self.choose(verb, self.calls[verb])
        self.happened.append((verb, fault))
        if fault == "refused":
            raise JournalError(f"{verb}() was refused, by a fault")
        if fault == "hangs":
            await self._hang()
        answer = await getattr(self.ledger, verb)(*args, **options)
        if fault == "answer lost":
            raise JournalError(f"{verb}() has acted, and its answer was lost, by a fault")
        if fault == "hangs after":
            await self._hang()
        if fault == "late":
            await asyncio.sleep(self.delay)
        return answer

    async def _hang(self) -> None:
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.hanging -= 1


def _faulty(verb: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: FaultyLedger, *args: Any, **options: Any) -> Any:
        return await self._call(verb, *args, **options)

    call.__name__ = verb
    return call


for _verb in VERBS:
    setattr(FaultyLedger, _verb, _faulty(_verb))
