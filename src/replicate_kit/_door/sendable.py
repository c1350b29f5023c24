"""Headers of a client's own: whether a request can carry them, told before one is made.

HTTP libraries tell it at the first request, with the value in the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from replicate_kit._door.headers import Headers
from replicate_kit._formats.pairs import entries
from replicate_kit.errors import ConfigError, InputError, ReplicateError

__all__ = ["CheckedHeaders", "check_headers"]

# A token of https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SENDABLE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")


def check_headers(options: Mapping[str, Any], kind: type[ReplicateError] = ConfigError) -> None:
    """Raise an error of a `kind` for headers and cookies among options that no request can carry.

    It names the header, and says what is wrong with its value without showing that.
    """
    for option, check in (("headers", _check_header), ("cookies", _check_cookie)):
        given = options.get(option)
        if given is None:
            continue
        try:
            for name, value in _pairs(given):
                check(name, value)
        except ValueError as error:
            raise kind(f"{option}= has {error}") from None


class CheckedHeaders(Headers):
    """Headers of which it is known that a request can carry them, for those that go with many requests."""

    def __init__(self, given: Mapping[str, str], /) -> None:
        check_headers({"headers": given}, InputError)
        super().__init__(given)


def _pairs(given: Any) -> list[tuple[Any, Any]]:
    """The names and values of headers or cookies; what shows no pairs is looked at when it is sent."""
    if not (hasattr(given, "items") or isinstance(given, Iterable)):
        raise ValueError(f"a {type(given).__name__} in it. Pass a mapping of texts by their names.")
    return [tuple(each) for each in entries(given) if isinstance(each, tuple | list) and len(each) == 2]


def _check_cookie(name: Any, value: Any) -> None:
    """Refuse a cookie by a `ValueError`: it is a part of one header, and takes whatever a header takes."""
    for each in (name, value):
        if isinstance(each, str) and (problem := _wrong_with(each.strip(" \t"))) is not None:
            named = repr(name) if each is value else "a name"
            raise ValueError(
                f"{named} with {problem}, which cannot be sent. Take that out; its value is not shown."
            )


def _check_header(name: Any, value: Any) -> None:
    """Refuse one header by a `ValueError`."""
    if type(name) is type(value) is str and _NAME.fullmatch(name) and _SENDABLE.fullmatch(value):
        return  # as nearly all are
    if not isinstance(name, str | bytes) or not _NAME.fullmatch(_header_text(name)):
        raise ValueError(
            "a name that cannot be sent. Names are letters, digits and hyphens; they hold no spaces, "
            "line breaks or colons. If you passed (value, name), pass (name, value)."
        )
    if not isinstance(value, str | bytes):
        raise ValueError(f"{_header_text(name)!r} as {type(value).__name__}, and not as text. Pass a text.")
    problem = _wrong_with(value)
    if problem is not None:
        raise ValueError(
            f"{_header_text(name)!r} with {problem}, which cannot be sent. Its value is not shown, as it "
            "may be a secret: take that out, for example with .strip() where it was read from a file."
        )


def _header_text(given: str | bytes) -> str:
    """A name or value as text."""
    return given if isinstance(given, str) else given.decode("latin-1")


def _wrong_with(value: str | bytes) -> str | None:
    """What no HTTP library would send of a value."""
    text = _header_text(value)
    if re.search(r"[\r\n]", text):
        return "a line break"
    if re.search(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        return "a control character"
    if text != text.strip(" \t"):
        return "a space at its beginning or end"
    if isinstance(value, str) and not value.isascii():
        return "a character that is not ASCII"
    return None
