"""Finds out what became of creates that were sent and not answered.

A prediction is recognised by its model and canonical input, and each is adopted once. Absence proves nothing
until the request's own time has passed; what the API has removed the data of stays unknown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch.identity import fingerprint
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit.batch.calls import Calls
    from replicate_kit.batch.journal import Work
    from replicate_kit.refs import Reference

__all__ = ["Finding", "Reconciler"]

JSON = dict[str, Any]

_MARGIN = 2.0  # seconds by which the clocks may differ after they were compared
_UNCOMPARED = 120.0  # and before
_MOST_PAGES = 500


class Finding(NamedTuple):
    """What became of it: the prediction, or "absent", "unknown" or "later"."""

    work: Work
    fate: str
    prediction: JSON | None = None


@dataclass
class Reconciler:
    """Looks for predictions in the list endpoint."""

    calls: Calls
    target: Reference
    _margin: float = field(default=_UNCOMPARED)

    async def look(self, wanted: list[Work], known: Any) -> list[Finding]:
        """Look for all that is wanted at once. `known` tells which ids belong to rows already."""
        listed, now, whole = await self._listed(min(each.sent_at for each in wanted))
        mine = [each for each in listed if self._is_of_model(each)]
        taken = await known([each["id"] for each in mine])
        free = [each for each in reversed(mine) if each["id"] not in taken]  # oldest first
        return [self._find(each, free, now, whole) for each in sorted(wanted, key=lambda each: each.sent_at)]

    def _find(self, wanted: Work, free: list[JSON], now: float, whole: bool) -> Finding:
        """Take the first prediction that fits out of those that are free."""
        for each in free:
            if self._fits(each, wanted):
                free.remove(each)
                return Finding(wanted, "found", each)
        if now < wanted.settled_at:
            return Finding(wanted, "later")
        if not whole or any(self._may_be(each, wanted) for each in free):
            return Finding(wanted, "unknown")
        return Finding(wanted, "absent")

    async def _listed(self, since: float) -> tuple[list[JSON], float, bool]:
        """List what was created since, when the listing began, and whether it is whole."""
        began = time.time()
        first, link = await self.calls.page(created_after=self._server_time(since - _UNCOMPARED))
        ahead = self.calls.server_ahead
        self._margin = _MARGIN if ahead is not None else _UNCOMPARED
        found = {each["id"]: each for each in first if "id" in each}
        for _ in range(_MOST_PAGES):
            if link is None:
                return list(found.values()), began, True
            page, link = await self.calls.page(link)
            found |= {each["id"]: each for each in page if "id" in each}
        return list(found.values()), began, False

    def _server_time(self, moment: float) -> str:
        """Write a moment of our clock as one of the server's."""
        return datetime.fromtimestamp(moment + (self.calls.server_ahead or 0.0), UTC).isoformat()

    def _is_of_model(self, prediction: JSON) -> bool:
        """Whether it is of our model; where only a version or a deployment is known, by that."""
        target = self.target
        if target.model is not None:
            return prediction.get("model") in (target.model, None)
        if target.deployment:
            return prediction.get("deployment") in (f"{target.owner}/{target.name}", target.name, None)
        return prediction.get("version") in (target.version, "hidden", None)

    def _created_since(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it was created after the request was sent."""
        moment = parse_time(prediction.get("created_at"))
        if moment is None:
            return True
        return moment.timestamp() - (self.calls.server_ahead or 0.0) >= wanted.sent_at - self._margin

    def _fits(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it is what was asked for."""
        input = prediction.get("input")
        return (
            isinstance(input, dict)
            and not prediction.get("data_removed")
            and fingerprint(input) == wanted.fingerprint
            and self._created_since(prediction, wanted)
        )

    def _may_be(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it may be what was asked for, but does not show its input any more."""
        moment = parse_time(prediction.get("created_at"))
        ahead = (self.calls.server_ahead or 0.0) + self._margin
        late = moment is not None and moment.timestamp() > wanted.settled_at + ahead
        hidden = bool(prediction.get("data_removed")) or not isinstance(prediction.get("input"), dict)
        return hidden and not late and self._created_since(prediction, wanted)
