"""The connections for one event loop of asyncio: aiohttp behind the narrow door."""

from __future__ import annotations

import base64
import functools
import inspect
from collections.abc import AsyncIterable
from typing import Any
from urllib.parse import unquote

import aiohttp
import yarl
from multidict import CIMultiDict

from replicate_kit.backends._aiohttp.connecting import Connector
from replicate_kit.backends._aiohttp.downloads import Download
from replicate_kit.backends._aiohttp.exchanges import Exchange, Upload, current
from replicate_kit.backends._aiohttp.failures import translated
from replicate_kit.backends._aiohttp.protocols import LONGEST_HEAD
from replicate_kit.backends._aiohttp.routes import headers_for
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._aiohttp.slots import Slots
from replicate_kit.backends._common.loop_ends import UntilTheLoopEnds
from replicate_kit.backends._common.open_files import most_connections
from replicate_kit.errors import TransportError
from replicate_kit.transport import URL, Replayable, Request, Response, received

__all__ = ["Pool"]

_WITHOUT_END = aiohttp.ClientTimeout(total=None)  # each step has its time here: the library's are others
_AT_ONCE = 64 * 1024  # bytes of a body that is written in one go
# `Protocol` counts the bytes of all headers. Of the library's versions the later ones count headers, too.
_LONG_HEADS: dict[str, Any] = dict.fromkeys(("max_line_size", "max_field_size"), LONGEST_HEAD)
if "max_headers" in inspect.signature(aiohttp.ClientSession).parameters:
    _LONG_HEADS["max_headers"] = LONGEST_HEAD
# What the library would add of its own accord.
_OF_THE_LIBRARY = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Pool:
    """Connections for one event loop, closed when that loop ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # By whether addresses are checked: a request whose address is uses no connection that was opened without that.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._slots = Slots(max(1, most_connections()))
        self._keeper = UntilTheLoopEnds(self._close)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        return await received(await self.open(request, request.body), request, stream=stream)

    async def open(self, request: Request, body: bytes | AsyncIterable[bytes] | None) -> Response:
        """Send a request with this body, and give its answer, of which the headers were read."""
        await self._keeper.begin()
        exchange = Exchange(request, self._settings.routes.of(request.url), self._slots)
        try:
            await exchange.take_slot()
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
        raise failed from cause  # out of the block: what a library says may hold the URL

    async def _sent(
        self, exchange: Exchange, body: bytes | AsyncIterable[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Send a request by the library."""
        request, proxy, data = exchange.request, exchange.proxy, _data(body, exchange)
        options: dict[str, Any] = {"headers": _headers(request), "data": data}
        # A plain request is read by the proxy itself; else the connection leads through it.
        if proxy is not None and request.url.scheme == "http":
            options["proxy"] = yarl.URL(str(proxy.proxy.url.copy_with(userinfo=b"")))
            options["headers"].update(headers_for(proxy))
        session = self._session(guarded=request.guarded and proxy is None)
        answer = await session.request(
            request.method,
            _url(request.url),
            allow_redirects=False,
            timeout=_WITHOUT_END,
            **options,
        )
        if isinstance(data, Upload) and answer.status < 300:
            # An answer may begin before all was sent. Nobody reads what a blocking caller is to send once he has it.
            try:
                await data.end()
            except BaseException:
                answer.close()
                raise
        return answer

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        """The library's object for these requests."""
        if guarded not in self._sessions:
            session = self._sessions[guarded] = aiohttp.ClientSession(
                connector=Connector(self._settings),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_OF_THE_LIBRARY,
                **_LONG_HEADS,
            )
            # Else it would try again by itself; where it was closed meanwhile, it would fail in doing so. `Exchange`
            # sees to it where another version knows no such thing.
            session._retry_connection = False
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


def _headers(request: Request) -> CIMultiDict[str]:
    """The headers of a request. Raises `TransportError` for one that the library would write otherwise."""
    headers = CIMultiDict(request.headers.multi_items())
    headers.popall("Transfer-Encoding", None)  # the library writes it where there is no length
    if "Expect" in headers:
        raise TransportError(
            f"{request.named} was not sent: the backend 'fast' would wait for an answer to its header 'Expect' before "
            "the body. Leave it out, or choose Client(backend='http'), which sends both at once.",
            request=request,
        )
    if not "".join(headers.values()).isascii():
        name = next(name for name, value in headers.items() if not value.isascii())
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
