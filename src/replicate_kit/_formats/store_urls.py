"""What folders and files in stores are named by: a path on this machine, or a URL of fsspec's."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from replicate_kit._formats.patterns import pattern

__all__ = ["EXTRAS", "FileURL", "local_path", "mark_files"]

EXTRAS: Mapping[str, str] = MappingProxyType(
    {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
)
"""The extra of replicate-kit that brings a protocol of URLs; others are fsspec's own, or of a package that it names.

>>> EXTRAS["gs"]
'gcs'
"""


class FileURL(str):
    """The URL of a file in a store, such as `s3://bucket/mystery.jpg`, as a model's input: the hook
    `replicate_encode_input` makes of it what the model can read.
    """

    __slots__ = ()


def mark_files(input: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Mark the URLs of stores among those inputs that are files; `names` are these, by the model's schema.

    >>> marked = mark_files({"image": "s3://bucket/a.jpg", "prompt": "s3://bucket/a.jpg"}, {"image"})
    >>> type(marked["image"]).__name__, type(marked["prompt"]).__name__
    ('FileURL', 'str')
    """
    return {key: _marked(value) if key in names else value for key, value in input.items()}


def _marked(value: Any) -> Any:
    """Mark a URL that nobody can fetch as it is."""
    if isinstance(value, list | tuple):
        return [_marked(each) for each in value]
    if type(value) is str and _STORE.match(value) and not value.startswith(_WEB):
        return FileURL(value)
    return value


def local_path(url: str) -> str | None:
    """The path of a file on a disk of this machine, by what it is stored as; None for one that is elsewhere.

    >>> [local_path(each) for each in ("pictures/a.png", "file:///tmp/a.png", "s3://bucket/a.png", "shelf:a")]
    ['pictures/a.png', '/tmp/a.png', None, None]
    """
    if _SCHEME.match(url) is None:
        return os.path.expanduser(url)
    scheme, _, path = url.partition("://")
    if scheme not in ("file", "local"):
        return None
    return os.path.expanduser(path[1:] if _DRIVE.match(path) else path)


_SCHEME = pattern(r"[A-Za-z][A-Za-z0-9+.-]+:")  # one letter is a drive
_DRIVE = pattern(r"/[A-Za-z]:")
_STORE = pattern(r"[a-z][a-z0-9+.-]*(::|://)")
_WEB = ("http://", "https://", "data:")
