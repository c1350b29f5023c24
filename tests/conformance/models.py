"""What the requests of the examples and the fuzzer find: models of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from replicate_kit.schema import ConcatenateIterator
from replicate_kit.simulator import model


@model("acme/any")
def anything(text: str = "", count: int = 1) -> str:
    """Takes nearly everything."""
    return text * min(abs(count), 3)


@model("acme/words")
def words(text: str = "a b c") -> ConcatenateIterator[str]:
    """Streams."""
    yield from text.split()


@model("acme/files", official=False)
def files(count: int = 1) -> Iterator[bytes]:
    """Makes files, and needs a version."""
    for number in range(min(abs(count), 2)):
        yield b"%d" % number


@model("local/private", visibility="private", official=False)
def private(file: Path | None = None) -> list[str]:
    """Belongs to whoever asks."""
    return [] if file is None else [file.name]


@model("acme/broken")
def broken() -> str:
    """Fails."""
    raise RuntimeError("Prediction interrupted; please retry (code: PA)")
