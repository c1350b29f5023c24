"""The server's paths: the page at `/`, its data, the control path, and the API everywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from replicate_kit._formats.wording import bounded
from replicate_kit.serving._bridge import Answered, Bridge
from replicate_kit.serving._control import Control
from replicate_kit.serving._guard import control_refusal
from replicate_kit.serving._page import Page
from replicate_kit.serving._sockets.incoming import in_origin_form
from replicate_kit.serving._sockets.stopping import StoppableRuntime
from replicate_kit.simulator._state.problems import LONGEST

if TYPE_CHECKING:
    from replicate_kit.serving._served import Served

__all__ = ["application"]

Handler = Callable[[Request], Awaitable[Response]]


def application(server: Served, runtime: StoppableRuntime, answered: Answered | None) -> Any:
    """Put the parts together."""
    control, page = Control(server), Page(server)
    paths: list[tuple[str, Handler, list[str]]] = [
        ("/", page.show, ["GET"]),
        ("/_page/state", page.state, ["GET"]),
        ("/_page/snippets", page.snippets, ["POST"]),
        ("/_control", control.show, ["GET"]),
        ("/_control/calls", control.calls, ["GET"]),
        ("/_control/faults", control.faults, ["GET", "POST", "DELETE"]),
        ("/_control/clock", control.clock, ["GET", "POST"]),
        ("/_control/records", control.records, ["POST"]),
        ("/_control/reset", control.reset, ["POST"]),
    ]
    routes = [Route(path, _guarded(server, handler), methods=methods) for path, handler, methods in paths]
    own = Starlette(routes=routes)
    own.router.redirect_slashes = False
    bridge = Bridge(server, runtime, answered)
    known = {path for path, _, _ in paths}

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        # Before all else: the path and the host decide everything below, and proxies send both in the target.
        scope = in_origin_form(scope)
        mine = scope["type"] == "http" and scope["path"] in known
        with suppress(ClientDisconnect):
            await (own if mine else bridge)(scope, receive, send)

    return dispatch


def _guarded(server: Served, handler: Handler) -> Handler:
    """Let in who may be, and tell mistakes as the API tells them."""

    async def answer(request: Request) -> Response:
        if (detail := control_refusal(server, request)) is not None:
            return _problem(403, detail)
        try:
            return await handler(request)
        except (ValueError, RecursionError) as error:
            return _problem(400, bounded(str(error), LONGEST))

    return answer


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail, "status": status}, status, media_type="application/problem+json")
