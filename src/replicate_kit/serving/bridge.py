"""Requests of a socket, answered by the simulator."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from replicate_kit.serving.feed import Feed, Visit
from replicate_kit.serving.incoming import Gone, Receive, read
from replicate_kit.serving.origins import Origins, Rewrite
from replicate_kit.serving.outgoing import send_stream, send_whole
from replicate_kit.serving.protocol import ABORT, CLOSE
from replicate_kit.serving.stopping import StoppableRuntime
from replicate_kit.simulator.exchange import answer_problem
from replicate_kit.simulator.problems import HTTPProblem, bad_request, refused

if TYPE_CHECKING:
    from replicate_kit.simulator import Simulator

__all__ = ["Bridge"]

Send = Callable[[Any], Awaitable[None]]
Watcher = Callable[[Visit], None]


class Bridge:
    """An ASGI application: `simulator()` answers whatever comes in."""

    def __init__(
        self,
        simulator: Callable[[], Simulator],
        origins: Origins,
        runtime: StoppableRuntime,
        feed: Feed,
        answered: Watcher | None = None,
    ) -> None:
        self._simulator, self._origins, self._runtime = simulator, origins, runtime
        self._feed, self._answered = feed, answered

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = self._feed.begin(scope)
        origin = self._origins.of(scope)
        status, operation = 0, ""
        try:
            response = await self._response(scope, receive, origin)
            status, operation = response.status_code, response.extensions.get("replicate_kit.operation", "")
            self._end(visit, status, operation)
            # A page that a model made shares our origin, and must not act for us.
            if operation == "outputs.get":
                response.headers["content-security-policy"] = "sandbox"
            await self._give(response, self._origins.outward(origin), scope, receive, send)
        except Gone:
            pass
        except httpx.ConnectError:
            await _hang_up(scope[ABORT], receive)
        except (httpx.TransportError, TimeoutError, OSError):
            await _hang_up(scope[CLOSE], receive)
        finally:
            if visit.seconds is None:
                self._end(visit, status, operation)

    def _end(self, visit: Visit, status: int, operation: str) -> None:
        self._feed.end(visit, status, operation)
        if self._answered and not visit.hidden:
            self._answered(visit)

    async def _response(self, scope: Any, receive: Receive, origin: str) -> httpx.Response:
        """Ask the simulator. What it raises itself is a fault that it was told to have."""
        try:
            request = await self._request(scope, receive, origin)
            return await self._simulator().handle(request, self._runtime)
        except HTTPProblem as problem:
            return answer_problem(problem)
        except (Gone, httpx.TransportError):
            raise
        except Exception:  # a fault of ours, which must not look like one of the client's
            traceback.print_exc(file=sys.stderr)
            return answer_problem(refused(500, "The simulator failed; its terminal says how."))

    async def _request(self, scope: Any, receive: Receive, origin: str) -> httpx.Request:
        """Make what the simulator takes."""
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        try:
            url = httpx.URL(self._origins.public).copy_with(raw_path=scope["raw_path"] + query)
        except (httpx.InvalidURL, ValueError):
            raise bad_request("The URL of the request cannot be read") from None
        headers = httpx.Headers(scope["headers"])
        content = await read(receive, headers, self._origins.inward(origin))
        if isinstance(content, bytes):
            return httpx.Request(scope["method"], url, headers=headers, content=content)
        return httpx.Request(scope["method"], url, headers=headers, stream=content)

    async def _give(
        self, response: httpx.Response, outward: Rewrite, scope: Any, receive: Receive, send: Send
    ) -> None:
        """Send an answer."""
        if response.is_closed:
            await send_whole(response, outward, send)
            return
        try:
            await send_stream(response, outward, receive, send)
        finally:
            with suppress(asyncio.CancelledError):
                await response.aclose()


async def _hang_up(close: Callable[[], None], receive: Receive) -> None:
    """Cut the connection, and stay until it is: the server would make up an answer otherwise."""
    close()
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while (await receive())["type"] != "http.disconnect":
                pass
