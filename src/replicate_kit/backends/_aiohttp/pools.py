"""The connections for one event loop of asyncio: aiohttp behind the narrow door.

Of aiohttp are the protocol of a connection, its parser, its buffers and its writer of bodies. Its client would send
some requests again by itself, has other times, and takes twice as much of a processor for a request.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import AsyncIterable
from typing import Any
from urllib.parse import unquote

from aiohttp.http import StreamWriter

from replicate_kit.backends._aiohttp.connecting import opened
from replicate_kit.backends._aiohttp.downloads import Download
from replicate_kit.backends._aiohttp.exchanges import Exchange, Upload
from replicate_kit.backends._aiohttp.failures import translated
from replicate_kit.backends._aiohttp.protocols import Protocol
from replicate_kit.backends._aiohttp.routes import headers_for
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._aiohttp.slots import Slots
from replicate_kit.backends._common.loop_ends import UntilTheLoopEnds
from replicate_kit.backends._common.open_files import most_connections
from replicate_kit.errors import TransportError
from replicate_kit.transport import Replayable, Request, Response, received

__all__ = ["Pool"]

_AT_ONCE = 64 * 1024  # bytes of a body that is written in one go
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §9.1, §5.6.2
_NOT_IN_HEADS = re.compile(r"[\x00-\x08\n-\x1f\x7f]")  # a tab may be in a value (RFC 9110 §5.5)


class Pool:
    """Connections for one event loop, closed when that loop ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = Slots(max(1, most_connections()))
        self._keeper = UntilTheLoopEnds(self._slots.aclose)

    async def send(self, request: Request, /, *, stream: bool = False) -> Response:
        return await received(await self.open(request, request.body), request, stream=stream)

    async def open(self, request: Request, body: bytes | AsyncIterable[bytes] | None) -> Response:
        """Send a request with this body, and give its answer, of which the headers were read."""
        await self._keeper.begin()
        exchange = Exchange(request, self._settings.routes.of(request.url), self._slots)
        try:
            head = _head(exchange)
            await exchange.take_slot()
            async with exchange:
                message, content = await self._asked(exchange, head, body)
        except Exception as error:
            exchange.drop()
            failed, cause = translated(error, exchange)
        except BaseException:  # it was cancelled
            exchange.drop()
            raise
        else:
            return Response(message.code, headers=message.raw_headers, stream=Download(content, exchange))
        raise failed from cause  # out of the block: what a library says may hold the URL

    async def aclose(self) -> None:
        await self._keeper.aclose()
        await self._slots.aclose()

    async def _asked(
        self, exchange: Exchange, head: bytes, body: bytes | AsyncIterable[bytes] | None
    ) -> tuple[Any, Any]:
        """Send a request; give the head of its answer as the library has it, and what its body is read from."""
        request, proxy = exchange.request, exchange.proxy
        url, guarded = request.url, request.guarded and proxy is None
        # By whether addresses are checked, too: a request whose address is uses no connection that was opened without
        # that.
        route = url.scheme, url.host, url.port, guarded, proxy and id(proxy)
        connection = await exchange.connect(route, functools.partial(opened, exchange, self._settings, route))
        connection.expect(request.method)
        data = _data(body, exchange)
        if isinstance(data, Upload):
            connection.write(head)
            writer = StreamWriter(connection, connection.loop)
            if "transfer-encoding" in request.headers:
                writer.enable_chunking()
            exchange.upload(data, writer)
        else:
            connection.write(head + (data or b""))
            exchange.wait_for_answer()
        message, content = await _final(connection)
        if isinstance(data, Upload) and message.code < 300:
            # An answer may begin before all was sent. Nobody reads what a blocking caller is to send once he has it.
            content.on_eof(exchange.stop_upload)
            await exchange.uploaded()
        return message, content


async def _final(connection: Protocol) -> tuple[Any, Any]:
    """Read the head of an answer, and pass over those that say that it is to come."""
    while True:
        message, content = await connection.read()
        if not 100 <= message.code < 200 or message.code == 101:
            return message, content


def _head(exchange: Exchange) -> bytes:
    """The head of a request. Raises `TransportError` for what cannot be in one."""
    request, proxy = exchange.request, exchange.proxy
    method, url, headers = request.method, request.url, request.headers
    if not _METHOD.fullmatch(method):
        raise TransportError(f"{request.named} was not sent: {method!r} is no method.", request=request)
    lines = [f"{name}: {value}" for name, value in headers.multi_items()]
    # A plain request is read by the proxy itself; else the connection leads through it.
    if proxy is not None and url.scheme == "http":
        lines = [f"{method} http://{url.netloc}{url.target} HTTP/1.1", *lines]
        lines += [f"{name}: {value}" for name, value in headers_for(proxy).items()]
    else:
        lines = [f"{method} {url.target} HTTP/1.1", *lines]
    if "host" not in headers:
        lines.insert(1, f"Host: {url.netloc}")
    if url.userinfo:
        user, _, password = url.userinfo.partition(":")
        pair = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        lines = [line for line in lines if not line.lower().startswith("authorization:")]
        lines.append(f"Authorization: Basic {pair}")
    whole = "\t".join(lines)
    if not whole.isascii() or _NOT_IN_HEADS.search(whole):
        raise _unsendable(request)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _unsendable(request: Request) -> TransportError:
    """Make the error of a header that no request can carry, or that servers read in different ways."""
    name = next(
        (
            name
            for name, value in request.headers.multi_items()
            if not f"{name}{value}".isascii() or _NOT_IN_HEADS.search(f"{name}{value}")
        ),
        "of the proxy",
    )
    return TransportError(
        f"{request.named} was not sent: its header {name!r} has a character that is not ASCII, or a control character, "
        "and servers do not read those alike. Leave it out, or choose Client(backend='http').",
        request=request,
    )


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
