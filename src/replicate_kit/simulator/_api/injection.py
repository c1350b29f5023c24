"""Let faults happen to a request."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from replicate_kit.simulator._api.exchange import Call
from replicate_kit.simulator._faults.faults import Fault, problem_body

__all__ = ["inject"]

Perform = Callable[[], Awaitable[httpx.Response]]


async def inject(faults: list[Fault], call: Call, perform: Perform) -> httpx.Response:
    """Answer a request with `perform`, unless a fault gets in the way. A cut connection is an error of httpx's."""
    if any(fault.refuse for fault in faults):
        raise httpx.ConnectError("Connection refused (as the simulator was told)")
    for fault in faults:
        if fault.jump:
            call.service.clock.advance(fault.jump)
    delay = sum(fault.delay for fault in faults)
    if delay and (limit := call.read_timeout) is not None and delay > limit:
        await perform()  # a server does not notice that its client has gone
        await call.runtime.sleep(limit)
        raise httpx.ReadTimeout("The read operation timed out")
    if delay:
        await call.runtime.sleep(delay)
    return await _answer(faults, perform)


async def _answer(faults: list[Fault], perform: Perform) -> httpx.Response:
    broken = next((fault for fault in faults if fault.cut or fault.status is not None), None)
    if broken is not None:
        if broken.acted:
            await perform()
        return _break(broken)
    response = await perform()
    lengths = [fault.truncate for fault in faults if fault.truncate is not None]
    return _truncated(response, min(lengths)) if lengths else response


def _break(fault: Fault) -> httpx.Response:
    """Answer with a status, or not at all."""
    if fault.status is None:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    content, kind = problem_body(fault)
    headers = {"content-type": kind}
    if fault.retry_after is not None:
        headers["retry-after"] = str(fault.retry_after)
    return httpx.Response(fault.status, content=content, headers=headers)


def _truncated(response: httpx.Response, length: int) -> httpx.Response:
    """Give only the first bytes of a body that promises more."""
    # What has been read already is one chunk; its own iterator would have to be exhausted.
    source: Any = _OneChunk(response.content) if response.is_closed else response.stream
    return httpx.Response(response.status_code, headers=response.headers, stream=_Truncated(source, length))


class _OneChunk:
    """An iterator of one chunk."""

    def __init__(self, content: bytes) -> None:
        self._chunks = [content]

    def __aiter__(self) -> _OneChunk:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop()


class _Truncated(httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, source: AsyncIterable[bytes], length: int) -> None:
        self._source, self._left = aiter(source), length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left > 0:
            chunk = await anext(self._source)
            given, self._left = chunk[: self._left], self._left - len(chunk)
            return given
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
