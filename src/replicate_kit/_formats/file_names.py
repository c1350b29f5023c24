"""Names of files: safe on every system, and with the extension that fits the content; no I/O."""

from __future__ import annotations

import functools
import os
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from replicate_kit._formats.patterns import pattern

if TYPE_CHECKING:
    import mimetypes

__all__ = [
    "LONGEST",
    "UNKNOWN_TYPE",
    "avoid_device",
    "extension",
    "inline_type",
    "is_device_name",
    "is_partial_name",
    "media_type",
    "partial_name",
    "safe_name",
    "shortened",
]

LONGEST = 120
"""The most bytes that `safe_name` makes of a text: file systems end at 255, and others add to the name."""

UNKNOWN_TYPE = "application/octet-stream"
"""The media type that says nothing."""


def safe_name(text: str, longest: int = LONGEST) -> str:
    """Make a file name of any text: one that stays in its folder on every system, and that people can read.

    It has at most `longest` bytes in UTF-8, and one more where it would be a device's: whatever extension is added,
    it is no name that Windows keeps for one. Texts that differ only in their case or their Unicode form may become
    one name, as they may on disks: add a number where each needs a name of its own.

    >>> safe_name("../A wombat, at sea/…"), safe_name("con.txt")
    ('A-wombat-at-sea', 'con_.txt')
    """
    import unicodedata  # a megabyte, for names of files alone

    plain = unicodedata.normalize("NFKC", text)
    words = re.sub(r"-{2,}", "-", re.sub(r"[^\w.=+-]+", "-", plain)).strip("-.")
    return avoid_device(shortened(words, longest).strip("-.") or "output"[:longest])


def is_device_name(name: str) -> bool:
    """Whether Windows takes a file's name for a device, whatever its extension and the blanks and dots at the end.

    >>> is_device_name("con .txt"), is_device_name("console.txt")
    (True, False)
    """
    return _DEVICES.match(name) is not None


def avoid_device(name: str) -> str:
    """Give a name, or one like it that is no device's: what counts is what stands before the first dot.

    >>> avoid_device("nul.tar.gz"), avoid_device("null.tar.gz")
    ('nul_.tar.gz', 'null.tar.gz')
    """
    if not is_device_name(name):
        return name
    stem, dot, rest = name.partition(".")
    return f"{stem.rstrip()}_{dot}{rest}"


# The names that Microsoft's "Naming Files, Paths, and Namespaces" keeps; superscript digits count as digits there.
_DEVICES = pattern(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d\u00b9\u00b2\u00b3])\s*(\.|:|$)", re.IGNORECASE
)


def shortened(text: str, longest: int) -> str:
    """Cut a text to so many bytes of UTF-8, between two characters."""
    return text.encode(errors="ignore")[:longest].decode(errors="ignore")


def partial_name(name: str) -> str:
    """Name a file that is not complete yet after what it will be: hidden, and like no other.

    >>> partial = partial_name("picture.png")
    >>> partial.startswith(".picture.png."), partial.endswith(".part")
    (True, True)
    """
    return f".{shortened(name, 100)}.{os.urandom(4).hex()}.part"


def is_partial_name(name: str) -> bool:
    """Tell whether a name is one that `partial_name` makes."""
    return _PARTIAL.fullmatch(name) is not None


_PARTIAL = pattern(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)


