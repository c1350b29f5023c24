"""What predictions cost at most, and a budget that reserves it before they are created."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from replicate_kit.batch._money.amounts import SECONDS, amount, amounts, whole
from replicate_kit.errors import ConfigError

__all__ = ["ROUNDING", "Account", "Budget", "Limits", "Price", "Spent", "within"]

# The API ends a prediction that has no deadline after 30 minutes (its documentation of prediction limits).
RUN_LIMIT = 1800.0

_NO_LIMIT = ", or None for no limit"
ROUNDING = 1 + 1e-9  # of sums of fractions


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent at most: predictions, seconds of running time, money, units of metrics; None: no limit.

    Money is in the unit of the price that the run is given. `metrics` has amounts of what models count in the `metrics`
    of predictions, by their names; the run has to be told the `most` that one prediction uses of each.

    A budget is that of one run, which may spend all of it whatever earlier runs have spent. With `per="journal"` it is
    that of the journal: what its rows have cost already counts, in all runs, of all models, tries that failed included.
    So does what was under way when a run crashed, or may have been created. Runs that use the journal at the same time
    spend it together. Rows whose cost the journal does not know, since they ran without a price, are counted by the
    price of the present run; those that ran without the `most` of a metric, by the most of the present run. What
    `prune` has forgotten does not count.

    Raises `ConfigError` for numbers that are negative, not finite or no numbers.

    >>> Budget(money=10, per="journal").money
    10.0
    >>> Budget(metrics={"output_token_count": 100_000}).metrics
    {'output_token_count': 100000.0}
    """

    predictions: int | None = None
    seconds: float | None = None
    money: float | None = None
    metrics: Mapping[str, float] | None = None
    per: Literal["run", "journal"] = "run"

    def __post_init__(self) -> None:
        if self.predictions is not None:
            self._keep("predictions", whole("Budget.predictions", self.predictions, 0, _NO_LIMIT))
        if self.seconds is not None:
            self._keep("seconds", amount("Budget.seconds", self.seconds, _NO_LIMIT))
        if self.money is not None:
            self._keep("money", amount("Budget.money", self.money, _NO_LIMIT))
        if self.metrics is not None:
            self._keep("metrics", self._read_metrics())
        if self.per not in ("run", "journal"):
            raise ConfigError(f"Budget.per={self.per!r} must be 'run' or 'journal'. Nothing was created.")

    def _read_metrics(self) -> Mapping[str, float]:
        """Read limits of metrics, of which one is the running time."""
        metrics = amounts("Budget.metrics", self.metrics, 100_000)
        if SECONDS in metrics and self.seconds is not None:
            raise ConfigError(
                f"Budget.seconds and the {SECONDS!r} of Budget.metrics are the same. Pass one of them. Nothing was "
                "created."
            )
        if SECONDS in metrics:
            self._keep("seconds", metrics.pop(SECONDS))
        return metrics

    def _keep(self, name: str, value: float | Mapping[str, float]) -> None:
        """Hold a number as Python's own: SQLite stores others as bytes, and decimals do not mix with fractions."""
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Price:
    """What a prediction costs, a second of its running time, and a unit of each of its metrics; all are added.

    `longest` is how long it may run, `mosts` are how many units of metrics one prediction uses at most: each metric
    that has a price or a budget is among them.
    """

    each: float | None = None
    second: float | None = None
    longest: float | None = None
    units: Mapping[str, float] = field(default_factory=dict)
    mosts: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether any price was given."""
        return self.each is not None or self.second is not None or bool(self.units)

    @property
    def most_seconds(self) -> float:
        """The seconds that one prediction may run at most."""
        return self.longest or RUN_LIMIT

    def of(self, seconds: float, used: Mapping[str, float] | None = None) -> float | None:
        """The price of a prediction that ran so long, and used so much of its metrics, else the most of them.

        None where no price is known.
        """
        if not self.known:
            return None
        units = sum(unit * (used or self.mosts)[name] for name, unit in self.units.items())
        return (self.each or 0.0) + (self.second or 0.0) * seconds + units

    @property
    def most(self) -> float | None:
        """What one prediction costs at most."""
        return self.of(self.most_seconds)

    def used(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What a prediction that has ended used of each metric that counts: the most, where it has not told."""
        return {name: metrics.get(name, most) for name, most in self.mosts.items()}

    def charge(self, seconds: float | None, metrics: Mapping[str, float]) -> float | None:
        """What is charged for a prediction that has ended: the most, of whatever is not known."""
        return self.of(self.most_seconds if seconds is None else seconds, self.used(metrics))

    def at_most(self, predictions: int) -> Spent:
        """What so many predictions may cost at most."""
        used = {name: predictions * most for name, most in self.mosts.items()}
        return Spent(predictions, predictions * self.most_seconds, predictions * (self.most or 0.0), used)


