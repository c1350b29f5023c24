"""The transport of 1.x that sends requests again, for programs that put it around a transport of their own.

The stand-in's own clients retry as ours do, and do not need it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

__all__ = ["RetryTransport"]


class RetryTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Sends requests again whose method does no harm twice, where the answer's status asks for it.

    Pauses, in seconds, are what Retry-After says, or begin at `backoff_factor` and double up to `max_backoff_wait`,
    more or less by `jitter_ratio`. Raises `ValueError` for a ratio that is not from 0 to 0.5.
    """

    RETRYABLE_METHODS = frozenset({"HEAD", "GET", "PUT", "DELETE", "OPTIONS", "TRACE"})
    RETRYABLE_STATUS_CODES = frozenset({429, 503, 504})
    MAX_BACKOFF_WAIT = 60

    def __init__(
        self,
        wrapped_transport: httpx.BaseTransport | httpx.AsyncBaseTransport,
        *,
        max_attempts: int = 10,
        max_backoff_wait: float = MAX_BACKOFF_WAIT,
        backoff_factor: float = 0.1,
        jitter_ratio: float = 0.1,
        retryable_methods: Iterable[str] | None = None,
        retry_status_codes: Iterable[int] | None = None,
    ) -> None:
        if jitter_ratio < 0 or jitter_ratio > 0.5:
            raise ValueError(f"jitter ratio should be between 0 and 0.5, actual {jitter_ratio}")
        self._wrapped_transport: Any = wrapped_transport
        self.max_attempts, self.max_backoff_wait = max_attempts, max_backoff_wait
        self.backoff_factor, self.jitter_ratio = backoff_factor, jitter_ratio
        self.retryable_methods = frozenset(retryable_methods or self.RETRYABLE_METHODS)
        self.retry_status_codes = frozenset(retry_status_codes or self.RETRYABLE_STATUS_CODES)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._wrapped_transport.handle_request(request)
        attempts = 1
        while self._again(request, response, attempts):
            response.close()
            time.sleep(self._calculate_sleep(attempts, response.headers))
            response = self._wrapped_transport.handle_request(request)
            attempts += 1
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._wrapped_transport.handle_async_request(request)
        attempts = 1
        while self._again(request, response, attempts):
            await response.aclose()
            await asyncio.sleep(self._calculate_sleep(attempts, response.headers))
            response = await self._wrapped_transport.handle_async_request(request)
            attempts += 1
        return response

    def _again(self, request: httpx.Request, response: httpx.Response, attempts: int) -> bool:
        """Whether a request is sent once more."""
        return (
            request.method in self.retryable_methods
            and response.status_code in self.retry_status_codes
            and attempts < self.max_attempts
        )

    def _calculate_sleep(self, attempts_made: int, headers: Mapping[str, str]) -> float:
        """Seconds until the next attempt."""
        asked = (headers.get("Retry-After") or "").strip()
        if asked.isdigit():
            return float(asked)
        with suppress(ValueError):
            left = (datetime.fromisoformat(asked).astimezone() - datetime.now().astimezone()).total_seconds()
            if left > 0:
                return min(left, self.max_backoff_wait)
        pause = self.backoff_factor * 2.0 ** (attempts_made - 1)
        return min(pause + random.choice((1, -1)) * pause * self.jitter_ratio, self.max_backoff_wait)

    def close(self) -> None:
        self._wrapped_transport.close()

    async def aclose(self) -> None:
        await self._wrapped_transport.aclose()
