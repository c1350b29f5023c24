"""Read `multipart/form-data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replicate_kit.simulator._state.problems import bad_request

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["Part", "parse"]


class Part(NamedTuple):
    """One field of a form."""

    name: str
    filename: str | None
    content_type: str | None
    content: bytes


def parse(content_type: str, body: bytes) -> dict[str, Part]:
    """Split a form into its fields, by name; what is not a form is answered with 400."""
    header = _headers(f"content-type: {content_type}".encode("utf-8", "replace"))
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise bad_request("Expected a multipart/form-data body with a boundary")
    # The email package takes bodies for text, so it reads only the headers. The line break before a boundary belongs
    # to the boundary (RFC 2046, 5.1.1); the first one has none, and is given one so that all are split alike.
    chunks = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("utf-8", "replace"))
    if len(chunks) < 2 or not chunks[-1].startswith(b"--"):
        raise bad_request("The multipart body ends before its closing boundary")
    parts = [_part(chunk) for chunk in chunks[1:-1]]
    return {part.name: part for part in parts}


def _part(chunk: bytes) -> Part:
    head, blank, content = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        raise bad_request("A part of the multipart body has no content")
    headers = _headers(head)
    name = headers.get_param("name", header="content-disposition")
    filename = headers.get_filename()
    given = headers.get_content_type() if "content-type" in headers else None
    return Part(_unescape(str(name or "")), None if filename is None else _unescape(filename), given, content)


def _headers(text: bytes) -> Message:
    from email.parser import HeaderParser  # large, and for uploads only
    from email.policy import compat32

    return HeaderParser(policy=compat32).parsestr(text.decode("utf-8", "replace"))


def _unescape(text: str) -> str:
    """Undo how browsers and clients write quotes and line ends in names."""
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
