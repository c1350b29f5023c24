"""What an answer of the API means: the JSON that it holds, or the error that it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from replicate_kit import errors
from replicate_kit._nesting import loads
from replicate_kit.retry import REPEATABLE, retry_after
from replicate_kit.wording import where

__all__ = ["CREATE", "decoded", "error_of", "uncertain"]

CREATE = "replicate_kit.create"  # request extension: the JSON that was sent, and when


@contextmanager
def uncertain(request: httpx.Request) -> Iterator[None]:
    """Say so where a POST may have been acted on although no good answer came."""
    try:
        yield
    except (
        errors.RequestTimeout,
        errors.ConnectionLost,
        errors.InvalidResponse,
        errors.ServerError,
    ) as error:
        if request.method != "POST" or request.extensions.get(REPEATABLE) or _was_refused(error):
            raise
        body, sent_at = request.extensions[CREATE]
        raise errors.UncertainCreate(
            f"{error}\nIt is unknown whether the API acted on this request, so it was not sent again. Look for "
            "its result (for a prediction: client.predictions.list()) before you repeat it; client.map does so "
            "by itself.",
            path=request.url.path,
            body=body,
            sent_at=sent_at,
            request=request,
        ) from error


def _was_refused(error: errors.ReplicateError) -> bool:
    """503 with Retry-After says that nothing was done."""
    return isinstance(error, errors.ServerError) and error.status == 503 and error.retry_after is not None


def error_of(response: httpx.Response) -> errors.APIError:
    """Make the error of an answer, whatever its body is."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = response.text
    return errors.api_error(
        status=response.status_code,
        body=body,
        headers=httpx.Headers(response.headers),
        where=where(response.request),
        retry_after=retry_after(response),
        request=response.request,
    )


def decoded(response: httpx.Response) -> Any:
    """Decode the body of a good answer."""
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except RecursionError as error:
        raise errors.InvalidResponse(
            f"{where(response.request)}: the answer{_named(response)} is nested too deep for Python to read. Fetch it "
            "with another tool.",
            request=response.request,
        ) from error
    except ValueError as error:
        raise errors.InvalidResponse(
            f"{where(response.request)}: the answer cannot be read as JSON ({response.headers.get('content-type')}). "
            "Check that base_url leads to Replicate's API.",
            request=response.request,
        ) from error


def _named(response: httpx.Response) -> str:
    """Name what an answer is about that cannot be read: it may be paid for."""
    try:
        found = loads(response.content)
    except (ValueError, RecursionError):
        return ""
    return f", which is about {found['id']}," if isinstance(found, dict) and found.get("id") else ""
