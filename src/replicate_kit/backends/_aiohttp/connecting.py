"""Connections: when there is one, which address it leads to, and how many there may be."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult

from replicate_kit._formats.url_policy import check_address
from replicate_kit.backends._aiohttp.exchanges import current
from replicate_kit.errors import FileError

__all__ = ["Connector", "PublicResolver"]


class Connector(aiohttp.TCPConnector):
    """Tells each exchange when it is connected."""

    async def connect(self, req: Any, *args: Any, **options: Any) -> Any:
        """Find a connection for a request, a kept one or a new one."""
        exchange = current.get()
        assert exchange is not None  # nobody else sends here
        exchange.begin()
        # News of connections that the other side has closed: the loop looks for it, then takes note of it. A request on
        # one of these would end with nobody knowing whether it was acted on.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection = await super().connect(req, *args, **options)
        exchange.connect(connection.transport)
        return connection


class PublicResolver(aiohttp.ThreadedResolver):
    """Finds the addresses of a name that are on the Internet. What is found here is what is connected to."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Find addresses. Raises `FileError` where none is public."""
        found, refusal = list[ResolveResult](), None
        for each in await super().resolve(host, port, family):
            try:
                check_address(host, each["host"])
                found.append(each)
            except FileError as error:
                refusal = error
        if refusal is not None and not found:
            raise refusal
        return found
