"""The same API by httpx2, which goes on from httpx; for who names it, and has it installed."""

from __future__ import annotations

from replicate_kit.backends._httpx.backend import LibraryBackend
from replicate_kit.backends._options.libraries import HTTPX2

__all__ = ["HTTPX2Backend"]


class HTTPX2Backend(LibraryBackend):
    """Sends requests by httpx2, and takes its options. Raises `MissingExtraError` where it is not installed."""

    library = HTTPX2

    def __init__(self) -> None:
        self.library.check_installed()
