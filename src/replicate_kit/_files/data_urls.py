"""Files in `data:` URLs, as small inputs are sent and some models give their outputs."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from replicate_kit.errors import FileError

__all__ = ["DataURL"]


class DataURL(NamedTuple):
    """The parts of a `data:` URL (RFC 2397), in base64 or percent-encoded.

    >>> DataURL.parse("data:text/plain,hello%20there").content
    b'hello there'
    """

    media_type: str
    content: bytes

    def __repr__(self) -> str:
        # Without the content: tools that show local variables would show whole files.
        return f"{type(self).__name__}(media_type={self.media_type!r})"

    @classmethod
    def parse(cls, url: str) -> DataURL:
        """Decode a `data:` URL; raises `FileError` if it is malformed."""
        head, comma, body = url.partition(",")
        if not comma or not head[:5].lower() == "data:":
            raise FileError(f"{url[:40]!r} is not a data URL: it has no comma after its media type.")
        media_type, *parameters = head[5:].split(";")
        encoded = any(each.strip().lower() == "base64" for each in parameters)
        return cls(
            media_type.strip().lower() or "text/plain", _unbase64(body) if encoded else unquote_to_bytes(body)
        )


def _unbase64(text: str) -> bytes:
    """Decode either alphabet, with or without padding, as they occur in the wild."""
    packed = "".join(unquote(text).split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except ValueError as error:
        raise FileError(f"A data URL holds malformed base64 ({error}).") from error
