"""Looks in the API for creates that were not answered, all in one listing.

A prediction is recognised by its model and canonical input, and each is adopted once. Absence proves nothing until the
request's own time has passed, nor while the list leaves out what is known to exist, nor while it shows one that may be
it: then a row stays unknown.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit import errors
from replicate_kit.batch.clocks import Span, hull
from replicate_kit.batch.echoes import Echoes, Likeness
from replicate_kit.batch.likeness import Kind, Match, Shown, Wanted, is_of, kind_of, matched
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit.batch.calls import Calls
    from replicate_kit.batch.database import Database
    from replicate_kit.batch.journal import Journal, Work
    from replicate_kit.refs import Reference
    from replicate_kit.schema import ModelSchema

__all__ = ["Finding", "LookUp"]

JSON = dict[str, Any]

_MOST_PAGES = 500
_MOST_LEARNED = 300  # known inputs that are compared with what is listed of them
_MOST_GOT = 500  # predictions that a run looks at one by one because the list leaves them in doubt
_FEW = 4
_SEVERAL = 16


class Finding(NamedTuple):
    """What became of a create: "found" with its prediction, "absent", "unknown", or "later" if that is not sure yet."""

    work: Work
    fate: str
    prediction: JSON | None = None


class LookUp:
    """Finds the predictions of rows, and says what it means where there is none."""

    def __init__(
        self, calls: Calls, db: Database, journal: Journal, target: Reference, schema: ModelSchema | None
    ) -> None:
        self._calls, self._clocks, self._db, self._journal, self._target = (
            calls,
            calls.clocks,
            db,
            journal,
            target,
        )
        self._schema = schema
        self._gotten: dict[str, JSON] = {}

    async def look(self, rows: list[Work]) -> list[Finding]:
        """Look for the predictions of all these rows in one listing."""
        await self._calls.compare_clocks()
        began = self._clocks.now()
        since = min(self._window(each).first for each in rows)
        listed, whole = await self._listed(since)
        owners = await self._db.do(lambda db: self._journal.owners(db, list(listed)))
        wanted = [Wanted(each.fingerprint, each.input, self._window(each)) for each in rows]
        matches = await self._matched(wanted, listed, owners)
        unlisted = await self._unlisted(since, listed) if any(each.found is None for each in matches) else []
        behind = min(unlisted, default=math.inf)
        findings = [
            Finding(row, "found", match.found.prediction)
            if match.found is not None
            else Finding(row, self._missed(row, match, began, whole, behind <= each.window.last))
            for row, each, match in zip(rows, wanted, matches, strict=True)
        ]
        return findings if owners else list(_one_absent(findings))

    async def _listed(self, since: float) -> tuple[dict[str, JSON], bool]:
        """List what was created since a moment of the server's clock, by id, and whether that is all."""
        after = datetime.fromtimestamp(max(0.0, since), UTC).isoformat()
        first, link = await self._calls.page(created_after=after)
        found = {each["id"]: each for each in first if "id" in each}
        for _ in range(_MOST_PAGES):
            if link is None:
                return found, True
            page, link = await self._calls.page(link)
            more = {each["id"]: each for each in page if "id" in each}
            if link is not None and more.keys() <= found.keys():  # it goes in circles
                break
            found |= more
        return found, False

    async def _matched(
        self, wanted: list[Wanted], listed: dict[str, JSON], owners: Mapping[str, str | None]
    ) -> list[Match]:
        """Match what is wanted with what nobody owns; what the list leaves in doubt is looked at one by one."""
        owned = {id: input for id, input in sorted(owners.items(), reverse=True) if input is not None}
        kinds = {kind_of(listed[id]) for id in owned}
        lists = self._taught((owned[id], listed[id]) for id in islice(owned, _MOST_LEARNED))
        oldest_first = [each for id, each in reversed(listed.items()) if id not in owners]
        matches = await self._compared(wanted, self._shown(oldest_first, kinds, lists))
        doubtful = {each.prediction["id"] for match in matches for each in match.doubtful}
        if not doubtful:
            return matches
        seen = [(owned[id], await self._got(id)) for id in islice(owned, _FEW)]
        gets = self._taught((input, got) for input, got in seen if got is not None)
        closer = {id: got for id in doubtful if (got := await self._got(id)) is not None}
        free = [
            *self._shown([each for each in oldest_first if each["id"] not in closer], kinds, lists),
            *self._shown([closer[each["id"]] for each in oldest_first if each["id"] in closer], kinds, gets),
        ]
        return await self._compared(wanted, free)

    def _taught(self, known: Iterable[tuple[str, JSON]]) -> Echoes:
        """Learn how an operation of this server shows inputs."""
        echoes = Echoes.of(self._schema)
        for input, shown in known:
            _learn(echoes, input, shown)
        return echoes

    def _shown(self, predictions: Iterable[JSON], kinds: Collection[Kind], echoes: Echoes) -> list[Shown]:
        """Take those that may be of what is run."""
        each = (Shown.of(one, is_of(self._target, one, kinds), echoes) for one in predictions)
        return [shown for shown in each if shown.kin is not Likeness.OTHER]

    async def _compared(self, wanted: list[Wanted], free: list[Shown]) -> list[Match]:
        """Compare all with all, off the event loop; what is shown exactly as it was sent teaches as well."""
        inputs = {each.fingerprint: each.input for each in wanted}
        for each in free:
            if each.fingerprint is not None and each.fingerprint in inputs:
                _learn(each.echoes, inputs[each.fingerprint], each.prediction)
        return await asyncio.to_thread(matched, wanted, free)

    async def _got(self, id: str) -> JSON | None:
        """Get a prediction, which shows at least as much as a listed one; None if there is none. One look is enough."""
        if id not in self._gotten and len(self._gotten) < _MOST_GOT:
            try:
                self._gotten[id] = await self._calls.get(id)
            except errors.NotFound:
                return None
        return self._gotten.get(id)

    async def _unlisted(self, since: float, listed: Mapping[str, JSON]) -> list[float]:
        """When those were created that are known to exist and are not listed: the list lags behind, or hides them.

        The beginning of time stands for one that the API does not know at all, as one of another account.
        """
        known = await self._db.do(lambda db: self._journal.latest(db, since))
        missing = [id for id in known if id not in listed]
        moments = []
        for id in missing[:: len(missing) // _SEVERAL + 1]:
            got = await self._got(id)
            moment = parse_time((got or {}).get("created_at"))
            if got is None or (moment is not None and moment.timestamp() >= since):
                moments.append(-math.inf if moment is None else moment.timestamp())
        return moments

    def _missed(self, row: Work, match: Match, began: float, whole: bool, behind: bool) -> str:
        """Say what it means that no prediction fits. `behind` says that the list does not show all of that time."""
        left = self.left(row, began)
        if left > 0:
            return "later"
        if not whole:
            return "unknown"
        if behind:
            return "later" if left + self._calls.settling > 0 else "unknown"
        if match.doubtful:
            # That may be another row's, which is written down soon.
            return "later" if left + self._calls.timeout > 0 else "unknown"
        return "absent"

    def left(self, row: Work, now: float) -> float:
        """Seconds, from a moment of our clock, in which the server may still act on a create."""
        if row.ours is not None:
            left = row.ours.last - now
        else:
            left = row.theirs.last - self._clocks.theirs(Span(now, now)).first
        return min(left, row.latest - now)

    def _window(self, row: Work) -> Span:
        """Between which moments of the server's clock it was created; what we know of that may have changed."""
        if row.ours is None:
            return row.theirs
        return hull((row.theirs, self._clocks.theirs(row.ours)))


def _learn(echoes: Echoes, input: str, shown: Mapping[str, Any]) -> None:
    """Take in how the input of a row is shown, if it is."""
    if isinstance(shown.get("input"), dict) and not shown.get("data_removed"):
        echoes.learn(json.loads(input), shown["input"])


def _one_absent(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Let one row be created where the list shows nothing that is known: that tells of the others, if it is shown."""
    seen = False
    for each in findings:
        yield each._replace(fate="later") if seen and each.fate == "absent" else each
        seen = seen or each.fate == "absent"
