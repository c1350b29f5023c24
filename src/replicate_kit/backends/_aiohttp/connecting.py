"""How a connection is opened: step by step, each in its own time, and with no word more to a proxy than it needs."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohappyeyeballs

from replicate_kit._door.receiving import patience
from replicate_kit._formats.url_policy import check_address
from replicate_kit.backends._aiohttp.exchanges import Exchange
from replicate_kit.backends._aiohttp.failures import ProxyRefused, unconnected
from replicate_kit.backends._aiohttp.protocols import LONGEST_HEAD, Protocol
from replicate_kit.backends._aiohttp.routes import headers_for
from replicate_kit.backends._aiohttp.settings import Settings
from replicate_kit.backends._options.proxies import Proxy
from replicate_kit.errors import FileError
from replicate_kit.transport import Request

__all__ = ["opened"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_SECOND_ADDRESS = 0.25  # seconds until another address of a name is tried as well, as RFC 8305 has it
_USUAL = {"http": 80, "https": 443}
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")


async def opened(exchange: Exchange, settings: Settings, route: Hashable) -> Protocol:
    """Open a connection. Raises `ConnectFailed`, and `FileError` for an address that may not be reached."""
    try:
        return await _Opening(exchange, settings, route).opened()
    except FileError:
        raise
    except (OSError, ProxyRefused) as error:
        failed, cause = unconnected(error, exchange), error
    raise failed from cause


class _Opening:
    """The way to one connection."""

    def __init__(self, exchange: Exchange, settings: Settings, route: Hashable) -> None:
        self._route = route
        self._request, self._proxy = exchange.request, exchange.proxy
        self._seconds, self._settings = self._request.timeout, settings
        self._loop = asyncio.get_running_loop()

    async def opened(self) -> Protocol:
        """Open the connection."""
        url, proxy = self._request.url, self._proxy
        if proxy is not None and url.scheme == "https":
            return await self._through(proxy)
        if proxy is not None:
            at = proxy.proxy.url
            return await self._made(self._protocol, at.host, _port(at), self._tls_of(proxy))
        tls = self._settings.tls if url.scheme == "https" else None
        return await self._made(self._protocol, url.host, _port(url), tls)

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> Protocol:
        """The protocol of the connection itself."""
        return Protocol(loop, self._route)

    async def _made(
        self, make: Callable[[asyncio.AbstractEventLoop], P], host: str, port: int, tls: ssl.SSLContext | None
    ) -> P:
        """Connect to a host, and encrypt if need be; give the protocol."""
        async with _within(self._seconds.connect):
            addresses = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            connected = await aiohappyeyeballs.start_connection(
                self._allowed(host, addresses), happy_eyeballs_delay=_SECOND_ADDRESS, interleave=1
            )
        async with _within(self._seconds.connect):
            _, protocol = await self._loop.create_connection(
                lambda: make(self._loop),
                sock=connected,
                ssl=tls,
                server_hostname=_named(host) if tls else None,
            )
        return protocol

    def _allowed(self, host: str, addresses: list[Any]) -> list[Any]:
        """The addresses that may be reached. What is found here is what is connected to. Raises `FileError`."""
        if not self._request.guarded or self._proxy is not None:
            return addresses
        allowed, refusal = [], None
        for each in addresses:
            try:
                check_address(host, str(each[4][0]))
                allowed.append(each)
            except FileError as error:
                refusal = error
        if refusal is not None and not allowed:
            raise refusal
        return allowed

    def _tls_of(self, proxy: Proxy) -> ssl.SSLContext | None:
        """How a proxy itself is spoken to."""
        if proxy.proxy.url.scheme != "https":
            return None
        own: ssl.SSLContext | None = proxy.proxy.ssl_context
        return own or self._settings.tls_of_proxies()

    async def _through(self, proxy: Proxy) -> Protocol:
        """Have a proxy connect to the host, and encrypt what passes."""
        at, host = proxy.proxy.url, self._request.url.host
        tunnel = await self._made(_Tunnel, at.host, _port(at), self._tls_of(proxy))
        try:
            await tunnel.ask(self._request, proxy)
            protocol = self._protocol(self._loop)
            async with _within(self._seconds.connect):
                encrypted = await self._loop.start_tls(
                    tunnel.transport, protocol, self._settings.tls, server_hostname=_named(host)
                )
        except BaseException:
            tunnel.transport.abort()
            raise
        if encrypted is None:
            raise ConnectionResetError("the connection was closed in the TLS handshake")
        protocol.connection_made(encrypted)
        return protocol


class _Tunnel(asyncio.StreamReaderProtocol):
    """A connection to a proxy that is asked to connect further."""

    transport: asyncio.WriteTransport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._answer = asyncio.StreamReader(limit=LONGEST_HEAD, loop=loop)
        super().__init__(self._answer, loop=loop)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = transport

    async def ask(self, request: Request, proxy: Proxy) -> None:
        """Ask for a connection to the host of a request: by its name, and who asks. Raises `ProxyRefused`."""
        url = request.url
        target = f"[{url.host}]:{_port(url)}" if ":" in url.host else f"{url.host}:{_port(url)}"
        told = {"Host": target, **headers_for(proxy)}
        lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with _within(patience(request)):
            status, reason = await self._status(request.timeout.read)
        if not 200 <= status < 300:
            raise ProxyRefused(f"{status} {reason}".strip())

    async def _status(self, seconds: float | None) -> tuple[int, str]:
        """Read the answer, without what it says beside its status."""
        came = b""
        while True:
            while (end := _END_OF_HEAD.search(came)) is None:
                if len(came) > LONGEST_HEAD:
                    raise ProxyRefused(f"its answer has a head of more than {LONGEST_HEAD} bytes")
                async with _within(seconds):
                    chunk = await self._answer.read(LONGEST_HEAD)
                if not chunk:
                    raise ProxyRefused("it closed the connection without an answer")
                came += chunk
            if (said := _STATUS.match(came)) is None:
                raise ProxyRefused("its answer is no HTTP")
            status, came = int(said[1]), came[end.end() :]
            if status >= 200:
                return status, (said[2] or b"").decode("ascii", "replace")


@asynccontextmanager
async def _within(seconds: float | None) -> AsyncIterator[None]:
    """Give a step its time. Raises `TimeoutError` that says so."""
    without_end = seconds is None or seconds == float("inf")
    try:
        async with asyncio.timeout(None if without_end else seconds):
            yield
    except TimeoutError as error:
        if error.errno is not None:  # the system's own
            raise
        raise TimeoutError(f"no connection within {seconds:g} s") from None


def _port(url: Any) -> int:
    """The port of a URL, the usual one where it names none."""
    return int(url.port or _USUAL[url.scheme])


def _named(host: str) -> str:
    """A host as certificates name it."""
    return host.rstrip(".")
