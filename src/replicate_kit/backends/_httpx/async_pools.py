"""The HTTP connections for one event loop: a library behind the narrow door, closed when the loop ends."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from replicate_kit._runtime.runtimes import runtime
from replicate_kit.backends._common.loop_ends import UntilTheLoopEnds
from replicate_kit.backends._common.open_files import most_connections
from replicate_kit.backends._common.unconnected import CLOSED
from replicate_kit.backends._httpx.clients import (
    OF_TRANSPORTS,
    auth_for,
    is_apart,
    proxied,
    with_mounts,
    with_proxies,
)
from replicate_kit.backends._httpx.connecting import asynchronously
from replicate_kit.backends._httpx.failures import PROXY, as_our_errors
from replicate_kit.backends._httpx.lending import Closed, Lender, Shelf, lent_by, transports
from replicate_kit.backends._httpx.logs import logged_without_secrets
from replicate_kit.backends._httpx.messages import answered, theirs
from replicate_kit.backends._httpx.shortcut import is_plain
from replicate_kit.backends._options.libraries import Library
from replicate_kit.backends._options.proxies import Proxy
from replicate_kit.errors import ConnectFailed
from replicate_kit.transport import Request, Response, received

__all__ = ["AsyncPool", "LentConnections", "WholePools", "open_async"]

_UNUSED = 5.0  # seconds until a connection is closed that is not used any more, as the library has it
_OF_THE_CALLER = frozenset({"transport", "mounts"})  # what is closed with a pool, and cannot be opened again
_SHARED = _OF_THE_CALLER | {"http2"}  # with these a transport has many requests at once

Ended = Callable[[bool], None]


def open_async(
    library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
) -> AsyncPool:
    """Open the connections for an event loop."""
    kind = WholePools if _SHARED & options.keys() else LentConnections
    return kind(library, options, origin, through)


class AsyncPool(ABC):
    """The connections for one event loop."""

    def __init__(
        self, library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
    ) -> None:
        self._library, self._options, self._origin, self._through = library, options, origin, through
        self._keeper = UntilTheLoopEnds(self._close)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        await self._keeper.begin()
        sent = theirs(request, self._library, blocking=False)
        with as_our_errors(request, sent, self._library):
            try:
                with asynchronously(request, sent):
                    response, ended = await self._ask(request, sent)
            except Closed:
                raise _closed(request) from None
            # The connection is not free before the response is closed.
            answer = answered(response, request, sent, self._library, ended)
        return await received(answer, request, stream=stream)

    async def aclose(self) -> None:
        await self._keeper.aclose()
        await self._close()

    @abstractmethod
    async def _ask(self, request: Request, sent: Any) -> tuple[Any, Ended | None]:
        """Send a request; give the library's response, and what is to be told whether it came to a good end."""

    @abstractmethod
    async def _close(self) -> None:
        """Close all connections."""

    async def _by_client(self, client: Any, request: Request, sent: Any) -> Any:
        """Send a request by a client of the library's."""
        with logged_without_secrets():
            auth = auth_for(request, self._origin, self._library)
            # As a stream in any case: the library would read the whole body, whatever its size. What we read of it
            # has limits.
            return await client.send(sent, stream=True, auth=auth)


class LentConnections(AsyncPool):
    """Connections of which each has one request at a time."""

    def __init__(
        self, library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
    ) -> None:
        super().__init__(library, options, origin, through)
        self._lender = _lender(library, options)
        # By whether addresses are checked: a request whose address is uses no connection that was opened without that.
        self._straight = {guarded: self._shelf() for guarded in (False, True)}
        self._clients = dict[bool, Any]()
        # Whether a client would do nothing that counts, with these options, for one without credentials in its URL.
        self._may_pass = not through and not any(options.get("event_hooks", {}).values())

    async def _ask(self, request: Request, sent: Any) -> tuple[Any, Ended | None]:
        if self._may_pass and self._is_plain(request):
            return await self._straight[request.guarded].ask(sent)
        return await self._by_client(self._client(guarded=request.guarded), request, sent), None

    def _is_plain(self, request: Request) -> bool:
        """Whether a client would do nothing that counts for a request."""
        has_auth = request.url.userinfo or (
            self._options.get("auth") is not None
            and auth_for(request, self._origin, self._library) is not None
        )
        return not has_auth and is_plain(self._library)

    def _client(self, *, guarded: bool) -> Any:
        """The library's client for these requests, which lends its connections as well."""
        if guarded not in self._clients:
            lending = lent_by(self._library)
            mounts = {
                pattern: None if proxy is None else lending(self._shelf(proxy), {PROXY: str(proxy)})
                for pattern, proxy in self._through.items()
            }
            options = {key: each for key, each in self._options.items() if key not in OF_TRANSPORTS}
            options = with_mounts(options, mounts) | {"transport": lending(self._straight[guarded], {})}
            self._clients[guarded] = self._library.module.AsyncClient(**options)
        return self._clients[guarded]

    def _shelf(self, proxy: Proxy | None = None) -> Shelf:
        """Connections that go straight, or through a proxy."""
        options = {key: self._options[key] for key in OF_TRANSPORTS & self._options.keys()}
        if proxy is not None:
            options["proxy"] = proxy.proxy
        return Shelf(self._lender, transports(self._library, options))

    async def _close(self) -> None:
        await self._lender.aclose()


