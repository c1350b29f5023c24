"""One search for the create of a single run, which asks nobody but the API, and not for long."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from replicate_kit._formats.references import escape
from replicate_kit._http.answers import decoded
from replicate_kit._http.retry import http_date
from replicate_kit._unresolved.canonical import canonical, fingerprint
from replicate_kit._unresolved.clocks import SETTLING, Span
from replicate_kit._unresolved.protocols import Bounds
from replicate_kit._unresolved.search import Search
from replicate_kit.errors import APIError, InvalidResponse, TransportError
from replicate_kit.records import parse_time
from replicate_kit.resources._running.abandoning import SOON

if TYPE_CHECKING:
    from replicate_kit._http.session import Session
    from replicate_kit._unresolved.clocks import Clocks
    from replicate_kit._unresolved.protocols import JSON, Finding, Owner
    from replicate_kit.resources._running.running import Runnable

__all__ = ["Sent", "searched"]

T = TypeVar("T")

# What was created a moment ago is mostly on the first page, and the likeliest is the first to be looked at.
_BOUNDS = Bounds(pages=4, gets=5, at_first=1)
_IN_ALL = 30.0  # seconds for one search


@dataclass(frozen=True)
class Sent:
    """A create as a search knows it."""

    input: str = field(repr=False)
    fingerprint: bytes
    ours: Span
    theirs: Span
    latest: float = math.inf


async def searched(
    runnable: Runnable, input: Mapping[str, Any], session: Session, clocks: Clocks, began: float
) -> Finding[Sent]:
    """Search once for a create that was sent since `began`, a time of our clock."""
    source = _SessionSource(session, clocks)
    await source.compare_clocks()
    ours = Span(began, clocks.now() + source.settling)
    sent = Sent(canonical(input), fingerprint(input), ours, clocks.theirs(ours))
    search: Search[Sent] = Search(source, runnable.reference, runnable.schema, bounds=_BOUNDS, alone=True)
    (finding,) = await search.look([sent])
    return finding


class _SessionSource:
    """Knows nothing but what the API shows now: no prediction has an owner."""

    timeout: float = SOON["timeout"]
    settling: float = SETTLING

    def __init__(self, session: Session, clocks: Clocks) -> None:
        self._session, self.clocks = session, clocks
        self._deadline = session.now() + _IN_ALL
        self._newest: tuple[list[JSON], str | None] | None = None
        self._since = 0.0

    async def compare_clocks(self) -> None:
        """Learn the server's time from the date of the first page, which the search then begins with."""
        if self._newest is None:
            self._newest = await self._page("predictions")

    async def page(self, link: str | None = None, **filters: str) -> tuple[list[JSON], str | None]:
        """Give a page of the list, and the link to the next as long as that may have what is searched for."""
        if link is None:
            # Lists begin with the newest, so the first page mostly has everything. To filter it would take one more
            # request, as the time to filter by is known only when the server's clock is.
            await self.compare_clocks()
            assert self._newest is not None
            after = parse_time(filters["created_after"])
            self._since = 0.0 if after is None else after.timestamp()
            found, following = self._newest
        else:
            found, following = await self._page(link)
        return found, None if self._reaches_back(found) else following

    async def gets(self, ids: Collection[str], found: dict[str, JSON]) -> None:
        """Get predictions one after another; one that cannot be had stays in doubt."""
        for id in ids:
            with suppress(APIError, TransportError):
                json = await self._ask(f"predictions/{escape(id)}")
                if isinstance(json, dict) and json.get("id") == id:
                    found[id] = json

    async def known(self, since: float) -> list[str]:
        """Name none: a run has no prediction but the one that is searched for."""
        return []

    async def owners(self, ids: list[str]) -> Mapping[str, Owner]:
        """Name none."""
        return {}

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call it on another thread where an event loop runs."""
        return await self._session.in_thread(function)

    async def _page(self, path: str) -> tuple[list[JSON], str | None]:
        """Fetch a page."""
        body = await self._ask(path)
        results = body.get("results") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(results, list):
            raise InvalidResponse("The list of predictions is not one.")
        link = body.get("next")
        return [each for each in results if isinstance(each, dict)], link if isinstance(link, str) else None

    async def _ask(self, path: str) -> Any:
        """Send a GET, and learn from the date of its answer."""
        began = self.clocks.now()
        response = await self._session.request("GET", path, deadline=self._deadline, **SOON)
        if (date := http_date(response.headers.get("date"))) is not None:
            self.clocks.dated(date.timestamp(), began)
        body = decoded(response)
        self._session.links.learn(body)
        return body

    def _reaches_back(self, found: list[JSON]) -> bool:
        """Whether a page ends with what is older than all that is searched for."""
        times = [time for each in found if (time := parse_time(each.get("created_at"))) is not None]
        return bool(times) and min(times).timestamp() < self._since
