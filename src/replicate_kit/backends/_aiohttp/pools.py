"""The connections for one event loop of asyncio: aiohttp behind the narrow door.

Of aiohttp are the protocol of a connection, its parser, its buffers and its writer of bodies. Its client would send
some requests again by itself, has other times, and takes twice as much of a processor for a request.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import AsyncIterable
from typing import Any, NoReturn
from urllib.parse import unquote

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
_FRAMING = ("content-length", "transfer-encoding")
# Methods and names of headers (RFC 9110 §5.6.2), and values, in which a tab may be (§5.5).
_TOKEN, _VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[\t -~]*")


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
            framing, data = _framed(exchange, body)
            head = _head(exchange, framing)
            await exchange.take_slot()
            async with exchange:
                message, content = await self._asked(exchange, head, data)
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

    async def _asked(self, exchange: Exchange, head: bytes, data: bytes | Upload) -> tuple[Any, Any]:
        """Send a request; give the head of its answer as the library has it, and what its body is read from."""
        request, proxy = exchange.request, exchange.proxy
        url, guarded = request.url, request.guarded and proxy is None
        # By whether addresses are checked, too: a request whose address is uses no connection that was opened without
        # that.
        route = url.scheme, url.host, url.port, guarded, proxy and id(proxy)
        connection = await exchange.connect(route, functools.partial(opened, exchange, self._settings, route))
        request.check_last()
        connection.expect(request.method)
        if isinstance(data, bytes):
            connection.write(head + data)
            exchange.wait_for_answer()
        else:
            connection.write(head)
            exchange.upload(data)
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


def _framed(exchange: Exchange, body: bytes | AsyncIterable[bytes] | None) -> tuple[str, bytes | Upload]:
    """The line that says where a body ends, if there is to be one, and the body: whole, or in blocks where writing it
    may take its time.

    Of the request's own headers none is sent as it is: where it does not fit the body, a server would take the rest of
    that for another request, and the next one would get the answer. Raises `TransportError` for what fits no body.
    """
    request = exchange.request
    told, coding = request.headers.get_list("content-length"), request.headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise _unsendable(request, f"its Transfer-Encoding is {coding!r:.80}, and not 'chunked'")
    if coding is not None or (not told and not isinstance(body, bytes | None)):
        return "Transfer-Encoding: chunked\r\n", Upload(_blocks(body), None, exchange, chunked=True)
    if len(told) > 1 or not all(each.isascii() and each.isdigit() for each in told):
        raise _unsendable(request, f"its Content-Length is {', '.join(told)!r:.80}, and not one number")
    length = int(told[0]) if told else len(body or b"")  # type: ignore[arg-type]
    framing = f"Content-Length: {length}\r\n" if told or body else ""
    if isinstance(body, bytes | None) and length == len(body or b"") <= _AT_ONCE:
        return framing, body or b""
    return framing, Upload(_blocks(body), length, exchange)


def _blocks(body: bytes | AsyncIterable[bytes] | None) -> AsyncIterable[bytes]:
    """A body as something to be iterated."""
    return Replayable(lambda: (body or b"",)) if isinstance(body, bytes | None) else body


def _head(exchange: Exchange, framing: str) -> bytes:
    """The head of a request. Raises `TransportError` for what cannot be in one."""
    request, proxy = exchange.request, exchange.proxy
    method, url, headers = request.method, request.url, request.headers
    # A plain request is read by the proxy itself; else the connection leads through it.
    by_proxy = proxy is not None and url.scheme == "http"
    said = [pair for pair in headers.multi_items() if pair[0].lower() not in _FRAMING]
    if by_proxy:
        assert proxy is not None
        said += headers_for(proxy).items()
    if url.userinfo:
        user, _, password = url.userinfo.partition(":")
        pair = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        said = [each for each in said if each[0].lower() != "authorization"]
        said.append(("Authorization", f"Basic {pair}"))
    hosts = headers.get_list("host")
    if len(hosts) > 1:
        raise _unsendable(request, "it has several headers 'Host'")
    if not _TOKEN.fullmatch(method):
        raise _unsendable(request, f"{method!r:.80} is no method")
    if not all(map(_TOKEN.fullmatch, [each[0] for each in said])) or not _VALUE.fullmatch(
        "".join([each[1] for each in said])
    ):
        _refuse(request, said)
    fields = "".join([f"{name}: {value}\r\n" for name, value in said])
    target = f"http://{url.netloc}{url.target}" if by_proxy else url.target
    host = "" if hosts else f"Host: {url.netloc}\r\n"
    return f"{method} {target} HTTP/1.1\r\n{host}{fields}{framing}\r\n".encode("ascii")


def _refuse(request: Request, said: list[tuple[str, str]]) -> NoReturn:
    """Raise `TransportError` for the first of these headers that cannot be sent."""
    for name, _ in said:
        if not _TOKEN.fullmatch(name):
            raise _unsendable(request, f"{name!r:.80} is no name of a header")
    name = next(name for name, value in said if not _VALUE.fullmatch(value))
    raise _unsendable(
        request,
        f"its header {name!r} has a character that is not ASCII, or a control character, and servers do not read "
        "those alike",
    )


def _unsendable(request: Request, why: str) -> TransportError:
    """Make the error of what no request can carry, or what servers read in different ways."""
    return TransportError(
        f"{request.named} was not sent: {why}. Correct it, or leave it out.", request=request
    )
