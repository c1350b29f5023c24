"""Pools of HTTP connections: a library behind the narrow door, blocking and asynchronous."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicate_kit._runtime.blocking import run
from replicate_kit._runtime.runtimes import runtime
from replicate_kit.backends._common.loop_ends import UntilTheLoopEnds
from replicate_kit.backends._common.open_files import most_connections, tell_of_files
from replicate_kit.backends._httpx.certificates import tls_context
from replicate_kit.backends._httpx.clients import auth_for, is_apart, proxied, with_proxies
from replicate_kit.backends._httpx.connecting import asynchronously, blockingly
from replicate_kit.backends._httpx.failures import as_our_errors
from replicate_kit.backends._httpx.libraries import Library
from replicate_kit.backends._httpx.logs import filter_logs, logged_without_secrets
from replicate_kit.backends._httpx.messages import answered, theirs
from replicate_kit.backends._httpx.options import check_kinds, usable
from replicate_kit.backends._httpx.proxies import Proxy, proxies
from replicate_kit.transport import URL, Request, Response, received

if TYPE_CHECKING:
    from replicate_kit.config import Config

__all__ = ["connect"]


def connect(config: Config, library: Library, /, *, blocking: bool) -> BlockingPool | AsyncPool:
    """Open a pool of HTTP connections with the options of `config`, and with what the environment says.

    Raises `ConfigError` or `MissingExtraError` for what none can be opened with.
    """
    options = {key: value for key, value in config.http_options.items() if key not in _MERGED_BY_SESSION}
    check_kinds(options, library)
    filter_logs(library)
    options["event_hooks"] = _hooks_for(options.get("event_hooks"), blocking=blocking)
    origin = URL(config.base_url)
    through = proxies(options, library, origin.host)
    if through or options.get("transport") is None:
        options["verify"] = tls_context(options, library)
    options = {key: value for key, value in options.items() if key not in ("proxy", "cert")}
    with usable(config.http_options, library):
        kind = BlockingPool if blocking else AsyncPool
        return kind(library, options, origin.origin, through)


# The session adds these to requests for the API's own origin, and to no other.
_MERGED_BY_SESSION = frozenset({"headers", "params", "cookies", "base_url", "timeout", "follow_redirects"})


class BlockingPool:
    """A pool for callers on threads."""

    def __init__(
        self, library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
    ) -> None:
        self._library, self._options, self._origin, self._through = library, options, origin, through
        self._client = self._opened()
        self._clients = [self._client]
        self._lock = threading.Lock()
        self._close = weakref.finalize(self, _close_in, os.getpid(), self._clients)

    def _opened(self) -> Any:
        """Open a pool of the library's."""
        options = with_proxies(proxied(self._library)[0], self._options, self._through)
        return self._library.module.Client(**options)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        sent = theirs(request, self._library, blocking=True)
        with as_our_errors(request, sent, self._library), blockingly(request, sent), logged_without_secrets():
            client, auth = self._client_for(request), auth_for(request, self._origin, self._library)
            # As a stream in any case: the library would read the whole body, whatever its size. What we read of it has
            # limits.
            response = client.send(sent, stream=True, auth=auth)
        return await received(answered(response, request, self._library), request, stream=stream)

    async def aclose(self) -> None:
        self._close()

    def _client_for(self, request: Request) -> Any:
        """The pool of a request: one whose address is checked uses no connection that was opened without that."""
        if not is_apart(request, self._options):
            return self._client
        with self._lock:
            if len(self._clients) == 1:
                self._clients.append(self._opened())
            return self._clients[1]


def _close_in(process: int, clients: list[Any]) -> None:
    """Close pools in the process that opened them: what a fork inherits is the parent's."""
    if os.getpid() == process:
        for client in clients:
            client.close()


# A pool of theirs looks at each of its connections for every request: at 64 in flight, pools of 8 take a third of the
# time that one takes.
_EACH = 8
_UNUSED = 5.0  # seconds until a pool is closed that is not used any more, as the library's connections are
_IN_ONE_POOL = frozenset({"transport", "mounts", "limits", "http2"})  # options that speak of all connections
_OF_THE_CALLER = frozenset({"transport", "mounts"})  # what is closed with a pool, and cannot be opened again


@dataclass(eq=False)
class _SmallPool:
    """Some of the connections, and the requests that they are at: `streaming` of these are streams."""

    client: Any
    busy: int = 0
    streaming: int = 0
    cancelled: int = 0
    released_at: float = 0.0

    def release(self) -> None:
        """Note that a request is over."""
        self.busy -= 1
        self.released_at = time.monotonic()

    def hold(self, over: ExitStack) -> None:
        """Note that a stream has a connection until it is `over`."""
        self.streaming += 1
        over.callback(self._let_go)

    def _let_go(self) -> None:
        self.streaming -= 1


