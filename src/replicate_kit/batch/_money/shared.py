"""A budget that several runs spend together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from replicate_kit.batch._money.pricing import ROUNDING, Account, Budget, Price, Spent

__all__ = ["Demand", "Share", "SharedAccount"]

_UNKNOWN: Mapping[str, float] = {}
_PARTS = 4  # a run takes this part of what is left at once, so that there is something for others


class Demand(NamedTuple):
    """What a run asks for: it has spent so much, needs so much, and could create so many predictions more."""

    spent: Spent
    needed: Spent
    more: int


class Share(NamedTuple):
    """What a run gets: it may spend so much, `more` predictions are new; what others have spent, and may spend."""

    may: Spent
    more: int
    others_spent: Spent
    others_may: Spent


class SharedAccount(Account):
    """The part of a budget that one of several runs has: it reserves of what it may spend, and asks for more.

    `ask` is called when it wants more. What earlier runs have left under way is not reserved here: it counts among what
    others spend, until the ledger knows what it did cost. `held` of that are this run's rows, which it sees end.
    """

    def __init__(self, budget: Budget, price: Price, held: int = 0) -> None:
        super().__init__(budget, price)
        self._held = held
        self.price = price
        self.ask: Callable[[], None] = lambda: None
        self.is_short = False
        """Whether nothing is left as far as is known: what runs that are over have spent should be added up."""
        self._may: Spent = self.spent
        self._told: Spent = self.spent
        self._lately = 0  # reserved since the last demand
        self._requesting = self._wants = self._has_counted = self._is_denied = False

    @property
    def counts_others(self) -> bool:
        """Whether what others have under way is reserved here."""
        return False

    def reserve(self) -> bool:
        """Set aside the most that one prediction costs; False if this run may not spend that much now."""
        if self._requesting:  # what is asked for now is to hold when the answer is there
            return False
        if self._is_unused(self.spent.plus(*self.most(self._reserved + 1))):
            self._reserved += 1
            self._lately += 1
            return True
        if not self._wants:
            self._wants = True
            self.ask()
        return False

    def settle(
        self, seconds: float | None, metrics: Mapping[str, float] = _UNKNOWN, *, ours: bool = True
    ) -> None:
        """Replace a reservation by what the prediction cost; one that another run has created is counted there."""
        if ours:
            super().settle(seconds, metrics)
        else:
            self.release()

    def let_go(self) -> None:
        """Know what became of a row: what it cost is in the ledger."""
        self._held -= 1

    @property
    def waits(self) -> bool:
        """Whether more may be free yet."""
        return not self._is_denied

    @property
    def is_spent(self) -> bool:
        """Whether nothing more will be free."""
        return self._is_denied

    def _is_unused(self, amount: Spent) -> bool:
        """Whether so much may be spent, where that is limited."""
        pairs = zip(amount.along(self._names), self._may.along(self._names), self._limits, strict=True)
        return all(limit is None or each <= may * ROUNDING for each, may, limit in pairs)

    # What runs tell each other.

    @property
    def is_active(self) -> bool:
        """Whether others should know something soon: that it has spent, waits for more, or has more than it needs."""
        return self._wants or self.spent != self._told or self._may != self.needed

    def demand(self) -> Demand:
        """Ask for twice what was reserved lately, and one. Until the answer is there, nothing is reserved."""
        self._requesting, self._may, self._told = True, self.needed, self.spent
        more = 2 * self._lately + 1 if self._wants or self._lately else 0
        return Demand(self.spent, self.needed, more)

    def share(self, demand: Demand, others_spent: Spent, others_may: Spent) -> Share:
        """What a run gets where others have spent, and may spend, so much."""
        taken, more, names = others_may.plus(*demand.needed), demand.more, self._names
        for each, limit, its in zip(self.most(1).along(names), self._limits, taken.along(names), strict=True):
            if limit is not None and each > 0:
                fit = int((limit * ROUNDING - its) / each)
                more = max(0, min(more, fit, max(1, fit // _PARTS)))
            elif limit is not None and its > limit * ROUNDING:
                more = 0
        return Share(demand.needed.plus(*self.most(more)), more, others_spent, others_may)

    def take(self, share: Share | None) -> None:
        """Have what was asked for; None where nobody has answered."""
        self._requesting = False
        if share is None:
            self._wants = True
            return
        self._may, self._before, self._lately = share.may, share.others_spent, 0
        if share.more or not self._wants:
            self._wants = self._is_denied = self.is_short = self._has_counted = False
            return
        # What is under way, here or elsewhere, may cost less than is reserved for it.
        free = self._reserved > 0 or self._held > 0 or share.others_may != share.others_spent
        self._is_denied = self._has_counted and not free
        self.is_short = not self._is_denied and not self._reserved
        self._has_counted = False

    def counted(self) -> None:
        """Know that what is over was added up."""
        self._has_counted, self.is_short = True, False
