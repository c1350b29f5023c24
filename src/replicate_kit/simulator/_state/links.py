"""The URLs that the simulated service emits, all of them absolute and its own."""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Links"]


class Links(NamedTuple):
    """Where the API, the output files and the streams are: roots without a slash at the end."""

    api: str
    files: str
    streams: str
    # A prediction has to name its page (OpenAPI: predictions.get, urls), and this service has no pages.
    web: str = "https://replicate.com"
    secret: bytes = b""

    @property
    def prefix(self) -> str:
        """The path below which the API's operations are, such as `/v1`."""
        return urlsplit(self.api).path

    def operation(self, *parts: str, **query: str) -> str:
        """The URL of an operation."""
        # Ids, which nearly all parts are, have nothing to escape.
        path = "/".join(
            [part if part.isascii() and part.isalnum() else quote(part, safe="") for part in parts]
        )
        return f"{self.api}/{path}" + (f"?{urlencode(query)}" if query else "")

    def output(self, key: str) -> str:
        """The URL of a file that a model made."""
        return f"{self.files}/{quote(key)}"

    def stream(self, id: str, *, files: bool) -> str:
        """The URL of a prediction's events. Clients tell streams of files by their path."""
        token = self._token(id)
        # File streams of stream.replicate.com have four characters and a hyphen before the other 52.
        return f"{self.streams}/v1/files/rkit-{token}" if files else f"{self.streams}/v1/streams/{token}"

    def streamed(self, token: str) -> str | None:
        """The prediction whose stream a token opens, if it is a true one."""
        id = token.removeprefix("rkit-")[26:]
        return id if self._token(id) == token.removeprefix("rkit-") else None

    def _token(self, id: str) -> str:
        """52 characters that only this service can make: streams are read without a token of the account's."""
        # The id is part of it, so that no table of streams has to be kept.
        return hashlib.blake2b(id.encode(), key=self.secret, digest_size=13).hexdigest() + id