class AsyncPool:
    """The connections for one event loop, in small pools, closed when that loop ends."""

    def __init__(
        self, library: Library, options: Mapping[str, Any], origin: str, through: Mapping[str, Proxy | None]
    ) -> None:
        self._library = library
        self._several = not _IN_ONE_POOL & options.keys()
        self._most = _most_pools() if self._several else 1
        small = library.module.Limits(max_connections=_EACH, max_keepalive_connections=_EACH)
        self._options = {**options, "limits": small} if self._several else options
        limits = self._options.get("limits", library.module.Limits(max_connections=100))
        self._may_lose = (
            _share_to_lose(limits.max_connections) if not _OF_THE_CALLER & options.keys() else math.inf
        )
        self._origin, self._through = origin, through
        self._pools, self._apart = [self._opened()], list[_SmallPool]()
        self._put_aside = list[_SmallPool]()  # closed once nothing uses them
        self._keeper = UntilTheLoopEnds(self._close)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        await self._keeper.begin()
        sent = theirs(request, self._library, blocking=False)
        pools = self._apart if is_apart(request, self._options) else self._pools
        await self._close_unused(pools)
        pool = self._free(pools)
        try:
            with ExitStack() as over, as_our_errors(request, sent, self._library):
                pool.busy += 1
                over.callback(pool.release)
                with asynchronously(request, sent), logged_without_secrets():
                    auth = auth_for(request, self._origin, self._library)
                    response = await pool.client.send(sent, stream=True, auth=auth)
                if stream:
                    pool.hold(over)
                # The connection is not free before the response is closed.
                answer = answered(response, request, self._library, over.pop_all().close)
            return await received(answer, request, stream=stream)
        except BaseException as error:
            if not isinstance(error, Exception):
                # The library may keep connections taken for a request that was cancelled (httpcore 1.0.9), and others
                # would wait for them in vain.
                pool.cancelled += 1
                if pool in pools and (pool.cancelled >= self._may_lose or self._may_open):
                    pools.remove(pool)
                    self._put_aside.append(pool)
            raise

    async def aclose(self) -> None:
        await self._keeper.aclose()
        await self._close()

    def _opened(self) -> _SmallPool:
        """Open another pool."""
        options = with_proxies(proxied(self._library)[1], self._options, self._through)
        return _SmallPool(self._library.module.AsyncClient(**options))

    def _free(self, pools: list[_SmallPool]) -> _SmallPool:
        """The first pool that has a connection left, opened if need be, or the one with the least to do: none whose
        connections are all taken by streams, which may go on for hours.
        """
        free = next((each for each in pools if each.busy < _EACH), None)
        if free is not None:
            return free
        if not pools or self._may_open:
            pools.append(self._opened())
            return pools[-1]
        if self._several:
            tell_of_files(self._most * _EACH)
        return min(pools, key=lambda each: (each.streaming >= _EACH, each.busy))

    @property
    def _may_open(self) -> bool:
        """Whether there may be one more pool."""
        return len(self._pools) + len(self._apart) + len(self._put_aside) < self._most

    async def _close_unused(self, pools: list[_SmallPool]) -> None:
        """Close what nobody will use: one pool at a time. The first ones are taken first, and the first one stays."""
        before = time.monotonic() - _UNUSED
        idle = (each for each in reversed(pools[1:]) if not each.busy and each.released_at < before)
        if (unused := next(idle, None)) is not None:
            pools.remove(unused)
            self._put_aside.append(unused)
        if (unused := next((each for each in self._put_aside if not each.busy), None)) is not None:
            self._put_aside.remove(unused)
            # Shielded: a library that is cancelled here has forgotten the connections that it has not closed.
            await runtime(blocking=False).shield(unused.client.aclose())

    async def _close(self) -> None:
        """Close all pools."""
        for each in (*self._pools, *self._apart, *self._put_aside):
            await each.client.aclose()


def _share_to_lose(most: int | None) -> float:
    """How many requests of a pool of so many connections may be cancelled before it is replaced at the limit, too.

    Where it was the only one there are more connections than that, as long as what it is used for goes on.
    """
    return math.inf if most is None else max(1, most // 2)


def _most_pools() -> float:
    """How many pools leave files for everything else."""
    most = most_connections()
    return most if most == math.inf else max(1, most // _EACH)


def _hooks_for(
    hooks: Mapping[str, Sequence[Callable[..., Any]]] | None, *, blocking: bool
) -> dict[str, list[Any]]:
    """Adapt event hooks, plain ones and coroutine functions, to either client."""
    adapted = _run_hook if blocking else _awaited_hook
    return {event: [adapted(hook) for hook in each] for event, each in (hooks or {}).items()}


def _awaited_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook for the asynchronous client, which awaits what it returns."""

    async def call(message: Any) -> None:
        result = hook(message)
        if isinstance(result, Awaitable):
            await result

    return call


def _run_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook for the blocking client, which would leave a coroutine where it is."""
    call = _awaited_hook(hook)
    return lambda message: run(call(message))
