"""A table with its pictures in it, for notebooks."""

from __future__ import annotations

import base64
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd

from replicate_kit.gallery import media_type

__all__ = ["PictureTable"]

_LARGEST = 4 * 2**20  # bytes of a picture that is put into a page whole, where Pillow cannot make it smaller
_LONGEST = 200  # characters of a text
_MARK = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class PictureTable:
    """A DataFrame whose `columns` name pictures: a notebook shows them, `width` pixels wide.

    Cells are local paths, `file:`, `data:` and web addresses, or lists of them. Local pictures become part of the
    page, so that the notebook can be moved without them. Everything else is shown as pandas shows it; what stands
    in the table is text and never markup.
    """

    frame: pd.DataFrame
    columns: Sequence[Hashable]
    width: int = 128
    rows: int = 60

    def _repr_html_(self) -> str:
        """Make the table."""
        pictures: list[str] = []
        shown = self.frame.head(self.rows).copy(deep=False)
        for name in self.columns:
            shown[name] = pd.Series(
                [self._mark(cell, pictures) for cell in shown[name]], index=shown.index, dtype=object
            ).array
        with pd.option_context("display.max_colwidth", _LONGEST):
            table = shown.to_html(max_rows=self.rows, na_rep="", border=0, notebook=True)
        more = len(self.frame) - len(shown)
        note = f"<p>… and {more} more rows</p>" if more > 0 else ""
        page = _MARK.sub(lambda match: pictures[int(match[1])], table) + note
        # A notebook cannot send halves of surrogate pairs.
        return page.encode("utf-8", "backslashreplace").decode("utf-8")

    def __repr__(self) -> str:
        return repr(self.frame)

    def _mark(self, cell: Any, pictures: list[str]) -> Any:
        """Replace a picture by its number: pandas escapes and shortens what it finds in a cell."""
        cells: Iterable[Any] = cell if isinstance(cell, list | tuple) else [cell]
        if not all(isinstance(each, str) for each in cells):
            return cell
        pictures.append("".join(_picture(each, self.width) for each in cells))
        return f"\ue000{len(pictures) - 1}\ue001"


def _picture(address: str, width: int) -> str:
    """Make the element for one picture."""
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
        from PIL import Image
    except ImportError:
        return None
    try:
        with Image.open(path) as picture:
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
