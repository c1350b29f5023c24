"""What browsers want to be told before a page of another site may read an answer (CORS)."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers

from replicate_kit.simulator._api.exchange import Answer

__all__ = ["is_preflight", "let_pages_read", "preflight"]

_METHODS = "GET, HEAD, POST, PATCH, PUT, DELETE, QUERY, OPTIONS"
_NAMES = re.compile(r"[\w, -]{1,1000}", re.ASCII)


def is_preflight(scope: Any) -> bool:
    """Whether a browser asks, for a page, whether it may send another request."""
    headers = Headers(scope=scope)
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(scope: Any, *, by_url: bool) -> Answer:
    """Allow what a browser asks for."""
    asked = Headers(scope=scope).get("access-control-request-headers", "")
    response = Answer(
        204,
        headers={
            "access-control-allow-methods": "GET, HEAD, OPTIONS" if by_url else _METHODS,
            "access-control-max-age": "600",
            # Given back only if it looks like names of headers: a foreign page wrote it.
            **({"access-control-allow-headers": asked} if _NAMES.fullmatch(asked) else {}),
        },
    )
    let_pages_read(response, scope, by_url=by_url)
    return response


def let_pages_read(response: Answer, scope: Any, *, by_url: bool) -> None:
    """Let the page read the answer: any page if the URL is the secret, else the one that asked."""
    origin = Headers(scope=scope).get("origin")
    response.headers["access-control-allow-origin"] = "*" if by_url or origin is None else origin
    response.headers["access-control-expose-headers"] = "*"
    if by_url:
        response.headers["cross-origin-resource-policy"] = "cross-origin"
    else:
        # A cache must not give the permission of one page to another.
        response.headers["vary"] = "origin"
