"""Pools of HTTP connections: a library behind the narrow door, blocking and asynchronous."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replicate_kit._runtime.blocking import run
from replicate_kit.backends._httpx.async_pools import AsyncPool, open_async
from replicate_kit.backends._httpx.clients import auth_for, is_apart, proxied, with_proxies
from replicate_kit.backends._httpx.connecting import blockingly
from replicate_kit.backends._httpx.failures import as_our_errors
from replicate_kit.backends._httpx.logs import filter_logs, logged_without_secrets
from replicate_kit.backends._httpx.messages import answered, theirs
from replicate_kit.backends._options.certificates import tls_context
from replicate_kit.backends._options.checks import check_kinds, usable
from replicate_kit.backends._options.libraries import Library
from replicate_kit.backends._options.proxies import Proxy, proxies
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
        kind = BlockingPool if blocking else open_async
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
        kind = proxied(self._library)[0]
        return self._library.module.Client(**with_proxies(kind, self._options, self._through))

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        sent = theirs(request, self._library, blocking=True)
        with as_our_errors(request, sent, self._library), blockingly(request, sent), logged_without_secrets():
            client, auth = self._client_for(request), auth_for(request, self._origin, self._library)
            # As a stream in any case: the library would read the whole body, whatever its size. What we read of it has
            # limits.
            response = client.send(sent, stream=True, auth=auth)
        return await received(answered(response, request, sent, self._library), request, stream=stream)

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
