"""Write a local file so that it is whole or not there at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from replicate_kit.naming import partial_name

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to, in the target's folder, which takes the target's place when all went well.

    >>> with replacing(Path("greeting.txt")) as partial:
    ...     size = partial.write_text("hello")
    >>> Path("greeting.txt").read_text()
    'hello'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(partial_name(target.name))
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
