"""What model functions return, as JSON: files among it are kept and become URLs."""

from __future__ import annotations

import io
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from replicate_kit._files.input_files import is_picture, picture_file
from replicate_kit._files.inputs import plain
from replicate_kit._formats.file_names import extension

__all__ = ["Encoder", "named_by"]

Keep = Callable[[bytes, str], str]
"""Keeps the content of a file under a name and gives its URL."""


def named_by(content: bytes, media_type: str | None = None) -> str:
    """Choose the suffix of a file by what is said of it and how it begins; `.bin` if nothing is known.

    >>> named_by(b"GIF89a")
    '.gif'
    """
    return extension(media_type, "", content) or ".bin"


class Encoder:
    """Turns one prediction's results into JSON; `keep` receives the files among them."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._names: set[str] = set()

    def encode(self, value: Any) -> Any:
        """Give JSON for `value`, or raise TypeError if there is none."""
        if value is None or isinstance(value, str | bool | int):
            # A member of an enum may be a str or an int as well, and has to become its value.
            return value if type(value) in (str, bool, int, type(None)) else plain(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return {str(key): self.encode(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_asdict"):
            return [self.encode(each) for each in value]
        return self._file(value) or self.encode(_structure(value))

    def _file(self, value: Any) -> str | None:
        """Keep a file and give its URL, or decline."""
        if isinstance(value, bytes | bytearray | memoryview):
            return self._store(bytes(value), "")
        if isinstance(value, pathlib.Path):
            return self._store(value.read_bytes(), value.name)
        if isinstance(value, io.IOBase) or (hasattr(value, "read") and hasattr(value, "seek")):
            return self._store(_contents(value), pathlib.PurePath(str(getattr(value, "name", ""))).name)
        if is_picture(value):
            return self._store(picture_file(value).read(), "")
        return None

    def _store(self, content: bytes, name: str) -> str:
        """Keep content under its own name, or under one that counts."""
        if not name or name in self._names:
            # Output files on replicate.delivery are called out-0.png and so on.
            name = f"out-{len(self._names)}{pathlib.PurePath(name).suffix or named_by(content)}"
        self._names.add(name)
        return self._keep(content, name)


def _contents(file: Any) -> bytes:
    """Read a file from its beginning."""
    file.seek(0)
    content = file.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _structure(value: Any) -> Any:
    """Take apart what knows how to be plain data; by their names, where its parts have names."""
    for method in ("_asdict", "model_dump"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    if (reduced := plain(value)) is not None:
        return reduced
    raise TypeError(
        f"A model returned {type(value).__name__}, which is neither JSON nor a file. "
        "Return text, numbers, lists, dictionaries, bytes, a Path or an open file."
    )
