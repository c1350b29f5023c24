"""Replicate's API, or one like it, over HTTP: the default backend."""

from __future__ import annotations

from replicate_kit.backends._httpx.backend import LibraryBackend
from replicate_kit.backends._options.libraries import HTTPX

__all__ = ["HTTPBackend"]


class HTTPBackend(LibraryBackend):
    """Sends requests by httpx, whose options it takes; what mocks httpx mocks it."""

    library = HTTPX
