"""The bytes of a response, chunk by chunk, in a form that may be left early under every driver."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Generator
from typing import Any, Protocol

__all__ = ["Body", "ByteStream", "hidden_from_loop"]


class Body(Protocol):
    """A response whose body is still coming in."""

    def aiter_bytes(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class ByteStream:
    """Iterates the body of a response; `aclose` ends that and the response.

    Bodies are read through asynchronous generators inside of others, and closing the outermost one leaves the rest
    to the garbage collector, of which trio warns. A loop learns of a generator at its first step, so that step
    is kept from it: once the response is closed none of them has anything left to wait for.
    """

    def __init__(self, body: Body) -> None:
        self._body, self._source, self._begun = body, body.aiter_bytes(), False

    def __aiter__(self) -> ByteStream:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        step, begun, self._begun = anext(self._source), self._begun, True
        return step if begun else hidden_from_loop(step)

    async def aclose(self) -> None:
        """Close the response, then what reads it."""
        await self._body.aclose()
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()


def hidden_from_loop(step: Awaitable[bytes]) -> Awaitable[bytes]:
    """Give the first step of a generator so that the running loop does not learn of it."""
    return _Unseen(step)


class _Unseen:
    """An awaitable whose generators the running loop does not learn of."""

    def __init__(self, step: Awaitable[bytes]) -> None:
        self._step = step

    def __await__(self) -> Generator[Any, Any, bytes]:
        steps: Any = self._step.__await__()
        try:
            awaited = _begin(steps)
            while True:
                try:
                    answer = yield awaited
                except BaseException as error:
                    awaited = steps.throw(error)
                else:
                    awaited = steps.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _begin(steps: Any) -> Any:
    """Take the first step without the loop's hooks."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return steps.send(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
