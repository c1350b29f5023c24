"""Looks in the API for unresolved creates, all in one listing.

A prediction is recognised by its model and canonical input, and each is one create's. Absence proves nothing until the
request's own time has passed, nor while the list leaves out what is known to exist, nor while it shows one that may be
it: then a create stays unknown.

A single run and a batch ask different questions. A batch adopts: of several equal predictions each will do, since it
pays for none of them again (`matched`). A run that cancels, or names a prediction as its own, must not take another
program's: it searches with `alone=True`, and then nothing else may fit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from replicate_kit._unresolved.clocks import Span, hull
from replicate_kit._unresolved.echoes import Echoes, Similarity
from replicate_kit._unresolved.matching import Kind, Match, Shown, Wanted, alone, is_of, kind_of, matched
from replicate_kit._unresolved.protocols import JSON, Bounds, Finding, Outcome, Owner, Source, Unresolved
from replicate_kit.records import parse_time

if TYPE_CHECKING:
    from replicate_kit._formats.references import Reference
    from replicate_kit.schema import ModelSchema

__all__ = ["Search"]

C = TypeVar("C", bound=Unresolved)

_MOST_LEARNED = 300  # known inputs that are compared with what is listed of them
_FEW = 4  # known predictions that tell how a GET shows inputs
_SEVERAL = 16  # known predictions that tell whether the list shows everything
_EVERYTHING = Bounds()


class Search(Generic[C]):
    """Finds the predictions of creates, and says what it means where there is none."""

    def __init__(
        self,
        source: Source,
        target: Reference,
        schema: ModelSchema | None,
        *,
        bounds: Bounds = _EVERYTHING,
        alone: bool = False,
    ) -> None:
        self._source, self._clocks, self._target, self._schema = source, source.clocks, target, schema
        self._bounds, self._alone = bounds, alone
        self._gotten: dict[str, JSON] = {}

    async def look(self, creates: Sequence[C]) -> list[Finding[C]]:
        """Look for the predictions of all these creates in one listing."""
        await self._source.compare_clocks()
        # Also before the list is asked for: what the server acts on later is not in it.
        began = self._clocks.now()
        since = min(self._window(each).first for each in creates)
        # Before the list is asked for: what is created meanwhile need not be in it.
        known = await self._source.known(since)
        listed, whole = await self._listed(since)
        owners = await self._source.owners(list(listed))
        wanted = [self._wanted(each) for each in creates]
        matches = await self._matched(wanted, listed, owners)
        if self._alone and not whole:  # what is not listed may be it as well
            matches = [each.in_doubt() for each in matches]
        missing = (
            [id for id in known if id not in listed] if any(each.found is None for each in matches) else []
        )
        unlisted = await self._unlisted(missing, since)
        behind = min(unlisted, default=math.inf)
        findings = [
            Finding(create, "found", match.found.prediction)
            if match.found is not None
            else Finding(
                create,
                self._missed(create, match, began, whole, behind),
                candidates=tuple(shown.prediction for shown in match.doubtful),
            )
            for create, match in zip(creates, matches, strict=True)
        ]
        return findings if owners else list(_one_absent(findings))

    async def _listed(self, since: float) -> tuple[dict[str, JSON], bool]:
        """List what was created since a time of the server's clock, by id, and whether that is all."""
        after = datetime.fromtimestamp(max(0.0, since), UTC).isoformat()
        first, link = await self._source.page(created_after=after)
        found = _by_id(first)
        for _ in range(self._bounds.pages):
            if link is None:
                break
            page, link = await self._source.page(link)
            more = _by_id(page)
            if link is not None and more.keys() <= found.keys():  # it goes in circles
                break
            found |= more
        return found, link is None

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

        def match() -> list[Match]:
            shown = list(free.values())
            return [alone(each, shown) for each in wanted] if self._alone else matched(wanted, shown)

        # Off the event loop: thousands of long inputs take their time.
        free = await self._source.in_thread(prepare)
        looked_at: set[str] = set()
        for round in count():
            matches = await self._source.in_thread(match)
            doubtful = [id for id in _ids(matches, inputs) if id not in looked_at]
            if not doubtful:
                return matches
            if not looked_at:
                for id, got in (await self._got_all(list(owned)[:_FEW])).items():
                    _learn(gets, owned[id], got)
            # A few teach how the list shows inputs, so that most of the others need no look.
            some = doubtful[: self._bounds.at_first * 2**round]
            looked_at.update(some)
            for id, got in (await self._got_all(some)).items():
                free[id] = self._shown(got, kinds, gets, inputs)._replace(listed=free[id].listed)
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
        """Get predictions, each of them once; leaves out what is not there, and what is beyond the bounds."""
        missing = [id for id in ids if id not in self._gotten]
        await self._source.gets(missing[: max(0, self._bounds.gets - len(self._gotten))], self._gotten)
        return {id: self._gotten[id] for id in ids if id in self._gotten}

    async def _unlisted(self, missing: list[str], since: float) -> list[float]:
        """When those were created that are known to exist and are not listed: the list lags behind, or hides them.

        The beginning of time stands for one that the API does not know at all, as one of another account.
        """
        # At most so many, spread over all that time: a GET for each might be thousands.
        some = missing[:: len(missing) // _SEVERAL + 1]
        got = await self._got_all(some)
        times = [parse_time(each.get("created_at")) for each in got.values()]
        seen = [each.timestamp() for each in times if each is not None and each.timestamp() >= since]
        return [*seen, *[-math.inf] * (len(some) - len(got))]

    def _missed(self, create: C, match: Match, began: float, whole: bool, behind: float) -> Outcome:
        """Say what it means that no prediction fits. `behind` is when something was created that is not listed yet."""
        # "absent" pays for the row again. So it is the answer only where the server's time to act is over, the list
        # came to its end and shows what is known of that time, and nothing in it may be the create's.
        left = self.left(create, began)
        if left > 0:
            return "later"
        if not whole:
            return "unknown"
        if behind <= (over := self._over(create)):
            since = self._clocks.theirs(Span(began, began)).first - over
            return "later" if since < self._source.settling else "unknown"
        if match.doubtful:
            # That may be another create's, which is written down soon.
            return "later" if left + self._source.timeout > 0 else "unknown"
        return "absent"

    def left(self, create: C, now: float) -> float:
        """Seconds, from a time of our clock, in which the server may still act on a create."""
        if create.ours is not None:
            left = create.ours.last - now
        else:
            left = create.theirs.last - self._clocks.theirs(Span(now, now)).first
        return min(left, create.latest - now)

    def _wanted(self, create: C) -> Wanted:
        """Say what to look for."""
        readings = () if create.ours is None else self._clocks.readings(create.ours)
        return Wanted(create.fingerprint, create.input, self._window(create), readings)

    def _window(self, create: C) -> Span:
        """Between which times of the server's clock it was created; what we know of that may have changed."""
        if create.ours is None:
            return create.theirs
        return hull((create.theirs, self._clocks.theirs(create.ours)))

    def _over(self, create: C) -> float:
        """When, by the server's clock, it has acted on a create, if it ever does.

        What a dead run has sent was acted on in time, even if that run would have had longer to send it.
        """
        return min(self._window(create).last, self._clocks.theirs(Span(create.latest, create.latest)).last)


def _by_id(page: Iterable[JSON]) -> dict[str, JSON]:
    """The predictions of a page; what has no id could be neither looked at nor taken."""
    return {each["id"]: each for each in page if isinstance(each.get("id"), str)}


def _learn(echoes: Echoes, owner: Owner, shown: Mapping[str, Any]) -> None:
    """Take in how an input that is known is shown, if it is."""
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


def _one_absent(findings: Iterable[Finding[C]]) -> Iterator[Finding[C]]:
    """Let one row be created where the list shows nothing that is known: that tells of the others, if it is shown."""
    seen = False
    for each in findings:
        yield each._replace(outcome="later") if seen and each.outcome == "absent" else each
        seen = seen or each.outcome == "absent"
