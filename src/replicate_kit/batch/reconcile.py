"""Finds out what became of creates that were sent and not answered.

A prediction is recognised by its model and canonical input, and each is adopted once. Absence proves nothing
until the request's own time has passed; what the API has removed the data of stays unknown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit.batch.clocks import Span, hull
from replicate_kit.batch.identity import fingerprint
from replicate_kit.batch.likeness import Likeness, likeness
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit.batch.calls import Calls
    from replicate_kit.batch.journal import Work
    from replicate_kit.refs import Reference
    from replicate_kit.schema import ModelSchema

__all__ = ["Finding", "Reconciler"]

JSON = dict[str, Any]

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
    schema: ModelSchema | None = None
    defaults: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        properties = self.schema.properties if self.schema else {}
        self.defaults = {name: each["default"] for name, each in properties.items() if "default" in each}

    async def look(self, wanted: list[Work], known: Any) -> list[Finding]:
        """Look for all that is wanted at once. `known` tells which ids belong to rows already."""
        await self.calls.compare_clocks()
        began = self.calls.clocks.now()
        listed, whole = await self._listed(min(self._window(each).first for each in wanted))
        mine = [each for each in listed if self._is_of_model(each)]
        taken = await known([each["id"] for each in mine])
        free = [each for each in reversed(mine) if each["id"] not in taken]  # oldest first
        found = self._matched(sorted(wanted, key=lambda each: each.theirs.first), free)
        return [found.get(id(each)) or self._missed(each, free, began, whole) for each in wanted]

    def left(self, wanted: Work, now: float) -> float:
        """Seconds, from a moment of our clock, in which the server may still act on a create."""
        if wanted.ours is not None:
            return wanted.ours.last - now
        return wanted.theirs.last - self.calls.clocks.theirs(Span(now, now)).first

    def _window(self, wanted: Work) -> Span:
        """Between which moments of the server's clock it was created; what we know of that may have changed."""
        if wanted.ours is None:
            return wanted.theirs
        return hull((wanted.theirs, self.calls.clocks.theirs(wanted.ours)))

    def _matched(self, wanted: list[Work], free: list[JSON]) -> dict[int, Finding]:
        """Take the first prediction that fits out of those that are free, first what was shown as it was sent."""
        found: dict[int, Finding] = {}
        hidden = [each for each in free if not self._is_shown(each)]
        for fits in (self._is_exact, self._is_same):
            for work in wanted:
                likely = (each for each in free if fits(each, work) and self._is_likely(each, work, hidden))
                if id(work) not in found and (match := next(likely, None)) is not None:
                    free.remove(match)
                    found[id(work)] = Finding(work, "found", match)
        return found

    def _is_likely(self, prediction: JSON, wanted: Work, hidden: list[JSON]) -> bool:
        """Whether it was created in time; a later one may be another row's, where one that is hidden was in time."""
        return self._is_in_time(prediction, wanted) or not any(
            self._is_in_time(each, wanted) for each in hidden
        )

    def _missed(self, wanted: Work, free: list[JSON], began: float, whole: bool) -> Finding:
        """Say what it means that none fits."""
        left = self.left(wanted, began)
        if left > 0:
            return Finding(wanted, "later")
        if not whole:
            return Finding(wanted, "unknown")
        if any(self._may_be(each, wanted) for each in free):
            # That may be another row's, which is written down soon.
            return Finding(wanted, "later" if left + self.calls.timeout > 0 else "unknown")
        return Finding(wanted, "absent")

    async def _listed(self, since: float) -> tuple[list[JSON], bool]:
        """List what was created since a moment of the server's clock, and whether that is all."""
        after = datetime.fromtimestamp(max(0.0, since), UTC).isoformat()
        first, link = await self.calls.page(created_after=after)
        found = {each["id"]: each for each in first if "id" in each}
        for _ in range(_MOST_PAGES):
            if link is None:
                return list(found.values()), True
            page, link = await self.calls.page(link)
            more = {each["id"]: each for each in page if "id" in each}
            if link is not None and more.keys() <= found.keys():  # it goes in circles
                break
            found |= more
        return list(found.values()), False

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
        return moment is None or moment.timestamp() >= self._window(wanted).first

    def _is_in_time(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it was created while the server may have acted on the request."""
        moment, window = parse_time(prediction.get("created_at")), self._window(wanted)
        return moment is None or window.first <= moment.timestamp() <= window.last

    def _is_shown(self, prediction: JSON) -> bool:
        """Whether the API still shows what was sent."""
        return isinstance(prediction.get("input"), dict) and not prediction.get("data_removed")

    def _is_exact(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it shows exactly what was sent."""
        return (
            self._is_shown(prediction)
            and fingerprint(prediction["input"]) == wanted.fingerprint
            and self._created_since(prediction, wanted)
        )

    def _is_same(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it shows the same in another form."""
        return (
            self._is_shown(prediction)
            and self._created_since(prediction, wanted)
            and likeness(prediction["input"], json.loads(wanted.input), self.defaults) is Likeness.SAME
        )

    def _may_be(self, prediction: JSON, wanted: Work) -> bool:
        """Whether it may be what was asked for, and does not show it."""
        return self._is_in_time(prediction, wanted) and (
            not self._is_shown(prediction)
            or bool(likeness(prediction["input"], json.loads(wanted.input), self.defaults))
        )
