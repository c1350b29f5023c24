"""Tables of text that gzip has compressed, as the end of their names says."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from replicate_kit.cli._tables.unreadable import TableError

__all__ = ["GZIP", "compressing", "open_bytes", "split_name"]

GZIP = ".gz"
"""How the names of compressed tables end."""


def split_name(path: Path) -> tuple[str, str]:
    """Split the name of a table from how it ends, which says what is in it.

    >>> from pathlib import Path
    >>> from replicate_kit.cli._tables.compressed import split_name
    >>> split_name(Path("old/animals.csv.gz")), split_name(Path("animals.CSV"))
    (('animals', '.csv.gz'), ('animals', '.CSV'))
    """
    if path.suffix.lower() != GZIP:
        return path.stem, path.suffix
    inner = Path(path.stem)
    return inner.stem, inner.suffix + path.suffix


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be read, as it was before it was compressed."""
    try:
        with cast("IO[bytes]", gzip.open(path) if path.suffix.lower() == GZIP else path.open("rb")) as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableError(
            f"{path} cannot be read: it is not compressed by gzip, or damaged ({error}). Rename it, or write it anew."
        ) from None


@contextmanager
def compressing(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """Give what writes to an open file, compressed if its name says so; alike rows give alike files."""
    if path.suffix.lower() != GZIP:
        yield file
        return
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        yield cast("BinaryIO", packed)
