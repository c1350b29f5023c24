"""What predictions cost at most, and a budget that reserves it before they are created."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budget", "Price", "Purse"]

# The API ends a prediction that has no deadline after 30 minutes (its documentation of prediction limits).
RUN_LIMIT = 1800.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may spend at most: a number of predictions, seconds of running time, money; None: no limit.

    Money is in the unit of the price that the run is given.
    """

    predictions: int | None = None
    seconds: float | None = None
    money: float | None = None


@dataclass(frozen=True)
class Price:
    """The price of a prediction, of a second of its running time, or both added; and how long it may run."""

    each: float | None = None
    second: float | None = None
    longest: float | None = None

    @property
    def known(self) -> bool:
        """Whether any price was given."""
        return self.each is not None or self.second is not None

    @property
    def most_seconds(self) -> float:
        """The seconds that one prediction may run at most."""
        return self.longest or RUN_LIMIT

    def of(self, seconds: float) -> float | None:
        """The price of a prediction that ran so long; None where no price is known."""
        return (self.each or 0.0) + (self.second or 0.0) * seconds if self.known else None

    @property
    def most(self) -> float | None:
        """What one prediction costs at most."""
        return self.of(self.most_seconds if self.second else 0.0)


class Purse:
    """Reserves the most that a prediction may cost before it is created, and settles for what it did cost.

    What is spent and reserved together never exceeds the budget.
    """

    def __init__(self, budget: Budget, price: Price) -> None:
        self._budget, self._price = budget, price
        self._reserved = 0
        self.predictions, self.seconds, self.money = 0, 0.0, 0.0

    def reserve(self) -> bool:
        """Set aside the most that one prediction costs; False if that much is not left."""
        held = self._reserved + 1
        longest, most = self._price.most_seconds, self._price.most or 0.0
        fits = (
            _within(self.predictions + held, self._budget.predictions)
            and _within(self.seconds + held * longest, self._budget.seconds)
            and _within(self.money + held * most, self._budget.money)
        )
        self._reserved += fits
        return fits

    def settle(self, seconds: float | None) -> None:
        """Replace a reservation by what the prediction cost: the most, where it is not known how long it ran."""
        seconds = self._price.most_seconds if seconds is None else seconds
        self._reserved -= 1
        self.predictions += 1
        self.seconds += seconds
        self.money += self._price.of(seconds) or 0.0

    def release(self) -> None:
        """Give a reservation back: nothing was created."""
        self._reserved -= 1

    @property
    def waits(self) -> bool:
        """Whether predictions are under way whose end may free something."""
        return self._reserved > 0


def _within(amount: float, limit: float | None) -> bool:
    """Compare with a limit, if there is one; sums of fractions are allowed their rounding."""
    return limit is None or amount <= limit * (1 + 1e-9)
