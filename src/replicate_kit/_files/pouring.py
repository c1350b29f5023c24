"""A file on its way from the network to where it is kept: what has come is written while more of it comes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

from replicate_kit._files.blocks import give_back
from replicate_kit._runtime.beside import Beside
from replicate_kit._runtime.blocking import is_blocking

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

    `write` and `finish` may block: they are called one at a time, off the event loop; in blocking code on the caller's
    own thread, while another one takes the digest. Nothing of it runs any more when this returns or raises. A block
    without another one, as most files are, is written in one step with `finish`.
    """
    steps = (
        _StepsOfCaller(download, write, opener) if is_blocking() else _StepsBeside(download, write, opener)
    )
    last: memoryview | None = await anext(blocks, memoryview(b"")) if first is None else first

    def last_step() -> T:
        if last is not None:
            download.catch_up()
            write(last)
            give_back(last)
        return finish()

    try:
        async for block in blocks:
            if last is not None:
                await steps.begin(last)
                last = None
            await steps.begin(block)
        await steps.end()
        # To its end, because whoever is cancelled in the middle of a step cannot undo it.
        return await opener.shield(opener.in_thread(last_step))  # type: ignore[no-any-return]
    finally:
        if steps.beside.is_used:
            await opener.shield(steps.beside.aclose())


class _StepsBeside:
    """Writes blocks and takes their digest beside the operation."""

    def __init__(self, download: Download, write: Callable[[memoryview], object], opener: Opener) -> None:
        self._download, self._write, self.beside = download, write, Beside(opener)

    async def begin(self, block: memoryview) -> None:
        """Begin with a block, once the one before is done."""
        await self.beside.begin(functools.partial(self._step, block))

    async def end(self) -> None:
        """Wait until all is done that was begun."""
        await self.beside.end()

    def _step(self, block: memoryview) -> None:
        self._download.catch_up()
        self._write(block)
        give_back(block)


class _StepsOfCaller:
    """Writes blocks at once, where Ctrl-C ends it; of each the digest is taken until the next one was read."""

    def __init__(self, download: Download, write: Callable[[memoryview], object], opener: Opener) -> None:
        self._download, self._write, self.beside = download, write, Beside(opener, brief=True)
        self._hashed: memoryview | None = None

    async def begin(self, block: memoryview) -> None:
        """Begin with a block, once the one before is done."""
        await self.end()
        await self.beside.begin(self._download.catch_up)
        self._hashed = block
        self._write(block)

    async def end(self) -> None:
        """Wait until all is done that was begun."""
        await self.beside.end()
        if self._hashed is not None:
            give_back(self._hashed)
            self._hashed = None
