"""Chunks of bytes, in a form that may be left early under every driver."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Awaitable, Generator
from typing import Any

__all__ = ["ByteStream"]


class ByteStream:
    """Iterates chunks; closed once the connection is, it may be left at any of them.

    Bodies are read through asynchronous generators inside of others, and closing the outermost one leaves the rest
    to the garbage collector, of which trio warns. A loop learns of those inside at the first step, so that step
    is kept from it: once the connection is closed none of them has anything left to wait for.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks, self._begun = aiter(chunks), False

    def __aiter__(self) -> ByteStream:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        step, begun, self._begun = anext(self._chunks), self._begun, True
        return step if begun else _Unseen(step)

    async def aclose(self) -> None:
        """Close the outermost generator, unless somebody is just waiting for it."""
        if getattr(self._chunks, "ag_running", False):
            return
        if (close := getattr(self._chunks, "aclose", None)) is not None:
            await close()


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
