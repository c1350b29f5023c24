"""Let faults happen to a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from replicate_kit.simulator._api.exchange import Answer, Call
from replicate_kit.simulator._api.failures import broken, not_connected, timed_out
from replicate_kit.simulator._faults.faults import Fault, problem_body
from replicate_kit.transport import Request

__all__ = ["inject"]

Perform = Callable[[], Awaitable[Answer]]


async def inject(faults: list[Fault], call: Call, perform: Perform) -> Answer:
    """Answer a request with `perform`, unless a fault gets in the way. A cut connection is an error of ours."""
    if any(fault.refuse for fault in faults):
        raise not_connected(call.request)
    for fault in faults:
        if fault.jump:
            call.service.clock.advance(fault.jump)
    delay = sum(fault.delay for fault in faults)
    if delay and (limit := call.read_timeout) is not None and delay > limit:
        await perform()  # a server does not notice that its client has gone
        await call.runtime.sleep(limit)
        raise timed_out(call.request)
    if delay:
        await call.runtime.sleep(delay)
    return await _answer(faults, call.request, perform)


async def _answer(faults: list[Fault], request: Request, perform: Perform) -> Answer:
    fault = next((each for each in faults if each.cut or each.status is not None), None)
    if fault is not None:
        if fault.acted:
            await perform()
        return _break(fault, request)
    response = await perform()
    lengths = [each.truncate for each in faults if each.truncate is not None]
    return _truncated(response, request, min(lengths)) if lengths else response


def _break(fault: Fault, request: Request) -> Answer:
    """Answer with a status, or not at all."""
    if fault.status is None:
        raise broken(request, "Server disconnected without sending a response.")
    content, kind = problem_body(fault)
    headers = {"content-type": kind}
    if fault.retry_after is not None:
        headers["retry-after"] = str(fault.retry_after)
    return Answer(fault.status, content=content, headers=headers)


def _truncated(response: Answer, request: Request, length: int) -> Answer:
    """Give only the first bytes of a body that promises more."""
    stream = _Truncated(response.aiter_bytes(), request, length)
    return Answer(response.status_code, headers=response.headers, stream=stream)


class _Truncated:
    """A body that breaks off."""

    def __init__(self, source: AsyncIterator[bytes], request: Request, length: int) -> None:
        self._source, self._request, self._left = source, request, length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left > 0:
            chunk = await anext(self._source)
            given, self._left = chunk[: self._left], self._left - len(chunk)
            return given
        raise broken(self._request, "peer closed connection without sending complete message body")
