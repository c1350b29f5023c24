"""What was spent, added up from what a ledger has paid for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from replicate_kit._formats.wording import did_you_mean, listed, with_safe_repr
from replicate_kit.batch._ledger.protocol import Payment
from replicate_kit.errors import ConfigError

__all__ = ["UNDER_WAY", "CostGroup", "Costs", "add_up", "checked_groups", "total"]

CostGroup = Literal["label", "model", "day"]

UNDER_WAY = "under way"
"""The status of what has not ended, or may not have."""


@with_safe_repr
@dataclass(frozen=True)
class Costs:
    """What was spent on some predictions.

    `group` says on which: its keys are what was asked for of "label", "model" and "day" (in UTC, when they ended, or
    were created where they have not). A label of None is that of runs without one, a day of None is not known.
    `statuses` counts `predictions` by how they ended; what is "under way", or may be, and what is "unknown", since it
    cannot be found, stand among them. `cost` is the sum of the costs that are known, None where none is. `unpriced`
    have ended and cost something that is not known, mostly as they ran without a price: they are not in `cost`. Neither
    is what is under way or unknown.
    """

    group: Mapping[CostGroup, str | None]
    predictions: int
    statuses: Mapping[str, int]
    cost: float | None
    unpriced: int


class _Sum:
    """Adds up payments."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.cost, self.priced, self.unpriced = 0.0, 0, 0

    def add(self, payment: Payment) -> None:
        """Add one."""
        status = payment.status or UNDER_WAY
        self.statuses[status] += 1
        # Numbers that cannot be true may stand in journals of earlier versions.
        if payment.cost is not None and payment.cost >= 0:
            self.cost, self.priced = self.cost + payment.cost, self.priced + 1
        elif status == "aborted":  # it never began, which is not billed
            self.priced += 1
        elif status not in (UNDER_WAY, "unknown"):
            self.unpriced += 1

    def of(self, group: Mapping[CostGroup, str | None]) -> Costs:
        """What was added up."""
        count = self.statuses.total()
        cost = self.cost if self.priced or not count else None
        return Costs(group, count, dict(sorted(self.statuses.items())), cost, self.unpriced)


def add_up(
    payments: Iterable[Payment], by: Sequence[CostGroup], since: float | None, until: float | None
) -> list[Costs]:
    """Add up by groups, in their order; what has no time is left out where there is a limit."""
    sums: dict[tuple[str | None, ...], _Sum] = {} if by else {(): _Sum()}
    for each in payments:
        if _is_between(each.at, since, until):
            sums.setdefault(tuple(_part(each, name) for name in by), _Sum()).add(each)
    ordered = sorted(sums, key=lambda parts: [(part is None, part or "") for part in parts])
    return [sums[parts].of(dict(zip(by, parts, strict=True))) for parts in ordered]


def total(parts: Sequence[Costs]) -> Costs:
    """What groups come to."""
    statuses: Counter[str] = Counter()
    for each in parts:
        statuses.update(each.statuses)
    known = [each.cost for each in parts if each.cost is not None]
    cost = sum(known) if known or not parts else None
    unpriced = sum(each.unpriced for each in parts)
    return Costs({}, statuses.total(), dict(sorted(statuses.items())), cost, unpriced)


def checked_groups(by: Any) -> list[CostGroup]:
    """Refuse what nothing can be added up by."""
    names = list(dict.fromkeys(listed(by)))
    if wrong := [each for each in names if each not in get_args(CostGroup)]:
        raise ConfigError(
            f"by={wrong[0]!r:.80} is nothing that costs are added up by."
            f"{did_you_mean(str(wrong[0]), get_args(CostGroup))} Pass some of {', '.join(get_args(CostGroup))}."
        )
    return names


def _part(payment: Payment, name: CostGroup) -> str | None:
    """What a payment belongs to."""
    if name != "day":
        return payment.label if name == "label" else payment.model
    return f"{datetime.fromtimestamp(payment.at, UTC):%Y-%m-%d}" if payment.at else None


def _is_between(at: float | None, since: float | None, until: float | None) -> bool:
    """Whether something was in a time."""
    if since is None and until is None:
        return True
    return at is not None and at > 0 and (since is None or at >= since) and (until is None or at < until)
