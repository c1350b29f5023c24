"""A file on its way from the network to where it is kept: what has come is written while more of it comes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

from replicate_kit._files.blocks import give_back
from replicate_kit._runtime.beside import Beside

if TYPE_CHECKING:
    from replicate_kit._files.downloading import Download, Opener

__all__ = ["pour"]

T = TypeVar("T")


async def pour(
    download: Download,
    blocks: AsyncIterator[memoryview],
    write: Callable[[memoryview], object],
    finish: Callable[[], T],
    opener: Opener,
    *,
    first: memoryview | None = None,
) -> T:
    """Write the blocks of a download and take their digest, each while the next one comes, then `finish`; give what
    that gives. `first` is a block that was taken from them.

    `write` and `finish` may block: they are called one at a time, off the event loop. Neither runs any more when this
    returns or raises. A block without another one, as most files are, is written in one step with `finish`.
    """
    beside = Beside(opener)
    last: memoryview | None = await anext(blocks, memoryview(b"")) if first is None else first

    def step(block: memoryview) -> None:
        download.catch_up()
        write(block)
        give_back(block)

    def last_step() -> T:
        if last is not None:
            step(last)
        return finish()

    try:
        async for block in blocks:
            if last is not None:
                await beside.begin(functools.partial(step, last))
                last = None
            await beside.begin(functools.partial(step, block))
        await beside.end()
        # To its end, because whoever is cancelled in the middle of a step cannot undo it.
        return await opener.shield(opener.in_thread(last_step))  # type: ignore[no-any-return]
    finally:
        if beside.is_used:
            await opener.shield(beside.aclose())
