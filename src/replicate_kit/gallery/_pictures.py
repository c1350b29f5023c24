"""One picture for the cell of a table."""

from __future__ import annotations

import base64
from html import escape
from importlib import import_module
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from replicate_kit._formats.file_names import media_type

__all__ = ["picture"]

_LARGEST = 4 * 2**20  # bytes of a picture that is put into a page whole, where Pillow cannot make it smaller


def picture(address: str, width: int) -> str:
    """Make the HTML element for one picture, `width` pixels wide; what is no picture is text in it.

    `address` is a local path, or a `file:`, `data:` or web address. A local picture becomes a part of the page.

    >>> from replicate_kit import gallery
    >>> gallery.picture("https://example.com/a.png", 64)
    '<img src="https://example.com/a.png" alt="a.png" style="width: 64px">'
    """
    source = _source(address, width)
    if source is None:
        return escape(address)
    return f'<img src="{escape(source)}" alt="{escape(Path(address[:200]).name)}" style="width: {width}px">'


def _source(address: str, width: int) -> str | None:
    """Say where a browser finds a picture; None if it cannot."""
    if address.lower().startswith(("http://", "https://", "data:image/")):
        return address
    try:
        path = Path(url2pathname(urlsplit(address).path) if address.startswith("file:") else address)
        kind = media_type(path.name) or ""
        if not kind.startswith("image/") or not path.is_file():
            return None
        return _small(path, width) or _whole(path, kind)
    except (OSError, ValueError):  # a text that is no path, such as one that is too long for it
        return None


def _small(path: Path, width: int) -> str | None:
    """Make a small copy, sharp on fine screens too, if Pillow is installed and can read the picture."""
    try:
        import_module("PIL")
        image = import_module("PIL.Image")
    except ImportError:
        return None
    try:
        with image.open(path) as picture:
            picture.thumbnail((2 * width, 8 * width))
            packed = BytesIO()
            picture.convert("RGBA").save(packed, "PNG")
    except (OSError, ValueError):
        return None
    return _data(packed.getvalue(), "image/png")


def _whole(path: Path, kind: str) -> str | None:
    """Take a picture as it is, unless it is too large for a page."""
    return _data(path.read_bytes(), kind) if path.stat().st_size <= _LARGEST else None


def _data(content: bytes, kind: str) -> str:
    """Write a `data:` URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
