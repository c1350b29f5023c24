"""Requests and responses as httpx has them, which is what 1.x shows to its users, whatever backend sent them."""

from __future__ import annotations

import httpx

from replicate_kit.transport import Body, Request, Response

__all__ = ["request_of", "response_of"]


def request_of(request: Request) -> httpx.Request:
    """Make httpx's request of ours; of a body that came in chunks nothing is there any more."""
    return httpx.Request(
        request.method,
        str(request.url),
        headers=request.headers.raw,
        content=None if isinstance(request.body, Body) else request.body,
        extensions={"timeout": request.timeout._asdict()},
    )


def response_of(response: Response) -> httpx.Response:
    """Make httpx's response of ours, which has been read."""
    return httpx.Response(
        response.status_code,
        headers=response.headers.multi_items(),
        content=response.content,
        request=request_of(response.request),
    )
