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
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from replicate_kit import errors
from replicate_kit._unresolved.clocks import Span, hull
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit._unresolved.matching import Kind, Match, Shown, Wanted, is_of, kind_of, matched
from replicate_kit.batch._ledger.journal import Owner
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit.batch._engine.calls import Calls
    from replicate_kit.batch._ledger.database import Database
    from replicate_kit.batch._ledger.journal import Journal, Work
    from replicate_kit.schema import ModelSchema

__all__ = ["Finding", "LookUp"]

JSON = dict[str, Any]

_MOST_PAGES = 500
_MOST_LEARNED = 300  # known inputs that are compared with what is listed of them
_MOST_GOT = 5000  # predictions that a run looks at one by one because the list leaves them in doubt
_FEW = 4  # known predictions that tell how a GET shows inputs
_SEVERAL = 16  # predictions that are fetched before it is seen whether the others need it
_AT_ONCE = 8  # requests


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
        # Also before the list is asked for: what the server acts on later is not in it.
        began = self._clocks.now()
        since = min(self._window(each).first for each in rows)
        # Before the list is asked for: what is created meanwhile need not be in it.
        known = await self._db.do(lambda db: self._journal.latest(db, since))
        listed, whole = await self._listed(since)
        owners = await self._db.do(lambda db: self._journal.owners(db, list(listed)))
        wanted = [Wanted(each.fingerprint, each.input, self._window(each)) for each in rows]
        matches = await self._matched(wanted, listed, owners)
        missing = (
            [id for id in known if id not in listed] if any(each.found is None for each in matches) else []
        )
        unlisted = await self._unlisted(missing, since)
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
        self, wanted: list[Wanted], listed: dict[str, JSON], owners: Mapping[str, Owner]
    ) -> list[Match]:
        """Match what is wanted with what nobody owns; what the list leaves in doubt is looked at one by one."""
        owned = {id: owner for id, owner in sorted(owners.items(), reverse=True) if owner.is_ours}
        kinds = {kind_of(listed[id]) for id in owned}
        inputs = {each.fingerprint: each.input for each in wanted}
        lists, gets = Echoes.of(self._schema, partial=True), Echoes.of(self._schema)

        def prepare() -> dict[str, Shown]:
            for id in islice(owned, _MOST_LEARNED):
                _learn(lists, owned[id], listed[id])
            gets.is_unsure = lists.is_unsure  # of those that are known, only a few are looked at one by one
            oldest_first = (id for id in reversed(listed) if id not in owners)
            each = {id: self._shown(listed[id], kinds, lists, inputs) for id in oldest_first}
            return {id: shown for id, shown in each.items() if shown.kin is not Similarity.OTHER}

        # Off the event loop: thousands of long inputs take their time.
        free = await asyncio.to_thread(prepare)
        looked_at: set[str] = set()
        for round in count():
            matches = await asyncio.to_thread(matched, wanted, list(free.values()))
            doubtful = [id for id in _ids(matches, inputs) if id not in looked_at]
            if not doubtful:
                return matches
            if not looked_at:
                for id, got in (await self._got_all(list(owned)[:_FEW])).items():
                    _learn(gets, owned[id], got)
            # A few teach how the list shows inputs, so that most of the others need no look.
            some = doubtful[: _SEVERAL * 2**round]
            looked_at.update(some)
            for id, got in (await self._got_all(some)).items():
                free[id] = self._shown(got, kinds, gets, inputs)
                if (sent := inputs.get(free[id].fingerprint or b"")) is not None:
                    owner = Owner(is_ours=True, input=sent)
                    _learn(gets, owner, got)
                    _learn(lists, owner, listed[id])
        raise AssertionError  # it does not end without a return

    def _shown(
        self, prediction: JSON, kinds: Collection[Kind], echoes: Echoes, inputs: Collection[bytes]
    ) -> Shown:
        """Read a prediction that nobody owns; one of another name may be ours where no name is known to be shown."""
        shown = Shown.of(prediction, is_of(self._target, prediction, kinds), echoes)
        if shown.kin is Similarity.OTHER and not kinds and shown.fingerprint in inputs:
            return shown._replace(kin=Similarity.PERHAPS)
        return shown

    async def _got_all(self, ids: Collection[str]) -> dict[str, JSON]:
        """Get predictions, which shows at least as much of them as a list does; leaves out what is not found."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def get(id: str) -> None:
            async with gate:
                with suppress(errors.NotFound):
                    self._gotten[id] = await self._calls.get(id)

        missing = [id for id in ids if id not in self._gotten]
        await asyncio.gather(*map(get, missing[: max(0, _MOST_GOT - len(self._gotten))]))
        return {id: self._gotten[id] for id in ids if id in self._gotten}

    async def _unlisted(self, missing: list[str], since: float) -> list[float]:
        """When those were created that are known to exist and are not listed: the list lags behind, or hides them.

        The beginning of time stands for one that the API does not know at all, as one of another account.
        """
        # At most so many, spread over all that time: a GET for each might be thousands.
        some = missing[:: len(missing) // _SEVERAL + 1]
        got = await self._got_all(some)
        moments = [parse_time(each.get("created_at")) for each in got.values()]
        seen = [each.timestamp() for each in moments if each is not None and each.timestamp() >= since]
        return [*seen, *[-math.inf] * (len(some) - len(got))]

    def _missed(self, row: Work, match: Match, began: float, whole: bool, behind: bool) -> str:
        """Say what it means that no prediction fits. `behind` says that the list does not show all of that time."""
        # "absent" pays for the row again. So it is the answer only where the server's time to act is over, the list
        # came to its end and shows what is known of that time, and nothing in it may be the row's.
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


def _learn(echoes: Echoes, owner: Owner, shown: Mapping[str, Any]) -> None:
    """Take in how the input of a row is shown, if it is."""
    if not isinstance(shown.get("input"), dict) or shown.get("data_removed"):
        return
    if owner.input is None:
        echoes.learn_hashed(owner.fingerprint, shown["input"])
    else:
        echoes.learn(json.loads(owner.input), shown["input"])


def _ids(matches: Iterable[Match], inputs: Collection[bytes]) -> dict[str, None]:
    """The predictions that are in doubt, those first that are shown just as something that is wanted was sent."""
    doubtful = [each for match in matches for each in match.doubtful]
    doubtful.sort(key=lambda each: each.fingerprint not in inputs)
    return dict.fromkeys(each.prediction["id"] for each in doubtful)


def _one_absent(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Let one row be created where the list shows nothing that is known: that tells of the others, if it is shown."""
    seen = False
    for each in findings:
        yield each._replace(fate="later") if seen and each.fate == "absent" else each
        seen = seen or each.fate == "absent"
