"""A canvas that is painted column by column, and written as PNG.

Everything is done on whole slices of bytes, so that pure Python is fast enough: a column is a strip of each of the
three channels, from top to bottom, and a gradient is a strip that columns copy parts of.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

__all__ = ["Canvas", "Color", "Gradient", "mix", "png_file"]

Color = tuple[float, float, float]
"""Red, green and blue from 0 to 255."""


def mix(one: Color, other: Color, part: float) -> Color:
    """Go from `one` (0) to `other` (1)."""
    red, green, blue = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return red, green, blue


class Gradient:
    """Colors from the top of the canvas to its bottom, one strip for each channel."""

    def __init__(self, colors: Sequence[Color]) -> None:
        self.strips = [bytes(int(color[channel]) for color in colors) for channel in range(3)]

    @classmethod
    def between(cls, stops: Sequence[tuple[float, Color]], height: int) -> Gradient:
        """Blend the colors of stops, which are (height, color) with heights from 0 (top) to 1."""
        colors = []
        for y in range(height):
            at = y / height
            below = next((stop for stop in stops if stop[0] >= at), stops[-1])
            above = next((stop for stop in reversed(stops) if stop[0] <= at), stops[0])
            span = below[0] - above[0]
            colors.append(mix(above[1], below[1], (at - above[0]) / span if span else 0.0))
        return cls(colors)

    def tinted(self, color: Color, part: float) -> Gradient:
        """The same gradient with some of a color in it."""
        tinted = Gradient(())
        for channel, strip in enumerate(self.strips):
            share = color[channel] * part
            tinted.strips[channel] = bytes(int(value * (1 - part) + share) for value in strip)
        return tinted


class Canvas:
    """Columns of pixels. Edges are smooth: the pixel that an edge crosses is blended."""

    def __init__(self, width: int, height: int, background: Gradient) -> None:
        self.width, self.height = width, height
        self._columns = [[bytearray(strip) for strip in background.strips] for _ in range(width)]

    def fill(self, x: int, top: float, bottom: float, gradient: Gradient) -> None:
        """Paint one column from `top` down to `bottom` (pixels, which may have fractions)."""
        top, bottom = max(0.0, top), min(float(self.height), bottom)
        if top >= bottom:
            return
        first, last = int(top), int(bottom)
        for column, strip in zip(self._columns[x], gradient.strips, strict=True):
            edges = [(first, 1 - top + first), (last, bottom - last)]
            blended = [
                (y, _blend(column[y], strip[y], part)) for y, part in edges if y < self.height and part > 0
            ]
            column[first:last] = strip[first:last]
            for y, value in blended:
                column[y] = value

    def dot(self, x: int, y: int, color: Color, part: float) -> None:
        """Blend a color into one pixel."""
        if 0 <= x < self.width and 0 <= y < self.height:
            for column, value in zip(self._columns[x], color, strict=True):
                column[y] = _blend(column[y], int(value), part)

    def png(self, text: str = "") -> bytes:
        """Write the picture, with a description inside."""
        planes = [b"".join(column[channel] for column in self._columns) for channel in range(3)]
        rows = bytearray()
        for y in range(self.height):
            row = bytearray(3 * self.width)
            for channel, plane in enumerate(planes):
                row[channel::3] = plane[y :: self.height]
            rows += b"\x00" + row
        return png_file(self.width, self.height, bytes(rows), text)


def png_file(width: int, height: int, rows: bytes, text: str) -> bytes:
    """Write rows of pixels, a zero before each, with a description."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    described = b"Description\0" + text.encode("latin-1", "replace")
    chunks = ((b"IHDR", header), (b"tEXt", described), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _blend(below: int, above: int, part: float) -> int:
    return int(below + (above - below) * part)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
