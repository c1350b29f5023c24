"""One poller for everything that is in flight: pages of the list endpoint, and GETs for stragglers."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from replicate_kit._formats.looks import given_pause
from replicate_kit._formats.statuses import TERMINAL
from replicate_kit.batch._engine.patience import Patience
from replicate_kit.batch._engine.requests import Requests
from replicate_kit.batch._engine.state import first_of
from replicate_kit.errors import APIError, NotFound, RateLimited, ServerError, TransportError
from replicate_kit.records import json_of
from replicate_kit.resources._jobs import lifecycle, timing
from replicate_kit.resources.predictions import Prediction

__all__ = ["Poller", "is_over"]

JSON = dict[str, Any]

_QUICKEST = 0.0125  # of the age: pauses grow no slower, however many rows a page shows
_ROWS = 1.25  # by so much more slowly where there are more rows than 12: then they share a page
_ALLOWED = 2.5  # looks for each row; who has used them up looks in larger groups
_AT_ONCE = 8  # looks beyond that, of runs with few rows
_SPARING = 0.05  # of what a prediction takes: then it is so long between two rounds
_HELD = 1.5  # seconds; holding the create of a slower model would only delay its id
_QUICK = 0.05  # seconds between two rounds, at least
_LONGEST = 5.0  # seconds between two rounds, at most
_USUAL = 0.5  # seconds of a pause after a refusal, where nobody said how often to look
_WORTH_A_PAGE = 3  # a page shows a hundred; for one or two predictions GETs are as good
_WORTH_IN_VAIN = 10  # for so many predictions that would each need a GET, one page that shows none of them
_MOST_PAGES = 20
_LIKE = 50  # predictions by which it is told how long the next one takes


def _has_ended(prediction: JSON) -> bool:
    """Whether nothing more will happen to a prediction."""
    return prediction.get("status") in TERMINAL or bool(prediction.get("completed_at"))


def is_over(prediction: JSON) -> bool:
    """Whether a prediction has ended, and is shown with what it came to."""
    return _has_ended(prediction) and _shows_its_end(prediction)


def _shows_its_end(prediction: JSON) -> bool:
    """Whether a prediction that has ended is shown with what it came to.

    A list may leave outputs and errors out, or say that they were removed, where a GET still has them.
    """
    if prediction.get("data_removed"):
        return False
    missing = {"succeeded": "output", "failed": "error"}.get(str(prediction.get("status")))
    return missing is None or prediction.get(missing) is not None


@dataclass(slots=True)
class _Flight:
    """A prediction that is waited for.

    `slack` is by how many seconds it may be looked at before it is due, together with others.
    """

    prediction: Prediction
    future: asyncio.Future[JSON]
    since: float
    due: float
    is_new: bool = False
    slack: float = 0.0
    missing_since: float | None = None
    canceled: bool = False


@dataclass
class Poller:
    """Tells tasks when their predictions have ended.

    `poll_interval` is how often to look at a prediction, in seconds; None where nobody said so: then looks are timed by
    how long others of its kind took. For `appears_within` seconds one that the API does not find may be new.
    `typical` is the time in the middle of those that the last ones took, in seconds; None before the first end.
    """

    requests: Requests
    poll_interval: float | None
    patience: Patience
    appears_within: float = field(default_factory=lambda: lifecycle.APPEARS_WITHIN)
    flights: dict[str, _Flight] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    typical: float | None = None
    _last: deque[float] = field(default_factory=deque)
    _sorted: list[float] = field(default_factory=list)
    _allowed: float = _AT_ONCE

    @property
    def is_quick(self) -> bool:
        """Whether the model ends so fast that a create may be held for it."""
        typical = self.typical
        return typical is None or typical < _HELD

    def took(self, seconds: float) -> None:
        """Note how long a prediction took."""
        if len(self._last) == _LIKE:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]
        self._last.append(seconds)
        insort(self._sorted, seconds)
        self.typical = self._sorted[len(self._sorted) // 2]

    async def ended(self, prediction: Prediction, created: float | None = None) -> JSON:
        """Wait until a prediction has ended, and give its JSON as it is then; the plugins are told of changes.

        `created` is when it was created, on the clock of `time.monotonic`; None where another run has done so.
        """
        json = json_of(prediction)
        if is_over(json):
            return json
        flight = self._flight(prediction, json, created)
        self._allowed += _ALLOWED
        self.flights[prediction.id] = flight
        self._news.set()
        try:
            return await flight.future
        finally:
            self.flights.pop(prediction.id, None)

    async def cancel_all(self) -> None:
        """Ask to cancel everything in flight that was not asked for yet, or in vain."""
        gate = asyncio.Semaphore(16)

        async def cancel(id: str, flight: _Flight) -> None:
            async with gate:
                try:
                    self._update(await self.requests.cancel(id))
                except (RateLimited, ServerError, TransportError):
                    # It is not marked as canceled, so that it is asked again.
                    return
                except NotFound:
                    if self._may_appear(flight):
                        return
                except APIError:  # it has ended
                    flight.due = time.monotonic()
                flight.canceled = True

        await asyncio.gather(*(cancel(*each) for each in self.flights.items() if not each[1].canceled))

    async def run(self) -> None:
        """Look, again and again, as long as the run lasts."""
        while True:
            await self._until_due()
            began = time.monotonic()
            try:
                await self._round()
            except RateLimited:  # no failure: the limits know how long to wait
                await asyncio.sleep(self._usual)
            except (ServerError, TransportError) as error:
                await asyncio.sleep(self.patience.happened(error))
            else:
                self.patience.is_over()
            await asyncio.sleep(max(0.0, self._gap() - (time.monotonic() - began)))

    @property
    def _usual(self) -> float:
        """Seconds between two looks as somebody said, or as is usual."""
        return _USUAL if self.poll_interval is None else self.poll_interval

    def _flight(self, prediction: Prediction, json: JSON, created: float | None) -> _Flight:
        """Decide when to look first: at once if it may be old or has come to something, else when its like end."""
        now = time.monotonic()
        since, future = now if created is None else created, asyncio.get_running_loop().create_future()
        flight = _Flight(prediction, future, since, now, created is not None)
        if not (json.get("output") is not None or "status" not in json or _has_ended(json)):
            self._look_later(flight, json, now)
        return flight

    def _look_later(self, flight: _Flight, json: JSON, now: float) -> None:
        """Decide when to look at a prediction again that is shown so.

        Before the first end nobody knows when to look, and then those on later pages are seen with those on the first.
        """
        pause = self._pause(flight, json, now)
        is_blind = self.poll_interval is None and self.typical is None
        flight.due, flight.slack = now + pause, pause / 2 if is_blind else 0.0

    def _pause(self, flight: _Flight, json: JSON, now: float) -> float:
        """Seconds until the next look at a prediction that is shown so."""
        age = now - flight.since
        if self.poll_interval is not None:
            return given_pause(self.poll_interval, age)
        growth = min(max(_QUICKEST, _ROWS / max(len(self.flights), 1)), 0.1)
        durations = self.requests.session.durations
        return timing.pause(durations, json, age if flight.is_new else None, age, growth)

    def _gap(self) -> float:
        """Seconds between two rounds: few for what has probably ended, so that ends are seen in groups.

        Where each row has its time, as those have that were created one by one, rounds see few each. Who has used up
        the looks of all rows makes rounds that see more.
        """
        now = time.monotonic()
        if self.poll_interval is not None:
            is_due = any(each.due <= now for each in self.flights.values())
            return _QUICK if is_due else self.poll_interval / 4
        if self._allowed > 0 or not self.flights:
            return _QUICK
        typical = self.typical or now - min(each.since for each in self.flights.values())
        return min(max(_QUICK, typical * _SPARING), _LONGEST)

    async def _until_due(self) -> None:
        """Wait until there is something to look at."""
        while True:
            self._news.clear()
            now = time.monotonic()
            first = min((each.due for each in self.flights.values()), default=None)
            if first is not None and first <= now:
                return
            await first_of(self._news, None if first is None else first - now)

    async def _round(self) -> None:
        """Look at what is due: pages while they show enough of it, then one by one."""
        now = time.monotonic()
        unseen = {id for id, flight in self.flights.items() if flight.due - flight.slack <= now}
        untold: set[str] = set()  # of those that a page shows as ended, without what they came to
        link: str | None = None
        # Pages may be other runs' predictions, or those of our own creates whose answers are on their way.
        in_vain = 0
        for _ in range(_MOST_PAGES):
            if len(unseen) < _WORTH_A_PAGE or in_vain * _WORTH_IN_VAIN > len(unseen):
                break
            self._allowed -= 1
            page, link = await self.requests.page(link)
            ours = [each for each in page if each.get("id") in self.flights]
            for each in ours:
                self._update(each)
            unseen -= {each["id"] for each in ours}
            untold |= {each["id"] for each in ours if _has_ended(each) and not _shows_its_end(each)}
            if link is None:
                break
            in_vain += len(ours) < _WORTH_A_PAGE
        await self._look_at(unseen | untold)

    def _update(self, prediction: JSON, *, whole: bool = False) -> None:
        """Tell whoever waits for a prediction, or decide when to look again. `whole` says that all of it is shown."""
        flight = self.flights.get(prediction["id"])
        if flight is None or flight.future.done():
            return
        flight.missing_since = None
        if not _has_ended(prediction):
            if prediction.get("status") != flight.prediction.status:
                flight.prediction.take_in(prediction)
            self._look_later(flight, prediction, time.monotonic())
        elif whole or _shows_its_end(prediction):
            flight.prediction.take_in(prediction)
            flight.future.set_result(dict(flight.prediction))
        else:
            flight.due = time.monotonic()

    async def _look_at(self, ids: set[str]) -> None:
        """Look at predictions one by one, several at once."""
        gate = asyncio.Semaphore(8)

        async def look(id: str) -> None:
            async with gate:
                self._allowed -= 1
                try:
                    self._update(await self.requests.get(id), whole=True)
                except NotFound as error:
                    self._lost(id, error)

        # All come to their end before one of them fails: what the others have seen counts.
        results = await asyncio.gather(*map(look, ids), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _lost(self, id: str, error: NotFound) -> None:
        """The API knows nothing of it: not yet, or not any more."""
        flight, now = self.flights.get(id), time.monotonic()
        if flight is None or flight.future.done():
            return
        flight.missing_since = flight.missing_since or now
        self._look_later(flight, json_of(flight.prediction), now)
        if not self._may_appear(flight):
            flight.future.set_exception(error)

    def _may_appear(self, flight: _Flight) -> bool:
        """Whether it may only be too new to be found."""
        since = flight.missing_since or flight.since
        return time.monotonic() - since < self.appears_within