class Spent(NamedTuple):
    """What was spent: a number of predictions, seconds of running time, money, units of metrics.

    A metric that is not there is not known, unless there are no predictions.
    """

    predictions: int = 0
    seconds: float = 0.0
    money: float = 0.0
    metrics: Mapping[str, float] = {}

    def plus(
        self, predictions: int, seconds: float, money: float, metrics: Mapping[str, float] = {}
    ) -> Spent:
        """The same and more, with the metrics that are known of all of it."""
        if self.predictions and predictions:
            metrics = {name: mine + metrics[name] for name, mine in self.metrics.items() if name in metrics}
        elif self.predictions:
            metrics = self.metrics
        return Spent(self.predictions + predictions, self.seconds + seconds, self.money + money, metrics)

    def known(self, mosts: Mapping[str, float]) -> Spent:
        """The same with each of these metrics: of one that is not known, the most that all predictions used."""
        missing = {name: self.predictions * most for name, most in mosts.items() if name not in self.metrics}
        return self._replace(metrics={**self.metrics, **missing}) if missing else self

    def along(self, metrics: Iterable[str]) -> tuple[float, ...]:
        """All of it in a row, with these metrics."""
        return (*self[:3], *(self.metrics.get(name, 0.0) for name in metrics))


_NOTHING = Spent()
_UNKNOWN: Mapping[str, float] = {}

Limits: TypeAlias = tuple[float | None, ...]
"""Of predictions, seconds, money and metrics; None for no limit."""


class Account:
    """Reserves the most that a prediction may cost before it is created, and settles for what it did cost.

    What is spent and reserved together never exceeds the budget. What earlier runs have spent counts where the
    budget is the journal's: `before` is what is known of that, and of `held` predictions it is known when they end.
    """

    def __init__(self, budget: Budget, price: Price, before: Spent = _NOTHING, held: int = 0) -> None:
        self._budget, self._price = budget, price
        self._before, self._reserved = before.known(price.mosts), held
        self.spent = _NOTHING
        metrics = budget.metrics or {}
        self._names = tuple(metrics)
        self._limits: Limits = (budget.predictions, budget.seconds, budget.money, *metrics.values())
        self._is_unlimited = not any(limit is not None for limit in self._limits)

    @property
    def counts_journal(self) -> bool:
        """Whether what earlier runs have spent counts."""
        return self._budget.per == "journal"

    @property
    def counts_others(self) -> bool:
        """Whether what others have under way, or create for the same rows, is reserved here."""
        return self.counts_journal

    @property
    def before(self) -> Spent:
        """What earlier runs have spent, as far as it counts."""
        return self._before

    def reserve(self) -> bool:
        """Set aside the most that one prediction costs; False if that much is not left."""
        if self._is_unlimited:
            self._reserved += 1
            return True
        # What is in flight counts, as the most that it may cost. A budget that is compared only with what was spent so
        # far is overshot by all that is in flight.
        fits = self._fits(1)
        self._reserved += fits
        return fits

    def _fits(self, predictions: int) -> bool:
        """Whether so many more fit, whatever they cost."""
        return self._is_within(self._before.plus(*self.spent).plus(*self.most(self._reserved + predictions)))

    def _is_within(self, amount: Spent) -> bool:
        """Whether so much fits."""
        return within(amount.along(self._names), self._limits)

    def room(self, predictions: int) -> int:
        """How many of so many predictions more are sure to fit, whatever they cost."""
        fits = bisect_left(range(1, predictions + 1), True, key=lambda count: not self._fits(count))
        return predictions if self._is_unlimited else fits

    def settle(
        self, seconds: float | None, metrics: Mapping[str, float] = _UNKNOWN, *, ours: bool = True
    ) -> None:
        """Replace a reservation by what the prediction cost: the most, of whatever is not known.

        `ours` is False for one that an earlier run has created.
        """
        self._reserved -= 1
        price = self._price
        cost = (
            1,
            price.most_seconds if seconds is None else seconds,
            price.charge(seconds, metrics) or 0.0,
            price.used(metrics),
        )
        if ours:
            self.spent = self.spent.plus(*cost)
        else:
            self._before = self._before.plus(*cost)

    @property
    def needed(self) -> Spent:
        """What it has spent, and what is under way as the most that it may cost."""
        return self.spent.plus(*self.most(self._reserved))

    def most(self, predictions: int) -> Spent:
        """What so many predictions may cost at most."""
        return self._price.at_most(predictions)

    def release(self) -> None:
        """Give a reservation back: nothing was created."""
        self._reserved -= 1

    def let_go(self) -> None:
        """Know that a prediction has ended, or is not there, that an earlier run had left open."""

    @property
    def waits(self) -> bool:
        """Whether predictions are under way whose end may free something."""
        return self._reserved > 0

    @property
    def is_spent(self) -> bool:
        """Whether there is not enough for one more prediction, and nothing under way that may free some."""
        if self.waits:
            return False
        fits = self.reserve()
        if fits:
            self.release()
        return not fits


def within(amount: Iterable[float], limits: Limits) -> bool:
    """Compare sums with limits, where there are any; sums of fractions are allowed their rounding."""
    pairs = zip(amount, limits, strict=True)
    return all(limit is None or each <= limit * ROUNDING for each, limit in pairs)
