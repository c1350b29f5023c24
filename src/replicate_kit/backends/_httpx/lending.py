"""Connections that are lent, each to one request at a time: transports of a library with one connection each.

A pool of the library's looks at each of its connections when a request begins, and again when it ends. And it may keep
connections taken for requests that were cancelled (httpcore 1.0.9). A pool of one has no others to look at, and is
closed once it has a request that did not come to a good end.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from replicate_kit._runtime.foreign_code import described
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.backends._common.open_files import tell_of_files
from replicate_kit.backends._common.patience import Patience
from replicate_kit.backends._httpx.messages import DEADLINE
from replicate_kit.backends._options.libraries import Library

__all__ = ["Closed", "Lender", "Shelf", "lent_by", "transports"]

log = logging.getLogger("replicate_kit")

Origin = tuple[str, str, int | None]

_CLOSED_AT_ONCE = 8  # of the connections that nobody uses, so that no request waits long for that


class Closed(Exception):
    """The connections were closed: nothing of the request was sent."""


class Connection:
    """A transport with one connection to an origin. It is open from its first request on."""

    __slots__ = ("origin", "released_at", "transport")

    def __init__(self, transport: Any, origin: Origin) -> None:
        self.transport, self.origin, self.released_at = transport, origin, 0.0


class _Waiting:
    """A request that waits for a connection."""

    __slots__ = ("event", "found", "origin", "shelf")

    def __init__(self, shelf: Shelf, origin: Origin, event: Any) -> None:
        self.shelf, self.origin, self.event = shelf, origin, event
        self.found: Connection | None = None


class Lender:
    """The connections for one event loop, of all kinds: no more than `most` at a time, and `kept` that nobody uses, for
    `unused` seconds.
    """

    def __init__(self, library: Library, most: float, *, of_files: bool, kept: float, unused: float) -> None:
        self._library, self.most, self._of_files = library, max(1, most), of_files
        self._kept, self._unused = kept, unused
        self.open = set[Connection]()
        self._unused_ones = dict[Connection, Shelf]()  # the latest used at the end
        self._put_aside = list[Connection]()
        self._waiting = dict[_Waiting, None]()  # in the order they came; any may leave
        self.closed = False
        self._moved_at = 0.0  # when one that waited got its connection

    async def take(self, shelf: Shelf, origin: Origin, patience: Patience) -> Connection:
        """Lend a connection to an origin. Raises `Closed`, and the library's `PoolTimeout` where it takes too long."""
        if self.closed:
            raise Closed
        found = None if self._waiting else self._at_hand(shelf, origin)
        return await self._waited_for(shelf, origin, patience) if found is None else found

    def end(self, one: Connection, shelf: Shelf, good: bool) -> None:
        """Take a connection back; it is lent again where its request came to a good end."""
        if one not in self.open:  # all were closed meanwhile
            return
        if good and len(self._unused_ones) < self._kept:
            one.released_at = time.monotonic()
            self._unused_ones[one] = shelf
            shelf.put(one)
        else:
            self._drop(one)
        while self._waiting:
            waiting = next(iter(self._waiting))
            if (found := self._at_hand(waiting.shelf, waiting.origin)) is None:
                break
            del self._waiting[waiting]
            self._moved_at = time.monotonic()
            waiting.found = found
            waiting.event.set()

    async def tidy(self) -> None:
        """Close what is out of use, and some of what nobody has used for long."""
        before = time.monotonic() - self._unused
        while len(self._put_aside) < _CLOSED_AT_ONCE and self._drop_unused(before):
            pass
        for _ in range(_CLOSED_AT_ONCE):
            if self._put_aside:  # others close them as well
                await _close(self._put_aside.pop())

    async def aclose(self) -> None:
        """Close all connections; who waits for one gets none."""
        self.closed = True
        for waiting in self._waiting:
            waiting.event.set()
        self._put_aside += self.open
        for one, shelf in self._unused_ones.items():
            shelf.take_out(one)
        self._unused_ones.clear()
        self.open.clear()
        while self._put_aside:  # whoever is cancelled here may call it again
            await _close(self._put_aside.pop())

    def _at_hand(self, shelf: Shelf, origin: Origin) -> Connection | None:
        """A connection that can be lent at once, if there is one: the latest used, else a new one."""
        if (found := shelf.latest(origin)) is not None:
            self._forget_unused(found, shelf)
            return found
        if len(self.open) >= self.most and not self._drop_unused(math.inf):
            return None
        one = Connection(shelf.make(), origin)
        self.open.add(one)
        return one

    def _drop_unused(self, before: float) -> bool:
        """Drop the connection that nobody has used for longest, if that is since before a time."""
        oldest = next(iter(self._unused_ones), None)
        if oldest is None or oldest.released_at >= before:
            return False
        self._forget_unused(oldest, self._unused_ones[oldest])
        self._drop(oldest)
        return True

    def _forget_unused(self, one: Connection, shelf: Shelf) -> None:
        """Take a connection out of those that nobody uses."""
        del self._unused_ones[one]
        shelf.take_out(one)

    def _drop(self, one: Connection) -> None:
        """Have a connection closed by the next request: here nothing can be waited for."""
        self.open.discard(one)
        self._put_aside.append(one)

    async def _waited_for(self, shelf: Shelf, origin: Origin, patience: Patience) -> Connection:
        """Wait for a connection, behind those that wait already."""
        import anyio

        if self._of_files:
            tell_of_files(self.most)
        waiting, began = _Waiting(shelf, origin, anyio.Event()), time.monotonic()
        self._waiting[waiting] = None
        try:
            while waiting.found is None:
                left = patience.left(max(began, self._moved_at))
                if left <= 0:
                    raise self._library.module.PoolTimeout("")
                with anyio.move_on_after(left):
                    await waiting.event.wait()
                if self.closed:
                    raise Closed
        except BaseException:
            self._leave(waiting)
            raise
        return waiting.found

    def _leave(self, waiting: _Waiting) -> None:
        """Let others have what one waited for."""
        if waiting.found is None:
            del self._waiting[waiting]
        else:
            self.end(waiting.found, waiting.shelf, good=True)


