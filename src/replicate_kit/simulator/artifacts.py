"""What model functions return, as JSON: files among it are kept and become URLs."""

from __future__ import annotations

import base64
import dataclasses
import enum
import io
import math
import mimetypes
import pathlib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

__all__ = ["Encoder", "sniff"]

Keep = Callable[[bytes, str], str]
"""Keeps the content of a file under a name and gives its URL."""

_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png"),
    (b"\xff\xd8\xff", 0, ".jpg"),
    (b"GIF8", 0, ".gif"),
    (b"WEBP", 8, ".webp"),
    (b"WAVE", 8, ".wav"),
    (b"ID3", 0, ".mp3"),
    (b"\xff\xfb", 0, ".mp3"),
    (b"fLaC", 0, ".flac"),
    (b"OggS", 0, ".ogg"),
    (b"ftyp", 4, ".mp4"),
    (b"\x1aE\xdf\xa3", 0, ".webm"),
    (b"%PDF", 0, ".pdf"),
    (b"PK\x03\x04", 0, ".zip"),
    (b"<svg", 0, ".svg"),
    (b"glTF", 0, ".glb"),
)
_TYPES = {".webp": "image/webp", ".wav": "audio/wav", ".flac": "audio/flac", ".glb": "model/gltf-binary"}


def sniff(content: bytes) -> str:
    """Guess the suffix of a file from how it begins; `.bin` if nothing fits."""
    for magic, offset, suffix in _MAGIC:
        if content[offset : offset + len(magic)] == magic:
            return suffix
    return ".bin"


def media_type(name: str) -> str:
    """The content type that belongs to a file's name."""
    suffix = pathlib.PurePath(name).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


class Encoder:
    """Turns one prediction's results into JSON; `keep` receives the files among them."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._names: set[str] = set()

    def encode(self, value: Any) -> Any:
        """Give JSON for `value`, or raise TypeError if there is none."""
        if value is None or isinstance(value, str | bool | int):
            return value if type(value) in (str, bool, int, type(None)) else _plain(value)
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
        if hasattr(value, "save") and hasattr(value, "format"):  # an image of Pillow's
            return self._store(_picture(value), "")
        return None

    def _store(self, content: bytes, name: str) -> str:
        """Keep content under its own name, or under one that counts."""
        if not name or name in self._names:
            name = f"out-{len(self._names)}{pathlib.PurePath(name).suffix or sniff(content)}"
        self._names.add(name)
        return self._keep(content, name)


def _plain(value: Any) -> Any:
    """Strip a subclass of str, int or bool down to it."""
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, str) else int(value)


def _contents(file: Any) -> bytes:
    """Read a file from its beginning."""
    file.seek(0)
    content = file.read()
    return content.encode() if isinstance(content, str) else bytes(content)


def _picture(image: Any) -> bytes:
    """Write an image as what it was read as, else as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format=image.format or "PNG")
    return buffer.getvalue()


def _structure(value: Any) -> Any:
    """Take apart what knows how to be plain data."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    for method in ("_asdict", "model_dump", "tolist", "item"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(
        f"A model returned {type(value).__name__}, which is neither JSON nor a file. "
        "Return text, numbers, lists, dictionaries, bytes, a Path or an open file."
    )


def data_url(url: str) -> bytes:
    """Decode a `data:` URL. Raises ValueError if it is malformed."""
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("A data URL has no comma. It looks like data:text/plain;base64,SGVsbG8=.")
    if head.endswith(";base64"):
        return base64.b64decode(_unquote(body), validate=True)
    return _unquote(body)


def _unquote(text: str) -> bytes:
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(text)