def _closed(request: Request) -> ConnectFailed:
    """Make the error of a request that waited for a connection when somebody closed the client."""
    said = f"{request.named}: could not connect: {CLOSED}"
    failed = ConnectFailed(said, request=request)
    failed.temporary = False
    return failed


def _lender(library: Library, options: Mapping[str, Any]) -> Lender:
    """What lends connections, within the limits of the caller or of the system."""
    limits = options.get("limits")
    if limits is None:
        return Lender(library, most_connections(), of_files=True, kept=math.inf, unused=_UNUSED)
    most, kept, unused = (
        math.inf if each is None else each
        for each in (limits.max_connections, limits.max_keepalive_connections, limits.keepalive_expiry)
    )
    return Lender(library, most, of_files=False, kept=kept, unused=unused)


@dataclass(eq=False)
class _Pool:
    """A client with all connections, the requests that it has, and how many did not come to a good end."""

    client: Any
    busy: int = 0
    lost: int = 0


class WholePools(AsyncPool):
    """A client of the library's, as the caller has put it together, or with many requests on each connection."""

    def __init__(
        self, library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
    ) -> None:
        super().__init__(library, options, origin, through)
        limits = options.get("limits", library.module.Limits(max_connections=100))
        self._may_lose = (
            math.inf if _OF_THE_CALLER & options.keys() else _share_to_lose(limits.max_connections)
        )
        self._pools = dict[bool, _Pool]()
        self._put_aside = list[_Pool]()  # closed once nothing uses them

    async def _ask(self, request: Request, sent: Any) -> tuple[Any, Ended | None]:
        await self._close_unused()
        apart = is_apart(request, self._options)
        if apart not in self._pools:
            self._pools[apart] = self._opened()
        pool = self._pools[apart]
        pool.busy += 1
        ended = functools.partial(self._end, pool, apart)
        try:
            return await self._by_client(pool.client, request, sent), ended
        except BaseException as error:
            ended(isinstance(error, Exception))
            raise

    def _end(self, pool: _Pool, apart: bool, good: bool) -> None:
        """Note that a request is over.

        The library may keep connections taken for a request that was cancelled (httpcore 1.0.9), and others would wait
        for them in vain. So a pool that may have lost too many is replaced.
        """
        pool.busy -= 1
        pool.lost += not good
        if pool.lost >= self._may_lose and self._pools.get(apart) is pool:
            del self._pools[apart]
            self._put_aside.append(pool)

    def _opened(self) -> _Pool:
        """Open a client."""
        kind = proxied(self._library)[1]
        return _Pool(self._library.module.AsyncClient(**with_proxies(kind, self._options, self._through)))

    async def _close_unused(self) -> None:
        """Close a pool that was put aside, once nobody uses it."""
        if (unused := next((each for each in self._put_aside if not each.busy), None)) is not None:
            self._put_aside.remove(unused)
            # Shielded: a library that is cancelled here has forgotten the connections that it has not closed.
            await runtime(blocking=False).shield(unused.client.aclose())

    async def _close(self) -> None:
        for each in (*self._pools.values(), *self._put_aside):
            await each.client.aclose()


def _share_to_lose(most: int | None) -> float:
    """How many requests of a pool of so many connections may end badly before it is replaced.

    Where it was the only one there are more connections than that, as long as what it is used for goes on.
    """
    return math.inf if most is None else max(1, most // 2)
