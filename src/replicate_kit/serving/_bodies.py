"""JSON bodies of requests that are no operations of the API."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

__all__ = ["json_object"]


async def json_object(request: Request, longest: int) -> dict[str, Any]:
    """Read a JSON object of at most so many bytes; raises ValueError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise ValueError("The body is too long.")
    value = json.loads(bytes(body) or b"{}")
    if not isinstance(value, dict):
        raise ValueError("The body has to be a JSON object.")
    return value