def extension(content_type: str | None, url: str, head: bytes) -> str:
    """Choose a file's extension, with its dot: by its content type, else its URL, else its first bytes.

    Types that say nothing (`application/octet-stream`) and a URL that says it more precisely are seen
    through. Empty where nothing is known.

    >>> extension("image/webp", "https://example.com/out", b"")
    '.webp'
    >>> extension("application/octet-stream", "https://example.com/out-0.PNG", b"")
    '.png'
    >>> extension(None, "https://example.com/out", b"OggS")
    '.ogg'
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    named = _named(url)
    if named and (kind in _VAGUE or media_type(f"file{named}") == kind):
        return named
    return _BY_TYPE.get(kind) or _guessed(kind) or named or _by_magic(head) or _LAST.get(kind, "")


def media_type(name: str) -> str | None:
    """Tell the media type that the name of a file stands for, alike on every system; None where nothing is known.

    >>> media_type("out-0.WEBP"), media_type("Makefile")
    ('image/webp', None)
    """
    suffix = posixpath.splitext(name)[1].lower()
    # A colon would be read as the end of a URL's scheme.
    return _BY_SUFFIX.get(suffix) or _tables().guess_type(name.replace(":", "_"), strict=False)[0]


def inline_type(name: str) -> str | None:
    """Tell the media type by which a data URL keeps the suffix of a file's name; None where no type does.

    A data URL has no name: the model gets a file whose suffix is made of the type. A suffix counts as kept where
    another that means the same comes of it, such as `.jpg` of `.jpeg`, and in small letters. A name without a
    suffix has none to lose.

    >>> inline_type("speech.WAV"), inline_type("events.jsonl"), inline_type("README")
    ('audio/x-wav', None, 'application/octet-stream')
    """
    suffix = posixpath.splitext(name)[1].lower()
    return _INLINE.get(_SAME.get(suffix, suffix)) if suffix else UNKNOWN_TYPE


_VAGUE = frozenset({"", UNKNOWN_TYPE, "binary/octet-stream", "text/plain"})
_LAST = {"text/plain": ".txt"}

# Python's own tables lack WebP and more, and differ by version; these do not. Of several
# types with one suffix, the first is what the suffix stands for.
_BY_TYPE = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/x-tar": ".tar",
    "application/zip": ".zip",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/x-wav": ".wav",
    "image/avif": ".avif",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "model/gltf-binary": ".glb",
    "text/csv": ".csv",
    "text/html": ".html",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
}
_BY_SUFFIX = {suffix: kind for kind, suffix in reversed(_BY_TYPE.items())}


@functools.cache
def _tables() -> mimetypes.MimeTypes:
    """Python's own tables, without those of the system."""
    import mimetypes

    return mimetypes.MimeTypes()


# What a model's side makes of a data URL: cog 0.16 and 0.23 name it "file" + mimetypes.guess_extension(type)
# (`get_filename` in cog/types.py). Here are the types for which that is the suffix in Python 3.8 to 3.13, with and
# without tables of the system: WebP, Opus, M4A, Markdown and many more are named by some versions only.
_INLINE = {
    ".aif": "audio/x-aiff",
    ".au": "audio/basic",
    ".avi": "video/x-msvideo",
    ".bin": UNKNOWN_TYPE,
    ".css": "text/css",
    ".csv": "text/csv",
    ".doc": "application/msword",
    ".eml": "message/rfc822",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".pbm": "image/x-portable-bitmap",
    ".pdf": "application/pdf",
    ".pgm": "image/x-portable-graymap",
    ".png": "image/png",
    ".pnm": "image/x-portable-anymap",
    ".ppm": "image/x-portable-pixmap",
    ".ppt": "application/vnd.ms-powerpoint",
    ".ps": "application/postscript",
    ".py": "text/x-python",
    ".sh": "application/x-sh",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tex": "application/x-tex",
    ".tiff": "image/tiff",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".vcf": "text/x-vcard",
    ".wasm": "application/wasm",
    ".wav": "audio/x-wav",
    ".webm": "video/webm",
    ".xls": "application/vnd.ms-excel",
    ".xml": "text/xml",
    ".zip": "application/zip",
}
_SAME = {".aiff": ".aif", ".htm": ".html", ".jpeg": ".jpg", ".jpe": ".jpg", ".mpg": ".mpeg", ".tif": ".tiff"}


def _guessed(kind: str) -> str | None:
    """Ask Python's tables, except for types that say nothing."""
    return None if kind in _VAGUE else _tables().guess_extension(kind, strict=False)


def _named(url: str) -> str:
    """The extension in a URL's path, in small letters; a `data:` URL has none."""
    parts = urlsplit(url[:4096])
    name = "" if parts.scheme == "data" else unquote(posixpath.basename(parts.path))
    found = re.search(r"[^.](\.tar)?(\.[A-Za-z][A-Za-z0-9]{0,11}|\.3mf|\.7z|\.3gp)$", name)
    return "" if found is None else found[0][1:].lower()


# First bytes that settle what a file is: (offset, bytes, extension).
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"GIF8", ".gif"),
    (8, b"WEBP", ".webp"),
    (8, b"WAVE", ".wav"),
    (4, b"ftypavif", ".avif"),
    (4, b"ftypqt", ".mov"),
    (4, b"ftypM4A", ".m4a"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1aE\xdf\xa3", ".webm"),
    (0, b"OggS", ".ogg"),
    (0, b"fLaC", ".flac"),
    (0, b"ID3", ".mp3"),
    (0, b"\xff\xfb", ".mp3"),
    (0, b"%PDF-", ".pdf"),
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x1f\x8b", ".gz"),
    (257, b"ustar", ".tar"),
    (0, b"glTF", ".glb"),
    (0, b"<svg", ".svg"),
)


def _by_magic(head: bytes) -> str | None:
    """See what a file is by its first bytes."""
    return next((suffix for at, magic, suffix in _MAGIC if head[at : at + len(magic)] == magic), None)
