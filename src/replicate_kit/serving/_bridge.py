"""Requests of a socket, answered by the simulator."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from replicate_kit.errors import ConnectFailed, InvalidURL, TransportError
from replicate_kit.serving._crossing import is_preflight, let_pages_read, preflight
from replicate_kit.serving._feed import Visit
from replicate_kit.serving._guard import is_allowed_page, refusal
from replicate_kit.serving._origins import Rewrite
from replicate_kit.serving._sockets.incoming import Gone, Receive, read
from replicate_kit.serving._sockets.outgoing import send_stream, send_whole
from replicate_kit.serving._sockets.protocol import ABORT, CLOSE
from replicate_kit.serving._sockets.stopping import StoppableRuntime
from replicate_kit.simulator._api.exchange import Answer, answer_problem
from replicate_kit.simulator._state.problems import HTTPProblem, bad_request, refused
from replicate_kit.transport import URL, Request

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["Bridge"]

Send = Callable[[Any], Awaitable[None]]
Answered = Callable[[Visit], None]


class Bridge:
    """An ASGI application: the server's simulator answers whatever may come in."""

    def __init__(self, server: Served, runtime: StoppableRuntime, answered: Answered | None = None) -> None:
        self._server, self._origins, self._runtime = server, server.origins, runtime
        self._feed, self._answered = server.feed, answered

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = self._feed.begin(scope)
        origin = self._origins.of(scope)
        status, operation = 0, ""
        try:
            response = await self._response(scope, receive, origin)
            status, operation = response.status_code, response.operation
            self._end(visit, status, operation)
            # A page that a model made shares our origin, and must not act for us.
            if operation in ("outputs.get", "files.download"):
                response.headers["content-security-policy"] = "sandbox"
            await self._give(response, self._origins.outward(origin), scope, receive, send)
        except Gone:
            pass
        except ConnectFailed:
            # A refused connection is reset right away. The ones below close after what has been written.
            await _hang_up(scope[ABORT], receive)
        except (TransportError, TimeoutError, OSError):
            await _hang_up(scope[CLOSE], receive)
        finally:
            if visit.seconds is None:
                self._end(visit, status, operation)

    def _end(self, visit: Visit, status: int, operation: str) -> None:
        self._feed.end(visit, status, operation)
        if self._answered and not visit.hidden:
            self._answered(visit)

    async def _response(self, scope: Any, receive: Receive, origin: str) -> Answer:
        """Ask the simulator. What it raises itself is a fault that it was told to have."""
        by_url = False
        try:
            if scope["raw_path"] == b"*":  # RFC 9110, 9.3.7: what the server can do at all
                return Answer(204, headers={"allow": "GET, HEAD, POST, PATCH, DELETE, QUERY, OPTIONS"})
            url = self._url(scope)
            by_url = self._is_by_url(scope, url)
            # Before the body is read and the request counted: a page that may not come changes nothing.
            if (detail := refusal(self._server, scope, by_url=by_url)) is not None:
                raise refused(403, detail)
            if is_preflight(scope) and (by_url or is_allowed_page(self._server, scope)):
                return preflight(scope, by_url=by_url)
            request = await self._request(scope, receive, url, origin)
            response = await self._server.simulator.handle(request, self._runtime)
        except HTTPProblem as problem:
            response = answer_problem(problem)
        except (Gone, TransportError):
            raise
        except Exception:  # a fault of ours, which must not look like one of the client's
            traceback.print_exc(file=sys.stderr)
            return answer_problem(refused(500, "The simulator failed; its terminal says how."))
        if by_url or is_allowed_page(self._server, scope):
            let_pages_read(response, scope, by_url=by_url)
        return response

    def _url(self, scope: Any) -> URL:
        """The URL of a request, as the simulator knows it."""
        path, query = scope["raw_path"], scope["query_string"]
        target = path + b"?" + query if query else path
        try:
            # What begins with no slash would go on with the name of the host, and a # ends what a request names.
            if not target.startswith(b"/") or b"#" in target:
                raise InvalidURL("The target is no path.")
            return URL(self._origins.public + target.decode("ascii"))
        except ValueError:
            raise bad_request("The URL of the request cannot be read") from None

    def _is_by_url(self, scope: Any, url: URL) -> bool:
        """Whether a request reads something whose URL is the secret, or asks whether it may."""
        asked = Headers(scope=scope).get("access-control-request-method", "") if is_preflight(scope) else None
        return self._server.simulator.is_by_url(scope["method"] if asked is None else asked, url)

    async def _request(self, scope: Any, receive: Receive, url: URL, origin: str) -> Request:
        """Make what the simulator takes."""
        body = await read(receive, Headers(scope=scope), self._origins.inward(origin))
        return Request(scope["method"], url, headers=scope["headers"], body=body)

    async def _give(
        self, response: Answer, outward: Rewrite, scope: Any, receive: Receive, send: Send
    ) -> None:
        """Send an answer."""
        if response.is_read:
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
