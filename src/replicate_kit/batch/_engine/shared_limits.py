"""Limits that runs on a ledger share, as one of them at a time changes them: buckets of creates, and what was spent."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch._engine.limits import Bucket, Ticket
from replicate_kit.batch._money.pricing import Price, Spent
from replicate_kit.errors import JournalError

if TYPE_CHECKING:
    from replicate_kit.batch._engine.sharing import SharedBucket
    from replicate_kit.batch._ledger.protocol import Shared

__all__ = ["AHEAD", "Creates", "Grant", "Report", "State", "User"]

JSON = dict[str, Any]

AHEAD = 0.5
"""Seconds for which tokens are given out."""

_VERSION = 1  # of the text that is shared
_REMEMBERED = 10.0  # seconds for which it is known how many tokens were used: most answers are late by less
_BETWEEN = 0.2  # seconds between two moments of which that is known


class Report(NamedTuple):
    """What a run tells: tokens that it keeps and gives back, what the server counted, let through and refused."""

    kept: int
    unused: int
    counted: tuple[float, Ticket] | None
    through: int
    refusals: list[tuple[float, tuple[float, float] | None]]


class Grant(NamedTuple):
    """What a run is given: tokens, by how much the ledger's clock is ahead, for how long nothing may be sent."""

    tickets: list[Ticket]
    ahead: float
    closed_for: float


class User(NamedTuple):
    """How a run stood that uses the bucket: it had tickets in hand, wanted more or not, and at which rate at most."""

    held: int
    wanted: bool
    rate: float


class Creates(Bucket):
    """The bucket that is shared, while one run changes it.

    `users` are the runs that live. Tickets are not sent in the order of their numbers, as each run has some in hand:
    `used` says how many all had used at some moments of late, at the least. `said` is the rate that the server has
    stated, since a run was alone last.
    """

    users: dict[str, User]
    used: list[tuple[float, int]]
    said: float | None

    def learn(self, report: Report) -> None:
        """Learn what a run has to tell."""
        for _ in range(report.unused):
            self.give_back()
        if report.through:
            self.let_through(report.through)
        if report.counted is not None:
            remaining, ticket = report.counted
            # How many were used then is known well enough to go slower where others use the account, and not faster.
            if (number := self._used_at(ticket.at)) is not None:
                self._level = min(self._level, self.told_level(remaining, ticket, self._sent - number))
        for wait, stated in report.refusals:
            self.refused(wait, stated)
            self.said = self.said if stated is None else stated[0]

    def keep_to(self, rate: float) -> None:
        """Go at the lowest rate that a run wants, or the server has stated, and as much slower as it was before."""
        lowest = min(rate, *(each.rate for each in self.users.values()), self.said or math.inf)
        if lowest != self._known:
            self.rate, self.burst = self.rate * lowest / self._known, max(1.0, lowest)
            self._known, self._level = lowest, min(self._level, self.burst)

    @property
    def fair(self) -> int:
        """How many tickets one run may have in hand, so that there are some for each that wants any."""
        runs = 1 + sum(each.wanted for each in self.users.values())
        return math.ceil(self.rate * AHEAD / runs)

    def note(self, id: str, user: User) -> None:
        """Note how a run stands now."""
        now = self._now()
        self.users[id] = user
        self.used = [each for each in self.used if each[0] > now - _REMEMBERED]
        if not self.used or now - self.used[-1][0] >= _BETWEEN:
            self.used.append((now, self._sent - sum(each.held for each in self.users.values())))

    def _used_at(self, moment: float) -> int | None:
        """How many tickets were used by then, at the least; None where that is forgotten."""
        for (before, first), (after, last) in pairwise(self.used):
            if before <= moment <= after:
                return int(first + (last - first) * (moment - before) / (after - before))
        return self.used[-1][1] if self.used and moment > self.used[-1][0] else None


class State:
    """What is shared, as one run changes it: buckets by accounts, and what runs have spent and may spend.

    `runs` has two sums of each run that lives and shares a budget: what it has spent, and what it may spend. `others`
    has those of all that the ledger has besides, and `number` says how often they have changed.
    """

    def __init__(self, said: JSON, shared: Shared) -> None:
        self._shared = shared
        self._buckets: dict[str, JSON] = said.get("creates", {})
        self.number: int = said.get("number", 0)
        spent, may = said.get("others", ((), ()))
        self.others = Spent(*spent), Spent(*may)
        self.runs: dict[str, tuple[Spent, Spent]] = {
            id: (Spent(*spent), Spent(*may)) for id, (spent, may) in said.get("runs", {}).items()
        }

    @classmethod
    def of(cls, shared: Shared) -> State:
        """Read what the last run has left. Raises `JournalError` where that was another version of this package."""
        said = {} if shared.text is None else json.loads(shared.text)
        if said.get("version", _VERSION) != _VERSION:
            raise JournalError(
                "Runs of another version of replicate-kit share limits on this journal. Use the same version for all "
                "runs of a journal: pip install -U replicate-kit"
            )
        return cls(said, shared)

    @property
    def text(self) -> str:
        """All of it."""
        said = {
            "version": _VERSION,
            "creates": self._buckets,
            "number": self.number,
            "others": self.others,
            "runs": self.runs,
        }
        return json.dumps(said, separators=(",", ":"))

    def creates(self, account: str, id: str, bucket: SharedBucket, *, begins: bool) -> Creates:
        """The bucket of an account, as a run that uses it sees it."""
        shared, known = self._shared, self._buckets.get(account)
        creates = Creates(bucket.rate, bucket.burst, lambda: shared.now)
        creates.users, creates.used, creates.said = {}, [], None
        if known is not None:
            creates.resume(known)
            users, creates.used = known["users"], [(at, number) for at, number in known["used"]]
            creates.users = {
                each: User(*user) for each, user in users.items() if each in shared.living and each != id
            }
            creates.said = None if begins and not creates.users else known["said"]
        creates.keep_to(bucket.rate)
        return creates

    def put(self, account: str, creates: Creates) -> None:
        """Keep a bucket."""
        more = {"users": creates.users, "used": creates.used, "said": creates.said}
        self._buckets[account] = creates.state | more

    def add(self, spent: Spent) -> None:
        """Add what a run has spent that is over."""
        self.others = self.others[0].plus(*spent), self.others[1].plus(*spent)
        self.number += 1

    def spent_by_others(self, id: str, price: Price) -> tuple[Spent, Spent]:
        """What all other runs have spent, and what they may spend. What they do not tell of is known by a price."""
        spent, may = (each.known(price.mosts) for each in self.others)
        for each, (its, most) in self.runs.items():
            if each != id:
                spent, may = spent.plus(*its.known(price.mosts)), may.plus(*most.known(price.mosts))
        return spent, may
