"""Links that the API sends: where they lead when the API is reached through a gateway; no I/O.

Behind a gateway, such as Cloudflare's or Portkey's, links still name the API's own host and path. To follow them as
they are would leave the gateway, and there may be no token that the API itself would take.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from replicate_kit.config import API_URL
from replicate_kit.errors import InvalidResponse

__all__ = ["Links"]

_VERSION = "/v1/"
_ABSOLUTE = re.compile(r"/|[a-zA-Z][a-zA-Z0-9+.-]*://")


class Links:
    """Leads the API's links below the base URL, whose form is `https://host/path/`.

    >>> links = Links("https://gateway.example/v1/me/replicate/")
    >>> links.below("https://api.replicate.com/v1/predictions?cursor=abc")
    'predictions?cursor=abc'
    >>> links.through("https://api.replicate.com/v1/files/abc")
    'https://gateway.example/v1/me/replicate/files/abc'
    >>> links.through("https://replicate.delivery/abc/out.png")
    'https://replicate.delivery/abc/out.png'
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._host, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._origin = _origin(parts)
        self._names = {_origin(urlsplit(API_URL))} - {self._origin}
        # How links begin that tell nothing new, as nearly all do.
        self._known: tuple[str, ...] = (f"{self._host}/",)

    def below(self, link: str) -> str:
        """Take the path and the query of a link, without the root of the API.

        A path of an operation, without a slash before it, is given as it is. Raises `InvalidResponse` for a link
        that is not one of the API's operations.
        """
        if not _ABSOLUTE.match(link):
            return link
        # What begins with slashes names no host: it stays below the base URL, whatever it is.
        parts = SplitResult("", "", *_cut(link)) if link.startswith("/") else urlsplit(link)
        found = self._operation(parts.path)
        if found is None and parts.scheme:
            raise InvalidResponse(f"The API sent the link {link!r}, which is not one of its own operations.")
        path = parts.path.lstrip("/") if found is None else found
        return path + (f"?{parts.query}" if parts.query else "")

    def through(self, url: str) -> str:
        """Give the URL by which to fetch something: at the gateway where the API's own origin is named, else as it
        is.
        """
        if not self._names or "://" not in url:
            return url
        try:
            parts = urlsplit(url)
            path = self._reached(parts.path) if _origin(parts) in self._names else None
        except ValueError:
            return url
        return url if path is None else self._host + path + (f"?{parts.query}" if parts.query else "")

    def learn(self, answer: object) -> None:
        """Take from an answer by which origin the API calls itself, if the gateway did not change that."""
        for link in _links_of(answer):
            if link.startswith(self._known):
                continue
            try:
                parts = urlsplit(link)
                origin = _origin(parts)
            except ValueError:
                continue
            if (
                parts.scheme in ("http", "https")
                and parts.path.startswith(_VERSION)
                and origin != self._origin
            ):
                # The token goes no further for that: what names this origin is fetched from the base URL instead
                # (`through`).
                self._names.add(origin)
                self._known = (f"{self._host}/", f"{parts.scheme}://{parts.netloc}/")

    def _reached(self, path: str) -> str | None:
        """The path at the gateway by which it gives what the API has at this one; None where it does not."""
        if path.startswith(_VERSION):
            return self._path + path.removeprefix(_VERSION).lstrip("/")
        # A gateway that is put before the version is one for the whole origin.
        return self._path.removesuffix(_VERSION) + path if self._path.endswith(_VERSION) else None

    def _operation(self, path: str) -> str | None:
        """Take the root of the API from a path: the gateway's, or the API's own; None if there is neither."""
        inner = path.removeprefix(self._path.rstrip("/")) if path.startswith(self._path) else None
        if (inner or path).startswith(_VERSION):  # no operation is named so
            return (inner or path).removeprefix(_VERSION).lstrip("/")
        return None if inner is None else inner.lstrip("/")


def _cut(link: str) -> tuple[str, str, str]:
    """Take apart a link that begins with slashes: its path, its query, and no fragment."""
    path, _, query = link.partition("?")
    return "/" + path.lstrip("/"), query, ""


def _links_of(answer: object) -> Iterator[str]:
    """The links to operations in an answer: of a thing, or of a page and the first thing on it."""
    if not isinstance(answer, dict):
        return
    urls, results = answer.get("urls"), answer.get("results")
    for link in (answer.get("next"), urls.get("get") if isinstance(urls, dict) else None):
        if isinstance(link, str):
            yield link
    if isinstance(results, list):
        yield from _links_of(results[0] if results else None)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """The scheme, host and port of a URL."""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port
