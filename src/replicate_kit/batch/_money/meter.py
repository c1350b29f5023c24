"""What predictions have used of the metrics that count, and what is odd about that."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from replicate_kit.batch._money.pricing import Price

__all__ = ["Meter"]

log = logging.getLogger("replicate_kit")


class Meter:
    """Reads what the predictions of a run used, and charges it; tells once of each metric what is not as was said."""

    def __init__(self, price: Price) -> None:
        self.charge = price.charge
        self._price = price
        self._told: set[tuple[str, bool]] = set()

    def read(self, id: str | None, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """What a prediction that has ended used of each metric that counts: the most, where it has not told."""
        for name, most in self._price.mosts.items():
            used = metrics.get(name)
            if used is None or used > most:
                self._tell(id, name, used, metrics)
        return self._price.used(metrics)

    def _tell(self, id: str | None, name: str, used: float | None, metrics: Mapping[str, float]) -> None:
        """Log it, the first time."""
        what, most = (name, used is None), self._price.mosts[name]
        if what in self._told:
            return
        self._told.add(what)
        if used is None:
            log.warning(
                "The prediction %s does not say its %s (its metrics are: %s). The most, %g, is counted for it, and for "
                "others that do not say it. If the metric has another name, use that in price= and most=.",
                id,
                name,
                ", ".join(sorted(metrics)) or "none",
                most,
            )
        else:
            log.warning(
                "The prediction %s used %g of %s, and most= says that one uses %g at most. All of it is counted, and a "
                "budget may be exceeded. Pass a larger most=.",
                id,
                used,
                name,
                most,
            )
