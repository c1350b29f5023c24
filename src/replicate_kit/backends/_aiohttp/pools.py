"""The connections for one event loop of asyncio: aiohttp behind the narrow door."""

from __future__ import annotations

import base64
import functools
import ipaddress
import math
from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import aiohttp
import yarl
from multidict import CIMultiDict

from replicate_kit._formats.url_policy import check_address
from replicate_kit.backends._aiohttp.connecting import Connector, PublicResolver
from replicate_kit.backends._aiohttp.downloads import Download
from replicate_kit.backends._aiohttp.exchanges import Exchange, Upload, current
from replicate_kit.backends._aiohttp.failures import translated
from replicate_kit.backends._aiohttp.routes import headers_for
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._common.loop_ends import UntilTheLoopEnds
from replicate_kit.backends._common.open_files import most_connections, tell_of_files
from replicate_kit.errors import TransportError
from replicate_kit.transport import URL, Replayable, Request, Response, Timeout, received

__all__ = ["Pool"]

_KEPT = 5.0  # seconds that a connection is kept which nobody uses, as httpx keeps it
_LONGEST_HEADERS = 100 * 1024  # bytes of one line, and of one header; httpx takes as many
_AT_ONCE = 64 * 1024  # bytes of a body that is written in one go
# What the library would add of its own accord.
_OF_THE_LIBRARY = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Pool:
    """Connections for one event loop, closed when that loop ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # By whether addresses are checked: a request whose address is uses no connection that was opened without that.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._most = most_connections()
        self._busy = 0
        self._keeper = UntilTheLoopEnds(self._close)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        return await received(await self.open(request, request.body), request, stream=stream)

    async def open(self, request: Request, body: bytes | AsyncIterable[bytes] | None) -> Response:
        """Send a request with this body, and give its answer, of which the headers were read."""
        await self._keeper.begin()
        exchange = Exchange(request, self._settings.routes.of(request.url))
        self._busy += 1
        try:
            if self._busy > self._most:
                tell_of_files(self._most)
            with current.within(exchange):
                async with exchange:
                    answer = await self._sent(exchange, body)
        except Exception as error:
            exchange.drop()
            failed, cause = translated(error, exchange)
        except BaseException:  # it was cancelled
            exchange.drop()
            raise
        else:
            headers = answer.raw_headers
            return Response(answer.status, headers=headers, stream=Download(answer, exchange))
        finally:
            self._busy -= 1
        raise failed from cause  # out of the block: what a library says may hold the URL

    async def _sent(
        self, exchange: Exchange, body: bytes | AsyncIterable[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Send a request by the library."""
        request, proxy = exchange.request, exchange.proxy
        options: dict[str, Any] = {"headers": _headers(request), "data": _data(body, exchange)}
        if proxy is not None:
            options["proxy"] = yarl.URL(str(proxy.proxy.url))
            # With a plain request, which the proxy itself reads, else where it is asked to connect.
            if request.url.scheme == "http":
                options["headers"].update(headers_for(proxy))
            else:
                options["proxy_headers"] = headers_for(proxy)
        elif request.guarded:
            _check_literal(request.url.host)
        session = self._session(guarded=request.guarded and proxy is None)
        return await session.request(
            request.method,
            _url(request.url),
            allow_redirects=False,
            timeout=_timeouts(request.timeout),
            **options,
        )

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        """The library's object for these requests."""
        if guarded not in self._sessions:
            connector = Connector(
                limit=0 if self._most == math.inf else max(1, int(self._most)),
                keepalive_timeout=_KEPT,
                ssl=self._settings.tls,
                resolver=PublicResolver() if guarded else aiohttp.ThreadedResolver(),
            )
            self._sessions[guarded] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_OF_THE_LIBRARY,
                max_line_size=_LONGEST_HEADERS,
                max_field_size=_LONGEST_HEADERS,
            )
        return self._sessions[guarded]

    async def aclose(self) -> None:
        await self._keeper.aclose()
        await self._close()

    async def _close(self) -> None:
        """Close all connections."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for each in sessions:
            await each.close()


@functools.lru_cache(maxsize=256)  # most requests go to the same few
def _url(url: URL) -> yarl.URL:
    """Give a URL to the library as it stands: all of its target as a path, of which nothing is changed, not even an
    empty query left out.
    """
    return yarl.URL.build(scheme=url.scheme, authority=url.netloc, path=url.target, encoded=True)


@functools.lru_cache(maxsize=64)
def _timeouts(timeout: Timeout) -> aiohttp.ClientTimeout:
    """The library's times for these; it counts the wait for a free connection among those of connecting."""
    free = None if timeout.connect is None or timeout.pool is None else timeout.connect + timeout.pool
    return aiohttp.ClientTimeout(
        total=None, connect=free, sock_connect=timeout.connect, sock_read=timeout.read
    )


def _headers(request: Request) -> CIMultiDict[str]:
    """The headers of a request. Raises `TransportError` for one that the library would write otherwise."""
    headers = CIMultiDict(request.headers.multi_items())
    headers.popall("Transfer-Encoding", None)  # the library writes it where there is no length
    for name, value in headers.items():
        if not value.isascii():
            raise TransportError(
                f"{request.named} was not sent: its header {name!r} has a character that is not ASCII, which the "
                "backend 'fast' would write in another way. Leave it out, or choose Client(backend='http').",
                request=request,
            )
    if request.url.userinfo:
        user, _, password = request.url.userinfo.partition(":")
        pair = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    return headers


def _data(body: bytes | AsyncIterable[bytes] | None, exchange: Exchange) -> bytes | Upload | None:
    """The body for the library, in blocks where writing it may take its time."""
    if not body:
        return None
    announced = exchange.request.headers.get("content-length", "")
    length = int(announced) if announced.isascii() and announced.isdigit() else None
    if isinstance(body, bytes):
        if len(body) <= _AT_ONCE and length == len(body):
            return body
        body = Replayable(lambda whole=body: (whole,))  # type: ignore[misc]
    return Upload(body, length, exchange)


def _check_literal(host: str) -> None:
    """Check an address that stands in a URL itself, and is not looked up."""
    with suppress(ValueError):
        check_address(host, str(ipaddress.ip_address(host)))