class Shelf:
    """Connections of one kind that nobody uses; `make` opens another transport."""

    def __init__(self, lender: Lender, make: Callable[[], Any]) -> None:
        self.make = make
        self._lender = lender
        self._free = dict[Origin, dict[Connection, None]]()  # the latest used at the end

    def latest(self, origin: Origin) -> Connection | None:
        """The latest used connection to an origin."""
        free = self._free.get(origin)
        return next(reversed(free)) if free else None

    def put(self, one: Connection) -> None:
        """Have a connection that nobody uses."""
        self._free.setdefault(one.origin, {})[one] = None

    def take_out(self, one: Connection) -> None:
        """Have it no more."""
        free = self._free[one.origin]
        del free[one]
        if not free:  # there may be very many origins
            del self._free[one.origin]

    async def ask(self, request: Any) -> tuple[Any, Callable[[bool], None]]:
        """Send a request, and give the library's response; with it what to call at its end, and whether that is good:
        whether the body was read to its own end.
        """
        url, extensions = request.url, request.extensions
        patience = Patience(extensions.get("timeout", {}).get("pool"), extensions.get(DEADLINE))
        one = await self._lender.take(self, (url.scheme, url.host, url.port), patience)
        loan = _Loan(self._lender, one, self)
        try:
            await self._lender.tidy()
            return await one.transport.handle_async_request(request), loan
        except BaseException:
            loan(False)
            raise
        finally:
            if self._lender.closed:  # while it was being opened
                await _close(one)


async def _close(one: Connection) -> None:
    """Close a connection that nobody uses; how that fails is no news for the request that comes along."""
    try:
        # Shielded: a library that is cancelled here has forgotten the connections that it has not closed.
        await runtime(blocking=False).shield(one.transport.aclose())
    except Exception as error:
        log.debug("A connection that is not used any more failed as it was closed: %s", described(error))


class _Loan:
    """Gives a connection back, the first time that it is called."""

    __slots__ = ("_lender", "_one", "_shelf")

    def __init__(self, lender: Lender, one: Connection, shelf: Shelf) -> None:
        self._lender, self._shelf = lender, shelf
        self._one: Connection | None = one

    def __call__(self, good: bool) -> None:
        one, self._one = self._one, None
        if one is not None:
            self._lender.end(one, self._shelf, good)


def transports(library: Library, options: Mapping[str, Any]) -> Callable[..., Any]:
    """What makes a transport with one connection."""
    http = library.module
    given = options.get("limits") or http.Limits()
    kept = 1 if given.max_keepalive_connections is None else min(1, given.max_keepalive_connections)
    one = http.Limits(
        max_connections=1, max_keepalive_connections=kept, keepalive_expiry=given.keepalive_expiry
    )
    shared = {**options, "limits": one}
    # As the library's own client does: what replaces the class there, in a test, is to replace it here.
    home = sys.modules.get(f"{library.name}._client")
    return lambda: getattr(home, "AsyncHTTPTransport", http.AsyncHTTPTransport)(**shared)


@functools.cache
def lent_by(library: Library) -> Callable[..., Any]:
    """The class of transports of a client of the library's which lend connections from a shelf."""
    http = library.module

    class Stream(http.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, source: Any, ended: Callable[[bool], None]) -> None:
            self._source, self._ended, self._read = source, ended, False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in self._source:
                yield chunk
            self._read = True

        async def aclose(self) -> None:
            good = False
            try:
                await self._source.aclose()
                good = self._read
            finally:
                self._ended(good)

    class Lending(http.AsyncBaseTransport):  # type: ignore[misc, name-defined]
        def __init__(self, shelf: Shelf, extensions: Mapping[str, Any]) -> None:
            self._shelf, self._extensions = shelf, extensions

        async def handle_async_request(self, request: Any) -> Any:
            request.extensions.update(self._extensions)
            response, ended = await self._shelf.ask(request)
            if response.is_stream_consumed:  # it was never on a wire
                ended(True)
            else:
                response.stream = Stream(response.stream, ended)
            return response

    return Lending
