"""What a value in an output is: a file of some kind that a page can show, or not a file at all."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from replicate_kit._files.outputs import FileOutput, is_linkable
from replicate_kit._formats.file_names import media_type
from replicate_kit._formats.wording import with_safe_repr

__all__ = ["Kind", "Media", "find_media"]

Kind = Literal["image", "audio", "video", "file"]

_SHOWN = ("image", "audio", "video")
_LINKED = ("http", "https", "file", "data")


@with_safe_repr
@dataclass(frozen=True)
class Media:
    """A file: what it is, its name, and where a page finds it; `link` is None where no browser can."""

    kind: Kind
    name: str
    link: str | None


def find_media(value: object, folder: Path, files: Collection[str] = ()) -> Media | None:
    """Tell what file a value is, for a page in `folder`; None if it is not one.

    A text counts as a file if it says so (`FileOutput`), if it is one of the `files` that are known to be, or
    if it is nothing but a URL. Local files below the folder get relative links, so that it can be moved.

    >>> from pathlib import Path
    >>> find_media("https://example.com/out-0.webp", Path("/pages"))
    Media(kind='image', name='out-0.webp', link='https://example.com/out-0.webp')
    >>> find_media("https://example.com/ is a page", Path("/pages"))
    """
    if not isinstance(value, str):
        return None
    known = isinstance(value, FileOutput) or value in files
    text = value.url if isinstance(value, FileOutput) else value
    if not known and not _is_url(text):
        return None
    if text[:5].lower() == "data:":
        link = text if is_linkable(text) else None
        return Media(_kind_of(text[5:].partition(",")[0].partition(";")[0]), "", link)
    try:
        name = unquote(PurePath(urlsplit(text).path).name) if "://" in text else PurePath(text).name
        return Media(_kind_of(media_type(name) or ""), name, _link(text, folder))
    except ValueError:  # no URL after all, such as http://[, or a path that no page can name
        return Media("file", text, None) if known else None


def _is_url(text: str) -> bool:
    """Whether a text is a URL and nothing else."""
    head = text[:2048]
    scheme, colon, _ = head.partition(":")
    return bool(colon) and scheme.lower() in _LINKED and not any(each.isspace() for each in head)


def _kind_of(type_: str) -> Kind:
    """Tell what can be done with a media type."""
    kind = type_.partition("/")[0].lower()
    return kind if kind in _SHOWN else "file"  # type: ignore[return-value]


def _link(text: str, folder: Path) -> str | None:
    """Where a page in `folder` finds a file; None for stores that browsers do not speak with."""
    scheme = urlsplit(text).scheme.lower() if "://" in text else ""
    if scheme in ("http", "https"):
        return text if is_linkable(text) else None
    if scheme not in ("", "file") or text.startswith(("//", "\\\\")):  # another machine's, on some systems
        return None
    path = Path(url2pathname(urlsplit(text).path) if scheme else text)
    try:
        relative = os.path.relpath(path.absolute(), folder.absolute())
    except ValueError:  # on another drive
        return path.absolute().as_uri()
    if relative.startswith(os.pardir):
        return path.absolute().as_uri()
    # Names of files are bytes where they are not text.
    return quote(PurePath(relative).as_posix(), errors="surrogateescape")
