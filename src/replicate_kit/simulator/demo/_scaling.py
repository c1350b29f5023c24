"""Reads the pictures that the demo models paint, and enlarges them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Self

from replicate_kit.simulator.demo._canvas import png_file

__all__ = ["Picture"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN = (8, 2, 0, 0, 0)
"""Eight bits a channel, three channels, not interlaced: what a canvas writes."""


class Picture(NamedTuple):
    """A PNG file, as a canvas writes it: its size, its rows of pixels, and what it shows."""

    width: int
    height: int
    rows: list[bytes]
    description: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Read a file. Raises ValueError for what no canvas has written."""
        try:
            return cls._read(dict(_chunks(data)))
        except (KeyError, struct.error, zlib.error) as error:
            raise ValueError(_UNREADABLE) from error

    @classmethod
    def _read(cls, chunks: dict[bytes, bytes]) -> Self:
        width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        pixels, length = zlib.decompress(chunks[b"IDAT"]), 1 + 3 * width
        lines = [pixels[at : at + length] for at in range(0, len(pixels), length)]
        if tuple(form) != _PLAIN or len(pixels) != length * height or any(line[0] for line in lines):
            raise ValueError(_UNREADABLE)
        text = chunks.get(b"tEXt", b"").partition(b"\0")[2].decode("latin-1")
        return cls(width, height, [line[1:] for line in lines], text)

    def enlarged(self, times: int) -> bytes:
        """Write it so many times as wide and as high."""
        wide = (self._widened(row, times) for row in self.rows)
        rows = b"".join((b"\0" + row) * times for row in wide)
        return png_file(self.width * times, self.height * times, rows, self.description)

    def _widened(self, row: bytes, times: int) -> bytes:
        """Repeat each pixel of a row."""
        wide = bytearray(len(row) * times)
        for channel in range(3):
            for offset in range(times):
                wide[channel + 3 * offset :: 3 * times] = row[channel::3]
        return bytes(wide)


_UNREADABLE = "The mock reads no pictures but PNG files that its own models made. Pass it one of those."


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Take a PNG file apart: the kind and the content of each part."""
    if not data.startswith(_SIGNATURE):
        raise ValueError(_UNREADABLE)
    at = len(_SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length
