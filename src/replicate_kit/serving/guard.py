"""Who may control the server and look at its page."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING

from starlette.requests import Request

if TYPE_CHECKING:
    from replicate_kit.serving.server import Server

__all__ = ["HEADER", "is_let_in"]

HEADER = "x-control-secret"


def is_let_in(server: Server, request: Request) -> bool:
    """Whether a request comes from this machine, or has the secret.

    A page of another site can make a browser on this machine send requests too: such a request has a foreign `Host`
    (its name was made to lead here) or says that it crosses sites.
    """
    given = request.headers.get(HEADER) or request.query_params.get("secret") or ""
    if hmac.compare_digest(given.encode(), server.secret.encode()):
        return True
    if server.guarded or not _is_local(request) or server.origins.named(request.scope) is None:
        return False
    return request.headers.get("sec-fetch-site", "none") in ("none", "same-origin") and _is_own(
        server, request
    )


def _is_own(server: Server, request: Request) -> bool:
    """Whether the page that sent a request, if it was a page, is ours."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{server.origins.named(request.scope)}"


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
