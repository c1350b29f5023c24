"""The rule of the token: it goes to the API's own origin, and nowhere else.

The URL of a file or a stream may have been chosen by a model or a server. With those it goes to the API's files and
streams alone: an output that names another operation must not have that read in the caller's name.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TypeVar

from replicate_kit import errors
from replicate_kit._formats.patterns import pattern
from replicate_kit._http.links import Links
from replicate_kit.config import API_URL, Config
from replicate_kit.transport import URL, Abilities, Backend

__all__ = ["TokenOrigin", "parsed", "with_kept_token"]

_REPLICATE = URL(API_URL)

# Plain names only: servers differ in what they make of encoded slashes and of dots.
_NAME = r"/[A-Za-z0-9_-][A-Za-z0-9_.~-]*"
_FILE_PATH = pattern(rf"files(?:{_NAME})+")
# Recorded streams are /v1/streams/… and /v1/files/…, on hosts of their own; a gateway may have them below its base URL.
# The others are how servers that speak the API's protocol name the events of a prediction.
_STREAM_PATH = pattern(
    rf"(?:files|streams?)(?:{_NAME})+|(?:(?:models|deployments){_NAME}{_NAME}/)?predictions{_NAME}/(?:stream|events)"
)


C = TypeVar("C", bound=Config)


def with_kept_token(config: C, backend: Backend) -> C:
    """Let a client whose backend asks for that use the token that was kept for the origin of its base URL."""
    if not getattr(backend, "abilities", Abilities()).kept_token:
        return config
    return dataclasses.replace(config, kept_for=URL(backend.base_url(config)).origin)


class TokenOrigin:
    """Decides for one API, whose root `base_url` is, which URLs are asked with the token."""

    def __init__(self, base_url: URL, links: Links) -> None:
        self._base_url, self._links = base_url, links
        self._base_path = base_url.path

    def is_own(self, url: URL) -> bool:
        """Whether a URL is of the API's own origin."""
        return url.origin == self._base_url.origin

    def is_api_file(self, url: URL) -> bool:
        """Whether a URL is that of one of the API's files: those may be on a private host, as the API itself may."""
        return self._leads_to(url, _FILE_PATH)

    def _leads_to(self, url: URL, kind: re.Pattern[str]) -> bool:
        """Whether a URL is one of the API's paths of that kind."""
        return self.is_own(url) and _below(url, self._base_path, kind) is not None

    def is_api(self, url: URL) -> bool:
        """Whether a URL is of the API's operations, or claims to be: of Replicate's host, nothing else is fetched."""
        # A dot at its end makes another text of a name, and no other host (RFC 1034 §3.1).
        if url.host.rstrip(".").lower() == _REPLICATE.host:
            return True
        path = url.path
        return self.is_own(url) and (path if path.endswith("/") else path + "/").startswith(self._base_path)

    def of_stream(self, url: URL) -> tuple[URL, bool]:
        """Find where a stream is, and whether the token goes there.

        Of the API's own operations none is a stream, so none is asked for because an answer calls it one. What is
        beside the base URL is asked without a token: streams are read without one (the API's JavaScript and Go clients
        send none).
        """
        led, own = self._at_home(url, _STREAM_PATH)
        if own is None:
            raise errors.InvalidResponse(
                f"{_shown(url)} was not opened: it is an operation of the API, and neither a stream nor a file. What "
                f"an answer names as a stream {_UNASKED}"
            )
        return led, own

    def of_file(self, url: URL) -> tuple[URL, bool]:
        """Find where a file is, and whether the token goes there.

        Behind a gateway the API names its files by its own host still; they are fetched from the gateway.
        """
        led, own = self._at_home(url, _FILE_PATH)
        if own is None:
            raise errors.FileError(
                f"The file {_shown(url)} was not fetched: it is an operation of the API, and not one of its files. "
                f"What a model names {_UNASKED}"
            )
        return led, own

    def _at_home(self, url: URL, kind: re.Pattern[str]) -> tuple[URL, bool | None]:
        """Find where a URL leads that somebody else chose, and whether the token goes there; None where nothing does.

        The token goes to the API's paths of that kind. Its other operations are not asked because an answer names them.
        """
        led = parsed(self._links.through(str(url)))
        # Servers and parsers differ in what they make of user names and of doubled slashes. The token does not go to a
        # URL that has one of them.
        plain = not url.userinfo and not led.userinfo and "//" not in url.path
        if plain and self._leads_to(led, kind):
            return led, True
        return led, None if self.is_api(url) or self.is_api(led) else False


_UNASKED = "is not asked with your token; call the operation yourself if you want its answer."


def _shown(url: URL) -> str:
    """Name a URL without what may be secret in it."""
    return repr(url.bare[:200])


def parsed(url: str) -> URL:
    """Parse any URL."""
    try:
        return URL(url)
    except errors.InvalidURL as error:
        raise errors.TransportError(str(error)) from error


def _below(url: URL, root: str, pattern: re.Pattern[str]) -> str | None:
    """The path of a URL below a root, if it has this form."""
    path = url.path
    found = pattern.fullmatch(path.removeprefix(root)) if path.startswith(root) else None
    return found and found[0]
